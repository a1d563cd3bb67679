//! From a file's text to checked values, or to all of its mistakes.
//!
//! A mistake never hides another: each part is read on its own, and only what depends on a part
//! that is wrong is left out. A syntax error is the exception, since after it nothing is certain.

mod columns;
mod complete;
mod dataset;
mod dedup;
mod deployment;
mod format;
mod layout;
mod policies;
mod report;
mod section;
mod source;

use toml_edit::{Document, TomlError};

pub use dataset::{parse_dataset, stated_name};
pub use deployment::{parse_deployment, parse_environment};

use report::Report;

/// A definition is written by hand; more is another kind of file.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whether messages may show what a file says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Shown,
    /// What stands in the wrong form may be a secret.
    Hidden,
}

/// The TOML of a text, or its syntax error.
fn parse_toml<'t>(
    text: &'t str,
    values: Values,
    report: &mut Report<'_>,
) -> Option<Document<&'t str>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, of at most {FILE_BYTES_MAX}",
            text.len()
        );
        report.error(0, message, None);
        return None;
    }
    match Document::parse(text) {
        Ok(document) => Some(document),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            report.error(
                at,
                error.message().trim().replace('\n', ", "),
                syntax_help(&error, text, at, values),
            );
            None
        }
    }
}

/// What those who know other formats trip over.
fn syntax_help(error: &TomlError, text: &str, at: usize, values: Values) -> Option<String> {
    let line_start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next()?.trim();
    if error.message().contains("duplicate key") {
        return Some("a key stands once in its section".to_owned());
    }
    let bare = |value: &str| {
        !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_alphanumeric() || "_-./:%()".contains(c))
    };
    if let Some((key, value)) = line.split_once(':')
        && !line.contains('=')
    {
        let (key, value) = (
            key.trim().trim_matches('"'),
            value.trim().trim_end_matches(','),
        );
        let value = if values == Values::Hidden {
            "\"…\"".to_owned()
        } else if bare(value) {
            format!("\"{value}\"")
        } else {
            value.to_owned()
        };
        return Some(format!("TOML writes `{key} = {value}`"));
    }
    let (key, value) = line.split_once('=')?;
    let value = value.split('#').next()?.trim();
    let is_text = bare(value) && !key.contains(['{', '[']);
    let value = if values == Values::Hidden {
        "…"
    } else {
        value
    };
    is_text.then(|| format!("text stands in quotes: `{} = \"{value}\"`", key.trim()))
}

#[cfg(test)]
mod tests;
