use std::collections::{BTreeMap, HashMap};

use globset::{GlobBuilder, GlobMatcher};

use super::{Builder, PlanIssue};
use crate::catalog::{TableSchema, TableState};
use crate::names::{DEFAULT_SCHEMA, TableName};
use crate::plan::AbsentTable;
use crate::plan::config::is_pattern;
use crate::plan::toml_error::suggest;

/// The tables to plan for, in the catalog's order, and those that were asked for and cannot be read.
pub(super) struct Selection<'a> {
    pub(super) tables: Vec<&'a TableSchema>,
    pub(super) absent: Vec<AbsentTable>,
}

/// A pattern over names: `*`, `?`, `[a-z]`, `{a,b}`. `None` when it is none, with the reason.
pub(crate) fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

impl<'a> Builder<'a> {
    pub(super) fn select(&mut self) -> Selection<'a> {
        // Each with the entry of `include` that asks for it.
        let mut wanted: BTreeMap<TableName, Option<&str>> = BTreeMap::new();
        if let Some(include) = &self.config.include {
            for text in include {
                for name in self.named("include", text, true) {
                    wanted.entry(name).or_insert(Some(text));
                }
            }
        } else {
            let is_stored = |table: &&TableSchema| !table.kind.is_view() && table.state != TableState::Missing;
            wanted.extend(self.catalog.tables.iter().filter(is_stored).map(|table| (table.name.clone(), None)));
        }
        wanted.extend(self.config.tables.keys().map(|name| (name.clone(), None)));
        for text in &self.config.exclude {
            for name in self.named("exclude", text, false) {
                wanted.remove(&name);
            }
        }
        let mut selection = Selection { tables: Vec::new(), absent: Vec::new() };
        for (name, entry) in wanted {
            let (list, entry) = entry.map_or_else(|| ("tables", name.to_string()), |text| ("include", text.to_owned()));
            let found = self.catalog.table(&name);
            let state = found.map_or(TableState::Missing, |table| table.state);
            let allowed = self.config.tables.get(&name).is_some_and(|table| table.allow_missing);
            match (state, found) {
                (TableState::Present | TableState::Empty, Some(table)) => selection.tables.push(table),
                (TableState::Forbidden, _) => self.issues.push(PlanIssue::new(
                    &[list, &entry],
                    format!("the key may not read {name}"),
                    format!("run: {} then migrate-discover; or exclude = [\"{name}\"]", grants(&name)),
                )),
                _ if allowed => selection.absent.push(AbsentTable { table: name, state: TableState::Missing }),
                _ => {
                    let remedy = " (where it may be absent: allow_missing = true)";
                    self.unknown_table(&[list, &entry], &name, remedy);
                }
            }
        }
        // The catalog's own order, so that a plan does not change with the alphabet.
        let positions: HashMap<&TableName, usize> =
            self.catalog.tables.iter().enumerate().map(|(position, table)| (&table.name, position)).collect();
        selection.tables.sort_by_key(|table| positions.get(&table.name));
        selection
    }

    /// The tables that one entry of `include` or `exclude` names.
    fn named(&mut self, list: &str, text: &str, may_be_absent: bool) -> Vec<TableName> {
        if !is_pattern(text) {
            return match text.parse::<TableName>() {
                Ok(name) if may_be_absent || self.catalog.table(&name).is_some() => vec![name],
                Ok(name) => {
                    self.unknown_table(&[list, text], &name, "");
                    Vec::new()
                }
                Err(_) => {
                    let message = format!("{text:?} names no table");
                    self.issues.push(PlanIssue::new(&[list, text], message, "write table, or schema.table"));
                    Vec::new()
                }
            };
        }
        let matcher = match pattern(text) {
            Ok(matcher) => matcher,
            Err(reason) => {
                self.issues.push(PlanIssue::new(
                    &[list, text],
                    format!("{text} is no pattern: {reason}"),
                    "write * for any characters, as in shop_*",
                ));
                return Vec::new();
            }
        };
        let tables: Vec<TableName> = self
            .catalog
            .tables
            .iter()
            .filter(|table| !table.kind.is_view() && matcher.is_match(table.name.to_string()))
            .map(|table| table.name.clone())
            .collect();
        if tables.is_empty() {
            self.issues.push(PlanIssue::new(
                &[list, text],
                format!("no table of the source matches {text}"),
                "see the tables with: migrate-discover",
            ));
        }
        tables
    }

    fn unknown_table(&mut self, path: &[&str], name: &TableName, more: &str) {
        let readable = self.catalog.tables.iter().filter(|table| table.state != TableState::Missing);
        let known: Vec<String> = readable.map(|table| table.name.to_string()).collect();
        self.issues.push(PlanIssue::new(
            path,
            format!("the source has no table {name}"),
            format!("{}{more}", suggest(&name.to_string(), &known)),
        ));
    }
}

/// The statements that let a project's own key read a table.
fn grants(table: &TableName) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (schema, name) = (quoted(table.schema()), quoted(table.name()));
    let select = format!("grant select on {schema}.{name} to service_role;");
    if table.schema() == DEFAULT_SCHEMA {
        select
    } else {
        format!("grant usage on schema {schema} to service_role; {select}")
    }
}
