//! `status`: how datasets stand, and what would stop a writer, from files and tables alone.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{User, lake::Lake};

const RAW: &str =
    "format = \"raw\"\ncolumns = [{ name = \"line\", type = \"string\", from = \"$raw\" }]\n";

/// A dataset that reads `in/*.log`, of which there is one with ten lines.
fn user() -> User {
    let user = User::new();
    let source = "[source.files]\npaths = [\"in/*.log\"]\n";
    user.file("schemas/web.toml", format!("{RAW}{source}"));
    user.file("in/a.log", "line\n".repeat(10));
    user
}

fn status(user: &User) -> Value {
    user.json(&["status", "web", "--json"]).remove(0)
}

fn stands(told: &Value) -> Value {
    json!([told["state"], told["lag_bytes"], told["next"]])
}

#[test]
fn what_files_hold_and_the_table_does_not_is_told_in_bytes() {
    let user = user();
    assert_eq!(stands(&status(&user)), json!(["not begun", 50, null]));
    assert!(!user.path("frazil-data").exists(), "looking makes no files");

    user.run(&["write", "web"]).succeeded();
    let told = status(&user);
    assert_eq!(stands(&told), json!(["up to date", 0, null]), "{told}");
    let snapshots = user.json(&["table", "snapshots", "web", "--json"]);
    assert_eq!(
        told["last_commit"]["snapshot_id"],
        snapshots[0]["snapshot_id"]
    );
    assert_eq!(
        (&told["records_read"], &told["dead_share"]),
        (&json!(10), &json!(0.0))
    );

    user.file("in/a.log", "line\n".repeat(11));
    user.file("in/b.log", "other\n");
    let told = status(&user);
    assert_eq!(stands(&told), json!(["behind", 11, null]), "{told}");
    // One that was renamed is known by its content.
    user.run(&["write", "web"]).succeeded();
    std::fs::rename(user.path("in/a.log"), user.path("in/a.1.log")).unwrap();
    assert_eq!(stands(&status(&user)), json!(["up to date", 0, null]));

    let shown = user.run(&["status"]);
    for told in ["web", "up to date", "0 B", "0.00 % of 12"] {
        assert!(
            shown.succeeded().stdout.contains(told),
            "no {told:?} in {shown:?}"
        );
    }
}

#[test]
fn files_that_were_given_by_hand_are_looked_at_where_they_were() {
    let user = User::new();
    user.file("schemas/web.toml", RAW);
    user.file("a.log", "line\n");
    assert_eq!(status(&user)["state"], "not begun");
    user.run(&["write", "web", "--from", "a.log"]).succeeded();
    assert_eq!(stands(&status(&user)), json!(["up to date", 0, null]));
    user.file("a.log", "line\nline\n");
    assert_eq!(stands(&status(&user)), json!(["behind", 5, null]));
    std::fs::remove_file(user.path("a.log")).unwrap();
    assert_eq!(stands(&status(&user)), json!(["up to date", 0, null]));
}

#[test]
fn what_would_stop_a_writer_is_told_with_the_command_that_decides() {
    let user = user();
    user.run(&["write", "web"]).succeeded();
    let lake = Lake::web(&user);
    let whole = lake.pointer().unwrap();
    let first = lake.metadata()["current-snapshot-id"].clone();
    user.file("in/b.log", "more\n");
    user.run(&["write", "web"]).succeeded();
    lake.move_main(&first);
    let told = status(&user);
    let decides = "frazil offsets set web --accept-history";
    assert_eq!(stands(&told), json!(["stopped", null, decides]), "{told}");
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("its history was rewritten"),
        "{told}"
    );

    lake.set_pointer(&whole);
    lake.change(|metadata| {
        let properties = metadata["properties"].as_object_mut().unwrap();
        properties.retain(|key, _| !key.starts_with("frazil."));
    });
    assert_eq!(stands(&status(&user)), json!(["stopped", null, decides]));

    lake.recreate(true);
    let told = status(&user);
    assert_eq!(told["state"], "stopped", "{told}");

    lake.set_pointer(&whole);
    lake.dead_letters().change(|metadata| {
        metadata["properties"]["frazil.dead-letters-of"] = "another".into();
    });
    let told = status(&user);
    assert_eq!(told["state"], "stopped", "{told}");
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("logs.web__dead_letters"),
        "{told}"
    );

    user.file(
        "schemas/web.toml",
        "format = \"raw\"\ncolumns = [{ name = \"line\", type = \"long\", from = \"$raw\" }]\n",
    );
    let shown = user.run(&["status", "--json"]).succeeded().json();
    assert_eq!(shown[0]["state"], "wrong", "{shown:?}");
    // As a writer that is asked for it.
    assert_eq!(user.run(&["status", "web"]).code, Some(2));
}

#[test]
fn a_checkpoint_that_was_given_up_for_its_dead_letters_is_told() {
    let user = user();
    let columns = "columns = [{ name = \"n\", type = \"long\", required = true }]\n";
    let source = "[source.files]\npaths = [\"in/*.log\"]\n";
    user.file(
        "schemas/web.toml",
        format!("format = \"json\"\n{columns}{source}"),
    );
    user.file(
        "in/a.log",
        format!(
            "{}{}",
            "{\"n\":1}\n".repeat(500),
            "{\"m\":1}\n".repeat(2_000)
        ),
    );
    assert_eq!(user.run(&["write", "web"]).code, Some(4));
    let told = status(&user);
    assert_eq!(told["state"], "stopped", "{told}");
    assert_eq!(told["next"], "frazil rejects web", "{told}");
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("--accept-dead-letters"),
        "{told}"
    );
    assert_eq!(told["lag_bytes"], 20_000, "{told}");
    user.run(&["write", "web", "--accept-dead-letters"])
        .succeeded();
    let told = status(&user);
    assert_eq!(told["state"], "up to date", "{told}");
    assert_eq!(told["dead_share"], 0.8, "{told}");
}

#[test]
fn a_broken_file_and_a_catalog_that_is_gone_are_rows_among_others() {
    let user = user();
    user.file("schemas/broken.toml", "format = \"jsonn\"\n");
    user.file("schemas/gone.toml", format!("catalog = \"gone\"\n{RAW}"));
    user.file("schemas/gone2.toml", format!("catalog = \"gone\"\n{RAW}"));
    user.file(
        "frazil.toml",
        "[catalogs.gone]\nuri = \"thrift://127.0.0.1:1\"\nwarehouse = \"/w\"\n",
    );
    user.run(&["write", "web"]).succeeded();
    let told = user.json(&["status", "--json"]);
    let states: Vec<_> = told
        .iter()
        .map(|one| json!([one["dataset"], one["state"]]))
        .collect();
    let expected = [
        json!(["broken", "wrong"]),
        json!(["gone", "unreachable"]),
        json!(["gone2", "unreachable"]),
        json!(["web", "up to date"]),
    ];
    assert_eq!(states, expected, "{told:?}");
    assert!(
        told[0]["error"].as_str().unwrap().contains("broken.toml:1"),
        "{told:?}"
    );
    for gone in &told[1..3] {
        assert!(
            gone["error"].as_str().unwrap().contains("127.0.0.1:1"),
            "{told:?}"
        );
    }
    user.run(&["status", "broken"])
        .failed(2, &["broken.toml:1"]);
    user.run(&["status", "web", "nope"]).failed(2, &["nope"]);
    let nothing = User::new().run(&["status"]);
    assert!(
        nothing.succeeded().stdout.contains("frazil init"),
        "{nothing:?}"
    );
}

/// Answers one request with what a writer's `/health/ready` says, and gives its address.
fn writer(status: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        head.read_line(&mut line).unwrap();
        assert!(line.starts_with("GET /health/ready "), "{line}");
        while line.trim_end() != "" {
            line.clear();
            head.read_line(&mut line).unwrap();
        }
        stream.write_all(answer.as_bytes()).unwrap();
        // Until the other side has read it.
        let _ = stream.read(&mut [0]);
    });
    address
}

#[test]
fn a_running_writer_is_asked_and_one_that_does_not_answer_is_told() {
    let user = user();
    user.run(&["write", "web"]).succeeded();
    let parked = writer(
        "503 Service Unavailable",
        r#"{"ready":false,"datasets":[{"dataset":"web","state":"parked","ready":false,
            "error":"go on","next":"frazil offsets show web","since":"2026-01-31T12:00:00Z"}]}"#,
    );
    let told = user
        .json(&["status", "web", "--json", "--writer", &parked])
        .remove(0);
    assert_eq!(
        stands(&told),
        json!(["stopped", 0, "frazil offsets show web"]),
        "{told}"
    );
    let of_writer = &told["writers"][0];
    assert_eq!(of_writer["writer"], format!("http://{parked}"));
    assert_eq!(
        json!([of_writer["state"], of_writer["error"], of_writer["since"]]),
        json!(["parked", "go on", "2026-01-31T12:00:00Z"])
    );
    let running = writer(
        "200 OK",
        r#"{"ready":true,"datasets":[{"dataset":"web","state":"running","ready":true,"error":null,"next":null}]}"#,
    );
    // Nobody listens on port 1.
    let shown = user.run(&[
        "status",
        "--writer",
        &format!("http://{running}/"),
        "--writer",
        "http://127.0.0.1:1",
    ]);
    let stdout = &shown.succeeded().stdout;
    assert!(stdout.contains("running"), "{shown:?}");
    assert!(
        stdout.contains("failed to ask the writer at http://127.0.0.1:1"),
        "{shown:?}"
    );
}

#[test]
fn watching_looks_again_until_it_is_interrupted() {
    let user = user();
    let mut child = user
        .command(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["state"], "not begun");
    user.run(&["write", "web"]).succeeded();
    while next()["state"] != "up to date" {}
    let told = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
