//! `[source.kafka]`: what it may say, and what is said of mistakes.

use super::mistakes::said;
use crate::{
    Dataset, KafkaIsolation, KafkaSourceSpec, KafkaStart, KafkaTopics, SourceSpec, parse_dataset,
};

const COLUMNS: &str = "columns = [{ name = \"t\", type = \"string\" }]\n";

fn parse(text: &str) -> Result<Dataset, String> {
    parse_dataset(
        &format!("{COLUMNS}[source.kafka]\n{text}"),
        "web.toml",
        "web",
    )
    .map_err(|diagnostics| diagnostics.render())
}

fn source(text: &str) -> KafkaSourceSpec {
    match parse(text).map(|dataset| dataset.source) {
        Ok(Some(SourceSpec::Kafka(spec))) => spec,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_least_and_the_most_that_it_may_say() {
    let least = KafkaSourceSpec {
        topics: KafkaTopics::Names(vec!["web".to_owned()]),
        cluster: None,
        start: KafkaStart::Earliest,
        group: "frazil-web".to_owned(),
        isolation: KafkaIsolation::ReadCommitted,
    };
    assert_eq!(source("topics = [\"web\"]"), least);
    let most = KafkaSourceSpec {
        topics: KafkaTopics::Pattern("web-.*".to_owned()),
        cluster: Some("main".to_owned()),
        start: KafkaStart::Latest,
        group: "logs of the shop".to_owned(),
        isolation: KafkaIsolation::ReadUncommitted,
    };
    let text = "topics_pattern = \"web-.*\"\ncluster = \"main\"\nstart = \"latest\"\ngroup = \"logs of the shop\"\n\
                isolation = \"read_uncommitted\"";
    assert_eq!(source(text), most);
    let named = parse_dataset(
        &format!("dataset = \"shop\"\n{COLUMNS}source.kafka.topics = [\"a\", \"b\"]"),
        "web.toml",
        "web",
    );
    let Ok(Some(SourceSpec::Kafka(spec))) = named.map(|dataset| dataset.source) else {
        panic!("nothing is wrong");
    };
    assert_eq!(spec.group, "frazil-shop", "one group a dataset");
}

#[test]
fn names_and_times_that_are_right() {
    let longest = "x".repeat(249);
    for topic in [
        "a",
        "A.b_c-9",
        "...",
        "__consumer_offsets",
        longest.as_str(),
    ] {
        let topics = source(&format!("topics = [\"{topic}\"]")).topics;
        assert_eq!(topics, KafkaTopics::Names(vec![topic.to_owned()]));
    }
    for (start, expected) in [
        ("\"1970-01-01T00:00:00Z\"", "1970-01-01T00:00:00Z"),
        ("\"2026-01-31T01:00:00.5+01:00\"", "2026-01-31T00:00:00.5Z"),
        ("2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00Z"),
        ("2026-01-31 00:00:00Z", "2026-01-31T00:00:00Z"),
        ("\"2026-01-31\"", "2026-01-31T00:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
    ] {
        let expected = expected.parse().expect(expected);
        let found = source(&format!("topics = [\"a\"]\nstart = {start}")).start;
        assert_eq!(found, KafkaStart::Time(expected), "{start}");
    }
}

#[test]
fn mistakes() {
    let too_long = "x".repeat(250);
    let long_topic = format!("topics = [\"{too_long}\"]");
    let long_topic_said = format!(
        "3:11: `source.kafka.topics`: the topic `{too_long}` has 250 bytes, of at most 249"
    );
    let topics = "topics = [\"a\"]\n";
    let example = "`topics = [\"web\"]`, or `topics_pattern = \"web-.*\"`";
    for (text, expected) in [
        ("", format!("2:9: `[source.kafka]` has neither `topics` nor `topics_pattern`\n  help: {example}")),
        ("topics = [\"a\"]\ntopics_pattern = \"b\"", "4:1: `topics` and `topics_pattern` both say which topics are read\n  help: leave one of them out".to_owned()),
        ("topics = []", "3:10: `source.kafka.topics` has 0 topics, and can have 1 to 10000\n  help: `topics = [\"web\"]`".to_owned()),
        ("topics = \"a\"", "3:10: `source.kafka.topics` takes an array of topics, such as [\"web\"], not a string".to_owned()),
        ("topics = [\"a\", 1]", "3:16: `source.kafka.topics` takes an array of topics, such as [\"web\"]; this is an integer".to_owned()),
        ("topics = [\"a\", \"a\"]", "3:16: `source.kafka.topics` names `a` twice".to_owned()),
        ("topics = [\"\"]", "3:11: `source.kafka.topics`: the topic `` has no name".to_owned()),
        ("topics = [\"..\"]", "3:11: `source.kafka.topics`: the topic `..` cannot be one of Kafka".to_owned()),
        ("topics = [\"a b\"]", "3:11: `source.kafka.topics`: the topic `a b` holds what is not a letter, a digit, `.`, `_` or `-`".to_owned()),
        ("topics = [\"größe\"]", "3:11: `source.kafka.topics`: the topic `größe` holds what is not a letter, a digit, `.`, `_` or `-`".to_owned()),
        ("topics = [\"web-*\"]", "3:11: `source.kafka.topics`: the topic `web-*` looks like a pattern, which `topics_pattern` takes".to_owned()),
        (&long_topic, long_topic_said),
        ("topics_pattern = \"\"", "3:18: `source.kafka.topics_pattern` has 0 bytes, and can have 1 to 4096\n  help: such as \"web-.*\"".to_owned()),
        ("topics_pattern = [\"a\"]", "3:18: `source.kafka.topics_pattern` takes a regular expression, such as \"web-.*\", not an array".to_owned()),
        ("topic = [\"a\"]", format!("2:9: `[source.kafka]` has neither `topics` nor `topics_pattern`\n  help: {example}\nweb.toml:3:1: unknown key `topic` in `[source.kafka]`\n  help: did you mean `topics`?")),
        (&format!("{topics}cluster = \"a b\""), "4:11: `source.kafka.cluster`: the name `a b` holds a space; names are of letters, digits, `_` and `-`\n  help: `a_b`?".to_owned()),
        (&format!("{topics}start = \"earlist\""), "4:9: `source.kafka.start` does not know `earlist`\n  help: did you mean `earliest`?".to_owned()),
        (&format!("{topics}start = \"2026-01\""), "4:9: `source.kafka.start` does not know `2026-01`\n  help: it takes \"earliest\", \"latest\" or a time, such as \"2026-01-31T00:00:00Z\"".to_owned()),
        (&format!("{topics}start = 2026-01-31T00:00:00"), "4:9: `source.kafka.start` does not know `2026-01-31T00:00:00`\n  help: it takes \"earliest\", \"latest\" or a time, such as \"2026-01-31T00:00:00Z\"".to_owned()),
        (&format!("{topics}start = \"1969-12-31T23:59:59Z\""), "4:9: `source.kafka.start`: Kafka knows no time before 1970\n  help: `start = \"earliest\"`".to_owned()),
        (&format!("{topics}start = 5"), "4:9: `source.kafka.start` takes \"earliest\", \"latest\" or a time, such as \"2026-01-31T00:00:00Z\", not an integer".to_owned()),
        (&format!("{topics}group = \" \""), "4:9: `source.kafka.group` is one line, not empty, of at most 249 bytes".to_owned()),
        (&format!("{topics}isolation = \"committed\""), "4:13: `source.kafka.isolation` does not know `committed`\n  help: it takes `read_committed` and `read_uncommitted`".to_owned()),
        (&format!("{topics}isolation = \"read_comitted\""), "4:13: `source.kafka.isolation` does not know `read_comitted`\n  help: did you mean `read_committed`?".to_owned()),
        (&format!("{topics}brokers = [\"k:9092\"]"), "4:1: unknown key `brokers` in `[source.kafka]`\n  help: known keys are `topics`, `topics_pattern`, `cluster`, `start`, `group` and `isolation`".to_owned()),
    ] {
        assert_eq!(parse(text).map(|_| ()), Err(format!("web.toml:{expected}")), "{text}");
    }
}

#[test]
fn a_dataset_has_one_source() {
    let text =
        format!("{COLUMNS}[source.files]\npaths = [\"a\"]\n[source.kafka]\ntopics = [\"a\"]");
    assert_eq!(
        said(&text),
        "web.toml:4:9: `[source.files]` and `[source.kafka]`: a dataset has one source\n  help: leave one of them out, \
         or make a dataset and a table of each"
    );
}
