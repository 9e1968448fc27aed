use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{IdResolver, Resolution, StoredIds};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, KeySpace, SinkId, SourceKey, TableName};
use crate::plan::{AdoptedTable, Conversion};
use crate::record::{Record, RecordShape};
use crate::sink::{Match, NaturalKey, Sink};
use crate::source::Source;
use crate::state::StateStore;
use crate::transform::{Chain, RowContext};
use crate::value::Value;

/// Ids of documents that live in the sink already, found by a natural key.
///
/// For the keys asked for: the parents' natural-key columns are fetched from the source, references inside the natural
/// key are resolved first, the result is looked up in the sink's index, and what is found is kept in the state.
#[derive(Debug)]
pub struct AdoptedIds {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    state: Arc<dyn StateStore>,
    tables: HashMap<TableName, Adoption>,
    /// Finds rows of the tables that are migrated; the state does where there is none.
    migrated: Option<Arc<dyn IdResolver>>,
}

#[derive(Debug)]
struct Adoption {
    table: AdoptedTable,
    columns: Vec<FieldName>,
    chain: Chain,
}

/// One row's natural key on its way: whole, or stopped by what is missing.
type Attempt = std::result::Result<NaturalKey, Resolution>;

impl AdoptedIds {
    /// Adopts rows of `tables`.
    pub fn new(
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        state: Arc<dyn StateStore>,
        tables: &[AdoptedTable],
    ) -> Self {
        let tables = tables
            .iter()
            .map(|table| {
                let columns = table.natural_key.iter().flat_map(|field| field.columns.clone()).collect();
                let chain = Chain::new(&table.source, &table.natural_key);
                (table.source.clone(), Adoption { table: table.clone(), columns, chain })
            })
            .collect();
        Self { source, sink, state, tables, migrated: None }
    }

    /// Finds rows of tables that are not adopted by `resolver`, instead of by the state.
    #[must_use]
    pub fn with_migrated(mut self, resolver: Arc<dyn IdResolver>) -> Self {
        self.migrated = Some(resolver);
        self
    }

    async fn resolve_unique(
        &self,
        adoption: &Adoption,
        space: &KeySpace,
        keys: &[SourceKey],
    ) -> Result<Vec<Resolution>> {
        let known = self.state.ids(space, keys).await?;
        let mut resolutions: Vec<Option<Resolution>> = known.into_iter().map(|id| id.map(Resolution::Found)).collect();
        let open: Vec<usize> = (0..keys.len()).filter(|&at| matches!(resolutions.get(at), Some(None))).collect();
        let open_keys: Vec<SourceKey> = open.iter().filter_map(|&at| keys.get(at).cloned()).collect();
        if !open_keys.is_empty() {
            let found = self.look_up(adoption, space, &open_keys).await?;
            let new_ids: Vec<(SourceKey, SinkId)> = open_keys
                .iter()
                .zip(&found)
                .filter_map(|(key, resolution)| resolution.id().map(|id| (key.clone(), id.clone())))
                .collect();
            self.state.adopt(space, &new_ids).await?;
            for (at, resolution) in open.into_iter().zip(found) {
                if let Some(slot) = resolutions.get_mut(at) {
                    *slot = Some(resolution);
                }
            }
        }
        let missing = |at: usize| Resolution::Missing {
            table: space.clone(),
            key: keys.get(at).cloned().unwrap_or_else(|| SourceKey::from("")),
        };
        Ok(resolutions
            .into_iter()
            .enumerate()
            .map(|(at, resolution)| resolution.unwrap_or_else(|| missing(at)))
            .collect())
    }

    async fn look_up(&self, adoption: &Adoption, space: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let table = &adoption.table;
        let rows = if space.columns().is_empty() {
            self.source.fetch(&table.source, keys, &adoption.columns).await?
        } else {
            // The key is the natural key itself: the plan lets it be of texts only.
            keys.iter().map(|key| natural_row(adoption, space, key)).collect()
        };
        if rows.len() != keys.len() {
            return Err(Error::new(ErrorKind::Protocol, "match fetched rows to the keys asked for")
                .with_context("table", &table.source));
        }
        let mut attempts = Vec::with_capacity(keys.len());
        for (key, row) in keys.iter().zip(rows) {
            attempts.push(natural_values(adoption, space, key, row)?);
        }
        self.resolve_inner_references(adoption, &mut attempts).await?;
        let natural_keys: Vec<NaturalKey> = attempts.iter().filter_map(|attempt| attempt.clone().ok()).collect();
        let mut matches = if natural_keys.is_empty() {
            Vec::new()
        } else {
            self.sink.lookup(&table.sink, &table.index, &natural_keys).await?
        }
        .into_iter();
        attempts
            .into_iter()
            .zip(keys)
            .map(|(attempt, key)| {
                let place = (space.clone(), key.clone());
                Ok(match attempt {
                    Err(stopped) => stopped,
                    Ok(_) => match matches.next() {
                        Some(Match::One(id)) => Resolution::Found(id),
                        Some(Match::None) => Resolution::Missing { table: place.0, key: place.1 },
                        Some(Match::Several) => Resolution::Ambiguous { table: place.0, key: place.1 },
                        None => {
                            return Err(Error::new(ErrorKind::Protocol, "match looked-up documents to natural keys")
                                .with_context("table", &table.sink));
                        }
                    },
                })
            })
            .collect()
    }

    /// Replaces the source keys inside natural keys by the ids of the documents they mean.
    async fn resolve_inner_references(&self, adoption: &Adoption, attempts: &mut [Attempt]) -> Result<()> {
        for (position, field) in adoption.table.natural_key.iter().enumerate() {
            let Conversion::Reference(reference) = &field.conversion else { continue };
            let Some(parent) = reference.parents.first() else { continue };
            let key_at = |attempt: &Attempt| match attempt.as_ref().ok().and_then(|values| values.get(position)) {
                Some(Value::Text(key)) => Some(SourceKey::from(&**key)),
                _ => None,
            };
            let wanted: Vec<SourceKey> = attempts.iter().filter_map(key_at).collect();
            let mut resolved = self.resolve(&parent.to, &wanted).await?.into_iter();
            for attempt in attempts.iter_mut().filter(|attempt| key_at(attempt).is_some()) {
                match resolved.next() {
                    Some(Resolution::Found(id)) => {
                        if let Some(slot) = attempt.as_mut().ok().and_then(|values| values.get_mut(position)) {
                            *slot = Value::text(id.as_str());
                        }
                    }
                    Some(stopped) => *attempt = Err(stopped),
                    None => {
                        return Err(Error::new(ErrorKind::Protocol, "match resolved ids to the keys asked for")
                            .with_context("table", &parent.to));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A row of which nothing but its natural key is known, made of the key's texts.
fn natural_row(adoption: &Adoption, space: &KeySpace, key: &SourceKey) -> Option<Record> {
    let parts = key.parts(space.columns().len())?;
    let shape = RecordShape { table: adoption.table.source.clone(), fields: adoption.columns.clone(), key: Vec::new() };
    let value = |column: &FieldName| {
        let position = space.columns().iter().position(|other| other == column)?;
        parts.get(position).map(|text| Value::text(text.as_str()))
    };
    let values: Option<Vec<Value>> = adoption.columns.iter().map(value).collect();
    Some(Record { shape: Arc::new(shape), values: values? })
}

/// The natural key's values; references inside it are still the parents' source keys as text.
fn natural_values(adoption: &Adoption, space: &KeySpace, key: &SourceKey, row: Option<Record>) -> Result<Attempt> {
    let table = &adoption.table;
    let missing = || Resolution::Missing { table: space.clone(), key: key.clone() };
    let Some(row) = row else { return Ok(Err(missing())) };
    // A natural key with NULL in it names no document: SQL's own equality finds none either. No default stands in for it.
    if row.values.iter().any(Value::is_nothing) {
        return Ok(Err(missing()));
    }
    let unusable = |field: &FieldName, reason: &str| {
        Error::new(ErrorKind::Config, format!("use {field} in a natural key: {reason}"))
            .with_context("table", &table.source)
            .with_context("key", key)
    };
    let mut context = RowContext::default();
    let converted = adoption
        .chain
        .apply(&row, &mut context)
        .map_err(|error| unusable(error.field.as_ref().unwrap_or(&FieldName::from("a column")), &error.message))?;
    let mut values = converted.record.values;
    for (position, reference) in converted.references.into_iter().enumerate() {
        if let ([parent], Some(slot)) = (&*reference, values.get_mut(position)) {
            *slot = Value::text(parent.key.as_str());
        }
    }
    Ok(if values.iter().any(Value::is_nothing) { Err(missing()) } else { Ok(values) })
}

#[async_trait]
impl IdResolver for AdoptedIds {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let Some(adoption) = self.tables.get(table.table()) else {
            // A natural key may refer to a table that this migration writes.
            if let Some(migrated) = &self.migrated {
                return migrated.resolve(table, keys).await;
            }
            return StoredIds::new(self.state.clone()).resolve(table, keys).await;
        };
        let mut positions: HashMap<&SourceKey, usize> = HashMap::new();
        let mut unique: Vec<SourceKey> = Vec::new();
        for key in keys {
            positions.entry(key).or_insert_with(|| {
                unique.push(key.clone());
                unique.len() - 1
            });
        }
        let resolved = self.resolve_unique(adoption, table, &unique).await?;
        Ok(keys
            .iter()
            .map(|key| {
                positions
                    .get(key)
                    .and_then(|&at| resolved.get(at))
                    .cloned()
                    .unwrap_or_else(|| Resolution::Missing { table: table.clone(), key: key.clone() })
            })
            .collect())
    }
}
