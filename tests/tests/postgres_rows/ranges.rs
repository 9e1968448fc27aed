//! Parts of tables: in order, whole, and about as large, over both ways.

use migrate_core::Source;
use migrate_core::source::PageRequest;
use migrate_tests::local_stack::Supabase;
use supabase_source::{SupabaseSettings, SupabaseSource};

use super::{numbers, project, public, request, source, walk};

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
