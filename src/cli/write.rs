//! `frazil write`: records into tables, each exactly once.

use std::{
    io::IsTerminal as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use frazil::{
    pipeline::{self, Input, Progress, Services, WriteError, WriteJob, WriteReport},
    source::{BlockOptions, Compute, LocalFileSystem},
};
use frazil_dataset::{Dataset, KafkaSourceSpec, SourceSpec};
use frazil_service::{
    clock::{RandomIds, SystemClock},
    shutdown::Shutdown,
    telemetry,
};
use frazil_table::state;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Context,
    exit::{self, Exit, Failure},
    output::{Output, counted},
    target,
};

/// Progress is shown once a run takes longer than this.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// More data files of a run than this, with fewer rows each than that, and it is told: every query
/// opens each of them.
const FILES_MANY: u64 = 100;
const ROWS_FEW: u64 = 1_000;

/// How often progress is drawn: often enough to look alive, too seldom to cost anything.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Write records into the dataset's table, each exactly once
///
/// Reads files to their end (or standard input), drops nothing: what does not fit a column goes to
/// the rescued column, what cannot be a row goes to the dead-letter table. Every checkpoint is one
/// snapshot, which also holds how far the input was read. Kill it at any moment and start it again:
/// it goes on from the table. Running the same command twice writes nothing twice.
#[derive(Debug, clap::Args)]
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
    /// End at the ends that Kafka's partitions have at the start. Files and standard input always end
    #[arg(long)]
    once: bool,
    /// Write from Kafka into the embedded catalog, though no catalog is named
    #[arg(long)]
    embedded: bool,
    /// Tasks that decode and encode; default: one a core
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// About how much memory a dataset may take
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes)]
    memory_max: u64,
}

const EXAMPLES: &str = "Examples:
  frazil write web --from access.ndjson            one file
  frazil write web --from 'logs/*.ndjson.gz'       many, compressed
  producer | frazil write web --from -             standard input
  frazil write web --from app.log --json           counts for machines, as the last line";

fn bytes(text: &str) -> Result<u64, String> {
    frazil_dataset::parse_bytes(text).map_err(|error| error.to_string())
}

/// Runs it.
pub(crate) async fn run(
    args: &WriteArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    if args.datasets.len() > 1 && !args.from.is_empty() {
        return Err(Failure::usage("write several datasets from one input")
            .next("give --from with one dataset, or a [source] in each dataset file")
            .into());
    }
    let shutdown = Shutdown::on_signals().context("listen for signals")?;
    let mut runs = JoinSet::new();
    for argument in &args.datasets {
        let dataset = context.dataset(argument)?;
        let job = job(args, dataset, context)?;
        let services = services(context, &job.dataset).await?;
        let (sender, progress) = watch::channel(Progress::default());
        let drawing = tokio::spawn(draw(job.dataset.name.clone(), progress, context.json));
        let shutdown = shutdown.clone();
        runs.spawn(async move {
            let started = Instant::now();
            let result = pipeline::write(&services, &job, &shutdown, &sender).await;
            drop(sender);
            // It only draws.
            let _ = drawing.await;
            (job.dataset, result, started.elapsed())
        });
    }
    let mut exit = Exit::Done;
    while let Some(run) = runs.join_next().await {
        let (dataset, result, took) = run.context("write")?;
        let ended = match result {
            Ok(report) => {
                tell(&dataset, &report, took, context.json, out)?;
                let ended = verdict(&dataset, &report);
                report
                    .failed_sources
                    .into_iter()
                    .fold(ended, |ended, error| {
                        let error = WriteError::from(error);
                        let after = Exit::after(error.remedy());
                        tell_failure(args, &dataset, error);
                        ended.and(after)
                    })
            }
            Err(error) => {
                let ended = Exit::after(error.remedy());
                tell_failure(args, &dataset, error);
                ended
            }
        };
        exit = exit.and(ended);
        out.flush()?;
    }
    Ok(exit)
}

fn tell_failure(args: &WriteArgs, dataset: &Dataset, error: WriteError) {
    let error = anyhow::Error::new(error);
    exit::report(&if args.datasets.len() > 1 {
        error.context(format!("write dataset {}", dataset.name))
    } else {
        error
    });
}

fn job(args: &WriteArgs, dataset: Dataset, context: &Context) -> anyhow::Result<WriteJob> {
    let input = match &dataset.source {
        _ if !args.from.is_empty() => given(&args.from, args.as_new_source)?,
        Some(SourceSpec::Files { paths }) => given(paths, false)?,
        Some(SourceSpec::Kafka(spec)) => kafka_input(args, &dataset, spec, context)?,
        None => {
            return Err(Failure::usage(format!("find the input of dataset {}", dataset.name))
                .next("give --from FILE (or - for standard input), or a [source.files] or [source.kafka] in the dataset file")
                .into());
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(WriteJob {
        dataset,
        input,
        workers: args.workers.unwrap_or(cores).max(1),
        memory_max_bytes: usize::try_from(args.memory_max).unwrap_or(usize::MAX),
        block_bytes: BlockOptions::default().block_bytes,
        finished_sources_max: state::finished::SOURCES_MAX,
        compute: Compute::Threads,
    })
}

/// A stream without end belongs into a catalog that somebody chose.
fn kafka_input(
    args: &WriteArgs,
    dataset: &Dataset,
    spec: &KafkaSourceSpec,
    context: &Context,
) -> anyhow::Result<Input> {
    let settings = context.settings()?;
    let resolved = settings
        .catalog(dataset.catalog.as_deref())
        .context("find the catalog")?;
    if resolved.embedded && !args.embedded {
        return Err(Failure::usage(format!(
            "write dataset {} from Kafka: no catalog is named",
            dataset.name
        ))
        .next(
            "name a [catalog] in the deployment file, or take the embedded one under the working folder by --embedded",
        )
        .into());
    }
    Ok(Input::Kafka(target::kafka::input(
        &settings, spec, args.once,
    )?))
}

/// Files, or standard input.
fn given(paths: &[String], as_new_source: bool) -> anyhow::Result<Input> {
    Ok(if paths.iter().any(|path| path == "-") {
        if paths.len() > 1 {
            return Err(Failure::usage("read standard input beside files")
                .next("give `--from -` alone")
                .into());
        }
        Input::StandardInput
    } else {
        Input::Files {
            paths: paths.to_vec(),
            as_new_source,
        }
    })
}

async fn services(context: &Context, dataset: &Dataset) -> anyhow::Result<Services> {
    let settings = context.settings()?;
    let resolved = settings
        .catalog(dataset.catalog.as_deref())
        .context("find the catalog")?;
    let catalog = target::open_catalog(&resolved, &settings.deployment.storage).await?;
    tracing::info!(
        target: telemetry::ALWAYS,
        catalog = catalog.describe(),
        warehouse = resolved.warehouse.as_deref().unwrap_or("the catalog's own"),
        "writing dataset {} to table {}",
        dataset.name,
        dataset.table
    );
    Ok(Services {
        catalog,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        files: Arc::new(LocalFileSystem),
    })
}

/// Exit 4: more dead letters than the limit, or dead letters and not one row.
fn verdict(dataset: &Dataset, report: &WriteReport) -> Exit {
    let counts = &report.counts;
    if counts.dead_letters == 0 {
        return Exit::Done;
    }
    let share = counts.dead_letters as f64 / counts.records_read.max(1) as f64;
    if counts.rows_written == 0 || share > dataset.limits.dead_letters_max.0 {
        Exit::DeadLetters
    } else {
        Exit::Done
    }
}

fn tell(
    dataset: &Dataset,
    report: &WriteReport,
    took: Duration,
    json: bool,
    out: &mut Output,
) -> anyhow::Result<()> {
    let counts = &report.counts;
    if json {
        return out.json(&json!({
            "dataset": dataset.name,
            "table": dataset.table.to_string(),
            "records_read": counts.records_read,
            "source_records": counts.source_records,
            "rows_written": counts.rows_written,
            "rows_rescued": counts.rows_rescued,
            "dead_letters": counts.dead_letters,
            "duplicates": counts.duplicates,
            "filtered": counts.filtered,
            "reasons": report.reasons.dead,
            "rescued_reasons": report.reasons.rescued,
            "ignored_fields": report.reasons.ignored_fields,
            "cut_times": report.reasons.cut_times,
            "data_files": report.data_files,
            "commits": report.commits,
            "snapshot_id": report.snapshot_id.map(|id| id.to_string()),
            "metadata_location": report.metadata_location,
            "stopped": report.stopped,
            "notes": report.notes,
            "failed_sources": report.failed_sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "seconds": took.as_secs_f64(),
        }));
    }
    for note in &report.notes {
        out.line(format!("  {note}"))?;
    }
    out.line(format!(
        "{}: {} records = {} rows + {} dead letters + {} duplicates + {} filtered",
        dataset.name,
        HumanCount(counts.records_read),
        HumanCount(counts.rows_written),
        HumanCount(counts.dead_letters),
        HumanCount(counts.duplicates),
        HumanCount(counts.filtered),
    ))?;
    if counts.rows_rescued > 0 {
        let column = dataset.rescued.as_deref().unwrap_or("_rescued");
        out.line(format!(
            "  {} rows have values in {column}: {}",
            HumanCount(counts.rows_rescued),
            listed(&report.reasons.rescued)
        ))?;
    }
    if counts.dead_letters > 0 {
        out.line(format!(
            "  dead letters: {}; see `frazil rejects {}`",
            listed(&report.reasons.dead),
            dataset.name
        ))?;
    }
    if report.reasons.ignored_fields > 0 {
        out.line(format!(
            "  {} fields that no column takes were dropped (unknown_fields = \"ignore\")",
            HumanCount(report.reasons.ignored_fields)
        ))?;
    }
    if report.reasons.cut_times > 0 {
        out.line(format!(
            "  {} times lost digits finer than a microsecond",
            HumanCount(report.reasons.cut_times)
        ))?;
    }
    if report.stopped {
        out.line("  stopped by a signal before the end of the input; start it again to go on")?;
    }
    if report.data_files > FILES_MANY && counts.rows_written / report.data_files < ROWS_FEW {
        let partition_by = dataset.partition_by.iter().map(ToString::to_string);
        out.line(format!(
            "  many small files: {} rows each; partition_by = [{}] may be too fine for this input, and checkpoints too frequent",
            counts.rows_written / report.data_files,
            partition_by.collect::<Vec<_>>().join(", ")
        ))?;
    }
    let snapshot = match report.snapshot_id {
        Some(id) => format!(
            "{} in {}, snapshot {id}",
            counted(report.data_files, "data file"),
            counted(report.commits, "commit")
        ),
        None => "nothing new to commit".to_owned(),
    };
    out.line(format!("  {snapshot}, {:.1} s", took.as_secs_f64()))?;
    if let Some(location) = &report.metadata_location {
        out.line(format!(
            "  frazil sql 'SELECT * FROM {} LIMIT 10'",
            dataset.table
        ))?;
        out.line(format!(
            "  DuckDB: SELECT count(*) FROM iceberg_scan('{location}');"
        ))?;
    }
    Ok(())
}

fn listed(reasons: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let mut by_count: Vec<_> = reasons.iter().collect();
    by_count.sort_by(|a, b| b.1.cmp(a.1));
    let texts: Vec<String> = by_count
        .iter()
        .map(|(reason, count)| format!("{reason} {}", HumanCount(**count)))
        .collect();
    texts.join(", ")
}

/// Draws progress for a person who watches, until the run lets go of its end.
async fn draw(name: String, mut progress: watch::Receiver<Progress>, json: bool) {
    if json || !std::io::stderr().is_terminal() {
        return;
    }
    let started = Instant::now();
    let first = tokio::time::sleep(PROGRESS_AFTER);
    tokio::select! {
        () = first => {}
        () = gone(progress.clone()) => return,
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(name);
    loop {
        let now = progress.borrow_and_update().clone();
        bar.set_message(line(&now, started.elapsed()));
        bar.tick();
        let closed = tokio::select! {
            () = tokio::time::sleep(PROGRESS_EVERY) => progress.has_changed().is_err(),
            () = gone(progress.clone()) => true,
        };
        if closed {
            bar.finish_and_clear();
            return;
        }
    }
}

async fn gone(mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {}
}

fn line(now: &Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = HumanBytes((now.bytes_read as f64 / seconds) as u64);
    let share = now
        .bytes_total
        .filter(|total| *total > 0)
        .map_or(String::new(), |total| {
            format!("{:.0} % · ", 100.0 * now.bytes_read as f64 / total as f64)
        });
    let snapshot = now
        .snapshot_id
        .map_or("none yet".to_owned(), |id| id.to_string());
    format!(
        "{share}{} rows · {rate}/s · {} rescued · {} dead · {} commits, snapshot {snapshot}",
        HumanCount(now.decoded.rows_written),
        HumanCount(now.decoded.rows_rescued),
        HumanCount(now.decoded.dead_letters),
        now.commits,
    )
}
