use serde_json::json;

use super::support::{NOW_MICROS, schema};
use super::support::{block, column, dataset, decode, decoder_of, field, json, row, rows};
use frazil_dataset::{Format, TimeFormat, UnknownFields};

#[test]
fn fields_become_columns_of_the_tables_types() {
    let columns = vec![
        column("time", "timestamptz"),
        column("host", "string"),
        column("status", "int"),
        column("bytes", "long"),
        column("latency", "double"),
        column("cached", "boolean"),
        column("geo", "struct<country: string, asn: int>"),
        column("tags", "list<string>"),
    ];
    let decoded = json(
        columns,
        r#"{"time":"2024-05-01T12:00:00.5Z","host":"a\"b","status":200,"bytes":12345678901,"latency":1.25,"cached":true,"geo":{"country":"DE","asn":3320},"tags":["a","b"]}"#,
    );
    assert_eq!(
        row(&decoded),
        json!({"time": "2024-05-01T12:00:00.500Z", "host": "a\"b", "status": 200,
            "bytes": 12_345_678_901_i64, "latency": 1.25, "cached": true,
            "geo": {"country": "DE", "asn": 3320}, "tags": ["a", "b"]})
    );
    assert_eq!(decoded.counts.rows_rescued, 0);
}

#[test]
fn the_batch_has_the_tables_schema() {
    let dataset = dataset(Format::Json, vec![column("a", "int")]);
    let decoded = decode(&dataset, "{\"a\":1}\n");
    assert_eq!(decoded.rows.schema(), schema(&dataset));
    let empty = decode(&dataset, "");
    assert_eq!(empty.rows.num_rows(), 0);
    assert_eq!(empty.rows.schema(), schema(&dataset));
}

#[test]
fn a_value_that_does_not_fit_is_rescued_with_its_path_and_reason() {
    let decoded = json(
        vec![column("status", "int"), column("host", "string")],
        "{\"status\":\"x\\ty\",\"host\":\"a\"}\n{\"status\":3000000000,\"host\":\"b\"}\n{\"status\":7}",
    );
    assert_eq!(
        rows(&decoded.rows),
        [
            json!({"host": "a", "_rescued": {"status": {"value": "x\ty", "reason": "unparsable"}}}),
            json!({"host": "b", "_rescued": {"status": {"value": 3_000_000_000_u64, "reason": "out_of_range"}}}),
            json!({"status": 7}),
        ]
    );
    assert_eq!(decoded.counts.rows_rescued, 2);
    assert_eq!(decoded.reasons.rescued["unparsable"], 1);
    assert_eq!(decoded.reasons.rescued["out_of_range"], 1);
}

#[test]
fn unknown_fields_are_rescued_by_their_leaves() {
    let decoded = json(
        vec![column("a", "int")],
        r#"{"a":1,"b":{"c":{"d":1.50,"e":[1,{"f":2}]},"g":{}},"h":null}"#,
    );
    let reason = "unknown_field";
    assert_eq!(
        row(&decoded)["_rescued"],
        json!({
            "b.c.d": {"value": 1.50, "reason": reason},
            "b.c.e": {"value": [1, {"f": 2}], "reason": reason},
            "b.g": {"value": {}, "reason": reason},
            "h": {"value": null, "reason": reason},
        })
    );
}

#[test]
fn ignored_fields_are_counted() {
    let mut dataset = dataset(Format::Json, vec![column("a", "int")]);
    dataset.unknown_fields = UnknownFields::Ignore;
    let decoded = decode(&dataset, "{\"a\":1,\"b\":2,\"c\":{\"d\":3}}\n{\"b\":\n");
    assert_eq!(decoded.reasons.ignored_fields, 2);
    assert_eq!(decoded.counts.rows_rescued, 0);
    assert_eq!(decoded.counts.dead_letters, 1);
}

#[test]
fn numbers_and_nested_values_go_into_strings_with_their_exact_text() {
    let decoded = json(
        vec![
            column("n", "string"),
            column("o", "string"),
            column("t", "string"),
        ],
        r#"{"n":1.50e+03,"o":{ "a" : [1, 2.0] },"t":true}"#,
    );
    assert_eq!(
        row(&decoded),
        json!({"n": "1.50e+03", "o": "{ \"a\" : [1, 2.0] }", "t": "true"})
    );
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let decoded = json(
        vec![column("a", "int")],
        r#"{"a":1,"a":2,"\u0061":3,"b":1,"b":2}"#,
    );
    assert_eq!(
        row(&decoded),
        json!({"a": 3, "_rescued": {
            "a": [{"value": 1, "reason": "duplicate_key"}, {"value": 2, "reason": "duplicate_key"}],
            "b": [{"value": 1, "reason": "unknown_field"}, {"value": 2, "reason": "unknown_field"}],
        }})
    );
}

#[test]
fn special_sources_fill_columns() {
    let mut columns = vec![
        column("at", "timestamptz"),
        column("text", "string"),
        column("topic", "string"),
        column("partition", "int"),
        column("offset", "long"),
        column("raw", "string"),
        column("key", "string"),
    ];
    let from = [
        "$ingested_at",
        "$ingested_at",
        "$topic",
        "$partition",
        "$offset",
        "$raw",
        "$key",
    ];
    for (column, from) in columns.iter_mut().zip(from) {
        column.from = vec![field(from)];
    }
    let decoded = json(columns, "\n{\"x\":1}\r\n");
    let row = row(&decoded);
    assert_eq!(row["at"], "2024-10-27T03:33:20.123456Z");
    assert_eq!(row["text"], "2024-10-27T03:33:20.123456Z");
    assert_eq!(row["topic"], "app.log");
    assert_eq!(row["partition"], 0);
    assert_eq!(row["offset"], 1);
    assert_eq!(row["raw"], "{\"x\":1}");
    assert!(row.get("key").is_none());
}

#[test]
fn blank_lines_are_no_records_and_the_bom_and_a_carriage_return_go() {
    let decoded = json(
        vec![column("a", "int")],
        "\u{feff}{\"a\":1}\r\n\r\n \t \n{\"a\":2}\n\u{feff}{\"a\":3}\n",
    );
    assert_eq!(rows(&decoded.rows), [json!({"a": 1}), json!({"a": 2})]);
    assert_eq!(decoded.counts.records_read, 3);
    assert_eq!(decoded.rejects[0].reason, "invalid_json");
}

#[test]
fn cut_digits_are_counted_for_rows_only() {
    let mut time = column("t", "timestamptz");
    time.parse = Some(TimeFormat::Rfc3339);
    let mut id = column("id", "int");
    id.required = true;
    let decoded = json(
        vec![time, id],
        "{\"t\":\"2024-05-01T12:00:00.123456789Z\",\"id\":1}\n{\"t\":\"2024-05-01T12:00:00.123456789Z\"}\n",
    );
    assert_eq!(decoded.reasons.cut_times, 1);
    assert_eq!(decoded.counts.rows_rescued, 0);
    assert_eq!(decoded.rejects[0].reason, "missing_required");
}

#[test]
fn a_decoder_starts_each_block_anew() {
    let dataset = dataset(
        Format::Json,
        vec![column("a", "int"), column("b", "string")],
    );
    let mut decoder = decoder_of(&dataset);
    for _ in 0..3 {
        let decoded = decoder.decode(&block("{\"a\":\"x\",\"b\":\"y\"}\n{\"b\"}\n"), NOW_MICROS);
        assert_eq!(decoded.rows.num_rows(), 1);
        assert_eq!(decoded.counts.rows_rescued, 1);
        assert_eq!(decoded.rejects.len(), 1);
        assert_eq!(decoded.reasons.rescued["unparsable"], 1);
        assert_eq!(decoded.reasons.dead["invalid_json"], 1);
    }
}

#[test]
fn more_rows_than_are_coerced_at_a_time() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..1000 {
        match number % 10 {
            3 => text.push_str("{\"a\":\n"),
            7 => writeln!(text, "{{\"a\":\"no\",\"n\":{number}}}").unwrap(),
            _ => writeln!(text, "{{\"a\":{number},\"n\":{number}}}").unwrap(),
        }
    }
    let decoded = json(vec![column("a", "int"), column("n", "int")], &text);
    let rows = rows(&decoded.rows);
    assert_eq!((rows.len(), decoded.rejects.len()), (900, 100));
    for row in rows {
        match row.get("a") {
            Some(a) => assert_eq!(*a, row["n"]),
            None => assert_eq!(row["n"].as_i64().unwrap() % 10, 7),
        }
    }
}

#[test]
fn an_array_of_objects_is_several_records() {
    let mut dataset = dataset(
        Format::Json,
        vec![column("a", "int"), column("raw", "string")],
    );
    dataset.columns[1].from = vec![field("$raw")];
    dataset.columns[0].required = true;
    let text =
        "[{\"a\":1}, 5,\"x\" ,{\"b\":\"\\n\"},{\"a\":2}]\n[]\n[1,2]\n{\"a\":3}\n[{\"a\":4}\n";
    let decoded = decode(&dataset, text);
    assert_eq!(
        rows(&decoded.rows),
        [
            json!({"a": 1, "raw": "{\"a\":1}"}),
            json!({"a": 2, "raw": "{\"a\":2}"}),
            json!({"a": 3, "raw": "{\"a\":3}"}),
        ]
    );
    let rejects: Vec<_> = decoded
        .rejects
        .iter()
        .map(|one| {
            let record = std::str::from_utf8(&one.record).unwrap();
            (one.position, one.index, one.reason, record)
        })
        .collect();
    assert_eq!(
        rejects,
        [
            (0, 1, "not_an_object", "5"),
            (0, 2, "not_an_object", "\"x\""),
            (0, 3, "missing_required", "{\"b\":\"\\n\"}"),
            (37, 0, "not_an_object", "[]"),
            (40, 0, "not_an_object", "[1,2]"),
            (54, 0, "invalid_json", "[{\"a\":4}"),
        ]
    );
    assert_eq!(
        (decoded.counts.records_read, decoded.counts.source_records),
        (9, 5)
    );
}
