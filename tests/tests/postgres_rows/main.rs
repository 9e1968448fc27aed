//! Rows that come straight from Postgres: the same values as over `PostgREST`, in one snapshot.

mod poolers;
mod ranges;
mod reading;
mod selection;
mod values;

use migrate_core::names::{FieldName, TableName};
use migrate_core::record::Record;
use migrate_core::source::{KeyRange, PageRequest};
use migrate_core::value::Value;
use migrate_core::{Error, Source};
use migrate_tests::local_stack::{Supabase, SupabaseOptions};
use supabase_source::{PostgresSettings, PostgresSource};

async fn project(sql: &str) -> Supabase {
    Supabase::start(SupabaseOptions { sql: vec![sql.to_owned()], ..SupabaseOptions::default() }).await.unwrap()
}

fn settings(project: &Supabase) -> PostgresSettings {
    PostgresSettings::new(project.database_url())
}

fn source(project: &Supabase) -> PostgresSource {
    PostgresSource::new(settings(project)).unwrap()
}

fn public(name: &str) -> TableName {
    TableName::new("public", name).unwrap()
}

fn request(table: &str, key: &[&str], columns: &[&str], limit: usize) -> PageRequest {
    let names = |names: &[&str]| names.iter().copied().map(FieldName::from).collect::<Vec<_>>();
    PageRequest {
        table: public(table),
        columns: names(columns).into(),
        key: names(key).into(),
        range: KeyRange::all(),
        after: None,
        limit,
    }
}

/// All rows of a range, page by page.
async fn walk(source: &dyn Source, first: PageRequest) -> Result<Vec<Record>, Error> {
    let (mut rows, mut after) = (Vec::new(), first.after.clone());
    loop {
        let page = source.read_page(PageRequest { after, ..first.clone() }).await?;
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
    let number = |row: &Record| match row.get("n") {
        Some(Value::Int64(n)) => *n,
        other => panic!("n is {other:?}"),
    };
    rows.iter().map(number).collect()
}
