//! What is to be read, and from where.

use std::{path::PathBuf, sync::Arc};

use frazil_table::state::FileIdentity;

use super::Compression;
use crate::record::{RecordBlock, SourceInfo};

/// What becomes of the files that were given.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Those with something to read, in the order given. New sources have consecutive ids in this order.
    pub read: Vec<PlannedFile>,
    /// Those of which the table holds all.
    pub already_read: Vec<AlreadyRead>,
    /// Those of which another file holds all.
    pub copies: Vec<CopyOf>,
    /// Those without content.
    pub empty: Vec<PathBuf>,
    /// Blocks without records that mark known sources as read to their end, to be committed with or before the first
    /// records: those that were not, and that a person has given up by having all read as new sources.
    pub given_up: Vec<RecordBlock>,
}

/// A file to read.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// The source: its name is the path as given.
    pub info: Arc<SourceInfo>,
    /// Where the file is.
    pub path: PathBuf,
    /// Whether the table's state does not know the source yet.
    pub is_new: bool,
    /// Where to start, as bytes of the decompressed content.
    pub start: u64,
    /// What the source is at `start`, seen at this path. That of a new one has the hash of its head, so that it is
    /// found again even if it is put into the state before anything was read.
    pub identity: FileIdentity,
    /// For a known source: the path by which it was known.
    pub continues: Option<String>,
    /// Whether it was not given, but found by content in the folder where a source that was given was last seen.
    pub found_by_content: bool,
    /// How it is compressed.
    pub compression: Compression,
    /// How long the file is, compressed as it is: for progress, it may grow.
    pub file_bytes: u64,
}

/// A file of which the table holds all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlreadyRead {
    /// The file, as given.
    pub path: PathBuf,
    /// The source that it is.
    pub source_id: u64,
    /// How many bytes of content it has.
    pub position: u64,
}

/// A file whose whole content is the beginning of another's, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOf {
    /// The file, as given.
    pub path: PathBuf,
    /// The one that holds its content.
    pub of: PathBuf,
}
