//! The help of every program as a person with a terminal of 80 columns reads it.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use migrate_cli::exit::EXIT_CODES;

/// Lines of a `-h` that is still short: a terminal of 80 columns and 24 lines shows it whole.
const SHORT: usize = 23;

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // Without a terminal, `COLUMNS` says how wide the text may be.
    command.args(arguments).env("COLUMNS", "80").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command.output().unwrap()
}

fn help(program: &str, flag: &str) -> String {
    let output = run(program, &[flag]);
    assert!(output.status.success(), "{program} {flag}: {}", output.status);
    assert!(output.stderr.is_empty(), "{program} {flag} writes its help to stdout alone");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{program} {flag}: too wide: {line}");
    }
    text
}

macro_rules! programs {
    ($($test:ident: $program:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let program = env!(concat!("CARGO_BIN_EXE_", $program));
                let version = run(program, &["--version"]);
                assert_eq!(
                    String::from_utf8(version.stdout).unwrap(),
                    format!(concat!($program, " {}\n"), migrate_cli::VERSION)
                );
                let (short, long) = (help(program, "-h"), help(program, "--help"));
                assert!(short.lines().count() <= SHORT, "-h is not short:\n{short}");
                assert!(long.contains("Examples:\n") && long.contains("Exit codes:\n"), "{long}");
                assert_snapshot!(concat!($program, "_short"), short);
                assert_snapshot!(concat!($program, "_long"), long);
            }
        )*
    };
}

programs! {
    migrate: "migrate";
    migrate_doctor: "migrate-doctor";
    migrate_discover: "migrate-discover";
    migrate_plan: "migrate-plan";
    migrate_run: "migrate-run";
    migrate_replay: "migrate-replay";
    migrate_verify: "migrate-verify";
    migrate_report: "migrate-report";
    migrate_schema: "migrate-schema";
}

#[test]
fn the_front_door_leads_to_each_program() {
    let front = env!("CARGO_BIN_EXE_migrate");
    let of_verb = help(env!("CARGO_BIN_EXE_migrate-run"), "--help");
    for arguments in [&["run", "--help"][..], &["help", "run"]] {
        let output = run(front, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), of_verb, "{arguments:?}");
    }
    let version = run(front, &["run", "--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("migrate-run {}\n", migrate_cli::VERSION));
}

#[test]
fn the_readme_has_the_same_exit_codes() {
    let readme = include_str!("../../../README.md");
    for (code, means) in EXIT_CODES {
        let row = format!("| {code} | {means} |");
        assert!(readme.contains(&row), "README.md lacks:\n{row}");
    }
}

#[test]
fn an_unknown_verb_is_a_wrong_command_line() {
    let front = env!("CARGO_BIN_EXE_migrate");
    for arguments in [&["rum"][..], &[]] {
        assert_eq!(run(front, arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = run(front, &["rum"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("'run'"), "the nearest verb is named:\n{text}");
}
