//! Verifications on in-memory parts: what ends one early, how the next goes on, and what a plan leaves out.

mod events;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use migrate_core::error::{Error, ErrorKind};
use migrate_core::stop::Stop;
use migrate_core::testing::MemorySink;
use migrate_core::verify::{
    CountPage, DifferenceKind, DocumentPage, KeyPage, Level, SinkProbe, TableVerification, Verdict, Verification,
    Verifier,
};

use super::*;

/// Reads the sink of a world; notes what is read, and fails at a table while it is told so.
#[derive(Debug)]
struct Probe {
    sink: Arc<Faulty<MemorySink>>,
    read: Mutex<Vec<String>>,
    fails: AtomicBool,
    /// Asked once the table that fails is reached, instead of an error.
    stop: Option<Stop>,
    /// It tells the number of a table's documents only to who reads them.
    counts_by_reading: bool,
}

impl Probe {
    fn new(world: &World, fails: bool) -> Arc<Self> {
        let (sink, read) = (world.sink.clone(), Mutex::default());
        Arc::new(Self { sink, read, fails: AtomicBool::new(fails), stop: None, counts_by_reading: false })
    }

    fn taken(&self) -> Vec<String> {
        let mut read = std::mem::take(&mut *self.read.lock().unwrap());
        read.dedup();
        read
    }
}

#[async_trait]
impl SinkProbe for Probe {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        if self.counts_by_reading { Ok(None) } else { SinkProbe::count(self.sink.inner(), table).await }
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.read.lock().unwrap().push(format!("{table} from {cursor:?}"));
        if let Some(stop) = self.stop.as_ref().filter(|_| table.name() == "orders") {
            stop.request();
        }
        SinkProbe::count_page(self.sink.inner(), table, cursor).await
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        if table.name() == "orders" && self.fails.load(Ordering::Relaxed) {
            if let Some(stop) = &self.stop {
                stop.request();
                return Err(migrate_core::stop::stopped());
            }
            return Err(Error::new(ErrorKind::Unavailable, "read documents"));
        }
        self.read.lock().unwrap().push(table.to_string());
        SinkProbe::read_page(self.sink.inner(), table, cursor, limit).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        SinkProbe::read_keys(self.sink.inner(), cursor, limit).await
    }
}

/// Customers without a reference, 250 orders of them, and an order of nobody.
async fn world() -> (World, Plan) {
    let mut world = World::new();
    world.table("customers", 1, ["id", "name"], &[["1", "a"], ["2", "b"], ["3", NULL]]);
    world.table("orders", 1, ["id", "customer_id > customers", "note"], &[]);
    let schema = world.schema("orders").await;
    let mut rows: Vec<[String; 3]> =
        (0..250).map(|n| [format!("{n:03}"), (1 + n % 3).to_string(), format!("note {n}")]).collect();
    rows.push(["x".to_owned(), "9".to_owned(), "lost".to_owned()]);
    let rows: Vec<[&str; 3]> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    world.tables.pop();
    world.insert(schema, &rows);
    let plan = world.plan("[run]\ntables_in_parallel = 1").await;
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    result.unwrap();
    assert_eq!((report.totals.migrated, report.totals.rejected), (253, 1));
    (world, plan)
}

fn verifier(world: &World, plan: &Plan, probe: &Arc<Probe>, folder: &Path) -> Verifier {
    Verifier::new(plan.clone(), world.source.clone(), world.sink.clone(), probe.clone(), folder)
}

fn table<'a>(verification: &'a Verification, name: &str) -> &'a TableVerification {
    &verification.tables[name]
}

fn assert_is_same(verification: &Verification) {
    assert_eq!(verification.verdict, Verdict::Same, "{verification:#?}");
    let orders = table(verification, "orders");
    assert_eq!((orders.source, orders.expected, orders.rejected, orders.same), (251, 250, 1, 250));
    assert_eq!(table(verification, "customers").same, 3);
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_not_read_again() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, true);
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).run().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((verification.verdict, verification.resumed), (Verdict::Failed, false));
    assert!(verification.error.is_some() && !table(&verification, "orders").is_compared);
    assert_eq!(probe.taken(), ["customers"]);

    probe.fails.store(false, Ordering::Relaxed);
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).run().await;
    result.unwrap();
    assert!(verification.resumed);
    assert_is_same(&verification);
    assert_eq!(probe.taken(), ["orders"]);
    assert_eq!(files(folder.path()), 0, "what was kept is removed at the end");

    // Once it is at its end, the next one begins anew.
    let (verification, _) = verifier(&world, &plan, &probe, folder.path()).run().await;
    assert!(!verification.resumed);
    assert_is_same(&verification);
    assert_eq!(probe.taken(), ["customers", "orders"]);
}

#[tokio::test]
async fn another_verification_does_not_take_up_what_was_kept() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    for change in [|verifier: Verifier| verifier.fresh(true), |verifier: Verifier| verifier.exclusive(true)] {
        let probe = Probe::new(&world, true);
        verifier(&world, &plan, &probe, folder.path()).run().await.1.unwrap_err();
        probe.taken();
        probe.fails.store(false, Ordering::Relaxed);
        let (verification, result) = change(verifier(&world, &plan, &probe, folder.path())).run().await;
        result.unwrap();
        assert!(!verification.resumed);
        assert_is_same(&verification);
        assert_eq!(probe.taken(), ["customers", "orders"]);
    }
}

#[tokio::test]
async fn a_stop_ends_it_and_the_next_goes_on() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let (sink, read) = (world.sink.clone(), Mutex::default());
    let probe = Probe { sink, read, fails: AtomicBool::new(true), stop: Some(stop.clone()), counts_by_reading: false };
    let probe = Arc::new(probe);
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).with_stop(stop).run().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(verification.verdict, Verdict::Interrupted);
    probe.fails.store(false, Ordering::Relaxed);
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).run().await;
    result.unwrap();
    assert!(verification.resumed);
    assert_is_same(&verification);
}

#[tokio::test]
async fn differences_are_counted_beyond_those_that_are_described() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    // Every third order changes at the source, after the migration.
    let schema = world.schema("orders").await;
    let rows: Vec<Vec<Value>> = (0..250)
        .map(|n| {
            let note = if n % 3 == 0 { format!("other {n}") } else { format!("note {n}") };
            vec![value(&format!("{n:03}")), value(&(1 + n % 3).to_string()), value(&note)]
        })
        .collect();
    world.source.inner().insert(schema, rows);
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).differences(5).run().await;
    result.unwrap();
    let orders = table(&verification, "orders");
    assert_eq!((verification.verdict, orders.differing, orders.same), (Verdict::Different, 84, 166));
    let described: Vec<(&str, &str)> = orders
        .differences
        .iter()
        .map(|difference| {
            assert_eq!(difference.kind, DifferenceKind::Value);
            (difference.key.as_ref().unwrap().as_str(), difference.field.as_deref().unwrap())
        })
        .collect();
    assert_eq!(described, [("000", "note"), ("003", "note"), ("006", "note"), ("009", "note"), ("012", "note")]);
    let columns = &orders.columns;
    assert_ne!(columns["note"].source, columns["note"].sink);
    assert_eq!(columns["customer_id"].source, columns["customer_id"].sink);
}

#[tokio::test]
async fn documents_are_counted_by_reading_where_there_is_no_other_way() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let with_stop = |stop: Option<Stop>| {
        let (sink, read) = (world.sink.clone(), Mutex::default());
        Arc::new(Probe { sink, read, fails: AtomicBool::new(false), stop, counts_by_reading: true })
    };
    let probe = with_stop(None);
    let counted = verifier(&world, &plan, &probe, folder.path()).level(Level::Counts);
    let (verification, result) = counted.run().await;
    result.unwrap();
    assert_eq!((table(&verification, "customers").documents, table(&verification, "orders").documents), (3, 250));
    let from = |table: &str, cursor: &str| format!("{table} from {cursor}");
    let parts = [("customers", "None"), ("orders", "None"), ("orders", "Some(\"100\")"), ("orders", "Some(\"200\")")];
    assert_eq!(probe.taken(), parts.map(|(table, cursor)| from(table, cursor)));

    // A comparison reads them anyway, and does not count them before.
    let (verification, result) = verifier(&world, &plan, &probe, folder.path()).run().await;
    result.unwrap();
    assert_is_same(&verification);
    assert_eq!(probe.taken(), ["customers", "orders"]);

    // A stop is heeded between two parts.
    let stop = Stop::default();
    let probe = with_stop(Some(stop.clone()));
    let stopped = verifier(&world, &plan, &probe, folder.path()).level(Level::Counts).with_stop(stop);
    let (verification, result) = stopped.run().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(verification.verdict, Verdict::Interrupted);
    assert_eq!(table(&verification, "customers").documents, 3);
    assert!(!table(&verification, "orders").is_compared);
    assert_eq!(probe.taken().len(), 2, "the second part of orders is not asked for");
}

#[tokio::test]
async fn a_table_is_compared_with_what_is_split_off_of_it() {
    let mut world = World::new();
    world.table("people", 1, ["id"], &[["ada"]]);
    world.table("articles", 1, ["id", "body"], &[["a1", "long one"], ["a2", NULL]]);
    let plan = world.plan("[tables.articles]\ncolumns.body.split_off = \"articleBodies\"").await;
    world.complete(&plan).await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    for (selected, expected) in [
        ("articles", &["articles", "articles+articleBodies"][..]),
        ("articles+articleBodies", &["articles+articleBodies"]),
    ] {
        let verifier = verifier(&world, &plan, &probe, folder.path()).tables([name(selected)]);
        let (verification, result) = verifier.run().await;
        result.unwrap();
        assert_eq!(verification.verdict, Verdict::Same);
        assert_eq!(verification.tables.keys().collect::<Vec<_>>(), expected);
    }
}
