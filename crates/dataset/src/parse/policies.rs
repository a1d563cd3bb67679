//! The sections of a dataset file that say how it is run: checkpoint, limits, dead letters, properties.

use std::{num::NonZero, time::Duration};

use super::{
    report::Report,
    section::{Entry, Section},
};
use crate::{
    CheckpointPolicy, Limits, OverLimit, Share, SnapshotsPolicy, keys::DATASET_KEYS, suggest, units,
};

const INTERVAL: Duration = Duration::from_mins(1);
/// A run that never checkpoints for longer holds files open and has all of it to do again.
const INTERVAL_MAX: Duration = Duration::from_hours(24);
const CHECKPOINT_BYTES: u64 = 512 << 20;
const DEAD_LETTERS_MAX: Share = Share(0.5);
/// Shorter than a checkpoint's interval, it looks at each checkpoint alone.
const LIMITS_WINDOW: Duration = Duration::from_mins(5);
const LIMITS_WINDOW_MIN: Duration = Duration::from_secs(1);
/// Each checkpoint within it is remembered.
const LIMITS_WINDOW_MAX: Duration = Duration::from_hours(24);
const RECORD_BYTES: u64 = 1 << 20;
/// A record is held in memory whole, and its place in a block is a 32-bit number.
const RECORD_BYTES_MAX: u64 = 1 << 30;

pub(super) const SIZE: &str = "a size in bytes, such as \"512MiB\"";
pub(super) const DURATION: &str = "a duration, such as \"1min\"";

/// Properties that are Iceberg's own record of a table, and no settings (Java's `TableProperties.RESERVED_PROPERTIES`).
const RESERVED_PROPERTIES: [&str; 9] = [
    "format-version",
    "uuid",
    "snapshot-count",
    "current-snapshot-summary",
    "current-snapshot-id",
    "current-snapshot-timestamp-ms",
    "current-schema",
    "default-partition-spec",
    "default-sort-order",
];

pub(super) fn section<'t>(
    root: Section<'t>,
    key: &'static str,
    report: &mut Report<'t>,
) -> Option<Section<'t>> {
    let section = root.get(key)?.section(key, report)?;
    section.check_keys(DATASET_KEYS, report);
    Some(section)
}

/// `[checkpoint]`.
pub(super) fn checkpoint<'t>(root: Section<'t>, report: &mut Report<'t>) -> CheckpointPolicy {
    let mut policy = CheckpointPolicy {
        interval: INTERVAL,
        bytes: CHECKPOINT_BYTES,
        records: u64::MAX,
    };
    let Some(section) = section(root, "checkpoint", report) else {
        return policy;
    };
    if let Some(entry) = section.get("interval")
        && let Some(interval) = entry.unit(DURATION, units::parse_duration, report)
    {
        policy.interval = interval;
        if interval.is_zero() || interval > INTERVAL_MAX {
            let help = format!(
                "from \"1ms\" to \"{}\"",
                units::format_duration(INTERVAL_MAX)
            );
            report.error(
                entry.at,
                "`checkpoint.interval` is out of range",
                Some(help),
            );
        }
    }
    if let Some(entry) = section.get("bytes")
        && let Some(bytes) = entry.unit(SIZE, units::parse_bytes, report)
    {
        policy.bytes = bytes;
        if bytes == 0 {
            report.error(
                entry.at,
                "`checkpoint.bytes` is zero",
                Some("at least \"1B\"".to_owned()),
            );
        }
    }
    if let Some(entry) = section.get("records") {
        match entry.as_integer() {
            Some(records) if records > 0 => policy.records = records as u64,
            Some(_) => report.error(entry.at, "`checkpoint.records` is at least 1", None),
            None => entry.expected("a number of records, such as 1000000", report),
        }
    }
    policy
}

/// `[limits]`.
pub(super) fn limits<'t>(root: Section<'t>, report: &mut Report<'t>) -> Limits {
    let mut limits = Limits {
        dead_letters_max: DEAD_LETTERS_MAX,
        window: LIMITS_WINDOW,
        then: OverLimit::default(),
        record_bytes_max: RECORD_BYTES,
    };
    let Some(section) = section(root, "limits", report) else {
        return limits;
    };
    if let Some(entry) = section.get("dead_letters_max")
        && let Some(share) = entry.unit("a percentage, such as \"5%\"", units::parse_share, report)
    {
        limits.dead_letters_max = share;
    }
    if let Some(entry) = section.get("window")
        && let Some(window) = entry.unit(DURATION, units::parse_duration, report)
    {
        limits.window = window;
        if !(LIMITS_WINDOW_MIN..=LIMITS_WINDOW_MAX).contains(&window) {
            let help = format!(
                "from \"{}\" to \"{}\"",
                units::format_duration(LIMITS_WINDOW_MIN),
                units::format_duration(LIMITS_WINDOW_MAX)
            );
            report.error(entry.at, "`limits.window` is out of range", Some(help));
        }
    }
    if let Some(entry) = section.get("then")
        && let Some(then) = over_limit(&entry, report)
    {
        limits.then = then;
    }
    if let Some(entry) = section.get("record_bytes_max")
        && let Some(bytes) = entry.unit(SIZE, units::parse_bytes, report)
    {
        limits.record_bytes_max = bytes;
        if bytes == 0 || bytes > RECORD_BYTES_MAX {
            let help = format!(
                "from \"1B\" to \"{}\"",
                units::format_bytes(RECORD_BYTES_MAX)
            );
            report.error(
                entry.at,
                "`limits.record_bytes_max` is out of range",
                Some(help),
            );
        }
    }
    limits
}

fn over_limit<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<OverLimit> {
    const VALUES: [&str; 2] = ["stop", "warn"];
    let text = entry.text("\"stop\" or \"warn\"", report)?;
    match text.value {
        "stop" => Some(OverLimit::Stop),
        "warn" => Some(OverLimit::Warn),
        value => {
            let help = suggest::nearest(value, VALUES).map_or_else(
                || "it takes `stop` or `warn`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("`limits.then` does not know `{value}`");
            report.error(text.at, message, Some(help));
            None
        }
    }
}

/// `[snapshots]`.
pub(super) fn snapshots<'t>(root: Section<'t>, report: &mut Report<'t>) -> SnapshotsPolicy {
    let mut policy = SnapshotsPolicy::default();
    let Some(section) = section(root, "snapshots", report) else {
        return policy;
    };
    if let Some(entry) = section.get("keep_for") {
        policy.keep_for = entry.unit(DURATION, units::parse_duration, report);
    }
    if let Some(entry) = section.get("keep_min") {
        let count = entry.as_integer().map(u32::try_from);
        match count.map(|count| count.ok().and_then(NonZero::new)) {
            Some(Some(count)) => policy.keep_min = Some(count),
            Some(None) => {
                let help = "the current snapshot always stays".to_owned();
                report.error(entry.at, "`snapshots.keep_min` is at least 1", Some(help));
            }
            None => entry.expected("a number of snapshots, such as 20", report),
        }
    }
    policy
}

/// `[properties]`, in the file's order.
pub(super) fn properties<'t>(root: Section<'t>, report: &mut Report<'t>) -> Vec<(String, String)> {
    let Some(section) = root
        .get("properties")
        .and_then(|entry| entry.section("properties", report))
    else {
        return Vec::new();
    };
    let mut properties = Vec::new();
    for (key, entry) in section.entries() {
        if let Some(value) = property(key, &entry, report) {
            properties.push((key.to_owned(), value));
        }
    }
    properties
}

fn property<'t>(key: &str, entry: &Entry<'t>, report: &mut Report<'t>) -> Option<String> {
    if entry.as_section("").is_some() {
        let help = "a property's key is one text with dots: `\"write.parquet.compression-codec\" = \"zstd\"`";
        report.error(
            entry.key_at,
            format!("`{key}` in `[properties]` is not quoted"),
            Some(help.to_owned()),
        );
        return None;
    }
    if key.is_empty() {
        report.error(entry.key_at, "a property's key is empty", None);
        return None;
    }
    if key == "frazil" || key.starts_with("frazil.") {
        let help = "properties that begin with `frazil.` are the table's own state".to_owned();
        report.error(
            entry.key_at,
            format!("the property `{key}` cannot be set"),
            Some(help),
        );
        return None;
    }
    if RESERVED_PROPERTIES.contains(&key) {
        let help = "Iceberg keeps it itself".to_owned();
        report.error(
            entry.key_at,
            format!("the property `{key}` cannot be set"),
            Some(help),
        );
        return None;
    }
    let text = entry.as_text(report);
    if text.is_none() {
        report.error(
            entry.at,
            format!("the property `{key}` takes a text"),
            Some("put the value in quotes".to_owned()),
        );
    }
    text.map(|text| text.value.to_owned())
}
