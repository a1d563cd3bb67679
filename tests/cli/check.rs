//! `check`: what would become of each record, and nothing else.

use crate::User;

const WEB: &str = r#"format = "json"
columns = [
  { name = "id", type = "long", required = true },
  { name = "status", type = "int" },
]
"#;

const SAMPLE: &str = r#"{"id":1,"status":200}
{"id":2,"status":"x"}

{"status":3}
not json
{"id":3,"status":99999999999,"more":{"a":1}}
{"id":4,"status":5}
"#;

fn user() -> User {
    let user = User::new();
    user.file("schemas/web.toml", WEB);
    user.file("web.ndjson", SAMPLE);
    user
}

#[test]
fn every_record_is_counted_once() {
    let report = &user().json(&["check", "web", "--sample", "web.ndjson", "--json"])[0];
    assert_eq!(report["records_read"], 6, "{report}");
    assert_eq!(report["rows"], 4, "{report}");
    assert_eq!(report["rows_rescued"], 2, "{report}");
    assert_eq!(report["dead_letters"], 2, "{report}");
    let sum = |key: &str| {
        report[key]
            .as_object()
            .unwrap()
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(sum("reasons"), 2, "{report}");
    assert_eq!(sum("rescued_reasons"), 3, "{report}");
}

#[test]
fn reasons_are_told_with_their_lines_and_a_sample() {
    let ended = user().run(&["check", "web", "--sample", "web.ndjson"]);
    for told in [
        "6 records read",
        "4 rows",
        "2 dead letters",
        "web.ndjson line 4",
        "web.ndjson line 5",
        "not json",
        "web.ndjson line 2",
        "The first rows",
    ] {
        assert!(
            ended.succeeded().stdout.contains(told),
            "no {told:?} in\n{}",
            ended.stdout
        );
    }
}

#[test]
fn too_many_dead_letters_are_exit_code_4() {
    let user = user();
    for (most, code) in [("50%", 0), ("33%", 4), ("0.1%", 4), ("100%", 0)] {
        let ended = user.run(&["check", "web", "--sample", "web.ndjson", "--fail-on", most]);
        assert_eq!(ended.code, Some(code), "{most}: {ended:?}");
    }
}

#[test]
fn nothing_is_written() {
    let user = user();
    user.run(&["check", "web"]).succeeded();
    user.run(&["check", "web", "--sample", "web.ndjson"])
        .succeeded();
    let mut names: Vec<_> = std::fs::read_dir(user.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["schemas", "web.ndjson"]);
}

#[test]
fn a_sample_comes_from_standard_input_and_from_folders() {
    let user = user();
    let ended = user.run_with_input(
        &["check", "web", "--sample", "-", "--json"],
        SAMPLE.as_bytes(),
    );
    assert_eq!(ended.succeeded().json()[0]["records_read"], 6);
    user.file("in/a.ndjson", "{\"id\":1}\n");
    user.file("in/b.ndjson", "{\"id\":2}");
    assert_eq!(
        user.json(&["check", "web", "--sample", "in", "--json"])[0]["rows"],
        2
    );
    user.run(&["check", "web", "--sample", "nope/*"])
        .failed(2, &["nope/*"]);
}

#[test]
fn mistakes_in_the_file_are_told_with_their_places() {
    let user = User::new();
    user.file(
        "schemas/bad.toml",
        "format = \"json\"\ncolums = []\ncolumns = [{ name = \"a\", type = \"strng\" }]\n",
    );
    user.run(&["check", "bad"]).failed(
        2,
        &[
            "schemas/bad.toml:2:1",
            "columns",
            "schemas/bad.toml:3:",
            "string",
        ],
    );
}

#[test]
fn bad_bytes_cost_no_neighbour() {
    let user = user();
    let deep = format!(
        "{{\"id\":1,\"x\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let lines: Vec<&[u8]> = vec![
        b"{\"id\":1}",
        b"\xff\xfe",
        b"\0\0\0",
        deep.as_bytes(),
        b"{\"id\":1,\"id\":2}",
        b"{\"id\":123456789012345678901}",
        b"{\"id\":1,\"x\":\"\\u0000\"}",
        b"{\"id\":1,\"x\":\"\\ud800\"}",
        b"{\"id\":1",
        b"{\"id\":2}",
    ];
    user.file("bad.ndjson", lines.join(&b'\n'));
    let ended = user.run(&["check", "web", "--sample", "bad.ndjson", "--json"]);
    let report = &ended.succeeded().json()[0];
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(count("records_read"), lines.len() as u64, "{report}");
    assert_eq!(
        count("rows") + count("dead_letters"),
        lines.len() as u64,
        "{report}"
    );
    assert!(count("rows") >= 3, "{report}");
    user.run(&["check", "web", "--sample", "bad.ndjson"])
        .succeeded();
}
