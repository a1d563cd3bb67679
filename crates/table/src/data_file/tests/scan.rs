//! A reader that skips files, row groups and pages by their statistics finds each row by each of its
//! values.

use std::sync::Arc;

use arrow_array::{cast::AsArray, types::Int64Type};
use futures::TryStreamExt;
use iceberg::{
    NamespaceIdent, Runtime, TableIdent,
    expr::Reference,
    spec::{
        Datum, ManifestListWriter, ManifestWriterBuilder, Operation, PrimitiveLiteral,
        PrimitiveType, Snapshot, SortOrder, Summary, Transform, UnboundPartitionSpec,
    },
    table::Table,
};
use proptest::prelude::*;

use super::{
    round_trip::{every_type, numbered},
    support::{TestTable, block_on},
};
use crate::{commit::PendingFile, partition::literal_at, storage::iceberg_io::file_io};

/// The table with a snapshot that names the files.
async fn with_snapshot(table: &TestTable, files: &[PendingFile]) -> Table {
    let io = file_io(Arc::new(Arc::clone(&table.storage)));
    let metadata = &table.metadata;
    let manifest = io.new_output("memory:///metadata/m0.avro").unwrap();
    let spec = metadata.default_partition_spec().as_ref().clone();
    let schema = metadata.current_schema().clone();
    let mut writer = ManifestWriterBuilder::new(manifest, Some(1), schema, spec).build_v2_data();
    for file in files {
        writer.add_file(file.data_file.clone(), 1).unwrap();
    }
    let manifest = writer.write_manifest_file().await.unwrap();
    let list = io.new_output("memory:///metadata/list.avro").unwrap();
    let mut list = ManifestListWriter::v2(list.writer().await.unwrap(), 1, None, 1);
    list.add_manifests(std::iter::once(manifest)).unwrap();
    list.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(1)
        .with_sequence_number(1)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list("memory:///metadata/list.avro")
        .with_summary(Summary {
            operation: Operation::Append,
            additional_properties: [].into(),
        })
        .with_schema_id(metadata.current_schema_id())
        .build();
    let builder = metadata.as_ref().clone().into_builder(None);
    let metadata = builder
        .set_branch_snapshot(snapshot, "main")
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    Table::builder()
        .identifier(TableIdent::new(
            NamespaceIdent::new("logs".to_owned()),
            "t".to_owned(),
        ))
        .metadata(metadata)
        .metadata_location("memory:///metadata/v1.metadata.json")
        .file_io(io)
        .runtime(Runtime::try_current().unwrap())
        .build()
        .unwrap()
}

fn datum(kind: &PrimitiveType, literal: &PrimitiveLiteral) -> Option<Datum> {
    Some(match (kind, literal) {
        (PrimitiveType::Boolean, PrimitiveLiteral::Boolean(v)) => Datum::bool(*v),
        (PrimitiveType::Int, PrimitiveLiteral::Int(v)) => Datum::int(*v),
        (PrimitiveType::Long, PrimitiveLiteral::Long(v)) => Datum::long(*v),
        (PrimitiveType::Float, PrimitiveLiteral::Float(v)) if !v.is_nan() => Datum::float(v.0),
        (PrimitiveType::Double, PrimitiveLiteral::Double(v)) if !v.is_nan() => Datum::double(v.0),
        (PrimitiveType::Date, PrimitiveLiteral::Int(v)) => Datum::date(*v),
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(v)) => Datum::timestamp_micros(*v),
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(v)) => Datum::timestamptz_micros(*v),
        (PrimitiveType::String, PrimitiveLiteral::String(v)) => Datum::string(v),
        // The others the crate's reader does not compare.
        _ => return None,
    })
}

async fn rows_where(table: &Table, column: &str, value: Datum) -> Vec<i64> {
    let scan = table
        .scan()
        .select(["row"])
        .with_filter(Reference::new(column).equal_to(value))
        .with_row_group_filtering_enabled(true)
        .with_row_selection_enabled(true)
        .build()
        .unwrap();
    let batches: Vec<_> = scan.to_arrow().await.unwrap().try_collect().await.unwrap();
    let numbers = batches
        .iter()
        .flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values());
    numbers.copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_row_is_found_by_each_of_its_values(
        seed in any::<u64>(),
        row_group_bytes in prop_oneof![Just(1usize), Just(1 << 17), Just(128 << 20)],
        target_bytes in prop_oneof![Just(1usize), Just(512 << 20)],
        partitioned in any::<bool>(),
    ) {
        let mut spec = UnboundPartitionSpec::builder();
        if partitioned {
            spec = spec.add_partition_field(22, "c22_trunc", Transform::Truncate(1)).unwrap()
                .add_partition_field(21, "c21_bucket", Transform::Bucket(4)).unwrap();
        }
        let table = TestTable::new(every_type(), spec.build(), SortOrder::unsorted_order(), &[
            ("write.parquet.page-row-limit", "100"),
            ("write.parquet.row-group-size-bytes", &row_group_bytes.to_string()),
            ("write.target-file-size-bytes", &target_bytes.to_string()),
        ]);
        let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
        let batches = numbered(&arrow, &[300, 700, 150], seed);
        let files = table.write(&batches);
        block_on(async {
            let scanned = with_snapshot(&table, &files).await;
            for rows in &batches {
                let row = (seed % rows.num_rows() as u64) as usize;
                let number = rows.column(0).as_primitive::<Int64Type>().value(row);
                for field in table.metadata.current_schema().as_struct().fields() {
                    let array = rows.column_by_name(&field.name).unwrap();
                    let literal = literal_at(array.as_ref(), row, &field.field_type);
                    let value = literal.and_then(|literal| literal.as_primitive_literal());
                    let kind = field.field_type.as_primitive_type();
                    let Some(value) = kind.zip(value).and_then(|(kind, value)| datum(kind, &value)) else {
                        continue;
                    };
                    let found = rows_where(&scanned, &field.name, value.clone()).await;
                    assert!(found.contains(&number), "{} = {value}: {found:?}", field.name);
                }
            }
        });
    }
}
