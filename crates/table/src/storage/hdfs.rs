//! Hadoop's file system, by its own protocol: one client a name service.
//!
//! Guarantees: a file appears under its name whole or not at all (it is written under another name in the
//! same folder, and renamed); on return from `write` and `close` its blocks are on the DataNodes' disks
//! (the client has each synced at its end) and its name is in the NameNode's journal.
//!
//! opendal's client for HDFS is not used: its rename first makes an empty file under the new name, its
//! delete takes whole folders, and it can be told no user and no keytab.

mod failure;
mod upload;

use std::{future::Future, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use frazil_service::clock::Ids;
use futures::TryStreamExt as _;
use hdfs_native::{Client, ClientBuilder, HdfsError, client::FileStatus};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::failure::Failure;
pub(crate) use self::upload::Upload;
use super::{
    FileStat, StorageError,
    object::File,
    options::{HdfsOptions, StorageLimits},
};

/// How often the client goes to another NameNode of a name service, each time after a longer wait.
const FAILOVERS_MAX: &str = "dfs.client.failover.max.attempts";

/// The client of one name service.
#[derive(Debug, Clone)]
pub(crate) struct HdfsClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    /// For messages.
    url: String,
    limits: StorageLimits,
    requests: Semaphore,
    ids: Arc<dyn Ids>,
}

impl HdfsClient {
    /// The client that the options ask for. Connects to nobody yet.
    pub(crate) fn new(
        url: &str,
        options: &HdfsOptions,
        limits: &StorageLimits,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, String> {
        let mut properties = options.properties.clone();
        if is_single(url) {
            // There is no other one to try; ours are attempts enough.
            properties
                .entry(FAILOVERS_MAX.to_owned())
                .or_insert_with(|| "0".to_owned());
        }
        let mut builder = ClientBuilder::new()
            .with_url(format!("{url}/"))
            .with_config(properties);
        if let Some(folder) = &options.conf_dir {
            builder = builder.with_config_dir(folder.to_string_lossy());
        }
        if let Some(user) = &options.user {
            builder = builder.with_user(user);
        }
        if let Some(principal) = &options.kerberos_principal {
            builder = builder.with_kerberos_principal(principal);
        }
        if let Some(keytab) = &options.kerberos_keytab {
            builder = builder.with_kerberos_keytab(keytab.to_string_lossy());
        }
        let client = builder.build().map_err(|error| {
            format!(
                "the settings of {url} in [storage.hdfs] and its conf_dir cannot be used: {error}"
            )
        })?;
        Ok(Self(Arc::new(Shared {
            client,
            url: url.to_owned(),
            limits: limits.clone(),
            requests: Semaphore::new(limits.requests_in_flight_max.max(1)),
            ids,
        })))
    }

    pub(crate) async fn read(&self, file: File<'_>) -> Result<Bytes, StorageError> {
        let path = path(file);
        self.attempts("read", file.uri, || self.read_part(&path, None))
            .await
    }

    pub(crate) async fn read_range(
        &self,
        file: File<'_>,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let path = path(file);
        self.attempts("read", file.uri, || {
            self.read_part(&path, Some(range.clone()))
        })
        .await
    }

    async fn read_part(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes, Failure> {
        let reader = self.call(self.0.client.read(path)).await?;
        let length = reader.file_length();
        let (start, end) = match range {
            None => (0, length),
            Some(range) => (range.start as usize, range.end as usize),
        };
        // The reader panics past the end.
        if end > length {
            return Err(Failure::Short);
        }
        let mut bytes = BytesMut::with_capacity(end - start);
        let mut parts = Box::pin(reader.read_range_stream(start, end - start));
        while let Some(part) = self.call(parts.try_next()).await? {
            bytes.extend_from_slice(&part);
        }
        if bytes.len() == end - start {
            Ok(bytes.freeze())
        } else {
            Err(Failure::Short)
        }
    }

    pub(crate) async fn write(&self, file: File<'_>, bytes: Bytes) -> Result<(), StorageError> {
        self.attempts("write", file.uri, || async {
            let mut upload = Upload::create(self.clone(), file).await?;
            let written = upload.append(bytes.clone()).await;
            upload.end(written).await
        })
        .await
    }

    /// Begins a file that is written in parts.
    pub(crate) async fn upload(&self, file: File<'_>) -> Result<Upload, StorageError> {
        self.attempts("write", file.uri, || Upload::create(self.clone(), file))
            .await
    }

    pub(crate) async fn stat(&self, file: File<'_>) -> Result<Option<FileStat>, StorageError> {
        let path = path(file);
        let status = self
            .attempts("look at", file.uri, || self.status(&path))
            .await?;
        Ok(status
            .filter(|status| !status.isdir)
            .map(|status| file_stat(file.uri.to_owned(), &status)))
    }

    async fn status(&self, path: &str) -> Result<Option<FileStatus>, Failure> {
        match self.call(self.0.client.get_file_info(path)).await {
            Ok(status) => Ok(Some(status)),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn delete(&self, file: File<'_>) -> Result<(), StorageError> {
        let path = path(file);
        self.attempts("delete", file.uri, || self.remove(&path))
            .await
    }

    async fn remove(&self, path: &str) -> Result<(), Failure> {
        match self.call(self.0.client.delete(path, false)).await {
            Err(failure) if !failure.is_missing() => Err(failure),
            _ => Ok(()),
        }
    }

    /// All files under the folder, whose URI and key end in a slash.
    pub(crate) async fn list(&self, folder: File<'_>) -> Result<Vec<FileStat>, StorageError> {
        let top = path(folder);
        self.attempts("list", folder.uri, || self.walk(folder.uri, &top))
            .await
    }

    async fn walk(&self, uri: &str, top: &str) -> Result<Vec<FileStat>, Failure> {
        let mut files = Vec::new();
        let mut folders = vec![top.trim_end_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let path = if folder.is_empty() { "/" } else { &folder };
            let entries = self.0.client.list_status_iter(path, false);
            loop {
                let entry = match self.call(async { entries.next().await.transpose() }).await {
                    Ok(Some(entry)) => entry,
                    Ok(None) => break,
                    // Removed meanwhile, or never there.
                    Err(failure) if failure.is_missing() => break,
                    Err(failure) => return Err(failure),
                };
                match entry.path.strip_prefix(top) {
                    Some(_) if entry.isdir => folders.push(entry.path),
                    Some(rest) => files.push(file_stat(format!("{uri}{rest}"), &entry)),
                    // The folder is a file.
                    None => {}
                }
            }
        }
        Ok(files)
    }

    /// One small call, within its time.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, HdfsError>>,
    ) -> Result<T, Failure> {
        within(self.0.limits.call_timeout, call).await
    }

    /// Tries until it succeeds, fails for a reason that stays, or was tried often enough.
    async fn attempts<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        operation: &'static str,
        uri: &str,
        call: impl Fn() -> F,
    ) -> Result<T, StorageError> {
        let limits = &self.0.limits;
        let mut wait = limits.retry_wait_min;
        let mut attempt = 1;
        loop {
            let permit = self.permit().await;
            let failure = match call().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            drop(permit);
            if attempt >= limits.attempts_max || !failure.is_passing() {
                return Err(failure.into_error(&self.0.url, operation, uri));
            }
            let (_, random) = self.0.ids.uuid().as_u64_pair();
            let share = f64::from((random & 0xffff) as u32) / 65_536.0;
            let jittered = wait.mul_f64(0.5 + share).min(limits.retry_wait_max);
            tracing::warn!(
                operation,
                attempt,
                wait_ms = jittered.as_millis() as u64,
                reason = failure.words(),
                "a storage call failed and is tried again"
            );
            tokio::time::sleep(jittered).await;
            wait = (wait * 2).min(limits.retry_wait_max);
            attempt += 1;
        }
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.requests.acquire().await.ok()
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, HdfsError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(Failure::Hdfs),
        Err(_) => Err(Failure::Timeout(limit)),
    }
}

/// Whether the URL names a NameNode, by its port, and no name service.
fn is_single(url: &str) -> bool {
    url.starts_with("hdfs://")
        && url
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// The file's path in its name service.
fn path(file: File<'_>) -> String {
    format!("/{}", file.key)
}

fn file_stat(path: String, status: &FileStatus) -> FileStat {
    FileStat {
        path,
        size: status.length as u64,
        modified_ms: i64::try_from(status.modification_time).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use frazil_service::clock::RandomIds;

    use super::*;

    #[tokio::test]
    async fn what_may_pass_is_tried_as_often_as_is_allowed() {
        let limits = StorageLimits {
            attempts_max: 3,
            retry_wait_min: Duration::from_millis(1),
            ..StorageLimits::default()
        };
        let options = HdfsOptions::default();
        let ids = Arc::new(RandomIds);
        let client = HdfsClient::new("hdfs://127.0.0.1:1", &options, &limits, ids).unwrap();
        let tried = async |failure: fn() -> Failure| {
            let count = AtomicUsize::new(0);
            let call = || {
                count.fetch_add(1, Ordering::SeqCst);
                async { Err::<(), _>(failure()) }
            };
            client
                .attempts("read", "hdfs://nn/f", call)
                .await
                .unwrap_err();
            count.load(Ordering::SeqCst)
        };
        assert_eq!(tried(|| Failure::Timeout(Duration::ZERO)).await, 3);
        assert_eq!(tried(|| Failure::Short).await, 1);
    }

    #[test]
    fn a_port_makes_it_one_name_node() {
        for (url, single) in [
            ("hdfs://nn:8020", true),
            ("hdfs://[::1]:8020", true),
            ("hdfs://nameservice", false),
            ("hdfs://", false),
            ("viewfs://cluster", false),
        ] {
            assert_eq!(is_single(url), single, "{url}");
        }
    }
}
