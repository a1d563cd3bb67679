//! Regular expressions and grok: a record's fields are what named groups match.
//!
//! What stands before and behind the match is rescued, and so is what varies within it and has no name.

use frazil_dataset::{Pattern, UNNAMED};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::{
    DecoderError,
    rows::Rows,
    text::{Fault, TextFormat, TextRecord},
};
use crate::record::RecordBlock;

/// The way groups are found.
#[derive(Debug)]
pub(super) struct PatternFormat {
    regex: Regex,
    /// Reused, to spare an allocation a record.
    found: CaptureLocations,
    names: Vec<String>,
    /// Of each group.
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy)]
enum Group {
    /// One that is no field.
    None,
    /// A field, by its number among the names.
    Field(usize),
    /// Text that varies and has no name.
    Unnamed,
}

impl PatternFormat {
    pub(super) fn new(pattern: &Pattern) -> Result<Self, DecoderError> {
        // Only records of several lines have line ends, and all of these is their text.
        let regex = RegexBuilder::new(&pattern.regex)
            .dot_matches_new_line(true)
            .build()
            .map_err(|error| DecoderError::Pattern {
                why: error.to_string(),
            })?;
        let mut names: Vec<String> = Vec::new();
        let groups = pattern
            .fields
            .iter()
            .map(|field| match field {
                None => Group::None,
                Some(name) if name == UNNAMED => Group::Unnamed,
                Some(name) => {
                    let known = names.iter().position(|one| one == name);
                    Group::Field(known.unwrap_or_else(|| {
                        names.push(name.clone());
                        names.len() - 1
                    }))
                }
            })
            .collect();
        Ok(Self {
            found: regex.capture_locations(),
            regex,
            names,
            groups,
        })
    }
}

impl TextFormat for PatternFormat {
    fn begin(&mut self, _: &RecordBlock, rows: &mut Rows) {
        if rows.fixed_count() == 0 {
            rows.fix(self.names.clone());
        }
    }

    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault> {
        let text = record.bytes();
        let Some(whole) = self.regex.captures_read(&mut self.found, text) else {
            return Err(("no_match", "the pattern does not match".to_owned()));
        };
        let start = record.text.start;
        let block = record.block;
        for (number, group) in self.groups.iter().enumerate() {
            let Some((from, to)) = self.found.get(number) else {
                continue;
            };
            let place = start + from..start + to;
            match group {
                Group::None => {}
                Group::Field(field) => rows.put(block, *field, place),
                Group::Unnamed if text[from..to].trim_ascii().is_empty() => {}
                Group::Unnamed => rows.unknown_beside(block, UNNAMED, place),
            }
        }
        for (from, to) in [(0, whole.start()), (whole.end(), text.len())] {
            if !text[from..to].trim_ascii().is_empty() {
                let place = start + from..start + to;
                rows.rescue_beside(block, "$unmatched", place, "unmatched_text");
            }
        }
        Ok(())
    }
}
