//! Rows as a table, as CSV (RFC 4180), or as an object a line.

use std::sync::Arc;

use arrow_array::{Array as _, RecordBatch};
use arrow_cast::{
    display::{ArrayFormatter, FormatOptions},
    pretty::pretty_format_batches_with_options,
};
use arrow_json::writer::{
    EncoderOptions, LineDelimited, NullableEncoder, WriterBuilder, make_encoder,
};
use arrow_schema::SchemaRef;

use super::Format;
use crate::cli::output::Output;

/// A table is laid out by this many rows at a time: more would hold more in memory.
const TABLE_ROWS_MAX: usize = 10_000;

/// Prints batches as they come.
pub(super) struct Printer<'o> {
    format: Format,
    schema: SchemaRef,
    out: &'o mut Output,
    /// Of a table, what is not laid out yet.
    held: Vec<RecordBatch>,
    rows: usize,
    begun: bool,
}

impl<'o> Printer<'o> {
    pub(super) fn new(format: Format, schema: &SchemaRef, out: &'o mut Output) -> Self {
        Self {
            format,
            schema: Arc::clone(schema),
            out,
            held: Vec::new(),
            rows: 0,
            begun: false,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }

    pub(super) fn batch(&mut self, batch: RecordBatch) -> anyhow::Result<()> {
        match self.format {
            Format::Json => self.json(&batch),
            Format::Csv => self.csv(&batch),
            Format::Table => {
                self.rows += batch.num_rows();
                self.held.push(batch);
                if self.rows >= TABLE_ROWS_MAX {
                    self.table()
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Prints what is left.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Json => Ok(()),
            // Columns have names even where there are no rows.
            Format::Csv if !self.begun => self.csv_header(),
            Format::Csv => Ok(()),
            Format::Table if self.begun && self.held.is_empty() => Ok(()),
            Format::Table => {
                if self.held.is_empty() {
                    self.held
                        .push(RecordBatch::new_empty(Arc::clone(&self.schema)));
                }
                self.table()
            }
        }
    }

    fn table(&mut self) -> anyhow::Result<()> {
        let text = pretty_format_batches_with_options(&self.held, &options().with_null("NULL"))?;
        self.held.clear();
        self.rows = 0;
        self.begun = true;
        self.out.line(text.to_string())
    }

    fn json(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, LineDelimited>(Vec::new());
        writer.write(batch)?;
        writer.finish()?;
        self.out.bytes(&writer.into_inner())
    }

    fn csv_header(&mut self) -> anyhow::Result<()> {
        self.begun = true;
        let names: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| csv_cell(field.name()))
            .collect();
        self.out.line(names.join(","))
    }

    fn csv(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        if !self.begun {
            self.csv_header()?;
        }
        let (fields, nested) = (
            batch.schema_ref().fields(),
            EncoderOptions::default().with_explicit_nulls(true),
        );
        let options = options();
        let mut cells = Vec::with_capacity(fields.len());
        for (field, column) in fields.iter().zip(batch.columns()) {
            cells.push(if field.data_type().is_nested() {
                Cells::Nested(make_encoder(field, column, &nested)?)
            } else {
                Cells::Flat(ArrayFormatter::try_new(column, &options)?)
            });
        }
        for row in 0..batch.num_rows() {
            let mut line = String::new();
            for (at, (column, cells)) in batch.columns().iter().zip(&mut cells).enumerate() {
                if at > 0 {
                    line.push(',');
                }
                if column.is_valid(row) {
                    line.push_str(&csv_cell(&cells.text(row)?));
                }
            }
            self.out.line(line)?;
        }
        Ok(())
    }
}

/// A column's cells as text: what is nested as JSON, which others can read.
enum Cells<'a> {
    Flat(ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

impl Cells<'_> {
    fn text(&mut self, row: usize) -> anyhow::Result<String> {
        match self {
            Self::Flat(formatter) => Ok(formatter.value(row).try_to_string()?),
            Self::Nested(encoder) => {
                let mut text = Vec::new();
                encoder.encode(row, &mut text);
                Ok(String::from_utf8(text)?)
            }
        }
    }
}

fn options() -> FormatOptions<'static> {
    FormatOptions::default().with_display_error(true)
}

/// A cell of RFC 4180. Empty text is quoted, so that it differs from null.
fn csv_cell(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["a", "", "a,b", "say \"x\"", "two\nlines"].map(csv_cell);
        assert_eq!(
            cells,
            [
                "a",
                "\"\"",
                "\"a,b\"",
                "\"say \"\"x\"\"\"",
                "\"two\nlines\""
            ]
        );
    }
}
