//! Grok: patterns of patterns, `%{NAME:field}`.

use super::{Alias, EXPANDED_BYTES_MAX, PatternError};
use crate::suggest;

/// A line each: a name, and a regular expression that may refer to others.
const LIBRARY: &str = include_str!("library.txt");

/// Patterns within patterns; one that refers to itself ends there.
const DEPTH_MAX: usize = 32;

/// How a type may be stated, which other tools convert by. Here columns have types.
const TYPES: [&str; 7] = [
    "int", "integer", "long", "float", "double", "string", "boolean",
];

/// The regular expression of a grok pattern, and which of its groups stand for which fields.
pub(super) fn expand(
    text: &str,
    custom: &[(&str, &str)],
) -> Result<(String, Vec<Alias>), PatternError> {
    let mut expansion = Expansion {
        custom,
        regex: String::new(),
        aliases: Vec::new(),
    };
    expansion.add(text, 0, None)?;
    Ok((expansion.regex, expansion.aliases))
}

struct Expansion<'a> {
    custom: &'a [(&'a str, &'a str)],
    regex: String,
    aliases: Vec<Alias>,
}

impl Expansion<'_> {
    /// Adds a pattern; `at`: where in what was written, of patterns within others the outermost's place.
    fn add(&mut self, text: &str, depth: usize, at: Option<usize>) -> Result<(), PatternError> {
        let mut done = 0;
        while let Some(found) = text[done..].find("%{") {
            let start = done + found;
            let place = at.unwrap_or(start);
            let Some(length) = text[start..].find('}') else {
                return Err(PatternError::new(
                    place,
                    "`%{` has no `}`",
                    "as in `%{NUMBER:status}`",
                ));
            };
            self.push(&text[done..start], place)?;
            self.reference(&text[start + 2..start + length], depth, place)?;
            done = start + length + 1;
        }
        self.push(&text[done..], at.unwrap_or(0))
    }

    fn push(&mut self, text: &str, place: usize) -> Result<(), PatternError> {
        self.regex.push_str(text);
        if self.regex.len() > EXPANDED_BYTES_MAX {
            let message = format!(
                "the patterns that it refers to make more than {EXPANDED_BYTES_MAX} bytes of it"
            );
            return Err(PatternError::new(
                place,
                message,
                "does a pattern refer to itself?",
            ));
        }
        Ok(())
    }

    /// `NAME`, `NAME:field` or `NAME:field:type`.
    fn reference(&mut self, text: &str, depth: usize, place: usize) -> Result<(), PatternError> {
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let field = parts.next().filter(|field| !field.is_empty());
        if let Some(kind) = parts.next()
            && !TYPES.contains(&kind)
        {
            let message = format!("`{kind}` is no type");
            return Err(PatternError::new(
                place,
                message,
                "types stand with the columns; `%{NAME:field}` is all that is needed",
            ));
        }
        let Some(pattern) = self.pattern(name).map(str::to_owned) else {
            let names = self.custom.iter().map(|(name, _)| *name);
            let near = suggest::nearest(name, library().map(|(name, _)| name).chain(names));
            return Err(PatternError {
                at: place,
                message: format!("there is no pattern `{name}`"),
                help: Some(near.map_or_else(
                    || format!("add it: `patterns = {{ {name} = \"…\" }}`"),
                    |near| format!("did you mean `{near}`?"),
                )),
            });
        };
        if depth >= DEPTH_MAX {
            let message = format!("the pattern `{name}` refers to itself, or too deeply");
            return Err(PatternError::new(
                place,
                message,
                "patterns may refer to others, 32 deep",
            ));
        }
        match field {
            Some(field) => {
                let alias = format!("__field{}", self.aliases.len());
                self.push(&format!("(?P<{alias}>"), place)?;
                self.aliases.push((alias, field_name(field)));
            }
            None => self.push("(?:", place)?,
        }
        self.add(&pattern, depth + 1, Some(place))?;
        self.push(")", place)
    }

    fn pattern(&self, name: &str) -> Option<&str> {
        let custom = self.custom.iter().find(|(one, _)| *one == name);
        let mut all = library();
        custom.map(|(_, pattern)| *pattern).or_else(|| {
            all.find(|(one, _)| *one == name)
                .map(|(_, pattern)| pattern)
        })
    }
}

/// The patterns that need not be written.
fn library() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIBRARY
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
}

/// `a.b` of `[a][b]`, as Elastic's tools write it.
fn field_name(text: &str) -> String {
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(inner) => inner.replace("][", "."),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_library_compiles_by_itself() {
        for (name, _) in library() {
            let pattern = super::super::Pattern::grok(&format!("%{{{name}:x}}"), &[]);
            assert!(pattern.is_ok(), "{name}: {pattern:?}");
        }
    }
}
