//! The smallest and the largest value of a column, a page or a file.

/// A value in the order of its Iceberg type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(i128),
    /// Strings, binary, uuid and fixed: unsigned bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Whether `self` comes before `other`; both are of one column.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => !a & b,
            (Self::Int(a), Self::Int(b)) => a < b,
            (Self::Long(a), Self::Long(b)) => a < b,
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b).is_lt(),
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b).is_lt(),
            (Self::Decimal(a), Self::Decimal(b)) => a < b,
            (Self::Bytes(a), Self::Bytes(b)) => a < b,
            _ => false,
        }
    }
}

/// The ends of some values, without null and NaN; `None` where there are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extent {
    ends: Option<(Value, Value)>,
}

impl Extent {
    /// From the ends of some values. Zero counts as both of its signs, since readers may compare
    /// either way.
    pub(crate) fn new(min: Value, max: Value) -> Self {
        let min = match min {
            Value::Float(v) => Value::Float(if v == 0.0 { -0.0 } else { v }),
            Value::Double(v) => Value::Double(if v == 0.0 { -0.0 } else { v }),
            other => other,
        };
        let max = match max {
            Value::Float(v) => Value::Float(if v == 0.0 { 0.0 } else { v }),
            Value::Double(v) => Value::Double(if v == 0.0 { 0.0 } else { v }),
            other => other,
        };
        Self {
            ends: Some((min, max)),
        }
    }

    /// The smallest and the largest.
    pub(crate) fn ends(&self) -> Option<(&Value, &Value)> {
        self.ends.as_ref().map(|(min, max)| (min, max))
    }

    /// Widens it by another part of the same column.
    pub(crate) fn merge(&mut self, other: &Self) {
        let Some((other_min, other_max)) = &other.ends else {
            return;
        };
        match &mut self.ends {
            None => self.ends.clone_from(&other.ends),
            Some((min, max)) => {
                if other_min.is_before(min) {
                    min.clone_from(other_min);
                }
                if max.is_before(other_max) {
                    max.clone_from(other_max);
                }
            }
        }
    }
}

/// The text itself where it is short enough; else the smallest text of `length` code points or fewer
/// that is above all that begin as it does. `None` where there is none.
pub(crate) fn text_above(text: &str, length: usize) -> Option<String> {
    let Some((end, _)) = text.char_indices().nth(length) else {
        return Some(text.to_owned());
    };
    let mut prefix: Vec<char> = text[..end].chars().collect();
    while let Some(last) = prefix.pop() {
        // The next code point, past the surrogates, which are no characters.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(other as u32 + 1),
        };
        if let Some(next) = next {
            prefix.push(next);
            return Some(prefix.into_iter().collect());
        }
    }
    None
}

/// As [`text_above`], for bytes.
pub(crate) fn bytes_above(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    if bytes.len() <= length {
        return Some(bytes.to_vec());
    }
    let mut prefix = bytes[..length].to_vec();
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}
