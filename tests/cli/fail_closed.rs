//! What a person must decide: each harm is called by its name, ends with exit code 3 and names the command
//! that decides; after that command each record is in the table once.

use std::{
    io::Write as _,
    process::{Child, Stdio},
};

use serde_json::Value;

use crate::{Ended, User, lake::Lake};

const WEB: &str = r#"format = "json"
columns = [
  { name = "time", type = "timestamptz", required = true },
  { name = "n", type = "long" },
]
[checkpoint]
records = 1
"#;

/// Ten numbered records, and one that is a dead letter.
fn lines(from: u32) -> String {
    let line = |n| format!("{{\"time\":\"2024-05-01T00:00:00Z\",\"n\":{n}}}\n");
    let records: String = (from..from + 10).map(line).collect();
    records + "{\"n\":1}\n"
}

/// A table that holds `0.ndjson`; `10.ndjson` is there and not written yet.
fn user() -> User {
    let user = User::new();
    user.file("schemas/web.toml", WEB);
    user.file("in/0.ndjson", lines(0));
    user.file("in/10.ndjson", lines(10));
    write(&user, "in/0.ndjson").succeeded();
    user
}

fn write(user: &User, from: &str) -> Ended {
    user.run(&["write", "web", "--from", from])
}

fn set(user: &User, what: &[&str]) {
    let told = ["offsets", "set", "web", "--yes", "--reason", "a test"];
    user.run(&[&told[..], what].concat()).succeeded();
}

/// The next write, and one after it, leave each of the records in the table once.
#[track_caller]
fn each_once(user: &User, rows: u32) {
    for _ in 0..2 {
        write(user, "in").succeeded();
        let query = "SELECT count(*) AS rows, count(DISTINCT n) AS numbers FROM web";
        let found = &user.json(&["sql", query, "--json"])[0];
        assert_eq!(
            (&found["rows"], &found["numbers"]),
            (&rows.into(), &rows.into())
        );
    }
}

fn main_snapshot(lake: &Lake<'_>) -> Value {
    lake.metadata()["current-snapshot-id"].clone()
}

/// A writer of standard input that has committed its first line.
fn writer_at_work(user: &User, lake: &Lake<'_>, first: &str) -> Child {
    let before = lake.pointer();
    let mut writer = user
        .command(&["write", "web", "--from", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writer
        .stdin
        .as_mut()
        .unwrap()
        .write_all(first.as_bytes())
        .unwrap();
    writer.stdin.as_mut().unwrap().flush().unwrap();
    while lake.pointer() == before {
        assert!(
            writer.try_wait().unwrap().is_none(),
            "the writer ended early"
        );
        std::thread::yield_now();
    }
    writer
}

#[test]
fn a_table_made_again_under_a_running_writer() {
    let user = user();
    let lake = Lake::web(&user);
    let input = lines(20).repeat(6_000);
    let mut writer = writer_at_work(&user, &lake, &input);
    lake.recreate(false);
    // The pipe breaks when the writer stops.
    let _ = writer.stdin.take().unwrap().write_all(lines(20).as_bytes());
    let ended = Ended::from(writer.wait_with_output().unwrap());
    ended.failed(3, &["logs.web", "dropped and made again", "`frazil write`"]);
    // Its dead letters are still those of the table before: they are for a person to keep or drop.
    write(&user, "in").failed(3, &["logs.web__dead_letters", "rename it, or drop it"]);
    lake.drop_dead_letters();
    each_once(&user, 20);
}

#[test]
fn a_table_made_like_ours() {
    let user = user();
    let lake = Lake::web(&user);
    lake.recreate(true);
    write(&user, "in").failed(
        3,
        &[
            "copied from another table",
            "`frazil offsets set DATASET --accept-history`",
        ],
    );
    let asked = [
        "offsets",
        "set",
        "web",
        "--accept-history",
        "--restart",
        "--yes",
    ];
    user.run(&asked)
        .failed(3, &["logs.web__dead_letters", "rename it, or drop it"]);
    lake.drop_dead_letters();
    set(&user, &["--accept-history", "--restart"]);
    each_once(&user, 20);
}

#[test]
fn a_table_rolled_back_to_before_ours() {
    let user = user();
    let lake = Lake::web(&user);
    let first = main_snapshot(&lake);
    write(&user, "in").succeeded();
    let last = main_snapshot(&lake);
    lake.move_main(&first);
    let told = [
        "history was rewritten",
        "`frazil offsets set DATASET --accept-history`",
        &last.to_string(),
    ];
    write(&user, "in").failed(3, &told);
    // What the message offers first: back to where our commit is.
    lake.move_main(&last);
    each_once(&user, 20);
    lake.move_main(&first);
    write(&user, "in").failed(3, &told[..2]);
    set(&user, &["--accept-history", "--source", "2", "--forget"]);
    each_once(&user, 20);
}

#[test]
fn a_branch_moved_to_a_snapshot_beside_ours() {
    let user = user();
    let lake = Lake::web(&user);
    lake.change(|metadata| {
        let mut beside = metadata["snapshots"][0].clone();
        beside["snapshot-id"] = 77.into();
        beside["sequence-number"] = (metadata["last-sequence-number"].as_i64().unwrap() + 1).into();
        beside["summary"] = serde_json::json!({ "operation": "append" });
        beside.as_object_mut().unwrap().remove("parent-snapshot-id");
        metadata["last-sequence-number"] = beside["sequence-number"].clone();
        metadata["snapshots"].as_array_mut().unwrap().push(beside);
    });
    lake.move_main(&77.into());
    write(&user, "in").failed(
        3,
        &[
            "history was rewritten",
            "`frazil offsets set DATASET --accept-history`",
        ],
    );
    // The branch holds the rows of the first commit.
    set(&user, &["--accept-history"]);
    each_once(&user, 20);
}

#[test]
fn a_history_that_was_rewritten() {
    let user = user();
    let lake = Lake::web(&user);
    // As CREATE OR REPLACE TABLE does: the same table and its properties, and none of its snapshots.
    lake.change(|metadata| {
        metadata["current-snapshot-id"] = (-1).into();
        for key in ["refs", "snapshots", "snapshot-log"] {
            metadata.as_object_mut().unwrap().remove(key);
        }
    });
    write(&user, "in").failed(
        3,
        &[
            "history was rewritten",
            "`frazil offsets set DATASET --accept-history`",
        ],
    );
    set(&user, &["--accept-history", "--restart"]);
    each_once(&user, 20);
}

#[test]
fn a_required_column_that_was_dropped() {
    let user = user();
    let lake = Lake::web(&user);
    let before = lake.metadata();
    lake.change(|metadata| {
        let mut schema = metadata["schemas"][0].clone();
        schema["schema-id"] = 1.into();
        schema["fields"]
            .as_array_mut()
            .unwrap()
            .retain(|field| field["name"] != "time");
        metadata["schemas"].as_array_mut().unwrap().push(schema);
        metadata["current-schema-id"] = 1.into();
    });
    write(&user, "in").failed(3, &["`time`", "was dropped", "ADD COLUMN"]);
    assert_eq!(lake.metadata()["current-schema-id"], 1);
    // What the message names: the column comes back, as another one.
    let id = before["last-column-id"].as_i64().unwrap() + 1;
    lake.change(|metadata| {
        let mut schema = metadata["schemas"][1].clone();
        schema["schema-id"] = 2.into();
        let column = serde_json::json!({ "id": id, "name": "time", "required": false, "type": "timestamptz" });
        schema["fields"].as_array_mut().unwrap().push(column);
        metadata["schemas"].as_array_mut().unwrap().push(schema);
        metadata["current-schema-id"] = 2.into();
        metadata["last-column-id"] = id.into();
    });
    each_once(&user, 20);
}

#[test]
fn a_pointer_that_went_back() {
    let user = user();
    let lake = Lake::web(&user);
    let dead_letters = lake.dead_letters();
    let earlier = (lake.pointer().unwrap(), dead_letters.pointer().unwrap());
    write(&user, "in").succeeded();
    lake.set_pointer(&earlier.0);
    write(&user, "in").failed(3, &["logs.web__dead_letters", "drop it"]);
    // The whole catalog as it was then: the records come again.
    dead_letters.set_pointer(&earlier.1);
    each_once(&user, 20);
}

#[test]
fn a_state_that_was_removed() {
    let user = user();
    let lake = Lake::web(&user);
    let whole = lake.metadata()["properties"].clone();
    let remove = || {
        lake.change(|metadata| {
            let properties = metadata["properties"].as_object_mut().unwrap();
            properties.retain(|key, _| !key.starts_with("frazil."));
        });
    };
    remove();
    write(&user, "in").failed(
        3,
        &[
            "frazil.state",
            "`frazil offsets set DATASET --accept-history`",
        ],
    );
    lake.change(|metadata| metadata["properties"] = whole.clone());
    each_once(&user, 20);
    remove();
    set(&user, &["--accept-history"]);
    user.run(&["write", "web", "--from", "in"]).succeeded();
    // What an accepted loss costs, as the documentation says: all is there a second time.
    assert_eq!(
        user.json(&["sql", "SELECT count(*) AS rows FROM web", "--json"])[0]["rows"],
        40
    );
}

#[test]
fn a_state_of_a_newer_frazil() {
    let user = user();
    Lake::web(&user).change(|metadata| {
        let header = metadata["properties"]["frazil.state"].as_str().unwrap();
        let newer = header.replace("\"version\":1", "\"version\":9");
        assert_ne!(newer, header);
        metadata["properties"]["frazil.state"] = newer.into();
    });
    write(&user, "in").failed(3, &["version 9", "newer frazil"]);
}
