//! What a column's value must become, from Postgres' own text of it.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::wire::{Fields, Wire, entries, items, unquoted};

/// What a value becomes at the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Double,
    Int64,
    Bytes,
    /// The value's text.
    Text,
    /// Milliseconds since 1970.
    Epoch,
    /// JSON as a value.
    Json,
    /// The same, with the keys that Convex refuses in percent escapes.
    JsonEscaped,
    /// JSON as its text.
    JsonText,
    /// Text, by a map; what is not in it stays.
    Mapped(&'static [(&'static str, &'static str)]),
    /// An array of any dimensions.
    List(Box<Kind>),
}

/// A column, its type as `format_type` writes it, domains followed to what is below them.
#[derive(Debug, Clone)]
pub struct ZooColumn {
    pub name: String,
    pub sql_type: String,
}

/// The type below a domain of the zoo.
fn below(sql_type: &str) -> String {
    let (element, array) = match sql_type.strip_suffix("[]") {
        Some(element) => (element, "[]"),
        None => (sql_type, ""),
    };
    let base = match element {
        "price" | "list_price" => "numeric(10,2)",
        "positive" => "integer",
        "label" => "text",
        "tag_list" => "text[]",
        "meta_data" => "jsonb",
        "feeling" => "mood",
        "home" => "address",
        other => other,
    };
    format!("{base}{array}")
}

pub async fn columns(client: &Client, table: &str) -> Vec<ZooColumn> {
    let query = "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = $1::text::regclass and attnum > 0 and attname <> 'id' order by attnum";
    let rows = client.query(query, &[&format!("public.{table}")]).await.unwrap();
    rows.iter().map(|row| ZooColumn { name: row.get(0), sql_type: below(row.get(1)) }).collect()
}

impl Kind {
    /// Of a column whose type the configuration does not choose.
    pub fn of(sql_type: &str, with_digits: bool) -> Self {
        if let Some(element) = sql_type.strip_suffix("[]") {
            return Self::List(Box::new(Self::of(element, with_digits)));
        }
        match sql_type {
            "boolean" => Self::Boolean,
            "smallint" | "integer" | "real" | "double precision" => Self::Double,
            "numeric(10,2)" | "numeric(12,2)" | "numeric(15,15)" if with_digits => Self::Double,
            "bigint" => Self::Int64,
            "bytea" => Self::Bytes,
            "json" | "jsonb" | "hstore" | "address" | "journey" | "int2vector" | "oidvector" => Self::Json,
            "timestamp with time zone" | "timestamp(0) with time zone" => Self::Epoch,
            _ => Self::Text,
        }
    }

    /// Of a column that becomes text, arrays an array of texts.
    pub fn text_of(sql_type: &str) -> Self {
        if let Some(element) = sql_type.strip_suffix("[]") {
            return Self::List(Box::new(Self::text_of(element)));
        }
        match sql_type {
            "json" | "jsonb" | "hstore" | "address" | "journey" => Self::JsonText,
            "int2vector" | "oidvector" => Self::List(Box::new(Self::Text)),
            _ => Self::Text,
        }
    }

    /// The SQL expression whose text [`Kind::read`] reads; NULL for SQL NULL.
    fn expression(&self, column: &ZooColumn) -> String {
        let name = format!("\"{}\"", column.name);
        let is_json = matches!(column.sql_type.as_str(), "json" | "jsonb");
        match self {
            Self::Epoch => format!("case when isfinite({name}) then floor(extract(epoch from {name}) * 1000)::text when {name} is not null then 'infinite' end"),
            Self::List(inner) if **inner == Self::Epoch => format!(
                "case when {name} is null then null else coalesce((select json_agg(case when isfinite(item) then
                    floor(extract(epoch from item) * 1000) end order by place) from unnest({name}) with ordinality as items (item, place)), '[]')::text end"
            ),
            Self::Json | Self::JsonEscaped | Self::JsonText if is_json => format!("{name}::text"),
            Self::Json | Self::JsonEscaped | Self::JsonText | Self::List(_) => format!("to_json({name})::text"),
            Self::Bytes => format!("encode({name}, 'hex')"),
            // A cast to text takes char's padding away, adds a mask to an address, and has no T in a timestamp.
            Self::Text | Self::Mapped(_) if is_read_as_json(&column.sql_type) => format!("to_json({name}) #>> '{{}}'"),
            Self::Boolean | Self::Double | Self::Int64 | Self::Text | Self::Mapped(_) => format!("{name}::text"),
        }
    }

    /// The value that Postgres' text of a column must become.
    fn read(&self, text: &str) -> Wire {
        match self {
            Self::List(_) | Self::Json | Self::JsonEscaped | Self::JsonText => self.leaf(text),
            Self::Bytes => Wire::Bytes(hex(text)),
            Self::Text => Wire::String(text.to_owned()),
            Self::Mapped(map) => Wire::String(mapped(map, text)),
            Self::Boolean => Wire::Boolean(text == "true"),
            Self::Int64 => Wire::Int64(text.parse().unwrap()),
            Self::Double | Self::Epoch => text.parse().map_or_else(|_| Wire::String(text.to_owned()), Wire::double),
        }
    }

    /// The same of a value inside JSON.
    fn leaf(&self, text: &str) -> Wire {
        let content = || if text.starts_with('"') { unquoted(text) } else { text.to_owned() };
        match self {
            Self::List(inner) if text.starts_with('[') => {
                // In an array of JSON, what looks like a further dimension is an element.
                let is_json = matches!(**inner, Self::Json | Self::JsonEscaped | Self::JsonText);
                let item = |text: &str| if is_json { inner.element(text) } else { self.leaf(text) };
                Wire::Array(items(text).into_iter().map(|value| item(value.get())).collect())
            }
            Self::List(inner) => inner.element(text),
            Self::JsonText => Wire::String(text.to_owned()),
            Self::Json | Self::JsonEscaped => self.json(text),
            Self::Bytes => Wire::Bytes(hex(content().strip_prefix("\\x").unwrap())),
            _ => self.read(&content()),
        }
    }

    fn element(&self, text: &str) -> Wire {
        if text == "null" { Wire::Null } else { self.leaf(text) }
    }

    fn json(&self, text: &str) -> Wire {
        let text = text.trim();
        match text.as_bytes()[0] {
            b'n' => Wire::Null,
            b't' => Wire::Boolean(true),
            b'f' => Wire::Boolean(false),
            b'"' => Wire::String(unquoted(text)),
            b'[' => Wire::Array(items(text).into_iter().map(|item| self.json(item.get())).collect()),
            b'{' => {
                let key = |key: String| if *self == Self::JsonEscaped { escaped(&key) } else { key };
                Wire::Object(
                    entries(text).into_iter().map(|(name, value)| (key(name), self.json(value.get()))).collect(),
                )
            }
            _ => Wire::double(text.parse().unwrap()),
        }
    }
}

fn is_read_as_json(sql_type: &str) -> bool {
    sql_type.starts_with("character(")
        || sql_type == "bpchar"
        || sql_type == "inet"
        || sql_type.starts_with("timestamp")
}

fn mapped(map: &[(&str, &str)], text: &str) -> String {
    map.iter().find(|(from, _)| *from == text).map_or(text, |(_, to)| to).to_owned()
}

/// A key as percent escapes have it: `%` for the empty one, `$` and `_` only where they lead.
fn escaped(key: &str) -> String {
    let bytes = key.bytes().enumerate().map(|(place, byte)| {
        let is_leading = place == 0 && (byte == b'$' || byte == b'_');
        if !(0x20..=0x7e).contains(&byte) || byte == b'%' || is_leading {
            format!("%{byte:02X}")
        } else {
            char::from(byte).to_string()
        }
    });
    if key.is_empty() { "%".to_owned() } else { bytes.collect() }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap()).collect()
}

/// All rows of a table as the documents they must become, by id. A NULL is no field.
///
/// Cells of rows for which `is_left_out` says so are not read at all.
pub async fn rows(
    client: &Client,
    table: &str,
    columns: &[(ZooColumn, Kind)],
    is_left_out: impl Fn(&str, &str) -> bool,
) -> BTreeMap<String, Fields> {
    let expressions: Vec<String> = columns.iter().map(|(column, kind)| kind.expression(column)).collect();
    let query = format!("select id::text, {} from public.{table}", expressions.join(", "));
    let mut documents = BTreeMap::new();
    for row in client.query(&query, &[]).await.unwrap() {
        let id: String = row.get(0);
        let mut fields = Fields::from([("supabaseId".to_owned(), Wire::String(id.clone()))]);
        for (place, (column, kind)) in columns.iter().enumerate() {
            if is_left_out(&id, &column.name) {
                continue;
            }
            if let Some(text) = row.get::<_, Option<String>>(place + 1) {
                fields.insert(column.name.clone(), kind.read(&text));
            }
        }
        documents.insert(id, fields);
    }
    documents
}
