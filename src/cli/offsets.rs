//! `frazil offsets`: how far a table has come in each of its sources, and the operator's hand on it.

mod kafka;
mod set;
mod show;

use super::{Context, exit::Exit, output::Output};

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
  frazil offsets set web 0=1200 3=77 --reason 'bad deploy'  goes on there in two of Kafka's partitions
  frazil offsets set web --from-group old-sink    goes on where a Kafka group stands
  frazil offsets set web --at 2026-01-31T12:00:00Z  goes on at Kafka's records of that time
  frazil offsets set web --source 3 --position 0 --reason 'rows were deleted by hand'
  frazil offsets set web --restart --yes        reads everything again: rows will be there twice
  frazil offsets set web --accept-history       after another hand rolled the table back";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The position of every source beside the file as it is now, and the dead letters on their way
    Show(show::ShowArgs),
    /// Set the position of a source, or forget sources; asks first
    Set(set::SetArgs),
}

/// Runs the command.
pub(crate) async fn run(
    args: &OffsetsArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Show(args) => show::run(args, context, out).await,
        Action::Set(args) => set::run(args, context, out).await,
    }
}
