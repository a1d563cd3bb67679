//! Our storages as the `iceberg` crate's `FileIO`, for its manifest readers and writers and its scan.

use std::{fmt::Debug, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use iceberg::{
    Error, ErrorKind,
    io::{
        FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile,
        StorageConfig, StorageFactory,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Storage, StorageError, StorageErrorKind};

/// The crate's file access over this storage.
pub fn file_io(storage: Arc<dyn Storage>) -> FileIO {
    FileIOBuilder::new(Arc::new(Adapter(storage))).build()
}

/// The storage's own error within an error of the crate, where that is its cause.
pub fn storage_cause(error: &Error) -> Option<StorageError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(storage) = cause.downcast_ref::<StorageError>() {
            return Some(StorageError {
                operation: storage.operation,
                path: storage.path.clone(),
                kind: storage.kind,
                reason: storage.reason.clone(),
            });
        }
        source = cause.source();
    }
    None
}

/// One of our storages in the crate's clothes; its own factory.
#[derive(Debug, Clone)]
struct Adapter(Arc<dyn Storage>);

// The crate ships storages to other processes by serde. Ours hold connections, and stay.
impl Serialize for Adapter {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(
            "a frazil storage cannot be sent to another process",
        ))
    }
}

impl<'de> Deserialize<'de> for Adapter {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(
            "a frazil storage cannot come from another process",
        ))
    }
}

fn failed(error: StorageError) -> Error {
    let kind = match error.kind {
        StorageErrorKind::NotFound => ErrorKind::DataInvalid,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, format!("failed to {error}")).with_source(error)
}

#[async_trait]
#[typetag::serde(name = "frazil")]
impl iceberg::io::Storage for Adapter {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        Ok(self.0.stat(path).await.map_err(failed)?.is_some())
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        match self.0.stat(path).await.map_err(failed)? {
            Some(stat) => Ok(FileMetadata { size: stat.size }),
            None => Err(failed(StorageError {
                operation: "look at",
                path: path.to_string(),
                kind: StorageErrorKind::NotFound,
                reason: "there is no such file".to_string(),
            })),
        }
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.0.read(path).await.map_err(failed)
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader {
            storage: Arc::clone(&self.0),
            path: path.to_string(),
        }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        self.0.write(path, bytes).await.map_err(failed)
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        Ok(Box::new(Writer {
            storage: Arc::clone(&self.0),
            path: path.to_string(),
            bytes: Some(BytesMut::new()),
        }))
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.0.delete(path).await.map_err(failed)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        // What deletes files proves each of them dead first; nothing deletes by prefix.
        Err(Error::new(
            ErrorKind::FeatureUnsupported,
            format!("files are never deleted by prefix, and {path} was asked for"),
        ))
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.0.delete(&path).await.map_err(failed)?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_string()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_string()))
    }
}

#[typetag::serde(name = "frazil")]
impl StorageFactory for Adapter {
    fn build(&self, _: &StorageConfig) -> iceberg::Result<Arc<dyn iceberg::io::Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

struct Reader {
    storage: Arc<dyn Storage>,
    path: String,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> iceberg::Result<Bytes> {
        self.storage
            .read_range(&self.path, range)
            .await
            .map_err(failed)
    }
}

/// Collects what the crate writes (manifests and their lists, a few megabytes at most) and writes
/// it in one call, so that nothing half-written is ever left behind.
struct Writer {
    storage: Arc<dyn Storage>,
    path: String,
    bytes: Option<BytesMut>,
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        match &mut self.bytes {
            Some(collected) => {
                collected.extend_from_slice(&bytes);
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::Unexpected,
                "the file was closed before",
            )),
        }
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        match self.bytes.take() {
            Some(bytes) => self
                .storage
                .write(&self.path, bytes.freeze())
                .await
                .map_err(failed),
            None => Err(Error::new(
                ErrorKind::Unexpected,
                "the file was closed before",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::local::LocalStorage;

    #[tokio::test]
    async fn the_crate_reads_and_writes_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = LocalStorage::uri(folder.path()).unwrap();
        let io = file_io(Arc::new(LocalStorage::new()));
        let path = format!("{root}/a/f");
        let mut writer = io.new_output(&path).unwrap().writer().await.unwrap();
        writer.write(Bytes::from_static(b"ab")).await.unwrap();
        writer.write(Bytes::from_static(b"cd")).await.unwrap();
        assert!(!io.exists(&path).await.unwrap());
        writer.close().await.unwrap();
        let input = io.new_input(&path).unwrap();
        assert_eq!(input.read().await.unwrap(), "abcd");
        assert_eq!(input.metadata().await.unwrap().size, 4);
        assert_eq!(
            input.reader().await.unwrap().read(1..3).await.unwrap(),
            "bc"
        );
    }

    #[tokio::test]
    async fn its_errors_keep_their_cause() {
        let io = file_io(Arc::new(LocalStorage::new()));
        let error = io
            .new_input("file:///none/such")
            .unwrap()
            .read()
            .await
            .unwrap_err();
        assert_eq!(
            storage_cause(&error).unwrap().kind,
            StorageErrorKind::NotFound
        );
        assert!(serde_json::to_string(&Adapter(Arc::new(LocalStorage::new()))).is_err());
    }
}
