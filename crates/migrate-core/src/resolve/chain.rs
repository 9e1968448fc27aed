use async_trait::async_trait;

use super::{IdResolver, Resolution};
use crate::error::Result;
use crate::names::{KeySpace, SourceKey};

/// Asks one resolver after the other: each is asked only for what those before it miss.
#[derive(Debug)]
pub struct ChainResolver(Vec<Box<dyn IdResolver>>);

impl ChainResolver {
    /// Asks `resolvers` in order.
    #[must_use]
    pub fn new(resolvers: Vec<Box<dyn IdResolver>>) -> Self {
        Self(resolvers)
    }
}

#[async_trait]
impl IdResolver for ChainResolver {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let missing = |key: &SourceKey| Resolution::Missing { table: table.clone(), key: key.clone() };
        let Some((first, others)) = self.0.split_first() else { return Ok(keys.iter().map(missing).collect()) };
        let mut resolutions = first.resolve(table, keys).await?;
        for resolver in others {
            let open: Vec<usize> = (0..keys.len())
                .filter(|&position| matches!(resolutions.get(position), Some(Resolution::Missing { .. })))
                .collect();
            if open.is_empty() {
                break;
            }
            let open_keys: Vec<SourceKey> = open.iter().filter_map(|&position| keys.get(position).cloned()).collect();
            let found = resolver.resolve(table, &open_keys).await?;
            for (position, resolution) in open.into_iter().zip(found) {
                if let Some(slot) = resolutions.get_mut(position) {
                    *slot = resolution;
                }
            }
        }
        Ok(resolutions)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::names::SinkId;

    #[derive(Debug, Default)]
    struct Fixed {
        known: Vec<(&'static str, &'static str)>,
        asked: std::sync::Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl IdResolver for Fixed {
        async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
            self.asked.lock().unwrap().extend(keys.iter().map(ToString::to_string));
            Ok(keys
                .iter()
                .map(|key| match self.known.iter().find(|(known, _)| *known == key.as_str()) {
                    Some((_, id)) => Resolution::Found(SinkId::from(*id)),
                    None => Resolution::Missing { table: table.clone(), key: key.clone() },
                })
                .collect())
        }
    }

    #[tokio::test]
    async fn later_resolvers_are_asked_only_for_what_is_missing() {
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let chain = ChainResolver::new(vec![
            Box::new(Fixed { known: vec![("a", "1")], ..Fixed::default() }),
            Box::new(Fixed { known: vec![("a", "9"), ("b", "2")], asked: asked.clone() }),
        ]);
        let table: KeySpace = "t".parse().unwrap();
        let keys = ["a", "b", "c", "a"].map(SourceKey::from);
        let resolved = chain.resolve(&table, &keys).await.unwrap();
        assert_eq!(resolved[0].id().unwrap().as_str(), "1");
        assert_eq!(resolved[1].id().unwrap().as_str(), "2");
        assert!(matches!(&resolved[2], Resolution::Missing { key, .. } if key.as_str() == "c"));
        assert_eq!(resolved[3].id().unwrap().as_str(), "1");
        assert_eq!(*asked.lock().unwrap(), ["b", "c"]);
    }
}
