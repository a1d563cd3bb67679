//! Tables as the `iceberg` crate reads them, and what their manifests tell without reading a row.

use std::{cmp::Reverse, sync::Arc};

use iceberg::{
    NamespaceIdent, Runtime, TableIdent,
    spec::{
        Datum, Manifest, ManifestContentType, ManifestFile, PrimitiveLiteral, TableMetadata,
        TableMetadataRef, Transform,
    },
    table::Table,
};

use crate::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    snapshot,
    storage::iceberg_io,
};

const MICROS_A_DAY: i64 = 86_400_000_000;
const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// The table for a scan, by its current columns. Needs a Tokio runtime.
///
/// # Errors
/// Metadata that the crate does not read; no runtime.
pub fn readable(loaded: &LoadedTable) -> Result<Table, iceberg::Error> {
    let namespace = NamespaceIdent::from_vec(loaded.name.namespace.clone())?;
    Table::builder()
        .identifier(TableIdent::new(namespace, loaded.name.table.clone()))
        .metadata(by_current_schema(&loaded.metadata)?)
        .metadata_location(loaded.metadata_location.clone())
        .file_io(iceberg_io::file_io(Arc::clone(&loaded.storage)))
        .runtime(Runtime::try_current()?)
        .readonly(true)
        .build()
}

/// The metadata with its current snapshot under the current schema. The crate scans by the schema
/// that the snapshot was written with, in which a column that was added or renamed since is missing;
/// readers of Iceberg tables expect the current one. Only ever for reading: this is never written.
fn by_current_schema(metadata: &TableMetadataRef) -> Result<TableMetadataRef, iceberg::Error> {
    let current = metadata.current_schema_id();
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(Arc::clone(metadata));
    };
    if snapshot.schema_id().is_none_or(|id| id == current) {
        return Ok(Arc::clone(metadata));
    }
    let mut json = serde_json::to_value(metadata.as_ref())?;
    let snapshots = json
        .get_mut("snapshots")
        .and_then(|list| list.as_array_mut());
    for one in snapshots.into_iter().flatten() {
        if one["snapshot-id"] == snapshot.snapshot_id() {
            one["schema-id"] = current.into();
        }
    }
    Ok(Arc::new(serde_json::from_value::<TableMetadata>(json)?))
}

/// The newest time in a column of times, in microseconds since the epoch, as the data files' bounds tell it; those
/// that are later than `not_after` are passed over. `None` where no file tells one.
///
/// Of the manifests only those are read whose partitions may hold a later time than was found, the newest first. Rows
/// may have been deleted since: the bound is then a little late, or may be that of no row.
///
/// # Errors
/// A manifest cannot be read.
pub async fn newest_time(
    table: &LoadedTable,
    column: i32,
    not_after: i64,
) -> Result<Option<i64>, TableError> {
    let mut manifests: Vec<(i64, ManifestFile)> = snapshot::manifests(table)
        .await?
        .into_iter()
        .filter(|one| one.content == ManifestContentType::Data)
        .map(|one| (latest_of(table, &one, column), one))
        .collect();
    manifests.sort_by_key(|(latest, _)| Reverse(*latest));
    let mut newest = None;
    for (latest, manifest) in manifests {
        if newest.is_some_and(|newest| latest < newest) {
            break;
        }
        let path = &manifest.manifest_path;
        let bytes = table.storage.read(path).await;
        let bytes = bytes.map_err(|error| TableError::storage(&table.name, &error))?;
        let parsed = Manifest::parse_avro(&bytes).map_err(|error| {
            let reason = format!("its manifest {path} cannot be read: {error}");
            TableError::new(&table.name, TableErrorKind::Rejected, reason)
        })?;
        for entry in parsed.entries().iter().filter(|entry| entry.is_alive()) {
            let bound = entry.data_file().upper_bounds().get(&column);
            let bound = bound.and_then(micros).filter(|at| *at <= not_after);
            newest = newest.max(bound);
        }
    }
    Ok(newest)
}

fn micros(datum: &Datum) -> Option<i64> {
    match datum.literal() {
        PrimitiveLiteral::Long(micros) => Some(*micros),
        _ => None,
    }
}

/// A time after which no file of the manifest has one, by its partitions; the end of time where they do not tell.
fn latest_of(table: &LoadedTable, manifest: &ManifestFile, column: i32) -> i64 {
    let spec = table
        .metadata
        .partition_spec_by_id(manifest.partition_spec_id);
    let (Some(spec), Some(summaries)) = (spec, &manifest.partitions) else {
        return i64::MAX;
    };
    let fields = spec.fields().iter().zip(summaries);
    let latest = fields.filter_map(|(field, summary)| {
        if field.source_id != column {
            return None;
        }
        let bytes: &[u8] = summary.upper_bound.as_deref()?;
        match field.transform {
            Transform::Day => {
                let day = i64::from(i32::from_le_bytes(bytes.try_into().ok()?));
                Some((day + 1).saturating_mul(MICROS_A_DAY) - 1)
            }
            Transform::Hour => {
                let hour = i64::from(i32::from_le_bytes(bytes.try_into().ok()?));
                Some((hour + 1).saturating_mul(MICROS_AN_HOUR) - 1)
            }
            Transform::Identity => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
            _ => None,
        }
    });
    latest.min().unwrap_or(i64::MAX)
}
