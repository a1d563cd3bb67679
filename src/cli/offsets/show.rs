//! `frazil offsets show`: each source beside what its file, or its topic, is now.

use anyhow::Context as _;
use frazil::source::{LocalFileSystem, Standing, standing};
use frazil_dataset::Dataset;
use frazil_table::{
    catalog::LoadedTable,
    commit::all_sources,
    state::{SourceIdentity, SourceState, State},
};
use serde_json::json;

use super::kafka;
use crate::cli::{
    Context,
    exit::Exit,
    output::{Align, Grid, Output, counted, grouped, timestamp},
    read,
};

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// Also list, one by one, the files that were read to their end and have moved out of the table's state
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(
    args: &ShowArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
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
