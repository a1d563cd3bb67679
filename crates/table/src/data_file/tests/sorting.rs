//! Files of a table with a sort order.

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_row::{RowConverter, SortField as RowSortField};
use arrow_schema::SortOptions;
use iceberg::spec::{
    NullOrder, SortDirection, SortField, SortOrder, Transform, UnboundPartitionSpec,
};

use super::{
    round_trip::{assert_same_rows, every_type, numbered},
    support::TestTable,
};

fn sorted_table(properties: &[(&str, &str)]) -> TestTable {
    let field = |source_id, direction, null_order| SortField {
        source_id,
        transform: Transform::Identity,
        direction,
        null_order,
    };
    // The ids are those that creating the table gives: `c21` is a timestamptz, `c22` a string.
    let schema = every_type();
    let id = |name: &str| schema.field_by_name(name).unwrap().id;
    let order = SortOrder::builder()
        .with_sort_field(field(id("c22"), SortDirection::Ascending, NullOrder::First))
        .with_sort_field(field(id("c14"), SortDirection::Descending, NullOrder::Last))
        .build(&schema)
        .unwrap();
    TestTable::new(
        schema,
        UnboundPartitionSpec::builder().build(),
        order,
        properties,
    )
}

/// The sort columns of a file's rows, as bytes in the order that the table asks for.
fn keys(table: &TestTable, rows: &RecordBatch) -> Vec<Vec<u8>> {
    let options = |descending| SortOptions {
        descending,
        nulls_first: !descending,
    };
    let columns: Vec<_> = ["c22", "c14"]
        .iter()
        .map(|name| rows.column_by_name(name).unwrap().clone())
        .collect();
    let fields = columns
        .iter()
        .zip([false, true])
        .map(|(column, descending)| {
            RowSortField::new_with_options(column.data_type().clone(), options(descending))
        })
        .collect();
    assert!(!table.metadata.default_sort_order().is_unsorted());
    let encoded = RowConverter::new(fields)
        .unwrap()
        .convert_columns(&columns)
        .unwrap();
    encoded.iter().map(|row| row.data().to_vec()).collect()
}

#[test]
fn rows_of_a_file_are_in_the_tables_order() {
    let table = sorted_table(&[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let batches = numbered(&arrow, &[2_000, 1, 3_000], 11);
    let files = table.write(&batches);
    assert_eq!(files.len(), 1);
    let order = table.metadata.default_sort_order().order_id;
    assert_eq!(files[0].data_file.sort_order_id(), Some(order as i32));
    let keys = keys(&table, &table.read(&files[0]));
    assert!(keys.is_sorted());
    assert_same_rows(&table, &files, &batches);
    table.check_metrics(&files);
}

#[test]
fn a_full_buffer_makes_a_sorted_file() {
    let mut table = sorted_table(&[]);
    table.memory_max_bytes = 2 << 20;
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let batches = numbered(&arrow, &[3_000; 6], 5);
    let files = table.write(&batches);
    assert!(files.len() > 1);
    for file in &files {
        assert!(keys(&table, &table.read(file)).is_sorted());
    }
    assert_same_rows(&table, &files, &batches);
}

#[test]
fn equal_rows_stay_as_they_came() {
    let table = sorted_table(&[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let files = table.write(&numbered(&arrow, &[4_000], 8));
    let rows = table.read(&files[0]);
    let keys = keys(&table, &rows);
    let numbers = rows.column(0).as_primitive::<Int64Type>().values();
    for row in 1..rows.num_rows() {
        assert!(keys[row - 1] < keys[row] || numbers[row - 1] < numbers[row]);
    }
}

#[test]
fn an_unsorted_table_names_no_order() {
    let table = TestTable::plain(every_type(), &[]);
    let arrow = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    let files = table.write(&numbered(&arrow, &[10], 1));
    assert_eq!(files[0].data_file.sort_order_id(), None);
}
