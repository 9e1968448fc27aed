//! A plan as a text to read, with all that it decides.

use std::fmt::Write as _;

use migrate_core::Plan;
use migrate_core::names::FieldName;
use migrate_core::plan::{AdoptedTable, Conversion, FieldType, PlanField, PlanIndex, PlanTable};
use serde::Serialize;

/// All tables in their order, then what was cut off or noted.
pub(super) fn of(plan: &Plan) -> String {
    let mut text = String::new();
    for table in &plan.tables {
        migrated(&mut text, table);
    }
    for table in &plan.adopted {
        adopted(&mut text, table);
    }
    for absent in &plan.absent {
        let _ = writeln!(text, "absent: {}, {}\n", absent.table, word(&absent.state));
    }
    section(&mut text, "", "notes", &plan.notes);
    text
}

fn migrated(text: &mut String, table: &PlanTable) {
    let _ = writeln!(text, "{} -> {}, level {}", table.source, table.sink, table.level);
    let _ = writeln!(text, "  key: {}", list(&table.key));
    for key in &table.alternate_keys {
        let _ = writeln!(text, "  referred to by: {}", list(key));
    }
    for (what, value) in [("filter", &table.filter), ("comment", &table.comment)] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {what}: {value:?}");
        }
    }
    if !table.dropped.is_empty() {
        let _ = writeln!(text, "  dropped: {}", list(&table.dropped));
    }
    fields(text, &table.fields);
    fields(text, table.creation_time.as_slice());
    indexes(text, &table.indexes);
    section(text, "  ", "not enforced", &table.not_enforced);
    section(text, "  ", "index hints", &table.index_hints);
    text.push('\n');
}

fn adopted(text: &mut String, table: &AdoptedTable) {
    let natural: Vec<FieldName> = table.natural_key.iter().map(|field| field.field.clone()).collect();
    let _ = writeln!(text, "{} -> {}, adopted", table.source, table.sink);
    let _ = writeln!(text, "  key: {}", list(&table.key));
    let _ = writeln!(text, "  found by: {} ({})", table.index, list(&natural));
    fields(text, &table.fields);
    indexes(text, &table.indexes);
    text.push('\n');
}

fn fields(text: &mut String, fields: &[PlanField]) {
    for field in fields {
        let from = if field.columns.is_empty() { String::new() } else { format!(" <- {}", list(&field.columns)) };
        let may_lack = if field.optional { ", optional" } else { "" };
        let may_be_null = if field.nullable { ", nullable" } else { "" };
        let _ = writeln!(
            text,
            "  {}: {}{may_lack}{may_be_null}{from} ({})",
            field.field,
            type_text(&field.field_type),
            field.source_type.name
        );
        let _ = writeln!(text, "      {}; {}", field.rule, conversion(&field.conversion));
        if let Some(comment) = &field.comment {
            let _ = writeln!(text, "      comment: {comment:?}");
        }
    }
}

fn indexes(text: &mut String, indexes: &[PlanIndex]) {
    let lines: Vec<String> = indexes.iter().map(|index| format!("{} ({})", index.name, list(&index.fields))).collect();
    section(text, "  ", "indexes", &lines);
}

fn section(text: &mut String, margin: &str, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "{margin}{title}:");
    }
    for line in lines {
        // A line that holds a break would not be one line in a terminal either: it is shown as it is.
        let _ = writeln!(text, "{margin}  - {line}");
    }
}

fn type_text(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Literals(texts) => texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" | "),
        FieldType::Array(inner) => format!("array of ({})", type_text(inner)),
        FieldType::Nullable(inner) => format!("{} | null", type_text(inner)),
        other => other.to_string(),
    }
}

fn conversion(conversion: &Conversion) -> String {
    match conversion {
        Conversion::Value { cast, nulls, values, on_unfit } => {
            let mut text = format!("cast {}, NULL {}", word(cast), word(nulls));
            if !values.is_empty() {
                let _ = write!(text, ", values {values:?}");
            }
            if word(on_unfit) != "reject" {
                let _ = write!(text, ", unfit {}", word(on_unfit));
            }
            text
        }
        Conversion::Reference(reference) => {
            let mut text = "reference".to_owned();
            for (position, parent) in reference.parents.iter().enumerate() {
                let when = parent.when.as_ref().map_or_else(String::new, |when| format!(" when {when:?}"));
                let _ = write!(text, "{} {}{when}", if position == 0 { "" } else { " or" }, parent.to);
            }
            if let Some(by) = &reference.discriminator {
                let _ = write!(text, ", by {by}");
            }
            let list = if reference.list { ", each element" } else { "" };
            let cut = if reference.cut { ", second pass" } else { "" };
            let _ = write!(text, "{list}, missing {}{cut}", word(&reference.on_missing));
            text
        }
        Conversion::Computed { expression, nulls } => format!("expression {expression:?}, NULL {}", word(nulls)),
        Conversion::Constant(value) => format!("constant {value}"),
    }
}

/// A value of the plan as its file has it.
fn word<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).unwrap();
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn list(names: &[FieldName]) -> String {
    names.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ")
}
