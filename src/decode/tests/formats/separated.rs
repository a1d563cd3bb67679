//! CSV and TSV.

use super::*;

const COLUMNS: [(&str, &str); 3] = [
    ("time", "\"timestamptz\""),
    ("status", "\"int\""),
    ("text", "\"string\""),
];

/// A block of one record with a header.
fn headed(header: Option<&str>, records: &str) -> RecordBlock {
    RecordBlock {
        header: header.map(|header| header.to_owned().into()),
        ..block(records)
    }
}

#[test]
fn cells_are_fields_in_the_headers_order() {
    let dataset = of("\"csv\"", &COLUMNS);
    let mut decoder = decoder_of(&dataset);
    let text = "a b,200,2024-05-01T10:00:00Z\r\n\"x, \"\"y\"\"\",,\n\"\",\"404\",\"\"\n";
    let decoded = decoder.decode(&headed(Some("text,status,time\r"), text), NOW_MICROS);
    assert_eq!(
        told(&decoded),
        (
            vec![
                json!({"text": "a b", "status": 200, "time": "2024-05-01T10:00:00Z"}),
                json!({"text": "x, \"y\""}),
                json!({"text": "", "status": 404, "_rescued": rescued("time", "", "empty_text")}),
            ],
            vec![]
        )
    );
    // Another file, another order.
    let header = Some("\u{feff}\"Status\",other,text,text");
    let decoded = decoder.decode(&headed(header, "007,o,1,2\n5\n\n"), NOW_MICROS);
    assert_eq!(
        told(&decoded).0,
        [
            json!({"text": "2", "_rescued": {
                "Status": {"value": "007", "reason": "unparsable"},
                "other": {"value": "o", "reason": "unknown_field"},
                "text": {"value": "1", "reason": "duplicate_key"},
            }}),
            json!({"status": 5}),
        ]
    );
    let decoded = decoder.decode(&headed(None, "1\n"), NOW_MICROS);
    assert_eq!(told(&decoded), (vec![], vec!["no_header"]));
}

#[test]
fn columns_name_the_cells() {
    let dataset = of(
        "{ type = \"csv\", delimiter = \";\", quote = \"'\", columns = [\"status\", \"text\"] }",
        &COLUMNS,
    );
    check(
        &dataset,
        &[
            ("1;a", Ok(json!({"status": 1, "text": "a"}))),
            ("1", Ok(json!({"status": 1}))),
            (";", Ok(json!({}))),
            ("2;';'", Ok(json!({"status": 2, "text": ";"}))),
            ("2;''''", Ok(json!({"status": 2, "text": "'"}))),
            ("2;it's", Ok(json!({"status": 2, "text": "it's"}))),
            ("2; 'a'", Ok(json!({"status": 2, "text": " 'a'"}))),
            ("2;\"a\"", Ok(json!({"status": 2, "text": "\"a\""}))),
            (
                "2;a;b;'';'c''d'",
                Ok(json!({"status": 2, "text": "a", "_rescued": {"$surplus": [
                    {"value": "b", "reason": "surplus_cell"},
                    {"value": "", "reason": "surplus_cell"},
                    {"value": "c'd", "reason": "surplus_cell"},
                ]}})),
            ),
            ("2;'a", Err("invalid_csv")),
            ("2;'a'b", Err("invalid_csv")),
            ("2;'''", Err("invalid_csv")),
            ("2;\0", Err("nul_byte")),
        ],
    );
}

#[test]
fn cells_without_names_are_numbered() {
    let dataset = of(
        "{ type = \"csv\", header = false }",
        &[
            ("a", "\"int\", from = \"column_2\""),
            ("column_1", "\"string\""),
        ],
    );
    check(
        &dataset,
        &[
            ("x,1", Ok(json!({"column_1": "x", "a": 1}))),
            (
                "x,1,z",
                Ok(
                    json!({"column_1": "x", "a": 1, "_rescued": rescued("column_3", "z", "unknown_field")}),
                ),
            ),
        ],
    );
}

#[test]
fn a_tab_separates_and_escapes_are_there_on_demand() {
    let cells = "columns = [\"text\", \"status\"] }";
    let plain = of(&format!("{{ type = \"tsv\", {cells}"), &COLUMNS);
    check(
        &plain,
        &[
            ("\"a\t1", Ok(json!({"text": "\"a", "status": 1}))),
            ("a\\tb\t", Ok(json!({"text": "a\\tb"}))),
            ("\t", Ok(json!({}))),
        ],
    );
    let escaped = of(
        &format!("{{ type = \"tsv\", escapes = true, {cells}"),
        &COLUMNS,
    );
    check(
        &escaped,
        &[
            (
                "a\\tb\\n\\r\\\\c\\x\\\t\\N",
                Ok(json!({"text": "a\tb\n\r\\c\\x\\"})),
            ),
            ("\\N\t\\N", Ok(json!({}))),
        ],
    );
}

#[test]
fn a_message_holds_one_record() {
    let dataset = of(
        "{ type = \"csv\", columns = [\"text\", \"status\"] }",
        &COLUMNS,
    );
    let mut messages = block("");
    messages.bytes = "\"a\nb\",1\r\n|c,2\nd,3|".to_owned().into();
    let span = |start: u32, end: u32| crate::record::RecordSpan {
        start,
        length: end - start,
        position: u64::from(start),
    };
    messages.records = vec![span(0, 9), span(10, 17)];
    messages.messages = Some(Box::new(Messages {
        of_records: vec![
            crate::record::MessageSpan {
                timestamp_ms: None,
                key: None,
                headers: 0..0,
            };
            2
        ],
        ..Messages::default()
    }));
    let decoded = decoder_of(&dataset).decode(&messages, NOW_MICROS);
    assert_eq!(
        told(&decoded),
        (
            vec![json!({"text": "a\nb", "status": 1})],
            vec!["invalid_csv"]
        )
    );
}
