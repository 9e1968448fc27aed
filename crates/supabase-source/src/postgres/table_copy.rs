//! What a COPY of some columns of a table asks for, and how its bytes are read: prepared once, shared by its pages.

use std::collections::BTreeSet;

use migrate_core::Result;
use migrate_core::catalog::{PLACE, ScalarKind, SourceType, TableKind, TableSchema};
use migrate_core::names::FieldName;
use tokio_postgres::types::{Kind, Type};

use super::address::Address;
use super::binary::Form;
use super::errors::table_error;
use super::snapshot::Reader;
use super::statement::{column, quoted, relation};
use crate::table_read::TableRead;

/// A prepared COPY.
#[derive(Debug)]
pub(super) struct TableCopy {
    /// The records' shape and the key, as for a read through the data API.
    pub(super) read: TableRead,
    /// How each of its columns is read.
    pub(super) forms: Vec<Form>,
    /// Types of the key's columns, as a cast names them.
    pub(super) key_types: Vec<String>,
    /// The columns, as a `select` names them.
    pub(super) select: String,
    /// The table, as a `from` names it.
    pub(super) from: String,
    /// Where operators are found: an extension's types compare by their own, which are in the extension's schema.
    search_path: String,
    /// Whether rows have a place to sample by.
    pub(super) is_stored: bool,
}

impl TableCopy {
    /// Prepares to copy `columns`, in that order, of a table by `key`, which is among them.
    ///
    /// # Errors
    /// As [`TableRead::new`]; `TableMissing`, `Forbidden` or `Config` where the server does not have them.
    pub(super) async fn prepare(
        table: &TableSchema,
        columns: &[FieldName],
        key: &[FieldName],
        reader: &Reader,
        address: &Address,
    ) -> Result<Self> {
        let read = TableRead::new(table, columns, key)?;
        let mut names: Vec<FieldName> = columns.to_vec();
        if read.columns.len() > names.len() {
            names.push(FieldName::from(migrate_core::catalog::PLACE_TABLE));
        }
        let from = format!("{} t", relation(&table.name));
        let plain: Vec<String> = names.iter().map(column).collect();
        let described = reader.client.prepare(&format!("select {} from {from}", plain.join(", "))).await;
        let described = described.map_err(|error| table_error(&error, "prepare to read", &table.name, address))?;
        let types: Vec<&Type> = described.columns().iter().map(tokio_postgres::Column::type_).collect();
        let mut select = Vec::with_capacity(names.len());
        let mut forms = Vec::with_capacity(names.len());
        for ((name, read), wire) in plain.into_iter().zip(&read.columns).zip(&types) {
            let (selected, form) = form(name, &read.source_type, wire);
            select.push(selected);
            forms.push(form);
        }
        let cast_to = |wire: &Type| format!("{}.{}", quoted(wire.schema()), quoted(wire.name()));
        let of_key = |at: &usize| types.get(*at).map(|wire| cast_to(wire));
        let schemas: BTreeSet<&str> = types.iter().map(|wire| wire.schema()).collect();
        let path = [table.name.schema(), "public", "extensions"].into_iter().chain(schemas);
        Ok(Self {
            key_types: read.shape.key.iter().filter_map(of_key).collect(),
            select: select.join(", "),
            from,
            search_path: path.map(quoted).collect::<Vec<_>>().join(", "),
            is_stored: matches!(table.kind, TableKind::Table | TableKind::Partitioned | TableKind::MaterializedView),
            forms,
            read,
        })
    }

    /// What a transaction sets before it reads the table.
    ///
    /// A table without a key is read in the order it is stored in, which only a scan of the whole of it, or of a range of
    /// places, keeps.
    pub(super) fn settings(&self) -> String {
        let by_index = if self.is_in_place_order() { "off" } else { "on" };
        let workers = if self.is_in_place_order() { "0" } else { "default" };
        format!(
            "set local search_path = {}; set local enable_indexscan = {by_index}; set local enable_indexonlyscan = \
             {by_index}; set local enable_bitmapscan = {by_index}; set local max_parallel_workers_per_gather = {workers}",
            self.search_path
        )
    }

    /// Whether rows come as they are stored, unsorted.
    pub(super) fn is_in_place_order(&self) -> bool {
        self.read.by_place && matches!(self.read.key.as_slice(), [only] if only.as_str() == PLACE)
    }
}

/// How a column is selected, and how its bytes are read: [`Value`](migrate_core::value::Value)s are those that the data
/// API's answers become.
///
/// Types are read in their binary form where it is one of the table below. All others are few or have forms of their
/// own, such as `real`, whose JSON is a shorter number than its double, `money`, `interval`, ranges, composites and
/// extensions' types: the server writes them as JSON.
fn form(name: String, source_type: &SourceType, wire: &Type) -> (String, Form) {
    let (kind, is_array) = (source_type.scalar, source_type.array);
    let found = match wire.kind() {
        // An element of an array of JSON cannot be told from a further dimension in an answer.
        Kind::Array(element) if is_array && kind != ScalarKind::Json => {
            scalar(kind, element).map(|form| Form::Array(Box::new(form)))
        }
        _ if !is_array => scalar(kind, wire),
        _ => None,
    };
    match (found, kind) {
        (Some(form), _) => (name, form),
        (None, ScalarKind::Json) if !is_array => (format!("{name}::text"), Form::Json),
        (None, ScalarKind::Geometry) if !is_array => (format!("{name}::text"), Form::Text),
        (None, _) => (format!("pg_catalog.to_json({name})"), Form::AsJson(source_type.clone())),
    }
}

/// The binary form of a type, where the catalog says the same of it.
fn scalar(kind: ScalarKind, wire: &Type) -> Option<Form> {
    let known = [
        (ScalarKind::Bool, Type::BOOL, Form::Bool),
        (ScalarKind::Int4, Type::INT2, Form::Int2),
        (ScalarKind::Int4, Type::INT4, Form::Int4),
        (ScalarKind::Int8, Type::INT8, Form::Int8),
        (ScalarKind::Float8, Type::FLOAT8, Form::Float8),
        (ScalarKind::Numeric, Type::NUMERIC, Form::Numeric),
        (ScalarKind::Text, Type::TEXT, Form::Text),
        (ScalarKind::Text, Type::VARCHAR, Form::Text),
        (ScalarKind::Text, Type::BPCHAR, Form::Text),
        (ScalarKind::Text, Type::NAME, Form::Text),
        (ScalarKind::Uuid, Type::UUID, Form::Uuid),
        (ScalarKind::Json, Type::JSON, Form::Json),
        (ScalarKind::Json, Type::JSONB, Form::Jsonb),
        (ScalarKind::Bytes, Type::BYTEA, Form::Bytes),
        (ScalarKind::TimestampTz, Type::TIMESTAMPTZ, Form::TimestampTz),
        (ScalarKind::Timestamp, Type::TIMESTAMP, Form::Timestamp),
        (ScalarKind::Date, Type::DATE, Form::Date),
        (ScalarKind::Time, Type::TIME, Form::Time),
        (ScalarKind::TimeTz, Type::TIMETZ, Form::TimeTz),
    ];
    let form = known.into_iter().find(|(of, known, _)| *of == kind && known == wire).map(|(.., form)| form);
    // Of a type that the project or an extension made: their bytes are their texts.
    let is_text = match (kind, wire.kind()) {
        (ScalarKind::Enum, Kind::Enum(_)) => true,
        (ScalarKind::Text, Kind::Simple) => wire.name() == "citext",
        _ => false,
    };
    form.or(is_text.then_some(Form::Text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_type::source_type;

    fn of(format: &str, wire: &Type) -> (String, Form) {
        form("t.\"x\"".to_owned(), &source_type(format, Vec::new()), wire)
    }

    #[test]
    fn types_without_a_form_come_as_json() {
        assert_eq!(of("bigint", &Type::INT8).1, Form::Int8);
        assert_eq!(of("numeric[]", &Type::NUMERIC_ARRAY).1, Form::Array(Box::new(Form::Numeric)));
        for (format, wire) in [
            ("real", Type::FLOAT4),
            ("interval", Type::INTERVAL),
            ("jsonb[]", Type::JSONB_ARRAY),
            ("int4range", Type::INT4_RANGE),
        ] {
            let (selected, form) = of(format, &wire);
            assert_eq!(selected, "pg_catalog.to_json(t.\"x\")", "{format}");
            assert!(matches!(form, Form::AsJson(_)), "{format}");
        }
        // The catalog and the server say otherwise: the value is read, and refused, as the data API's is.
        assert!(matches!(of("integer", &Type::TEXT).1, Form::AsJson(_)));
        assert!(matches!(of("text", &Type::TEXT_ARRAY).1, Form::AsJson(_)));
    }

    #[test]
    fn json_keeps_its_text() {
        assert_eq!(of("jsonb", &Type::JSONB), ("t.\"x\"".to_owned(), Form::Jsonb));
        assert_eq!(of("json", &Type::TEXT), ("t.\"x\"::text".to_owned(), Form::Json));
    }
}
