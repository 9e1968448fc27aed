//! What the documentation shows of `migrate.toml` is valid, and its tables are those of the code.

use migrate_core::assess::FINDING_KINDS;
use migrate_core::plan::read_config;

/// The TOML examples of a page, each with the line it starts on.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut examples: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        match line {
            "```toml" => {
                examples.push((number + 2, String::new()));
                is_open = true;
            }
            "```" => is_open = false,
            line if is_open => {
                if let Some((_, text)) = examples.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            _ => {}
        }
    }
    examples
}

#[test]
fn every_example_can_be_read() {
    for (name, page, least) in [
        ("docs/src/reference/configuration.md", include_str!("../../../docs/src/reference/configuration.md"), 6),
        ("README.md", include_str!("../../../README.md"), 1),
    ] {
        let examples = examples(page);
        assert!(examples.len() >= least, "{name} has {} examples", examples.len());
        for (line, text) in examples {
            if let Err(error) = read_config(&format!("{name}, from line {line}"), &text) {
                panic!("{error}");
            }
        }
    }
}

#[test]
fn every_kind_of_difference_is_told() {
    let page = include_str!("../../../docs/src/reference/verify.md");
    for (_, kind, means) in migrate_core::verify::DIFFERENCE_KINDS {
        let row = format!("| `{kind}` | {means} |");
        assert!(page.contains(&row), "docs/src/reference/verify.md lacks:\n{row}");
    }
}

#[test]
fn the_kinds_of_findings_are_those_of_the_code() {
    let page = include_str!("../../../docs/src/reference/assessment.md");
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let kinds = FINDING_KINDS.iter().map(|(_, code, words, remedy)| format!("| `{code}` | {words} | {remedy} |"));
    assert_eq!(listed, kinds.collect::<Vec<String>>());
}
