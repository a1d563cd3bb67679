//! The command line: what was typed becomes a procedure's options, and what it has done is told.

mod expire_snapshots;
mod rewrite_data_files;
mod tell;
mod values;

use std::{process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use frazil_cli::{
    Context, GlobalArgs, block_on,
    exit::{self, Exit},
    output::Output,
};
use frazil_dataset::Dataset;
use frazil_maintenance::{Maintainer, Target, report::Report};
use frazil_service::clock::{RandomIds, SystemClock};

/// Keeps frazil's Iceberg tables small, fast and tidy
///
/// Each command is a procedure of Iceberg's and does one thing to a dataset's table. All of them run beside writers and
/// other engines: what they commit is planned on the table as it then is, and what changed meanwhile is left alone.
/// Positions of sources are never touched, and no row is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "frazil-maintenance", version, propagate_version = true, max_term_width = 100, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  frazil-maintenance rewrite-data-files web            put small data files together
  frazil-maintenance expire-snapshots web --dry-run    say which snapshots would go, and how many files
  frazil-maintenance expire-snapshots web              let them go; their files go an hour later, with the next run

Files are deleted in two steps: a command names those that nothing needs any longer, and a later run deletes
them once that commit has stood for --grace. Run it again, or from a timer.

Exit codes: 0 done, 1 failed (trying again may help), 2 the command line or a file is wrong,
3 stopped: a person must decide.";

#[derive(Debug, Subcommand)]
enum Command {
    RewriteDataFiles(rewrite_data_files::RewriteArgs),
    ExpireSnapshots(expire_snapshots::ExpireArgs),
}

/// Which table.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// The table of its dead letters instead
    #[arg(long)]
    dead_letters: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    // Help, version and mistakes are clap's: exit codes 0 and 2.
    let arguments = Arguments::parse();
    let context = arguments.global.start();
    let mut out = Output::stdout();
    let ended = block_on(dispatch(&arguments.command, &context, &mut out));
    // What was printed before a failure is still part of the answer.
    let flushed = out.flush();
    match ended.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            exit::report(&error);
            Exit::of(&error).into()
        }
    }
}

async fn dispatch(command: &Command, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let (of, ended) = match command {
        Command::RewriteDataFiles(args) => {
            let work = Work::open(&args.of, context).await?;
            (
                &args.of,
                (rewrite_data_files::run(args, &work).await?, work),
            )
        }
        Command::ExpireSnapshots(args) => {
            let work = Work::open(&args.of, context).await?;
            (&args.of, (expire_snapshots::run(args, &work).await?, work))
        }
    };
    let (mut report, work) = ended;
    report.dataset.clone_from(&work.dataset.name);
    report.dry_run = of.dry_run;
    report.seconds = started.elapsed().as_secs_f64();
    tell::report(&report, context, out)?;
    Ok(Exit::Done)
}

/// What a command works on.
pub(crate) struct Work {
    pub(crate) dataset: Dataset,
    pub(crate) target: Target,
    pub(crate) maintainer: Maintainer,
}

impl Work {
    async fn open(of: &Of, context: &Context) -> anyhow::Result<Self> {
        let dataset = context.dataset(&of.dataset)?;
        let catalog = context.catalog(dataset.catalog.as_deref()).await?;
        let target = if of.dead_letters {
            Target::DeadLettersOf(dataset.table.clone())
        } else {
            Target::Table(dataset.table.clone())
        };
        // Says what to do where there is none.
        context
            .table(catalog.as_ref(), &dataset.name, &target.name())
            .await?;
        let maintainer = Maintainer::new(catalog, Arc::new(SystemClock), Arc::new(RandomIds));
        Ok(Self {
            dataset,
            target,
            maintainer,
        })
    }

    /// What a procedure came to, or why it failed, with the dataset's name.
    pub(crate) fn named(
        &self,
        what: &str,
        report: Result<Report, frazil_table::error::TableError>,
    ) -> anyhow::Result<Report> {
        report.with_context(|| format!("{what} of dataset {}", self.dataset.name))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
