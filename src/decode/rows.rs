//! The rows of a block under construction: values in slots, then columns, then a batch.
//!
//! A decoder fills the slots of one row after another ([`Rows::begin`]); a row that turns out to be
//! no record is let go ([`Rows::abandon`]). Some rows at a time, the slots are coerced column by
//! column. A column takes exactly one value a row, also of a row that dies in another column; dead
//! rows are filtered out of all columns at the end, so nothing can get out of step.

use std::ops::Range;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_select::filter::FilterBuilder;
use bytes::Bytes;
use frazil_table::commit::Counts;

use super::plan::{Plan, Source};
use crate::{
    coerce::{Ledger, Slot},
    record::{Messages, Oversize, Reasons, RecordBlock, Reject, RejectedMessage, RowBlock},
};

mod fields;
mod fill;

use fields::Fixed;

pub(super) use fill::special_name;
use fill::{Context, Sink, chosen, pop_path, push_path};

/// How many rows are coerced at a time: few enough that their slots and text stay in the cache.
pub(super) const CHUNK_ROWS_MAX: usize = 128;

/// How much of a value a dead letter's detail quotes.
const QUOTE_CHARACTERS_MAX: usize = 40;

/// A record that became a row.
#[derive(Debug, Clone)]
struct RowRecord {
    /// Its index in the block's records.
    record: u32,
    /// What of it counts.
    text: Range<u32>,
    /// Its number, where a record of the source holds several.
    part: Option<u32>,
}

/// Rows under construction.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) plan: Plan,
    pub(super) ledger: Ledger,
    /// The slots of the rows that are not coerced yet, `plan.slots` a row.
    pub(super) slots: Vec<Slot>,
    records: Vec<RowRecord>,
    /// How many of `records` are coerced.
    coerced: usize,
    dead: Vec<Dead>,
    rejects: Vec<Reject>,
    /// Values passed over for one that comes earlier in a column's `from`.
    passed: Vec<Passed>,
    scratch: String,
    /// The block's bytes and, behind them, text that does not stand so in it; empty while there is none.
    text: Vec<u8>,
    fixed: Fixed,
    /// How many more records there are than the source has.
    parts_beyond: i64,
}

/// A row that cannot be one.
#[derive(Debug)]
struct Dead {
    row: u32,
    reason: &'static str,
    detail: String,
}

#[derive(Debug)]
struct Passed {
    row: u32,
    column: u32,
    source: u32,
}

impl Rows {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            ledger: Ledger::new(plan.unknown_fields),
            plan,
            slots: Vec::new(),
            records: Vec::new(),
            coerced: 0,
            dead: Vec::new(),
            rejects: Vec::new(),
            passed: Vec::new(),
            scratch: String::new(),
            text: Vec::new(),
            fixed: Fixed::default(),
            parts_beyond: 0,
        }
    }

    /// Begins a row for a record; its slots are the last `plan.slots` of `slots`, all missing.
    pub(super) fn begin(&mut self, record: usize, text: &Range<usize>) {
        self.begin_part(record, text, None);
    }

    /// As [`Rows::begin`], for one of several records that the source has as one.
    pub(super) fn begin_part(&mut self, record: usize, text: &Range<usize>, part: Option<u32>) {
        self.ledger.begin(self.records.len() as u32, text.len());
        self.records.push(RowRecord {
            record: record as u32,
            text: text.start as u32..text.end as u32,
            part,
        });
        let length = self.slots.len() + self.plan.slots;
        self.slots.resize(length, Slot::MISSING);
    }

    /// Ends a row; some rows at a time are coerced.
    pub(super) fn end(&mut self, block: &RecordBlock, ingested_at_micros: i64) {
        if self.records.len() - self.coerced >= CHUNK_ROWS_MAX {
            self.coerce(block, ingested_at_micros);
        }
    }

    /// Lets the row that was begun last go.
    pub(super) fn abandon(&mut self) {
        self.records.pop();
        let length = self.slots.len().saturating_sub(self.plan.slots);
        self.slots.truncate(length);
    }

    /// A record that is no row.
    pub(super) fn reject(
        &mut self,
        block: &RecordBlock,
        record: usize,
        reason: &'static str,
        detail: String,
    ) {
        self.rejects.push(reject(block, record, reason, detail));
    }

    /// One of several records that the source has as one, that is no row.
    pub(super) fn reject_part(
        &mut self,
        block: &RecordBlock,
        record: usize,
        (part, text): (u32, &Range<usize>),
        reason: &'static str,
        detail: String,
    ) {
        let whole = reject(block, record, reason, detail);
        self.rejects.push(cut_out(whole, block, part, text));
    }

    /// A record of the source holds so many.
    pub(super) fn count_parts(&mut self, parts: u64) {
        self.parts_beyond += parts as i64 - 1;
    }

    /// A record of which only a prefix was kept.
    pub(super) fn reject_oversize(&mut self, block: &RecordBlock, oversize: &Oversize) {
        let Oversize {
            record,
            length,
            hash,
        } = oversize;
        let kept = block.records[*record as usize].length;
        let detail = format!(
            "{length} bytes are over the limit of a record; the first {kept} are kept; XXH3 of all: {hash:032x}"
        );
        let mut reject = reject(block, *record as usize, "too_long", detail);
        reject.record_length = *length;
        reject.truncated = true;
        self.rejects.push(reject);
    }

    /// Coerces the rows that are only slots yet.
    fn coerce(&mut self, block: &RecordBlock, ingested_at_micros: i64) {
        let text = std::mem::take(&mut self.text);
        let bytes = if text.is_empty() {
            &block.bytes[..]
        } else {
            &text[..]
        };
        let context = Context {
            block,
            bytes,
            names: &self.fixed.names,
            ingested_at_micros,
            first: self.coerced,
            width: self.plan.slots,
            rescue: self.plan.rescued.is_some(),
        };
        for (number, column) in self.plan.columns.iter_mut().enumerate() {
            let mut sink = Sink {
                records: &self.records,
                ledger: &mut self.ledger,
                dead: &mut self.dead,
                passed: &mut self.passed,
                scratch: &mut self.scratch,
            };
            match &column.sources[..] {
                [Source::Field { slot, .. }] => {
                    context.coerce_field(column, *slot as usize, &self.slots, &mut sink);
                }
                _ => context.coerce_sources(column, number, &self.slots, &mut sink),
            }
        }
        self.rescue_passed(bytes);
        self.coerced = self.records.len();
        self.slots.clear();
        self.text = text;
        self.text.truncate(block.bytes.len());
    }

    /// Rescues the values that a column passed over, unless another column took them.
    fn rescue_passed(&mut self, bytes: &[u8]) {
        let passed = std::mem::take(&mut self.passed);
        let width = self.plan.slots;
        for Passed {
            row,
            column,
            source,
        } in &passed
        {
            let column = &self.plan.columns[*column as usize];
            let Source::Field {
                slot, path, shared, ..
            } = &column.sources[*source as usize]
            else {
                continue;
            };
            let slots = &self.slots[(*row as usize - self.coerced) * width..][..width];
            let taken_elsewhere = *shared
                && self.plan.columns.iter().any(|other| {
                    chosen(&other.sources, slots).is_some_and(|one| {
                        matches!(&other.sources[one], Source::Field { slot: taken, .. } if taken == slot)
                    })
                });
            if !taken_elsewhere {
                let held = slots[*slot as usize];
                let record = &self.records[*row as usize].text;
                self.ledger.begin(*row, record.len());
                push_path(&mut self.ledger, path, &held, bytes, &self.fixed.names);
                self.ledger.rescue(held.value(bytes), "shadowed");
                pop_path(&mut self.ledger, path);
            }
        }
    }

    /// The block's rows and rejects.
    pub(super) fn finish(&mut self, block: &RecordBlock, ingested_at_micros: i64) -> RowBlock {
        self.coerce(block, ingested_at_micros);
        self.text.clear();
        let dead = self.bury(block);
        let rows = std::mem::take(&mut self.records).len();
        self.coerced = 0;
        let mut reasons = Reasons::default();
        let (batch, rows_rescued) = self.batch(rows, &dead);
        self.ledger.settle(&dead, &mut reasons);
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.sort_by_key(|reject| (reject.position, reject.index));
        for reject in &rejects {
            *reasons.dead.entry(reject.reason).or_default() += 1;
        }
        let filtered = block.messages.as_ref().map_or(0, |all| all.tombstones);
        let records = (batch.num_rows() + rejects.len()) as u64 + filtered;
        let parts_beyond = std::mem::take(&mut self.parts_beyond);
        RowBlock {
            source: block.source.clone(),
            range: block.range.clone(),
            identity: block.identity.clone(),
            counts: Counts {
                records_read: records,
                source_records: records.saturating_add_signed(-parts_beyond),
                rows_written: batch.num_rows() as u64,
                rows_rescued,
                dead_letters: rejects.len() as u64,
                filtered,
                ..Counts::default()
            },
            rows: batch,
            rejects,
            reasons,
        }
    }

    /// Makes rejects of the dead rows, each once, and gives their numbers in ascending order.
    fn bury(&mut self, block: &RecordBlock) -> Vec<u32> {
        if self.plan.rescued.is_none() {
            for (row, path, reason) in self.ledger.rescued_rows() {
                let detail = format!("the value at {path:?} fits no column, and rescued = false");
                self.dead.push(Dead {
                    row,
                    reason,
                    detail,
                });
            }
        }
        let mut dead = std::mem::take(&mut self.dead);
        // Stable: of several reasons, the first stands.
        dead.sort_by_key(|one| one.row);
        dead.dedup_by_key(|one| one.row);
        let mut numbers = Vec::with_capacity(dead.len());
        for one in dead {
            numbers.push(one.row);
            let RowRecord { record, text, part } = &self.records[one.row as usize];
            let whole = reject(block, *record as usize, one.reason, one.detail);
            self.rejects.push(match part {
                None => whole,
                Some(part) => {
                    let text = text.start as usize..text.end as usize;
                    cut_out(whole, block, *part, &text)
                }
            });
        }
        numbers
    }

    fn batch(&mut self, rows: usize, dead: &[u32]) -> (RecordBatch, u64) {
        let mut arrays: Vec<ArrayRef> = self
            .plan
            .columns
            .iter_mut()
            .map(|column| column.target.finish())
            .collect();
        let mut rows_rescued = 0;
        if let Some(place) = self.plan.rescued {
            let (rescued, count) = self.ledger.column(rows as u32, dead);
            arrays.insert(place, rescued);
            rows_rescued = count;
        }
        if !dead.is_empty() {
            let mut live = vec![true; rows];
            for row in dead {
                live[*row as usize] = false;
            }
            let filter = FilterBuilder::new(&BooleanArray::from(live))
                .optimize()
                .build();
            for array in &mut arrays {
                *array = filter
                    .filter(array)
                    .expect("every column has one value for each row");
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows - dead.len()));
        let schema = self.plan.schema.clone();
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
            .expect("the columns were built for this schema, and null only where it allows");
        (batch, rows_rescued)
    }
}

fn reject(block: &RecordBlock, record: usize, reason: &'static str, detail: String) -> Reject {
    let span = &block.records[record];
    // Copied, since a slice would keep the whole block in memory until the checkpoint.
    let bytes = Bytes::copy_from_slice(block.record(span));
    Reject {
        position: span.position,
        index: 0,
        reason,
        detail,
        record_length: bytes.len() as u64,
        record: bytes,
        truncated: false,
        message: block
            .messages
            .as_ref()
            .map(|messages| Box::new(rejected_message(messages, record))),
    }
}

/// The reject of a part of a record.
fn cut_out(whole: Reject, block: &RecordBlock, part: u32, text: &Range<usize>) -> Reject {
    Reject {
        index: part,
        record: Bytes::copy_from_slice(&block.bytes[text.clone()]),
        record_length: text.len() as u64,
        ..whole
    }
}

fn rejected_message(messages: &Messages, record: usize) -> RejectedMessage {
    RejectedMessage {
        timestamp_ms: messages.of_records[record].timestamp_ms,
        key: messages.key(record).map(Bytes::copy_from_slice),
        headers: messages
            .headers_of(record)
            .map(|(name, value)| {
                let value = value.map(Bytes::copy_from_slice);
                (Bytes::copy_from_slice(name), value)
            })
            .collect(),
    }
}
