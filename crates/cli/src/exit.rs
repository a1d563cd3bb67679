//! Exit codes and how a failure is told: the one place where an error becomes both.
//!
//! Scripts rely on the codes, people on the text, which always is `error: failed to …`, then the
//! causes, then what to do next.

use std::{fmt::Write as _, io::Write as _};

use anstream::stderr;
use frazil_service::settings::SettingsError;
use frazil_table::{
    catalog::CatalogError,
    error::{Remedy, TableError},
    schema::{SchemaConflict, SchemaError},
};

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked is done.
    Done = 0,
    /// It failed; trying again may help.
    Failed = 1,
    /// The command line or a file is wrong; nothing was touched.
    Usage = 2,
    /// Stopped on purpose: a person must decide, and the message says how.
    Stopped = 3,
    /// More dead letters than allowed.
    DeadLetters = 4,
}

impl Exit {
    /// How the whole ended where one of several ended as `self` and another as `other`:
    /// the first that applies of 3, 2, 1, 4, 0.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let weight = |exit: Self| match exit {
            Self::Stopped => 4,
            Self::Usage => 3,
            Self::Failed => 2,
            Self::DeadLetters => 1,
            Self::Done => 0,
        };
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }

    /// The code that an error means: that of its first cause which knows what can be done about it. Of what only
    /// one binary knows, it tells itself.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(Self::of_cause)
            .unwrap_or(Self::Failed)
    }

    /// The code of what can be done about an error.
    pub fn after(remedy: Remedy) -> Self {
        match remedy {
            Remedy::Retry => Self::Failed,
            Remedy::Usage => Self::Usage,
            Remedy::Stop => Self::Stopped,
        }
    }

    /// The code of one cause, if it knows what can be done about it.
    pub fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.exit);
        }
        if let Some(error) = cause.downcast_ref::<TableError>() {
            return Some(Self::after(error.remedy()));
        }
        if cause.is::<SettingsError>() || cause.is::<SchemaError>() || cause.is::<SchemaConflict>()
        {
            return Some(Self::Usage);
        }
        match cause.downcast_ref::<CatalogError>()? {
            CatalogError::Rejected { .. } => Some(Self::Stopped),
            CatalogError::Unavailable { .. } | CatalogError::Storage(_) => Some(Self::Failed),
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that knows its exit code and what to do next. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    exit: Exit,
    what: String,
    next: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// The command line or a file is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            what: what.into(),
            next: None,
            source: None,
        }
    }

    /// Trying again may help.
    pub fn failed(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            ..Self::usage(what)
        }
    }

    /// A person must decide.
    pub fn stopped(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Stopped,
            ..Self::usage(what)
        }
    }

    /// What the reader should do.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Why.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Tells a person why a command failed, on standard error.
pub fn report(error: &anyhow::Error) {
    let mut err = stderr().lock();
    // Nobody is left to tell where standard error is gone.
    let _ = err.write_all(render(error).as_bytes());
}

/// As [`report`] tells it, without colours: after "failed to ".
pub fn plain(error: &anyhow::Error) -> String {
    let text = anstream::adapter::strip_str(&render(error)).to_string();
    let text = text.trim_end();
    text.strip_prefix("error: failed to ")
        .unwrap_or(text)
        .to_owned()
}

/// `error: failed to …`, its causes below, and the next step; with colours, which the terminal's
/// writer takes out where they are not wanted.
pub fn render(error: &anyhow::Error) -> String {
    let style = clap::builder::Styles::styled();
    let (red, bold) = (style.get_error(), style.get_literal());
    let mut text = format!(
        "{red}error:{red:#} failed to {}",
        indented(&error.to_string())
    );
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many libraries repeat their source's text in their own.
        if !said.contains(&cause) {
            let _ = write!(text, "\n  because: {}", indented(&cause));
            said = cause;
        }
    }
    let next = error
        .chain()
        .find_map(|one| one.downcast_ref::<Failure>()?.next.as_deref());
    if let Some(next) = next {
        let _ = write!(text, "\n  {bold}next:{bold:#} {}", indented(next));
    }
    text.push('\n');
    text
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn of_several_ends_the_gravest_is_told() {
        use Exit::{DeadLetters, Done, Failed, Stopped, Usage};
        let order = [Stopped, Usage, Failed, DeadLetters, Done];
        for (index, grave) in order.iter().enumerate() {
            for light in &order[index..] {
                assert_eq!(grave.and(*light), *grave);
                assert_eq!(light.and(*grave), *grave);
            }
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_the_next_step() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::new(
            Failure::usage("read schemas/web.toml")
                .because(cause)
                .next("run `frazil init`"),
        );
        let plain = anstream::adapter::strip_str(&render(&error)).to_string();
        assert_eq!(
            plain,
            "error: failed to read schemas/web.toml\n  because: no such file\n  next: run `frazil init`\n"
        );
        assert_eq!(Exit::of(&error), Exit::Usage);
        assert_eq!(Exit::of(&error.context("check web")), Exit::Usage);
    }

    #[test]
    fn an_unknown_error_may_be_tried_again() {
        let error = Err::<(), _>(std::io::Error::other("lost"))
            .context("read")
            .unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Failed);
    }
}
