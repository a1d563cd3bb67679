//! Collects the mistakes of one file: all of them, each with its place.

use std::ops::Range;

use crate::{Diagnostic, Diagnostics};

/// More than these no one reads; the rest is counted.
const DIAGNOSTICS_MAX: usize = 100;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// At a byte of the file.
    Byte(usize),
    /// In an environment variable.
    Variable(String),
}

impl From<usize> for Place {
    fn from(byte: usize) -> Self {
        Self::Byte(byte)
    }
}

impl From<&Range<usize>> for Place {
    fn from(span: &Range<usize>) -> Self {
        Self::Byte(span.start)
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

/// The mistakes found so far.
#[derive(Debug)]
pub(crate) struct Report<'t> {
    pub(crate) text: &'t str,
    file: &'t str,
    found: Vec<(Place, String, Option<String>)>,
}

impl<'t> Report<'t> {
    pub(crate) fn new(text: &'t str, file: &'t str) -> Self {
        Self {
            text,
            file,
            found: Vec::new(),
        }
    }

    pub(crate) fn error(
        &mut self,
        at: impl Into<Place>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.found.push((at.into(), message.into(), help));
    }

    /// The value, if nothing was wrong; it is there unless something was.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.into_diagnostics()),
        }
    }

    fn into_diagnostics(mut self) -> Diagnostics {
        self.found.sort_by_key(|(place, ..)| match place {
            Place::Byte(byte) => *byte,
            Place::Variable(_) => usize::MAX,
        });
        self.found.dedup();
        let more = self.found.len().saturating_sub(DIAGNOSTICS_MAX);
        self.found.truncate(DIAGNOSTICS_MAX);
        let mut list: Vec<Diagnostic> = self
            .found
            .iter()
            .map(|(place, message, help)| {
                let (line, column, variable) = match place {
                    Place::Byte(byte) => {
                        let (line, column) = self.line_and_column(*byte);
                        (line, column, None)
                    }
                    Place::Variable(name) => (0, 0, Some(name.clone())),
                };
                Diagnostic {
                    line,
                    column,
                    variable,
                    message: message.clone(),
                    help: help.clone(),
                }
            })
            .collect();
        if more > 0 {
            let message = format!("{more} more mistakes are not shown");
            list.push(Diagnostic {
                line: 0,
                column: 0,
                variable: None,
                message,
                help: None,
            });
        }
        Diagnostics {
            file: self.file.to_owned(),
            list,
        }
    }

    /// Line and column of a byte, both from 1, columns in characters. A file without text has no places.
    fn line_and_column(&self, byte: usize) -> (usize, usize) {
        if self.text.is_empty() {
            return (0, 0);
        }
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..]
            .trim_start_matches('\u{feff}')
            .chars()
            .count()
            + 1;
        (line, column)
    }
}
