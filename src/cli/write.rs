//! `frazil write`: records into tables, each exactly once.

mod catalogs;
mod draw;
mod job;
mod report;
mod service;
mod task;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use frazil::pipeline::Progress;
use frazil_service::{
    clock::{Clock as _, SystemClock},
    http,
    shutdown::Shutdown,
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    Context,
    exit::{self, Exit, Failure},
    output::Output,
};
use job::Shared;
use task::{DatasetTask, Finished, OnStop, Reload, Watched};

/// Write records into datasets' tables, each exactly once
///
/// Reads Kafka's topics, or files to their end, or standard input, and drops nothing: what does not fit a column goes to
/// the rescued column, what cannot be a row goes to the dead-letter table. Every checkpoint is one
/// snapshot, which also holds how far the input was read. Kill it at any moment and start it again:
/// it goes on from the table. Running the same command twice writes nothing twice.
///
/// Several datasets run beside each other in one process, under one limit of memory: what fails of one leaves the
/// others running. SIGTERM makes a last checkpoint; SIGHUP reads the dataset files again (with Kafka).
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct WriteArgs {
    /// Dataset files, or names found in schemas/
    #[arg(required = true, value_name = "DATASET")]
    datasets: Vec<String>,
    /// A file, folder or glob to read (.gz .zst .bz2 .lz4 too), or - for standard input; may be given several times
    #[arg(long, value_name = "PATH|-")]
    from: Vec<String>,
    /// Take each file as one never seen, whatever the table holds: its records are written again
    #[arg(long, requires = "from")]
    as_new_source: bool,
    /// Go on with files as they are written and rotated, until SIGTERM; a checkpoint each [checkpoint] interval
    #[arg(long, conflicts_with = "once")]
    follow: bool,
    /// End at the ends that Kafka's partitions have at the start. Files end by themselves without --follow
    #[arg(long)]
    once: bool,
    /// Write from Kafka into the embedded catalog, though no catalog is named
    #[arg(long)]
    embedded: bool,
    /// Let dead letters beyond [limits] pass, until they are within it again
    #[arg(long)]
    accept_dead_letters: bool,
    /// When a person must decide: exit, or park (stay, not ready, and go on once it is decided)
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_stop: OnStop,
    /// Serve /metrics, /health/live and /health/ready at an address (0.0.0.0:9464) or a port of the loopback interface (9464)
    #[arg(long, value_name = "ADDRESS", value_parser = http::parse_listen)]
    listen: Option<SocketAddr>,
    /// How long the last checkpoint may take after SIGTERM; then exit 1, with nothing lost
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration)]
    grace: Duration,
    /// Tasks a dataset that decode and encode; default: one a core
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// About how much memory the process may take
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes)]
    memory_max: u64,
}

const EXAMPLES: &str = "Examples:
  frazil write web --from access.ndjson            one file
  frazil write web --from 'logs/*.ndjson.gz'       many, compressed
  frazil write web --from app.log --follow         as it is written, over rotations
  producer | frazil write web --from -             standard input
  frazil write web --from app.log --json           counts for machines, as the last line
  frazil write web api billing --listen 9464       three datasets from Kafka, with metrics and health";

fn bytes(text: &str) -> Result<u64, String> {
    frazil_dataset::parse_bytes(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    frazil_dataset::parse_duration(text).map_err(|error| error.to_string())
}

/// Runs it.
pub(crate) async fn run(
    args: &WriteArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    check(args)?;
    allow_connections();
    let shutdown = Shutdown::on_signals().context("listen for signals")?;
    let reload = Reload::on_signals(args).context("listen for signals")?;
    let shared = Arc::new(Shared::new(args, context.clone()));
    let mut watched = Vec::new();
    let mut tasks = JoinSet::new();
    let active = watch::Sender::new(args.datasets.len());
    for argument in &args.datasets {
        let progress = watch::Sender::new(Progress::new(SystemClock.now_micros()));
        let one = Arc::new(Watched::new(argument, progress.subscribe()));
        watched.push(Arc::clone(&one));
        if args.datasets.len() == 1 {
            let drawn = progress.subscribe();
            tokio::spawn(draw::draw(argument.clone(), drawn, context.json));
        }
        let task = DatasetTask::new(argument, Arc::clone(&shared), one, progress);
        tasks.spawn(task.run(shutdown.clone(), reload.subscribe(), active.clone()));
    }
    let service = service::start(args.listen, watched, Arc::clone(&shared)).await?;
    let mut asked = shutdown.clone();
    let grace = async {
        asked.requested().await;
        service::tell_stopping();
        tokio::time::sleep(args.grace).await;
    };
    tokio::pin!(grace);
    let mut exit = Exit::Done;
    loop {
        tokio::select! {
            finished = tasks.join_next() => match finished {
                None => break,
                Some(finished) => {
                    let finished = finished.context("write")?;
                    exit = exit.and(tell(args, context, finished, out)?);
                }
            },
            () = &mut grace => {
                return Err(Failure::failed(format!(
                    "make the last checkpoint within {}", frazil_dataset::format_duration(args.grace)
                ))
                .next("nothing is lost: what was read since the last one is read again; give more time by --grace")
                .into());
            }
        }
    }
    drop(service);
    Ok(exit)
}

/// Hundreds of datasets have more connections than the 1,024 open files that a process is often begun with; a system
/// lets it have more once it asks.
fn allow_connections() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

/// What can be told before anything is touched.
fn check(args: &WriteArgs) -> Result<(), Failure> {
    if args.datasets.len() > 1 && !args.from.is_empty() {
        return Err(Failure::usage("write several datasets from one input")
            .next("give --from with one dataset, or a [source] in each dataset file"));
    }
    if args.follow && args.from.iter().any(|path| path == "-") {
        return Err(Failure::usage("follow standard input")
            .next("leave out --follow: standard input is read until whoever writes it closes it"));
    }
    let mut seen = BTreeSet::new();
    match args.datasets.iter().find(|one| !seen.insert(*one)) {
        Some(twice) => Err(Failure::usage(format!("write dataset {twice} twice"))
            .next("name each dataset once; several tasks of one are --workers")),
        None => Ok(()),
    }
}

/// Tells how a dataset ended, and gives its part of the exit code.
fn tell(
    args: &WriteArgs,
    context: &Context,
    finished: Finished,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let mut ended = finished.exit;
    if let (Some(dataset), Some(report)) = (finished.dataset, finished.report) {
        let committed = &finished.progress.committed;
        report::tell(
            &dataset,
            &report,
            &finished.progress,
            finished.took,
            context.json,
            out,
        )?;
        ended = ended.and(report::verdict(
            &dataset,
            &committed.counts,
            args.accept_dead_letters,
        ));
        for error in report.failed_sources {
            let error = frazil::pipeline::WriteError::from(error);
            ended = ended.and(Exit::after(error.remedy()));
            let error = anyhow::Error::new(error);
            exit::report(&named(args, &dataset.name, error));
        }
    }
    out.flush()?;
    Ok(ended)
}

/// Which of several datasets an error is of.
fn named(args: &WriteArgs, dataset: &str, error: anyhow::Error) -> anyhow::Error {
    if args.datasets.len() > 1 {
        error.context(format!("write dataset {dataset}"))
    } else {
        error
    }
}
