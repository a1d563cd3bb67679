//! What `offsets` shows beside the files, and how it asks before it changes anything.

use serde_json::{Value, json};

use crate::{User, lake::Lake};

fn user() -> User {
    let user = User::new();
    user.file(
        "schemas/web.toml",
        "format = \"raw\"\ncolumns = [{ name = \"line\", type = \"string\", from = \"$raw\" }]\n",
    );
    for name in ["same", "grown", "changed", "missing"] {
        user.file(&format!("{name}.log"), format!("{name}\n").repeat(2_000));
    }
    user.file("packed.log.gz", gzip(b"packed\n"));
    let names = [
        "same.log",
        "grown.log",
        "changed.log",
        "missing.log",
        "packed.log.gz",
    ];
    for name in names {
        user.run(&["write", "web", "--from", name]).succeeded();
    }
    user
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_source_is_shown_beside_its_file() {
    let user = user();
    user.file("grown.log", "grown\n".repeat(2_001));
    user.file("changed.log", "altered\n".repeat(2_000));
    std::fs::remove_file(user.path("missing.log")).unwrap();
    user.run_with_input(&["write", "web", "--from", "-"], b"typed\n")
        .succeeded();
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    let status = |one: &Value| json!([one["kind"], one["status"], one["behind_bytes"]]);
    let found: Vec<_> = shown["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(status)
        .collect();
    let expected = [
        json!(["file", "at_end", 0]),
        json!(["file", "behind", 6]),
        json!(["file", "changed", null]),
        json!(["file", "missing", null]),
        json!(["file", "at_end", 0]),
        json!(["standard_input", "gone", null]),
    ];
    assert_eq!(found, expected, "{shown}");
    let told = user.run(&["offsets", "show", "web"]);
    for one in [
        "6 bytes behind",
        "changed",
        "not there; was read to its end",
        "cannot be read again",
    ] {
        assert!(
            told.succeeded().stdout.contains(one),
            "no {one:?} in {}",
            told.stdout
        );
    }
    user.file("packed.log.gz", gzip(b"packed\nmore\n"));
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    assert_eq!(
        status(&shown["sources"][4]),
        json!(["file", "behind", null])
    );
}

#[test]
fn nothing_is_set_without_a_yes_and_who_when_and_why_stay_in_the_table() {
    let user = user();
    let lake = Lake::web(&user);
    let before = lake.pointer();
    let asked = [
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        "0",
        "--reason",
        "rows were deleted",
    ];
    user.run(&asked).failed(2, &["--yes"]);
    user.run_with_input(&asked, b"y\n")
        .failed(2, &["no terminal", "--yes"]);
    assert_eq!(lake.pointer(), before, "something was changed");
    user.run(&[&asked[..], &["--yes"]].concat()).succeeded();
    let snapshots = user.json(&["table", "snapshots", "web", "--json"]);
    let summary = snapshots
        .iter()
        .map(|snapshot| &snapshot["summary"])
        .find(|summary| summary["frazil.action"] == "set-positions")
        .unwrap();
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    let action = &shown["last_action"];
    assert_eq!(
        summary["frazil.action.why"], "rows were deleted",
        "{summary}"
    );
    assert_eq!(summary["frazil.action.who"], action["who"], "{summary}");
    assert_eq!(summary["frazil.action.sources"], "[[1,0]]", "{summary}");
    let at: i64 = summary["frazil.action.at-ms"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let shown_at: jiff::Timestamp = action["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown_at.as_millisecond(), at);
    assert!(!action["who"].as_str().unwrap().is_empty(), "{action}");
}
