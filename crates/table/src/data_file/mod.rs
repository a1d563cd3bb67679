//! Data files: rows in, Parquet files with their manifest entries out.
//!
//! What is guaranteed of each file:
//! * Its column bounds are true: every value that is neither null nor NaN lies within them. They come
//!   from all rows of all row groups, are shortened only outwards, and are left out where they cannot
//!   be given (readers skip files by them, so a wrong bound loses rows).
//! * Its rows are of one partition, and in the table's sort order where it names that order.
//! * It is durable and whole when [`PartitionedWriter::finish`] names it.
//!
//! Memory is bounded by [`WriterContext::memory`] and open files by
//! [`WriterContext::open_files_max`], whatever the number of partitions: at a limit the largest file
//! is closed, so that many partitions make smaller files, never a bigger process.

use std::sync::Arc;

use frazil_service::clock::Ids;
use iceberg::spec::TableMetadata;

use crate::storage::{Storage, StorageError};

mod bounds;
mod encode;
mod file;
mod memory;
mod metrics;
mod parquet_schema;
mod row_group;
mod settings;
mod sort;
#[cfg(test)]
mod tests;
mod writer;

pub use memory::MemoryBudget;
pub use sort::RowKeys;
pub use writer::PartitionedWriter;

/// What a writer of data files needs.
#[derive(Debug, Clone)]
pub struct WriterContext {
    /// Where the table's files lie.
    pub storage: Arc<dyn Storage>,
    /// The table: its current schema, default partition spec and sort order, properties and location.
    pub metadata: Arc<TableMetadata>,
    /// Makes the files' names unique.
    pub ids: Arc<dyn Ids>,
    /// What the files' names begin with, before `-<uuid>.parquet`.
    pub name_prefix: String,
    /// The most memory that buffered rows and unwritten pages may take, of all writers that share it. What a
    /// single batch adds, and the compressor's working memory (about 1 MiB a writer), come on top.
    pub memory: Arc<MemoryBudget>,
    /// The most files being written at a time. Partitions of which little has come yet are held as
    /// rows and do not count.
    pub open_files_max: usize,
}

/// Why rows could not become data files. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum TableWriteError {
    /// The storage failed; its kind says whether trying again may help.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The table asks for what this version cannot do.
    #[error("write data files: {reason}")]
    Unsupported {
        /// What it is and what to do.
        reason: String,
    },
    /// The batch is not of the table's schema: a mistake in the caller.
    #[error("write data files: the rows do not fit the table: {reason}")]
    Rows {
        /// What does not fit.
        reason: String,
    },
    /// Encoding failed, which the checks on rows should have made impossible.
    #[error("encode data files: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
}

impl From<parquet::errors::ParquetError> for TableWriteError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Encode {
            reason: error.to_string(),
        }
    }
}

impl From<arrow_schema::ArrowError> for TableWriteError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Encode {
            reason: error.to_string(),
        }
    }
}

impl From<iceberg::Error> for TableWriteError {
    fn from(error: iceberg::Error) -> Self {
        Self::Encode {
            reason: error.to_string(),
        }
    }
}
