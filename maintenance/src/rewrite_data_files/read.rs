//! The rows of a data file, by the table's current columns.

use std::sync::Arc;

use arrow_array::RecordBatch;
use frazil_table::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    storage::iceberg_io,
};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use iceberg::{
    Runtime,
    arrow::ArrowReaderBuilder,
    scan::FileScanTask,
    spec::{DataFileFormat, NameMapping},
};

use crate::files::LiveFile;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// The property that gives field ids to files that have none.
const NAME_MAPPING: &str = "schema.name-mapping.default";

/// Rows of a data file, batch by batch.
pub(super) type Rows = BoxStream<'static, Result<RecordBatch, TableError>>;

/// Opens a data file from which no rows were deleted.
pub(super) fn rows(table: &LoadedTable, file: &LiveFile) -> Result<Rows, TableError> {
    let name = table.name.clone();
    let path = file.path.clone();
    let failed = move |error: iceberg::Error| {
        let reason = match iceberg_io::storage_cause(&error) {
            Some(storage) => format!("failed to {storage}"),
            None => format!("failed to read {path}: {error}"),
        };
        TableError::new(&name, TableErrorKind::Storage, reason)
    };
    let runtime = Runtime::try_current().map_err(&failed)?;
    let io = iceberg_io::file_io(Arc::clone(&table.storage));
    // A reader a file: the crate's may wait for ever where several share one.
    let reader = ArrowReaderBuilder::new(io, runtime)
        .with_batch_size(BATCH_ROWS)
        .with_data_file_concurrency_limit(1)
        .build();
    let task = task(table, file).map_err(&failed)?;
    let tasks = futures::stream::iter([Ok(task)]).boxed();
    let scan = reader.read(tasks).map_err(&failed)?;
    Ok(scan.stream().map_err(failed).boxed())
}

fn task(table: &LoadedTable, file: &LiveFile) -> iceberg::Result<FileScanTask> {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let fields = schema.as_struct().fields().iter();
    let mapping = metadata.properties().get(NAME_MAPPING);
    let mapping = mapping
        .map(|json| serde_json::from_str::<NameMapping>(json).map(Arc::new))
        .transpose()?;
    Ok(FileScanTask::builder()
        .with_file_size_in_bytes(file.bytes)
        .with_start(0)
        .with_length(file.bytes)
        .with_record_count(Some(file.rows))
        .with_data_file_path(file.path.clone())
        .with_data_file_format(DataFileFormat::Parquet)
        .with_schema(Arc::clone(schema))
        .with_project_field_ids(fields.map(|field| field.id).collect())
        .with_partition(Some(file.partition.clone()))
        .with_partition_spec(metadata.partition_spec_by_id(file.spec_id).cloned())
        .with_name_mapping(mapping)
        .with_case_sensitive(true)
        .build())
}
