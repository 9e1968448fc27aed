//! Completions, manual pages and the version, as shells and readers use them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const FRONT: &str = env!("CARGO_BIN_EXE_migrate");
const VERBS: [&str; 8] = ["doctor", "discover", "plan", "run", "replay", "verify", "report", "schema"];

fn migrate(arguments: &[&str]) -> String {
    let output = Command::new(FRONT).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What bash would offer for a line that is typed, by its own rules.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let name = words.first().unwrap();
    let last = words.len() - 1;
    let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let program = format!(
        "source '{}'; COMP_WORDS=({quoted}); COMP_CWORD={last}; \
         complete -p '{name}' >/dev/null || exit 1; \
         called=$(complete -p '{name}' | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
         \"$called\" '{name}' '{}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.last().unwrap()
    );
    let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("all.bash");
    fs::write(&script, migrate(&["completions", "bash"])).unwrap();
    assert_eq!(offered(&script, &["migrate", "rep"]), ["replay", "report"]);
    assert_eq!(offered(&script, &["migrate", "run", "--dry"]), ["--dry-run"]);
    assert_eq!(offered(&script, &["migrate-run", "--max"]), ["--max-rejects"]);
    assert_eq!(offered(&script, &["migrate-doctor", "--expl"]), ["--explain"]);
    assert_eq!(offered(&script, &["migrate-plan", "--no-such"]), [""]);
}

#[test]
fn every_shell_has_a_file_for_each_program() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let folder = tempfile::tempdir().unwrap();
        migrate(&["completions", shell, folder.path().to_str().unwrap()]);
        let files: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        assert_eq!(files.len(), VERBS.len() + 1, "{shell}");
        let options = files.iter().filter(|text| text.contains("max-rejects")).count();
        assert_eq!(options, 3, "{shell}: the front door, run and replay");
    }
}

#[test]
fn every_program_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    migrate(&["man", path.to_str().unwrap()]);
    for name in VERBS.iter().map(|verb| format!("migrate-{verb}")).chain(["migrate".to_owned()]) {
        let page = fs::read_to_string(path.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}:\n{page}");
        assert!(page.contains("Examples:") && page.contains("Exit codes:"), "{name}:\n{page}");
        assert!(!page.contains('\u{1b}'), "{name} has a terminal's codes");
    }
    assert!(fs::read_to_string(path.join("migrate-run.1")).unwrap().contains("dry\\-run"));
}

#[test]
fn the_version_has_the_commit() {
    let own = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let Some(commit) = own.ok().filter(|output| output.status.success()) else {
        assert_eq!(migrate_cli::VERSION, env!("CARGO_PKG_VERSION"), "there is no git to ask");
        return;
    };
    let commit = String::from_utf8(commit.stdout).unwrap();
    assert_eq!(migrate_cli::VERSION, format!("{} ({})", env!("CARGO_PKG_VERSION"), &commit[..12]));
}
