use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{MigrateConfig, PlanIssue, secret_words};

/// Names that a message lists at most.
const MOST_NAMES: usize = 12;

/// What is wrong in a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name, as the user gave it.
    pub file: String,
    /// Line, from 1; 0 where the place is the whole file.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The line's text, without what looks like a secret.
    pub line_text: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl ConfigError {
    /// Places an issue of the plan in the file it came from.
    #[must_use]
    pub fn from_issue(file: &str, text: &str, issue: &PlanIssue) -> Self {
        Self::at(file, text, locate(text, &issue.path), &issue.message, issue.remedy.clone())
    }

    /// Places all issues of a plan, in the order of their lines; those of the whole file come first.
    #[must_use]
    pub fn from_issues(file: &str, text: &str, issues: &[PlanIssue]) -> Vec<Self> {
        let mut errors: Vec<Self> = issues.iter().map(|issue| Self::from_issue(file, text, issue)).collect();
        errors.sort_by_key(|error| (error.line, error.column));
        errors
    }

    fn at(file: &str, text: &str, span: Option<Range<usize>>, message: &str, remedy: Option<String>) -> Self {
        let (line, column, line_text) = match span.and_then(|span| text.get(..span.start)) {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
                (line, column, text.lines().nth(line - 1).unwrap_or_default().to_owned())
            }
            None => (0, 0, String::new()),
        };
        let (line_text, message) = (secret_words::hide_in_line(&line_text), secret_words::hide(message));
        Self { file: file.to_owned(), line, column, line_text, message, remedy }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if self.line > 0 {
            let margin = self.line.to_string().len();
            let caret = " ".repeat(self.column.saturating_sub(1));
            write!(f, "\n{:margin$} |\n{} | {}\n{:margin$} | {caret}^", "", self.line, self.line_text, "")?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration; `file` is for messages.
///
/// # Errors
/// The first error, with its line; for an unknown key the nearest valid one.
pub fn read_config(file: &str, text: &str) -> Result<MigrateConfig, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        let unknown = unknown_word(message);
        let is_key = matches!(unknown, Some((KEY, ..)));
        let (message, remedy) = match unknown {
            Some((what, unknown, valid)) => (format!("unknown {what} `{unknown}`"), Some(suggest(&unknown, &valid))),
            None => (in_toml_words(message), None),
        };
        let mut error = ConfigError::at(file, text, error.span(), &message, remedy);
        // The value of a key that does not exist is not at fault, and may be a password.
        if is_key {
            error.line_text = secret_words::without_value(&error.line_text, error.column);
        }
        error
    })
}

/// What an unknown word is where a key should be.
const KEY: &str = "key";

/// What is unknown, the word itself and the valid ones, from the message serde gives for `deny_unknown_fields` and for
/// enums: "unknown field `x`, expected one of `a`, `b`", or "expected `a`", or "there are no fields".
fn unknown_word(message: &str) -> Option<(&'static str, String, Vec<String>)> {
    let what = if message.starts_with("unknown field ") {
        KEY
    } else if message.starts_with("unknown variant ") {
        "value"
    } else {
        return None;
    };
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((what, names.next()?, names.collect()))
}

/// A message of serde without the words of Rust.
fn in_toml_words(message: &str) -> String {
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("the key {key} is missing");
    }
    let words = [("a sequence", "a list"), ("a map", "a table"), ("a borrowed string", "a string")];
    let whole_numbers = ["usize", "u64", "u32", "u16", "u8"].map(|name| (name, "a whole number that is not negative"));
    for (rust, toml) in words.into_iter().chain(whole_numbers) {
        if let Some(start) = message.strip_suffix(rust).filter(|start| start.ends_with("expected ")) {
            return format!("{start}{toml}");
        }
    }
    message.to_owned()
}

/// "did you mean …?" with the nearest name where one is near, else the names there are, a dozen at most.
#[must_use]
pub fn suggest(unknown: &str, valid: &[String]) -> String {
    let nearest = valid.iter().map(|name| (strsim::osa_distance(unknown, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2.max(unknown.len() / 3) => format!("did you mean `{name}`?"),
        Some(_) => {
            let more = valid.len().saturating_sub(MOST_NAMES);
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("valid names: {}{tail}", valid[..valid.len() - more].join(", "))
        }
        None => "no names are valid here".to_owned(),
    }
}

/// Where the key at `path` stands in the text; of a path that goes too deep, where its last known part stands. A part of
/// a list is an item's own text, or its position. `None` where not even the first two parts are there, as with a table
/// that the file does not name.
fn locate(text: &str, path: &[String]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (key, mut value) = child(document.get_ref(), first)?;
    let mut span = if rest.is_empty() { Some(key) } else { None };
    for part in rest {
        let found = match value.get_ref() {
            DeValue::Table(table) => child(table, part),
            DeValue::Array(items) => items
                .iter()
                .find(|item| item.get_ref().as_str() == Some(part))
                .or_else(|| items.get(part.parse::<usize>().ok()?))
                .map(|item| (item.span(), item)),
            _ => None,
        };
        let Some((place, inner)) = found else { break };
        (span, value) = (Some(place), inner);
    }
    span
}

/// The key of that name, and its value.
fn child<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<(Range<usize>, &'t Spanned<DeValue<'d>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
    Some((key.span(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"include = ["orders", "lines", "0"]
exclude = [
  "drafts",
]

[[types]]
from = "date"
to = "string"

[[types]]
to = "number"
column = "*_at"

[tables.orders.references.customer]
columns = ["a", "b"]
to = "customers"

[tables.orders]
fields.total = { type = "number", value = 1 }
indexes = [{ name = "x", fields = ["a"] }, { name = "y", fields = ["b", "c"] }]

[tables."with.dot".columns]
"a b" = { type = "string" }
"#;

    /// The text that starts where a path leads.
    fn at(path: &[&str]) -> Option<&'static str> {
        let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
        locate(FILE, &path).and_then(|span| FILE.get(span.start..)).and_then(|rest| rest.lines().next())
    }

    #[test]
    fn paths_lead_through_lists_and_inline_tables() {
        for (path, expected) in [
            (&["include", "lines"][..], "\"lines\", \"0\"]"),
            (&["include", "0"], "\"0\"]"),
            (&["exclude", "drafts"], "\"drafts\","),
            (&["include"], "include = [\"orders\", \"lines\", \"0\"]"),
            (&["types", "0", "to"], "to = \"string\""),
            (&["types", "1", "column"], "column = \"*_at\""),
            (&["types", "1", "from"], "[[types]]"),
            (&["tables", "orders", "references", "customer", "to"], "to = \"customers\""),
            (&["tables", "orders", "references", "customer", "columns", "b"], "\"b\"]"),
            (&["tables", "orders", "references", "customer", "by"], "customer]"),
            (&["tables", "orders", "fields", "total", "value"], "value = 1 }"),
            (&["tables", "orders", "fields", "total", "expression"], "total = { type = \"number\", value = 1 }"),
            (&["tables", "orders", "indexes", "1", "fields", "c"], "\"c\"] }]"),
            (&["tables", "orders", "indexes", "1", "name"], "name = \"y\", fields = [\"b\", \"c\"] }]"),
            (&["tables", "with.dot", "columns", "a b", "type"], "type = \"string\" }"),
            (&["tables", "with.dot", "columns", "other"], "columns]"),
        ] {
            assert_eq!(at(path), Some(expected), "{path:?}");
        }
        for nowhere in [&["tables", "lines", "columns"][..], &["include", "nothing"], &["run", "page_rows"], &[]] {
            assert_eq!(at(nowhere), None, "{nowhere:?}");
        }
    }

    #[test]
    fn errors_of_serde_are_in_the_words_of_the_file() {
        let message = |text: &str| read_config("f", text).unwrap_err().message;
        assert_eq!(message("[defaults]\nnull = 1"), "unknown key `null`");
        assert_eq!(message("[defaults]\nnulls = \"none\""), "unknown value `none`");
        assert_eq!(message("[tables.a]\nadopt = { index = \"i\" }"), "the key `key` is missing");
        assert_eq!(message("include = \"a\""), "invalid type: string \"a\", expected a list");
    }
}
