//! Merging manifests, so that their number stays bounded however many commits there are.
//!
//! As Iceberg's merge-append does it: the manifests of a partition spec are packed, oldest first,
//! into bins of `commit.manifest.target-size-bytes`; a bin becomes one manifest, the newest one
//! only once it holds `commit.manifest.min-count-to-merge`. So an entry is copied about once for
//! each hundred commits, until it lies in a full manifest.
//!
//! Only live entries are carried, as EXISTING, with their own snapshot id and both their sequence
//! numbers: a carried deletion would be a file's second death, and new sequence numbers would let
//! old delete files miss it. Merging is an economy: what cannot be read stays as it is.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{Manifest, ManifestFile, PartitionSpecRef, SchemaRef, TableMetadata};

use super::{Attempt, is_plain_data};
use crate::{error::TableError, storage::iceberg_io};

/// How many manifests are read at a time. More take memory; fewer wait on the storage.
const READS_MAX: usize = 8;

/// The table's settings for merging, with Iceberg's defaults. A value that is none counts as unset.
struct Policy {
    enabled: bool,
    target_size_bytes: i64,
    min_count: usize,
}

impl Policy {
    fn of(metadata: &TableMetadata) -> Self {
        let property = |key: &str| metadata.properties().get(key).map(String::as_str);
        Self {
            enabled: property("commit.manifest-merge.enabled") != Some("false"),
            target_size_bytes: property("commit.manifest.target-size-bytes")
                .and_then(|value| value.parse().ok())
                .filter(|bytes| *bytes > 0)
                .unwrap_or(8 * 1024 * 1024),
            min_count: property("commit.manifest.min-count-to-merge")
                .and_then(|value| value.parse().ok())
                .unwrap_or(100),
        }
    }
}

impl Attempt<'_> {
    /// The existing manifests, some of them merged. The new ones stand before them in the list
    /// and are merged by later commits.
    pub(super) async fn merge(
        &mut self,
        added: &[ManifestFile],
        existing: Vec<ManifestFile>,
    ) -> Result<Vec<ManifestFile>, TableError> {
        let policy = Policy::of(&self.base.metadata);
        if !policy.enabled {
            return Ok(existing);
        }
        let mut listed = Vec::new();
        let mut by_spec: BTreeMap<i32, Vec<ManifestFile>> = BTreeMap::new();
        for manifest in existing {
            if is_plain_data(&manifest) {
                by_spec
                    .entry(manifest.partition_spec_id)
                    .or_default()
                    .push(manifest);
            } else {
                listed.push(manifest);
            }
        }
        let mut merged = Vec::new();
        for (spec_id, manifests) in by_spec {
            let new = added
                .iter()
                .filter(|m| m.partition_spec_id == spec_id)
                .count();
            for (index, bin) in bins(manifests, policy.target_size_bytes)
                .into_iter()
                .enumerate()
            {
                let is_newest = index == 0;
                if bin.len() < 2 || (is_newest && bin.len() + new < policy.min_count) {
                    merged.extend(bin);
                    continue;
                }
                match self.merge_bin(&bin).await? {
                    Some(manifest) => merged.push(manifest),
                    None => merged.extend(bin),
                }
            }
        }
        // Data manifests first, as they were; delete manifests as they are.
        merged.append(&mut listed);
        Ok(merged)
    }

    /// One manifest of all live entries of the bin; `None` where they cannot be carried.
    async fn merge_bin(
        &mut self,
        bin: &[ManifestFile],
    ) -> Result<Option<ManifestFile>, TableError> {
        let loaded = self.load_bin(bin).await;
        let manifests = match loaded {
            Ok(manifests) => manifests,
            Err(error) => return self.unmergeable(&error),
        };
        let Some((spec, schema)) = self.common_spec_and_schema(bin, &manifests) else {
            return Ok(None);
        };
        let mut writer = self.manifest_writer(Some(self.ticket.snapshot_id), &spec, &schema)?;
        let mut carried = 0_usize;
        for entry in manifests.iter().flat_map(Manifest::entries) {
            if !entry.is_alive() {
                continue;
            }
            let (Some(snapshot_id), Some(sequence_number)) =
                (entry.snapshot_id(), entry.sequence_number())
            else {
                self.leave("an entry has no snapshot or sequence number");
                return Ok(None);
            };
            let added = writer.add_existing_file(
                entry.data_file().clone(),
                snapshot_id,
                sequence_number,
                entry.file_sequence_number,
            );
            if let Err(error) = added {
                return self.unmergeable(&error);
            }
            carried += 1;
        }
        if carried == 0 {
            self.leave("they hold no live entry");
            return Ok(None);
        }
        match writer.write_manifest_file().await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => self.unmergeable(&error),
        }
    }

    async fn load_bin(&self, bin: &[ManifestFile]) -> iceberg::Result<Vec<Manifest>> {
        let reads: Vec<_> = bin
            .iter()
            .map(|manifest| {
                let (manifest, io) = (manifest.clone(), self.io.clone());
                async move { manifest.load_manifest(&io).await }
            })
            .collect();
        stream::iter(reads).buffered(READS_MAX).try_collect().await
    }

    /// A storage that fails is for the caller to hear of; anything else leaves the bin as it is.
    fn unmergeable(&self, error: &iceberg::Error) -> Result<Option<ManifestFile>, TableError> {
        if let Some(storage) = iceberg_io::storage_cause(error) {
            return Err(TableError::storage(&self.base.name, &storage));
        }
        self.leave(&error.to_string());
        Ok(None)
    }

    fn leave(&self, reason: &str) {
        tracing::warn!(table = %self.base.name, reason, "manifests could not be merged");
    }

    /// The spec that the manifests share, and the newest schema that it can be bound to. Bounds
    /// are kept as they are: readers widen those of promoted columns.
    fn common_spec_and_schema(
        &self,
        bin: &[ManifestFile],
        manifests: &[Manifest],
    ) -> Option<(PartitionSpecRef, SchemaRef)> {
        let metadata = &self.base.metadata;
        let spec = metadata.partition_spec_by_id(bin.first()?.partition_spec_id)?;
        if manifests
            .iter()
            .any(|m| m.metadata().partition_spec().fields() != spec.fields())
        {
            return None;
        }
        let current = metadata.current_schema();
        if spec.partition_type(current).is_ok() {
            return Some((Arc::clone(spec), Arc::clone(current)));
        }
        let schema = manifests
            .iter()
            .map(|m| m.metadata().schema())
            .max_by_key(|schema| schema.schema_id())?;
        spec.partition_type(schema).ok()?;
        Some((Arc::clone(spec), Arc::clone(schema)))
    }
}

/// Packs manifests (newest first) into bins, filled from the oldest. The bins stand newest first.
fn bins(manifests: Vec<ManifestFile>, target_size_bytes: i64) -> Vec<Vec<ManifestFile>> {
    let mut bins: Vec<Vec<ManifestFile>> = Vec::new();
    let mut size_bytes = 0_i64;
    for manifest in manifests.into_iter().rev() {
        let length = manifest.manifest_length.max(0);
        match bins.last_mut() {
            Some(bin) if size_bytes.saturating_add(length) <= target_size_bytes => {
                size_bytes += length;
                bin.push(manifest);
            }
            _ => {
                size_bytes = length;
                bins.push(vec![manifest]);
            }
        }
    }
    for bin in &mut bins {
        bin.reverse();
    }
    bins.reverse();
    bins
}

#[cfg(test)]
mod tests {
    use iceberg::spec::ManifestContentType;

    use super::*;

    fn manifest(number: usize, length: i64) -> ManifestFile {
        ManifestFile {
            manifest_path: number.to_string(),
            manifest_length: length,
            partition_spec_id: 0,
            content: ManifestContentType::Data,
            sequence_number: 1,
            min_sequence_number: 1,
            added_snapshot_id: 1,
            added_files_count: Some(1),
            existing_files_count: Some(0),
            deleted_files_count: Some(0),
            added_rows_count: Some(1),
            existing_rows_count: Some(0),
            deleted_rows_count: Some(0),
            partitions: None,
            key_metadata: None,
            first_row_id: None,
        }
    }

    #[test]
    fn bins_fill_from_the_oldest_and_keep_the_order() {
        let cases: [(&[i64], &[&[i64]]); 6] = [
            (&[], &[]),
            (&[5], &[&[5]]),
            (&[1, 1, 1, 9], &[&[1, 1], &[1, 9]]),
            (&[20, 20], &[&[20], &[20]]),
            (&[1, 20, 1], &[&[1], &[20], &[1]]),
            (&[3, 3, 3, 3], &[&[3], &[3, 3, 3]]),
        ];
        for (lengths, expected) in cases {
            let manifests: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(n, l)| manifest(n, *l))
                .collect();
            let packed = bins(manifests.clone(), 10);
            let sizes: Vec<Vec<i64>> = packed
                .iter()
                .map(|bin| bin.iter().map(|m| m.manifest_length).collect())
                .collect();
            assert_eq!(sizes, expected, "{lengths:?}");
            assert_eq!(packed.concat(), manifests);
        }
    }
}
