//! A table of any size, migrated from a real Postgres and PostgREST into convex-bench.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::convex_bench::{ConvexBench, ConvexBenchOptions, Counters};
use crate::local_stack::{Error, Result, Supabase, SupabaseOptions};
use crate::peak_memory::{Measured, run_measured};
use crate::project::{Deployment, Profile, ProjectFolder, output};

/// Rows of `customers`, to which the rows of `orders` refer.
pub const CUSTOMERS: u64 = 1_000;

const SCHEMA: &str = "
create table customers (
    id uuid primary key,
    name text not null,
    created_at timestamptz not null
);
create table orders (
    id uuid primary key,
    customer_id uuid not null references customers (id),
    note text not null,
    total numeric(12, 2) not null,
    quantity bigint not null,
    is_paid boolean not null,
    tags text[] not null,
    details jsonb not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);";

/// The tables with `orders` rows of about 500 bytes each, the same every time. Keys are spread over all uuids.
fn sql(orders: u32) -> String {
    format!(
        "{SCHEMA}
        insert into customers
        select md5('customer ' || n)::uuid, 'Customer ' || n, timestamptz '2023-01-01 00:00+00' + n * interval '1 hour'
        from generate_series(1, {CUSTOMERS}) as n;

        insert into orders
        select
            md5('order ' || n)::uuid,
            md5('customer ' || 1 + n % {CUSTOMERS})::uuid,
            'Order ' || n || ': ' || md5('a' || n) || ' ' || md5('b' || n) || ' ' || md5('c' || n),
            n % 1000000 * 0.01,
            9007199254740992 + n,
            n % 3 = 0,
            array['tag ' || n % 7, 'tag ' || n % 11],
            jsonb_build_object(
                'channel', 'web', 'position', n,
                'address', jsonb_build_object('city', 'City ' || n % 500, 'street', 'Street ' || n)
            ),
            timestamptz '2024-01-01 00:00+00' + n * interval '1 minute',
            timestamptz '2024-01-02 00:00+00' + n * interval '1 minute'
        from generate_series(1, {orders}) as n;

        analyze customers, orders;"
    )
}

/// A project with a large table: planned, and nothing migrated yet.
#[derive(Debug)]
pub struct LargeTable {
    folder: ProjectFolder,
    supabase: Supabase,
    convex: ConvexBench,
    orders: u32,
}

impl LargeTable {
    /// Makes `orders` rows in Postgres and plans their migration in `folder`, which is there and empty, with migrate
    /// programs of `profile`.
    ///
    /// # Errors
    /// When a part of the stack does not start, or a program fails; the message has what it printed.
    pub async fn set_up(folder: &Path, orders: u32, profile: Profile) -> Result<Self> {
        let failed = |error: std::io::Error| Error::new(format!("failed to set up {}: {error}", folder.display()));
        let project = ProjectFolder::new(folder, profile).await?;
        fs::write(folder.join("migrate.toml"), "include = [\"customers\", \"orders\"]\n").map_err(failed)?;
        let supabase = Supabase::start(SupabaseOptions { sql: vec![sql(orders)], ..Default::default() }).await?;
        let convex = ConvexBench::start(ConvexBenchOptions::default()).await.map_err(failed)?;
        let large = Self { folder: project, supabase, convex, orders };
        for name in ["migrate-discover", "migrate-plan"] {
            let Output { status, stdout, stderr } = output(large.program(name, &[])).await?;
            if !status.success() {
                let printed = [stdout, stderr].concat();
                return Err(Error::new(format!("{name} ended with {status}:\n{}", String::from_utf8_lossy(&printed))));
            }
        }
        Ok(large)
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let url = self.convex.url();
        let convex = Deployment { url: &url, admin_key: self.convex.admin_key() };
        self.folder.program(name, arguments, &self.supabase, Some(convex))
    }

    /// The average length of a row of `orders` as the data API writes it, in bytes.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn bytes_per_row(&self) -> Result<f64> {
        let failed = |error: tokio_postgres::Error| Error::new(format!("failed to measure the rows: {error}"));
        let query = "select avg(octet_length(row_to_json(orders)::text))::float8 from orders";
        self.supabase.client().await?.query_one(query, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)
    }

    /// Runs `migrate-run` to its end, and checks that every row was migrated.
    ///
    /// # Errors
    /// When it does not end with exit code 0, with what it printed; when a count of the report or of convex-bench is
    /// not the number of rows.
    pub async fn migrate(&self) -> Result<Measured> {
        let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to run migrate-run: {error}"));
        let path = self.folder.path().join("migrate-run.log");
        let log = File::create(&path).map_err(|error| failed(&error))?;
        let mut program = self.program("migrate-run", &["--quiet"]);
        program.stdout(log.try_clone().map_err(|error| failed(&error))?).stderr(log);
        let measured = tokio::task::spawn_blocking(move || run_measured(&mut program)).await;
        let measured = measured.map_err(|error| failed(&error))??;
        if !measured.status.success() {
            let printed = fs::read_to_string(&path).unwrap_or_default();
            return Err(Error::new(format!("migrate-run ended with {}:\n{printed}", measured.status)));
        }
        self.check(&self.folder.report()?)?;
        Ok(measured)
    }

    /// Every row is written once, by the report and by convex-bench.
    fn check(&self, report: &Value) -> Result<()> {
        let Counters { inserted, updated, unchanged, duplicates, function_errors, .. } = self.convex.counters();
        let stored = self.convex.document_counts();
        let mut wrong = Vec::new();
        let mut expect = |what: String, found: Option<u64>, expected: u64| {
            if found != Some(expected) {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
                wrong.push(format!("{what}: {found}, not {expected}"));
            }
        };
        let tables = [("customers", CUSTOMERS), ("orders", u64::from(self.orders))];
        for (table, rows) in tables {
            for (count, expected) in [("source", rows), ("migrated", rows), ("inserted", rows), ("rejected", 0)] {
                expect(format!("report, {table}, {count}"), report["tables"][table][count].as_u64(), expected);
            }
            let documents = stored.get(table).and_then(|documents| u64::try_from(*documents).ok());
            expect(format!("convex-bench, documents in {table}"), documents, rows);
        }
        let all = tables.iter().map(|(_, rows)| rows).sum();
        for (count, found, expected) in [
            ("inserted", inserted, all),
            ("updated", updated, 0),
            ("unchanged", unchanged, 0),
            ("duplicates", duplicates, 0),
            ("function errors", function_errors, 0),
        ] {
            expect(format!("convex-bench, {count}"), Some(found), expected);
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(format!("the counts differ: {}", wrong.join("; ")))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_row_is_written_once_and_the_peak_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::set_up(folder.path(), 2_500, Profile::Own).await.unwrap();
        assert!((400.0..600.0).contains(&table.bytes_per_row().await.unwrap()));
        let measured = table.migrate().await.unwrap();
        assert!((1 << 20..150 << 20).contains(&measured.peak_bytes), "{} bytes", measured.peak_bytes);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_count_that_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = LargeTable::set_up(folder.path(), 10, Profile::Own).await.unwrap();
        table.orders = 11;
        let error = table.migrate().await.unwrap_err().to_string();
        assert!(error.contains("report, orders, migrated: 10, not 11"), "{error}");
        assert!(error.contains("convex-bench, documents in orders: 10, not 11"), "{error}");
    }
}
