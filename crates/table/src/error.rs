//! Why a table could not be used, and what to do about it.

use frazil_dataset::TableName;

use crate::{catalog::CatalogError, state::StateError, storage::StorageError};

/// Why a table could not be used. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("use table {table}: {reason}")]
pub struct TableError {
    /// The table.
    pub table: TableName,
    /// What happened.
    pub kind: TableErrorKind,
    /// What happened and what to do, for people. Names the command that decides, where one does.
    pub reason: String,
}

/// What happened to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableErrorKind {
    /// The catalog could not be asked.
    CatalogUnavailable,
    /// A file could not be read or written.
    Storage,
    /// Other writers kept getting in first.
    Conflicts,
    /// Whether the last commit was made could not be found out in time. Nothing was deleted.
    Unknown,
    /// The catalog refuses, and will go on refusing.
    Rejected,
    /// The request makes no sense for this table.
    Usage,
    /// The table is no longer there.
    Gone,
    /// The table is another one than the state, or the writer, speaks of.
    Recreated,
    /// Our last commit is not in the table's history.
    HistoryRewritten,
    /// The table has snapshots of ours and no state.
    StateMissing,
    /// The state was written by a newer frazil.
    StateNewer,
    /// The state cannot be read.
    StateDamaged,
    /// The file of finished sources, which the state names, is gone or changed.
    FinishedSourcesLost,
    /// A column that the dataset requires was dropped from the table.
    ColumnDropped,
    /// The table has a format version that this frazil does not write.
    FormatVersion,
    /// The dead-letter table is not the one that belongs to this table, or went back in time.
    DeadLetterTable,
    /// Too many dead-letter files wait for the dead-letter table.
    OutboxFull,
}

/// What can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again may help: exit code 1.
    Retry,
    /// The command line or a file is wrong: exit code 2.
    Usage,
    /// A person must decide: exit code 3.
    Stop,
}

impl Remedy {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Remedy::Retry => 1,
            Remedy::Usage => 2,
            Remedy::Stop => 3,
        }
    }
}

impl TableError {
    /// An error about that table.
    pub fn new(table: &TableName, kind: TableErrorKind, reason: impl Into<String>) -> Self {
        Self {
            table: table.clone(),
            kind,
            reason: reason.into(),
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        use TableErrorKind as Kind;
        match self.kind {
            Kind::CatalogUnavailable | Kind::Storage | Kind::Conflicts | Kind::Unknown => {
                Remedy::Retry
            }
            Kind::Usage => Remedy::Usage,
            Kind::Rejected
            | Kind::Gone
            | Kind::Recreated
            | Kind::HistoryRewritten
            | Kind::StateMissing
            | Kind::StateNewer
            | Kind::StateDamaged
            | Kind::FinishedSourcesLost
            | Kind::ColumnDropped
            | Kind::FormatVersion
            | Kind::DeadLetterTable
            | Kind::OutboxFull => Remedy::Stop,
        }
    }

    /// It is another table under the same name than the one that was written.
    pub fn recreated(table: &TableName) -> Self {
        Self::new(
            table,
            TableErrorKind::Recreated,
            "it was dropped and made again while it was being written; start `frazil write` again to \
             write to the new table, from its own positions",
        )
    }

    /// It is no longer there.
    pub fn gone(table: &TableName) -> Self {
        Self::new(
            table,
            TableErrorKind::Gone,
            "it is no longer in the catalog; restore it, or start `frazil write` again to make it anew and \
             read everything again",
        )
    }

    pub(crate) fn catalog(table: &TableName, error: &CatalogError) -> Self {
        let kind = match error {
            CatalogError::Unavailable { .. } => TableErrorKind::CatalogUnavailable,
            CatalogError::Rejected { .. } => TableErrorKind::Rejected,
            CatalogError::Storage(_) => TableErrorKind::Storage,
        };
        Self::new(table, kind, format!("failed to {error}"))
    }

    pub(crate) fn storage(table: &TableName, error: &StorageError) -> Self {
        Self::new(table, TableErrorKind::Storage, format!("failed to {error}"))
    }

    pub(crate) fn state(table: &TableName, error: &StateError) -> Self {
        let kind = match error {
            StateError::Newer { .. } => TableErrorKind::StateNewer,
            StateError::Damaged { .. } => TableErrorKind::StateDamaged,
        };
        Self::new(table, kind, error.to_string())
    }
}
