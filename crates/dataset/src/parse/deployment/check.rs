//! Each value in the form that its key takes; what is none is reported and taken out.

use super::{
    given::{Given, Table, Value},
    keys::{self, Key, KeySection, Takes, join},
};
use crate::{
    names,
    parse::report::{Place, Report},
    suggest, units,
};

/// Sections by name in one place; more is no deployment.
const NAMED_MAX: usize = 1_000;

/// A message and its help.
pub(super) type Mistake = (String, Option<String>);

pub(super) const SECRET_HELP: &str =
    "a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`";

/// Checks what the file gives in a section, which messages call `shown`.
pub(super) fn check(
    table: &mut Table,
    section: &'static KeySection,
    shown: &str,
    report: &mut Report<'_>,
) {
    for (name, given) in std::mem::take(&mut table.entries) {
        let Some(key) = section.key(&name) else {
            let (message, help) = keys::unknown(section, shown, &name);
            report.error(given.key_at, message, Some(help));
            // What else is wrong with the section may come from the key that was meant.
            table.broken = true;
            continue;
        };
        let path = join(shown, &name);
        match entry(key, &path, given, report) {
            Some(given) => table.entries.push((name, given)),
            None => table.broken = true,
        }
    }
}

fn entry(key: &Key, path: &str, mut given: Given, report: &mut Report<'_>) -> Option<Given> {
    match (key.takes, &mut given.value) {
        (Takes::Section(inner), Value::Table(table)) => {
            check(table, keys::section(inner), path, report);
        }
        (Takes::Named(inner, noun), Value::Table(table)) => {
            named(table, keys::section(inner), noun, path, &given.at, report);
        }
        (Takes::Section(_) | Takes::Named(..), other) => {
            let message = format!("`{path}` takes a section: `[{path}]`, not {}", other.kind());
            report.error(&given.at, message, None);
            return None;
        }
        (Takes::Secret, value) => {
            if let Err((at, message, help)) = secret(path, value, &given.at) {
                report.error(at, message, Some(help));
                return None;
            }
        }
        (Takes::Headers, Value::Table(table)) => headers(table, path, report),
        (Takes::Properties, Value::Table(table)) => properties(table, path, report),
        (Takes::Texts(what), Value::Array(elements)) => {
            if let Some((at, message, help)) = texts(path, what, elements, &given.at) {
                report.error(at, message, help);
                return None;
            }
        }
        (takes, value) => match convert(takes, path, std::mem::replace(value, Value::Other(""))) {
            Ok(converted) => given.value = converted,
            Err((message, help)) => {
                report.error(&given.at, message, help);
                return None;
            }
        },
    }
    Some(given)
}

/// The value in the form that a key of one value takes.
pub(super) fn convert(takes: Takes, path: &str, value: Value) -> Result<Value, Mistake> {
    let takes_what = |what: &str, value: &Value| {
        Err((format!("`{path}` takes {what}, not {}", value.kind()), None))
    };
    match (takes, value) {
        (Takes::Text(what), Value::Text(text)) if text.trim().is_empty() => Err((
            format!("`{path}` is empty"),
            Some(format!("it takes {what}")),
        )),
        (Takes::Text(_), Value::Text(text)) => Ok(Value::Text(text)),
        (Takes::Choice(choices), Value::Text(text)) if choices.contains(&text.as_str()) => {
            Ok(Value::Text(text))
        }
        (Takes::Choice(choices), Value::Text(text)) => {
            let help = match suggest::nearest(&text, choices.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("choices are {}", suggest::listed(choices.iter().copied())),
            };
            Err((format!("`{path}` does not know `{text}`"), Some(help)))
        }
        (Takes::Boolean, value @ Value::Boolean(_)) => Ok(value),
        (Takes::Count(most), Value::Integer(count)) => {
            if (1..=most).contains(&count) {
                return Ok(Value::Integer(count));
            }
            let message = format!("`{path}` is {count}, and can be 1 to {most}");
            Err((message, None))
        }
        (Takes::Duration, Value::Text(text)) => match units::parse_duration(&text) {
            Ok(duration) if duration.is_zero() => Err((
                format!("`{path}` is zero"),
                Some("such as \"30s\"".to_owned()),
            )),
            Ok(duration) => Ok(Value::Duration(duration)),
            Err(error) => Err((format!("`{path}`: {}", error.message), Some(error.help))),
        },
        (Takes::Bytes, Value::Text(text)) => match units::parse_bytes(&text) {
            Ok(bytes) => Ok(Value::Bytes(bytes)),
            Err(error) => Err((format!("`{path}`: {}", error.message), Some(error.help))),
        },
        (Takes::Text(what) | Takes::Texts(what), value) => takes_what(what, &value),
        (Takes::Choice(choices), value) => takes_what(
            &format!("one of {}", suggest::listed(choices.iter().copied())),
            &value,
        ),
        (Takes::Boolean, value) => takes_what("true or false", &value),
        (Takes::Count(most), value) => takes_what(&format!("a number from 1 to {most}"), &value),
        (Takes::Duration, value) => takes_what("a length of time, such as \"30s\"", &value),
        (Takes::Bytes, value) => takes_what("a size, such as \"16MiB\"", &value),
        (_, value) => takes_what(&format!("a section: `[{path}]`"), &value),
    }
}

/// What is wrong with an array of texts, and where.
pub(super) fn texts(
    path: &str,
    what: &str,
    elements: &[Given],
    at: &Place,
) -> Option<(Place, String, Option<String>)> {
    let help = || Some(format!("it takes {what}"));
    if elements.is_empty() {
        return Some((at.clone(), format!("`{path}` is empty"), help()));
    }
    elements.iter().find_map(|element| {
        let message = match &element.value {
            Value::Text(text) if text.trim().is_empty() => format!("a text of `{path}` is empty"),
            Value::Text(_) => return None,
            other => {
                let message = format!("`{path}` takes {what}; this is {}", other.kind());
                return Some((element.at.clone(), message, None));
            }
        };
        Some((element.at.clone(), message, help()))
    })
}

/// Checks sections by name. What would be the key of one of them is said to be of none.
fn named(
    table: &mut Table,
    section: &'static KeySection,
    noun: &str,
    shown: &str,
    at: &Place,
    report: &mut Report<'_>,
) {
    if table.entries.len() > NAMED_MAX {
        let message = format!("there are more than {NAMED_MAX} of `{shown}`");
        report.error(at, message, None);
        table.entries.clear();
        return;
    }
    for (name, mut given) in std::mem::take(&mut table.entries) {
        let Value::Table(inner) = &mut given.value else {
            if section.key(&name).is_some() {
                let message = format!("`{name}` in `[{shown}]` is of no {noun}");
                let own = section.path;
                let help = if keys::root().key(own).is_some() {
                    format!("`[{own}]`, or `[{shown}.main]` for one of several")
                } else {
                    format!("`[{shown}.main]`, or another name than `main`")
                };
                report.error(given.key_at, message, Some(help));
            } else {
                let path = join(shown, &name);
                let kind = given.value.kind();
                let message = format!("`{path}` takes a section: `[{path}]`, not {kind}");
                report.error(given.at, message, None);
            }
            continue;
        };
        if let Err(why) = names::check_name(&name) {
            report.error(
                &given.key_at,
                format!("the {noun}'s name `{name}` {why}"),
                None,
            );
        }
        check(inner, section, &join(shown, &name), report);
        table.entries.push((name, given));
    }
}

/// Checks a secret's reference. No message shows a value, which may be the secret.
fn secret(path: &str, value: &Value, at: &Place) -> Result<(), (Place, String, String)> {
    let wrong = |at: &Place, message: String| Err((at.clone(), message, SECRET_HELP.to_owned()));
    let Value::Table(reference) = value else {
        return wrong(at, format!("`{path}` does not take the secret itself"));
    };
    let key = path.rsplit('.').next().unwrap_or(path);
    for (name, given) in &reference.entries {
        if name != "env" && name != "file" {
            let help = suggest::nearest(name, ["env", "file"])
                .map_or(SECRET_HELP.to_owned(), |near| {
                    format!("did you mean `{near}`?")
                });
            return Err((
                given.key_at.clone(),
                format!("unknown key `{name}` in `{key}`"),
                help,
            ));
        }
        match &given.value {
            Value::Text(text) if text.trim().is_empty() => {
                return wrong(&given.at, format!("`{path}.{name}` is empty"));
            }
            Value::Text(_) => {}
            other => {
                let message = format!("`{path}.{name}` takes a name, not {}", other.kind());
                return wrong(&given.at, message);
            }
        }
    }
    match (reference.get("env"), reference.get("file")) {
        (Some(_), Some(_)) => wrong(at, format!("`{path}` has both `env` and `file`")),
        (None, None) => wrong(at, format!("`{path}` has neither `env` nor `file`")),
        _ => Ok(()),
    }
}

fn headers(table: &mut Table, path: &str, report: &mut Report<'_>) {
    for (name, given) in std::mem::take(&mut table.entries) {
        let plain = matches!(given.value, Value::Text(_));
        let help = || format!("`{path} = {{ {name} = … }}` takes a text, or a secret by reference");
        let checked = header(&name, plain)
            .map_err(|message| (given.at.clone(), message, help()))
            .and_then(|()| match &given.value {
                Value::Text(_) => Ok(()),
                value => secret(&join(path, &name), value, &given.at),
            });
        match checked {
            Ok(()) => table.entries.push((name, given)),
            Err((at, message, help)) => report.error(at, message, Some(help)),
        }
    }
}

/// Checks a header's name, and whether its text may stand in plain.
pub(super) fn header(name: &str, plain: bool) -> Result<(), String> {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(of_token) {
        return Err(format!("`{name}` is no name of a header"));
    }
    let lower = name.to_ascii_lowercase();
    let marks = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
    ];
    if plain && marks.iter().any(|mark| lower.contains(mark)) {
        return Err(format!(
            "the header `{name}` holds a secret, which does not stand in plain"
        ));
    }
    Ok(())
}

fn properties(table: &mut Table, path: &str, report: &mut Report<'_>) {
    // `dfs.nameservices = "x"` without quotes is `nameservices` in a table `dfs`.
    let mut flat = Table::default();
    flatten(std::mem::take(table), "", path, &mut flat, report);
    *table = flat;
}

fn flatten(table: Table, head: &str, path: &str, flat: &mut Table, report: &mut Report<'_>) {
    for (name, given) in table.entries {
        let name = join(head, &name);
        match given.value {
            Value::Table(inner) => flatten(inner, &name, path, flat, report),
            Value::Text(_) => flat.entries.push((name, given)),
            other => {
                let message = format!("`{path}.\"{name}\"` takes a text, not {}", other.kind());
                report.error(given.at, message, Some("put it in quotes".to_owned()));
            }
        }
    }
}
