//! Before a session: the tables are there, have the dataset's columns, and no dead letters wait.

use frazil_dataset::Dataset;
use frazil_table::{
    catalog::Creation,
    commit::{Committer, OpenTable},
    error::{TableError, TableErrorKind},
    schema,
};
use iceberg::spec::{NestedFieldRef, TableMetadata};
use uuid::Uuid;

use super::WriteError;

/// Attempts to add a column, each lost to another writer who changes the schema.
const SCHEMA_ATTEMPTS_MAX: u32 = 8;

/// The dataset's table with its state: made where it is missing, its outbox handed over, its
/// missing columns added. Where `uuid` is given it must be that one.
pub(super) async fn prepare(
    committer: &Committer,
    dataset: &Dataset,
    uuid: Option<Uuid>,
) -> Result<OpenTable, WriteError> {
    let mut open = match (committer.open(&dataset.table).await?, uuid) {
        (Some(open), None) => open,
        (Some(open), Some(uuid)) if open.table.metadata.uuid() == uuid => open,
        (Some(_), Some(_)) => return Err(TableError::recreated(&dataset.table).into()),
        (None, Some(_)) => return Err(TableError::gone(&dataset.table).into()),
        (None, None) => committer.create(&dataset.table, creation(dataset)?).await?,
    };
    for _ in 0..SCHEMA_ATTEMPTS_MAX {
        let last_column_id = open.table.metadata.last_column_id();
        let missing = schema::reconcile(
            dataset,
            open.table.metadata.current_schema(),
            last_column_id,
        )?;
        if missing.is_empty() {
            committer.apply_outbox(&dataset.table).await?;
            return reopen(committer, dataset).await;
        }
        check_dropped(dataset, &open.table.metadata, &missing)?;
        let names: Vec<&str> = missing.iter().map(|field| field.name.as_str()).collect();
        tracing::info!(table = %dataset.table, columns = names.join(", "), "adding columns of the dataset file that the table lacks");
        committer.add_columns(&open.table, &missing).await?;
        open = reopen(committer, dataset).await?;
    }
    Err(WriteError::unfit(
        &dataset.table,
        "others keep changing its schema; start again",
    ))
}

/// A required column that the table once had was taken out by someone's decision, which adding it again
/// would undo in silence.
fn check_dropped(
    dataset: &Dataset,
    metadata: &TableMetadata,
    missing: &[NestedFieldRef],
) -> Result<(), TableError> {
    let required = |name: &str| {
        let mut columns = dataset.columns.iter();
        columns.any(|column| column.required && column.name == name)
    };
    let was_there = |name: &str| {
        let mut schemas = metadata.schemas_iter();
        schemas.any(|schema| schema.as_struct().field_by_name(name).is_some())
    };
    let dropped = missing
        .iter()
        .find(|field| required(&field.name) && was_there(&field.name));
    let Some(field) = dropped else {
        return Ok(());
    };
    Err(TableError::new(
        &dataset.table,
        TableErrorKind::ColumnDropped,
        format!(
            "its column `{0}`, which the dataset file requires, was dropped; take it out of `columns`, or add it \
             to the table again (in Spark: ALTER TABLE {1} ADD COLUMN {0} …), empty in the rows that are there",
            field.name, dataset.table
        ),
    ))
}

async fn reopen(committer: &Committer, dataset: &Dataset) -> Result<OpenTable, WriteError> {
    let open = committer.open(&dataset.table).await?;
    open.ok_or_else(|| WriteError::unfit(&dataset.table, "it was dropped just now; start again"))
}

fn creation(dataset: &Dataset) -> Result<Creation, WriteError> {
    let table_schema = schema::table_schema(dataset)?;
    Ok(Creation {
        partition_spec: schema::partition_spec(dataset, &table_schema)?,
        sort_order: schema::sort_order(dataset, &table_schema)?,
        schema: table_schema,
        properties: schema::table_properties(dataset),
    })
}
