//! `[dedup]`: which rows are the same record twice.

use std::time::Duration;

use super::{
    columns::Found,
    policies::{DURATION, SIZE, section},
    report::Report,
    section::{Entry, Section, Text},
};
use crate::{
    Column, ColumnType, DedupKey, DedupPolicy, FieldSource, SpecialSource, suggest,
    units::{format_bytes, format_duration, parse_bytes, parse_duration},
};

const WINDOW: Duration = Duration::from_hours(1);
/// Times within a table are in microseconds, and checkpoints seconds apart.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// Its keys are held in memory, and read again from the table at each start.
const WINDOW_MAX: Duration = Duration::from_hours(366 * 24);
const MEMORY: u64 = 256 << 20;
/// Less would narrow the window from the first records on.
const MEMORY_MIN: u64 = 1 << 20;
const MEMORY_MAX: u64 = 1 << 40;

/// Reads the section; `None` where there is none, or what is wrong is reported.
pub(super) fn dedup<'t>(
    root: Section<'t>,
    columns: &[Found],
    rescued: Option<&str>,
    report: &mut Report<'t>,
) -> Option<DedupPolicy> {
    let section = section(root, "dedup", report)?;
    let key = key(section, columns, rescued, report);
    let time = if let Some(entry) = section.get("time") {
        time(&entry, columns, report)
    } else {
        let help = "it is the window's clock: `time = \"…\"` names a stored column of type timestamptz or timestamp";
        report.error(section.at, "`[dedup]` has no `time`", Some(help.to_owned()));
        None
    };
    let window = section.get("window").map_or(Some(WINDOW), |entry| {
        let window = entry.unit(DURATION, parse_duration, report)?;
        let is_within = (WINDOW_MIN..=WINDOW_MAX).contains(&window);
        let [least, most] = [WINDOW_MIN, WINDOW_MAX].map(format_duration);
        within(&entry, window, is_within, [least, most], report)
    });
    let memory_max = section.get("memory_max").map_or(Some(MEMORY), |entry| {
        let bytes = entry.unit(SIZE, parse_bytes, report)?;
        let is_within = (MEMORY_MIN..=MEMORY_MAX).contains(&bytes);
        let [least, most] = [MEMORY_MIN, MEMORY_MAX].map(format_bytes);
        within(&entry, bytes, is_within, [least, most], report)
    });
    Some(DedupPolicy {
        key: key?,
        time: time?,
        window: window?,
        memory_bytes_max: memory_max?,
    })
}

fn within<'t, T>(
    entry: &Entry<'t>,
    value: T,
    is_within: bool,
    [least, most]: [String; 2],
    report: &mut Report<'t>,
) -> Option<T> {
    if is_within {
        return Some(value);
    }
    let help = format!("from \"{least}\" to \"{most}\"");
    report.error(
        entry.at,
        format!("`{}` is out of range", entry.path),
        Some(help),
    );
    None
}

fn key<'t>(
    section: Section<'t>,
    columns: &[Found],
    rescued: Option<&str>,
    report: &mut Report<'t>,
) -> Option<DedupKey> {
    const EXAMPLE: &str = "an array of columns, such as [\"request_id\"]";
    match (section.get("key"), section.get("key_except")) {
        (Some(_), Some(except)) => {
            let help = "`key` names the columns that make a record, `key_except` those that do not; take one";
            report.error(
                except.key_at,
                "`[dedup]` has both `key` and `key_except`",
                Some(help.to_owned()),
            );
            None
        }
        (None, None) => {
            let help = "`key = [\"…\"]` names the columns that make two rows the same record";
            report.error(
                section.at,
                "`[dedup]` has neither `key` nor `key_except`",
                Some(help.to_owned()),
            );
            None
        }
        (Some(entry), None) => {
            let names = names(&entry, entry.texts(EXAMPLE, report)?, columns, None, report)?;
            if names.is_empty() {
                report.error(entry.at, "`dedup.key` names no column", None);
                return None;
            }
            let mut is_right = true;
            for text in &names {
                let column = columns.iter().find(|one| one.name == text.value);
                is_right &= is_key(column, text.at, text.value, "`dedup.key`", report);
            }
            is_right.then(|| DedupKey::Columns(owned(names)))
        }
        (None, Some(entry)) => {
            let names = names(
                &entry,
                entry.texts(EXAMPLE, report)?,
                columns,
                rescued,
                report,
            )?;
            let mut is_right = true;
            let is_left_out = |name: &str| names.iter().any(|text| text.value == name);
            for column in columns.iter().filter(|one| !is_left_out(&one.name)) {
                is_right &= is_key(
                    Some(column),
                    entry.at,
                    &column.name,
                    "`dedup.key_except` leaves it in the key, and",
                    report,
                );
            }
            if columns.iter().all(|one| is_left_out(&one.name)) {
                report.error(entry.at, "`dedup.key_except` leaves no column", None);
                return None;
            }
            is_right.then(|| DedupKey::AllBut(owned(names)))
        }
    }
}

fn owned(names: Vec<Text<'_>>) -> Vec<String> {
    names
        .into_iter()
        .map(|text| text.value.to_owned())
        .collect()
}

/// The names, each a column's, and none twice.
fn names<'t>(
    entry: &Entry<'t>,
    texts: Vec<Text<'t>>,
    columns: &[Found],
    rescued: Option<&str>,
    report: &mut Report<'t>,
) -> Option<Vec<Text<'t>>> {
    let mut is_right = true;
    for (index, text) in texts.iter().enumerate() {
        let known = || columns.iter().map(|one| one.name.as_str()).chain(rescued);
        if !known().any(|name| name == text.value) {
            let help = suggest::nearest(text.value, known())
                .map(|near| format!("did you mean `{near}`?"))
                .or(Some(
                    "only a stored column can be read again at a start".to_owned(),
                ));
            let message = format!("`{}`: there is no column `{}`", entry.path, text.value);
            report.error(text.at, message, help);
            is_right = false;
        }
        if texts[..index].iter().any(|one| one.value == text.value) {
            let message = format!(
                "`{}`: the column `{}` is there twice",
                entry.path, text.value
            );
            report.error(text.at, message, None);
            is_right = false;
        }
    }
    is_right.then_some(texts)
}

/// Whether a column can be part of a key: it is compared with what the table holds, and is the same when a record
/// comes again.
fn is_key(
    found: Option<&Found>,
    at: usize,
    name: &str,
    what: &str,
    report: &mut Report<'_>,
) -> bool {
    let Some(found) = found else { return true };
    if found.column_type.as_ref().is_some_and(holds_map) {
        let message =
            format!("{what} the column `{name}` holds a map, whose entries have no order");
        let help = "take its parts that matter as columns of their own, or name it in `key_except`";
        report.error(at, message, Some(help.to_owned()));
        return false;
    }
    let special = found
        .column
        .as_ref()
        .and_then(|column| special(column, &[SpecialSource::IngestedAt, SpecialSource::Offset]));
    let Some(special) = special else { return true };
    let message = format!(
        "{what} the column `{name}` takes {special}, which is another each time that a record comes"
    );
    report.error(
        at,
        message,
        Some("no two rows would be the same; name it in `key_except`".to_owned()),
    );
    false
}

fn holds_map(of: &ColumnType) -> bool {
    match of {
        ColumnType::Map(..) => true,
        ColumnType::List(element) => holds_map(element),
        ColumnType::Struct(fields) => fields.iter().any(|field| holds_map(&field.field_type)),
        _ => false,
    }
}

fn special(column: &Column, of: &[SpecialSource]) -> Option<&'static str> {
    let found = column.from.iter().find_map(|from| match from {
        FieldSource::Special(special) if of.contains(special) => Some(special),
        _ => None,
    })?;
    Some(match found {
        SpecialSource::IngestedAt => "$ingested_at",
        _ => "$offset",
    })
}

fn time<'t>(entry: &Entry<'t>, columns: &[Found], report: &mut Report<'t>) -> Option<String> {
    let text = entry.text("a column of times", report)?;
    let Some(found) = columns.iter().find(|one| one.name == text.value) else {
        let mut times = columns
            .iter()
            .filter(|one| one.column_type.as_ref().is_some_and(is_time))
            .map(|one| one.name.as_str())
            .peekable();
        let help = if text.value.starts_with('$') {
            "it has to be stored: give it a column, `{ name = \"received\", type = \"timestamptz\", from = \"$timestamp\" }`"
                .to_owned()
        } else if times.peek().is_none() {
            "it takes a stored column of type `timestamptz` or `timestamp`".to_owned()
        } else {
            format!("it takes {}", suggest::listed(times))
        };
        let message = format!("`dedup.time`: there is no column `{}`", text.value);
        report.error(text.at, message, Some(help));
        return None;
    };
    let of = found.column_type.as_ref()?;
    if !is_time(of) {
        let message = format!(
            "`dedup.time`: the column `{}` is of type `{of}`",
            found.name
        );
        let help = "it takes a column of type `timestamptz` or `timestamp`";
        report.error(text.at, message, Some(help.to_owned()));
        return None;
    }
    let column = found.column.as_ref();
    if column.is_some_and(|column| special(column, &[SpecialSource::IngestedAt]).is_some()) {
        let message = format!(
            "`dedup.time`: the column `{}` takes $ingested_at, which is another each time that a record comes",
            found.name
        );
        let help = "take a time that the record itself has, or Kafka's `$timestamp`";
        report.error(text.at, message, Some(help.to_owned()));
        return None;
    }
    Some(found.name.clone())
}

fn is_time(of: &ColumnType) -> bool {
    matches!(of, ColumnType::Timestamptz | ColumnType::Timestamp)
}
