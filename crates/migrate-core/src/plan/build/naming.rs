use std::collections::{BTreeMap, BTreeSet};

use heck::{ToLowerCamelCase as _, ToUpperCamelCase as _};

use super::select::Selection;
use super::{Builder, PlanIssue};
use crate::catalog::TableSchema;
use crate::names::{DEFAULT_SCHEMA, FieldName, TableName};
use crate::plan::config::NameStyle;

impl NameStyle {
    pub(super) fn apply(self, name: &str) -> String {
        match self {
            Self::Keep => name.to_owned(),
            Self::Camel => name.to_lower_camel_case(),
        }
    }
}

/// Names that are given away within one table or within the sink.
pub(super) struct Naming {
    taken: BTreeSet<String>,
    prefix: &'static str,
    reserved: &'static [&'static str],
}

impl Naming {
    pub(super) fn fields(builder: &Builder<'_>) -> Self {
        let taken = BTreeSet::from([builder.config.convex.legacy_id_field.to_string()]);
        Self { taken, prefix: "field", reserved: builder.rules.reserved_fields }
    }
}

impl Builder<'_> {
    /// Names of the selected tables at the sink. Those that are given or fit as they are come first; the others are
    /// mended around them.
    pub(super) fn name_tables(&mut self, selection: &Selection<'_>) -> BTreeMap<TableName, TableName> {
        let mut names = BTreeMap::new();
        let mut naming = Naming { taken: BTreeSet::new(), prefix: "table", reserved: self.rules.reserved_tables };
        // Two names that differ in `_` and case only would give their functions one name.
        let mut functions: BTreeSet<String> = BTreeSet::new();
        let mut later: Vec<(&TableSchema, String)> = Vec::new();
        for table in &selection.tables {
            let given = self.config.tables.get(&table.name).and_then(|settings| settings.name.clone());
            let schema = table.name.schema();
            let full = if schema == DEFAULT_SCHEMA {
                table.name.name().to_owned()
            } else {
                format!("{schema}_{}", table.name.name())
            };
            let wanted = given.clone().unwrap_or_else(|| self.config.defaults.table_names.apply(&full));
            let fault = self.rules.fault(&wanted, naming.reserved);
            let clash = naming.taken.contains(&wanted) || functions.contains(&wanted.to_upper_camel_case());
            match (given, fault) {
                (_, None) if !clash => {}
                (None, _) => {
                    later.push((table, wanted));
                    continue;
                }
                (Some(_), fault) => {
                    let reason = fault.unwrap_or_else(|| "another table has it at the sink".to_owned());
                    self.issues.push(PlanIssue::new(
                        &["tables", &table.name.to_string(), "name"],
                        format!("{} cannot be named {wanted}: {reason}", table.name),
                        "give it another name",
                    ));
                }
            }
            functions.insert(wanted.to_upper_camel_case());
            naming.taken.insert(wanted.clone());
            names.extend(sink_name(&wanted).map(|sink| (table.name.clone(), sink)));
        }
        // A name that only clashes is kept nearer to what it was than one that cannot be.
        later.sort_by_key(|(_, wanted)| self.rules.fault(wanted, naming.reserved).is_some());
        for (table, wanted) in later {
            let mut mended = self.rules.mend(&wanted, naming.prefix, naming.reserved, &naming.taken);
            while functions.contains(&mended.to_upper_camel_case()) {
                naming.taken.insert(mended);
                mended = self.rules.mend(&wanted, naming.prefix, naming.reserved, &naming.taken);
            }
            let reason = self.reason(&wanted, naming.reserved, "another table, or its functions,");
            self.notes.push(format!("table {} becomes {mended}: {reason}", table.name));
            functions.insert(mended.to_upper_camel_case());
            naming.taken.insert(mended.clone());
            names.extend(sink_name(&mended).map(|sink| (table.name.clone(), sink)));
        }
        names
    }

    /// Names of a table's columns at the sink, as for tables.
    pub(super) fn name_columns(
        &mut self,
        schema: &TableSchema,
        wanted: &[(FieldName, String, bool)],
        naming: &mut Naming,
    ) -> BTreeMap<FieldName, FieldName> {
        let mut names = BTreeMap::new();
        let mut later: Vec<(&FieldName, &String)> = Vec::new();
        for (column, name, given) in wanted {
            let fault = self.rules.fault(name, naming.reserved);
            let clash = naming.taken.contains(name);
            if !given && (fault.is_some() || clash) {
                later.push((column, name));
                continue;
            }
            if fault.is_some() || clash {
                let reason = fault.unwrap_or_else(|| "another field has it".to_owned());
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "columns", column.as_str(), "name"],
                    format!("{}.{column} cannot be named {name}: {reason}", schema.name),
                    "give it another name",
                ));
            }
            naming.taken.insert(name.clone());
            names.insert(column.clone(), FieldName::from(name.as_str()));
        }
        for (column, name) in later {
            let reason = self.reason(name, naming.reserved, "another field");
            let mended = self.free_field(name, naming);
            self.notes.push(format!("{}.{column} becomes {mended}: {reason}", schema.name));
            names.insert(column.clone(), mended);
        }
        names
    }

    /// Why something cannot have the name it would have.
    fn reason(&self, wanted: &str, reserved: &[&str], other: &str) -> String {
        match self.rules.fault(wanted, reserved) {
            Some(_) if wanted.is_empty() => "its name has no letter or digit that the sink takes".to_owned(),
            Some(fault) => format!("{wanted:?} cannot be, as {fault}"),
            None => format!("{other} has the name {wanted}"),
        }
    }

    /// A field name that is free, the nearest to `wanted`.
    pub(super) fn free_field(&self, wanted: &str, naming: &mut Naming) -> FieldName {
        let mended = self.rules.mend(wanted, naming.prefix, naming.reserved, &naming.taken);
        naming.taken.insert(mended.clone());
        FieldName::from(mended.as_str())
    }

    /// Takes a name that the configuration gives to a field that no column is.
    pub(super) fn given_field(&mut self, schema: &TableSchema, list: &str, name: &FieldName, naming: &mut Naming) {
        let fault = self.rules.fault(name.as_str(), naming.reserved);
        let clash = !naming.taken.insert(name.to_string());
        if fault.is_some() || clash {
            let reason = fault.unwrap_or_else(|| "another field has it".to_owned());
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), list, name.as_str()],
                format!("a field of {} cannot be named {name}: {reason}", schema.name),
                "give it another name, or leave the column of that name out with drop = true",
            ));
        }
    }
}

fn sink_name(name: &str) -> Option<TableName> {
    TableName::new(DEFAULT_SCHEMA, name).ok()
}
