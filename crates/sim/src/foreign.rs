//! What other engines do to a table between any two of our steps.
//!
//! Each action is one atomic catalog commit (or a move of the pointer itself), built from Iceberg's
//! own metadata builder and never from frazil's commit layer.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_dataset::TableName;
use frazil_table::state::wire;
use iceberg::{
    io::{FileIO, FileWrite},
    spec::{
        DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, MAIN_BRANCH,
        ManifestFile, ManifestListWriter, ManifestWriterBuilder, Operation, Schema, Snapshot,
        SnapshotReference, SnapshotRetention, Struct, Summary, TableMetadata, TableMetadataBuilder,
    },
};
use uuid::Uuid;

use crate::{
    durable::{Actor, Durable},
    reading::{self, Lines},
};

/// What another engine does, and to which table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignAction {
    /// The table.
    pub table: TableName,
    /// The deed.
    pub deed: Deed,
}

/// Another engine's deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Appends a file of its own.
    Append,
    /// Sets a table property of its own.
    SetProperty,
    /// Rewrites all live data files into one.
    Compact,
    /// Expires all snapshots but the current one and those that a ref names, and deletes what only
    /// they could reach.
    ExpireAllButOne,
    /// Deletes files that no metadata names, of those that a table once needed: what is younger is not
    /// taken for an orphan.
    RemoveOrphans,
    /// Sets `main` back to the snapshot before.
    Rollback,
    /// Drops the table.
    Drop,
    /// Drops the table and makes it again, empty.
    Recreate,
    /// Drops the table and makes it again, empty but with the same properties (`CREATE TABLE LIKE`).
    RecreateLike,
    /// Removes all properties of frazil's.
    RemoveState,
    /// Drops the last column.
    DropColumn,
    /// Raises the table to format version 3.
    UpgradeFormat,
    /// Deletes the file of finished sources, which the metadata names.
    LoseFinished,
    /// The catalog's pointer goes back by so many versions, as after an asynchronous fail-over.
    Rewind(usize),
}

impl Deed {
    /// All of them, with one rewind.
    pub const ALL: [Self; 14] = [
        Self::Append,
        Self::SetProperty,
        Self::Compact,
        Self::ExpireAllButOne,
        Self::RemoveOrphans,
        Self::Rollback,
        Self::Drop,
        Self::Recreate,
        Self::RecreateLike,
        Self::RemoveState,
        Self::DropColumn,
        Self::UpgradeFormat,
        Self::LoseFinished,
        Self::Rewind(1),
    ];

    /// Those that leave every row and all history in place.
    pub const WELCOME: [Self; 6] = [
        Self::Append,
        Self::SetProperty,
        Self::Compact,
        Self::ExpireAllButOne,
        Self::RemoveOrphans,
        Self::DropColumn,
    ];

    /// Whether it leaves every row and all history in place: a writer must simply go on.
    pub fn is_welcome(self) -> bool {
        Self::WELCOME.contains(&self)
    }
}

/// Does it, and says for the trace what came of it.
pub(crate) fn act(durable: &mut Durable, action: &ForeignAction) -> &'static str {
    let Some(location) = durable.pointer(&action.table) else {
        return "no such table";
    };
    let metadata = reading::metadata(durable, &location)
        .expect("the current metadata file of a table is there and can be read");
    let writes = matches!(action.deed, Deed::Append | Deed::Compact);
    if writes && metadata.format_version() != FormatVersion::V2 {
        return "not simulated";
    }
    let done = match action.deed {
        Deed::Append => append(durable, action, &location, metadata),
        Deed::SetProperty => commit(durable, action, &location, metadata, |builder| {
            let properties = HashMap::from([("foreign".to_owned(), "set".to_owned())]);
            builder.set_properties(properties)
        }),
        Deed::Compact => compact(durable, action, &location, metadata),
        Deed::ExpireAllButOne => expire(durable, action, &location, metadata),
        Deed::Rollback => rollback(durable, action, &location, metadata),
        Deed::Drop => {
            durable.set_pointer(&action.table, None, actor(action));
            true
        }
        Deed::Recreate => recreate(durable, action, &metadata, false),
        Deed::RecreateLike => recreate(durable, action, &metadata, true),
        Deed::RemoveState => remove_state(durable, action, &location, metadata),
        Deed::DropColumn => drop_column(durable, action, &location, metadata),
        Deed::UpgradeFormat => commit(durable, action, &location, metadata, |builder| {
            builder.upgrade_format_version(FormatVersion::V3)
        }),
        Deed::RemoveOrphans => remove_orphans(durable, action, &metadata),
        Deed::LoseFinished => lose_finished(durable, &metadata),
        Deed::Rewind(versions) => rewind(durable, action, versions),
    };
    if !done {
        return "nothing to do";
    }
    durable.foreign.push((durable.call, action.clone()));
    "done"
}

fn actor(action: &ForeignAction) -> Actor {
    Actor::Foreign(format!("{:?}", action.deed))
}

/// Applies `change` to the metadata and moves the pointer to the result.
fn commit(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
    change: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
) -> bool {
    let time = time_after(durable, &metadata);
    let builder = metadata.into_builder(Some(location.to_owned()));
    let built = change(builder)
        .and_then(TableMetadataBuilder::build)
        .expect("another engine's change is a valid one")
        .metadata;
    put_metadata(durable, action, &built, time);
    true
}

/// Writes a metadata file and moves the pointer to it. The builder takes some times from the
/// machine's clock; they are set to simulated time here.
fn put_metadata(durable: &mut Durable, action: &ForeignAction, built: &TableMetadata, time: i64) {
    let mut json = serde_json::to_value(built).expect("table metadata is valid JSON");
    json["last-updated-ms"] = time.into();
    if let Some(last) = json["snapshot-log"]
        .as_array_mut()
        .and_then(|log| log.last_mut())
    {
        last["timestamp-ms"] = time.into();
    }
    let number = durable.history(&action.table).len();
    let path = format!(
        "{}/metadata/{number:05}-{}.metadata.json",
        built.location(),
        fresh_uuid(durable)
    );
    let bytes = serde_json::to_vec(&json).expect("a JSON value can be written");
    durable.write(&path, bytes.into());
    durable.set_pointer(&action.table, Some(path), actor(action));
}

fn time_after(durable: &Durable, metadata: &TableMetadata) -> i64 {
    durable.now_millis.max(metadata.last_updated_ms() + 1)
}

/// An id that no process of ours draws, the same in each run.
fn fresh_uuid(durable: &mut Durable) -> Uuid {
    durable.foreign_ids += 1;
    Uuid::from_u64_pair(0xf0_e1, durable.foreign_ids)
}

fn append(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    let path = format!(
        "{}/data/foreign-{}.parquet",
        metadata.location(),
        fresh_uuid(durable)
    );
    durable.write(&path, Bytes::from_static(b"foreign\n"));
    let added = data_file(&metadata, &path, 1, 8);
    let kept = match metadata.current_snapshot() {
        Some(current) => reading::manifests(durable, current.manifest_list(), &metadata)
            .expect("the current manifest list can be read"),
        None => Vec::new(),
    };
    add_snapshot(
        durable,
        action,
        location,
        metadata,
        Operation::Append,
        kept,
        vec![added],
    )
}

fn compact(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    if metadata.current_snapshot().is_none() {
        return false;
    }
    let live = reading::live_files(durable, &metadata).expect("the live files can be read");
    let mut lines = Lines::default();
    for file in &live {
        let stored = durable.file(&file.path).expect("a live data file is there");
        lines.add(&stored.bytes);
    }
    let path = format!(
        "{}/data/compacted-{}.parquet",
        metadata.location(),
        fresh_uuid(durable)
    );
    let bytes = lines.to_bytes();
    let added = data_file(&metadata, &path, lines.count(), bytes.len() as u64);
    durable.write(&path, bytes);
    add_snapshot(
        durable,
        action,
        location,
        metadata,
        Operation::Replace,
        Vec::new(),
        vec![added],
    )
}

fn data_file(metadata: &TableMetadata, path: &str, rows: u64, bytes: u64) -> DataFile {
    let fields = metadata.default_partition_spec().fields().len();
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(std::iter::repeat_n(None, fields).collect::<Struct>())
        .record_count(rows)
        .file_size_in_bytes(bytes)
        .partition_spec_id(metadata.default_partition_spec_id())
        .build()
        .expect("all required fields are set")
}

fn add_snapshot(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
    operation: Operation,
    kept: Vec<ManifestFile>,
    added: Vec<DataFile>,
) -> bool {
    let snapshot_id = fresh_uuid(durable).as_u64_pair().1 as i64;
    let sequence_number = metadata.next_sequence_number();
    let parent = metadata.current_snapshot_id();
    let folder = format!("{}/metadata", metadata.location());
    let manifest_path = format!("{folder}/foreign-{snapshot_id}-m0.avro");
    let list_path = format!("{folder}/snap-foreign-{snapshot_id}.avro");
    let (manifest, manifest_bytes) =
        futures::executor::block_on(manifest(&metadata, &manifest_path, snapshot_id, added))
            .expect("a manifest can be written to memory");
    let list = futures::executor::block_on(manifest_list(
        snapshot_id,
        parent,
        sequence_number,
        std::iter::once(manifest).chain(kept).collect(),
    ))
    .expect("a manifest list can be written to memory");
    durable.write(&manifest_path, manifest_bytes);
    durable.write(&list_path, list);
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(parent)
        .with_sequence_number(sequence_number)
        .with_timestamp_ms(time_after(durable, &metadata))
        .with_manifest_list(list_path)
        .with_summary(Summary {
            operation,
            additional_properties: HashMap::new(),
        })
        .with_schema_id(metadata.current_schema_id())
        .build();
    commit(durable, action, location, metadata, |builder| {
        builder.set_branch_snapshot(snapshot, MAIN_BRANCH)
    })
}

async fn manifest(
    metadata: &TableMetadata,
    path: &str,
    snapshot_id: i64,
    files: Vec<DataFile>,
) -> iceberg::Result<(ManifestFile, Bytes)> {
    let memory = FileIO::new_with_memory();
    // Memory storage knows its own scheme only; the entry gets its true path below.
    let scratch = "memory:/manifest.avro";
    let mut writer = ManifestWriterBuilder::new(
        memory.new_output(scratch)?,
        Some(snapshot_id),
        Arc::clone(metadata.current_schema()),
        metadata.default_partition_spec().as_ref().clone(),
    )
    .build_v2_data();
    for file in files {
        writer.add_file(file, metadata.next_sequence_number())?;
    }
    let mut manifest = writer.write_manifest_file().await?;
    path.clone_into(&mut manifest.manifest_path);
    Ok((manifest, memory.new_input(scratch)?.read().await?))
}

async fn manifest_list(
    snapshot_id: i64,
    parent: Option<i64>,
    sequence_number: i64,
    manifests: Vec<ManifestFile>,
) -> iceberg::Result<Bytes> {
    let buffer = Buffer::default();
    let writer = Box::new(buffer.clone());
    let mut list = ManifestListWriter::v2(writer, snapshot_id, parent, sequence_number);
    list.add_manifests(manifests.into_iter())?;
    list.close().await?;
    Ok(buffer.take())
}

/// A file in memory.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Bytes {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *bytes).into()
    }
}

#[async_trait]
impl FileWrite for Buffer {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        Ok(())
    }
}

fn expire(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    let referenced = referenced(&metadata);
    let expired: Vec<i64> = metadata
        .snapshots()
        .map(|snapshot| snapshot.snapshot_id())
        .filter(|id| !referenced.contains(id))
        .collect();
    if expired.is_empty() {
        return false;
    }
    let before = reading::reachable(durable, &metadata).expect("what the table names can be read");
    commit(durable, action, location, metadata, |builder| {
        let builder = builder.remove_snapshots(&expired);
        let drop_statistics =
            |builder: TableMetadataBuilder, id: &i64| builder.remove_statistics(*id);
        Ok(expired.iter().fold(builder, drop_statistics))
    });
    let after = durable
        .pointer(&action.table)
        .and_then(|location| reading::metadata(durable, &location).ok())
        .and_then(|metadata| reading::reachable(durable, &metadata).ok())
        .unwrap_or_default();
    let dead: BTreeSet<String> = before.difference(&after).cloned().collect();
    for path in dead {
        durable.delete_as_foreign(&path);
    }
    true
}

/// The snapshots that refs name, `main` among them.
fn referenced(metadata: &TableMetadata) -> BTreeSet<i64> {
    let json = serde_json::to_value(metadata).expect("table metadata is valid JSON");
    let refs = json["refs"].as_object().into_iter().flatten();
    refs.filter_map(|(_, reference)| reference["snapshot-id"].as_i64())
        .collect()
}

/// The file of finished sources that a version of a table needs.
fn finished_file(metadata: &TableMetadata) -> Option<String> {
    let state = wire::decode(metadata.properties()).ok().flatten()?;
    state.finished.map(|file| file.path)
}

fn lose_finished(durable: &mut Durable, metadata: &TableMetadata) -> bool {
    let Some(path) = finished_file(metadata) else {
        return false;
    };
    durable.delete_as_foreign(&path);
    true
}

fn remove_orphans(durable: &mut Durable, action: &ForeignAction, metadata: &TableMetadata) -> bool {
    let named = reading::reachable(durable, metadata).expect("what the table names can be read");
    let locations = durable.history(&action.table).iter();
    let versions = locations.filter_map(|version| version.location.as_deref());
    let orphans: BTreeSet<String> = versions
        .filter_map(|location| reading::metadata(durable, location).ok())
        .filter_map(|metadata| finished_file(&metadata))
        .filter(|path| !named.contains(path) && durable.file(path).is_some())
        .collect();
    for path in &orphans {
        durable.delete_as_foreign(path);
    }
    !orphans.is_empty()
}

fn rollback(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    let parent = metadata
        .current_snapshot()
        .and_then(|snapshot| snapshot.parent_snapshot_id())
        .filter(|parent| metadata.snapshot_by_id(*parent).is_some());
    let Some(parent) = parent else {
        return false;
    };
    let main = SnapshotReference::new(parent, SnapshotRetention::branch(None, None, None));
    commit(durable, action, location, metadata, |builder| {
        builder.set_ref(MAIN_BRANCH, main)
    })
}

fn remove_state(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    let keys = metadata.properties().keys();
    let ours: Vec<String> = keys
        .filter(|key| key.starts_with("frazil."))
        .cloned()
        .collect();
    if ours.is_empty() {
        return false;
    }
    commit(durable, action, location, metadata, |builder| {
        builder.remove_properties(&ours)
    })
}

fn drop_column(
    durable: &mut Durable,
    action: &ForeignAction,
    location: &str,
    metadata: TableMetadata,
) -> bool {
    let fields = metadata.current_schema().as_struct().fields();
    let (Some((_, kept)), true) = (fields.split_last(), fields.len() > 1) else {
        return false;
    };
    let schema = Schema::builder()
        .with_fields(kept.iter().cloned())
        .build()
        .expect("a schema less its last column is one");
    commit(durable, action, location, metadata, |builder| {
        builder.add_current_schema(schema)
    })
}

fn recreate(
    durable: &mut Durable,
    action: &ForeignAction,
    metadata: &TableMetadata,
    like: bool,
) -> bool {
    let properties = if like {
        metadata.properties().clone()
    } else {
        HashMap::new()
    };
    let uuid = fresh_uuid(durable);
    let time = time_after(durable, metadata);
    let built = TableMetadataBuilder::new(
        metadata.current_schema().as_ref().clone(),
        metadata.default_partition_spec().as_ref().clone(),
        metadata.default_sort_order().as_ref().clone(),
        metadata.location().to_owned(),
        metadata.format_version(),
        properties,
    )
    .map(|builder| builder.assign_uuid(uuid))
    .and_then(TableMetadataBuilder::build)
    .expect("a schema that a table has makes a table")
    .metadata;
    durable.set_pointer(&action.table, None, actor(action));
    put_metadata(durable, action, &built, time);
    true
}

fn rewind(durable: &mut Durable, action: &ForeignAction, versions: usize) -> bool {
    let history = durable.history(&action.table);
    let Some(to) = history.len().checked_sub(versions + 1) else {
        return false;
    };
    let location = history[to].location.clone();
    durable.set_pointer(&action.table, location, actor(action));
    true
}
