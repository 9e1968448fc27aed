//! One snapshot for all tables, whatever happens meanwhile; tables without a key, filters, rights and partitions.

use std::collections::BTreeSet;

use migrate_core::names::SourceKey;
use migrate_core::record::Record;
use migrate_core::source::{Cursor, KeyRange, PageRequest};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Source};
use migrate_tests::local_stack::Supabase;
use supabase_source::{PostgresSettings, PostgresSource, SupabaseSettings, SupabaseSource};
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

/// A filter and what the data API makes of it must be the same rows.
#[tokio::test]
async fn row_filters_are_those_of_the_data_api() {
    let project = project("
        create table items (id int primary key, label text, \"order\" int, tags text[], data jsonb, span int4range, n int,
            words tsvector generated always as (to_tsvector('english', coalesce(label, ''))) stored);
        insert into items (id, label, \"order\", tags, data, span, n) select g,
            nullif((array['a+&%', 'the cats', null, 'B*', 'it''s', 'a,b)'])[1 + g % 6], ''), g % 7,
            array['t' || g % 3, 'x\"y'], jsonb_build_object('k', 'v' || g % 4, 'deep', jsonb_build_array(g % 2, g)),
            int4range(g, g + 10), g from generate_series(1, 300) g;").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for filter in [
        "id=lt.250&id=gte.20",
        "label=eq.a%2B%26%25",
        "label=not.is.null&order=neq.3",
        "or=(label.is.null,id.gt.290)&not.and=(id.eq.7,label.is.null)",
        "or=(label.eq.\"a,b)\",and(\"order\".in.(1,3),not.or(id.lt.100,id.gt.200)),label.like.B*)",
        "\"order\"=in.(1,3)",
        "label=in.(\"a,b)\",it's)",
        "label=ilike.b**",
        "label=like(any).{a*,B*}",
        "label=match.^[ab]",
        "id=eq(any).{1,2,3}",
        "label=isdistinct.the cats",
        "tags=cs.{t1}",
        "tags=ov.{t1,t2}",
        "span=cd.[10,40)",
        "span=adj.[20,30)",
        "data->>k=eq.v1",
        "data->deep->>0=eq.1",
        "data->deep->1=gt.250",
        "data=cs.{\"k\":\"v2\"}",
        "words=fts.cat",
        "words=plfts(english).cats",
        "id=lt.0",
    ] {
        let filter = filter.replace("&order=", "&\"order\"=");
        let url = format!("{}/rest/v1/items?select=n&order=n.asc&limit=1000&{filter}", project.url());
        let answer = http.get(url).header("apikey", project.secret_key()).send().await.unwrap();
        assert!(answer.status().is_success(), "{filter}: {}", answer.text().await.unwrap());
        let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let expected: Vec<i64> = answer.as_array().unwrap().iter().map(|row| row["n"].as_i64().unwrap()).collect();
        assert!(!expected.is_empty() || filter == "id=lt.0", "{filter} finds nothing");
        let filters = [(public("items"), filter.clone())].into();
        let source = PostgresSource::new(PostgresSettings { filters, ..settings(&project) }).unwrap();
        let rows = walk(&source, request("items", &["id"], &["id", "n"], 70)).await.unwrap();
        assert_eq!(numbers(&rows), expected, "{filter}");
        let counted = source.count(&public("items")).await.unwrap();
        assert_eq!(counted, u64::try_from(expected.len()).ok(), "{filter}");
        let found = source.fetch(&public("items"), &["1".into(), "299".into()], &["n".into()]).await.unwrap();
        assert!(found.iter().all(Option::is_some), "{filter}");
    }
    for filter in ["gone=eq.1", "id=eq.x", "label=sl.1"] {
        let filters = [(public("items"), filter.to_owned())].into();
        let source = PostgresSource::new(PostgresSettings { filters, ..settings(&project) }).unwrap();
        let error = walk(&source, request("items", &["id"], &["id", "n"], 10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{filter}: {error}");
        assert!(error.to_string().contains("filter: tables.items.filter"), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_does_not_see_every_row_is_refused() {
    let project = project(
        "
        create table open (id int primary key, n int); insert into open values (1, 1);
        create table secret (id int primary key, n int); insert into secret values (1, 1), (2, 2);
        alter table secret enable row level security;
        create policy part on secret for select using (n = 1);
        create table closed (id int primary key, n int);
        do $$ begin if not exists (select from pg_roles where rolname = 'half_blind') then
            create role half_blind login; end if; end $$;
        grant usage on schema public to half_blind;
        grant select on open, secret to half_blind;
        revoke all on closed from public;",
    )
    .await;
    let url = project.postgres().url_for("half_blind", project.database());
    let blind = PostgresSource::new(PostgresSettings::new(url.clone())).unwrap();
    let error = blind.check().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("public.secret"), "{error}");
    assert!(!error.to_string().contains("public.open") && error.remedy().unwrap().contains("--allow-partial"));
    // Nor does a table that the check did not ask for lose rows.
    let request = |table: &str| request(table, &["id"], &["id", "n"], 10);
    let unseen = walk(&blind, request("secret")).await.unwrap_err();
    assert!(unseen.kind() == ErrorKind::Forbidden && unseen.to_string().contains("row-level security"), "{unseen}");
    assert_eq!(walk(&blind, request("open")).await.unwrap().len(), 1);
    let closed = walk(&blind, request("closed")).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Forbidden);
    assert!(closed.remedy().unwrap().contains("grant select on public.closed to half_blind"), "{closed:?}");
    let partial = PostgresSource::new(PostgresSettings { allow_partial: true, ..PostgresSettings::new(url) }).unwrap();
    partial.check().await.unwrap();
    assert_eq!(walk(&partial, request("secret")).await.unwrap().len(), 1);
    source(&project).check().await.unwrap();
}

/// Over both ways the ranges are in order, whole, and about as large where `alike`.
async fn assert_ranges(project: &Supabase, table: &str, key: &[&str], wanted: usize, alike: bool) {
    check_ranges(&source(project), table, key, wanted, alike).await;
    let rest = SupabaseSource::new(SupabaseSettings::new(project.url(), project.secret_key())).unwrap();
    // Numbers are cut evenly there, whatever their rows.
    check_ranges(&rest, table, key, wanted, alike && table != "ints").await;
}

async fn check_ranges(source: &dyn Source, table: &str, key: &[&str], wanted: usize, alike: bool) {
    let key_names: Vec<_> = key.iter().map(|name| (*name).into()).collect();
    let columns = [key, &["n"]].concat();
    let ranges = source.partitions(&public(table), &key_names, wanted).await.unwrap();
    let (first, last) = (ranges.first().unwrap(), ranges.last().unwrap());
    assert!(first.lower.is_none() && last.upper.is_none() && ranges.len() <= wanted, "{table}: {ranges:?}");
    for (one, next) in ranges.iter().zip(ranges.iter().skip(1)) {
        assert!(one.upper.is_some() && one.upper == next.lower, "{table}: {ranges:?}");
    }
    let mut parts = Vec::new();
    for range in &ranges {
        let part = PageRequest { range: range.clone(), ..request(table, key, &columns, 1000) };
        parts.push(numbers(&walk(source, part).await.unwrap()));
    }
    let whole = numbers(&walk(source, request(table, key, &columns, 1000)).await.unwrap());
    assert_eq!(parts.concat(), whole, "{table}: the ranges in their order are the whole");
    if alike {
        assert_eq!(ranges.len(), wanted, "{table}");
        let even = whole.len() / wanted;
        assert!(parts.iter().all(|part| part.len() > even / 2 && part.len() < even * 2), "{table}: {ranges:?}");
    }
}

#[tokio::test]
async fn ranges_are_alike_whatever_the_key_is() {
    let project = project("
        create table ints (id bigint primary key, n int);
        insert into ints select case when g < 9000 then g else g * 1000000000000 end, g from generate_series(1, 10000) g;
        create table uuids (id uuid primary key, n int);
        insert into uuids select ('0190' || substr(md5(g::text), 5))::uuid, g from generate_series(1, 10000) g;
        create table texts (id text collate \"und-x-icu\" primary key, n int);
        insert into texts select case g % 2 when 0 then 'it''s ' else 'Ä' end || md5(g::text), g from generate_series(1, 10000) g;
        create table tenants (tenant int, id int, n int, primary key (tenant, id));
        insert into tenants select g % 3, g, g from generate_series(1, 10000) g;
        create table times (at timestamptz primary key, n int);
        insert into times select timestamptz '2024-01-01' + g * g * interval '1 second', g from generate_series(1, 10000) g;
        create table log (n int); insert into log select generate_series(1, 50000);
        create table parts (id int primary key, n int) partition by hash (id);
        create table parts_0 partition of parts for values with (modulus 2, remainder 0);
        create table parts_1 partition of parts for values with (modulus 2, remainder 1);
        insert into parts select g, g from generate_series(1, 20000) g;
        create table few (id int primary key, n int); insert into few values (1, 1), (2, 2);
        create table none (id int primary key, n int);
        analyze ints; analyze uuids;").await;
    for (table, key) in [("ints", "id"), ("uuids", "id"), ("texts", "id"), ("times", "at"), ("parts", "id")] {
        assert_ranges(&project, table, &[key], 8, true).await;
    }
    assert_ranges(&project, "log", &["ctid"], 4, true).await;
    assert_ranges(&project, "tenants", &["tenant", "id"], 8, false).await;
    for table in ["few", "none"] {
        assert_ranges(&project, table, &["id"], 8, false).await;
    }
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
