//! `frazil offsets set`: an operator's decision on what is read next.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use frazil::source::{LocalFileSystem, identity_at};
use frazil_dataset::Dataset;
use frazil_service::clock::{RandomIds, SystemClock};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Committer, PositionChange, PositionChanges, all_sources},
    error::TableErrorKind,
    state::{KafkaIdentity, SourceIdentity, SourceState, State},
};
use serde_json::json;

use super::kafka;
use crate::cli::{
    Context,
    exit::{Exit, Failure},
    output::{Output, counted, grouped},
    read,
};

/// Sources that an error names one by one.
const SOURCES_NAMED_MAX: usize = 20;

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["positions", "source", "restart", "accept_history", "from_group", "at", "forget_topic"]),
    group = clap::ArgGroup::new("to").args(["position", "forget"]),
)]
pub(super) struct SetArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// The next offset of a partition of Kafka: 0=1200, or web:0=1200 where there are several topics; all in one change
    #[arg(value_name = "[TOPIC:]PARTITION=OFFSET", conflicts_with_all = ["source", "restart", "from_group", "at", "forget_topic"])]
    positions: Vec<String>,
    /// The source's id, as `offsets show` tells it; with --position or --forget
    #[arg(long, value_name = "ID", conflicts_with = "restart", requires = "to")]
    source: Option<u64>,
    /// The next position to read of that source: a byte of the decompressed file, or Kafka's offset
    #[arg(long, value_name = "N", requires = "source")]
    position: Option<u64>,
    /// Forget that source: met again, it is read from its beginning
    #[arg(long, requires = "source")]
    forget: bool,
    /// Forget every source: all that is met is read from its beginning
    #[arg(long)]
    restart: bool,
    /// Go on where that consumer group stands, in all partitions of the dataset's topics that it has stored
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["source", "restart", "at"])]
    from_group: Option<String>,
    /// Go on at that place in all partitions of the dataset's topics: earliest, latest, or a time
    #[arg(long, value_name = "TIME", conflicts_with_all = ["source", "restart"])]
    at: Option<kafka::At>,
    /// Forget a topic: met again, it begins where the dataset's `start` says
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["source", "restart", "at", "from_group"])]
    forget_topic: Option<String>,
    /// Go on with the table as it is: re-created, rolled back, or without its positions
    #[arg(long)]
    accept_history: bool,
    /// Why, for those who come after
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Runs it.
pub(super) async fn run(
    args: &SetArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let table = context
        .table(catalog.as_ref(), &dataset.name, &dataset.table)
        .await?;
    let state = state(args, &table)?;
    let sources = sources(args, &table, &state).await?;
    let changes = asked(args, context, &dataset, &state, &sources)?;
    for change in &changes {
        eprintln!("{}", told(change, &sources));
    }
    if args.accept_history {
        eprintln!("the table is taken as it is now, whatever its history says");
    }
    if !args.yes {
        confirm(&format!(
            "Set {} of {}?",
            counted(changes.len() as u64, "position"),
            dataset.table
        ))?;
    }
    let asked = PositionChanges {
        changes,
        who: operator(),
        why: args.reason.clone(),
        accept_history: args.accept_history,
    };
    let committer = Committer::new(catalog, Arc::new(SystemClock), Arc::new(RandomIds));
    let snapshot_id = committer
        .set_positions(&dataset.table, &asked)
        .await
        .context("set positions")?;
    if context.json {
        let changed = asked.changes.iter().map(|change| match change {
            PositionChange::Set {
                source, position, ..
            }
            | PositionChange::Add {
                source, position, ..
            } => json!({ "id": source, "position": position }),
            PositionChange::Forget { source } => json!({ "id": source, "position": null }),
        });
        let changes: Vec<_> = changed.collect();
        out.json(&json!({
            "dataset": dataset.name,
            "table": dataset.table.to_string(),
            "changes": changes,
            "snapshot_id": snapshot_id.to_string(),
        }))?;
    } else {
        out.line(format!(
            "Done; `frazil offsets show {}` shows the positions.",
            args.dataset
        ))?;
    }
    Ok(Exit::Done)
}

/// What the table's state says, looked at and not judged: that is for the commit.
fn state(args: &SetArgs, table: &LoadedTable) -> anyhow::Result<State> {
    match read::state(table) {
        Ok(state) => Ok(state.unwrap_or_else(|| State::new(table.metadata.uuid()))),
        // What is damaged can only be accepted as lost.
        Err(error) if args.accept_history && error.kind == TableErrorKind::StateDamaged => {
            Ok(State::new(table.metadata.uuid()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn sources(
    args: &SetArgs,
    table: &LoadedTable,
    state: &State,
) -> anyhow::Result<BTreeMap<u64, SourceState>> {
    match all_sources(table, state).await {
        Ok(sources) => Ok(sources),
        // What is lost can only be accepted.
        Err(error) if args.accept_history && error.kind == TableErrorKind::FinishedSourcesLost => {
            eprintln!("the sources that were read to their end are forgotten: {error}");
            Ok(state.sources.clone())
        }
        Err(error) => Err(error.into()),
    }
}

/// The changes that the arguments ask for.
fn asked(
    args: &SetArgs,
    context: &Context,
    dataset: &Dataset,
    state: &State,
    sources: &BTreeMap<u64, SourceState>,
) -> anyhow::Result<Vec<PositionChange>> {
    let to = if let Some(group) = &args.from_group {
        kafka::To::Group(group)
    } else if let Some(at) = args.at {
        kafka::To::Seek(at.0)
    } else if !args.positions.is_empty() {
        kafka::To::Given(&args.positions)
    } else if let Some(topic) = &args.forget_topic {
        return kafka::forget(sources, topic);
    } else {
        return of_sources(args, sources);
    };
    tokio::task::block_in_place(|| kafka::changes(context, dataset, state, &to))
}

fn of_sources(
    args: &SetArgs,
    sources: &BTreeMap<u64, SourceState>,
) -> anyhow::Result<Vec<PositionChange>> {
    if args.restart {
        return Ok(sources
            .keys()
            .map(|source| PositionChange::Forget { source: *source })
            .collect());
    }
    let Some(id) = args.source else {
        return Ok(Vec::new());
    };
    let Some(source) = sources.get(&id) else {
        let known = match sources.len() {
            0 => "it has none".to_owned(),
            1..=SOURCES_NAMED_MAX => {
                let known: Vec<_> = sources.keys().map(ToString::to_string).collect();
                format!(
                    "it has {}; `frazil offsets show` tells more",
                    known.join(", ")
                )
            }
            many => format!("it has {many} others; `frazil offsets show --all` lists them"),
        };
        return Err(
            Failure::usage(format!("find source {id} in the table's state"))
                .next(known)
                .into(),
        );
    };
    let Some(position) = args.position else {
        return Ok(vec![PositionChange::Forget { source: id }]);
    };
    if let SourceIdentity::Kafka(kafka) = &source.identity {
        // The leader's epoch is of the record before the position, which is not looked at.
        let identity = KafkaIdentity {
            leader_epoch: None,
            ..kafka.clone()
        };
        return Ok(vec![PositionChange::Set {
            source: id,
            position,
            identity: Some(SourceIdentity::Kafka(identity)),
        }]);
    }
    let SourceIdentity::File(file) = &source.identity else {
        return Err(Failure::usage(format!("set the position of source {id}: it was one run's standard input"))
            .next("standard input cannot be read again; name a source that is a file, or `--forget` this one")
            .into());
    };
    // A file is known by its content up to the position, so a new position needs the content.
    let path = Path::new(&file.path);
    let identity = identity_at(&LocalFileSystem, path, position).with_context(|| {
        format!(
            "look at source {id}, which must be there to set its position (`--forget` does without)"
        )
    })?;
    let Some(identity) = identity else {
        return Err(
            Failure::usage(format!("set source {id} to byte {}", grouped(position)))
                .because(format!("{} ends before it", file.path))
                .into(),
        );
    };
    Ok(vec![PositionChange::Set {
        source: id,
        position,
        identity: Some(SourceIdentity::File(identity)),
    }])
}

/// What a change does, for who must confirm it.
fn told(change: &PositionChange, sources: &BTreeMap<u64, SourceState>) -> String {
    let name = |id: &u64| match sources.get(id).map(|source| &source.identity) {
        Some(SourceIdentity::File(file)) => file.path.clone(),
        Some(SourceIdentity::Kafka(kafka)) => format!("{}[{}]", kafka.topic.name, kafka.partition),
        _ => "standard input".to_owned(),
    };
    match change {
        PositionChange::Forget { source } => {
            let is_kafka = sources
                .get(source)
                .is_some_and(|source| matches!(source.identity, SourceIdentity::Kafka(_)));
            let effect = if is_kafka {
                "its topic is read from `start`; rows will be there twice unless it was deleted and made again"
            } else {
                "met again, it is read from its beginning and its rows will be there twice"
            };
            format!("source {source} ({}): forgotten; {effect}", name(source))
        }
        PositionChange::Add {
            source,
            position,
            identity,
        } => {
            let what = match identity {
                SourceIdentity::Kafka(kafka) => {
                    format!("{}[{}]", kafka.topic.name, kafka.partition)
                }
                SourceIdentity::File(_) | SourceIdentity::StandardInput => String::new(),
            };
            format!("source {source} ({what}): new, at {}", grouped(*position))
        }
        PositionChange::Set {
            source, position, ..
        } => {
            let from = sources.get(source).map_or(0, |source| source.position);
            let effect = match position.cmp(&from) {
                Ordering::Less => "records in between will be in the table twice",
                Ordering::Equal => "no change",
                Ordering::Greater => "records in between will be missing from the table",
            };
            format!(
                "source {source} ({}): {} -> {}: {effect}",
                name(source),
                grouped(from),
                grouped(*position)
            )
        }
    }
}

/// Asks on the terminal; without one nobody can answer.
fn confirm(question: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage("ask for confirmation: standard input is no terminal")
                .next("add `--yes` if you mean it")
                .into(),
        );
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::usage("set positions: not confirmed")
            .next("nothing was changed")
            .into())
    }
}

/// Who does this: the user that the process runs as, and the machine.
fn operator() -> String {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let host = text("/proc/sys/kernel/hostname");
    let user = user_id().map(|id| {
        let id = id.to_string();
        let users = text("/etc/passwd");
        let found = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&id.as_str()));
        found.map_or_else(|| format!("uid {id}"), |fields| fields[0].to_owned())
    });
    match (user.unwrap_or_else(|| "unknown".to_owned()), host.trim()) {
        (user, "") => user,
        (user, host) => format!("{user}@{host}"),
    }
}

#[cfg(unix)]
fn user_id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self")
        .ok()
        .map(|metadata| metadata.uid())
}

#[cfg(not(unix))]
fn user_id() -> Option<u32> {
    None
}
