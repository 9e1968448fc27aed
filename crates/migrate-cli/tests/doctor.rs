//! What `migrate-doctor` says without a project.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::process::{Command, Output};

fn explain(code: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migrate-doctor")).args(["--explain", code]).output().unwrap()
}

#[test]
fn a_finding_is_explained_as_the_documentation_does() {
    let documentation = include_str!("../../../docs/src/reference/doctor.md");
    let codes: Vec<&str> = documentation.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(codes.len() > 40, "{codes:?}");
    for code in ["clock_skew", "table_not_readable"] {
        assert!(codes.contains(&code));
        let output = explain(code);
        assert!(output.status.success(), "{code}");
        let text = String::from_utf8(output.stdout).unwrap();
        let about = documentation.split_once(&format!("## {code}\n\n*")).unwrap().1.split_once(".* ").unwrap().1;
        assert!(text.contains(about.lines().next().unwrap()), "{text}");
    }
}

#[test]
fn a_code_that_is_none_gets_the_nearest() {
    let output = explain("clock_scew");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("clock_skew"), "{text}");
}
