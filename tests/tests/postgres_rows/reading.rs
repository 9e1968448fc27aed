//! One snapshot for all tables, whatever happens meanwhile; tables without a key, and views.

use std::collections::BTreeSet;

use migrate_core::names::SourceKey;
use migrate_core::record::Record;
use migrate_core::source::{Cursor, KeyRange, PageRequest};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Source};
use supabase_source::{PostgresSettings, PostgresSource};
use tokio_postgres::Client;

use super::{numbers, project, public, request, settings, source, walk};

async fn sql_numbers(client: &Client, sql: &str) -> Vec<i64> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

const TWO_TABLES: &str = "
    create table parents (id int primary key, n int);
    insert into parents select g, g from generate_series(1, 5000) g;
    create table children (id int primary key, n int, note text);
    insert into children select g, g, repeat('x', 5000) from generate_series(1, 5000) g;";

/// Everything about both tables changes after the first page.
const CHANGES: &str = "
    update parents set n = -n; delete from parents where id % 2 = 0; insert into parents values (9999, 9999);
    update children set n = -n; delete from children where id % 2 = 0; insert into children values (9999, 9999, '');";

#[tokio::test]
async fn what_changes_after_the_first_read_is_not_seen_in_any_table() {
    let project = project(TWO_TABLES).await;
    let (source, client) = (source(&project), project.client().await.unwrap());
    let parents = request("parents", &["id"], &["id", "n"], 100);
    let first = source.read_page(parents.clone()).await.unwrap();
    client.batch_execute(CHANGES).await.unwrap();
    let all: Vec<i64> = (1..=5000).collect();
    // Over the COPY that is open, over one of its own, and over other connections at the same time.
    let rest = walk(&source, PageRequest { after: first.next, ..parents.clone() }).await.unwrap();
    assert_eq!([numbers(&first.records), numbers(&rest)].concat(), all);
    let children = request("children", &["id"], &["id", "n"], 100);
    let (parents, children) = tokio::join!(walk(&source, parents), walk(&source, children));
    assert_eq!((numbers(&parents.unwrap()), numbers(&children.unwrap())), (all.clone(), all));
    for table in ["parents", "children"] {
        assert_eq!(source.count(&public(table)).await.unwrap(), Some(5000));
        let found = source.fetch(&public(table), &["2".into(), "9999".into()], &["n".into()]).await.unwrap();
        assert_eq!(found[0].as_ref().map(|row| &row.values[0]), Some(&Value::Int64(2)));
        assert_eq!(found[1], None);
    }
    // A source of its own sees what is there now.
    assert_eq!(super::source(&project).count(&public("parents")).await.unwrap(), Some(2501));
}

/// Ends every connection of this source but the leader's, or the leader's too.
async fn end_readers(client: &Client, with_leader: bool) {
    let leader = if with_leader { "true" } else { "query not like '%pg_export_snapshot%'" };
    let sql = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
         and application_name = 'supabase-to-convex' and {leader}"
    );
    client.query(&sql, &[]).await.unwrap();
}

#[tokio::test]
async fn a_lost_reader_costs_nothing_and_a_lost_leader_its_snapshot() {
    let project = project(TWO_TABLES).await;
    let (source, client) = (source(&project), project.client().await.unwrap());
    let first = request("children", &["id"], &["id", "n", "note"], 100);
    let page = source.read_page(first.clone()).await.unwrap();
    client.batch_execute(CHANGES).await.unwrap();
    end_readers(&client, false).await;
    let again = PageRequest { after: page.next.clone(), ..first.clone() };
    // What had come before the end may still be read; then the page fails, and is asked for again.
    let mut after = page.next.clone();
    let error = loop {
        match source.read_page(PageRequest { after: after.clone(), ..first.clone() }).await {
            Ok(page) => after = Some(page.next.expect("the rest is more than the connection holds")),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let rest = walk(&source, again).await.unwrap();
    assert!(numbers(&rest).into_iter().eq(101..=5000), "the same snapshot");

    end_readers(&client, true).await;
    let mut tries = 0;
    let now = loop {
        match walk(&source, first.clone()).await {
            Ok(rows) => break numbers(&rows),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
        tries += 1;
        assert!(tries < 5);
    };
    assert_eq!(now, sql_numbers(&client, "select n::bigint from children order by id").await, "another snapshot");
}

#[tokio::test]
async fn a_page_from_elsewhere_and_more_parts_than_connections_are_read() {
    let project = project(TWO_TABLES).await;
    let settings = PostgresSettings { connections: 1, ..settings(&project) };
    let source = PostgresSource::new(settings).unwrap();
    let first = request("children", &["id"], &["id", "n"], 100);
    // Two walks step by step, over one connection: each page ends the other's COPY.
    let (mut one, mut other) = (None, Some(Cursor(vec!["2500".to_owned()])));
    for step in 0..5 {
        for (after, begin) in [(&mut one, 1), (&mut other, 2501)] {
            let page = source.read_page(PageRequest { after: after.clone(), ..first.clone() }).await.unwrap();
            let begin = begin + 100 * step;
            assert!(numbers(&page.records).into_iter().eq(begin..begin + 100));
            *after = page.next;
        }
    }
    // The same page twice, as a retry asks for it.
    for _ in 0..2 {
        let page = source.read_page(PageRequest { after: one.clone(), ..first.clone() }).await.unwrap();
        assert_eq!(numbers(&page.records)[0], 501);
    }
    // A page that is no longer waited for leaves its connection to the next.
    for _ in 0..5 {
        let page = source.read_page(first.clone());
        let _ = futures::future::select(Box::pin(page), std::future::ready(())).await;
    }
    assert_eq!(walk(&source, first).await.unwrap().len(), 5000);
}

/// References are looked up between the pages of a table: that must not begin its COPY anew each time.
#[tokio::test]
async fn look_ups_and_counts_leave_a_copy_open() {
    let project = project(TWO_TABLES).await;
    let (source, client) = (
        PostgresSource::new(PostgresSettings { connections: 1, ..settings(&project) }).unwrap(),
        project.client().await.unwrap(),
    );
    let first = request("children", &["id"], &["id", "n", "note"], 100);
    let copies =
        "select pid::bigint from pg_stat_activity where datname = current_database() and query like 'copy %children%'
        and state = 'active' and pid <> pg_backend_pid()";
    let page = source.read_page(first.clone()).await.unwrap();
    let open = sql_numbers(&client, copies).await;
    assert_eq!(open.len(), 1);
    source.fetch(&public("parents"), &["2".into()], &["n".into()]).await.unwrap();
    source.count(&public("children")).await.unwrap();
    assert_eq!(sql_numbers(&client, copies).await, open);
    source.read_page(PageRequest { after: page.next, ..first }).await.unwrap();
    assert_eq!(sql_numbers(&client, copies).await, open, "the same COPY goes on");
}

const KEYLESS: &str = "
    create table log (n int, note text) with (autovacuum_enabled = false);
    insert into log select g, repeat('x', 500) from generate_series(1, 6000) g;
    delete from log where n % 3 = 0 or n between 1000 and 3000;
    update log set note = note || 'y' where n % 10 = 1;
    create index on log (n desc);
    analyze log;
    create table none (n int);
    create table parts (n int, note text) partition by list (note);
    create table parts_a partition of parts for values in ('a');
    create table parts_b partition of parts default;
    insert into parts select g, chr(97 + g % 2) from generate_series(1, 3000) g;
    create table parent (n int);
    create table child () inherits (parent);
    insert into parent select generate_series(1, 10); insert into child select generate_series(11, 20);";

async fn in_order(source: &dyn Source, client: &Client, name: &str, key: &[&str], sql: &str) -> Vec<Record> {
    let columns = if key.contains(&"n") { key.to_vec() } else { [key, &["n"]].concat() };
    let expected = sql_numbers(client, sql).await;
    let mut rows = Vec::new();
    for limit in [97, 1000] {
        rows = walk(source, request(name, key, &columns, limit)).await.unwrap();
        assert_eq!(numbers(&rows), expected, "{name} by {limit}");
    }
    // As after an interruption: a COPY of its own behind a place.
    for at in [0, expected.len() / 2, expected.len().saturating_sub(1)].into_iter().filter(|at| *at < rows.len()) {
        let after = Some(Cursor(rows[at].texts(&rows[at].shape.key).unwrap()));
        let rest = walk(source, PageRequest { after, ..request(name, key, &columns, 1000) }).await.unwrap();
        assert_eq!(numbers(&rest), expected[at + 1..], "{name} behind {at}");
    }
    rows
}

#[tokio::test]
async fn tables_without_a_key_are_read_as_they_are_stored() {
    let project = project(KEYLESS).await;
    let (source, client) = (source(&project), project.client().await.unwrap());
    in_order(&source, &client, "log", &["ctid"], "select n::bigint from log order by ctid").await;
    in_order(&source, &client, "none", &["ctid"], "select n::bigint from none").await;
    let places = ["tableoid", "ctid"];
    let sql = "select n::bigint from parts order by ctid, tableoid";
    let rows = in_order(&source, &client, "parts", &places, sql).await;
    assert_eq!(rows.iter().map(|row| row.key().unwrap()).collect::<BTreeSet<_>>().len(), 3000);
    assert_eq!(walk(&source, request("parent", &places, &["tableoid", "ctid", "n"], 3)).await.unwrap().len(), 20);
    for name in ["parts", "parent"] {
        let error = walk(&source, request(name, &["ctid"], &["ctid", "n"], 1000)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("partitions or children"), "{error}");
    }
    let filters = [(public("log"), "n=gt.900&n=lte.5000".to_owned())].into();
    let filtered = PostgresSource::new(PostgresSettings { filters, ..settings(&project) }).unwrap();
    let sql = "select n::bigint from log where n > 900 and n <= 5000 order by ctid";
    in_order(&filtered, &client, "log", &["ctid"], sql).await;
}

#[tokio::test]
async fn views_are_read_by_the_columns_that_are_named() {
    let project = project(
        "
        create table items (id int primary key, label text, n int);
        insert into items select g, 'l' || g % 10, g from generate_series(1, 100) g;
        create view computed as select label || '!' as a, id % 10 as b, id as n from items where id < 60;
        create view holes as select nullif(n, 7) as k, n from items;
        create materialized view stored as select label, n from items;",
    )
    .await;
    let expected_tables = ["computed", "holes", "stored"].map(public).to_vec();
    let source = PostgresSource::new(PostgresSettings { expected_tables, ..settings(&project) }).unwrap();
    let client = project.client().await.unwrap();
    in_order(&source, &client, "computed", &["a", "n"], "select n::bigint from computed order by a, n").await;
    in_order(&source, &client, "stored", &["label", "n"], "select n::bigint from stored order by label, n").await;
    let nulls = walk(&source, request("holes", &["k"], &["k", "n"], 10)).await.unwrap_err();
    assert!(nulls.kind() == ErrorKind::Config && nulls.to_string().contains("is NULL"), "{nulls}");
    let repeated = walk(&source, request("stored", &["label"], &["label", "n"], 10)).await.unwrap_err();
    assert_eq!(repeated.kind(), ErrorKind::Protocol, "{repeated}");
    let placeless = walk(&source, request("computed", &["ctid"], &["ctid", "n"], 10)).await.unwrap_err();
    assert_eq!(placeless.kind(), ErrorKind::Config, "{placeless}");
}

#[tokio::test]
async fn keys_that_are_none_find_nothing_or_say_so() {
    let project = project(TWO_TABLES).await;
    let source = source(&project);
    let many: Vec<SourceKey> = (4990..=7500).map(|id| SourceKey::from(id.to_string().as_str())).collect();
    let found = source.fetch(&public("parents"), &many, &["n".into()]).await.unwrap();
    assert_eq!((found.len(), found.iter().flatten().count()), (many.len(), 11));
    let error = source.fetch(&public("parents"), &["x'; drop".into()], &["n".into()]).await.unwrap_err();
    assert!(!error.to_string().contains("drop"), "{error}");
    let missing = source.count(&public("missing")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::TableMissing);
    let whole = PageRequest { range: KeyRange::all(), ..request("parents", &["id"], &["id", "n"], 10_000) };
    assert_eq!(walk(&source, whole).await.unwrap().len(), 5000);
}
