//! Tables whose links are set in a second pass, and whose keys and functions are kept in every way there is.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_tests::project::Project;
use serde_json::{Map, Value, json};

use super::{DIFFERENT, Fields, TAMPER, Tampered, any, differences, folder, has, run, verify};

/// What public functions ask for.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// References to a unique column, to the own table, lists of them, and every kind that Convex has.
const SCHEMA: &str = "
create table teams (id integer primary key, code text not null unique, name text not null);
create table people (
    id bigint primary key,
    team text not null references teams (code),
    mentor_id bigint references people,
    points bigint not null,
    ratio double precision,
    photo bytea,
    meta jsonb
);
insert into teams select n, 'T' || n, 'Team ' || n from generate_series(1, 9) as n;
insert into people
select n, 'T' || 1 + n % 9, case when n % 3 = 0 then 1 + (n * 7) % 400 end, n::bigint * 1000000007,
    case n % 5 when 0 then 'NaN' when 1 then '-0' when 2 then 'Infinity' when 3 then n / 7.0 end::double precision,
    decode(md5(n::text), 'hex'),
    jsonb_build_object('tags', jsonb_build_array('a', n, null), 'at', jsonb_build_object('x', n, 'a', true))
from generate_series(1, 400) as n;
";

const PEOPLE: &str = "
[tables.people]
columns.points.type = \"int64\"
columns.ratio.nulls = \"null\"
";

pub(crate) async fn people(folder: &Path, configuration: &str, arguments: &[&str]) -> Project {
    let configuration = format!("{configuration}\n{PEOPLE}");
    let mut project = Project::with_tables(folder, vec![SCHEMA.to_owned()], &configuration).await.unwrap();
    let database = project.supabase.database_url();
    fs::write(folder.join(".env.local"), format!("SUPABASE_DB_URL={database}\nMIGRATION_SECRET={SECRET}\n")).unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy_with(&[TAMPER, ("MIGRATION_SECRET", SECRET)]).await.unwrap();
    run(&project, "migrate-run", &[&["--quiet"], arguments].concat(), 0).await;
    project
}

pub(crate) fn assert_people_untouched(verification: &Value) {
    assert_eq!((&verification["verdict"], differences(verification)), (&json!("same"), vec![]));
    for (table, rows) in [("teams", 9), ("people", 400)] {
        let table = &verification["tables"][table];
        for name in ["source", "expected", "documents", "same"] {
            assert_eq!(table[name], json!(rows), "{table:#}");
        }
    }
    // Counted in the SQL above: every fifth ratio is NULL, NaN, -0 and so on; every third person has a mentor.
    let people = &verification["tables"]["people"]["columns"];
    assert_eq!(people["ratio"]["sink"]["kinds"], json!({ "null": 80, "float": 320 }));
    assert_eq!(people["points"]["sink"]["kinds"], json!({ "integer": 400 }));
    assert_eq!(people["photo"]["sink"]["kinds"], json!({ "bytes": 400 }));
    assert_eq!(people["photo"]["sink"]["bytes"], json!(400 * 16));
    assert_eq!(people["mentor_id"]["sink"]["kinds"], json!({ "absent": 267, "text": 133 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_the_second_pass_and_unique_columns_are_compared() {
    let folder = folder();
    let project = people(folder.path(), "", &[]).await;
    assert_people_untouched(&verify(&project, &[], 0).await);
    assert_people_untouched(&verify(&project, &["--exclusive"], 0).await);
    let tampered = Tampered::new(&project);
    let people = ("people", "people");
    let (other, _) = tampered.document("people", |document| document["supabaseId"] == "400").await;
    let lead_to = |fields: &mut Fields| fields["mentor_id"] = json!(other);
    let difference = tampered.change(people, has("mentor_id"), lead_to, ("wrong_reference", "mentor_id")).await;
    assert_eq!(difference["found"], json!("people 400"));
    let unlinked = |fields: &mut Fields| drop(fields.remove("mentor_id"));
    let difference = tampered.change(people, has("mentor_id"), unlinked, ("kind", "mentor_id")).await;
    assert_eq!((&difference["expected"], &difference["found"]), (&json!("text"), &json!("absent")));
    let (team, _) = tampered.document("teams", |document| document["code"] == "T5").await;
    let lead_to = |fields: &mut Fields| fields["team"] = json!(team);
    let difference =
        tampered.change(people, |document| document["supabaseId"] == "9", lead_to, ("wrong_reference", "team")).await;
    assert_eq!((&difference["expected"], &difference["found"]), (&json!("teams 1"), &json!("teams 5")));
    // One bit of an integer, of bytes, and of a NaN; a place deep in JSON.
    let low = |text: &Value, bit: u8| {
        let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        bytes[0] ^= bit;
        json!(STANDARD.encode(bytes))
    };
    let flip = |fields: &mut Fields| fields["points"] = json!({ "$integer": low(&fields["points"]["$integer"], 1) });
    tampered.change(people, any, flip, ("value", "points")).await;
    let flip = |fields: &mut Fields| fields["photo"] = json!({ "$bytes": low(&fields["photo"]["$bytes"], 128) });
    tampered.change(people, any, flip, ("value", "photo")).await;
    let deep = |fields: &mut Fields| fields["meta"]["at"]["x"] = json!(0.5);
    tampered.change(people, any, deep, ("value", "meta.at.x")).await;
    let gone = |fields: &mut Fields| fields["meta"]["tags"] = json!(["a", 1.0]);
    tampered.change(people, |document| document["supabaseId"] == "1", gone, ("kind", "meta.tags[2]")).await;
    // A table alone, though what it refers to is read as well.
    let verification = verify(&project, &["--tables", "people"], 0).await;
    assert_eq!(verification["tables"].as_object().unwrap().keys().collect::<Vec<_>>(), ["people"]);
    let refused = run(&project, "migrate-verify", &["--tables", "nobody"], 4).await;
    assert!(refused.contains("nobody"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_side_table_are_found_and_public_functions_are_no_hindrance() {
    let folder = folder();
    let project = people(folder.path(), "[convex]\nlegacy_ids = \"side_table\"\npublic_functions = true\n", &[]).await;
    assert_people_untouched(&verify(&project, &["--exclusive"], 0).await);
    let tampered = Tampered::new(&project);
    let is_entry = |document: &Value| document["table"] == "people" && document["legacyId"] == "7";
    let (entry, fields) = tampered.document("migrationIds", is_entry).await;
    let document = fields["documentId"].as_str().unwrap().to_owned();
    tampered.remove("people", &document).await;
    let verification = verify(&project, &[], DIFFERENT).await;
    let missing = ("people".to_owned(), "missing".to_owned(), "7".to_owned(), String::new());
    assert!(differences(&verification).contains(&missing), "{verification:#}");
    tampered.put("people", None, &Map::new()).await;

    // An entry that leads to the document of another person: that one is of two rows, and is as one of them.
    let of_eight = |document: &Value| document["table"] == "people" && document["legacyId"] == "8";
    let (_, eight) = tampered.document("migrationIds", of_eight).await;
    let mut led_astray = fields.clone();
    led_astray["documentId"] = eight["documentId"].clone();
    tampered.put("migrationIds", Some(&entry), &led_astray).await;
    let verification = verify(&project, &["--differences", "1000"], DIFFERENT).await;
    let of_seven = differences(&verification).into_iter().filter(|(_, _, key, _)| key == "7");
    let fields: Vec<String> = of_seven.map(|(_, kind, _, field)| format!("{kind} {field}")).collect();
    assert!(fields.contains(&"value points".to_owned()), "{fields:?}");
    assert_eq!(verification["tables"]["people"]["foreign"], json!(1), "the empty document");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_snapshot_is_verified_as_well() {
    let folder = folder();
    let configuration = "[convex]\nwrite = \"snapshot\"\n\n[supabase]\naccess = \"postgres\"\n";
    let project = people(folder.path(), configuration, &[]).await;
    assert_people_untouched(&verify(&project, &["--exclusive"], 0).await);
    let tampered = Tampered::new(&project);
    let (other, _) = tampered.document("people", |document| document["supabaseId"] == "400").await;
    let lead_to = |fields: &mut Fields| fields["mentor_id"] = json!(other);
    tampered.change(("people", "people"), has("mentor_id"), lead_to, ("wrong_reference", "mentor_id")).await;
    let (id, _) = tampered.document("people", |document| document["supabaseId"] == "2").await;
    tampered.remove("people", &id).await;
    let verification = verify(&project, &[], DIFFERENT).await;
    assert_eq!(verification["tables"]["people"]["missing"], json!(1));
}
