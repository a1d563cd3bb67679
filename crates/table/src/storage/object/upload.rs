//! A file that is uploaded in parts, one being sent while the next is filled.
//!
//! opendal can send several parts of a file at once, but it keeps every part that was sent in memory until
//! the file is closed. So it is asked for one at a time; files are many, and upload side by side.

use bytes::{Bytes, BytesMut};
use opendal::{
    Buffer, ErrorKind,
    raw::{
        Access as _, OpDelete, OpWrite,
        oio::{self, Delete as _, Write as _},
    },
};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{File, ObjectClient};
use crate::storage::{StorageError, StorageErrorKind};

/// A file being uploaded. Dropped before its end, it is given up: what was sent is removed by a task of the
/// runtime, as far as that still runs and the service answers. What that leaves behind is a multipart upload
/// without a file, for the bucket's lifecycle rules.
pub(crate) struct Upload {
    client: ObjectClient,
    uri: String,
    key: String,
    /// What is not sent yet; less than a part.
    filling: BytesMut,
    length: u64,
    state: State,
    /// An earlier call failed, or was cancelled in its middle.
    broken: bool,
}

type Sent = (oio::Writer, opendal::Result<()>);

enum State {
    Idle(oio::Writer),
    /// A part is on its way, by a task: cancelling our caller must not lose the upload's id.
    Sending(JoinHandle<Sent>),
    /// Ended, or lost with the runtime.
    Ended,
}

impl Upload {
    pub(super) async fn begin(client: ObjectClient, file: File<'_>) -> Result<Self, StorageError> {
        let permit = client.permit().await;
        let begun = client.uploads.write(file.key, OpWrite::new()).await;
        drop(permit);
        match begun {
            Ok((_, writer)) => Ok(Self {
                uri: file.uri.to_owned(),
                key: file.key.to_owned(),
                filling: BytesMut::new(),
                length: 0,
                state: State::Idle(writer),
                broken: false,
                client,
            }),
            Err(error) => Err(client.target.failed("write", file.uri, &error)),
        }
    }

    /// Appends. Returns before all is sent, but with no more than one part on its way.
    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.check()?;
        self.broken = true;
        self.length += bytes.len() as u64;
        while self.filling.len() + bytes.len() >= self.client.part_bytes {
            let rest = bytes.split_off(self.client.part_bytes - self.filling.len());
            let part = if self.filling.is_empty() {
                bytes
            } else {
                self.filling.extend_from_slice(&bytes);
                std::mem::take(&mut self.filling).freeze()
            };
            bytes = rest;
            self.send(part).await?;
        }
        self.filling.extend_from_slice(&bytes);
        self.broken = false;
        Ok(())
    }

    /// Ends the file. A failure gives it up.
    pub(crate) async fn close(mut self) -> Result<(), StorageError> {
        self.check()?;
        let closed = self.finish().await;
        if closed.is_err() {
            self.give_up().await.ok();
        }
        self.state = State::Ended;
        closed
    }

    /// Gives the file up and removes what was sent of it.
    pub(crate) async fn abort(mut self) -> Result<(), StorageError> {
        self.give_up().await
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.broken {
            return Err(StorageError {
                operation: "write",
                path: self.uri.clone(),
                kind: StorageErrorKind::Other,
                reason: "an earlier write to it failed or was cancelled".to_owned(),
            });
        }
        Ok(())
    }

    /// Sends a part once the one before it has arrived.
    async fn send(&mut self, part: Bytes) -> Result<(), StorageError> {
        let mut writer = self.arrived().await?;
        let client = self.client.clone();
        self.state = State::Sending(tokio::spawn(async move {
            let _permit = client.permit().await;
            let sent = writer.write(Buffer::from(part)).await;
            (writer, sent)
        }));
        Ok(())
    }

    /// Waits until the part on its way has arrived.
    async fn arrived(&mut self) -> Result<oio::Writer, StorageError> {
        let sent = match &mut self.state {
            State::Idle(_) => None,
            State::Sending(task) => task.await.ok(),
            State::Ended => None,
        };
        match (sent, std::mem::replace(&mut self.state, State::Ended)) {
            (None, State::Idle(writer)) | (Some((writer, Ok(()))), _) => Ok(writer),
            (Some((writer, Err(error))), _) => {
                self.state = State::Idle(writer);
                Err(self.client.target.failed("write", &self.uri, &error))
            }
            (None, _) => Err(StorageError {
                operation: "write",
                path: self.uri.clone(),
                kind: StorageErrorKind::Other,
                reason: "its upload was cut off".to_owned(),
            }),
        }
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        if !self.filling.is_empty() {
            let part = std::mem::take(&mut self.filling).freeze();
            self.send(part).await?;
        }
        let mut writer = self.arrived().await?;
        let permit = self.client.permit().await;
        let closed = writer.close().await;
        drop(permit);
        self.state = State::Idle(writer);
        let Err(error) = closed else {
            return Ok(());
        };
        if self.is_there(&error).await {
            return Ok(());
        }
        let failed = self.client.target.failed("write", &self.uri, &error);
        Err(match failed.kind {
            StorageErrorKind::NotFound => StorageError {
                kind: StorageErrorKind::Other,
                reason: "the server has ended its upload; see the bucket's lifecycle rules, which must leave uploads of some hours alone".to_owned(),
                ..failed
            },
            _ => failed,
        })
    }

    /// Whether the file was put together although we were told that there is no such upload: the reply to
    /// an earlier attempt was lost. Names are written once, so a file of our length is ours.
    async fn is_there(&self, error: &opendal::Error) -> bool {
        if error.kind() != ErrorKind::NotFound {
            return false;
        }
        let file = File {
            uri: &self.uri,
            key: &self.key,
        };
        matches!(self.client.stat(file).await, Ok(Some(stat)) if stat.size == self.length)
    }

    async fn give_up(&mut self) -> Result<(), StorageError> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        abort(&self.client, &self.key, state)
            .await
            .map_err(|error| self.client.target.failed("delete", &self.uri, &error))
    }
}

/// Removes what was sent: the parts, or the file where the service shows it from its beginning.
async fn abort(client: &ObjectClient, key: &str, state: State) -> opendal::Result<()> {
    let mut writer = match state {
        State::Idle(writer) => writer,
        State::Sending(task) => match task.await {
            Ok((writer, _)) => writer,
            Err(_) => return Ok(()),
        },
        State::Ended => return Ok(()),
    };
    let _permit = client.permit().await;
    match writer.abort().await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let (_, mut deleter) = client.calls.delete().await?;
            deleter.delete(key, OpDelete::new()).await?;
            deleter.close().await
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        if matches!(state, State::Ended) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!(path = self.uri, "left an unfinished upload behind");
            return;
        };
        let (client, key, uri) = (
            self.client.clone(),
            std::mem::take(&mut self.key),
            std::mem::take(&mut self.uri),
        );
        runtime.spawn(async move {
            if let Err(error) = abort(&client, &key, state).await {
                let error = client.target.failed("delete", &uri, &error);
                tracing::warn!(%error, "left an unfinished upload behind");
            }
        });
    }
}
