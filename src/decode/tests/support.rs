//! Datasets, tables and blocks in few words.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use frazil_dataset::{
    CheckpointPolicy, Column, ColumnType, Dataset, FieldPath, FieldSource, Format, Limits,
    OverLimit, Profile, Share, SnapshotsPolicy, SpecialSource, StructField, TableName,
    UnknownFields,
};
use frazil_table::state::SourceIdentity;

use crate::{
    decode::{Decoder, decoder},
    record::{RecordBlock, RecordSpan, RowBlock, SourceInfo},
};

pub(crate) const NOW_MICROS: i64 = 1_730_000_000_123_456;

/// A column of a type as a dataset file spells it.
pub(crate) fn column(name: &str, column_type: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type: parse_type(column_type),
        required: false,
        from: vec![field(name)],
        parse: None,
        timezone: None,
        coerce: None,
        doc: None,
    }
}

/// A field by a name, a dotted path or a JSON Pointer, or a special source.
pub(crate) fn field(text: &str) -> FieldSource {
    match text {
        "$raw" => return FieldSource::Special(SpecialSource::Raw),
        "$ingested_at" => return FieldSource::Special(SpecialSource::IngestedAt),
        "$topic" => return FieldSource::Special(SpecialSource::Topic),
        "$partition" => return FieldSource::Special(SpecialSource::Partition),
        "$offset" => return FieldSource::Special(SpecialSource::Offset),
        "$timestamp" => return FieldSource::Special(SpecialSource::Timestamp),
        "$key" => return FieldSource::Special(SpecialSource::Key),
        _ => {}
    }
    let pointer = text.starts_with('/');
    let steps = if pointer {
        let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
        text[1..].split('/').map(unescape).collect()
    } else {
        text.split('.').map(str::to_owned).collect()
    };
    FieldSource::Field(FieldPath {
        text: text.to_owned(),
        steps,
        pointer,
    })
}

pub(crate) fn dataset(format: Format, columns: Vec<Column>) -> Dataset {
    Dataset {
        name: "web".to_owned(),
        table: TableName {
            namespace: vec!["logs".to_owned()],
            table: "web".to_owned(),
        },
        catalog: None,
        project: None,
        owner: None,
        format,
        multiline: None,
        columns,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        unknown_fields: UnknownFields::Rescue,
        rescued: Some("_rescued".to_owned()),
        profile: Profile::Standard,
        source: None,
        checkpoint: CheckpointPolicy {
            interval: Duration::from_mins(1),
            bytes: 1 << 29,
            records: u64::MAX,
        },
        complete: None,
        dedup: None,
        limits: Limits {
            dead_letters_max: Share(0.5),
            window: Duration::from_mins(5),
            then: OverLimit::Stop,
            record_bytes_max: 1 << 20,
        },
        snapshots: SnapshotsPolicy::default(),
        properties: Vec::new(),
    }
}

/// `int`, `list<struct<a: string>>` ….
pub(crate) fn parse_type(text: &str) -> ColumnType {
    let inner = |head: &str| {
        let rest = text.strip_prefix(head)?;
        rest.strip_suffix(if head.ends_with('(') { ')' } else { '>' })
    };
    if let Some(numbers) = inner("decimal(") {
        let (precision, scale) = numbers.split_once(',').unwrap();
        return ColumnType::Decimal {
            precision: precision.trim().parse().unwrap(),
            scale: scale.trim().parse().unwrap(),
        };
    }
    if let Some(size) = inner("fixed(") {
        return ColumnType::Fixed(size.parse().unwrap());
    }
    if let Some(element) = inner("list<") {
        return ColumnType::List(Box::new(parse_type(element.trim())));
    }
    if let Some(parts) = inner("map<") {
        let parts = split(parts);
        return ColumnType::Map(
            Box::new(parse_type(parts[0].trim())),
            Box::new(parse_type(parts[1].trim())),
        );
    }
    if let Some(parts) = inner("struct<") {
        let fields = split(parts).into_iter().map(|part| {
            let (name, field_type) = part.split_once(':').unwrap();
            StructField {
                name: name.trim().to_owned(),
                field_type: parse_type(field_type.trim()),
            }
        });
        return ColumnType::Struct(fields.collect());
    }
    match text {
        "boolean" => ColumnType::Boolean,
        "int" => ColumnType::Int,
        "long" => ColumnType::Long,
        "float" => ColumnType::Float,
        "double" => ColumnType::Double,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "timestamp" => ColumnType::Timestamp,
        "timestamptz" => ColumnType::Timestamptz,
        "string" => ColumnType::String,
        "uuid" => ColumnType::Uuid,
        "binary" => ColumnType::Binary,
        other => panic!("no type {other}"),
    }
}

/// Splits at the commas that are not within brackets.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The Arrow type that the Iceberg crate gives a type.
pub(crate) fn arrow_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Float => DataType::Float32,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap())
        }
        ColumnType::Date => DataType::Date32,
        ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Timestamptz => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
        }
        ColumnType::String => DataType::Utf8,
        ColumnType::Uuid => DataType::FixedSizeBinary(16),
        ColumnType::Fixed(size) => DataType::FixedSizeBinary(i32::try_from(*size).unwrap()),
        ColumnType::Binary => DataType::LargeBinary,
        ColumnType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| arrow_field(&field.name, arrow_type(&field.field_type), true));
            DataType::Struct(fields.collect())
        }
        ColumnType::List(element) => {
            DataType::List(Arc::new(arrow_field("element", arrow_type(element), true)))
        }
        ColumnType::Map(key, value) => {
            let fields: Fields = vec![
                arrow_field("key", arrow_type(key), false),
                arrow_field("value", arrow_type(value), true),
            ]
            .into();
            let entries = Field::new("key_value", DataType::Struct(fields), false);
            DataType::Map(Arc::new(entries), false)
        }
    }
}

fn arrow_field(name: &str, data_type: DataType, nullable: bool) -> Field {
    let id = HashMap::from([("PARQUET:field_id".to_owned(), "1".to_owned())]);
    Field::new(name, data_type, nullable).with_metadata(id)
}

/// The table that a dataset makes.
pub(crate) fn schema(dataset: &Dataset) -> SchemaRef {
    let mut fields: Vec<Field> = dataset
        .columns
        .iter()
        .map(|one| arrow_field(&one.name, arrow_type(&one.column_type), !one.required))
        .collect();
    if let Some(name) = &dataset.rescued {
        fields.push(arrow_field(name, DataType::Utf8, true));
    }
    Arc::new(Schema::new(fields))
}

/// A block of the lines of a text. A last line without newline is one.
pub(crate) fn block(text: impl AsRef<[u8]>) -> RecordBlock {
    let bytes = Bytes::copy_from_slice(text.as_ref());
    let mut records = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let length = line.strip_suffix(b"\n").unwrap_or(line).len();
        records.push(RecordSpan {
            start: u32::try_from(start).unwrap(),
            length: u32::try_from(length).unwrap(),
            position: start as u64,
        });
        start += line.len();
    }
    RecordBlock {
        source: Arc::new(SourceInfo {
            id: 1,
            name: "app.log".into(),
            partition: 0,
        }),
        range: 0..bytes.len() as u64,
        bytes,
        records,
        oversize: Vec::new(),
        messages: None,
        header: None,
        identity: SourceIdentity::StandardInput,
    }
}

pub(crate) fn decoder_of(dataset: &Dataset) -> Box<dyn Decoder> {
    decoder(dataset, &schema(dataset)).unwrap()
}

pub(crate) fn decode(dataset: &Dataset, text: impl AsRef<[u8]>) -> RowBlock {
    decoder_of(dataset).decode(&block(text), NOW_MICROS)
}

/// Decodes JSON lines with the default settings.
pub(crate) fn json(columns: Vec<Column>, text: impl AsRef<[u8]>) -> RowBlock {
    decode(&dataset(Format::Json, columns), text)
}

/// Rows as JSON objects, without nulls.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<serde_json::Value> {
    let mut bytes = Vec::new();
    let mut writer = arrow_json::LineDelimitedWriter::new(&mut bytes);
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(rescued) = row.get_mut("_rescued") {
            // Its own JSON, to be compared as such.
            *rescued = serde_json::from_str(rescued.as_str().unwrap()).unwrap();
        }
        row
    });
    rows.collect()
}

/// The one row of a block.
pub(crate) fn row(block: &RowBlock) -> serde_json::Value {
    assert_eq!(block.rejects, [], "a row was expected");
    let mut rows = rows(&block.rows);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}
