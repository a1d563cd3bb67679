//! What the metastore is shown of a table's metadata beside the pointer.
//!
//! Nothing here decides anything: readers of Iceberg take all but the pointer from the metadata
//! file. It is what Iceberg's Java library keeps there, for `DESCRIBE`, for engines' optimizers and
//! for people who look into the metastore. Two things differ, so that a commit never fails for what
//! it only shows: a value that may not fit a column of the metastore's database is left out, and so
//! is frazil's own state, which at 1,000 sources takes some fifty rows, rewritten at every commit.

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;

use super::columns::{self, HiveColumn};
use crate::state::wire;

/// The parameter that holds the pointer.
pub(super) const METADATA_LOCATION: &str = "metadata_location";
/// The parameter that holds the last pointer.
pub(super) const PREVIOUS_METADATA_LOCATION: &str = "previous_metadata_location";
/// The parameter that says that a table is Iceberg's.
pub(super) const TABLE_TYPE: &str = "table_type";
/// Its value, in any case of letters.
pub(super) const ICEBERG: &str = "ICEBERG";
/// The parameter that says that Hive does not own the files. The table's type says so, too.
pub(super) const EXTERNAL: &str = "EXTERNAL";
/// The parameter by which Hive itself reads a table.
pub(super) const STORAGE_HANDLER: &str = "storage_handler";
const ICEBERG_STORAGE_HANDLER: &str = "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler";

/// The table property that lets Hive itself read the table.
const HIVE_ENGINE: &str = "engine.hive.enabled";
/// The table property that turns the lock of other writers off.
pub(super) const LOCK_ENABLED: &str = "engine.hive.lock-enabled";
/// The table property that names the table's owner in the metastore; no parameter.
pub(super) const OWNER: &str = "hive.metastore.table.owner";

/// The width of a parameter's name in every version of the metastore's database.
const PARAMETER_KEY_CHARS_MAX: usize = 256;

/// Properties under which Iceberg's own would change what the metastore itself reads.
const RESERVED: [&str; 6] = [
    METADATA_LOCATION,
    PREVIOUS_METADATA_LOCATION,
    TABLE_TYPE,
    EXTERNAL,
    STORAGE_HANDLER,
    OWNER,
];

/// What a commit changes of what the metastore shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// Parameters by name; None: to be removed.
    pub(super) parameters: BTreeMap<String, Option<String>>,
    /// The columns, where the commit changes them.
    pub(super) columns: Option<Vec<HiveColumn>>,
    /// The table's place, where the commit changes it.
    pub(super) location: Option<String>,
    /// How Hive itself is to read it, where the commit changes that.
    pub(super) formats: Option<Formats>,
}

/// The classes by which Hive reads a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Formats {
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    pub(super) serde: &'static str,
}

/// For tables that Hive itself does not read; any that exist will do.
pub(super) const NO_FORMATS: Formats = Formats {
    input: "org.apache.hadoop.mapred.FileInputFormat",
    output: "org.apache.hadoop.mapred.FileOutputFormat",
    serde: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
};

const ICEBERG_FORMATS: Formats = Formats {
    input: "org.apache.iceberg.mr.hive.HiveIcebergInputFormat",
    output: "org.apache.iceberg.mr.hive.HiveIcebergOutputFormat",
    serde: "org.apache.iceberg.mr.hive.HiveIcebergSerDe",
};

impl Mirror {
    /// What going from `base` (none: a new table) to `metadata` changes.
    pub(super) fn new(
        base: Option<&TableMetadata>,
        metadata: &TableMetadata,
        value_chars_max: usize,
    ) -> Self {
        let schema = metadata.current_schema();
        let columns = match base {
            Some(base) => columns::changed(base.current_schema(), schema),
            None => Some(columns::of(schema)),
        };
        let moved = base.is_none_or(|base| base.location() != metadata.location());
        let formats = base.is_none_or(|base| hive_engine(base) != hive_engine(metadata));
        Self {
            parameters: parameters(base, metadata, value_chars_max),
            columns,
            location: moved.then(|| metadata.location().to_string()),
            formats: formats.then(|| match hive_engine(metadata) {
                Some(true) => ICEBERG_FORMATS,
                _ => NO_FORMATS,
            }),
        }
    }
}

/// What the property says, if it is there: where it is not, other writers may have an opinion.
fn hive_engine(metadata: &TableMetadata) -> Option<bool> {
    let value = metadata.properties().get(HIVE_ENGINE)?;
    Some(value.eq_ignore_ascii_case("true"))
}

/// Whether the table tells its writers not to lock.
pub(super) fn locks_are_off(metadata: &TableMetadata) -> bool {
    metadata
        .properties()
        .get(LOCK_ENABLED)
        .is_some_and(|value| !value.eq_ignore_ascii_case("true"))
}

fn parameters(
    base: Option<&TableMetadata>,
    metadata: &TableMetadata,
    value_chars_max: usize,
) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for key in base.into_iter().flat_map(|base| base.properties().keys()) {
        all.insert(parameter_name(key).to_string(), None);
    }
    for (key, value) in metadata.properties() {
        all.insert(parameter_name(key).to_string(), Some(value.clone()));
    }
    all.retain(|key, _| !RESERVED.contains(&key.as_str()));
    let shown = statistics(metadata).into_iter().chain(definition(metadata));
    all.extend(shown.map(|(key, value)| (key.to_string(), value)));
    match hive_engine(metadata) {
        Some(true) => {
            let handler = Some(ICEBERG_STORAGE_HANDLER.to_string());
            all.insert(STORAGE_HANDLER.to_string(), handler);
        }
        Some(false) => {
            all.insert(STORAGE_HANDLER.to_string(), None);
        }
        None => {}
    }
    for (key, value) in &mut all {
        let fits = |value: &String| {
            // The width of a database's column, in characters or in UTF-16's units: the larger.
            value.encode_utf16().count() <= value_chars_max && !wire::is_ours(key)
        };
        if !value.as_ref().is_some_and(fits) {
            *value = None;
        }
    }
    all.retain(|key, _| key.encode_utf16().count() <= PARAMETER_KEY_CHARS_MAX);
    all.insert(TABLE_TYPE.to_string(), Some(ICEBERG.to_string()));
    all
}

/// The parameter's name of a property: a few have one of Hive's own.
fn parameter_name(property: &str) -> &str {
    match property {
        "gc.enabled" => "external.table.purge",
        other => other,
    }
}

/// What the current snapshot says of the table's size.
fn statistics(metadata: &TableMetadata) -> Vec<(&'static str, Option<String>)> {
    let snapshot = metadata.current_snapshot();
    let summary = snapshot.map(|snapshot| &snapshot.summary().additional_properties);
    let mut all = vec![(
        "snapshot-count",
        Some(metadata.snapshots().count().to_string()),
    )];
    for (key, of_summary) in [
        ("numFiles", "total-data-files"),
        ("numRows", "total-records"),
        ("totalSize", "total-files-size"),
    ] {
        if let Some(value) = summary.and_then(|summary| summary.get(of_summary)) {
            all.push((key, Some(value.clone())));
        }
    }
    let json = summary.map(|summary| {
        let sorted: BTreeMap<_, _> = summary.iter().collect();
        serde_json::to_string(&sorted).expect("keys and values are strings")
    });
    all.push((
        "current-snapshot-id",
        snapshot.map(|snapshot| snapshot.snapshot_id().to_string()),
    ));
    all.push((
        "current-snapshot-timestamp-ms",
        snapshot.map(|snapshot| snapshot.timestamp_ms().to_string()),
    ));
    all.push(("current-snapshot-summary", json));
    all
}

/// The table's definition.
fn definition(metadata: &TableMetadata) -> Vec<(&'static str, Option<String>)> {
    fn json(of: &impl serde::Serialize) -> Option<String> {
        serde_json::to_string(of).ok()
    }
    let spec = metadata.default_partition_spec();
    let order = metadata.default_sort_order();
    vec![
        ("uuid", Some(metadata.uuid().to_string())),
        ("current-schema", json(metadata.current_schema().as_ref())),
        (
            "default-partition-spec",
            (!spec.is_unpartitioned())
                .then(|| json(spec.as_ref()))
                .flatten(),
        ),
        (
            "default-sort-order",
            (!order.is_unsorted())
                .then(|| json(order.as_ref()))
                .flatten(),
        ),
    ]
}

#[cfg(test)]
mod tests;
