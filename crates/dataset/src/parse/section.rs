//! Typed, placed reading of a TOML table: what is there in another form than it takes is reported.

use toml_edit::{Item, TableLike, Value};

use super::report::Report;
use crate::{
    keys::{KnownSection, is_not_supported_yet, unknown_key_help},
    units::UnitError,
};

/// A table of the file: the top level, a `[section]`, or an inline table.
#[derive(Clone, Copy)]
pub(crate) struct Section<'t> {
    /// Its path in the tables of known keys.
    pub(crate) path: &'static str,
    table: &'t dyn TableLike,
    /// Where it begins.
    pub(crate) at: usize,
}

/// A key's value.
#[derive(Clone)]
pub(crate) struct Entry<'t> {
    /// The key with its section's: `checkpoint.bytes`.
    pub(crate) path: String,
    /// Where the key stands.
    pub(crate) key_at: usize,
    /// Where the value stands.
    pub(crate) at: usize,
    item: &'t Item,
}

/// A string of the file.
#[derive(Debug, Clone)]
pub(crate) struct Text<'t> {
    pub(crate) value: &'t str,
    pub(crate) at: usize,
    /// Whether the file has it as it is, between one quote and another, so that its bytes have places.
    plain: bool,
}

impl Text<'_> {
    /// The place of one of its bytes; its beginning, where escapes hide that.
    pub(crate) fn byte(&self, index: usize) -> usize {
        if self.plain {
            self.at + 1 + index
        } else {
            self.at
        }
    }
}

impl<'t> Section<'t> {
    pub(crate) fn new(path: &'static str, table: &'t dyn TableLike, at: usize) -> Self {
        Self { path, table, at }
    }

    /// The value of a key; `None` where it is not there, or nothing acts on it yet (which
    /// [`Self::check_keys`] reports).
    pub(crate) fn get(&self, key: &str) -> Option<Entry<'t>> {
        let path = join(self.path, key);
        if is_not_supported_yet(&path, None) {
            return None;
        }
        self.entry(key, path)
    }

    fn entry(&self, key: &str, path: String) -> Option<Entry<'t>> {
        let (name, item) = self.table.get_key_value(key)?;
        let key_at = name.span().map_or(self.at, |span| span.start);
        let at = match item {
            Item::Value(value) => value.span().map_or(key_at, |span| span.start),
            // A header's key says more than its bracket.
            _ => key_at,
        };
        Some(Entry {
            path,
            key_at,
            at,
            item,
        })
    }

    /// All keys, in the file's order.
    pub(crate) fn entries(&self) -> Vec<(&'t str, Entry<'t>)> {
        let path = self.path;
        let entries = self.table.iter();
        entries
            .filter_map(|(key, _)| Some((key, self.entry(key, join(path, key))?)))
            .collect()
    }

    /// Reports the keys that the section does not know, and those that nothing acts on yet.
    pub(crate) fn check_keys(&self, known: &[KnownSection], report: &mut Report<'_>) {
        let own = known
            .iter()
            .find(|one| one.path == self.path)
            .map_or(&[][..], |one| one.keys);
        for (key, entry) in self.entries() {
            if !own.contains(&key) {
                let (message, help) = unknown_key_help(known, self.path, key);
                report.error(entry.key_at, message, Some(help));
            } else if is_not_supported_yet(&entry.path, None) {
                report.error(
                    entry.key_at,
                    format!("`{}` is not supported yet", entry.path),
                    Some(REMOVE.to_owned()),
                );
            }
        }
    }
}

/// What to do with a key that would do nothing.
const REMOVE: &str = "nothing in this version acts on it; remove it";

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

impl<'t> Entry<'t> {
    /// Reports that the value is of another kind than the key takes.
    pub(crate) fn expected(&self, what: &str, report: &mut Report<'_>) {
        report.error(
            self.at,
            format!("`{}` takes {what}, not {}", self.path, kind(self.item)),
            None,
        );
    }

    pub(crate) fn as_str(&self) -> Option<&'t str> {
        self.item.as_str()
    }

    pub(crate) fn as_text(&self, report: &Report<'t>) -> Option<Text<'t>> {
        text_of(self.item.as_value()?, self.at, report)
    }

    /// A string; `what` says of which kind, with an example.
    pub(crate) fn text(&self, what: &str, report: &mut Report<'t>) -> Option<Text<'t>> {
        let text = self.as_text(report);
        if text.is_none() {
            self.expected(what, report);
        }
        text
    }

    pub(crate) fn as_boolean(&self) -> Option<bool> {
        self.item.as_bool()
    }

    pub(crate) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let value = self.as_boolean();
        if value.is_none() {
            self.expected("true or false", report);
        }
        value
    }

    /// A date or time without quotes.
    pub(crate) fn as_datetime(&self) -> Option<String> {
        self.item.as_datetime().map(ToString::to_string)
    }

    pub(crate) fn as_integer(&self) -> Option<i64> {
        self.item.as_integer()
    }

    /// The strings of an array; those elements that are none are reported.
    pub(crate) fn texts(&self, what: &str, report: &mut Report<'t>) -> Option<Vec<Text<'t>>> {
        let Some(array) = self.item.as_array() else {
            self.expected(what, report);
            return None;
        };
        let mut texts = Vec::new();
        let mut whole = true;
        for value in array {
            let at = value.span().map_or(self.at, |span| span.start);
            if let Some(text) = text_of(value, at, report) {
                texts.push(text);
            } else {
                let message = format!(
                    "`{}` takes {what}; this is {}",
                    self.path,
                    value_kind(value)
                );
                report.error(at, message, None);
                whole = false;
            }
        }
        whole.then_some(texts)
    }

    /// Whether it is `[]`.
    pub(crate) fn is_empty_array(&self) -> bool {
        self.item.as_array().is_some_and(toml_edit::Array::is_empty)
    }

    /// A `[section]` or inline table.
    pub(crate) fn section(
        &self,
        path: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Section<'t>> {
        let section = self.as_section(path);
        if section.is_none() {
            self.expected(&format!("a section: `[{}]`", self.path), report);
        }
        section
    }

    pub(crate) fn as_section(&self, path: &'static str) -> Option<Section<'t>> {
        Some(Section::new(path, self.item.as_table_like()?, self.at))
    }

    /// The tables of an array of inline tables or of repeated `[[header]]`s; `None` where it is none.
    pub(crate) fn sections(
        &self,
        path: &'static str,
        what: &str,
        report: &mut Report<'_>,
    ) -> Option<Vec<Section<'t>>> {
        let begin = |span: Option<std::ops::Range<usize>>| span.map_or(self.at, |span| span.start);
        match self.item {
            Item::ArrayOfTables(tables) => Some(
                tables
                    .iter()
                    .map(|table| Section::new(path, table, begin(table.span())))
                    .collect(),
            ),
            Item::Value(Value::Array(values)) => {
                let mut sections = Vec::new();
                for value in values {
                    match value {
                        Value::InlineTable(table) => {
                            sections.push(Section::new(path, table, begin(table.span())));
                        }
                        other => {
                            let message = format!(
                                "`{}` takes {what}; this is {}",
                                self.path,
                                value_kind(other)
                            );
                            report.error(begin(other.span()), message, None);
                        }
                    }
                }
                Some(sections)
            }
            _ => {
                self.expected(&format!("an array of {what}"), report);
                None
            }
        }
    }

    /// A string that a parser of units takes.
    pub(crate) fn unit<T>(
        &self,
        what: &str,
        parse: impl Fn(&str) -> Result<T, UnitError>,
        report: &mut Report<'t>,
    ) -> Option<T> {
        let text = self.text(what, report)?;
        match parse(text.value) {
            Ok(value) => Some(value),
            Err(error) => {
                report.error(
                    self.at,
                    format!("`{}`: {}", self.path, error.message),
                    Some(error.help),
                );
                None
            }
        }
    }
}

fn text_of<'t>(value: &'t Value, at: usize, report: &Report<'t>) -> Option<Text<'t>> {
    let string = value.as_str()?;
    let raw = value
        .span()
        .and_then(|span| report.text.get(span))
        .unwrap_or_default();
    let plain = raw.len() == string.len() + 2 && raw.get(1..raw.len() - 1) == Some(string);
    Some(Text {
        value: string,
        at,
        plain,
    })
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Value(value) => value_kind(value),
        Item::Table(_) => "a section",
        Item::ArrayOfTables(_) => "an array of sections",
    }
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "an array",
        Value::InlineTable(_) => "a table",
    }
}
