//! What is looked at on every base before anything is built on it.
//!
//! A base whose state belongs to another table, or whose history lost our last commit, gives a
//! named error and never a commit: positions that do not belong to the rows beside them would lose
//! or double records without a trace.

use iceberg::spec::{FormatVersion, SnapshotRef, TableMetadata};

use super::PendingFile;
use crate::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    state::{LastCommit, State, wire},
};

/// The summary key that marks snapshots of ours, with the id of their commit.
pub const COMMIT_ID: &str = "frazil.commit-id";

/// Switches for the guards, all on. Simulations turn one off to show that it is needed; nothing
/// else reaches them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// Ranges start at the committed positions.
    pub position: bool,
    /// A checkpoint that was committed is found again.
    pub own_id: bool,
    /// Checkpoints begun before an operator's action are fenced.
    pub epoch: bool,
    /// Sources are added only under the version that they were identified under.
    pub sources_version: bool,
    /// The state, and the checkpoint, are this table's.
    pub table_uuid: bool,
    /// Our last commit is in the history.
    pub history: bool,
    /// A state that is missing beside snapshots of ours stops.
    pub state_missing: bool,
    /// Sources that moved to the file of finished ones are known again.
    pub finished: bool,
    /// The file of finished sources is kept from other engines' clean-up.
    pub kept: bool,
    /// Pending files fit the table's schemas and specs.
    pub files: bool,
    /// Only format version 2.
    pub format_version: bool,
    /// The catalog is asked to check uuid and `main`.
    pub requirements: bool,
    /// Nothing is deleted while the outcome is not known.
    pub unknown_deletes_nothing: bool,
    /// Dead letters are applied in steps of one, each once.
    pub outbox_step: bool,
    /// The dead-letter table is the one that the state names, and has not gone back.
    pub dead_letter_history: bool,
    /// A rewrite's inputs are live on the base that it is committed on.
    pub inputs_live: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            position: true,
            own_id: true,
            epoch: true,
            sources_version: true,
            table_uuid: true,
            history: true,
            state_missing: true,
            finished: true,
            kept: true,
            files: true,
            format_version: true,
            requirements: true,
            unknown_deletes_nothing: true,
            outbox_step: true,
            dead_letter_history: true,
            inputs_live: true,
        }
    }
}

/// Where a snapshot stands to `main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// Among its ancestors, or at its head.
    Holds,
    /// Below all that the metadata still knows: snapshots were expired. It cannot be told.
    BelowKnown,
    /// Not among them.
    Lacks,
}

/// Where that commit stands to `main`.
pub fn lineage(metadata: &TableMetadata, commit: &LastCommit) -> Lineage {
    let mut lowest: Option<&SnapshotRef> = None;
    for snapshot in ancestors(metadata) {
        if snapshot.snapshot_id() == commit.snapshot_id {
            return Lineage::Holds;
        }
        if snapshot.sequence_number() <= commit.sequence_number {
            return Lineage::Lacks;
        }
        lowest = Some(snapshot);
    }
    match lowest.and_then(|snapshot| snapshot.parent_snapshot_id()) {
        Some(parent) if parent == commit.snapshot_id => Lineage::Holds,
        Some(_) => Lineage::BelowKnown,
        // PyIceberg's expiry takes the name of an expired parent away.
        None if lowest.is_some_and(had_parent) => Lineage::BelowKnown,
        // No snapshot at all, or a history that begins after our commit.
        None => Lineage::Lacks,
    }
}

/// Whether the snapshot was made on top of another that had files: it removed some, or there were more
/// than it added. Of a history that begins with it neither is so.
fn had_parent(snapshot: &SnapshotRef) -> bool {
    let summary = &snapshot.summary().additional_properties;
    let number = |key: &str| summary.get(key).and_then(|text| text.parse::<u64>().ok());
    let added = number("added-data-files").unwrap_or(0);
    number("deleted-data-files").unwrap_or(0) > 0
        || number("total-data-files").is_some_and(|total| total > added)
}

/// The snapshots of `main`, newest first, as far as the metadata knows them.
pub fn ancestors(metadata: &TableMetadata) -> impl Iterator<Item = &SnapshotRef> {
    let known = metadata.snapshots().len();
    std::iter::successors(metadata.current_snapshot(), |snapshot| {
        snapshot
            .parent_snapshot_id()
            .and_then(|parent| metadata.snapshot_by_id(parent))
    })
    // Metadata that is damaged could name a circle.
    .take(known)
}

/// The snapshot of `main` that a commit of ours made, as far as the metadata knows.
pub fn find_commit(metadata: &TableMetadata, id: uuid::Uuid) -> Option<i64> {
    let id = id.to_string();
    ancestors(metadata)
        .find(|snapshot| snapshot.summary().additional_properties.get(COMMIT_ID) == Some(&id))
        .map(|snapshot| snapshot.snapshot_id())
}

/// Looks at a base and gives its state; a table that never had one gets a new one.
pub fn state_of(base: &LoadedTable, guards: &Guards) -> Result<State, TableError> {
    check_format(base, guards)?;
    let metadata = &base.metadata;
    let decoded =
        wire::decode(metadata.properties()).map_err(|e| TableError::state(&base.name, &e))?;
    let Some(state) = decoded else {
        if guards.state_missing && has_commits_of_ours(metadata) {
            return Err(TableError::new(
                &base.name,
                TableErrorKind::StateMissing,
                format!(
                    "it has snapshots of frazil and no {} property: how far its sources were read is \
                     lost; restore the {0}* properties from an older metadata file, or begin without with \
                     `frazil offsets set DATASET --accept-history`: what is read then is read again",
                    wire::KEY
                ),
            ));
        }
        return Ok(State::new(metadata.uuid()));
    };
    check_uuid(base, &state, guards)?;
    check_history(base, &state, guards)?;
    Ok(state)
}

fn has_commits_of_ours(metadata: &TableMetadata) -> bool {
    metadata.snapshots().any(|snapshot| {
        snapshot
            .summary()
            .additional_properties
            .contains_key(COMMIT_ID)
    })
}

/// Only format version 2 is written: version 1 has no sequence numbers, and of version 3 the row
/// lineage cannot be kept.
pub(crate) fn check_format(base: &LoadedTable, guards: &Guards) -> Result<(), TableError> {
    let advice = match base.metadata.format_version() {
        FormatVersion::V2 => return Ok(()),
        FormatVersion::V1 => {
            "it has format version 1; upgrade it to version 2 (in Spark: ALTER TABLE … SET \
             TBLPROPERTIES ('format-version' = '2'))"
        }
        FormatVersion::V3 => {
            "it has format version 3, which frazil does not write yet; write to a table of version 2"
        }
    };
    if !guards.format_version {
        return Ok(());
    }
    Err(TableError::new(
        &base.name,
        TableErrorKind::FormatVersion,
        advice,
    ))
}

fn check_uuid(base: &LoadedTable, state: &State, guards: &Guards) -> Result<(), TableError> {
    let uuid = base.metadata.uuid();
    if !guards.table_uuid || state.table_uuid == uuid {
        return Ok(());
    }
    Err(TableError::new(
        &base.name,
        TableErrorKind::Recreated,
        format!(
            "its state was copied from another table (it says {}, the table is {uuid}), as CREATE TABLE \
             LIKE does; remove the {}* properties to begin anew, or take it as it is with `frazil offsets set \
             DATASET --accept-history` (and `--restart` to read everything again)",
            state.table_uuid,
            wire::KEY
        ),
    ))
}

fn check_history(base: &LoadedTable, state: &State, guards: &Guards) -> Result<(), TableError> {
    let Some(last) = state.last_commit.as_ref().filter(|_| guards.history) else {
        return Ok(());
    };
    match lineage(&base.metadata, last) {
        Lineage::Holds => Ok(()),
        Lineage::BelowKnown => {
            tracing::debug!(
                table = %base.name,
                "snapshots were expired down to after our last commit; whether it is in the history cannot be told"
            );
            Ok(())
        }
        Lineage::Lacks => Err(TableError::new(
            &base.name,
            TableErrorKind::HistoryRewritten,
            format!(
                "its history was rewritten: our last commit, snapshot {}, is not among the ancestors of the \
                 current snapshot (a rollback, or CREATE OR REPLACE); go back to a snapshot that has it, or \
                 take it as it is with `frazil offsets set DATASET --accept-history` (and `--source ID \
                 --forget` for what must be read again)",
                last.snapshot_id
            ),
        )),
    }
}

/// Why pending files no longer fit the table, if so: they must then be encoded again.
pub(crate) fn misfit(metadata: &TableMetadata, files: &[PendingFile]) -> Option<String> {
    let current = metadata.current_schema();
    for file in files {
        if metadata
            .partition_spec_by_id(file.partition_spec_id)
            .is_none()
        {
            return Some(format!(
                "partition spec {} was removed",
                file.partition_spec_id
            ));
        }
        let Some(schema) = metadata.schema_by_id(file.schema_id) else {
            return Some(format!("schema {} was removed", file.schema_id));
        };
        if file.schema_id == metadata.current_schema_id() {
            continue;
        }
        let values = file.data_file.value_counts();
        let nulls = file.data_file.null_value_counts();
        let dropped = values.iter().find(|(field, values)| {
            nulls.get(field) != Some(values) && current.field_by_id(**field).is_none()
        });
        if let Some((field, _)) = dropped {
            let name = schema.name_by_field_id(*field).unwrap_or("?");
            return Some(format!("column {name} was dropped"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    /// A table whose history begins with one snapshot, which names no parent.
    fn beginning_with(summary: Value) -> TableMetadata {
        let mut full = json!({"operation": "append"});
        for (key, value) in summary.as_object().unwrap() {
            full[key] = value.clone();
        }
        let metadata = json!({
            "format-version": 2, "table-uuid": Uuid::nil(), "location": "file:///t",
            "last-sequence-number": 7, "last-updated-ms": 1_760_000_000_000_i64, "last-column-id": 1,
            "schemas": [{"type": "struct", "schema-id": 0, "fields":
                [{"id": 1, "name": "n", "required": false, "type": "long"}]}],
            "current-schema-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
            "default-spec-id": 0, "last-partition-id": 999,
            "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
            "current-snapshot-id": 70, "refs": {"main": {"snapshot-id": 70, "type": "branch"}},
            "snapshots": [{"snapshot-id": 70, "sequence-number": 7, "timestamp-ms": 1_760_000_000_000_i64,
                "manifest-list": "file:///t/snap.avro", "summary": full, "schema-id": 0}],
        });
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn a_parent_whose_name_was_taken_away_is_told_from_none() {
        let ours = LastCommit {
            id: Uuid::nil(),
            snapshot_id: 50,
            sequence_number: 5,
        };
        for (summary, expected) in [
            (json!({}), Lineage::Lacks),
            (
                json!({"added-data-files": "2", "total-data-files": "2"}),
                Lineage::Lacks,
            ),
            (
                json!({"added-data-files": "2", "total-data-files": "3"}),
                Lineage::BelowKnown,
            ),
            (json!({"total-data-files": "1"}), Lineage::BelowKnown),
            (
                json!({"added-data-files": "1", "deleted-data-files": "4", "total-data-files": "1"}),
                Lineage::BelowKnown,
            ),
        ] {
            let metadata = beginning_with(summary.clone());
            assert_eq!(lineage(&metadata, &ours), expected, "{summary}");
        }
    }
}
