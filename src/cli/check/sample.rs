//! A sample through source and decoder.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use arrow_array::{Array as _, cast::AsArray as _};
use arrow_schema::SchemaRef;
use frazil::{
    decode::{Decoder, decoder},
    record::{RecordBlock, RowBlock},
    source::{
        BlockOptions, Framing, Known, LocalFileSystem, ReadOptions, SourceReader, expand, identify,
    },
};
use frazil_dataset::Dataset;
use frazil_service::clock::{Clock as _, SystemClock};
use frazil_table::commit::Counts;

use super::report::{Place, Reason, Report};
use crate::cli::rescued::rescued_values;

/// Decodes all of a sample.
pub(super) async fn decode(
    dataset: &Dataset,
    schema: &SchemaRef,
    path: &str,
) -> anyhow::Result<Report> {
    let mut options = ReadOptions {
        framing: Arc::new(Framing::of(dataset)),
        ..ReadOptions::default()
    };
    options.blocks = BlockOptions {
        record_bytes_max: dataset.limits.record_bytes_max as usize,
        ..options.blocks
    };
    let mut run = Run {
        dataset,
        decoder: decoder(dataset, schema)
            .with_context(|| format!("decode for dataset {}", dataset.name))?,
        report: Report::default(),
    };
    if path == "-" {
        run.read(SourceReader::standard_input(1, options)).await?;
        return Ok(run.report);
    }
    let fs = Arc::new(LocalFileSystem);
    let given = expand(&[path.to_owned()], fs.as_ref())?;
    let none = BTreeMap::new();
    let plan = identify(
        &given,
        Known {
            sources: &none,
            sources_version: 0,
        },
        0,
        fs.as_ref(),
    )?;
    for file in &plan.read {
        let fs = Arc::clone(&fs) as _;
        run.read(SourceReader::open_file(fs, file, options.clone()))
            .await?;
    }
    Ok(run.report)
}

struct Run<'d> {
    dataset: &'d Dataset,
    decoder: Box<dyn Decoder>,
    report: Report,
}

impl Run<'_> {
    async fn read(&mut self, mut reader: SourceReader) -> anyhow::Result<()> {
        let source = reader.info().name.to_string();
        let mut lines_before = 0;
        while let Some(block) = reader.next_block().await? {
            let rows = self.decoder.decode(&block, SystemClock.now_micros());
            self.add(
                &block,
                &rows,
                &Lines {
                    source: &source,
                    before: lines_before,
                },
            );
            lines_before += lines(&block);
        }
        Ok(())
    }

    fn add(&mut self, block: &RecordBlock, rows: &RowBlock, lines: &Lines<'_>) {
        let report = &mut self.report;
        add(&mut report.counts, &rows.counts);
        report.ignored_fields += rows.reasons.ignored_fields;
        report.cut_times += rows.reasons.cut_times;
        for (reason, count) in &rows.reasons.dead {
            report.dead.entry((*reason).to_owned()).or_default().count += count;
        }
        for (reason, count) in &rows.reasons.rescued {
            report
                .rescued
                .entry((*reason).to_owned())
                .or_default()
                .count += count;
        }
        report.add_preview(&rows.rows);
        for reject in &rows.rejects {
            let found = report.dead.entry(reject.reason.to_owned()).or_default();
            if found.wants_place() {
                let at = block
                    .records
                    .partition_point(|record| record.position < reject.position);
                found.place(lines.place(block, at), &reject.detail, &reject.record);
            }
        }
        if rows.counts.rows_rescued > 0 && report.rescued.values().any(Reason::wants_place) {
            self.place_rescued(block, rows, lines);
        }
    }

    /// Names the lines of rescued values. Rows do not know their record; where each record gave one
    /// row or one dead letter, counting tells.
    fn place_rescued(&mut self, block: &RecordBlock, rows: &RowBlock, lines: &Lines<'_>) {
        let Some(column) = self
            .dataset
            .rescued
            .as_deref()
            .and_then(|name| rows.rows.column_by_name(name))
        else {
            return;
        };
        let Some(texts) = column.as_string_opt::<i32>() else {
            return;
        };
        let blank = |at: usize| {
            let record = block.record(&block.records[at]);
            self.dataset.format.is_blank(record)
        };
        let rejected = |at: usize| {
            rows.rejects
                .binary_search_by_key(&block.records[at].position, |reject| reject.position)
                .is_ok()
        };
        let of_rows: Vec<_> = (0..block.records.len())
            .filter(|at| !blank(*at) && !rejected(*at))
            .collect();
        if of_rows.len() != rows.rows.num_rows() {
            return;
        }
        for (row, at) in of_rows
            .into_iter()
            .enumerate()
            .filter(|(row, _)| texts.is_valid(*row))
        {
            for one in rescued_values(texts.value(row)).unwrap_or_default() {
                let found = self.report.rescued.entry(one.reason).or_default();
                if found.wants_place() {
                    found.place(
                        lines.place(block, at),
                        &format!("at {}", one.path),
                        one.value.as_bytes(),
                    );
                }
            }
        }
    }
}

fn add(all: &mut Counts, more: &Counts) {
    all.records_read += more.records_read;
    all.source_records += more.source_records;
    all.rows_written += more.rows_written;
    all.rows_rescued += more.rows_rescued;
    all.dead_letters += more.dead_letters;
    all.duplicates += more.duplicates;
    all.filtered += more.filtered;
}

/// How many lines a block takes. One of a record over the limit holds a part of it, and no line end.
fn lines(block: &RecordBlock) -> u64 {
    let ends = memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
    let is_cut = block.range.end - block.range.start > block.bytes.len() as u64;
    ends + u64::from(is_cut)
}

/// Where a block's records are, for people.
struct Lines<'s> {
    source: &'s str,
    before: u64,
}

impl Lines<'_> {
    fn place(&self, block: &RecordBlock, record: usize) -> Place {
        let start = block.records[record].start as usize;
        let before = memchr::memchr_iter(b'\n', &block.bytes[..start]).count();
        Place {
            source: self.source.to_owned(),
            line: self.before + before as u64 + 1,
        }
    }
}
