//! The tutorial and the how-tos, done as they are written: each page is a project of its own on the local stack.
//!
//! `sql` blocks are run in the source, blocks after `<!-- file: NAME -->` are written to that file, other `toml` blocks
//! are planned, and what `console` blocks show is run in a shell and compared. Addresses and keys come from the
//! environment. One command is replaced: for `npx convex deploy`, convex-local takes the project's functions; any other
//! `npx convex` is the official one. A block that cannot be run says why: `<!-- not run: … -->`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use convex_sink::{CONVEX_RULES, generate};
use futures::StreamExt as _;
use migrate_core::plan::{ConfigError, build_plan, read_config};
use migrate_tests::local_stack::{ConvexLocal, Supabase, SupabaseOptions, ensure_npm_packages};
use migrate_tests::project::{Deployment, Profile, ProjectFolder, output};
use supabase_source::{PostgresCatalog, PostgresSettings};
use tempfile::TempDir;

use crate::blocks::{Block, blocks, is_shown};
use crate::{pages, source};

/// `npx`, which would look for the package in the project's folder: the official `convex`, of the version that is pinned.
const NPX: &str = "#!/usr/bin/env bash\nshift\nexec node \"$PACKAGES/convex/bin/main.js\" \"$@\"\n";

/// A reader with a project.
struct Reader {
    project: ProjectFolder,
    /// What goes before the others on the path; also the home folder, so that nothing is read from the real one.
    tools: PathBuf,
    /// The npm packages.
    packages: PathBuf,
    supabase: Supabase,
    convex: Option<ConvexLocal>,
    /// Removed at the end.
    _folder: TempDir,
}

impl Reader {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (root, tools) = (folder.path().join("project"), folder.path().join("tools"));
        fs::create_dir_all(root.join("convex")).unwrap();
        fs::create_dir(&tools).unwrap();
        let npx = tools.join("npx");
        fs::write(&npx, NPX).unwrap();
        fs::write(root.join("package.json"), r#"{ "dependencies": { "convex": "*" } }"#).unwrap();
        let packages = tokio::task::spawn_blocking(ensure_npm_packages).await.unwrap().unwrap().join("node_modules");
        fs::set_permissions(&npx, fs::Permissions::from_mode(0o755)).unwrap();
        let project = ProjectFolder::new(&root, Profile::Own).await.unwrap();
        let supabase = Supabase::start(SupabaseOptions::default()).await.unwrap();
        Self { project, tools, packages, supabase, convex: None, _folder: folder }
    }

    async fn sql(&self, block: &Block) {
        let client = self.supabase.client().await.unwrap();
        client.batch_execute(&block.text).await.unwrap_or_else(|error| panic!("{}: {error:?}", block.place));
        self.supabase.reload_schema().await.unwrap();
    }

    fn write(&self, file: &Path, block: &Block) {
        let path = self.project.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &block.text).unwrap();
    }

    async fn deploy(&mut self) {
        match &self.convex {
            Some(convex) => convex.redeploy().await.unwrap(),
            None => self.convex = Some(ConvexLocal::start(self.project.path()).await.unwrap()),
        }
    }

    async fn typed(&self, line: &str) -> (bool, String) {
        let convex = self.convex.as_ref();
        let convex = convex.map(|convex| Deployment { url: convex.url(), admin_key: convex.admin_key() });
        let program = self.project.program("migrate", &[], &self.supabase, convex);
        let mut path = OsString::from(&self.tools);
        path.push(":");
        path.push(Path::new(program.get_program()).parent().unwrap());
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &format!("exec 2>&1; {line}")]);
        shell.current_dir(self.project.path()).env("PATH", path).env("COLUMNS", "100");
        shell.env("SUPABASE_DB_URL", self.supabase.database_url());
        shell.env("PACKAGES", &self.packages).env("HOME", &self.tools);
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        let ended = output(shell).await.unwrap();
        (ended.status.success(), String::from_utf8(ended.stdout).unwrap())
    }

    async fn console(&mut self, block: &Block) -> Result<(), String> {
        for (command, shown) in block.commands() {
            if command == "npx convex deploy" {
                self.deploy().await;
                continue;
            }
            let (well, said) = self.typed(&command).await;
            let lines: Vec<&str> = said.lines().collect();
            if !well || !(shown.is_empty() || is_shown(&shown, &lines)) {
                return Err(format!("{}: $ {command}\n{said}", block.place));
            }
        }
        Ok(())
    }

    /// What is wrong with a part of a `migrate.toml`; nothing where it can be planned for the source as it is now.
    async fn planned(&self, block: &Block) -> Result<(), String> {
        let shown = |errors: &[ConfigError]| {
            errors.iter().fold(String::new(), |mut text, error| {
                let _ = writeln!(text, "{}: {error}", block.place);
                text
            })
        };
        let config = read_config("migrate.toml", &block.text).map_err(|error| shown(&[error]))?;
        let mut settings = PostgresSettings::new(self.supabase.database_url());
        settings.schemas.clone_from(&config.supabase.schemas);
        settings.expected_tables = config.named_tables().collect();
        let catalog = PostgresCatalog::new(settings).unwrap().discover().await.unwrap();
        let plan = build_plan(&config, &catalog, &CONVEX_RULES)
            .map_err(|issues| shown(&ConfigError::from_issues("migrate.toml", &block.text, &issues)))?;
        generate(&plan).map_err(|error| format!("{}: {error}", block.place))?;
        Ok(())
    }

    async fn follow(&mut self, block: &Block) -> Result<(), String> {
        if block.marker.as_deref().is_some_and(|marker| marker.starts_with("not run: ")) {
            return Ok(());
        }
        match (block.language.as_str(), block.file()) {
            (_, Some(file)) => self.write(&file, block),
            ("sql", None) => self.sql(block).await,
            ("console", None) => self.console(block).await?,
            ("toml", None) if block.marker.as_deref() == Some("refused") => {
                if self.planned(block).await.is_ok() {
                    return Err(format!("{}: it is not refused", block.place));
                }
            }
            ("toml", None) => self.planned(block).await?,
            // What a file or an answer looks like.
            ("text" | "json" | "ts", None) => {}
            (language, None) => return Err(format!("{}: nothing is done with {language}", block.place)),
        }
        Ok(())
    }
}

/// What must be in the deployment when the tutorial is done, by SQL and without a look at what the programs said.
async fn assert_shop_is_there(reader: &Reader) {
    let (convex, client) = (reader.convex.as_ref().unwrap(), reader.supabase.client().await.unwrap());
    let mut emails = BTreeMap::new();
    for customer in convex.documents("customers").await.unwrap() {
        emails.insert(customer["_id"].as_str().unwrap().to_owned(), customer["email"].as_str().unwrap().to_owned());
    }
    let mut found: Vec<(String, i64)> = Vec::new();
    for order in convex.documents("orders").await.unwrap() {
        assert!(order.get("supabaseId").is_none(), "its legacy id is there still");
        let delivered = order["deliveredAt"].as_f64().unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of this century")]
        found.push((emails[order["customerId"].as_str().unwrap()].clone(), delivered as i64));
    }
    let query = "select email, (extract(epoch from delivered_at) * 1000)::bigint \
                 from orders join customers on customers.id = customer_id";
    let rows = client.query(query, &[]).await.unwrap();
    let mut wanted: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    found.sort();
    wanted.sort();
    assert_eq!((emails.len(), found.len()), (100, 500));
    assert_eq!(found, wanted);
    assert_eq!(convex.count("orderLines").await.unwrap(), 1200);
}

async fn walk(page: PathBuf) -> Result<usize, String> {
    let blocks = blocks(&page);
    if blocks.is_empty() {
        return Ok(0);
    }
    let mut reader = Reader::new().await;
    for block in &blocks {
        reader.follow(block).await?;
    }
    if page.ends_with("tutorial.md") {
        assert_shop_is_there(&reader).await;
    }
    Ok(blocks.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn tutorial_and_how_tos_work_as_written() {
    let mut all = vec![source().join("tutorial.md")];
    all.extend(pages(&source().join("how-to")));
    let only = std::env::var("PAGE").unwrap_or_default();
    all.retain(|page| page.to_string_lossy().contains(&only));
    let ended: Vec<Result<usize, String>> = futures::stream::iter(all).map(walk).buffer_unordered(2).collect().await;
    let failed: Vec<&String> = ended.iter().filter_map(|page| page.as_ref().err()).collect();
    assert!(failed.is_empty(), "{}", failed.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n\n"));
    assert!(ended.iter().any(|page| page.as_ref().is_ok_and(|blocks| *blocks > 5)), "the pages have blocks");
}
