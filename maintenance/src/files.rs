//! The live files of a table's current snapshot, with what planning needs of each.

use std::collections::BTreeSet;

use frazil_table::{catalog::LoadedTable, error::TableError, maintenance::COMMIT_ID, snapshot};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, ManifestContentType, Struct};

use crate::{
    reach::{Call, READS_AT_A_TIME},
    report::Totals,
};

/// A live data file.
#[derive(Debug, Clone)]
pub struct LiveFile {
    /// Its path.
    pub path: String,
    /// Its format.
    pub format: DataFileFormat,
    /// Its partition.
    pub partition: Struct,
    /// The spec that the partition is of.
    pub spec_id: i32,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The order that its rows are in.
    pub sort_order_id: Option<i32>,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// When a writer added it, in milliseconds since the epoch, where a snapshot still says so: not a file that
    /// maintenance wrote.
    pub written_ms: Option<i64>,
}

/// A live delete file.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    /// Whether it names rows by position; else by values.
    pub is_positional: bool,
    /// Its partition.
    pub partition: Struct,
    /// The spec that the partition is of.
    pub spec_id: i32,
    /// Whether that spec has no fields: its equality deletes are for all partitions.
    pub is_global: bool,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The only data file that it is for, where it says so.
    pub data_file: Option<String>,
}

impl DeleteFile {
    /// Whether rows of that file may be deleted by it.
    pub fn may_apply_to(&self, file: &LiveFile) -> bool {
        let same_partition = self.spec_id == file.spec_id && self.partition == file.partition;
        if self.is_positional {
            let named = self.data_file.as_ref();
            return file.sequence_number <= self.sequence_number
                && named.map_or(same_partition, |path| *path == file.path);
        }
        file.sequence_number < self.sequence_number && (self.is_global || same_partition)
    }
}

/// The live files of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct LiveFiles {
    /// The data files.
    pub data: Vec<LiveFile>,
    /// The delete files.
    pub deletes: Vec<DeleteFile>,
}

impl LiveFiles {
    /// How many data files, with their bytes and rows.
    pub fn totals(&self) -> Totals {
        Totals {
            files: self.data.len() as u64,
            bytes: self.data.iter().map(|file| file.bytes).sum(),
            rows: self.data.iter().map(|file| file.rows).sum(),
        }
    }
}

/// The live files of the current snapshot.
///
/// # Errors
/// A manifest cannot be read.
pub async fn live(table: &LoadedTable) -> Result<LiveFiles, TableError> {
    let mut live = LiveFiles::default();
    let manifests = snapshot::manifests(table).await?;
    let mut reads: Vec<Call<'_, _>> = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        reads.push(Box::pin(snapshot::load_manifest(table, manifest)));
    }
    // They come in the order in which they are asked for.
    let mut order = manifests.iter();
    let mut reads = stream::iter(reads).buffered(READS_AT_A_TIME);
    while let Some(loaded) = reads.try_next().await? {
        let Some(manifest) = order.next() else { break };
        let spec_id = manifest.partition_spec_id;
        for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            // Files of version 1 have none, and are older than all that have.
            let number = entry.sequence_number().unwrap_or(0);
            if manifest.content == ManifestContentType::Deletes {
                live.deletes.push(delete_file(table, file, spec_id, number));
            } else {
                let written_ms = written_ms(table, entry.snapshot_id());
                live.data.push(data_file(file, spec_id, number, written_ms));
            }
        }
    }
    Ok(live)
}

/// How many data files the current snapshot has, with their bytes and rows.
///
/// # Errors
/// A manifest cannot be read.
pub async fn totals(table: &LoadedTable) -> Result<Totals, TableError> {
    let mut totals = Totals::default();
    let manifests = snapshot::manifests(table).await?;
    let mut reads: Vec<Call<'_, _>> = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        if manifest.content == ManifestContentType::Data {
            reads.push(Box::pin(snapshot::load_manifest(table, manifest)));
        }
    }
    let mut reads = stream::iter(reads).buffered(READS_AT_A_TIME);
    while let Some(manifest) = reads.try_next().await? {
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            totals.files += 1;
            totals.bytes += entry.file_size_in_bytes();
            totals.rows += entry.record_count();
        }
    }
    Ok(totals)
}

fn data_file(
    file: &DataFile,
    spec_id: i32,
    sequence_number: i64,
    written_ms: Option<i64>,
) -> LiveFile {
    LiveFile {
        path: file.file_path().to_owned(),
        format: file.file_format(),
        partition: file.partition().clone(),
        spec_id,
        bytes: file.file_size_in_bytes(),
        rows: file.record_count(),
        sequence_number,
        sort_order_id: file.sort_order_id(),
        is_encrypted: file.key_metadata().is_some(),
        written_ms,
    }
}

fn delete_file(
    table: &LoadedTable,
    file: &DataFile,
    spec_id: i32,
    sequence_number: i64,
) -> DeleteFile {
    let spec = table.metadata.partition_spec_by_id(spec_id);
    DeleteFile {
        is_positional: file.content_type() != DataContentType::EqualityDeletes,
        partition: file.partition().clone(),
        spec_id,
        is_global: spec.is_none_or(|spec| spec.is_unpartitioned()),
        sequence_number,
        data_file: file.referenced_data_file(),
    }
}

fn written_ms(table: &LoadedTable, snapshot_id: Option<i64>) -> Option<i64> {
    let snapshot = table.metadata.snapshot_by_id(snapshot_id?)?;
    let properties = &snapshot.summary().additional_properties;
    (!properties.contains_key(COMMIT_ID)).then(|| snapshot.timestamp_ms())
}

/// The paths of files.
pub(crate) fn paths<'f>(files: impl IntoIterator<Item = &'f LiveFile>) -> BTreeSet<String> {
    files.into_iter().map(|file| file.path.clone()).collect()
}
