use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{MigrateConfig, PlanIssue};

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
    /// The line's text.
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
        Self::at(file, text, locate(text, &issue.path), issue.message.clone(), issue.remedy.clone())
    }

    fn at(file: &str, text: &str, span: Option<Range<usize>>, message: String, remedy: Option<String>) -> Self {
        let (line, column, line_text) = match span.and_then(|span| text.get(..span.start)) {
            Some(before) => {
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
                (line, column, text.lines().nth(line - 1).unwrap_or_default().to_owned())
            }
            None => (0, 0, String::new()),
        };
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
        let (message, remedy) = match unknown_key(message) {
            Some((unknown, valid)) => (format!("unknown key `{unknown}`"), Some(suggest(&unknown, &valid))),
            None => (message.to_owned(), None),
        };
        ConfigError::at(file, text, error.span(), message, remedy)
    })
}

/// The unknown key and the valid ones, from the message serde gives for `deny_unknown_fields`:
/// "unknown field `x`, expected one of `a`, `b`", or "expected `a`", or "there are no fields".
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown field ") && !message.starts_with("unknown variant ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((names.next()?, names.collect()))
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

/// Where the key at `path` stands in the text; of a path that goes too deep, where its last known part stands.
fn locate(text: &str, path: &[String]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut span = None;
    for part in path {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == part.as_str()) else { break };
        span = Some(key.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(items) => {
                // A name in a list: the path's next part is the item.
                let position = path.iter().position(|other| other == part).map_or(0, |at| at + 1);
                let wanted = path.get(position);
                let item = items.iter().find(|item| item.get_ref().as_str() == wanted.map(String::as_str));
                return item.map(toml::Spanned::span).or(span);
            }
            _ => break,
        }
    }
    span
}
