//! The job's input as readers: which files there are, where each goes on, and how many at a time.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::{READERS_MAX, Services, WriteError, WriteJob};
use crate::{
    record::RecordBlock,
    source::{
        BlockOptions, FileSystem, Framing, Known, Plan, PlannedFile, Read, ReadOptions,
        STANDARD_INPUT_PROMISE, SourceError, SourceReader, expand, expand_present, identify,
    },
};

/// What a session reads.
pub(super) struct InputPlan {
    /// The sources, not yet open. First come blocks without records, for sources that are given up.
    pub(super) readers: Readers,
    /// The ids of those that the table does not know.
    pub(super) new_sources: Vec<u64>,
    /// What a person should know of files that are not read from their start.
    pub(super) notes: Vec<String>,
    /// Files that were not given, but hold what was read of one that was.
    pub(super) found: Vec<PathBuf>,
    /// How much there is to read, where known and not compressed.
    pub(super) bytes_total: Option<u64>,
}

/// An input that is no stream of Kafka.
#[derive(Debug, Clone, Copy)]
pub(super) enum GivenInput<'a> {
    /// Files, folders and globs.
    Files {
        /// As the user gave them.
        paths: &'a [String],
        /// More of them, that were given under other names once.
        also: &'a [String],
        /// Take each file as one never seen.
        as_new_source: bool,
        /// Whether somebody may be writing the last line.
        follow: bool,
        /// Those to which nobody has written for a while.
        settled: &'a HashSet<PathBuf>,
        /// Whether files may be away for a while.
        may_be_absent: bool,
    },
    /// Standard input.
    StandardInput,
}

/// What the input is, against the table's positions. A run that takes all files as new sources knows only those that
/// came after `sources_before`, which it began itself.
pub(super) async fn plan(
    services: &Services,
    job: &WriteJob,
    input: GivenInput<'_>,
    known: Known<'_>,
    sources_before: u64,
) -> Result<InputPlan, WriteError> {
    let follow = matches!(input, GivenInput::Files { follow: true, .. });
    let options = ReadOptions {
        blocks: BlockOptions {
            record_bytes_max: usize::try_from(job.dataset.limits.record_bytes_max)
                .unwrap_or(usize::MAX),
            block_bytes: job.block_bytes,
            leaves_open_line: follow,
        },
        framing: Arc::new(Framing::of(&job.dataset)),
        read_ahead_blocks: 1,
        compute: job.compute,
    };
    match input {
        GivenInput::StandardInput => {
            let id = known.sources_version + 1;
            tracing::info!("{STANDARD_INPUT_PROMISE}");
            Ok(InputPlan {
                readers: Readers::StandardInput { id, options },
                new_sources: vec![id],
                notes: Vec::new(),
                found: Vec::new(),
                bytes_total: None,
            })
        }
        GivenInput::Files {
            paths,
            also,
            as_new_source,
            may_be_absent,
            follow: _,
            settled,
        } => {
            let files = Arc::clone(&services.files);
            let paths = [paths, also].concat();
            let passed_over = if as_new_source { sources_before } else { 0 };
            let (sources, sources_version) = (known.sources.clone(), known.sources_version);
            let look = move || -> Result<Plan, SourceError> {
                let given = if may_be_absent {
                    expand_present(&paths, files.as_ref())?
                } else {
                    expand(&paths, files.as_ref())?
                };
                let known = Known {
                    sources: &sources,
                    sources_version,
                };
                identify(&given, known, passed_over, files.as_ref())
            };
            let plan = match job.compute {
                crate::source::Compute::Inline => look(),
                crate::source::Compute::Threads => tokio::task::spawn_blocking(look)
                    .await
                    .map_err(|_| WriteError::Stopped)?,
            }?;
            let mut plan = of_files(plan, Arc::clone(&services.files), options);
            if let Readers::Files {
                settled: of_readers,
                ..
            } = &mut plan.readers
            {
                of_readers.clone_from(settled);
            }
            Ok(plan)
        }
    }
}

fn of_files(plan: Plan, files: Arc<dyn FileSystem>, options: ReadOptions) -> InputPlan {
    let mut notes = Vec::new();
    for file in &plan.read {
        if let Some(known_as) = &file.continues {
            let by = if *known_as == file.path.to_string_lossy() {
                String::new()
            } else {
                format!("{known_as} as ")
            };
            notes.push(format!(
                "continues {by}{} at byte {}",
                file.info.name,
                grouped(file.start)
            ));
        }
    }
    for file in &plan.already_read {
        notes.push(format!(
            "{}: the table holds all of it ({} bytes)",
            file.path.display(),
            grouped(file.position)
        ));
    }
    for copy in &plan.copies {
        notes.push(format!(
            "{}: {} holds all of it",
            copy.path.display(),
            copy.of.display()
        ));
    }
    for file in &plan.empty {
        notes.push(format!("{}: empty", file.display()));
    }
    let plain = plan
        .read
        .iter()
        .all(|file| file.compression == crate::source::Compression::None);
    let found = plan.read.iter().filter(|file| file.found_by_content);
    InputPlan {
        found: found.map(|file| file.path.clone()).collect(),
        new_sources: plan
            .read
            .iter()
            .filter(|f| f.is_new)
            .map(|f| f.info.id)
            .collect(),
        bytes_total: plain.then(|| {
            plan.read
                .iter()
                .map(|file| file.file_bytes.saturating_sub(file.start))
                .sum()
        }),
        notes,
        readers: Readers::Files {
            files,
            given_up: plan.given_up,
            plan: plan.read.into(),
            options,
            settled: HashSet::new(),
        },
    }
}

/// 8192 as `8,192`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A session's sources, to be read a few at a time.
pub(super) enum Readers {
    /// Files, in the order given.
    Files {
        files: Arc<dyn FileSystem>,
        given_up: Vec<RecordBlock>,
        plan: VecDeque<PlannedFile>,
        options: ReadOptions,
        /// Those whose last line is whole, though files are followed.
        settled: HashSet<PathBuf>,
    },
    /// Standard input as one new source.
    StandardInput { id: u64, options: ReadOptions },
}

impl Readers {
    /// Sends all blocks on, each source's in order. A source that fails ends with its error; the others go on.
    pub(super) async fn run(self, blocks: mpsc::Sender<Read>) {
        let mut open = FuturesUnordered::new();
        match self {
            Self::StandardInput { id, options } => {
                open.push(read(
                    SourceReader::standard_input(id, options),
                    blocks.clone(),
                ));
                while open.next().await.is_some() {}
            }
            Self::Files {
                files,
                given_up,
                mut plan,
                options,
                settled,
            } => {
                for block in given_up {
                    if blocks.send(Read::Block(block)).await.is_err() {
                        return;
                    }
                }
                loop {
                    while open.len() < READERS_MAX
                        && let Some(file) = plan.pop_front()
                    {
                        let mut options = options.clone();
                        options.blocks.leaves_open_line &= !settled.contains(&file.path);
                        let reader = SourceReader::open_file(Arc::clone(&files), &file, options);
                        open.push(read(reader, blocks.clone()));
                    }
                    match open.next().await {
                        Some(true) => {}
                        Some(false) | None => return,
                    }
                }
            }
        }
    }
}

/// Sends one source's blocks on, to its end or its failure; whether somebody still takes them.
async fn read(mut reader: SourceReader, blocks: mpsc::Sender<Read>) -> bool {
    loop {
        match reader.next_block().await {
            Ok(Some(block)) => {
                if blocks.send(Read::Block(block)).await.is_err() {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(error) => {
                return blocks.send(Read::Failed(error)).await.is_ok();
            }
        }
    }
}
