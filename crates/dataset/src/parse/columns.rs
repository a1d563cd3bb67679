//! The columns of a dataset file.

use super::{
    dataset::profile_of,
    report::Report,
    section::{Entry, Section, Text},
};
use crate::{
    Column, ColumnType, FieldPath, FieldSource, Format, SpecialSource, TimeFormat,
    field_source::parse_field_source, keys::DATASET_KEYS, names, time_format, types::parse_type,
};

/// A table of more is a mistake of whoever generated the file, and of no use to readers.
const COLUMNS_MAX: usize = 2_000;
/// With the fields within structs, lists and maps: each costs memory in every open Parquet file.
const FIELDS_MAX: usize = 10_000;
/// Places that one column may be filled from.
const SOURCES_MAX: usize = 32;

const EXAMPLE: &str = "columns = [{ name = \"time\", type = \"timestamptz\" }]";

/// A column of the file: its name, also where its other keys are wrong.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// Where its name stands.
    pub(super) at: usize,
    /// Its type, where that is right.
    pub(super) column_type: Option<ColumnType>,
    /// All of it, if nothing is wrong.
    pub(super) column: Option<Column>,
}

/// Reads the columns, in the file's order.
pub(super) fn read<'t>(
    root: Section<'t>,
    format: Option<&Format>,
    report: &mut Report<'t>,
) -> Vec<Found> {
    let Some(entry) = root.get("columns") else {
        report.error(0, "`columns` is missing", Some(format!("`{EXAMPLE}`")));
        return Vec::new();
    };
    let Some(sections) = entry.sections("columns", "tables, one a column", report) else {
        return Vec::new();
    };
    if entry.is_empty_array() {
        report.error(
            entry.at,
            "`columns` has no column",
            Some(format!("`{EXAMPLE}`")),
        );
    }
    if sections.len() > COLUMNS_MAX {
        let message = format!(
            "there are {} columns, of at most {COLUMNS_MAX}",
            sections.len()
        );
        report.error(
            entry.at,
            message,
            Some("a `struct<…>` or a `map<string, …>` holds many fields".to_owned()),
        );
        return Vec::new();
    }
    let without_from = sections
        .iter()
        .filter(|section| section.get("from").is_none())
        .count();
    let mut found: Vec<Found> = Vec::new();
    for section in sections {
        section.check_keys(DATASET_KEYS, report);
        let Some((name, at)) = column_name(section, report) else {
            continue;
        };
        duplicate(&name, at, &found, report);
        found.push(column(section, name, at, format, without_from, report));
    }
    let fields: usize = found
        .iter()
        .filter_map(|one| one.column_type.as_ref())
        .map(ColumnType::field_count)
        .sum();
    if fields > FIELDS_MAX {
        report.error(
            entry.at,
            format!("the columns' types have {fields} fields, of at most {FIELDS_MAX}"),
            None,
        );
    }
    found
}

fn column_name(section: Section<'_>, report: &mut Report<'_>) -> Option<(String, usize)> {
    let Some(entry) = section.get("name") else {
        report.error(
            section.at,
            "the column has no `name`",
            Some(format!("`{EXAMPLE}`")),
        );
        return None;
    };
    let Some(name) = entry.as_str() else {
        entry.expected("a column's name", report);
        return None;
    };
    if let Err(why) = names::check_column_name(name) {
        let mended = names::mend_column_name(name);
        let help = mended.map(|mended| format!("`name = \"{mended}\", from = \"{name}\"`"));
        report.error(entry.at, format!("the column's name `{name}` {why}"), help);
    }
    Some((name.to_owned(), entry.at))
}

fn duplicate(name: &str, at: usize, before: &[Found], report: &mut Report<'_>) {
    let folded = name.to_lowercase();
    let Some(other) = before.iter().find(|one| one.name.to_lowercase() == folded) else {
        return;
    };
    if other.name == name {
        report.error(at, format!("there is a column `{name}` already"), None);
    } else {
        let help = "Hive, Trino and Spark do not tell upper from lower case in columns' names";
        report.error(
            at,
            format!(
                "`{name}` and the column `{}` differ in case only",
                other.name
            ),
            Some(help.to_owned()),
        );
    }
}

fn column<'t>(
    section: Section<'t>,
    name: String,
    at: usize,
    format: Option<&Format>,
    without_from: usize,
    report: &mut Report<'t>,
) -> Found {
    let column_type = column_type(section, &name, at, report);
    let required = section
        .get("required")
        .map_or(Some(false), |entry| entry.boolean(report));
    let from = sources(section, &name, at, format, without_from, report);
    if let (Some(from), Some(column_type)) = (&from, &column_type) {
        let at = section.get("from").map_or(at, |entry| entry.at);
        for source in from {
            check_special(source, column_type, at, report);
        }
    }
    let (parse, timezone) = times(section, column_type.as_ref(), report);
    let coerce = section
        .get("coerce")
        .map_or(Some(None), |entry| profile_of(&entry, report).map(Some));
    let doc = section.get("doc").map_or(Some(None), |entry| {
        entry
            .text("a description", report)
            .map(|text| Some(text.value.to_owned()))
    });
    let whole = || {
        Some(Column {
            name: name.clone(),
            column_type: column_type.clone()?,
            required: required?,
            from: from?,
            parse,
            timezone,
            coerce: coerce?,
            doc: doc?,
        })
    };
    let column = whole();
    Found {
        name,
        at,
        column_type,
        column,
    }
}

fn column_type<'t>(
    section: Section<'t>,
    name: &str,
    at: usize,
    report: &mut Report<'t>,
) -> Option<ColumnType> {
    let Some(entry) = section.get("type") else {
        report.error(
            at,
            format!("the column `{name}` has no `type`"),
            Some("`type = \"string\"`".to_owned()),
        );
        return None;
    };
    let text = entry.text("a type, such as \"string\"", report)?;
    match parse_type(text.value) {
        Ok(column_type) => Some(column_type),
        Err(error) => {
            report.error(text.byte(error.at), error.message, error.help);
            None
        }
    }
}

/// `from`, or where a column that states none is filled from.
fn sources<'t>(
    section: Section<'t>,
    name: &str,
    at: usize,
    format: Option<&Format>,
    without_from: usize,
    report: &mut Report<'t>,
) -> Option<Vec<FieldSource>> {
    let raw = format == Some(&Format::Raw);
    let Some(entry) = section.get("from") else {
        if !raw {
            return Some(vec![FieldSource::Field(FieldPath {
                text: name.to_owned(),
                steps: vec![name.to_owned()],
                pointer: false,
            })]);
        }
        if without_from == 1 || name == "raw" {
            return Some(vec![FieldSource::Special(SpecialSource::Raw)]);
        }
        let message = format!(
            "the column `{name}` has no `from`, and lines of the format `raw` have no fields"
        );
        report.error(
            at,
            message,
            Some("`from = \"$raw\"` is the line".to_owned()),
        );
        return None;
    };
    let mut texts = from_texts(&entry, report)?;
    if texts.is_empty() {
        report.error(
            entry.at,
            "`columns.from` names no field",
            Some("leave it out, or name a field".to_owned()),
        );
        return None;
    }
    if texts.len() > SOURCES_MAX {
        report.error(
            entry.at,
            format!(
                "`columns.from` has {} places, of at most {SOURCES_MAX}",
                texts.len()
            ),
            None,
        );
        texts.truncate(SOURCES_MAX);
    }
    let count = texts.len();
    let mut from: Vec<FieldSource> = Vec::new();
    for text in texts {
        match parse_field_source(text.value) {
            Ok(FieldSource::Field(_)) if raw => {
                let message = format!(
                    "`{}` is a field, and lines of the format `raw` have none",
                    text.value
                );
                report.error(
                    text.at,
                    message,
                    Some("`from = \"$raw\"` is the line".to_owned()),
                );
            }
            Ok(source) if from.contains(&source) => {
                report.error(
                    text.at,
                    format!("`columns.from` has `{}` twice", text.value),
                    None,
                );
            }
            Ok(source) => from.push(source),
            Err((message, help)) => report.error(text.at, message, help),
        }
    }
    (from.len() == count).then_some(from)
}

fn from_texts<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<Vec<Text<'t>>> {
    match entry.as_text(report) {
        Some(text) => Some(vec![text]),
        None => entry.texts("a field's name, or an array of them", report),
    }
}

/// A special's own type has to be the column's: these are no texts to be coerced.
fn check_special(source: &FieldSource, of: &ColumnType, at: usize, report: &mut Report<'_>) {
    use ColumnType as T;
    let FieldSource::Special(special) = source else {
        return;
    };
    let (name, fits, takes) = match special {
        SpecialSource::IngestedAt => ("$ingested_at", *of == T::Timestamptz, "timestamptz"),
        SpecialSource::Timestamp => ("$timestamp", *of == T::Timestamptz, "timestamptz"),
        SpecialSource::Partition => ("$partition", matches!(of, T::Int | T::Long), "int"),
        SpecialSource::Offset => ("$offset", *of == T::Long, "long"),
        SpecialSource::Topic => ("$topic", *of == T::String, "string"),
        SpecialSource::Key => ("$key", matches!(of, T::String | T::Binary), "string"),
        SpecialSource::Header(_) => ("$headers", matches!(of, T::String | T::Binary), "string"),
        // The line is text as any other, and may be a number or a time.
        SpecialSource::Raw => ("$raw", of.is_primitive(), "string"),
    };
    if !fits {
        let message = format!("`{name}` does not go into a column of type `{of}`");
        report.error(at, message, Some(format!("`type = \"{takes}\"`")));
    }
}

/// `parse` and `timezone`.
fn times<'t>(
    section: Section<'t>,
    of: Option<&ColumnType>,
    report: &mut Report<'t>,
) -> (Option<TimeFormat>, Option<String>) {
    let parse = section
        .get("parse")
        .and_then(|entry| entry.text("\"rfc3339\", \"epoch_ms\" or a strftime pattern", report));
    let timezone = section
        .get("timezone")
        .and_then(|entry| entry.text("a time zone's name", report));
    // Without a type it cannot be known what they are for.
    let Some(of) = of else { return (None, None) };
    let parsed = parse.is_some();
    let format = parse.and_then(|text| {
        time_format::parse_time_format(text.value, of, timezone.is_some())
            .map_err(|(message, help)| report.error(text.at, message, help))
            .ok()
    });
    let timezone = timezone.and_then(|text| {
        time_format::check_time_zone(text.value, of, parsed)
            .map_err(|(message, help)| report.error(text.at, message, help))
            .ok()
            .map(|()| text.value.to_owned())
    });
    (format, timezone)
}
