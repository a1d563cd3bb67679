//! The commit protocol: one checkpoint, accepted whole or not at all, on the very base that the swap names.
//!
//! [`decide`] is the rule, as a function of a state and a checkpoint; [`Committer`] loads a base,
//! looks at it with suspicion ([`guard`]), decides, and has the catalog swap from exactly that
//! base. What it guarantees:
//!
//! - Positions and rows change in one metadata update, so a record is in the table if and only if
//!   the table's state says that it was read.
//! - Every change of state makes a snapshot on `main`, and asserts the table's uuid and `main`.
//! - An outcome that is not known is found out by reading the table. Until then nothing is deleted.
//! - The pending data files themselves are never deleted here: a checkpoint that was fenced after
//!   a lost reply may be in the table all the same. Orphan removal takes those that are not.

pub(crate) mod attempts;
mod columns;
pub(crate) mod committer;
mod decide;
mod finished;
pub mod guard;
mod maintain;
mod positions;
mod rewrite;

pub use attempts::{Layout, RetryPolicy, Seen};
pub use committer::{COMPLETE_THROUGH, Committer, OpenTable};
pub use decide::{Decision, decide, decide_with};
pub use finished::all_sources;
pub use guard::Guards;
pub use maintain::{MetadataChange, MetadataPlan};
pub use positions::{PositionChange, PositionChanges};
pub use rewrite::{Rewrite, RewriteGroup, Rewritten};

use iceberg::spec::DataFile;
use uuid::Uuid;

use crate::state::{SourceIdentity, complete::Completion};

/// What a writer asks to be committed: everything read since the last checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its id, by which its commit is found again after a lost reply.
    pub id: Uuid,
    /// The uuid of the table that it was begun on.
    pub table_uuid: Uuid,
    /// The epoch that it was begun in.
    pub epoch: u64,
    /// The `sources_version` that new sources were identified under.
    pub sources_version: u64,
    /// The ranges that it moves; never empty.
    pub advances: Vec<Advance>,
    /// The rows' files.
    pub data_files: Vec<PendingFile>,
    /// A manifest of the dead letters' files, for the outbox.
    pub dead_letters: Option<String>,
    /// What became of the records, for the summary.
    pub counts: Counts,
    /// How complete it makes the table; `None` where the dataset does not ask: what was said before is then taken back.
    pub completion: Option<Completion>,
}

/// One source partition moves from `start` to `end` (the next position to read).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The source's id in the state; for a new one, the id that adding it will make
    /// (`sources_version + 1`, `+ 2`, …, in this order).
    pub source: u64,
    /// Whether this checkpoint adds the source.
    pub new: bool,
    /// What it is, as of `end`.
    pub identity: SourceIdentity,
    /// The position that the state must hold.
    pub start: u64,
    /// The position that it will hold. Equal to `start` where only the identity changes (at end of file).
    pub end: u64,
}

/// A data file that no snapshot names yet.
#[derive(Debug, Clone)]
pub struct PendingFile {
    /// The entry for the manifest.
    pub data_file: DataFile,
    /// The partition spec that its partition values are of.
    pub partition_spec_id: i32,
    /// The schema that it was written with.
    pub schema_id: i32,
}

/// What became of records. `records_read = rows_written + dead_letters + duplicates + filtered`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Records decoded (an array of objects holds several).
    pub records_read: u64,
    /// Lines or messages.
    pub source_records: u64,
    /// Rows for the table.
    pub rows_written: u64,
    /// Those of them whose rescued column is not null.
    pub rows_rescued: u64,
    /// Records for the dead-letter table.
    pub dead_letters: u64,
    /// Duplicates dropped.
    pub duplicates: u64,
    /// Dropped by a condition of the dataset.
    pub filtered: u64,
}

/// How a checkpoint ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By this call.
    Committed {
        /// The snapshot that holds it.
        snapshot_id: i64,
        /// Up to which time the table then is complete, in seconds since the epoch, where that is known.
        complete_through_s: Option<i64>,
    },
    /// By an earlier attempt whose reply was lost.
    AlreadyCommitted {
        /// The snapshot that holds it, where the state still tells.
        snapshot_id: Option<i64>,
    },
    /// Another writer committed all of its ranges. Throw away what is uncommitted and seek from the table.
    Superseded,
    /// Another writer, or an operator, moved on. Throw away what is uncommitted and seek from the table.
    Fenced {
        /// What moved, for people.
        reason: String,
    },
}

impl Counts {
    /// Adds another checkpoint's or block's.
    pub fn add(&mut self, other: &Self) {
        self.records_read += other.records_read;
        self.source_records += other.source_records;
        self.rows_written += other.rows_written;
        self.rows_rescued += other.rows_rescued;
        self.dead_letters += other.dead_letters;
        self.duplicates += other.duplicates;
        self.filtered += other.filtered;
    }
}
