//! `format`: a name, or a table with options.

use super::{
    policies,
    report::Report,
    section::{Entry, Section, Text},
};
use crate::{
    Format, Limits, Multiline, Pattern, Separated, Syslog,
    keys::DATASET_KEYS,
    pattern::{PatternError, check_regex},
    suggest, units,
};

/// Each format and the options that it takes beside `type`.
const FORMATS: [(&str, &[&str]); 10] = [
    ("json", &[]),
    ("raw", &[]),
    ("csv", &["delimiter", "quote", "header", "columns"]),
    ("tsv", &["escapes", "header", "columns"]),
    ("logfmt", &[]),
    ("syslog", &["year"]),
    ("common_log", &[]),
    ("combined_log", &[]),
    ("regex", &["pattern"]),
    ("grok", &["pattern", "patterns"]),
];

/// As many as a table may have columns.
const CELLS_MAX: usize = 2_000;
const PATTERNS_MAX: usize = 1_000;
/// A stack trace is shorter; all lines after one that was missed would else be one record.
const LINES_MAX: u32 = 1_000;

const PATTERN_EXAMPLE: &str =
    "`format = { type = \"regex\", pattern = '^(?P<level>\\w+) (?P<message>.*)$' }`";
const GROK_EXAMPLE: &str =
    "`format = { type = \"grok\", pattern = \"%{LOGLEVEL:level} %{GREEDYDATA:message}\" }`";

/// `format = "json"` or `format = { type = "json" }`.
pub(super) fn format<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<Format> {
    let Some(section) = entry.as_section("format") else {
        let what = "a format's name, such as \"json\", or a table with its options";
        let text = entry.text(what, report)?;
        return of_type(&text, None, report);
    };
    let Some(kind) = section.get("type") else {
        report.error(
            entry.at,
            "`format` has no `type`",
            Some("`format = { type = \"json\" }`".to_owned()),
        );
        return None;
    };
    let text = kind.text("a format's name, such as \"json\"", report)?;
    section.check_keys(DATASET_KEYS, report);
    if let Some((name, options)) = FORMATS.iter().find(|(name, _)| *name == text.value) {
        misplaced(section, name, options, report);
    }
    of_type(&text, Some(section), report)
}

/// Options of other formats.
fn misplaced(section: Section<'_>, name: &str, options: &[&str], report: &mut Report<'_>) {
    for (key, entry) in section.entries() {
        let takers = FORMATS.iter().filter(|(_, options)| options.contains(&key));
        let takers = suggest::listed(takers.map(|(name, _)| *name));
        if key != "type" && !options.contains(&key) && !takers.is_empty() {
            report.error(
                entry.key_at,
                format!("`{key}` does nothing for the format `{name}`"),
                Some(format!("it is an option of {takers}")),
            );
        }
    }
}

fn of_type<'t>(
    text: &Text<'t>,
    options: Option<Section<'t>>,
    report: &mut Report<'t>,
) -> Option<Format> {
    let get = |key: &str| options.and_then(|section| section.get(key));
    match text.value {
        "json" => Some(Format::Json),
        "raw" => Some(Format::Raw),
        "csv" => csv(options, report).map(Format::Separated),
        "tsv" => tsv(options, report).map(Format::Separated),
        "logfmt" => Some(Format::Logfmt),
        "syslog" => syslog(get("year").as_ref(), report).map(Format::Syslog),
        "common_log" => Some(Format::CommonLog),
        "combined_log" => Some(Format::CombinedLog),
        "regex" | "grok" => {
            let pattern = pattern(
                text,
                get("pattern").as_ref(),
                get("patterns").as_ref(),
                report,
            );
            pattern.map(|pattern| Format::Pattern(Box::new(pattern)))
        }
        value => {
            unknown(value, text.at, report);
            None
        }
    }
}

fn unknown(value: &str, at: usize, report: &mut Report<'_>) {
    let names = FORMATS.map(|(name, _)| name);
    let near = match value.to_lowercase().as_str() {
        "ndjson" | "jsonl" | "jsonlines" | "json_lines" => Some("json"),
        "text" | "plain" | "lines" | "line" | "none" => Some("raw"),
        "clf" | "apache" | "apache_common" | "common" => Some("common_log"),
        "combined" | "nginx" | "apache_combined" => Some("combined_log"),
        "delimited" | "dsv" | "psv" => Some("csv"),
        "rfc3164" | "rfc5424" => Some("syslog"),
        "regexp" | "pattern" => Some("regex"),
        _ => suggest::nearest(value, names),
    };
    let help = near.map_or_else(
        || format!("formats are {}", suggest::listed(names)),
        |near| format!("did you mean `{near}`?"),
    );
    report.error(at, format!("unknown format `{value}`"), Some(help));
}

fn csv<'t>(options: Option<Section<'t>>, report: &mut Report<'t>) -> Option<Separated> {
    let get = |key: &str| options.and_then(|section| section.get(key));
    let delimiter = get("delimiter").map_or(Some(b','), |entry| character(&entry, report));
    let quote = get("quote").map_or(Some(Some(b'"')), |entry| match entry.as_boolean() {
        Some(false) => Some(None),
        _ => character(&entry, report).map(Some),
    });
    if let (Some(delimiter), Some(Some(quote)), Some(entry)) =
        (delimiter, quote, get("quote").or(get("delimiter")))
        && delimiter == quote
    {
        let message = "`format.quote` and `format.delimiter` are the same character";
        let help = "`quote = false` where cells are never quoted".to_owned();
        report.error(entry.at, message, Some(help));
    }
    let (header, columns) = names(options, report)?;
    Some(Separated {
        delimiter: delimiter?,
        quote: quote?,
        escapes: false,
        header,
        columns,
    })
}

fn tsv<'t>(options: Option<Section<'t>>, report: &mut Report<'t>) -> Option<Separated> {
    let escapes = options.and_then(|section| section.get("escapes"));
    let escapes = escapes.map_or(Some(false), |entry| entry.boolean(report));
    let (header, columns) = names(options, report)?;
    Some(Separated {
        delimiter: b'\t',
        quote: None,
        escapes: escapes?,
        header,
        columns,
    })
}

/// A delimiter or a quote.
fn character(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u8> {
    let what = "one character, such as \";\"";
    let Some(text) = entry.as_str() else {
        entry.expected(what, report);
        return None;
    };
    match text.as_bytes() {
        [one]
            if one.is_ascii_graphic() && !one.is_ascii_alphanumeric()
                || b"\t \x01\x1f".contains(one) =>
        {
            Some(*one)
        }
        _ => {
            report.error(
                entry.at,
                format!("`{}` takes {what}", entry.path),
                Some(
                    "an ASCII character that is no letter, digit or line end; a tab is \"\\t\""
                        .to_owned(),
                ),
            );
            None
        }
    }
}

/// `header`, and `columns`: the cells' names.
fn names<'t>(options: Option<Section<'t>>, report: &mut Report<'t>) -> Option<(bool, Vec<String>)> {
    let get = |key: &str| options.and_then(|section| section.get(key));
    let header = match get("header") {
        None => None,
        Some(entry) => Some((entry.boolean(report)?, entry.at)),
    };
    let Some(entry) = get("columns") else {
        return Some((header.is_none_or(|(header, _)| header), Vec::new()));
    };
    let texts = entry.texts("an array of the cells' names", report)?;
    if let Some((true, at)) = header {
        let help =
            "`header = false`, or leave `columns` out: the header names the cells".to_owned();
        report.error(
            at,
            "`header = true` and `columns` both name the cells",
            Some(help),
        );
    }
    if texts.is_empty() || texts.len() > CELLS_MAX {
        let message = format!(
            "`format.columns` has {} names, of 1 to {CELLS_MAX}",
            texts.len()
        );
        report.error(entry.at, message, None);
    }
    for (number, text) in texts.iter().enumerate() {
        if texts[..number].iter().any(|one| one.value == text.value) {
            let message = format!("`format.columns` has `{}` twice", text.value);
            report.error(text.at, message, None);
        }
    }
    let names = texts.iter().map(|text| text.value.to_owned()).collect();
    Some((false, names))
}

/// `year = "ingested_at"`.
fn syslog<'t>(year: Option<&Entry<'t>>, report: &mut Report<'t>) -> Option<Syslog> {
    let Some(entry) = year else {
        return Some(Syslog::default());
    };
    let text = entry.text("\"ingested_at\"", report)?;
    if text.value != "ingested_at" {
        let message = format!("`format.year` does not know `{}`", text.value);
        let help = "`year = \"ingested_at\"`: that of ingestion, where a time has none".to_owned();
        report.error(text.at, message, Some(help));
        return None;
    }
    Some(Syslog {
        year_of_ingestion: true,
    })
}

/// `[multiline]`, or `multiline = { start = '^\d{4}-' }`.
pub(super) fn multiline<'t>(
    root: Section<'t>,
    format: Option<&Format>,
    limits: Limits,
    report: &mut Report<'t>,
) -> Option<Multiline> {
    let section = policies::section(root, "multiline", report)?;
    if matches!(format, Some(Format::Separated(_))) {
        let help = "cells in quotes may hold line ends by themselves".to_owned();
        report.error(
            section.at,
            "`multiline` is not for `csv` and `tsv`",
            Some(help),
        );
    }
    let Some(entry) = section.get("start") else {
        let help = r"`start = '^\d{4}-'`: what the first line of each record matches".to_owned();
        report.error(section.at, "`multiline` has no `start`", Some(help));
        return None;
    };
    let start = entry.text("a regular expression in quotes", report)?;
    if let Err(PatternError { at, message, help }) = check_regex(start.value) {
        report.error(
            start.byte(at),
            format!("`multiline.start`: {message}"),
            help,
        );
    }
    let lines_max = section.get("lines_max").map_or(Some(LINES_MAX), |entry| {
        let lines = entry
            .as_integer()
            .and_then(|lines| u32::try_from(lines).ok());
        let lines = lines.filter(|lines| *lines > 0);
        if lines.is_none() {
            entry.expected("a number of lines, such as 1000", report);
        }
        lines
    });
    let bytes_max = section
        .get("bytes_max")
        .map_or(Some(limits.record_bytes_max), |entry| {
            let bytes = entry.unit(
                "a size in bytes, such as \"64KiB\"",
                units::parse_bytes,
                report,
            )?;
            if bytes == 0 || bytes > limits.record_bytes_max {
                let message = "`multiline.bytes_max` is more than a record may be long, or nothing";
                let help =
                    "up to `limits.record_bytes_max`, which is \"1MiB\" unless stated".to_owned();
                report.error(entry.at, message, Some(help));
            }
            Some(bytes)
        });
    Some(Multiline {
        start: start.value.to_owned(),
        lines_max: lines_max?,
        bytes_max: bytes_max?,
    })
}

fn pattern<'t>(
    kind: &Text<'t>,
    pattern: Option<&Entry<'t>>,
    patterns: Option<&Entry<'t>>,
    report: &mut Report<'t>,
) -> Option<Pattern> {
    let is_grok = kind.value == "grok";
    let example = if is_grok {
        GROK_EXAMPLE
    } else {
        PATTERN_EXAMPLE
    };
    let Some(entry) = pattern else {
        let message = format!("the format `{}` has no `pattern`", kind.value);
        report.error(kind.at, message, Some(example.to_owned()));
        return None;
    };
    let text = entry.text("a pattern in quotes", report)?;
    let custom = match patterns {
        None => Vec::new(),
        Some(entry) => custom(entry, report)?,
    };
    let read = if is_grok {
        Pattern::grok(text.value, &custom)
    } else {
        Pattern::regex(text.value)
    };
    match read {
        Ok(pattern) => Some(pattern),
        Err(PatternError { at, message, help }) => {
            report.error(text.byte(at), format!("`format.pattern`: {message}"), help);
            None
        }
    }
}

/// `patterns`: names and patterns of the file's own.
fn custom<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<Vec<(&'t str, &'t str)>> {
    let section = entry.section("format.patterns", report)?;
    let entries = section.entries();
    if entries.len() > PATTERNS_MAX {
        let message = format!(
            "`format.patterns` has {} patterns, of at most {PATTERNS_MAX}",
            entries.len()
        );
        report.error(entry.at, message, None);
        return None;
    }
    let mut all = Vec::new();
    for (name, entry) in entries {
        if name.is_empty() || name.contains([':', '}']) {
            let message = format!("`{name}` cannot be referred to as a pattern");
            report.error(
                entry.key_at,
                message,
                Some("names are of letters, digits and `_`".to_owned()),
            );
        }
        all.push((name, entry.text("a pattern in quotes", report)?.value));
    }
    Some(all)
}
