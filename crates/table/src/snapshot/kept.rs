//! A file that a table's metadata keeps alive beside its data.
//!
//! Other engines' orphan removal spares what metadata names as a statistics file. Their expiry deletes
//! the statistics files of the snapshots that it expires, and snapshots of `main` are expired as soon
//! as another engine has made newer ones. So the file is the statistics file of a snapshot of its own:
//! an empty one beside `main`, without a parent, held by a tag, which expiry leaves alone. It keeps
//! no data file from being deleted, and it is not where engines look for statistics of `main`: theirs
//! and this neither hide nor replace each other.
//!
//! When the tag moves on to the next file, the snapshot before it is expired like any other, and its
//! file with it.

use std::collections::HashMap;

use iceberg::{
    TableUpdate,
    spec::{
        Operation, Snapshot, SnapshotReference, SnapshotRetention, StatisticsFile, Summary,
        TableMetadata,
    },
};

use super::{Attempt, Ticket};
use crate::{error::TableError, state::finished::FinishedFile};

/// The tag that holds the snapshot which keeps the file of finished sources.
pub const KEPT_TAG: &str = "frazil-finished-sources";

/// The summary key of that snapshot, with the number of sources.
const SUMMARY_KEY: &str = "frazil.finished-sources";

/// A file to be kept from now on.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The id of the snapshot that keeps it, new to the table.
    pub snapshot_id: i64,
    /// The file.
    pub file: FinishedFile,
}

impl Attempt<'_> {
    /// Writes the empty manifest list of the snapshot that keeps a file.
    pub(super) async fn write_kept_list(&mut self, kept: &Kept) -> Result<String, TableError> {
        let sequence_number = sequence_number(self.ticket);
        self.write_list(kept.snapshot_id, None, sequence_number, Vec::new())
            .await
    }
}

impl Kept {
    pub(super) fn updates(
        &self,
        base: &TableMetadata,
        ticket: &Ticket,
        manifest_list: String,
    ) -> [TableUpdate; 3] {
        let count = self.file.sources.to_string();
        let snapshot = Snapshot::builder()
            .with_snapshot_id(self.snapshot_id)
            .with_parent_snapshot_id(None)
            .with_sequence_number(sequence_number(ticket))
            // Before the commit's own: readers that look for a time among all snapshots find that one.
            .with_timestamp_ms(ticket.timestamp_ms - 1)
            .with_manifest_list(manifest_list)
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: HashMap::from([(SUMMARY_KEY.to_string(), count)]),
            })
            .with_schema_id(base.current_schema_id())
            .build();
        // Without an age of its own a table's default could let it go.
        let retention = SnapshotRetention::Tag {
            max_ref_age_ms: Some(i64::MAX),
        };
        let statistics = StatisticsFile {
            snapshot_id: self.snapshot_id,
            statistics_path: self.file.path.clone(),
            file_size_in_bytes: self.file.bytes as i64,
            file_footer_size_in_bytes: self.file.footer_bytes as i64,
            key_metadata: None,
            // PyIceberg refuses a table whose metadata names a type of blob that it does not know.
            blob_metadata: Vec::new(),
        };
        [
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: KEPT_TAG.to_string(),
                reference: SnapshotReference::new(self.snapshot_id, retention),
            },
            TableUpdate::SetStatistics { statistics },
        ]
    }
}

/// That of the snapshot that keeps a file: after that of the attempt's own.
fn sequence_number(ticket: &Ticket) -> i64 {
    ticket.sequence_number + 1
}
