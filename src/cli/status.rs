//! `frazil status`: how datasets stand, looked at from outside of their writers: the table, and what it is read from.

mod files;
mod look;
mod report;
mod table;
mod topics;
mod writers;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use frazil_dataset::parse_duration;
use frazil_service::settings::Environment;
use futures::StreamExt as _;
use serde_json::json;

use super::{
    Context,
    exit::Exit,
    output::{Align, Grid, Output},
};
use look::{Catalogs, Watched};
use report::{Report, Word};
use writers::Writers;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Datasets that are looked at at the same time: each may have a client of its own for Kafka.
const LOOKS_AT_ONCE_MAX: usize = 64;

/// Show how datasets stand: what is not in the table yet, the last commit, dead letters, and what stops a writer
///
/// It asks the table and its source by itself, beside the writer, and changes nothing. What would stop
/// a writer is told with the command that decides.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Dataset files, or names found in schemas/; default: all that are there
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Also ask a running writer, at the address of its --listen; may be given several times
    #[arg(long, value_name = "URL")]
    writer: Vec<String>,
    /// How long a catalog, a cluster or a writer may take to answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

const EXAMPLES: &str = "Examples:
  frazil status                                   all datasets of schemas/
  frazil status web --watch                       one, every two seconds
  frazil status --writer http://127.0.0.1:9464    and what the running writer says
  frazil status --json | jq -r 'select(.next).next'  the commands that decide

States: up to date, behind, not begun (the table has no position yet), stopped (a person must
decide), unreachable (a server does not answer), wrong (the dataset file or a setting).";

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub(crate) async fn run(
    args: &StatusArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    context.settings()?;
    let mut datasets = watched(args, context)?;
    let catalogs = Catalogs::new(context);
    let writers = Writers::new(&args.writer, args.timeout)?;
    let mut exit = Exit::Done;
    loop {
        let (reports, unanswered) = round(&mut datasets, &catalogs, &writers, args.timeout).await;
        if !args.datasets.is_empty() && reports.iter().any(|one| one.word == Word::Wrong) {
            exit = Exit::Usage;
        }
        print(&reports, &unanswered, args, context, out)?;
        out.flush()?;
        if !args.watch || out.is_closed() {
            return Ok(exit);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            ended = tokio::signal::ctrl_c() => {
                ended.context("listen for signals")?;
                return Ok(Exit::Done);
            }
        }
    }
}

/// The datasets that were asked for, which must be right; or all files of the folder, as they are.
fn watched(args: &StatusArgs, context: &Context) -> anyhow::Result<Vec<Watched>> {
    if args.datasets.is_empty() {
        let files = Environment::of_process()?.dataset_files()?;
        let name = |file: PathBuf| file.display().to_string();
        return Ok(files.into_iter().map(name).map(Watched::new).collect());
    }
    for argument in &args.datasets {
        context.dataset(argument)?;
    }
    Ok(args.datasets.iter().cloned().map(Watched::new).collect())
}

/// Looks at all of them at the same time. Also gives why writers did not answer.
async fn round(
    datasets: &mut [Watched],
    catalogs: &Catalogs<'_>,
    writers: &Writers,
    limit: Duration,
) -> (Vec<Report>, Vec<String>) {
    catalogs.begin_round();
    let looks = futures::stream::iter(datasets)
        .map(|one| one.look(catalogs, limit))
        .buffered(LOOKS_AT_ONCE_MAX)
        .collect::<Vec<_>>();
    let (mut reports, told) = tokio::join!(looks, writers.ask());
    let mut unanswered = Vec::new();
    for told in told {
        match told {
            Ok(health) => reports.iter_mut().for_each(|one| one.of_writer(&health)),
            Err(reason) => unanswered.push(reason),
        }
    }
    (reports, unanswered)
}

fn print(
    reports: &[Report],
    unanswered: &[String],
    args: &StatusArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<()> {
    if context.json {
        for report in reports {
            out.json(&report.json())?;
        }
        for reason in unanswered {
            out.json(&json!({ "dataset": null, "error": reason }))?;
        }
        return Ok(());
    }
    if args.watch && out.is_terminal() {
        // To the upper left corner, and all of it anew.
        out.bytes(b"\x1b[H\x1b[2J")?;
    }
    if reports.is_empty() {
        out.line("there are no datasets in schemas/; `frazil init SAMPLE` writes one")?;
    } else {
        grid(reports, !args.writer.is_empty()).print(out)?;
    }
    for report in reports {
        for line in report.told() {
            out.line(line)?;
        }
    }
    for reason in unanswered {
        out.line(format!("failed to {reason}"))?;
    }
    if args.watch {
        out.line("")?;
    }
    Ok(())
}

fn grid(reports: &[Report], with_writers: bool) -> Grid {
    let mut header = vec![
        ("dataset", Align::Left),
        ("state", Align::Left),
        ("not in the table", Align::Right),
        ("oldest", Align::Right),
        ("dead letters", Align::Right),
        ("last commit", Align::Left),
        ("snapshot", Align::Left),
    ];
    if with_writers {
        header.push(("writer", Align::Left));
    }
    let mut grid = Grid::new(&header);
    for report in reports {
        let mut cells = report.cells();
        if with_writers {
            cells.push(report.writers());
        }
        grid.row(cells);
    }
    grid
}
