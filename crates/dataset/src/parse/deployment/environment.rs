//! Environment variables that stand for keys, laid over the file's.
//!
//! `FRAZIL_CATALOG__URI` is `uri` in `[catalog]`: two underscores are a level, and a variable goes
//! before the file. An empty variable is as none. Variables with single underscores only are left
//! alone (container platforms set `FRAZIL_PORT` and the like for a service of that name), but for
//! those that are underscores short of a key.

use std::collections::BTreeMap;

use super::{
    check::{self, Mistake},
    given::{Given, Table, Value},
    keys::{self, Key, KeySection, Takes, join},
};
use crate::{
    names,
    parse::report::{Place, Report},
    suggest,
};

const PREFIX: &str = "FRAZIL_";

const STANDS_FOR_NO_KEY: &str = "the variable stands for no key";

/// One variable on its way down the table of keys.
struct Variable<'v> {
    name: &'v str,
    value: &'v str,
    place: Place,
}

/// The variable of a key, by its path in the file: `catalogs.a-b.uri` is `FRAZIL_CATALOGS__A_B__URI`.
pub(super) fn variable_of(path: &str) -> String {
    let levels: Vec<String> = path.split('.').map(level_of).collect();
    format!("{PREFIX}{}", levels.join("__"))
}

/// A name as a level of a variable, which has neither case nor dashes nor dots.
fn level_of(name: &str) -> String {
    name.to_uppercase().replace(['-', '.'], "_")
}

/// Lays variables over what the file gives.
pub(super) fn overlay(
    variables: &BTreeMap<String, String>,
    root: &mut Table,
    report: &mut Report<'_>,
) {
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let place = Place::Variable(name.clone());
        let meant = with_all_underscores(rest, root).map(|meant| {
            format!("`{PREFIX}{meant}`, with two underscores between section and key")
        });
        if !rest.contains("__") {
            if meant.is_some() {
                report.error(place, STANDS_FOR_NO_KEY, meant);
            }
            continue;
        }
        let levels: Vec<&str> = rest.split("__").collect();
        let variable = Variable { name, value, place };
        if let Err((message, help)) = variable.lay(&levels, keys::root(), "", root) {
            let help = meant.filter(|_| message == STANDS_FOR_NO_KEY).or(help);
            report.error(variable.place, message, help);
        }
    }
}

impl Variable<'_> {
    /// Sets the key of these levels, in the section that the file calls `shown`.
    fn lay(
        &self,
        levels: &[&str],
        section: &'static KeySection,
        shown: &str,
        table: &mut Table,
    ) -> Result<(), Mistake> {
        let Some((level, rest)) = levels.split_first() else {
            return Err(self.is_a_section(section));
        };
        let Some(key) = section.keys.iter().find(|key| level_of(key.name) == *level) else {
            // What else is wrong with the section may come from the key that was meant.
            table.broken = true;
            return Err(self.stands_for_no_key(level, rest, section));
        };
        let path = join(shown, key.name);
        let laid = self.lay_key(key, rest, section, &path, table);
        if laid.is_err() && !matches!(key.takes, Takes::Section(_) | Takes::Named(..)) {
            table.broken = true;
        }
        laid
    }

    fn lay_key(
        &self,
        key: &Key,
        rest: &[&str],
        section: &'static KeySection,
        path: &str,
        table: &mut Table,
    ) -> Result<(), Mistake> {
        match (key.takes, rest) {
            (Takes::Section(inner), []) => Err(self.is_a_section(keys::section(inner))),
            (Takes::Section(inner), _) => {
                let table = table.table_or_new(key.name, &self.place);
                self.lay(rest, keys::section(inner), path, table)
            }
            (Takes::Named(inner, noun), [level, key_levels @ ..]) if !key_levels.is_empty() => {
                let named = table.table_or_new(key.name, &self.place);
                let name = known_name(named, level);
                names::check_name(&name)
                    .map_err(|why| (format!("the {noun}'s name `{name}` {why}"), None))?;
                let table = named.table_or_new(&name, &self.place);
                self.lay(key_levels, keys::section(inner), &join(path, &name), table)
            }
            (Takes::Named(inner, _), _) => Err(self.is_a_section(keys::section(inner))),
            (Takes::Headers, [level, reference @ ..]) => {
                let headers = table.table_or_new(key.name, &self.place);
                let name = match known_name(headers, level) {
                    name if headers.get(&name).is_some() => name,
                    // Most names of headers have dashes, and few servers take another.
                    name => name.replace('_', "-"),
                };
                check::header(&name, reference.is_empty())
                    .map_err(|message| (message, Some(self.by_reference())))?;
                self.lay_secret(&name, reference, section, headers)
            }
            (Takes::Properties, [level]) => {
                let properties = table.table_or_new(key.name, &self.place);
                let name = known_name(properties, level);
                if properties.get(&name).is_none() {
                    let help =
                        format!("put the property in `[{path}]`; a variable cannot say its name");
                    return Err((STANDS_FOR_NO_KEY.to_owned(), Some(help)));
                }
                properties.set(&name, &self.place, Value::Text(self.value.to_owned()));
                Ok(())
            }
            (Takes::Secret, []) => {
                let message = "a variable of frazil does not take the secret itself";
                Err((message.to_owned(), Some(self.by_reference())))
            }
            (Takes::Secret, reference) => self.lay_secret(key.name, reference, section, table),
            (Takes::Texts(what), []) => {
                let texts = self.texts();
                if let Some((_, message, help)) = check::texts(path, what, &texts, &self.place) {
                    return Err((message, help));
                }
                table.set(key.name, &self.place, Value::Array(texts));
                Ok(())
            }
            (takes, []) => {
                let value = check::convert(takes, path, self.typed(takes))?;
                table.set(key.name, &self.place, value);
                Ok(())
            }
            (_, [level, rest @ ..]) => Err(self.stands_for_no_key(level, rest, section)),
        }
    }

    /// The variable's text in the form that the file would have it.
    fn typed(&self, takes: Takes) -> Value {
        let typed = match takes {
            Takes::Boolean => self.value.parse().ok().map(Value::Boolean),
            Takes::Count(_) => self.value.parse().ok().map(Value::Integer),
            _ => None,
        };
        typed.unwrap_or_else(|| Value::Text(self.value.to_owned()))
    }

    /// The texts of an array, which a variable has with commas between.
    fn texts(&self) -> Vec<Given> {
        let texts = self.value.split(',').map(str::trim);
        let element = |text: &str| Given {
            key_at: self.place.clone(),
            at: self.place.clone(),
            value: Value::Text(text.to_owned()),
        };
        texts.map(element).collect()
    }

    /// A secret's reference, or the text of a key that takes either.
    fn lay_secret(
        &self,
        key: &str,
        levels: &[&str],
        section: &'static KeySection,
        table: &mut Table,
    ) -> Result<(), Mistake> {
        let part = match levels {
            [] => {
                table.set(key, &self.place, Value::Text(self.value.to_owned()));
                return Ok(());
            }
            ["ENV"] => "env",
            ["FILE"] => "file",
            [level, rest @ ..] => return Err(self.stands_for_no_key(level, rest, section)),
        };
        // The file's reference is replaced whole.
        let by_variable = |given: &Given| {
            matches!(
                (&given.at, &given.value),
                (Place::Variable(_), Value::Table(_))
            )
        };
        if table.get(key).is_some_and(by_variable) {
            let help = "set one of `…__ENV` and `…__FILE`".to_owned();
            return Err((
                "another variable gives the same secret".to_owned(),
                Some(help),
            ));
        }
        let mut reference = Table::default();
        reference.set(part, &self.place, Value::Text(self.value.to_owned()));
        table.set(key, &self.place, Value::Table(reference));
        Ok(())
    }

    fn by_reference(&self) -> String {
        let name = self.name;
        format!("`{name}__ENV` names the variable that holds it, `{name}__FILE` the file")
    }

    fn is_a_section(&self, section: &KeySection) -> Mistake {
        let names: Vec<String> = section.keys.iter().map(|key| level_of(key.name)).collect();
        let help = format!(
            "`{}__KEY`, where KEY is one of {}",
            self.name,
            suggest::listed(names.iter().map(String::as_str))
        );
        let message = "the variable stands for a section, not for a key";
        (message.to_owned(), Some(help))
    }

    fn stands_for_no_key(&self, level: &str, rest: &[&str], section: &KeySection) -> Mistake {
        let names: Vec<String> = section.keys.iter().map(|key| level_of(key.name)).collect();
        let tail = rest
            .iter()
            .fold(String::new(), |tail, level| tail + "__" + level);
        let head = self
            .name
            .strip_suffix(&tail)
            .and_then(|head| head.strip_suffix(level))
            .unwrap_or(PREFIX);
        let near = suggest::nearest(level, names.iter().map(String::as_str));
        let help = if let Some(near) = near {
            format!("did you mean `{head}{near}{tail}`?")
        } else {
            let all: Vec<String> = names.iter().map(|name| format!("{head}{name}")).collect();
            let all = suggest::listed(all.iter().map(String::as_str));
            format!("variables here begin with {all}")
        };
        (STANDS_FOR_NO_KEY.to_owned(), Some(help))
    }
}

/// The file's name whose case, dashes and dots a variable cannot say; else the name in lower case.
fn known_name(named: &Table, level: &str) -> String {
    let names = named.entries.iter().map(|(name, _)| name);
    let known = names.into_iter().find(|name| level_of(name) == level);
    known.cloned().unwrap_or_else(|| level.to_lowercase())
}

/// The key's variable, without its prefix, that has the same words with fewer underscores.
fn with_all_underscores(rest: &str, root: &Table) -> Option<String> {
    let mut variables = Vec::new();
    list(keys::root(), "", root, &mut variables);
    let folded = rest.replace("__", "_");
    variables
        .into_iter()
        .find(|known| known != rest && known.replace("__", "_") == folded)
}

/// All variables of a section, without their prefix; of sections by name those that are there.
fn list(section: &'static KeySection, head: &str, table: &Table, into: &mut Vec<String>) {
    for key in section.keys {
        let own = format!("{head}{}", level_of(key.name));
        let inner = table.table(key.name);
        let empty = Table::default();
        match key.takes {
            Takes::Section(path) => {
                let inner = inner.unwrap_or(&empty);
                list(keys::section(path), &format!("{own}__"), inner, into);
            }
            Takes::Named(path, _) => {
                for (name, given) in inner.map_or(&[][..], |inner| &inner.entries) {
                    if let Value::Table(inner) = &given.value {
                        let head = format!("{own}__{}__", level_of(name));
                        list(keys::section(path), &head, inner, into);
                    }
                }
            }
            Takes::Secret => {
                into.extend(["", "__ENV", "__FILE"].map(|part| format!("{own}{part}")));
            }
            Takes::Headers | Takes::Properties => {}
            _ => into.push(own),
        }
    }
}

/// The variables of all keys, but for what has names of people.
#[cfg(test)]
pub(super) fn all() -> Vec<String> {
    let mut variables = Vec::new();
    list(keys::root(), "", &Table::default(), &mut variables);
    variables.retain(|name| !name.ends_with("__ENV") && !name.ends_with("__FILE"));
    variables
        .iter()
        .map(|name| format!("{PREFIX}{name}"))
        .collect()
}
