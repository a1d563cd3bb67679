//! Syslog, told apart by record.

use super::*;

const COLUMNS: [(&str, &str); 9] = [
    ("facility", "\"string\""),
    ("severity", "\"string\""),
    ("timestamp", "\"string\""),
    ("time", "\"timestamptz\", timezone = \"UTC\""),
    ("hostname", "\"string\""),
    ("app_name", "\"string\""),
    ("proc_id", "\"string\""),
    ("msg_id", "\"string\""),
    ("message", "\"string\""),
];

#[test]
fn rfc_5424_gives_its_fields_and_parameters() {
    let mut columns = COLUMNS.to_vec();
    columns.push(("source", "\"string\", from = \"ex@1.eventSource\""));
    columns.push(("version", "\"int\""));
    let dataset = of("\"syslog\"", &columns);
    check(
        &dataset,
        &[
            (
                r#"<165>1 2003-10-11T22:14:15.003Z h.example evntslog 77 ID47 [ex@1 iut="3" eventSource="A \"p\" \] \q"][e2 a="b"] An event"#,
                Ok(
                    json!({"facility": "local4", "severity": "notice", "version": 1, "timestamp": "2003-10-11T22:14:15.003Z",
                    "time": "2003-10-11T22:14:15.003Z", "hostname": "h.example", "app_name": "evntslog", "proc_id": "77", "msg_id": "ID47",
                    "source": "A \"p\" ] \\q", "message": "An event", "_rescued": {
                        "ex@1.iut": {"value": "3", "reason": "unknown_field"},
                        "e2.a": {"value": "b", "reason": "unknown_field"},
                    }}),
                ),
            ),
            (
                "<0>1 - - - - - -",
                Ok(json!({"facility": "kern", "severity": "emerg", "version": 1})),
            ),
            (
                "<0>1 - - - - - [x] \u{feff}m",
                Ok(
                    json!({"facility": "kern", "severity": "emerg", "version": 1, "message": "m",
                    "_rescued": rescued("x", "", "unknown_field")}),
                ),
            ),
            (
                "<34>1 2003-10-11T22:14:15Z h a - - [x a=\"",
                Err("invalid_syslog"),
            ),
            ("<34>1 2003-10-11T22:14:15Z h a - -", Err("invalid_syslog")),
            ("<34>1 2003-10-11T22:14:15Z h", Err("invalid_syslog")),
        ],
    );
    let whole = of(
        "\"syslog\"",
        &[
            ("structured_data", "\"string\""),
            ("a", "\"string\", from = \"x.a\""),
        ],
    );
    let decoded = decode(&whole, "<0>1 - - - - - [x a=\"1\" b=\"2\"]");
    let row = told(&decoded).0.remove(0);
    assert_eq!(row["structured_data"], "[x a=\"1\" b=\"2\"]");
    assert_eq!(row["a"], "1");
    assert!(row["_rescued"].get("x.b").is_none(), "{row}");
}

#[test]
fn rfc_3164_is_taken_as_it_is_found() {
    let dataset = of("\"syslog\"", &COLUMNS);
    let stamp = "Oct 11 22:14:15";
    check(
        &dataset,
        &[
            (
                "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed",
                Ok(
                    json!({"facility": "auth", "severity": "crit", "timestamp": stamp, "hostname": "mymachine", "app_name": "su", "proc_id": "12", "message": "'su root' failed"}),
                ),
            ),
            (
                "Oct  1 22:14:15 combo sshd(pam_unix)[19939]: failure",
                Ok(
                    json!({"timestamp": "Oct  1 22:14:15", "hostname": "combo", "app_name": "sshd(pam_unix)", "proc_id": "19939", "message": "failure"}),
                ),
            ),
            (
                "Oct 11 22:14:15 combo syslogd 1.4.1: restart.",
                Ok(
                    json!({"timestamp": stamp, "hostname": "combo", "message": "syslogd 1.4.1: restart."}),
                ),
            ),
            (
                "Oct 11 22:14:15 kernel: x",
                Ok(json!({"timestamp": stamp, "app_name": "kernel", "message": "x"})),
            ),
            (
                "<13>Oct 11 2019 22:14:15.123456: h app: m",
                Ok(
                    json!({"facility": "user", "severity": "notice", "timestamp": "Oct 11 2019 22:14:15.123456", "time": "2019-10-11T22:14:15.123456Z", "hostname": "h", "app_name": "app",
                    "message": "m"}),
                ),
            ),
            (
                "2024-05-01T10:00:00.5+02:00 web nginx: up",
                Ok(
                    json!({"timestamp": "2024-05-01T10:00:00.5+02:00", "time": "2024-05-01T08:00:00.500Z", "hostname": "web", "app_name": "nginx", "message": "up"}),
                ),
            ),
            (
                "<1>m",
                Ok(json!({"facility": "kern", "severity": "alert", "message": "m"})),
            ),
            (
                "<13>only a message",
                Ok(json!({"facility": "user", "severity": "notice", "message": "only a message"})),
            ),
            ("Oct 11 22:14:15", Ok(json!({"timestamp": stamp}))),
            ("only a message", Err("invalid_syslog")),
            ("<999>only a message", Err("invalid_syslog")),
            ("Oct 32 22:14:15 h a: m", Err("invalid_syslog")),
        ],
    );
}

#[test]
fn a_year_is_that_of_ingestion_only_when_asked_for() {
    // Ingested on 2024-10-27.
    for (stamp, time) in [
        ("Oct 11 22:14:15", Some("2024-10-11T22:14:15Z")),
        ("Oct 28 02:14:15", Some("2024-10-28T02:14:15Z")),
        ("Dec 31 23:59:59", Some("2023-12-31T23:59:59Z")),
        ("Feb 29 00:00:00", Some("2024-02-29T00:00:00Z")),
        ("Feb 30 00:00:00", None),
    ] {
        let columns = [COLUMNS[3]];
        let dataset = of("{ type = \"syslog\", year = \"ingested_at\" }", &columns);
        let row = told(&decode(&dataset, format!("{stamp} h a: m")))
            .0
            .remove(0);
        assert_eq!(row.get("time").and_then(Value::as_str), time, "{stamp}");
        assert_eq!(
            row["_rescued"].get("timestamp").is_some(),
            time.is_none(),
            "{row}"
        );
        let row = told(&decode(
            &of("\"syslog\"", &columns),
            format!("{stamp} h a: m"),
        ))
        .0
        .remove(0);
        assert_eq!(row.get("time"), None);
        assert_eq!(row["_rescued"]["timestamp"]["value"], stamp);
    }
}

#[test]
fn a_priority_is_kept_unless_its_parts_are() {
    for (columns, expected) in [
        (vec![("facility", "\"string\"")], true),
        (
            vec![("facility_code", "\"int\""), ("severity", "\"string\"")],
            false,
        ),
        (vec![("priority", "\"int\"")], false),
    ] {
        let row = told(&decode(&of("\"syslog\"", &columns), "<13>m"))
            .0
            .remove(0);
        assert_eq!(row["_rescued"].get("priority").is_some(), expected, "{row}");
    }
}
