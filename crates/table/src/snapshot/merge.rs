//! Merging manifests, so that their number stays bounded however many commits there are.
//!
//! [`plan`] says which: a few small ones at a time, so that no commit pays for the others.
//!
//! Only live entries are carried, as EXISTING, with their own snapshot id and both their sequence
//! numbers: a carried deletion would be a file's second death, and new sequence numbers would let
//! old delete files miss it. Merging is an economy: what cannot be read stays as it is.

mod plan;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{Manifest, ManifestFile, PartitionSpecRef, SchemaRef};

use self::plan::{MERGED_MANIFESTS_MAX, Policy, plan};
use super::{Attempt, is_plain_data};
use crate::{
    error::TableError,
    storage::{StorageErrorKind, iceberg_io},
};

/// Runs that are tried in one commit, each after one that turned out not to be mergeable.
const RUNS_TRIED_MAX: usize = 2;

impl Attempt<'_> {
    /// The existing manifests, some of them merged. The new ones stand before them in the list
    /// and are merged by later commits.
    pub(super) async fn merge(
        &mut self,
        added: &[ManifestFile],
        existing: Vec<ManifestFile>,
        is_retry: bool,
    ) -> Result<Vec<ManifestFile>, TableError> {
        let mut policy = Policy::of(&self.base.metadata);
        if is_retry {
            // Who lost a race should be quick; the next first attempt merges. But not for ever.
            policy.min_count = policy.min_count.saturating_mul(2);
        }
        // Data manifests first, in their order; the others as they are.
        let (mut listed, others): (Vec<_>, Vec<_>) = existing.into_iter().partition(is_plain_data);
        // Some that cannot be merged must not keep the others from it.
        let mut left = Vec::new();
        for _ in 0..RUNS_TRIED_MAX {
            let places = plan(&listed, added, &policy);
            let Some(first) = places.first() else { break };
            let run: Vec<_> = places.iter().map(|place| listed[*place].clone()).collect();
            if let Some(merged) = self.merge_run(&run).await? {
                listed[*first] = merged;
                for gone in places[1..].iter().rev() {
                    listed.remove(*gone);
                }
                break;
            }
            for place in places.iter().rev() {
                left.push(listed.remove(*place));
            }
        }
        listed.extend(left.into_iter().rev());
        listed.extend(others);
        Ok(listed)
    }

    /// One manifest of all live entries of the run; `None` where they cannot be carried.
    async fn merge_run(
        &mut self,
        run: &[ManifestFile],
    ) -> Result<Option<ManifestFile>, TableError> {
        let loaded = self.load(run).await;
        let manifests = match loaded {
            Ok(manifests) => manifests,
            Err(error) => return self.unmergeable(&error),
        };
        let Some((spec, schema)) = self.common_spec_and_schema(run, &manifests) else {
            self.leave("they are not of the table's partition spec");
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

    async fn load(&self, run: &[ManifestFile]) -> iceberg::Result<Vec<Manifest>> {
        let reads: Vec<_> = run
            .iter()
            .map(|manifest| {
                let (manifest, io) = (manifest.clone(), self.io.clone());
                async move { manifest.load_manifest(&io).await }
            })
            .collect();
        stream::iter(reads)
            .buffered(MERGED_MANIFESTS_MAX)
            .try_collect()
            .await
    }

    /// A storage that fails is for the caller to hear of; anything else leaves the run as it is. An append has no need
    /// of a manifest that is gone.
    fn unmergeable(&self, error: &iceberg::Error) -> Result<Option<ManifestFile>, TableError> {
        let storage = iceberg_io::storage_cause(error);
        if let Some(storage) = storage.filter(|one| one.kind != StorageErrorKind::NotFound) {
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
        run: &[ManifestFile],
        manifests: &[Manifest],
    ) -> Option<(PartitionSpecRef, SchemaRef)> {
        let metadata = &self.base.metadata;
        let spec = metadata.partition_spec_by_id(run.first()?.partition_spec_id)?;
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
