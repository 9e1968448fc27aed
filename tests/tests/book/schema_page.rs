//! A JSON Schema as a page: a table for each type, in the order in which the file has them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The text as one line that a cell of a table can hold.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The page: the file itself first, then each type that its fields are of.
pub fn of(head: &str, title: &str, schema: &Value, with_defaults: bool) -> String {
    let mut text = head.to_owned();
    let types = schema["$defs"].as_object().unwrap();
    section(&mut text, title, schema, types, with_defaults);
    for (name, definition) in types {
        if definition.get("properties").is_some() {
            section(&mut text, name, definition, types, with_defaults);
        }
    }
    for (name, definition) in types {
        if let Some(words) = definition["oneOf"].as_array() {
            words_of(&mut text, name, definition, words);
        }
    }
    text
}

fn about(definition: &Value) -> String {
    definition["description"].as_str().unwrap_or_default().to_owned()
}

fn section(text: &mut String, title: &str, definition: &Value, types: &Map<String, Value>, with_defaults: bool) {
    write!(text, "\n## {title}\n\n{}\n\n", about(definition)).unwrap();
    let (names, line) = if with_defaults {
        ("| setting | type | default |", "|---|---|---|")
    } else {
        ("| field | type |", "|---|---|")
    };
    writeln!(text, "{names} means |\n{line}---|").unwrap();
    for (name, property) in definition["properties"].as_object().unwrap() {
        let default = if with_defaults { format!(" {} |", default(property)) } else { String::new() };
        let means = one_line(&about(property));
        writeln!(text, "| `{name}` | {} |{default} {means} |", type_of(property, types)).unwrap();
    }
}

fn words_of(text: &mut String, name: &str, definition: &Value, words: &[Value]) {
    write!(text, "\n## {name}\n\n{}\n\n| word | means |\n|---|---|\n", about(definition)).unwrap();
    for word in words {
        writeln!(text, "| `{}` | {} |", word["const"].as_str().unwrap(), one_line(&about(word))).unwrap();
    }
}

/// The type in words, linked to its own section where it has one.
fn type_of(property: &Value, types: &Map<String, Value>) -> String {
    if let Some(name) = property["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let definition = &types[name];
        if definition.get("properties").is_some() || definition.get("oneOf").is_some() {
            return format!("[{name}](#{})", name.to_lowercase());
        }
        return type_of(definition, types);
    }
    if let Some(either) = property["anyOf"].as_array() {
        return either.iter().filter(|one| one["type"] != "null").map(|one| type_of(one, types)).collect();
    }
    let name = match &property["type"] {
        Value::Array(names) => names.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
        name => name.as_str(),
    };
    match name {
        Some("array") => format!("list of {}", type_of(&property["items"], types)),
        Some("object") if property["additionalProperties"].is_object() => {
            format!("{} by name", type_of(&property["additionalProperties"], types))
        }
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

/// What holds where the setting is left out. A section's own defaults are in its own table.
fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null | Value::Object(_)) => String::new(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(value) => format!("`{value}`"),
    }
}
