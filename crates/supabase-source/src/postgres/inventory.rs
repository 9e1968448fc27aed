//! What rows leave behind: security, code, jobs, files and users.

use migrate_core::catalog::{InventoryItem, InventoryKind};
use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind, Result};
use tokio_postgres::Row;

use super::PostgresSettings;
use super::read::{Reader, get, relation_of};
use super::relations::{Forced, Relation};
use super::sql;
use crate::errors::identifier;

/// Bits of `pg_trigger.tgtype` (`catalog/pg_trigger.h`).
const ROW: i32 = 1;
const BEFORE: i32 = 1 << 1;
const EVENTS: &[(i32, &str)] = &[(1 << 2, "insert"), (1 << 3, "delete"), (1 << 4, "update"), (1 << 5, "truncate")];
const INSTEAD: i32 = 1 << 6;

/// The inventory, sorted; what this role may not read is added to `unknown`.
pub(super) async fn read(
    reader: &mut Reader<'_>,
    relations: &[Relation],
    settings: &PostgresSettings,
    role: &str,
    unknown: &mut Vec<String>,
) -> Result<Vec<InventoryItem>> {
    let mut items = Vec::new();
    for relation in relations {
        let table = &relation.table;
        if let Some(Forced(forced)) = relation.security {
            let detail = forced.then(|| "forced: it holds for the table's owner too".to_owned());
            items.push(InventoryItem { detail, ..item(InventoryKind::RowLevelSecurity, table.name.to_string()) });
        }
        if table.kind.is_view() && !settings.expected_tables.contains(&table.name) {
            let detail = relation.definition.as_deref().map(|text| text.trim().to_owned());
            items.push(InventoryItem { detail, ..item(InventoryKind::View, table.name.to_string()) });
        }
    }
    add(&mut items, &reader.in_scope(sql::POLICIES).await?, policy)?;
    add(&mut items, &reader.in_scope(sql::TRIGGERS).await?, trigger)?;
    add(&mut items, &reader.in_schemas(sql::FUNCTIONS).await?, function)?;
    add(&mut items, &reader.rows(sql::EXTENSIONS, &[]).await?, extension)?;
    add(&mut items, &reader.rows(sql::REALTIME, &[]).await?, published)?;
    for own in reader.rows(sql::OWN_TABLES, &[]).await? {
        let name: String = get(&own, "name")?;
        let (what, statement, read): (_, _, fn(&Row) -> Result<InventoryItem>) = match name.as_str() {
            "cron.job" => ("jobs of pg_cron", sql::CRON_JOBS, cron_job),
            "storage.buckets" => ("buckets of files", sql::BUCKETS, bucket),
            _ => ("the users of Supabase Auth", sql::USERS, users),
        };
        if !get::<bool>(&own, "readable")? {
            let (schema, _) = name.split_once('.').unwrap_or_default();
            let role = identifier(role);
            unknown.push(format!(
                "{what}: the role {role} may not read {name}; connect as the owner, or run: grant usage on schema {schema} \
                 to {role}; grant select on {name} to {role};"
            ));
            continue;
        }
        if get(&own, "hidden")? {
            unknown.push(format!(
                "{what}: row-level security may hide rows of {name} from the role {role}; connect as one that bypasses it"
            ));
        }
        match reader.attempt(statement).await {
            Ok(rows) => add(&mut items, &rows, read)?,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => unknown.push(format!("{what}: {name} could not be read ({})", error.code())),
        }
    }
    items.sort();
    Ok(items)
}

fn add(items: &mut Vec<InventoryItem>, rows: &[Row], read: fn(&Row) -> Result<InventoryItem>) -> Result<()> {
    for row in rows {
        items.push(read(row)?);
    }
    Ok(())
}

fn item(kind: InventoryKind, name: String) -> InventoryItem {
    InventoryItem { kind, name, detail: None }
}

fn policy(row: &Row) -> Result<InventoryItem> {
    let command = match get::<&str>(row, "command")? {
        "r" => "select",
        "a" => "insert",
        "w" => "update",
        "d" => "delete",
        _ => "all",
    };
    let roles: Vec<String> = get(row, "roles")?;
    let restrictive = if get(row, "is_permissive")? { "" } else { "restrictive " };
    let condition = |words: &str, column: &str| {
        let condition: Option<&str> = get(row, column)?;
        Ok::<_, Error>(condition.map_or_else(String::new, |condition| format!(" {words} ({condition})")))
    };
    let (using, check) = (condition("using", "condition")?, condition("with check", "write_condition")?);
    let detail = format!("{restrictive}for {command} to {}{using}{check}", roles.join(", "));
    let name = format!("{}.{}", relation_of(row)?, get::<&str>(row, "name")?);
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::Policy, name) })
}

fn trigger(row: &Row) -> Result<InventoryItem> {
    let kind: i32 = get(row, "type")?;
    let moment = match kind {
        _ if kind & INSTEAD != 0 => "instead of",
        _ if kind & BEFORE != 0 => "before",
        _ => "after",
    };
    let events: Vec<&str> = EVENTS.iter().filter(|(bit, _)| kind & bit != 0).map(|&(_, event)| event).collect();
    let each = if kind & ROW != 0 { "row" } else { "statement" };
    let disabled = if get(row, "is_disabled")? { ", disabled" } else { "" };
    let function: &str = get(row, "function")?;
    let detail = format!("{moment} {} for each {each}: {function}{disabled}", events.join(" or "));
    let name = format!("{}.{}", relation_of(row)?, get::<&str>(row, "name")?);
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::Trigger, name) })
}

fn function(row: &Row) -> Result<InventoryItem> {
    let (schema, name, arguments): (&str, &str, &str) =
        (get(row, "schema")?, get(row, "name")?, get(row, "arguments")?);
    let what = match get::<Option<&str>>(row, "result")? {
        Some(result) if get::<&str>(row, "kind")? == "f" => format!("returns {result}"),
        _ => "procedure".to_owned(),
    };
    let definer = if get(row, "is_definer")? { ", security definer" } else { "" };
    let detail = format!("{what}, in {}{definer}", get::<&str>(row, "language")?);
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::Function, format!("{schema}.{name}({arguments})")) })
}

fn extension(row: &Row) -> Result<InventoryItem> {
    let (version, schema): (&str, &str) = (get(row, "version")?, get(row, "schema")?);
    let detail = format!("version {version}, in schema {schema}");
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::Extension, get(row, "name")?) })
}

fn published(row: &Row) -> Result<InventoryItem> {
    let table = TableName::new(get(row, "schema")?, get(row, "name")?)?;
    Ok(item(InventoryKind::Realtime, table.to_string()))
}

fn cron_job(row: &Row) -> Result<InventoryItem> {
    let disabled = if get::<bool>(row, "is_active")? { "" } else { ", not active" };
    let detail = format!("{}{disabled}", get::<&str>(row, "schedule")?);
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::CronJob, get(row, "name")?) })
}

fn bucket(row: &Row) -> Result<InventoryItem> {
    let detail = match get::<Option<bool>>(row, "is_public")? {
        Some(true) => "public",
        _ => "private",
    };
    Ok(InventoryItem { detail: Some(detail.to_owned()), ..item(InventoryKind::StorageBucket, get(row, "name")?) })
}

fn users(row: &Row) -> Result<InventoryItem> {
    let detail = match get::<i64>(row, "users")? {
        1 => "1 user".to_owned(),
        users => format!("{users} users"),
    };
    Ok(InventoryItem { detail: Some(detail), ..item(InventoryKind::AuthUsers, "auth.users".to_owned()) })
}
