//! A table as the metastore keeps it: what is ours to change is changed in place, all else stays as
//! it came, known to us or not.

use std::collections::BTreeMap;

use super::{
    columns::HiveColumn,
    mirror::{Formats, ICEBERG, METADATA_LOCATION, Mirror, PREVIOUS_METADATA_LOCATION, TABLE_TYPE},
    thrift::{Fields, Value, field, kind},
};
use crate::state::wire;

/// Ids of fields, which Hive has never changed.
mod id {
    pub(super) mod table {
        pub(crate) const STORAGE: i16 = 7;
        pub(crate) const PARTITION_KEYS: i16 = 8;
        pub(crate) const PARAMETERS: i16 = 9;
    }
    pub(super) mod storage {
        pub(crate) const COLUMNS: i16 = 1;
        pub(crate) const LOCATION: i16 = 2;
        pub(crate) const INPUT_FORMAT: i16 = 3;
        pub(crate) const OUTPUT_FORMAT: i16 = 4;
        pub(crate) const SERDE: i16 = 7;
    }
    pub(super) mod column {
        pub(crate) const NAME: i16 = 1;
        pub(crate) const TYPE: i16 = 2;
        pub(crate) const COMMENT: i16 = 3;
    }
    pub(super) const SERDE_CLASS: i16 = 2;
}

/// A table of the metastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HiveTable(Fields);

impl HiveTable {
    /// The table in a reply to `get_table_req`.
    pub(super) fn of_result(result: Fields) -> Option<Self> {
        let Value::Struct(result) = take(result, 0)? else {
            return None;
        };
        match take(result, 1)? {
            Value::Struct(table) => Some(Self(table)),
            _ => None,
        }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Struct(self.0)
    }

    /// A parameter; None where there is none, or one that is no text.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let Some(Value::Map(_, _, pairs)) = field(&self.0, id::table::PARAMETERS) else {
            return None;
        };
        pairs.iter().find_map(|(key, value)| match (key, value) {
            (Value::Bytes(key), Value::Bytes(value)) if key == name.as_bytes() => {
                std::str::from_utf8(value).ok()
            }
            _ => None,
        })
    }

    /// Whether it is a table of Iceberg's.
    pub(super) fn is_iceberg(&self) -> bool {
        self.parameter(TABLE_TYPE)
            .is_some_and(|found| found.eq_ignore_ascii_case(ICEBERG))
    }

    /// The current metadata file.
    pub(super) fn pointer(&self) -> Option<&str> {
        self.parameter(METADATA_LOCATION)
    }

    /// Moves the pointer.
    pub(super) fn point_to(&mut self, expected: &str, new: &str) {
        self.set_parameters(&BTreeMap::from([
            (METADATA_LOCATION.to_string(), Some(new.to_string())),
            (
                PREVIOUS_METADATA_LOCATION.to_string(),
                Some(expected.to_string()),
            ),
        ]));
    }

    /// Shows what a commit changes.
    pub(super) fn show(&mut self, mirror: &Mirror) {
        self.set_parameters(&mirror.parameters);
        // A state that another writer copied here is out of date from now on.
        if let Value::Map(_, _, pairs) = self.parameters() {
            pairs.retain(|(key, _)| {
                !matches!(key, Value::Bytes(key) if std::str::from_utf8(key).is_ok_and(wire::is_ours))
            });
        }
        if let Some(columns) = &mirror.columns {
            self.set_columns(columns);
        }
        if let Some(location) = &mirror.location {
            set(self.storage(), id::storage::LOCATION, Value::text(location));
        }
        if let Some(formats) = mirror.formats {
            self.set_formats(formats);
        }
    }

    /// Adds a partition key, which no metastore lets an alter do.
    pub(super) fn add_partition_key(&mut self, name: &str) {
        let keys = entry(&mut self.0, id::table::PARTITION_KEYS, || {
            Value::List(kind::STRUCT, Vec::new())
        });
        if let Value::List(_, keys) = keys {
            keys.push(Value::Struct(vec![
                (id::column::NAME, Value::text(name)),
                (id::column::TYPE, Value::text("string")),
            ]));
        }
    }

    fn parameters(&mut self) -> &mut Value {
        entry(&mut self.0, id::table::PARAMETERS, || Value::texts([]))
    }

    fn set_parameters(&mut self, changes: &BTreeMap<String, Option<String>>) {
        let parameters = self.parameters();
        if !matches!(parameters, Value::Map(kind::BYTES, kind::BYTES, _)) {
            *parameters = Value::texts([]);
        }
        let Value::Map(_, _, pairs) = parameters else {
            unreachable!("it is a map since the line before");
        };
        pairs.retain(|(key, _)| {
            !matches!(key, Value::Bytes(key)
                if std::str::from_utf8(key).is_ok_and(|key| changes.contains_key(key)))
        });
        for (key, value) in changes {
            if let Some(value) = value {
                pairs.push((Value::text(key), Value::text(value)));
            }
        }
    }

    fn storage(&mut self) -> &mut Fields {
        let storage = entry(
            &mut self.0,
            id::table::STORAGE,
            || Value::Struct(Vec::new()),
        );
        fields_of(storage)
    }

    /// The new columns. One that stays what it was is kept as another client worded it.
    fn set_columns(&mut self, columns: &[HiveColumn]) {
        let storage = self.storage();
        let old = match field(storage, id::storage::COLUMNS) {
            Some(Value::List(_, old)) => old.clone(),
            _ => Vec::new(),
        };
        let new = columns
            .iter()
            .map(|column| {
                let kept = old.iter().find_map(|old| match old {
                    Value::Struct(fields) if is_same(fields, column) => Some(old.clone()),
                    _ => None,
                });
                kept.unwrap_or_else(|| {
                    let mut fields = vec![
                        (id::column::NAME, Value::text(&column.name)),
                        (id::column::TYPE, Value::text(&column.hive_type)),
                    ];
                    if let Some(comment) = &column.comment {
                        fields.push((id::column::COMMENT, Value::text(comment)));
                    }
                    Value::Struct(fields)
                })
            })
            .collect();
        set(
            storage,
            id::storage::COLUMNS,
            Value::List(kind::STRUCT, new),
        );
    }

    fn set_formats(&mut self, formats: Formats) {
        let storage = self.storage();
        set(
            storage,
            id::storage::INPUT_FORMAT,
            Value::text(formats.input),
        );
        set(
            storage,
            id::storage::OUTPUT_FORMAT,
            Value::text(formats.output),
        );
        let serde = entry(storage, id::storage::SERDE, || Value::Struct(Vec::new()));
        set(
            fields_of(serde),
            id::SERDE_CLASS,
            Value::text(formats.serde),
        );
    }
}

/// Whether the metastore's column is that one, which has not changed. Hive keeps names in lower case.
fn is_same(fields: &Fields, column: &HiveColumn) -> bool {
    let name = column.name.as_bytes();
    column.unchanged
        && matches!(field(fields, id::column::NAME), Some(Value::Bytes(found)) if found.eq_ignore_ascii_case(name))
}

fn take(fields: Fields, id: i16) -> Option<Value> {
    fields
        .into_iter()
        .find_map(|(found, value)| (found == id).then_some(value))
}

/// The field of that id, which is made where it is missing.
fn entry(fields: &mut Fields, id: i16, missing: impl FnOnce() -> Value) -> &mut Value {
    let found = fields.iter().position(|(found, _)| *found == id);
    let index = found.unwrap_or_else(|| {
        fields.push((id, missing()));
        fields.len() - 1
    });
    &mut fields[index].1
}

fn set(fields: &mut Fields, id: i16, value: Value) {
    *entry(fields, id, || Value::Bool(false)) = value;
}

/// The fields of a struct; what is none becomes an empty one.
fn fields_of(value: &mut Value) -> &mut Fields {
    if !matches!(value, Value::Struct(_)) {
        *value = Value::Struct(Vec::new());
    }
    match value {
        Value::Struct(fields) => fields,
        _ => unreachable!("it is a struct since the line before"),
    }
}

#[cfg(test)]
mod tests;
