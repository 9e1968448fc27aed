//! A real Postgres server in a temporary folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

use super::account::{Account, can_reach, find_program};
use super::error::{Context, Error, Result};
use super::npm::ensure_postgres;
use super::supervised::{Launch, Prepared, Supervised};

const ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(90);
const INSTALLED_BELOW: &str = "/usr/lib/postgresql";

/// Prepares a cluster and becomes its server. $1 initdb, $2 postgres, $3 port, $4 socket folder.
const START_SCRIPT: &str = r#"
"$1" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || { cat initdb.log; exit 1; }
exec "$2" -D data -p "$3" -k "$4" -h 127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    -c max_connections=300 -c shared_buffers=64MB -c dynamic_shared_memory_type=mmap -c timezone=UTC
"#;

/// A Postgres server on loopback with its own cluster. Everyone on this machine may log in as superuser `postgres`
/// without a password, and durability is off: it holds test data only.
#[derive(Debug)]
pub struct Postgres {
    process: Supervised,
    port: u16,
}

impl Postgres {
    /// Creates a cluster and starts its server on a free port: the Postgres that is installed, else the one from npm.
    ///
    /// # Errors
    /// Neither can be run, or it did not accept connections within 90 seconds; the message has its last output.
    pub async fn start() -> Result<Self> {
        let account = Account::for_servers()?;
        match installed(|path| can_reach(account, path)) {
            Some(programs) => Self::start_programs(programs).await,
            None => Self::start_from_npm().await,
        }
    }

    /// As [`Postgres::start`], with the one from npm, which is installed on first use.
    ///
    /// # Errors
    /// As there.
    pub async fn start_from_npm() -> Result<Self> {
        let programs = tokio::task::spawn_blocking(ensure_postgres).await.context("install Postgres from npm")??;
        Self::start_programs(programs).await
    }

    async fn start_programs((initdb, postgres): (PathBuf, PathBuf)) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(postgres) = Self::start_once(&initdb, &postgres).await? {
                return Ok(postgres);
            }
        }
        Err(Error::new("found no free port for Postgres in several attempts"))
    }

    /// The server that the tests of this process share; it is started on first use and ends with the process.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// `None` when something else took the port first.
    async fn start_once(initdb: &Path, postgres: &Path) -> Result<Option<Self>> {
        let prepared = Prepared::new()?;
        let port = free_port()?;
        let sockets = if prepared.path().as_os_str().len() < 80 { prepared.path().into() } else { PathBuf::new() };
        let launch = Launch::new("/bin/sh")
            .arg("-c")
            .arg(START_SCRIPT)
            .arg("postgres")
            .arg(initdb)
            .arg(postgres)
            .arg(port.to_string())
            .arg(sockets)
            // At once and without a checkpoint: nothing of it is kept, and SIGTERM would wait for open connections.
            .stop_signal("QUIT");
        let server = Self { process: prepared.start(launch)?, port };
        let started = Instant::now();
        loop {
            if server.process.has_exited() {
                let log = server.process.log();
                if log.contains("could not bind") || log.contains("could not create any TCP/IP sockets") {
                    return Ok(None);
                }
                return Err(server.process.failure("did not start"));
            }
            if server.answers().await {
                return Ok(Some(server));
            }
            if started.elapsed() > START_LIMIT {
                return Err(server.process.failure("did not accept connections in time"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether this very server accepts connections: another one may have the port.
    async fn answers(&self) -> bool {
        let Ok(client) = self.connect("postgres").await else { return false };
        let Ok(row) = client.query_one("select current_setting('data_directory')", &[]).await else { return false };
        Path::new(row.get::<_, &str>(0)) == self.process.folder().join("data")
    }

    /// Creates an empty UTF-8 database. Its name is quoted, so any will do.
    ///
    /// # Errors
    /// The database exists, or the server is gone.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let client = self.connect("postgres").await?;
        let quoted = name.replace('"', "\"\"");
        client
            .batch_execute(&format!("create database \"{quoted}\" template template0 encoding 'UTF8'"))
            .await
            .context(format_args!("create database {name}"))
    }

    /// Creates a database whose name starts with `prefix` and is not used by this process yet; returns the name.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn create_own_database(&self, prefix: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name).await?;
        Ok(name)
    }

    /// Connects to `database` as superuser. The connection's task runs on the current runtime.
    ///
    /// # Errors
    /// There is no such database, or the server is gone.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let (client, connection) = Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect_timeout(Duration::from_secs(10))
            .connect(NoTls)
            .await
            .context(format_args!("connect to database {database} on port {}", self.port))?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Connection URL of `database` for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_for("postgres", database)
    }

    /// Connection URL of `database` for the role `user`, which needs no password.
    #[must_use]
    pub fn url_for(&self, user: &str, database: &str) -> String {
        let port = self.port;
        format!("postgresql://{user}@127.0.0.1:{port}/{database}")
    }

    /// The server's port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process behind this server.
    #[must_use]
    pub fn process(&self) -> &Supervised {
        &self.process
    }

    /// Stops the server and waits until its folder is removed.
    pub fn stop(self) {
        self.process.stop();
    }
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("read a port")?.port())
}

/// `initdb` and `postgres` of one installation: the one in PATH, else the newest below `/usr/lib/postgresql`.
fn installed(reachable: impl Fn(&Path) -> bool) -> Option<(PathBuf, PathBuf)> {
    let on_path = find_program("initdb").and_then(|path| path.canonicalize().ok());
    let mut installed: Vec<(u32, PathBuf)> = std::fs::read_dir(INSTALLED_BELOW)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin/initdb")))
        })
        .collect();
    installed.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    on_path
        .into_iter()
        .chain(installed.into_iter().map(|(_, path)| path))
        .map(|initdb| (initdb.with_file_name("postgres"), initdb))
        .find(|(postgres, initdb)| reachable(initdb) && reachable(postgres))
        .map(|(postgres, initdb)| (initdb, postgres))
}
