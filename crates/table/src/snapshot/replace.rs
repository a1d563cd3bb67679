//! Taking data files out of a table.
//!
//! Each manifest that lists some of them is written again: the files that stay as EXISTING, with their own
//! snapshot id and both their sequence numbers; those that go as DELETED by this snapshot. All other manifests stay
//! as they are. Deletions of earlier snapshots are not carried on: they would be a file's second death.

use std::{collections::BTreeSet, sync::Arc};

use iceberg::spec::{Manifest, ManifestFile, ManifestWriter};

use super::{Attempt, Replaced, crate_error, is_plain_data, unusable};
use crate::{catalog::LoadedTable, error::TableError, storage::iceberg_io};

/// What a snapshot takes out, for its summary.
#[derive(Debug, Default)]
pub(super) struct RemovedFiles {
    pub(super) files: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Attempt<'_> {
    /// The existing manifests, without the files that go.
    pub(super) async fn replace(
        &mut self,
        existing: Vec<ManifestFile>,
        replaced: &Replaced,
        removed: &mut RemovedFiles,
    ) -> Result<Vec<ManifestFile>, TableError> {
        let mut listed = Vec::with_capacity(existing.len());
        let mut met = 0;
        for manifest in existing {
            match replaced.files.get(&manifest.manifest_path) {
                None => listed.push(manifest),
                Some(files) => {
                    met += 1;
                    listed.push(self.without(&manifest, files, removed).await?);
                }
            }
        }
        let asked: usize = replaced.files.values().map(BTreeSet::len).sum();
        if met != replaced.files.len() || removed.files != asked as u64 {
            return Err(unusable(
                self.base,
                "files that were to be replaced are not in the snapshot".to_owned(),
            ));
        }
        Ok(listed)
    }

    async fn without(
        &mut self,
        manifest: &ManifestFile,
        files: &BTreeSet<String>,
        removed: &mut RemovedFiles,
    ) -> Result<ManifestFile, TableError> {
        if !is_plain_data(manifest) {
            let reason = format!("{} is encrypted or lists deletes", manifest.manifest_path);
            return Err(unusable(self.base, reason));
        }
        let loaded = load_manifest(self.base, manifest).await?;
        let spec = Arc::new(loaded.metadata().partition_spec().clone());
        let schema = Arc::clone(loaded.metadata().schema());
        let mut writer = self.manifest_writer(Some(self.ticket.snapshot_id), &spec, &schema)?;
        for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
            let numbers = entry.snapshot_id().zip(entry.sequence_number());
            let Some((snapshot_id, number)) = numbers else {
                let reason = format!(
                    "{} has an entry without snapshot or sequence number",
                    manifest.manifest_path
                );
                return Err(unusable(self.base, reason));
            };
            let (file, file_number) = (entry.data_file().clone(), entry.file_sequence_number);
            let goes = files.contains(file.file_path());
            if goes {
                removed.files += 1;
                removed.records += file.record_count();
                removed.bytes += file.file_size_in_bytes();
            }
            let written = add(&mut writer, goes, file, snapshot_id, number, file_number);
            written.map_err(|error| unusable(self.base, error.to_string()))?;
        }
        self.close_manifest(writer).await
    }
}

fn add(
    writer: &mut ManifestWriter,
    goes: bool,
    file: iceberg::spec::DataFile,
    snapshot_id: i64,
    number: i64,
    file_number: Option<i64>,
) -> iceberg::Result<()> {
    if goes {
        writer.add_delete_file(file, number, file_number)
    } else {
        writer.add_existing_file(file, snapshot_id, number, file_number)
    }
}

/// Reads a manifest that a snapshot of the table lists.
///
/// # Errors
/// It cannot be read.
pub async fn load_manifest(
    table: &LoadedTable,
    manifest: &ManifestFile,
) -> Result<Manifest, TableError> {
    let io = iceberg_io::file_io(Arc::clone(&table.storage));
    let loaded = manifest.load_manifest(&io).await;
    loaded.map_err(|error| crate_error(table, "read", &manifest.manifest_path, &error))
}
