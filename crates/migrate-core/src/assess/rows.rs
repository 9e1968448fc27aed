//! Checks rows as a run would prepare them, and counts what it would meet.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::finding::{Effect, FindingKind, Findings, listed};
use super::jobs::{Job, effect_of, references};
use super::parents::Parents;
use super::spool::{Entry, Fate, Seen};
use crate::error::Result;
use crate::names::{FieldName, SourceKey};
use crate::pipeline::key_of;
use crate::plan::{Conversion, PlanField, PlanReference};
use crate::record::{ChangeKind, FieldChange, Record, RecordShape, RejectCode, RowError};
use crate::sink::WriteRecord;
use crate::transform::{Chain, ParentKey, RowContext};
use crate::value::Value;

/// The sink's own formula for the size of a document, and what it refuses: [`crate::Sink::measure`] without a sink.
pub trait Measure: Debug + Send + Sync {
    /// The record's size with the legacy id it will carry.
    ///
    /// # Errors
    /// Why the sink could never take the record.
    fn measure(&self, record: &WriteRecord) -> std::result::Result<usize, RowError>;
}

/// Stands for the id of a document, which is not known yet: Convex's have 32 characters.
const PLACEHOLDER: &str = "00000000000000000000000000000000";

/// Rows whose index entries are measured, for each range.
const INDEXED_ROWS: u64 = 1000;

/// What the rows of a range, or of all ranges of a table, add up to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) source_bytes: u64,
    pub(super) documents: u64,
    pub(super) rejected: u64,
    pub(super) skipped: u64,
    pub(super) document_bytes: u64,
    pub(super) largest: u64,
    /// Documents whose index entries were measured, and the entries' bytes.
    pub(super) indexed: (u64, u64),
    pub(super) findings: Findings,
}

impl Counts {
    pub(super) fn absorb(&mut self, other: Self) {
        self.rows += other.rows;
        self.source_bytes += other.source_bytes;
        self.documents += other.documents;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
        self.document_bytes += other.document_bytes;
        self.largest = self.largest.max(other.largest);
        self.indexed.0 += other.indexed.0;
        self.indexed.1 += other.indexed.1;
        self.findings.absorb(other.findings);
    }
}

/// The rules of one table, whole and field by field.
#[derive(Debug)]
pub(super) struct Checker {
    job: Arc<Job>,
    chain: Chain,
    /// Per field, the rules of that field alone: a row that the chain refuses may have several faults.
    singles: Vec<(Chain, Arc<RecordShape>)>,
    /// Per field, the position of the column its value is cast from.
    cast_from: Vec<Option<usize>>,
    /// Per own space, the positions of its columns.
    spaces: Vec<Vec<usize>>,
    /// Fields whose parents are looked for now; the others' wait for a second pass, or are not looked for.
    links: Vec<usize>,
    index_fields: Vec<Vec<usize>>,
    entry_bytes: u64,
}

/// A row on its way.
struct Row {
    key: SourceKey,
    original: Record,
    /// The document, unless its rules refuse it.
    record: Option<Record>,
    /// Per field, the parents it refers to.
    parents: Vec<Vec<ParentKey>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Skipped,
    Rejected,
}

impl Checker {
    pub(super) fn new(job: Arc<Job>, links: Vec<usize>, entry_bytes: u64) -> Self {
        let own = job.own.iter().flat_map(|space| &space.columns);
        let chain = Chain::with_columns(&job.sink, &job.fields, job.key.iter().chain(own));
        let columns = chain.columns().clone();
        let position = |column: &FieldName| columns.iter().position(|other| other == column);
        let single = |field: &PlanField| {
            let fields = std::slice::from_ref(field);
            let shape = RecordShape { table: job.sink.clone(), fields: vec![field.field.clone()], key: Vec::new() };
            (Chain::with_columns(&job.sink, fields, columns.iter()), Arc::new(shape))
        };
        let cast_from = |field: &PlanField| match field.conversion {
            Conversion::Value { .. } => field.columns.first().and_then(position),
            _ => None,
        };
        let index_fields = job.indexes.iter().map(|index| {
            let at = |name: &FieldName| job.fields.iter().position(|field| field.field == *name);
            index.fields.iter().filter_map(at).collect()
        });
        Self {
            singles: job.fields.iter().map(single).collect(),
            cast_from: job.fields.iter().map(cast_from).collect(),
            spaces: job.own.iter().map(|space| space.columns.iter().filter_map(position).collect()).collect(),
            index_fields: index_fields.collect(),
            chain,
            links,
            entry_bytes,
            job,
        }
    }

    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    pub(super) fn columns(&self) -> &Arc<[FieldName]> {
        self.chain.columns()
    }

    /// Counts the rows of a page, and gives the keys that others may refer to.
    pub(super) async fn check(
        &self,
        records: Vec<Record>,
        parents: &dyn Parents,
        measure: &dyn Measure,
        counts: &mut Counts,
    ) -> Result<Vec<Entry>> {
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            rows.push(self.convert(record, measure, &mut counts.findings)?);
        }
        for (position, reference) in references(&self.job.fields) {
            let found = if self.links.contains(&position) {
                let seen = look(parents, reference, rows.iter().map(|row| row.parents.get(position))).await?;
                Some(seen)
            } else {
                None
            };
            let mut found = found.into_iter().flatten();
            for row in &mut rows {
                self.link(row, position, reference, found.next(), &mut counts.findings);
            }
        }
        let mut entries = Vec::new();
        for row in rows {
            self.finish(row, measure, counts, &mut entries);
        }
        Ok(entries)
    }

    fn column_of(&self, position: usize) -> Option<String> {
        self.job.fields.get(position).map(|field| match &*field.columns {
            [] => field.field.to_string(),
            columns => listed(columns),
        })
    }

    /// Applies the rules; what refuses the row is found field by field.
    fn convert(&self, original: Record, measure: &dyn Measure, findings: &mut Findings) -> Result<Row> {
        let key = key_of(&self.job.read_from, &original)?;
        let mut context = RowContext::default();
        match self.chain.apply(&original, &mut context) {
            Ok(converted) => {
                count_changes(&context.changes, &key, findings);
                for position in 0..self.job.fields.len() {
                    self.oddity(position, &original, &context.changes, &key, findings);
                }
                let is_nothing = self.job.is_part && converted.record.values.iter().all(Value::is_nothing);
                let mut state = if is_nothing { State::Skipped } else { State::Fine };
                // A natural key with NULL in it names no document, whatever NULL becomes elsewhere.
                for position in (0..self.job.fields.len()).filter(|_| self.job.adopted) {
                    let has_parents = converted.references.get(position).is_some_and(|parents| !parents.is_empty());
                    if !has_parents && converted.record.values.get(position).is_none_or(Value::is_nothing) {
                        let (kind, column) = (FindingKind::NaturalKeyNull, self.column_of(position));
                        findings.add(kind, column, Effect::Rejected, None, &key);
                        state = State::Rejected;
                    }
                }
                Ok(Row { key, original, record: Some(converted.record), parents: converted.references, state })
            }
            Err(error) => {
                let mut parents = vec![Vec::new(); self.job.fields.len()];
                let mut is_named = false;
                for (position, (chain, _)) in self.singles.iter().enumerate() {
                    let mut context = RowContext::default();
                    match chain.apply(&original, &mut context) {
                        Ok(mut converted) => {
                            count_changes(&context.changes, &key, findings);
                            self.oddity(position, &original, &context.changes, &key, findings);
                            if let (Some(slot), Some(own)) = (parents.get_mut(position), converted.references.pop()) {
                                *slot = own;
                            }
                            if let Some(value) = converted.record.values.pop() {
                                self.refused_alone(position, value, &key, measure, findings);
                            }
                        }
                        Err(error) => {
                            is_named = true;
                            self.refused(position, &error, &original, &key, findings);
                        }
                    }
                }
                if !is_named {
                    let kind = FindingKind::of_reject(error.code, None);
                    let column = error.field.as_ref().map(ToString::to_string);
                    findings.add(kind, column, Effect::Rejected, None, &key);
                }
                Ok(Row { key, original, record: None, parents, state: State::Rejected })
            }
        }
    }

    fn refused(&self, position: usize, error: &RowError, original: &Record, key: &SourceKey, findings: &mut Findings) {
        let value = self.cast_from.get(position).copied().flatten().and_then(|at| original.values.get(at));
        let mut kind = FindingKind::of_reject(error.code, value);
        if self.job.adopted && kind == FindingKind::NullNotAllowed {
            kind = FindingKind::NaturalKeyNull;
        }
        findings.add(kind, self.column_of(position), Effect::Rejected, None, key);
    }

    /// Finds whether the sink refuses a field's value by itself; its size is the whole document's matter.
    fn refused_alone(
        &self,
        position: usize,
        value: Value,
        key: &SourceKey,
        measure: &dyn Measure,
        findings: &mut Findings,
    ) -> bool {
        let Some((_, shape)) = self.singles.get(position) else { return false };
        let record = Record { shape: shape.clone(), values: vec![value] };
        match measure.measure(&WriteRecord { key: key.clone(), id: None, record }) {
            Err(error) if error.code != RejectCode::DocumentTooLarge => {
                let kind = FindingKind::of_reject(error.code, None);
                findings.add(kind, self.column_of(position), Effect::Rejected, None, key);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Counts a value that arrives as it is, and that an app may not expect.
    fn oddity(
        &self,
        position: usize,
        original: &Record,
        changes: &[FieldChange],
        key: &SourceKey,
        findings: &mut Findings,
    ) {
        let value = self.cast_from.get(position).copied().flatten().and_then(|at| original.values.get(at));
        let Some(kind) = value.and_then(FindingKind::of_value) else { return };
        let column = self.column_of(position);
        let is_gone = |change: &FieldChange| {
            change.kind == ChangeKind::UnfitToNull && Some(change.field.as_str()) == column.as_deref()
        };
        if !changes.iter().any(is_gone) {
            findings.add(kind, column, Effect::Kept, None, key);
        }
    }

    /// Fills a reference's field, or says what becomes of the row; `seen` is none where nobody looked.
    fn link(
        &self,
        row: &mut Row,
        position: usize,
        reference: &PlanReference,
        seen: Option<Vec<Option<Seen>>>,
        findings: &mut Findings,
    ) {
        let parents = row.parents.get(position).map_or(&[][..], Vec::as_slice);
        if parents.is_empty() {
            return;
        }
        let column = self.column_of(position);
        let effect = seen.and_then(|seen| judge(reference, parents, &seen, column, &row.key, findings));
        match effect {
            Some(Effect::Rejected | Effect::EndsRun) => row.state = State::Rejected,
            Some(Effect::Skipped) if row.state == State::Fine => row.state = State::Skipped,
            Some(Effect::Changed | Effect::Unlinked) if !reference.list => return,
            _ => {}
        }
        let id = || Value::text(PLACEHOLDER);
        let value = if reference.list { Value::Array(parents.iter().map(|_| id()).collect()) } else { id() };
        if let Some(slot) = row.record.as_mut().and_then(|record| record.values.get_mut(position)) {
            *slot = value;
        }
    }

    fn finish(&self, row: Row, measure: &dyn Measure, counts: &mut Counts, entries: &mut Vec<Entry>) {
        let Row { key, original, record, mut state, .. } = row;
        counts.rows += 1;
        if let (Some(record), false) = (record, self.job.adopted) {
            let write = WriteRecord { key: key.clone(), id: None, record };
            match measure.measure(&write) {
                Ok(bytes) if state == State::Fine => {
                    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                    counts.document_bytes += bytes;
                    counts.largest = counts.largest.max(bytes);
                    counts.documents += 1;
                    if counts.indexed.0 < INDEXED_ROWS {
                        counts.indexed.0 += 1;
                        counts.indexed.1 += self.entries(&write, measure);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    self.measured(&error, write, measure, &mut counts.findings);
                    state = State::Rejected;
                }
            }
        }
        match state {
            State::Fine => {}
            State::Skipped => counts.skipped += 1,
            State::Rejected => counts.rejected += 1,
        }
        let fate = if state == State::Fine { Fate::Migrated } else { Fate::LeftBehind };
        for (space, positions) in self.job.own.iter().zip(&self.spaces) {
            let own = if space.columns.is_empty() {
                Some(key.clone())
            } else {
                let text = |&at: &usize| original.values.get(at).and_then(Value::key_text);
                let texts: Option<Vec<String>> = positions.iter().map(text).collect();
                texts.map(|texts| SourceKey::from_parts(&texts))
            };
            entries.extend(own.map(|own| Entry { space: space.id, key: own, row: key.clone(), fate }));
        }
    }

    /// Says what of a document the sink refuses: each field that it would refuse alone, else what it says of the whole.
    fn measured(&self, error: &RowError, write: WriteRecord, measure: &dyn Measure, findings: &mut Findings) {
        let WriteRecord { key, record, .. } = write;
        let mut is_named = false;
        if error.code != RejectCode::DocumentTooLarge {
            for (position, value) in record.values.into_iter().enumerate() {
                is_named |= self.refused_alone(position, value, &key, measure, findings);
            }
        }
        if !is_named {
            findings.add(FindingKind::of_reject(error.code, None), None, Effect::Rejected, None, &key);
        }
    }

    /// Bytes of the index entries of a document: the values of their fields, and what each entry has beside them.
    fn entries(&self, write: &WriteRecord, measure: &dyn Measure) -> u64 {
        let size = |record: Record| {
            let write = WriteRecord { key: write.key.clone(), id: None, record };
            measure.measure(&write).ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
        };
        let with = |positions: &[usize]| {
            let fields = positions.iter().filter_map(|&at| write.record.shape.fields.get(at).cloned()).collect();
            let values = positions.iter().filter_map(|&at| write.record.values.get(at).cloned()).collect();
            let shape = RecordShape { table: write.record.shape.table.clone(), fields, key: Vec::new() };
            Record { shape: Arc::new(shape), values }
        };
        let nothing = size(with(&[]));
        let legacy = u64::try_from(write.key.as_str().len()).unwrap_or(0) + self.entry_bytes;
        self.index_fields
            .iter()
            .fold(legacy, |sum, positions| sum + size(with(positions)).saturating_sub(nothing) + self.entry_bytes)
    }
}

/// Counts lossy edits.
fn count_changes(changes: &[FieldChange], key: &SourceKey, findings: &mut Findings) {
    for change in changes {
        let kind = FindingKind::of_change(change.kind);
        findings.add(kind, Some(change.field.to_string()), Effect::Changed, None, key);
    }
}

/// Looks for the parents of one field of some rows: per row, what is known of each.
pub(super) async fn look<'a>(
    parents: &dyn Parents,
    reference: &PlanReference,
    rows: impl Iterator<Item = Option<&'a Vec<ParentKey>>>,
) -> Result<Vec<Vec<Option<Seen>>>> {
    let wanted: Vec<&[ParentKey]> = rows.map(|row| row.map_or(&[][..], Vec::as_slice)).collect();
    let mut answers = Vec::with_capacity(reference.parents.len());
    for (position, parent) in reference.parents.iter().enumerate() {
        let keys = wanted.iter().flat_map(|parents| parents.iter()).filter(|parent| parent.parent == position);
        let keys: Vec<SourceKey> = keys.map(|parent| parent.key.clone()).collect();
        let seen = if keys.is_empty() { Vec::new() } else { parents.see(&parent.to, keys).await? };
        answers.push(seen.into_iter());
    }
    let mut next = |parent: &ParentKey| answers.get_mut(parent.parent).and_then(Iterator::next).flatten();
    Ok(wanted.into_iter().map(|parents| parents.iter().map(&mut next).collect()).collect())
}

/// Counts what is wrong with the parents of a row's reference; what becomes of the row, where something is.
pub(super) fn judge(
    reference: &PlanReference,
    parents: &[ParentKey],
    seen: &[Option<Seen>],
    column: Option<String>,
    key: &SourceKey,
    findings: &mut Findings,
) -> Option<Effect> {
    let faults = parents.iter().zip(seen).filter_map(|(parent, seen)| {
        let kind = match (*seen)? {
            Seen::Nowhere => FindingKind::MissingParent,
            Seen::Once(Fate::LeftBehind) => FindingKind::ParentLeftBehind,
            // Rows of one key become one document, which is the parent's own finding.
            Seen::Several if !reference.parents.get(parent.parent)?.to.columns().is_empty() => {
                FindingKind::AmbiguousParent
            }
            Seen::Several | Seen::Once(Fate::Migrated) => return None,
        };
        Some((kind, parent.parent))
    });
    // A missing parent weighs more than one that is left behind, and that more than an ambiguous one.
    let (kind, parent) = faults.min()?;
    let effect = if kind == FindingKind::AmbiguousParent { Effect::Merged } else { effect_of(reference) };
    let to = reference.parents.get(parent).map(|parent| Cow::Owned(format!("in {}", parent.to)));
    findings.add(kind, column, effect, to, key);
    Some(effect)
}
