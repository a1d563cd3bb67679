//! The texts of `partition_by` and `sort_by`: `day(time)`, `bucket(16, host)`, `time desc`.
//!
//! Which transform takes which type: Iceberg's specification, "Partition Transforms".

use std::fmt;

use crate::{ColumnType, PartitionField, SortDirection, SortField, Transform, suggest};

/// Why a text is no partition or sort field: message and help.
pub(crate) type LayoutError = (String, Option<String>);

const TRANSFORMS: [&str; 8] = [
    "identity", "bucket", "truncate", "year", "month", "day", "hour", "void",
];

/// Reads one text of `partition_by`; the column is not looked up yet.
pub(crate) fn parse_partition_field(text: &str) -> Result<PartitionField, LayoutError> {
    let trimmed = text.trim();
    let Some((name, rest)) = trimmed.split_once('(') else {
        if trimmed.is_empty() {
            return Err((
                "it names no column".to_owned(),
                Some("`day(time)`, `bucket(16, host)`, `host`".to_owned()),
            ));
        }
        return Ok(PartitionField {
            column: trimmed.to_owned(),
            transform: Transform::Identity,
        });
    };
    let name = name.trim();
    let Some(inner) = rest.strip_suffix(')') else {
        return Err((format!("`{trimmed}` does not end in `)`"), None));
    };
    let (number, column) = match inner.split_once(',') {
        Some((number, column)) => (Some(number.trim()), column.trim()),
        None => (None, inner.trim()),
    };
    let transform = transform(name, number, column)?;
    if column.is_empty() {
        return Err((
            format!("`{trimmed}` names no column"),
            Some(format!("`{}`", example(name))),
        ));
    }
    Ok(PartitionField {
        column: column.to_owned(),
        transform,
    })
}

fn transform(name: &str, number: Option<&str>, column: &str) -> Result<Transform, LayoutError> {
    let plain = match name {
        "identity" => Transform::Identity,
        "year" => Transform::Year,
        "month" => Transform::Month,
        "day" => Transform::Day,
        "hour" => Transform::Hour,
        "void" => Transform::Void,
        "bucket" | "truncate" => return with_number(name, number, column),
        _ => return Err(unknown_transform(name)),
    };
    match number {
        None => Ok(plain),
        Some(_) => Err((
            format!("`{name}` takes a column only"),
            Some(format!("`{}`", example(name))),
        )),
    }
}

fn with_number(name: &str, number: Option<&str>, column: &str) -> Result<Transform, LayoutError> {
    let what = if name == "bucket" {
        "number of buckets"
    } else {
        "width"
    };
    let Some(number) = number else {
        let column = if column.is_empty() || column.parse::<u32>().is_ok() {
            "host"
        } else {
            column
        };
        return Err((
            format!("`{name}` needs its {what}"),
            Some(format!("`{name}(16, {column})`")),
        ));
    };
    match number.parse::<u32>() {
        // The specification's parameters are Java's ints.
        Ok(value) if (1..=i32::MAX as u32).contains(&value) => Ok(if name == "bucket" {
            Transform::Bucket(value)
        } else {
            Transform::Truncate(value)
        }),
        Ok(value) => Err((
            format!("a {what} is from 1 to 2147483647, not {value}"),
            None,
        )),
        Err(_) if column.parse::<u32>().is_ok() => {
            let message = format!("the {what} comes first in `{name}`");
            Err((message, Some(format!("`{name}({column}, {number})`"))))
        }
        Err(_) => Err((
            format!("`{number}` is not a {what}"),
            Some(format!("`{}`", example(name))),
        )),
    }
}

fn example(transform: &str) -> String {
    match transform {
        "bucket" | "truncate" => format!("{transform}(16, host)"),
        "identity" => "identity(host)".to_owned(),
        other => format!("{other}(time)"),
    }
}

fn unknown_transform(name: &str) -> LayoutError {
    let meant = match name.to_lowercase().as_str() {
        "date" => Some("day"),
        "date_hour" => Some("hour"),
        "trunc" | "substring" | "prefix" => Some("truncate"),
        "hash" | "mod" => Some("bucket"),
        _ => suggest::nearest(name, TRANSFORMS),
    };
    let help = meant.map_or_else(
        || format!("transforms are {}", suggest::listed(TRANSFORMS)),
        |meant| format!("did you mean `{meant}`?"),
    );
    (format!("unknown transform `{name}`"), Some(help))
}

/// Whether the transform takes a column of the type.
pub(crate) fn check_transform(transform: Transform, of: &ColumnType) -> Result<(), LayoutError> {
    use ColumnType as T;
    let is_date = matches!(of, T::Date | T::Timestamp | T::Timestamptz);
    let (takes, types) = match transform {
        Transform::Void => (true, ""),
        Transform::Identity => (of.is_primitive(), "all but struct, list and map"),
        Transform::Bucket(_) => (
            of.is_primitive() && !matches!(of, T::Boolean | T::Float | T::Double),
            "int, long, decimal, date, time, timestamp, timestamptz, string, uuid, fixed and binary",
        ),
        Transform::Truncate(_) => (
            matches!(
                of,
                T::Int | T::Long | T::Decimal { .. } | T::String | T::Binary
            ),
            "int, long, decimal, string and binary",
        ),
        Transform::Year | Transform::Month | Transform::Day => {
            (is_date, "date, timestamp and timestamptz")
        }
        Transform::Hour => (is_date && *of != T::Date, "timestamp and timestamptz"),
    };
    if takes {
        return Ok(());
    }
    Err((
        format!("`{}` does not take a `{of}`", transform.name()),
        Some(format!("it takes {types}")),
    ))
}

/// Reads one text of `sort_by`; the column is not looked up yet.
pub(crate) fn parse_sort_field(text: &str) -> Result<SortField, LayoutError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (column, direction) = match words[..] {
        [] => {
            return Err((
                "it names no column".to_owned(),
                Some("`host`, `time desc`".to_owned()),
            ));
        }
        [column] => (column, "asc"),
        [column, direction] => (column, direction),
        [_, _, nulls, ..] if nulls.eq_ignore_ascii_case("nulls") => {
            let help = "nulls come first in ascending order and last in descending";
            return Err((
                "`nulls` in an order is not supported yet".to_owned(),
                Some(help.to_owned()),
            ));
        }
        _ => {
            return Err((
                format!("`{text}` is not a column and a direction"),
                Some("`host`, `time desc`".to_owned()),
            ));
        }
    };
    if column.contains('(') {
        let help = "sort by the column itself: that keeps the order of its transforms too";
        return Err((
            "a transform in an order is not supported yet".to_owned(),
            Some(help.to_owned()),
        ));
    }
    let direction = match direction.to_lowercase().as_str() {
        "asc" | "ascending" => SortDirection::Ascending,
        "desc" | "descending" => SortDirection::Descending,
        _ => {
            return Err((
                format!("`{direction}` is not a direction"),
                Some("`asc` or `desc`".to_owned()),
            ));
        }
    };
    Ok(SortField {
        column: column.to_owned(),
        direction,
    })
}

/// Whether columns of the type have an order.
pub(crate) fn check_sortable(of: &ColumnType) -> Result<(), LayoutError> {
    if of.is_primitive() {
        return Ok(());
    }
    Err((
        format!("a `{of}` has no order"),
        Some("sort by columns that are no struct, list or map".to_owned()),
    ))
}

impl Transform {
    /// Its name in Iceberg's specification, without its parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Bucket(_) => "bucket",
            Self::Truncate(_) => "truncate",
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Void => "void",
        }
    }

    /// Whether it cuts times: Iceberg's Java library refuses two of these on one column.
    pub(crate) fn is_of_time(self) -> bool {
        matches!(self, Self::Year | Self::Month | Self::Day | Self::Hour)
    }
}

/// As the dataset file has it: `day(time)`, `bucket(16, host)`, `host`.
impl fmt::Display for PartitionField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transform {
            Transform::Identity => f.write_str(&self.column),
            Transform::Bucket(n) | Transform::Truncate(n) => {
                write!(f, "{}({n}, {})", self.transform.name(), self.column)
            }
            transform => write!(f, "{}({})", transform.name(), self.column),
        }
    }
}

/// As the dataset file has it: `host`, `time desc`.
impl fmt::Display for SortField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            SortDirection::Ascending => f.write_str(&self.column),
            SortDirection::Descending => write!(f, "{} desc", self.column),
        }
    }
}
