//! A file being written under another name, until it is whole.

use bytes::Bytes;
use hdfs_native::{WriteOptions, file::FileWriter};
use tokio::runtime::Handle;

use super::{File, HdfsClient, failure::Failure, path, within};
use crate::storage::StorageError;

/// Most bytes that are handed to the client at a time, so that the time limit is one of a few megabytes.
const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A file being written. Dropped before its end, it is given up: its temporary file is removed by a task of
/// the runtime, as far as that still runs and the NameNode answers. Such files are named `.frazil-<uuid>.tmp`.
pub(crate) struct Upload {
    client: HdfsClient,
    uri: String,
    path: String,
    temporary: String,
    /// None once it is closed.
    writer: Option<Box<FileWriter>>,
    length: u64,
    /// An earlier call failed, or was cancelled in its middle.
    broken: bool,
    ended: bool,
}

impl Upload {
    pub(super) async fn create(client: HdfsClient, file: File<'_>) -> Result<Self, Failure> {
        let path = path(file);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let temporary = format!("{folder}/.frazil-{}.tmp", client.0.ids.uuid());
        let mut upload = Self {
            uri: file.uri.to_owned(),
            path,
            writer: None,
            length: 0,
            broken: false,
            ended: false,
            temporary,
            client,
        };
        let hdfs = &upload.client.0.client;
        let options = WriteOptions::default();
        let created = upload
            .client
            .call(Box::pin(hdfs.create(&upload.temporary, &options)))
            .await;
        // It may have been made all the same if only the reply was lost.
        let writer = created.inspect_err(|failure| upload.ended = !failure.is_passing())?;
        upload.writer = Some(Box::new(writer));
        Ok(upload)
    }

    pub(super) async fn append(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::Broken);
        }
        self.broken = true;
        let limit = self.client.0.limits.upload_timeout;
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX));
            let writer = self.writer.as_mut().ok_or(Failure::Broken)?;
            self.length += chunk.len() as u64;
            within(limit, Box::pin(writer.write_bytes(chunk))).await?;
        }
        self.broken = false;
        Ok(())
    }

    /// Closes and renames. The client has each block synced at its end.
    async fn publish(&mut self) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::Broken);
        }
        let limit = self.client.0.limits.upload_timeout;
        let mut writer = self.writer.take().ok_or(Failure::Broken)?;
        within(limit, Box::pin(writer.close())).await?;
        let hdfs = &self.client.0.client;
        let renamed = self
            .client
            .call(hdfs.rename(&self.temporary, &self.path, true))
            .await;
        match renamed {
            Err(failure) if !self.is_renamed().await => Err(failure),
            _ => Ok(()),
        }
    }

    /// Whether the rename was done although its reply was lost.
    async fn is_renamed(&self) -> bool {
        matches!(
            (
                self.client.status(&self.temporary).await,
                self.client.status(&self.path).await,
            ),
            (Ok(None), Ok(Some(status))) if status.length as u64 == self.length
        )
    }

    /// Publishes what was written, or removes it.
    pub(super) async fn end(mut self, written: Result<(), Failure>) -> Result<(), Failure> {
        let ended = match written {
            Ok(()) => Box::pin(self.publish()).await,
            failed => failed,
        };
        self.writer = None;
        self.ended = ended.is_ok() || self.client.remove(&self.temporary).await.is_ok();
        ended
    }

    /// Appends.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let client = self.client.clone();
        let _permit = client.permit().await;
        self.append(bytes)
            .await
            .map_err(|failure| failure.into_error(&client.0.url, "write", &self.uri))
    }

    /// Ends the file. A failure gives it up.
    pub(crate) async fn close(self) -> Result<(), StorageError> {
        let client = self.client.clone();
        let _permit = client.permit().await;
        let uri = self.uri.clone();
        self.end(Ok(()))
            .await
            .map_err(|failure| failure.into_error(&client.0.url, "write", &uri))
    }

    /// Gives the file up and removes what was written of it.
    pub(crate) async fn abort(mut self) -> Result<(), StorageError> {
        self.writer = None;
        let client = self.client.clone();
        let removed = client
            .attempts("delete", &self.uri, || client.remove(&self.temporary))
            .await;
        self.ended = removed.is_ok();
        removed
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!(path = self.temporary, "left an unfinished file behind");
            return;
        };
        let (client, temporary) = (self.client.clone(), std::mem::take(&mut self.temporary));
        self.writer = None;
        runtime.spawn(async move {
            if let Err(failure) = client.remove(&temporary).await {
                tracing::warn!(
                    path = temporary,
                    reason = failure.words(),
                    "left an unfinished file behind"
                );
            }
        });
    }
}
