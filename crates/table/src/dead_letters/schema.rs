//! The columns and partitioning of a dead-letter table.

use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, Transform, Type,
    UnboundPartitionSpec,
};

/// The id of `recorded_at`.
const RECORDED_AT: i32 = 8;

/// The columns. Where a source knows nothing of one (a file has no key), it is null.
pub fn schema() -> Schema {
    let primitive = |id: i32, name: &str, of: PrimitiveType, doc: &str| -> NestedFieldRef {
        Arc::new(NestedField::optional(id, name, Type::Primitive(of)).with_doc(doc))
    };
    let headers = Type::Map(MapType::new(
        Arc::new(NestedField::map_key_element(
            14,
            Type::Primitive(PrimitiveType::String),
        )),
        Arc::new(NestedField::map_value_element(
            15,
            Type::Primitive(PrimitiveType::Binary),
            false,
        )),
    ));
    let flags = Type::List(ListType::new(Arc::new(NestedField::list_element(
        16,
        Type::Primitive(PrimitiveType::String),
        false,
    ))));
    let fields = vec![
        primitive(1, "source", PrimitiveType::String, "path or topic"),
        primitive(2, "partition", PrimitiveType::Int, "Kafka partition"),
        primitive(
            3,
            "offset",
            PrimitiveType::Long,
            "of the record: a byte in the decompressed file, or a Kafka offset",
        ),
        primitive(4, "index", PrimitiveType::Int, "within the record, from 0"),
        primitive(
            5,
            "timestamp",
            PrimitiveType::Timestamptz,
            "of the record, as its source has it",
        ),
        primitive(6, "key", PrimitiveType::Binary, "Kafka key"),
        Arc::new(NestedField::optional(7, "headers", headers).with_doc("Kafka headers")),
        primitive(
            RECORDED_AT,
            "recorded_at",
            PrimitiveType::Timestamptz,
            "when it was found unfit",
        ),
        primitive(
            9,
            "reason",
            PrimitiveType::String,
            "a short word to count by",
        ),
        primitive(
            10,
            "detail",
            PrimitiveType::String,
            "what was wrong, for people",
        ),
        primitive(11, "record", PrimitiveType::Binary, "its bytes"),
        primitive(
            12,
            "record_length",
            PrimitiveType::Long,
            "its length in bytes before it was cut",
        ),
        Arc::new(NestedField::optional(13, "flags", flags).with_doc("truncated, masked")),
    ];
    Schema::builder()
        .with_fields(fields)
        .build()
        .expect("names and ids are distinct")
}

/// `day(recorded_at)`.
pub fn partition_spec() -> UnboundPartitionSpec {
    UnboundPartitionSpec::builder()
        .add_partition_field(RECORDED_AT, "recorded_at_day", Transform::Day)
        .expect("a single field has no name beside it")
        .build()
}
