//! Groups rewritten side by side, and committed a few at a time.

use std::{num::NonZero, sync::Arc, thread};

use frazil_table::{
    catalog::LoadedTable,
    commit::{OpenTable, PendingFile, Rewrite, RewriteGroup},
    data_file::MemoryBudget,
    error::{TableError, TableErrorKind},
    maintenance::Maintenance,
};
use futures::{StreamExt as _, future::BoxFuture, stream};
use iceberg::spec::{Operation, TableMetadata};
use tokio::task::JoinHandle;

use super::{
    Group, Plan, RewritePolicy, TARGET, plan, target_bytes,
    write::{ParquetFiles, RewriteFiles},
};
use crate::{Maintainer, Target, files, report::Report};

/// Commits that a pass is divided into, where there is enough to do. More lose less to whoever rewrites the same
/// files; fewer rewrite manifests less often.
const COMMITS_MAX: u64 = 10;
/// Bytes of files that are rewritten before a commit at least.
const COMMIT_BYTES_MIN: u64 = 1 << 30;
/// Passes until nothing is left to do. What one leaves (rests of groups, the first merges of many sorted files), the
/// next takes up.
const PASSES_MAX: usize = 8;
/// Of encoded rows: a row group being written, with room. Less would close files before they are large.
const GROUP_MEMORY_BYTES: usize = 512 << 20;

/// What rewriting is asked to do.
#[derive(Debug, Clone)]
pub struct Rewriting {
    /// How large files are to be; the table's own target without.
    pub target_bytes: Option<u64>,
    /// See [`RewritePolicy::min_input_files`].
    pub min_input_files: usize,
    /// See [`RewritePolicy::hot_for_ms`].
    pub hot_for_ms: i64,
    /// Groups that are rewritten at a time; one a core without.
    pub groups_at_a_time: Option<NonZero<usize>>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Puts small files together until there is nothing left to do.
///
/// # Errors
/// A guard stops; a file cannot be read or written; other writers kept getting in first. What was committed by then
/// stays, and the table holds the same rows.
pub async fn rewrite_data_files(
    maintainer: &Maintainer,
    target: &Target,
    rewriting: &Rewriting,
) -> Result<Report, TableError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let at_a_time = rewriting.groups_at_a_time.map_or(cores, NonZero::get);
    let files = Arc::new(ParquetFiles {
        ids: Arc::clone(&maintainer.ids),
        memory: MemoryBudget::new(at_a_time.saturating_mul(GROUP_MEMORY_BYTES)),
    });
    rewrite_with(maintainer, target, rewriting, at_a_time, files).await
}

/// [`rewrite_data_files`] with files of any kind: simulated tables hold no Parquet.
#[doc(hidden)]
pub async fn rewrite_with(
    maintainer: &Maintainer,
    target: &Target,
    rewriting: &Rewriting,
    at_a_time: usize,
    files: Arc<dyn RewriteFiles>,
) -> Result<Report, TableError> {
    let open = maintainer.open(target).await?;
    let mut report = Report {
        table: open.table.name.to_string(),
        command: "rewrite-data-files".to_owned(),
        dry_run: rewriting.dry_run,
        ..Report::default()
    };
    let work = Work {
        maintainer,
        rewriting,
        at_a_time,
        files,
    };
    let mut pass = Pass::new(&work, open).await?;
    report.before(pass.live.totals());
    let mut counts = Counts::default();
    if rewriting.dry_run {
        counts.groups = pass.plan.groups.len();
        counts.input_files = pass.plan.groups.iter().map(|group| group.files.len()).sum();
        report.after(pass.live.totals());
        describe(&pass, &counts, &mut report);
        return Ok(report);
    }
    for _ in 0..PASSES_MAX {
        let before = counts.groups;
        pass.run(&mut counts).await?;
        let open = maintainer.open(target).await?;
        pass = Pass::new(&work, open).await?;
        // Where all were given up, another is at work on the same files.
        if pass.plan.groups.is_empty() || counts.groups == before {
            break;
        }
    }
    report.committed = counts.commits > 0;
    report.after(pass.live.totals());
    describe(&pass, &counts, &mut report);
    Ok(report)
}

fn describe(pass: &Pass<'_>, counts: &Counts, report: &mut Report) {
    let current = pass.open.table.metadata.current_snapshot_id();
    report.snapshot_id = current.map(|id| id.to_string());
    report.left_alone.clone_from(&pass.plan.left_alone);
    report.left_alone.extend(counts.given_up.iter().cloned());
    report.detail("strategy", "bin-pack");
    report.detail("target_bytes", pass.policy.target_bytes);
    report.detail("groups", counts.groups);
    report.detail("files_rewritten", counts.input_files);
    report.detail("files_added", counts.output_files);
    report.detail("commits", counts.commits);
}

/// What was done.
#[derive(Debug, Default)]
struct Counts {
    groups: usize,
    input_files: usize,
    output_files: usize,
    commits: usize,
    given_up: Vec<String>,
}

/// What all passes have in common.
struct Work<'a> {
    maintainer: &'a Maintainer,
    rewriting: &'a Rewriting,
    at_a_time: usize,
    files: Arc<dyn RewriteFiles>,
}

/// One look at the table, and what it leads to.
struct Pass<'a> {
    work: &'a Work<'a>,
    open: OpenTable,
    policy: RewritePolicy,
    live: files::LiveFiles,
    plan: Plan,
}

impl<'a> Pass<'a> {
    async fn new(work: &'a Work<'a>, open: OpenTable) -> Result<Self, TableError> {
        let (maintainer, rewriting) = (work.maintainer, work.rewriting);
        let metadata = &open.table.metadata;
        let policy = RewritePolicy {
            target_bytes: rewriting
                .target_bytes
                .unwrap_or_else(|| target_bytes(metadata)),
            min_input_files: rewriting.min_input_files,
            hot_for_ms: rewriting.hot_for_ms,
        };
        let live = files::live(&open.table).await?;
        let plan = plan(metadata, &live, &policy, maintainer.clock.now_millis());
        Ok(Self {
            work,
            open,
            policy,
            live,
            plan,
        })
    }

    /// Rewrites all groups.
    async fn run(&self, counts: &mut Counts) -> Result<(), TableError> {
        let Some(snapshot) = self.open.table.metadata.current_snapshot() else {
            return Ok(());
        };
        let table = with_target(&self.open.table, self.policy.target_bytes)?;
        let epoch = Maintenance::of(&self.open.table)?.epoch;
        let mut rewrite = Rewrite {
            id: self.work.maintainer.ids.uuid(),
            table_uuid: self.open.table.metadata.uuid(),
            epoch,
            operation: Operation::Replace,
            sequence_number: snapshot.sequence_number(),
            groups: Vec::new(),
        };
        let bytes: u64 = self.plan.groups.iter().map(Group::bytes).sum();
        let a_commit = bytes.div_ceil(COMMITS_MAX).max(COMMIT_BYTES_MIN);
        let mut waiting_bytes = 0;
        let mut tasks: Vec<BoxFuture<'_, _>> = Vec::with_capacity(self.plan.groups.len());
        for group in &self.plan.groups {
            let (files, table) = (Arc::clone(&self.work.files), table.clone());
            tasks.push(Box::pin(rewritten(files, table, group.clone(), epoch)));
        }
        let mut rewritten = stream::iter(tasks).buffer_unordered(self.work.at_a_time);
        let mut failed = None;
        while let Some(group) = rewritten.next().await {
            match group {
                Ok((group, bytes)) => {
                    rewrite.groups.push(group);
                    waiting_bytes += bytes;
                }
                // What is wrong with one file need not keep the others from it.
                Err(error) if error.kind == TableErrorKind::Rejected => {
                    counts.given_up.push(format!("a group: {}", error.reason));
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            if waiting_bytes >= a_commit {
                self.commit(&mut rewrite, counts).await?;
                waiting_bytes = 0;
            }
        }
        drop(rewritten);
        // What is done is kept, also where another group failed.
        if !rewrite.groups.is_empty() {
            self.commit(&mut rewrite, counts).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Commits what was rewritten so far.
    async fn commit(&self, rewrite: &mut Rewrite, counts: &mut Counts) -> Result<(), TableError> {
        let name = &self.open.table.name;
        let maintainer = self.work.maintainer;
        let committed = maintainer.committer.rewrite(name, rewrite).await?;
        counts.commits += usize::from(committed.snapshot_id.is_some());
        let groups = std::mem::take(&mut rewrite.groups);
        for (group, left_out) in groups.into_iter().zip(&committed.left_out) {
            let Some(reason) = left_out else {
                counts.groups += 1;
                counts.input_files += group.inputs.len();
                counts.output_files += group.outputs.len();
                continue;
            };
            let sentence = format!("{} files: {reason}", group.inputs.len());
            tracing::info!(table = %name, reason, "gave a group of files up");
            counts.given_up.push(sentence);
            if committed.may_discard {
                self.discard(&group.outputs).await;
            }
        }
        rewrite.id = maintainer.ids.uuid();
        Ok(())
    }

    /// Removes files that certainly nothing names.
    async fn discard(&self, outputs: &[PendingFile]) {
        for output in outputs {
            let path = output.data_file.file_path();
            if let Err(error) = self.open.table.storage.delete(path).await {
                tracing::warn!(%error, "left a file behind that was given up");
            }
        }
    }
}

/// A task that ends with whoever waits for it.
struct Task(JoinHandle<Result<RewriteGroup, TableError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Rewrites a group in a task of its own, so that groups use several cores; with the bytes of its files.
async fn rewritten(
    files: Arc<dyn RewriteFiles>,
    table: LoadedTable,
    group: Group,
    epoch: u64,
) -> Result<(RewriteGroup, u64), TableError> {
    let (name, bytes) = (table.name.clone(), group.bytes());
    let mut task = Task(tokio::spawn(async move {
        files.rewrite(&table, &group, epoch).await
    }));
    match (&mut task.0).await {
        Ok(rewritten) => Ok((rewritten?, bytes)),
        Err(error) => Err(TableError::new(
            &name,
            TableErrorKind::Storage,
            format!("a task that rewrote files did not end: {error}"),
        )),
    }
}

/// The table as if it had that target size: for writing files, never for a commit.
fn with_target(table: &LoadedTable, bytes: u64) -> Result<LoadedTable, TableError> {
    if target_bytes(&table.metadata) == bytes {
        return Ok(table.clone());
    }
    // The crate's builder would set times by the machine's clock.
    let with_target = || -> serde_json::Result<TableMetadata> {
        let mut json = serde_json::to_value(table.metadata.as_ref())?;
        json["properties"][TARGET] = bytes.to_string().into();
        serde_json::from_value(json)
    };
    let metadata = with_target().map_err(|error| {
        let reason = format!("the target size cannot be set: {error}");
        TableError::new(&table.name, TableErrorKind::Rejected, reason)
    })?;
    Ok(LoadedTable {
        metadata: Arc::new(metadata),
        ..table.clone()
    })
}
