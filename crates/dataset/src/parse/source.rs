//! `[source]`: where a dataset's records come from.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    dataset::named,
    policies::section,
    report::Report,
    section::{Entry, Section, Text},
};
use crate::{
    KafkaIsolation, KafkaSourceSpec, KafkaStart, KafkaTopics, SourceSpec, keys::DATASET_KEYS,
    suggest, time::parse_time,
};

const PATHS_MAX: usize = 10_000;
const TOPICS_MAX: usize = 10_000;
/// Kafka's own limit: a topic's name is part of a folder's.
const TOPIC_BYTES_MAX: usize = 249;
/// Kafka has none, but a group's name is a label of metrics and part of messages.
const GROUP_BYTES_MAX: usize = 249;
const PATTERN_BYTES_MAX: usize = 4096;

/// The source of the dataset of that name, which is `None` where it is wrong, and reported.
pub(super) fn source<'t>(
    root: Section<'t>,
    dataset: Option<&str>,
    report: &mut Report<'t>,
) -> Option<SourceSpec> {
    let source = section(root, "source", report)?;
    if source.entries().is_empty() {
        let help = "`[source.files]` with `paths`, `[source.kafka]` with `topics`, or no section and `--from` when writing";
        report.error(
            source.at,
            "`[source]` names no source",
            Some(help.to_owned()),
        );
    }
    match (source.get("files"), source.get("kafka")) {
        (Some(first), Some(second)) => {
            let help = "leave one of them out, or make a dataset and a table of each";
            report.error(
                first.key_at.max(second.key_at),
                "`[source.files]` and `[source.kafka]`: a dataset has one source",
                Some(help.to_owned()),
            );
            None
        }
        (Some(entry), None) => files(entry.section("source.files", report)?, report),
        (None, Some(entry)) => kafka(entry.section("source.kafka", report)?, dataset, report),
        (None, None) => None,
    }
}

/// `[source.files]`.
fn files<'t>(files: Section<'t>, report: &mut Report<'t>) -> Option<SourceSpec> {
    files.check_keys(DATASET_KEYS, report);
    let help = || Some("`paths = [\"/var/log/app/*.log\"]`".to_owned());
    let Some(entry) = files.get("paths") else {
        report.error(files.at, "`[source.files]` has no `paths`", help());
        return None;
    };
    let texts = entry.texts(
        "an array of files, folders and globs, such as [\"/var/log/app/*.log\"]",
        report,
    )?;
    if texts.is_empty() {
        report.error(entry.at, "`source.files.paths` names no file", help());
    }
    if texts.len() > PATHS_MAX {
        let message = format!(
            "`source.files.paths` has {} paths, of at most {PATHS_MAX}",
            texts.len()
        );
        report.error(
            entry.at,
            message,
            Some("a folder or a glob names many files".to_owned()),
        );
    }
    for text in &texts {
        if text.value.is_empty() || text.value.contains('\0') {
            report.error(text.at, "`source.files.paths`: the path is empty", help());
        } else if text.value == "-" {
            let help = "standard input is named when writing: `--from -`".to_owned();
            report.error(
                text.at,
                "`source.files.paths`: `-` is not a file",
                Some(help),
            );
        } else if let Some((scheme, _)) = text.value.split_once("://") {
            let message =
                format!("`source.files.paths`: files of `{scheme}:` are not supported yet");
            report.error(text.at, message, Some("a path of this machine".to_owned()));
        }
    }
    Some(SourceSpec::Files {
        paths: texts.iter().map(|text| text.value.to_owned()).collect(),
    })
}

/// `[source.kafka]`.
fn kafka<'t>(
    kafka: Section<'t>,
    dataset: Option<&str>,
    report: &mut Report<'t>,
) -> Option<SourceSpec> {
    kafka.check_keys(DATASET_KEYS, report);
    let topics = topics(kafka, report);
    let cluster = kafka
        .get("cluster")
        .and_then(|entry| named(&entry, "the name of a Kafka cluster", report));
    let start = kafka
        .get("start")
        .map_or_else(KafkaStart::default, |entry| start(&entry, report));
    let group = match kafka.get("group") {
        Some(entry) => group(&entry, report),
        None => dataset.map(|dataset| format!("frazil-{dataset}")),
    };
    let isolation = kafka
        .get("isolation")
        .map_or_else(KafkaIsolation::default, |entry| isolation(&entry, report));
    Some(SourceSpec::Kafka(KafkaSourceSpec {
        topics: topics?,
        cluster,
        start,
        group: group?,
        isolation,
    }))
}

fn topics<'t>(kafka: Section<'t>, report: &mut Report<'t>) -> Option<KafkaTopics> {
    let help = || Some("`topics = [\"web\"]`, or `topics_pattern = \"web-.*\"`".to_owned());
    match (kafka.get("topics"), kafka.get("topics_pattern")) {
        (None, None) => {
            let message = "`[source.kafka]` has neither `topics` nor `topics_pattern`";
            report.error(kafka.at, message, help());
            None
        }
        (Some(first), Some(second)) => {
            report.error(
                first.key_at.max(second.key_at),
                "`topics` and `topics_pattern` both say which topics are read",
                Some("leave one of them out".to_owned()),
            );
            None
        }
        (Some(entry), None) => topic_names(&entry, report).map(KafkaTopics::Names),
        (None, Some(entry)) => topics_pattern(&entry, report).map(KafkaTopics::Pattern),
    }
}

fn topic_names<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<Vec<String>> {
    let texts = entry.texts("an array of topics, such as [\"web\"]", report)?;
    if texts.is_empty() || texts.len() > TOPICS_MAX {
        let count = texts.len();
        let message =
            format!("`source.kafka.topics` has {count} topics, and can have 1 to {TOPICS_MAX}");
        report.error(entry.at, message, Some("`topics = [\"web\"]`".to_owned()));
        return None;
    }
    let mut seen = HashSet::new();
    for text in &texts {
        let name = text.value;
        if let Err(why) = check_topic(name) {
            let message = format!("`source.kafka.topics`: the topic `{name}` {why}");
            report.error(text.at, message, None);
        } else if !seen.insert(name) {
            let message = format!("`source.kafka.topics` names `{name}` twice");
            report.error(text.at, message, None);
        }
    }
    Some(texts.iter().map(|text| text.value.to_owned()).collect())
}

/// Checks a topic's name by Kafka's rules.
fn check_topic(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    if name == "." || name == ".." {
        return Err("cannot be one of Kafka".to_owned());
    }
    if name.len() > TOPIC_BYTES_MAX {
        return Err(format!(
            "has {} bytes, of at most {TOPIC_BYTES_MAX}",
            name.len()
        ));
    }
    let of_topic = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    match name.chars().find(|c| !of_topic(c)) {
        None => Ok(()),
        Some('*' | '+' | '^' | '$' | '[' | '(' | '|') => {
            Err("looks like a pattern, which `topics_pattern` takes".to_owned())
        }
        Some(_) => Err("holds what is not a letter, a digit, `.`, `_` or `-`".to_owned()),
    }
}

/// A regular expression. Whoever lists the topics compiles it.
fn topics_pattern<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<String> {
    let text = entry.text("a regular expression, such as \"web-.*\"", report)?;
    let bytes = text.value.len();
    if text.value.trim().is_empty() || bytes > PATTERN_BYTES_MAX {
        let message = format!(
            "`source.kafka.topics_pattern` has {bytes} bytes, and can have 1 to {PATTERN_BYTES_MAX}"
        );
        report.error(text.at, message, Some("such as \"web-.*\"".to_owned()));
        return None;
    }
    Some(text.value.to_owned())
}

/// `"earliest"`, `"latest"`, or a time with its offset or a date, with or without quotes.
fn start<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> KafkaStart {
    const WHAT: &str = "\"earliest\", \"latest\" or a time, such as \"2026-01-31T00:00:00Z\"";
    let plain = entry.as_datetime();
    let text = match (&plain, entry.as_str()) {
        (Some(time), _) => time,
        (None, Some("earliest")) => return KafkaStart::Earliest,
        (None, Some("latest")) => return KafkaStart::Latest,
        (None, Some(text)) => text,
        (None, None) => {
            entry.expected(WHAT, report);
            return KafkaStart::default();
        }
    };
    match parse_time(text) {
        Some(time) if time >= Timestamp::UNIX_EPOCH => return KafkaStart::Time(time),
        Some(_) => {
            let message = "`source.kafka.start`: Kafka knows no time before 1970";
            report.error(entry.at, message, Some("`start = \"earliest\"`".to_owned()));
        }
        None => {
            let help = match suggest::nearest(text, ["earliest", "latest"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {WHAT}"),
            };
            let message = format!("`source.kafka.start` does not know `{text}`");
            report.error(entry.at, message, Some(help));
        }
    }
    KafkaStart::default()
}

fn group<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<String> {
    let Text { value, at, .. } = entry.text("the name of a consumer group", report)?;
    if value.trim().is_empty()
        || value.len() > GROUP_BYTES_MAX
        || value.chars().any(char::is_control)
    {
        let message = format!(
            "`source.kafka.group` is one line, not empty, of at most {GROUP_BYTES_MAX} bytes"
        );
        report.error(at, message, None);
        return None;
    }
    Some(value.to_owned())
}

fn isolation<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> KafkaIsolation {
    const LEVELS: [&str; 2] = ["read_committed", "read_uncommitted"];
    let text = entry.text("\"read_committed\" or \"read_uncommitted\"", report);
    match text.map(|text| text.value) {
        None | Some("read_committed") => KafkaIsolation::ReadCommitted,
        Some("read_uncommitted") => KafkaIsolation::ReadUncommitted,
        Some(value) => {
            let help = suggest::nearest(value, LEVELS).map_or_else(
                || format!("it takes {}", suggest::listed(LEVELS)),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("`source.kafka.isolation` does not know `{value}`");
            report.error(entry.at, message, Some(help));
            KafkaIsolation::default()
        }
    }
}
