//! What a sample holds: the kinds of values under each name, in the order in which names came.
//!
//! Numbers are looked at as text, since a float would already have lost what decides their type.

use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects and lists deeper than this are taken as the text that they are: types nest no deeper.
const DEPTH_MAX: usize = 16;

/// The values seen under one name.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// All of them.
    pub(super) count: u64,
    pub(super) nulls: u64,
    pub(super) booleans: u64,
    pub(super) integers: Integers,
    pub(super) reals: Reals,
    pub(super) strings: Strings,
    pub(super) objects: u64,
    pub(super) fields: Fields,
    pub(super) lists: u64,
    /// The elements of all lists.
    pub(super) elements: Option<Box<Seen>>,
    /// Values below [`DEPTH_MAX`], not looked into.
    pub(super) too_deep: u64,
}

/// Numbers without fraction and exponent.
#[derive(Debug, Clone, Default)]
pub(super) struct Integers {
    pub(super) count: u64,
    /// The smallest and the largest; those beyond 128 bits count as the nearest that fits.
    pub(super) range: Option<(i128, i128)>,
    /// Whether one of them is none of a double's values.
    pub(super) inexact_as_double: bool,
}

/// Numbers with a fraction or an exponent.
#[derive(Debug, Clone, Default)]
pub(super) struct Reals {
    pub(super) count: u64,
    pub(super) range: Option<(f64, f64)>,
}

/// Texts, by what they can be read as.
#[derive(Debug, Clone, Default)]
pub(super) struct Strings {
    pub(super) count: u64,
    pub(super) zoned_times: u64,
    pub(super) zoneless_times: u64,
    pub(super) dates: u64,
    pub(super) uuids: u64,
}

/// An object's fields, in the order in which they were first seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) list: Vec<(String, Seen)>,
    index: HashMap<String, usize>,
}

impl Fields {
    pub(super) fn of(&mut self, name: &str) -> &mut Seen {
        let at = self.index.get(name).copied().unwrap_or(self.list.len());
        if at == self.list.len() {
            self.index.insert(name.to_owned(), at);
            self.list.push((name.to_owned(), Seen::default()));
        }
        &mut self.list[at].1
    }
}

impl Seen {
    /// Looks at one value; fails where it is no JSON within.
    pub(super) fn look(&mut self, value: &RawValue, depth: usize) -> serde_json::Result<()> {
        let text = value.get();
        self.count += 1;
        match text.as_bytes().first() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => self.too_deep += 1,
            Some(b'{') => {
                self.objects += 1;
                for (name, value) in serde_json::from_str::<Object<'_>>(text)?.0 {
                    self.fields.of(&name).look(value, depth + 1)?;
                }
            }
            Some(b'[') => {
                self.lists += 1;
                let elements = self.elements.get_or_insert_default();
                for element in serde_json::from_str::<Vec<&RawValue>>(text)? {
                    elements.look(element, depth + 1)?;
                }
            }
            Some(b'"') => self.strings.look(&serde_json::from_str::<String>(text)?),
            Some(b't' | b'f') => self.booleans += 1,
            Some(b'n') => self.nulls += 1,
            _ if text.contains(['.', 'e', 'E']) => self.reals.look(text),
            _ => self.integers.look(text),
        }
        Ok(())
    }

    /// Adds what was seen under another name.
    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.nulls += other.nulls;
        self.booleans += other.booleans;
        self.integers.add(&other.integers);
        self.reals.add(&other.reals);
        self.strings.add(&other.strings);
        self.objects += other.objects;
        for (name, seen) in &other.fields.list {
            self.fields.of(name).add(seen);
        }
        self.lists += other.lists;
        if let Some(elements) = &other.elements {
            self.elements.get_or_insert_default().add(elements);
        }
        self.too_deep += other.too_deep;
    }
}

impl Integers {
    fn look(&mut self, text: &str) {
        self.count += 1;
        let beyond = if text.starts_with('-') {
            i128::MIN
        } else {
            i128::MAX
        };
        let number = text.parse::<i128>().unwrap_or(beyond);
        self.inexact_as_double |= number as f64 as i128 != number || number == beyond;
        self.range = Some(self.range.map_or((number, number), |(low, high)| {
            (low.min(number), high.max(number))
        }));
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.inexact_as_double |= other.inexact_as_double;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, two) => one.or(two),
        };
    }
}

impl Reals {
    fn look(&mut self, text: &str) {
        self.count += 1;
        // Every JSON number is text that a float parses; beyond its range it is infinite.
        let number = text.parse::<f64>().unwrap_or(f64::INFINITY);
        self.range = Some(self.range.map_or((number, number), |(low, high)| {
            (low.min(number), high.max(number))
        }));
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, two) => one.or(two),
        };
    }
}

impl Strings {
    fn look(&mut self, text: &str) {
        self.count += 1;
        match time_shape(text) {
            Some(TimeShape::Zoned) => self.zoned_times += 1,
            Some(TimeShape::Zoneless) => self.zoneless_times += 1,
            Some(TimeShape::Date) => self.dates += 1,
            None if is_uuid(text) => self.uuids += 1,
            None => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.zoned_times += other.zoned_times;
        self.zoneless_times += other.zoneless_times;
        self.dates += other.dates;
        self.uuids += other.uuids;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeShape {
    Zoned,
    Zoneless,
    Date,
}

/// Whether `text` is a date or time as RFC 3339 writes them, and a real one.
fn time_shape(text: &str) -> Option<TimeShape> {
    let bytes = text.as_bytes();
    let matches = |pattern: &[u8], bytes: &[u8]| {
        bytes.len() >= pattern.len()
            && pattern.iter().zip(bytes).all(|(p, b)| {
                if *p == b'0' {
                    b.is_ascii_digit()
                } else {
                    p == b
                }
            })
    };
    if !matches(b"0000-00-00", bytes) {
        return None;
    }
    if bytes.len() == 10 {
        return text
            .parse::<jiff::civil::Date>()
            .ok()
            .map(|_| TimeShape::Date);
    }
    if !matches(b"0000-00-00T00:00:00", bytes) {
        return None;
    }
    let mut rest = &bytes[19..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        rest = &fraction[digits..];
    }
    match rest {
        b"" => text
            .parse::<jiff::civil::DateTime>()
            .ok()
            .map(|_| TimeShape::Zoneless),
        b"Z" => text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(|_| TimeShape::Zoned),
        offset
            if offset.len() == 6 && (matches(b"+00:00", offset) || matches(b"-00:00", offset)) =>
        {
            text.parse::<jiff::Timestamp>()
                .ok()
                .map(|_| TimeShape::Zoned)
        }
        _ => None,
    }
}

/// Whether `text` is a UUID as RFC 9562 writes it.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// A JSON object in the order of its text, values unread. Of a name that comes twice both are kept.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(name) = map.next_key::<String>()? {
                    fields.push((
                        name,
                        map.next_value::<&'de RawValue>()
                            .map_err(M::Error::custom)?,
                    ));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for value in values {
            seen.look(serde_json::from_str(value).unwrap(), 0).unwrap();
        }
        seen
    }

    #[test]
    fn fields_keep_the_order_in_which_they_came() {
        let seen = seen(&[r#"{"z":1,"a":2}"#, r#"{"m":1,"a":null,"z":2}"#]);
        let names: Vec<_> = seen
            .fields
            .list
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["z", "a", "m"]);
    }

    #[test]
    fn texts_are_times_only_where_they_are_real_ones() {
        use TimeShape::{Date, Zoned, Zoneless};
        for (text, shape) in [
            ("2024-02-29", Some(Date)),
            ("2023-02-29", None),
            ("2024-02-29T10:00:00Z", Some(Zoned)),
            ("2024-02-29T10:00:00.123456789+02:00", Some(Zoned)),
            ("2024-02-29T10:00:00,123Z", None),
            ("2024-02-29T10:00:00", Some(Zoneless)),
            ("2024-02-29T25:00:00Z", None),
            ("2024-02-29Textra", None),
            ("", None),
            ("größe-größe", None),
        ] {
            assert_eq!(time_shape(text), shape, "{text}");
        }
    }

    #[test]
    fn integers_know_whether_a_double_holds_them() {
        assert!(!seen(&["9007199254740992"]).integers.inexact_as_double);
        assert!(seen(&["9007199254740993"]).integers.inexact_as_double);
        assert!(seen(&["1", &"9".repeat(60)]).integers.inexact_as_double);
    }

    #[test]
    fn a_value_nested_without_end_is_not_followed() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let mut one = &seen(&[&deep]);
        let mut depth = 0;
        while let Some(elements) = &one.elements {
            one = elements;
            depth += 1;
        }
        assert_eq!((depth, one.too_deep), (DEPTH_MAX, 1));
    }
}
