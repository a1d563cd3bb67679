//! What a table needs: every file that its metadata names, in every snapshot, with or without a ref.
//!
//! Paths are compared by what follows the scheme and the host or bucket, with doubled slashes folded: `s3:` and
//! `s3a:`, `file:/` and `file:///`, a name service and its name node spell one file in several ways. That two files
//! of that one path in different buckets are then taken for one spares a file too many, never one too few.

use std::collections::{BTreeMap, HashSet};

use frazil_table::{
    catalog::LoadedTable,
    commit::OpenTable,
    error::{TableError, TableErrorKind},
    maintenance::Maintenance,
    snapshot,
    state::State,
    storage::StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use iceberg::spec::{Manifest, ManifestFile, Snapshot, SnapshotRef};
use xxhash_rust::xxh3::xxh3_128;

/// Manifests that are read at a time. Each is held in memory whole.
pub(crate) const READS_AT_A_TIME: usize = 8;

/// A call of the storage that several of are under way.
pub(crate) type Call<'a, T> = BoxFuture<'a, Result<T, TableError>>;

/// Stands for a path in sets: the hash of what it is compared by. Two files that share one by chance (1 in 10^20 for
/// 10^9 files) are taken for one, and spared.
pub fn path_key(path: &str) -> u128 {
    let mut folded = String::with_capacity(path.len());
    let rest = match path.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => path,
    };
    // What stands between two slashes and the next one is the host or bucket.
    let rest = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => rest,
    };
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        folded.push('/');
        folded.push_str(part);
    }
    xxh3_128(folded.as_bytes())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Paths of files that are needed.
#[derive(Debug, Clone, Default)]
pub struct Needed(HashSet<u128>);

impl Needed {
    /// Whether the file is.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains(&path_key(path))
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str) {
        self.0.insert(path_key(path));
    }
}

/// The files of a table's outbox: its manifests, and what they name.
///
/// # Errors
/// A manifest cannot be read; one that is gone is not needed.
pub async fn outbox(open: &OpenTable) -> Result<Needed, TableError> {
    let mut needed = Needed::default();
    for path in open.state.dead_letters.outbox.values() {
        let bytes = match open.table.storage.read(path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind == StorageErrorKind::NotFound => continue,
            Err(error) => return Err(storage_error(&open.table, &error)),
        };
        let manifest = Manifest::parse_avro(&bytes).map_err(|error| {
            TableError::new(
                &open.table.name,
                TableErrorKind::DeadLetterTable,
                format!("the manifest {path} of its outbox cannot be read: {error}"),
            )
        })?;
        for entry in manifest.entries() {
            needed.add(entry.file_path());
        }
        needed.add(path);
    }
    Ok(needed)
}

/// What several snapshots name directly.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Their manifest lists.
    pub(crate) lists: Vec<String>,
    /// Their manifests by path; most are in many of them.
    pub(crate) manifests: BTreeMap<String, ManifestFile>,
    /// Lists that are no longer there.
    pub(crate) lost: Vec<String>,
}

/// Reads the manifest lists of snapshots.
pub(crate) async fn named(
    table: &LoadedTable,
    snapshots: &[&SnapshotRef],
) -> Result<Named, TableError> {
    let mut named = Named::default();
    let mut reads: Vec<Call<'_, _>> = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        reads.push(Box::pin(manifests_of(table, snapshot)));
    }
    let mut reads = stream::iter(reads).buffered(READS_AT_A_TIME);
    while let Some((list, manifests)) = reads.try_next().await? {
        match manifests {
            Some(manifests) => {
                let manifests = manifests.into_iter();
                let by_path = manifests.map(|one| (one.manifest_path.clone(), one));
                named.manifests.extend(by_path);
                named.lists.push(list);
            }
            None => named.lost.push(list),
        }
    }
    Ok(named)
}

/// The snapshot's manifest list, and what is in it unless it is gone.
async fn manifests_of(
    table: &LoadedTable,
    snapshot: &Snapshot,
) -> Result<(String, Option<Vec<ManifestFile>>), TableError> {
    let list = snapshot.manifest_list().to_owned();
    let is_there = table.storage.stat(&list).await;
    let is_there = is_there.map_err(|error| storage_error(table, &error))?;
    if is_there.is_none() {
        return Ok((list, None));
    }
    let manifests = snapshot::manifests_of(table, snapshot).await?;
    Ok((list, Some(manifests)))
}

/// Reads manifests, a few at a time, and hands the paths of the files that are live in each to `each`.
pub(crate) async fn for_each_live(
    table: &LoadedTable,
    manifests: &[&ManifestFile],
    each: &mut (dyn FnMut(&str) + Send),
) -> Result<(), TableError> {
    let mut reads: Vec<Call<'_, Manifest>> = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        reads.push(Box::pin(snapshot::load_manifest(table, manifest)));
    }
    let mut reads = stream::iter(reads).buffered(READS_AT_A_TIME);
    while let Some(manifest) = reads.try_next().await? {
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            each(entry.file_path());
        }
    }
    Ok(())
}

/// All that the metadata of a table names: what each of its snapshots names, statistics, the file of finished
/// sources, metadata files, and lists of files that wait to be deleted.
///
/// # Errors
/// A part of it cannot be read, or is gone: what a table needs is then not known, and nothing may be deleted.
pub async fn needed(
    table: &LoadedTable,
    state: &State,
    maintenance: &Maintenance,
) -> Result<Needed, TableError> {
    let mut needed = Needed::default();
    let metadata = &table.metadata;
    let snapshots: Vec<&SnapshotRef> = metadata.snapshots().collect();
    let named = named(table, &snapshots).await?;
    if let Some(list) = named.lost.first() {
        return Err(unknown(table, list));
    }
    for path in named.lists.iter().chain(named.manifests.keys()) {
        needed.add(path);
    }
    let manifests: Vec<&ManifestFile> = named.manifests.values().collect();
    for_each_live(table, &manifests, &mut |path| needed.add(path)).await?;
    for statistics in metadata.statistics_iter() {
        needed.add(&statistics.statistics_path);
    }
    for statistics in metadata.partition_statistics_iter() {
        needed.add(&statistics.statistics_path);
    }
    if let Some(file) = &state.finished {
        needed.add(&file.path);
    }
    needed.add(&table.metadata_location);
    for version in metadata.metadata_log() {
        needed.add(&version.metadata_file);
    }
    for pending in &maintenance.deletes {
        needed.add(&pending.list);
    }
    Ok(needed)
}

/// What a table needs cannot be known, as a file is gone that says so.
pub(crate) fn unknown(table: &LoadedTable, path: &str) -> TableError {
    TableError::new(
        &table.name,
        TableErrorKind::StateDamaged,
        format!(
            "{path}, which its metadata names, is gone: what else the table needs cannot be known, and nothing is \
             deleted; restore that file, or remove the snapshot that names it"
        ),
    )
}

/// An error of a storage, as one of the table.
pub(crate) fn storage_error(
    table: &LoadedTable,
    error: &frazil_table::storage::StorageError,
) -> TableError {
    let reason = format!("failed to {error}");
    TableError::new(&table.name, TableErrorKind::Storage, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_however_its_path_is_spelled() {
        for group in [
            &["s3://b/t/data/x", "s3a://b/t/data/x", "s3n://b//t/data/x"][..],
            &[
                "file:///t/data/x",
                "file:/t/data/x",
                "file://localhost/t/data/x",
                "/t/data/x",
            ],
            &[
                "hdfs://nn:8020/t/x",
                "hdfs://nn/t/x",
                "hdfs://service/t/x",
                "hdfs:/t/x",
            ],
            &[
                "abfss://c@a.dfs.core.windows.net/t/x",
                "wasbs://c@a.blob.core.windows.net/t/x",
            ],
        ] {
            for path in group {
                assert_eq!(path_key(path), path_key(group[0]), "{path}");
            }
        }
        // A colon in a name is no scheme's, and nothing is decoded.
        for (one, other) in [
            ("s3://b/t/a:b", "s3://b/t/b"),
            ("file:///t/a%2Fb", "file:///t/a/b"),
            ("file:///t/web", "file:///t/web__dead_letters"),
            ("file:///t/X", "file:///t/x"),
        ] {
            assert_ne!(path_key(one), path_key(other), "{one}");
        }
    }
}
