use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use super::{Builder, PlanIssue};
use crate::catalog::{TableSchema, TableState};
use crate::names::TableName;
use crate::plan::AbsentTable;
use crate::plan::config::is_pattern;
use crate::plan::toml_error::suggest;

/// The tables to plan for, in the catalog's order, and those that were asked for and cannot be read.
pub(super) struct Selection<'a> {
    pub(super) tables: Vec<&'a TableSchema>,
    pub(super) absent: Vec<AbsentTable>,
}

/// A pattern over names: `*`, `?`, `[a-z]`, `{a,b}`. `None` when it is none, with the reason.
pub(super) fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

impl<'a> Builder<'a> {
    pub(super) fn select(&mut self) -> Selection<'a> {
        let mut wanted: BTreeSet<TableName> = if let Some(include) = &self.config.include {
            include.iter().flat_map(|text| self.named("include", text, true)).collect()
        } else {
            let is_stored = |table: &&TableSchema| !table.kind.is_view();
            self.catalog.tables.iter().filter(is_stored).map(|table| table.name.clone()).collect()
        };
        wanted.extend(self.config.tables.keys().cloned());
        for text in &self.config.exclude {
            for name in self.named("exclude", text, false) {
                wanted.remove(&name);
            }
        }
        let mut selection = Selection { tables: Vec::new(), absent: Vec::new() };
        for name in wanted {
            let found = self.catalog.table(&name);
            let state = found.map_or(TableState::Missing, |table| table.state);
            let allowed = self.config.tables.get(&name).is_some_and(|table| table.allow_missing);
            match (state, found) {
                (TableState::Present | TableState::Empty, Some(table)) => selection.tables.push(table),
                (TableState::Forbidden, _) => self.issues.push(PlanIssue::new(
                    &["tables", &name.to_string()],
                    format!("the key may not read {name}"),
                    format!(
                        "run: grant select on {}.{} to service_role; then migrate-discover",
                        name.schema(),
                        name.name()
                    ),
                )),
                _ if allowed => selection.absent.push(AbsentTable { table: name, state: TableState::Missing }),
                _ => {
                    let path = if self.config.tables.contains_key(&name) { "tables" } else { "include" };
                    self.unknown_table(&[path, &name.to_string()], &name);
                }
            }
        }
        // The catalog's own order, so that a plan does not change with the alphabet.
        let position = |name: &TableName| self.catalog.tables.iter().position(|table| table.name == *name);
        selection.tables.sort_by_key(|table| position(&table.name));
        selection
    }

    /// The tables that one entry of `include` or `exclude` names.
    fn named(&mut self, list: &str, text: &str, may_be_absent: bool) -> Vec<TableName> {
        if !is_pattern(text) {
            return match text.parse::<TableName>() {
                Ok(name) if may_be_absent || self.catalog.table(&name).is_some() => vec![name],
                Ok(name) => {
                    self.unknown_table(&[list, text], &name);
                    Vec::new()
                }
                Err(error) => {
                    self.issues.push(PlanIssue::new(&[list, text], error.to_string(), "name a table"));
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

    pub(super) fn unknown_table(&mut self, path: &[&str], name: &TableName) {
        let readable = self.catalog.tables.iter().filter(|table| table.state != TableState::Missing);
        let known: Vec<String> = readable.map(|table| table.name.to_string()).collect();
        self.issues.push(PlanIssue::new(
            path,
            format!("the source has no table {name}"),
            format!("{} Where it may be absent: allow_missing = true", suggest(&name.to_string(), &known)),
        ));
    }
}
