//! What the generated functions take, as Convex tells it of deployed ones.
//!
//! The form is `ValidatorJSON` of the package `convex` (`src/values/validators.ts`), which a validator exports.

use migrate_core::Plan;
use serde_json::{Map, Value as Json, json};

use super::migrate_file::{insert_records, migrated_tables, patch_records, stored_tables};
use super::ts::{Entry, Expr};
use super::validators::one_of;
use crate::client::FunctionKind;
use crate::names::FunctionNames;

/// A function that is generated for a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunctionSpec {
    /// Its path, such as `migration/migrate:lookup`.
    pub(crate) name: String,
    pub(crate) kind: FunctionKind,
    pub(crate) is_public: bool,
    /// The validator of its arguments.
    pub(crate) arguments: Json,
}

/// Every function of a plan's generated code.
pub(crate) fn functions(plan: &Plan) -> Vec<FunctionSpec> {
    let names = FunctionNames::new(plan.sink.module.as_str());
    let is_public = plan.sink.public_functions;
    let function = |name: String, kind: FunctionKind, is_public: bool, arguments: Vec<Entry>| {
        let secret = is_public.then(|| Entry::new("secret", call("v.string")));
        let arguments = Expr::call("v.object", [Expr::open_object(secret.into_iter().chain(arguments))]);
        FunctionSpec { name, kind, is_public, arguments: validator(&arguments) }
    };
    let spec = |name, kind, arguments| function(name, kind, is_public, arguments);
    let mut specs = Vec::new();
    for table in &plan.tables {
        let records = vec![Entry::new("records", insert_records(table, &plan.sink.legacy_id_field))];
        specs.push(spec(names.bulk_insert(&table.sink), FunctionKind::Mutation, records));
        if table.cut_fields().next().is_some() {
            let records = vec![Entry::new("records", patch_records(table))];
            specs.push(spec(names.patch(&table.sink), FunctionKind::Mutation, records));
        }
    }
    if !plan.adopted.is_empty() {
        let any_keys = Expr::call("v.array", [Expr::call("v.array", [call("v.any")])]);
        let arguments = vec![
            Entry::new("table", one_of(plan.adopted.iter().map(|table| table.sink.name()))),
            Entry::new("index", call("v.string")),
            Entry::new("keys", any_keys),
        ];
        specs.push(spec(names.lookup(), FunctionKind::Query, arguments));
    }
    if !plan.tables.is_empty() {
        let cursor = || Expr::call("v.union", [call("v.string"), call("v.null")]);
        let table = || Entry::new("table", stored_tables(plan));
        let counted = vec![table(), Entry::new("cursor", cursor())];
        let read = vec![table(), Entry::new("cursor", cursor()), Entry::new("limit", call("v.number"))];
        specs.push(function(names.read_documents(), FunctionKind::Query, false, read));
        specs.push(function(names.count_documents(), FunctionKind::Query, false, counted));
        let arguments = vec![
            Entry::new("table", migrated_tables(plan)),
            Entry::new("cursor", cursor()),
            Entry::new("limit", Expr::call("v.optional", [call("v.number")])),
        ];
        specs.push(spec(names.scrub_legacy_ids(), FunctionKind::Mutation, arguments));
    }
    specs
}

fn call(name: &'static str) -> Expr {
    Expr::call(name, [])
}

/// What the expression of a validator exports.
fn validator(expression: &Expr) -> Json {
    let Expr::Call(name, arguments) = expression else { return json!({ "type": "any" }) };
    let first = || arguments.first().map_or(Json::Null, validator);
    match *name {
        "v.id" => json!({ "type": "id", "tableName": text(arguments) }),
        "v.literal" => json!({ "type": "literal", "value": text(arguments) }),
        "v.array" => json!({ "type": "array", "value": first() }),
        "v.union" => json!({ "type": "union", "value": arguments.iter().map(validator).collect::<Vec<_>>() }),
        "v.object" => json!({ "type": "object", "value": arguments.first().map_or(Json::Null, fields) }),
        "v.int64" => json!({ "type": "bigint" }),
        other => json!({ "type": other.trim_start_matches("v.") }),
    }
}

fn fields(object: &Expr) -> Json {
    let Expr::Object { entries, .. } = object else { return json!({}) };
    let field = |entry: &Entry| {
        let (is_optional, inner) = match &entry.value {
            Some(Expr::Call("v.optional", arguments)) => (true, arguments.first()),
            value => (false, value.as_ref()),
        };
        let inner = inner.map_or(Json::Null, validator);
        (entry.name.clone(), json!({ "fieldType": inner, "optional": is_optional }))
    };
    Json::Object(entries.iter().map(field).collect::<Map<String, Json>>())
}

/// The text of a call's only argument, a string literal.
fn text(arguments: &[Expr]) -> Json {
    match arguments {
        [Expr::Raw(literal)] => serde_json::from_str(literal).unwrap_or(Json::Null),
        _ => Json::Null,
    }
}
