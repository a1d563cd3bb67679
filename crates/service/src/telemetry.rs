//! Logs: to standard error, as text for people or as one JSON object a line for machines.
//!
//! Standard output stays free for what a command prints. Log lines hold no field values of
//! records: whoever logs names datasets, tables, paths and positions.

use std::{io::IsTerminal as _, str::FromStr};

use tracing_subscriber::EnvFilter;

/// The target of what is said at every level but `off`: which catalog is written to.
pub const ALWAYS: &str = "frazil::always";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged: a level (`warn`) or filter directives (`info,frazil_table=debug`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel {
    directives: String,
}

impl Default for LogLevel {
    /// frazil's own news, and others' warnings.
    fn default() -> Self {
        Self::of_level("info")
    }
}

/// Libraries that log as an error what they also give back as one: whoever asked tells it, once.
const TELL_TWICE: &str = "volo=off,sqlx=error,rdkafka=off";

impl LogLevel {
    /// `level` for frazil itself; of its dependencies only what is `level` and at least a warning,
    /// since theirs at `info` would drown ours. `trace` and `off` are meant for all.
    fn of_level(level: &str) -> Self {
        let directives = match level {
            "trace" | "off" => level.to_owned(),
            "error" => format!("error,{TELL_TWICE}"),
            "debug" => "warn,frazil=debug".to_owned(),
            _ => format!("warn,frazil={level},{TELL_TWICE}"),
        };
        Self { directives }
    }

    fn with_always(&self) -> String {
        match self.directives.as_str() {
            "off" => self.directives.clone(),
            directives => format!("{directives},{ALWAYS}=info"),
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        if ["trace", "debug", "info", "warn", "error", "off"].contains(&lower.as_str()) {
            return Ok(Self::of_level(&lower));
        }
        match EnvFilter::builder().parse(text) {
            // A lone word that is no level would be taken as a target's name and show everything of nothing.
            Ok(_) if text.contains('=') => Ok(Self {
                directives: text.to_owned(),
            }),
            _ => Err(LogLevelError {
                given: text.to_owned(),
            }),
        }
    }
}

/// A log level that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no log level; take off, error, warn, info, debug, trace, or directives like `info,frazil_table=debug`"
)]
pub struct LogLevelError {
    given: String,
}

/// Starts logging for the process. A second call changes nothing.
pub fn start(format: LogFormat, level: &LogLevel) {
    let filter = EnvFilter::builder().parse_lossy(level.with_always());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Only a logger that was already set can make these fail; that one then stays.
    let _ = match format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_speaks_of_frazil_and_of_others_warnings() {
        assert_eq!(
            "DEBUG".parse::<LogLevel>().unwrap().directives,
            "warn,frazil=debug"
        );
        assert_eq!(
            "info".parse::<LogLevel>().unwrap().directives,
            "warn,frazil=info,volo=off,sqlx=error,rdkafka=off"
        );
        assert_eq!("off".parse::<LogLevel>().unwrap().directives, "off");
        assert_eq!("trace".parse::<LogLevel>().unwrap().directives, "trace");
    }

    #[test]
    fn some_things_are_said_at_every_level_but_off() {
        let said = |level: &str| level.parse::<LogLevel>().unwrap().with_always();
        assert!(said("error").ends_with(",frazil::always=info"));
        assert!(said("info,frazil_table=debug").ends_with(",frazil::always=info"));
        assert_eq!(said("off"), "off");
    }

    #[test]
    fn directives_are_taken_as_they_stand_and_nonsense_is_refused() {
        let directives = "info,frazil_table=debug";
        assert_eq!(
            directives.parse::<LogLevel>().unwrap().directives,
            directives
        );
        let error = "loud".parse::<LogLevel>().unwrap_err().to_string();
        assert!(error.contains("`loud` is no log level"), "{error}");
    }
}
