use migrate_core::Source;
use migrate_core::layer::{Limit, Retry, Timeout};
use migrate_core::names::{FieldName, SourceKey};
use migrate_core::source::{KeyRange, PageRequest};
use migrate_core::testing::{SourceFixture, check_source};
use migrate_core::value::{TimeKind, Value};
use migrate_tests::local_stack::{Fault, Supabase, SupabaseOptions};
use serde_json::value::RawValue;
use supabase_source::{PostgresSettings, PostgresSource, SupabaseSettings, SupabaseSource};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::cases::{COLUMNS, Case, NUMBERS, OTHERS, SET_UP, SEVERAL_COLUMNS, TEXTS, TIMES};
use super::{LONGEST, SHORT, eager, name, silent};

/// Rows that an answer has at most: less than every page that is asked for but the smallest.
const MAX_ROWS: u32 = 4;

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

impl Case {
    /// Names and types, the key's first.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.key.iter().copied().chain(COLUMNS.iter().map(|(name, kind, _)| (*name, *kind)))
    }

    /// The key as Postgres has it, whose catalog tells the primary key's own order.
    fn in_index_order(self) -> Self {
        let turn = |list: &'static [(&str, &str)]| list.iter().rev().copied().collect::<Vec<_>>().leak();
        let unknown = self.unknown.iter().rev().copied().collect::<Vec<_>>().leak();
        if self.turned { Self { key: turn(self.key), unknown, ..self } } else { self }
    }

    fn empty(&self) -> String {
        format!("no {}", self.table)
    }

    fn sql(&self) -> String {
        let columns: Vec<String> = self.columns().map(|(name, kind)| format!("{} {kind}", quoted(name))).collect();
        let mut key: Vec<String> = self.key.iter().map(|(name, _)| quoted(name)).collect();
        if self.turned {
            key.reverse();
        }
        let (table, empty) = (quoted(self.table), quoted(&self.empty()));
        let row = |(at, key): (usize, &&str)| {
            let values = COLUMNS.iter().enumerate();
            // Every column is NULL in some rows.
            let values = values.map(|(column, (.., value))| if (at + column) % 3 == 0 { "null" } else { value });
            format!("({key}, {})", values.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = self.rows.iter().enumerate().map(row).collect();
        format!(
            "create table {table} ({}, primary key ({}));
             create table {empty} (like {table} including all);
             insert into {table} values {};",
            columns.join(", "),
            key.join(", "),
            rows.join(", "),
        )
    }

    /// The rows as SQL shows them, in key order.
    async fn rows(&self, client: &Client) -> Vec<Vec<Value>> {
        let text = |(name, kind): (&str, &str)| match kind {
            "json" | "jsonb" => format!("{}::text", quoted(name)),
            _ => format!("to_json({}) #>> '{{}}'", quoted(name)),
        };
        let columns: Vec<String> = self.columns().map(text).collect();
        let key: Vec<String> = self.key.iter().map(|(name, _)| quoted(name)).collect();
        let query = format!("select {} from {} order by {}", columns.join(", "), quoted(self.table), key.join(", "));
        client.batch_execute("set timezone to 'UTC'").await.unwrap();
        let rows = client.query(&query, &[]).await.unwrap();
        assert_eq!(rows.len(), self.rows.len());
        rows.iter()
            .map(|row| self.columns().enumerate().map(|(at, (_, kind))| value(kind, row.get(at))).collect())
            .collect()
    }

    async fn fixture(&self, client: &Client) -> SourceFixture {
        SourceFixture {
            table: name(self.table),
            columns: self.columns().map(|(name, _)| FieldName::from(name)).collect(),
            key: self.key.iter().map(|(name, _)| FieldName::from(*name)).collect(),
            rows: self.rows(client).await,
            empty: name(&self.empty()),
            missing: name("not there"),
            unknown_key: SourceKey::from_parts(self.unknown),
        }
    }
}

/// What the source must read where SQL shows this text.
fn value(kind: &str, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let time = |kind| Value::Time(kind, text.into());
    match kind {
        "bigint" | "integer" | "smallint" | "positive" => Value::Int64(text.parse().unwrap()),
        "numeric" => Value::Decimal(text.into()),
        "double precision" | "real" => Value::Float64(text.parse().unwrap()),
        "boolean" => Value::Bool(text == "true"),
        "timestamptz" => time(TimeKind::TimestampTz),
        "timestamp" => time(TimeKind::Timestamp),
        "date" => time(TimeKind::Date),
        "time" => time(TimeKind::Time),
        "timetz" => time(TimeKind::TimeTz),
        "interval" => time(TimeKind::Interval),
        "bytea" => {
            let digits: Vec<char> = text.strip_prefix("\\x").unwrap().chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            Value::Bytes(digits.chunks(2).map(byte).collect())
        }
        "json" | "jsonb" => Value::Json(text.into()),
        _ if kind.ends_with("[]") => array(kind, serde_json::from_str(text).unwrap()),
        _ => Value::text(text),
    }
}

fn array(kind: &str, items: Vec<&RawValue>) -> Value {
    let item = |item: &RawValue| match item.get() {
        "null" => Value::Null,
        text if kind == "jsonb[]" => Value::Json(text.into()),
        text if text.starts_with('[') => array(kind, serde_json::from_str(text).unwrap()),
        text if kind == "bigint[]" => Value::Int64(text.parse().unwrap()),
        text => Value::text(serde_json::from_str::<String>(text).unwrap()),
    };
    Value::Array(items.into_iter().map(item).collect())
}

/// Projects are started one after the other: two at once may both create Supabase's roles.
static STARTING: Mutex<()> = Mutex::const_new(());

async fn project(cases: &[Case]) -> Supabase {
    let _starting = STARTING.lock().await;
    let sql = std::iter::once(SET_UP.to_owned()).chain(cases.iter().map(Case::sql)).collect();
    Supabase::start(SupabaseOptions { sql, max_rows: MAX_ROWS, ..SupabaseOptions::default() }).await.unwrap()
}

fn source(supabase: &Supabase) -> SupabaseSource {
    SupabaseSource::new(SupabaseSettings::new(supabase.url(), supabase.secret_key())).unwrap()
}

/// The same project, read straight from Postgres over so few connections that readers must give way to each other.
fn straight(supabase: &Supabase) -> PostgresSource {
    let settings = PostgresSettings { connections: 2, ..PostgresSettings::new(supabase.database_url()) };
    PostgresSource::new(settings).unwrap()
}

/// Runs the suite on every case, and says all that is wrong at once.
async fn check(cases: &[Case]) {
    let supabase = project(cases).await;
    let client = supabase.client().await.unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let fixture = case.fixture(&client).await;
        if let Err(violation) = check_source(&source(&supabase), &fixture).await {
            wrong.push(format!("{}: {violation}", case.table));
        }
        let fixture = case.in_index_order().fixture(&client).await;
        if let Err(violation) = check_source(&straight(&supabase), &fixture).await {
            wrong.push(format!("{} straight from Postgres: {violation}", case.table));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn keys_of_text() {
    check(TEXTS).await;
}

#[tokio::test]
async fn keys_of_numbers() {
    check(NUMBERS).await;
}

#[tokio::test]
async fn keys_of_times() {
    check(TIMES).await;
}

#[tokio::test]
async fn keys_of_other_kinds() {
    check(OTHERS).await;
}

#[tokio::test]
async fn keys_of_several_columns() {
    check(SEVERAL_COLUMNS).await;
}

#[tokio::test]
async fn the_promises_hold_below_the_layers_while_the_network_fails() {
    let supabase = project(SEVERAL_COLUMNS).await;
    let client = supabase.client().await.unwrap();
    for case in SEVERAL_COLUMNS {
        let path = format!("/rest/v1/{}?", case.table.replace(' ', "%20"));
        let busy = Fault::respond(503, r#"{"code":"PGRST002"}"#).header("retry-after", "0");
        let faults = [
            busy.after(3).times(3),
            Fault::reset().after(9),
            Fault::truncate(1).after(15).times(2),
            Fault::respond(502, "<html>").after(24),
            Fault::truncate(0).after(40),
        ];
        let planned = 8;
        for fault in faults {
            supabase.gateway().inject(fault.on(path.as_str()));
        }
        let layered = Retry::new(Limit::new(Timeout::new(source(&supabase), LONGEST), 1), eager(), silent());
        check_source(&layered, &case.fixture(&client).await).await.unwrap();
        let met = supabase.gateway().take_requests().iter().filter(|request| request.fault).count();
        assert_eq!(met, planned, "{}: faults that were met", case.table);
    }
}

#[tokio::test]
async fn a_page_that_does_not_come_is_asked_for_again() {
    let supabase = project(&OTHERS[..1]).await;
    let fixture = OTHERS[0].fixture(&supabase.client().await.unwrap()).await;
    let bare = source(&supabase);
    bare.discover().await.unwrap();
    supabase.gateway().inject(Fault::delay(2 * LONGEST).on("/rest/v1/by_uuid?"));
    let source = Retry::new(Timeout::new(bare, SHORT), eager(), silent());
    let columns = fixture.columns.into();
    let key = fixture.key.as_slice().into();
    let request = PageRequest { table: fixture.table, columns, key, range: KeyRange::all(), after: None, limit: 3 };
    let page = tokio::time::timeout(LONGEST, source.read_page(request)).await.unwrap().unwrap();
    let values: Vec<_> = page.records.into_iter().map(|record| record.values).collect();
    assert_eq!(values, fixture.rows[..3]);
}

/// Keys of a child may be written in another way than its parent's: equality is the database's.
#[tokio::test]
async fn rows_are_found_by_keys_that_are_written_in_another_way() {
    let cases = [
        (TEXTS[2], [("ab", "ab  "), ("abcd", "abcd"), ("zz", ""), ("a", "a   ")]),
        (NUMBERS[1], [("1.5", "1.50"), ("1.5001", "1.5001"), ("1.51", ""), ("100.00", "100")]),
        (
            TIMES[0],
            [
                ("2024-10-26T23:30:00Z", "2024-10-26T23:30:00+00:00"),
                ("1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00"),
                ("2024-10-26T23:30:00.1Z", ""),
                ("1970-01-01 01:00+01", "1970-01-01T00:00:00+00:00"),
            ],
        ),
        (
            OTHERS[0],
            [
                ("AAAAAAAA-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000001"),
                ("{55555555-0000-4000-8000-000000000001}", "55555555-0000-4000-8000-000000000001"),
                ("55555555-0000-4000-8000-000000000002", ""),
                ("55555555000040008000000000000001", "55555555-0000-4000-8000-000000000001"),
            ],
        ),
    ];
    let supabase = project(&cases.map(|(case, _)| case)).await;
    let sources: [Box<dyn Source>; 2] = [Box::new(source(&supabase)), Box::new(straight(&supabase))];
    for ((case, rows), source) in cases.iter().flat_map(|case| sources.iter().map(move |source| (case, source))) {
        let keys = rows.map(|(key, _)| SourceKey::from(key));
        let found = source.fetch(&name(case.table), &keys, &[FieldName::from(case.key[0].0)]).await.unwrap();
        let found: Vec<String> = found
            .iter()
            .map(|row| row.as_ref().and_then(|row| row.values[0].exact_text()).unwrap_or_default())
            .collect();
        assert_eq!(found, rows.map(|(_, row)| row), "{} of {source:?}", case.table);
    }
}
