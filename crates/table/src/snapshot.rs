//! Snapshots: from what is to change to the requirements and updates that commit it.
//!
//! [`prepare`] writes the manifests and the manifest list of one attempt and touches no catalog.
//! Its cost does not grow with the table: it reads the current manifest list, and of the
//! manifests only those that it merges. All names of an attempt are new, so that whoever finds
//! that an attempt was lost may delete its files without harm to another; the manifests of the files
//! that it adds may be handed on to the next attempt instead.
//!
//! Follows Iceberg's table specification, format version 2: "Snapshots", "Manifest Lists",
//! "Manifests" (inheritance of sequence numbers and snapshot ids).

mod kept;
mod merge;
mod replace;
mod summary;

pub use kept::{KEPT_TAG, Kept};
use replace::RemovedFiles;
pub use replace::load_manifest;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use frazil_service::clock::{Clock, Ids};
use iceberg::{
    TableRequirement, TableUpdate,
    io::FileIO,
    spec::{
        DataContentType, FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile,
        ManifestList, ManifestListWriter, ManifestWriter, ManifestWriterBuilder, Operation,
        PartitionSpecRef, SchemaRef, Snapshot, SnapshotReference, SnapshotRetention, TableMetadata,
    },
};
use uuid::Uuid;

use crate::{
    catalog::{LoadedTable, metadata_file},
    commit::PendingFile,
    error::{TableError, TableErrorKind},
    storage::{Storage, iceberg_io},
};

/// Entries of one new manifest. More make it longer than the usual target size; fewer cost files.
const NEW_MANIFEST_ENTRIES_MAX: usize = 10_000;

/// What a snapshot changes.
#[derive(Debug, Clone)]
pub struct SnapshotChange {
    /// The kind of operation, for readers that skip some.
    pub operation: Operation,
    /// Data files that it adds. None: an empty append, which only moves `main`.
    pub added: Vec<PendingFile>,
    /// What it takes out of the table, the added files taking its place.
    pub replaced: Option<Replaced>,
    /// Keys of the summary beside those that Iceberg defines.
    pub summary: BTreeMap<String, String>,
    /// Table properties that change with it.
    pub set_properties: BTreeMap<String, String>,
    /// Table properties that go with it.
    pub remove_properties: Vec<String>,
    /// A file beside the table's data that its metadata is to keep from now on.
    pub kept: Option<Kept>,
}

/// Data files that a snapshot takes out of the table.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// Their paths, by the path of the manifest that lists them in the base.
    pub files: BTreeMap<String, BTreeSet<String>>,
    /// The data sequence number of the added files: that of the snapshot from which the rows were read, so that
    /// equality deletes committed since apply to them.
    pub sequence_number: i64,
}

/// What is fixed for one attempt before its contents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The snapshot's id, new to the table.
    pub snapshot_id: i64,
    /// The snapshot's sequence number.
    pub sequence_number: i64,
    /// The snapshot's time: after all that the table's metadata names, however clocks are set.
    pub timestamp_ms: i64,
    /// Part of all file names of the attempt.
    pub attempt: Uuid,
}

impl Ticket {
    /// For an attempt on that base.
    ///
    /// `snapshot_id` is that of an attempt which is certainly lost, where this one goes on from it.
    pub fn new(
        base: &TableMetadata,
        clock: &dyn Clock,
        ids: &dyn Ids,
        snapshot_id: Option<i64>,
    ) -> Self {
        let mut snapshot_id = snapshot_id.unwrap_or_else(|| ids.snapshot_id());
        while base.snapshot_by_id(snapshot_id).is_some() {
            snapshot_id = ids.snapshot_id();
        }
        let last_snapshot_ms = base
            .current_snapshot()
            .map_or(i64::MIN, |s| s.timestamp_ms());
        let last_logged_ms = base
            .history()
            .last()
            .map_or(i64::MIN, |log| log.timestamp_ms);
        let timestamp_ms = clock
            .now_millis()
            .max(last_snapshot_ms)
            .max(last_logged_ms)
            .max(base.last_updated_ms())
            // One is left for a snapshot beside it.
            + 2;
        Self {
            snapshot_id,
            sequence_number: base.next_sequence_number(),
            timestamp_ms,
            attempt: ids.uuid(),
        }
    }
}

/// An attempt, ready for the catalog.
#[derive(Debug)]
pub struct Prepared {
    /// What must hold of the base: at least the table's uuid and the snapshot of `main`; where files are
    /// added, its schema and partition spec, too.
    pub requirements: Vec<TableRequirement>,
    /// What changes.
    pub updates: Vec<TableUpdate>,
    /// The files written for this attempt alone. To be deleted only if it is certainly lost.
    pub written: Vec<String>,
    /// The manifests of the files that it adds, where another attempt may list them again: not where some are
    /// replaced, of which the next base may say something else.
    pub added: Option<AddedManifests>,
}

/// Manifests of the files that a snapshot adds. Their entries name its id but no sequence number, so
/// that the next attempt, once this one is certainly lost, may list them again.
#[derive(Debug)]
pub struct AddedManifests {
    /// The snapshot's id.
    pub snapshot_id: i64,
    manifests: Vec<ManifestFile>,
}

impl AddedManifests {
    /// Their paths.
    pub fn paths(&self) -> Vec<String> {
        let paths = self.manifests.iter().map(|m| m.manifest_path.clone());
        paths.collect()
    }
}

/// Writes the manifests and the list of a snapshot on that base. `kept` are the manifests of the same
/// files from an attempt that is certainly lost; they are listed, whatever the base, if it was for the
/// same snapshot id.
///
/// # Errors
/// A file that cannot be read or written; files that do not fit the table. What was written is
/// deleted again: nothing can name it.
pub async fn prepare(
    base: &LoadedTable,
    ticket: &Ticket,
    change: SnapshotChange,
    kept: Option<&AddedManifests>,
) -> Result<Prepared, TableError> {
    let mut attempt = Attempt::new(base, ticket);
    let kept =
        kept.filter(|kept| kept.snapshot_id == ticket.snapshot_id && change.replaced.is_none());
    match attempt.write(&change, kept).await {
        Ok(written) => {
            let added = change.replaced.is_none().then(|| AddedManifests {
                snapshot_id: ticket.snapshot_id,
                manifests: written.added.clone(),
            });
            let shared = added.as_ref().map_or_else(Vec::new, AddedManifests::paths);
            attempt.written.retain(|path| !shared.contains(path));
            Ok(Prepared {
                requirements: requirements(&base.metadata, &change),
                updates: updates(&base.metadata, ticket, change, written),
                written: attempt.written,
                added,
            })
        }
        Err(error) => {
            discard(base.storage.as_ref(), &attempt.written).await;
            Err(error)
        }
    }
}

/// Deletes the files of an attempt that is certainly lost.
pub async fn discard(storage: &dyn Storage, written: &[String]) {
    for path in written {
        if let Err(error) = storage.delete(path).await {
            tracing::warn!(%error, "left a file of a lost attempt behind");
        }
    }
}

/// The manifests that the current snapshot lists.
pub async fn manifests(table: &LoadedTable) -> Result<Vec<ManifestFile>, TableError> {
    match table.metadata.current_snapshot() {
        Some(snapshot) => manifests_of(table, snapshot).await,
        None => Ok(Vec::new()),
    }
}

/// The manifests that a snapshot of the table lists.
///
/// # Errors
/// The list cannot be read.
pub async fn manifests_of(
    table: &LoadedTable,
    snapshot: &Snapshot,
) -> Result<Vec<ManifestFile>, TableError> {
    let bytes = table
        .storage
        .read(snapshot.manifest_list())
        .await
        .map_err(|e| TableError::storage(&table.name, &e))?;
    let parsed = ManifestList::parse_with_version(&bytes, table.metadata.format_version());
    let list = match parsed {
        // Written before the table was upgraded from version 1.
        Err(_) if snapshot.sequence_number() == 0 => {
            ManifestList::parse_with_version(&bytes, FormatVersion::V1)
        }
        parsed => parsed,
    };
    let list = list.map_err(|e| {
        unusable(
            table,
            format!(
                "its manifest list {} cannot be read: {e}",
                snapshot.manifest_list()
            ),
        )
    })?;
    Ok(list.entries().to_vec())
}

/// One attempt being written.
struct Attempt<'a> {
    base: &'a LoadedTable,
    ticket: &'a Ticket,
    io: FileIO,
    folder: String,
    written: Vec<String>,
}

impl<'a> Attempt<'a> {
    fn new(base: &'a LoadedTable, ticket: &'a Ticket) -> Self {
        Self {
            base,
            ticket,
            io: iceberg_io::file_io(Arc::clone(&base.storage)),
            folder: metadata_file::folder(&base.metadata),
            written: Vec::new(),
        }
    }

    /// Writes all, and gives the manifest list and the summary.
    async fn write(
        &mut self,
        change: &SnapshotChange,
        kept: Option<&AddedManifests>,
    ) -> Result<Written, TableError> {
        let added = if let Some(kept) = kept {
            for file in &change.added {
                spec_and_schema(self.base, file.partition_spec_id, file.schema_id)?;
            }
            kept.manifests.clone()
        } else {
            // Without a number they inherit the snapshot's.
            let replaced = change.replaced.as_ref();
            let number = replaced.map_or(-1, |replaced| replaced.sequence_number);
            self.write_added(&change.added, number).await?
        };
        let existing: Vec<ManifestFile> = manifests(self.base)
            .await?
            .into_iter()
            // Of a manifest with nothing but deletions nobody needs to know any longer.
            .filter(|m| m.has_added_files() || m.has_existing_files())
            .collect();
        let mut removed = RemovedFiles::default();
        let existing = match &change.replaced {
            // What was taken out stays told of in this snapshot; the next append merges.
            Some(replaced) => self.replace(existing, replaced, &mut removed).await?,
            None => self.merge(&added, existing, kept.is_some()).await?,
        };
        let listed: Vec<ManifestFile> = added.iter().cloned().chain(existing).collect();
        let manifest_list = self
            .write_list(
                self.ticket.snapshot_id,
                self.base.metadata.current_snapshot_id(),
                self.ticket.sequence_number,
                listed,
            )
            .await?;
        let kept_list = match &change.kept {
            Some(kept) => Some(self.write_kept_list(kept).await?),
            None => None,
        };
        Ok(Written {
            manifest_list,
            kept_list,
            added,
            summary: summary::summarise(self.base, change, &removed),
        })
    }

    /// Writes the manifest list of a snapshot.
    async fn write_list(
        &mut self,
        snapshot_id: i64,
        parent: Option<i64>,
        sequence_number: i64,
        listed: Vec<ManifestFile>,
    ) -> Result<String, TableError> {
        let path = format!(
            "{}/snap-{snapshot_id}-{}.avro",
            self.folder, self.ticket.attempt
        );
        let output = self
            .io
            .new_output(&path)
            .map_err(|e| self.failed("write", &path, &e))?;
        self.written.push(path.clone());
        let writer = output
            .writer()
            .await
            .map_err(|e| self.failed("write", &path, &e))?;
        let mut list = ManifestListWriter::v2(writer, snapshot_id, parent, sequence_number);
        list.add_manifests(listed.into_iter())
            .map_err(|e| self.failed("write", &path, &e))?;
        list.close()
            .await
            .map_err(|e| self.failed("write", &path, &e))?;
        Ok(path)
    }

    /// One or more new manifests for each partition spec and schema among the files.
    async fn write_added(
        &mut self,
        files: &[PendingFile],
        sequence_number: i64,
    ) -> Result<Vec<ManifestFile>, TableError> {
        let mut groups: BTreeMap<(i32, i32), Vec<&PendingFile>> = BTreeMap::new();
        for file in files {
            groups
                .entry((file.partition_spec_id, file.schema_id))
                .or_default()
                .push(file);
        }
        let mut manifests = Vec::new();
        for ((spec_id, schema_id), files) in groups {
            let (spec, schema) = spec_and_schema(self.base, spec_id, schema_id)?;
            for files in files.chunks(NEW_MANIFEST_ENTRIES_MAX) {
                let mut writer =
                    self.manifest_writer(Some(self.ticket.snapshot_id), &spec, &schema)?;
                for file in files {
                    check_file(self.base, file, &spec, &schema)?;
                    writer
                        .add_file(file.data_file.clone(), sequence_number)
                        .map_err(|e| unusable(self.base, e.to_string()))?;
                }
                manifests.push(self.close_manifest(writer).await?);
            }
        }
        Ok(manifests)
    }

    fn manifest_writer(
        &mut self,
        snapshot_id: Option<i64>,
        spec: &PartitionSpecRef,
        schema: &SchemaRef,
    ) -> Result<ManifestWriter, TableError> {
        let path = format!(
            "{}/{}-m{}.avro",
            self.folder,
            self.ticket.attempt,
            self.written.len()
        );
        let output = self
            .io
            .new_output(&path)
            .map_err(|e| self.failed("write", &path, &e))?;
        self.written.push(path);
        Ok(ManifestWriterBuilder::new(
            output,
            snapshot_id,
            Arc::clone(schema),
            spec.as_ref().clone(),
        )
        .build_v2_data())
    }

    async fn close_manifest(&self, writer: ManifestWriter) -> Result<ManifestFile, TableError> {
        writer
            .write_manifest_file()
            .await
            .map_err(|e| self.failed("write", "a manifest", &e))
    }

    fn failed(&self, operation: &str, path: &str, error: &iceberg::Error) -> TableError {
        crate_error(self.base, operation, path, error)
    }
}

struct Written {
    manifest_list: String,
    added: Vec<ManifestFile>,
    /// That of the snapshot which keeps a file, where there is a new one.
    kept_list: Option<String>,
    summary: iceberg::spec::Summary,
}

/// Writes one manifest of files that no snapshot holds yet, whose entries take the snapshot that
/// will list it. All files are of one partition spec and one schema of the table.
pub(crate) async fn write_unassigned_manifest(
    table: &LoadedTable,
    files: &[PendingFile],
    path: &str,
) -> Result<(), TableError> {
    let Some(first) = files.first() else {
        return Err(unusable(
            table,
            "a manifest of no files was asked for".to_string(),
        ));
    };
    let (spec, schema) = spec_and_schema(table, first.partition_spec_id, first.schema_id)?;
    let io = iceberg_io::file_io(Arc::clone(&table.storage));
    let output = io
        .new_output(path)
        .map_err(|e| crate_error(table, "write", path, &e))?;
    let mut writer =
        ManifestWriterBuilder::new(output, None, Arc::clone(&schema), spec.as_ref().clone())
            .build_v2_data();
    for file in files {
        if (file.partition_spec_id, file.schema_id) != (first.partition_spec_id, first.schema_id) {
            return Err(unusable(
                table,
                "files of one manifest have several partition specs or schemas".to_string(),
            ));
        }
        check_file(table, file, &spec, &schema)?;
        writer
            .add_file(file.data_file.clone(), -1)
            .map_err(|e| unusable(table, e.to_string()))?;
    }
    writer
        .write_manifest_file()
        .await
        .map_err(|e| crate_error(table, "write", path, &e))?;
    Ok(())
}

fn spec_and_schema(
    table: &LoadedTable,
    spec_id: i32,
    schema_id: i32,
) -> Result<(PartitionSpecRef, SchemaRef), TableError> {
    let spec = table.metadata.partition_spec_by_id(spec_id);
    let schema = table.metadata.schema_by_id(schema_id);
    match (spec, schema) {
        (Some(spec), Some(schema)) => Ok((Arc::clone(spec), Arc::clone(schema))),
        _ => Err(unusable(
            table,
            format!(
                "data files are of partition spec {spec_id} and schema {schema_id}, which it does not have"
            ),
        )),
    }
}

/// The crate's writer panics over partition values that do not fit, so they are looked at first.
fn check_file(
    table: &LoadedTable,
    file: &PendingFile,
    spec: &PartitionSpecRef,
    schema: &SchemaRef,
) -> Result<(), TableError> {
    let path = file.data_file.file_path();
    if file.data_file.content_type() != DataContentType::Data {
        return Err(unusable(table, format!("{path} is not a data file")));
    }
    let partition_type = spec
        .partition_type(schema)
        .map_err(|e| unusable(table, e.to_string()))?;
    let values = file.data_file.partition().fields();
    let fits = values.len() == partition_type.fields().len()
        && values
            .iter()
            .zip(partition_type.fields())
            .all(|(value, field)| {
                let Some(value) = value else { return true };
                match (
                    field.field_type.as_primitive_type(),
                    value.as_primitive_literal(),
                ) {
                    (Some(primitive), Some(literal)) => primitive.compatible(&literal),
                    _ => false,
                }
            });
    if !fits {
        return Err(unusable(
            table,
            format!(
                "the partition values of {path} do not fit partition spec {}",
                spec.spec_id()
            ),
        ));
    }
    Ok(())
}

fn unusable(table: &LoadedTable, reason: String) -> TableError {
    TableError::new(&table.name, TableErrorKind::Rejected, reason)
}

fn crate_error(
    table: &LoadedTable,
    operation: &str,
    path: &str,
    error: &iceberg::Error,
) -> TableError {
    match iceberg_io::storage_cause(error) {
        Some(storage) => TableError::storage(&table.name, &storage),
        None => unusable(table, format!("failed to {operation} {path}: {error}")),
    }
}

/// What must hold of the base: a REST catalog checks nothing else. Files that are added were looked
/// at under its schema and partition spec.
fn requirements(base: &TableMetadata, change: &SnapshotChange) -> Vec<TableRequirement> {
    let mut requirements = same_table_and_main(base);
    if !change.added.is_empty() {
        requirements.push(TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: base.current_schema_id(),
        });
        requirements.push(TableRequirement::DefaultSpecIdMatch {
            default_spec_id: base.default_partition_spec_id(),
        });
    }
    requirements
}

/// The table is the same, and so is its `main`.
/// The branches and tags of a table, `main` too. The crate shows them in its JSON only.
///
/// # Errors
/// The metadata is not what it says in its own JSON: then nothing may rest on it.
pub fn refs(
    metadata: &TableMetadata,
) -> Result<BTreeMap<String, SnapshotReference>, serde_json::Error> {
    let mut json = serde_json::to_value(metadata)?;
    match json.get_mut("refs") {
        Some(refs) => serde_json::from_value(refs.take()),
        None => Ok(BTreeMap::new()),
    }
}

/// What a change rests on that takes snapshots out: the table, and each of its branches and tags as it is. Of one that is
/// made meanwhile no server can be asked.
pub(crate) fn same_table_and_refs(
    base: &TableMetadata,
) -> Result<Vec<TableRequirement>, serde_json::Error> {
    let mut requirements = same_table_and_main(base);
    let others = refs(base)?
        .into_iter()
        .filter(|(name, _)| name != MAIN_BRANCH);
    requirements.extend(
        others.map(|(name, reference)| TableRequirement::RefSnapshotIdMatch {
            r#ref: name,
            snapshot_id: Some(reference.snapshot_id),
        }),
    );
    Ok(requirements)
}

pub(crate) fn same_table_and_main(base: &TableMetadata) -> Vec<TableRequirement> {
    vec![
        TableRequirement::UuidMatch { uuid: base.uuid() },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.to_string(),
            snapshot_id: base.current_snapshot_id(),
        },
    ]
}

fn updates(
    base: &TableMetadata,
    ticket: &Ticket,
    change: SnapshotChange,
    written: Written,
) -> Vec<TableUpdate> {
    let snapshot = Snapshot::builder()
        .with_snapshot_id(ticket.snapshot_id)
        .with_parent_snapshot_id(base.current_snapshot_id())
        .with_sequence_number(ticket.sequence_number)
        .with_timestamp_ms(ticket.timestamp_ms)
        .with_manifest_list(written.manifest_list)
        .with_summary(written.summary)
        .with_schema_id(base.current_schema_id())
        .build();
    let mut updates = vec![TableUpdate::AddSnapshot { snapshot }];
    if let (Some(kept), Some(list)) = (&change.kept, written.kept_list) {
        updates.extend(kept.updates(base, ticket, list));
    }
    // Last, so that the table was last updated by it.
    updates.push(TableUpdate::SetSnapshotRef {
        ref_name: MAIN_BRANCH.to_string(),
        reference: SnapshotReference::new(ticket.snapshot_id, main_retention(base)),
    });
    if !change.set_properties.is_empty() {
        updates.push(TableUpdate::SetProperties {
            updates: change.set_properties.into_iter().collect(),
        });
    }
    if !change.remove_properties.is_empty() {
        updates.push(TableUpdate::RemoveProperties {
            removals: change.remove_properties,
        });
    }
    updates
}

/// The retention settings of `main`, which setting the ref would else wipe. The crate shows refs
/// in its JSON only.
fn main_retention(base: &TableMetadata) -> SnapshotRetention {
    // Refs without settings are by far the most; the detour over JSON is for the others.
    let none = SnapshotRetention::branch(None, None, None);
    if base.current_snapshot_id().is_none() {
        return none;
    }
    serde_json::to_value(base)
        .ok()
        .and_then(|json| json.get("refs")?.get(MAIN_BRANCH).cloned())
        .and_then(|main| serde_json::from_value::<SnapshotReference>(main).ok())
        .map_or(none, |main| main.retention)
}

/// Whether the manifest may be opened and written again: a list of data files, not encrypted.
fn is_plain_data(manifest: &ManifestFile) -> bool {
    manifest.content == ManifestContentType::Data && manifest.key_metadata.is_none()
}
