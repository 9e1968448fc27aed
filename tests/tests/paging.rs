//! Pages of the real `PostgREST`, and of Postgres itself, against what SQL says: every row once, in the order of its key, whatever the key is.

use std::fmt::Write as _;

use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::Record;
use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::testing::{SourceFixture, check_source};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Source};
use migrate_tests::local_stack::{Supabase, SupabaseOptions};
use supabase_source::{PostgresSettings, PostgresSource, SupabaseSettings, SupabaseSource};
use tokio_postgres::Client;

async fn project(sql: &str, max_rows: u32) -> Supabase {
    Supabase::start(SupabaseOptions { sql: vec![sql.to_owned()], max_rows, ..SupabaseOptions::default() })
        .await
        .unwrap()
}

fn settings(project: &Supabase) -> SupabaseSettings {
    SupabaseSettings::new(project.url(), project.secret_key())
}

fn source(project: &Supabase) -> SupabaseSource {
    SupabaseSource::new(settings(project)).unwrap()
}

fn public(name: &str) -> TableName {
    TableName::new("public", name).unwrap()
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A page of `n` and the key columns.
fn request(table: &TableName, key: &[&str], limit: usize) -> PageRequest {
    let mut columns: Vec<FieldName> = key.iter().copied().map(FieldName::from).collect();
    let key = columns.as_slice().into();
    if !columns.contains(&"n".into()) {
        columns.push("n".into());
    }
    PageRequest { table: table.clone(), columns: columns.into(), key, range: KeyRange::all(), after: None, limit }
}

async fn walk(source: &dyn Source, first: PageRequest) -> Result<Vec<Record>, Error> {
    let (mut rows, mut after): (Vec<Record>, Option<Cursor>) = (Vec::new(), first.after.clone());
    loop {
        let page: Page = source.read_page(PageRequest { after, ..first.clone() }).await?;
        assert!(page.records.len() <= first.limit);
        rows.extend(page.records);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}

/// The column `n` of every row, in the order they were read.
fn numbers(rows: &[Record]) -> Vec<i64> {
    rows.iter()
        .map(|row| match row.get("n") {
            Some(Value::Int64(n)) => *n,
            other => panic!("n is {other:?}"),
        })
        .collect()
}

async fn sql_numbers(client: &Client, sql: &str) -> Vec<i64> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Reads the table by `key` in pages of several sizes, and after each row of it: always the rows that SQL orders alike.
async fn agrees(project: &Supabase, client: &Client, name: &str, key: &[&str]) {
    read_alike(&source(project), client, name, key).await;
    let straight = PostgresSource::new(PostgresSettings::new(project.database_url())).unwrap();
    read_alike(&straight, client, name, key).await;
}

async fn read_alike(source: &dyn Source, client: &Client, name: &str, key: &[&str]) {
    let table = public(name);
    let order: Vec<String> = key.iter().map(|column| identifier(column)).collect();
    let sql = format!("select n::bigint from {} order by {}", identifier(name), order.join(", "));
    let expected = sql_numbers(client, &sql).await;
    assert!(expected.len() > 1, "{name} has too few rows to page");
    let limits: &[usize] = if expected.len() < 100 { &[1, 2, 1000] } else { &[3, 1000] };
    for &limit in limits {
        let rows = walk(source, request(&table, key, limit)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{name} by {limit}: {error:?}"));
        assert_eq!(numbers(&rows), expected, "{name} by {limit}");
        let keys: std::collections::HashSet<_> = rows.iter().map(|row| row.key().unwrap()).collect();
        assert_eq!(keys.len(), expected.len(), "{name}: two rows have one key");
    }
    let count = source.count(&table).await.unwrap();
    assert_eq!(count, u64::try_from(expected.len()).ok(), "{name}");
}

/// Types with the values of a key column, as SQL literals.
const TYPES: &[(&str, &[&str])] = &[
    ("smallint", &["-32768", "-1", "0", "32767"]),
    ("integer", &["-2147483648", "-1", "0", "2147483647"]),
    ("bigint", &["-9223372036854775808", "-1", "0", "9007199254740993", "9223372036854775807"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "0fffffff-0000-4000-8000-000000000000",
            "F0000000-0000-4000-8000-00000000000A",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    ("char(5)", &["", "a", "a b", "ab", "abcde", "é,\"+"]),
    ("varchar(9) collate \"C\"", &["", "B", "a", "a,", "é"]),
    (
        "numeric",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0.10",
            "0",
            "0.1",
            "0.10000000000000000000000000000001",
            "1e40",
            "9007199254740993",
            "1.50",
        ],
    ),
    ("numeric(12,3)", &["-1.5", "0", "1.001", "1.002", "NaN"]),
    (
        "double precision",
        &["-0", "Infinity", "-Infinity", "NaN", "0.1", "1e308", "5e-324", "-1e-300", "9007199254740992", "1e16"],
    ),
    ("real", &["-0", "Infinity", "-Infinity", "NaN", "0.1", "3.4e38", "1e-45", "16777216"]),
    (
        "timestamptz",
        &[
            "-infinity",
            "infinity",
            "0044-03-15 12:00:00+00 BC",
            "0001-01-01 00:00:00+00",
            "1969-12-31 23:59:59.999999+00",
            "2024-01-01 00:00:00.000001+00",
            "2024-01-01 00:00:00.000002+00",
            "2024-01-01 05:30:00+05:30",
            "294276-12-31 23:59:59.999999+00",
        ],
    ),
    (
        "timestamp",
        &[
            "-infinity",
            "infinity",
            "0044-03-15 12:00:00 BC",
            "2024-01-01 00:00:00.000001",
            "2024-01-01 00:00:00.000002",
            "2024-01-01",
        ],
    ),
    ("date", &["-infinity", "infinity", "0044-03-15 BC", "0001-01-01", "2024-02-29", "5874897-12-31"]),
    ("time", &["00:00", "00:00:00.000001", "12:00", "23:59:59.999999", "24:00"]),
    ("timetz", &["00:00+00", "00:00+02", "00:00-02", "12:00:00.5+05:30", "24:00+00"]),
    (
        "interval",
        &[
            "-1 mon",
            "-1 day",
            "0",
            "00:00:00.000001",
            "1 day -00:00:01",
            "1 day",
            "25:00:00",
            "1 year 2 mons 3 days 04:05:06.789",
            "178000000 years",
        ],
    ),
    ("bytea", &["", "\\x00", "\\x0001", "\\x22", "\\x2c5c", "\\xff", "\\xffff"]),
    ("boolean", &["false", "true"]),
    ("mood", &["sad", "a,b", "it's \"fine\"", "é+%", "ok"]),
    ("inet", &["10.0.0.0/8", "10.0.0.1", "10.0.0.1/8", "192.168.0.1", "::1", "2001:db8::/32"]),
    ("cidr", &["10.0.0.0/8", "10.0.0.0/16", "2001:db8::/32"]),
    ("macaddr", &["00:00:00:00:00:00", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"]),
    ("money", &["-12.34", "0", "1234.56"]),
    ("bit varying", &["0", "01", "1", "111"]),
    ("oid", &["0", "5", "4294967295"]),
    ("pg_lsn", &["0/0", "0/A", "1/0"]),
    ("name", &["", "a,b", "order"]),
    ("int4range", &["empty", "[1,3)", "[1,4)", "(,5)", "[2,)"]),
    ("address", &["Main+Street, 1", "é"]),
];

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn keys_of_every_type_page_without_loss() {
    let mut sql = String::from(
        "create type mood as enum ('sad', 'a,b', 'it''s \"fine\"', 'é+%', 'ok'); create domain address as text;",
    );
    for (index, (kind, values)) in TYPES.iter().enumerate() {
        let _ = write!(sql, "create table t{index} (k {kind} primary key, n int not null);");
        for (n, value) in values.iter().enumerate() {
            let _ = write!(sql, "insert into t{index} values ({}, {n});", literal(value));
        }
    }
    let project = project(&sql, 3).await;
    let client = project.client().await.unwrap();
    for index in 0..TYPES.len() {
        agrees(&project, &client, &format!("t{index}"), &["k"]).await;
    }
}

/// Texts that a URL, PostgREST's grammar or JSON could take for something else.
const TEXTS: &[&str] = &[
    "", " ", "a", "a ", " a", "ab", "ab ", "abc", "A", "a'b", "a\"b", "\"", "\"\"", "\"a\"", "a,b", ",", "a+b", "+",
    "a%b", "%", "%41", "%2B", "\\", "a\\b", "\\\\", "\\\"", "é", "e\u{301}", "日本", "😀", "\u{feff}", "\u{1}", "(",
    ")", "()", "a)b", "*", "null", "NULL", "true", "eq.1", "not.eq.1", "any", "(any).1", "in.(1)", "{a}", "{a,b}",
    "[1]", "a.b", ".", "a:b", "a::text", "a&b", "&b=eq.1", "a=b", "a#b", "a?b", "a/b", "a\nb", "a\tb", "\r\n", "-- x",
    "a;b", "'", "''", "$1", "0", "00", "1e5", "zz",
];

#[tokio::test]
async fn keys_of_any_text_page_without_loss() {
    let mut texts: Vec<String> = Vec::new();
    // Texts of a few signs that mean something, with many equal prefixes.
    let signs: Vec<char> = "aab\"\\,+%().é ".chars().collect();
    let mut state = 0x2545_F491_u32;
    for _ in 0..150 {
        let mut text = String::new();
        for _ in 0..=state % 7 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(signs[(state >> 16) as usize % signs.len()]);
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) >> 1;
        texts.push(text);
    }
    texts.retain(|text| !TEXTS.contains(&text.as_str()));
    texts.sort();
    texts.dedup();
    let sql = "create table special (k text primary key, n int not null);
               create table texts (k text primary key, n int not null);
               create table pairs (a text, b text, n int not null, primary key (a, b));
               create collation if not exists other (provider = icu, locale = 'de');
               create table sorted (k text collate other primary key, n int not null);";
    let project = project(sql, 40).await;
    let client = project.client().await.unwrap();
    let insert = "insert into texts select t, n from unnest($1::text[]) with ordinality as all_texts (t, n)";
    client.execute(insert, &[&texts]).await.unwrap();
    client.execute(&insert.replace("texts select", "special select"), &[&TEXTS]).await.unwrap();
    client.batch_execute("insert into sorted select * from texts union all select * from special").await.unwrap();
    let insert = "insert into pairs select a.t, b.t, row_number() over () from unnest($1::text[]) a (t), unnest($1::text[]) b (t)";
    client.execute(insert, &[&texts.iter().step_by(19).collect::<Vec<_>>()]).await.unwrap();
    agrees(&project, &client, "special", &["k"]).await;
    agrees(&project, &client, "texts", &["k"]).await;
    agrees(&project, &client, "sorted", &["k"]).await;
    agrees(&project, &client, "pairs", &["a", "b"]).await;
    agrees(&project, &client, "pairs", &["b", "a"]).await;
}

#[tokio::test]
async fn keys_of_several_columns_page_without_loss() {
    let sql = "
        create type mood as enum ('sad', 'a,b', 'ok');
        create table one (a text, b timestamptz, c boolean, n int, primary key (a, b, c));
        insert into one select a, b, c, row_number() over () from unnest(array['', 'a', 'a,\"b\\', '+%']) a,
            unnest(array['-infinity', '0044-03-15 BC', '2024-01-01 00:00:00.000001+02', 'infinity']::timestamptz[]) b,
            unnest(array[true, false]) c;
        create table two (a inet, b numeric, c bytea, n int, primary key (a, b, c));
        insert into two select a, b, c, row_number() over () from unnest(array['10.0.0.1/8', '::1']::inet[]) a,
            unnest(array['NaN', 1.50, -0.001]::numeric[]) b, unnest(array['', '\\x00', '\\xff']::bytea[]) c;
        create table three (a mood, b interval, c float8, d char(3), n int, primary key (a, b, c, d));
        insert into three select a, b, c, d, row_number() over () from unnest(enum_range(null::mood)) a,
            unnest(array['-1 mon', '30 days 00:00:01', '1 year']::interval[]) b,
            unnest(array['NaN', '-0', '-Infinity', 1e-7]::float8[]) c, unnest(array['', 'a', 'a b']) d;
        create table four (b uuid not null, a date not null, n int, unique (a, b));
        insert into four select b, a, row_number() over () from generate_series(date '2024-01-01', '2024-01-05', '1 day') a,
            unnest(array['00000000-0000-0000-0000-00000000000a', 'f0000000-0000-0000-0000-00000000000a']::uuid[]) b;";
    let project = project(sql, 4).await;
    let client = project.client().await.unwrap();
    agrees(&project, &client, "one", &["a", "b", "c"]).await;
    agrees(&project, &client, "one", &["c", "a", "b"]).await;
    agrees(&project, &client, "two", &["a", "b", "c"]).await;
    agrees(&project, &client, "three", &["a", "b", "c", "d"]).await;
    agrees(&project, &client, "four", &["a", "b"]).await;
}

#[tokio::test]
async fn names_of_any_kind_are_read() {
    let columns = [
        "order",
        "select",
        "limit",
        "offset",
        "and",
        "or",
        "not",
        "columns",
        "on_conflict",
        "apikey",
        "a.b",
        "a\"b",
        "a,b",
        "a b",
        "A",
        "a->b",
        "a::text",
        "(a)",
        "a\\b",
        "é",
        "a.order",
        "count",
        "a:b",
        "a&b=c",
        "ctid2",
        "1",
    ];
    let tables = ["Order Items", "a.b", "say \"x\"", "a,b", "é/ü?#%&+", "select", "rpc", "(x)", "a\\b"];
    let mut sql = String::new();
    for (at, column) in columns.iter().enumerate() {
        let _ = write!(
            sql,
            "create table c{at} ({0} text, second int, n int, primary key ({0}, second));",
            identifier(column)
        );
        let _ = write!(sql, "insert into c{at} select chr(97 + g % 3), g, g from generate_series(1, 7) g;");
    }
    for table in tables {
        let _ = write!(
            sql,
            "create table {0} (id int primary key, n int); insert into {0} select g, g from generate_series(1, 5) g;",
            identifier(table)
        );
    }
    let project = project(&sql, 2).await;
    let client = project.client().await.unwrap();
    for (at, column) in columns.iter().enumerate() {
        agrees(&project, &client, &format!("c{at}"), &[column, "second"]).await;
    }
    for table in tables {
        // A slash ends a path for PostgREST, however it is encoded.
        if !table.contains('/') {
            agrees(&project, &client, table, &["id"]).await;
        }
    }
}

const KEYLESS: &str = "
    create table log (n int, note text) with (autovacuum_enabled = false);
    insert into log select g, repeat('x', 500) from generate_series(1, 6000) g;
    delete from log where n % 3 = 0 or n between 1000 and 3000;
    update log set note = note || 'y' where n % 10 = 1;
    create table dense (n int) with (autovacuum_enabled = false);
    insert into dense select generate_series(1, 5000);
    create table none (n int);
    create table gone (n int, note text) with (autovacuum_enabled = false);
    insert into gone select g, repeat('x', 500) from generate_series(1, 3000) g;
    delete from gone;
    create table late (n int, note text) with (autovacuum_enabled = false);
    insert into late select g, repeat('x', 500) from generate_series(1, 6000) g;
    delete from late where n < 5900;
    create table duplicates (n int);
    insert into duplicates select 1 from generate_series(1, 700);
    create table wide (n int, note text);
    alter table wide alter note set storage external;
    insert into wide select g, repeat(g::text, 2000) from generate_series(1, 300) g;
    create table parts (n int, note text) partition by list (note);
    create table parts_a partition of parts for values in ('a');
    create table parts_b partition of parts for values in ('b');
    create table parts_rest partition of parts default;
    insert into parts select g, chr(97 + g % 4) from generate_series(1, 3000) g;
    create table parent (n int);
    create table child () inherits (parent);
    insert into parent select generate_series(1, 10); insert into child select generate_series(11, 20);";

#[tokio::test]
async fn tables_without_a_key_are_read_by_place() {
    for max_rows in [1000, 50] {
        let project = project(KEYLESS, max_rows).await;
        let client = project.client().await.unwrap();
        let source = source(&project);
        for name in ["log", "dense", "none", "gone", "late", "duplicates", "wide"] {
            let table = public(name);
            let expected = sql_numbers(&client, &format!("select n::bigint from {name} order by ctid")).await;
            for limit in [100, 1000] {
                let _ = project.gateway().take_requests();
                let rows = walk(&source, request(&table, &["ctid"], limit)).await.unwrap();
                assert_eq!(numbers(&rows), expected, "{name} by {limit}, at most {max_rows}");
                let asked = project.gateway().count(&format!("/rest/v1/{name}"));
                let needed = expected.len() / limit.min(max_rows as usize);
                assert!(asked <= 2 * needed + 16, "{name} by {limit}, at most {max_rows}: {asked} requests");
            }
        }
        // Rows behind a place are read again, as after an interruption.
        let table = public("log");
        let rows = walk(&source, request(&table, &["ctid"], 100)).await.unwrap();
        let all = numbers(&rows);
        for at in [0, all.len() / 2, all.len() - 1] {
            let after = Some(Cursor(rows[at].texts(&rows[at].shape.key).unwrap()));
            let rest = walk(&source, PageRequest { after, ..request(&table, &["ctid"], 1000) }).await.unwrap();
            assert_eq!(numbers(&rest), all[at + 1..]);
        }
        let key = ["ctid".into()];
        let mut read = Vec::new();
        for range in source.partitions(&table, &key, 5).await.unwrap() {
            read.extend(numbers(
                &walk(&source, PageRequest { range, ..request(&table, &["ctid"], 1000) }).await.unwrap(),
            ));
        }
        assert_eq!(read, all);
    }
}

#[tokio::test]
async fn partitions_are_told_apart_by_their_table() {
    let project = project(KEYLESS, 100).await;
    let client = project.client().await.unwrap();
    let source = source(&project);
    let table = public("parts");
    let expected = sql_numbers(&client, "select n::bigint from parts order by ctid, tableoid").await;
    for limit in [7, 1000] {
        let rows = walk(&source, request(&table, &["tableoid", "ctid"], limit)).await.unwrap();
        assert_eq!(numbers(&rows), expected);
        let keys: std::collections::HashSet<_> = rows.iter().map(|row| row.key().unwrap()).collect();
        assert_eq!(keys.len(), 3000);
    }
    for name in ["parts", "parent"] {
        let error = walk(&source, request(&public(name), &["ctid"], 1000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}: {error:?}");
        assert!(error.to_string().contains("partitions or children"), "{error}");
    }
    let inherited = walk(&source, request(&public("parent"), &["tableoid", "ctid"], 3)).await.unwrap();
    assert_eq!(inherited.len(), 20);
}

#[tokio::test]
async fn views_are_read_by_the_columns_that_are_named() {
    let sql = "
        create table items (id int primary key, label text, n int);
        insert into items select g, 'l' || g % 10, g from generate_series(1, 100) g;
        create view shown as select id, label, n from items where id % 2 = 0;
        create view computed as select label || '!' as a, id % 10 as b, id as n from items where id < 60;
        create materialized view stored as select label, n from items;
        create view places as select ctid, n from items;
        create view holes as select nullif(n, 7) as k, n from items;";
    let project = project(sql, 9).await;
    let client = project.client().await.unwrap();
    agrees(&project, &client, "shown", &["id"]).await;
    agrees(&project, &client, "computed", &["a", "b", "n"]).await;
    agrees(&project, &client, "stored", &["label", "n"]).await;
    let source = source(&project);
    let error = walk(&source, request(&public("holes"), &["k"], 1000)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("is NULL"), "{error}");
    let error = walk(&source, request(&public("shown"), &["label"], 1000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "a column that repeats is no key: {error}");
    let error = walk(&source, request(&public("shown"), &["ctid"], 1000)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "42703"), "a view has no places");
}

#[tokio::test]
async fn row_filters_hold_for_pages_and_counts() {
    let sql = "
        create table items (id int primary key, label text, \"order\" int, at timestamptz, n int);
        insert into items select g, nullif(chr(97 + g % 5) || '+&%', 'c+&%'), g % 7,
            timestamptz '2024-01-01+00' + make_interval(hours => g), g from generate_series(1, 300) g;
        create table log (n int);
        insert into log select generate_series(1, 2000);";
    let project = project(sql, 13).await;
    let client = project.client().await.unwrap();
    let cases = [
        ("id=lt.250&id=gte.20", "id < 250 and id >= 20"),
        ("label=eq.a%2B%26%25", "label = 'a+&%'"),
        (
            "or=(label.is.null,id.gt.290)&not.and=(id.eq.7,label.is.null)",
            "(label is null or id > 290) and not (id = 7 and label is null)",
        ),
        ("\"order\"=in.(1,3)&label=not.is.null", "\"order\" in (1, 3) and label is not null"),
        ("at=gte.2024-01-05T00:00:00%2B02:00", "at >= '2024-01-05T00:00:00+02:00'"),
        ("label=like.a*", "label like 'a%'"),
        ("id=lt.0", "id < 0"),
    ];
    for (filter, condition) in cases {
        let filters = [(public("items"), filter.to_owned())].into();
        let source = SupabaseSource::new(SupabaseSettings { filters, ..settings(&project) }).unwrap();
        for key in [["id"].as_slice(), &["order", "id"]] {
            let order = key.iter().map(|column| identifier(column)).collect::<Vec<_>>().join(", ");
            let sql = format!("select n::bigint from items where {condition} order by {order}");
            let expected = sql_numbers(&client, &sql).await;
            let rows = walk(&source, request(&public("items"), key, 1000)).await.unwrap();
            assert_eq!(numbers(&rows), expected, "{filter}");
            let counted = source.count(&public("items")).await.unwrap();
            assert_eq!(counted, u64::try_from(expected.len()).ok(), "{filter}");
        }
        let found = source.fetch(&public("items"), &["1".into(), "299".into()], &["n".into()]).await.unwrap();
        assert!(found.iter().all(Option::is_some), "{filter}");
    }
    let filters = [(public("log"), "n=gt.900&n=lte.1400".to_owned())].into();
    let source = SupabaseSource::new(SupabaseSettings { filters, ..settings(&project) }).unwrap();
    let rows = walk(&source, request(&public("log"), &["ctid"], 1000)).await.unwrap();
    assert!(numbers(&rows).into_iter().eq(901..=1400));
    for (filter, code) in
        [("gone=eq.1", "42703"), ("label=wrong", "PGRST100"), ("id=eq.x", "22P02"), ("or=(id.gt", "PGRST100")]
    {
        let filters = [(public("items"), filter.to_owned())].into();
        let source = SupabaseSource::new(SupabaseSettings { filters, ..settings(&project) }).unwrap();
        let page = walk(&source, request(&public("items"), &["id"], 10)).await.unwrap_err();
        let count = source.count(&public("items")).await.unwrap_err();
        for error in [page, count] {
            assert_eq!((error.kind(), error.code()), (ErrorKind::Config, code), "{filter}: {error}");
            let text = error.to_string();
            assert!(text.contains("table: items") && text.contains("filter: tables.items.filter"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_source_keeps_its_promises_with_a_key_and_without() {
    let sql = "
        create table keyed (a text, id int, n int, primary key (a, id));
        insert into keyed select chr(97 + g % 3), g, g from generate_series(1, 40) g;
        create table keyed_none (a text, id int, n int, primary key (a, id));
        create table keyless (n int);
        insert into keyless select generate_series(1, 240);
        create table keyless_none (n int);";
    let project = project(sql, 300).await;
    let client = project.client().await.unwrap();
    let keyed: Vec<Vec<Value>> = client
        .query("select a, id::bigint, n::bigint from keyed order by a, id", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| vec![Value::text(row.get::<_, &str>(0)), Value::Int64(row.get(1)), Value::Int64(row.get(2))])
        .collect();
    let keyless: Vec<Vec<Value>> = client
        .query("select ctid::text, n::bigint from keyless order by keyless.ctid", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| vec![Value::text(row.get::<_, &str>(0)), Value::Int64(row.get(1))])
        .collect();
    for (name, columns, key_columns, rows, unknown_key) in [
        ("keyed", vec!["a", "id", "n"], 2, keyed, SourceKey::from_parts(&["z", "1"])),
        ("keyless", vec!["ctid", "n"], 1, keyless, SourceKey::from("(7,280)")),
    ] {
        let fixture = SourceFixture {
            table: public(name),
            columns: columns.iter().map(|column| FieldName::from(*column)).collect(),
            key: columns.iter().take(key_columns).map(|column| FieldName::from(*column)).collect(),
            rows,
            empty: public(&format!("{name}_none")),
            missing: public("missing"),
            unknown_key,
        };
        check_source(&source(&project), &fixture).await.unwrap();
    }
}
