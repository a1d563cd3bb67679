//! What file and environment give, before anybody asks what it means: one tree of both.

use std::time::Duration;

use toml_edit::{Item, TableLike, Value as TomlValue};

use crate::{SecretReference, parse::report::Place};

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'g, T> {
    pub(super) value: T,
    pub(super) at: &'g Place,
}

/// A key's value.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// Where the key stands.
    pub(super) key_at: Place,
    /// Where the value stands; a section's is its header's key.
    pub(super) at: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Boolean(bool),
    Integer(i64),
    /// What a text was read as.
    Duration(Duration),
    /// What a text was read as, in bytes.
    Bytes(u64),
    Table(Table),
    Array(Vec<Given>),
    /// A form that no key of a deployment takes, by its name: `an integer`.
    Other(&'static str),
}

/// A section or an inline table.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<(String, Given)>,
    /// Whether an entry was wrong, is reported, and was taken out.
    pub(super) broken: bool,
}

impl Value {
    /// Its form, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Duration(_) | Self::Bytes(_) => "a string",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Table(_) => "a table",
            Self::Array(_) => "an array",
            Self::Other(kind) => kind,
        }
    }
}

impl Table {
    /// The file's.
    pub(super) fn of_file(table: &dyn TableLike, at: usize) -> Self {
        let entries = table.iter().filter_map(|(key, _)| {
            let (name, item) = table.get_key_value(key)?;
            let key_at = name.span().map_or(at, |span| span.start);
            let value_at = match item {
                Item::Value(value) => value.span().map_or(key_at, |span| span.start),
                // A header's key says more than its bracket.
                _ => key_at,
            };
            let given = Given {
                key_at: key_at.into(),
                at: value_at.into(),
                value: value_of(item, value_at),
            };
            Some((key.to_owned(), given))
        });
        Self {
            entries: entries.collect(),
            broken: false,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Given> {
        let found = self.entries.iter().find(|(name, _)| name == key);
        found.map(|(_, given)| given)
    }

    /// The table under a key; makes it where there is none, or something else.
    pub(super) fn table_or_new(&mut self, key: &str, at: &Place) -> &mut Table {
        let is_table = |given: &Given| matches!(given.value, Value::Table(_));
        if !self.get(key).is_some_and(is_table) {
            self.set(key, at, Value::Table(Table::default()));
        }
        let found = self.entries.iter_mut().find(|(name, _)| name == key);
        match found.map(|(_, given)| &mut given.value) {
            Some(Value::Table(table)) => table,
            _ => unreachable!("it was just made"),
        }
    }

    pub(super) fn set(&mut self, key: &str, at: &Place, value: Value) {
        let given = Given {
            key_at: at.clone(),
            at: at.clone(),
            value,
        };
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, entry)) => *entry = given,
            None => self.entries.push((key.to_owned(), given)),
        }
    }

    /// Where the key's value stands.
    pub(super) fn at(&self, key: &str) -> Option<&Place> {
        self.get(key).map(|given| &given.at)
    }

    pub(super) fn text(&self, key: &str) -> Option<Placed<'_, &str>> {
        let given = self.get(key)?;
        match &given.value {
            Value::Text(text) => Some(Placed {
                value: text,
                at: &given.at,
            }),
            _ => None,
        }
    }

    pub(super) fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| text.value.to_owned())
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        match self.get(key)?.value {
            Value::Boolean(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn count(&self, key: &str) -> Option<u32> {
        match self.get(key)?.value {
            Value::Integer(value) => u32::try_from(value).ok(),
            _ => None,
        }
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        match self.get(key)?.value {
            Value::Duration(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, key: &str) -> Option<u64> {
        match self.get(key)?.value {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn table(&self, key: &str) -> Option<&Table> {
        match &self.get(key)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The texts of an array.
    pub(super) fn texts(&self, key: &str) -> Vec<Placed<'_, &str>> {
        let Some(Value::Array(elements)) = self.get(key).map(|given| &given.value) else {
            return Vec::new();
        };
        let texts = elements.iter().filter_map(|given| match &given.value {
            Value::Text(text) => Some(Placed {
                value: text.as_str(),
                at: &given.at,
            }),
            _ => None,
        });
        texts.collect()
    }

    pub(super) fn secret(&self, key: &str) -> Option<SecretReference> {
        let reference = self.table(key)?;
        match (reference.text("env"), reference.text("file")) {
            (Some(name), _) => Some(SecretReference::Variable(name.value.to_owned())),
            (None, Some(path)) => Some(SecretReference::File(path.value.to_owned())),
            (None, None) => None,
        }
    }
}

fn value_of(item: &Item, at: usize) -> Value {
    if let Some(table) = item.as_table_like() {
        return Value::Table(Table::of_file(table, at));
    }
    match item {
        Item::None => Value::Other("nothing"),
        Item::Table(_) | Item::ArrayOfTables(_) => Value::Other("an array of sections"),
        Item::Value(value) => plain_value_of(value, at),
    }
}

fn plain_value_of(value: &TomlValue, at: usize) -> Value {
    match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Boolean(value) => Value::Boolean(*value.value()),
        TomlValue::Integer(value) => Value::Integer(*value.value()),
        TomlValue::Float(_) => Value::Other("a float"),
        TomlValue::Datetime(_) => Value::Other("a date or time"),
        TomlValue::InlineTable(_) => Value::Other("a table"),
        TomlValue::Array(array) => {
            let element = |value: &TomlValue| {
                let at = value.span().map_or(at, |span| span.start);
                Given {
                    key_at: at.into(),
                    at: at.into(),
                    value: plain_value_of(value, at),
                }
            };
            Value::Array(array.iter().map(element).collect())
        }
    }
}
