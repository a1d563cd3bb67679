//! Many files that were read to their end: the table's state stays small, and each is known again.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    Ended, User,
    lake::{Lake, local},
};

const FILES: u32 = 200;

fn line(n: u32) -> String {
    format!(
        "{{\"n\":{n},\"pad\":\"{}\"}}\n",
        "p".repeat((n % 50) as usize)
    )
}

/// A table of two hundred files.
fn user() -> User {
    let user = User::new();
    user.file(
        "schemas/web.toml",
        "format = \"json\"\ncolumns = [{ name = \"n\", type = \"long\" }, { name = \"pad\", type = \"string\" }]\n",
    );
    for n in 0..FILES {
        user.file(&format!("in/{n:03}.log"), line(n));
    }
    write(&user).succeeded();
    user
}

fn write(user: &User) -> Ended {
    user.run(&["write", "web", "--from", "in"])
}

fn count(user: &User) -> Value {
    user.json(&["sql", "SELECT count(*) AS rows FROM web", "--json"])[0]["rows"].clone()
}

fn file_of(user: &User) -> PathBuf {
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    local(shown["finished_sources"]["path"].as_str().unwrap())
}

fn state_bytes(lake: &Lake<'_>) -> usize {
    let metadata = lake.metadata();
    let properties = metadata["properties"].as_object().unwrap();
    let state = properties
        .iter()
        .filter(|(key, _)| key.starts_with("frazil.state"));
    state.map(|(_, value)| value.as_str().unwrap().len()).sum()
}

#[test]
fn they_leave_the_state_and_are_known_again() {
    let user = user();
    let lake = Lake::web(&user);
    let bytes = state_bytes(&lake);
    assert!(
        bytes < 1_000,
        "the state of {FILES} finished files takes {bytes} bytes"
    );
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    assert_eq!(
        shown["sources"].as_array().unwrap().len(),
        FILES as usize,
        "{shown}"
    );
    assert_eq!(shown["finished_sources"]["sources"], FILES, "{shown}");
    let told = user.run(&["offsets", "show", "web"]);
    assert!(
        told.succeeded().stdout.contains("200 sources more"),
        "{told:?}"
    );
    // Metadata names it, so that nobody takes it for an orphan, and a tag holds the snapshot that does.
    let metadata = lake.metadata();
    let statistics = &metadata["statistics"][0];
    assert_eq!(
        statistics["statistics-path"],
        shown["finished_sources"]["path"]
    );
    // PyIceberg opens no table with a type of blob that it does not know.
    assert_eq!(statistics["blob-metadata"], serde_json::json!([]));
    let tag = &metadata["refs"]["frazil-finished-sources"];
    assert_eq!(
        (&tag["type"], &tag["snapshot-id"]),
        (&"tag".into(), &statistics["snapshot-id"])
    );
    assert_ne!(tag["snapshot-id"], metadata["current-snapshot-id"]);

    // Again; one renamed, one that grew, one more: only what is new is read.
    write(&user).succeeded();
    assert_eq!(count(&user), FILES);
    std::fs::rename(user.path("in/007.log"), user.path("in/007.log.1")).unwrap();
    user.file("in/008.log", line(8) + &line(1_000));
    user.file("in/new.log", line(1_001));
    let report = &user.json(&["write", "web", "--from", "in", "--json"])[0];
    assert_eq!(report["rows_written"], 2, "{report}");
    assert_eq!(count(&user), FILES + 2);
    write(&user).succeeded();
    assert_eq!(count(&user), FILES + 2);
}

#[test]
fn one_of_them_is_set_back_or_forgotten_like_any_other() {
    let user = user();
    let set = |what: &[&str]| {
        let told = ["offsets", "set", "web", "--yes"];
        user.run(&[&told[..], what].concat()).succeeded();
        write(&user).succeeded();
    };
    set(&["--source", "5", "--position", "0"]);
    assert_eq!(count(&user), FILES + 1);
    set(&["--source", "6", "--forget"]);
    assert_eq!(count(&user), FILES + 2);
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    let ids: Vec<u64> = shown["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    assert!(!ids.contains(&6) && ids.contains(&201), "{ids:?}");
    set(&["--restart"]);
    assert_eq!(count(&user), 2 * FILES + 2);
}

#[test]
fn their_file_lost_or_changed_stops_by_name() {
    let user = user();
    let file = file_of(&user);
    let bytes = std::fs::read(&file).unwrap();
    let told = [
        "200 of its sources",
        file.to_str().unwrap(),
        "`frazil offsets set",
        "--accept-history",
    ];
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    write(&user).failed(3, &told);
    std::fs::remove_file(&file).unwrap();
    write(&user).failed(3, &told);
    user.run(&["offsets", "show", "web", "--json"])
        .failed(3, &told);
    // A copy of it is enough.
    std::fs::write(&file, &bytes).unwrap();
    write(&user).succeeded();
    assert_eq!(count(&user), FILES);
    // Else they are forgotten, and what is met again is read again.
    std::fs::remove_file(&file).unwrap();
    user.run(&["offsets", "set", "web", "--accept-history", "--yes"])
        .succeeded();
    let one = user.json(&["write", "web", "--from", "in/003.log", "--json"]);
    assert_eq!(one[0]["rows_written"], 1, "{one:?}");
    assert_eq!(count(&user), FILES + 1);
}
