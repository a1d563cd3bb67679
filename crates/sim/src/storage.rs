//! A storage in memory that obeys the fault plan.

use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use frazil_table::storage::{FileStat, Storage, StorageError, StorageErrorKind, StorageWriter};

use crate::{
    durable::Durable,
    fault::CallClass,
    world::{CallContext, Process, Reply},
};

/// One process's view of the world's files.
#[derive(Debug, Clone)]
pub struct SimStorage {
    process: Process,
}

impl SimStorage {
    pub(crate) fn new(process: Process) -> Self {
        Self { process }
    }

    async fn ask<T, E>(
        &self,
        class: CallClass,
        operation: &'static str,
        path: &str,
        effect: E,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        E: FnOnce(&mut Durable, CallContext) -> T + Send + 'static,
    {
        match self.process.call(class, operation, path, effect).await {
            Reply::Done(result) => Ok(result),
            Reply::Failed | Reply::Lost => Err(error(
                operation,
                path,
                StorageErrorKind::Other,
                "the storage did not answer; trying again may help",
            )),
        }
    }
}

fn error(
    operation: &'static str,
    path: &str,
    kind: StorageErrorKind,
    reason: &str,
) -> StorageError {
    StorageError {
        operation,
        path: path.to_owned(),
        kind,
        reason: reason.to_owned(),
    }
}

fn not_found(operation: &'static str, path: &str) -> StorageError {
    error(
        operation,
        path,
        StorageErrorKind::NotFound,
        "there is no such file",
    )
}

fn land(durable: &mut Durable, context: CallContext, path: &str, bytes: Bytes) {
    let length = if context.torn {
        bytes.len() / 2
    } else {
        bytes.len()
    };
    durable.write(path, bytes.slice(..length));
}

#[async_trait]
impl Storage for SimStorage {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        let file = path.to_owned();
        self.ask(CallClass::Read, "read", path, move |durable, _| {
            durable.file(&file).map(|stored| stored.bytes.clone())
        })
        .await?
        .ok_or_else(|| not_found("read", path))
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let file = path.to_owned();
        let bytes = self
            .ask(CallClass::Read, "read", path, move |durable, _| {
                durable.file(&file).map(|stored| stored.bytes.clone())
            })
            .await?
            .ok_or_else(|| not_found("read", path))?;
        let (start, end) = (range.start as usize, range.end as usize);
        if start > end || end > bytes.len() {
            let reason = format!("{start}..{end} is outside of its {} bytes", bytes.len());
            return Err(error("read", path, StorageErrorKind::Other, &reason));
        }
        Ok(bytes.slice(start..end))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        let file = path.to_owned();
        self.ask(CallClass::Write, "write", path, move |durable, context| {
            land(durable, context, &file, bytes);
        })
        .await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        Ok(Box::new(SimWriter {
            storage: self.clone(),
            path: path.to_owned(),
            parts: BytesMut::new(),
        }))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        let file = path.to_owned();
        self.ask(CallClass::Read, "stat", path, move |durable, _| {
            durable.file(&file).map(|stored| FileStat {
                path: file.clone(),
                size: stored.bytes.len() as u64,
                modified_ms: Some(stored.modified_ms),
            })
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        let file = path.to_owned();
        self.ask(CallClass::Delete, "delete", path, move |durable, _| {
            durable.delete(&file);
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        let folder = prefix.to_owned();
        self.ask(CallClass::Read, "list", prefix, move |durable, _| {
            durable
                .list(&folder)
                .map(|(path, stored)| FileStat {
                    path: path.clone(),
                    size: stored.bytes.len() as u64,
                    modified_ms: Some(stored.modified_ms),
                })
                .collect()
        })
        .await
    }
}

/// A file being written; what is not closed is never seen.
struct SimWriter {
    storage: SimStorage,
    path: String,
    parts: BytesMut,
}

#[async_trait]
impl StorageWriter for SimWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.storage
            .ask(CallClass::PartWrite, "write part", &self.path, |_, _| ())
            .await?;
        self.parts.extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), StorageError> {
        let Self {
            storage,
            path,
            parts,
        } = *self;
        let (file, bytes) = (path.clone(), parts.freeze());
        storage
            .ask(CallClass::Write, "close", &path, move |durable, context| {
                land(durable, context, &file, bytes);
            })
            .await
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        self.storage
            .ask(CallClass::PartWrite, "abort", &self.path, |_, _| ())
            .await
    }
}
