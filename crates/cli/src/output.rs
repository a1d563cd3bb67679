//! What a command prints on standard output: tables for people, JSON lines for machines.
//!
//! A reader that goes away (`frazil ls | head`) is no error: from then on nothing is printed, and
//! the command goes on with what else it does.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use serde::Serialize;

use super::exit::Failure;

/// Standard output, buffered.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    closed: bool,
    terminal: bool,
}

impl Output {
    /// The process's.
    pub fn stdout() -> Self {
        Self {
            writer: BufWriter::with_capacity(64 << 10, Box::new(io::stdout())),
            closed: false,
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Whether a person watches it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether its reader has gone, so that there is no use in computing more to print.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints `text` and a newline.
    pub fn line(&mut self, text: impl AsRef<str>) -> anyhow::Result<()> {
        self.bytes(text.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints one JSON object on a line of its own.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints `bytes` as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if !self.closed {
            let result = self.writer.write_all(bytes);
            self.judge(result)?;
        }
        Ok(())
    }

    /// Hands everything to the reader. A command that returned without error has its output flushed.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if !self.closed {
            let result = self.writer.flush();
            self.judge(result)?;
        }
        Ok(())
    }

    fn judge(&mut self, result: io::Result<()>) -> anyhow::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => {
                self.closed = true;
                Err(Failure::failed("write to standard output")
                    .because(error)
                    .into())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Columns of text, aligned.
#[derive(Debug, Default)]
pub struct Grid {
    header: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At the left.
    Left,
    /// At the right.
    Right,
}

impl Grid {
    /// An empty one under these headings.
    pub fn new(header: &[(&'static str, Align)]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell a heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| printable(&cell)).collect();
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
    }

    /// Prints it.
    pub fn print(&self, out: &mut Output) -> anyhow::Result<()> {
        let bold =
            out.terminal && anstream::stdout().current_choice() != anstream::ColorChoice::Never;
        for line in self.lines(bold) {
            out.line(line)?;
        }
        Ok(())
    }

    fn lines(&self, bold: bool) -> Vec<String> {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<_> = self.header.iter().map(|(name, _)| width(name)).collect();
        for row in &self.rows {
            for (at, cell) in row.iter().enumerate() {
                widths[at] = widths[at].max(width(cell));
            }
        }
        let join = |cells: &[&str]| {
            let mut line = String::new();
            for (at, cell) in cells.iter().enumerate() {
                if at > 0 {
                    line.push_str("  ");
                }
                let pad = " ".repeat(widths[at] - width(cell));
                match self.header[at].1 {
                    Align::Left => line.extend([*cell, &pad]),
                    Align::Right => line.extend([&pad, *cell]),
                }
            }
            line.truncate(line.trim_end().len());
            line
        };
        let names: Vec<_> = self.header.iter().map(|(name, _)| *name).collect();
        let header = join(&names);
        let mut lines = vec![if bold {
            format!("\x1b[1m{header}\x1b[0m")
        } else {
            header
        }];
        lines.extend(
            self.rows
                .iter()
                .map(|row| join(&row.iter().map(String::as_str).collect::<Vec<_>>())),
        );
        lines
    }
}

/// `text` with what a terminal would obey or break at made visible.
pub fn printable(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// At most `chars_max` characters of `text`, `…` for what is cut.
pub fn clipped(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes as people read it: `12.3 MiB`.
pub fn byte_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 record`, `2 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// Milliseconds since the epoch as RFC 3339.
pub fn timestamp(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| format!("{millis} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let mut out = Output {
            writer: BufWriter::with_capacity(0, Box::new(Gone)),
            closed: false,
            terminal: false,
        };
        out.line("x").unwrap();
        assert!(out.is_closed());
        out.json(&1).unwrap();
        out.flush().unwrap();
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1024, 1_048_575, 1 << 30].map(byte_size),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 GiB"]
        );
        assert_eq!(
            (counted(1, "row"), counted(2_000, "row")),
            ("1 row".into(), "2,000 rows".into())
        );
    }

    #[test]
    fn a_grid_aligns_and_shows_control_characters() {
        let mut grid = Grid::new(&[("name", Align::Left), ("rows", Align::Right)]);
        grid.row(["a\x1b[2J".to_owned(), "12,000".to_owned()]);
        grid.row(["größe".to_owned(), "1".to_owned()]);
        assert_eq!(
            grid.lines(false),
            [
                "name          rows",
                "a\\u{1b}[2J  12,000",
                "größe            1"
            ]
        );
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(clipped("größe", 3), "grö…");
        assert_eq!(clipped("größe", 5), "größe");
    }
}
