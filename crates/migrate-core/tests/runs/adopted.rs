use migrate_core::ErrorKind;
use migrate_core::names::{KeySpace, SourceKey};
use migrate_core::report::Outcome;
use migrate_core::resolve::{AdoptedIds, IdResolver as _};
use migrate_core::state::StateStore as _;
use migrate_core::value::Value;

use super::{NULL, World, name, value};

const CONFIG: &str = r#"
[tables.teams]
adopt = { index = "by_slug", key = ["slug"] }

[tables.contacts]
adopt = { index = "by_team_phone", key = ["team", "phone"] }
columns.phone.nulls = "null"
"#;

/// Notes on contacts of teams; teams and contacts live in the sink already, but for the team `c` and some contacts.
fn notes() -> World {
    let mut world = World::new();
    world.table("teams", 1, ["id", "slug"], &[["1", "a"], ["2", "b"], ["3", "c"]]);
    world.table(
        "contacts",
        1,
        ["id", "team > teams", "phone"],
        &[
            ["one", "1", "555"],
            ["two", "2", "555"],
            ["away", "1", "777"],
            ["twice", "1", "666"],
            ["orphan", "3", "555"],
            ["mute", "1", NULL],
        ],
    );
    world.table(
        "notes",
        1,
        ["id", "contact > contacts"],
        &[
            ["n1", "one"],
            ["n2", "two"],
            ["n3", "away"],
            ["n4", "twice"],
            ["n5", "orphan"],
            ["n6", "mute"],
            ["n7", "gone"],
            ["n8", NULL],
            ["n9", "one"],
        ],
    );
    let (teams, contacts) = (name("teams"), name("contacts"));
    let sink = world.sink.inner();
    sink.index(&teams, "by_slug", &["slug"]);
    sink.index(&contacts, "by_team_phone", &["team", "phone"]);
    let [a, b] = ["a", "b"].map(|slug| sink.insert(&teams, &[("slug", Value::text(slug))]));
    // A document without a phone is no match for a row without one: SQL's own NULL equals nothing.
    for (team, phone) in [(&b, "555"), (&a, "555"), (&a, "666"), (&a, "666"), (&a, NULL)] {
        sink.insert(&contacts, &[("team", Value::text(team.as_str())), ("phone", value(phone))]);
    }
    world
}

/// What a contact's id is in the sink.
fn contact(world: &World, at: usize) -> String {
    world.sink.inner().documents(&name("contacts"))[at].id.to_string()
}

fn linked(world: &World) -> Vec<(String, Option<String>)> {
    let documents = world.sink.inner().documents(&name("notes"));
    let mut linked: Vec<(String, Option<String>)> = documents
        .into_iter()
        .map(|document| {
            let contact = document.fields.get("contact").and_then(Value::key_text);
            (document.key.unwrap().to_string(), contact)
        })
        .collect();
    linked.sort();
    linked
}

#[tokio::test]
async fn parents_are_found_by_natural_keys_and_never_guessed() {
    let world = notes();
    let plan = world.plan(CONFIG).await;
    assert_eq!((plan.tables.len(), plan.adopted.len()), (1, 2));
    let report = world.complete(&plan).await;
    let (one, two) = (Some(contact(&world, 1)), Some(contact(&world, 0)));
    let note = |id: &str, contact: &Option<String>| (id.to_owned(), contact.clone());
    assert_eq!(linked(&world), [note("n1", &one), note("n2", &two), note("n8", &None), note("n9", &one)]);
    assert_eq!(
        world.rejects("notes").await,
        [
            "n3 reference_missing contact: contact: contacts away is not in the sink",
            "n4 reference_ambiguous contact: contact: several documents match the natural key of contacts twice",
            "n5 reference_missing contact: contact: contacts orphan cannot be found, because its parent teams 3 is not in \
         the sink",
            "n6 reference_missing contact: contact: contacts mute is not in the sink",
            "n7 reference_missing contact: contact: contacts gone is not in the sink",
        ]
    );
    assert_eq!(report.outcome, Outcome::CompleteWithFindings);
    assert_eq!(report.tables["notes"].reference_misses[0].count, 5);
    assert!(!report.tables.contains_key("contacts"), "adopted tables are not migrated");
}

#[tokio::test]
async fn a_missing_parent_may_be_left_out_but_an_ambiguous_one_may_not() {
    let world = notes();
    let plan = world.plan(&format!("{CONFIG}\n[defaults]\non_missing = \"null\"")).await;
    world.complete(&plan).await;
    let left_out: Vec<String> =
        linked(&world).into_iter().filter(|(_, contact)| contact.is_none()).map(|(id, _)| id).collect();
    assert_eq!(left_out, ["n3", "n5", "n6", "n7", "n8"]);
    assert_eq!(
        world.rejects("notes").await,
        ["n4 reference_ambiguous contact: contact: several documents match the natural key of contacts twice"]
    );
}

#[tokio::test]
async fn an_ambiguous_parent_may_end_the_run() {
    let mut world = notes();
    world.table("notes", 1, ["id", "contact > contacts"], &[["n4", "twice"]]);
    let plan = world.plan(&format!("{CONFIG}\n[defaults]\non_missing = \"fail\"")).await;
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), report.outcome), (ErrorKind::TooManyRejects, Outcome::Failed));
    assert_eq!(error.message(), "go on: several documents match the natural key of contacts twice");
}

#[tokio::test]
async fn an_ambiguous_parent_inside_a_natural_key_is_named() {
    let mut world = notes();
    world.table("notes", 1, ["id", "contact > contacts"], &[["n1", "one"], ["n2", "two"]]);
    world.sink.inner().insert(&name("teams"), &[("slug", Value::text("a"))]);
    let plan = world.plan(CONFIG).await;
    world.complete(&plan).await;
    assert_eq!(linked(&world), [("n2".to_owned(), Some(contact(&world, 0)))]);
    assert_eq!(
        world.rejects("notes").await,
        ["n1 reference_ambiguous contact: contact: several documents match the natural key of teams 1"]
    );
}

#[tokio::test]
async fn what_was_found_is_kept_and_what_is_missing_is_looked_for_again() {
    let world = notes();
    let plan = world.plan(CONFIG).await;
    world.complete(&plan).await;
    let known = async |table: &str, keys: &[&str]| {
        let keys: Vec<SourceKey> = keys.iter().map(|key| SourceKey::from(*key)).collect();
        let ids = world.state.ids(&KeySpace::primary(name(table)), &keys).await.unwrap();
        ids.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(known("teams", &["1", "2", "3"]).await, [true, true, false]);
    let contacts = known("contacts", &["one", "two", "away", "twice", "orphan"]).await;
    assert_eq!(contacts, [true, true, false, false, false]);

    // A resolver asks the sink for what the state lacks alone.
    let lookups = world.faults.count("lookup");
    let (source, sink, state) = (world.source.clone(), world.sink.clone(), world.state.clone());
    let ids = AdoptedIds::new(source, sink, state, &plan.adopted);
    let one =
        ids.resolve(&KeySpace::primary(name("contacts")), &["one", "two", "one"].map(SourceKey::from)).await.unwrap();
    assert_eq!(one[0].id().map(ToString::to_string), Some(contact(&world, 1)));
    assert_eq!((&one[0], world.faults.count("lookup")), (&one[2], lookups));
    let away = ids.resolve(&KeySpace::primary(name("contacts")), &["one", "away"].map(SourceKey::from)).await.unwrap();
    assert_eq!((away[1].id(), world.faults.count("lookup")), (None, lookups + 1));
}
