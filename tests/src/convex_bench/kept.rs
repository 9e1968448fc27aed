//! Documents that are kept.

use serde_json::{Map, Value};

/// A document with its system fields, as JSON: most are only ever given back, and those are not taken apart.
#[derive(Debug)]
pub(super) struct KeptDocument {
    text: Box<str>,
    created: Option<f64>,
}

impl KeptDocument {
    /// A document of these fields, with the system's among them.
    pub(super) fn of(fields: &Map<String, Value>) -> Self {
        let text = serde_json::to_string(fields).unwrap_or_default().into();
        Self { text, created: fields.get("_creationTime").and_then(Value::as_f64) }
    }

    /// A new document of a record, which is an object as JSON.
    pub(super) fn of_record(record: &str, id: &str, created: f64) -> Self {
        let record = record.trim();
        let fields = record.strip_suffix('}').unwrap_or(record).trim_end();
        let comma = if fields.ends_with('{') { "" } else { "," };
        let created_text = Value::from(created);
        let text = format!(r#"{fields}{comma}"_id":"{id}","_creationTime":{created_text}}}"#);
        Self { text: text.into(), created: Some(created) }
    }

    /// As JSON.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// When it was made; none where an import left that to the deployment, and is not at its end.
    pub(super) fn created(&self) -> Option<f64> {
        self.created
    }

    /// All fields.
    pub(super) fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_becomes_a_document() {
        for (record, fields) in [
            ("{}", json!({})),
            (" { } ", json!({})),
            (r#"{"a":1}"#, json!({ "a": 1 })),
            (r#" {"a": {"b": {}} }"#, json!({ "a": { "b": {} } })),
            (r#"{"a":"}"}"#, json!({ "a": "}" })),
        ] {
            let document = KeptDocument::of_record(record, "j57", 1.5);
            let mut expected = fields.as_object().cloned().unwrap_or_default();
            expected.insert("_id".to_owned(), "j57".into());
            expected.insert("_creationTime".to_owned(), 1.5.into());
            assert_eq!(document.fields(), expected, "{record}");
            assert_eq!(document.created(), Some(1.5));
        }
    }
}
