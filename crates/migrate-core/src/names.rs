//! Validated names of tables, fields, rows and documents.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::catalog::hex;
use crate::error::{Error, ErrorKind};

/// The schema a table is in when none is written.
pub const DEFAULT_SCHEMA: &str = "public";

/// A table's name, with its schema.
///
/// Written `name` in the schema `public`, else `schema.name`; a dot in a name of `public` is written `public.a.b`.
/// The same type names a sink's tables, which have no schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    schema: Arc<str>,
    name: Arc<str>,
}

impl TableName {
    /// The table `name` of `schema`.
    ///
    /// # Errors
    /// `Config` when either is empty.
    pub fn new(schema: &str, name: &str) -> Result<Self, Error> {
        if schema.is_empty() || name.is_empty() {
            return Err(Error::new(ErrorKind::Config, "use an empty table name"));
        }
        Ok(Self { schema: schema.into(), name: name.into() })
    }

    /// The schema, `public` where none was written.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The first half of the SHA-256 of the name as it is written, in hex: a short name for it.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.to_string().as_bytes());
        hex(digest.get(..16).unwrap_or(&digest))
    }

    /// The name without its schema.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('.') {
            Some((schema, name)) => Self::new(schema, name),
            None => Self::new(DEFAULT_SCHEMA, text),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.schema == DEFAULT_SCHEMA && !self.name.contains('.') {
            f.write_str(&self.name)
        } else {
            write!(f, "{}.{}", self.schema, self.name)
        }
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("{text:?} names no table: write table, or schema.table")))
    }
}

impl JsonSchema for TableName {
    fn schema_name() -> Cow<'static, str> {
        "TableName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "description": "`name` in the schema public, else `schema.name`" })
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

text_name! {
    /// A column of a table, or a field of a document.
    FieldName
}

text_name! {
    /// A row's primary key as text: the value's own text for one column, a JSON array of texts for several.
    ///
    /// It is what a document keeps as its legacy id, and with the table's name it is what makes a write idempotent.
    SourceKey
}

text_name! {
    /// A document's id, as the sink gave it.
    SinkId
}

impl SourceKey {
    /// The key made of the texts of its columns, in key order.
    pub fn from_parts<T: AsRef<str>>(parts: &[T]) -> Self {
        match parts {
            [only] => Self::new(only.as_ref()),
            several => {
                let texts: Vec<&str> = several.iter().map(AsRef::as_ref).collect();
                Self::new(serde_json::Value::from(texts).to_string())
            }
        }
    }

    /// The texts of its columns, where the table's key has `columns` of them; `None` when it was not made of so many.
    #[must_use]
    pub fn parts(&self, columns: usize) -> Option<Vec<String>> {
        if columns == 1 {
            return Some(vec![self.as_str().to_owned()]);
        }
        let parts: Vec<String> = serde_json::from_str(self.as_str()).ok()?;
        (parts.len() == columns).then_some(parts)
    }
}

/// A table and the columns that name its rows: the primary key's, or others that are unique.
///
/// Written `table` for the primary key, else `table(column, column)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeySpace {
    table: TableName,
    columns: Arc<[FieldName]>,
}

impl KeySpace {
    /// Rows named by the primary key.
    #[must_use]
    pub fn primary(table: TableName) -> Self {
        Self { table, columns: Arc::default() }
    }

    /// Rows named by other columns that are unique; by the primary key where `columns` is empty.
    #[must_use]
    pub fn by(table: TableName, columns: &[FieldName]) -> Self {
        Self { table, columns: columns.into() }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The columns; empty for the primary key.
    #[must_use]
    pub fn columns(&self) -> &[FieldName] {
        &self.columns
    }
}

impl fmt::Display for KeySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table)?;
        if self.columns.is_empty() {
            return Ok(());
        }
        let columns: Vec<&str> = self.columns.iter().map(FieldName::as_str).collect();
        write!(f, "({})", columns.join(", "))
    }
}

impl FromStr for KeySpace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((table, columns)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
            return Ok(Self::primary(text.parse()?));
        };
        let columns: Vec<FieldName> = columns.split(',').map(|column| FieldName::from(column.trim())).collect();
        if columns.iter().any(|column| column.as_str().is_empty()) {
            return Err(Error::new(ErrorKind::Config, "use an empty column name in a reference"));
        }
        Ok(Self::by(table.trim_end().parse()?, &columns))
    }
}

impl Serialize for KeySpace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeySpace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!("{text:?} names no table: write table, or table(column, column)"))
        })
    }
}

impl JsonSchema for KeySpace {
    fn schema_name() -> Cow<'static, str> {
        "KeySpace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "`table` for its primary key, or `table(column, column)` for columns that are unique"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_round_trip() {
        for text in ["ari_payments", "auth.users", "public.a.b", "Order Items"] {
            let name: TableName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(name.to_string().parse::<TableName>().unwrap(), name);
        }
        assert!("".parse::<TableName>().is_err());
        assert!("auth.".parse::<TableName>().is_err());
    }

    #[test]
    fn key_spaces_round_trip() {
        for text in ["orders", "auth.users", "users(email)", "shop.items(tenant, code)"] {
            assert_eq!(text.parse::<KeySpace>().unwrap().to_string(), text);
        }
        assert_eq!("users ( a,b )".parse::<KeySpace>().unwrap().columns().len(), 2);
        assert!("users()".parse::<KeySpace>().is_err());
        assert!("(a)".parse::<KeySpace>().is_err());
    }

    #[test]
    fn keys_round_trip() {
        let one = SourceKey::from_parts(&["[\"a\"]"]);
        assert_eq!(one.parts(1).unwrap(), ["[\"a\"]"]);
        let two = SourceKey::from_parts(&["a\"b", "c,d"]);
        assert_eq!(two.parts(2).unwrap(), ["a\"b", "c,d"]);
        assert_eq!(two.parts(3), None);
    }
}
