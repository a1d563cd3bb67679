//! Raw lines.

use frazil_dataset::{Column, Format};
use serde_json::json;

use super::support::{column, dataset, decode, field, rows};

fn from(name: &str, column_type: &str, source: &str) -> Column {
    let mut column = column(name, column_type);
    column.from = vec![field(source)];
    column
}

#[test]
fn a_single_column_takes_the_line() {
    let dataset = dataset(Format::Raw, vec![column("line", "string")]);
    let decoded = decode(&dataset, "\u{feff}first\r\n\n  \u{e4} \r\r\nlast");
    assert_eq!(
        rows(&decoded.rows),
        [
            json!({"line": "first"}),
            json!({"line": ""}),
            json!({"line": "  ä \r"}),
            json!({"line": "last"})
        ]
    );
    assert_eq!(decoded.counts.records_read, 4);
}

#[test]
fn the_column_without_a_source_is_the_lines() {
    let columns = vec![
        column("line", "string"),
        from("at", "timestamptz", "$ingested_at"),
        from("n", "long", "$offset"),
    ];
    let decoded = decode(&dataset(Format::Raw, columns), "a\nb\n");
    let rows = rows(&decoded.rows);
    assert_eq!(
        rows[1],
        json!({"line": "b", "at": "2024-10-27T03:33:20.123456Z", "n": 2})
    );
}

#[test]
fn a_line_that_does_not_fit_is_rescued() {
    let decoded = decode(
        &dataset(Format::Raw, vec![from("n", "int", "$raw")]),
        "1\nx\"\ty\n",
    );
    assert_eq!(
        rows(&decoded.rows),
        [
            json!({"n": 1}),
            json!({"_rescued": {"$raw": {"value": "x\"\ty", "reason": "unparsable"}}})
        ]
    );
}

#[test]
fn a_line_that_no_column_takes_is_rescued() {
    let decoded = decode(
        &dataset(Format::Raw, vec![from("n", "long", "$offset")]),
        "a\n",
    );
    assert_eq!(
        rows(&decoded.rows),
        [json!({"n": 0, "_rescued": {"$raw": {"value": "a", "reason": "unknown_field"}}})]
    );
}

#[test]
fn bytes_that_are_no_text_go_into_binary_only() {
    let bytes = b"ok\n\xff\x00\n";
    let decoded = decode(&dataset(Format::Raw, vec![column("line", "binary")]), bytes);
    assert_eq!(
        rows(&decoded.rows),
        [json!({"line": "6f6b"}), json!({"line": "ff00"})]
    );
    let decoded = decode(
        &dataset(Format::Raw, vec![column("line", "string")]),
        b"ok\n\xff\na\x00b\n",
    );
    assert_eq!(rows(&decoded.rows), [json!({"line": "ok"})]);
    let rejects: Vec<_> = decoded
        .rejects
        .iter()
        .map(|one| (one.reason, &one.record[..]))
        .collect();
    assert_eq!(
        rejects,
        [("not_utf8", &b"\xff"[..]), ("nul_byte", b"a\x00b")]
    );
}
