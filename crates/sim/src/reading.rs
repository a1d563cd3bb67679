//! Tables as any reader sees them: metadata, manifest lists and manifests by Iceberg's own parsers.
//!
//! Nothing here goes through frazil's commit layer or its counters: the checkers read with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use iceberg::spec::{
    FormatVersion, Manifest, ManifestFile, ManifestList, SnapshotRef, TableMetadata,
};

use crate::durable::Durable;

/// A data file that a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// Its path.
    pub path: String,
    /// The rows that its manifest entry claims.
    pub record_count: u64,
    /// The ids of the columns that it has values of.
    pub columns: Vec<i32>,
}

/// A table's metadata from its file.
pub fn metadata(durable: &Durable, location: &str) -> Result<TableMetadata, String> {
    let bytes = durable
        .archived(location)
        .ok_or_else(|| format!("metadata file {location} was never written"))?;
    serde_json::from_slice(bytes).map_err(|error| format!("read {location}: {error}"))
}

/// The manifests of a manifest list.
pub fn manifests(
    durable: &Durable,
    list: &str,
    metadata: &TableMetadata,
) -> Result<Vec<ManifestFile>, String> {
    let bytes = durable
        .archived(list)
        .ok_or_else(|| format!("manifest list {list} was never written"))?;
    let list = ManifestList::parse_with_version(bytes, metadata.format_version())
        // Written before the table was upgraded.
        .or_else(|_| ManifestList::parse_with_version(bytes, FormatVersion::V2))
        .map_err(|error| format!("read {list}: {error}"))?;
    Ok(list.consume_entries().into_iter().collect())
}

/// The paths of a manifest list's manifests.
fn manifest_paths(
    durable: &Durable,
    list: &str,
    metadata: &TableMetadata,
) -> Result<Arc<Vec<String>>, String> {
    if let Some(paths) = durable.parsed_lists.borrow().get(list) {
        return Ok(Arc::clone(paths));
    }
    let manifests = manifests(durable, list, metadata)?.into_iter();
    let paths = Arc::new(manifests.map(|manifest| manifest.manifest_path).collect());
    let mut parsed = durable.parsed_lists.borrow_mut();
    parsed.insert(list.to_owned(), Arc::clone(&paths));
    Ok(paths)
}

/// The files that a manifest's living entries name.
pub fn manifest_files(durable: &Durable, path: &str) -> Result<Arc<Vec<LiveFile>>, String> {
    if let Some(files) = durable.parsed_manifests.borrow().get(path) {
        return Ok(Arc::clone(files));
    }
    let bytes = durable
        .archived(path)
        .ok_or_else(|| format!("manifest {path} was never written"))?;
    let manifest = Manifest::parse_avro(bytes).map_err(|error| format!("read {path}: {error}"))?;
    let files = manifest
        .entries()
        .iter()
        .filter(|entry| entry.is_alive())
        .map(|entry| LiveFile {
            path: entry.file_path().to_owned(),
            record_count: entry.record_count(),
            columns: entry.data_file().value_counts().keys().copied().collect(),
        })
        .collect();
    let files = Arc::new(files);
    durable
        .parsed_manifests
        .borrow_mut()
        .insert(path.to_owned(), Arc::clone(&files));
    Ok(files)
}

/// The data files that the current snapshot holds; one entry for each time that a file is named.
pub fn live_files(durable: &Durable, metadata: &TableMetadata) -> Result<Vec<LiveFile>, String> {
    match metadata.current_snapshot() {
        Some(snapshot) => snapshot_files(durable, metadata, snapshot),
        None => Ok(Vec::new()),
    }
}

/// The data files that a snapshot holds.
pub fn snapshot_files(
    durable: &Durable,
    metadata: &TableMetadata,
    snapshot: &SnapshotRef,
) -> Result<Vec<LiveFile>, String> {
    let mut files = Vec::new();
    for manifest in manifest_paths(durable, snapshot.manifest_list(), metadata)?.iter() {
        files.extend(manifest_files(durable, manifest)?.iter().cloned());
    }
    Ok(files)
}

/// All that the metadata names, whether or not it is still there: its snapshots' manifest lists, manifests and data
/// files, and statistics files.
pub fn reachable(durable: &Durable, metadata: &TableMetadata) -> Result<BTreeSet<String>, String> {
    let mut paths = BTreeSet::new();
    for snapshot in metadata.snapshots() {
        paths.insert(snapshot.manifest_list().to_owned());
        for manifest in manifest_paths(durable, snapshot.manifest_list(), metadata)?.iter() {
            let files = manifest_files(durable, manifest)?;
            paths.extend(files.iter().map(|file| file.path.clone()));
            paths.insert(manifest.clone());
        }
    }
    for statistics in metadata.statistics_iter() {
        paths.insert(statistics.statistics_path.clone());
    }
    Ok(paths)
}

/// The lines of files, each with how often it occurs: what a table of fake data files holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(pub BTreeMap<String, u64>);

impl Lines {
    /// Adds a file's lines.
    pub fn add(&mut self, bytes: &Bytes) {
        for line in String::from_utf8_lossy(bytes).lines() {
            *self.0.entry(line.to_owned()).or_default() += 1;
        }
    }

    /// Adds other lines.
    pub fn merge(&mut self, other: Self) {
        for (line, times) in other.0 {
            *self.0.entry(line).or_default() += times;
        }
    }

    /// How many lines there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// As a file of the same lines.
    pub fn to_bytes(&self) -> Bytes {
        let mut text = String::new();
        for (line, times) in &self.0 {
            for _ in 0..*times {
                text.push_str(line);
                text.push('\n');
            }
        }
        text.into()
    }
}
