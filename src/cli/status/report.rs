//! What was found out about one dataset, for people and machines.

use frazil::pipeline::Trouble;
use serde_json::{Value, json};

use super::writers::{DatasetHealth, Health};
use crate::cli::{
    exit::{self, Exit},
    output::{byte_size, counted, grouped, timestamp},
};

/// How a dataset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Everything that was there to read is in the table.
    UpToDate,
    /// Something is not.
    Behind,
    /// The table has no position of this source yet.
    NotBegun,
    /// A person must decide.
    Stopped,
    /// A server does not answer.
    Unreachable,
    /// The dataset file or a setting is wrong.
    Wrong,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::Behind => "behind",
            Self::NotBegun => "not begun",
            Self::Stopped => "stopped",
            Self::Unreachable => "unreachable",
            Self::Wrong => "wrong",
        }
    }
}

/// What is read, but for what the table holds of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lag {
    /// Whether the table has a position.
    pub(super) has_begun: bool,
    /// Whether anything is missing from the table.
    pub(super) is_behind: bool,
    /// How many offsets of Kafka; None for files.
    pub(super) records: Option<u64>,
    /// How many bytes of files; None for Kafka, and where it cannot be told without reading all.
    pub(super) bytes: Option<u64>,
    /// How old the oldest record of it is, in milliseconds, where the source tells.
    pub(super) oldest_ms: Option<i64>,
}

/// Our last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastCommit {
    pub(super) snapshot_id: i64,
    /// None where the snapshot was expired.
    pub(super) at_ms: Option<i64>,
}

/// What became of the records of the latest commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) records_read: u64,
    pub(super) dead_letters: u64,
}

/// One dataset.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) dataset: String,
    pub(super) table: Option<String>,
    pub(super) word: Word,
    pub(super) lag: Option<Lag>,
    pub(super) last_commit: Option<LastCommit>,
    pub(super) latest: Latest,
    /// Lists of dead letters on their way into the dead-letter table.
    pub(super) outbox_pending: u64,
    pub(super) trouble: Option<Trouble>,
    writers: Vec<(String, DatasetHealth)>,
}

impl Report {
    /// Nothing is known yet.
    pub(super) fn new(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            table: None,
            word: Word::NotBegun,
            lag: None,
            last_commit: None,
            latest: Latest::default(),
            outbox_pending: 0,
            trouble: None,
            writers: Vec::new(),
        }
    }

    /// How far the table has come in its source.
    pub(super) fn stands(&mut self, lag: Lag) {
        self.word = match lag {
            Lag {
                has_begun: false, ..
            } => Word::NotBegun,
            Lag {
                is_behind: true, ..
            } => Word::Behind,
            _ => Word::UpToDate,
        };
        self.lag = Some(lag);
    }

    /// It could not be found out, or a writer would stop.
    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        self.word = match exit::of(error) {
            Exit::Usage => Word::Wrong,
            Exit::Stopped | Exit::DeadLetters => Word::Stopped,
            Exit::Failed | Exit::Done => Word::Unreachable,
        };
        let text = exit::plain(error);
        self.trouble = Some(Trouble::new(text.replace("DATASET", &self.dataset)));
    }

    /// What a running writer says of it. What a person must decide there is so here, too.
    pub(super) fn of_writer(&mut self, health: &Health) {
        let of_it = health.datasets.iter();
        for told in of_it.filter(|one| one.dataset == self.dataset) {
            if ["parked", "stopped"].contains(&told.state.as_str()) {
                self.word = Word::Stopped;
            }
            if let (None, Some(error)) = (&self.trouble, &told.error) {
                let mut trouble = Trouble::new(error.as_str());
                trouble.next = told.next.clone().or(trouble.next);
                self.trouble = Some(trouble);
            }
            self.writers.push((health.writer.clone(), told.clone()));
        }
    }

    /// The columns of a table, but for the writers'.
    pub(super) fn cells(&self) -> Vec<String> {
        let none = || "-".to_owned();
        let waiting = match self.lag {
            None => none(),
            Some(Lag {
                records: Some(records),
                ..
            }) => counted(records, "record"),
            Some(Lag {
                bytes: Some(bytes), ..
            }) => byte_size(bytes),
            Some(Lag {
                is_behind: true, ..
            }) => "some".to_owned(),
            Some(_) => none(),
        };
        let oldest = self.lag.and_then(|lag| lag.oldest_ms);
        let dead = match self.latest.records_read {
            0 => none(),
            records => format!(
                "{:.2} % of {}",
                100.0 * self.latest.dead_letters as f64 / records as f64,
                grouped(records)
            ),
        };
        let committed = match self.last_commit {
            None if matches!(self.word, Word::Wrong | Word::Unreachable) => none(),
            None => "never".to_owned(),
            Some(LastCommit { at_ms: None, .. }) => "expired".to_owned(),
            Some(LastCommit {
                at_ms: Some(at), ..
            }) => timestamp(at / 1_000 * 1_000),
        };
        let snapshot = self.last_commit.map(|last| last.snapshot_id.to_string());
        vec![
            self.dataset.clone(),
            self.word.text().to_owned(),
            waiting,
            oldest.map_or_else(none, span),
            dead,
            committed,
            snapshot.unwrap_or_else(none),
        ]
    }

    /// What the running writers say of it.
    pub(super) fn writers(&self) -> String {
        let states: Vec<&str> = self
            .writers
            .iter()
            .map(|(_, told)| told.state.as_str())
            .collect();
        match states.as_slice() {
            [] => "-".to_owned(),
            states => states.join(", "),
        }
    }

    /// What is wrong, and the command that decides.
    pub(super) fn told(&self) -> Vec<String> {
        let Some(trouble) = &self.trouble else {
            return Vec::new();
        };
        let error = trouble.error.trim_end().replace('\n', "\n  ");
        let mut lines = vec![format!("{}: failed to {error}", self.dataset)];
        // What is told in words names it already.
        let next = trouble.next.as_ref();
        let next = next.filter(|_| !trouble.error.contains("\n  next: "));
        lines.extend(next.map(|next| format!("  next: {next}")));
        lines
    }

    pub(super) fn json(&self) -> Value {
        let writers: Vec<Value> = self
            .writers
            .iter()
            .map(|(writer, told)| {
                json!({
                    "writer": writer, "state": told.state, "ready": told.ready, "error": told.error, "next": told.next,
                    "since": told.since,
                })
            })
            .collect();
        let share = match self.latest.records_read {
            0 => None,
            records => Some(self.latest.dead_letters as f64 / records as f64),
        };
        json!({
            "dataset": self.dataset,
            "table": self.table,
            "state": self.word.text(),
            "lag_records": self.lag.and_then(|lag| lag.records),
            "lag_bytes": self.lag.and_then(|lag| lag.bytes),
            "oldest_uncommitted_seconds": self.lag.and_then(|lag| lag.oldest_ms).map(|ms| ms as f64 / 1_000.0),
            "last_commit": self.last_commit.map(|last| json!({
                "snapshot_id": last.snapshot_id.to_string(), "at": last.at_ms.map(timestamp),
            })),
            "records_read": self.latest.records_read,
            "dead_letters": self.latest.dead_letters,
            "dead_share": share,
            "outbox_pending": self.outbox_pending,
            "error": self.trouble.as_ref().map(|trouble| &trouble.error),
            "next": self.trouble.as_ref().and_then(|trouble| trouble.next.as_ref()),
            "writers": writers,
        })
    }
}

/// Milliseconds as people say them: `3 min`.
fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let told = [0, 119_999, 120_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(told, ["0 s", "119 s", "2 min", "2 h", "2 days"]);
    }

    #[test]
    fn what_a_person_must_decide_at_the_writer_is_told_here() {
        let health: Health = serde_json::from_str(
            r#"{"ready":false,"datasets":[
                {"dataset":"web","state":"parked","ready":false,"error":"go on in web[0]","next":"frazil offsets show web","since":"2026-01-31T12:00:00Z"},
                {"dataset":"api","state":"running","ready":true,"error":null,"next":null,"since":"2026-01-31T12:00:00Z","more":1}
            ]}"#,
        )
        .unwrap();
        let mut report = Report::new("web");
        report.of_writer(&health);
        assert_eq!(
            (report.word, report.writers().as_str()),
            (Word::Stopped, "parked")
        );
        assert_eq!(report.json()["next"], "frazil offsets show web");
        let mut report = Report::new("api");
        report.stands(Lag {
            has_begun: true,
            ..Lag::default()
        });
        report.of_writer(&health);
        assert_eq!(
            (report.word, report.writers().as_str()),
            (Word::UpToDate, "running")
        );
        assert_eq!(report.told(), [""; 0]);
    }
}
