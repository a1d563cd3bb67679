//! Column bounds: true, short, and left out where there are none.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, LargeBinaryArray, RecordBatch, StringArray};
use iceberg::spec::{Datum, NestedField, PrimitiveType, Schema, Type};

use super::support::TestTable;

fn one_column(kind: PrimitiveType) -> Schema {
    let field = NestedField::optional(1, "c", Type::Primitive(kind));
    Schema::builder()
        .with_fields(vec![Arc::new(field)])
        .build()
        .unwrap()
}

fn batch(table: &TestTable, array: ArrayRef) -> RecordBatch {
    let schema = crate::schema::arrow_schema(table.metadata.current_schema()).unwrap();
    RecordBatch::try_new(schema, vec![array]).unwrap()
}

fn bounds(
    kind: PrimitiveType,
    properties: &[(&str, &str)],
    array: ArrayRef,
) -> (Option<Datum>, Option<Datum>) {
    let table = TestTable::plain(one_column(kind), properties);
    let files = table.write(&[batch(&table, array)]);
    table_bounds(&files[0])
}

fn table_bounds(file: &crate::commit::PendingFile) -> (Option<Datum>, Option<Datum>) {
    let lower = file.data_file.lower_bounds().get(&1).cloned();
    let upper = file.data_file.upper_bounds().get(&1).cloned();
    (lower, upper)
}

fn text(values: &[&str]) -> (Option<Datum>, Option<Datum>) {
    bounds(
        PrimitiveType::String,
        &[],
        Arc::new(StringArray::from(values.to_vec())),
    )
}

fn strings(lower: &str, upper: &str) -> (Option<Datum>, Option<Datum>) {
    (Some(Datum::string(lower)), Some(Datum::string(upper)))
}

/// The iceberg crate's own writer leaves a row group with long strings out of a file's bounds, so that
/// readers skip the file although it holds what they look for.
#[test]
fn long_strings_in_several_row_groups_are_within_the_bounds() {
    let table = TestTable::plain(
        one_column(PrimitiveType::String),
        &[("write.parquet.row-group-size-bytes", "1")],
    );
    let first = format!("aaa{}", "x".repeat(100));
    let last = format!("zzz{}", "x".repeat(100));
    let batches = [
        batch(&table, Arc::new(StringArray::from(vec!["mmm", "nnn"]))),
        batch(
            &table,
            Arc::new(StringArray::from(vec![first.as_str(), last.as_str()])),
        ),
    ];
    let files = table.write(&batches);
    assert_eq!((files.len(), table.row_groups(&files[0])), (1, 2));
    table.check_metrics(&files);
    assert_eq!(
        table_bounds(&files[0]),
        strings("aaaxxxxxxxxxxxxx", "zzzxxxxxxxxxxxxy")
    );
}

#[test]
fn text_is_shortened_by_characters() {
    assert_eq!(text(&["b", "a"]), strings("a", "b"));
    assert_eq!(
        text(&["0123456789abcdef"]),
        strings("0123456789abcdef", "0123456789abcdef")
    );
    assert_eq!(
        text(&["0123456789abcdefg"]),
        strings("0123456789abcdef", "0123456789abcdeg")
    );
    let umlauts = "ä".repeat(17);
    assert_eq!(
        text(&[&umlauts]),
        strings(&"ä".repeat(16), &format!("{}å", "ä".repeat(15)))
    );
    // The code point after U+D7FF is no character.
    let before_surrogates = format!("{}\u{D7FF}x", "a".repeat(15));
    let expected = format!("{}\u{E000}", "a".repeat(15));
    assert_eq!(text(&[&before_surrogates]).1, Some(Datum::string(expected)));
    let last = format!("a{}", "\u{10FFFF}".repeat(16));
    assert_eq!(text(&[&last]).1, Some(Datum::string("b")));
    assert_eq!(text(&[&"\u{10FFFF}".repeat(17)]).1, None);
}

#[test]
fn binary_is_shortened_by_bytes() {
    let of = |value: &[u8]| {
        bounds(
            PrimitiveType::Binary,
            &[],
            Arc::new(LargeBinaryArray::from_iter_values([value])),
        )
    };
    assert_eq!(
        of(&[1, 2]),
        (Some(Datum::binary([1, 2])), Some(Datum::binary([1, 2])))
    );
    let mut long = [7u8; 20];
    long[15] = 0xFF;
    let mut lower = [7u8; 16];
    lower[15] = 0xFF;
    let mut upper = [7u8; 15];
    upper[14] = 8;
    assert_eq!(
        of(&long),
        (Some(Datum::binary(lower)), Some(Datum::binary(upper)))
    );
    assert_eq!(of(&[0xFF; 17]), (Some(Datum::binary([0xFF; 16])), None));
}

#[test]
fn nan_is_never_a_bound_and_zero_has_both_signs() {
    let of = |values: Vec<f64>| {
        bounds(
            PrimitiveType::Double,
            &[],
            Arc::new(Float64Array::from(values)),
        )
    };
    assert_eq!(of(vec![f64::NAN, f64::NAN]), (None, None));
    let (lower, upper) = of(vec![f64::NAN, 1.5, -2.0, f64::NAN]);
    assert_eq!(
        (lower, upper),
        (Some(Datum::double(-2.0)), Some(Datum::double(1.5)))
    );
    let (lower, upper) = of(vec![0.0, 0.0]);
    assert_eq!(
        lower.unwrap().to_bytes().unwrap().to_vec(),
        (-0.0f64).to_le_bytes()
    );
    assert_eq!(
        upper.unwrap().to_bytes().unwrap().to_vec(),
        0.0f64.to_le_bytes()
    );
    let (lower, upper) = of(vec![-0.0, f64::NEG_INFINITY]);
    assert_eq!(lower, Some(Datum::double(f64::NEG_INFINITY)));
    assert_eq!(
        upper.unwrap().to_bytes().unwrap().to_vec(),
        0.0f64.to_le_bytes()
    );
}

#[test]
fn only_nulls_have_no_bounds() {
    let nulls = StringArray::from(vec![None::<&str>; 3]);
    assert_eq!(
        bounds(PrimitiveType::String, &[], Arc::new(nulls)),
        (None, None)
    );
}

#[test]
fn metrics_modes_are_obeyed() {
    let of = |properties: &[(&str, &str)]| {
        let table = TestTable::plain(one_column(PrimitiveType::String), properties);
        let array = StringArray::from(vec![Some("a long enough string"), None]);
        let file = table.write(&[batch(&table, Arc::new(array))]).remove(0);
        let counted = file.data_file.null_value_counts().get(&1).copied();
        (counted, table_bounds(&file).0)
    };
    let default = "write.metadata.metrics.default";
    let column = "write.metadata.metrics.column.c";
    let whole = Some(Datum::string("a long enough string"));
    assert_eq!(of(&[(default, "none")]), (None, None));
    assert_eq!(of(&[(default, "counts")]), (Some(1), None));
    assert_eq!(
        of(&[(default, "truncate(6)")]),
        (Some(1), Some(Datum::string("a long")))
    );
    assert_eq!(of(&[(default, "none"), (column, "full")]), (Some(1), whole));
}

#[test]
fn a_property_that_cannot_be_obeyed_is_named() {
    for (key, value) in [
        ("write.parquet.compression-codec", "brotli"),
        ("write.parquet.compression-level", "99"),
        ("write.metadata.metrics.default", "some"),
        ("write.target-file-size-bytes", "0"),
    ] {
        let table = TestTable::plain(one_column(PrimitiveType::String), &[(key, value)]);
        let settings = crate::data_file::settings::WriteSettings::new(&table.metadata);
        let message = settings.unwrap_err().to_string();
        assert!(
            message.contains(key) && message.contains(value),
            "{message}"
        );
    }
}
