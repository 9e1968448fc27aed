//! Pages that are made of the tables and types of the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use convex_sink::DOCUMENT_LIMITS;
use migrate_cli::exit::{EXIT_CODES, of_run, of_setup};
use migrate_core::error::{Disposition, ERROR_KINDS, ERROR_MEANINGS, Error};
use migrate_core::plan::{CAST_RULES, Condition, Target};
use migrate_core::record::{ChangeKind, REJECT_REMEDIES};
use migrate_tests::project::repository;
use serde::Serialize;
use serde_json::Value;

use crate::{read, schema_page, source};

/// A page, and what makes it.
type Generated = (&'static str, fn() -> String);

/// The generated pages.
const PAGES: &[Generated] = &[
    ("reference/settings.md", settings),
    ("reference/types.md", types),
    ("reference/errors.md", errors),
    ("reference/exit-codes.md", exit_codes),
    ("reference/limits.md", limits),
    ("reference/report-file.md", report_file),
];

fn schema(name: &str) -> Value {
    let text = read(repository().join("jsonschemas").join(format!("{name}.schema.json")));
    serde_json::from_str(&text).unwrap()
}

/// What a schema says of each word of one of its types, in its order.
fn words(schema: &str, name: &str) -> Vec<(String, String)> {
    words_in(&self::schema(schema)["$defs"][name])
}

fn words_in(definition: &Value) -> Vec<(String, String)> {
    let of = |word: &Value| {
        let text = word["description"].as_str().unwrap_or_default();
        (word["const"].as_str().unwrap().to_owned(), schema_page::one_line(text))
    };
    definition["oneOf"].as_array().unwrap().iter().map(of).collect()
}

/// The name that a word of the code has in files.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn settings() -> String {
    let head = "\
# All settings

Each setting of `migrate.toml`, with its default. [migrate.toml](configuration.md) tells how they are used.
";
    schema_page::of(head, "The file", &schema("migrate"), true)
}

fn report_file() -> String {
    let head = "\
# report.json

Each run writes `report.json` into its folder; `migrate-run --json` prints it. It holds no row's value, but sample keys
of rejected rows. For each table `source = migrated + skipped + rejected`; a report of which this is not so is an error
of the program, and exit code 1.
";
    schema_page::of(head, "The file", &schema("report"), false)
}

fn types() -> String {
    let mut text = "\
# Types

What a column becomes where `migrate.toml` says nothing: the first rule for its type decides. `migrate-plan --explain
table.column` says which rule decided about a column, and
[Types in migrate.toml](configuration.md#types) how to choose another.

| Postgres | if | Convex | why |
|---|---|---|---|
"
    .to_owned();
    let kinds: BTreeMap<String, String> = words("catalog", "ScalarKind").into_iter().collect();
    for rule in CAST_RULES {
        let condition = match rule.condition {
            Condition::Always => "",
            Condition::KnownTexts => "its texts are known",
            Condition::FifteenDigits => "15 digits at most",
        };
        let validator = match rule.target {
            Target::String => "`v.string()`",
            Target::Number => "`v.number()`",
            Target::Int64 => "`v.int64()`",
            Target::Boolean => "`v.boolean()`",
            Target::Bytes => "`v.bytes()`",
            Target::Any => "`v.any()`",
            Target::Labels => "a union of `v.literal(…)`",
            Target::Numbers => "`v.array(v.number())`",
        };
        let kind = &kinds[&word(rule.scalar)];
        writeln!(text, "| {} | {condition} | {validator} | {} |", kind.trim_end_matches('.'), rule.why).unwrap();
    }
    text += "
An array becomes `v.array(…)` of what its elements become. A reference becomes `v.id(…)` of the parent's table.

## What may be lost

Where a value does not stay exactly what it was, `report.json` counts it under `changes`, by column:

| code | means |
|---|---|
";
    for (code, means) in words_in(&schemars::schema_for!(ChangeKind).to_value()) {
        writeln!(text, "| `{code}` | {means} |").unwrap();
    }
    text
}

fn errors() -> String {
    let mut text = "\
# Error codes

## Rejected rows

A row that cannot be written does not stop the run. It is kept in `rejects/<table>.jsonl` with its data, its `code` and
the reason, and counted in `report.json`. [Mend rejected rows](../how-to/rejects.md) tells the rest.

| code | means | remedy |
|---|---|---|
"
    .to_owned();
    let meanings: BTreeMap<String, String> = words("report", "RejectCode").into_iter().collect();
    for (_, code, remedy) in REJECT_REMEDIES {
        writeln!(text, "| `{code}` | {} | {remedy} |", meanings[*code]).unwrap();
    }
    text += "
## Errors

An error is of the whole call, not of a row. What the other side calls it, such as `PGRST205` or `TooManyWrites`, is
shown beside it. Where the program retries, with growing pauses, or splits a call, the exit code is for when that did not
help: before a run begins, as in `migrate-discover` and `migrate-plan`, and within a run.

| code | means | the program | before | within |
|---|---|---|---|---|
";
    for (kind, code, disposition, ..) in ERROR_KINDS {
        let (_, meaning) = ERROR_MEANINGS.iter().find(|(other, _)| other == kind).unwrap();
        let does = match disposition {
            Disposition::Retry => "retries",
            Disposition::Split => "splits the call",
            Disposition::Abort => "stops",
        };
        let error = Error::new(*kind, "do it");
        let (before, during) = (of_setup(&error), of_run(&error));
        writeln!(text, "| `{code}` | {meaning} | {does} | {before} | {during} |").unwrap();
    }
    text
}

fn exit_codes() -> String {
    let mut text = "\
# Exit codes

The same for every program.

| exit code | means |
|---|---|
"
    .to_owned();
    for (code, meaning) in EXIT_CODES {
        writeln!(text, "| {code} | {meaning} |").unwrap();
    }
    text
}

fn limits() -> String {
    let mut text = "\
# Limits of a document

A row over one of these is rejected with the code, before anything is sent.
[Limits of Convex](../explanation/convex-limits.md) tells of the others, and what to do.

| at most | of | code |
|---|---|---|
"
    .to_owned();
    for limit in DOCUMENT_LIMITS {
        writeln!(text, "| {} | {} | `{}` |", grouped(limit.most), limit.unit, limit.code.as_str()).unwrap();
    }
    text
}

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn generated_pages_are_those_of_the_code() {
    let mut differ = Vec::new();
    for (page, make) in PAGES {
        let (path, wanted) = (source().join(page), make());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != wanted {
            differ.push(*page);
        }
    }
    assert!(
        differ.is_empty(),
        "{differ:?} differ; run: UPDATE_DOCS=1 cargo test -p migrate-tests --test book generated"
    );
}
