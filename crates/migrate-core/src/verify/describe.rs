//! Differences in words: what was found is read back once more, and compared field by field.

use std::sync::Arc;

use super::Document;
use super::difference::first_place;
use super::layout::Arranger;
use super::report::{Difference, DifferenceKind, Values};
use super::run::Shared;
use super::sink_side::PAGE_DOCUMENTS;
use super::source_side::{Fault, Found, Seen};
use super::spooled_documents::Kept;
use super::spooled_keys::of_missing_id;
use crate::error::Result;
use crate::names::{SinkId, SourceKey};
use crate::value::Value;

/// Documents that are looked through for those without a row at a time.
const LINES: usize = 1000;

/// Describes the first differences of a table.
pub(super) struct Describer<'a> {
    shared: &'a Arc<Shared>,
    place: usize,
    /// The page that was read back last, by its number.
    page: Option<(u64, Vec<Document>)>,
}

impl<'a> Describer<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, place: usize) -> Self {
        Self { shared, place, page: None }
    }

    /// Describes what was found; a row whose document is as it should be by now, or that only refers to another one of
    /// two documents of the right row, is counted as the same.
    pub(super) async fn describe(&mut self, found: &mut Found) -> Result<Vec<Difference>> {
        let mut differences = Vec::new();
        for fault in std::mem::take(&mut found.first) {
            match fault {
                Fault::Missing(key) => {
                    differences.push(one(DifferenceKind::Missing, Some(key), None, "a document", "none"));
                }
                Fault::Duplicate { key, documents, other } => {
                    let (expected, found) = ("one document", format!("{documents} documents"));
                    differences.push(one(DifferenceKind::Duplicate, Some(key), Some(other.id), expected, found));
                }
                Fault::Unexpected { key, document, reason } => {
                    let expected = format!("no document: {reason}");
                    let id = Some(document.id);
                    differences.push(one(DifferenceKind::Unexpected, Some(key), id, expected, "a document"));
                }
                Fault::Differing { key, document, expected } => {
                    let places = self.compare(&key, &document, &expected).await?;
                    if places.is_empty() {
                        found.differing -= 1;
                        found.same += 1;
                    }
                    differences.extend(places);
                }
            }
        }
        Ok(differences)
    }

    /// One difference for each field of a document that differs.
    async fn compare(&mut self, key: &SourceKey, kept: &Kept, expected: &[Value]) -> Result<Vec<Difference>> {
        let layout = self.shared.layout(self.place)?;
        let Some(document) = self.read_back(kept).await? else {
            let id = Some(kept.id.clone());
            return Ok(vec![one(
                DifferenceKind::Missing,
                Some(key.clone()),
                id,
                "a document",
                "gone since it was read",
            )]);
        };
        let mut arranger = Arranger::new(layout);
        let values = arranger.arrange(document.creation_time, document.fields).values;
        let mut differences = Vec::new();
        for (position, (name, (expected, found))) in layout.names().zip(expected.iter().zip(values)).enumerate() {
            let difference = match layout.parents(position) {
                Some(_) => self.compare_references(position, expected, found).await?,
                None => first_place(expected, found).map(|place| {
                    let (expected, found) = place.described();
                    let values = self.shared.show_values.then(|| place.values());
                    let field = Some(place.path.clone());
                    Difference { field, values, ..one(place.kind(), None, None, expected, found) }
                }),
            };
            differences.extend(difference.map(|difference| Difference {
                key: Some(key.clone()),
                id: Some(kept.id.clone()),
                field: Some(format!("{name}{}", difference.field.unwrap_or_default())),
                ..difference
            }));
        }
        Ok(differences)
    }

    /// The first of a field's references that leads to another row than it should, in words of rows.
    async fn compare_references(&self, at: usize, expected: &Value, found: &Value) -> Result<Option<Difference>> {
        let (ours, theirs) = match (expected, found) {
            (Value::Array(ours), Value::Array(theirs)) => (&**ours, &**theirs),
            (one, other) => (std::slice::from_ref(one), std::slice::from_ref(other)),
        };
        for position in 0..ours.len().max(theirs.len()) {
            let (ours, theirs) = (ours.get(position), theirs.get(position));
            let difference = match (ours, theirs) {
                (Some(Value::Text(ours)), Some(Value::Text(theirs))) => self.compare_ids(at, ours, theirs).await?,
                (ours, theirs) => {
                    let place = first_place(ours.unwrap_or(&Value::Absent), theirs.unwrap_or(&Value::Absent));
                    place.map(|place| one(place.kind(), None, None, place.expected.kind(), place.found.kind()))
                }
            };
            if let Some(difference) = difference {
                let is_list = matches!(expected, Value::Array(_));
                let field = is_list.then(|| format!("[{position}]"));
                return Ok(Some(Difference { field, ..difference }));
            }
        }
        Ok(None)
    }

    async fn compare_ids(&self, at: usize, ours: &str, theirs: &str) -> Result<Option<Difference>> {
        if ours == theirs {
            return Ok(None);
        }
        let wanted = match of_missing_id(ours) {
            Some((place, key)) => Some((place, Some(key))),
            None => self.shared.whose(ours).await?,
        };
        let led_to = self.shared.whose(theirs).await?;
        if led_to.is_some() && led_to == wanted && led_to.as_ref().is_some_and(|(_, key)| key.is_some()) {
            return Ok(None);
        }
        let parents = self.shared.layout(self.place)?.parents(at).unwrap_or_default();
        let is_adopted = parents.iter().any(|parent| self.shared.place_of(parent).is_none());
        let kind = match &led_to {
            Some((place, _)) if !parents.contains(&self.shared.table(*place)?.source) => DifferenceKind::WrongTable,
            Some(_) => DifferenceKind::WrongReference,
            // Of an adopted table, only the documents that references lead to are looked up.
            None if is_adopted => DifferenceKind::WrongReference,
            None => DifferenceKind::Dangling,
        };
        let row = |of: Option<(usize, Option<SourceKey>)>| -> Result<String> {
            Ok(match of {
                Some((place, Some(key))) => format!("{} {key}", self.shared.table(place)?.source),
                Some((place, None)) => format!("a document of {} without a row", self.shared.table(place)?.sink),
                None if is_adopted => "another document".to_owned(),
                None => "no document".to_owned(),
            })
        };
        let expected = match wanted {
            None => "the adopted document".to_owned(),
            wanted => row(wanted)?,
        };
        let values = self.shared.show_values.then(|| Values { expected: ours.to_owned(), found: theirs.to_owned() });
        Ok(Some(Difference { values, ..one(kind, None, None, expected, row(led_to)?) }))
    }

    /// The document as it is now; none where it is gone.
    async fn read_back(&mut self, kept: &Kept) -> Result<Option<Document>> {
        if self.page.as_ref().is_none_or(|(number, _)| *number != kept.page) {
            let table = self.shared.table(self.place)?;
            let cursor = self.shared.spool.cursor(self.place, kept.page).await?;
            let page = self.shared.probe.read_page(&table.sink, cursor.as_deref(), PAGE_DOCUMENTS).await?;
            self.page = Some((kept.page, page.into_documents()?));
        }
        let documents = self.page.as_ref().map(|(_, documents)| &**documents).unwrap_or_default();
        Ok(documents.iter().find(|document| document.id == kept.id).cloned())
    }

    /// Documents with a row's key whose row was not read: how many, and the first of them.
    pub(super) async fn without_rows(&self, seen: &Seen, limit: usize) -> Result<(u64, Vec<Difference>)> {
        let (mut count, mut first, mut from) = (0, Vec::new(), 0_usize);
        loop {
            let lines = self.shared.spool.lines(self.place, true, from, LINES).await?;
            let Some((last, _)) = lines.last() else { return Ok((count, first)) };
            from = last.position + 1;
            for (kept, key) in lines.into_iter().filter(|(kept, _)| !seen.has(kept.position)) {
                count += 1;
                if first.len() < limit {
                    let expected = "no document: there is no such row";
                    first.push(one(DifferenceKind::Unexpected, key, Some(kept.id), expected, "a document"));
                }
            }
        }
    }

    /// The first documents without a row's key.
    pub(super) async fn foreign(&self, limit: usize) -> Result<Vec<Difference>> {
        let lines = self.shared.spool.lines(self.place, false, 0, limit).await?;
        let foreign = |id: SinkId| {
            one(DifferenceKind::Foreign, None, Some(id), "only documents of rows", "a document without one")
        };
        Ok(lines.into_iter().map(|(kept, _)| foreign(kept.id)).collect())
    }
}

pub(super) fn one(
    kind: DifferenceKind,
    key: Option<SourceKey>,
    id: Option<SinkId>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Difference {
    Difference { kind, key, id, field: None, expected: expected.into(), found: found.into(), values: None }
}
