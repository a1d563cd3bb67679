//! `frazil-maintenance rewrite-data-files`.

use std::{num::NonZero, time::Duration};

use clap::ValueEnum;
use frazil_maintenance::{
    report::Report,
    rewrite_data_files::{Rewriting, rewrite_data_files},
};

use super::{
    Of, Work,
    values::{bytes, duration},
};

/// Put small data files together into large ones
///
/// The rows stay the same, and those of a sorted table sorted. Files below three quarters of the target size are taken,
/// partition by partition, and committed in a few steps: what is done stays done, and the files of a step that another
/// engine was at meanwhile are left alone.
///
/// The old files stay until their snapshots expire: run expire-snapshots after it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RewriteArgs {
    #[command(flatten)]
    pub(crate) of: Of,
    /// How files are put together
    #[arg(long, value_enum, default_value_t)]
    strategy: Strategy,
    /// How large files are to be, as 128MiB; default: the table's write.target-file-size-bytes, or 512MiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    target_file_size: Option<u64>,
    /// Fewer small files in a partition are left alone, unless they fill a file of the target size
    #[arg(long, value_name = "COUNT", default_value = "2")]
    min_input_files: NonZero<u32>,
    /// Leave partitions alone for so long after a writer's last commit to them, unless they have many small files
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    cool_for: Duration,
    /// Groups of files that are rewritten at a time, 512 MiB of memory each; default: one a core
    #[arg(long, value_name = "COUNT")]
    groups_at_a_time: Option<NonZero<u32>>,
}

const EXAMPLES: &str = "Examples:
  frazil-maintenance rewrite-data-files web --dry-run
  frazil-maintenance rewrite-data-files web --target-file-size 256MiB
  frazil-maintenance rewrite-data-files web --min-input-files 5 --cool-for 10min    as a timer would";

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Strategy {
    /// In the order in which they were written; sorted files are merged
    #[default]
    BinPack,
}

/// Runs it.
pub(super) async fn run(args: &RewriteArgs, work: &Work) -> anyhow::Result<Report> {
    let count = |count: NonZero<u32>| usize::try_from(count.get()).unwrap_or(usize::MAX);
    let Strategy::BinPack = args.strategy;
    let rewriting = Rewriting {
        target_bytes: args.target_file_size,
        min_input_files: count(args.min_input_files),
        hot_for_ms: i64::try_from(args.cool_for.as_millis()).unwrap_or(i64::MAX),
        groups_at_a_time: args
            .groups_at_a_time
            .and_then(|one| NonZero::new(count(one))),
        dry_run: args.of.dry_run,
    };
    let rewritten = rewrite_data_files(&work.maintainer, &work.target, &rewriting).await;
    work.named("rewrite data files", rewritten)
}
