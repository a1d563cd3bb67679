//! The transforms themselves, over whole arrays.
//!
//! The iceberg crate's own are not used: its `day` is a day off for some instants before 1970, its
//! `truncate` does not take the Arrow type of `binary`, and it panics or overflows at the far ends.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Int32Array, LargeBinaryArray, StringArray,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Int32Type, Int64Type, Time64MicrosecondType,
        TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};
use iceberg::spec::Transform;

use crate::data_file::TableWriteError;

const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Applies a partition transform to each value of an array of the table's Arrow type.
///
/// Null stays null. `year`, `month`, `day`, `hour` and `bucket` give `Int32`; the others keep the
/// type. Rounding is towards negative infinity, as the specification's examples have it.
///
/// # Errors
/// [`TableWriteError::Unsupported`] where the transform does not take the type.
pub fn transform_array(
    transform: Transform,
    array: &ArrayRef,
) -> Result<ArrayRef, TableWriteError> {
    let transformed = match transform {
        Transform::Identity => Some(Arc::clone(array)),
        Transform::Void => Some(arrow_array::new_null_array(array.data_type(), array.len())),
        Transform::Bucket(buckets) => bucket(array, buckets),
        Transform::Truncate(width) => truncate(array, width),
        Transform::Year => dates(array, |days| months_since_1970(days).div_euclid(12)),
        Transform::Month => dates(array, months_since_1970),
        Transform::Day => dates(array, |days| days),
        Transform::Hour => hours(array),
        Transform::Unknown => None,
    };
    transformed.ok_or_else(|| TableWriteError::Unsupported {
        reason: format!(
            "partition transform {transform} does not take {}",
            array.data_type()
        ),
    })
}

fn map<T: ArrowPrimitiveType>(array: &ArrayRef, f: impl Fn(T::Native) -> i32) -> ArrayRef {
    Arc::new(array.as_primitive::<T>().unary::<_, Int32Type>(f))
}

/// Applies `f` to the days since 1970-01-01 of dates and times.
fn dates(array: &ArrayRef, f: impl Fn(i64) -> i64) -> Option<ArrayRef> {
    let f = |days: i64| f(days) as i32;
    Some(match array.data_type() {
        DataType::Date32 => map::<Date32Type>(array, |days| f(i64::from(days))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            map::<TimestampMicrosecondType>(array, |micros| f(micros.div_euclid(MICROS_PER_DAY)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType>(array, |nanos| {
                f(nanos.div_euclid(MICROS_PER_DAY * 1_000))
            })
        }
        _ => return None,
    })
}

fn hours(array: &ArrayRef) -> Option<ArrayRef> {
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            map::<TimestampMicrosecondType>(array, |micros| {
                micros.div_euclid(MICROS_PER_HOUR) as i32
            })
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType>(array, |nanos| {
                nanos.div_euclid(MICROS_PER_HOUR * 1_000) as i32
            })
        }
        _ => return None,
    })
}

/// Months from 1970-01 to the month of a day, in the proleptic Gregorian calendar.
pub(super) fn months_since_1970(days: i64) -> i64 {
    let (year, month, _) = civil(days);
    (year - 1970) * 12 + month - 1
}

/// Year, month (1 to 12) and day (1 to 31) of a day since 1970-01-01.
///
/// Counts years from March, so that the leap day comes last, in eras of 400 years.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_FROM_0000_03_01_TO_1970_01_01: i64 = 719_468;
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + DAYS_FROM_0000_03_01_TO_1970_01_01;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn truncate(array: &ArrayRef, width: u32) -> Option<ArrayRef> {
    // Near a type's minimum the multiple below does not exist; it wraps, as in Iceberg's Java library.
    Some(match array.data_type() {
        DataType::Int32 => {
            let width = i32::try_from(width).ok().filter(|width| *width > 0)?;
            let cut = |v: i32| v.wrapping_sub(v.rem_euclid(width));
            Arc::new(array.as_primitive::<Int32Type>().unary::<_, Int32Type>(cut))
        }
        DataType::Int64 => {
            let width = i64::from(width.max(1));
            let cut = |v: i64| v.wrapping_sub(v.rem_euclid(width));
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int64Type>(cut))
        }
        DataType::Decimal128(_, _) => {
            let width = i128::from(width.max(1));
            let cut = |v: i128| v.wrapping_sub(v.rem_euclid(width));
            let array = array.as_primitive::<Decimal128Type>();
            let cut = array.unary::<_, Decimal128Type>(cut);
            Arc::new(cut.with_data_type(array.data_type().clone()))
        }
        DataType::Utf8 => {
            let width = width as usize;
            let cut = array
                .as_string::<i32>()
                .iter()
                .map(|v| v.map(|v| prefix(v, width)));
            Arc::new(cut.collect::<StringArray>())
        }
        DataType::LargeBinary => {
            let width = width as usize;
            let cut = array
                .as_binary::<i64>()
                .iter()
                .map(|v| v.map(|v| &v[..v.len().min(width)]));
            Arc::new(cut.collect::<LargeBinaryArray>())
        }
        _ => return None,
    })
}

/// The first `width` characters (code points).
fn prefix(text: &str, width: usize) -> &str {
    if text.len() <= width {
        return text;
    }
    text.char_indices()
        .nth(width)
        .map_or(text, |(end, _)| &text[..end])
}

fn bucket(array: &ArrayRef, buckets: u32) -> Option<ArrayRef> {
    let buckets = i32::try_from(buckets).ok().filter(|buckets| *buckets > 0)?;
    let of = |hash: u32| (hash as i32 & i32::MAX) % buckets;
    let long = |value: i64| of(murmur3(&value.to_le_bytes()));
    let bytes = |value: &[u8]| of(murmur3(value));
    Some(match array.data_type() {
        DataType::Int32 => map::<Int32Type>(array, |v| long(i64::from(v))),
        DataType::Int64 => map::<Int64Type>(array, long),
        DataType::Date32 => map::<Date32Type>(array, |v| long(i64::from(v))),
        DataType::Time64(TimeUnit::Microsecond) => map::<Time64MicrosecondType>(array, long),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            map::<TimestampMicrosecondType>(array, long)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType>(array, |v| long(v.div_euclid(1_000)))
        }
        DataType::Decimal128(_, _) => map::<Decimal128Type>(array, |v| {
            of(murmur3(&v.to_be_bytes()[redundant_bytes(v)..]))
        }),
        DataType::Utf8 => {
            let buckets = array
                .as_string::<i32>()
                .iter()
                .map(|v| v.map(|v| bytes(v.as_bytes())));
            Arc::new(buckets.collect::<Int32Array>())
        }
        DataType::LargeBinary => Arc::new(
            array
                .as_binary::<i64>()
                .iter()
                .map(|v| v.map(bytes))
                .collect::<Int32Array>(),
        ),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Arc::new(array.iter().map(|v| v.map(bytes)).collect::<Int32Array>())
        }
        _ => return None,
    })
}

/// How many leading bytes of the big-endian form only repeat the sign.
pub(crate) fn redundant_bytes(value: i128) -> usize {
    let sign_bits = if value < 0 {
        value.leading_ones()
    } else {
        value.leading_zeros()
    };
    (sign_bits as usize - 1) / 8
}

/// 32-bit Murmur3, x86 variant, seed 0 (the specification's Appendix B).
pub(super) fn murmur3(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scramble = |block: u32| block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = 0u32;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let block = tail
            .iter()
            .rev()
            .fold(0u32, |block, byte| block << 8 | u32::from(*byte));
        hash ^= scramble(block);
    }
    hash ^= bytes.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
