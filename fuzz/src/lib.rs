//! What reads bytes from outside: any bytes come to an end, without a panic.
//!
//! Each target is a function, which `fuzz_targets/` hands to libFuzzer, and which the workspace's tests run on the
//! committed corpus with the stable compiler (`tests/tests/fuzz_corpus.rs`, which includes this file).

use std::fmt::Display;

use convex_sink::CONVEX_RULES;
use migrate_core::catalog::{CATALOG_VERSION, Catalog};
use migrate_core::plan::{ConfigError, build_plan, read_config};
use migrate_core::report::Report;
use migrate_core::value::Value;

/// What is done with an input.
pub type Target = fn(&[u8]);

/// Each target by its name, which is that of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("page", page),
    ("document", document),
    ("supabase_failure", supabase_failure),
    ("convex_answer", convex_answer),
    ("migrate_toml", migrate_toml),
    ("report", report),
];

/// Types of which each is read in a way of its own.
const FORMATS: &[&str] = &[
    "text",
    "bigint",
    "numeric",
    "double precision",
    "boolean",
    "uuid",
    "jsonb",
    "bytea",
    "timestamp with time zone",
    "date",
    "interval",
    "oid",
    "hstore",
    "tsvector",
    "money",
    "geometry",
    "of_the_users_own",
    "text[]",
    "bigint[]",
    "jsonb[]",
    "bytea[]",
    "boolean[]",
    "of_the_users_own[]",
];

/// Stands in corpora for a row's value.
const CANARY: &str = "CANARY";

/// Bytes that an error shows at most.
const MESSAGE_BYTES: usize = 4096;

/// Fits a terminal: of some length, and nothing in it that moves the cursor.
fn assert_fit_to_print(error: &impl Display) {
    let shown = error.to_string();
    assert!(shown.len() <= MESSAGE_BYTES, "an error of {} bytes", shown.len());
    assert!(!shown.chars().any(char::is_control), "an error with control characters: {shown:?}");
}

/// A page of rows. The first byte chooses the column's type; an even second one says that what follows is a value,
/// an odd one that it is the whole page.
pub fn page(data: &[u8]) {
    let [format, shape, rest @ ..] = data else { return };
    let format = FORMATS[usize::from(*format) % FORMATS.len()];
    let body = if shape % 2 == 0 { [b"[{\"value\":".as_slice(), rest, b"}]"].concat() } else { rest.to_vec() };
    match supabase_source::testing::read_page(format, &body) {
        Ok(records) => {
            // What is nested too deep for it stays text in a record.
            let Ok(given) = serde_json::from_slice::<serde_json::Value>(&body) else { return };
            assert_eq!(given.as_array().map(Vec::len), Some(records.len()), "rows came or went");
            for (record, row) in records.iter().zip(given.as_array().into_iter().flatten()) {
                assert_same(format, record.values.first(), &row["value"]);
            }
        }
        Err(error) => {
            assert_fit_to_print(&error);
            assert!(!format!("{error} {error:?}").contains(CANARY), "a value is repeated: {error}");
        }
    }
}

/// Against `serde_json`'s own reading, where that is exact.
fn assert_same(format: &str, read: Option<&Value>, given: &serde_json::Value) {
    let same = match (format, read) {
        (_, Some(Value::Null)) => given.is_null(),
        ("text" | "uuid" | "money", Some(Value::Text(text))) => given.as_str() == Some(text),
        ("bigint", Some(Value::Int64(number))) => given.as_i64() == Some(*number) || *number == 0,
        ("boolean", Some(Value::Bool(bool))) => given.as_bool() == Some(*bool),
        (_, Some(_)) => !matches!(format, "text" | "uuid" | "money" | "bigint" | "boolean"),
        (_, None) => false,
    };
    assert!(same, "{format}: {given} was read as {read:?}");
}

/// The OpenAPI document of a project.
pub fn document(data: &[u8]) {
    match supabase_source::testing::read_document(data) {
        Ok(tables) => {
            let given: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
            let count = given["definitions"].as_object().map_or(0, serde_json::Map::len);
            assert_eq!(tables.len(), count, "tables came or went");
        }
        Err(error) => assert!(!error.message().contains(CANARY), "a text is repeated: {error}"),
    }
}

/// An answer of the data API without success: two bytes of status, a line for the header `Proxy-Status`, the body.
pub fn supabase_failure(data: &[u8]) {
    let [high, low, rest @ ..] = data else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, body) = rest.split_at(end);
    let status = 300 + u16::from_be_bytes([*high, *low]) % 300;
    assert_fit_to_print(&supabase_source::testing::read_failure(status, &[("proxy-status", header)], body));
}

/// An answer of a deployment: two bytes of status, the body.
pub fn convex_answer(data: &[u8]) {
    let [high, low, body @ ..] = data else { return };
    let status = match u16::from_be_bytes([*high, *low]) % 1000 {
        0..500 => 200,
        more => more,
    };
    match convex_sink::testing::read_mutation(status, body) {
        Ok(value) => {
            let Ok(given) = serde_json::from_slice::<serde_json::Value>(body) else { return };
            assert_eq!(given["value"], value, "another value was read");
        }
        Err(error) => assert_fit_to_print(&error),
    }
}

/// A `migrate.toml`, and the plan and the code by it for a few tables.
pub fn migrate_toml(data: &[u8]) {
    const DOCUMENT: &[u8] = include_bytes!("tables.json");
    const FILE: &str = "migrate.toml";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = match read_config(FILE, text) {
        Ok(config) => config,
        Err(error) => return assert_placed(&error, text),
    };
    let tables = supabase_source::testing::read_document(DOCUMENT).unwrap_or_default();
    assert!(!tables.is_empty(), "tables.json is no document");
    let catalog = Catalog {
        version: CATALOG_VERSION,
        origin: String::new(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables,
        inventory: Vec::new(),
    };
    match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => {
            if let Err(error) = convex_sink::generate(&plan) {
                panic!("a plan of which no code can be made: {error:?}");
            }
        }
        Err(issues) => {
            for error in ConfigError::from_issues(FILE, text, &issues) {
                assert_placed(&error, text);
            }
        }
    }
}

fn assert_placed(error: &ConfigError, text: &str) {
    assert!(!error.to_string().is_empty());
    assert!(error.line <= text.matches('\n').count() + 1, "line {} of a shorter file", error.line);
}

/// A `report.json`, as `migrate-report` shows it. The first byte is the terminal's width.
pub fn report(data: &[u8]) {
    let [width, rest @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let width = Some(usize::from(*width)).filter(|width| *width > 0);
    if migrate_cli::testing::show_report(text, width).is_some() {
        let read: Report = serde_json::from_str(text).unwrap_or_else(|error| panic!("it was one: {error}"));
        let written = serde_json::to_string(&read).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Report>(&written).ok().as_ref(), Some(&read), "it is another when written");
        let _ = read.check();
    }
}
