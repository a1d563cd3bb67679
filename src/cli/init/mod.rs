//! `frazil init`: a dataset file, inferred from a sample.
//!
//! Every record of the sample fits the columns that come out: nothing of it is rescued. What the
//! sample does not show, a person adds. JSON is looked at as such; every other format is tried by its decoder.

mod guess;
mod lines;
mod seen;
mod text;
mod times;
mod trial;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use guess::GuessedColumn;
use seen::Seen;
use serde_json::{json, value::RawValue};

use super::{
    Context,
    exit::{Exit, Failure},
    output::{Output, counted},
};

/// How much of a sample is read: enough to see rare fields, little enough to be quick.
const SAMPLE_BYTES_MAX: u64 = 32 << 20;

/// How many lines of a sample are looked at.
const SAMPLE_LINES_MAX: u64 = 100_000;

/// Write schemas/<NAME>.toml, inferred from a sample
///
/// Tries each format: JSON, CSV, TSV, logfmt, syslog, access logs, and lines that begin with a time.
/// Looks at up to 100,000 lines (32 MiB) of the sample and writes a dataset file whose columns take
/// every value in them. It is a start: read it, rename, require, and then ask `frazil check`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// A file of records, one a line (.gz .zst .bz2 .lz4 too), or `-` for standard input
    sample: String,
    /// The dataset's name; default: the sample's file name
    #[arg(long)]
    name: Option<String>,
    /// Print the dataset file in place of writing it
    #[arg(long)]
    stdout: bool,
    /// Write over an existing dataset file
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  frazil init web.ndjson                      writes schemas/web.toml
  zcat old/*.gz | frazil init - --name web    from standard input
  frazil init web.ndjson --stdout             only shows it";

/// Runs the command.
pub(crate) fn run(args: &InitArgs, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let name = match &args.name {
        Some(name) => checked_name(name)?,
        None => name_of(&args.sample)?,
    };
    let path = PathBuf::from("schemas").join(format!("{name}.toml"));
    if !args.stdout && !args.force && path.exists() {
        return Err(exists(&path));
    }
    let sample = Sample::read(&args.sample)?;
    let draft = Draft::of(&sample, &name);
    let text = draft.render();
    frazil_dataset::parse_dataset(&text, &path.display().to_string(), &name).map_err(|diagnostics| {
        Failure::failed("infer a dataset file that frazil itself can read").because(diagnostics).next(
            "please report this with the sample's field names; `--stdout` shows what was inferred",
        )
    })?;
    if args.stdout {
        out.bytes(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    write(&path, &text, args.force)?;
    if context.json {
        out.json(&json!({
            "dataset": name,
            "path": path,
            "format": draft.kind,
            "records": sample.records,
            "columns": draft.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
        }))?;
    } else {
        out.line(format!(
            "Wrote {}: {} from {}.",
            path.display(),
            counted(draft.columns.len() as u64, "column"),
            draft.of,
        ))?;
        for note in &draft.notes {
            out.line(format!("  note: {note}"))?;
        }
        if args.sample != "-" {
            out.line(format!(
                "Next: frazil check {name} --sample {}",
                args.sample
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn exists(path: &Path) -> anyhow::Error {
    Failure::usage(format!("write {}: it exists", path.display()))
        .next("`--force` writes over it, `--name` takes another name, `--stdout` only shows the new one")
        .into()
}

/// Writes the whole file or none of it.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let failure = |error: io::Error| {
        anyhow::Error::from(Failure::failed(format!("write {}", path.display())).because(error))
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failure)?;
    }
    if force {
        let new = path.with_extension("toml.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, path))
            .map_err(failure)?;
        return Ok(());
    }
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failure(error)),
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| {
            // Half a file would stand in the way of the next try.
            let _ = fs::remove_file(path);
            failure(error)
        }),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn checked_name(name: &str) -> anyhow::Result<String> {
    if name.is_empty() || !name.chars().all(is_name_char) {
        return Err(Failure::usage(format!("name a dataset `{name}`"))
            .next("names have letters, digits, `_` and `-`")
            .into());
    }
    Ok(name.to_owned())
}

/// `web` of `logs/web.2024.ndjson.gz`.
fn name_of(sample: &str) -> anyhow::Result<String> {
    let file = if sample == "-" {
        None
    } else {
        Path::new(sample).file_name()
    };
    let file = file.map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = file
        .trim_start_matches('.')
        .split('.')
        .next()
        .unwrap_or_default();
    let name: String = stem
        .chars()
        .map(|c| if is_name_char(c) { c } else { '_' })
        .collect();
    let name = name.trim_start_matches('-').to_owned();
    if name.is_empty() {
        return Err(Failure::usage("name the dataset: the sample has no name")
            .next("add `--name web`")
            .into());
    }
    Ok(name)
}

/// What was seen in a sample.
struct Sample {
    /// All records: the objects.
    root: Seen,
    records: u64,
    /// Lines that are no JSON object.
    odd_lines: u64,
    /// The first of them, from 1.
    first_odd: Option<u64>,
    lines: u64,
    /// Whether its first line begins as JSON does, even where it does not end so.
    begins_as_json: bool,
    /// Whether the sample goes on.
    cut: bool,
    /// All of its whole lines.
    text: Vec<u8>,
}

impl Sample {
    fn read(sample: &str) -> anyhow::Result<Self> {
        let failure = |error: io::Error| {
            let next = match error.kind() {
                io::ErrorKind::NotFound => "is the path right? it is taken from the working folder",
                io::ErrorKind::PermissionDenied => "give this user the right to read it",
                io::ErrorKind::IsADirectory => "name one file of it",
                _ => "is it a text file of one record a line, whole and not damaged?",
            };
            anyhow::Error::from(
                Failure::usage(format!("read sample {sample}"))
                    .because(error)
                    .next(next),
            )
        };
        let input: Box<dyn Read> = if sample == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(fs::File::open(sample).map_err(failure)?)
        };
        let reader = super::sample::decompressed(input).map_err(failure)?;
        let read = Self::of(reader).map_err(failure)?;
        if read.lines == 0 {
            return Err(Failure::usage(format!(
                "infer columns from {sample}: it holds no records"
            ))
            .next("give a sample of at least one record")
            .into());
        }
        Ok(read)
    }

    fn of(reader: impl Read) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(256 << 10, reader.take(SAMPLE_BYTES_MAX));
        let mut read = Self {
            root: Seen::default(),
            records: 0,
            odd_lines: 0,
            first_odd: None,
            lines: 0,
            begins_as_json: false,
            cut: false,
            text: Vec::new(),
        };
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(read);
            }
            number += 1;
            read.cut = reader.get_ref().limit() == 0 || read.lines == SAMPLE_LINES_MAX;
            // The last line of a cut sample may be half a record.
            if (read.cut && !line.ends_with(b"\n") && read.lines > 0)
                || read.lines == SAMPLE_LINES_MAX
            {
                return Ok(read);
            }
            read.text.extend_from_slice(&line);
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let text = if number == 1 {
                text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
            } else {
                text
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if read.lines == 0 {
                read.begins_as_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
            }
            read.lines += 1;
            if !read.look(text) {
                read.odd_lines += 1;
                read.first_odd.get_or_insert(number);
            }
        }
    }

    /// Looks at one line: an object, or a list of them. Whether it was that.
    fn look(&mut self, line: &[u8]) -> bool {
        let Ok(value) = serde_json::from_slice::<&RawValue>(line) else {
            return false;
        };
        let objects = match value.get().as_bytes().first() {
            Some(b'{') => vec![value],
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                Ok(list) if list.iter().all(|one| one.get().starts_with('{')) => list,
                _ => return false,
            },
            _ => return false,
        };
        for object in objects {
            if self.root.look(object, 0).is_err() {
                return false;
            }
            self.records += 1;
        }
        true
    }
}

/// A dataset file in the making.
struct Draft {
    /// What it was made from: `2,000 records`.
    of: String,
    head: Vec<String>,
    /// The format's name, and as the file has it.
    kind: &'static str,
    format: String,
    /// What the first line of a record of several matches.
    start: Option<String>,
    columns: Vec<GuessedColumn>,
    partition_by: Option<String>,
    notes: Vec<String>,
}

impl Draft {
    fn of(sample: &Sample, name: &str) -> Self {
        // Half a file that is no JSON is no JSON file with some mistakes.
        if sample.records == 0 || sample.odd_lines * 2 > sample.lines {
            return text::draft(sample, name).unwrap_or_else(|| Self::raw(sample, name));
        }
        let (columns, left) = guess::columns(&sample.root.fields, sample.records);
        let time = columns.iter().find(|column| column.is_time());
        let time = time.or_else(|| columns.iter().find(|column| column.column_type == "date"));
        let partition_by = time.map(|time| format!("day({})", time.name));
        let mut notes = Vec::new();
        if let Some(first) = sample.first_odd {
            notes.push(format!(
                "{} no JSON object (the first is line {first}) and would become dead letters",
                if sample.odd_lines == 1 {
                    "1 line is".to_owned()
                } else {
                    format!("{} lines are", sample.odd_lines)
                }
            ));
        }
        if left > 0 {
            notes.push(format!(
                "{left} more fields have no column: their values go to `_rescued`"
            ));
        }
        if partition_by.is_none() {
            notes.push(
                "no time was seen to partition by: every query will read the whole table"
                    .to_owned(),
            );
        }
        Self {
            of: counted(sample.records, "record"),
            head: vec![
                format!("{name}: one JSON object a line, as seen in {}.", counted(sample.records, "record")),
                "No column is required: with `required = true`, a record without it becomes a dead letter.".to_owned(),
                "Fields without a column are kept in the column `_rescued`.".to_owned(),
            ],
            kind: "json",
            format: quoted("json"),
            start: None,
            columns,
            partition_by,
            notes,
        }
    }

    fn raw(sample: &Sample, name: &str) -> Self {
        let column = |name: &str, from: &str, column_type: &str| GuessedColumn {
            name: name.to_owned(),
            from: Some(from.to_owned()),
            column_type: column_type.to_owned(),
            parse: None,
            note: None,
        };
        let mut notes = vec!["the sample is of no format that frazil knows: each line becomes one text; `regex` or `grok` would take it apart".to_owned()];
        if sample.begins_as_json && sample.records == 0 {
            notes.push(
                "if it is one JSON document over many lines, `jq -c .` makes lines of it; then run init again".to_owned(),
            );
        }
        Self {
            of: counted(sample.lines, "line"),
            head: vec![format!(
                "{name}: lines of text, kept as they are, with the time at which frazil read them."
            )],
            kind: "raw",
            format: quoted("raw"),
            start: None,
            columns: vec![
                column("line", "$raw", "string"),
                column("ingested_at", "$ingested_at", "timestamptz"),
            ],
            partition_by: Some("day(ingested_at)".to_owned()),
            notes,
        }
    }

    fn render(&self) -> String {
        let head: Vec<&String> = self.head.iter().chain(&self.notes).collect();
        render(
            &head,
            (&self.format, self.start.as_deref()),
            self.partition_by.as_deref(),
            &self.columns,
        )
    }
}

/// A dataset file.
fn render(
    head: &[&String],
    (format, start): (&str, Option<&str>),
    partition_by: Option<&str>,
    columns: &[GuessedColumn],
) -> String {
    let mut lines: Vec<String> = head.iter().map(|line| format!("# {line}")).collect();
    lines.push(format!("format = {format}"));
    lines.extend(start.map(|start| format!("multiline = {{ start = '{start}' }}")));
    lines.extend(partition_by.map(|by| format!("partition_by = [{}]", quoted(by))));
    lines.push("columns = [".to_owned());
    for column in columns {
        let mut keys = vec![
            ("name", column.name.as_str()),
            ("type", column.column_type.as_str()),
        ];
        keys.extend(column.from.as_deref().map(|from| ("from", from)));
        keys.extend(column.parse.map(|parse| ("parse", parse)));
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(key, value)| format!("{key} = {}", quoted(value)))
            .collect();
        let note = column
            .note
            .as_ref()
            .map_or(String::new(), |note| format!("  # {note}"));
        lines.push(format!("  {{ {} }},{note}", keys.join(", ")));
    }
    lines.push("]\n".to_owned());
    lines.join("\n")
}

/// `text` as a TOML basic string.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", c as u32),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests;
