//! A dataset file.

use super::{
    Values, columns, complete, dedup, format, layout, parse_toml, policies,
    report::Report,
    section::{Entry, Section},
    source,
};
use crate::{
    Dataset, Diagnostics, Format, Profile, SourceSpec, TableName, UnknownFields,
    keys::{DATASET_KEYS, is_not_supported_yet},
    names, suggest,
};

/// The namespace of tables that state none.
const NAMESPACE: &str = "logs";
const RESCUED: &str = "_rescued";
/// Deeper namespaces are paths; Hive Metastore takes one level.
const NAMESPACE_LEVELS_MAX: usize = 8;
const LABEL_BYTES_MAX: usize = 256;

/// Reads a dataset file.
///
/// `file` is its path as people know it, for the diagnostics; `default_name` the dataset's name where
/// the file states none, which is the file's own without `.toml`.
///
/// # Errors
/// All mistakes of the file, each with its line and column.
pub fn parse_dataset(text: &str, file: &str, default_name: &str) -> Result<Dataset, Diagnostics> {
    let mut report = Report::new(text, file);
    let Some(document) = parse_toml(text, Values::Shown, &mut report) else {
        return report.finish(None);
    };
    let root = Section::new("", document.as_table(), 0);
    let dataset = read(root, default_name, &mut report);
    report.finish(dataset)
}

fn read<'t>(root: Section<'t>, default_name: &str, report: &mut Report<'t>) -> Option<Dataset> {
    root.check_keys(DATASET_KEYS, report);
    let name = dataset_name(root, default_name, report);
    let table = table_name(root, name.as_deref(), report);
    let format = root
        .get("format")
        .map_or(Some(Format::Json), |entry| format::format(&entry, report));
    let profile = root
        .get("profile")
        .map_or(Some(Profile::default()), |entry| profile_of(&entry, report));
    let found = columns::read(root, format.as_ref(), report);
    let rescued = rescued(root, &found, report);
    let partition_by = layout::partition_by(root, &found, report);
    let sort_by = layout::sort_by(root, &found, report);
    let unknown_fields = unknown_fields(root, report);
    let source = source::source(root, name.as_deref(), report);
    if let (Some(Format::Separated(options)), Some(SourceSpec::Kafka(_))) = (&format, &source)
        && options.header
    {
        let at = root.get("format").map_or(0, |entry| entry.at);
        let help = "name the cells: `columns = [\"time\", \"host\"]` in `format`";
        let message = "`[source.kafka]`: a message has no header that would name its cells";
        report.error(at, message, Some(help.to_owned()));
    }
    let checkpoint = policies::checkpoint(root, report);
    let complete = complete::complete(root, &found, report);
    let dedup = dedup::dedup(root, &found, rescued.as_deref(), report);
    let limits = policies::limits(root, report);
    let multiline = format::multiline(root, format.as_ref(), limits, report);
    let snapshots = policies::snapshots(root, report);
    let properties = policies::properties(root, report);
    let catalog = plain_name(root, "catalog", report);
    let project = label(root, "project", report);
    let owner = label(root, "owner", report);
    Some(Dataset {
        name: name?,
        table: table?,
        catalog,
        project,
        owner,
        format: format?,
        multiline,
        columns: found
            .into_iter()
            .map(|one| one.column)
            .collect::<Option<_>>()?,
        partition_by,
        sort_by,
        unknown_fields: unknown_fields?,
        rescued,
        profile: profile?,
        source,
        checkpoint,
        complete,
        dedup,
        limits,
        snapshots,
        properties,
    })
}

fn dataset_name(root: Section<'_>, default_name: &str, report: &mut Report<'_>) -> Option<String> {
    let Some(entry) = root.get("dataset") else {
        return match names::check_name(default_name) {
            Ok(()) => Some(default_name.to_owned()),
            Err(why) => {
                let mended = names::mend_name(default_name).unwrap_or_else(|| "web".to_owned());
                let message =
                    format!("the file's name, `{default_name}`, is no dataset's name: it {why}");
                report.error(
                    0,
                    message,
                    Some(format!("add `dataset = \"{mended}\"`, or rename the file")),
                );
                None
            }
        };
    };
    named(&entry, "a dataset's name", report)
}

pub(super) fn named(entry: &Entry<'_>, what: &str, report: &mut Report<'_>) -> Option<String> {
    let Some(value) = entry.as_str() else {
        entry.expected(what, report);
        return None;
    };
    match names::check_name(value) {
        Ok(()) => Some(value.to_owned()),
        Err(why) => {
            let help = names::mend_name(value).map(|mended| format!("`{mended}`?"));
            report.error(
                entry.at,
                format!("`{}`: the name `{value}` {why}", entry.path),
                help,
            );
            None
        }
    }
}

fn plain_name(root: Section<'_>, key: &str, report: &mut Report<'_>) -> Option<String> {
    root.get(key)
        .and_then(|entry| named(&entry, "a name", report))
}

/// `namespace.table`; namespaces may have several levels.
fn table_name<'t>(
    root: Section<'t>,
    dataset: Option<&str>,
    report: &mut Report<'t>,
) -> Option<TableName> {
    let Some(entry) = root.get("table") else {
        let table = dataset?;
        if table.ends_with(names::DEAD_LETTERS_SUFFIX) {
            report.error(
                0,
                format!("the table `{table}` has the name of a dead-letter table"),
                Some(dead_letters_help()),
            );
            return None;
        }
        return Some(TableName {
            namespace: vec![NAMESPACE.to_owned()],
            table: table.to_owned(),
        });
    };
    let text = entry.text("a table's name, such as \"logs.web\"", report)?;
    let mut levels: Vec<&str> = text.value.split('.').collect();
    let mut at = 0;
    for level in &levels {
        if let Err(why) = names::check_name(level) {
            let place = text.byte(at);
            report.error(
                place,
                format!("`table`: the name `{level}` in `{}` {why}", text.value),
                None,
            );
            return None;
        }
        at += level.len() + 1;
    }
    let table = levels.pop()?;
    if levels.is_empty() {
        let help = format!("`table = \"{NAMESPACE}.{table}\"`");
        report.error(
            text.at,
            format!("`table`: `{table}` has no namespace"),
            Some(help),
        );
        return None;
    }
    if levels.len() > NAMESPACE_LEVELS_MAX {
        let message = format!(
            "`table`: the namespace has {} levels, of at most {NAMESPACE_LEVELS_MAX}",
            levels.len()
        );
        report.error(text.at, message, None);
        return None;
    }
    if table.ends_with(names::DEAD_LETTERS_SUFFIX) {
        report.error(
            text.at,
            format!("`table`: `{table}` has the name of a dead-letter table"),
            Some(dead_letters_help()),
        );
        return None;
    }
    Some(TableName {
        namespace: levels.into_iter().map(str::to_owned).collect(),
        table: table.to_owned(),
    })
}

fn dead_letters_help() -> String {
    format!(
        "`<table>{}` is made beside each table for what cannot be a row",
        names::DEAD_LETTERS_SUFFIX
    )
}

/// A coercion profile, of the dataset or of a column.
pub(super) fn profile_of<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<Profile> {
    const PROFILES: [&str; 3] = ["strict", "standard", "lenient"];
    let text = entry.text(
        "a coercion profile: \"strict\", \"standard\" or \"lenient\"",
        report,
    )?;
    match text.value {
        "strict" => Some(Profile::Strict),
        "standard" => Some(Profile::Standard),
        "lenient" => Some(Profile::Lenient),
        value => {
            let help = suggest::nearest(value, PROFILES).map_or_else(
                || format!("profiles are {}", suggest::listed(PROFILES)),
                |near| format!("did you mean `{near}`?"),
            );
            report.error(
                text.at,
                format!("unknown coercion profile `{value}`"),
                Some(help),
            );
            None
        }
    }
}

/// The rescued column's name; `None` where it is turned off (or wrong, and reported).
fn rescued(
    root: Section<'_>,
    columns: &[columns::Found],
    report: &mut Report<'_>,
) -> Option<String> {
    let entry = root.get("rescued");
    let (name, at) = match &entry {
        None => (RESCUED, 0),
        Some(entry) => match (entry.as_str(), entry.as_boolean()) {
            (_, Some(false)) => return None,
            (Some(name), _) => (name, entry.at),
            _ => {
                entry.expected("a column's name, or false for none", report);
                return None;
            }
        },
    };
    if let Err(why) = names::check_column_name(name) {
        report.error(at, format!("`rescued`: the name `{name}` {why}"), None);
        return None;
    }
    let folded = name.to_lowercase();
    if let Some(other) = columns.iter().find(|one| one.name.to_lowercase() == folded) {
        let help = "give the one or the other another name: `rescued = \"_unfit\"`; `rescued = false` makes none";
        let message = format!(
            "the column `{}` has the name of the rescued column",
            other.name
        );
        report.error(
            if entry.is_some() { at } else { other.at },
            message,
            Some(help.to_owned()),
        );
        return None;
    }
    Some(name.to_owned())
}

fn unknown_fields<'t>(root: Section<'t>, report: &mut Report<'t>) -> Option<UnknownFields> {
    const VALUES: [&str; 2] = ["rescue", "ignore"];
    let Some(entry) = root.get("unknown_fields") else {
        return Some(UnknownFields::default());
    };
    let text = entry.text("\"rescue\" or \"ignore\"", report)?;
    match text.value {
        "rescue" => return Some(UnknownFields::Rescue),
        "ignore" => return Some(UnknownFields::Ignore),
        value if is_not_supported_yet("unknown_fields", Some(value)) => {
            let message = format!("`unknown_fields = \"{value}\"` is not supported yet");
            report.error(
                text.at,
                message,
                Some("`rescue` keeps them in the rescued column".to_owned()),
            );
        }
        value => {
            let help = suggest::nearest(value, VALUES).map_or_else(
                || format!("it takes {}", suggest::listed(VALUES)),
                |near| format!("did you mean `{near}`?"),
            );
            report.error(
                text.at,
                format!("`unknown_fields` does not know `{value}`"),
                Some(help),
            );
        }
    }
    None
}

/// A label on metrics, logs and reports.
fn label(root: Section<'_>, key: &str, report: &mut Report<'_>) -> Option<String> {
    let entry = root.get(key)?;
    let Some(value) = entry.as_str() else {
        entry.expected("a text", report);
        return None;
    };
    let trimmed = value.trim();
    if trimmed.is_empty() || value.len() > LABEL_BYTES_MAX || value.chars().any(char::is_control) {
        let message =
            format!("`{key}` is a label: one line, not empty, of at most {LABEL_BYTES_MAX} bytes");
        report.error(entry.at, message, None);
        return None;
    }
    Some(value.to_owned())
}

/// The name that a dataset file states for itself, right or wrong; `None` where it states none or is no TOML.
pub fn stated_name(text: &str) -> Option<String> {
    let mut report = Report::new(text, "");
    let document = parse_toml(text, Values::Shown, &mut report)?;
    document.get("dataset")?.as_str().map(str::to_owned)
}
