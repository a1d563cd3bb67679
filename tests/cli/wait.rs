//! `frazil wait`: its exit codes, and what it says, where no Kafka is needed for it.

use serde_json::json;

use crate::{User, lake::Lake};

const WEB: &str = "format = \"json\"
columns = [{ name = \"time\", type = \"timestamptz\" }]
[source.kafka]
topics = [\"web\"]
";

fn user(complete: &str) -> User {
    let user = User::new();
    user.file("schemas/web.toml", format!("{WEB}{complete}"));
    user.file("web.ndjson", "{\"time\":\"2026-01-31T12:00:00Z\"}\n");
    user
}

fn wait<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let wait = ["wait", "web", "--until", "2026-01-31", "--timeout", "0s"];
    [&wait[..], more].concat()
}

#[test]
fn without_the_section_or_with_a_wrong_time_it_is_exit_code_2() {
    let plain = user("");
    plain
        .run(&wait(&[]))
        .failed(2, &["tell how complete dataset web is", "[complete]"]);
    let user = user("[complete]\n");
    for until in ["tomorrow", "2026-01-31T12:00:00"] {
        let ended = user.run(&["wait", "web", "--until", until]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains("as 2026-01-31T12:00:00Z"),
            "{ended:?}"
        );
    }
    user.file(
        "schemas/files.toml",
        WEB.replace("kafka]\ntopics", "files]\npaths") + "[complete]\n",
    );
    user.run(&["wait", "files", "--until", "2026-01-31"])
        .failed(2, &["schemas/files.toml:5:2", "no `[source.kafka]`"]);
}

#[test]
fn until_it_is_known_how_complete_the_table_is_it_waits_and_ends_with_1() {
    let user = user("[complete]\n");
    user.run(&wait(&[])).failed(
        1,
        &[
            "complete through 2026-01-31T00:00:00Z within 0s",
            "there is no table yet",
        ],
    );
    assert!(!user.path("frazil-data").exists(), "looking makes no files");
    user.run(&["write", "web", "--from", "web.ndjson"])
        .succeeded();
    let waited = user.run(&wait(&["--json"]));
    waited.failed(1, &["the table knows no partition"]);
    let told = &waited.json()[0];
    assert_eq!(
        (
            &told["complete"],
            &told["complete_through"],
            &told["furthest_behind"]
        ),
        (&json!(false), &json!(null), &json!([]))
    );
    let header = &Lake::web(&user).metadata()["properties"]["frazil.state"];
    assert!(
        header.as_str().unwrap().starts_with("{\"version\":3,"),
        "{header}"
    );
    // Another time of the same records, and none at all.
    user.file(
        "schemas/web.toml",
        format!("{WEB}[complete]\ntime = \"time\"\n"),
    );
    user.run(&wait(&[]))
        .failed(1, &["told it by `$timestamp`", "the dataset says `time`"]);
    user.file("schemas/web.toml", WEB);
    user.file("more.ndjson", "{\"time\":\"2026-01-31T12:00:00Z\"}\n\n");
    user.run(&["write", "web", "--from", "more.ndjson"])
        .succeeded();
    let header = &Lake::web(&user).metadata()["properties"]["frazil.state"];
    assert!(
        header.as_str().unwrap().starts_with("{\"version\":1,"),
        "{header}"
    );
    user.file("schemas/web.toml", format!("{WEB}[complete]\n"));
    user.run(&wait(&[]))
        .failed(1, &["the last writer did not tell"]);
}

#[test]
fn a_table_that_stops_a_writer_stops_it_too() {
    let user = user("[complete]\n");
    user.run(&["write", "web", "--from", "web.ndjson"])
        .succeeded();
    Lake::web(&user).recreate(true);
    user.run(&wait(&[]))
        .failed(3, &["copied from another table", "frazil offsets set"]);
}
