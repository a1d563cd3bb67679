//! What a procedure has done, or would do: for people and for machines.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a procedure has done to a table, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The dataset.
    pub dataset: String,
    /// The table.
    pub table: String,
    /// The procedure: `expire-snapshots`.
    pub command: String,
    /// Whether it was only said what would be done.
    pub dry_run: bool,
    /// Whether the table's metadata was changed.
    pub committed: bool,
    /// The current snapshot then, if there is one.
    pub snapshot_id: Option<String>,
    /// Data files of the current snapshot.
    pub files_before: u64,
    /// Of the then current one. With `dry_run`, as it would be where that is known.
    pub files_after: u64,
    /// Bytes of these files.
    pub bytes_before: u64,
    /// Of the then current ones.
    pub bytes_after: u64,
    /// Rows in these files.
    pub rows_before: u64,
    /// In the then current ones.
    pub rows_after: u64,
    /// Files that were removed from the storage, or would be.
    pub files_deleted: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What was left alone, and why.
    pub left_alone: Vec<String>,
    /// What else there is to say of this procedure.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// Data files of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows.
    pub rows: u64,
}

impl Report {
    /// What there was before.
    pub fn before(&mut self, totals: Totals) {
        self.files_before = totals.files;
        self.bytes_before = totals.bytes;
        self.rows_before = totals.rows;
    }

    /// What there is then.
    pub fn after(&mut self, totals: Totals) {
        self.files_after = totals.files;
        self.bytes_after = totals.bytes;
        self.rows_after = totals.rows;
    }

    /// Adds a number that only this procedure has.
    pub fn detail(&mut self, key: &str, value: impl Into<Value>) {
        self.details.insert(key.to_owned(), value.into());
    }
}
