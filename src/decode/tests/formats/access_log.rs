//! The Common and the Combined Log Format.

use super::*;

const COLUMNS: [(&str, &str); 9] = [
    ("host", "\"string\""),
    ("user", "\"string\""),
    ("time", "\"timestamptz\", parse = \"%d/%b/%Y:%H:%M:%S %z\""),
    ("method", "\"string\""),
    ("path", "\"string\""),
    ("protocol", "\"string\""),
    ("status", "\"int\""),
    ("bytes", "\"long\""),
    ("user_agent", "\"string\""),
];

#[test]
fn fields_are_found_also_in_odd_requests() {
    let start = "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700]";
    let row = |more: Value| {
        let mut row = json!({"host": "127.0.0.1", "time": "2000-10-10T20:55:36Z"});
        let Value::Object(more) = more else { panic!() };
        row.as_object_mut().unwrap().extend(more);
        row
    };
    let line = |rest: &str| format!("{start} {rest}");
    let cases = [
        (
            line("\"GET /a?b=c HTTP/1.1\" 200 2326"),
            Ok(row(json!({"method": "GET", "path": "/a?b=c", "protocol": "HTTP/1.1", "status": 200, "bytes": 2326}))),
        ),
        (
            line("\"GET /a b HTTP/1.0\" 304 -"),
            Ok(row(json!({"method": "GET", "path": "/a b", "protocol": "HTTP/1.0", "status": 304}))),
        ),
        (
            line("\"GET /\" 200 1"),
            Ok(row(json!({"method": "GET", "path": "/", "status": 200, "bytes": 1}))),
        ),
        (line("\"-\" 408 -"), Ok(row(json!({"status": 408})))),
        (
            line("\"\\x16\\x03\\x01 x\" 400 0"),
            Ok(row(json!({"status": 400, "bytes": 0, "_rescued": rescued("request", "\\x16\\x03\\x01 x", "unknown_field")}))),
        ),
        (
            line("\"\" 400 0"),
            Ok(row(json!({"status": 400, "bytes": 0, "_rescued": rescued("request", "", "unknown_field")}))),
        ),
        (
            line("\"GET /\\\"x\\\" HTTP/1.1\" 200 5 \"-\" \"a \\\"b\\\" c\""),
            Ok(row(json!({"method": "GET", "path": "/\\\"x\\\"", "protocol": "HTTP/1.1", "status": 200, "bytes": 5, "user_agent": "a \\\"b\\\" c"}))),
        ),
        (
            line("\"GET / HTTP/2.0\" 200 5 \"http://r/\" \"a\" \"10.0.0.1\" 0.002"),
            Ok(row(json!({"method": "GET", "path": "/", "protocol": "HTTP/2.0", "status": 200, "bytes": 5, "user_agent": "a", "_rescued": {
                "referer": {"value": "http://r/", "reason": "unknown_field"},
                "$unmatched": {"value": "\"10.0.0.1\" 0.002", "reason": "unmatched_text"},
            }}))),
        ),
        (
            "2001:db8::1 - john doe [10/Oct/2000:13:55:36 +0000] \"PUT /x HTTP/1.1\" 201 7 \"-\" \"-\"".to_owned(),
            Ok(json!({"host": "2001:db8::1", "user": "john doe", "time": "2000-10-10T13:55:36Z", "method": "PUT", "path": "/x", "protocol": "HTTP/1.1", "status": 201, "bytes": 7})),
        ),
        ("x".to_owned(), Err("invalid_access_log")),
        (line("GET / 200 1"), Err("invalid_access_log")),
        (line("\"GET / HTTP/1.1"), Err("invalid_access_log")),
        (line("\"GET / HTTP/1.1\" 200"), Err("invalid_access_log")),
    ];
    for (record, expected) in &cases {
        check(
            &of("\"combined_log\"", &COLUMNS),
            &[(record, expected.clone())],
        );
    }
}

#[test]
fn the_whole_request_can_be_taken_with_or_without_its_parts() {
    let line = "h i u [t] \"GET /a HTTP/1.1\" 200 1";
    let string = "\"string\"";
    for (columns, row) in [
        (
            vec![("request", string)],
            json!({"request": "GET /a HTTP/1.1"}),
        ),
        (
            vec![("request", string), ("path", string)],
            json!({"request": "GET /a HTTP/1.1", "path": "/a"}),
        ),
    ] {
        let mut dataset = of("\"common_log\"", &columns);
        dataset.unknown_fields = frazil_dataset::UnknownFields::Ignore;
        let decoded = decode(&dataset, line);
        assert_eq!(told(&decoded).0, [row]);
        // host, ident, user, time, status and bytes.
        assert_eq!(decoded.reasons.ignored_fields, 6);
    }
}
