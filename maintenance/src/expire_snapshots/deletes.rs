//! The file that lists what waits to be deleted, and its deletion.

use bytes::Bytes;
use frazil_table::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    maintenance::PendingDeletes,
    storage::StorageErrorKind,
};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::reach::{Needed, storage_error};

/// Files that are deleted at a time.
const DELETES_AT_A_TIME: usize = 16;

/// The version of lists.
const VERSION: u64 = 1;

/// What a list may be when it is decompressed. Ten million paths are about so long.
const LIST_BYTES_MAX: usize = 4 << 30;

/// What a list holds.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    version: u64,
    table: Uuid,
    files: Vec<String>,
}

/// Writes a list under that path.
pub(super) async fn write(
    table: &LoadedTable,
    path: &str,
    files: Vec<String>,
) -> Result<(), TableError> {
    let list = List {
        version: VERSION,
        table: table.metadata.uuid(),
        files,
    };
    let json = serde_json::to_vec(&list).expect("paths are plain");
    let bytes = zstd::bulk::compress(&json, 1).map_err(|error| {
        let reason = format!("the list of files to delete cannot be compressed: {error}");
        TableError::new(&table.name, TableErrorKind::Storage, reason)
    })?;
    let written = table.storage.write(path, Bytes::from(bytes)).await;
    written.map_err(|error| storage_error(table, &error))
}

/// The paths of a list; `None` where it is gone.
pub(super) async fn read(
    table: &LoadedTable,
    pending: &PendingDeletes,
) -> Result<Option<Vec<String>>, TableError> {
    let bytes = match table.storage.read(&pending.list).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(storage_error(table, &error)),
    };
    let damaged = |reason: String| {
        TableError::new(
            &table.name,
            TableErrorKind::StateDamaged,
            format!(
                "the list {} of files that wait to be deleted cannot be used: {reason}; delete it: the files are \
                 then found by `frazil-maintenance remove-orphan-files`",
                pending.list
            ),
        )
    };
    let json =
        decompressed(&bytes).map_err(|error| damaged(format!("it is not compressed: {error}")))?;
    let list: List = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    if list.version != VERSION || list.table != table.metadata.uuid() {
        return Err(damaged(
            "it is another table's, or a newer frazil's".to_owned(),
        ));
    }
    Ok(Some(list.files))
}

fn decompressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut json = Vec::new();
    let limit = LIST_BYTES_MAX as u64 + 1;
    zstd::Decoder::new(bytes)?
        .take(limit)
        .read_to_end(&mut json)?;
    if json.len() > LIST_BYTES_MAX {
        return Err(std::io::Error::other("it is longer than any list"));
    }
    Ok(json)
}

/// Deletes those of the files that are not needed, and gives how many there were and how many stayed. A file that is
/// gone already counts as deleted.
pub(super) async fn delete(
    table: &LoadedTable,
    files: &[String],
    needed: &Needed,
) -> Result<(u64, u64), TableError> {
    let (spared, dead): (Vec<_>, Vec<_>) = files.iter().partition(|path| needed.contains(path));
    for path in &spared {
        tracing::warn!(table = %table.name, path, "is needed again, and is not deleted");
    }
    let mut deletions = stream::iter(dead.iter().map(|path| table.storage.delete(path)))
        .buffer_unordered(DELETES_AT_A_TIME);
    let mut failed = None;
    while let Some(deleted) = deletions.next().await {
        failed = failed.or(deleted.err());
    }
    match failed {
        Some(error) => Err(storage_error(table, &error)),
        None => Ok((dead.len() as u64, spared.len() as u64)),
    }
}
