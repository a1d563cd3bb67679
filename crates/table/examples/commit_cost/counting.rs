//! A catalog and a storage that count.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_dataset::TableName;
use frazil_table::{
    catalog::{Catalog, CatalogError, CommitError, Creation, LoadedTable},
    storage::{FileStat, Storage, StorageError, StorageWriter, local::LocalStorage},
};
use iceberg::{TableRequirement, TableUpdate};

/// Counts swaps, and those that others won.
#[derive(Debug)]
pub(crate) struct CountingCatalog {
    pub(crate) inner: Arc<dyn Catalog>,
    pub(crate) swaps: AtomicU64,
    pub(crate) lost: AtomicU64,
}

impl CountingCatalog {
    pub(crate) fn forget(&self) {
        self.swaps.store(0, Relaxed);
        self.lost.store(0, Relaxed);
    }

    pub(crate) fn swaps(&self) -> (u64, u64) {
        (self.swaps.load(Relaxed), self.lost.load(Relaxed))
    }
}

#[async_trait]
impl Catalog for CountingCatalog {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        self.inner.load(name).await
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        self.inner.create(name, creation).await
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let done = self.inner.commit(base, requirements, updates).await;
        self.swaps.fetch_add(1, Relaxed);
        self.lost.fetch_add(u64::from(done.is_err()), Relaxed);
        done
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        self.inner.list().await
    }
}

/// Counts requests, bytes read, bytes written, and manifests read.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) inner: LocalStorage,
    pub(crate) counts: [AtomicU64; 4],
}

impl Counting {
    pub(crate) fn counts(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|index| self.counts[index].load(Relaxed))
    }

    fn request(&self) {
        self.counts[0].fetch_add(1, Relaxed);
    }

    fn count_read(&self, path: &str, bytes: &Bytes) {
        self.counts[1].fetch_add(bytes.len() as u64, Relaxed);
        let is_manifest = !path.contains("/snap-") && !path.contains(".metadata.json");
        self.counts[3].fetch_add(u64::from(is_manifest), Relaxed);
    }
}

#[async_trait]
impl Storage for Counting {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        self.request();
        let bytes = self.inner.read(path).await?;
        self.count_read(path, &bytes);
        Ok(bytes)
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.request();
        let bytes = self.inner.read_range(path, range).await?;
        self.count_read(path, &bytes);
        Ok(bytes)
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.request();
        self.counts[2].fetch_add(bytes.len() as u64, Relaxed);
        self.inner.write(path, bytes).await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        self.request();
        self.inner.writer(path).await
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        self.request();
        self.inner.stat(path).await
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        self.request();
        self.inner.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        self.request();
        self.inner.list(prefix).await
    }
}
