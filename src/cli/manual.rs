//! `frazil completions` and `frazil man`: what a shell and a manual reader are given, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Arguments, exit::Exit, output::Output};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  frazil completions bash > /usr/share/bash-completion/completions/frazil
  frazil completions zsh > \"${fpath[1]}/_frazil\"
  frazil completions fish > ~/.config/fish/completions/frazil.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write one for each command
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  frazil man | man -l -
  frazil man --out /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// A folder for frazil.1, frazil-write.1 and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs, out: &mut Output) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(args.shell, &mut command, "frazil", &mut script);
    out.bytes(&script)?;
    Ok(Exit::Done)
}

/// Prints or writes manual pages.
pub(crate) fn man(args: &ManArgs, out: &mut Output) -> anyhow::Result<Exit> {
    let command = Arguments::command();
    match &args.out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            out.bytes(&page)?;
        }
        Some(folder) => {
            let action = || format!("write manual pages to {}", folder.display());
            std::fs::create_dir_all(folder).with_context(action)?;
            clap_mangen::generate_to(command, folder).with_context(action)?;
        }
    }
    Ok(Exit::Done)
}
