//! Object stores (S3, Google Cloud Storage, Azure Data Lake Storage), by opendal: one client a bucket.
//!
//! Guarantees: a file appears under its name whole or not at all (on Azure it is there, empty, from the
//! beginning of its upload); on return from `write` and `close` it is durable; every call ends within the
//! limits' time; a call that failed for a passing reason is tried again, with jitter. All calls may be
//! repeated: a name is written once.
//!
//! The raw half of opendal is used: the other half folds `//` and trims spaces in names, and would read and
//! write other files than the table's metadata names.

mod failure;
mod settings;
mod upload;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use opendal::{
    EntryMode, Metadata, Operator,
    layers::{HttpClientLayer, RetryEvent, RetryLayer, TimeoutLayer},
    raw::{
        Access as _, Accessor, BytesRange, HttpClient, OpDelete, OpList, OpRead, OpStat,
        oio::{Delete as _, List as _, Read as _},
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::failure::Service;
pub(crate) use self::{
    failure::Target,
    settings::{Keys, ObjectSettings, install_tls},
    upload::Upload,
};
use super::{FileStat, StorageError, StorageErrorKind, options::StorageLimits};

/// The client of one bucket.
#[derive(Debug, Clone)]
pub(crate) struct ObjectClient {
    /// Small calls and reads.
    calls: Accessor,
    /// The same client with the patience that uploads need.
    uploads: Accessor,
    target: Arc<Target>,
    requests: Arc<Semaphore>,
    part_bytes: usize,
}

/// A file: its URI, for messages, and its name in its bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) uri: &'a str,
    pub(crate) key: &'a str,
}

impl ObjectClient {
    /// The client that the settings ask for. Connects to nobody yet.
    pub(crate) fn new(
        settings: &ObjectSettings,
        limits: &StorageLimits,
        http: reqwest_opendal::Client,
    ) -> Result<Self, String> {
        let operator = settings.operator()?;
        let operator = operator.layer(HttpClientLayer::new(HttpClient::with(http)));
        Ok(Self {
            calls: patient(operator.clone(), limits, limits.call_timeout),
            uploads: patient(operator, limits, limits.upload_timeout),
            target: Arc::new(settings.target()),
            requests: Arc::new(Semaphore::new(limits.requests_in_flight_max.max(1))),
            part_bytes: limits.part_bytes.max(settings::PART_BYTES_MIN),
        })
    }

    pub(crate) async fn read(&self, file: File<'_>) -> Result<Bytes, StorageError> {
        self.read_part(file, BytesRange::default()).await
    }

    pub(crate) async fn read_range(
        &self,
        file: File<'_>,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self
            .read_part(file, BytesRange::new(range.start, Some(length)))
            .await?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(failure::short("read", file.uri))
        }
    }

    async fn read_part(&self, file: File<'_>, range: BytesRange) -> Result<Bytes, StorageError> {
        let _permit = self.permit().await;
        let read = async {
            let (_, mut reader) = self
                .calls
                .read(file.key, OpRead::new().with_range(range))
                .await?;
            reader.read_all().await
        };
        match read.await {
            Ok(buffer) => Ok(buffer.to_bytes()),
            Err(error) => Err(self.target.failed("read", file.uri, &error)),
        }
    }

    pub(crate) async fn write(&self, file: File<'_>, bytes: Bytes) -> Result<(), StorageError> {
        let mut upload = self.upload(file).await?;
        match upload.write(bytes).await {
            Ok(()) => upload.close().await,
            Err(error) => {
                upload.abort().await.ok();
                Err(error)
            }
        }
    }

    /// Begins a file that is written in parts.
    pub(crate) async fn upload(&self, file: File<'_>) -> Result<Upload, StorageError> {
        Upload::begin(self.clone(), file).await
    }

    pub(crate) async fn stat(&self, file: File<'_>) -> Result<Option<FileStat>, StorageError> {
        let head = self.head(file).await;
        let is_clear = match &head {
            Ok(stat) => stat.is_some(),
            Err(error) => error.kind != StorageErrorKind::Denied,
        };
        if is_clear || self.target.service != Service::S3 {
            return head;
        }
        // S3 answers HEAD without a text: a file, a bucket, and to some servers a user, that is not there look the same.
        match self.read_part(file, BytesRange::new(0, Some(1))).await {
            Err(error) if error.kind == StorageErrorKind::NotFound => Ok(None),
            Err(error) if !failure::is_short(&error) => Err(StorageError {
                operation: "look at",
                ..error
            }),
            // It was made meanwhile.
            _ => self.head(file).await,
        }
    }

    async fn head(&self, file: File<'_>) -> Result<Option<FileStat>, StorageError> {
        let _permit = self.permit().await;
        match self.calls.stat(file.key, OpStat::new()).await {
            Ok(answer) => {
                let metadata = answer.into_metadata();
                Ok(metadata
                    .is_file()
                    .then(|| file_stat(file.uri.to_owned(), &metadata)))
            }
            Err(error) if self.target.is_missing_file(&error) => Ok(None),
            Err(error) => Err(self.target.failed("look at", file.uri, &error)),
        }
    }

    pub(crate) async fn delete(&self, file: File<'_>) -> Result<(), StorageError> {
        let _permit = self.permit().await;
        let delete = async {
            let (_, mut deleter) = self.calls.delete().await?;
            deleter.delete(file.key, OpDelete::new()).await?;
            deleter.close().await
        };
        match delete.await {
            Err(error) if !self.target.is_missing_file(&error) => {
                Err(self.target.failed("delete", file.uri, &error))
            }
            _ => Ok(()),
        }
    }

    /// All files under the folder, whose URI and key end in a slash (or are a bucket's root).
    pub(crate) async fn list(&self, folder: File<'_>) -> Result<Vec<FileStat>, StorageError> {
        let mut files = Vec::new();
        let mut folders = vec![folder.key.to_owned()];
        while let Some(key) = folders.pop() {
            let _permit = self.permit().await;
            self.list_folder(folder, &key, &mut folders, &mut files)
                .await
                .map_err(|error| self.target.failed("list", folder.uri, &error))?;
        }
        Ok(files)
    }

    /// Lists what is under `key`; folders are left to the caller where the service lists only one at a time.
    async fn list_folder(
        &self,
        top: File<'_>,
        key: &str,
        folders: &mut Vec<String>,
        files: &mut Vec<FileStat>,
    ) -> opendal::Result<()> {
        let recursive = self.calls.info().full_capability().list_with_recursive;
        let arguments = OpList::new().with_recursive(recursive);
        let path = if key.is_empty() { "/" } else { key };
        let (_, mut lister) = self.calls.list(path, arguments).await?;
        while let Some(entry) = lister.next().await? {
            let Some(rest) = entry.path().strip_prefix(top.key) else {
                continue;
            };
            match entry.mode() {
                EntryMode::DIR if recursive || entry.path() == path || rest.is_empty() => {}
                EntryMode::DIR => folders.push(entry.path().to_owned()),
                _ => files.push(file_stat(format!("{}{rest}", top.uri), entry.metadata())),
            }
        }
        Ok(())
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.requests.acquire().await.ok()
    }
}

fn file_stat(path: String, metadata: &Metadata) -> FileStat {
    FileStat {
        path,
        size: metadata.content_length(),
        modified_ms: metadata
            .last_modified()
            .map(|time| time.into_inner().as_millisecond()),
    }
}

/// The operator with a limit on each attempt, and attempts.
fn patient(operator: Operator, limits: &StorageLimits, timeout: Duration) -> Accessor {
    let timeouts = TimeoutLayer::new()
        .with_timeout(timeout)
        .with_io_timeout(timeout);
    let retries = RetryLayer::new()
        .with_max_times(limits.attempts_max.saturating_sub(1))
        .with_min_delay(limits.retry_wait_min)
        .with_max_delay(limits.retry_wait_max)
        .with_jitter()
        .with_notify(|event: RetryEvent<'_>| {
            tracing::warn!(
                operation = event.op.into_static(),
                attempt = event.attempt,
                wait_ms = event.retry_after.as_millis() as u64,
                reason = failure::words(event.err),
                "a storage call failed and is tried again"
            );
        });
    // The timeout inside: one outside would leave the retries in a broken state.
    operator.layer(timeouts).layer(retries).into_inner()
}
