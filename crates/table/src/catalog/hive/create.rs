//! New tables in the metastore.
//!
//! A metastore makes a table at most once under a name, in all versions: no lock is needed.

use hive_metastore::{FieldSchema, SerDeInfo, StorageDescriptor, Table};
use iceberg::spec::TableMetadata;
use pilota::{AHashMap, FastStr};

use super::{
    columns::{self, HiveColumn},
    metastore::{Metastore, Target},
    mirror::{EXTERNAL, ICEBERG, METADATA_LOCATION, Mirror, NO_FORMATS, OWNER, TABLE_TYPE},
    server::{Failure, Made, text},
    swap::refusal,
};
use crate::catalog::pointer::SwapOutcome;

/// Makes the table, whose database exists.
pub(super) async fn create(
    metastore: &Metastore,
    target: &Target,
    new: &str,
    metadata: Option<&TableMetadata>,
) -> SwapOutcome {
    let mut there = match metastore.read(target).await {
        Ok(read) => read,
        Err(error) => return SwapOutcome::NotSent(error.reason().to_string()),
    };
    let exists = || SwapOutcome::Conflict(format!("table {} was made meanwhile", target.name));
    if there.table.is_some() {
        return exists();
    }
    let asked = metastore.zoned_timestamps(there.server, &mut there.connection);
    let zoned = match asked.await {
        Ok(zoned) => zoned,
        Err(reason) => return SwapOutcome::NotSent(reason),
    };
    let chars_max = metastore.options.parameter_value_chars_max;
    let mut mirror = metadata.map(|metadata| Mirror::new(None, metadata, chars_max));
    if let Some(columns) = mirror.as_mut().and_then(|mirror| mirror.columns.as_mut())
        && !zoned
    {
        columns::forget_zones(columns);
    }
    let owner = metadata.and_then(|metadata| metadata.properties().get(OWNER));
    let owner = owner.map_or(metastore.user(), String::as_str);
    let table = definition(metastore, target, new, mirror.as_ref(), owner);
    let made = metastore.servers[there.server].create_table(table).await;
    let reason = match made {
        Ok(Made::Exists) => return exists(),
        Ok(Made::Made) => "the metastore said that it was made, and does not have it".to_string(),
        Err(Failure::Refused(message)) => {
            return match pointer(metastore, target).await {
                Ok(None) => refusal(&message, false),
                Ok(Some(now)) if now == new => SwapOutcome::Swapped,
                Ok(Some(_)) => exists(),
                Err(error) => SwapOutcome::Unknown(error.reason().to_string()),
            };
        }
        Err(Failure::Lost(reason)) => reason,
    };
    match pointer(metastore, target).await {
        Ok(Some(now)) if now == new => SwapOutcome::Swapped,
        Ok(Some(_)) => exists(),
        // It may be made yet.
        Ok(None) => SwapOutcome::Unknown(reason),
        Err(error) => SwapOutcome::Unknown(error.reason().to_string()),
    }
}

async fn pointer(metastore: &Metastore, target: &Target) -> Result<Option<String>, Failure> {
    let read = metastore.read(target).await?;
    Ok(read
        .table
        .map(|table| table.pointer().unwrap_or_default().to_string()))
}

fn definition(
    metastore: &Metastore,
    target: &Target,
    new: &str,
    mirror: Option<&Mirror>,
    owner: &str,
) -> Table {
    let seconds = metastore.clock.now_millis() / 1_000;
    let created = i32::try_from(seconds).unwrap_or(i32::MAX);
    let of_mirror = mirror.iter().flat_map(|mirror| &mirror.parameters);
    let mut parameters: std::collections::BTreeMap<&str, &str> = of_mirror
        .filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)))
        .collect();
    parameters.insert(TABLE_TYPE, ICEBERG);
    parameters.insert(EXTERNAL, "TRUE");
    parameters.insert(METADATA_LOCATION, new);
    Table {
        table_name: Some(text(&target.table)),
        db_name: Some(text(&target.database)),
        owner: Some(text(owner)),
        create_time: Some(created),
        last_access_time: Some(created),
        retention: Some(i32::MAX),
        sd: Some(storage(new, mirror)),
        partition_keys: Some(Vec::new()),
        parameters: Some(
            parameters
                .into_iter()
                .map(|(key, value)| (text(key), text(value)))
                .collect(),
        ),
        table_type: Some(FastStr::from_static_str("EXTERNAL_TABLE")),
        ..Default::default()
    }
}

fn storage(new: &str, mirror: Option<&Mirror>) -> StorageDescriptor {
    let location = match mirror.and_then(|mirror| mirror.location.as_deref()) {
        Some(location) => location,
        // The folder above that of the metadata files.
        None => new.rsplitn(3, '/').nth(2).unwrap_or(new),
    };
    let columns = mirror.and_then(|mirror| mirror.columns.as_deref());
    let formats = mirror
        .and_then(|mirror| mirror.formats)
        .unwrap_or(NO_FORMATS);
    StorageDescriptor {
        cols: Some(columns.unwrap_or_default().iter().map(column).collect()),
        location: Some(text(location)),
        input_format: Some(text(formats.input)),
        output_format: Some(text(formats.output)),
        serde_info: Some(SerDeInfo {
            serialization_lib: Some(text(formats.serde)),
            parameters: Some(AHashMap::default()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn column(column: &HiveColumn) -> FieldSchema {
    FieldSchema {
        name: Some(text(&column.name)),
        r#type: Some(text(&column.hive_type)),
        comment: column.comment.as_deref().map(text),
    }
}
