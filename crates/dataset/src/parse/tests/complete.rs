//! `[complete]`: what it may say, and what is said of mistakes.

use std::time::Duration;

use super::mistakes::said;
use crate::{CompletePolicy, EventTime, parse_dataset};

const FILE: &str = "columns = [{ name = \"time\", type = \"timestamptz\" }, { name = \"local\", type = \"timestamp\" }, \
                    { name = \"n\", type = \"long\" }]\n[source.kafka]\ntopics = [\"web\"]\n[complete]\n";

fn policy(text: &str) -> Option<CompletePolicy> {
    match parse_dataset(&format!("{FILE}{text}"), "web.toml", "web") {
        Ok(dataset) => dataset.complete,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

#[test]
fn the_least_and_the_most_that_it_may_say() {
    let minute = Duration::from_mins(1);
    let least = CompletePolicy {
        time: EventTime::Message,
        delay: minute,
        idle: minute,
    };
    assert_eq!(policy(""), Some(least.clone()));
    assert_eq!(policy("time = \"$timestamp\""), Some(least));
    let most = CompletePolicy {
        time: EventTime::Column("time".to_owned()),
        delay: Duration::ZERO,
        idle: Duration::from_secs(1),
    };
    assert_eq!(
        policy("time = \"time\"\ndelay = \"0s\"\nidle = \"1s\""),
        Some(most)
    );
    let local = policy("time = \"local\"").map(|policy| policy.time);
    assert_eq!(local, Some(EventTime::Column("local".to_owned())));
    let without = FILE.replace("[complete]\n", "");
    let without = parse_dataset(&without, "web.toml", "web").map(|dataset| dataset.complete);
    assert_eq!(without, Ok(None));
}

#[test]
fn mistakes() {
    for (text, expected) in [
        (
            "time = \"tme\"",
            "5:8: `complete.time`: there is no column `tme`\n  help: did you mean `time`?",
        ),
        (
            "time = \"zebra\"",
            "5:8: `complete.time`: there is no column `zebra`\n  help: it takes `time`, `local` and `$timestamp`",
        ),
        (
            "time = \"n\"",
            "5:8: `complete.time`: the column `n` is of type `long`\n  help: it takes a column of type `timestamptz` or `timestamp`, or \"$timestamp\"",
        ),
        (
            "time = 5",
            "5:8: `complete.time` takes a column of times, or \"$timestamp\", not an integer",
        ),
        (
            "delay = \"5m\"",
            "5:9: `complete.delay`: `m` may be minutes or months\n  help: minutes are \"5min\"; a month is \"30d\"",
        ),
        (
            "delay = \"5w\"",
            "5:9: `complete.delay` is out of range\n  help: from \"0s\" to \"4w\"",
        ),
        (
            "idle = \"0s\"",
            "5:8: `complete.idle` is out of range\n  help: from \"1s\" to \"4w\"",
        ),
        (
            "idle = 60",
            "5:8: `complete.idle` takes a duration, such as \"1min\", not an integer",
        ),
        (
            "dely = \"1s\"",
            "5:1: unknown key `dely` in `[complete]`\n  help: did you mean `delay`?",
        ),
    ] {
        assert_eq!(
            said(&format!("{FILE}{text}")),
            format!("web.toml:{expected}"),
            "{text}"
        );
    }
}

#[test]
fn only_kafka_has_partitions_that_may_be_behind() {
    let help = "files and standard input have no partitions that may be behind: a run of `frazil write` that ended has \
                read all of them";
    let columns = "columns = [{ name = \"t\", type = \"string\" }]\n";
    for (source, place) in [("", "2:2"), ("source.files.paths = [\"a\"]\n", "3:2")] {
        let expected = format!(
            "web.toml:{place}: `[complete]` is told of Kafka's partitions, and the file has no `[source.kafka]`\n  help: {help}"
        );
        assert_eq!(said(&format!("{columns}{source}[complete]")), expected);
    }
}
