//! The rows of the example are what they claim to be, as Postgres sees them.

use std::collections::BTreeMap;

use migrate_tests::{
    ari_cms::{self, Parents, Scenario, TABLES, TableCount},
    local_stack::Postgres,
};
use tokio_postgres::Client;

/// A database of its own with the scenario in it.
async fn load(scenario: Scenario) -> Client {
    let postgres = Postgres::shared().await.unwrap();
    let database = postgres.create_own_database(&format!("ari_cms_{scenario}")).await.unwrap();
    let client = postgres.connect(&database).await.unwrap();
    client.batch_execute(&ari_cms::schema_sql(scenario)).await.unwrap();
    client.batch_execute(&ari_cms::seed_sql(scenario)).await.unwrap();
    client
}

async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
}

/// The SQL text of a list of strings, for `in (…)`.
fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = items.into_iter().map(|item| format!("'{item}'")).collect();
    quoted.join(", ")
}

/// Table, column and type of each column of the migrated tables that may be NULL, or may not.
async fn columns(client: &Client, nullable: bool) -> Vec<(String, String, String)> {
    let query = format!(
        "select table_name::text, column_name::text, data_type::text from information_schema.columns
         where table_schema = 'public' and table_name in ({}) and is_nullable = '{}' order by 1, ordinal_position",
        list(TABLES),
        if nullable { "YES" } else { "NO" }
    );
    let rows = client.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn both_scenarios_hold_the_rows_that_they_declare() {
    for scenario in [Scenario::Full, Scenario::Seed] {
        let client = load(scenario).await;
        for TableCount { table, present, rows, .. } in ari_cms::expected_counts(scenario) {
            let exists = format!("select count(*) from pg_class where oid = to_regclass('public.{table}')");
            assert_eq!(count(&client, &exists).await, i64::from(present), "{scenario}: {table}");
            if present {
                let actual = count(&client, &format!("select count(*) from {table}")).await;
                assert_eq!(actual, i64::try_from(rows).unwrap(), "{scenario}: {table}");
            }
        }
        let unprotected = "select count(*) from pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity";
        assert_eq!(count(&client, unprotected).await, 0, "{scenario}: row level security is on everywhere");
    }
}

#[tokio::test]
async fn the_schema_has_its_constraints() {
    let client = load(Scenario::Full).await;
    let of = |kind: char| {
        format!(
            "select count(*) from pg_constraint where contype = '{kind}' and conrelid = any (array[{}]::regclass[])",
            list(TABLES)
        )
    };
    assert_eq!(columns(&client, true).await.len() + columns(&client, false).await.len(), 129);
    assert_eq!(count(&client, &of('p')).await, 12);
    assert_eq!(count(&client, &of('f')).await, 20);
    assert_eq!(count(&client, &of('u')).await, 9);
    assert_eq!(count(&client, &of('c')).await, 8);
}

#[tokio::test]
async fn every_nullable_column_has_rows_with_and_without_a_value() {
    let client = load(Scenario::Full).await;
    let columns = columns(&client, true).await;
    assert!(columns.len() > 60, "{} nullable columns", columns.len());
    let mut wrong = Vec::new();
    for (table, column, _) in columns {
        let empty = count(&client, &format!("select count(*) from {table} where {column} is null")).await;
        let filled = count(&client, &format!("select count(*) from {table} where {column} is not null")).await;
        if empty == 0 || filled == 0 {
            wrong.push(format!("{table}.{column}: {empty} NULL, {filled} not"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn instants_have_microseconds_whole_milliseconds_and_whole_seconds() {
    let client = load(Scenario::Full).await;
    let mut by_grain = BTreeMap::new();
    let all = [columns(&client, true).await, columns(&client, false).await].concat();
    for (table, column, _) in all.iter().filter(|(_, _, data_type)| data_type == "timestamp with time zone") {
        let micros = format!("extract(microseconds from {column})::bigint");
        for (grain, condition) in [
            ("microsecond", format!("{micros} % 1000 <> 0")),
            ("millisecond", format!("{micros} % 1000 = 0 and {micros} % 1000000 <> 0")),
            ("second", format!("{micros} % 1000000 = 0")),
        ] {
            let found = count(&client, &format!("select count(*) from {table} where {condition}")).await;
            *by_grain.entry(grain).or_insert(0) += found;
        }
    }
    assert_eq!(by_grain.len(), 3);
    assert!(by_grain.values().all(|count| *count > 100), "{by_grain:?}");
    let times = "select count(*) from consultant_slots where extract(second from start_time) <> 0";
    assert!(count(&client, times).await > 0);
}

#[tokio::test]
async fn hard_values_are_there() {
    let client = load(Scenario::Full).await;
    for (what, query) in [
        (
            "the same phone in two workspaces",
            "select count(*) from (select phone from contacts group by 1 having count(*) = 2) p",
        ),
        ("JSON null that is not NULL", "select count(*) from ari_destinations where requirements = 'null'"),
        ("JSON null in the other table", "select count(*) from ari_payments where gateway_response = 'null'"),
        ("an empty array", "select count(*) from ari_destinations where programs = '{}'"),
        ("a negative priority", "select count(*) from ari_destinations where priority = -5"),
        ("the smallest integer", "select count(*) from ari_destinations where priority = -2147483648"),
        ("the largest integer", "select count(*) from ari_payments where amount = 2147483647"),
        ("a negative numeric", "select count(*) from ari_ai_comparison where satisfaction_score = -1.25"),
        ("an empty text", "select count(*) from ari_knowledge_entries where content = ''"),
        ("a line separator", "select count(*) from ari_knowledge_entries where strpos(content, chr(8232)) > 0"),
        ("an emoji", "select count(*) from ari_knowledge_entries where strpos(content, chr(127891)) > 0"),
        ("a backslash", "select count(*) from ari_knowledge_entries where strpos(content, chr(92)) > 0"),
        ("a line break", "select count(*) from ari_knowledge_entries where strpos(content, chr(10)) > 0"),
        ("both quotes", "select count(*) from ari_knowledge_entries where content like '%''%\"%'"),
        ("an end at midnight", "select count(*) from consultant_slots where end_time = '24:00'"),
        ("paid appointments", "select count(*) from ari_appointments where payment_id is not null"),
        ("uncategorised entries", "select count(*) from ari_knowledge_entries where category_id is null"),
    ] {
        assert!(count(&client, query).await > 0, "{what}");
    }
    let inexact = "select count(*) from ari_destinations where requirements::text like '%12345678901234567890%'";
    let declared = ari_cms::expected_counts(Scenario::Full)[0].inexact_json;
    assert_eq!(count(&client, inexact).await, i64::try_from(declared).unwrap());
}

#[tokio::test]
async fn rejects_are_the_rows_whose_contact_convex_does_not_know() {
    let client = load(Scenario::Full).await;
    let Parents { contacts, ari_conversations, .. } = ari_cms::parents(Scenario::Full);
    let contacts = list(contacts.iter().map(|contact| contact.supabase_id.as_str()));
    let conversations = list(ari_conversations.iter().map(|conversation| conversation.supabase_id.as_str()));
    for TableCount { table, rejected, .. } in ari_cms::expected_counts(Scenario::Full) {
        let condition = match table {
            "ari_payments" | "ari_appointments" => format!("ari_conversation_id not in ({conversations})"),
            "webinar_registrations" => format!("contact_id not in ({contacts})"),
            _ => continue,
        };
        let actual = count(&client, &format!("select count(*) from {table} where {condition}")).await;
        assert_eq!(actual, i64::try_from(rejected).unwrap(), "{table}");
        assert!(actual > 0, "{table}");
    }
    let elsewhere = format!(
        "select count(*) from contacts missing join contacts other using (phone)
         where missing.id not in ({contacts}) and other.id in ({contacts})"
    );
    assert!(count(&client, &elsewhere).await > 0, "a missing contact's phone is known in another workspace");
    let foreign_payment = "select count(*) from ari_appointments a join ari_payments p on p.id = a.payment_id
        where p.ari_conversation_id <> a.ari_conversation_id";
    assert_eq!(count(&client, foreign_payment).await, 0, "no other row depends on a rejected payment");
    let mixed = "select count(*) from webinar_registrations r join contacts c on c.id = r.contact_id
        join webinars w on w.id = r.webinar_id where c.workspace_id <> r.workspace_id or w.workspace_id <> r.workspace_id";
    assert_eq!(count(&client, mixed).await, 0, "a registration stays within one workspace");
}
