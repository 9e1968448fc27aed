//! Looks rows up by key, many in one request.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::names::SourceKey;
use migrate_core::record::{Record, RecordShape};
use migrate_core::{Error, ErrorKind, Result};

use crate::client::Client;
use crate::page_size::{OneRow, asks_to_wait, is_too_large};
use crate::query::{ReadQuery, encoded_len, key_cost, key_filters};
use crate::source_type::is_padded;
use crate::table_read::TableRead;

/// Bytes that a URL may have. Hosted projects answer 414 to long ones; no limit is documented.
const URL_BYTES: usize = 6 * 1024;

/// Bytes for the host, the path and the parameters' names.
const URL_REST: usize = 512;

/// Bytes for keys where the columns alone fill a URL.
const LEAST_KEY_BYTES: usize = 1024;

/// A key that is looked up: its texts as given, and in the form that answers are compared in.
struct Wanted {
    parts: Vec<String>,
    canonical: Vec<String>,
    /// Asked for alone: then the database judges equality, and whatever row it answers is the one.
    alone: bool,
}

/// The rows with `keys`, in their order; `None` where there is none. The records have the first `shape.fields.len()` of
/// the columns of `read`.
///
/// The server may cut an answer silently (`db-max-rows`), so a key counts as absent only after an empty answer.
///
/// # Errors
/// Those of the requests; `Config` for a key that was not made of this table's key.
pub(crate) async fn fetch(
    client: &Client,
    read: &TableRead,
    shape: &Arc<RecordShape>,
    keys: &[SourceKey],
) -> Result<Vec<Option<Record>>> {
    let mut found: Vec<Option<Record>> = vec![None; keys.len()];
    let mut places: HashMap<Vec<String>, Vec<usize>> = HashMap::new();
    let mut queue = VecDeque::new();
    for (place, key) in keys.iter().enumerate() {
        let parts = key.parts(read.key.len()).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("look up a key that is not of {} columns", read.key.len()))
                .with_context("table", &read.shape.table)
        })?;
        let canonical = canonical(&parts, &read.key_types);
        let same = places.entry(canonical.clone()).or_default();
        same.push(place);
        if same.len() == 1 {
            let alone = matches!(parts.as_slice(), [only] if only.is_empty());
            queue.push_back(Wanted { parts, canonical, alone });
        }
    }
    let key_bytes = URL_BYTES.saturating_sub(URL_REST + encoded_len(&read.select)).max(LEAST_KEY_BYTES);
    let mut most = usize::MAX;
    let mut one_row = OneRow::default();
    while !queue.is_empty() {
        let chunk = next_chunk(&mut queue, read, key_bytes, most);
        let rows = match rows(client, read, &chunk).await {
            Err(error) if is_too_large(&error) && !asks_to_wait(&error) => {
                if chunk.len() == 1 && !one_row.may_be_tried_again(&error) {
                    return Err(error);
                }
                most = (chunk.len() / 2).max(1);
                chunk.into_iter().rev().for_each(|wanted| queue.push_front(wanted));
                continue;
            }
            rows => rows?,
        };
        one_row = OneRow::default();
        let nothing = rows.is_empty();
        let mut matched: HashMap<Vec<String>, Record> = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = match chunk.as_slice() {
                [only] if only.alone => only.canonical.clone(),
                _ => canonical(
                    &row.texts(&read.shape.key).map_err(|error| unusable(read, &error.message))?,
                    &read.key_types,
                ),
            };
            matched.insert(key, row);
        }
        let some = chunk.iter().any(|wanted| matched.contains_key(&wanted.canonical));
        for wanted in chunk {
            match matched.remove(&wanted.canonical) {
                Some(mut row) => {
                    row.values.truncate(shape.fields.len());
                    row.shape = shape.clone();
                    for &place in places.get(&wanted.canonical).into_iter().flatten() {
                        if let Some(slot) = found.get_mut(place) {
                            *slot = Some(row.clone());
                        }
                    }
                }
                None if nothing => {}
                // Answers that match nothing asked for: the type's equality is not that of its text.
                None => queue.push_back(Wanted { alone: wanted.alone || !some, ..wanted }),
            }
        }
    }
    Ok(found)
}

async fn rows(client: &Client, read: &TableRead, chunk: &[Wanted]) -> Result<Vec<Record>> {
    let wanted: Vec<Vec<String>> = chunk.iter().map(|wanted| wanted.parts.clone()).collect();
    let query = ReadQuery {
        select: Some(read.select.clone()),
        filters: key_filters(&read.key, &wanted),
        limit: Some(wanted.len()),
        ..ReadQuery::of(&read.shape.table)
    };
    Ok(client.rows(&query, read, "look rows up by key").await?.0)
}

/// The next keys that fit into a URL, at least one; one that is asked for alone comes alone.
fn next_chunk(queue: &mut VecDeque<Wanted>, read: &TableRead, bytes: usize, most: usize) -> Vec<Wanted> {
    let mut chunk: Vec<Wanted> = Vec::new();
    let mut used = 0;
    while let Some(next) = queue.pop_front() {
        used += key_cost(&read.key, &next.parts);
        let fits = used <= bytes && chunk.len() < most && !next.alone && !chunk.iter().any(|wanted| wanted.alone);
        if !chunk.is_empty() && !fits {
            queue.push_front(next);
            break;
        }
        chunk.push(next);
    }
    chunk
}

/// The texts of a key in the form that equal values share, as far as the types tell.
fn canonical(parts: &[String], types: &[SourceType]) -> Vec<String> {
    let one = |(text, source_type): (&String, &SourceType)| match source_type.scalar {
        ScalarKind::Int4 | ScalarKind::Int8 => text.parse::<i64>().map_or_else(|_| text.clone(), |key| key.to_string()),
        ScalarKind::Numeric if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        ScalarKind::Uuid => text.to_ascii_lowercase(),
        ScalarKind::Text if is_padded(source_type) => text.trim_end_matches(' ').to_owned(),
        _ => text.clone(),
    };
    parts.iter().zip(types).map(one).collect()
}

fn unusable(read: &TableRead, message: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("look rows up by key: {message}")).with_context("table", &read.shape.table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_type::source_type;

    #[test]
    fn equal_keys_share_a_form() {
        let form =
            |format: &str, text: &str| canonical(&[text.to_owned()], &[source_type(format, Vec::new())]).concat();
        assert_eq!(form("numeric", "1.500"), form("numeric", "1.5"));
        assert_eq!(form("numeric", "100"), "100");
        assert_eq!(form("uuid", "AB"), form("uuid", "ab"));
        assert_eq!(form("character", "ab  "), "ab");
        assert_ne!(form("text", "ab "), form("text", "ab"));
    }
}
