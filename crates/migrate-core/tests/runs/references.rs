use migrate_core::catalog::{ForeignKey, TableSchema};
use migrate_core::plan::coverage;
use migrate_core::record::RejectCode;
use migrate_core::report::Outcome;
use migrate_core::{ErrorKind, Source as _};

use super::{NULL, World, name};

/// A parent, and children of it, of a parent that is not there, and of none. The last one's child goes with it.
fn family() -> World {
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    world.table("children", 1, ["id", "parent > parents"], &[["c1", "p"], ["c2", "gone"], ["c3", NULL]]);
    world.table("toys", 1, ["id", "owner! > children"], &[["t1", "c1"], ["t2", "c2"]]);
    world
}

#[tokio::test]
async fn a_row_without_its_parent_is_rejected_and_so_are_its_children() {
    let world = family();
    let plan = world.plan("").await;
    let report = world.complete(&plan).await;
    assert_eq!(report.outcome, Outcome::CompleteWithFindings);
    assert_eq!(world.documents("children"), ["c1 parent=@parents/p", "c3"]);
    assert_eq!(world.documents("toys"), ["t1 owner=@children/c1"]);
    assert_eq!(
        world.rejects("children").await,
        ["c2 reference_missing parent: parent: parents gone is not in the sink"]
    );
    assert_eq!(world.rejects("toys").await, ["t2 reference_missing owner: owner: children c2 is not in the sink"]);
    let children = &report.tables["children"];
    assert_eq!((children.rejects[0].code, children.rejects[0].count), (RejectCode::ReferenceMissing, 1));
    assert_eq!((children.reference_misses[0].name.as_str(), children.reference_misses[0].count), ("parent", 1));
}

#[tokio::test]
async fn a_missing_parent_may_be_left_out_and_is_counted() {
    for (nulls, missing, none) in [("absent", "c2", "c3"), ("null", "c2 parent=null", "c3 parent=null")] {
        let world = family();
        let config = format!("[tables.children]\ncolumns.parent = {{ on_missing = \"null\", nulls = \"{nulls}\" }}");
        let plan = world.plan(&config).await;
        let report = world.complete(&plan).await;
        assert_eq!(world.documents("children"), ["c1 parent=@parents/p", missing, none], "{nulls}");
        assert_eq!(world.documents("toys"), ["t1 owner=@children/c1", "t2 owner=@children/c2"]);
        let misses = &report.tables["children"].reference_misses;
        assert_eq!((misses[0].name.as_str(), misses[0].count), ("parent", 1));
        assert_eq!(misses[0].sample_keys[0].as_str(), "c2");
        assert_eq!((report.outcome, report.totals.rejected), (Outcome::Complete, 0));
    }
}

#[tokio::test]
async fn a_missing_parent_may_end_the_run() {
    let world = family();
    let plan = world.plan("[defaults]\non_missing = \"fail\"").await;
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyRejects);
    assert_eq!(
        error.to_string(),
        "go on: parents gone is not in the sink (table: children, key: c2, column: parent); \
         bring the parent into the sink, or plan on_missing = \"reject\""
    );
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((world.documents("toys"), world.rejects("children").await), (vec![], vec![]));
}

#[tokio::test]
async fn null_refers_to_nothing() {
    for (nulls, documents, rejects) in [
        ("absent", vec!["c1 parent=@parents/p", "c3"], vec![]),
        ("null", vec!["c1 parent=@parents/p", "c3 parent=null"], vec![]),
        ("reject", vec!["c1 parent=@parents/p"], vec!["c3 null_not_allowed parent: parent is NULL"]),
    ] {
        let mut world = World::new();
        world.table("parents", 1, ["id"], &[["p"]]);
        world.table("children", 1, ["id", "parent > parents"], &[["c1", "p"], ["c3", NULL]]);
        let plan = world.plan(&format!("[defaults]\nnulls = \"{nulls}\"")).await;
        let report = world.complete(&plan).await;
        assert_eq!(world.documents("children"), documents, "{nulls}");
        assert_eq!(world.rejects("children").await, rejects, "{nulls}");
        assert_eq!(report.tables["children"].reference_misses, []);
    }
}

/// Lines of orders, by a key of two columns; notes refer to them by both, or by neither.
fn orders() -> World {
    let mut world = World::new();
    world.table("lines", 2, ["order", "place"], &[["o1", "1"], ["o1", "2"], ["o,2", "\"1\""]]);
    let rows = [["n1", "o1", "2"], ["n2", "o,2", "\"1\""], ["n3", "o1", "3"], ["n4", NULL, "1"], ["n5", NULL, NULL]];
    world.table("notes", 1, ["id", "order", "place"], &rows);
    world
}

/// The notes of [`orders`], with a foreign key whose columns are named in another order than the parent's key.
async fn with_reference(world: &World) -> TableSchema {
    let foreign_key = ForeignKey {
        name: None,
        on_delete: None,
        columns: vec!["place".into(), "order".into()],
        parent: name("lines"),
        parent_columns: vec!["place".into(), "order".into()],
    };
    TableSchema { foreign_keys: vec![foreign_key], ..world.schema("notes").await }
}

#[tokio::test]
async fn a_reference_of_several_columns_is_a_field_of_its_own() {
    let mut world = orders();
    let schema = with_reference(&world).await;
    world.insert(
        schema,
        &[["n1", "o1", "2"], ["n2", "o,2", "\"1\""], ["n3", "o1", "3"], ["n4", NULL, "1"], ["n5", "o1", NULL]],
    );
    let plan = world.plan("").await;
    world.complete(&plan).await;
    assert_eq!(
        world.documents("notes"),
        [
            r#"n1 lines_ref=@lines/["o1","2"] order=o1 place=2"#,
            r#"n2 lines_ref=@lines/["o,2","\"1\""] order=o,2 place="1""#,
            "n4 place=1",
            "n5 order=o1",
        ]
    );
    let [reject] = world.rejects("notes").await.try_into().unwrap();
    assert!(
        reject.starts_with("n3 reference_missing") && reject.contains(r#"lines ["o1","3"] is not in the sink"#),
        "{reject}"
    );
}

#[tokio::test]
async fn the_columns_of_a_reference_may_be_left_out() {
    let mut world = orders();
    let schema = with_reference(&world).await;
    world.insert(
        schema,
        &[["n1", "o1", "2"], ["n2", "o,2", "\"1\""], ["n3", "o1", "3"], ["n4", NULL, "1"], ["n5", NULL, NULL]],
    );
    let config = "[tables.notes]\ncolumns.order.drop = true\ncolumns.place.drop = true\n\
                  references.line = { columns = [\"order\", \"place\"], to = \"lines\" }";
    let plan = world.plan(config).await;
    world.complete(&plan).await;
    assert_eq!(
        world.documents("notes"),
        [r#"n1 line=@lines/["o1","2"]"#, r#"n2 line=@lines/["o,2","\"1\""]"#, "n4", "n5"]
    );
    assert_eq!(
        world.rejects("notes").await,
        [r#"n3 reference_missing order: order: lines ["o1","3"] is not in the sink"#]
    );
}

#[tokio::test]
async fn columns_that_are_split_off_have_documents_of_their_own() {
    let mut world = World::new();
    world.table("people", 1, ["id"], &[["ada"]]);
    let rows = [["a1", "one", "long one", "ada"], ["a2", "two", NULL, "ada"], ["a3", "three", "long three", "nobody"]];
    world.table("articles", 1, ["id", "title", "body", "author > people"], &rows);
    let plan = world.plan("[tables.articles]\ncolumns.body.split_off = \"articleBodies\"").await;
    assert_eq!(plan.tables.iter().map(|table| table.level).collect::<Vec<_>>(), [0, 1, 2]);
    let report = world.complete(&plan).await;
    assert_eq!(world.documents("articles"), ["a1 author=@people/ada title=one", "a2 author=@people/ada title=two"]);
    assert_eq!(world.documents("articleBodies"), ["a1 articles_ref=@articles/a1 body=long one"]);
    // The row without a body, and the one that is a reject, have no part: left out, not rejected again.
    let part = &report.tables["articles+articleBodies"];
    assert_eq!((part.source, part.inserted, part.skipped, part.rejected), (3, 1, 2, 0));
    let catalog = world.source.discover().await.unwrap();
    let columns = coverage(&plan, &catalog);
    let body = columns.iter().find(|fate| fate.column.as_str() == "body").unwrap();
    assert_eq!(body.fields, ["articleBodies.body"]);

    world.forget();
    let report = world.complete(&plan).await;
    assert_eq!(report.tables["articles+articleBodies"].unchanged, 1);
}

#[tokio::test]
async fn what_cannot_be_split_off_is_refused() {
    let mut world = World::new();
    world.table("people", 1, ["id"], &[]);
    world.table("articles", 1, ["id", "title", "author > people"], &[]);
    for (choice, reason) in [
        ("columns.id.split_off = \"x\"", "part of the key"),
        ("columns.author.split_off = \"x\"", "a reference"),
        ("columns.title.split_off = \"people\"", "another table has it"),
        ("columns.title.split_off = \"no name\"", "characters other than"),
        ("columns.title = { split_off = \"x\", drop = true }", "no field"),
    ] {
        let issues = world.try_plan(&format!("[tables.articles]\n{choice}")).await.unwrap_err();
        assert!(issues.iter().any(|issue| issue.message.contains(reason)), "{choice}: {issues:?}");
    }
}
