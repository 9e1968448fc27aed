//! A source whose pages come round again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use migrate_core::catalog::Catalog;
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::Record;
use migrate_core::source::{KeyRange, Page, PageRequest};
use migrate_core::state::MemoryState;
use migrate_core::{ErrorKind, Pipeline, Result, Source};

use super::World;

/// Pages of the source within it, but after so many pages it begins anew.
#[derive(Debug)]
struct Circling<S> {
    inner: Arc<S>,
    pages: AtomicUsize,
    around: usize,
}

#[async_trait]
impl<S: Source> Source for Circling<S> {
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.inner.discover().await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.inner.count(table).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.inner.partitions(table, key, wanted).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let page = self.pages.fetch_add(1, Ordering::Relaxed);
        assert!(page < 1_000, "it is read for ever");
        let begins_anew = page % self.around == 0;
        self.inner.read_page(if begins_anew { PageRequest { after: None, ..request } } else { request }).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.inner.fetch(table, keys, columns).await
    }
}

#[tokio::test]
async fn pages_that_come_round_again_are_refused() {
    for around in [1, 2, 3, 7] {
        let mut world = World::new();
        let keys: Vec<String> = (10..90).map(|key| format!("key {key}")).collect();
        let rows: Vec<[&str; 1]> = keys.iter().map(|key| [key.as_str()]).collect();
        world.table("items", 1, ["id"], &rows);
        let mut plan = world.plan("").await;
        plan.run.page_rows = 3;
        let source = Circling { inner: world.source.clone(), pages: AtomicUsize::default(), around };
        let run = Pipeline::new(plan, Arc::new(source), world.sink.clone(), Arc::new(MemoryState::new()));
        let error = run.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{around}: {error}");
        assert!(error.to_string().contains("table: items"), "{error}");
    }
}
