//! Table metadata files: their names, and their contents as bytes.
//!
//! Iceberg's table specification, "Table Metadata" and "Metadata file naming"; names are
//! `<version>-<uuid>.metadata.json`, as other writers of pointer catalogs make them.

use std::sync::Arc;

use iceberg::spec::TableMetadata;
use serde_json::Value;
use uuid::Uuid;

use crate::storage::{Storage, StorageError, iceberg_io};

/// The table property that puts metadata files elsewhere.
const METADATA_PATH: &str = "write.metadata.path";

/// The folder of the table's metadata files, manifest lists and manifests, without a last slash.
pub fn folder(metadata: &TableMetadata) -> String {
    match metadata.properties().get(METADATA_PATH) {
        Some(path) => path.trim_end_matches('/').to_string(),
        None => format!("{}/metadata", metadata.location()),
    }
}

/// Where a metadata file of that version goes.
pub(crate) fn location(metadata: &TableMetadata, version: u64, id: Uuid) -> String {
    format!("{}/{version:05}-{id}.metadata.json", folder(metadata))
}

/// The version in a metadata file's name: 7 in `00007-<uuid>.metadata.json` and in
/// `v7.metadata.json`; 0 in a name that has none. It only makes the next name readable: the uuid
/// keeps names apart.
pub(crate) fn version(location: &str) -> u64 {
    let name = location.rsplit('/').next().unwrap_or(location);
    let name = name.strip_prefix('v').unwrap_or(name);
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    name[..digits].parse().unwrap_or(0)
}

/// Reads a metadata file, compressed by gzip or not. The inner error says why what was read is no
/// metadata.
pub(crate) async fn read(
    storage: &Arc<dyn Storage>,
    location: &str,
) -> Result<Result<TableMetadata, String>, StorageError> {
    let bytes = storage.read(location).await?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    }
    // The crate keeps its decompression to itself; compressed metadata is rare enough to read again.
    let io = iceberg_io::file_io(Arc::clone(storage));
    match TableMetadata::read_from(&io, location).await {
        Ok(metadata) => Ok(Ok(metadata)),
        Err(error) => match iceberg_io::storage_cause(&error) {
            Some(storage) => Err(storage),
            None => Ok(Err(error.to_string())),
        },
    }
}

/// The metadata as JSON, in one order: what the crate keeps in hash maps is sorted, so that the
/// same metadata gives the same bytes.
pub(crate) fn to_json(metadata: &TableMetadata) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = serde_json::to_value(metadata)?;
    sort_by_number(&mut value, "snapshots", "sequence-number");
    sort_by_number(&mut value, "schemas", "schema-id");
    sort_by_number(&mut value, "partition-specs", "spec-id");
    sort_by_number(&mut value, "sort-orders", "order-id");
    serde_json::to_vec(&value)
}

/// A thousand years, in milliseconds. See [`long_ago`].
const LONG_MS: i64 = 31_557_600_000_000;

/// The logs of metadata, whose entries have times.
const LOGS: [&str; 2] = ["snapshot-log", "metadata-log"];

/// The metadata as if it had been written a thousand years earlier.
///
/// Where no snapshot is added, the crate's builder takes the machine's clock for the update, and
/// refuses one that is behind the metadata's times. On metadata of long ago it refuses none, and what
/// is new is told apart by [`as_of`].
pub(crate) fn long_ago(metadata: &TableMetadata) -> Result<TableMetadata, serde_json::Error> {
    let mut value = serde_json::to_value(metadata)?;
    if let Some(time) = value["last-updated-ms"].as_i64() {
        value["last-updated-ms"] = (time - LONG_MS).into();
    }
    for_each_logged(&mut value, &mut |time| time - LONG_MS);
    serde_json::from_value(value)
}

/// Metadata that was built on that of [`long_ago`], with the times that it should have: those of
/// `base` as they were, `now_ms` for what is new. Without a base all is new.
pub(crate) fn as_of(
    metadata: &TableMetadata,
    base: Option<&TableMetadata>,
    now_ms: i64,
) -> Result<TableMetadata, serde_json::Error> {
    let newest = base.map_or(i64::MIN, |base| {
        let logged = base.history().iter().map(|log| log.timestamp_ms);
        let versions = base.metadata_log().iter().map(|log| log.timestamp_ms);
        logged
            .chain(versions)
            .fold(base.last_updated_ms(), i64::max)
            - LONG_MS
    });
    let mut value = serde_json::to_value(metadata)?;
    value["last-updated-ms"] = now_ms.into();
    for_each_logged(&mut value, &mut |time| {
        if time <= newest {
            time + LONG_MS
        } else {
            now_ms
        }
    });
    serde_json::from_value(value)
}

fn for_each_logged(metadata: &mut Value, change: &mut dyn FnMut(i64) -> i64) {
    for log in LOGS {
        let Some(entries) = metadata.get_mut(log).and_then(Value::as_array_mut) else {
            continue;
        };
        for entry in entries {
            if let Some(time) = entry["timestamp-ms"].as_i64() {
                entry["timestamp-ms"] = change(time).into();
            }
        }
    }
}

fn sort_by_number(metadata: &mut Value, list: &str, key: &str) {
    if let Some(items) = metadata.get_mut(list).and_then(Value::as_array_mut) {
        items.sort_by_key(|item| item.get(key).and_then(Value::as_i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::local::LocalStorage;

    #[test]
    fn versions_are_read_from_own_and_foreign_names() {
        for (name, expected) in [
            (
                "file:///w/t/metadata/00007-8d2e5c9e-0000-7000-8000-000000000000.metadata.json",
                7,
            ),
            ("s3://b/t/metadata/12345678-x.gz.metadata.json", 12_345_678),
            ("file:///w/t/metadata/v3.metadata.json", 3),
            ("file:///w/t/metadata/v3.gz.metadata.json", 3),
            ("file:///w/t/metadata/table.metadata.json", 0),
            ("99999999999999999999999-x.metadata.json", 0),
            ("", 0),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_metadata_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let root = LocalStorage::uri(folder.path()).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new());
        for (number, bytes) in [&b"{}"[..], &[0x1f, 0x8b, 0, 0], b""]
            .into_iter()
            .enumerate()
        {
            let path = format!("{root}/{number}");
            storage
                .write(&path, bytes::Bytes::copy_from_slice(bytes))
                .await
                .unwrap();
            assert!(read(&storage, &path).await.unwrap().is_err());
        }
        assert!(read(&storage, &format!("{root}/none")).await.is_err());
    }
}
