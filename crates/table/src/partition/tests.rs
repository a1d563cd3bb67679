//! Transforms by the specification's examples; batches split by partition; paths.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, cast::AsArray,
    types::Int32Type,
};
use arrow_buffer::NullBuffer;
use iceberg::spec::{
    Literal, NestedField, PartitionSpec, PrimitiveType, Schema, Struct, StructType, Transform,
    Type, UnboundPartitionSpec,
};
use proptest::prelude::*;

use super::{
    Partitioner, partition_path,
    transform::{murmur3, transform_array},
};

fn ints(transform: Transform, array: impl Array + 'static) -> Vec<Option<i32>> {
    let array: ArrayRef = Arc::new(array);
    let transformed = transform_array(transform, &array).unwrap();
    transformed.as_primitive::<Int32Type>().iter().collect()
}

/// A bucket of so many shows all of the hash but its sign.
const MANY: Transform = Transform::Bucket(i32::MAX as u32);

fn assert_hash(array: impl Array + 'static, hash: i32) {
    assert_eq!(ints(MANY, array), [Some(hash & i32::MAX)]);
}

const SECOND: i64 = 1_000_000;
const TIME: i64 = (22 * 3_600 + 31 * 60 + 8) * SECOND;
/// 2017-11-16, in days since 1970-01-01.
const DAYS: i32 = 17_486;
/// 2017-11-16T22:31:08
const TIMESTAMP: i64 = DAYS as i64 * 86_400 * SECOND + TIME;

#[test]
fn bucket_hashes_are_those_of_appendix_b() {
    assert_hash(Int32Array::from(vec![34]), 2_017_239_379);
    assert_hash(Int64Array::from(vec![34]), 2_017_239_379);
    let decimal = Decimal128Array::from(vec![1_420])
        .with_precision_and_scale(9, 2)
        .unwrap();
    assert_hash(decimal, -500_754_589);
    assert_hash(Date32Array::from(vec![DAYS]), -653_330_422);
    assert_hash(Time64MicrosecondArray::from(vec![TIME]), -662_762_989);
    assert_hash(
        TimestampMicrosecondArray::from(vec![TIMESTAMP]),
        -2_047_944_441,
    );
    assert_hash(
        TimestampMicrosecondArray::from(vec![TIMESTAMP + 1]),
        -1_207_196_810,
    );
    assert_hash(
        TimestampMicrosecondArray::from(vec![TIMESTAMP]).with_timezone("+00:00"),
        -2_047_944_441,
    );
    assert_hash(
        TimestampNanosecondArray::from(vec![TIMESTAMP * 1_000 + 999]),
        -2_047_944_441,
    );
    assert_hash(StringArray::from(vec!["iceberg"]), 1_210_000_089);
    let uuid = uuid::uuid!("f79c3e09-677c-4bbd-a479-3f349cb785e7").into_bytes();
    assert_hash(
        FixedSizeBinaryArray::try_from_iter([uuid].iter()).unwrap(),
        1_488_055_340,
    );
    let bytes = [0u8, 1, 2, 3];
    assert_hash(
        FixedSizeBinaryArray::try_from_iter([bytes].iter()).unwrap(),
        -188_683_207,
    );
    assert_hash(LargeBinaryArray::from_iter_values([bytes]), -188_683_207);
}

#[test]
fn decimals_are_hashed_by_their_fewest_bytes() {
    for (value, bytes) in [
        (0i128, &[0u8][..]),
        (127, &[0x7F]),
        (128, &[0x00, 0x80]),
        (-1, &[0xFF]),
        (-128, &[0x80]),
        (-129, &[0xFF, 0x7F]),
        (i128::MAX, &i128::MAX.to_be_bytes()),
        (i128::MIN, &i128::MIN.to_be_bytes()),
    ] {
        assert_hash(Decimal128Array::from(vec![value]), murmur3(bytes) as i32);
    }
}

#[test]
fn buckets_are_never_negative_and_null_has_none() {
    let array = StringArray::from(vec![Some("iceberg"), None, Some("")]);
    assert_eq!(
        ints(Transform::Bucket(16), array),
        [Some(1_210_000_089 % 16), None, Some(0)]
    );
    assert_eq!(
        ints(Transform::Bucket(100), Date32Array::from(vec![DAYS])),
        [Some(26)]
    );
}

#[test]
fn times_before_1970_round_down() {
    let micros = |values: &[i64]| TimestampMicrosecondArray::from(values.to_vec());
    let instants = [
        0,
        -1,
        -86_400 * SECOND,
        -86_400 * SECOND - 1,
        -86_400 * SECOND - SECOND / 2,
    ];
    assert_eq!(
        ints(Transform::Day, micros(&instants)),
        [0, -1, -1, -2, -2].map(Some)
    );
    assert_eq!(
        ints(Transform::Hour, micros(&instants)),
        [0, -1, -24, -25, -25].map(Some)
    );
    assert_eq!(
        ints(Transform::Month, micros(&instants)),
        [0, -1, -1, -1, -1].map(Some)
    );
    assert_eq!(
        ints(Transform::Year, micros(&instants)),
        [0, -1, -1, -1, -1].map(Some)
    );
    // 1969-01-01 and the day before.
    assert_eq!(
        ints(Transform::Year, Date32Array::from(vec![-365, -366])),
        [-1, -2].map(Some)
    );
    assert_eq!(
        ints(Transform::Month, Date32Array::from(vec![-365, -366])),
        [-12, -13].map(Some)
    );
    assert_eq!(
        ints(Transform::Day, Date32Array::from(vec![Some(-365), None])),
        [Some(-365), None]
    );
    assert_eq!(
        ints(Transform::Day, TimestampNanosecondArray::from(vec![-1])),
        [Some(-1)]
    );
}

#[test]
fn dates_of_the_specification() {
    assert_eq!(
        ints(Transform::Year, Date32Array::from(vec![DAYS])),
        [Some(47)]
    );
    assert_eq!(
        ints(Transform::Month, Date32Array::from(vec![DAYS])),
        [Some(574)]
    );
    assert_eq!(
        ints(
            Transform::Day,
            TimestampMicrosecondArray::from(vec![TIMESTAMP])
        ),
        [Some(DAYS)]
    );
    let hour = DAYS * 24 + 22;
    assert_eq!(
        ints(
            Transform::Hour,
            TimestampMicrosecondArray::from(vec![TIMESTAMP])
        ),
        [Some(hour)]
    );
}

#[test]
fn truncation_of_the_specification() {
    let cut = |width, array: ArrayRef| transform_array(Transform::Truncate(width), &array).unwrap();
    let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), Some(-10), None]));
    assert_eq!(
        &cut(
            10,
            Arc::new(Int32Array::from(vec![Some(1), Some(-1), None]))
        ),
        &expected
    );
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![0, -10]));
    assert_eq!(&cut(10, Arc::new(Int64Array::from(vec![1, -1]))), &expected);
    let decimal = |values: Vec<i128>| -> ArrayRef {
        Arc::new(
            Decimal128Array::from(values)
                .with_precision_and_scale(9, 2)
                .unwrap(),
        )
    };
    assert_eq!(
        &cut(50, decimal(vec![1_065, -1])),
        &decimal(vec![1_050, -50])
    );
    let expected: ArrayRef = Arc::new(StringArray::from(vec!["ice", "åäö", ""]));
    assert_eq!(
        &cut(3, Arc::new(StringArray::from(vec!["iceberg", "åäö€", ""]))),
        &expected
    );
    let expected: ArrayRef = Arc::new(LargeBinaryArray::from_iter_values([&[1u8, 2, 3][..], &[1]]));
    let array = LargeBinaryArray::from_iter_values([&[1u8, 2, 3, 4, 5][..], &[1]]);
    assert_eq!(&cut(3, Arc::new(array)), &expected);
    // At the end of the type it wraps, as Iceberg's Java library does, and does not panic.
    let expected: ArrayRef = Arc::new(Int32Array::from(vec![2_147_483_646]));
    assert_eq!(
        &cut(10, Arc::new(Int32Array::from(vec![i32::MIN]))),
        &expected
    );
}

#[test]
fn a_transform_that_does_not_take_the_type_is_refused() {
    let boolean: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    for transform in [
        Transform::Bucket(2),
        Transform::Truncate(2),
        Transform::Day,
        Transform::Hour,
    ] {
        let error = transform_array(transform, &boolean).unwrap_err();
        assert!(error.to_string().contains("does not take"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the iceberg crate, where it is right.
    #[test]
    fn years_months_and_hours_agree_with_another_implementation(
        micros in proptest::collection::vec(-60_000_000_000_000_000i64..200_000_000_000_000_000, 1..50),
    ) {
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros));
        for transform in [Transform::Year, Transform::Month, Transform::Hour] {
            let theirs = iceberg::transform::create_transform_function(&transform).unwrap();
            let expected = theirs.transform(array.clone()).unwrap();
            prop_assert_eq!(&transform_array(transform, &array).unwrap(), &expected);
        }
    }
}

fn schema() -> Schema {
    let optional = |id, name: &str, kind| -> iceberg::spec::NestedFieldRef {
        Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
    };
    let inner = StructType::new(vec![optional(4, "zone", PrimitiveType::String)]);
    let fields = vec![
        optional(1, "host", PrimitiveType::String),
        optional(2, "n", PrimitiveType::Double),
        Arc::new(NestedField::optional(3, "at", Type::Struct(inner))),
    ];
    Schema::builder().with_fields(fields).build().unwrap()
}

fn spec(fields: &[(i32, &str, Transform)]) -> PartitionSpec {
    let mut builder = UnboundPartitionSpec::builder();
    for (source, name, transform) in fields {
        builder = builder
            .add_partition_field(*source, *name, *transform)
            .unwrap();
    }
    builder.build().bind(schema()).unwrap()
}

fn rows(
    hosts: &[Option<&str>],
    numbers: &[f64],
    zones: &[Option<&str>],
    at: Vec<bool>,
) -> RecordBatch {
    let schema = crate::schema::arrow_schema(&schema()).unwrap();
    let arrow_schema::DataType::Struct(fields) = schema.field(2).data_type().clone() else {
        panic!()
    };
    let zones: ArrayRef = Arc::new(StringArray::from(zones.to_vec()));
    let at = StructArray::new(fields, vec![zones], Some(NullBuffer::from(at)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(hosts.to_vec())),
        Arc::new(Float64Array::from(numbers.to_vec())),
        Arc::new(at),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

fn some_rows() -> RecordBatch {
    rows(
        &[Some("a"), None, Some("b"), Some("a"), None],
        &[0.0, 1.0, 2.0, 3.0, 4.0],
        &[Some("x"), Some("x"), None, Some("y"), Some("x")],
        vec![true, false, true, true, true],
    )
}

fn split(spec: &PartitionSpec, rows: &RecordBatch) -> Vec<(Struct, Vec<f64>)> {
    let parts = Partitioner::new(spec, &schema())
        .unwrap()
        .split(rows)
        .unwrap();
    let numbers = |rows: &RecordBatch| {
        rows.column(1)
            .as_primitive::<arrow_array::types::Float64Type>()
            .values()
            .to_vec()
    };
    parts
        .into_iter()
        .map(|part| (part.values, numbers(&part.rows)))
        .collect()
}

fn text(value: &str) -> Option<Literal> {
    (!value.is_empty()).then(|| Literal::string(value))
}

#[test]
fn rows_are_split_by_their_values() {
    let by_host = split(&spec(&[(1, "host", Transform::Identity)]), &some_rows());
    assert_eq!(
        by_host,
        [
            (Struct::from_iter([text("a")]), vec![0.0, 3.0]),
            (Struct::from_iter([None]), vec![1.0, 4.0]),
            (Struct::from_iter([text("b")]), vec![2.0]),
        ]
    );
}

#[test]
fn a_column_in_a_struct_that_is_null_is_null() {
    let by_zone = split(&spec(&[(4, "zone", Transform::Identity)]), &some_rows());
    assert_eq!(
        by_zone,
        [
            (Struct::from_iter([text("x")]), vec![0.0, 4.0]),
            (Struct::from_iter([None]), vec![1.0, 2.0]),
            (Struct::from_iter([text("y")]), vec![3.0]),
        ]
    );
}

#[test]
fn several_fields_and_void() {
    let fields = [
        (1, "h", Transform::Truncate(1)),
        (2, "gone", Transform::Void),
        (4, "zone", Transform::Identity),
    ];
    let parts = split(&spec(&fields), &some_rows());
    assert_eq!(parts.len(), 5);
    assert_eq!(
        parts[3],
        (Struct::from_iter([text("a"), None, text("y")]), vec![3.0])
    );
    let only_void = split(&spec(&[(2, "gone", Transform::Void)]), &some_rows());
    assert_eq!(
        only_void,
        [(Struct::from_iter([None]), vec![0.0, 1.0, 2.0, 3.0, 4.0])]
    );
}

#[test]
fn a_batch_of_one_partition_is_not_copied() {
    let rows = some_rows();
    for fields in [vec![], vec![(1, "host", Transform::Identity)]] {
        let one = if fields.is_empty() {
            rows.clone()
        } else {
            rows.slice(0, 1)
        };
        let mut partitioner = Partitioner::new(&spec(&fields), &schema()).unwrap();
        let parts = partitioner.split(&one).unwrap();
        assert_eq!(parts.len(), 1);
        assert!(Arc::ptr_eq(parts[0].rows.column(0), one.column(0)));
    }
}

#[test]
fn the_same_partition_has_the_same_key_in_each_batch() {
    let mut partitioner =
        Partitioner::new(&spec(&[(1, "host", Transform::Identity)]), &schema()).unwrap();
    let several = partitioner.split(&some_rows()).unwrap();
    let alone = partitioner.split(&some_rows().slice(2, 1)).unwrap();
    assert_eq!(several[2].key, alone[0].key);
    assert_ne!(several[0].key, several[1].key);
}

#[test]
fn nan_and_zeros_are_partitions_of_their_own() {
    let rows = rows(
        &[None; 5],
        &[f64::NAN, 0.0, -0.0, f64::NAN, 0.0],
        &[None; 5],
        vec![true; 5],
    );
    let parts = split(&spec(&[(2, "n", Transform::Identity)]), &rows);
    assert_eq!(
        parts.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(),
        [2, 2, 1]
    );
}

fn path_of(
    kind: PrimitiveType,
    transform: Transform,
    name: &str,
    value: Option<Literal>,
) -> String {
    let field = NestedField::optional(1, "c", Type::Primitive(kind));
    let schema = Schema::builder()
        .with_fields(vec![Arc::new(field)])
        .build()
        .unwrap();
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(1, name, transform)
        .unwrap()
        .build()
        .bind(schema.clone())
        .unwrap();
    partition_path(
        &spec,
        &spec.partition_type(&schema).unwrap(),
        &Struct::from_iter([value]),
    )
}

#[test]
fn paths_are_encoded_as_in_java() {
    let string = |value| {
        path_of(
            PrimitiveType::String,
            Transform::Identity,
            "host",
            Some(Literal::string(value)),
        )
    };
    assert_eq!(string("a/b"), "host=a%2Fb");
    assert_eq!(string("../ä?&=#%+*"), "host=..%2F%C3%A4%3F%26%3D%23%25%2B*");
    assert_eq!(string("a b"), "host=a+b");
    assert_eq!(string(""), "host=");
    assert_eq!(
        path_of(PrimitiveType::String, Transform::Identity, "c/d", None),
        "c%2Fd=null"
    );
    let time = |transform, value| path_of(PrimitiveType::Timestamptz, transform, "t", Some(value));
    assert_eq!(time(Transform::Day, Literal::date(DAYS)), "t=2017-11-16");
    assert_eq!(time(Transform::Year, Literal::int(-1)), "t=1969");
    assert_eq!(time(Transform::Month, Literal::int(-1)), "t=1969-12");
    assert_eq!(time(Transform::Hour, Literal::int(-1)), "t=1969-12-31-23");
    let at = Literal::timestamptz(TIMESTAMP + 1_200);
    assert_eq!(
        time(Transform::Identity, at),
        "t=2017-11-16T22%3A31%3A08.0012%2B00%3A00"
    );
    let decimal = |value| {
        let kind = PrimitiveType::Decimal {
            precision: 9,
            scale: 2,
        };
        path_of(
            kind,
            Transform::Identity,
            "d",
            Some(Literal::decimal(value)),
        )
    };
    assert_eq!([decimal(-5), decimal(1_420)], ["d=-0.05", "d=14.20"]);
    let bucket = path_of(
        PrimitiveType::String,
        Transform::Bucket(4),
        "host_bucket",
        Some(Literal::int(3)),
    );
    assert_eq!(bucket, "host_bucket=3");
}

#[test]
fn long_values_have_short_paths_of_their_own() {
    let path = |value: String| {
        path_of(
            PrimitiveType::String,
            Transform::Identity,
            "host",
            Some(Literal::string(value)),
        )
    };
    let (one, other) = (path("é".repeat(500)), path("é".repeat(501)));
    let hash = one.len() - "-0123456789abcdef".len();
    assert!(one.len() <= 128);
    assert_eq!(
        (hash - "host=".len()) % "%C3".len(),
        0,
        "no escape is cut in two"
    );
    assert_ne!(one, other);
    assert!(one.starts_with("host=%C3%A9%C3%A9"));
    assert_eq!(path("a".repeat(123)), format!("host={}", "a".repeat(123)));
}

#[test]
fn many_fields_have_a_bounded_path() {
    let fields: Vec<_> = (0..9)
        .map(|id| {
            Arc::new(NestedField::optional(
                id,
                format!("c{id}"),
                Type::Primitive(PrimitiveType::String),
            ))
        })
        .collect();
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let mut builder = UnboundPartitionSpec::builder();
    for id in 0..9 {
        builder = builder
            .add_partition_field(id, format!("c{id}"), Transform::Identity)
            .unwrap();
    }
    let spec = builder.build().bind(schema.clone()).unwrap();
    let values: Struct = (0..9)
        .map(|id: i32| text(&format!("{id}").repeat(400)))
        .collect();
    let path = partition_path(&spec, &spec.partition_type(&schema).unwrap(), &values);
    assert!(path.len() <= 512 && path.starts_with("c0=0000"), "{path}");
}
