//! Names on Convex's side: what it accepts, and what the generated functions are called.
//!
//! Source of the rules: `sync_types/src/identifier.rs` of the Convex backend.

use heck::ToUpperCamelCase as _;
use migrate_core::names::TableName;
use migrate_core::plan::SinkRules;

/// Characters that a table's, index's or top-level field's name may have.
pub(crate) const IDENTIFIER_LENGTH: usize = 64;
/// Characters that a nested object's key may have.
pub(crate) const KEY_LENGTH: usize = 1024;

/// What every JavaScript object inherits: reading an absent field of such a name would not give `undefined`.
pub(crate) const INHERITED: &[&str] = &[
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];
/// Names that Convex gives to its own indexes.
pub(crate) const RESERVED_INDEXES: &[&str] = &["by_id", "by_creation_time"];
/// Indexes of one table at most: the documentation's limit, below the backend's own 64.
pub(crate) const MAX_INDEXES: usize = 32;
/// Fields of one index at most.
pub(crate) const MAX_INDEX_FIELDS: usize = 16;

/// What Convex takes as names and indexes, for [`migrate_core::plan::build_plan`].
pub const CONVEX_RULES: SinkRules = SinkRules {
    name_length: IDENTIFIER_LENGTH,
    reserved_fields: INHERITED,
    reserved_tables: &[],
    reserved_indexes: RESERVED_INDEXES,
    indexes: MAX_INDEXES,
    index_fields: MAX_INDEX_FIELDS,
};

/// Names of the generated functions: `<module>:bulkInsert<Table>`, `<module>:patch<Table>`, `<module>:lookup`,
/// `<module>:readDocuments`, `<module>:countDocuments` and `<module>:scrubLegacyIds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionNames {
    module: String,
}

impl FunctionNames {
    /// The functions of a module, such as `migration/migrate`.
    pub fn new(module: impl Into<String>) -> Self {
        Self { module: module.into() }
    }

    /// The mutation that upserts records of a table: `migrate:bulkInsertAriDestinations`.
    #[must_use]
    pub fn bulk_insert(&self, table: &TableName) -> String {
        format!("{}:{}", self.module, bulk_insert_export(table))
    }

    /// The mutation that sets a table's cut references: `migrate:patchAriStages`.
    #[must_use]
    pub fn patch(&self, table: &TableName) -> String {
        format!("{}:{}", self.module, patch_export(table))
    }

    /// The query that finds documents of adopted tables by an index: `migrate:lookup`.
    #[must_use]
    pub fn lookup(&self) -> String {
        format!("{}:{LOOKUP_EXPORT}", self.module)
    }

    /// The query that reads documents back, where the system's own may not: `migrate:readDocuments`.
    #[must_use]
    pub fn read_documents(&self) -> String {
        format!("{}:{READ_EXPORT}", self.module)
    }

    /// The query that counts documents, where the system's own may not: `migrate:countDocuments`.
    #[must_use]
    pub fn count_documents(&self) -> String {
        format!("{}:{COUNT_EXPORT}", self.module)
    }

    /// The mutation that removes the rows' keys when the migration is done: `migrate:scrubLegacyIds`.
    #[must_use]
    pub fn scrub_legacy_ids(&self) -> String {
        format!("{}:{SCRUB_EXPORT}", self.module)
    }
}

/// Exported name of the query over adopted tables.
pub(crate) const LOOKUP_EXPORT: &str = "lookup";

/// Exported name of the query that reads documents back.
pub(crate) const READ_EXPORT: &str = "readDocuments";

/// Exported name of the query that counts documents.
pub(crate) const COUNT_EXPORT: &str = "countDocuments";

/// Exported name of the mutation that removes the rows' keys.
pub(crate) const SCRUB_EXPORT: &str = "scrubLegacyIds";

/// The table that keeps the rows' keys, where documents have no field for them.
pub(crate) const LEGACY_IDS_TABLE: &str = "migrationIds";
/// Its index over a table's name and a row's key.
pub(crate) const LEGACY_IDS_INDEX: &str = "by_table_and_legacyId";

/// Exported name of a table's upsert.
pub(crate) fn bulk_insert_export(table: &TableName) -> String {
    format!("bulkInsert{}", table.name().to_upper_camel_case())
}

/// Exported name of a table's second pass.
pub(crate) fn patch_export(table: &TableName) -> String {
    format!("patch{}", table.name().to_upper_camel_case())
}

/// What is wrong with a table's, index's or top-level field's name; `None` when Convex takes it.
///
/// Stricter than the backend in one point: nothing starts with `_`, which Convex keeps for itself.
pub(crate) fn identifier_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > IDENTIFIER_LENGTH {
        Some("it is longer than 64 characters")
    } else if name.starts_with('_') {
        Some("it starts with `_`, which Convex keeps for itself")
    } else if name.starts_with(|first: char| first.is_ascii_digit()) {
        Some("it starts with a digit")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Some("it has characters other than A-Z, a-z, 0-9 and `_`")
    } else {
        None
    }
}

/// What is wrong with a key of a nested object; `None` when Convex takes it.
///
/// The empty key and a leading `_` are refused because the documentation forbids them, though today's code lets them pass.
pub(crate) fn key_fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("it is empty")
    } else if key.len() > KEY_LENGTH {
        Some("it is longer than 1,024 characters")
    } else if key.starts_with('$') {
        Some("it starts with `$`")
    } else if key.starts_with('_') {
        Some("it starts with `_`")
    } else if !key.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Some("it has characters that are not printable ASCII")
    } else {
        None
    }
}

/// What is wrong with a module's path below the functions folder, without extension; `None` when it can be used.
pub(crate) fn module_fault(module: &str) -> Option<&'static str> {
    if matches!(module, "http" | "crons") {
        return Some("Convex keeps that file for itself");
    }
    if module.rsplit('/').next() == Some("schema") {
        return Some("Convex takes no functions from a file of that name");
    }
    if module.split('/').any(|part| part == "_generated") {
        return Some("`_generated` is written by Convex");
    }
    module
        .split('/')
        .any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .then_some("a module is a path of A-Z, a-z, 0-9 and `_`, without extension")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName::new("public", name).unwrap()
    }

    #[test]
    fn functions_are_named_after_the_table() {
        let names = FunctionNames::new("migrate");
        assert_eq!(names.bulk_insert(&table("ariDestinations")), "migrate:bulkInsertAriDestinations");
        assert_eq!(names.bulk_insert(&table("ari_destinations")), "migrate:bulkInsertAriDestinations");
        assert_eq!(names.patch(&table("articles")), "migrate:patchArticles");
        assert_eq!(FunctionNames::new("a/b").lookup(), "a/b:lookup");
        assert_eq!(FunctionNames::new("a/b").scrub_legacy_ids(), "a/b:scrubLegacyIds");
        assert_eq!(FunctionNames::new("a/b").read_documents(), "a/b:readDocuments");
        assert_eq!(FunctionNames::new("a/b").count_documents(), "a/b:countDocuments");
    }

    #[test]
    fn identifiers() {
        for good in ["a", "by_workspace", "A1", &"x".repeat(64)] {
            assert_eq!(identifier_fault(good), None, "{good}");
        }
        for bad in ["", "_id", "1a", "a-b", "a.b", "ü", "a b", "$a", &"x".repeat(65)] {
            assert!(identifier_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn nested_keys() {
        for good in ["first name", "a.b", "a$", "1", &"x".repeat(1024)] {
            assert_eq!(key_fault(good), None, "{good}");
        }
        for bad in ["", "$a", "_a", "ü", "a\n", "\u{7f}", &"x".repeat(1025)] {
            assert!(key_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn modules() {
        for good in ["migrate", "migrations/supabase_1"] {
            assert_eq!(module_fault(good), None, "{good}");
        }
        for bad in ["", "a//b", "../a", "migrate.ts", "schema", "a/schema", "http", "_generated/api", "a b"] {
            assert!(module_fault(bad).is_some(), "{bad}");
        }
    }
}
