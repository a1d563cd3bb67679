//! `partition_by` and `sort_by` against the columns.

use super::{
    columns::Found,
    report::Report,
    section::{Section, Text},
};
use crate::{
    PartitionField, SortField, Transform,
    layout::{self, LayoutError},
    suggest,
};

/// Each one multiplies the open files of a writer.
const PARTITION_FIELDS_MAX: usize = 16;
const SORT_FIELDS_MAX: usize = 32;

/// Reads `partition_by`.
pub(super) fn partition_by<'t>(
    root: Section<'t>,
    columns: &[Found],
    report: &mut Report<'t>,
) -> Vec<PartitionField> {
    let what = "an array of transforms, such as [\"day(time)\"]";
    let mut fields: Vec<PartitionField> = Vec::new();
    for text in texts(root, "partition_by", what, PARTITION_FIELDS_MAX, report) {
        let checked = layout::parse_partition_field(text.value).and_then(|field| {
            let column = column(&field.column, columns, "partition by")?;
            if let Some(of) = &column.column_type {
                layout::check_transform(field.transform, of)?;
            }
            conflict(&field, &fields)?;
            partition_name_conflict(&field, columns)?;
            Ok(field)
        });
        match checked {
            Ok(field) => fields.push(field),
            Err((message, help)) => {
                report.error(text.at, format!("`partition_by`: {message}"), help);
            }
        }
    }
    fields
}

/// Reads `sort_by`.
pub(super) fn sort_by<'t>(
    root: Section<'t>,
    columns: &[Found],
    report: &mut Report<'t>,
) -> Vec<SortField> {
    let what = "an array of columns, such as [\"host\", \"time desc\"]";
    let mut fields: Vec<SortField> = Vec::new();
    for text in texts(root, "sort_by", what, SORT_FIELDS_MAX, report) {
        let checked = layout::parse_sort_field(text.value).and_then(|field| {
            let column = column(&field.column, columns, "sort by")?;
            if let Some(of) = &column.column_type {
                layout::check_sortable(of)?;
            }
            if fields.iter().any(|other| other.column == field.column) {
                return Err((
                    format!("the column `{}` is there twice", field.column),
                    None,
                ));
            }
            Ok(field)
        });
        match checked {
            Ok(field) => fields.push(field),
            Err((message, help)) => report.error(text.at, format!("`sort_by`: {message}"), help),
        }
    }
    fields
}

fn texts<'t>(
    root: Section<'t>,
    key: &str,
    what: &str,
    max: usize,
    report: &mut Report<'t>,
) -> Vec<Text<'t>> {
    let Some(entry) = root.get(key) else {
        return Vec::new();
    };
    let mut texts = entry.texts(what, report).unwrap_or_default();
    if texts.len() > max {
        report.error(
            entry.at,
            format!("`{key}` has {} fields, of at most {max}", texts.len()),
            None,
        );
        texts.truncate(max);
    }
    texts
}

fn column<'c>(name: &str, columns: &'c [Found], to: &str) -> Result<&'c Found, LayoutError> {
    if let Some(column) = columns.iter().find(|one| one.name == name) {
        return Ok(column);
    }
    if let Some((outer, _)) = name.split_once('.')
        && columns.iter().any(|one| one.name == outer)
    {
        let help = format!(
            "give it a column of its own: `{{ name = \"{}\", from = \"{name}\", … }}`",
            name.replace('.', "_")
        );
        return Err((
            format!("to {to} a field within a column is not supported yet"),
            Some(help),
        ));
    }
    let near = suggest::nearest(name, columns.iter().map(|one| one.name.as_str()));
    let help = match near {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if columns.is_empty() || columns.len() > 20 => None,
        None => Some(format!(
            "columns are {}",
            suggest::listed(columns.iter().map(|one| one.name.as_str()))
        )),
    };
    Err((format!("there is no column `{name}`"), help))
}

/// Two fields of one kind on one column would have one name, and Iceberg's Java library refuses
/// two cuts of time on one column as redundant.
fn conflict(field: &PartitionField, before: &[PartitionField]) -> Result<(), LayoutError> {
    for other in before.iter().filter(|other| other.column == field.column) {
        if field.transform.is_of_time() && other.transform.is_of_time() {
            let help = "the finer of the two prunes for both: keep that one";
            return Err((
                format!("`{field}` and `{other}` cut one column twice"),
                Some(help.to_owned()),
            ));
        }
        if field.transform.name() == other.transform.name() {
            return Err((
                format!("`{field}` and `{other}` are one transform of one column"),
                None,
            ));
        }
    }
    Ok(())
}

/// A partition field's name, `<column>_<transform>`, may not be a column's (specification, "Partitioning").
fn partition_name_conflict(field: &PartitionField, columns: &[Found]) -> Result<(), LayoutError> {
    if field.transform == Transform::Identity {
        return Ok(());
    }
    let name = partition_name(field).to_lowercase();
    match columns.iter().find(|one| one.name.to_lowercase() == name) {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "the partition of `{field}` is called as the column `{}` is",
                column.name
            );
            Err((message, Some("give the column another name".to_owned())))
        }
    }
}

/// As Iceberg's Java library calls it.
fn partition_name(field: &PartitionField) -> String {
    let suffix = match field.transform {
        Transform::Truncate(_) => "trunc",
        Transform::Void => "null",
        transform => transform.name(),
    };
    format!("{}_{suffix}", field.column)
}
