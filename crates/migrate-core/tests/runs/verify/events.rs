//! What a verification tells of itself.

use migrate_core::observe::{Event, Fanout, Observer};
use migrate_core::testing::When;

use super::*;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    fn taken(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// What was expected, and what was read, of a table: documents and rows.
fn sums(events: &[Event], of: &str) -> ([Option<u64>; 2], [u64; 2]) {
    let (mut all, mut sum) = ([None, None], [0, 0]);
    for event in events {
        match event {
            Event::VerificationExpected { table, documents, rows } if table.name() == of => all = [*documents, *rows],
            Event::VerificationRead { table, documents, rows } if table.name() == of => {
                sum = [sum[0] + documents, sum[1] + rows];
            }
            _ => {}
        }
    }
    (all, sum)
}

/// The tables that were read back, with whether their rows follow, in order.
fn read_back(events: &[Event]) -> Vec<(&str, bool)> {
    let back = events.iter().filter_map(|event| match event {
        Event::TableReadBack { table, rows_follow } => Some((table.name(), *rows_follow)),
        _ => None,
    });
    back.collect()
}

/// The results that were told, in order.
fn results(events: &[Event]) -> Vec<(&str, &TableVerification)> {
    let results = events.iter().filter_map(|event| match event {
        Event::TableVerified { table, result } => Some((table.name(), &**result)),
        _ => None,
    });
    results.collect()
}

/// The tables of the results that were told, in order.
fn told(events: &[Event]) -> Vec<&str> {
    results(events).into_iter().map(|(name, _)| name).collect()
}

/// A verification that is heard, by a report too.
fn heard(world: &World, plan: &Plan, probe: &Arc<Probe>, folder: &Path) -> (Verifier, Arc<Heard>, Arc<ReportBuilder>) {
    let (heard, report) = (Arc::new(Heard::default()), Arc::new(ReportBuilder::start("test", plan, true)));
    let observers: Vec<Arc<dyn Observer>> = vec![heard.clone(), report.clone()];
    (verifier(world, plan, probe, folder).observer(Arc::new(Fanout::new(observers))), heard, report)
}

#[tokio::test]
async fn what_is_told_adds_up_to_the_verification_and_to_no_report() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    let (verifier, heard, report) = heard(&world, &plan, &probe, folder.path());
    let (verification, result) = verifier.run().await;
    result.unwrap();
    let events = heard.taken();
    assert_eq!(sums(&events, "customers"), ([Some(3), Some(3)], [3, 3]));
    assert_eq!(sums(&events, "orders"), ([Some(250), Some(251)], [250, 251]));
    assert_eq!(read_back(&events), [("customers", true), ("orders", true)]);
    let known: Vec<(&str, &TableVerification)> =
        verification.tables.iter().map(|(name, result)| (name.as_str(), result)).collect();
    assert_eq!(results(&events), known);
    let first_read = events.iter().position(|event| matches!(event, Event::VerificationRead { .. })).unwrap();
    let expected = |event: &&Event| matches!(event, Event::VerificationExpected { .. });
    assert_eq!(events[..first_read].iter().filter(expected).count(), 2, "all is expected before the first is read");
    let totals = report.report(None).totals;
    assert_eq!((totals.source, totals.migrated, totals.rejected), (0, 0, 0), "nothing is migrated");
}

#[tokio::test]
async fn what_an_earlier_verification_had_is_told_at_once_and_not_expected_again() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    let (verifier, heard, _) = heard(&world, &plan, &probe, folder.path());
    // The rows of customers are one page and the one without rows; the second page of orders fails.
    let call = world.faults.count("read_page") + 2 + 2;
    let failed = || Error::new(ErrorKind::Unavailable, "read a page");
    world.faults.fail("read_page", call, When::Before, failed);
    let (stopped, result) = verifier.run().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    let events = heard.taken();
    assert_eq!(results(&events), [("customers", table(&stopped, "customers"))]);
    assert!(table(&stopped, "customers").is_compared && !table(&stopped, "orders").is_compared);
    assert_eq!(sums(&events, "orders").1, [250, 100]);

    let (verification, result) = verifier.run().await;
    result.unwrap();
    assert_is_same(&verification);
    let events = heard.taken();
    assert!(matches!(&events[0], Event::TableVerified { table, .. } if table.name() == "customers"), "{:?}", events[0]);
    assert_eq!(sums(&events, "customers"), ([None, None], [0, 0]));
    assert_eq!(sums(&events, "orders"), ([Some(0), Some(251)], [0, 251]), "its documents are read back already");
    assert_eq!((read_back(&events), told(&events)), (vec![("orders", true)], vec!["customers", "orders"]));
}

#[tokio::test]
async fn a_table_that_is_only_referred_to_is_read_back_and_not_verified() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    let (verifier, heard, _) = heard(&world, &plan, &probe, folder.path());
    let verifier = verifier.tables([name("orders")]);
    assert_eq!(verifier.compared().unwrap(), [name("orders")]);
    verifier.run().await.1.unwrap();
    let events = heard.taken();
    assert_eq!(sums(&events, "customers"), ([Some(3), Some(0)], [3, 0]));
    assert_eq!(read_back(&events), [("customers", false), ("orders", true)]);
    assert_eq!(told(&events), ["orders"]);
    let unknown = verifier.tables([name("nobody")]);
    assert_eq!(unknown.compared().unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn tables_that_are_counted_are_verified_one_after_the_other() {
    let (world, plan) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let (sink, read) = (world.sink.clone(), Mutex::default());
    let probe = Probe { sink, read, fails: AtomicBool::new(false), stop: None, counts_by_reading: true };
    let probe = Arc::new(probe);
    let (verifier, heard, _) = heard(&world, &plan, &probe, folder.path());
    let (verification, result) = verifier.level(Level::Counts).run().await;
    result.unwrap();
    let events = heard.taken();
    assert_eq!((sums(&events, "customers").1, sums(&events, "orders").1), ([3, 0], [250, 0]));
    let counted = [("customers", table(&verification, "customers")), ("orders", table(&verification, "orders"))];
    assert_eq!(results(&events), counted);
    assert_eq!(counted[1].1.found(), 1, "the order of nobody");
}

/// Asks for a stop once the first table is verified.
#[derive(Debug)]
struct StopsAfterOne(Stop);

impl Observer for StopsAfterOne {
    fn on_event(&self, event: &Event) {
        if matches!(event, Event::TableVerified { .. }) {
            self.0.request();
        }
    }
}

#[tokio::test]
async fn what_was_told_is_in_the_verification_though_its_level_was_stopped() {
    let mut world = World::new();
    world.table("customers", 1, ["id", "name"], &[["1", "a"]]);
    world.table("products", 1, ["id", "name"], &[["1", "b"]]);
    let plan = world.plan("[run]\ntables_in_parallel = 1").await;
    world.complete(&plan).await;
    let folder = tempfile::tempdir().unwrap();
    let probe = Probe::new(&world, false);
    let (heard, stop) = (Arc::new(Heard::default()), Stop::default());
    let observers: Vec<Arc<dyn Observer>> = vec![heard.clone(), Arc::new(StopsAfterOne(stop.clone()))];
    let verifier = verifier(&world, &plan, &probe, folder.path()).observer(Arc::new(Fanout::new(observers)));
    let (verification, result) = verifier.with_stop(stop).run().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    let events = heard.taken();
    let mut told = told(&events);
    told.sort_unstable();
    assert!(!told.is_empty());
    let compared = verification.tables.iter().filter(|(_, result)| result.is_compared);
    assert_eq!(compared.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), told);
}
