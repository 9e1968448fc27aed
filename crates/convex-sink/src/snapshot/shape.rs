//! The encoding that deployments from before March 2026 take: plain JSON, with a description of each table's shape, and of
//! single documents where the shape leaves it open.
//!
//! Integers are texts of digits, bytes are base64 texts, and what JSON has no number for is `"NaN"`, `"Infinity"` or
//! `"-Infinity"`. The shape says which texts are none. Source: `shape_inference/src/pretty.rs` and `export_context.rs`
//! of the Convex backend.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_core::plan::{FieldType, LegacyIds, PlanTable, SinkPlan};
use serde_json::{Map, Value as Json, json};

use super::uniform::CREATION_TIME;

/// The shape of one table's documents.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    fields: Vec<(String, Texts)>,
}

/// What the texts of a field are, as the shape says it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Texts {
    /// What they look like, or whatever a document's own line says.
    Unknown,
    Int64,
    Bytes,
    Array(Box<Texts>),
}

impl Texts {
    fn of(field_type: &FieldType) -> Self {
        match field_type {
            FieldType::Int64 => Self::Int64,
            FieldType::Bytes => Self::Bytes,
            FieldType::Array(items) => Self::Array(Box::new(Self::of(items))),
            FieldType::Nullable(inner) => Self::of(inner),
            _ => Self::Unknown,
        }
    }

    /// In the grammar of shapes.
    fn text(&self) -> String {
        match self {
            Self::Unknown => "unknown".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Array(items) => format!("array<{}>", items.text()),
        }
    }
}

impl TableShape {
    pub(crate) fn of(table: &PlanTable, sink: &SinkPlan) -> Self {
        let fields = table.fields.iter().map(|field| (field.field.to_string(), Texts::of(&field.field_type)));
        let legacy = (sink.legacy_ids == LegacyIds::Field).then(|| (sink.legacy_id_field.to_string(), Texts::Unknown));
        Self { fields: fields.chain(legacy).collect() }
    }

    /// The shape of the documents that keep the rows' keys.
    pub(crate) fn of_keys() -> Self {
        let text = |name: &str| (name.to_owned(), Texts::Unknown);
        Self { fields: vec![text("table"), text("legacyId"), text("documentId")] }
    }

    /// The first line of the table's `generated_schema.jsonl`.
    pub(crate) fn schema(&self) -> Vec<u8> {
        let mut shape = format!("{{\"_id\": string, \"{CREATION_TIME}\"?: normalfloat64");
        for (name, texts) in &self.fields {
            let _ = write!(shape, ", \"{name}\"?: {}", texts.text()); // writing to a String cannot fail
        }
        shape.push('}');
        format!("{}\n", Json::String(shape)).into_bytes()
    }

    /// Writes a document that is in the uniform encoding, and to `schema` what its shape does not tell of it.
    ///
    /// # Errors
    /// When the line is no document.
    pub(crate) fn write_line(&self, line: &[u8], out: &mut Vec<u8>, schema: &mut Vec<u8>) -> Result<(), ()> {
        let Ok(Json::Object(document)) = serde_json::from_slice::<Json>(line) else { return Err(()) };
        let id = document.get("_id").cloned().unwrap_or_default();
        let mut exported = Map::new();
        let mut contexts = Map::new();
        for (name, value) in document {
            let texts =
                self.fields.iter().find(|(field, _)| *field == name).map_or(&Texts::Unknown, |(_, texts)| texts);
            let (value, context) = export(value, texts)?;
            if let Some(context) = context {
                contexts.insert(name.clone(), context);
            }
            exported.insert(name, value);
        }
        serde_json::to_writer(&mut *out, &exported).map_err(|_| ())?;
        out.push(b'\n');
        if !contexts.is_empty() {
            let id = id.as_str().ok_or(())?;
            let line = json!({ id: contexts });
            serde_json::to_writer(&mut *schema, &line).map_err(|_| ())?;
            schema.push(b'\n');
        }
        Ok(())
    }
}

/// A value in the older encoding, and what tells it apart from a text where the shape does not.
fn export(value: Json, texts: &Texts) -> Result<(Json, Option<Json>), ()> {
    let told = |known: Texts, context: Json| (*texts != known).then_some(context);
    Ok(match value {
        Json::Number(number) if number.is_i64() => {
            (Json::String(number.to_string()), told(Texts::Int64, json!("int64")))
        }
        Json::Array(items) => {
            let inner = if let Texts::Array(inner) = texts { inner } else { &Texts::Unknown };
            let items: Vec<(Json, Option<Json>)> =
                items.into_iter().map(|item| export(item, inner)).collect::<Result<_, ()>>()?;
            let is_told = items.iter().any(|(_, context)| context.is_some());
            let contexts = items.iter().map(|(_, context)| context.clone().unwrap_or_else(|| json!("infer"))).collect();
            (Json::Array(items.into_iter().map(|(item, _)| item).collect()), is_told.then_some(Json::Array(contexts)))
        }
        Json::Object(entries) => match entries.iter().next() {
            Some((tag, Json::String(text))) if tag == "$bytes" => {
                (Json::String(text.clone()), told(Texts::Bytes, json!("bytes")))
            }
            Some((tag, Json::String(text))) if tag == "$float" => {
                let bytes: [u8; 8] = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(())?;
                let double = f64::from_le_bytes(bytes);
                if double.is_nan() {
                    (json!("NaN"), Some(json!({ "$float64NaN": text })))
                } else {
                    (json!(if double > 0.0 { "Infinity" } else { "-Infinity" }), Some(json!("float64inf")))
                }
            }
            _ => {
                let (mut exported, mut contexts) = (Map::new(), Map::new());
                for (key, value) in entries {
                    let (value, context) = export(value, &Texts::Unknown)?;
                    if let Some(context) = context {
                        contexts.insert(key.clone(), context);
                    }
                    exported.insert(key, value);
                }
                (Json::Object(exported), (!contexts.is_empty()).then_some(Json::Object(contexts)))
            }
        },
        other => (other, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> TableShape {
        let array = Texts::Array(Box::new(Texts::Int64));
        TableShape {
            fields: vec![
                ("n".to_owned(), Texts::Int64),
                ("all".to_owned(), array),
                ("file".to_owned(), Texts::Bytes),
                ("name".to_owned(), Texts::Unknown),
            ],
        }
    }

    #[test]
    fn a_shape_in_the_grammar_of_shapes() {
        assert_eq!(
            String::from_utf8(shape().schema()).unwrap(),
            concat!(
                r#""{\"_id\": string, \"_creationTime\"?: normalfloat64, \"n\"?: int64, \"all\"?: array<int64>, "#,
                r#"\"file\"?: bytes, \"name\"?: unknown}""#,
                "\n"
            )
        );
    }

    #[test]
    fn a_document_and_what_its_shape_does_not_tell() {
        let (mut out, mut schema) = (Vec::new(), Vec::new());
        let line = r#"{"_id":"j57","n":5,"all":[1,-2],"file":{"$bytes":"AQI="},"name":"a","free":{"deep":[7,1.0,"7"]},
            "infinite":{"$float":"AAAAAAAA8H8="},"nan":{"$float":"AAAAAAAA+H8="},"zero":-0.0,"none":null}"#;
        shape().write_line(line.as_bytes(), &mut out, &mut schema).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"_id":"j57","n":"5","all":["1","-2"],"file":"AQI=","name":"a","free":{"deep":["7",1.0,"7"]},"#,
                r#""infinite":"Infinity","nan":"NaN","zero":-0.0,"none":null}"#,
                "\n"
            )
        );
        assert_eq!(
            String::from_utf8(schema).unwrap(),
            concat!(
                r#"{"j57":{"free":{"deep":["int64","infer","infer"]},"infinite":"float64inf","#,
                r#""nan":{"$float64NaN":"AAAAAAAA+H8="}}}"#,
                "\n"
            )
        );
        assert!(shape().write_line(b"[1]", &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
