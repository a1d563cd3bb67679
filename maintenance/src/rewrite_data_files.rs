//! Small data files become few large ones, with the same rows.
//!
//! Files of one partition are put together, in the order in which they were written; sorted files are merged, so that
//! what comes is sorted, too. Groups are committed a few at a time, each whole or not at all, as a `replace`
//! snapshot; a group whose files changed meanwhile is given up. What comes has the data sequence number of the
//! snapshot that was read, so that equality deletes committed meanwhile apply to it.
//!
//! Left alone: files that rows may have been deleted from, files of earlier partition specs, encrypted files, files
//! of other formats than Parquet, and partitions that are still being written to, unless it pays there too.

mod carry_out;
mod columns;
mod merge;
mod read;
mod write;

#[doc(hidden)]
pub use carry_out::rewrite_with;
pub use carry_out::{Rewriting, rewrite_data_files};
#[doc(hidden)]
pub use write::RewriteFiles;

use std::collections::HashMap;

use frazil_table::partition::partition_path;
use iceberg::spec::{DataFileFormat, PartitionSpec, TableMetadata};

use crate::files::{LiveFile, LiveFiles};

/// The property that says how large data files are to be.
const TARGET: &str = "write.target-file-size-bytes";
/// Of the target, files below that share are small: as in Iceberg's own procedure.
const SMALL_SHARE: f64 = 0.75;
/// The bytes of one group, in targets. More make fewer commits and leave fewer rests; fewer lose less where one is
/// given up.
const GROUP_TARGETS: u64 = 8;
/// Sorted files that are merged at a time. Each holds a few batches of decoded rows.
const MERGED_FILES_MAX: usize = 64;
/// A partition that is still being written to is rewritten when it has so many small files.
const HOT_FILES_MIN: usize = 64;

/// What is worth rewriting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewritePolicy {
    /// How large data files are to be.
    pub target_bytes: u64,
    /// Fewer small files in a partition are left alone, unless they make a file of the target size.
    pub min_input_files: usize,
    /// A partition is still being written to for so long after a writer's last commit to it, in milliseconds.
    pub hot_for_ms: i64,
}

/// Files to be put together.
#[derive(Debug, Clone)]
pub struct Group {
    /// The partition, as in paths; empty where the table has none.
    pub partition: String,
    /// The files, in the order in which they are read.
    pub files: Vec<LiveFile>,
    /// Whether each is in the table's sort order.
    pub is_sorted: bool,
}

impl Group {
    /// The bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The rows of its files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// What would be rewritten.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is put together, the partitions with most small files first.
    pub groups: Vec<Group>,
    /// What is left alone, and why: one sentence each.
    pub left_alone: Vec<String>,
}

/// The table's own target size of data files, in bytes.
pub fn target_bytes(metadata: &TableMetadata) -> u64 {
    const DEFAULT: u64 = 512 << 20;
    let value = metadata.properties().get(TARGET);
    value
        .and_then(|value| value.trim().parse().ok())
        .filter(|bytes| *bytes > 0)
        .unwrap_or(DEFAULT)
}

/// What is worth rewriting of a table at that time.
pub fn plan(
    metadata: &TableMetadata,
    live: &LiveFiles,
    policy: &RewritePolicy,
    now_ms: i64,
) -> Plan {
    let spec = metadata.default_partition_spec();
    let mut left = LeftAlone::default();
    let mut partitions: HashMap<_, Partition<'_>> = HashMap::new();
    for file in &live.data {
        let partition = partitions
            .entry((file.spec_id, &file.partition))
            .or_default();
        partition.written_ms = partition.written_ms.max(file.written_ms);
        if is_small(file, policy) && left.takes(file, live, spec) {
            partition.small.push(file);
        }
    }
    let order = i32::try_from(metadata.default_sort_order_id()).ok();
    let order = order.filter(|_| !metadata.default_sort_order().fields.is_empty());
    let mut groups = Vec::new();
    for ((_, values), partition) in partitions {
        let path = partition_path(spec, metadata.default_partition_type(), values);
        // A clock that is behind the table's makes nothing hot that nobody asked about.
        let is_hot = policy.hot_for_ms > 0
            && partition
                .written_ms
                .is_some_and(|written_ms| now_ms.saturating_sub(written_ms) < policy.hot_for_ms);
        let (sorted, plain): (Vec<_>, Vec<_>) = partition
            .small
            .into_iter()
            .partition(|file| order.is_some() && file.sort_order_id == order);
        for (is_sorted, files) in [(true, sorted), (false, plain)] {
            for files in worth_it(files, is_sorted, is_hot, policy, &mut left) {
                groups.push(Group {
                    partition: path.clone(),
                    files,
                    is_sorted,
                });
            }
        }
    }
    // The same files give the same plan.
    groups.sort_by(|a, b| {
        let key = |group: &Group| (group.partition.clone(), group.files[0].path.clone());
        let count = b.files.len().cmp(&a.files.len());
        count.then_with(|| key(a).cmp(&key(b)))
    });
    Plan {
        groups,
        left_alone: left.sentences(),
    }
}

#[derive(Debug, Default)]
struct Partition<'f> {
    /// When a writer added a file to it last, as far as snapshots still tell.
    written_ms: Option<i64>,
    small: Vec<&'f LiveFile>,
}

fn is_small(file: &LiveFile, policy: &RewritePolicy) -> bool {
    (file.bytes as f64) < policy.target_bytes as f64 * SMALL_SHARE
}

/// The groups of a partition's small files that are worth it.
fn worth_it(
    mut files: Vec<&LiveFile>,
    is_sorted: bool,
    is_hot: bool,
    policy: &RewritePolicy,
    left: &mut LeftAlone,
) -> Vec<Vec<LiveFile>> {
    files.sort_by(|a, b| (a.sequence_number, &a.path).cmp(&(b.sequence_number, &b.path)));
    let files_max = if is_sorted {
        MERGED_FILES_MAX
    } else {
        usize::MAX
    };
    let bytes_max = policy.target_bytes.saturating_mul(GROUP_TARGETS);
    let mut groups: Vec<(u64, Vec<LiveFile>)> = Vec::new();
    for file in files {
        let fits = |(bytes, files): &&mut (u64, Vec<LiveFile>)| {
            files.len() < files_max && bytes.saturating_add(file.bytes) <= bytes_max
        };
        match groups.last_mut().filter(fits) {
            Some((bytes, files)) => {
                *bytes += file.bytes;
                files.push(file.clone());
            }
            None => groups.push((file.bytes, vec![file.clone()])),
        }
    }
    let mut worth = Vec::new();
    for (bytes, files) in groups {
        let fills_one = bytes >= policy.target_bytes;
        if files.len() < 2 {
            // One is as few as there can be.
        } else if !fills_one && files.len() < policy.min_input_files {
            left.few += files.len();
        } else if is_hot && !fills_one && files.len() < HOT_FILES_MIN {
            left.hot += files.len();
        } else {
            worth.push(files);
        }
    }
    worth
}

/// How many small files are left alone, by why.
#[derive(Debug, Default)]
struct LeftAlone {
    few: usize,
    hot: usize,
    deleted_from: usize,
    earlier_spec: usize,
    encrypted: usize,
    format: usize,
}

impl LeftAlone {
    /// Whether the file can be rewritten; one that cannot is counted.
    fn takes(&mut self, file: &LiveFile, live: &LiveFiles, spec: &PartitionSpec) -> bool {
        let count = if file.format != DataFileFormat::Parquet {
            &mut self.format
        } else if file.is_encrypted {
            &mut self.encrypted
        } else if file.spec_id != spec.spec_id() {
            &mut self.earlier_spec
        } else if live.deletes.iter().any(|delete| delete.may_apply_to(file)) {
            &mut self.deleted_from
        } else {
            return true;
        };
        *count += 1;
        false
    }

    fn sentences(&self) -> Vec<String> {
        let of = |count: usize, why: &str| (count, why.to_owned());
        let all = [
            of(
                self.few,
                "too few of them in their partition to be worth it",
            ),
            of(self.hot, "their partition is still being written to"),
            of(
                self.deleted_from,
                "rows of them may be deleted by delete files, which are not applied",
            ),
            of(self.earlier_spec, "they are of an earlier partition spec"),
            of(self.encrypted, "they are encrypted"),
            of(self.format, "they are not Parquet"),
        ];
        all.into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} small files: {why}"))
            .collect()
    }
}

#[cfg(test)]
mod tests;
