//! How long planning and generating take for a large schema, in milliseconds.
//!
//! `cargo run --release -p migrate-tests --bin plan_speed` prints the medians, and ends with exit code 1 where planning
//! takes more than a second.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use convex_sink::{CONVEX_RULES, generate};
use migrate_core::catalog::{
    CATALOG_VERSION, Catalog, Column, ForeignKey, Index, ScalarKind, SourceType, TableSchema, TableState,
};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{MigrateConfig, build_plan, coverage};

/// The longest that planning may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Times `build_plan`, `coverage` and `generate` for a schema made in memory.
#[derive(Debug, Parser)]
#[command(name = "plan_speed", version)]
struct Arguments {
    /// Tables
    #[arg(long, default_value_t = 500)]
    tables: usize,
    /// Columns of each table
    #[arg(long, default_value_t = 10)]
    columns: usize,
    /// References among all tables; a third may be absent, and leads into cycles
    #[arg(long, default_value_t = 800)]
    references: usize,
    /// Repetitions, of which the median is printed
    #[arg(long, default_value_t = 9)]
    repeat: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let catalog = catalog(&arguments);
    let config = MigrateConfig::default();
    let plan = match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => plan,
        Err(issues) => {
            eprintln!("the schema cannot be planned: {issues:#?}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = generate(&plan) {
        eprintln!("the plan cannot be generated: {error}");
        return ExitCode::FAILURE;
    }
    let planning = median(arguments.repeat, || build_plan(&config, &catalog, &CONVEX_RULES).is_ok());
    let covering = median(arguments.repeat, || !coverage(&plan, &catalog).is_empty());
    let generating = median(arguments.repeat, || generate(&plan).is_ok());
    let fields: usize = plan.tables.iter().map(|table| table.fields.len()).sum();
    let cut: usize = plan.tables.iter().map(|table| table.cut_fields().count()).sum();
    let levels = plan.tables.iter().map(|table| table.level).max().unwrap_or_default() + 1;
    println!("{} tables, {fields} fields, {levels} levels, {cut} references cut", plan.tables.len());
    for (what, time) in [("build_plan", planning), ("coverage", covering), ("generate", generating)] {
        println!("{what:10} {:8.1} ms", time.as_secs_f64() * 1000.0);
    }
    if planning > LIMIT {
        eprintln!("build_plan takes more than {} ms", LIMIT.as_millis());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The median time of some runs.
fn median(runs: usize, run: impl Fn() -> bool) -> Duration {
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let started = Instant::now();
            assert!(std::hint::black_box(run()), "it went well a moment ago");
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Tables whose required references lead to tables before them and whose other references lead anywhere.
fn catalog(arguments: &Arguments) -> Catalog {
    let name = |at: usize| TableName::new("public", &format!("table_{at:04}_of_the_shop")).unwrap();
    let mut chance = Chance(7);
    let mut tables: Vec<TableSchema> = (0..arguments.tables).map(|at| table(name(at), arguments.columns)).collect();
    for number in 0..arguments.references {
        let child = number % arguments.tables;
        let is_required = number % 3 != 0;
        let parent = if is_required { chance.below(child.max(1)) } else { chance.below(arguments.tables) };
        if is_required && parent == child {
            continue;
        }
        let table = &mut tables[child];
        let Some(column) = table.columns.get_mut(1 + table.foreign_keys.len()) else { continue };
        column.nullable = !is_required;
        column.source_type = SourceType::new("bigint", ScalarKind::Int8);
        let column = column.name.clone();
        table.foreign_keys.push(ForeignKey::single(column.clone(), name(parent), FieldName::from("id")));
        table.indexes.get_or_insert_default().push(Index {
            name: format!("index_{number}"),
            columns: vec![column],
            method: "btree".to_owned(),
        });
    }
    Catalog {
        version: CATALOG_VERSION,
        origin: "made in memory".to_owned(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables,
        inventory: Vec::new(),
    }
}

fn table(name: TableName, columns: usize) -> TableSchema {
    let kinds = [
        ("bigint", ScalarKind::Int8),
        ("text", ScalarKind::Text),
        ("timestamp with time zone", ScalarKind::TimestampTz),
        ("jsonb", ScalarKind::Json),
        ("numeric", ScalarKind::Numeric),
        ("uuid", ScalarKind::Uuid),
    ];
    let column = |at: usize| {
        let (type_name, scalar) = kinds[at % kinds.len()];
        let name = if at == 0 { "id".to_owned() } else { format!("column_{at:03}") };
        Column { nullable: at % 2 == 1, ..Column::new(name.as_str().into(), SourceType::new(type_name, scalar)) }
    };
    TableSchema {
        state: TableState::Present,
        columns: (0..columns.max(1)).map(column).collect(),
        primary_key: vec!["id".into()],
        unique_keys: Some(Vec::new()),
        indexes: Some(Vec::new()),
        checks: Some(Vec::new()),
        ..TableSchema::new(name)
    }
}

/// Numbers that look like chance and are the same in every run (a linear congruential generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}
