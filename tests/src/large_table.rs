//! A table of any size in a project of Supabase: what the memory and the speed of a migration are measured on.

use crate::local_stack::{Error, Result, Supabase, SupabaseOptions};

/// Rows of each parent of `orders`.
pub const PARENTS: u64 = 1_000;

const SCHEMA: &str = "
create table customers (
    id uuid primary key,
    name text not null,
    created_at timestamptz not null
);
create table products (
    id uuid primary key,
    name text not null,
    price numeric(12, 2) not null
);
create table orders (
    id uuid primary key,
    customer_id uuid not null references customers (id),
    product_id uuid not null references products (id),
    status text not null,
    note text not null,
    total numeric(12, 2) not null,
    quantity bigint not null,
    is_paid boolean not null,
    tags text[] not null,
    details jsonb not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);";

/// The tables with `orders` rows of about 530 bytes and `wider` each, the same every time. Keys are spread over all uuids.
fn sql(orders: u32, wider: u32) -> String {
    format!(
        "{SCHEMA}
        insert into customers
        select md5('customer ' || n)::uuid, 'Customer ' || n, timestamptz '2023-01-01 00:00+00' + n * interval '1 hour'
        from generate_series(1, {PARENTS}) as n;

        insert into products
        select md5('product ' || n)::uuid, 'Product ' || n, n * 0.01
        from generate_series(1, {PARENTS}) as n;

        insert into orders
        select
            md5('order ' || n)::uuid,
            md5('customer ' || 1 + n % {PARENTS})::uuid,
            md5('product ' || 1 + n * 7 % {PARENTS})::uuid,
            (array['open', 'paid', 'sent', 'returned'])[1 + n % 4],
            'Order ' || n || ': ' || md5('a' || n) || ' ' || md5('b' || n) || repeat(md5('c' || n), {wider} / 32),
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
        from generate_series(1::bigint, {orders}) as n;

        analyze customers, products, orders;"
    )
}

/// A project whose table `orders` is large.
#[derive(Debug)]
pub struct LargeTable {
    supabase: Supabase,
    orders: u32,
}

impl LargeTable {
    /// Makes `orders` rows in a Postgres with its data API.
    ///
    /// # Errors
    /// When a part of the stack does not start.
    pub async fn start(orders: u32) -> Result<Self> {
        Self::start_wider(orders, 0).await
    }

    /// The same with rows that are wider by so many bytes.
    ///
    /// # Errors
    /// As there.
    pub async fn start_wider(orders: u32, wider: u32) -> Result<Self> {
        let supabase = Supabase::start(SupabaseOptions { sql: vec![sql(orders, wider)], ..Default::default() }).await?;
        Ok(Self { supabase, orders })
    }

    /// The project.
    #[must_use]
    pub fn supabase(&self) -> &Supabase {
        &self.supabase
    }

    /// Rows of `orders`.
    #[must_use]
    pub fn orders(&self) -> u32 {
        self.orders
    }

    /// Every table, and how many rows it has.
    #[must_use]
    pub fn tables(&self) -> [(&'static str, u64); 3] {
        [("customers", PARENTS), ("products", PARENTS), ("orders", self.orders.into())]
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

    /// The key of each `rows`th row of `orders`, in the order of keys.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn every(&self, rows: u32) -> Result<Vec<String>> {
        let failed = |error: tokio_postgres::Error| Error::new(format!("failed to read the keys: {error}"));
        let query = format!(
            "select id::text from (select id, row_number() over (order by id) as n from orders) as numbered
             where n % {rows} = 0 order by numbered.id"
        );
        let keys = self.supabase.client().await?.query(&query, &[]).await.map_err(failed)?;
        keys.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    /// Removes the project with its database.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn remove(self) -> Result<()> {
        let (postgres, database) = (self.supabase.postgres(), self.supabase.database().to_owned());
        drop(self.supabase);
        let failed = |error: tokio_postgres::Error| Error::new(format!("failed to remove the rows: {error}"));
        let client = postgres.connect("postgres").await?;
        client.batch_execute(&format!("drop database {database} with (force)")).await.map_err(failed)
    }
}
