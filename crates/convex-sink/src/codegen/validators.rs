//! Convex validators of planned fields.

use migrate_core::plan::{FieldType, PlanField};

use super::ts::Expr;

/// The validator of a field in the schema and in the arguments: `v.optional(v.union(v.string(), v.null()))`.
///
/// A cut field is always optional: the second pass sets it, after the document is there.
pub(super) fn of_field(field: &PlanField) -> Expr {
    let mut kinds = kinds(&field.field_type);
    if field.nullable && field.field_type != FieldType::Any {
        kinds.push(Expr::call("v.null", []));
    }
    let validator = union(kinds);
    if field.optional || field.is_cut() { Expr::call("v.optional", [validator]) } else { validator }
}

/// The kinds of a type, of which a value is one.
fn kinds(field_type: &FieldType) -> Vec<Expr> {
    let one = match field_type {
        FieldType::String => Expr::call("v.string", []),
        FieldType::Number => Expr::call("v.number", []),
        FieldType::Int64 => Expr::call("v.int64", []),
        FieldType::Boolean => Expr::call("v.boolean", []),
        FieldType::Bytes => Expr::call("v.bytes", []),
        FieldType::Any => Expr::call("v.any", []),
        FieldType::Id(table) => Expr::call("v.id", [Expr::text(table.name())]),
        FieldType::Array(item) => Expr::call("v.array", [union(kinds(item))]),
        FieldType::Literals(texts) => return literals(texts.iter().map(String::as_str)),
        FieldType::Nullable(inner) => {
            let mut kinds = kinds(inner);
            kinds.push(Expr::call("v.null", []));
            return kinds;
        }
        FieldType::Union(types) => return types.iter().flat_map(kinds).collect(),
    };
    vec![one]
}

/// A validator of one of these texts: `v.union(v.literal("a"), v.literal("b"))`.
pub(super) fn one_of<'a>(texts: impl Iterator<Item = &'a str>) -> Expr {
    union(literals(texts))
}

fn literals<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Expr> {
    let mut seen: Vec<&str> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen.into_iter().map(|text| Expr::call("v.literal", [Expr::text(text)])).collect()
}

fn union(mut kinds: Vec<Expr>) -> Expr {
    if kinds.len() == 1 { kinds.swap_remove(0) } else { Expr::Call("v.union", kinds) }
}
