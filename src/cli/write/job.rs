//! From a dataset and the command line to what the pipeline is given.

use std::sync::Arc;

use anyhow::Context as _;
use frazil::{
    dedup::DedupGuards,
    pipeline::{Input, Services, WriteJob},
    source::{BlockOptions, Compute, LocalFileSystem},
};
use frazil_dataset::{Dataset, KafkaSourceSpec, SourceSpec};
use frazil_service::{
    clock::{RandomIds, SystemClock},
    telemetry,
};
use frazil_table::{data_file::MemoryBudget, state};

use super::{WriteArgs, catalogs::Catalogs};
use crate::cli::{Context, exit::Failure, target};

/// The share of the memory limit that data files being written may take; the rest is for blocks
/// being read and decoded, and for what is on its way to storage.
const FILES_MEMORY_SHARE: f64 = 0.6;

/// The share of it that Kafka's clients may fill with what was fetched and is not yet taken.
const FETCHED_MEMORY_SHARE: f64 = 0.1;

/// The share of it for records on their way to a worker.
const BLOCKS_MEMORY_SHARE: f64 = 0.2;

/// The most that one client may fetch ahead: enough for a core's worth of decoding while the network has a pause.
const FETCHED_BYTES_MAX: u64 = 32 << 20;
const FETCHED_BYTES_MIN: u64 = 1 << 20;

/// The least that is handed on at a time: less would make checkpoints and batches of a few records.
const BLOCK_BYTES_MIN: usize = 64 << 10;

/// Blocks of a dataset on their way at a time, about: read, queued and decoded.
const BLOCKS: usize = 8;

/// What all datasets of a process share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) args: WriteArgs,
    pub(super) context: Context,
    pub(super) memory: Arc<MemoryBudget>,
    catalogs: Catalogs,
}

impl Shared {
    pub(super) fn new(args: &WriteArgs, context: Context) -> Self {
        let bytes = args.memory_max as f64 * FILES_MEMORY_SHARE;
        Self {
            args: args.clone(),
            context,
            memory: MemoryBudget::new(bytes as usize),
            catalogs: Catalogs::default(),
        }
    }

    /// A dataset's part of what is not files being written, in bytes.
    fn part(&self, share: f64) -> u64 {
        (self.args.memory_max as f64 * share / self.args.datasets.len() as f64) as u64
    }

    /// What the pipeline is to write.
    pub(super) fn job(&self, dataset: Dataset) -> anyhow::Result<WriteJob> {
        let input = match &dataset.source {
            _ if !self.args.from.is_empty() => given(&self.args, &self.args.from)?,
            Some(SourceSpec::Files { paths }) => given(&self.args, paths)?,
            Some(SourceSpec::Kafka(spec)) => self.kafka_input(&dataset, spec)?,
            None => {
                return Err(Failure::usage(format!("find the input of dataset {}", dataset.name))
                    .next("give --from FILE (or - for standard input), or a [source.files] or [source.kafka] in the dataset file")
                    .into());
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let blocks = self.part(BLOCKS_MEMORY_SHARE) as usize / BLOCKS;
        Ok(WriteJob {
            dataset,
            input,
            workers: self.args.workers.unwrap_or(cores).max(1),
            memory: Arc::clone(&self.memory),
            block_bytes: blocks.clamp(BLOCK_BYTES_MIN, BlockOptions::default().block_bytes),
            finished_sources_max: state::finished::SOURCES_MAX,
            accept_dead_letters: self.args.accept_dead_letters,
            compute: Compute::Threads,
            dedup_guards: DedupGuards::default(),
        })
    }

    /// A stream without end belongs into a catalog that somebody chose.
    fn kafka_input(&self, dataset: &Dataset, spec: &KafkaSourceSpec) -> anyhow::Result<Input> {
        let settings = self.context.settings()?;
        let resolved = settings
            .catalog(dataset.catalog.as_deref())
            .context("find the catalog")?;
        if resolved.embedded && !self.args.embedded {
            return Err(Failure::usage(format!(
                "write dataset {} from Kafka: no catalog is named",
                dataset.name
            ))
            .next(
                "name a [catalog] in the deployment file, or take the embedded one under the working folder by --embedded",
            )
            .into());
        }
        let fetched = self.part(FETCHED_MEMORY_SHARE);
        let fetched = fetched.clamp(FETCHED_BYTES_MIN, FETCHED_BYTES_MAX);
        let input = target::kafka::input(&settings, spec, self.args.once, Some(fetched))?;
        Ok(Input::Kafka(input))
    }

    /// What the pipeline runs on.
    pub(super) async fn services(&self, dataset: &Dataset) -> anyhow::Result<Services> {
        let settings = self.context.settings()?;
        let resolved = settings
            .catalog(dataset.catalog.as_deref())
            .context("find the catalog")?;
        let storage = &settings.deployment.storage;
        let catalog = self.catalogs.open(&resolved, storage).await?;
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
}

/// Files, or standard input.
fn given(args: &WriteArgs, paths: &[String]) -> anyhow::Result<Input> {
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
            as_new_source: args.as_new_source,
            follow: args.follow,
        }
    })
}
