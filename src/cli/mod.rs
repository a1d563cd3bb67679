//! The command line: what was typed becomes settings, a command runs, its end becomes an exit code.
//!
//! Each command is a module with its arguments and one `run`. Standard output carries what was
//! asked for; logs and errors go to standard error.

mod check;
mod doctor;
mod exit;
mod init;
mod ls;
mod manual;
mod offsets;
mod output;
mod read;
mod rejects;
mod rescued;
mod rows;
mod sample;
mod sql;
mod status;
mod table;
mod target;
mod wait;
mod write;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use frazil_service::telemetry::{self, LogLevel};

use exit::Exit;
use output::Output;

/// A log lakehouse: streams of string logs become Apache Iceberg tables, exactly once
///
/// A dataset file (schemas/web.toml) says what a record is. `frazil write` turns files and standard
/// input into the dataset's table; the table remembers how far it has come, so that running the same
/// command again writes nothing twice.
#[derive(Debug, Parser)]
#[command(name = "frazil", version, propagate_version = true, max_term_width = 100, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "From a log file to a table that any engine reads:
  frazil init web.ndjson                          infer schemas/web.toml from a sample
  frazil check web --sample web.ndjson            what would become of each record
  frazil write web --from web.ndjson              write the table
  frazil sql 'SELECT count(*) FROM logs.web'      look at it

Exit codes: 0 done, 1 failed (trying again may help), 2 the command line or a file is wrong,
3 stopped: a person must decide, 4 too many dead letters.";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// The deployment file; default: $FRAZIL_CONFIG, or frazil.toml in the working folder
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// The embedded catalog's and warehouse's folder; default: $FRAZIL_DATA_DIR, or frazil-data
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON for machines on standard output
    #[arg(long, global = true)]
    json: bool,
    /// How log lines on standard error are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    /// What is logged: off, error, warn, info, debug, trace, or directives like `info,frazil_table=debug`
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Write(write::WriteArgs),
    Wait(wait::WaitArgs),
    Ls(ls::LsArgs),
    Status(status::StatusArgs),
    Table(table::TableArgs),
    Sql(sql::SqlArgs),
    Offsets(offsets::OffsetsArgs),
    Rejects(rejects::RejectsArgs),
    Doctor(doctor::DoctorArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Whether standard output is for machines.
    pub(crate) json: bool,
    config: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    // Help, version and mistakes are clap's: exit codes 0 and 2.
    let arguments = Arguments::parse();
    let global = arguments.global;
    let format = match global.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::start(format, &global.log_level);
    let context = Context {
        json: global.json,
        config: global.config,
        data_dir: global.data_dir,
    };
    let mut out = Output::stdout();
    let ended = dispatch(&arguments.command, &context, &mut out);
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

fn dispatch(command: &Command, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => init::run(args, context, out),
        Command::Write(args) => block_on(write::run(args, context, out)),
        Command::Wait(args) => block_on(wait::run(args, context, out)),
        Command::Check(args) => block_on(check::run(args, context, out)),
        Command::Ls(args) => block_on(ls::run(args, context, out)),
        Command::Status(args) => block_on(status::run(args, context, out)),
        Command::Table(args) => block_on(table::run(args, context, out)),
        Command::Sql(args) => block_on(sql::run(args, context, out)),
        Command::Offsets(args) => block_on(offsets::run(args, context, out)),
        Command::Rejects(args) => block_on(rejects::run(args, context, out)),
        Command::Doctor(args) => block_on(doctor::run(args, context, out)),
        Command::Completions(args) => manual::completions(args, out),
        Command::Man(args) => manual::man(args, out),
    }
}

/// Runs a command on a runtime of its own, one worker a core. Work that it left behind (a thread
/// that reads standard input) must not keep the process.
fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
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
