//! Why a write ended early, with its remedy.

use frazil_dataset::TableName;
use frazil_table::{
    data_file::TableWriteError,
    error::{Remedy, TableError},
    schema::{SchemaConflict, SchemaError},
    storage::StorageErrorKind,
};

use crate::{
    decode::DecoderError,
    source::{SourceError, kafka::KafkaError},
};

/// Why a write ended before the end of its input. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The table could not be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A source could not be read. What was read before it is committed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Kafka could not be read. What was read before it is committed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A data file could not be written.
    #[error(transparent)]
    DataFile(#[from] TableWriteError),
    /// The dataset's definition makes no table.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The dataset's definition and the table contradict each other.
    #[error(transparent)]
    Conflict(#[from] SchemaConflict),
    /// No decoder for this definition and table.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// A table is not as it must be.
    #[error("use table {table}: {reason}")]
    Unfit {
        /// The table.
        table: TableName,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Another writer moved the table while standard input was read, which cannot be read again.
    #[error(
        "go on reading standard input into table {table}: {reason}; what was read since the last checkpoint is not \
         in the table and cannot be read again: send it once more, and stop the other writer or give records by files"
    )]
    StandardInputFenced {
        /// The table.
        table: TableName,
        /// What moved.
        reason: String,
    },
    /// Kafka's group took partitions away while a checkpoint could not be committed.
    #[error(
        "hand over partitions in time: the last checkpoint took too long to commit; what it held is given up and read again"
    )]
    HandOver,
    /// More dead letters than the dataset's limits allow. Nothing of the checkpoint is committed.
    #[error(
        "go on writing table {table}: {dead_letters} of the last {records} records (within {}) cannot be rows, more than the \
         {max_percent} % that [limits] dead_letters_max allows; nothing of this checkpoint is committed.{reasons}\n\
         `frazil rejects DATASET` shows the samples; mend the dataset file, or let them pass once by --accept-dead-letters",
        frazil_dataset::format_duration(*window)
    )]
    TooManyDeadLetters {
        /// The table.
        table: TableName,
        /// Dead letters in the window, those of the checkpoint included.
        dead_letters: u64,
        /// Records in the window.
        records: u64,
        /// The limit, in per cent.
        max_percent: f64,
        /// How long the window is.
        window: std::time::Duration,
        /// The reasons, a line each.
        reasons: String,
    },
    /// A part of the pipeline ended without a word.
    #[error(
        "write: a task of the pipeline ended unexpectedly; start again, and report the panic above"
    )]
    Stopped,
}

impl WriteError {
    pub(super) fn unfit(table: &TableName, reason: &str) -> Self {
        Self::Unfit {
            table: table.clone(),
            reason: reason.to_owned(),
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Table(error) => error.remedy(),
            Self::Source(error) => of_source(error.remedy()),
            Self::Kafka(error) => of_source(error.remedy()),
            Self::DataFile(TableWriteError::Storage(error)) => match error.kind {
                StorageErrorKind::Denied
                | StorageErrorKind::Full
                | StorageErrorKind::NotFound
                | StorageErrorKind::Other => Remedy::Retry,
            },
            Self::DataFile(_) | Self::Unfit { .. } | Self::HandOver | Self::Stopped => {
                Remedy::Retry
            }
            Self::StandardInputFenced { .. } | Self::TooManyDeadLetters { .. } => Remedy::Stop,
            Self::Schema(_) | Self::Conflict(_) | Self::Decoder(_) => Remedy::Usage,
        }
    }
}

fn of_source(remedy: crate::source::Remedy) -> Remedy {
    match remedy {
        crate::source::Remedy::Retry => Remedy::Retry,
        crate::source::Remedy::Usage => Remedy::Usage,
        crate::source::Remedy::Stop => Remedy::Stop,
    }
}
