//! [`ConvexSink`]: records as calls of the generated mutations.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{FieldName, SinkId, TableName};
use migrate_core::record::RowError;
use migrate_core::sink::{
    IdAssignment, Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteEffect, WriteMode, WriteOutcome,
    WriteRecord,
};
use migrate_core::value::Value;
use serde::Deserialize;

use crate::client::{Client, FunctionKind};
use crate::encode;
use crate::errors::protocol;
use crate::names::FunctionNames;
use crate::read_back::Refusals;
use crate::settings::{ConvexSettings, MAX_BATCH_RECORDS};
use crate::size::document_size;

/// Bytes of one batch by Convex's own formula: far below the 16 MiB of a transaction, because one second of JavaScript
/// and 64 MiB of memory bind first.
pub(crate) const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Keys of one lookup: each is one index range, of which a query may read 4,096.
const LOOKUP_KEYS: usize = 1000;
/// Missing functions that an error names; usually all are missing, and a few show which module.
const NAMED_FUNCTIONS: usize = 5;

/// Writes documents through the generated functions of a deployment.
///
/// It calls `<module>:bulkInsert<Table>`, `<module>:patch<Table>` and `<module>:lookup`, which upsert by the legacy id
/// and are thereby idempotent by (table, key). It does not retry, split or pace: layers of the core do.
///
/// The functions are internal and called with a key, or, with [`ConvexSettings::secret`], public and called with that.
#[derive(Debug)]
pub struct ConvexSink {
    client: Client,
    functions: FunctionNames,
    settings: ConvexSettings,
    refusals: Refusals,
    /// Bytes of the largest batch that was sent: the next one needs about as many, and grows into them at once.
    largest_body: AtomicUsize,
}

/// One written record, as the functions return it.
#[derive(Deserialize)]
struct Written {
    id: String,
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Inserted,
    Updated,
    Unchanged,
}

impl From<Written> for WriteOutcome {
    fn from(written: Written) -> Self {
        let effect = match written.outcome {
            Outcome::Inserted => WriteEffect::Inserted,
            Outcome::Updated => WriteEffect::Updated,
            Outcome::Unchanged => WriteEffect::Unchanged,
        };
        Self::Written { id: SinkId::new(written.id), effect }
    }
}

impl ConvexSink {
    /// A sink for the settings' deployment. Makes no call.
    ///
    /// # Errors
    /// `Config` when the address, the key, a name or a number cannot be used.
    pub fn new(settings: ConvexSettings) -> Result<Self> {
        settings.validate()?;
        let client = Client::new(&settings)?;
        Ok(Self {
            client,
            functions: FunctionNames::new(settings.module.as_str()),
            settings,
            refusals: Refusals::default(),
            largest_body: AtomicUsize::new(0),
        })
    }

    /// True when the key is of a production deployment.
    pub fn is_production_key(&self) -> bool {
        self.settings.is_production_key()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn functions(&self) -> &FunctionNames {
        &self.functions
    }

    /// Which of the system's own queries are refused, as far as it is known.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    fn legacy_id_field(&self) -> &FieldName {
        &self.settings.legacy_id_field
    }

    /// Tries a function with no records or keys: it does nothing, and shows that it is there.
    ///
    /// Returns the function's name when it is missing.
    pub(crate) async fn probe(&self, probe: Probe<'_>) -> Result<Option<String>> {
        let (kind, name, shown) = match probe {
            Probe::Insert(table) => (FunctionKind::Mutation, self.functions.bulk_insert(table), None),
            Probe::Patch(table) => (FunctionKind::Mutation, self.functions.patch(table), None),
            Probe::Lookup(table, index) => {
                (FunctionKind::Query, self.functions.lookup(), Some(format!(" ({} by {index})", table.name())))
            }
        };
        let mut body = encode::begin_call(&name, self.settings.secret.as_ref());
        match probe {
            Probe::Lookup(table, index) => {
                encode::write_lookup(&mut body, table.name(), index, &[])
                    .map_err(|error| unusable_key(table, index, &error))?;
            }
            Probe::Insert(_) | Probe::Patch(_) => body.extend_from_slice(b"\"records\":[]"),
        }
        encode::end_call(&mut body);
        match self.client.call::<Vec<serde::de::IgnoredAny>>(kind, &name, body).await {
            Ok(answer) if answer.is_empty() => Ok(None),
            Ok(_) => {
                Err(protocol(self.client.named(&name, false), "call the function with nothing: it returned something"))
            }
            Err(error) if error.kind() == ErrorKind::FunctionMissing => {
                Ok(Some(format!("{name}{}", shown.unwrap_or_default())))
            }
            Err(error) if error.kind() == ErrorKind::RecordFailed => {
                let command = self.settings.deployment_kind().deploy_command();
                Err(Error::new(
                    ErrorKind::Config,
                    "call the deployed function: it takes other arguments than the plan's",
                )
                .with_context("function", &name)
                .with_remedy(format!("generate the functions again and deploy them: {command}"))
                .with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn lookup_chunk(&self, table: &TableName, index: &str, keys: &[&NaturalKey]) -> Result<Vec<Match>> {
        let name = self.functions.lookup();
        let mut body = encode::begin_call(&name, self.settings.secret.as_ref());
        encode::write_lookup(&mut body, table.name(), index, keys)
            .map_err(|error| unusable_key(table, index, &error))?;
        encode::end_call(&mut body);
        let answer: Vec<Vec<String>> = self.client.call(FunctionKind::Query, &name, body).await?;
        same_length(&self.client, &name, keys.len(), answer.len())?;
        Ok(answer
            .into_iter()
            .map(|mut ids| match ids.len() {
                0 => Match::None,
                1 => Match::One(SinkId::new(ids.swap_remove(0))),
                _ => Match::Several,
            })
            .collect())
    }
}

/// A function that a check tries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe<'a> {
    Insert(&'a TableName),
    Patch(&'a TableName),
    Lookup(&'a TableName, &'a str),
}

#[async_trait]
impl Sink for ConvexSink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            batch_records: self.settings.batch_records.min(MAX_BATCH_RECORDS),
            batch_bytes: BATCH_BYTES,
            in_flight: self.settings.in_flight,
            ids: IdAssignment::OnWrite,
        }
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        document_size(self.legacy_id_field(), self.settings.legacy_ids, record)
    }

    /// Also tries the functions of [`ConvexSettings::lookup_tables`] and [`ConvexSettings::patch_tables`]. The missing
    /// functions are counted and some of them named in one error, with the command that deploys them.
    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.client.check().await?;
        let probes: Vec<Probe<'_>> = tables
            .iter()
            .map(Probe::Insert)
            .chain(self.settings.patch_tables.iter().map(Probe::Patch))
            .chain(self.settings.lookup_tables.iter().map(|(table, index)| Probe::Lookup(table, index)))
            .collect();
        let calls: Vec<_> = probes.into_iter().map(|probe| self.probe(probe)).collect();
        let mut answers = stream::iter(calls).buffered(self.settings.in_flight);
        let mut missing = Vec::new();
        while let Some(answer) = answers.next().await {
            missing.extend(answer?);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let command = self.settings.deployment_kind().deploy_command();
        Err(Error::new(ErrorKind::FunctionMissing, format!("find {} of the generated functions", missing.len()))
            .with_context("functions", some_of(&missing))
            .with_remedy(format!(
                "run migrate-plan --write, which writes {}.ts into the project's functions, then: {command}",
                self.settings.module
            )))
    }

    /// Looks up 1,000 keys in one query. A key with an absent part matches nothing and is not sent.
    ///
    /// # Errors
    /// Beside those of a call: `Config` for a key part that Convex has no kind for.
    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        let asked = |key: &&NaturalKey| !key.iter().any(|part| matches!(part, Value::Absent));
        let sent: Vec<&NaturalKey> = keys.iter().filter(asked).collect();
        let mut found = Vec::with_capacity(sent.len());
        for chunk in sent.chunks(LOOKUP_KEYS) {
            found.extend(self.lookup_chunk(table, index, chunk).await?);
        }
        let mut found = found.into_iter();
        let answer = |key| if asked(&key) { found.next() } else { None };
        Ok(keys.iter().map(answer).map(|found| found.unwrap_or(Match::None)).collect())
    }

    /// One call for the whole batch. Records that [`Sink::measure`] would refuse are rejected here and not sent.
    ///
    /// # Errors
    /// `TooLarge` before anything is sent when the body would be over 14 MiB.
    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        let name = match batch.mode {
            WriteMode::Upsert => self.functions.bulk_insert(batch.table),
            WriteMode::Patch => self.functions.patch(batch.table),
        };
        let mut body = encode::begin_call(&name, self.settings.secret.as_ref());
        body.reserve(self.largest_body.load(Ordering::Relaxed));
        let measured = batch.records.iter().map(|record| self.measure(record).map(|_| record));
        let faults = encode::write_records(&mut body, batch.mode, self.legacy_id_field(), measured);
        encode::end_call(&mut body);
        self.largest_body.fetch_max(body.len(), Ordering::Relaxed);
        let sent = faults.iter().filter(|fault| fault.is_none()).count();
        let answer: Vec<Written> =
            if sent == 0 { Vec::new() } else { self.client.call(FunctionKind::Mutation, &name, body).await? };
        same_length(&self.client, &name, sent, answer.len())?;
        let mut written = answer.into_iter().map(WriteOutcome::from);
        Ok(faults
            .into_iter()
            .filter_map(|fault| fault.map(WriteOutcome::Rejected).or_else(|| written.next()))
            .collect())
    }

    async fn finish(&self, _tables: &[TableName]) -> Result<()> {
        Ok(())
    }
}

/// The first few names, and how many there are beside them.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_FUNCTIONS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_FUNCTIONS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn same_length(client: &Client, name: &str, asked: usize, answered: usize) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    Err(protocol(
        client.named(name, false),
        format!("match the function's answer: {answered} results for {asked} records"),
    ))
}

fn unusable_key(table: &TableName, index: &str, error: &RowError) -> Error {
    Error::new(ErrorKind::Config, format!("look documents up by a natural key: {}", error.message))
        .with_code(error.code.as_str())
        .with_context("table", table)
        .with_context("index", index)
        .with_remedy(error.code.remedy())
}
