//! The OpenAPI document at the root of the data API, as tables.
//!
//! It is Swagger 2.0; `definitions` holds tables and views of one schema alike (PostgREST `OpenAPI.hs`).

use migrate_core::catalog::{Column, ForeignKey, ScalarKind, TableSchema, TableState};
use migrate_core::names::{FieldName, TableName};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::source_type::source_type;

/// What the document cannot tell, for [`migrate_core::catalog::Catalog::unknown`].
pub(crate) const NOT_IN_OPENAPI: &[&str] = &[
    "unique keys beside the primary key",
    "references of several columns, to another schema such as auth.users, and by a unique column (one to one)",
    "checks",
    "generated and identity columns",
    "digits of numbers, dimensions of arrays, names of domains, fields of composite types",
    "materialised views, foreign and partitioned tables apart from tables",
    "the order of the columns in a primary key of several; theirs in the table is used",
    "indexes",
    "what rows leave behind: policies, triggers, functions, jobs, files and users",
];

/// The part of the document that is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    info: Info,
    #[serde(default)]
    definitions: Map<String, Json>,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    version: String,
}

#[derive(Debug, Deserialize)]
struct Definition {
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    properties: Map<String, Json>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Property {
    format: Option<String>,
    #[serde(rename = "enum", default)]
    labels: Vec<Json>,
    #[serde(default, deserialize_with = "present")]
    default: Option<Json>,
    description: Option<String>,
}

/// Keeps a default of `null` apart from no default.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl Document {
    /// `PostgREST 12.0.2 (OpenAPI)`; the build's commit that may follow the version is left out.
    pub(crate) fn origin(&self) -> String {
        format!("PostgREST {} (OpenAPI)", self.version().unwrap_or("of unknown version"))
    }

    /// PostgREST's version.
    pub(crate) fn version(&self) -> Option<&str> {
        self.info.version.split_whitespace().next()
    }

    /// The tables and views of `schema`, by name; `rows` and `state` are not known yet.
    ///
    /// # Errors
    /// The name of the first definition that is not in the form of the document.
    pub(crate) fn tables(&self, schema: &str) -> Result<Vec<TableSchema>, String> {
        let mut tables = Vec::with_capacity(self.definitions.len());
        for (name, definition) in &self.definitions {
            tables.push(table(schema, name, definition).ok_or_else(|| name.clone())?);
        }
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tables)
    }
}

fn table(schema: &str, name: &str, definition: &Json) -> Option<TableSchema> {
    let definition = Definition::deserialize(definition).ok()?;
    let mut table = TableSchema {
        state: TableState::Present,
        columns: Vec::with_capacity(definition.properties.len()),
        comment: definition.description.filter(|comment| !comment.is_empty()),
        ..TableSchema::new(TableName::new(schema, name).ok()?)
    };
    for (name, property) in &definition.properties {
        let property = Property::deserialize(property).ok()?;
        let field = FieldName::from(name.as_str());
        let labels = property.labels.iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let source_type = source_type(property.format.as_deref().unwrap_or_default(), labels);
        let note = Note::of(property.description.as_deref().unwrap_or_default());
        if note.primary_key {
            table.primary_key.push(field.clone());
        }
        if let Some((parent, column)) = note.reference {
            let parent = TableName::new(schema, parent).ok()?;
            table.foreign_keys.push(ForeignKey::single(field.clone(), parent, FieldName::from(column)));
        }
        let (default, default_expression) = match property.default {
            Some(default) => constant_or_expression(default, source_type.scalar),
            None => (None, None),
        };
        table.columns.push(Column {
            nullable: !definition.required.contains(name),
            default,
            default_expression,
            comment: note.comment,
            ..Column::new(field, source_type)
        });
    }
    Some(table)
}

/// A column's description taken apart: the comment, then `Note:` with `<pk/>` and `<fk table='…' column='…'/>`.
#[derive(Debug, Default, PartialEq)]
struct Note<'a> {
    comment: Option<String>,
    primary_key: bool,
    reference: Option<(&'a str, &'a str)>,
}

impl<'a> Note<'a> {
    fn of(description: &'a str) -> Self {
        let start = description.rfind("Note:\nThis is a ");
        let (comment, note) = match start.and_then(|start| description.split_at_checked(start)) {
            Some((comment, note)) => (comment.trim_end_matches('\n'), note),
            None => (description, ""),
        };
        let tag = note.find("<fk table='").and_then(|start| note.get(start + "<fk table='".len()..));
        let tag = tag.and_then(|tag| tag.strip_suffix("'/>"));
        Self {
            comment: Some(comment.to_owned()).filter(|comment| !comment.is_empty()),
            primary_key: note.contains("<pk/>"),
            reference: tag.and_then(|tag| tag.split_once("' column='")),
        }
    }
}

/// A default as a constant or as an SQL expression.
///
/// The server keeps an expression that is valid JSON, and for types it shows as strings puts any expression between
/// quotes, having taken a literal's own quotes and cast away where the cast spells the column's type (`parseDefault`).
fn constant_or_expression(default: Json, scalar: ScalarKind) -> (Option<Json>, Option<String>) {
    let Json::String(text) = default else { return (Some(default), None) };
    if text == "NULL" || text.starts_with("NULL::") {
        return (None, None);
    }
    let cast_literal = text.strip_prefix('\'').and_then(|rest| rest.rsplit_once("'::"));
    if let Some((literal, cast)) = cast_literal
        && !cast.contains(['\'', '(', ')', '|', '+'])
    {
        return (Some(Json::String(literal.replace("''", "'"))), None);
    }
    if is_expression(&text, scalar) {
        return (None, Some(text));
    }
    (Some(Json::String(text.replace("''", "'"))), None)
}

/// Texts of enum columns are never taken for expressions; a text column's default `now()` is, as the text `'now()'`
/// cannot be told from it.
fn is_expression(text: &str, scalar: ScalarKind) -> bool {
    const KEYWORDS: &[&str] = &["CURRENT_", "LOCALTIME", "SESSION_USER", "USER"];
    if scalar == ScalarKind::Enum {
        return text.contains("::");
    }
    let call = text.split_once('(').is_some_and(|(name, _)| {
        let name_like = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.' | '"');
        text.contains(')') && name.chars().all(name_like)
    });
    call || text.contains("::") || KEYWORDS.iter().any(|keyword| text.starts_with(keyword))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        serde_json::from_value(json!({
            "swagger": "2.0",
            "info": { "version": "12.0.2 (a4e00ff)", "title": "shop" },
            "definitions": {
                "payments": {
                    "description": "What was paid",
                    "required": ["id", "status"],
                    "type": "object",
                    "properties": {
                        "id": { "format": "bigint", "type": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" },
                        "customer": {
                            "format": "uuid", "type": "string",
                            "description": "who paid\n\nNote:\nThis is a Foreign Key to `customers.id`.<fk table='customers' column='id'/>"
                        },
                        "status": { "format": "public.status", "type": "string", "enum": ["open", "paid"], "default": "open" },
                        "paid_at": { "format": "timestamp with time zone", "type": "string", "default": "now()" },
                        "amount": { "format": "numeric", "type": "number", "default": 0 },
                        "tags": { "format": "text[]", "type": "array", "items": { "type": "string" } },
                        "meta": { "format": "jsonb" }
                    }
                },
                "customers": { "properties": { "id": { "format": "uuid", "description": "Note:\nThis is a Primary Key.<pk/>" } } }
            }
        }))
        .unwrap()
    }

    #[test]
    fn reads_columns_keys_references_and_comments() {
        let document = document();
        assert_eq!(document.origin(), "PostgREST 12.0.2 (OpenAPI)");
        let tables = document.tables("public").unwrap();
        assert_eq!(tables.iter().map(|table| table.name.to_string()).collect::<Vec<_>>(), ["customers", "payments"]);
        let payments = tables.last().unwrap();
        assert_eq!(payments.comment.as_deref(), Some("What was paid"));
        assert_eq!(payments.primary_key, [FieldName::from("id")]);
        let reference = payments.foreign_keys.first().unwrap();
        assert_eq!(
            (reference.parent.name(), reference.parent_columns.as_slice()),
            ("customers", [FieldName::from("id")].as_slice())
        );
        let customer = payments.column("customer").unwrap();
        assert_eq!((customer.comment.as_deref(), customer.nullable), (Some("who paid"), true));
        assert!(!payments.column("id").unwrap().nullable);
        assert_eq!(payments.column("id").unwrap().comment, None);
        assert_eq!(payments.column("status").unwrap().source_type.labels, ["open", "paid"]);
        assert_eq!(payments.column("status").unwrap().default, Some(json!("open")));
        assert_eq!(payments.column("paid_at").unwrap().default_expression.as_deref(), Some("now()"));
        assert_eq!(payments.column("amount").unwrap().default, Some(json!(0)));
        assert!(payments.column("tags").unwrap().source_type.array);
        assert_eq!(payments.column("meta").unwrap().source_type.scalar, ScalarKind::Json);
        assert_eq!(payments.columns.first().unwrap().name.as_str(), "id", "columns keep their order");
    }

    #[test]
    fn a_note_may_hold_both_marks_and_a_comment_may_speak_of_notes() {
        let both = "Note:\nThis is a Primary Key.<pk/>\nThis is a Foreign Key to `a.b`.<fk table='a' column='b'/>";
        assert_eq!(Note::of(both), Note { comment: None, primary_key: true, reference: Some(("a", "b")) });
        let comment = "Note:\nkeep it";
        assert_eq!(Note::of(comment), Note { comment: Some(comment.to_owned()), ..Note::default() });
    }

    #[test]
    fn defaults_are_constants_or_expressions() {
        let of = |text: &str, scalar| constant_or_expression(json!(text), scalar);
        let constant = |value: Json| (Some(value), None);
        let expression = |text: &str| (None, Some(text.to_owned()));
        assert_eq!(of("it''s", ScalarKind::Text), constant(json!("it's")));
        assert_eq!(of("'draft'::status", ScalarKind::Enum), constant(json!("draft")));
        assert_eq!(of("extensions.gen_random_uuid()", ScalarKind::Uuid), expression("extensions.gen_random_uuid()"));
        assert_eq!(of("('now'::text)::date", ScalarKind::Date), expression("('now'::text)::date"));
        assert_eq!(of("CURRENT_DATE", ScalarKind::Date), expression("CURRENT_DATE"));
        assert_eq!(of("2024-01-01", ScalarKind::Date), constant(json!("2024-01-01")));
        assert_eq!(of("pending (new)", ScalarKind::Enum), constant(json!("pending (new)")));
        assert_eq!(of("NULL::character varying", ScalarKind::Text), (None, None));
        assert_eq!(constant_or_expression(json!(false), ScalarKind::Bool), constant(json!(false)));
    }
}
