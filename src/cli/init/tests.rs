use super::*;

fn draft(sample: &str) -> Draft {
    let sample = Sample::of(sample.as_bytes()).unwrap();
    Draft::of(&sample, "web")
}

#[test]
fn a_dataset_file_reads_like_one_written_by_hand() {
    let draft = draft(concat!(
        r#"{"@timestamp":"2024-05-01T10:00:00Z","host":"a","status":200,"geo":{"country":"DE"},"mix":1}"#,
        "\n",
        r#"{"@timestamp":"2024-05-01T10:00:01Z","host":"b","took":0.5,"tags":["x"],"mix":"y","none":null}"#,
        "\n",
    ));
    assert_eq!(
        draft.render(),
        r#"# web: one JSON object a line, as seen in 2 records.
# No column is required: with `required = true`, a record without it becomes a dead letter.
# Fields without a column are kept in the column `_rescued`.
format = "json"
partition_by = ["day(timestamp)"]
columns = [
  { name = "timestamp", type = "timestamptz", from = "@timestamp" },
  { name = "host", type = "string" },
  { name = "status", type = "long" },
  { name = "geo", type = "struct<country: string>" },
  { name = "mix", type = "string" },  # mixed: numbers, texts
  { name = "took", type = "double" },
  { name = "tags", type = "list<string>" },
  { name = "none", type = "string" },  # always null in the sample
]
"#
    );
}

#[test]
fn lines_of_text_become_one_column() {
    let draft = draft("startup of it\nupgrade of it\n");
    assert_eq!(draft.kind, "raw");
    assert!(
        draft
            .render()
            .contains(r#"{ name = "line", type = "string", from = "$raw" }"#)
    );
}

#[test]
fn a_few_lines_that_are_no_json_are_noted() {
    let draft = draft("{\"a\":1}\n\u{1}\n{\"a\":2}\n{\"a\":3}");
    assert_eq!(draft.kind, "json");
    assert!(
        draft.notes[0].contains("the first is line 2"),
        "{:?}",
        draft.notes
    );
}

#[test]
fn a_mark_at_the_start_blank_lines_and_carriage_returns_are_not_content() {
    let sample = Sample::of("\u{feff}{\"a\":1}\r\n\r\n  \n{\"a\":2}".as_bytes()).unwrap();
    assert_eq!((sample.records, sample.lines, sample.odd_lines), (2, 2, 0));
}

#[test]
fn a_list_of_objects_on_a_line_is_several_records() {
    let sample = Sample::of(&b"[{\"a\":1},{\"b\":2}]\n"[..]).unwrap();
    assert_eq!((sample.records, sample.lines), (2, 1));
}

#[test]
fn a_name_is_the_files() {
    for (path, name) in [
        ("logs/web.2024.ndjson.gz", "web"),
        ("my app.log", "my_app"),
        (".hidden.log", "hidden"),
        ("a-b_c", "a-b_c"),
    ] {
        assert_eq!(name_of(path).unwrap(), name);
    }
    assert!(name_of("-").is_err());
}

#[test]
fn text_is_quoted_as_toml_wants_it() {
    assert_eq!(quoted("a\"b\\c\n\u{7f}"), r#""a\"b\\c\u000A\u007F""#);
}

#[test]
fn each_format_is_recognised_by_what_it_makes_of_the_sample() {
    let repeated = |line: &str| format!("{line}\n").repeat(3);
    for (sample, kind, columns) in [
        (
            "time,host,status\n2024-05-01T10:00:00Z,a,200\n2024-05-01T10:00:01Z,\"b\nc\",404\n"
                .to_owned(),
            "csv",
            "time timestamptz, host string, status long",
        ),
        (
            "a;b c\n1;x\n2;y\n".to_owned(),
            "csv",
            "a long, b_c string, ingested_at timestamptz",
        ),
        (
            "x\ty\n1.5\ttrue\n2\tfalse\n".to_owned(),
            "tsv",
            "x double, y boolean, ingested_at timestamptz",
        ),
        (
            repeated("ts=2024-05-01T10:00:00Z level=info msg=\"a b\" n=1"),
            "logfmt",
            "ts timestamptz, level string, msg string, n long",
        ),
        (
            repeated(
                "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"",
            ),
            "combined_log",
            "host string, time timestamptz, method string, path string, protocol string, status long, bytes long, user_agent string",
        ),
        (
            repeated("::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5"),
            "common_log",
            "host string, time timestamptz, method string, path string, protocol string, status long, bytes long",
        ),
        (
            repeated("Jun 14 15:16:01 combo sshd[19939]: failure"),
            "syslog",
            "timestamp string, hostname string, app_name string, proc_id long, message string, ingested_at timestamptz",
        ),
        (
            repeated("<34>1 2003-10-11T22:14:15Z h su - ID47 - failed"),
            "syslog",
            "time timestamptz, facility string, severity string, version long, hostname string, app_name string, msg_id string, message string",
        ),
        (
            repeated("[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok"),
            "regex",
            "time timestamp, level string, message string",
        ),
        (
            repeated("2015-07-29 17:41:44,747 - INFO  [Peer[myid=1]/0:0@774] - time out: 3200"),
            "regex",
            "time timestamp, level string, thread string, message string",
        ),
        (
            repeated(
                "2015-10-18 18:01:47,978 ERROR [main] a.B: failed\n\tat a.B.c(B.java:5)\n\tat a.B.d(B.java:7)",
            ),
            "regex",
            "time timestamp, level string, thread string, logger string, message string",
        ),
    ] {
        let draft = draft(&sample);
        let found: Vec<String> = draft
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.column_type))
            .collect();
        assert_eq!(
            (draft.kind, found.join(", ").as_str()),
            (kind, columns),
            "{sample}"
        );
        let text = draft.render();
        frazil_dataset::parse_dataset(&text, "f", "f")
            .unwrap_or_else(|error| panic!("{}", error.render()));
    }
}
