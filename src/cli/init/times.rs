//! Times as logs write them, beside RFC 3339.

/// A way to write times: how it looks, how a dataset file reads it, and the type that it gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeShape {
    /// A regular expression of one such time, without anchors and groups.
    pub(super) shape: &'static str,
    /// The column's `parse`; `None`: RFC 3339, or no time that is whole.
    pub(super) parse: Option<&'static str>,
    /// The column's type: `string`, where something is missing that frazil would have to make up.
    pub(super) column_type: &'static str,
}

const fn shape(
    shape: &'static str,
    parse: Option<&'static str>,
    column_type: &'static str,
) -> TimeShape {
    TimeShape {
        shape,
        parse,
        column_type,
    }
}

/// The first that fits is taken, so that the longer of two comes first.
pub(super) const SHAPES: [TimeShape; 20] = [
    shape(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)",
        None,
        "timestamptz",
    ),
    shape(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{1,9}",
        Some("%Y-%m-%d %H:%M:%S,%f"),
        "timestamp",
    ),
    shape(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{1,9}",
        Some("%Y-%m-%dT%H:%M:%S,%f"),
        "timestamp",
    ),
    shape(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?",
        None,
        "timestamp",
    ),
    shape(
        r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{1,9}",
        Some("%Y/%m/%d %H:%M:%S%.f"),
        "timestamp",
    ),
    shape(
        r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d",
        Some("%Y/%m/%d %H:%M:%S"),
        "timestamp",
    ),
    shape(
        r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d",
        Some("%Y.%m.%d %H:%M:%S"),
        "timestamp",
    ),
    shape(
        r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
        Some("%d/%b/%Y:%H:%M:%S %z"),
        "timestamptz",
    ),
    shape(
        r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d",
        Some("%d/%b/%Y:%H:%M:%S"),
        "timestamp",
    ),
    shape(
        r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d\.\d{1,9} \d{4}",
        Some("%a %b %d %H:%M:%S%.f %Y"),
        "timestamp",
    ),
    shape(
        r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d \d{4}",
        Some("%a %b %d %H:%M:%S %Y"),
        "timestamp",
    ),
    shape(
        r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
        Some("%a, %d %b %Y %H:%M:%S %z"),
        "timestamptz",
    ),
    shape(
        r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}",
        Some("%Y-%m-%d-%H.%M.%S.%f"),
        "timestamp",
    ),
    shape(r"\d{8}-\d{1,2}:\d{1,2}:\d{1,2}:\d{1,3}", None, "string"),
    shape(
        r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d",
        Some("%y/%m/%d %H:%M:%S"),
        "timestamp",
    ),
    shape(r"\d{6} \d{6}", Some("%y%m%d %H%M%S"), "timestamp"),
    shape(r"\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}", None, "string"),
    shape(r"\d\d\.\d\d \d\d:\d\d:\d\d", None, "string"),
    shape(
        r"[A-Z][a-z]{2} [ 0-3]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})?",
        None,
        "string",
    ),
    shape(r"\d{2}:\d\d:\d\d(?:[.,]\d{1,9})?", None, "string"),
];
