//! What a read of some columns of a table asks for and hands out: prepared once, shared by its pages.

use std::sync::Arc;

use migrate_core::catalog::{ScalarKind, SourceType, TableSchema};
use migrate_core::names::FieldName;
use migrate_core::record::RecordShape;
use migrate_core::{Error, ErrorKind, Result};

use crate::query::quote;

/// A prepared read.
#[derive(Debug)]
pub(crate) struct TableRead {
    /// The records' shape. Its key holds the positions of the primary key's columns, in key order.
    pub(crate) shape: Arc<RecordShape>,
    /// The columns, aligned with the shape's fields.
    pub(crate) columns: Vec<ColumnRead>,
    /// The primary key's columns, in key order.
    pub(crate) key: Vec<FieldName>,
    /// Their types.
    pub(crate) key_types: Vec<SourceType>,
    /// The `select` parameter.
    pub(crate) select: String,
}

/// How one column is read.
#[derive(Debug)]
pub(crate) struct ColumnRead {
    /// Its name in the answer.
    pub(crate) answered_as: String,
    /// Its type as discovered.
    pub(crate) source_type: SourceType,
}

impl TableRead {
    /// Prepares to read `columns`, in that order, of a table with a primary key that is among them.
    ///
    /// # Errors
    /// `Config` naming the table and the column that it lacks, or a table without a primary key.
    pub(crate) fn new(table: &TableSchema, columns: &[FieldName]) -> Result<Self> {
        let config = |message: String| Error::new(ErrorKind::Config, message).with_context("table", &table.name);
        let type_of = |name: &FieldName| {
            table.column(name.as_str()).map(|column| column.source_type.clone()).ok_or_else(|| {
                config(format!("read the column {name}, which the table does not have"))
                    .with_remedy("the schema may have changed: run migrate-discover again")
            })
        };
        if table.primary_key.is_empty() {
            return Err(config("read a table without a primary key".to_owned())
                .with_remedy("add a primary key to the table, or leave it out of the plan"));
        }
        let position = |field: &FieldName| {
            columns.iter().position(|column| column == field).ok_or_else(|| {
                config(format!("read the table without its key column {field}")).with_remedy("read the key columns too")
            })
        };
        let key = table.primary_key.iter().map(position).collect::<Result<Vec<_>>>()?;
        let mut reads = Vec::with_capacity(columns.len());
        let mut selects = Vec::with_capacity(columns.len());
        for (index, name) in columns.iter().enumerate() {
            let source_type = type_of(name)?;
            let quoted = quote(name.as_str());
            // jsonb `null` and SQL NULL look the same in an answer, and only as text do numbers keep their spelling.
            // A geometry's GeoJSON would lose its reference system; as text it is hex EWKB.
            // A key column is never cast: its text goes back into filters.
            let as_text = matches!(source_type.scalar, ScalarKind::Json | ScalarKind::Geometry);
            let cast = as_text && !source_type.array && !key.contains(&index);
            let answered_as = if cast { alias(index, table, columns) } else { name.to_string() };
            selects.push(if cast { format!("{}:{quoted}::text", quote(&answered_as)) } else { quoted });
            reads.push(ColumnRead { answered_as, source_type });
        }
        Ok(Self {
            shape: Arc::new(RecordShape { table: table.name.clone(), fields: columns.to_vec(), key }),
            columns: reads,
            key_types: table.primary_key.iter().map(type_of).collect::<Result<_>>()?,
            key: table.primary_key.clone(),
            select: selects.join(","),
        })
    }
}

/// A name for a cast column that no column of the table and no requested one has.
fn alias(index: usize, table: &TableSchema, columns: &[FieldName]) -> String {
    let mut alias = format!("json_text_{index}");
    while table.column(&alias).is_some() || columns.iter().any(|column| column.as_str() == alias) {
        alias.push('_');
    }
    alias
}

#[cfg(test)]
pub(crate) mod tests {
    use migrate_core::catalog::{Column, TableState};

    use super::*;
    use crate::source_type::source_type;

    /// A table of columns with their formats; the first `key` of them are its primary key.
    pub(crate) fn table(key: usize, columns: &[(&str, &str)]) -> TableSchema {
        let columns: Vec<Column> = columns
            .iter()
            .map(|(name, format)| Column::new(FieldName::from(*name), source_type(format, Vec::new())))
            .collect();
        TableSchema {
            state: TableState::Present,
            primary_key: columns.iter().take(key).map(|column| column.name.clone()).collect(),
            columns,
            ..TableSchema::new("payments".parse().unwrap())
        }
    }

    pub(crate) fn fields(names: &[&str]) -> Vec<FieldName> {
        names.iter().copied().map(FieldName::from).collect()
    }

    #[test]
    fn json_is_selected_as_text_under_a_name_of_its_own() {
        let table = table(
            1,
            &[("id", "uuid"), ("say \"x\"", "text"), ("meta", "jsonb"), ("json_text_2", "text"), ("all", "jsonb[]")],
        );
        let read = TableRead::new(&table, &fields(&["id", "say \"x\"", "meta", "all"])).unwrap();
        assert_eq!(read.select, r#""id","say \"x\"","json_text_2_":"meta"::text,"all""#);
        assert_eq!(read.columns[2].answered_as, "json_text_2_");
        assert_eq!(read.shape.key, [0]);
    }

    #[test]
    fn key_columns_are_never_cast() {
        let read = TableRead::new(&table(1, &[("id", "jsonb")]), &fields(&["id"])).unwrap();
        assert_eq!(read.select, "\"id\"");
    }

    #[test]
    fn keys_and_columns_must_be_there() {
        let keyed = table(2, &[("a", "int32"), ("b", "int32"), ("c", "text")]);
        assert_eq!(TableRead::new(&keyed, &fields(&["c", "b", "a"])).unwrap().shape.key, [2, 1]);
        for (table, columns) in
            [(&keyed, ["a", "c"]), (&keyed, ["a", "gone"]), (&table(0, &[("a", "text"), ("b", "text")]), ["a", "b"])]
        {
            let error = TableRead::new(table, &fields(&columns)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("payments"));
        }
    }
}
