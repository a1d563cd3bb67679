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
    let draft = draft("2024-05-01 startup\n2024-05-01 upgrade\n");
    assert_eq!(draft.format, "raw");
    assert!(
        draft
            .render()
            .contains(r#"{ name = "line", type = "string", from = "$raw" }"#)
    );
}

#[test]
fn a_few_lines_that_are_no_json_are_noted() {
    let draft = draft("{\"a\":1}\n\u{1}\n{\"a\":2}\n{\"a\":3}");
    assert_eq!(draft.format, "json");
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
