use migrate_core::ErrorKind;
use migrate_core::report::Outcome;

use super::{NULL, World};

/// Articles and their authors refer to each other. One author's best article is not there, one has none.
fn authors() -> World {
    let mut world = World::new();
    world.table("articles", 1, ["id", "author! > people"], &[["a1", "x"], ["a2", "y"], ["a3", "x"], ["a4", "gone"]]);
    let rows = [["w", "a4"], ["x", "a3"], ["y", "a2"], ["z", NULL]];
    world.table("people", 1, ["id", "best > articles"], &rows);
    world
}

#[tokio::test]
async fn a_cycle_is_cut_where_documents_may_lack_the_link_and_closed_by_a_second_pass() {
    let world = authors();
    let plan = world.plan("").await;
    let cut: Vec<String> = plan
        .tables
        .iter()
        .flat_map(|table| table.cut_fields().map(|field| format!("{}.{}", table.source, field.field)))
        .collect();
    assert_eq!(cut, ["people.best"]);
    let levels: Vec<(String, usize)> =
        plan.tables.iter().map(|table| (table.source.to_string(), table.level)).collect();
    assert_eq!(levels, [("people".to_owned(), 0), ("articles".to_owned(), 1)]);
    assert!(plan.notes.iter().any(|note| note.starts_with("people.best is part of a cycle")), "{:?}", plan.notes);

    let report = world.complete(&plan).await;
    assert_eq!(world.documents("articles"), ["a1 author=@people/x", "a2 author=@people/y", "a3 author=@people/x"]);
    // The best article of w was rejected, so there is nothing to link to. The row itself is there.
    assert_eq!(world.documents("people"), ["w", "x best=@articles/a3", "y best=@articles/a2", "z"]);
    let people = &report.tables["people"];
    assert_eq!((people.migrated, people.rejected, people.linked, people.unlinked), (4, 0, 2, 1));
    assert_eq!(world.rejects("people").await, ["w reference_unlinked: best: articles a4 is not in the sink"]);
    assert_eq!(report.outcome, Outcome::CompleteWithFindings);
}

#[tokio::test]
async fn another_run_ends_with_the_same_links() {
    let mut world = authors();
    let plan = world.plan("").await;
    world.complete(&plan).await;
    let documents = (world.documents("people"), world.documents("articles"));
    let writes = world.faults.count("write_batch");
    world.complete(&plan).await;
    assert_eq!(world.faults.count("write_batch"), writes, "on the same state nothing is written");

    world.forget();
    let report = world.complete(&plan).await;
    assert_eq!((world.documents("people"), world.documents("articles")), documents);
    let people = &report.tables["people"];
    assert_eq!((people.inserted, people.migrated, people.linked, people.unlinked), (0, 4, 2, 1));
}

#[tokio::test]
async fn a_link_that_cannot_be_set_may_be_left_out_or_end_the_run() {
    let world = authors();
    let plan = world.plan("[tables.people]\ncolumns.best.on_missing = \"null\"").await;
    let report = world.complete(&plan).await;
    let people = &report.tables["people"];
    assert_eq!((people.linked, people.unlinked, people.reference_misses[0].count), (2, 0, 1));
    assert_eq!((world.documents("people")[0].as_str(), world.rejects("people").await.len()), ("w", 0));

    let world = authors();
    let plan = world.plan("[tables.people]\ncolumns.best.on_missing = \"fail\"").await;
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), report.outcome), (ErrorKind::TooManyRejects, Outcome::Failed));
    assert!(error.to_string().contains("(table: people, key: w, column: best)"), "{error}");
}

#[tokio::test]
async fn a_self_reference_may_lead_anywhere_in_its_table() {
    let mut world = World::new();
    let rows = [["a", "c"], ["b", "b"], ["c", "a"], ["d", "gone"], ["e", NULL]];
    world.table("nodes", 1, ["id", "next > nodes"], &rows);
    let plan = world.plan("").await;
    assert_eq!(plan.tables[0].cut_fields().count(), 1);
    let report = world.complete(&plan).await;
    assert_eq!(world.documents("nodes"), ["a next=@nodes/c", "b next=@nodes/b", "c next=@nodes/a", "d", "e"]);
    assert_eq!(world.rejects("nodes").await, ["d reference_unlinked: next: nodes gone is not in the sink"]);
    let nodes = &report.tables["nodes"];
    assert_eq!((nodes.migrated, nodes.linked, nodes.unlinked), (5, 3, 1));
}

#[tokio::test]
async fn a_cycle_of_required_references_is_no_plan() {
    let mut world = World::new();
    world.table("articles", 1, ["id", "author! > people"], &[]);
    world.table("people", 1, ["id", "best! > articles"], &[]);
    let issues = world.try_plan("").await.unwrap_err();
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].message, "the required references of articles, people form a cycle");
    world.plan("[tables.people]\ncolumns.best.on_missing = \"null\"").await;

    let mut world = World::new();
    world.table("nodes", 1, ["id", "next! > nodes"], &[]);
    let issues = world.try_plan("").await.unwrap_err();
    assert_eq!(issues[0].message, "the rows of nodes require each other");
    assert_eq!(issues[0].path, ["tables", "nodes"]);
}
