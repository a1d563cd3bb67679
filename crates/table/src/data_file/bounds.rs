//! From the smallest and largest value of a column to the bounds that a manifest holds.

use iceberg::spec::{Datum, PrimitiveType};

use super::{
    encode::{Extent, Value, bytes_above, text_above},
    settings::MetricsMode,
};
use crate::partition::redundant_bytes;

/// The lower and the upper bound. Either may be missing: by `mode`, or because there is no value, or
/// no short enough one above all.
pub(crate) fn bounds(
    extent: &Extent,
    kind: &PrimitiveType,
    mode: MetricsMode,
) -> (Option<Datum>, Option<Datum>) {
    let Some((min, max)) = extent.ends() else {
        return (None, None);
    };
    let (min, max) = (serialize(min, kind), serialize(max, kind));
    let (lower, upper) = match (mode, kind) {
        (MetricsMode::None | MetricsMode::Counts, _) => return (None, None),
        (MetricsMode::Truncate(length), PrimitiveType::String) => shorten_text(min, max, length),
        (MetricsMode::Truncate(length), PrimitiveType::Binary) => {
            let upper = bytes_above(&max, length);
            (Some(min[..min.len().min(length)].to_vec()), upper)
        }
        _ => (Some(min), Some(max)),
    };
    let datum = |bytes: Vec<u8>| Datum::try_from_bytes(&bytes, kind.clone()).ok();
    (lower.and_then(datum), upper.and_then(datum))
}

fn shorten_text(min: Vec<u8>, max: Vec<u8>, length: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let lower = String::from_utf8(min).ok().map(|min| {
        let end = min
            .char_indices()
            .nth(length)
            .map_or(min.len(), |(end, _)| end);
        min.as_bytes()[..end].to_vec()
    });
    let upper = String::from_utf8(max)
        .ok()
        .and_then(|max| text_above(&max, length));
    (lower, upper.map(String::into_bytes))
}

/// Single-value serialization (the specification's Appendix D).
fn serialize(value: &Value, kind: &PrimitiveType) -> Vec<u8> {
    let decimal = matches!(kind, PrimitiveType::Decimal { .. });
    let shortest = |v: i128| v.to_be_bytes()[redundant_bytes(v)..].to_vec();
    match value {
        // Short decimals are stored, and compared, as the numbers that they are without their point.
        Value::Int(v) if decimal => shortest(i128::from(*v)),
        Value::Long(v) if decimal => shortest(i128::from(*v)),
        Value::Boolean(v) => vec![u8::from(*v)],
        Value::Int(v) => v.to_le_bytes().to_vec(),
        Value::Long(v) => v.to_le_bytes().to_vec(),
        Value::Float(v) => v.to_le_bytes().to_vec(),
        Value::Double(v) => v.to_le_bytes().to_vec(),
        Value::Decimal(v) => shortest(*v),
        Value::Bytes(v) => v.clone(),
    }
}
