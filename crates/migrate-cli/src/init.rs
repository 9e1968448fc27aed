//! A first migrate.toml for a project that nobody has configured yet.

use std::fmt::Write as _;

use migrate_core::catalog::{Catalog, TableSchema, TableState};
use migrate_core::names::{DEFAULT_SCHEMA, TableName};
use migrate_core::plan::{MigrateConfig, Plan, PlanIssue, SinkRules, build_plan, column_fate, table_entry};

/// The configuration's text, with every default in a comment. A plan can be made of it as it is: a table that cannot be
/// planned without a decision is left out, with the reason and the remedy beside it.
#[must_use]
pub(crate) fn first_config(catalog: &Catalog, schemas: &[String], rules: &SinkRules) -> String {
    let is_readable =
        |table: &&TableSchema| matches!(table.state, TableState::Present | TableState::Empty) && !table.kind.is_view();
    let mut included: Vec<TableName> =
        catalog.tables.iter().filter(is_readable).map(|table| table.name.clone()).collect();
    let mut left_out: Vec<(TableName, PlanIssue)> = Vec::new();
    let plan = loop {
        let entries = included.iter().map(table_entry).collect();
        let config = MigrateConfig { include: Some(entries), ..MigrateConfig::default() };
        match build_plan(&config, catalog, rules) {
            Ok(plan) => break Some(plan),
            Err(issues) => {
                let before = included.len();
                for issue in issues {
                    // An issue is about the table in its path; the last one listed is as good as any where it names none.
                    let place = issue.path.get(1);
                    let is_named = |table: &&TableName| {
                        place.is_some_and(|place| *place == table.to_string() || *place == table_entry(table))
                    };
                    let Some(table) = included.iter().find(is_named).cloned() else { continue };
                    included.retain(|name| *name != table);
                    left_out.push((table, issue));
                }
                if included.len() == before {
                    break None;
                }
            }
        }
    };
    write(catalog, schemas, &included, &left_out, plan.as_ref())
}

fn write(
    catalog: &Catalog,
    schemas: &[String],
    included: &[TableName],
    left_out: &[(TableName, PlanIssue)],
    plan: Option<&Plan>,
) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(
        "#:schema https://raw.githubusercontent.com/supabase-to-convex/supabase-to-convex/main/jsonschemas/migrate.schema.json",
    );
    line(&format!(
        "# What moves from Supabase to Convex, and how. A first version, made from {}.",
        one_line(&catalog.origin)
    ));
    line("# A line that is commented out shows the default, or what could be chosen instead.");
    line("");
    line("# Tables to migrate, by name or by pattern such as \"shop_*\".");
    line("include = [");
    for table in included {
        line(&format!("  {},", quoted(&table_entry(table))));
    }
    for (table, issue) in left_out {
        line(&format!("  # {}: {}", one_line(&table.to_string()), one_line(&issue.message)));
        if let Some(remedy) = &issue.remedy {
            line(&format!("  #   {}", one_line(remedy)));
        }
    }
    for table in catalog.tables.iter().filter(|table| table.state == TableState::Forbidden) {
        line(&format!("  # {}: this key may not read it", one_line(&table.name.to_string())));
    }
    for table in catalog.tables.iter().filter(|table| table.kind.is_view()) {
        line(&format!("  # {}: a view; its rows are stored elsewhere", one_line(&table.name.to_string())));
    }
    line("]");
    line("");
    line("[supabase]");
    let listed: Vec<String> = schemas.iter().map(|schema| quoted(schema)).collect();
    let is_default = matches!(schemas, [only] if only == DEFAULT_SCHEMA);
    line(&format!("{}schemas = [{}]", if is_default { "# " } else { "" }, listed.join(", ")));
    line("");
    line("[convex]");
    line("# functions = \"convex\"            # folder of the project's functions");
    line("# legacy_id_field = \"supabaseId\"  # keeps each row's key in its document");
    line("# legacy_ids = \"field\"            # or \"side_table\": documents stay without that field");
    line("");
    line("[defaults]");
    line("# table_names = \"keep\"       # or \"camel\": order_items becomes orderItems");
    line("# field_names = \"keep\"       # or \"camel\"");
    line("# nulls = \"absent\"           # or \"null\", \"default\", \"reject\"");
    line("# on_missing = \"reject\"      # a parent that is not there: or \"null\", \"skip\", \"fail\"");
    line("# on_unfit = \"reject\"        # a value its type cannot hold: or \"null\"");
    line("# null_elements = \"reject\"   # NULL inside an array: or \"null\"");
    line("# json_keys = \"reject\"       # keys that Convex refuses: or \"escape\", \"text\"");
    line("# indexes = \"all\"            # or \"references\"");
    line("");
    line("# Rules for types, tried in order before the built-in ones:");
    line("# [[types]]");
    line("# from = \"numeric*\"");
    line("# to = \"number\"");
    for table in catalog.tables.iter().filter(|table| included.contains(&table.name)) {
        line("");
        let rows = table.rows.map_or_else(|| "rows not counted".to_owned(), |rows| format!("{rows} rows"));
        line(&format!("[tables.{}] # {rows}", key(&table.name.to_string())));
        for column in &table.columns {
            let null = if column.nullable { ", may be NULL" } else { "" };
            let becomes = plan.map_or_else(String::new, |plan| {
                field_words(plan, table, column.name.as_str()).unwrap_or_else(|| {
                    column_fate(plan, &table.name, &column.name).note.unwrap_or("nowhere").to_owned()
                })
            });
            let named = key(column.name.as_str());
            let source = one_line(&column.source_type.name);
            line(&format!("# columns.{named}: {source}{null} -> {}", one_line(&becomes)));
        }
    }
    text
}

/// What a column becomes, in a few words.
fn field_words(plan: &Plan, table: &TableSchema, column: &str) -> Option<String> {
    let planned = plan.tables.iter().find(|planned| planned.source == table.name)?;
    let field = planned.fields.iter().find(|field| matches!(&*field.columns, [only] if only.as_str() == column))?;
    let mut words = String::new();
    if field.field.as_str() != column {
        let _ = write!(words, "{}: ", field.field);
    }
    let _ = write!(words, "{}", field.field_type);
    if field.optional {
        words.push_str(", optional");
    }
    Some(words)
}

/// A text as a TOML string on one line. JSON's escapes are TOML's, but for the one control character JSON takes as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// A text as a TOML key, bare where it can be.
fn key(text: &str) -> String {
    let is_bare =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { text.to_owned() } else { quoted(text) }
}

/// A text that cannot end a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use migrate_core::catalog::{Column, ForeignKey, ScalarKind, SourceType};
    use migrate_core::names::FieldName;
    use migrate_core::plan::read_config;

    use super::*;

    fn table(name: &str, key: &[&str], columns: &[(&str, ScalarKind)]) -> TableSchema {
        TableSchema {
            state: TableState::Present,
            rows: Some(3),
            primary_key: key.iter().map(|&name| FieldName::from(name)).collect(),
            columns: columns
                .iter()
                .map(|&(name, scalar)| Column::new(name.into(), SourceType::new(format!("{scalar:?}"), scalar)))
                .collect(),
            ..TableSchema::new(name.parse().unwrap())
        }
    }

    #[test]
    fn a_first_configuration_can_be_planned_as_it_is() {
        let mut parents =
            table("Order Items\"]\n", &["id"], &[("id", ScalarKind::Uuid), ("sum\n#", ScalarKind::Numeric)]);
        parents.rows = None;
        let mut chicken = table("chicken", &["id"], &[("id", ScalarKind::Int8), ("egg", ScalarKind::Int8)]);
        let mut egg = table("egg", &["id"], &[("id", ScalarKind::Int8), ("chicken", ScalarKind::Int8)]);
        for (table, column, parent) in [(&mut chicken, "egg", "egg"), (&mut egg, "chicken", "chicken")] {
            table.columns[1].nullable = false;
            table.foreign_keys = vec![ForeignKey::single(column.into(), parent.parse().unwrap(), "id".into())];
        }
        // Signs of a pattern in a name are no pattern: none of these takes another's row, or matches nothing.
        let signs = ["s*", "s[a]", "s{a,b}", "s?", "[", "s\\*", "s\\", "sa"];
        let of_sign = |name: &str| table(name, &["id"], &[("id", ScalarKind::Int8)]);
        let catalog = Catalog {
            version: migrate_core::catalog::CATALOG_VERSION,
            origin: "a test".to_owned(),
            unknown: Vec::new(),
            differences: Vec::new(),
            tables: [vec![parents, chicken, egg], signs.map(of_sign).to_vec()].concat(),
            inventory: Vec::new(),
        };
        let text = first_config(&catalog, &["public".to_owned()], &SinkRules::default());
        let config = read_config("migrate.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let plan =
            build_plan(&config, &catalog, &SinkRules::default()).unwrap_or_else(|issues| panic!("{issues:?}\n{text}"));
        assert_eq!(plan.tables.len(), 2 + signs.len(), "one of a cycle that cannot be cut is left out:\n{text}");
        let entry = table_entry(&"s*".parse().unwrap());
        let only = MigrateConfig { include: Some(vec![entry]), ..MigrateConfig::default() };
        let plan = build_plan(&only, &catalog, &SinkRules::default()).unwrap_or_else(|issues| panic!("{issues:?}"));
        assert!(plan.tables.iter().map(|table| table.source.name()).eq(["s*"]), "{plan:?}");
        assert!(text.contains("form a cycle"), "{text}");
    }
}
