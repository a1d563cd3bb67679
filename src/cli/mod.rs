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

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use frazil_cli::{Context, GlobalArgs, block_on, output};

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

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    // Help, version and mistakes are clap's: exit codes 0 and 2.
    let arguments = Arguments::parse();
    let context = arguments.global.start();
    let mut out = Output::stdout();
    let ended = dispatch(&arguments.command, &context, &mut out);
    // What was printed before a failure is still part of the answer.
    let flushed = out.flush();
    match ended.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            exit::report(&error);
            exit::of(&error).into()
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
