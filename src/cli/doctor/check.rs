//! What was tried, and how it went.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::exit::{self, Exit, Failure};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    /// It works, and something may go wrong all the same.
    Warning,
    /// With the exit code that it means.
    Failed(Exit),
}

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    /// Which: `catalog-open`.
    name: &'static str,
    /// Of what: a catalog's address, a dataset's name.
    of: String,
    status: Status,
    told: String,
    took: Duration,
    next: Option<String>,
}

impl Check {
    pub(super) fn exit(&self) -> Exit {
        match self.status {
            Status::Ok | Status::Warning => Exit::Done,
            Status::Failed(exit) => exit,
        }
    }

    fn status(&self) -> &'static str {
        match self.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed(_) => "failed",
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "check": self.name, "of": self.of, "status": self.status(), "told": self.told,
            "seconds": self.took.as_secs_f64(), "next": self.next,
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let (status, ms) = (self.status(), self.took.as_millis());
        let told = self.told.trim_end().replace('\n', "\n         ");
        let mut lines = vec![format!(
            "{status:<8} {} {}: {told} ({ms} ms)",
            self.name, self.of
        )];
        lines.extend(
            self.next
                .as_ref()
                .map(|next| format!("         next: {next}")),
        );
        lines
    }
}

/// Checks of one server, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) made: Vec<Check>,
    limit: Duration,
}

impl Checks {
    /// None yet; each may take so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            made: Vec::new(),
            limit,
        }
    }

    /// How the last one ended.
    pub(super) fn last_exit(&self) -> Exit {
        self.made.last().map_or(Exit::Done, Check::exit)
    }

    /// Tries what gives something, and what to tell of it.
    pub(super) fn now<T>(
        &mut self,
        name: &'static str,
        of: &str,
        trial: impl FnOnce() -> anyhow::Result<(T, String)>,
    ) -> Option<T> {
        let begun = Instant::now();
        let result = trial();
        self.ended(name, of, begun.elapsed(), result)
    }

    /// As [`Self::now`], for at most as long as a check may take.
    pub(super) async fn wait<T>(
        &mut self,
        name: &'static str,
        of: &str,
        trial: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let result = match tokio::time::timeout(self.limit, trial).await {
            Ok(result) => result,
            Err(_) => Err(Failure::failed(format!(
                "get an answer within {} s",
                self.limit.as_secs_f64()
            ))
            .next("see that the server runs and that nothing between drops the connection; --timeout waits longer")
            .into()),
        };
        self.ended(name, of, begun.elapsed(), result)
    }

    fn ended<T>(
        &mut self,
        name: &'static str,
        of: &str,
        took: Duration,
        result: anyhow::Result<(T, String)>,
    ) -> Option<T> {
        let (status, told, next, given) = match result {
            Ok((given, told)) => (Status::Ok, told, None, Some(given)),
            Err(error) => {
                let exit = match exit::of(&error) {
                    // What the server will go on refusing is for a person to set right.
                    Exit::Stopped | Exit::Usage => Exit::Usage,
                    _ => Exit::Failed,
                };
                let text = exit::plain(&error);
                let (told, next) = match text.split_once("\n  next: ") {
                    Some((told, next)) => (told.to_owned(), next.to_owned()),
                    None => (text, advice(exit).to_owned()),
                };
                let told = format!("failed to {told}");
                (Status::Failed(exit), told, Some(next), None)
            }
        };
        self.made.push(Check {
            name,
            of: of.to_owned(),
            status,
            told,
            took,
            next,
        });
        given
    }

    /// Something that works, and may go wrong all the same.
    pub(super) fn warn(
        &mut self,
        name: &'static str,
        of: &str,
        told: impl Into<String>,
        next: impl Into<String>,
    ) {
        self.made.push(Check {
            name,
            of: of.to_owned(),
            status: Status::Warning,
            told: told.into(),
            took: Duration::ZERO,
            next: Some(next.into()),
        });
    }
}

fn advice(exit: Exit) -> &'static str {
    match exit {
        Exit::Usage => "correct what it names, in the dataset or deployment file or at the server",
        _ => "see that the server runs and can be reached from here, then try again",
    }
}
