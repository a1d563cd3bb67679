//! logfmt.

use super::*;

#[test]
fn pairs_are_fields() {
    let dataset = of(
        "\"logfmt\"",
        &[
            ("ts", "\"timestamptz\""),
            ("level", "\"string\""),
            ("msg", "\"string\""),
            ("n", "\"int\""),
            ("ok", "\"boolean\""),
        ],
    );
    check(
        &dataset,
        &[
            (
                r#"ts=2024-05-01T10:00:00Z  level=info	msg="a \"b\" \\ \n \u00e4 \q" n=-12 ok"#,
                Ok(
                    json!({"ts": "2024-05-01T10:00:00Z", "level": "info", "msg": "a \"b\" \\ \n ä \\q", "n": -12, "ok": true}),
                ),
            ),
            ("level= n=1", Ok(json!({"n": 1}))),
            (r#"level="" n=1"#, Ok(json!({"level": "", "n": 1}))),
            ("msg=a=b\"c n=1", Ok(json!({"msg": "a=b\"c", "n": 1}))),
            (
                "n=1 n=2 x=y z w=",
                Ok(json!({"n": 2, "_rescued": {
                    "n": {"value": "1", "reason": "duplicate_key"},
                    "x": {"value": "y", "reason": "unknown_field"},
                    "z": {"value": true, "reason": "unknown_field"},
                    "w": {"value": null, "reason": "unknown_field"},
                }})),
            ),
            ("N=1", Ok(json!({"n": 1}))),
            (
                "n=x",
                Ok(json!({"_rescued": rescued("n", "x", "unparsable")})),
            ),
            (
                "ok=\"a\\\"b\" n=1",
                Ok(json!({"n": 1, "_rescued": rescued("ok", "a\"b", "unparsable")})),
            ),
            ("just some words", Err("invalid_logfmt")),
            ("msg=\"a", Err("invalid_logfmt")),
            ("msg=\"a\\", Err("invalid_logfmt")),
            ("msg=\"a\"b", Err("invalid_logfmt")),
            ("=a", Err("invalid_logfmt")),
            ("a\"b=c", Err("invalid_logfmt")),
        ],
    );
    assert_eq!(decode(&dataset, " \t\r\n\nn=1").counts.records_read, 1);
}
