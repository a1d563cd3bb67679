//! Slots into columns, a column at a time.

use frazil_dataset::SpecialSource;

use super::{Dead, Passed, QUOTE_CHARACTERS_MAX, RowRecord};
use crate::{
    coerce::{Found, Kind, Ledger, Misfit, Run, Slot, Value},
    decode::plan::{ColumnPlan, Source},
    record::{Messages, RecordBlock},
};

/// What coercing some rows takes.
pub(super) struct Context<'a> {
    pub(super) block: &'a RecordBlock,
    /// What the slots' places are in.
    pub(super) bytes: &'a [u8],
    /// The names that all records have in common.
    pub(super) names: &'a [String],
    pub(super) ingested_at_micros: i64,
    /// The first row.
    pub(super) first: usize,
    /// Slots a row.
    pub(super) width: usize,
    /// Whether there is a rescued column.
    pub(super) rescue: bool,
}

/// Where it goes that does not go into the column.
pub(super) struct Sink<'a> {
    pub(super) records: &'a [RowRecord],
    pub(super) ledger: &'a mut Ledger,
    pub(super) dead: &'a mut Vec<Dead>,
    pub(super) passed: &'a mut Vec<Passed>,
    pub(super) scratch: &'a mut String,
}

impl Context<'_> {
    /// A column that takes one field.
    pub(super) fn coerce_field(
        &self,
        column: &mut ColumnPlan,
        slot: usize,
        slots: &[Slot],
        sink: &mut Sink,
    ) {
        let bytes = self.bytes;
        let nested = column.target.is_nested();
        let run = Run {
            slots,
            width: self.width,
            slot,
            bytes,
        };
        let mut done = 0;
        loop {
            done += column.target.append_run(&run, done);
            let row = self.first + done;
            if row >= sink.records.len() {
                return;
            }
            let of_row = &slots[done * self.width..][..self.width];
            done += 1;
            let held = of_row[slot];
            sink.ledger.begin(row as u32, sink.records[row].text.len());
            if nested && !held.kind.is_nothing() {
                self.coerce_nested(column, 0, of_row, row, sink);
                continue;
            }
            let value = held.value(bytes);
            match column.target.append(value, sink.ledger) {
                Err(misfit) => self.misfit(column, 0, &held, value, misfit, row, sink),
                Ok(false) if column.required => missing(column, row, sink),
                Ok(_) => {}
            }
        }
    }

    /// A value with members, whose places the ledger has to know.
    fn coerce_nested(
        &self,
        column: &mut ColumnPlan,
        source: usize,
        of_row: &[Slot],
        row: usize,
        sink: &mut Sink,
    ) {
        let Source::Field {
            slot,
            path,
            members,
            ..
        } = &column.sources[source]
        else {
            return;
        };
        let held = &of_row[*slot as usize];
        let bytes = self.bytes;
        let value = held.value(bytes);
        let mark = sink.ledger.mark();
        let length = column.target.len();
        let found = Found {
            members,
            slots: of_row,
            bytes,
        };
        let mut appended = column.target.append_found(value, &found, sink.ledger);
        if sink.ledger.has_entries_since(mark) {
            // Rarely something is rescued of its members: only then their path is needed, and spelled out.
            sink.ledger.rollback(mark);
            column.target.truncate(length);
            push_path(sink.ledger, path, held, bytes, self.names);
            appended = column.target.append_found(value, &found, sink.ledger);
            pop_path(sink.ledger, path);
        }
        match appended {
            Err(misfit) => self.misfit(column, source, held, value, misfit, row, sink),
            Ok(false) if column.required => missing(column, row, sink),
            Ok(_) => {}
        }
    }

    /// A column that takes the first of several places, or something that is no field.
    pub(super) fn coerce_sources(
        &self,
        column: &mut ColumnPlan,
        number: usize,
        slots: &[Slot],
        sink: &mut Sink,
    ) {
        for row in self.first..sink.records.len() {
            let of_row = &slots[(row - self.first) * self.width..][..self.width];
            sink.ledger.begin(row as u32, sink.records[row].text.len());
            let Some(first) = chosen(&column.sources, of_row) else {
                column.target.push_null();
                if column.required {
                    missing(column, row, sink);
                }
                continue;
            };
            for (other, source) in column.sources.iter().enumerate().skip(first + 1) {
                if let Source::Field { slot, .. } = source
                    && !of_row[*slot as usize].kind.is_nothing()
                {
                    sink.passed.push(Passed {
                        row: row as u32,
                        column: number as u32,
                        source: other as u32,
                    });
                }
            }
            match &column.sources[first] {
                Source::Field { slot, .. } => {
                    let held = &of_row[*slot as usize];
                    let rest = &self.bytes[held.start as usize..];
                    let length = (held.end - held.start) as usize;
                    if !column.target.append_common(held.kind, rest, length) {
                        self.coerce_nested(column, first, of_row, row, sink);
                    }
                }
                Source::Special(special) => {
                    let special = special.clone();
                    self.coerce_special(column, &special, row, sink);
                }
            }
        }
    }

    /// What Kafka tells of the records; nothing of files'.
    fn message(&self) -> Option<&Messages> {
        self.block.messages.as_deref()
    }

    /// What frazil knows of the record.
    fn coerce_special(
        &self,
        column: &mut ColumnPlan,
        special: &SpecialSource,
        row: usize,
        sink: &mut Sink,
    ) {
        let record = &sink.records[row];
        let mut number = std::mem::take(sink.scratch);
        number.clear();
        let mut of = |value: i64| {
            use std::fmt::Write as _;
            let _ = write!(number, "{value}");
        };
        let value = match special {
            SpecialSource::IngestedAt => {
                column.target.append_instant(self.ingested_at_micros);
                *sink.scratch = number;
                return;
            }
            SpecialSource::Topic => Value::new(Kind::Plain, self.block.source.name.as_bytes()),
            SpecialSource::Partition => {
                of(i64::from(self.block.source.partition));
                Value::new(Kind::Number, number.as_bytes())
            }
            SpecialSource::Offset => {
                of(self.block.records[record.record as usize].position as i64);
                Value::new(Kind::Number, number.as_bytes())
            }
            SpecialSource::Raw => Value::new(
                Kind::Plain,
                &self.block.bytes[record.text.start as usize..record.text.end as usize],
            ),
            SpecialSource::Timestamp => {
                let told = self
                    .message()
                    .map(|all| &all.of_records[record.record as usize]);
                if let Some(at_ms) = told.and_then(|message| message.timestamp_ms) {
                    column.target.append_instant(at_ms.saturating_mul(1_000));
                    *sink.scratch = number;
                    return;
                }
                Value::MISSING
            }
            SpecialSource::Key => {
                let key = self
                    .message()
                    .and_then(|all| all.key(record.record as usize));
                key.map_or(Value::MISSING, |key| Value::new(Kind::Plain, key))
            }
            // Of several of a name the last counts, as of fields.
            SpecialSource::Header(name) => self
                .message()
                .and_then(|all| {
                    all.headers_of(record.record as usize)
                        .rfind(|(header, _)| *header == name.as_bytes())
                })
                .and_then(|(_, value)| value)
                .map_or(Value::MISSING, |value| Value::new(Kind::Plain, value)),
        };
        match column.target.append(value, sink.ledger) {
            Ok(false) if column.required => missing(column, row, sink),
            Ok(_) => {}
            Err(misfit) => {
                sink.ledger.path.push_special(special_name(special));
                self.misfit_at_path(column, value, misfit, row, sink);
                sink.ledger.path.pop();
            }
        }
        *sink.scratch = number;
    }

    /// A field's value that does not fit.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one misfit, on a cold path"
    )]
    #[cold]
    fn misfit(
        &self,
        column: &ColumnPlan,
        source: usize,
        held: &Slot,
        value: Value<'_>,
        misfit: Misfit,
        row: usize,
        sink: &mut Sink,
    ) {
        let Source::Field { path, .. } = &column.sources[source] else {
            return;
        };
        push_path(sink.ledger, path, held, self.bytes, self.names);
        self.misfit_at_path(column, value, misfit, row, sink);
        pop_path(sink.ledger, path);
    }

    fn misfit_at_path(
        &self,
        column: &ColumnPlan,
        value: Value<'_>,
        misfit: Misfit,
        row: usize,
        sink: &mut Sink,
    ) {
        if self.rescue && !column.required {
            sink.ledger.rescue(value, misfit.reason());
            return;
        }
        let reason = if column.required {
            "unfit_required"
        } else {
            misfit.reason()
        };
        let detail = format!(
            "column {:?}: {} does not fit ({})",
            column.name,
            quoted(value),
            misfit.reason()
        );
        sink.dead.push(Dead {
            row: row as u32,
            reason,
            detail,
        });
    }
}

/// A required column that has no value.
#[cold]
fn missing(column: &ColumnPlan, row: usize, sink: &mut Sink) {
    let detail = format!("column {:?}: the record has no value for it", column.name);
    sink.dead.push(Dead {
        row: row as u32,
        reason: "missing_required",
        detail,
    });
}

pub(in crate::decode) fn special_name(special: &SpecialSource) -> &'static str {
    match special {
        SpecialSource::IngestedAt => "$ingested_at",
        SpecialSource::Topic => "$topic",
        SpecialSource::Partition => "$partition",
        SpecialSource::Offset => "$offset",
        SpecialSource::Timestamp => "$timestamp",
        SpecialSource::Key => "$key",
        SpecialSource::Raw => "$raw",
        SpecialSource::Header(_) => "$headers",
    }
}

/// The beginning of a value, for people.
fn quoted(value: Value<'_>) -> String {
    let text = String::from_utf8_lossy(value.text);
    let mut short: String = text.chars().take(QUOTE_CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    match value.kind {
        Kind::Text | Kind::Escaped => format!("\"{short}\""),
        _ => short,
    }
}

/// The first source that has a value.
pub(super) fn chosen(sources: &[Source], slots: &[Slot]) -> Option<usize> {
    sources.iter().position(|source| match source {
        Source::Field { slot, .. } => !slots[*slot as usize].kind.is_nothing(),
        Source::Special(_) => true,
    })
}

pub(super) fn push_path(
    ledger: &mut Ledger,
    path: &[String],
    slot: &Slot,
    bytes: &[u8],
    names: &[String],
) {
    let Some((_, parents)) = path.split_last() else {
        return;
    };
    for name in parents {
        ledger.path.push_name(name);
    }
    slot.key.push(&mut ledger.path, bytes, names);
}

pub(super) fn pop_path(ledger: &mut Ledger, path: &[String]) {
    for _ in path {
        ledger.path.pop();
    }
}
