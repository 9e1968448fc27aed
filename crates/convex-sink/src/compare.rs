//! Where the validator of a deployed function differs from the planned one.

use std::collections::BTreeSet;

use serde_json::Value as Json;

/// Places where two validators differ, each with what is there: `records[].total: v.string() is deployed, v.number() is
/// planned`. Both are in the form that Convex exports. The members of a union have no order.
pub(crate) fn differences(deployed: &Json, planned: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", deployed, planned, &mut lines);
    lines
}

fn compare(place: &str, deployed: &Json, planned: &Json, lines: &mut Vec<String>) {
    let kind = |of: &Json| of.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    match (kind(deployed).as_str(), kind(planned).as_str()) {
        ("object", "object") => {
            let (found, wanted) = (deployed.get("value"), planned.get("value"));
            let names = |of: Option<&Json>| -> BTreeSet<String> {
                of.and_then(Json::as_object).into_iter().flat_map(|fields| fields.keys().cloned()).collect()
            };
            for name in names(found).union(&names(wanted)) {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                let field = |of: Option<&Json>| of.and_then(|fields| fields.get(name)).cloned();
                match (field(found), field(wanted)) {
                    (Some(found), Some(wanted)) if is_optional(&found) == is_optional(&wanted) => {
                        compare(&place, type_of(&found), type_of(&wanted), lines);
                    }
                    (found, wanted) => {
                        let shown = |field: Option<&Json>| field.map_or_else(|| "nothing".to_owned(), shown_field);
                        lines.push(difference(&place, &shown(found.as_ref()), &shown(wanted.as_ref())));
                    }
                }
            }
        }
        ("array", "array") => {
            let item = |of: &Json| of.get("value").cloned().unwrap_or_default();
            compare(&format!("{place}[]"), &item(deployed), &item(planned), lines);
        }
        _ => {
            let (deployed, planned) = (shown(deployed), shown(planned));
            if deployed != planned {
                lines.push(difference(place, &deployed, &planned));
            }
        }
    }
}

fn difference(place: &str, deployed: &str, planned: &str) -> String {
    let place = if place.is_empty() { "the arguments" } else { place };
    format!("{place}: {deployed} is deployed, {planned} is planned")
}

fn is_optional(field: &Json) -> bool {
    field.get("optional").and_then(Json::as_bool).unwrap_or_default()
}

fn type_of(field: &Json) -> &Json {
    field.get("fieldType").unwrap_or(&Json::Null)
}

fn shown_field(field: &Json) -> String {
    let inner = shown(type_of(field));
    if is_optional(field) { format!("v.optional({inner})") } else { inner }
}

/// A validator as its TypeScript, the members of a union in the order of their texts.
fn shown(validator: &Json) -> String {
    let text = |name: &str| validator.get(name).map(ToString::to_string).unwrap_or_default();
    let value = validator.get("value");
    match validator.get("type").and_then(Json::as_str).unwrap_or("unknown") {
        "id" => format!("v.id({})", text("tableName")),
        "literal" => format!("v.literal({})", text("value")),
        "array" => format!("v.array({})", value.map(shown).unwrap_or_default()),
        "union" => {
            let members = value.and_then(Json::as_array).into_iter().flatten();
            let members: BTreeSet<String> = members.map(shown).collect();
            format!("v.union({})", members.into_iter().collect::<Vec<_>>().join(", "))
        }
        "object" => {
            let mut fields: Vec<String> = value
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
                .map(|(name, field)| format!("{name}: {}", shown_field(field)))
                .collect();
            fields.sort();
            format!("v.object({{ {} }})", fields.join(", "))
        }
        "bigint" => "v.int64()".to_owned(),
        other => format!("v.{other}()"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: &Json) -> Json {
        json!({ "type": "object", "value": fields })
    }

    fn field(kind: &Json, optional: bool) -> Json {
        json!({ "fieldType": kind, "optional": optional })
    }

    #[test]
    fn differences_are_named_by_their_place() {
        let (text, number) = (json!({ "type": "string" }), json!({ "type": "number" }));
        let records = |fields: &Json| {
            let records = json!({ "type": "array", "value": object(fields) });
            object(&json!({ "records": field(&records, false) }))
        };
        let deployed = records(&json!({
            "supabaseId": field(&text, false),
            "total": field(&text, false),
            "note": field(&text, false),
            "old": field(&json!({ "type": "bigint" }), true),
        }));
        let planned = records(&json!({
            "note": field(&text, true),
            "total": field(&number, false),
            "supabaseId": field(&text, false),
            "owner": field(&json!({ "type": "id", "tableName": "users" }), false),
        }));
        assert_eq!(
            differences(&deployed, &planned),
            [
                "records[].note: v.string() is deployed, v.optional(v.string()) is planned",
                "records[].old: v.optional(v.int64()) is deployed, nothing is planned",
                "records[].owner: nothing is deployed, v.id(\"users\") is planned",
                "records[].total: v.string() is deployed, v.number() is planned",
            ]
        );
        let any = json!({ "type": "any" });
        assert_eq!(
            differences(&any, &object(&json!({ "a": field(&number, false) }))),
            ["the arguments: v.any() is deployed, v.object({ a: v.number() }) is planned"]
        );
        assert_eq!(differences(&planned, &planned), [""; 0]);
    }

    #[test]
    fn the_members_of_a_union_have_no_order() {
        let literal = |text: &str| json!({ "type": "literal", "value": text });
        let union = |members: &[Json]| json!({ "type": "union", "value": members });
        let (one, other) = (union(&[literal("a"), literal("b")]), union(&[literal("b"), literal("a")]));
        assert_eq!(differences(&one, &other), [""; 0]);
        assert_eq!(
            differences(&one, &union(&[literal("a")])),
            [
                "the arguments: v.union(v.literal(\"a\"), v.literal(\"b\")) is deployed, v.union(v.literal(\"a\")) is planned"
            ]
        );
    }
}
