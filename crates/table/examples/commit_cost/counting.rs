//! A storage that counts.

use std::{ops::Range, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_table::storage::{FileStat, Storage, StorageError, StorageWriter, local::LocalStorage};

/// What was asked of the storage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) manifests_read: u64,
    /// Manifest lists written: attempts to commit.
    pub(crate) lists_written: u64,
    /// Metadata files written: swaps that were tried.
    pub(crate) metadata_written: u64,
}

/// A storage that counts.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: LocalStorage,
    asked: Mutex<Asked>,
}

impl Counting {
    pub(crate) fn asked(&self) -> Asked {
        *self.asked.lock().unwrap()
    }

    fn count(&self, count: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.lock().unwrap();
        asked.requests += 1;
        count(&mut asked);
    }

    fn count_read(&self, path: &str, bytes: &Bytes) {
        self.count(|asked| {
            asked.bytes_read += bytes.len() as u64;
            asked.manifests_read += u64::from(!is_list(path) && !is_metadata(path));
        });
    }
}

fn is_list(path: &str) -> bool {
    path.contains("/snap-")
}

fn is_metadata(path: &str) -> bool {
    path.ends_with(".metadata.json")
}

#[async_trait]
impl Storage for Counting {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        let bytes = self.inner.read(path).await?;
        self.count_read(path, &bytes);
        Ok(bytes)
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let bytes = self.inner.read_range(path, range).await?;
        self.count_read(path, &bytes);
        Ok(bytes)
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.count(|asked| {
            asked.bytes_written += bytes.len() as u64;
            asked.lists_written += u64::from(is_list(path));
            asked.metadata_written += u64::from(is_metadata(path));
        });
        self.inner.write(path, bytes).await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        self.count(|_| {});
        self.inner.writer(path).await
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        self.count(|_| {});
        self.inner.stat(path).await
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        self.count(|_| {});
        self.inner.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        self.count(|_| {});
        self.inner.list(prefix).await
    }
}
