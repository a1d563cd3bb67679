//! `frazil wait`: until a table is complete up to a time, for schedulers.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use frazil_dataset::{CompletePolicy, Dataset, format_duration, parse_duration, parse_time};
use frazil_service::clock::{RandomIds, SystemClock};
use frazil_table::{
    commit::Committer,
    state::{SourceIdentity, State},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Context,
    exit::{self, Exit, Failure},
    output::Output,
};

/// How often the table is looked at: often enough to be on time, too seldom to load the catalog.
const LOOK_MIN: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(10);

/// How often it is said what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// The partitions that are named, of those that are the furthest behind.
const NAMED_MAX: usize = 3;

/// Wait until a dataset's table is complete up to a time
///
/// For datasets with a [complete] section. Looks at the table alone, neither at Kafka nor at writers. Ends with 0 once
/// all records of an earlier time are in the table (as far as what [complete] assumes of late ones holds), with 1 where
/// that took too long.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct WaitArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// A time with its offset, or a date, which is its first moment in UTC
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Timestamp,
    /// How long to wait at most; 0s looks once
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    timeout: Duration,
}

const EXAMPLES: &str = "Examples:
  frazil wait web --until 2026-01-31T13:00:00Z && spark-submit hourly.py    the hour from 12 to 13
  frazil wait web --until 2026-02-01 --timeout 6h                           the whole of January
  frazil wait web --until 2026-02-01 --timeout 0s --json                    is it complete now, and what lacks";

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).ok_or_else(|| {
        "give a time with its offset as 2026-01-31T12:00:00Z, or a date as 2026-01-31".to_owned()
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// What a look at the table found.
#[derive(Debug, Default)]
struct Found {
    snapshot_id: Option<i64>,
    through: Option<Timestamp>,
    /// The partitions that are the furthest behind, and how far each is complete.
    behind: Vec<(String, i32, Option<Timestamp>)>,
    /// Why nothing is known.
    unknown: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    args: &WaitArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let Some(policy) = &dataset.complete else {
        let what = format!("tell how complete dataset {} is", dataset.name);
        return Err(Failure::usage(what)
            .next("add a [complete] section to its file; writers tell it from their next checkpoint on")
            .into());
    };
    let started = Instant::now();
    let mut committer = None;
    let mut look_next = LOOK_MIN;
    let mut say_next = started;
    loop {
        let found = match look(&dataset, policy, context, &mut committer).await {
            Ok(found) => found,
            // A catalog that does not answer now may do so until it is time.
            Err(error) if exit::of(&error) == Exit::Failed => Found {
                unknown: Some(format!("failed to {error:#}")),
                ..Found::default()
            },
            Err(error) => return Err(error),
        };
        let is_complete = found.through.is_some_and(|through| through >= args.until);
        let elapsed = started.elapsed();
        if is_complete || elapsed >= args.timeout {
            if context.json {
                out.json(&found.json(args, &dataset, elapsed, is_complete))?;
            }
            if !is_complete {
                return Err(late(args, &dataset, &found).into());
            }
            if !context.json {
                out.line(format!("{}: {}", dataset.name, found.told()))?;
            }
            return Ok(Exit::Done);
        }
        if Instant::now() >= say_next {
            tracing::info!(table = %dataset.table, until = %args.until, "waiting: {}", found.told());
            say_next = Instant::now() + SAY_EVERY;
        }
        tokio::time::sleep(look_next.min(args.timeout.saturating_sub(elapsed))).await;
        look_next = (look_next * 2).min(LOOK_MAX);
    }
}

async fn look(
    dataset: &Dataset,
    policy: &CompletePolicy,
    context: &Context,
    committer: &mut Option<Committer>,
) -> anyhow::Result<Found> {
    let asked = if let Some(committer) = committer.take() {
        committer
    } else {
        let catalog = context.catalog(dataset.catalog.as_deref()).await?;
        Committer::new(catalog, Arc::new(SystemClock), Arc::new(RandomIds))
    };
    let open = asked
        .open(&dataset.table)
        .await
        .context("look at the table")?;
    let Some(open) = open else {
        // Where there is no catalog yet, there may be one next time.
        return Ok(Found {
            unknown: Some("there is no table yet: nobody has written it".to_owned()),
            ..Found::default()
        });
    };
    *committer = Some(asked);
    let snapshot_id = open.table.metadata.current_snapshot_id();
    let by = open.state.complete.as_ref().map(|complete| &complete.time);
    let unknown = match by {
        Some(time) if *time == policy.time.to_string() => None,
        Some(time) => Some(format!(
            "the last writer told it by `{time}`, and the dataset says `{}`",
            policy.time
        )),
        None => Some("the last writer did not tell: its dataset had no [complete]".to_owned()),
    };
    Ok(if unknown.is_some() {
        Found {
            snapshot_id,
            unknown,
            ..Found::default()
        }
    } else {
        Found {
            snapshot_id,
            ..Found::of(&open.state)
        }
    })
}

fn late(args: &WaitArgs, dataset: &Dataset, found: &Found) -> Failure {
    let what = format!(
        "see table {} complete through {} within {}",
        dataset.table,
        args.until,
        format_duration(args.timeout)
    );
    Failure::failed(what)
        .because(found.told())
        .next("see that writers run and what they log; wait again, or longer by --timeout")
}

fn instant(at_s: i64) -> Option<Timestamp> {
    Timestamp::from_second(at_s).ok()
}

impl Found {
    fn of(state: &State) -> Self {
        let marks = state.complete.as_ref().map(|complete| &complete.sources);
        let mut behind: Vec<_> = state
            .sources
            .iter()
            .filter_map(|(id, source)| {
                let SourceIdentity::Kafka(kafka) = &source.identity else {
                    return None;
                };
                let mark = marks.and_then(|marks| instant(*marks.get(id)?));
                Some((kafka.topic.name.clone(), kafka.partition, mark))
            })
            .collect();
        behind.sort_by_key(|(_, _, through)| *through);
        behind.truncate(NAMED_MAX);
        Self {
            through: state.complete_through_s().and_then(instant),
            behind,
            ..Self::default()
        }
    }

    /// How complete it is and what holds it back, in words.
    fn told(&self) -> String {
        if let Some(unknown) = &self.unknown {
            return unknown.clone();
        }
        let through = match self.through {
            Some(through) => format!("complete through {through}"),
            None => "not yet known of all partitions how complete they are".to_owned(),
        };
        let behind = self.behind.iter().map(|(topic, partition, through)| {
            let through = through.map_or("unknown".to_owned(), |through| through.to_string());
            format!("{topic}[{partition}] {through}")
        });
        let behind: Vec<String> = behind.collect();
        if behind.is_empty() {
            return format!("{through}; the table knows no partition");
        }
        format!("{through}; furthest behind: {}", behind.join(", "))
    }

    fn json(
        &self,
        args: &WaitArgs,
        dataset: &Dataset,
        waited: Duration,
        is_complete: bool,
    ) -> Value {
        let text = |time: &Option<Timestamp>| time.map(|time| time.to_string());
        let behind = self.behind.iter().map(|(topic, partition, through)| {
            json!({ "topic": topic, "partition": partition, "complete_through": text(through) })
        });
        json!({
            "dataset": dataset.name,
            "table": dataset.table.to_string(),
            "until": args.until.to_string(),
            "complete": is_complete,
            "complete_through": text(&self.through),
            "furthest_behind": behind.collect::<Vec<_>>(),
            "unknown": self.unknown,
            "snapshot_id": self.snapshot_id.map(|id| id.to_string()),
            "waited_seconds": waited.as_secs_f64(),
        })
    }
}
