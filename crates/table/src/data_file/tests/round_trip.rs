//! Rows of every type, over pages, row groups, files and partitions, come back as they went in.

use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use arrow_ord::sort::sort_to_indices;
use arrow_select::{concat::concat_batches, take::take_record_batch};
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, SortOrder, StructType,
    Transform, Type, UnboundPartitionSpec,
};
use proptest::prelude::*;

use super::{
    random::{Random, batch},
    support::TestTable,
};
use crate::commit::PendingFile;

fn optional(id: i32, name: &str, kind: PrimitiveType) -> NestedFieldRef {
    Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
}

/// A schema of every type: at the top optional and required, in structs, lists and maps.
pub(super) fn every_type() -> Schema {
    let primitives = [
        PrimitiveType::Boolean,
        PrimitiveType::Int,
        PrimitiveType::Long,
        PrimitiveType::Float,
        PrimitiveType::Double,
        PrimitiveType::Decimal {
            precision: 9,
            scale: 2,
        },
        PrimitiveType::Decimal {
            precision: 18,
            scale: 3,
        },
        PrimitiveType::Decimal {
            precision: 38,
            scale: 10,
        },
        PrimitiveType::Date,
        PrimitiveType::Time,
        PrimitiveType::Timestamp,
        PrimitiveType::Timestamptz,
        PrimitiveType::String,
        PrimitiveType::Uuid,
        PrimitiveType::Fixed(5),
        PrimitiveType::Binary,
    ];
    let mut fields: Vec<NestedFieldRef> = vec![Arc::new(NestedField::required(
        1,
        "row",
        Type::Primitive(PrimitiveType::Long),
    ))];
    for (index, kind) in primitives.iter().enumerate() {
        let id = 10 + index as i32;
        fields.push(optional(id, &format!("c{id}"), kind.clone()));
    }
    fields.push(Arc::new(NestedField::required(
        40,
        "text",
        Type::Primitive(PrimitiveType::String),
    )));
    let inner = StructType::new(vec![
        optional(42, "a", PrimitiveType::String),
        Arc::new(NestedField::required(
            43,
            "b",
            Type::Primitive(PrimitiveType::Int),
        )),
    ]);
    let outer = StructType::new(vec![
        Arc::new(NestedField::optional(44, "inner", Type::Struct(inner))),
        optional(45, "f", PrimitiveType::Double),
        Arc::new(NestedField::optional(
            46,
            "list",
            list(47, PrimitiveType::Long),
        )),
    ]);
    fields.push(Arc::new(NestedField::optional(
        41,
        "outer",
        Type::Struct(outer),
    )));
    fields.push(Arc::new(NestedField::optional(
        50,
        "tags",
        list(51, PrimitiveType::String),
    )));
    let map = MapType::new(
        Arc::new(NestedField::map_key_element(
            53,
            Type::Primitive(PrimitiveType::String),
        )),
        Arc::new(NestedField::map_value_element(
            54,
            Type::Primitive(PrimitiveType::Uuid),
            false,
        )),
    );
    fields.push(Arc::new(NestedField::optional(52, "map", Type::Map(map))));
    Schema::builder().with_fields(fields).build().unwrap()
}

fn list(id: i32, kind: PrimitiveType) -> Type {
    Type::List(ListType::new(Arc::new(NestedField::list_element(
        id,
        Type::Primitive(kind),
        false,
    ))))
}

/// Batches with unique numbers in column `row`.
pub(super) fn numbered(
    schema: &arrow_schema::SchemaRef,
    sizes: &[usize],
    seed: u64,
) -> Vec<RecordBatch> {
    let mut random = Random::new(seed);
    let mut next = 0i64;
    sizes
        .iter()
        .map(|rows| {
            let rows = batch(schema, *rows, &mut random);
            let end = next + rows.num_rows() as i64;
            let mut columns = rows.columns().to_vec();
            columns[0] = Arc::new(Int64Array::from_iter_values(next..end));
            next = end;
            RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
        })
        .collect()
}

pub(super) fn by_number(rows: &RecordBatch) -> RecordBatch {
    take_record_batch(rows, &sort_to_indices(rows.column(0), None, None).unwrap()).unwrap()
}

/// Fails unless the files hold the batches' rows, each once.
pub(super) fn assert_same_rows(table: &TestTable, files: &[PendingFile], batches: &[RecordBatch]) {
    let schema = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let read: Vec<RecordBatch> = files.iter().map(|file| table.read(file)).collect();
    let read = by_number(&concat_batches(&schema, &read).unwrap());
    let expected = by_number(&concat_batches(&schema, batches).unwrap());
    assert_eq!(read.num_rows(), expected.num_rows());
    for (index, field) in schema.fields().iter().enumerate() {
        assert_eq!(
            read.column(index).as_ref(),
            expected.column(index).as_ref(),
            "column {} differs",
            field.name()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rows_come_back_within_their_bounds(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(1usize..3_000, 1..5),
        page_rows in prop_oneof![Just(37usize), Just(1_000), Just(20_000)],
        page_bytes in prop_oneof![Just(500usize), Just(1 << 20)],
        row_group_bytes in prop_oneof![Just(1usize), Just(1 << 18), Just(128 << 20)],
        dictionary_bytes in prop_oneof![Just(64usize), Just(1 << 20)],
        partitioned in any::<bool>(),
        codec in prop_oneof![Just("zstd"), Just("snappy"), Just("gzip"), Just("lz4"), Just("uncompressed")],
    ) {
        let schema = every_type();
        let mut spec = UnboundPartitionSpec::builder();
        if partitioned {
            spec = spec
                .add_partition_field(22, "b", Transform::Bucket(3)).unwrap()
                .add_partition_field(10, "c10", Transform::Identity).unwrap();
        }
        let table = TestTable::new(schema, spec.build(), SortOrder::unsorted_order(), &[
            ("write.parquet.page-row-limit", &page_rows.to_string()),
            ("write.parquet.page-size-bytes", &page_bytes.to_string()),
            ("write.parquet.row-group-size-bytes", &row_group_bytes.to_string()),
            ("write.parquet.dict-size-bytes", &dictionary_bytes.to_string()),
            ("write.parquet.compression-codec", codec),
        ]);
        let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
        let batches = numbered(&arrow, &sizes, seed);
        let files = table.write(&batches);
        table.check_metrics(&files);
        assert_same_rows(&table, &files, &batches);
    }
}

#[test]
fn slices_of_larger_arrays_are_written_as_they_are() {
    let table = TestTable::plain(every_type(), &[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let whole = numbered(&arrow, &[5_000], 7).remove(0);
    let batches = [whole.slice(13, 1_000), whole.slice(2_001, 2_999)];
    let files = table.write(&batches);
    table.check_metrics(&files);
    assert_same_rows(&table, &files, &batches);
}

#[test]
fn a_batch_of_another_type_is_refused() {
    let table = TestTable::plain(every_type(), &[]);
    let schema = Arc::new(arrow_schema::Schema::new(vec![arrow_schema::Field::new(
        "row",
        arrow_schema::DataType::Int64,
        false,
    )]));
    let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let error = super::support::block_on(async { table.writer().write(&rows).await }).unwrap_err();
    assert!(error.to_string().contains("columns, not"), "{error}");
}

#[test]
fn no_rows_make_no_file() {
    let table = TestTable::plain(every_type(), &[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    assert!(table.write(&[RecordBatch::new_empty(arrow)]).is_empty());
    assert!(table.storage.files.lock().unwrap().is_empty());
}

#[test]
fn rows_of_a_file_keep_their_order_without_a_sort_order() {
    let table = TestTable::plain(every_type(), &[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let files = table.write(&numbered(&arrow, &[3_000, 2_000], 3));
    let rows = table.read(&files[0]);
    let numbers = rows.column(0).as_primitive::<Int64Type>();
    assert_eq!(numbers.values().to_vec(), (0..5_000).collect::<Vec<i64>>());
    assert_eq!(numbers.null_count(), 0);
}

/// A writer moves between the threads of a runtime.
#[test]
fn a_write_can_be_spawned() {
    fn spawnable<F: Future + Send>(future: F) -> F {
        future
    }
    let table = TestTable::plain(every_type(), &[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let rows = numbered(&arrow, &[10], 1).remove(0);
    let mut writer = table.writer();
    let files = super::support::block_on(spawnable(async move {
        writer.write(&rows).await.unwrap();
        writer.finish().await.unwrap()
    }));
    assert_eq!(files[0].data_file.record_count(), 10);
}
