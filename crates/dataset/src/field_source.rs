//! Where a column's value comes from: the texts of `from`.

use crate::{FieldPath, FieldSource, SpecialSource, suggest};

/// Longer paths are nested deeper than decoding goes.
const PATH_STEPS_MAX: usize = 64;

const SPECIALS: [&str; 8] = [
    "$ingested_at",
    "$topic",
    "$partition",
    "$offset",
    "$timestamp",
    "$key",
    "$raw",
    "$headers.<name>",
];

/// Why a text names no place: message and help.
type SourceError = (String, Option<String>);

/// Reads one text of `from`: a field's name, a dotted path, a JSON Pointer or a `$special`.
pub(crate) fn parse_field_source(text: &str) -> Result<FieldSource, SourceError> {
    if text.is_empty() {
        return Err((
            "`from` names no field".to_owned(),
            Some("write a field's name".to_owned()),
        ));
    }
    if let Some(rest) = text.strip_prefix('$') {
        return match rest.strip_prefix('$') {
            Some(_) => field(rest),
            None => special(rest).map(FieldSource::Special),
        };
    }
    if let Some(pointer) = text.strip_prefix('/') {
        return pointer_path(text, pointer);
    }
    field(text)
}

fn field(text: &str) -> Result<FieldSource, SourceError> {
    let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
    // `a..b` and `.a` spell no path, but may well be a field's whole name.
    let steps = if steps.iter().any(String::is_empty) {
        vec![text.to_owned()]
    } else {
        steps
    };
    path(FieldPath {
        text: text.to_owned(),
        steps,
        pointer: false,
    })
}

fn pointer_path(text: &str, pointer: &str) -> Result<FieldSource, SourceError> {
    let mut steps = Vec::new();
    for step in pointer.split('/') {
        if step.replace("~0", "").replace("~1", "").contains('~') {
            let message =
                format!("`{text}` is not a JSON Pointer: `~` stands before `0` or `1` only");
            return Err((
                message,
                Some("`~0` is a tilde, `~1` a slash (RFC 6901)".to_owned()),
            ));
        }
        // In this order, so that `~01` becomes `~1`.
        steps.push(step.replace("~1", "/").replace("~0", "~"));
    }
    path(FieldPath {
        text: text.to_owned(),
        steps,
        pointer: true,
    })
}

fn path(path: FieldPath) -> Result<FieldSource, SourceError> {
    if path.steps.len() > PATH_STEPS_MAX {
        return Err((
            format!(
                "the path has {} steps, of at most {PATH_STEPS_MAX}",
                path.steps.len()
            ),
            None,
        ));
    }
    Ok(FieldSource::Field(path))
}

fn special(name: &str) -> Result<SpecialSource, SourceError> {
    Ok(match name {
        "ingested_at" => SpecialSource::IngestedAt,
        "topic" => SpecialSource::Topic,
        "partition" => SpecialSource::Partition,
        "offset" => SpecialSource::Offset,
        "timestamp" => SpecialSource::Timestamp,
        "key" => SpecialSource::Key,
        "raw" => SpecialSource::Raw,
        _ => match name.strip_prefix("headers.") {
            Some(header) if !header.is_empty() => SpecialSource::Header(header.to_owned()),
            _ => return Err(unknown_special(name)),
        },
    })
}

fn unknown_special(name: &str) -> SourceError {
    let written = format!("${name}");
    let near = suggest::nearest(&written, SPECIALS);
    let near = if name.starts_with("header") {
        Some("$headers.<name>")
    } else {
        near
    };
    let meant = near.map_or_else(
        || format!("known are {}", suggest::listed(SPECIALS)),
        |near| format!("did you mean `{near}`?"),
    );
    (
        format!("unknown source `{written}`"),
        Some(format!(
            "{meant} A field of the name `{written}` is written `${written}`"
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(text: &str, steps: &[&str], pointer: bool) -> FieldSource {
        let steps = steps.iter().map(|step| (*step).to_owned()).collect();
        FieldSource::Field(FieldPath {
            text: text.to_owned(),
            steps,
            pointer,
        })
    }

    #[test]
    fn fields_paths_pointers_and_specials() {
        for (text, expected) in [
            ("status", field_of("status", &["status"], false)),
            ("@timestamp", field_of("@timestamp", &["@timestamp"], false)),
            (
                "geo.country",
                field_of("geo.country", &["geo", "country"], false),
            ),
            ("a..b", field_of("a..b", &["a..b"], false)),
            (".a", field_of(".a", &[".a"], false)),
            ("/trace.id", field_of("/trace.id", &["trace.id"], true)),
            ("/a/b", field_of("/a/b", &["a", "b"], true)),
            (
                "/a~1b/c~0d/~01",
                field_of("/a~1b/c~0d/~01", &["a/b", "c~d", "~1"], true),
            ),
            ("/", field_of("/", &[""], true)),
            ("$$x", field_of("$x", &["$x"], false)),
            ("$$a.b", field_of("$a.b", &["$a", "b"], false)),
            ("$$", field_of("$", &["$"], false)),
            (
                "$ingested_at",
                FieldSource::Special(SpecialSource::IngestedAt),
            ),
            ("$topic", FieldSource::Special(SpecialSource::Topic)),
            ("$partition", FieldSource::Special(SpecialSource::Partition)),
            ("$offset", FieldSource::Special(SpecialSource::Offset)),
            ("$timestamp", FieldSource::Special(SpecialSource::Timestamp)),
            ("$key", FieldSource::Special(SpecialSource::Key)),
            ("$raw", FieldSource::Special(SpecialSource::Raw)),
            (
                "$headers.trace-id",
                FieldSource::Special(SpecialSource::Header("trace-id".to_owned())),
            ),
        ] {
            assert_eq!(parse_field_source(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_place_says_why() {
        for (text, expected) in [
            ("", "`from` names no field (write a field's name)"),
            (
                "$topik",
                "unknown source `$topik` (did you mean `$topic`? A field of the name `$topik` is written `$$topik`)",
            ),
            (
                "$headers.",
                "unknown source `$headers.` (did you mean `$headers.<name>`? A field of the name `$headers.` is \
                 written `$$headers.`)",
            ),
            (
                "/a~2",
                "`/a~2` is not a JSON Pointer: `~` stands before `0` or `1` only (`~0` is a tilde, `~1` a slash \
                 (RFC 6901))",
            ),
        ] {
            let (message, help) = parse_field_source(text).expect_err(text);
            assert_eq!(
                format!("{message} ({})", help.unwrap_or_default()),
                expected,
                "{text}"
            );
        }
        assert!(
            parse_field_source(&"a.".repeat(100)).is_ok(),
            "one name with dots, since `a..` is no path"
        );
        assert!(parse_field_source(&format!("{}a", "a.".repeat(64))).is_err());
    }
}
