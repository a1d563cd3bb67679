//! Regular expressions whose named groups are fields, and grok as another way to write them.
//!
//! Nothing that a record says may be lost: what an expression matches outside of its named groups, and that need
//! not be the same in each record, becomes a group of its own, the field [`UNNAMED`].

use std::ops::Range;

use regex_syntax::ast::{
    Ast, ClassPerlKind, GroupKind, RepetitionKind, RepetitionRange, parse::Parser,
};

mod grok;

/// The field of what is matched without a name.
pub const UNNAMED: &str = "$unnamed";

/// A longer pattern was not written by hand.
const PATTERN_BYTES_MAX: usize = 16 * 1024;
/// What the patterns that it refers to may make of it.
const EXPANDED_BYTES_MAX: usize = 256 * 1024;

/// A compiled pattern's size; the default of the engine, and a bound on what a file can make it take.
const COMPILED_BYTES_MAX: usize = 10 << 20;

/// A regular expression with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// In the syntax of the crate `regex`. It compiles.
    pub regex: String,
    /// The field of each group by its number, [`UNNAMED`] among them; `None` for the whole match, and for groups that are none.
    pub fields: Vec<Option<String>>,
}

/// Why a pattern does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError {
    /// Where in what was written, in bytes.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl PatternError {
    fn new(at: usize, message: impl Into<String>, help: &str) -> Self {
        Self {
            at,
            message: message.into(),
            help: Some(help.to_owned()),
        }
    }
}

/// A name that stands in the expression for a field.
pub(crate) type Alias = (String, String);

impl Pattern {
    /// Of a regular expression.
    pub(crate) fn regex(text: &str) -> Result<Self, PatternError> {
        too_long(text)?;
        Self::new(text, &[], |at| at)
    }

    /// Of a grok pattern; `custom` are patterns of the file's own.
    pub(crate) fn grok(text: &str, custom: &[(&str, &str)]) -> Result<Self, PatternError> {
        too_long(text)?;
        let (regex, aliases) = grok::expand(text, custom)?;
        // A place in the expanded pattern is none of the one that was written.
        Self::new(&regex, &aliases, |_| 0)
    }

    fn new(
        text: &str,
        aliases: &[Alias],
        place: impl Fn(usize) -> usize,
    ) -> Result<Self, PatternError> {
        let ast = Parser::new()
            .parse(text)
            .map_err(|error| syntax(&error, place(error.span().start.offset)))?;
        if !has_names(&ast) {
            return Err(PatternError::new(
                0,
                "it names no field",
                "a named group is a field: `(?P<status>\\d+)`",
            ));
        }
        if let Some((at, name)) = repeated(&ast, false) {
            return Err(PatternError::new(
                place(at),
                format!("the group `{name}` is repeated, and only its last round would be kept"),
                "repeat within the group: `(?P<words>(?:\\w+ )+)`",
            ));
        }
        let mut gaps = Vec::new();
        unnamed(&ast, &mut gaps);
        let mut regex = text.to_owned();
        for (number, gap) in gaps.iter().enumerate().rev() {
            regex.insert(gap.end, ')');
            regex.insert_str(gap.start, &format!("(?P<{GAP}{number}>"));
        }
        let compiled = compile(&regex)?;
        let field = |name: &str| {
            if name.starts_with(GAP) {
                return UNNAMED.to_owned();
            }
            let alias = aliases.iter().find(|(alias, _)| alias == name);
            alias.map_or(name, |(_, field)| field).to_owned()
        };
        let names = compiled.capture_names();
        Ok(Self {
            fields: names.map(|name| name.map(field)).collect(),
            regex,
        })
    }

    /// The fields' names, each once, in the order of the groups.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.fields.iter().flatten() {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// What groups begin with that no file names.
const GAP: &str = "__unnamed";

/// Whether a regular expression, which need not name fields, compiles.
pub(crate) fn check_regex(text: &str) -> Result<(), PatternError> {
    too_long(text)?;
    Parser::new()
        .parse(text)
        .map_err(|error| syntax(&error, error.span().start.offset))?;
    compile(text).map(|_| ())
}

fn syntax(error: &regex_syntax::ast::Error, at: usize) -> PatternError {
    let message = error.kind().to_string();
    let help = message.contains("look-").then(|| {
        "regular expressions here have no look-around and no back-references: each takes linear time".to_owned()
    });
    PatternError { at, message, help }
}

fn compile(regex: &str) -> Result<regex::bytes::Regex, PatternError> {
    regex::bytes::RegexBuilder::new(regex)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| PatternError {
            at: 0,
            message: error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned(),
            help: None,
        })
}

fn too_long(text: &str) -> Result<(), PatternError> {
    if text.len() <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "it has {} bytes, of at most {PATTERN_BYTES_MAX}",
        text.len()
    );
    Err(PatternError {
        at: 0,
        message,
        help: None,
    })
}

/// The group's name, if it has one.
fn name_of(kind: &GroupKind) -> Option<&str> {
    match kind {
        GroupKind::CaptureName { name, .. } => Some(&name.name),
        GroupKind::CaptureIndex(_) | GroupKind::NonCapturing(_) => None,
    }
}

fn children(ast: &Ast) -> Vec<&Ast> {
    match ast {
        Ast::Repetition(one) => vec![&one.ast],
        Ast::Group(one) => vec![&one.ast],
        Ast::Alternation(all) => all.asts.iter().collect(),
        Ast::Concat(all) => all.asts.iter().collect(),
        _ => Vec::new(),
    }
}

fn has_names(ast: &Ast) -> bool {
    let named = matches!(ast, Ast::Group(group) if name_of(&group.kind).is_some());
    named || children(ast).into_iter().any(has_names)
}

/// A named group that may take part more than once.
fn repeated(ast: &Ast, within: bool) -> Option<(usize, String)> {
    if let Ast::Group(group) = ast
        && within
        && let Some(name) = name_of(&group.kind)
    {
        return Some((group.span.start.offset, name.to_owned()));
    }
    let repeats = match ast {
        Ast::Repetition(one) => !matches!(
            one.op.kind,
            RepetitionKind::ZeroOrOne
                | RepetitionKind::Range(
                    RepetitionRange::Exactly(0 | 1) | RepetitionRange::Bounded(0 | 1, 0 | 1)
                )
        ),
        _ => false,
    };
    children(ast)
        .into_iter()
        .find_map(|child| repeated(child, within || repeats))
}

/// Whether it has a letter or digit of its own.
fn has_word(ast: &Ast) -> bool {
    match ast {
        Ast::Literal(literal) => literal.c.is_alphanumeric(),
        _ => children(ast).into_iter().any(has_word),
    }
}

/// Whether what it matches says something: that is, it need not be the same in each record, save for space and
/// for how often punctuation is repeated.
fn varies(ast: &Ast) -> bool {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Assertion(_) => false,
        Ast::ClassPerl(class) => class.negated || class.kind != ClassPerlKind::Space,
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassBracketed(_) => true,
        Ast::Repetition(one) => varies(&one.ast) || has_word(&one.ast),
        Ast::Group(one) => varies(&one.ast),
        Ast::Alternation(all) => all.asts.iter().any(|one| varies(one) || has_word(one)),
        Ast::Concat(all) => all.asts.iter().any(varies),
    }
}

/// The places of what varies outside of named groups, in order.
fn unnamed(ast: &Ast, into: &mut Vec<Range<usize>>) {
    let span = |ast: &Ast| ast.span().start.offset..ast.span().end.offset;
    if !has_names(ast) {
        if varies(ast) {
            into.push(span(ast));
        }
        return;
    }
    match ast {
        Ast::Group(group) if name_of(&group.kind).is_some() => {}
        Ast::Alternation(all) => {
            for one in &all.asts {
                if !has_names(one) && has_word(one) {
                    into.push(span(one));
                } else {
                    unnamed(one, into);
                }
            }
        }
        Ast::Concat(all) => {
            let mut run: Option<Range<usize>> = None;
            for one in &all.asts {
                // Flags would no longer reach what follows the group.
                let ends = has_names(one) || matches!(one, Ast::Flags(_));
                if ends {
                    into.extend(run.take());
                    unnamed(one, into);
                } else if varies(one) {
                    let start = run.map_or(span(one).start, |run| run.start);
                    run = Some(start..span(one).end);
                }
            }
            into.extend(run);
        }
        _ => {
            for one in children(ast) {
                unnamed(one, into);
            }
        }
    }
}

#[cfg(test)]
mod tests;
