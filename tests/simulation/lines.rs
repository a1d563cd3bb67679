//! The truth: numbered lines, where each begins, and which of them a data file holds.

use std::{collections::BTreeMap, ops::Range};

use arrow_array::{Array, BinaryArray, Int64Array, LargeBinaryArray, RecordBatch};
use bytes::Bytes;
use frazil_sim::{oracle::Truth, reading::Lines};
use frazil_table::state::SourceIdentity;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use xxhash_rust::xxh3::xxh3_128;

/// The lines of one source, whatever its file is called at the moment.
#[derive(Debug, Clone)]
pub(crate) struct NumberedFile {
    /// All that it will ever hold.
    pub(crate) content: Vec<u8>,
    /// The numbers of its lines, by where they begin.
    starts: BTreeMap<u64, u64>,
}

impl NumberedFile {
    /// Lines of these numbers. Every third has text in `v` that is no number.
    pub(crate) fn new(numbers: Range<u64>) -> Self {
        Self::keyed(numbers, |number| number)
    }

    /// The same, with these keys, and times a second apart.
    pub(crate) fn keyed(numbers: Range<u64>, key: fn(u64) -> u64) -> Self {
        let (mut content, mut starts) = (Vec::new(), BTreeMap::new());
        for number in numbers {
            starts.insert(content.len() as u64, number);
            let v = if number % 3 == 0 {
                format!("x{number}")
            } else {
                number.to_string()
            };
            let pad = "p".repeat((number * 7 % 40) as usize);
            let (minute, second) = (number / 60 % 60, number % 60);
            let line = format!(
                "{{\"n\":{number},\"k\":\"{}\",\"t\":\"2025-12-31T10:{minute:02}:{second:02}Z\",\"v\":\"{v}\",\"pad\":\"{pad}\"}}\n",
                key(number)
            );
            content.extend_from_slice(line.as_bytes());
        }
        Self { content, starts }
    }

    /// Where a share of the lines, in hundredths, ends.
    pub(crate) fn cut(&self, percent: usize) -> usize {
        let wanted = self.starts.len() * percent / 100;
        self.starts
            .keys()
            .nth(wanted)
            .map_or(self.content.len(), |start| *start as usize)
    }
}

/// All sources of a run.
#[derive(Debug, Clone)]
pub(crate) struct NumberedFiles {
    pub(crate) files: Vec<NumberedFile>,
    /// The key of a number, where a key is to be in the table once.
    pub(crate) key: Option<fn(u64) -> u64>,
}

impl NumberedFiles {
    /// The file whose content an identity proves.
    fn find(&self, identity: &SourceIdentity) -> Option<&NumberedFile> {
        let SourceIdentity::File(identity) = identity else {
            return None;
        };
        self.files.iter().find(|file| {
            let head = file.content.get(..identity.head_length as usize);
            head.is_some_and(|head| format!("{:032x}", xxh3_128(head)) == identity.head_hash)
        })
    }
}

impl Truth for NumberedFiles {
    fn range(&self, source: &SourceIdentity, positions: Range<u64>) -> Lines {
        let mut lines = Lines::default();
        match self.find(source) {
            Some(file) => {
                for number in file.starts.range(positions).map(|(_, number)| number) {
                    lines.0.insert(number.to_string(), 1);
                }
            }
            None => {
                lines
                    .0
                    .insert(format!("a source that never was: {source:?}"), 1);
            }
        }
        lines
    }

    fn all(&self) -> Lines {
        let numbers = self.files.iter().flat_map(|file| file.starts.values());
        Lines(numbers.map(|number| (number.to_string(), 1)).collect())
    }

    fn held(&self, path: &str, bytes: &Bytes) -> Result<Lines, String> {
        let mut lines = Lines::default();
        if path.contains("/foreign-") {
            lines.add(bytes);
            return Ok(lines);
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("read {path}: {error}");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| unreadable(&error))?;
        for batch in reader {
            let batch = batch.map_err(|error| unreadable(&error))?;
            for number in numbers(&batch)? {
                *lines.0.entry(number).or_default() += 1;
            }
        }
        Ok(lines)
    }

    fn key(&self, line: &str) -> Option<String> {
        Some(self.key?(line.parse().ok()?).to_string())
    }
}

/// The numbers of rows, or of the records that dead letters are.
fn numbers(batch: &RecordBatch) -> Result<Vec<String>, String> {
    if let Some(column) = batch.column_by_name("number") {
        let column = column.as_any().downcast_ref::<Int64Array>();
        let column = column.ok_or("the column number is not of longs")?;
        let number = |row| {
            if column.is_null(row) {
                "null".to_owned()
            } else {
                column.value(row).to_string()
            }
        };
        return Ok((0..column.len()).map(number).collect());
    }
    let column = batch
        .column_by_name("record")
        .ok_or("neither rows nor dead letters")?;
    let records: Vec<&[u8]> = if let Some(column) = column.as_any().downcast_ref::<BinaryArray>() {
        column.iter().flatten().collect()
    } else if let Some(column) = column.as_any().downcast_ref::<LargeBinaryArray>() {
        column.iter().flatten().collect()
    } else {
        return Err(format!("records are of type {}", column.data_type()));
    };
    Ok(records.into_iter().map(number_of).collect())
}

/// The number of a line, from its text.
fn number_of(record: &[u8]) -> String {
    let text = String::from_utf8_lossy(record);
    let digits = text.strip_prefix("{\"n\":").unwrap_or("?");
    digits.split(',').next().unwrap_or("?").to_owned()
}
