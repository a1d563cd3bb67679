//! Rows → their keys' hashes and their times.

use arrow_array::{
    Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, cast::AsArray as _,
    types::TimestampMicrosecondType,
};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, DataType, Schema};
use frazil_dataset::{DedupKey, DedupPolicy};
use siphasher::sip128::SipHasher13;

/// The columns of a key and of its clock, in rows of one schema.
#[derive(Debug)]
pub(super) struct Keys {
    columns: Vec<KeyColumn>,
    time: KeyColumn,
    /// Whether a row with a null in its key is like no other.
    nulls_differ: bool,
    converter: RowConverter,
    rows: Rows,
    hasher: SipHasher13,
}

#[derive(Debug, Clone)]
struct KeyColumn {
    name: String,
    data_type: DataType,
}

/// Some rows' keys.
#[derive(Debug)]
pub(super) struct Keyed {
    /// A hash a row; `None` where the row is like no other.
    pub(super) hashes: Vec<Option<u128>>,
    /// A time a row, in microseconds since the epoch.
    pub(super) times: TimestampMicrosecondArray,
}

impl Keys {
    /// For rows of a table whose arrow schema is `schema`, hashed under a secret.
    ///
    /// # Errors
    /// A column is not there, or not of a type that can be compared.
    pub(super) fn new(
        policy: &DedupPolicy,
        schema: &Schema,
        secret: [u8; 16],
    ) -> Result<Self, ArrowError> {
        let column = |name: &str| {
            let field = schema.field_with_name(name)?;
            Ok::<_, ArrowError>(KeyColumn {
                name: name.to_owned(),
                data_type: field.data_type().clone(),
            })
        };
        let columns = match &policy.key {
            DedupKey::Columns(names) => names
                .iter()
                .map(|name| column(name))
                .collect::<Result<Vec<_>, _>>()?,
            DedupKey::AllBut(names) => schema
                .fields()
                .iter()
                .filter(|field| !names.contains(field.name()))
                .map(|field| column(field.name()))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let fields = columns
            .iter()
            .map(|column| SortField::new(column.data_type.clone()))
            .collect();
        let converter = RowConverter::new(fields)?;
        let time = column(&policy.time)?;
        if !matches!(time.data_type, DataType::Timestamp(..)) {
            let reason = format!("the column {} is no time", time.name);
            return Err(ArrowError::SchemaError(reason));
        }
        Ok(Self {
            rows: converter.empty_rows(0, 0),
            columns,
            time,
            nulls_differ: matches!(policy.key, DedupKey::Columns(_)),
            converter,
            hasher: SipHasher13::new_with_key(&secret),
        })
    }

    /// The names of all columns that are looked at, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.columns.iter().map(|one| one.name.clone()).collect();
        if !names.contains(&self.time.name) {
            names.push(self.time.name.clone());
        }
        names
    }

    /// The name of the clock.
    pub(super) fn time(&self) -> &str {
        &self.time.name
    }

    /// Keys and times of a batch that has the columns.
    ///
    /// # Errors
    /// A column is not there, or of a type that is not the table's.
    pub(super) fn of(&mut self, batch: &RecordBatch) -> Result<Keyed, ArrowError> {
        let columns = self
            .columns
            .iter()
            .map(|column| taken(batch, column))
            .collect::<Result<Vec<_>, _>>()?;
        let times = taken(batch, &self.time)?;
        let times = times.as_primitive::<TimestampMicrosecondType>().clone();
        let mut nulls = None;
        if self.nulls_differ {
            for column in &columns {
                nulls = NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref());
            }
        }
        self.rows.clear();
        self.converter.append(&mut self.rows, &columns)?;
        let hashes = self
            .rows
            .iter()
            .enumerate()
            .map(|(row, key)| {
                let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                (!is_null).then(|| self.hasher.hash(key.as_ref()).as_u128())
            })
            .collect();
        Ok(Keyed { hashes, times })
    }
}

/// The column as the table's own type: other engines' files may spell the same type in another way.
fn taken(batch: &RecordBatch, column: &KeyColumn) -> Result<ArrayRef, ArrowError> {
    let found = batch
        .column_by_name(&column.name)
        .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {}", column.name)))?;
    if *found.data_type() == column.data_type {
        return Ok(found.clone());
    }
    cast(found, &column.data_type)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{Field, TimeUnit};

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
                true,
            ),
        ])
    }

    fn hashes(key: DedupKey, secret: u8) -> Vec<Option<u128>> {
        let policy = DedupPolicy {
            key,
            time: "time".to_owned(),
            window: Duration::from_hours(1),
            memory_bytes_max: 1 << 20,
        };
        let schema = Arc::new(schema());
        let time = TimestampMicrosecondArray::from(vec![Some(1), Some(2), None, Some(4), Some(5)]);
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(StringArray::from(vec![
                    Some("a"),
                    Some("ab"),
                    Some("a"),
                    None,
                    None,
                ])),
                Arc::new(Int64Array::from(vec![
                    Some(1),
                    Some(1),
                    Some(1),
                    Some(1),
                    Some(1),
                ])),
                Arc::new(time.with_timezone("+00:00")),
            ],
        )
        .unwrap();
        let mut keys = Keys::new(&policy, &schema, [secret; 16]).unwrap();
        let keyed = keys.of(&batch).unwrap();
        assert_eq!(keyed.times.value(4), 5);
        // Again, with the buffers of before.
        assert_eq!(keys.of(&batch).unwrap().hashes, keyed.hashes);
        keyed.hashes
    }

    #[test]
    fn a_null_in_a_key_is_like_no_other_and_all_columns_but_some_take_nulls_as_alike() {
        let columns = hashes(DedupKey::Columns(vec!["id".into(), "n".into()]), 1);
        assert!(columns[0].is_some() && columns[0] == columns[2] && columns[0] != columns[1]);
        assert_eq!(columns[3..], [None, None]);
        let all_but = hashes(DedupKey::AllBut(vec!["time".into()]), 1);
        assert!(all_but[3].is_some() && all_but[3] == all_but[4] && all_but[0] == all_but[2]);
        let all = hashes(DedupKey::AllBut(Vec::new()), 1);
        assert!(all[0] != all[2] && all[3] != all[4]);
    }

    #[test]
    fn hashes_are_keyed() {
        let key = || DedupKey::Columns(vec!["n".into()]);
        assert_ne!(hashes(key(), 1), hashes(key(), 2));
    }
}
