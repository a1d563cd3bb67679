//! `frazil-maintenance expire-snapshots`.

use std::{num::NonZero, time::Duration};

use frazil_maintenance::{
    expire_snapshots::{Expiry, SnapshotWishes, expire_snapshots},
    report::Report,
};

use super::{
    Of, Work,
    values::{When, duration, when},
};

/// Let old snapshots go, and the files that only they needed
///
/// A branch keeps its newest snapshots, as many as --retain-last says, and all that are younger than --older-than; branches
/// and tags keep theirs. What is not given is [snapshots] keep_for and keep_min of the dataset file, then the
/// table's history.expire.* properties, then 5d and 1.
///
/// The files go in two steps. This run names those that nothing needs any longer; a later run deletes them, once the commit
/// has stood for --grace. So a catalog that goes back in time, and a query that still reads them, lose nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ExpireArgs {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Snapshots before that time go: an age as 3d, a time with its offset, or a date
    #[arg(long, value_name = "AGE|TIME", value_parser = when)]
    older_than: Option<When>,
    /// So many of each branch stay, whatever their age
    #[arg(long, value_name = "COUNT")]
    retain_last: Option<NonZero<u32>>,
    /// How long the commit stands before files are deleted; 0s: they go in the same run
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    grace: Duration,
}

const EXAMPLES: &str = "Examples:
  frazil-maintenance expire-snapshots web                 as the dataset file and the table say
  frazil-maintenance expire-snapshots web --older-than 1d --retain-last 10
  frazil-maintenance expire-snapshots web --older-than 0s --grace 0s --dry-run";

/// Runs it.
pub(super) async fn run(args: &ExpireArgs, work: &Work) -> anyhow::Result<Report> {
    let now_ms = work.maintainer.clock.now_millis();
    let policy = &work.dataset.snapshots;
    let older_than = args.older_than.or(policy.keep_for.map(When::Ago));
    let retain_last = args.retain_last.or(policy.keep_min);
    let expiry = Expiry {
        wishes: SnapshotWishes {
            older_than_ms: older_than.map(|when| when.millis(now_ms)),
            retain_last: retain_last
                .map(|count| usize::try_from(count.get()).unwrap_or(usize::MAX)),
        },
        grace: args.grace,
        dry_run: args.of.dry_run,
    };
    let expired = expire_snapshots(&work.maintainer, &work.target, &expiry).await;
    work.named("expire snapshots", expired)
}
