//! The functions that convex-bench understands, by their names alone, and their arguments.

use std::{
    borrow::Cow,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::limits;

/// Why a function did not return a value. The answer has status 200 all the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Failure {
    /// The server refused the call before any code ran.
    Plain(String),
    /// Code threw an error.
    Thrown(String),
    /// Code threw a `ConvexError` with this data.
    ConvexError(Value),
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    /// `<module>:bulkInsert<Table>`
    BulkInsert(String),
    /// `<module>:patch<Table>`
    Patch(String),
    /// `<module>:lookup`
    Lookup,
}

impl Function {
    /// Finds the function of a path such as `dir/module:bulkInsertAriPayments`.
    pub(super) fn of(path: &FunctionPath) -> Option<Self> {
        let table = |prefix| path.name.strip_prefix(prefix).and_then(camel_case);
        match path.name {
            "lookup" => Some(Self::Lookup),
            _ => table("bulkInsert").map(Self::BulkInsert).or_else(|| table("patch").map(Self::Patch)),
        }
    }

    pub(super) fn is_query(&self) -> bool {
        matches!(self, Self::Lookup)
    }

    /// The same for the declared table that the name is made of: `bulkInsertOrderLines` may be that of `order_lines`.
    pub(super) fn of_declared(self, declared: &[String]) -> Self {
        let of = |table: String| declared.iter().find(|name| joined(name) == table).cloned().unwrap_or(table);
        match self {
            Self::BulkInsert(table) => Self::BulkInsert(of(table)),
            Self::Patch(table) => Self::Patch(of(table)),
            Self::Lookup => Self::Lookup,
        }
    }
}

/// `order_lines` as it is in a function's name, but for its first letter.
fn joined(table: &str) -> String {
    let mut words = table.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &first.into_iter().chain(letters).collect::<String>()
    })
}

fn camel_case(pascal: &str) -> Option<String> {
    let mut characters = pascal.chars();
    let first = characters.next().filter(char::is_ascii_uppercase)?;
    Some(format!("{}{}", first.to_ascii_lowercase(), characters.as_str()))
}

/// A path to a function, in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FunctionPath<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

impl<'a> FunctionPath<'a> {
    /// Splits `dir/module:fn`; a suffix `.js` of the module and the name `default` may be left out.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let (module, name) = path.split_once(':').unwrap_or((path, "default"));
        let module = module.strip_suffix(".js").unwrap_or(module);
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (module.split('/').all(is_word) && is_word(name)).then_some(Self { module, name })
    }
}

/// A call whose arguments are checked, and which nothing but the stored documents can still refuse.
#[derive(Debug)]
pub(super) enum Prepared<'a> {
    Upsert { table: String, records: Vec<UpsertRecord<'a>> },
    Patch { table: String, records: Vec<PatchRecord> },
    Lookup { table: String, index: String, keys: Vec<Vec<Value>> },
}

/// A record to insert or to bring up to date.
#[derive(Debug)]
pub(super) struct UpsertRecord<'a> {
    pub(super) legacy_id: Cow<'a, str>,
    pub(super) content_hash: u64,
    /// Only where documents are kept.
    pub(super) kept: Option<KeptRecord<'a>>,
}

/// A record that becomes a document.
#[derive(Debug)]
pub(super) struct KeptRecord<'a> {
    pub(super) names: Vec<Cow<'a, str>>,
    pub(super) text: &'a str,
}

/// Fields to set on a document.
#[derive(Debug)]
pub(super) struct PatchRecord {
    pub(super) id: String,
    pub(super) content_hash: u64,
    /// Taken apart only where documents are kept.
    pub(super) fields: Option<Map<String, Value>>,
}

impl Prepared<'_> {
    /// Records or keys of the call.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Upsert { records, .. } => records.len(),
            Self::Patch { records, .. } => records.len(),
            Self::Lookup { keys, .. } => keys.len(),
        }
    }

    /// Whether a record with this legacy id is part of the call.
    pub(super) fn has_legacy_id(&self, legacy_id: &str) -> bool {
        matches!(self, Self::Upsert { records, .. } if records.iter().any(|record| record.legacy_id == legacy_id))
    }
}

/// How arguments are read.
#[derive(Debug, Clone)]
pub(super) struct Reading<'o> {
    pub(super) path: &'o str,
    pub(super) legacy_id_field: &'o str,
    pub(super) keep_documents: bool,
}

impl Reading<'_> {
    /// Reads and checks the arguments of a call.
    pub(super) fn prepare<'a>(&self, function: Function, arguments: &'a RawValue) -> Result<Prepared<'a>, Failure> {
        limits::check_arguments(self.path, arguments)?;
        let prepared = match function {
            Function::BulkInsert(table) => Prepared::Upsert { table, records: self.upserts(arguments)? },
            Function::Patch(table) => Prepared::Patch { table, records: self.patches(arguments)? },
            Function::Lookup => self.lookup(arguments)?,
        };
        limits::check_index_ranges(prepared.len())?;
        Ok(prepared)
    }

    fn upserts<'a>(&self, arguments: &'a RawValue) -> Result<Vec<UpsertRecord<'a>>, Failure> {
        let records = self.records(arguments)?;
        limits::check_written(records.iter().map(|record| record.get()))?;
        records.into_iter().map(|record| self.upsert(record)).collect()
    }

    fn upsert<'a>(&self, record: &'a RawValue) -> Result<UpsertRecord<'a>, Failure> {
        let key = self.legacy_id_field;
        let fields = Self::check_fields(record)?;
        let found = fields.iter().rfind(|(name, _)| name == key).ok_or_else(|| {
            let path = self.path;
            Failure::Plain(format!(
                "ArgumentValidationError: Object is missing the required field `{key}` in a record of {path}."
            ))
        })?;
        let Text(legacy_id) = serde_json::from_str(found.1.get()).map_err(|error| invalid(&error))?;
        let text = record.get();
        let names = self.keep_documents.then(|| fields.into_iter().map(|(name, _)| name).collect());
        let kept = names.map(|names| KeptRecord { names, text });
        Ok(UpsertRecord { legacy_id, content_hash: hash(text), kept })
    }

    fn patches(&self, arguments: &RawValue) -> Result<Vec<PatchRecord>, Failure> {
        let records = self.records(arguments)?;
        limits::check_written(records.iter().map(|record| record.get()))?;
        records.into_iter().map(|record| self.patch(record)).collect()
    }

    fn patch(&self, record: &RawValue) -> Result<PatchRecord, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct Patch<'a> {
            document_id: String,
            #[serde(borrow)]
            fields: &'a RawValue,
        }
        let Patch { document_id, fields } = serde_json::from_str(record.get()).map_err(|error| invalid(&error))?;
        Self::check_fields(fields)?;
        Ok(PatchRecord { id: document_id, content_hash: hash(fields.get()), fields: self.fields(fields)? })
    }

    fn records<'a>(&self, arguments: &'a RawValue) -> Result<Vec<&'a RawValue>, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Arguments<'a> {
            #[serde(borrow)]
            records: Vec<&'a RawValue>,
        }
        let Arguments { records } = serde_json::from_str(arguments.get()).map_err(|error| invalid(&error))?;
        limits::check_array(self.path, records.len())?;
        Ok(records)
    }

    /// Checks the fields of a record and gives them.
    fn check_fields(record: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Failure> {
        let Fields(fields) = serde_json::from_str(record.get()).map_err(|error| invalid(&error))?;
        fields.iter().try_for_each(|(name, _)| limits::check_field_name(name))?;
        limits::check_document(record.get())?;
        Ok(fields)
    }

    fn fields(&self, record: &RawValue) -> Result<Option<Map<String, Value>>, Failure> {
        if !self.keep_documents {
            return Ok(None);
        }
        serde_json::from_str(record.get()).map(Some).map_err(|error| invalid(&error))
    }

    fn lookup<'a>(&self, arguments: &RawValue) -> Result<Prepared<'a>, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Arguments {
            table: String,
            index: String,
            keys: Vec<Vec<Value>>,
        }
        let Arguments { table, index, keys } =
            serde_json::from_str(arguments.get()).map_err(|error| invalid(&error))?;
        limits::check_array(self.path, keys.len())?;
        Ok(Prepared::Lookup { table, index, keys })
    }
}

fn invalid(error: &serde_json::Error) -> Failure {
    Failure::Plain(format!("ArgumentValidationError: {error}"))
}

/// A fingerprint of a text; the same for the same text within one build of this program.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A string, borrowed unless it holds an escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's fields in order, their values not taken apart.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Text(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(path: &str) -> Option<Function> {
        Function::of(&FunctionPath::parse(path)?)
    }

    #[test]
    fn functions_are_known_by_name() {
        let insert = Function::BulkInsert("ariDestinations".to_owned());
        assert_eq!(function("migrate:bulkInsertAriDestinations"), Some(insert.clone()));
        assert_eq!(function("deep/er/migrate.js:bulkInsertAriDestinations"), Some(insert));
        assert_eq!(function("migrate:patchWebinars"), Some(Function::Patch("webinars".to_owned())));
        assert_eq!(function("migrate:lookup"), Some(Function::Lookup));
        assert_eq!(function("migrate:bulkInsert"), None);
        assert_eq!(function("migrate:list"), None);
        assert_eq!(function("migrate"), None);
    }

    #[test]
    fn malformed_paths_are_told_from_unknown_ones() {
        assert!(FunctionPath::parse("migrate:list").is_some());
        for path in ["", "a b:c", "a:b:c", "a//b:c", "a.ts:b", "a:"] {
            assert_eq!(FunctionPath::parse(path), None, "{path}");
        }
    }
}
