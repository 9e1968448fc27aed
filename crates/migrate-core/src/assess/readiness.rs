//! What can be planned, what stands in the way, and what a person has to decide.

use std::collections::BTreeSet;

use super::estimate::{Estimate, SinkScale};
use super::finding::{Finding, listed};
use super::model::{
    ASSESSMENT_VERSION, Assessment, ColumnAssessment, Decision, Readiness, ScanMode, ScanSummary, TableAssessment,
    TableScan,
};
use super::scan::Scanned;
use crate::catalog::{Catalog, Column, RowKey, ScalarKind, TableSchema, TableState};
use crate::names::{FieldName, TableName};
use crate::plan::{
    Cast, Conversion, MigrateConfig, Plan, PlanField, PlanIssue, PlanReference, PlanTable, SinkRules, build_plan,
    column_fate, is_pattern, pattern, table_entry,
};

/// The plan of all that can be planned, and what stands in the way of the rest.
#[derive(Debug)]
pub struct Prospect {
    plan: Plan,
    blocked: Vec<(TableName, PlanIssue)>,
}

impl Prospect {
    /// Plans what can be: a table that an issue is about is left out, and so on until a plan can be made.
    ///
    /// # Errors
    /// Issues that are about no table, such as a wrong setting of the whole configuration.
    pub fn new(config: &MigrateConfig, catalog: &Catalog, rules: &SinkRules) -> Result<Self, Vec<PlanIssue>> {
        let mut config = config.clone();
        let mut blocked: Vec<(TableName, PlanIssue)> = Vec::new();
        loop {
            let issues = match build_plan(&config, catalog, rules) {
                Ok(plan) => return Ok(Self { plan, blocked }),
                Err(issues) => issues,
            };
            let found: Vec<(TableName, PlanIssue)> =
                issues.iter().flat_map(|issue| tables_of(issue, catalog).map(|table| (table, issue.clone()))).collect();
            let dropped: BTreeSet<TableName> = found.iter().map(|(table, _)| table.clone()).collect();
            let is_new = |table: &TableName| !blocked.iter().any(|(known, _)| known == table);
            if !dropped.iter().any(is_new) {
                return Err(issues);
            }
            for table in dropped {
                leave_out(&mut config, catalog, &table);
            }
            blocked.extend(found);
        }
    }

    /// The plan of the tables that are not blocked.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The assessment: the plan's, with what a scan found, as far as there was one.
    #[must_use]
    pub fn assess(
        &self,
        tool: &str,
        config: &MigrateConfig,
        catalog: &Catalog,
        scanned: Option<Scanned>,
        scale: &SinkScale,
    ) -> Assessment {
        let none = ScanSummary {
            mode: ScanMode::None,
            complete: true,
            rows: 0,
            bytes: 0,
            seconds: 0.0,
            unchecked: Vec::new(),
        };
        let is_scanned = scanned.is_some();
        let (summary, mut scans) = scanned.map_or((none, Vec::new()), |scanned| (scanned.summary, scanned.tables));
        let mut scan_of = |table: &TableName| -> Option<TableScan> {
            let at = scans.iter().position(|(name, _)| name == table)?;
            Some(scans.swap_remove(at).1)
        };
        let absent = self.blocked.iter().map(|(table, _)| table).filter(|name| catalog.table(name).is_none());
        let absent: BTreeSet<&TableName> = absent.collect();
        let mut tables: Vec<TableAssessment> =
            catalog.tables.iter().map(|schema| self.table(config, catalog, schema, scan_of(&schema.name))).collect();
        tables
            .extend(absent.into_iter().map(|name| self.table(config, catalog, &TableSchema::new(name.clone()), None)));
        let exact = summary.mode == ScanMode::Full && summary.complete;
        Assessment {
            version: ASSESSMENT_VERSION,
            tool: tool.to_owned(),
            timestamp: jiff::Timestamp::now().to_string(),
            origin: catalog.origin.clone(),
            estimate: is_scanned.then(|| Estimate::of(&tables, exact, scale)),
            scan: summary,
            tables,
            notes: self.plan.notes.clone(),
            inventory: catalog.inventory.clone(),
            unknown: catalog.unknown.clone(),
        }
    }

    fn table(
        &self,
        config: &MigrateConfig,
        catalog: &Catalog,
        schema: &TableSchema,
        scan: Option<TableScan>,
    ) -> TableAssessment {
        let parts: Vec<&PlanTable> =
            self.plan.tables.iter().filter(|table| *table.read_from() == schema.name).collect();
        let adopted = self.plan.adopted.iter().find(|table| table.source == schema.name);
        let is_planned = !parts.is_empty() || adopted.is_some();
        let issues = self.blocked.iter().filter(|(table, _)| *table == schema.name);
        let mut decisions: Vec<Decision> = issues.map(|(_, issue)| of_issue(issue)).collect();
        if is_planned {
            decisions.extend(scan.iter().flat_map(|scan| &scan.findings).filter_map(|found| of_finding(schema, found)));
            decisions.extend(scan.as_ref().and_then(|scan| scan.error.as_ref()).map(|error| Decision {
                what: format!("its rows could not all be read: failed to {error}"),
                remedy: "mend the cause, then run the same command".to_owned(),
                setting: None,
                blocks: true,
            }));
            decisions.extend(self.of_key(schema));
            if adopted.is_none() {
                decisions.extend(self.of_references(config, catalog, schema));
            }
        }
        let readiness = if decisions.iter().any(|decision| decision.blocks) {
            Readiness::Blocked
        } else if !is_planned {
            Readiness::LeftOut
        } else if decisions.is_empty() {
            Readiness::Automatic
        } else {
            Readiness::Decision
        };
        let sinks = parts.iter().map(|table| &table.sink).chain(adopted.map(|table| &table.sink));
        TableAssessment {
            table: schema.name.clone(),
            sinks: sinks.cloned().collect(),
            adopted: adopted.is_some(),
            readiness,
            state: schema.state,
            rows: schema.rows,
            refers_to: refers_to(schema, &parts),
            decisions,
            columns: schema.columns.iter().map(|column| self.column(schema, column)).collect(),
            not_enforced: parts.iter().flat_map(|table| &table.not_enforced).cloned().collect(),
            scan,
        }
    }

    fn column(&self, schema: &TableSchema, column: &Column) -> ColumnAssessment {
        let fate = column_fate(&self.plan, &schema.name, &column.name);
        let parts = self.plan.tables.iter().filter(|table| *table.read_from() == schema.name);
        let fields: Vec<&PlanField> =
            parts.flat_map(|table| &table.fields).filter(|field| field.columns.contains(&column.name)).collect();
        let own = fields.iter().find(|field| field.columns.len() == 1);
        let becomes = match own.or(fields.first()) {
            Some(field) => format!(
                "{}{}{}",
                field.field_type,
                if field.optional { ", optional" } else { "" },
                if field.nullable { " or null" } else { "" }
            ),
            None => fate.note.unwrap_or("nothing").to_owned(),
        };
        ColumnAssessment {
            column: column.name.clone(),
            source_type: column.source_type.name.clone(),
            nullable: column.nullable,
            fields: fate.fields,
            becomes,
            loss: fields.iter().find_map(|field| loss(field)).map(str::to_owned),
        }
    }

    /// Rows that nothing, or nothing proven, tells apart.
    fn of_key(&self, schema: &TableSchema) -> Option<Decision> {
        let planned = self.plan.tables.iter().find(|table| table.source == schema.name)?;
        let setting = Some(format!("tables.{}.key", schema.name));
        let place = matches!(schema.row_key(), RowKey::Place(place) if place == planned.key);
        if place {
            return Some(Decision {
                what: "no unique key: rows are named by their place, which an update changes".to_owned(),
                remedy: "add a primary key, name unique columns, or stop writing to it before the run".to_owned(),
                setting,
                blocks: false,
            });
        }
        (!schema.is_unique(&planned.key)).then(|| Decision {
            what: format!("read by ({}), which the source does not show to be unique", listed(&planned.key)),
            remedy: "make the columns unique: rows of one key become one document".to_owned(),
            setting,
            blocks: false,
        })
    }

    /// References that stay values, and columns that look like one.
    fn of_references(&self, config: &MigrateConfig, catalog: &Catalog, schema: &TableSchema) -> Vec<Decision> {
        let parts = self.plan.tables.iter().filter(|table| *table.read_from() == schema.name);
        let followed: Vec<BTreeSet<&FieldName>> = parts
            .flat_map(|table| &table.fields)
            .filter(|field| field.reference().is_some())
            .map(|field| field.columns.iter().collect())
            .collect();
        let settings = config.tables.get(&schema.name);
        // Who chose a type for a column, or left it out, has decided.
        let is_decided = |column: &FieldName| {
            let choice = settings.and_then(|settings| settings.columns.get(column));
            choice.is_some_and(|choice| choice.drop || choice.field_type.is_some())
        };
        let is_open = |columns: &[FieldName]| {
            let wanted: BTreeSet<&FieldName> = columns.iter().collect();
            !followed.contains(&wanted) && !columns.iter().all(is_decided)
        };
        let is_planned = |table: &TableName| self.plan.source_tables().any(|name| name == table);
        let setting = |columns: &[FieldName]| match columns {
            [only] => Some(format!("tables.{}.columns.{only}", schema.name)),
            _ => Some(format!("tables.{}.references", schema.name)),
        };
        let declared = schema.foreign_keys.iter().filter(|foreign| is_open(&foreign.columns));
        let mut decisions: Vec<Decision> = declared
            .map(|foreign| {
                let why = if is_planned(&foreign.parent) { "" } else { ", which is not in the plan" };
                Decision {
                    what: format!("{} refers to {}{why}: it stays a value", listed(&foreign.columns), foreign.parent),
                    remedy: format!(
                        "include or adopt {}, or set a type for the column to keep the value",
                        foreign.parent
                    ),
                    setting: setting(&foreign.columns),
                    blocks: false,
                }
            })
            .collect();
        let is_foreign =
            |column: &FieldName| schema.foreign_keys.iter().any(|foreign| foreign.columns.contains(column));
        let is_referring = |column: &FieldName| followed.iter().any(|columns| columns.contains(column));
        for column in schema.columns.iter().filter(|column| !is_foreign(&column.name) && !is_referring(&column.name)) {
            let suspects =
                self.plan.tables.iter().filter(|table| table.part_of.is_none() && table.source != schema.name);
            let parent = suspects.into_iter().find(|table| looks_like(schema, column, table, catalog));
            let Some(parent) = parent.filter(|_| is_open(std::slice::from_ref(&column.name))) else { continue };
            decisions.push(Decision {
                what: format!("{} looks like a reference to {}: it stays a value", column.name, parent.source),
                remedy: format!("set references = \"{}\" for the column, or a type to keep the value", parent.source),
                setting: setting(std::slice::from_ref(&column.name)),
                blocks: false,
            });
        }
        decisions
    }
}

/// The tables that the source or the plan lets a table refer to.
fn refers_to(schema: &TableSchema, parts: &[&PlanTable]) -> Vec<TableName> {
    let planned = parts.iter().filter(|table| table.part_of.is_none()).flat_map(|table| &table.fields);
    let planned = planned.filter_map(PlanField::reference).flat_map(PlanReference::tables);
    let all: BTreeSet<&TableName> = schema.foreign_keys.iter().map(|foreign| &foreign.parent).chain(planned).collect();
    all.into_iter().cloned().collect()
}

/// The tables that an issue is about, by its place in the configuration.
fn tables_of<'a>(issue: &PlanIssue, catalog: &'a Catalog) -> impl Iterator<Item = TableName> + use<'a> {
    let place = match &*issue.path {
        [list, name, ..] if list == "tables" || list == "include" => Some((list == "include", name.clone())),
        _ => None,
    };
    // An entry with a pattern is at fault only for what it matches and cannot be read.
    let matcher =
        place.as_ref().and_then(|(listed, text)| (*listed && is_pattern(text)).then(|| pattern(text).ok()).flatten());
    let one = place.filter(|(listed, text)| !(*listed && is_pattern(text))).and_then(|(_, text)| text.parse().ok());
    let closed = matcher.into_iter().flat_map(move |matcher| {
        let forbidden = catalog.tables.iter().filter(|table| table.state == TableState::Forbidden);
        forbidden.filter(move |table| matcher.is_match(table.name.to_string())).map(|table| table.name.clone())
    });
    one.into_iter().chain(closed)
}

/// Takes a table out of a configuration, however it came into it.
fn leave_out(config: &mut MigrateConfig, catalog: &Catalog, table: &TableName) {
    let (text, entry) = (table.to_string(), table_entry(table));
    config.tables.remove(table);
    if let Some(include) = &mut config.include {
        include.retain(|listed| *listed != text && *listed != entry);
    }
    if catalog.table(table).is_some_and(|schema| !schema.kind.is_view()) {
        config.exclude.push(entry);
    }
}

fn of_issue(issue: &PlanIssue) -> Decision {
    Decision {
        what: issue.message.clone(),
        remedy: issue.remedy.clone().unwrap_or_default(),
        setting: (!issue.path.is_empty()).then(|| issue.path.join(".")),
        blocks: true,
    }
}

fn of_finding(schema: &TableSchema, found: &Finding) -> Option<Decision> {
    if !found.effect.wants_decision() {
        return None;
    }
    let rows = if found.rows == 1 { "1 row".to_owned() } else { format!("{} rows", found.rows) };
    let column = found.column.as_ref().filter(|column| schema.column(column).is_some());
    let at = found.column.as_ref().map(|column| format!("{column}: ")).unwrap_or_default();
    Some(Decision {
        what: format!("{at}{}, {rows} {}", found.kind.words(), found.effect.words()),
        remedy: found.kind.remedy().to_owned(),
        setting: column.map(|column| format!("tables.{}.columns.{column}", schema.name)),
        blocks: false,
    })
}

/// What a field's type may lose of its column.
fn loss(field: &PlanField) -> Option<&'static str> {
    let Conversion::Value { cast, .. } = &field.conversion else { return None };
    match (cast, field.source_type.scalar) {
        (Cast::EpochMs, ScalarKind::Date) => Some("infinity is refused"),
        (Cast::EpochMs, _) => Some("microseconds are cut off; infinity is refused"),
        (Cast::Number, ScalarKind::Int8 | ScalarKind::Oid) => Some("integers beyond 2^53 are refused"),
        (Cast::Number, ScalarKind::Numeric) if !has_few_digits(field) => {
            Some("digits beyond those of a double are lost")
        }
        (Cast::Json, _) => Some("numbers become doubles; some keys are refused"),
        (Cast::JsonEscaped, _) => Some("numbers become doubles; some keys are escaped"),
        (Cast::Literal, _) => Some("texts outside the set are refused"),
        _ => None,
    }
}

fn has_few_digits(field: &PlanField) -> bool {
    field.source_type.digits.is_some_and(|digits| digits.precision <= 15 && (0..=15).contains(&digits.scale))
}

/// Endings of a column's name that say that it refers to something.
const ENDINGS: &[&str] = &["_id", "_uuid", "Id"];

/// Whether a column is named after a table, and holds what that table's key holds.
fn looks_like(schema: &TableSchema, column: &Column, parent: &PlanTable, catalog: &Catalog) -> bool {
    let stem = ENDINGS.iter().find_map(|ending| column.name.as_str().strip_suffix(ending));
    let (Some(stem), [key]) = (stem.filter(|stem| !stem.is_empty()), &*parent.key) else { return false };
    let kind = |column: &Column| (column.source_type.scalar, column.source_type.array);
    let key = catalog.table(&parent.source).and_then(|parent| parent.column(key.as_str()));
    let mut names = vec![stem.to_owned(), format!("{stem}s"), format!("{stem}es")];
    names.extend(stem.strip_suffix('y').map(|stem| format!("{stem}ies")));
    key.is_some_and(|key| kind(key) == kind(column))
        && parent.source.schema() == schema.name.schema()
        && names.iter().any(|name| name == parent.source.name())
}
