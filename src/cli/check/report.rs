//! What a check found: counts, reasons with the lines of the first ones, and the first rows.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow_cast::{
    display::{ArrayFormatter, FormatOptions},
    pretty::pretty_format_batches,
};
use arrow_schema::ArrowError;
use frazil_table::commit::Counts;
use serde::Serialize;
use serde_json::json;

use crate::cli::{
    output::{self, Output, clipped, counted, grouped},
    rows::{printable, printable_schema},
};

/// How many lines are named of a reason.
const LINES_MAX: usize = 5;

/// How many of the first rows are shown.
pub(super) const PREVIEW_ROWS_MAX: usize = 5;

/// How much of a record or value is shown.
const SAMPLE_CHARS_MAX: usize = 160;

/// How much of a value of the first rows is shown.
const CELL_CHARS_MAX: usize = 40;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) counts: Counts,
    pub(super) dead: BTreeMap<String, Reason>,
    pub(super) rescued: BTreeMap<String, Reason>,
    pub(super) ignored_fields: u64,
    pub(super) cut_times: u64,
    pub(super) preview: Vec<RecordBatch>,
    pub(super) preview_rows: usize,
}

/// One reason: how often, where first, and what for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reason {
    pub(super) count: u64,
    /// The first lines, each with its file.
    pub(super) lines: Vec<Place>,
    pub(super) detail: String,
    pub(super) sample: String,
}

/// A line of a file, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) source: String,
    pub(super) line: u64,
}

impl Reason {
    /// Whether it wants another place.
    pub(super) fn wants_place(&self) -> bool {
        self.lines.len() < LINES_MAX
    }

    /// Adds a place; the first one's detail and sample stand for all.
    pub(super) fn place(&mut self, place: Place, detail: &str, sample: &[u8]) {
        if !self.wants_place() || self.lines.contains(&place) {
            return;
        }
        if self.lines.is_empty() {
            detail.clone_into(&mut self.detail);
            self.sample = clipped(&String::from_utf8_lossy(sample), SAMPLE_CHARS_MAX);
        }
        self.lines.push(place);
    }
}

impl Report {
    /// The share of records that would become dead letters.
    pub(super) fn dead_share(&self) -> f64 {
        if self.counts.records_read == 0 {
            return 0.0;
        }
        self.counts.dead_letters as f64 / self.counts.records_read as f64
    }

    /// Keeps the first rows.
    pub(super) fn add_preview(&mut self, rows: &RecordBatch) {
        let wanted = (PREVIEW_ROWS_MAX - self.preview_rows).min(rows.num_rows());
        if wanted > 0 {
            let rows = rows.slice(0, wanted);
            let schema = printable_schema(&rows.schema());
            // Only text takes another's place, so this cannot fail; a preview would not be worth failing for.
            self.preview.extend(printable(&rows, &schema));
            self.preview_rows += wanted;
        }
    }

    /// The object for machines.
    pub(super) fn json(&self, dataset: &str, table: &str) -> serde_json::Value {
        let counts = |reasons: &BTreeMap<String, Reason>| -> BTreeMap<String, u64> {
            reasons
                .iter()
                .map(|(reason, found)| (reason.clone(), found.count))
                .collect()
        };
        let samples =
            |reasons: &BTreeMap<String, Reason>| serde_json::to_value(reasons).unwrap_or_default();
        json!({
            "dataset": dataset,
            "table": table,
            "records_read": self.counts.records_read,
            "source_records": self.counts.source_records,
            "rows": self.counts.rows_written,
            "rows_rescued": self.counts.rows_rescued,
            "dead_letters": self.counts.dead_letters,
            "reasons": counts(&self.dead),
            "rescued_reasons": counts(&self.rescued),
            "ignored_fields": self.ignored_fields,
            "cut_times": self.cut_times,
            "samples": { "dead_letters": samples(&self.dead), "rescued": samples(&self.rescued) },
        })
    }

    /// The text for people.
    pub(super) fn print(&self, out: &mut Output) -> anyhow::Result<()> {
        let counts = &self.counts;
        out.line(format!(
            "{} read: {} ({} with rescued values), {}",
            counted(counts.records_read, "record"),
            counted(counts.rows_written, "row"),
            grouped(counts.rows_rescued),
            counted(counts.dead_letters, "dead letter"),
        ))?;
        print_reasons("dead letters", &self.dead, out)?;
        print_reasons("rescued values", &self.rescued, out)?;
        if self.ignored_fields > 0 {
            out.line(format!(
                "\n{} dropped, as `unknown_fields = \"ignore\"` says",
                counted(self.ignored_fields, "unknown field")
            ))?;
        }
        if self.cut_times > 0 {
            out.line(format!(
                "\n{} cut to microseconds",
                counted(self.cut_times, "time")
            ))?;
        }
        if self.preview_rows > 0 {
            out.line("\nThe first rows:")?;
            let rows = self.preview.iter().map(clipped_cells);
            let rows = rows.collect::<Result<Vec<_>, ArrowError>>()?;
            out.line(pretty_format_batches(&rows)?.to_string())?;
        }
        Ok(())
    }
}

/// The rows as text, in which no cell is so long that the others are out of sight.
fn clipped_cells(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = FormatOptions::default()
        .with_display_error(true)
        .with_null("null");
    let schema = rows.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let cell = |row| clipped(&formatter.value(row).to_string(), CELL_CHARS_MAX);
            let texts = StringArray::from_iter_values((0..column.len()).map(cell));
            Ok((field.name().clone(), Arc::new(texts) as ArrayRef))
        });
    RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

fn print_reasons(
    title: &str,
    reasons: &BTreeMap<String, Reason>,
    out: &mut Output,
) -> anyhow::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    out.line(format!("\n{title}:"))?;
    let mut list: Vec<_> = reasons.iter().collect();
    list.sort_by_key(|(reason, found)| (std::cmp::Reverse(found.count), *reason));
    for (reason, found) in list {
        out.line(format!(
            "  {:>8}  {reason}: {}",
            grouped(found.count),
            output::printable(&found.detail)
        ))?;
        let mut places = String::new();
        let mut source = "";
        for place in &found.lines {
            if place.source == source {
                let _ = write!(places, ", {}", place.line);
            } else {
                let gap = if places.is_empty() { "" } else { "; " };
                let _ = write!(places, "{gap}{} line {}", place.source, place.line);
                source = &place.source;
            }
        }
        let more = if found.count > found.lines.len() as u64 {
            ", …"
        } else {
            ""
        };
        out.line(format!("            {places}{more}"))?;
        out.line(format!("            {}", output::printable(&found.sample)))?;
    }
    Ok(())
}
