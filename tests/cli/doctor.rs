//! `doctor`: what would keep a writer from its work, and what it leaves behind: nothing.

use std::path::Path;

use serde_json::{Value, json};

use crate::User;

const SECRET: &str = "hunter2-7a3c";

fn user() -> User {
    let user = User::new();
    user.file(
        "schemas/web.toml",
        "format = \"raw\"\ncolumns = [{ name = \"line\", type = \"string\", from = \"$raw\" }]\n",
    );
    user.file("a.log", "line\n");
    user
}

fn found(checks: &[Value]) -> Vec<Value> {
    let of = |check: &Value| json!([check["check"], check["status"]]);
    checks.iter().map(of).collect()
}

fn ok(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!([name, "ok"])).collect()
}

/// All files and folders below one whose name is of ours.
fn left_behind(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("doctor") {
            found.push(name);
        }
        if path.is_dir() {
            found.extend(left_behind(&path));
        }
    }
    found
}

#[test]
fn a_machine_without_any_table_is_looked_at_and_left_as_it_is() {
    let user = user();
    let checks = user.json(&["doctor", "--json"]);
    let expected = [
        "dataset",
        "catalog-open",
        "catalog-list",
        "table-load",
        "storage-write",
        "storage-read",
        "storage-list",
        "clock",
        "storage-delete",
    ];
    assert_eq!(found(&checks), ok(&expected), "{checks:?}");
    assert!(!user.path("frazil-data").exists());
    assert_eq!(left_behind(&user.path("")), [""; 0]);
    for check in &checks {
        assert!(
            check["seconds"].is_f64() && check["next"].is_null(),
            "{check}"
        );
    }
}

#[test]
fn a_table_s_catalog_is_tried_by_a_change_that_is_given_up() {
    let user = user();
    user.run(&["write", "web", "--from", "a.log"]).succeeded();
    let tables = user.json(&["ls", "--json"]);
    let checks = user.json(&["doctor", "web", "--json"]);
    let expected = [
        "dataset",
        "catalog-open",
        "catalog-list",
        "table-load",
        "locking",
        "catalog-commit",
        "storage-write",
        "storage-read",
        "storage-list",
        "clock",
        "storage-delete",
    ];
    // What the working folder is on is the machine's affair.
    let mut checks_found = found(&checks);
    checks_found[4][1] = "ok".into();
    assert_eq!(checks_found, ok(&expected), "{checks:?}");
    assert_eq!(user.json(&["ls", "--json"]), tables);
    assert_eq!(left_behind(&user.path("")), [""; 0]);
    let told = user.run(&["doctor"]);
    for one in [
        "ok       catalog-commit sqlite:",
        "the change given up",
        " ms)",
    ] {
        assert!(
            told.succeeded().stdout.contains(one),
            "no {one:?} in {told:?}"
        );
    }
}

#[test]
fn what_does_not_answer_is_exit_1_and_what_is_wrong_exit_2() {
    let user = user();
    // Nobody listens on port 1.
    let gone = "[catalogs.gone]\nuri = \"thrift://127.0.0.1:1\"\nwarehouse = \"lake\"\n\
        [kafka.gone]\nbrokers = [\"127.0.0.1:1\"]\n";
    user.file("frazil.toml", gone);
    let ended = user.run(&["doctor", "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failed: Vec<Value> = ended
        .json()
        .into_iter()
        .filter(|check| check["status"] == "failed")
        .collect();
    let expected = ["catalog-list", "kafka-connect"].map(|name| json!([name, "failed"]));
    assert_eq!(found(&failed), expected, "{failed:?}");
    assert!(
        failed[0]["told"].as_str().unwrap().contains("127.0.0.1:1"),
        "{failed:?}"
    );
    assert!(failed[0]["next"].is_string(), "{failed:?}");
    // Only what the dataset needs is looked at.
    user.run(&["doctor", "web"]).succeeded();

    user.file("schemas/broken.toml", "format = \"jsonn\"\n");
    let ended = user.run(&["doctor"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("broken.toml:1"), "{ended:?}");
    assert!(
        ended.stdout.contains("ok       dataset schemas/web.toml"),
        "{ended:?}"
    );
    let ended = user.run(&["doctor", "nope"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    user.run(&["doctor", "--config", "nope.toml"])
        .failed(2, &["nope.toml"]);
}

#[test]
fn a_warehouse_that_cannot_be_written_is_found_and_no_secret_is_shown() {
    let user = user();
    user.file(
        "frazil.toml",
        "[catalog]\nuri = \"sqlite:catalog.db\"\nwarehouse = \"/proc/none\"\n\
         [catalogs.shop]\nuri = \"postgresql://me@127.0.0.1:1/lake\"\nwarehouse = \"/w\"\n\
         credential = { env = \"THE_PASSWORD\" }\n",
    );
    let mut command = user.command(&["doctor"]);
    let ended = crate::Ended::from(command.env("THE_PASSWORD", SECRET).output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("failed   storage-write file:///proc"),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("failed   catalog-open catalogs.shop"),
        "{ended:?}"
    );
    assert!(
        !ended.stdout.contains(SECRET) && !ended.stderr.contains(SECRET),
        "{ended:?}"
    );
    // Without the secret it is a setting that is wrong.
    let ended = user.run(&["doctor"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("`credential`"), "{ended:?}");
}
