//! `[complete]`: by what is told how complete a table is.

use std::time::Duration;

use super::{
    columns::Found,
    policies::{DURATION, section},
    report::Report,
    section::{Entry, Section},
};
use crate::{
    ColumnType, CompletePolicy, EventTime, suggest,
    units::{format_duration, parse_duration},
};

const DELAY: Duration = Duration::from_mins(1);
const IDLE: Duration = Duration::from_mins(1);
/// A table's value is in whole seconds.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// What comes later than this is not late: it is old.
const TIME_MAX: Duration = Duration::from_hours(4 * 7 * 24);

/// Reads the section; `None` where there is none, or what is wrong is reported.
pub(super) fn complete<'t>(
    root: Section<'t>,
    columns: &[Found],
    report: &mut Report<'t>,
) -> Option<CompletePolicy> {
    let section = section(root, "complete", report)?;
    if of_kafka(root).is_none() {
        let help = "files and standard input have no partitions that may be behind: a run of `frazil write` that ended \
                    has read all of them";
        report.error(
            section.at,
            "`[complete]` is told of Kafka's partitions, and the file has no `[source.kafka]`",
            Some(help.to_owned()),
        );
    }
    let time = match section.get("time") {
        Some(entry) => time(&entry, columns, report),
        None => Some(EventTime::Message),
    };
    let delay = duration(section, "delay", Duration::ZERO, report).unwrap_or(DELAY);
    let idle = duration(section, "idle", IDLE_MIN, report).unwrap_or(IDLE);
    Some(CompletePolicy {
        time: time?,
        delay,
        idle,
    })
}

fn of_kafka(root: Section<'_>) -> Option<Entry<'_>> {
    let source = root.get("source")?;
    source.as_section("source")?.get("kafka")
}

fn time<'t>(entry: &Entry<'t>, columns: &[Found], report: &mut Report<'t>) -> Option<EventTime> {
    let text = entry.text("a column of times, or \"$timestamp\"", report)?;
    if text.value == "$timestamp" {
        return Some(EventTime::Message);
    }
    let Some(column) = columns.iter().find(|one| one.name == text.value) else {
        let times = columns
            .iter()
            .filter(|one| one.column_type.as_ref().is_some_and(is_time));
        let known = times.map(|one| one.name.as_str()).chain(["$timestamp"]);
        let help = suggest::nearest(text.value, known.clone()).map_or_else(
            || format!("it takes {}", suggest::listed(known)),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("`complete.time`: there is no column `{}`", text.value);
        report.error(text.at, message, Some(help));
        return None;
    };
    // One whose type is wrong is reported as such.
    let of = column.column_type.as_ref()?;
    if is_time(of) {
        return Some(EventTime::Column(column.name.clone()));
    }
    report.error(
        text.at,
        format!(
            "`complete.time`: the column `{}` is of type `{of}`",
            column.name
        ),
        Some(
            "it takes a column of type `timestamptz` or `timestamp`, or \"$timestamp\"".to_owned(),
        ),
    );
    None
}

fn is_time(of: &ColumnType) -> bool {
    matches!(of, ColumnType::Timestamptz | ColumnType::Timestamp)
}

fn duration<'t>(
    section: Section<'t>,
    key: &str,
    min: Duration,
    report: &mut Report<'t>,
) -> Option<Duration> {
    let entry = section.get(key)?;
    let duration = entry.unit(DURATION, parse_duration, report)?;
    if (min..=TIME_MAX).contains(&duration) {
        return Some(duration);
    }
    let help = format!(
        "from \"{}\" to \"{}\"",
        format_duration(min),
        format_duration(TIME_MAX)
    );
    let message = format!("`{}` is out of range", entry.path);
    report.error(entry.at, message, Some(help));
    None
}
