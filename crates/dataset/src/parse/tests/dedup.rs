//! `[dedup]`: what it may say, and what is said of mistakes.

use std::time::Duration;

use super::mistakes::said;
use crate::{DedupKey, DedupPolicy, parse_dataset};

const FILE: &str = "columns = [{ name = \"time\", type = \"timestamptz\" }, { name = \"id\", type = \"string\" }, \
                    { name = \"got\", type = \"timestamptz\", from = \"$ingested_at\" }, { name = \"at\", type = \"long\", from = \"$offset\" }, \
                    { name = \"tags\", type = \"map<string, string>\" }]\n[dedup]\n";

fn policy(text: &str) -> DedupPolicy {
    match parse_dataset(&format!("{FILE}{text}"), "web.toml", "web") {
        Ok(dataset) => dataset.dedup.expect("the section is there"),
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

#[test]
fn the_least_and_the_most_that_it_may_say() {
    let least = DedupPolicy {
        key: DedupKey::Columns(vec!["id".to_owned()]),
        time: "time".to_owned(),
        window: Duration::from_hours(1),
        memory_bytes_max: 256 << 20,
    };
    assert_eq!(policy("key = [\"id\"]\ntime = \"time\""), least);
    let most = DedupPolicy {
        key: DedupKey::AllBut(vec![
            "got".to_owned(),
            "at".to_owned(),
            "tags".to_owned(),
            "_rescued".to_owned(),
        ]),
        window: Duration::from_secs(1),
        memory_bytes_max: 1 << 20,
        ..least
    };
    let text = "key_except = [\"got\", \"at\", \"tags\", \"_rescued\"]\ntime = \"time\"\nwindow = \"1s\"\nmemory_max = \"1MiB\"";
    assert_eq!(policy(text), most);
    let without = FILE.replace("[dedup]\n", "");
    let without = parse_dataset(&without, "web.toml", "web").map(|dataset| dataset.dedup);
    assert_eq!(without, Ok(None));
}

#[test]
fn mistakes() {
    let time = "time = \"time\"\n";
    for (text, expected) in [
        (
            time.to_owned(),
            "2:2: `[dedup]` has neither `key` nor `key_except`\n  help: `key = [\"…\"]` names the columns that make two rows the same record",
        ),
        (
            format!("{time}key = [\"id\"]\nkey_except = [\"id\"]"),
            "5:1: `[dedup]` has both `key` and `key_except`\n  help: `key` names the columns that make a record, `key_except` those that do not; take one",
        ),
        (
            "key = [\"id\"]".to_owned(),
            "2:2: `[dedup]` has no `time`\n  help: it is the window's clock: `time = \"…\"` names a stored column of type timestamptz or timestamp",
        ),
        (
            format!("{time}key = [\"idd\"]"),
            "4:8: `dedup.key`: there is no column `idd`\n  help: did you mean `id`?",
        ),
        (
            format!("{time}key = [\"$key\"]"),
            "4:8: `dedup.key`: there is no column `$key`\n  help: only a stored column can be read again at a start",
        ),
        (
            format!("{time}key = [\"id\", \"id\"]"),
            "4:14: `dedup.key`: the column `id` is there twice",
        ),
        (
            format!("{time}key = [\"got\"]"),
            "4:8: `dedup.key` the column `got` takes $ingested_at, which is another each time that a record comes\n  help: no two rows would be the same; name it in `key_except`",
        ),
        (
            format!("{time}key_except = [\"got\", \"tags\"]"),
            "4:14: `dedup.key_except` leaves it in the key, and the column `at` takes $offset, which is another each time that a record comes\n  help: no two rows would be the same; name it in `key_except`",
        ),
        (
            format!("{time}key = [\"tags\"]"),
            "4:8: `dedup.key` the column `tags` holds a map, whose entries have no order\n  help: take its parts that matter as columns of their own, or name it in `key_except`",
        ),
        (
            "key = [\"id\"]\ntime = \"$timestamp\"".to_owned(),
            "4:8: `dedup.time`: there is no column `$timestamp`\n  help: it has to be stored: give it a column, `{ name = \"received\", type = \"timestamptz\", from = \"$timestamp\" }`",
        ),
        (
            "key = [\"id\"]\ntime = \"id\"".to_owned(),
            "4:8: `dedup.time`: the column `id` is of type `string`\n  help: it takes a column of type `timestamptz` or `timestamp`",
        ),
        (
            "key = [\"id\"]\ntime = \"got\"".to_owned(),
            "4:8: `dedup.time`: the column `got` takes $ingested_at, which is another each time that a record comes\n  help: take a time that the record itself has, or Kafka's `$timestamp`",
        ),
        (
            format!("{time}key = [\"id\"]\nwindow = \"0s\""),
            "5:10: `dedup.window` is out of range\n  help: from \"1s\" to \"52w2d\"",
        ),
        (
            format!("{time}key = [\"id\"]\nmemory_max = \"1KiB\""),
            "5:14: `dedup.memory_max` is out of range\n  help: from \"1MiB\" to \"1TiB\"",
        ),
    ] {
        assert_eq!(
            said(&format!("{FILE}{text}")),
            format!("web.toml:{expected}"),
            "{text}"
        );
    }
}
