//! What a run did, told at its end.

use std::time::Duration;

use frazil::pipeline::{Progress, WriteReport};
use frazil_dataset::Dataset;
use frazil_table::commit::Counts;
use indicatif::HumanCount;
use serde_json::json;

use crate::cli::{
    exit::Exit,
    output::{Output, counted},
};

/// More data files of a run than this, with fewer rows each than that, and it is told: every query
/// opens each of them.
const FILES_MANY: u64 = 100;
const ROWS_FEW: u64 = 1_000;

/// Exit 4: more dead letters than the limit, or dead letters and not one row, unless somebody accepted them.
pub(super) fn verdict(dataset: &Dataset, counts: &Counts, accepted: bool) -> Exit {
    if counts.dead_letters == 0 || accepted {
        return Exit::Done;
    }
    let share = counts.dead_letters as f64 / counts.records_read.max(1) as f64;
    if counts.rows_written == 0 || share > dataset.limits.dead_letters_max.0 {
        Exit::DeadLetters
    } else {
        Exit::Done
    }
}

/// Tells what a run did: to people, or as one line of JSON.
pub(super) fn tell(
    dataset: &Dataset,
    report: &WriteReport,
    progress: &Progress,
    took: Duration,
    json: bool,
    out: &mut Output,
) -> anyhow::Result<()> {
    let committed = &progress.committed;
    let counts = &committed.counts;
    let unchecked = progress.dedup.map_or(0, |dedup| dedup.unchecked);
    if json {
        return out.json(&json!({
            "dataset": dataset.name,
            "table": dataset.table.to_string(),
            "records_read": counts.records_read,
            "source_records": counts.source_records,
            "rows_written": counts.rows_written,
            "rows_rescued": counts.rows_rescued,
            "dead_letters": counts.dead_letters,
            "duplicates": counts.duplicates,
            "dedup_unchecked": unchecked,
            "filtered": counts.filtered,
            "reasons": committed.reasons.dead,
            "rescued_reasons": committed.reasons.rescued,
            "ignored_fields": committed.reasons.ignored_fields,
            "cut_times": committed.reasons.cut_times,
            "data_files": committed.data_files,
            "commits": committed.commits,
            "snapshot_id": committed.snapshot_id.map(|id| id.to_string()),
            "metadata_location": report.metadata_location,
            "stopped": report.stopped,
            "notes": report.notes,
            "failed_sources": report.failed_sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "seconds": took.as_secs_f64(),
        }));
    }
    for note in &report.notes {
        out.line(format!("  {note}"))?;
    }
    out.line(format!(
        "{}: {} records = {} rows + {} dead letters + {} duplicates + {} filtered",
        dataset.name,
        HumanCount(counts.records_read),
        HumanCount(counts.rows_written),
        HumanCount(counts.dead_letters),
        HumanCount(counts.duplicates),
        HumanCount(counts.filtered),
    ))?;
    if counts.rows_rescued > 0 {
        let column = dataset.rescued.as_deref().unwrap_or("_rescued");
        out.line(format!(
            "  {} rows have values in {column}: {}",
            HumanCount(counts.rows_rescued),
            listed(&committed.reasons.rescued)
        ))?;
    }
    if unchecked > 0 {
        out.line(format!(
            "  {} rows were not looked up for duplicates: outside of the window of [dedup], or without a time",
            HumanCount(unchecked)
        ))?;
    }
    if counts.dead_letters > 0 {
        out.line(format!(
            "  dead letters: {}; see `frazil rejects {}`",
            listed(&committed.reasons.dead),
            dataset.name
        ))?;
    }
    if committed.reasons.ignored_fields > 0 {
        out.line(format!(
            "  {} fields that no column takes were dropped (unknown_fields = \"ignore\")",
            HumanCount(committed.reasons.ignored_fields)
        ))?;
    }
    if committed.reasons.cut_times > 0 {
        out.line(format!(
            "  {} times lost digits finer than a microsecond",
            HumanCount(committed.reasons.cut_times)
        ))?;
    }
    if report.stopped {
        out.line("  stopped by a signal before the end of the input; start it again to go on")?;
    }
    if committed.data_files > FILES_MANY && counts.rows_written / committed.data_files < ROWS_FEW {
        let partition_by = dataset.partition_by.iter().map(ToString::to_string);
        out.line(format!(
            "  many small files: {} rows each; partition_by = [{}] may be too fine for this input, and checkpoints too frequent",
            counts.rows_written / committed.data_files,
            partition_by.collect::<Vec<_>>().join(", ")
        ))?;
    }
    let snapshot = match committed.snapshot_id {
        Some(id) => format!(
            "{} in {}, snapshot {id}",
            counted(committed.data_files, "data file"),
            counted(committed.commits, "commit")
        ),
        None => "nothing new to commit".to_owned(),
    };
    out.line(format!("  {snapshot}, {:.1} s", took.as_secs_f64()))?;
    if let Some(location) = &report.metadata_location {
        out.line(format!(
            "  frazil sql 'SELECT * FROM {} LIMIT 10'",
            dataset.table
        ))?;
        out.line(format!(
            "  DuckDB: SELECT count(*) FROM iceberg_scan('{location}');"
        ))?;
    }
    Ok(())
}

fn listed(reasons: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let mut by_count: Vec<_> = reasons.iter().collect();
    by_count.sort_by(|a, b| b.1.cmp(a.1));
    let texts: Vec<String> = by_count
        .iter()
        .map(|(reason, count)| format!("{reason} {}", HumanCount(**count)))
        .collect();
    texts.join(", ")
}
