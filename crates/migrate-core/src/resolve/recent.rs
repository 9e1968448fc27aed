use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{IdResolver, Resolution};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey};

/// Ids that are remembered at once, of all tables together.
const MOST_IDS: usize = 16 * 1024;

/// Remembers the ids that another resolver found lately: rows that follow one another mostly share their parents.
///
/// A document's id never changes, so what was found stays right; what was missing is asked for again.
#[derive(Debug)]
pub(crate) struct RecentIds {
    inner: Arc<dyn IdResolver>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<KeySpace, HashMap<SourceKey, SinkId>>,
    count: usize,
}

impl Known {
    /// Forgets everything rather than what is oldest: that costs one more look-up of each now and then.
    fn learn(&mut self, table: &KeySpace, ids: Vec<(SourceKey, SinkId)>) {
        if self.count + ids.len() > MOST_IDS {
            *self = Self::default();
        }
        self.count += ids.len();
        self.ids.entry(table.clone()).or_default().extend(ids);
    }
}

impl RecentIds {
    pub(crate) fn new(inner: Arc<dyn IdResolver>) -> Self {
        Self { inner, known: Mutex::default() }
    }
}

#[async_trait]
impl IdResolver for RecentIds {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let ids: Vec<Option<SinkId>> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = known.ids.get(table);
            keys.iter().map(|key| known.and_then(|known| known.get(key).cloned())).collect()
        };
        // Each is asked for once, however many rows have it.
        let mut asked: HashMap<&SourceKey, usize> = HashMap::new();
        let mut open: Vec<SourceKey> = Vec::new();
        for (key, _) in keys.iter().zip(&ids).filter(|(_, id)| id.is_none()) {
            asked.entry(key).or_insert_with(|| {
                open.push(key.clone());
                open.len() - 1
            });
        }
        let found = if open.is_empty() { Vec::new() } else { self.inner.resolve(table, &open).await? };
        let resolution = |(key, id): (&SourceKey, Option<SinkId>)| {
            let resolved = || asked.get(key).and_then(|&at| found.get(at)).cloned();
            id.map(Resolution::Found).or_else(resolved).ok_or_else(|| {
                Error::new(ErrorKind::Protocol, "match resolved ids to the keys asked for").with_context("table", table)
            })
        };
        let resolutions = keys.iter().zip(ids).map(resolution).collect::<Result<_>>()?;
        let ids = open.into_iter().zip(found).filter_map(|(key, found)| Some((key, found.id()?.clone()))).collect();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).learn(table, ids);
        Ok(resolutions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows numbers below a bound, which rises, and what it was asked for.
    #[derive(Debug, Default)]
    struct Below {
        bound: Mutex<usize>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl IdResolver for Below {
        async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
            self.asked.lock().unwrap().extend(keys.iter().map(ToString::to_string));
            let bound = *self.bound.lock().unwrap();
            let resolve = |key: &SourceKey| match key.as_str().parse::<usize>() {
                Ok(number) if number < bound => Resolution::Found(SinkId::from(&*format!("id {key} of {table}"))),
                _ => Resolution::Missing { table: table.clone(), key: key.clone() },
            };
            Ok(keys.iter().map(resolve).collect())
        }
    }

    fn keys(numbers: impl IntoIterator<Item = usize>) -> Vec<SourceKey> {
        numbers.into_iter().map(|number| SourceKey::from(&*number.to_string())).collect()
    }

    #[tokio::test]
    async fn answers_are_those_of_the_resolver() {
        let inner = Arc::new(Below::default());
        let recent = RecentIds::new(inner.clone());
        let (one, other): (KeySpace, KeySpace) = ("one".parse().unwrap(), "other(name)".parse().unwrap());
        *inner.bound.lock().unwrap() = 3;
        for (table, asked) in [(&one, vec!["2", "5"]), (&one, vec!["5"]), (&other, vec!["2", "5"])] {
            inner.asked.lock().unwrap().clear();
            let keys = keys([2, 5, 2, 5]);
            let expected = Below { bound: Mutex::new(3), ..Below::default() }.resolve(table, &keys).await.unwrap();
            assert_eq!(recent.resolve(table, &keys).await.unwrap(), expected);
            assert_eq!(*inner.asked.lock().unwrap(), asked, "what is known is not asked for, what is missing is");
        }
        *inner.bound.lock().unwrap() = 9;
        assert!(recent.resolve(&one, &keys([5])).await.unwrap()[0].id().is_some(), "what was missing may come");
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let inner = Arc::new(Below::default());
        *inner.bound.lock().unwrap() = usize::MAX;
        let recent = RecentIds::new(inner);
        let table: KeySpace = "one".parse().unwrap();
        for page in 0..100 {
            let found = recent.resolve(&table, &keys(page * 1_000..(page + 1) * 1_000)).await.unwrap();
            assert!(found.iter().all(|found| found.id().is_some()));
            let known = recent.known.lock().unwrap();
            assert!(known.ids.values().map(HashMap::len).sum::<usize>() <= MOST_IDS);
        }
    }
}
