//! How a record's bytes become fields.

use crate::pattern::Pattern;

/// How a record's bytes become fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// A line is one value, which columns take by `from = "$raw"`. Of the columns without `from`, the only one
    /// takes it by itself, and so does one that is named `raw`.
    Raw,
    /// `csv` or `tsv`: cells in a fixed order.
    Separated(Separated),
    /// `key=value` pairs.
    Logfmt,
    /// Syslog of RFC 3164 and RFC 5424, told apart by each record.
    Syslog(Syslog),
    /// The Common Log Format of web servers.
    CommonLog,
    /// The Common Log Format with referer and user agent.
    CombinedLog,
    /// `regex` or `grok`: the named groups of a regular expression.
    Pattern(Box<Pattern>),
}

/// Cells that stand between delimiters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separated {
    /// The ASCII character between cells.
    pub delimiter: u8,
    /// The ASCII character around cells that hold delimiters or line ends; `None`: there is none, as in TSV.
    pub quote: Option<u8>,
    /// Whether `\t`, `\n`, `\r` and `\\` are escapes and `\N` is null.
    pub escapes: bool,
    /// Whether a file's first record names the cells.
    pub header: bool,
    /// The cells' names, where no header tells them. Those beyond are surplus. Without names the cells are
    /// `column_1`, `column_2`, ….
    pub columns: Vec<String>,
}

/// What is to be made of syslog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Syslog {
    /// Whether a time without a year gets that of its record's ingestion.
    pub year_of_ingestion: bool,
}

/// Records of several lines: one begins with each line that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiline {
    /// What a record's first line matches, a regular expression that compiles. Lines before the first such line are a
    /// record, too.
    pub start: String,
    /// A record of more lines ends after so many (default 1,000).
    pub lines_max: u32,
    /// A record ends before the line with which it would be longer (default: `limits.record_bytes_max`).
    pub bytes_max: u64,
}

impl Format {
    /// Whether a record with these bytes (without its line end) is none. Lines of `raw` and cells of whitespace count.
    pub fn is_blank(&self, record: &[u8]) -> bool {
        match self {
            Self::Raw => false,
            Self::Separated(_) => record.is_empty() || record == b"\r",
            _ => record.iter().all(|byte| b" \t\r\n".contains(byte)),
        }
    }
}
