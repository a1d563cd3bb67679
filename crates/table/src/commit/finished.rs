//! Finished sources between a table's state and the file that the state names.
//!
//! The file is written before the commit that names it, whole, under a name of its own that holds its
//! content's hash. Nobody deletes it, not even for an attempt that is certainly lost: orphan removal
//! takes those that no metadata names.
//!
//! What keeps it from other engines' clean-up is in [`Kept`].

use std::collections::{BTreeMap, BTreeSet};

use frazil_service::clock::Ids;
use iceberg::spec::TableMetadata;

use super::{Committer, OpenTable, attempts::Attempts};
use crate::{
    catalog::{LoadedTable, metadata_file},
    error::{TableError, TableErrorKind},
    snapshot::{KEPT_TAG, Kept, Ticket},
    state::{
        SourceState, State,
        finished::{self, FinishedFile},
        wire,
    },
    storage::StorageErrorKind,
};

impl Committer {
    /// All sources that an open table knows ([`all_sources`]). `None`: it moved on meanwhile, and must be
    /// opened again.
    ///
    /// # Errors
    /// As [`all_sources`].
    pub async fn sources(
        &self,
        open: &OpenTable,
    ) -> Result<Option<BTreeMap<u64, SourceState>>, TableError> {
        if !self.attempts.guards.finished {
            return Ok(Some(open.state.sources.clone()));
        }
        let sources = all_sources(&open.table, &open.state).await;
        unless_moved_on(&self.attempts, &open.table, sources).await
    }
}

/// All sources that a table knows: those of its state, and the finished ones of the file that the state
/// names.
///
/// # Errors
/// The file cannot be read. One that is gone, or is not what it was, is for a person to decide.
pub async fn all_sources(
    table: &LoadedTable,
    state: &State,
) -> Result<BTreeMap<u64, SourceState>, TableError> {
    let mut sources = match &state.finished {
        Some(file) => read(table, file).await?,
        None => BTreeMap::new(),
    };
    sources.extend(state.sources.clone());
    Ok(sources)
}

/// What came of reading a base's file. `None`: it is gone, and the table has moved on since: once
/// another commit names another file, expiry may have taken this one.
pub(crate) async fn unless_moved_on<T>(
    attempts: &Attempts,
    base: &LoadedTable,
    read: Result<T, TableError>,
) -> Result<Option<T>, TableError> {
    let error = match read {
        Ok(read) => return Ok(Some(read)),
        Err(error) if error.kind == TableErrorKind::FinishedSourcesLost => error,
        Err(error) => return Err(error),
    };
    let again = attempts.catalog.load(&base.name).await;
    let again = again.map_err(|e| TableError::catalog(&base.name, &e))?;
    // By its content's hash: another commit that names the same file does not bring it back.
    match again {
        Some(again) if named(&again) == named(base) => Err(error),
        _ => Ok(None),
    }
}

/// The file that a table's state names.
fn named(table: &LoadedTable) -> Option<FinishedFile> {
    wire::decode(table.metadata.properties()).ok()??.finished
}

/// Gives a table a file of its own, where its state names one of another table: that one's clean-up would delete
/// it, and this one's the other's.
pub(crate) async fn own(
    table: &LoadedTable,
    next: &mut State,
    ids: &dyn Ids,
) -> Result<(), TableError> {
    let folder = metadata_file::folder(&table.metadata);
    let Some(file) = next
        .finished
        .as_ref()
        .filter(|file| !file.path.starts_with(&format!("{folder}/")))
    else {
        return Ok(());
    };
    let all = read(table, file).await?;
    next.finished = Some(write(table, &all, ids).await?);
    Ok(())
}

/// Takes those of the wanted sources that are in the file back into the state: they go on.
pub(crate) async fn recall(
    table: &LoadedTable,
    state: &mut State,
    wanted: impl IntoIterator<Item = u64>,
) -> Result<(), TableError> {
    let Some(file) = &state.finished else {
        return Ok(());
    };
    let missing: Vec<u64> = wanted
        .into_iter()
        .filter(|id| !state.sources.contains_key(id))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut finished = read(table, file).await?;
    for id in missing {
        if let Some(source) = finished.remove(&id) {
            state.sources.insert(id, source);
        }
    }
    Ok(())
}

/// Moves the finished sources of a state that a commit is about to make to a new file, once there
/// are more than so many of them.
pub(crate) async fn move_out(
    table: &LoadedTable,
    next: &mut State,
    by: uuid::Uuid,
    sources_max: usize,
    ids: &dyn Ids,
) -> Result<(), TableError> {
    let moved = finished::take(next, by, sources_max);
    if moved.is_empty() {
        return Ok(());
    }
    let mut all = match &next.finished {
        Some(file) => read(table, file).await?,
        None => BTreeMap::new(),
    };
    // What came back goes on, and what the file said of it is over.
    all.retain(|id, _| !next.sources.contains_key(id));
    all.extend(moved);
    next.finished = Some(write(table, &all, ids).await?);
    Ok(())
}

/// Takes sources that are to be forgotten out of the file, too.
pub(crate) async fn forget(
    table: &LoadedTable,
    next: &mut State,
    forgotten: &BTreeSet<u64>,
    ids: &dyn Ids,
) -> Result<(), TableError> {
    let Some(file) = &next.finished else {
        return Ok(());
    };
    let mut all = read(table, file).await?;
    let before = all.len();
    all.retain(|id, _| !forgotten.contains(id));
    if all.is_empty() {
        next.finished = None;
    } else if all.len() < before {
        next.finished = Some(write(table, &all, ids).await?);
    }
    Ok(())
}

/// What the next snapshot must do that the state's file stays: nothing where it is kept already.
pub(crate) fn keep(
    base: &TableMetadata,
    next: &State,
    ticket: &Ticket,
    attempts: &Attempts,
) -> Option<Kept> {
    let file = next.finished.as_ref().filter(|_| attempts.guards.kept)?;
    let is_kept = base
        .snapshot_for_ref(KEPT_TAG)
        .and_then(|snapshot| base.statistics_for_snapshot(snapshot.snapshot_id()))
        .is_some_and(|statistics| statistics.statistics_path == file.path);
    if is_kept {
        return None;
    }
    let ids = &attempts.tickets.ids;
    let mut snapshot_id = ids.snapshot_id();
    while snapshot_id == ticket.snapshot_id || base.snapshot_by_id(snapshot_id).is_some() {
        snapshot_id = ids.snapshot_id();
    }
    Some(Kept {
        snapshot_id,
        file: file.clone(),
    })
}

/// The sources that the file holds.
pub(crate) async fn read(
    table: &LoadedTable,
    file: &FinishedFile,
) -> Result<BTreeMap<u64, SourceState>, TableError> {
    let bytes = match table.storage.read(&file.path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == StorageErrorKind::NotFound => {
            return Err(lost(table, file, "it is gone"));
        }
        Err(error) => return Err(TableError::storage(&table.name, &error)),
    };
    file.decode(&bytes)
        .map_err(|reason| lost(table, file, &reason))
}

async fn write(
    table: &LoadedTable,
    sources: &BTreeMap<u64, SourceState>,
    ids: &dyn Ids,
) -> Result<FinishedFile, TableError> {
    let encoded = finished::encode(sources);
    // Never over one that is there: a write that breaks off would leave half of a file that a table names.
    let file = FinishedFile::of(
        &encoded,
        &metadata_file::folder(&table.metadata),
        ids.uuid(),
    );
    let written = table.storage.write(&file.path, encoded.bytes.into()).await;
    written.map_err(|error| TableError::storage(&table.name, &error))?;
    Ok(file)
}

fn lost(table: &LoadedTable, file: &FinishedFile, reason: &str) -> TableError {
    TableError::new(
        &table.name,
        TableErrorKind::FinishedSourcesLost,
        format!(
            "the file that lists {} of its sources, those that were read to their end, cannot be used: {}: \
             {reason}; bring it back from a copy, or forget these sources with `frazil offsets set DATASET \
             --accept-history`: those that are met again are then read again from their beginning",
            file.sources, file.path
        ),
    )
}
