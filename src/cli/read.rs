//! Tables as the `iceberg` crate reads them.

use std::sync::Arc;

use anyhow::Context as _;
use frazil_table::{
    catalog::LoadedTable,
    dead_letters::APPLIED,
    error::{TableError, TableErrorKind},
    state::{State, StateError, wire},
    storage::iceberg_io,
};
use iceberg::{
    NamespaceIdent, Runtime, TableIdent,
    spec::{TableMetadata, TableMetadataRef},
    table::Table,
};

/// The table for a scan, by its current columns. Needs a Tokio runtime.
pub(crate) fn scannable(loaded: &LoadedTable) -> anyhow::Result<Table> {
    let namespace = NamespaceIdent::from_vec(loaded.name.namespace.clone())?;
    Table::builder()
        .identifier(TableIdent::new(namespace, loaded.name.table.clone()))
        .metadata(by_current_schema(&loaded.metadata)?)
        .metadata_location(loaded.metadata_location.clone())
        .file_io(iceberg_io::file_io(Arc::clone(&loaded.storage)))
        .runtime(Runtime::try_current()?)
        .readonly(true)
        .build()
        .with_context(|| format!("read table {}", loaded.name))
}

/// The metadata with its current snapshot under the current schema. The crate scans by the schema
/// that the snapshot was written with, in which a column that was added or renamed since is missing;
/// readers of Iceberg tables expect the current one. Only ever for reading: this is never written.
fn by_current_schema(metadata: &TableMetadataRef) -> anyhow::Result<TableMetadataRef> {
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

/// What the table's state says, looked at and not judged; `None` where it has none.
pub(crate) fn state(table: &LoadedTable) -> Result<Option<State>, TableError> {
    wire::decode(table.metadata.properties()).map_err(|error| {
        let kind = match error {
            StateError::Newer { .. } => TableErrorKind::StateNewer,
            StateError::Damaged { .. } => TableErrorKind::StateDamaged,
        };
        TableError::new(&table.name, kind, error.to_string())
    })
}

/// How many lists of dead letters the table's outbox holds that `dead_letters` does not have yet. The
/// outbox itself is tidied by the table's next commit only.
pub(crate) fn outbox_pending(state: Option<&State>, dead_letters: Option<&LoadedTable>) -> u64 {
    let applied =
        dead_letters.and_then(|table| table.metadata.properties().get(APPLIED)?.parse().ok());
    let applied = applied.unwrap_or(0_u64);
    state.map_or(0, |state| {
        state
            .dead_letters
            .outbox
            .keys()
            .filter(|number| **number > applied)
            .count() as u64
    })
}
