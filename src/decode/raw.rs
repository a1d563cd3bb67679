//! Raw lines: a record is one value, `$raw`.

use frazil_dataset::SpecialSource;

use super::{
    Decoder,
    plan::{Plan, Source},
    rows::Rows,
    trimmed,
};
use crate::{
    coerce::{Kind, Value},
    record::{RecordBlock, RowBlock},
};

/// Decodes records that have no fields.
#[derive(Debug)]
pub(super) struct RawDecoder {
    rows: Rows,
    /// Whether a column takes the record as text, so that it has to be some.
    textual: bool,
    /// Whether any column takes the record at all.
    taken: bool,
}

impl RawDecoder {
    pub(super) fn new(plan: Plan) -> Self {
        let raw = Source::Special(SpecialSource::Raw);
        let mut takers = plan
            .columns
            .iter()
            .filter(|column| column.sources.contains(&raw))
            .peekable();
        let taken = takers.peek().is_some();
        Self {
            textual: !taken || takers.any(|column| !column.target.takes_bytes()),
            taken,
            rows: Rows::new(plan),
        }
    }
}

impl Decoder for RawDecoder {
    fn decode(&mut self, block: &RecordBlock, ingested_at_micros: i64) -> RowBlock {
        let mut oversize = block.oversize.iter().peekable();
        for record in 0..block.records.len() {
            if let Some(one) = oversize.next_if(|one| one.record as usize == record) {
                self.rows.reject_oversize(block, one);
                continue;
            }
            let text = trimmed(block, record);
            let bytes = &block.bytes[text.clone()];
            if self.textual
                && let Err((reason, detail)) = check(bytes)
            {
                self.rows.reject(block, record, reason, detail);
                continue;
            }
            self.rows.begin(record, &text);
            if !self.taken {
                self.rows.ledger.path.push_special("$raw");
                self.rows.ledger.unknown(Value::new(Kind::Plain, bytes));
                self.rows.ledger.path.pop();
            }
            self.rows.end(block, ingested_at_micros);
        }
        self.rows.finish(block, ingested_at_micros)
    }
}

/// Whether a record is text.
fn check(bytes: &[u8]) -> Result<(), (&'static str, String)> {
    if let Err(error) = simdutf8::compat::from_utf8(bytes) {
        let at = error.valid_up_to();
        return Err(("not_utf8", format!("at byte {at}: the bytes are not UTF-8")));
    }
    match memchr::memchr(0, bytes) {
        Some(at) => Err(("nul_byte", format!("at byte {at}: a zero byte"))),
        None => Ok(()),
    }
}
