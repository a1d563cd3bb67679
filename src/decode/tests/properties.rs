//! Laws that hold for all bytes.

use frazil_dataset::{Column, Dataset, Format};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
};
use serde_json::{Map, Value};

use super::support::{block, column, dataset, decode, rows};
use crate::record::RowBlock;

fn columns() -> Vec<Column> {
    vec![
        column("s", "string"),
        column("i", "int"),
        column("l", "long"),
        column("d", "double"),
        column("b", "boolean"),
        column("t", "timestamptz"),
        column("m", "decimal(20,3)"),
        column("o", "struct<s: string, i: int, o: struct<i: int>>"),
        column("a", "list<int>"),
        column("k", "map<string, list<string>>"),
    ]
}

fn all() -> Dataset {
    dataset(Format::Json, columns())
}

/// Rows and rejects are the records, each reject's bytes are its record's, and every column is as long as the batch.
pub(super) fn conserved(dataset: &Dataset, text: &[u8]) -> RowBlock {
    let block = block(text);
    let decoded = super::support::decoder_of(dataset).decode(&block, 0);
    let counts = &decoded.counts;
    assert_eq!(
        counts.records_read,
        counts.rows_written + counts.dead_letters
    );
    assert_eq!(counts.rows_written, decoded.rows.num_rows() as u64);
    assert_eq!(counts.dead_letters, decoded.rejects.len() as u64);
    let dead: u64 = decoded.reasons.dead.values().sum();
    assert_eq!(counts.dead_letters, dead);
    let records = block.records.iter().filter(|span| {
        let mut line = block.record(span);
        if span.position == 0 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        !dataset.format.is_blank(line)
    });
    assert_eq!(counts.source_records, records.count() as u64);
    for reject in &decoded.rejects {
        let span = block
            .records
            .iter()
            .find(|span| span.position == reject.position);
        let record = block.record(span.unwrap());
        // An array's element is a part of its record.
        let is_json = dataset.format == Format::Json;
        if reject.record[..] != *record {
            assert!(is_json && memchr::memmem::find(record, &reject.record).is_some());
        }
    }
    let positions: Vec<u64> = decoded.rejects.iter().map(|one| one.position).collect();
    assert!(positions.is_sorted());
    decoded
}

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"\\",
    b"\n",
    b"\"s\":",
    b"\"i\":",
    b"\"o\":{",
    b"\"a\":[",
    b"{\"i\":1}\n",
    b"\"k\":{\"x\":[",
    b"1",
    b"-2.5e3",
    b"true",
    b"null",
    b"\\u00",
    b"\\ud83d",
    b"\xf0\x9f",
    b" ",
    b"\r",
    b"\x00",
    b"\xef\xbb\xbf",
];

/// Bytes that JSON is made of, mostly.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let token = proptest::sample::select(TOKENS);
    vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

/// JSON values as people log them.
fn value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<f32>().prop_map(|number| Value::from(f64::from(number))),
        "[a-z\"\\\\\n\u{e4}\u{1f600} 0-9.:TZ-]{0,20}".prop_map(Value::from),
        "-?[0-9]{1,12}(\\.[0-9]{1,4})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[silodbx]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn record() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["[silbdtmoak]", "[a-z.]{1,6}"];
    vec((name, value(3)), 0..12)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Whether a column of a scalar type holds just what the record says, as another parser reads it.
fn same(name: &str, taken: &Value, value: &Value) -> bool {
    match (name, value) {
        ("s", Value::String(_)) | ("b", Value::Bool(_)) => taken == value,
        ("s", other) => taken.as_str() == Some(&other.to_string()),
        ("i" | "l", Value::Number(_)) => taken.as_f64() == value.as_f64(),
        ("i" | "l", Value::String(text)) => text.parse::<f64>().ok() == taken.as_f64(),
        ("d", Value::Number(_) | Value::String(_)) => {
            // The other parser is off by some last places.
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            let (taken, value) = (taken.as_f64().unwrap(), text.parse::<f64>().unwrap());
            (taken - value).abs() <= 4.0 * f64::EPSILON * value.abs()
        }
        ("a", Value::Array(elements)) => taken.as_array().map(Vec::len) == Some(elements.len()),
        _ => true,
    }
}

/// Whether something at or below a field of the record is rescued.
fn told(rescued: &Value, name: &str) -> bool {
    let below = [format!("{name}."), format!("{name}["), format!("/{name}/")];
    rescued.as_object().is_some_and(|rescued| {
        rescued
            .keys()
            .any(|key| key == name || below.iter().any(|below| key.starts_with(below)))
    })
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_rejects(bytes in vec(any::<u8>(), 0..400)) {
        conserved(&all(), &bytes);
        conserved(&dataset(Format::Raw, vec![column("line", "string")]), &bytes);
    }

    #[test]
    fn bytes_like_json_are_rows_or_rejects(bytes in json_like()) {
        let mut all = all();
        conserved(&all, &bytes);
        all.columns[1].required = true;
        all.rescued = None;
        conserved(&all, &bytes);
    }

    #[test]
    fn what_is_valid_is_so_by_serde_json(bytes in json_like()) {
        let block = block(&bytes);
        let decoded = conserved(&all(), &bytes);
        for reject in decoded.rejects.iter().filter(|one| one.reason == "invalid_json") {
            let mut line = &reject.record[..];
            if reject.position == 0 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            prop_assert!(serde_json::from_slice::<Box<serde_json::value::RawValue>>(line).is_err());
        }
        let objects = block.records.iter().filter(|span| {
            serde_json::from_slice::<Map<String, Value>>(block.record(span)).is_ok()
        });
        prop_assert!(decoded.rows.num_rows() >= objects.count().saturating_sub(
            decoded.rejects.iter().filter(|one| one.reason == "nul_character").count()));
    }

    #[test]
    fn a_cut_record_costs_itself_alone(record in record(), cut in any::<proptest::sample::Index>()) {
        let whole = record.to_string();
        let cut = cut.index(whole.len());
        let mut text = b"{\"i\":1}\n".to_vec();
        text.extend_from_slice(&whole.as_bytes()[..cut]);
        text.extend_from_slice(b"\n{\"i\":2}\n");
        let decoded = conserved(&all(), &text);
        let rows = rows(&decoded.rows);
        prop_assert_eq!(rows.first().unwrap(), &serde_json::json!({"i": 1}));
        prop_assert_eq!(rows.last().unwrap(), &serde_json::json!({"i": 2}));
        prop_assert_eq!(decoded.rejects.len(), usize::from(cut > 0));
    }

    #[test]
    fn every_value_is_in_its_column_or_rescued(records in vec(record(), 1..20)) {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        let text = lines.join("\n");
        let decoded = conserved(&all(), text.as_bytes());
        prop_assert_eq!(decoded.rejects.len(), 0);
        for (record, row) in records.iter().zip(rows(&decoded.rows)) {
            let rescued = row.get("_rescued").cloned().unwrap_or_default();
            for (name, value) in record.as_object().unwrap() {
                let taken = row.get(name);
                let column = all().columns.iter().any(|column| column.name == *name);
                match taken {
                    None if column && value.is_null() => {}
                    None => prop_assert!(told(&rescued, name), "{} is lost of {}: {}", name, record, row),
                    Some(taken) => prop_assert!(same(name, taken, value), "{} of {}: {}", name, record, row),
                }
            }
        }
    }
}

#[test]
fn every_byte_alone_and_within_a_string() {
    for byte in 0..=u8::MAX {
        let decoded = conserved(&all(), &[byte]);
        assert_eq!(decoded.rows.num_rows(), 0);
        let mut text = b"{\"s\":\"a".to_vec();
        text.push(byte);
        text.extend_from_slice(b"b\"}\n{\"i\":5}\n");
        let decoded = conserved(&all(), &text);
        assert_eq!(
            decoded.rows.num_rows(),
            if (0x20..0x80).contains(&byte) && !b"\"\\".contains(&byte) {
                2
            } else if byte == b'\\' {
                // `\b` is an escape.
                2
            } else {
                1
            }
        );
    }
}

#[test]
fn all_truncations_of_a_record() {
    let whole = r#"{"s":"a\u00e4\n","i":-12,"l":1234567890123,"d":-1.25e-3,"b":true,"t":"2024-05-01T12:00:00.123456+02:00","m":"1.5","o":{"s":null,"i":1,"o":{"i":2}},"a":[1,2,3],"k":{"x":["y"]}}"#;
    for cut in 1..whole.len() {
        let text = format!("{{\"i\":1}}\n{}\n{whole}\n{{\"i\":2}}\n", &whole[..cut]);
        let decoded = conserved(&all(), text.as_bytes());
        assert_eq!(
            (decoded.rows.num_rows(), decoded.rejects.len()),
            (3, 1),
            "cut at {cut}"
        );
        assert_eq!(decoded.counts.rows_rescued, 0);
    }
    let decoded = decode(&all(), whole);
    assert_eq!(decoded.rows.num_rows(), 1);
}
