//! `frazil rejects`: why records became dead letters and values were rescued, most frequent first,
//! one sample each.

use std::collections::HashMap;

use anyhow::Context as _;
use arrow_array::{RecordBatch, cast::AsArray as _, types::Int64Type};
use frazil::pipeline::{StoppedSamples, stopped_samples};
use frazil_table::catalog::LoadedTable;
use futures::TryStreamExt as _;
use iceberg::expr::Reference;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Context,
    exit::Exit,
    output::{Align, Grid, Output, clipped, counted, grouped, timestamp},
    read,
    rescued::rescued_values,
};

/// How many reasons are kept count of: paths come from data, and data may hold any number of them.
const REASONS_MAX: usize = 10_000;

/// How much of a sample is shown to people.
const SAMPLE_CHARS_MAX: usize = 80;

/// Show why records became dead letters and values were rescued
///
/// Reads the dead-letter table and the rescued column, groups by reason, and shows one sample of each,
/// the most frequent first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RejectsArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// How many reasons to show of each kind
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

const EXAMPLES: &str = "Examples:
  frazil rejects web
  frazil rejects web --json --limit 100
All of them: frazil sql 'SELECT * FROM web__dead_letters'";

/// Runs the command.
pub(crate) async fn run(
    args: &RejectsArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let table = context
        .table(catalog.as_ref(), &dataset.name, &dataset.table)
        .await?;
    let name = dataset.table.dead_letters();
    let dead_table = catalog
        .load(&name)
        .await
        .with_context(|| format!("load table {name}"))?;
    let dead = match &dead_table {
        Some(table) => dead_letters(table)
            .await
            .with_context(|| format!("read table {name}"))?,
        None => Tally::default(),
    };
    let rescued = match &dataset.rescued {
        Some(column) => rescued(&table, column)
            .await
            .with_context(|| format!("read table {}", dataset.table))?,
        None => Tally::default(),
    };
    let stopped = match &dead_table {
        Some(dead) => stopped(&table, dead).await?,
        None => None,
    };
    let pending = read::outbox_pending(read::state(&table)?.as_ref(), dead_table.as_ref());
    let report = Report {
        dataset: &dataset.name,
        dead_letters: dead.records,
        rows_rescued: rescued.records,
        dead_letters_pending: pending,
        stopped,
        reasons: dead.top(args.limit),
        rescued_reasons: rescued.top(args.limit),
    };
    if context.json {
        out.json(&report)?;
    } else {
        report.print(out)?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Report<'r> {
    dataset: &'r str,
    dead_letters: u64,
    rows_rescued: u64,
    /// Checkpoints whose dead letters are still on their way into the dead-letter table.
    dead_letters_pending: u64,
    /// One record of each reason of a checkpoint that was not committed, where nothing was since.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<StoppedSamples>,
    reasons: Vec<Tallied>,
    rescued_reasons: Vec<Tallied>,
}

/// The samples of a stop, as long as the table has no later snapshot.
pub(super) async fn stopped(
    table: &LoadedTable,
    dead: &LoadedTable,
) -> anyhow::Result<Option<StoppedSamples>> {
    let samples = stopped_samples(dead).await.map_err(anyhow::Error::msg)?;
    let snapshot = table.metadata.current_snapshot();
    let last_micros = snapshot.map_or(0, |one| one.timestamp_ms() * 1_000);
    Ok(samples.filter(|samples| samples.at_micros >= last_micros))
}

/// One reason, or one reason at one path.
#[derive(Debug, Clone, Serialize)]
struct Tallied {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    count: u64,
    #[serde(flatten)]
    sample: Sample,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Sample {
    DeadLetter {
        source: String,
        offset: i64,
        detail: String,
        record: String,
    },
    Value {
        value: Box<RawValue>,
    },
}

/// Reasons and how often each occurred, in bounded memory.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    reasons: HashMap<(String, Option<String>), Tallied>,
}

impl Tally {
    fn add(&mut self, reason: &str, path: Option<&str>, sample: impl FnOnce() -> Sample) {
        let mut key = (reason.to_owned(), path.map(str::to_owned));
        if self.reasons.len() >= REASONS_MAX && !self.reasons.contains_key(&key) {
            key.1 = path.map(|_| "(other paths)".to_owned());
        }
        let entry = self
            .reasons
            .entry(key)
            .or_insert_with_key(|(reason, path)| Tallied {
                reason: reason.clone(),
                path: path.clone(),
                count: 0,
                sample: sample(),
            });
        entry.count += 1;
    }

    fn top(self, limit: usize) -> Vec<Tallied> {
        let mut list: Vec<_> = self.reasons.into_values().collect();
        list.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| (&a.reason, &a.path).cmp(&(&b.reason, &b.path)))
        });
        list.truncate(limit);
        list
    }
}

async fn dead_letters(table: &LoadedTable) -> anyhow::Result<Tally> {
    let readable = read::scannable(table)?;
    let columns = ["source", "offset", "reason", "detail", "record"];
    let mut batches = readable.scan().select(columns).build()?.to_arrow().await?;
    let mut tally = Tally::default();
    while let Some(batch) = batches.try_next().await? {
        tally_dead_letters(&batch, &mut tally)?;
    }
    Ok(tally)
}

fn tally_dead_letters(batch: &RecordBatch, tally: &mut Tally) -> anyhow::Result<()> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .with_context(|| format!("find column {name}"))
    };
    let text = |name: &str| {
        anyhow::Ok(
            column(name)?
                .as_string_opt::<i32>()
                .with_context(|| format!("read column {name} as text"))?,
        )
    };
    let (source, reason, detail) = (text("source")?, text("reason")?, text("detail")?);
    let offset = column("offset")?
        .as_primitive_opt::<Int64Type>()
        .context("read column offset as long")?;
    let record = arrow_cast::cast(column("record")?, &arrow_schema::DataType::LargeBinary)?;
    let record = record.as_binary::<i64>();
    tally.records += batch.num_rows() as u64;
    for row in 0..batch.num_rows() {
        tally.add(reason.value(row), None, || Sample::DeadLetter {
            source: source.value(row).to_owned(),
            offset: offset.value(row),
            detail: detail.value(row).to_owned(),
            record: String::from_utf8_lossy(record.value(row)).into_owned(),
        });
    }
    Ok(())
}

async fn rescued(table: &LoadedTable, column: &str) -> anyhow::Result<Tally> {
    let readable = read::scannable(table)?;
    let mut tally = Tally::default();
    if table
        .metadata
        .current_schema()
        .field_by_name(column)
        .is_none()
    {
        return Ok(tally);
    }
    let not_null = Reference::new(column).is_not_null();
    let mut batches = readable
        .scan()
        .select([column])
        .with_filter(not_null)
        .build()?
        .to_arrow()
        .await?;
    while let Some(batch) = batches.try_next().await? {
        let texts = batch
            .column(0)
            .as_string_opt::<i32>()
            .with_context(|| format!("read column {column} as text"))?;
        for text in texts.iter().flatten() {
            tally.records += 1;
            tally_rescued(text, &mut tally);
        }
    }
    Ok(tally)
}

fn tally_rescued(text: &str, tally: &mut Tally) {
    let Some(values) = rescued_values(text) else {
        // Another's column of that name, or a hand that wrote to it.
        return tally.add("unreadable", None, || Sample::Value {
            value: to_raw_value(text).unwrap_or_default(),
        });
    };
    for one in values {
        tally.add(&one.reason, Some(&one.path), || Sample::Value {
            // Its very text: a number in it may be more than any reader holds.
            value: RawValue::from_string(one.value).unwrap_or_default(),
        });
    }
}

impl Report<'_> {
    fn print(&self, out: &mut Output) -> anyhow::Result<()> {
        if let Some(stopped) = &self.stopped {
            let at = timestamp(stopped.at_micros / 1_000);
            out.line(format!(
                "Writing stopped at {at} with too many dead letters; nothing of that checkpoint is committed. One of each reason:"
            ))?;
            for one in &stopped.samples {
                out.line(format!(
                    "  {}: {} ({}, {})",
                    one.reason,
                    clipped(&one.detail, SAMPLE_CHARS_MAX),
                    one.source,
                    one.position
                ))?;
                out.line(format!("    {}", clipped(&one.record, SAMPLE_CHARS_MAX)))?;
            }
        }
        if self.dead_letters_pending > 0 {
            out.line(format!(
                "The dead letters of {} are not in their table yet; the next write brings them in.",
                counted(self.dead_letters_pending, "checkpoint")
            ))?;
        }
        if self.dead_letters == 0 && self.rows_rescued == 0 {
            return out.line(format!(
                "{}: no dead letters, and nothing rescued",
                self.dataset
            ));
        }
        out.line(format!(
            "{}: {}",
            self.dataset,
            counted(self.dead_letters, "dead letter")
        ))?;
        if !self.reasons.is_empty() {
            let mut grid = Grid::new(&[
                ("count", Align::Right),
                ("reason", Align::Left),
                ("detail", Align::Left),
                ("where", Align::Left),
                ("sample", Align::Left),
            ]);
            for one in &self.reasons {
                if let Sample::DeadLetter {
                    source,
                    offset,
                    detail,
                    record,
                } = &one.sample
                {
                    grid.row([
                        grouped(one.count),
                        one.reason.clone(),
                        clipped(detail, SAMPLE_CHARS_MAX),
                        format!("{source} at {}", grouped(offset.unsigned_abs())),
                        clipped(record, SAMPLE_CHARS_MAX),
                    ]);
                }
            }
            grid.print(out)?;
        }
        out.line(format!(
            "{}: {} with rescued values",
            self.dataset,
            counted(self.rows_rescued, "row")
        ))?;
        if !self.rescued_reasons.is_empty() {
            let mut grid = Grid::new(&[
                ("count", Align::Right),
                ("path", Align::Left),
                ("reason", Align::Left),
                ("sample", Align::Left),
            ]);
            for one in &self.rescued_reasons {
                if let Sample::Value { value } = &one.sample {
                    let path = one.path.clone().unwrap_or_default();
                    grid.row([
                        grouped(one.count),
                        path,
                        one.reason.clone(),
                        clipped(value.get(), SAMPLE_CHARS_MAX),
                    ]);
                }
            }
            grid.print(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescued_values_are_counted_by_path_and_reason() {
        let mut tally = Tally::default();
        tally_rescued(
            r#"{"a":{"value":12345678901234567890123,"reason":"too_big"},"b":[{"value":1,"reason":"unknown_field"},{"value":2,"reason":"duplicate_key"}]}"#,
            &mut tally,
        );
        tally_rescued(r#"{"a":{"value":"x","reason":"too_big"}}"#, &mut tally);
        tally_rescued("no json", &mut tally);
        let top: Vec<_> = tally
            .top(2)
            .into_iter()
            .map(|one| (one.reason, one.path, one.count))
            .collect();
        assert_eq!(
            top,
            [
                ("too_big".to_owned(), Some("a".to_owned()), 2),
                ("duplicate_key".to_owned(), Some("b".to_owned()), 1)
            ]
        );
    }

    #[test]
    fn any_number_of_paths_fits_in_memory() {
        let mut tally = Tally::default();
        for path in 0..REASONS_MAX + 100 {
            tally.add("unknown_field", Some(&path.to_string()), || Sample::Value {
                value: Box::default(),
            });
        }
        assert_eq!(tally.reasons.len(), REASONS_MAX + 1);
        assert_eq!(tally.top(1)[0].count, 100);
    }
}
