//! From what a sample holds to columns that take all of it, so that no value is rescued.

use std::{collections::HashSet, fmt::Write as _};

use super::seen::{Fields, Seen};

/// More columns than this are no table anyone reads; the rest stays in the rescued column.
const COLUMNS_MAX: usize = 1_000;

/// An object with more names than this holds data in its names: a map.
const STRUCT_FIELDS_MAX: usize = 64;

/// Longer names are cut; metastores take no more than 128 bytes.
const NAME_BYTES_MAX: usize = 120;

/// What no column may be named: the rescued column, and Iceberg's own metadata columns.
const RESERVED: [&str; 13] = [
    "_rescued",
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_row_id",
    "_last_updated_sequence_number",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
    "_rank",
    "_committed_at",
];

/// A column of the new dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuessedColumn {
    pub(super) name: String,
    /// The field's name, where it is not the column's.
    pub(super) from: Option<String>,
    /// As the dataset file spells it.
    pub(super) column_type: String,
    pub(super) parse: Option<&'static str>,
    /// What a reader should know.
    pub(super) note: Option<String>,
}

impl GuessedColumn {
    /// Whether it is a moment in time.
    pub(super) fn is_time(&self) -> bool {
        matches!(self.column_type.as_str(), "timestamptz" | "timestamp")
    }
}

/// The columns for records with these fields, and how many fields got none.
pub(super) fn columns(fields: &Fields, records: u64) -> (Vec<GuessedColumn>, usize) {
    let mut taken = HashSet::from(RESERVED.map(str::to_owned));
    let columns: Vec<_> = fields
        .list
        .iter()
        .take(COLUMNS_MAX)
        .map(|(field, seen)| {
            let name = unique(column_name(field), &mut taken);
            let guess = Guess::of(seen, Some(field));
            let note = match guess.note {
                None if seen.nulls == seen.count => Some("always null in the sample".to_owned()),
                None if seen.count.saturating_mul(100) < records => {
                    Some(format!("in {} of {records} records", seen.count))
                }
                note => note,
            };
            GuessedColumn {
                from: (name != *field).then(|| field_reference(field)),
                name,
                column_type: guess.spelled,
                parse: guess.parse,
                note,
            }
        })
        .collect();
    let left = fields.list.len() - columns.len();
    (columns, left)
}

/// A text column for each field.
pub(super) fn text_columns<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<GuessedColumn> {
    let mut taken = HashSet::from(RESERVED.map(str::to_owned));
    let columns = fields.take(COLUMNS_MAX).map(|field| {
        let name = unique(column_name(field), &mut taken);
        GuessedColumn {
            from: (name != *field).then(|| field_reference(field)),
            name,
            column_type: "string".to_owned(),
            parse: None,
            note: None,
        }
    });
    columns.collect()
}

/// `field` with all but letters, digits and `_` replaced, since engines quote or refuse the rest.
fn column_name(field: &str) -> String {
    let inner = field.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
    let mut name: String = inner
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    if name.is_empty() {
        name.push_str("field");
    }
    if name.starts_with(|c: char| c.is_numeric()) {
        name.insert(0, '_');
    }
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

/// `name`, or `name_2`, …: engines do not tell `Host` from `host`.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.to_lowercase()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// How a column's `from` names this very field.
fn field_reference(field: &str) -> String {
    if field.starts_with('/') || field.is_empty() {
        format!("/{}", field.replace('~', "~0").replace('/', "~1"))
    } else if field.starts_with('$') {
        format!("${field}")
    } else {
        field.to_owned()
    }
}

/// The type that takes all values seen under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Guess {
    spelled: String,
    parse: Option<&'static str>,
    note: Option<String>,
}

impl Guess {
    fn of(seen: &Seen, field: Option<&str>) -> Self {
        let numbers = seen.integers.count + seen.reals.count;
        let values = seen.count - seen.nulls;
        if values == 0 || seen.too_deep > 0 {
            return Self::plain("string");
        }
        if seen.booleans == values {
            return Self::plain("boolean");
        }
        if numbers == values {
            return field
                .and_then(|field| epoch(seen, field))
                .unwrap_or_else(|| number(seen));
        }
        if seen.strings.count == values {
            return Self::plain(text(seen));
        }
        if seen.objects == values {
            return Self::plain(object(seen));
        }
        if seen.lists == values {
            let element = seen
                .elements
                .as_ref()
                .map_or("string".to_owned(), |e| Self::of(e, None).spelled);
            return Self::plain(format!("list<{element}>"));
        }
        Self {
            note: Some(format!("mixed: {}", kinds(seen).join(", "))),
            ..Self::plain("string")
        }
    }

    fn plain(spelled: impl Into<String>) -> Self {
        Self {
            spelled: spelled.into(),
            parse: None,
            note: None,
        }
    }

    fn noted(spelled: &str, note: &str) -> Self {
        Self {
            note: Some(note.to_owned()),
            ..Self::plain(spelled)
        }
    }
}

/// What kinds of values were seen, for people.
fn kinds(seen: &Seen) -> Vec<&'static str> {
    [
        (seen.booleans, "booleans"),
        (seen.integers.count + seen.reals.count, "numbers"),
        (seen.strings.count, "texts"),
        (seen.objects, "objects"),
        (seen.lists, "lists"),
    ]
    .into_iter()
    .filter_map(|(count, kind)| (count > 0).then_some(kind))
    .collect()
}

fn number(seen: &Seen) -> Guess {
    let (low, high) = seen.integers.range.unwrap_or((0, 0));
    if seen.reals.count > 0 {
        let (least, most) = seen.reals.range.unwrap_or((0.0, 0.0));
        return if seen.integers.inexact_as_double || !least.is_finite() || !most.is_finite() {
            Guess::noted("string", "numbers that no double holds exactly")
        } else {
            Guess::plain("double")
        };
    }
    // 38 digits, Iceberg's most.
    let decimal_max = 10_i128.pow(38) - 1;
    if low >= i128::from(i64::MIN) && high <= i128::from(i64::MAX) {
        Guess::plain("long")
    } else if low >= -decimal_max && high <= decimal_max {
        Guess::noted("decimal(38,0)", "integers beyond 64 bits")
    } else {
        Guess::noted("string", "integers beyond 38 digits")
    }
}

fn text(seen: &Seen) -> &'static str {
    let strings = &seen.strings;
    [
        (strings.zoned_times, "timestamptz"),
        (strings.zoneless_times, "timestamp"),
        (strings.dates, "date"),
        (strings.uuids, "uuid"),
    ]
    .into_iter()
    .find_map(|(count, name)| (count == strings.count).then_some(name))
    .unwrap_or("string")
}

fn object(seen: &Seen) -> String {
    let fields = &seen.fields.list;
    let mut names = HashSet::new();
    let spellable = |name: &str| {
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || "_-@$#".contains(c))
            && !RESERVED.contains(&name.to_lowercase().as_str())
    };
    let is_struct = !fields.is_empty()
        && fields.len() <= STRUCT_FIELDS_MAX
        && fields
            .iter()
            .all(|(name, _)| spellable(name) && names.insert(name.to_lowercase()));
    if is_struct {
        let mut spelled = String::from("struct<");
        for (at, (name, seen)) in fields.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let _ = write!(spelled, "{comma}{name}: {}", Guess::of(seen, None).spelled);
        }
        spelled.push('>');
        return spelled;
    }
    let mut values = Seen::default();
    for (_, seen) in fields {
        values.add(seen);
    }
    format!("map<string, {}>", Guess::of(&values, None).spelled)
}

/// A time, where a number's field is named like one and all of its values lie in the years 2000 to 2100
/// in one and the same unit.
fn epoch(seen: &Seen, field: &str) -> Option<Guess> {
    /// 2000-01-01 and 2100-01-01 in seconds.
    const YEARS: (f64, f64) = (946_684_800.0, 4_102_444_800.0);
    if !is_time_name(field) {
        return None;
    }
    let integers = seen
        .integers
        .range
        .map(|(low, high)| (low as f64, high as f64));
    let (low, high) = match (integers, seen.reals.range) {
        (Some((a, b)), Some((c, d))) => (a.min(c), b.max(d)),
        (one, two) => one.or(two)?,
    };
    let units = [
        ("epoch_s", 1.0),
        ("epoch_ms", 1e3),
        ("epoch_us", 1e6),
        ("epoch_ns", 1e9),
    ];
    let (parse, _) = units
        .into_iter()
        .find(|(_, unit)| low >= YEARS.0 * unit && high < YEARS.1 * unit)?;
    Some(Guess {
        parse: Some(parse),
        ..Guess::plain("timestamptz")
    })
}

fn is_time_name(field: &str) -> bool {
    let name: String = field
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let field = field.to_ascii_lowercase();
    [
        "ts",
        "time",
        "timestamp",
        "datetime",
        "date",
        "epoch",
        "eventtime",
        "when",
    ]
    .contains(&name.as_str())
        || ["_at", "_ts", "_time", ".time", ".ts", "timestamp"]
            .iter()
            .any(|end| field.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(field: &str, values: &[&str]) -> (String, Option<&'static str>) {
        let mut seen = Seen::default();
        for value in values {
            seen.look(serde_json::from_str(value).unwrap(), 0).unwrap();
        }
        let guess = Guess::of(&seen, Some(field));
        (guess.spelled, guess.parse)
    }

    #[test]
    fn a_type_takes_all_that_was_seen() {
        for (values, expected) in [
            (&["true", "null", "false"][..], "boolean"),
            (&["1", "-9223372036854775808"], "long"),
            (&["1", "9223372036854775808"], "decimal(38,0)"),
            (&["1", "123456789012345678901234567890123456789"], "string"),
            (&["1", "1.5", "1e3"], "double"),
            (&["9007199254740993", "1.5"], "string"),
            (&["1e400"], "string"),
            (&["1", "\"x\""], "string"),
            (&["true", "1"], "string"),
            (&["null"], "string"),
            (
                &[
                    "\"2024-01-01T00:00:00Z\"",
                    "\"2024-01-01T00:00:00.5+01:00\"",
                ],
                "timestamptz",
            ),
            (
                &["\"2024-01-01T00:00:00Z\"", "\"2024-01-01T00:00:00\""],
                "string",
            ),
            (&["\"2024-01-01T00:00:00\""], "timestamp"),
            (&["\"2024-01-01\""], "date"),
            (&["\"2024-01-01\"", "\"\""], "string"),
            (&["\"0190a5d4-0000-7000-8000-000000000000\""], "uuid"),
            (&["[1,2]", "[]"], "list<long>"),
            (&["[]"], "list<string>"),
            (&["[1,\"a\"]"], "list<string>"),
            (
                &["{\"a\":1}", "{\"b\":{\"c\":[true]}}"],
                "struct<a: long, b: struct<c: list<boolean>>>",
            ),
            (&["{}"], "map<string, string>"),
            (&["{\"user agent\":1}"], "map<string, long>"),
            (&["{\"a\":1,\"A\":2}"], "map<string, long>"),
            (&["{\"a\":1}", "[1]"], "string"),
        ] {
            assert_eq!(guess("x", values).0, expected, "{values:?}");
        }
    }

    #[test]
    fn numbers_are_times_where_name_and_size_say_so() {
        let time = |parse| ("timestamptz".to_owned(), Some(parse));
        assert_eq!(guess("ts", &["1730000000"]), time("epoch_s"));
        assert_eq!(guess("@timestamp", &["1730000000123"]), time("epoch_ms"));
        assert_eq!(guess("created_at", &["1730000000123456"]), time("epoch_us"));
        assert_eq!(guess("time", &["1730000000123456789"]), time("epoch_ns"));
        assert_eq!(guess("ts", &["1730000000", "12"]).0, "long");
        assert_eq!(guess("latency", &["1730000000"]).0, "long");
        assert_eq!(guess("ts", &["1730000000", "1730000000123"]).0, "long");
    }

    #[test]
    fn odd_names_become_columns_that_say_where_they_are_from() {
        let mut fields = Fields::default();
        for name in [
            "@timestamp",
            "a.b",
            "Host",
            "host",
            "",
            "$x",
            "/p~q",
            "2xx",
            "_rescued",
            "größe",
            "-",
        ] {
            fields
                .of(name)
                .look(serde_json::from_str("1").unwrap(), 0)
                .unwrap();
        }
        let (columns, left) = columns(&fields, 1);
        let pairs: Vec<_> = columns
            .iter()
            .map(|c| (c.name.as_str(), c.from.as_deref()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("timestamp", Some("@timestamp")),
                ("a_b", Some("a.b")),
                ("Host", None),
                ("host_2", Some("host")),
                ("field", Some("/")),
                ("x", Some("$$x")),
                ("p_q", Some("/~1p~0q")),
                ("_2xx", Some("2xx")),
                ("_rescued_2", Some("_rescued")),
                ("größe", None),
                ("field_2", Some("-")),
            ]
        );
        assert_eq!(left, 0);
    }

    #[test]
    fn an_object_with_very_many_names_is_a_map() {
        let fields: Vec<_> = (0..=STRUCT_FIELDS_MAX)
            .map(|n| format!("\"k{n}\":{n}.5"))
            .collect();
        assert_eq!(
            guess("x", &[&format!("{{{}}}", fields.join(","))]).0,
            "map<string, double>"
        );
    }
}
