//! `frazil offsets`: how far a table has come in each of its sources, and the operator's hand on it.

mod kafka;

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use frazil::source::{LocalFileSystem, Standing, identity_at, standing};
use frazil_dataset::Dataset;
use frazil_service::clock::{RandomIds, SystemClock};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Committer, PositionChange, PositionChanges, all_sources},
    error::TableErrorKind,
    state::{KafkaIdentity, SourceIdentity, SourceState, State},
};
use serde_json::json;

use super::{
    Context,
    exit::{Exit, Failure},
    output::{Align, Grid, Output, counted, grouped, timestamp},
    read,
};

/// Sources that an error names one by one.
const SOURCES_NAMED_MAX: usize = 20;

/// Show or set how far a table has come in its sources
///
/// The positions are in the table itself, committed together with the rows. `set` is an operator's
/// decision: it changes what is read next, and writers that are at work give up what they hold.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct OffsetsArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "Examples:
  frazil offsets show web
  frazil offsets set web --source 3 --position 0 --reason 'rows were deleted by hand'
  frazil offsets set web --from-group old-sink    goes on where a Kafka group stands
  frazil offsets set web --at 2026-01-31T12:00:00Z  goes on at Kafka's records of that time
  frazil offsets set web --restart --yes        reads everything again: rows will be there twice
  frazil offsets set web --accept-history       after another hand rolled the table back";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The position of every source beside the file as it is now, and the dead letters on their way
    Show(ShowArgs),
    /// Set the position of a source, or forget sources; asks first
    Set(SetArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// Also list, one by one, the files that were read to their end and have moved out of the table's state
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true).args(["source", "restart", "accept_history", "from_group", "at", "forget_topic"]),
    group = clap::ArgGroup::new("to").args(["position", "forget"]),
)]
struct SetArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
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
    at: Option<kafka::To>,
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

/// Runs the command.
pub(crate) async fn run(
    args: &OffsetsArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Show(args) => show(args, context, out).await,
        Action::Set(args) => set(args, context, out).await,
    }
}

async fn show(args: &ShowArgs, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let table = context
        .table(catalog.as_ref(), &dataset.name, &dataset.table)
        .await?;
    let state = read::state(&table)?;
    let name = dataset.table.dead_letters();
    let dead_letters = catalog
        .load(&name)
        .await
        .with_context(|| format!("load table {name}"))?;
    let pending = read::outbox_pending(state.as_ref(), dead_letters.as_ref());
    let listed = match &state {
        Some(state) => listed(args, context, &dataset, &table, state).await?,
        None => Vec::new(),
    };
    if context.json {
        let sources: Vec<_> = listed.iter().map(Listed::json).collect();
        out.json(&json!({
            "dataset": dataset.name,
            "table": dataset.table.to_string(),
            "epoch": state.as_ref().map(|state| state.epoch),
            "sources_version": state.as_ref().map(|state| state.sources_version),
            "last_commit": state.as_ref().and_then(|state| state.last_commit.as_ref()).map(|commit| json!({
                "id": commit.id.to_string(), "snapshot_id": commit.snapshot_id.to_string(), "sequence_number": commit.sequence_number,
            })),
            "sources": sources,
            "finished_sources": state.as_ref().and_then(|state| state.finished.as_ref()).map(|file| json!({
                "path": file.path, "sources": file.sources, "bytes": file.bytes,
            })),
            "outbox_pending": pending,
            "last_action": state.as_ref().and_then(|state| state.last_action.as_ref()).map(|action| json!({
                "at": timestamp(action.at_ms), "who": action.who, "why": action.why,
            })),
        }))?;
        return Ok(Exit::Done);
    }
    match &state {
        Some(state) => print(&dataset.table.to_string(), state, &listed, pending, out)?,
        None => out.line(format!("{} holds no position of frazil's", dataset.table))?,
    }
    Ok(Exit::Done)
}

/// A source of the table beside what its file is now.
struct Listed {
    id: u64,
    source: SourceState,
    /// `Err`: why the file could not be looked at.
    standing: Result<Standing, String>,
    /// What the cluster says, of a partition.
    kafka: Option<kafka::Standing>,
}

/// The sources to be shown, their files looked at. A machine gets all of them.
async fn listed(
    args: &ShowArgs,
    context: &Context,
    dataset: &Dataset,
    table: &LoadedTable,
    state: &State,
) -> anyhow::Result<Vec<Listed>> {
    let sources = if args.all || context.json {
        all_sources(table, state).await?
    } else {
        state.sources.clone()
    };
    let standings = tokio::task::block_in_place(|| kafka::standings(context, dataset, &sources));
    let look = move || {
        let look = |(id, source): (u64, SourceState)| {
            let (standing, kafka) = match (&source.identity, &standings) {
                (SourceIdentity::Kafka(_), Ok(told)) => {
                    (Ok(Standing::Gone), told.get(&id).copied())
                }
                (SourceIdentity::Kafka(_), Err(error)) => (Err(error.clone()), None),
                _ => {
                    let standing = standing(&source, &LocalFileSystem);
                    (standing.map_err(|error| error.to_string()), None)
                }
            };
            Listed {
                id,
                source,
                standing,
                kafka,
            }
        };
        sources.into_iter().map(look).collect()
    };
    tokio::task::spawn_blocking(look)
        .await
        .context("look at the files of the sources")
}

impl Listed {
    fn json(&self) -> serde_json::Value {
        let (kind, path, partition, at_end) = match &self.source.identity {
            SourceIdentity::File(file) => ("file", file.path.as_str(), 0, Some(file.at_end)),
            SourceIdentity::StandardInput => ("standard_input", "-", 0, None),
            SourceIdentity::Kafka(kafka) => {
                ("kafka", kafka.topic.name.as_str(), kafka.partition, None)
            }
        };
        let (status, behind) = match &self.standing {
            _ if self.kafka.is_some() => (self.kafka_status(), None),
            Ok(Standing::AtEnd) => ("at_end", Some(0)),
            Ok(Standing::Behind { bytes }) => ("behind", *bytes),
            Ok(Standing::Changed) => ("changed", None),
            Ok(Standing::Missing) => ("missing", None),
            Ok(Standing::Gone) => ("gone", None),
            Err(_) => ("unreadable", None),
        };
        json!({
            "id": self.id, "kind": kind, "path": path, "partition": partition, "position": self.source.position,
            "at_end": at_end, "commit": self.source.commit.to_string(), "status": status, "behind_bytes": behind,
            "behind_records": self.kafka.map(|told| told.end.saturating_sub(self.source.position)),
            "first": self.kafka.map(|told| told.first), "end": self.kafka.map(|told| told.end),
            "group_position": self.kafka.and_then(|told| told.group),
        })
    }

    /// How a partition's position stands to what the cluster has.
    fn kafka_status(&self) -> &'static str {
        match self.kafka {
            Some(told) if self.source.position < told.first => "lost",
            Some(told) if self.source.position > told.end => "changed",
            Some(told) if self.source.position < told.end => "behind",
            Some(_) => "at_end",
            None => "missing",
        }
    }

    /// The source beside the table, in words.
    fn status(&self) -> String {
        if let Some(told) = self.kafka {
            let group = match told.group {
                Some(group) if group != self.source.position => {
                    format!("; the group stands at {}", grouped(group))
                }
                Some(_) => String::new(),
                None => "; the group has no position".to_owned(),
            };
            let standing = match self.kafka_status() {
                "lost" => format!("lost: the topic begins at {}", grouped(told.first)),
                "changed" => format!("beyond the topic's end, {}", grouped(told.end)),
                "behind" => format!("{} behind", grouped(told.end - self.source.position)),
                _ => "all is in the table".to_owned(),
            };
            return format!("{standing}{group}");
        }
        match &self.standing {
            Ok(Standing::Gone) if matches!(self.source.identity, SourceIdentity::Kafka(_)) => {
                "not among the dataset's topics".to_owned()
            }
            Ok(Standing::AtEnd) => "all is in the table".to_owned(),
            Ok(Standing::Behind { bytes: Some(bytes) }) => {
                format!("{} behind", counted(*bytes, "byte"))
            }
            Ok(Standing::Behind { bytes: None }) => "behind".to_owned(),
            Ok(Standing::Changed) => "changed: it no longer begins with what was read".to_owned(),
            Ok(Standing::Missing) => match &self.source.identity {
                SourceIdentity::File(file) if file.at_end => "not there; was read to its end",
                _ => "not there; was not read to its end",
            }
            .to_owned(),
            Ok(Standing::Gone) => "cannot be read again".to_owned(),
            Err(error) => format!("failed to {error}"),
        }
    }
}

fn print(
    table: &str,
    state: &State,
    listed: &[Listed],
    pending: u64,
    out: &mut Output,
) -> anyhow::Result<()> {
    let in_file = state.finished.as_ref().map_or(0, |file| file.sources);
    out.line(format!(
        "{table}: epoch {}, {}",
        state.epoch,
        counted(listed.len() as u64, "source")
    ))?;
    let mut grid = Grid::new(&[
        ("id", Align::Right),
        ("position", Align::Right),
        ("file now", Align::Left),
        ("commit", Align::Left),
        ("source", Align::Left),
    ]);
    for one in listed {
        let path = match &one.source.identity {
            SourceIdentity::File(file) => file.path.clone(),
            SourceIdentity::StandardInput => "standard input (of one run)".to_owned(),
            SourceIdentity::Kafka(kafka) => format!("{}[{}]", kafka.topic.name, kafka.partition),
        };
        grid.row([
            one.id.to_string(),
            grouped(one.source.position),
            one.status(),
            one.source.commit.to_string(),
            path,
        ]);
    }
    if !listed.is_empty() {
        grid.print(out)?;
    }
    if in_file > 0 && listed.len() == state.sources.len() {
        out.line(format!(
            "{} more that were read to their end; `--all` lists them",
            counted(in_file, "source")
        ))?;
    }
    if pending > 0 {
        out.line(format!(
            "{} of dead letters on the way into {table}__dead_letters",
            counted(pending, "file list")
        ))?;
    }
    if let Some(action) = &state.last_action {
        let why = if action.why.is_empty() {
            String::new()
        } else {
            format!(": {}", action.why)
        };
        out.line(format!(
            "last set by {} at {}{why}",
            action.who,
            timestamp(action.at_ms)
        ))?;
    }
    Ok(())
}

async fn set(args: &SetArgs, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let table = context
        .table(catalog.as_ref(), &dataset.name, &dataset.table)
        .await?;
    let state = match read::state(&table) {
        Ok(state) => state.unwrap_or_else(|| State::new(table.metadata.uuid())),
        // What is damaged can only be accepted as lost.
        Err(error) if args.accept_history && error.kind == TableErrorKind::StateDamaged => {
            State::new(table.metadata.uuid())
        }
        Err(error) => return Err(error.into()),
    };
    let sources = match all_sources(&table, &state).await {
        Ok(sources) => sources,
        // What is lost can only be accepted.
        Err(error) if args.accept_history && error.kind == TableErrorKind::FinishedSourcesLost => {
            eprintln!("the sources that were read to their end are forgotten: {error}");
            state.sources.clone()
        }
        Err(error) => return Err(error.into()),
    };
    let to = match &args.from_group {
        Some(group) => Some(kafka::To::Group(group.clone())),
        None => args.at.clone(),
    };
    let changes = match (&to, &args.forget_topic) {
        (Some(to), _) => {
            tokio::task::block_in_place(|| kafka::changes(context, &dataset, &state, to))?
        }
        (None, Some(topic)) => kafka::forget(&sources, topic)?,
        (None, None) => changes(args, &sources)?,
    };
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

fn changes(
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
        PositionChange::Forget { source } => format!(
            "source {source} ({}): forgotten; met again, it is read from its beginning and its rows will be there twice",
            name(source)
        ),
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
