//! Sources: what is given to read becomes blocks of records, each with its place in its source.
//!
//! The steps: [`expand`] turns paths, folders and patterns into files; [`identify`] finds out by content which source
//! each file is and where to go on; a [`SourceReader`] reads one, or standard input, to its end.
//!
//! Guarantees:
//! * Positions are bytes of the decompressed content, whatever the file's name, place or compression.
//! * A block's identity proves its end: the content before it is found again by it, and nothing else is.
//! * What was read in part is never taken for whole: corrupt, truncated or overwritten content is an error after the
//!   records before it.
//! * Memory is bounded by [`ReadOptions::memory_bytes_max`], however long a line or a file is.
//!
//! Assumed: a file's content before a position that was read does not change, or it changes in its first 4 KiB or in
//! the last 4 KiB before the position.

mod blocks;
mod candidate;
mod compare;
mod compression;
mod content;
mod error;
mod expand;
mod file_system;
mod framing;
mod glimpse;
mod identify;
pub mod kafka;
mod plan;
mod proof;
mod reader;
mod standing;
mod steady;

use crate::record::RecordBlock;

#[cfg(test)]
mod tests;

/// What a source hands on.
#[derive(Debug)]
pub enum Read {
    /// Records.
    Block(RecordBlock),
    /// A source that cannot be read on. The others can.
    Failed(SourceError),
    /// Kafka's group changed our share.
    Group(kafka::Assignment),
    /// Kafka cannot be read on.
    KafkaFailed(kafka::KafkaError),
}

pub use blocks::{BlockOptions, OVERSIZE_PREFIX_BYTES};
pub use compression::Compression;
pub use error::{Remedy, SourceError};
pub use expand::{Expansion, FILES_MAX, expand, expand_present};
pub use file_system::{FileKind, FileSystem, LocalFileSystem, Metadata, OpenFile};
pub use framing::{Framing, RecordEnds};
pub use glimpse::Glimpse;
pub use identify::{Known, identify, identity_at};
pub use plan::{AlreadyRead, CopyOf, Plan, PlannedFile};
pub use proof::PROOF_BYTES;
pub use reader::{Compute, ReadOptions, STANDARD_INPUT_PROMISE, SourceReader};
pub use standing::{Standing, standing};
