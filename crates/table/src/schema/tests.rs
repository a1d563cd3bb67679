//! Dataset files as tables, and tables that exist already.

use std::{sync::Arc, time::Duration};

use frazil_dataset::{
    CheckpointPolicy, Column, ColumnType, Dataset, FieldPath, FieldSource, Format, Limits,
    OverLimit, PartitionField, Profile, Share, SnapshotsPolicy, SortDirection, SortField,
    StructField, TableName, Transform, UnknownFields,
};
use iceberg::spec::{NestedField, NullOrder, PrimitiveType, Schema, Type};

use super::{
    arrow_schema, describe, partition_spec, reconcile, sort_order, table_properties, table_schema,
    with_added_columns,
};

fn column(name: &str, column_type: ColumnType, required: bool) -> Column {
    let path = FieldPath {
        text: name.to_owned(),
        steps: vec![name.to_owned()],
        pointer: false,
    };
    Column {
        name: name.to_owned(),
        column_type,
        required,
        from: vec![FieldSource::Field(path)],
        parse: None,
        timezone: None,
        coerce: None,
        doc: None,
    }
}

fn dataset(columns: Vec<Column>) -> Dataset {
    Dataset {
        name: "web".to_owned(),
        table: TableName {
            namespace: vec!["logs".to_owned()],
            table: "web".to_owned(),
        },
        catalog: None,
        project: None,
        owner: None,
        format: Format::Json,
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
            bytes: 512 << 20,
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

fn geo() -> ColumnType {
    let field = |name: &str, field_type| StructField {
        name: name.to_owned(),
        field_type,
    };
    ColumnType::Struct(vec![
        field("country", ColumnType::String),
        field("asns", ColumnType::List(Box::new(ColumnType::Int))),
    ])
}

fn web() -> Dataset {
    let mut time = column("time", ColumnType::Timestamptz, true);
    time.doc = Some("When it happened".to_owned());
    let labels = ColumnType::Map(Box::new(ColumnType::String), Box::new(ColumnType::Double));
    dataset(vec![
        time,
        column("host", ColumnType::String, false),
        column("geo", geo(), false),
        column("labels", labels, false),
        column(
            "price",
            ColumnType::Decimal {
                precision: 9,
                scale: 2,
            },
            false,
        ),
    ])
}

#[test]
fn a_new_table_has_the_files_columns_in_its_order() {
    let schema = table_schema(&web()).unwrap();
    let fields = schema.as_struct().fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        ["time", "host", "geo", "labels", "price", "_rescued"]
    );
    assert_eq!(
        fields
            .iter()
            .map(|field| field.required)
            .collect::<Vec<_>>(),
        [true, false, false, false, false, false]
    );
    assert_eq!(fields[0].doc.as_deref(), Some("When it happened"));
    // Ids as Iceberg's own table creation gives them: the top first, then what is nested.
    assert_eq!(
        fields.iter().map(|field| field.id).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(schema.field_by_name("geo.country").unwrap().id, 7);
    assert_eq!(schema.field_by_name("geo.asns").unwrap().id, 8);
    assert_eq!(schema.field_by_name("geo.asns.element").unwrap().id, 9);
    assert_eq!(schema.field_by_name("labels.value").unwrap().id, 11);
}

#[test]
fn without_a_rescued_column_there_is_none() {
    let mut web = web();
    web.rescued = None;
    assert!(
        table_schema(&web)
            .unwrap()
            .field_by_name("_rescued")
            .is_none()
    );
}

#[test]
fn arrow_columns_carry_field_ids() {
    let arrow = arrow_schema(&table_schema(&web()).unwrap()).unwrap();
    assert_eq!(arrow.field(1).metadata()["PARQUET:field_id"], "2");
    assert_eq!(arrow.field(1).data_type(), &arrow_schema::DataType::Utf8);
    assert!(!arrow.field(0).is_nullable());
}

#[test]
fn partition_fields_are_named_as_in_java() {
    let mut web = web();
    let field = |column: &str, transform| PartitionField {
        column: column.to_owned(),
        transform,
    };
    web.partition_by = vec![
        field("time", Transform::Day),
        field("host", Transform::Bucket(16)),
        field("price", Transform::Truncate(50)),
        field("host", Transform::Identity),
        field("host", Transform::Bucket(8)),
    ];
    let schema = table_schema(&web).unwrap();
    let spec = partition_spec(&web, &schema).unwrap();
    let names: Vec<&str> = spec
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "time_day",
            "host_bucket",
            "price_trunc",
            "host",
            "host_bucket_2"
        ]
    );
    assert!(spec.bind(schema).is_ok());
}

#[test]
fn a_partition_field_gives_way_to_a_column_of_its_name() {
    let mut web = dataset(vec![
        column("time", ColumnType::Date, false),
        column("time_year", ColumnType::Int, false),
    ]);
    web.partition_by = vec![PartitionField {
        column: "time".to_owned(),
        transform: Transform::Year,
    }];
    let schema = table_schema(&web).unwrap();
    assert_eq!(
        partition_spec(&web, &schema).unwrap().fields()[0].name,
        "time_year_2"
    );
}

#[test]
fn partitioning_that_cannot_be_is_refused_with_its_reason() {
    for (column, transform, expected) in [
        (
            "host",
            Transform::Day,
            "column `host` (string) cannot be partitioned by day",
        ),
        (
            "geo",
            Transform::Identity,
            "cannot be partitioned by identity",
        ),
        (
            "nope",
            Transform::Identity,
            "names column `nope`, which there is not",
        ),
        (
            "host",
            Transform::Bucket(0),
            "the number of buckets must be from 1",
        ),
        ("small", Transform::Truncate(200), "take a smaller width"),
    ] {
        let mut web = web();
        let small = ColumnType::Decimal {
            precision: 2,
            scale: 0,
        };
        web.columns.push(self::column("small", small, false));
        web.partition_by = vec![PartitionField {
            column: column.to_owned(),
            transform,
        }];
        let error = partition_spec(&web, &table_schema(&web).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nulls_sort_first_upwards_and_last_downwards() {
    let mut web = web();
    let field = |column: &str, direction| SortField {
        column: column.to_owned(),
        direction,
    };
    web.sort_by = vec![
        field("host", SortDirection::Ascending),
        field("time", SortDirection::Descending),
    ];
    let order = sort_order(&web, &table_schema(&web).unwrap()).unwrap();
    let nulls: Vec<NullOrder> = order.fields.iter().map(|field| field.null_order).collect();
    assert_eq!(nulls, [NullOrder::First, NullOrder::Last]);
    assert_eq!(order.order_id, 1);
    web.sort_by.clear();
    assert!(
        sort_order(&web, &table_schema(&web).unwrap())
            .unwrap()
            .is_unsorted()
    );
}

#[test]
fn stated_properties_win_over_defaults() {
    let mut web = web();
    let codec = "write.parquet.compression-codec".to_owned();
    assert!(table_properties(&web).contains(&(codec.clone(), "zstd".to_owned())));
    web.properties = vec![(codec.clone(), "snappy".to_owned())];
    let of_codec: Vec<_> = table_properties(&web)
        .into_iter()
        .filter(|(key, _)| *key == codec)
        .collect();
    assert_eq!(of_codec, [(codec, "snappy".to_owned())]);
}

#[test]
fn a_table_made_from_the_file_needs_nothing() {
    let schema = table_schema(&web()).unwrap();
    assert!(
        reconcile(&web(), &schema, schema.highest_field_id())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn missing_columns_are_added_as_optional() {
    let mut old = web();
    old.rescued = None;
    let schema = table_schema(&old).unwrap();
    let mut new = web();
    new.columns.push(column("where", geo(), true));
    let added = reconcile(&new, &schema, 20).unwrap();
    let names: Vec<&str> = added.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["where", "_rescued"]);
    assert!(added.iter().all(|field| !field.required));
    let evolved = with_added_columns(&schema, &added).unwrap();
    assert_eq!(evolved.field_by_name("where").unwrap().id, 21);
    assert_eq!(evolved.field_by_name("_rescued").unwrap().id, 22);
    assert_eq!(evolved.field_by_name("where.country").unwrap().id, 23);
    // The file alone requires `where`: rows without it become dead letters.
    assert!(reconcile(&new, &evolved, 30).unwrap().is_empty());
}

fn conflicts(file: &Dataset, table: &Schema) -> String {
    reconcile(file, table, table.highest_field_id())
        .unwrap_err()
        .to_string()
}

#[test]
fn another_type_is_a_conflict_that_says_what_to_do() {
    let schema = table_schema(&web()).unwrap();
    let mut file = web();
    file.columns[1].column_type = ColumnType::Long;
    let message = conflicts(&file, &schema);
    assert!(
        message.starts_with("write to table logs.web as the dataset file has it: "),
        "{message}"
    );
    assert!(
        message.contains(
            "column `host` is long in the file but string in the table: set its type to \"string\""
        ),
        "{message}"
    );
    let mut file = web();
    let ColumnType::Struct(fields) = &mut file.columns[2].column_type else {
        panic!()
    };
    fields[0].field_type = ColumnType::Int;
    let message = conflicts(&file, &schema);
    assert!(
        message.contains("struct<country: int, asns: list<int>>"),
        "{message}"
    );
}

#[test]
fn all_conflicts_are_told_at_once() {
    let schema = table_schema(&web()).unwrap();
    let mut file = web();
    file.columns[0].column_type = ColumnType::Date;
    file.columns[1].name = "HOST".to_owned();
    let error = reconcile(&file, &schema, 20).unwrap_err();
    assert_eq!(error.conflicts.len(), 2);
    assert!(
        error.conflicts[1].contains("`HOST` is `host` in the table"),
        "{error}"
    );
}

#[test]
fn what_the_table_requires_the_file_must_fill() {
    let string = || Type::Primitive(PrimitiveType::String);
    let table = |fields: Vec<NestedField>| {
        Schema::builder()
            .with_fields(fields.into_iter().map(Arc::new))
            .build()
            .unwrap()
    };
    let mut file = dataset(vec![column("host", ColumnType::String, false)]);
    file.rescued = None;
    let required_too = table(vec![
        NestedField::optional(1, "host", string()),
        NestedField::required(2, "other", string()),
    ]);
    assert!(conflicts(&file, &required_too).contains("requires column `other` (string)"));
    let required = table(vec![NestedField::required(1, "host", string())]);
    assert!(
        conflicts(&file, &required).contains("`host` is required in the table but not in the file")
    );
    file.columns[0].required = true;
    assert!(reconcile(&file, &required, 1).unwrap().is_empty());
    file.rescued = Some("host".to_owned());
    assert!(
        conflicts(&file, &required).contains("rescued column `host` must be an optional string")
    );
}

#[test]
fn a_struct_of_the_table_may_have_more_fields() {
    let schema = table_schema(&web()).unwrap();
    let mut file = web();
    let ColumnType::Struct(fields) = &mut file.columns[2].column_type else {
        panic!()
    };
    fields.pop();
    assert!(reconcile(&file, &schema, 20).unwrap().is_empty());
}

#[test]
fn types_are_described_in_the_files_words() {
    let schema = table_schema(&web()).unwrap();
    let of = |name: &str| describe(&schema.field_by_name(name).unwrap().field_type);
    assert_eq!(of("geo"), "struct<country: string, asns: list<int>>");
    assert_eq!(of("labels"), "map<string, double>");
    assert_eq!(of("price"), "decimal(9, 2)");
}
