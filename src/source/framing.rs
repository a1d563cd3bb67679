//! Where records end: at each line end, at those that are not within quotes, or before lines that begin a record.
//!
//! Where a record ends depends on nothing but the bytes from its beginning on, so that reading may go on at any record.
//! What all records have in common, a header, is read again from the beginning of the content.

use std::sync::Arc;

use bytes::Bytes;
use frazil_dataset::{Dataset, Format};
use regex::bytes::Regex;

/// Where records end, and whether the first is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framing {
    /// Where records end.
    pub ends: RecordEnds,
    /// Whether a source's first record is its header: it is no record, and every block has it.
    pub header: bool,
}

/// Where records end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RecordEnds {
    /// At each line end.
    #[default]
    Lines,
    /// At line ends outside of cells that begin with a quote and end with one. A quote in such a cell is written as
    /// two. A quote that is not closed within the longest record, or before the content ends, quotes nothing beyond
    /// its line.
    Quoted {
        /// What stands between cells.
        delimiter: u8,
        /// What quoted cells begin and end with.
        quote: u8,
    },
    /// Before lines that begin a record.
    Starts(Arc<Starts>),
}

/// What lines records of several lines begin with, and how long these may get.
#[derive(Debug, Clone)]
pub struct Starts {
    start: Regex,
    lines_max: u32,
    bytes_max: usize,
}

impl PartialEq for Starts {
    fn eq(&self, other: &Self) -> bool {
        let limits = |one: &Self| (one.lines_max, one.bytes_max);
        self.start.as_str() == other.start.as_str() && limits(self) == limits(other)
    }
}

impl Eq for Starts {}

impl Framing {
    /// How the records of a dataset are framed.
    pub fn of(dataset: &Dataset) -> Self {
        // It compiled when the dataset file was read.
        if let Some(multiline) = &dataset.multiline
            && let Ok(start) = Regex::new(&multiline.start)
        {
            let starts = Starts {
                start,
                lines_max: multiline.lines_max,
                bytes_max: usize::try_from(multiline.bytes_max).unwrap_or(usize::MAX),
            };
            return Self {
                ends: RecordEnds::Starts(Arc::new(starts)),
                header: false,
            };
        }
        let Format::Separated(options) = &dataset.format else {
            return Self::default();
        };
        let ends = options
            .quote
            .map_or(RecordEnds::Lines, |quote| RecordEnds::Quoted {
                delimiter: options.delimiter,
                quote,
            });
        Self {
            ends,
            header: options.header,
        }
    }

    /// Where the record that begins at `start` ends: the place of its line end. `None`: not within these bytes. `is_all`:
    /// no others follow.
    ///
    /// Only as many bytes as a record may have are looked at for its end, so that it does not depend on how many there are.
    pub(super) fn record_end(
        &self,
        bytes: &[u8],
        start: usize,
        is_all: bool,
        record_bytes_max: usize,
    ) -> Option<usize> {
        let line = memchr::memchr(b'\n', &bytes[start..]).map(|at| start + at);
        let (delimiter, quote) = match &self.ends {
            RecordEnds::Lines => return line,
            RecordEnds::Starts(starts) => {
                return starts.record_end(bytes, start, line?, is_all, record_bytes_max);
            }
            RecordEnds::Quoted { delimiter, quote } => (*delimiter, *quote),
        };
        let end = line?;
        let is_over = bytes.len() - start > record_bytes_max;
        let window = if is_over {
            &bytes[..=start + record_bytes_max]
        } else {
            bytes
        };
        if end >= window.len() || memchr::memchr(quote, &bytes[start..end]).is_none() {
            return Some(end);
        }
        match quoted_end(window, start, delimiter, quote) {
            End::At(end) => Some(end),
            End::Beyond if !is_over => None,
            End::InQuote if !is_over && !is_all => None,
            End::Beyond | End::InQuote => Some(end),
        }
    }
}

impl Starts {
    /// Where the record ends that begins at `start`, and whose first line ends at `end`.
    fn record_end(
        &self,
        bytes: &[u8],
        start: usize,
        mut end: usize,
        is_all: bool,
        record_bytes_max: usize,
    ) -> Option<usize> {
        let bytes_max = self.bytes_max.min(record_bytes_max);
        for _ in 1..self.lines_max {
            let next = end + 1;
            // Not even an empty line has room.
            if next - start > bytes_max {
                return Some(end);
            }
            if next == bytes.len() {
                // With all content, the record ends with its last line.
                return is_all.then_some(end);
            }
            let line_end = memchr::memchr(b'\n', &bytes[next..]).map(|at| next + at);
            if line_end.unwrap_or(bytes.len()) - start > bytes_max {
                return Some(end);
            }
            if line_end.is_none() && !is_all {
                return None;
            }
            let line = &bytes[next..line_end.unwrap_or(bytes.len())];
            if self
                .start
                .is_match(line.strip_suffix(b"\r").unwrap_or(line))
            {
                return Some(end);
            }
            // Without a line end, the rest of the content is of the record.
            end = line_end?;
        }
        Some(end)
    }
}

/// Where a record ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// At this line end.
    At(usize),
    /// Not within the bytes.
    Beyond,
    /// Not within the bytes, and a quote is open where they end.
    InQuote,
}

/// The line end that is in no quoted cell.
fn quoted_end(bytes: &[u8], start: usize, delimiter: u8, quote: u8) -> End {
    let mut at = start;
    loop {
        if bytes.get(at) == Some(&quote) {
            at += 1;
            loop {
                let Some(found) = memchr::memchr(quote, &bytes[at..]) else {
                    return End::InQuote;
                };
                at += found + 1;
                if bytes.get(at) != Some(&quote) {
                    break;
                }
                at += 1;
            }
        }
        let Some(found) = memchr::memchr2(delimiter, b'\n', &bytes[at..]) else {
            return End::Beyond;
        };
        at += found;
        if bytes[at] == b'\n' {
            return End::At(at);
        }
        at += 1;
    }
}

/// How a content is framed, and what is known of its beginning where reading starts further on.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames {
    pub(super) framing: Arc<Framing>,
    /// The header, where it stands before the start.
    pub(super) header: Option<Bytes>,
    /// Up to here the content is header. It can be behind the start, when the header was not complete the last time.
    pub(super) header_end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_line_ends_where_a_cell_begins_with_one() {
        let framing = Framing {
            ends: RecordEnds::Quoted {
                delimiter: b',',
                quote: b'"',
            },
            header: false,
        };
        for (text, end) in [
            ("a,b\nc", Some(3)),
            ("a,b", None),
            ("\"a\nb\"\nc\n", Some(5)),
            ("x,\"a\n\"\"\n\",\"\n\"\nc\n", Some(13)),
            ("a\"b\nc\"\n", Some(3)),
            ("\"a\nb", None),
            ("\"a\n\"", None),
            ("\"a\"", None),
            ("\"a\"x\n", Some(4)),
            ("\"a\"x\"\n", Some(5)),
            ("\n", Some(0)),
            ("", None),
        ] {
            assert_eq!(
                framing.record_end(text.as_bytes(), 0, false, 100),
                end,
                "{text:?}"
            );
        }
        for (text, is_all, record_bytes_max, end) in [
            ("\"a\nb", true, 100, Some(2)),
            ("\"a\n\"", true, 100, None),
            ("\"a\nb\"\n", false, 5, Some(5)),
            ("\"a\nb\"\n", false, 4, Some(2)),
            ("\"a\nb\"", false, 4, Some(2)),
            ("\"a\nb", false, 4, None),
            ("\"abcdef\nb", false, 4, Some(7)),
        ] {
            let found = framing.record_end(text.as_bytes(), 0, is_all, record_bytes_max);
            assert_eq!(found, end, "{text:?}");
        }
    }

    #[test]
    fn a_record_ends_before_the_line_that_begins_the_next() {
        let starts = Starts {
            start: Regex::new("^[0-9]").unwrap(),
            lines_max: 3,
            bytes_max: 20,
        };
        let framing = Framing {
            ends: RecordEnds::Starts(Arc::new(starts)),
            header: false,
        };
        for (text, is_all, end) in [
            ("1 a\n2", false, None),
            ("1 a\n2", true, Some(3)),
            ("1 a\n2 b\n", false, Some(3)),
            ("1 a\n b\r\n2 b\r\n", false, Some(7)),
            ("1 a\n b\n", false, None),
            ("1 a\n b\n", true, Some(6)),
            ("1 a\n b", true, None),
            ("1 a", true, None),
            ("x\ny\n1\n", false, Some(3)),
            ("1\na\nb\nc\n", false, Some(5)),
            ("1\n 345678901234567890\n", false, Some(1)),
            ("1\n 34567890123456789012", false, Some(1)),
            ("1 345678901234567890123\n4\n", false, Some(23)),
            ("1\n 34567890123456789\n", false, Some(20)),
            ("1\n 3456789012345678\n", false, None),
        ] {
            assert_eq!(
                framing.record_end(text.as_bytes(), 0, is_all, 100),
                end,
                "{text:?} {is_all}"
            );
        }
    }
}
