//! A sample through source and decoder.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use arrow_array::{Array as _, cast::AsArray as _};
use arrow_schema::SchemaRef;
use frazil::{
    decode::{Decoder, decoder},
    record::{RecordBlock, RowBlock},
    source::{BlockOptions, Known, LocalFileSystem, ReadOptions, SourceReader, expand, identify},
};
use frazil_dataset::{Dataset, Format};
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
    let mut options = ReadOptions::default();
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
        run.read(SourceReader::open_file(Arc::clone(&fs) as _, file, options))
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
            lines_before += block.records.len() as u64;
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
                found.place(lines.place(at), &reject.detail, &reject.record);
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
            self.dataset.format == Format::Json
                && block
                    .record(&block.records[at])
                    .iter()
                    .all(u8::is_ascii_whitespace)
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
                        lines.place(at),
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

/// Where a block's records are, for people.
struct Lines<'s> {
    source: &'s str,
    before: u64,
}

impl Lines<'_> {
    fn place(&self, record: usize) -> Place {
        Place {
            source: self.source.to_owned(),
            line: self.before + record as u64 + 1,
        }
    }
}
