//! Random rows of every type.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeBinaryArray, ListArray, MapArray,
    RecordBatch, StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, TimeUnit};

/// A small generator of numbers that is the same for a seed everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn text(&mut self, distinct: u64) -> String {
        const PARTS: [&str; 8] = [
            "a",
            "zz",
            "é",
            "\u{D7FF}",
            "\u{FFFF}",
            "\u{10FFFF}",
            "log line ",
            "\0",
        ];
        let mut own = Self::new(self.below(distinct));
        let length = match own.below(4) {
            0 => 0,
            1 => own.below(4),
            2 => own.below(40),
            _ => own.below(120),
        };
        (0..length).map(|_| PARTS[own.below(8) as usize]).collect()
    }

    fn bytes(&mut self, distinct: u64, length: usize) -> Vec<u8> {
        let mut own = Self::new(self.below(distinct));
        let high = own.below(3) == 0;
        (0..length)
            .map(|_| if high { 0xFF } else { own.next() as u8 })
            .collect()
    }

    fn float(&mut self, distinct: u64) -> f64 {
        match self.below(12) {
            0 => f64::NAN,
            1 => 0.0,
            2 => -0.0,
            3 => f64::INFINITY,
            4 => f64::NEG_INFINITY,
            _ => self.below(distinct) as f64 / 7.0 - 1000.0,
        }
    }

    /// How a batch's column looks: distinct values, and nulls in how many of a hundred.
    fn shape(&mut self) -> (u64, u64) {
        let distinct = [1, 2, 30, 3_000, u64::MAX][self.below(5) as usize];
        let nulls = [0, 0, 1, 50, 100][self.below(5) as usize];
        (distinct, nulls)
    }

    fn nulls(&mut self, rows: usize, field: &Field, percent: u64) -> Option<NullBuffer> {
        field.is_nullable().then(|| {
            (0..rows)
                .map(|_| self.below(100) >= percent)
                .collect::<NullBuffer>()
        })
    }
}

/// Rows of the schema, of any type that a table may have.
pub(super) fn batch(
    schema: &arrow_schema::SchemaRef,
    rows: usize,
    random: &mut Random,
) -> RecordBatch {
    let columns = schema
        .fields()
        .iter()
        .map(|field| column(field, rows, random))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn column(field: &Field, rows: usize, random: &mut Random) -> ArrayRef {
    let (distinct, percent) = random.shape();
    let nulls = random.nulls(rows, field, percent);
    let longs = |random: &mut Random, distinct: u64| -> Vec<i64> {
        (0..rows)
            .map(|_| random.below(distinct).wrapping_mul(0x1234_5678_9ABC_DEF1) as i64)
            .collect()
    };
    match field.data_type() {
        DataType::Boolean => {
            let values = (0..rows)
                .map(|_| random.below(distinct.min(2)) == 1)
                .collect();
            Arc::new(BooleanArray::new(values, nulls))
        }
        DataType::Int32 => {
            let values: Vec<i32> = longs(random, distinct)
                .into_iter()
                .map(|v| v as i32)
                .collect();
            Arc::new(Int32Array::new(values.into(), nulls))
        }
        DataType::Date32 => {
            let values: Vec<i32> = longs(random, distinct)
                .into_iter()
                .map(|v| v as i32 % 100_000)
                .collect();
            Arc::new(Date32Array::new(values.into(), nulls))
        }
        DataType::Int64 => Arc::new(Int64Array::new(longs(random, distinct).into(), nulls)),
        DataType::Time64(_) => {
            let values: Vec<i64> = longs(random, distinct)
                .into_iter()
                .map(|v| v.rem_euclid(86_400_000_000))
                .collect();
            Arc::new(Time64MicrosecondArray::new(values.into(), nulls))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let array = TimestampMicrosecondArray::new(longs(random, distinct).into(), nulls);
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Float32 => {
            let values: Vec<f32> = (0..rows).map(|_| random.float(distinct) as f32).collect();
            Arc::new(Float32Array::new(values.into(), nulls))
        }
        DataType::Float64 => {
            let values: Vec<f64> = (0..rows).map(|_| random.float(distinct)).collect();
            Arc::new(Float64Array::new(values.into(), nulls))
        }
        DataType::Decimal128(precision, scale) => {
            let limit = 10i128.pow(u32::from(*precision));
            let values: Vec<i128> = longs(random, distinct)
                .into_iter()
                .map(|v| i128::from(v).wrapping_mul(0x0123_4567_89AB_CDEF_0123) % limit)
                .collect();
            let array = Decimal128Array::new(values.into(), nulls);
            Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Utf8 => {
            let values: Vec<String> = (0..rows).map(|_| random.text(distinct)).collect();
            with_nulls(&StringArray::from(values), nulls)
        }
        DataType::LargeBinary => {
            let values: Vec<Vec<u8>> = (0..rows)
                .map(|_| {
                    let length = random.below(30) as usize;
                    random.bytes(distinct, length)
                })
                .collect();
            with_nulls(&LargeBinaryArray::from_iter_values(values), nulls)
        }
        DataType::FixedSizeBinary(width) => {
            let values = (0..rows).map(|_| random.bytes(distinct, *width as usize));
            with_nulls(&FixedSizeBinaryArray::try_from_iter(values).unwrap(), nulls)
        }
        nested => nested_column(nested, rows, nulls, random),
    }
}

fn nested_column(
    data_type: &DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
    random: &mut Random,
) -> ArrayRef {
    let lengths = |random: &mut Random| {
        let lengths: Vec<usize> = (0..rows).map(|_| random.below(4) as usize).collect();
        OffsetBuffer::<i32>::from_lengths(lengths)
    };
    match data_type {
        DataType::Struct(fields) => {
            let columns = fields
                .iter()
                .map(|field| column(field, rows, random))
                .collect();
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::List(element) => {
            let offsets = lengths(random);
            let values = column(element, *offsets.last().unwrap() as usize, random);
            Arc::new(ListArray::new(Arc::clone(element), offsets, values, nulls))
        }
        DataType::Map(entries, sorted) => {
            let offsets = lengths(random);
            let count = *offsets.last().unwrap() as usize;
            let DataType::Struct(fields) = entries.data_type() else {
                panic!("a map without entries")
            };
            let columns = fields
                .iter()
                .map(|field| column(field, count, random))
                .collect();
            let pairs = StructArray::new(fields.clone(), columns, None);
            Arc::new(MapArray::new(
                Arc::clone(entries),
                offsets,
                pairs,
                nulls,
                *sorted,
            ))
        }
        other => panic!("{other} is no table's type"),
    }
}

fn with_nulls(array: &dyn Array, nulls: Option<NullBuffer>) -> ArrayRef {
    arrow_array::make_array(array.to_data().into_builder().nulls(nulls).build().unwrap())
}
