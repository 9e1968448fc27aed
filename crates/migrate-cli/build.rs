//! Says which commit the programs are built of: `MIGRATE_COMMIT` where a packager sets it, else what `cargo package` noted,
//! else git's. None of them is no fault: a source archive has no commit.
#![expect(clippy::disallowed_methods, reason = "a build script is told all by its environment")]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Digits that tell commits apart.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MIGRATE_COMMIT");
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("MIGRATE_COMMIT").ok().or_else(|| packaged(Path::new(&folder))).or_else(|| of_git(&folder));
    let commit: Option<String> = commit.map(|commit| commit.trim().chars().take(DIGITS).collect());
    match commit.filter(|commit| !commit.is_empty() && commit.chars().all(|char| char.is_ascii_alphanumeric())) {
        Some(commit) => println!("cargo::rustc-env=MIGRATE_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=MIGRATE_VERSION={version}"),
    }
}

/// What `cargo package` writes beside the manifest: `{ "git": { "sha1": "…" }, … }`.
fn packaged(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(".cargo_vcs_info.json")).ok()?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    behind.split('"').nth(1).map(str::to_owned)
}

/// The checkout's commit, if these files are in it: an archive may lie in the checkout of something else.
fn of_git(folder: &str) -> Option<String> {
    git(folder, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    // HEAD changes when another branch is checked out, its log with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(folder, &["rev-parse", "--git-path", file])?;
        let path = Path::new(folder).join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(folder, &["rev-parse", "HEAD"])
}

fn git(folder: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
