//! Samples that are no JSON: each format is tried, and the one of which most records become rows with nothing
//! rescued is taken.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::{
    Draft, Sample,
    guess::{self, GuessedColumn},
    lines, quoted,
    seen::{Fields, Seen},
    times::SHAPES,
    trial::Trial,
};
use crate::cli::output::counted;

/// How much of a sample decides on the format.
const LOOK_BYTES_MAX: usize = 512 << 10;
const LOOK_LINES_MAX: usize = 2_000;

/// A format that fits fewer records is none of theirs.
const CLEAN_MIN: f64 = 0.8;

/// Formats that fit about as well are told apart by which says more.
const CLEAN_MARGIN: f64 = 0.01;

/// logfmt with more different keys is data.
const KEYS_MAX: usize = 200;

/// A format to try.
#[derive(Debug, Clone)]
struct Candidate {
    kind: &'static str,
    /// As the dataset file has it.
    format: String,
    /// What people call it.
    what: &'static str,
    fields: Vec<String>,
    /// What the first line of a record of several matches.
    start: Option<String>,
}

/// The dataset file for a sample; `None` where only raw lines fit.
pub(super) fn draft(sample: &Sample, name: &str) -> Option<Draft> {
    let end = sample.text.len().min(LOOK_BYTES_MAX);
    let end = memchr::memrchr(b'\n', &sample.text[..end]).map_or(end, |at| at + 1);
    let look = &sample.text[..end];
    let text = String::from_utf8_lossy(look);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(LOOK_LINES_MAX)
        .collect();
    let mut best: Option<(f64, Candidate)> = None;
    for candidate in candidates(&lines) {
        let columns = texts(&candidate.fields);
        let Some(trial) = Trial::of(&file(&candidate, &columns, None), look) else {
            continue;
        };
        let clean = trial.clean();
        if !is_likely(&candidate, &trial) || clean < CLEAN_MIN {
            continue;
        }
        if best
            .as_ref()
            .is_none_or(|(most, _)| clean > most + CLEAN_MARGIN)
        {
            best = Some((clean, candidate));
        }
    }
    let (_, candidate) = best?;
    finish(candidate, sample, name)
}

/// Formats that the lines may be of; of those that fit equally well, the first is taken.
fn candidates(lines: &[&str]) -> Vec<Candidate> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let plain = |kind: &'static str, what, fields: &[&str]| Candidate {
        kind,
        format: quoted(kind),
        what,
        fields: names(fields),
        start: None,
    };
    let access = [
        "host",
        "ident",
        "user",
        "time",
        "method",
        "path",
        "protocol",
        "status",
        "bytes",
        "referer",
        "user_agent",
    ];
    let mut all = vec![
        plain("common_log", "lines of the Common Log Format", &access[..9]),
        plain("combined_log", "lines of the Combined Log Format", &access),
        plain(
            "syslog",
            "syslog records",
            &[
                "timestamp",
                "time",
                "facility",
                "severity",
                "version",
                "hostname",
                "app_name",
                "proc_id",
                "msg_id",
                "structured_data",
                "message",
            ],
        ),
    ];
    all.extend(logfmt(lines));
    all.extend(
        [",", "\t", ";", "|"]
            .into_iter()
            .filter_map(|one| separated(lines, one, true)),
    );
    all.extend(
        ["\t", "|"]
            .into_iter()
            .filter_map(|one| separated(lines, one, false)),
    );
    let found = lines::find(lines)
        .map(|pattern| (pattern, None))
        .or_else(|| {
            let start = lines::starts(lines)?;
            let regex = regex::Regex::new(&start).ok()?;
            let first: Vec<&str> = lines
                .iter()
                .copied()
                .filter(|line| regex.is_match(line))
                .collect();
            Some((lines::find(&first)?, Some(start)))
        });
    if let Some((pattern, start)) = found {
        let fields = regex::Regex::new(&pattern)
            .map(|regex| regex.capture_names().flatten().map(str::to_owned).collect());
        all.push(Candidate {
            kind: "regex",
            format: format!("{{ type = \"regex\", pattern = '{pattern}' }}"),
            what: "lines of text",
            fields: fields.unwrap_or_default(),
            start,
        });
    }
    all.extend(
        [";", ","]
            .into_iter()
            .filter_map(|one| separated(lines, one, false)),
    );
    all
}

/// Keys in the order in which they first come, where nearly every word is a pair.
fn logfmt(lines: &[&str]) -> Option<Candidate> {
    let pair =
        regex::Regex::new(r#"(?:^|\s)([A-Za-z_@][\w.@/-]*)=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)"#).ok()?;
    let mut keys: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    let mut pairs = 0;
    let mut rest = 0;
    for line in lines {
        pairs += pair.find_iter(line).count();
        rest += pair.replace_all(line, " ").split_whitespace().count();
        for found in pair.captures_iter(line) {
            if known.insert(found[1].to_owned()) {
                keys.push(found[1].to_owned());
            }
        }
    }
    let fits = pairs >= 2 * lines.len() && rest * 10 <= pairs && keys.len() <= KEYS_MAX;
    fits.then(|| Candidate {
        kind: "logfmt",
        format: quoted("logfmt"),
        what: "logfmt records",
        fields: keys,
        start: None,
    })
}

/// CSV or TSV, where nearly all lines have as many cells.
fn separated(lines: &[&str], delimiter: &str, header: bool) -> Option<Candidate> {
    let first = *lines.first()?;
    let cells: Vec<&str> = first
        .split(delimiter)
        .map(|cell| {
            cell.strip_prefix('"')
                .and_then(|cell| cell.strip_suffix('"'))
                .unwrap_or(cell)
        })
        .collect();
    let least = if header { 1 } else { 2 };
    let counts = cell_counts(lines, delimiter.chars().next()?);
    let alike = counts.iter().filter(|count| **count == cells.len()).count();
    if cells.len() <= least || alike * 10 < counts.len() * 8 {
        return None;
    }
    if header {
        let mut names = HashSet::new();
        let is_name = |cell: &str| {
            cell.len() <= 64
                && cell.starts_with(|c: char| c.is_alphabetic() || "_@#$".contains(c))
                && !cell.contains(['=', '[', '{'])
        };
        let all_names = cells
            .iter()
            .all(|cell| is_name(cell) && names.insert(cell.to_lowercase()));
        if !all_names || lines.len() < 2 {
            return None;
        }
    } else if alike * 100 < counts.len() * 99 {
        return None;
    }
    let (kind, what) = if delimiter == "\t" {
        ("tsv", "lines of cells between tabs")
    } else {
        ("csv", "records of cells")
    };
    let mut options = vec![format!("type = {}", quoted(kind))];
    if !matches!(delimiter, "," | "\t") {
        options.push(format!("delimiter = {}", quoted(delimiter)));
    }
    let fields: Vec<String> = if header {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    } else {
        options.push("header = false".to_owned());
        (1..=cells.len())
            .map(|number| format!("column_{number}"))
            .collect()
    };
    let format = match options.len() {
        1 => quoted(kind),
        _ => format!("{{ {} }}", options.join(", ")),
    };
    Some(Candidate {
        kind,
        format,
        what,
        fields,
        start: None,
    })
}

/// How many cells each record has; a line end in quotes ends none.
fn cell_counts(lines: &[&str], delimiter: char) -> Vec<usize> {
    let mut counts = Vec::new();
    let mut cells = 1;
    let mut is_quoted = false;
    for line in lines {
        for character in line.chars() {
            is_quoted ^= character == '"';
            cells += usize::from(character == delimiter && !is_quoted);
        }
        if !is_quoted {
            counts.push(cells);
            cells = 1;
        }
    }
    counts
}

/// Whether what was decoded looks like the format, and is not only taken by it.
fn is_likely(candidate: &Candidate, trial: &Trial) -> bool {
    if candidate.kind != "syslog" {
        return true;
    }
    let rows = trial.records - trial.dead_letters;
    // `2026-05-01T10:00:00Z INFO main: …` is no host named INFO.
    let level = |host: &str| {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        [
            "trace", "debug", "info", "notice", "warn", "warning", "error", "fatal", "critical",
        ]
        .contains(&host.as_str())
    };
    let levels = trial.values("hostname").filter(|host| level(host)).count() as u64;
    let tagged = trial.filled("app_name") * 2 >= rows || trial.filled("severity") * 2 >= rows;
    tagged && levels * 10 < rows
}

/// A text column of each field.
fn texts(fields: &[String]) -> Vec<GuessedColumn> {
    guess::text_columns(fields.iter().map(String::as_str))
}

/// A dataset file with these columns.
fn file(candidate: &Candidate, columns: &[GuessedColumn], partition_by: Option<&str>) -> String {
    super::render(
        &[],
        (&candidate.format, candidate.start.as_deref()),
        partition_by,
        columns,
    )
}

/// Types for the columns, and no column that is always null.
fn finish(candidate: Candidate, sample: &Sample, name: &str) -> Option<Draft> {
    let mut columns = texts(&candidate.fields);
    let trial = Trial::of(&file(&candidate, &columns, None), &sample.text)?;
    let is_syslog = candidate.kind == "syslog";
    let has_times = is_syslog && trial.filled("time") == trial.records - trial.dead_letters;
    let is_fixed = is_syslog || candidate.kind.ends_with("_log");
    columns.retain(|column| {
        let is_empty = trial.filled(&column.name) == 0 && is_fixed;
        let is_double = has_times && column.name == "timestamp";
        !is_empty && !is_double
    });
    for column in &mut columns {
        let values = trial.values(&column.name);
        let field = column.from.clone().unwrap_or(column.name.clone());
        let (column_type, parse) = type_of(values, &field);
        column.column_type = column_type;
        column.parse = parse;
        if trial.filled(&column.name) == 0 {
            column.note = Some("always null in the sample".to_owned());
        }
    }
    let trial = settle(&candidate, &mut columns, &sample.text)?;
    Some(Draft::of_text(candidate, columns, &trial, name))
}

/// Decodes with the types that were guessed, and takes text for those that do not hold.
fn settle(candidate: &Candidate, columns: &mut [GuessedColumn], sample: &[u8]) -> Option<Trial> {
    loop {
        let trial = Trial::of(&file(candidate, columns, None), sample)?;
        let mut changed = false;
        for column in columns
            .iter_mut()
            .filter(|column| column.column_type != "string")
        {
            let field = column.from.as_ref().unwrap_or(&column.name);
            let misfits = trial.rescued.keys().any(|(path, reason)| {
                path == field && reason != "unknown_field" && reason != "duplicate_key"
            });
            if misfits {
                "string".clone_into(&mut column.column_type);
                column.parse = None;
                changed = true;
            }
        }
        if !changed {
            return Some(trial);
        }
    }
}

/// The type that takes all texts of a column, and how times are read.
fn type_of<'a>(
    values: impl Iterator<Item = &'a str>,
    field: &str,
) -> (String, Option<&'static str>) {
    let mut seen = Seen::default();
    let mut shapes: Vec<_> = SHAPES
        .iter()
        .filter(|one| one.column_type != "string")
        .filter_map(|one| {
            Some((
                one,
                regex::Regex::new(&format!("^(?:{})$", one.shape)).ok()?,
            ))
        })
        .collect();
    let mut count = 0_u64;
    for value in values {
        count += 1;
        shapes.retain(|(_, regex)| regex.is_match(value));
        // Text that is a JSON number or boolean says what it is; any other is a text.
        let json = if is_json_scalar(value) {
            value.to_owned()
        } else {
            serde_json::Value::from(value).to_string()
        };
        if let Ok(json) = RawValue::from_string(json) {
            let _ = seen.look(&json, 0);
        }
    }
    if count == 0 {
        return ("string".to_owned(), None);
    }
    let mut fields = Fields::default();
    *fields.of(field) = seen;
    let guessed = guess::columns(&fields, count).0.remove(0);
    if guessed.column_type == "string"
        && let Some((shape, _)) = shapes.first()
    {
        return (shape.column_type.to_owned(), shape.parse);
    }
    (guessed.column_type, guessed.parse)
}

fn is_json_scalar(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number = begins && serde_json::from_str::<serde_json::Number>(text).is_ok();
    number || matches!(text, "true" | "false")
}

impl Draft {
    fn of_text(
        candidate: Candidate,
        mut columns: Vec<GuessedColumn>,
        trial: &Trial,
        name: &str,
    ) -> Self {
        let Candidate {
            kind,
            format,
            what,
            start,
            ..
        } = candidate;
        let of = counted(trial.records, "record");
        let mut notes = Vec::new();
        if trial.dead_letters > 0 {
            notes.push(format!(
                "{} not of this format and would become dead letters",
                match trial.dead_letters {
                    1 => "1 of them is".to_owned(),
                    more => format!("{more} of them are"),
                }
            ));
        }
        if trial.rows_rescued > 0 {
            notes.push(format!(
                "of {} something has no column and goes to `_rescued`",
                counted(trial.rows_rescued, "record")
            ));
        }
        for column in &mut columns {
            if column.parse.is_some_and(|parse| parse.contains("%y")) {
                column.note = Some("the year is taken to come first".to_owned());
            }
        }
        let time = columns.iter().find(|column| column.is_time());
        let partition_by = if let Some(time) = time {
            format!("day({})", time.name)
        } else {
            if kind == "syslog" {
                notes.push("its times have no year: `format = { type = \"syslog\", year = \"ingested_at\" }` gives a field `time` with that of ingestion".to_owned());
            } else {
                notes.push(
                    "no time was seen that is whole: partitioned by when frazil reads a record"
                        .to_owned(),
                );
            }
            columns.push(GuessedColumn {
                name: "ingested_at".to_owned(),
                from: Some("$ingested_at".to_owned()),
                column_type: "timestamptz".to_owned(),
                parse: None,
                note: None,
            });
            "day(ingested_at)".to_owned()
        };
        Self {
            head: vec![
                format!("{name}: {what}, as seen in {of}."),
                "No column is required: with `required = true`, a record without it becomes a dead letter.".to_owned(),
            ],
            of,
            kind,
            format,
            start,
            columns,
            partition_by: Some(partition_by),
            notes,
        }
    }
}
