//! A small shop: two tables with references between and within them, and what must become of every row, by SQL.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio_postgres::Client;

use crate::convex_bench::{ConvexBench, ConvexBenchOptions};
use crate::local_stack::{Error, Result, Supabase, SupabaseOptions};

/// The tables, empty.
pub const SCHEMA: &str = "
create table customers (
    id uuid primary key,
    name text not null
);
create table orders (
    id integer primary key,
    customer_id uuid not null references customers (id),
    replaces integer references orders (id),
    note text,
    quantity integer not null,
    details jsonb not null
);";

/// Both tables, in pages and batches of a hundred rows.
pub const CONFIGURATION: &str = "include = [\"customers\", \"orders\"]\n[run]\npage_rows = 100\nbatch_records = 100\n";

/// Inserts orders with these numbers; the customers must be there.
#[must_use]
pub fn orders_sql(first: i32, last: i32) -> String {
    format!(
        "insert into orders
        select
            n,
            md5('customer ' || abs(n) % 50)::uuid,
            case when n > {first} and n % 7 = 0 then n - 1 end,
            case when n % 5 > 0 then 'order ' || n end,
            n % 100,
            jsonb_build_object('channel', 'web', 'tags', jsonb_build_array('a', n % 3))
        from generate_series({first}, {last}) as n;"
    )
}

/// The tables with fifty customers and so many orders, the same every time.
#[must_use]
pub fn sql(orders: i32) -> String {
    format!(
        "{SCHEMA}
        insert into customers select md5('customer ' || n)::uuid, 'Customer ' || n from generate_series(0, 49) as n;
        {}",
        orders_sql(1, orders)
    )
}

/// A project with the tables.
///
/// # Errors
/// When a part of the stack does not start.
pub async fn supabase(orders: i32) -> Result<Supabase> {
    Supabase::start(SupabaseOptions { sql: vec![sql(orders)], ..SupabaseOptions::default() }).await
}

/// A stand-in for a deployment, which keeps the documents.
///
/// # Errors
/// When no port is free.
pub async fn convex() -> Result<ConvexBench> {
    let options = ConvexBenchOptions { keep_documents: true, ..ConvexBenchOptions::default() };
    let started = ConvexBench::start(options).await;
    started.map_err(|error| Error::new(format!("failed to start convex-bench: {error}")))
}

type Documents = BTreeMap<String, Value>;

/// The documents of a table by their row's key.
fn documents(convex: &ConvexBench, table: &str) -> (Documents, usize) {
    let all = convex.documents(table);
    let count = all.len();
    let by_key = all.into_iter().map(|mut document| {
        if let Some(fields) = document.as_object_mut() {
            fields.remove("_id");
            fields.remove("_creationTime");
        }
        (document["supabaseId"].as_str().unwrap_or_default().to_owned(), document)
    });
    (by_key.collect(), count)
}

async fn rows(client: &Client, query: &str) -> Result<Vec<Map<String, Value>>> {
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to read the rows: {error}"));
    let query = format!("select to_jsonb(row) from ({query}) as row");
    let rows = client.query(&query, &[]).await.map_err(|error| failed(&error))?;
    let row = |row: &tokio_postgres::Row| match row.try_get::<_, Value>(0) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(failed(&"a row is no object")),
        Err(error) => Err(failed(&error)),
    };
    rows.iter().map(row).collect()
}

/// What the rows must become, for each table: SQL's own text of them, with Convex's ids in the place of references.
async fn expected(client: &Client, convex: &ConvexBench, orders: &str) -> Result<BTreeMap<&'static str, Documents>> {
    let key = |fields: &Map<String, Value>| fields["supabaseId"].as_str().unwrap_or_default().to_owned();
    let customers = rows(client, "select id::text as \"supabaseId\", name from customers").await?;
    let customers = customers.into_iter().map(|fields| (key(&fields), Value::Object(fields))).collect();
    let query = format!(
        "select id::text as \"supabaseId\", customer_id::text, replaces::text, note, quantity::float8, details
        from orders where {orders}"
    );
    let mut by_key = Documents::new();
    for mut fields in rows(client, &query).await? {
        for (field, table) in [("customer_id", "customers"), ("replaces", "orders")] {
            if let Some(parent) = fields[field].as_str().map(str::to_owned) {
                fields.insert(field.to_owned(), json!(convex.id_of(table, &parent)));
            }
        }
        // NULL is a field that is not there.
        fields.retain(|_, value| !value.is_null());
        by_key.insert(key(&fields), Value::Object(fields));
    }
    Ok([("customers", customers), ("orders", by_key)].into())
}

/// The value with every number as a double, which is how they compare.
fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(doubles).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), doubles(value))).collect(),
        other => other.clone(),
    }
}

/// How the documents differ from the rows as SQL shows them on a connection of its own; empty where they do not.
///
/// # Errors
/// When the database is gone.
pub async fn differences(supabase: &Supabase, convex: &ConvexBench) -> Result<Vec<String>> {
    differences_where(supabase, convex, "true").await
}

/// As [`differences`], with only those orders expected that `orders`, a condition in SQL, holds for.
///
/// # Errors
/// As there.
pub async fn differences_where(supabase: &Supabase, convex: &ConvexBench, orders: &str) -> Result<Vec<String>> {
    let client = supabase.client().await?;
    let mut found = Vec::new();
    for (table, expected) in expected(&client, convex, orders).await? {
        let (actual, count) = documents(convex, table);
        if count != actual.len() {
            found.push(format!("{table}: {count} documents of {} rows", actual.len()));
        }
        for key in expected.keys().chain(actual.keys().filter(|key| !expected.contains_key(*key))) {
            let (wanted, got) = (expected.get(key).map(doubles), actual.get(key).map(doubles));
            if wanted != got {
                found.push(format!("{table} {key}: SQL has {wanted:?}, Convex has {got:?}"));
            }
        }
    }
    Ok(found)
}
