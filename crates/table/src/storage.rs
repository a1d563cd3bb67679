//! Where a table's files lie.
//!
//! Paths are absolute URIs with their scheme (`file:///…`). What `write` and `close` have
//! returned from is durable: contents and folder entry alike.

mod hdfs;
pub mod iceberg_io;
pub mod local;
mod location;
mod object;
pub mod options;
pub mod storages;
mod vended;

use std::{fmt::Debug, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;

/// A storage of files by URI.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// The whole file.
    async fn read(&self, path: &str) -> Result<Bytes, StorageError>;

    /// A part of the file.
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Writes a whole file, durably. Folders are made as needed.
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError>;

    /// Begins a file that is written in parts and appears, durably, when closed.
    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError>;

    /// The file's size and time of change; `None` where there is no such file.
    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError>;

    /// Removes the file; a file that is not there is no error.
    async fn delete(&self, path: &str) -> Result<(), StorageError>;

    /// All files under the folder `prefix` (which ends in a slash), in no order.
    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError>;
}

/// A file being written.
#[async_trait]
pub trait StorageWriter: Send {
    /// Appends.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Ends the file. On return it is durable and visible under its path.
    async fn close(self: Box<Self>) -> Result<(), StorageError>;

    /// Gives the file up and removes what was written of it.
    async fn abort(self: Box<Self>) -> Result<(), StorageError>;
}

/// What a storage knows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Its URI.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last changed, in milliseconds since the epoch; `None` if the storage does not say.
    pub modified_ms: Option<i64>,
}

/// Why a storage call failed. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path}: {reason}")]
pub struct StorageError {
    /// What was tried: `read`, `write`, `list`, ….
    pub operation: &'static str,
    /// The file's URI.
    pub path: String,
    /// What kind of failure, for the caller's remedy.
    pub kind: StorageErrorKind,
    /// For people: what the storage said, and what to do where that is known (a full disk, a missing right).
    pub reason: String,
}

/// What kind of failure, for the caller's remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// There is no such file.
    NotFound,
    /// We may not.
    Denied,
    /// The disk or quota is full.
    Full,
    /// Anything else; trying again may help.
    Other,
}
