//! Convex validators of planned fields.

use migrate_core::plan::{FieldType, PlanField};

use super::ts::Expr;

/// The validator of a field in the schema and in the arguments: `v.optional(v.union(v.string(), v.null()))`.
///
/// A cut field is always optional: the second pass sets it, after the document is there.
pub(super) fn of_field(field: &PlanField) -> Expr {
    let mut kinds = kinds(&field.field_type);
    if field.nullable {
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
        FieldType::Any => any(),
        FieldType::Id(table) => Expr::call("v.id", [Expr::text(table.name())]),
        FieldType::Array(item) => Expr::call("v.array", [union(kinds(item))]),
        FieldType::Literals(texts) => return texts.iter().map(|text| literal(text)).collect(),
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
    union(texts.map(literal).collect())
}

fn literal(text: &str) -> Expr {
    Expr::call("v.literal", [Expr::text(text)])
}

fn any() -> Expr {
    Expr::call("v.any", [])
}

/// A union of what is different in the list; of one kind that kind, and where anything goes `v.any()` alone.
fn union(kinds: Vec<Expr>) -> Expr {
    let mut different: Vec<Expr> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        if !different.contains(&kind) {
            different.push(kind);
        }
    }
    if different.contains(&any()) {
        any()
    } else if different.len() == 1 {
        different.swap_remove(0)
    } else {
        Expr::Call("v.union", different)
    }
}
