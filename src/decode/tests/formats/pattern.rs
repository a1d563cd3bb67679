//! Regular expressions and grok.

use super::*;

#[test]
fn named_groups_are_fields_and_what_has_no_name_is_rescued() {
    let dataset = of(
        r#"{ type = "regex", pattern = '(?P<level>[A-Z]+) \d+ (?P<n>\d+)?: (?P<text>\w+)' }"#,
        &[
            ("level", "\"string\""),
            ("n", "\"int\""),
            ("text", "\"string\""),
        ],
    );
    check(
        &dataset,
        &[
            (
                "INFO 7 12: abc",
                Ok(
                    json!({"level": "INFO", "n": 12, "text": "abc", "_rescued": rescued("$unnamed", "7", "unknown_field")}),
                ),
            ),
            (
                "x INFO 7 : abc, d ",
                Ok(json!({"level": "INFO", "text": "abc", "_rescued": {
                "$unnamed": {"value": "7", "reason": "unknown_field"},
                "$unmatched": [
                    {"value": "x ", "reason": "unmatched_text"},
                    {"value": ", d ", "reason": "unmatched_text"},
                ]}})),
            ),
            ("info", Err("no_match")),
        ],
    );
}

#[test]
fn grok_gives_the_fields_of_its_patterns() {
    let dataset = of(
        r#"{ type = "grok", pattern = "%{COMBINEDAPACHELOG}" }"#,
        &[
            ("clientip", "\"string\""),
            ("status", "\"int\", from = \"response\""),
            ("agent", "\"string\""),
        ],
    );
    let line = "10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326 \"http://x/\" \"Mozilla/4.08 [en]\"";
    let row = told(&decode(&dataset, line)).0.remove(0);
    assert_eq!(row["clientip"], "10.0.0.1");
    assert_eq!(row["status"], 200);
    assert_eq!(row["agent"], "\"Mozilla/4.08 [en]\"");
    assert_eq!(row["_rescued"]["request"]["value"], "/a");
    assert!(row["_rescued"].get("$unnamed").is_none(), "{row}");
    check(&dataset, &[("nothing of it", Err("no_match"))]);
}

#[test]
fn a_field_of_two_groups_is_that_of_the_one_that_matched() {
    let dataset = of(
        r#"{ type = "grok", pattern = "^(?:id=%{INT:id}|%{WORD:id} is it)$" }"#,
        &[("id", "\"string\"")],
    );
    check(
        &dataset,
        &[
            ("id=5", Ok(json!({"id": "5"}))),
            ("abc is it", Ok(json!({"id": "abc"}))),
        ],
    );
}
