//! Limits of memory, open files and file size; giving up.

use std::sync::{Arc, atomic::Ordering};

use arrow_array::{Int64Array, RecordBatch, StringArray};
use iceberg::spec::{
    NestedField, PrimitiveType, Schema, SortOrder, Transform, Type, UnboundPartitionSpec,
};

use super::{
    round_trip::assert_same_rows,
    support::{TestTable, block_on},
};

fn schema() -> Schema {
    let fields = vec![
        Arc::new(NestedField::required(
            1,
            "row",
            Type::Primitive(PrimitiveType::Long),
        )),
        Arc::new(NestedField::optional(
            2,
            "host",
            Type::Primitive(PrimitiveType::String),
        )),
        Arc::new(NestedField::optional(
            3,
            "text",
            Type::Primitive(PrimitiveType::String),
        )),
    ];
    Schema::builder().with_fields(fields).build().unwrap()
}

fn by_host(properties: &[(&str, &str)]) -> TestTable {
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "host", Transform::Identity)
        .unwrap()
        .build();
    TestTable::new(schema(), spec, SortOrder::unsorted_order(), properties)
}

fn batch(
    table: &TestTable,
    rows: std::ops::Range<i64>,
    hosts: i64,
    text_length: usize,
) -> RecordBatch {
    let host = rows
        .clone()
        .map(|row| format!("host-{}", row % hosts))
        .collect::<Vec<_>>();
    // Not the same twice, so that it does not shrink to nothing.
    let text = rows.clone().map(|row| {
        let mut word = row as u64;
        let next = |_| {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (word >> 40) as u8 % 90)
        };
        (0..text_length).map(next).collect::<String>()
    });
    let schema = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    RecordBatch::try_new(
        schema,
        vec![
            Arc::new(Int64Array::from_iter_values(rows.clone())),
            Arc::new(StringArray::from(host)),
            Arc::new(StringArray::from_iter_values(text)),
        ],
    )
    .unwrap()
}

#[test]
fn ten_thousand_partitions_in_one_batch() {
    let mut table = by_host(&[]);
    table.memory_max_bytes = 4 << 20;
    table.open_files_max = 10;
    let rows = batch(&table, 0..10_000, 10_000, 20);
    let files = block_on(async {
        let mut writer = table.writer();
        writer.write(&rows).await.unwrap();
        assert!(
            writer.memory_bytes() <= (4 << 20) + (1 << 20),
            "{} bytes",
            writer.memory_bytes()
        );
        writer.finish().await.unwrap()
    });
    assert_eq!(files.len(), 10_000);
    assert!(table.storage.open_max.load(Ordering::SeqCst) <= 10);
    assert_same_rows(&table, &files, &[rows]);
    for file in &files {
        assert!(
            file.data_file.file_path().contains("/data/host=host-"),
            "{}",
            file.data_file.file_path()
        );
        assert_eq!(file.data_file.partition().fields().len(), 1);
    }
}

#[test]
fn at_the_open_files_limit_the_largest_is_closed() {
    let mut table = by_host(&[]);
    table.open_files_max = 2;
    // Each partition gets more than is held back as rows.
    let batches: Vec<RecordBatch> = (0..4)
        .map(|part| batch(&table, part * 5_000..(part + 1) * 5_000, 5, 3_000))
        .collect();
    let files = table.write(&batches);
    assert!(
        table.storage.open_max.load(Ordering::SeqCst) <= 3,
        "two, and the one that finishes"
    );
    assert!(files.len() > 5);
    assert_same_rows(&table, &files, &batches);
    table.check_metrics(&files);
}

#[test]
fn memory_stays_within_its_limit() {
    let mut table = by_host(&[]);
    table.memory_max_bytes = 8 << 20;
    let batches: Vec<RecordBatch> = (0..20)
        .map(|part| batch(&table, part * 2_000..(part + 1) * 2_000, 7, 500))
        .collect();
    let files = block_on(async {
        let mut writer = table.writer();
        for rows in &batches {
            writer.write(rows).await.unwrap();
            // The limit, and the working buffers for one page.
            assert!(
                writer.memory_bytes() <= (8 << 20) + (4 << 20),
                "{} bytes",
                writer.memory_bytes()
            );
        }
        writer.finish().await.unwrap()
    });
    assert_same_rows(&table, &files, &batches);
}

#[test]
fn files_end_near_the_target_size() {
    let target = 1 << 20;
    let table = TestTable::plain(
        schema(),
        &[
            ("write.target-file-size-bytes", &target.to_string()),
            ("write.parquet.page-size-bytes", "65536"),
        ],
    );
    let batches: Vec<RecordBatch> = (0..40)
        .map(|part| batch(&table, part * 500..(part + 1) * 500, 1, 400))
        .collect();
    let files = table.write(&batches);
    assert!(files.len() > 3);
    for file in &files[..files.len() - 1] {
        let size = file.data_file.file_size_in_bytes();
        assert!((target..2 * target).contains(&size), "{size} bytes");
    }
    assert_same_rows(&table, &files, &batches);
}

#[test]
fn giving_up_leaves_no_file() {
    let table = by_host(&[("write.target-file-size-bytes", "1")]);
    block_on(async {
        let mut writer = table.writer();
        writer
            .write(&batch(&table, 0..5_000, 2, 1_000))
            .await
            .unwrap();
        assert!(
            !table.storage.files.lock().unwrap().is_empty(),
            "files at the target size are closed"
        );
        writer.abort().await;
    });
    assert!(table.storage.files.lock().unwrap().is_empty());
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_file() {
    let table = by_host(&[]);
    table.storage.fail_after_writes.store(3, Ordering::SeqCst);
    let error = block_on(async {
        let mut writer = table.writer();
        writer.write(&batch(&table, 0..100, 10, 10)).await.unwrap();
        writer.finish().await.unwrap_err()
    });
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(table.storage.files.lock().unwrap().is_empty());
}

#[test]
fn data_files_go_where_the_table_says() {
    let table = TestTable::plain(schema(), &[("write.data.path", "memory:///elsewhere/")]);
    let files = table.write(&[batch(&table, 0..3, 1, 1)]);
    let path = files[0].data_file.file_path();
    assert!(path.starts_with("memory:///elsewhere/part-"), "{path}");
    assert_eq!(files[0].schema_id, table.metadata.current_schema_id());
    assert_eq!(
        files[0].partition_spec_id,
        table.metadata.default_partition_spec_id()
    );
}
