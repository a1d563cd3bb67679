//! What frazil's command lines share: global options, what a command works on, exit codes, and what is printed.

pub mod exit;
pub mod output;
pub mod target;

use std::path::PathBuf;

use clap::ValueEnum;
use exit::Exit;
use frazil_service::telemetry::{self, LogLevel};

/// The options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
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

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whether standard output is for machines.
    pub json: bool,
    config: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

impl GlobalArgs {
    /// Starts logging, and gives what commands take from these options.
    pub fn start(self) -> Context {
        let format = match self.log_format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        };
        telemetry::start(format, &self.log_level);
        Context {
            json: self.json,
            config: self.config,
            data_dir: self.data_dir,
        }
    }
}

/// Runs a command on a runtime of its own, one worker a core. Work that it left behind (a thread
/// that reads standard input) must not keep the process.
///
/// # Errors
/// The command's own; the runtime cannot be made.
pub fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}
