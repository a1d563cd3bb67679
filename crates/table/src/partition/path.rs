//! The folder of a partition: `host=a%2Fb/time_day=2024-01-02`.
//!
//! For people and for tools that look at paths: Iceberg's readers take partition values from
//! manifests alone. Written as Iceberg's Java library does, with one bound that it lacks: the name
//! of a folder is never longer than a file system takes.

use std::fmt::Write as _;

use iceberg::spec::{
    Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, Struct, StructType, Transform, Type,
};
use xxhash_rust::xxh3::xxh3_64;

use super::transform::civil;

/// The longest name of one folder, in bytes. Most file systems take 255; object storages take 1,024
/// for a whole key, which leaves room for several such folders.
const FOLDER_BYTES_MAX: usize = 128;

/// The longest path of folders, in bytes.
const PATH_BYTES_MAX: usize = 512;

/// The folders of a partition, without slashes at the ends; empty for an unpartitioned table.
///
/// Names and values are URL-encoded. What is too long is cut and ends in a hash of the whole, so that
/// two partitions never share a folder by being cut alike.
pub fn partition_path(
    spec: &PartitionSpec,
    partition_type: &StructType,
    values: &Struct,
) -> String {
    let mut path = String::new();
    let fields = spec
        .fields()
        .iter()
        .zip(partition_type.fields())
        .zip(values.iter());
    for ((field, typed), value) in fields {
        if !path.is_empty() {
            path.push('/');
        }
        let mut folder = url_encode(field.name.as_bytes());
        folder.push('=');
        match value {
            None => folder.push_str("null"),
            Some(value) => folder.push_str(&human(field.transform, &typed.field_type, value)),
        }
        path.push_str(&bounded(folder, FOLDER_BYTES_MAX));
    }
    bounded_path(path)
}

fn bounded(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let hash = format!("-{:016x}", xxh3_64(text.as_bytes()));
    // The text is URL-encoded, so each byte is a character; an escape is not cut in two.
    let mut end = bytes_max - hash.len();
    if let Some(escape) = text[end - 2..end].find('%') {
        end = end - 2 + escape;
    }
    format!("{}{hash}", &text[..end])
}

fn bounded_path(path: String) -> String {
    if path.len() <= PATH_BYTES_MAX {
        return path;
    }
    let hash = format!("{:016x}", xxh3_64(path.as_bytes()));
    let kept = path[..PATH_BYTES_MAX - hash.len()].rfind('/').unwrap_or(0);
    format!("{}/{hash}", &path[..kept])
}

/// As `java.net.URLEncoder` does: letters, digits and `.-*_` stay, a space is `+`.
fn url_encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(char::from(*byte));
            }
            b' ' => encoded.push('+'),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

fn human(transform: Transform, result_type: &Type, value: &Literal) -> String {
    let Literal::Primitive(value) = value else {
        return "null".to_owned();
    };
    let text = match (transform, value) {
        (Transform::Year, PrimitiveLiteral::Int(years)) => {
            format!("{:04}", 1970 + i64::from(*years))
        }
        (Transform::Month, PrimitiveLiteral::Int(months)) => {
            let months = i64::from(*months);
            format!(
                "{:04}-{:02}",
                1970 + months.div_euclid(12),
                months.rem_euclid(12) + 1
            )
        }
        (Transform::Day, PrimitiveLiteral::Int(days)) => date(i64::from(*days)),
        (Transform::Hour, PrimitiveLiteral::Int(hours)) => {
            let hours = i64::from(*hours);
            format!("{}-{:02}", date(hours.div_euclid(24)), hours.rem_euclid(24))
        }
        _ => return human_value(result_type, value),
    };
    url_encode(text.as_bytes())
}

fn human_value(value_type: &Type, value: &PrimitiveLiteral) -> String {
    let text = match (value, value_type) {
        (PrimitiveLiteral::Boolean(v), _) => v.to_string(),
        (PrimitiveLiteral::Int(days), Type::Primitive(PrimitiveType::Date)) => {
            date(i64::from(*days))
        }
        (PrimitiveLiteral::Int(v), _) => v.to_string(),
        (PrimitiveLiteral::Long(v), Type::Primitive(kind)) => long(*v, kind),
        (PrimitiveLiteral::Long(v), _) => v.to_string(),
        (PrimitiveLiteral::Float(v), _) => v.to_string(),
        (PrimitiveLiteral::Double(v), _) => v.to_string(),
        (PrimitiveLiteral::String(v), _) => return url_encode(v.as_bytes()),
        (PrimitiveLiteral::UInt128(v), _) => uuid::Uuid::from_u128(*v).to_string(),
        (PrimitiveLiteral::Int128(v), Type::Primitive(PrimitiveType::Decimal { scale, .. })) => {
            decimal(*v, *scale)
        }
        (PrimitiveLiteral::Int128(v), _) => v.to_string(),
        (PrimitiveLiteral::Binary(v), _) => {
            v.iter()
                .fold(String::with_capacity(2 * v.len()), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                })
        }
        (PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin, _) => "null".to_owned(),
    };
    url_encode(text.as_bytes())
}

fn long(value: i64, kind: &PrimitiveType) -> String {
    match kind {
        PrimitiveType::Time => time(i128::from(value) * 1_000),
        PrimitiveType::Timestamp => timestamp(i128::from(value) * 1_000),
        PrimitiveType::Timestamptz => timestamp(i128::from(value) * 1_000) + "+00:00",
        PrimitiveType::TimestampNs => timestamp(i128::from(value)),
        PrimitiveType::TimestamptzNs => timestamp(i128::from(value)) + "+00:00",
        _ => value.to_string(),
    }
}

fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

fn timestamp(nanos: i128) -> String {
    const NANOS_PER_DAY: i128 = 86_400_000_000_000;
    format!(
        "{}T{}",
        date(nanos.div_euclid(NANOS_PER_DAY) as i64),
        time(nanos.rem_euclid(NANOS_PER_DAY))
    )
}

fn time(nanos: i128) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let fraction = nanos.rem_euclid(1_000_000_000);
    let mut text = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text
}

fn decimal(unscaled: i128, scale: u32) -> String {
    let digits = format!(
        "{:0width$}",
        unscaled.unsigned_abs(),
        width = scale as usize + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}
