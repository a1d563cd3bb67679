//! The known keys of dataset files, and which of them nothing acts on yet.
//!
//! `schemas/dataset.schema.json` is compared with these tables by a test.

use crate::suggest;

/// One section of a file and the keys that it may hold.
#[derive(Debug)]
pub(crate) struct KnownSection {
    /// Its dotted path: empty for the top level.
    pub(crate) path: &'static str,
    pub(crate) keys: &'static [&'static str],
}

/// Where a key that stands in the wrong place belongs is looked up in this order.
pub(crate) static DATASET_KEYS: &[KnownSection] = &[
    KnownSection {
        path: "",
        keys: &[
            "dataset",
            "table",
            "catalog",
            "project",
            "owner",
            "format",
            "multiline",
            "columns",
            "partition_by",
            "sort_by",
            "unknown_fields",
            "rescued",
            "profile",
            "source",
            "dedup",
            "checkpoint",
            "complete",
            "limits",
            "retention",
            "dead_letters",
            "snapshots",
            "maintenance",
            "properties",
        ],
    },
    KnownSection {
        path: "columns",
        keys: &[
            "name", "type", "required", "from", "parse", "timezone", "coerce", "doc",
        ],
    },
    KnownSection {
        path: "format",
        keys: &[
            "type",
            "delimiter",
            "quote",
            "header",
            "columns",
            "escapes",
            "pattern",
            "patterns",
            "year",
        ],
    },
    KnownSection {
        path: "multiline",
        keys: &["start", "lines_max", "bytes_max"],
    },
    KnownSection {
        path: "source",
        keys: &["files", "kafka"],
    },
    KnownSection {
        path: "source.files",
        keys: &["paths"],
    },
    KnownSection {
        path: "source.kafka",
        keys: &[
            "topics",
            "topics_pattern",
            "cluster",
            "start",
            "group",
            "isolation",
        ],
    },
    KnownSection {
        path: "dedup",
        keys: &["key", "key_except", "time", "window", "memory_max"],
    },
    KnownSection {
        path: "checkpoint",
        keys: &["interval", "bytes", "records"],
    },
    KnownSection {
        path: "complete",
        keys: &["time", "delay", "idle"],
    },
    KnownSection {
        path: "limits",
        keys: &["dead_letters_max", "window", "then", "record_bytes_max"],
    },
    KnownSection {
        path: "retention",
        keys: &["keep", "by", "rules"],
    },
    KnownSection {
        path: "retention.rules",
        keys: &["where", "keep"],
    },
    KnownSection {
        path: "dead_letters",
        keys: &["keep"],
    },
    KnownSection {
        path: "snapshots",
        keys: &["keep_for", "keep_min"],
    },
    KnownSection {
        path: "maintenance",
        keys: &["every"],
    },
];

/// What is described and known, but has no part that acts on it: a key, or a key's value.
/// A part that comes to life takes its line away.
pub(crate) static NOT_SUPPORTED_YET: &[(&str, Option<&str>)] = &[
    ("dead_letters", None),
    ("maintenance", None),
    ("retention", None),
    ("unknown_fields", Some("add")),
];

/// Whether a key, or that value of it, is known and not supported yet.
pub(crate) fn is_not_supported_yet(path: &str, value: Option<&str>) -> bool {
    NOT_SUPPORTED_YET.contains(&(path, value))
}

/// What was probably meant by a key that its section does not know.
pub(crate) fn unknown_key_help(
    known: &[KnownSection],
    section: &str,
    key: &str,
) -> (String, String) {
    let own = known
        .iter()
        .find(|one| one.path == section)
        .map_or(&[][..], |one| one.keys);
    let elsewhere: Vec<&str> = known
        .iter()
        .filter(|one| one.path != section && one.keys.contains(&key))
        .map(|one| one.path)
        .filter(|path| !is_not_supported_yet(path, None))
        .collect();
    if !elsewhere.is_empty() {
        let places: Vec<String> = elsewhere.iter().map(|path| place(path)).collect();
        return (
            format!("`{key}` does not belong {}", here(section)),
            format!("it belongs {}", places.join(" or ")),
        );
    }
    let message = if section.is_empty() {
        format!("unknown key `{key}`")
    } else {
        format!("unknown key `{key}` in {}", name(section))
    };
    let near = alias(key)
        .filter(|meant| own.contains(meant))
        .or_else(|| suggest::nearest(key, own.iter().copied()));
    if let Some(near) = near {
        return (message, format!("did you mean `{near}`?"));
    }
    let others = known
        .iter()
        .filter(|one| one.path != section && !is_not_supported_yet(one.path, None));
    for other in others {
        if let Some(near) = suggest::nearest(key, other.keys.iter().copied()) {
            return (
                message,
                format!("did you mean `{near}`, {}?", place(other.path)),
            );
        }
    }
    (
        message,
        format!("known keys are {}", suggest::listed(own.iter().copied())),
    )
}

/// Other tools' names for the same.
pub(crate) fn alias(key: &str) -> Option<&'static str> {
    Some(match key {
        "schema" | "fields" | "column" => "columns",
        "partition" | "partitions" | "partition_spec" => "partition_by",
        "order_by" | "sort" | "sort_order" => "sort_by",
        "tz" | "time_zone" => "timezone",
        "alias" | "aliases" | "source" | "path" => "from",
        "comment" | "description" => "doc",
        "not_null" | "nullable" => "required",
        "kind" => "type",
        "path_pattern" | "files" => "paths",
        "url" => "uri",
        _ => return None,
    })
}

/// `[checkpoint]`, `a column`, `the top level`.
fn name(section: &str) -> String {
    match section {
        "" => "the top level".to_owned(),
        "columns" => "a column".to_owned(),
        "format" => "`format`".to_owned(),
        other => format!("`[{other}]`"),
    }
}

fn here(section: &str) -> String {
    match section {
        "" => "at the top level".to_owned(),
        other => format!("in {}", name(other)),
    }
}

fn place(section: &str) -> String {
    match section {
        // The classic slip of TOML: a key after the first header is that section's.
        "" => "at the top level, above the first `[section]`".to_owned(),
        other => format!("in {}", name(other)),
    }
}
