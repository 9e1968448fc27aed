//! What a read of some columns of a table asks for and hands out: prepared once, shared by its pages.

use std::sync::Arc;

use migrate_core::catalog::{PLACE, PLACE_TABLE, ScalarKind, SourceType, TableKind, TableSchema};
use migrate_core::names::FieldName;
use migrate_core::record::RecordShape;
use migrate_core::{Error, ErrorKind, Result};

use crate::query::quote;

/// A prepared read.
#[derive(Debug)]
pub(crate) struct TableRead {
    /// The records' shape. Its key holds the positions of the key's columns, in key order.
    pub(crate) shape: Arc<RecordShape>,
    /// The columns, aligned with the shape's fields; then a hidden one where `stored_in` is past them.
    pub(crate) columns: Vec<ColumnRead>,
    /// The key's columns, in key order.
    pub(crate) key: Vec<FieldName>,
    /// Their types.
    pub(crate) key_types: Vec<SourceType>,
    /// Whether the key is the rows' place, and windows of blocks are read.
    pub(crate) by_place: bool,
    /// For a key of the place alone: the position of the column that tells whether one table stores all rows.
    pub(crate) stored_in: Option<usize>,
    /// Key columns that may be NULL as far as is known: rows with NULL there are in no page.
    pub(crate) nullable_key: Vec<FieldName>,
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
    /// Prepares to read `columns`, in that order, of a table by `key`, which is among them.
    ///
    /// The system columns of a row's place may be columns, and together the key. A view may have columns of these names,
    /// which are then like any others.
    ///
    /// # Errors
    /// `Config` naming the table and the column that it lacks, for no key, and for a key of a place and something else.
    pub(crate) fn new(table: &TableSchema, columns: &[FieldName], key: &[FieldName]) -> Result<Self> {
        let config = |message: String| Error::new(ErrorKind::Config, message).with_context("table", &table.name);
        let type_of = |name: &FieldName| {
            let column = table.column(name.as_str()).map(|column| column.source_type.clone());
            column.or_else(|| pseudo_type(table, name)).ok_or_else(|| {
                config(format!("read the column {name}, which the table does not have"))
                    .with_remedy("the schema may have changed: run migrate-discover again")
            })
        };
        if key.is_empty() {
            return Err(config("read a table without a key".to_owned())
                .with_remedy("name columns that tell its rows apart, or leave it out of the plan"));
        }
        let position = |field: &FieldName| {
            columns.iter().position(|column| column == field).ok_or_else(|| {
                config(format!("read the table without its key column {field}")).with_remedy("read the key columns too")
            })
        };
        let key_columns = key;
        let key = key.iter().map(position).collect::<Result<Vec<_>>>()?;
        let pseudo: Vec<&str> = key_columns
            .iter()
            .filter(|name| table.column(name.as_str()).is_none() && pseudo_type(table, name).is_some())
            .map(FieldName::as_str)
            .collect();
        let by_place = match pseudo.as_slice() {
            [] => false,
            [PLACE] | [PLACE_TABLE, PLACE] if pseudo.len() == key.len() => true,
            _ => {
                return Err(config(format!("read the table by a key with {}", pseudo.join(" and ")))
                    .with_remedy("a place is a key by itself: ctid, or tableoid and ctid for a partitioned table"));
            }
        };
        let mut reads = Vec::with_capacity(columns.len());
        let mut selects = Vec::with_capacity(columns.len());
        for (index, name) in columns.iter().enumerate() {
            if name.as_str() == "*" {
                // In quotes, too (PostgREST `SqlFragment.hs`, `pgFmtColumn`).
                return Err(config("read the column *, which the data API takes for all columns".to_owned())
                    .with_remedy("rename it, or leave it out of the plan"));
            }
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
        let stored_in = (pseudo == [PLACE]).then(|| {
            columns.iter().position(|column| column.as_str() == PLACE_TABLE).unwrap_or_else(|| {
                selects.push(quote(PLACE_TABLE));
                let source_type = SourceType::new("oid", ScalarKind::Text);
                reads.push(ColumnRead { answered_as: PLACE_TABLE.to_owned(), source_type });
                reads.len() - 1
            })
        });
        // What the catalog calls a table's primary key has no NULLs, whatever it says of the columns.
        let is_table = matches!(table.kind, TableKind::Table | TableKind::Partitioned);
        let is_nullable = |name: &&FieldName| {
            let in_key = is_table && table.primary_key.contains(name);
            !in_key && table.column(name.as_str()).is_some_and(|column| column.nullable)
        };
        Ok(Self {
            shape: Arc::new(RecordShape { table: table.name.clone(), fields: columns.to_vec(), key }),
            columns: reads,
            key_types: key_columns.iter().map(type_of).collect::<Result<_>>()?,
            nullable_key: key_columns.iter().filter(is_nullable).cloned().collect(),
            key: key_columns.to_vec(),
            by_place,
            stored_in,
            select: selects.join(","),
        })
    }

    /// The shape of records of `columns` alone, which this read begins with; what [`columns_with_key`] added is left out.
    /// Their key is known where the columns hold all of it.
    pub(crate) fn shape_of(&self, columns: &[FieldName]) -> Arc<RecordShape> {
        let is_whole = self.shape.fields.len() == columns.len();
        Arc::new(RecordShape {
            table: self.shape.table.clone(),
            fields: columns.to_vec(),
            key: if is_whole { self.shape.key.clone() } else { Vec::new() },
        })
    }

    /// Whether a column holds instants, whose text depends on the session's time zone.
    pub(crate) fn has_instants(&self) -> bool {
        self.columns.iter().any(|column| column.source_type.scalar == ScalarKind::TimestampTz)
    }
}

/// What is read of rows that are looked up by `key`: `columns`, and behind them those of the key that are not among them.
pub(crate) fn columns_with_key(columns: &[FieldName], key: &[FieldName]) -> Arc<[FieldName]> {
    let hidden = key.iter().filter(|column| !columns.contains(column));
    columns.iter().chain(hidden).cloned().collect()
}

/// The type of a system column that a table has and a view has not (Postgres documentation, "System Columns"). Both
/// come as JSON strings.
fn pseudo_type(table: &TableSchema, name: &FieldName) -> Option<SourceType> {
    match (table.kind, name.as_str()) {
        (TableKind::Table | TableKind::Partitioned, PLACE) => Some(SourceType::new("tid", ScalarKind::Text)),
        (TableKind::Table | TableKind::Partitioned, PLACE_TABLE) => Some(SourceType::new("oid", ScalarKind::Text)),
        _ => None,
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
        let read = TableRead::new(&table, &fields(&["id", "say \"x\"", "meta", "all"]), &table.primary_key).unwrap();
        assert_eq!(read.select, r#""id","say \"x\"","json_text_2_":"meta"::text,"all""#);
        assert_eq!(read.columns[2].answered_as, "json_text_2_");
        assert_eq!(read.shape.key, [0]);
    }

    #[test]
    fn key_columns_are_never_cast() {
        let read = TableRead::new(&table(1, &[("id", "jsonb")]), &fields(&["id"]), &fields(&["id"])).unwrap();
        assert_eq!(read.select, "\"id\"");
    }

    #[test]
    fn keys_and_columns_must_be_there() {
        let keyed = table(2, &[("a", "int32"), ("b", "int32"), ("c", "text")]);
        assert_eq!(TableRead::new(&keyed, &fields(&["c", "b", "a"]), &keyed.primary_key).unwrap().shape.key, [2, 1]);
        for (table, columns) in [
            (&keyed, ["a", "c"]),
            (&table(1, &[("a", "text"), ("*", "text")]), ["a", "*"]),
            (&keyed, ["a", "gone"]),
            (&table(0, &[("a", "text"), ("b", "text")]), ["a", "b"]),
        ] {
            let error = TableRead::new(table, &fields(&columns), &table.primary_key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("payments"));
        }
    }

    #[test]
    fn places_are_read_as_they_are_with_what_proves_them() {
        let mut keyless = table(0, &[("line", "text")]);
        let read = TableRead::new(&keyless, &fields(&["ctid", "line"]), &fields(&["ctid"])).unwrap();
        assert_eq!(read.select, r#""ctid","line","tableoid""#);
        assert_eq!((read.by_place, read.stored_in, read.shape.fields.len()), (true, Some(2), 2));
        let read = TableRead::new(&keyless, &fields(&["tableoid", "line", "ctid"]), &fields(&["ctid"])).unwrap();
        assert_eq!((read.columns.len(), read.stored_in), (3, Some(0)));
        let both = fields(&["tableoid", "ctid"]);
        let read = TableRead::new(&keyless, &both, &both).unwrap();
        assert_eq!((read.select.as_str(), read.by_place, read.stored_in), (r#""tableoid","ctid""#, true, None));
        for key in [["ctid", "line"].as_slice(), &["tableoid"], &["ctid", "tableoid"]] {
            let error = TableRead::new(&keyless, &fields(&["ctid", "tableoid", "line"]), &fields(key)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
        }
        keyless.kind = TableKind::View;
        assert!(TableRead::new(&keyless, &both, &both).is_err(), "a view's rows have no place");
        let view = TableSchema { kind: TableKind::View, ..table(0, &[("ctid", "tid")]) };
        let read = TableRead::new(&view, &fields(&["ctid"]), &fields(&["ctid"])).unwrap();
        assert!(!read.by_place && read.nullable_key == fields(&["ctid"]));
    }
}
