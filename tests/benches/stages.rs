//! What a page of `cargo peers`' table costs at each stage: decoding, rules, encoding, ids.
//!
//! `cargo bench -p migrate-tests --bench stages`. The page comes from real PostgREST, and the rules from a real plan.

use std::error::Error;
use std::hint::black_box;

use convex_sink::benchmarking::encode_upsert;
use convex_sink::{CONVEX_RULES, DocumentId};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use migrate_core::Source as _;
use migrate_core::names::TableName;
use migrate_core::plan::{Plan, build_plan, read_config};
use migrate_core::record::{Record, RowError};
use migrate_core::sink::WriteRecord;
use migrate_core::transform::{Chain, RowContext};
use migrate_core::value::Value;
use migrate_tests::large_table::LargeTable;
use supabase_source::benchmarking::PageDecoder;
use supabase_source::{SupabaseSettings, SupabaseSource};

/// Rows of the page, and of the batch that is made of it.
const ROWS: u32 = 1_000;
/// A document's id, which takes the place of each reference's.
const ID: &str = "j57000820c20a1g7104gm2rc1n721a4s";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A page, and what it is made into.
struct Page {
    decoder: PageDecoder,
    body: Vec<u8>,
    chain: Chain,
    records: Vec<Record>,
    documents: Vec<WriteRecord>,
}

impl Page {
    async fn read() -> Result<Self> {
        let table = LargeTable::start(ROWS).await?;
        let (url, secret) = (table.supabase().url(), table.supabase().secret_key());
        let catalog = SupabaseSource::new(SupabaseSettings::new(url, secret))?.discover().await?;
        let config = read_config("migrate.toml", "include = [\"customers\", \"products\", \"orders\"]")?;
        let plan = build_plan(&config, &catalog, &CONVEX_RULES).map_err(|issues| format!("no plan: {issues:?}"))?;
        let name = TableName::new("public", "orders")?;
        let schema = catalog.table(&name).ok_or("the catalog has no orders")?;
        let planned = planned(&plan, &name)?;
        let chain = Chain::with_key(&planned.sink, &planned.fields, &planned.key);
        let decoder = PageDecoder::new(schema, chain.columns(), &planned.key)?;
        let address = format!("{url}/rest/v1/orders?order=id&limit={ROWS}&select={}", decoder.select());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(address).header("apikey", secret).send().await?.error_for_status()?;
        let body = answer.bytes().await?.to_vec();
        let records = decoder.decode(&body)?;
        let documents = records.iter().map(|record| {
            let mut document = apply(&chain, record).map_err(|error| format!("a row is refused: {error:?}"))?;
            for (value, field) in document.values.iter_mut().zip(&planned.fields) {
                if field.reference().is_some() {
                    *value = Value::text(ID);
                }
            }
            let key = record.key().map_err(|error| format!("a row has no key: {error:?}"))?;
            Ok(WriteRecord { key, id: None, record: document })
        });
        let documents = documents.collect::<Result<Vec<_>>>()?;
        assert_eq!(documents.len(), usize::try_from(ROWS)?);
        Ok(Self { decoder, body, chain, records, documents })
    }
}

fn planned<'p>(plan: &'p Plan, name: &TableName) -> Result<&'p migrate_core::plan::PlanTable> {
    Ok(plan.tables.iter().find(|table| &table.source == name).ok_or("the plan has no orders")?)
}

fn apply(chain: &Chain, record: &Record) -> std::result::Result<Record, RowError> {
    chain.apply(record, &mut RowContext::default()).map(|converted| converted.record)
}

fn stages(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let page = runtime.block_on(Page::read()).expect("the local stack answers");
    let mut group: BenchmarkGroup<'_, WallTime> = criterion.benchmark_group("page_of_1000");
    group.throughput(Throughput::Elements(ROWS.into()));
    group.bench_function("decode", |bencher| bencher.iter(|| page.decoder.decode(black_box(&page.body))));
    group.bench_function("transform", |bencher| {
        bencher.iter(|| page.records.iter().filter_map(|record| apply(&page.chain, black_box(record)).ok()).count());
    });
    let path = "migration/migrate:bulkInsertOrders";
    let legacy_id = "supabaseId".into();
    group.bench_function("encode", |bencher| {
        bencher.iter(|| encode_upsert(path, &legacy_id, black_box(&page.documents)));
    });
    group.bench_function("write_ids", |bencher| {
        let id = ID.parse::<DocumentId>().expect("it is one");
        bencher.iter(|| (0..ROWS).map(|_| black_box(id).to_string().len()).sum::<usize>());
    });
    group.bench_function("read_ids", |bencher| {
        bencher.iter(|| (0..ROWS).filter(|_| black_box(ID).parse::<DocumentId>().is_ok()).count());
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
