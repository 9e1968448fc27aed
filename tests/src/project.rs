//! A project folder with its own local stack, and the migrate programs run in it as a person would.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::ari_cms::{Scenario, parents, schema_sql, seed_sql};
use crate::local_stack::{ConvexLocal, Error, Result, Supabase, SupabaseOptions};

/// How cargo builds the migrate programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As the running program was built.
    Own,
    /// As they are shipped.
    Release,
}

/// A folder with a `migrate.toml`, and the migrate programs run in it as a person would.
#[derive(Debug)]
pub struct ProjectFolder {
    path: PathBuf,
    programs: PathBuf,
}

/// Where a migrate program finds Convex.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// Its address.
    pub url: &'a str,
    /// Its admin key.
    pub admin_key: &'a str,
}

impl ProjectFolder {
    /// A project in `path`, which the caller makes, and the programs built in `profile`.
    ///
    /// # Errors
    /// When cargo fails.
    pub async fn new(path: &Path, profile: Profile) -> Result<Self> {
        let programs = tokio::task::spawn_blocking(move || build_programs(profile))
            .await
            .map_err(|error| Error::new(format!("failed to build the migrate programs: {error}")))??;
        Ok(Self { path: path.to_owned(), programs })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A migrate program in this folder, with both sides' settings in its environment.
    #[must_use]
    pub fn program(
        &self,
        name: &str,
        arguments: &[&str],
        supabase: &Supabase,
        convex: Option<Deployment<'_>>,
    ) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.path).args(arguments);
        command.env("SUPABASE_URL", supabase.url()).env("SUPABASE_SECRET_KEY", supabase.secret_key());
        if let Some(Deployment { url, admin_key }) = convex {
            command.env("CONVEX_SELF_HOSTED_URL", url).env("CONVEX_SELF_HOSTED_ADMIN_KEY", admin_key);
        }
        command
    }

    /// The folder of the newest run.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest_run(&self) -> Result<PathBuf> {
        newest_run(&self.path)
    }

    /// The report of the newest run.
    ///
    /// # Errors
    /// When there is none, or it is no JSON.
    pub fn report(&self) -> Result<Value> {
        let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to read the report: {error}"));
        let path = self.newest_run()?.join("report.json");
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        serde_json::from_str(&text).map_err(|error| failed(&error))
    }
}

/// The folders of all runs of a project, oldest first.
///
/// # Errors
/// When it never had one.
pub fn runs(project: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::new(format!("failed to list the runs: {error}"));
    let entries = std::fs::read_dir(project.join(".migrate")).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut runs: Vec<PathBuf> = paths.map_err(failed)?.into_iter().filter(|path| path.is_dir()).collect();
    runs.sort();
    Ok(runs)
}

/// The folder of the newest run of a project.
///
/// # Errors
/// When there is none.
pub fn newest_run(project: &Path) -> Result<PathBuf> {
    runs(project)?.pop().ok_or_else(|| Error::new("failed to find a run: there is none".to_owned()))
}

/// Runs a program to its end and takes what it prints.
///
/// # Errors
/// When it cannot be started.
pub async fn output(mut command: Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output
        .map_err(|error| Error::new(format!("failed to run {name}: {error}")))?
        .map_err(|error| Error::new(format!("failed to run {name}: {error}")))
}

/// A project, set up in a folder: Supabase has its rows, nothing is migrated yet.
#[derive(Debug)]
pub struct Project {
    folder: ProjectFolder,
    /// The Supabase side.
    pub supabase: Supabase,
    /// The Convex side, once it is deployed.
    pub convex: Option<ConvexLocal>,
    /// The example's scenario; none for a project of other tables.
    scenario: Option<Scenario>,
}

/// The checkout's root.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// The programs that those of this package run: a release build links each for minutes.
const OWN_PROGRAMS: [&str; 5] = ["migrate-discover", "migrate-plan", "migrate-run", "migrate-verify", "migrate-report"];

/// Builds the migrate programs in the running one's target folder, and gives the folder they are in. Of a release build,
/// those that this package's own run.
///
/// # Errors
/// When cargo fails.
pub fn build_programs(profile: Profile) -> Result<PathBuf> {
    let programs = if profile == Profile::Release || own_folder()?.ends_with("release") {
        OWN_PROGRAMS.iter().flat_map(|name| ["--bin", *name]).collect()
    } else {
        vec!["--bins"]
    };
    build(profile, &[&["-p", "migrate-cli"], &*programs].concat())
}

/// Builds an example of this package as the running program was built, and gives its path.
///
/// # Errors
/// When cargo fails.
pub fn build_example(name: &str) -> Result<PathBuf> {
    let folder = build(Profile::Own, &["-p", "migrate-tests", "--example", name])?;
    Ok(folder.join("examples").join(name))
}

/// The folder that the running program was built into.
fn own_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| Error::new(format!("failed to find this program: {error}")))?;
    let mut folder = own.parent().unwrap_or(Path::new(".")).to_owned();
    if folder.file_name() == Some(OsStr::new("deps")) {
        folder.pop();
    }
    Ok(folder)
}

/// Builds in the running program's target folder, and gives the folder of the profile.
fn build(profile: Profile, what: &[&str]) -> Result<PathBuf> {
    let folder = own_folder()?;
    let target = folder.parent().unwrap_or(Path::new("."));
    let is_release = profile == Profile::Release || folder.ends_with("release");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args(["build", "--quiet"]).args(what).arg("--target-dir").arg(target);
    if is_release {
        cargo.arg("--release");
    }
    // Cargo tells a program that it runs about that program's package. Passed on, this would be news to build scripts
    // that ask for it, such as ring's: all that depends on them would be built again, here and by the next cargo.
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(target.join(if is_release { "release" } else { "debug" })),
        Ok(status) => Err(Error::new(format!("failed to build {}: {status}", what.join(" ")))),
        Err(error) => Err(Error::new(format!("failed to start cargo: {error}"))),
    }
}

impl Project {
    /// Sets the example up in `folder`, which must be empty or absent.
    ///
    /// # Errors
    /// When a part of the stack does not start.
    pub async fn set_up(folder: &Path, scenario: Scenario) -> Result<Self> {
        let failed = |error: std::io::Error| Error::new(format!("failed to set up {}: {error}", folder.display()));
        let example = repository().join("examples/ari-cms");
        let configuration = std::fs::read_to_string(example.join("migrate.toml")).map_err(failed)?;
        let project = Self::with_tables(folder, vec![schema_sql(scenario), seed_sql(scenario)], &configuration).await?;
        let file = "convex/seedParents.ts";
        std::fs::copy(example.join(file), folder.join(file)).map_err(failed)?;
        Ok(Self { scenario: Some(scenario), ..project })
    }

    /// Sets a project up in `folder`, which must be empty or absent: its tables and rows are what `sql` makes, and
    /// `configuration` is its `migrate.toml`.
    ///
    /// # Errors
    /// When a part of the stack does not start, or the SQL fails.
    pub async fn with_tables(folder: &Path, sql: Vec<String>, configuration: &str) -> Result<Self> {
        let failed = |error: std::io::Error| Error::new(format!("failed to set up {}: {error}", folder.display()));
        let project = ProjectFolder::new(folder, Profile::Own).await?;
        std::fs::create_dir_all(folder.join("convex")).map_err(failed)?;
        std::fs::write(folder.join("migrate.toml"), configuration).map_err(failed)?;
        let supabase = Supabase::start(SupabaseOptions { sql, ..SupabaseOptions::default() }).await?;
        Ok(Self { folder: project, supabase, convex: None, scenario: None })
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Deploys the project's functions to convex-local, as `npx convex deploy` would, and puts the example's parents in.
    ///
    /// # Errors
    /// When the functions do not load, or the parents do not match the generated schema.
    pub async fn deploy(&mut self) -> Result<()> {
        self.deploy_with(&[]).await
    }

    /// As [`Project::deploy`], with variables in the deployment's environment.
    ///
    /// # Errors
    /// As there.
    pub async fn deploy_with(&mut self, variables: &[(&str, &str)]) -> Result<()> {
        let convex = ConvexLocal::start_with(self.folder.path(), variables).await?;
        let Some(scenario) = self.scenario else {
            self.convex = Some(convex);
            return Ok(());
        };
        let parents = parents(scenario);
        let arguments = json!({
            "workspaces": parents.workspaces.iter().map(|parent| json!({
                "slug": parent.slug, "name": parent.name, "ownerId": parent.owner_id,
            })).collect::<Vec<Value>>(),
            "contacts": parents.contacts.iter().map(|parent| {
                let mut contact = json!({ "workspaceSlug": parent.workspace_slug, "phone": parent.phone });
                if let Some(name) = &parent.name {
                    contact["name"] = json!(name);
                }
                contact
            }).collect::<Vec<Value>>(),
            "ariConversations": parents.ari_conversations.iter().map(|parent| json!({
                "workspaceSlug": parent.workspace_slug, "contactPhone": parent.contact_phone, "state": parent.state,
            })).collect::<Vec<Value>>(),
        });
        convex.mutation("seedParents:seedParents", arguments).await?;
        self.convex = Some(convex);
        Ok(())
    }

    /// A migrate program with the project's settings in its environment, in the project's folder.
    #[must_use]
    pub fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let convex = self.convex.as_ref().map(|convex| Deployment { url: convex.url(), admin_key: convex.admin_key() });
        self.folder.program(name, arguments, &self.supabase, convex)
    }

    /// Runs a migrate program to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> Result<Output> {
        output(self.program(name, arguments)).await
    }

    /// The folder of the newest run.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest_run(&self) -> Result<PathBuf> {
        self.folder.newest_run()
    }

    /// The report of the newest run.
    ///
    /// # Errors
    /// When there is none, or it is no JSON.
    pub fn report(&self) -> Result<Value> {
        self.folder.report()
    }

    /// The rejects of a table in the newest run, one value for each line; none where there is no file.
    ///
    /// # Errors
    /// When there is no run, or a line is no JSON.
    pub fn rejects(&self, table: &str) -> Result<Vec<Value>> {
        let path = self.folder.newest_run()?.join("rejects").join(format!("{table}.jsonl"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::new(format!("failed to read {}: {error}", path.display()))),
        };
        let failed = |error| Error::new(format!("failed to read {}: {error}", path.display()));
        text.lines().map(|line| serde_json::from_str(line).map_err(failed)).collect()
    }
}
