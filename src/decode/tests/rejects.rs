//! Records that cannot be rows.

use frazil_dataset::{Format, UnknownFields};
use serde_json::json;

use super::support::{NOW_MICROS, block, column, dataset, decode, decoder_of, json, row, rows};
use crate::{
    decode::DecoderError,
    record::{Oversize, RowBlock},
};

fn reject(line: impl AsRef<[u8]>) -> (&'static str, String) {
    let mut text = b"{\"a\":1}\n".to_vec();
    text.extend_from_slice(line.as_ref());
    text.extend_from_slice(b"\n{\"a\":2}\n");
    let decoded = json(vec![column("a", "int")], &text);
    let neighbours = rows(&decoded.rows);
    assert_eq!(
        neighbours,
        [json!({"a": 1}), json!({"a": 2})],
        "of {line:?}",
        line = line.as_ref()
    );
    let reject = &decoded.rejects[0];
    assert_eq!((reject.position, reject.index), (8, 0));
    assert_eq!(&reject.record[..], line.as_ref());
    assert_eq!(reject.record_length, line.as_ref().len() as u64);
    assert!(!reject.truncated);
    assert_eq!(decoded.reasons.dead[reject.reason], 1);
    (reject.reason, reject.detail.clone())
}

fn reason(line: impl AsRef<[u8]>) -> &'static str {
    reject(line).0
}

#[test]
fn invalid_json_says_where_and_what() {
    let cases = [
        ("{\"a\":1", 6, "a comma or the object's end"),
        ("{\"a\" 1}", 5, "a colon after the key"),
        ("{\"a\":}", 5, "a value"),
        ("{\"a\":tru}", 5, "a value"),
        ("{\"a\":01}", 6, "no digit after a leading zero"),
        ("{\"a\":1.}", 7, "a digit after the point"),
        ("{\"a\":1e}", 7, "a digit of the exponent"),
        ("{\"a\":-}", 6, "a digit"),
        ("{\"a\":\"x}", 8, "the quote that ends the string"),
        ("{\"a\":1,}", 7, "a key in quotes"),
        ("{\"a\":1}}", 7, "nothing after the object"),
        ("{\"a\":1}{\"a\":2}", 7, "nothing after the object"),
        ("{\"b\":[1 2]}", 8, "a comma or the array's end"),
        ("{\"b\":[1,]}", 8, "a value"),
        ("{\"b\":{\"c\":1]}", 11, "a comma or the object's end"),
        ("{\"b\":{,}}", 6, "a key in quotes"),
        ("{\"a\":\"\\x\"}", 6, "an escape that JSON knows"),
        ("{\"a\":\"\\u12g4\"}", 6, "four hex digits after \\u"),
        ("{'a':1}", 1, "a key in quotes"),
        ("hello", 0, "a value"),
        ("{\"a\":NaN}", 5, "a value"),
        ("  {\"a\":1", 8, "a comma or the object's end"),
        ("\u{e4}", 0, "a value"),
        ("[1,2", 4, "a comma or the array's end"),
    ];
    for (line, at, expected) in cases {
        let told = reject(line);
        assert_eq!(
            told,
            ("invalid_json", format!("at byte {at}: expected {expected}")),
            "{line}"
        );
    }
}

#[test]
fn what_is_json_but_no_object() {
    for line in [
        "[]",
        "[1,[{\"a\":1}]]",
        "\"x\"",
        "42",
        "null",
        "true",
        " false ",
    ] {
        assert_eq!(reason(line), "not_an_object", "{line}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(
        reject(b"{\"a\":\"\xff\"}"),
        ("not_utf8", "at byte 6: the bytes are not UTF-8".to_owned())
    );
    assert_eq!(reason(b"{\"b\":\"\xed\xa0\x80\"}"), "not_utf8");
    assert_eq!(reason(b"\xfe\xff\x00{"), "not_utf8");
    assert_eq!(
        reject(b"{\"a\":\x001}"),
        ("nul_byte", "at byte 5: a zero byte".to_owned())
    );
    assert_eq!(reason(b"{\"a\":\"\x00\"}"), "nul_byte");
    assert_eq!(reason(b"\x00\x00\x00"), "nul_byte");
    assert_eq!(reason(b"{\"a\":\"x\ty\"}"), "invalid_json");
    assert_eq!(reason(b"{\"x\x01\":1}"), "invalid_json");
}

#[test]
fn characters_that_are_none() {
    assert_eq!(reason(r#"{"a":"\ud83d"}"#), "lone_surrogate");
    assert_eq!(reason(r#"{"a":"\ude00"}"#), "lone_surrogate");
    assert_eq!(reason(r#"{"a":"\ud83dx"}"#), "lone_surrogate");
    assert_eq!(reason(r#"{"a":"\ud83d\u0041"}"#), "lone_surrogate");
    assert_eq!(reason(r#"{"b":{"\ud83d":1}}"#), "lone_surrogate");
    assert_eq!(reason(r#"{"a":"\u0000"}"#), "nul_character");
    assert_eq!(reason(r#"{"b":["x\u0000"]}"#), "nul_character");
    let fine = json(
        vec![column("a", "string")],
        r#"{"a":"\ud83d\ude00\\u0000"}"#,
    );
    assert_eq!(row(&fine), json!({"a": "😀\\u0000"}));
}

#[test]
fn nesting_has_a_limit_and_no_depth_overflows_the_stack() {
    let nested = |depth: usize| format!("{{\"b\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let fine = json(vec![column("a", "int")], nested(127));
    assert_eq!(fine.rows.num_rows(), 1);
    assert_eq!(reason(nested(128)), "too_deep");
    assert_eq!(reason(nested(10_000)), "too_deep");
    assert_eq!(reason("[".repeat(100_000)), "too_deep");
    assert_eq!(reason("{\"b\":".repeat(100_000)), "too_deep");
    let objects = format!("{}1{}", "{\"b\":".repeat(128), "}".repeat(128));
    assert_eq!(json(vec![column("a", "int")], objects).rows.num_rows(), 1);
    let lists = |depth: usize| format!("{}int{}", "list<".repeat(depth), ">".repeat(depth));
    let typed = json(vec![column("b", &lists(100))], nested(100));
    assert_eq!(typed.counts.rows_rescued, 0);
}

fn required(text: &str) -> RowBlock {
    let mut id = column("id", "int");
    id.required = true;
    json(vec![column("a", "string"), id], text)
}

#[test]
fn a_required_column_without_a_value_names_itself() {
    let decoded = required(
        "{\"a\":\"x\",\"id\":1}\n{\"a\":\"y\"}\n{\"id\":null}\n{\"id\":\"no\",\"b\":1}\n{\"a\":\"z\",\"id\":2}\n",
    );
    assert_eq!(
        rows(&decoded.rows),
        [json!({"a": "x", "id": 1}), json!({"a": "z", "id": 2})]
    );
    let told: Vec<_> = decoded
        .rejects
        .iter()
        .map(|one| (one.reason, one.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "missing_required",
                "column \"id\": the record has no value for it"
            ),
            (
                "missing_required",
                "column \"id\": the record has no value for it"
            ),
            (
                "unfit_required",
                "column \"id\": \"no\" does not fit (unparsable)"
            ),
        ]
    );
    assert_eq!(
        decoded.reasons.rescued.len(),
        0,
        "what a dead record would have had rescued does not count"
    );
    assert_eq!(&decoded.rejects[2].record[..], b"{\"id\":\"no\",\"b\":1}");
}

#[test]
fn a_required_struct_or_list_as_well() {
    let mut tags = column("tags", "list<int>");
    tags.required = true;
    let decoded = json(
        vec![tags],
        "{\"tags\":[1]}\n{\"tags\":{}}\n{\"tags\":[]}\n{}\n",
    );
    assert_eq!(
        rows(&decoded.rows),
        [json!({"tags": [1]}), json!({"tags": []})]
    );
    assert_eq!(decoded.rejects[0].reason, "unfit_required");
    assert_eq!(decoded.rejects[1].reason, "missing_required");
}

#[test]
fn without_rescue_a_value_that_does_not_fit_makes_a_dead_letter() {
    let mut dataset = dataset(
        Format::Json,
        vec![column("a", "int"), column("l", "list<int>")],
    );
    dataset.rescued = None;
    let text =
        "{\"a\":1}\n{\"a\":\"x\"}\n{\"b\":2}\n{\"a\":1,\"a\":2}\n{\"l\":[1,\"x\"]}\n{\"a\":3}\n";
    let decoded = decode(&dataset, text);
    assert_eq!(rows(&decoded.rows), [json!({"a": 1}), json!({"a": 3})]);
    let reasons: Vec<_> = decoded.rejects.iter().map(|one| one.reason).collect();
    assert_eq!(
        reasons,
        ["unparsable", "unknown_field", "duplicate_key", "unparsable"]
    );
    assert!(
        decoded.rejects[3].detail.contains("l[1]"),
        "{}",
        decoded.rejects[3].detail
    );
    dataset.unknown_fields = UnknownFields::Ignore;
    assert_eq!(decode(&dataset, text).rejects.len(), 3);
}

#[test]
fn a_record_over_the_limit_keeps_its_prefix_and_hash() {
    let mut block = block("{\"a\":1}\n{\"a\":\n{\"a\":3}\n");
    block.oversize = vec![Oversize {
        record: 1,
        length: 2_000_000,
        hash: 0xabcd,
    }];
    let dataset = dataset(Format::Json, vec![column("a", "int")]);
    let decoded = decoder_of(&dataset).decode(&block, NOW_MICROS);
    assert_eq!(decoded.rows.num_rows(), 2);
    let reject = &decoded.rejects[0];
    assert_eq!(
        (reject.reason, reject.truncated, reject.record_length),
        ("too_long", true, 2_000_000)
    );
    assert_eq!(&reject.record[..], b"{\"a\":");
    assert!(
        reject.detail.contains("2000000") && reject.detail.contains("abcd"),
        "{}",
        reject.detail
    );
    assert_eq!(decoded.counts.records_read, 3);
}

#[test]
fn a_long_key_round_many_leaves_is_not_written_out_for_each() {
    let inner: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":1")).collect();
    let record = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), inner.join(","));
    let decoded = json(vec![column("a", "int")], &record);
    let rescued = &row(&decoded)["_rescued"];
    assert_eq!(rescued.as_object().unwrap().len(), 1);
    assert!(rescued.to_string().len() < 3 * record.len());
}

#[test]
fn a_decoder_that_cannot_be_made_says_why() {
    let mut dataset = dataset(Format::Json, vec![column("t", "timestamptz")]);
    let schema = super::support::schema(&dataset);
    dataset.columns[0].timezone = Some("Mars/Olympus".to_owned());
    let make = |dataset: &_| crate::decode::decoder(dataset, &schema).err().unwrap();
    assert!(matches!(
        make(&dataset),
        DecoderError::UnknownTimezone { .. }
    ));
    dataset.columns[0].timezone = None;
    dataset.rescued = Some("other".to_owned());
    assert!(matches!(
        make(&dataset),
        DecoderError::NoRescuedColumn { .. }
    ));
}
