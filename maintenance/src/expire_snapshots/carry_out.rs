//! The commit that takes snapshots out, and the deletion of what they left.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use frazil_table::{
    catalog::{LoadedTable, metadata_file},
    commit::{MetadataChange, MetadataPlan, OpenTable},
    error::TableError,
    maintenance::{Maintenance, PendingDeletes},
    storage::Storage,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iceberg::{
    TableUpdate,
    spec::{ManifestFile, SnapshotRef, TableMetadata},
};

use super::{Plan, SnapshotPolicy, SnapshotWishes, deletes, plan};
use crate::{
    Maintainer, Target, files,
    reach::{self, Call, Needed, path_key},
    report::Report,
    tables::check_may_delete,
};

/// What expiry is asked to do.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// Which snapshots go.
    pub wishes: SnapshotWishes,
    /// How long a commit stands before the files that it left are deleted; nothing: in the same run.
    pub grace: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Expires snapshots, and deletes what earlier runs left if their commits have stood for long enough.
///
/// # Errors
/// A guard stops; the table forbids it; something cannot be read. Whatever was done by then stays consistent: the next
/// run goes on from there.
pub async fn expire_snapshots(
    maintainer: &Maintainer,
    target: &Target,
    expiry: &Expiry,
) -> Result<Report, TableError> {
    let open = maintainer.open(target).await?;
    check_may_delete(&open.table)?;
    let mut report = Report {
        table: open.table.name.to_string(),
        command: "expire-snapshots".to_owned(),
        dry_run: expiry.dry_run,
        ..Report::default()
    };
    let current = open.table.metadata.current_snapshot_id();
    let totals = files::totals(&open.table).await?;
    report.before(totals);
    if expiry.dry_run {
        would_expire(maintainer, &open, expiry, &mut report).await?;
        report.after(totals);
        return Ok(report);
    }
    let mut run = Run {
        maintainer,
        target,
        expiry,
        report: &mut report,
    };
    let deleted = run.delete_due().await?;
    let expired = run.expire(&deleted).await?;
    run.remove_lists(&deleted).await;
    // Without a grace period, what was just left goes at once.
    if expired && expiry.grace.is_zero() {
        let deleted = run.delete_due().await?;
        run.clear(&deleted).await?;
        run.remove_lists(&deleted).await;
    }
    let open = maintainer.open(target).await?;
    describe_end(&open, &mut report)?;
    // Expiry changes no current snapshot; others may have.
    if open.table.metadata.current_snapshot_id() == current {
        report.after(totals);
    } else {
        report.after(files::totals(&open.table).await?);
    }
    Ok(report)
}

fn describe_end(open: &OpenTable, report: &mut Report) -> Result<(), TableError> {
    let maintenance = Maintenance::of(&open.table)?;
    let pending: u64 = maintenance.deletes.iter().map(|one| one.files).sum();
    report.detail("files_pending", pending);
    report.detail("snapshots_after", open.table.metadata.snapshots().len());
    let current = open.table.metadata.current_snapshot_id();
    report.snapshot_id = current.map(|id| id.to_string());
    for key in ["snapshots_expired", "refs_removed"] {
        report.details.entry(key).or_insert(0.into());
    }
    Ok(())
}

/// Says what a run would do.
async fn would_expire(
    maintainer: &Maintainer,
    open: &OpenTable,
    expiry: &Expiry,
    report: &mut Report,
) -> Result<(), TableError> {
    let now_ms = maintainer.clock.now_millis();
    let policy = SnapshotPolicy::of(&open.table.metadata, expiry.wishes, now_ms);
    let plan = plan(&open.table.metadata, &policy, now_ms);
    let left = left_behind(&open.table, &plan).await?;
    let maintenance = Maintenance::of(&open.table)?;
    let due = due(&maintenance, now_ms, expiry.grace);
    report.files_deleted = due.iter().map(|one| one.files).sum();
    let count = left.len() as u64;
    if expiry.grace.is_zero() {
        report.files_deleted += count;
    }
    describe_end(open, report)?;
    report.detail("files_left", count);
    report.detail("snapshots_expired", plan.snapshots.len());
    report.detail("refs_removed", plan.refs.len());
    let after = open.table.metadata.snapshots().len() - plan.snapshots.len();
    report.detail("snapshots_after", after);
    Ok(())
}

/// The lists whose commits have stood for long enough.
fn due(maintenance: &Maintenance, now_ms: i64, grace: Duration) -> Vec<PendingDeletes> {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let is_due = |one: &&PendingDeletes| now_ms.saturating_sub(one.at_ms) >= grace_ms;
    let lists = maintenance.deletes.iter();
    lists
        .filter(|one| grace_ms == 0 || is_due(one))
        .cloned()
        .collect()
}

/// A list whose files have gone, but for some that wait in an outbox.
#[derive(Debug)]
struct Done {
    pending: PendingDeletes,
    waiting: Vec<String>,
}

/// One run.
struct Run<'a> {
    maintainer: &'a Maintainer,
    target: &'a Target,
    expiry: &'a Expiry,
    report: &'a mut Report,
}

impl Run<'_> {
    /// Deletes what lists name whose commits have stood for long enough, and gives the lists that are done.
    async fn delete_due(&mut self) -> Result<Vec<Done>, TableError> {
        // Before the table's own needs: what is applied in between is then in both.
        let outbox = self.maintainer.outbox(self.target).await?;
        // The lists are of this very metadata: a catalog that went back has forgotten them.
        let open = self.maintainer.open(self.target).await?;
        let maintenance = Maintenance::of(&open.table)?;
        let now_ms = self.maintainer.clock.now_millis();
        let due = due(&maintenance, now_ms, self.expiry.grace);
        let mut done = Vec::new();
        if due.is_empty() {
            return Ok(done);
        }
        let needed = reach::needed(&open.table, &open.state, &maintenance).await?;
        for pending in due {
            let waiting = self.delete_listed(&open.table, &pending, &needed, &outbox);
            if let Some(waiting) = waiting.await? {
                done.push(Done { pending, waiting });
            }
        }
        Ok(done)
    }

    /// Deletes the files of a list, and gives those that wait in the outbox; `None` where all of them do.
    async fn delete_listed(
        &mut self,
        table: &LoadedTable,
        pending: &PendingDeletes,
        needed: &Needed,
        outbox: &Needed,
    ) -> Result<Option<Vec<String>>, TableError> {
        let Some(listed) = deletes::read(table, pending).await? else {
            self.report.left_alone.push(format!(
                "{} files whose list {} is gone; `frazil-maintenance remove-orphan-files` finds them",
                pending.files, pending.list
            ));
            return Ok(Some(Vec::new()));
        };
        let count = listed.len();
        let (waiting, listed): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|path| outbox.contains(path));
        let left_alone = &mut self.report.left_alone;
        if !waiting.is_empty() {
            let waits = "until its next commit the other table tells of them";
            left_alone.push(format!("{} files: {waits}", waiting.len()));
        }
        if waiting.len() == count {
            return Ok(None);
        }
        let (deleted, spared) = deletes::delete(table, &listed, needed).await?;
        self.report.files_deleted += deleted;
        if spared > 0 {
            left_alone.push(format!("{spared} files: the table needs them again"));
        }
        Ok(Some(waiting))
    }

    /// Takes snapshots out, and forgets lists that are done. True: there was something to commit.
    async fn expire(&mut self, done: &[Done]) -> Result<bool, TableError> {
        let name = self.target.name();
        let mut commit = ExpireCommit {
            maintainer: self.maintainer,
            wishes: Some(self.expiry.wishes),
            done,
            written: None,
            planned: Plan::default(),
        };
        let committed = self.maintainer.committer.maintain(&name, &mut commit).await;
        if committed.is_err() {
            commit.discard().await;
        }
        let committed = committed?;
        if committed {
            self.report.committed = true;
            self.report
                .detail("snapshots_expired", commit.planned.snapshots.len());
            self.report
                .detail("refs_removed", commit.planned.refs.len());
        }
        Ok(committed && !commit.planned.snapshots.is_empty())
    }

    /// Forgets lists that are done.
    async fn clear(&mut self, done: &[Done]) -> Result<(), TableError> {
        let name = self.target.name();
        let mut commit = ExpireCommit {
            maintainer: self.maintainer,
            wishes: None,
            done,
            written: None,
            planned: Plan::default(),
        };
        let committer = &self.maintainer.committer;
        committer.maintain(&name, &mut commit).await?;
        Ok(())
    }

    /// Deletes lists that no metadata of the present names any longer.
    async fn remove_lists(&self, done: &[Done]) {
        if done.is_empty() {
            return;
        }
        let Ok(open) = self.maintainer.open(self.target).await else {
            return;
        };
        for one in done {
            if let Err(error) = open.table.storage.delete(&one.pending.list).await {
                tracing::warn!(%error, "left a list of deleted files behind");
            }
        }
    }
}

/// The commit that takes snapshots out.
struct ExpireCommit<'a> {
    maintainer: &'a Maintainer,
    /// `None`: nothing is taken out.
    wishes: Option<SnapshotWishes>,
    /// Lists that are done.
    done: &'a [Done],
    /// The list of the last attempt. Certainly unnamed until its commit.
    written: Option<(Arc<dyn Storage>, String)>,
    planned: Plan,
}

impl ExpireCommit<'_> {
    /// Deletes the list of an attempt that is certainly lost.
    async fn discard(&mut self) {
        if let Some((storage, list)) = self.written.take()
            && let Err(error) = storage.delete(&list).await
        {
            tracing::warn!(%error, "left the list of a lost attempt behind");
        }
    }

    async fn write_list(
        &mut self,
        table: &LoadedTable,
        files: Vec<String>,
        at_ms: i64,
    ) -> Result<PendingDeletes, TableError> {
        let folder = metadata_file::folder(&table.metadata);
        let list = format!("{folder}/deletes-{}.json.zst", self.maintainer.ids.uuid());
        let count = files.len() as u64;
        self.written = Some((Arc::clone(&table.storage), list.clone()));
        deletes::write(table, &list, files).await?;
        Ok(PendingDeletes {
            list,
            files: count,
            at_ms,
        })
    }
}

#[async_trait]
impl MetadataPlan for ExpireCommit<'_> {
    async fn plan(
        &mut self,
        base: &LoadedTable,
        mut maintenance: Maintenance,
    ) -> Result<Option<MetadataChange>, TableError> {
        self.discard().await;
        check_may_delete(base)?;
        let now_ms = self.maintainer.clock.now_millis();
        self.planned = self.wishes.map_or_else(Plan::default, |wishes| {
            let policy = SnapshotPolicy::of(&base.metadata, wishes, now_ms);
            plan(&base.metadata, &policy, now_ms)
        });
        let before = maintenance.deletes.len();
        let done = |pending: &PendingDeletes| self.done.iter().any(|one| one.pending == *pending);
        maintenance.deletes.retain(|one| !done(one));
        if self.planned.is_empty() && maintenance.deletes.len() == before {
            return Ok(None);
        }
        let mut left = left_behind(base, &self.planned).await?;
        left.extend(self.done.iter().flat_map(|one| one.waiting.iter().cloned()));
        if !left.is_empty() {
            let at_ms = now_ms.max(base.metadata.last_updated_ms());
            let pending = self.write_list(base, left, at_ms).await?;
            maintenance.deletes.push(pending);
        }
        Ok(Some(MetadataChange {
            updates: updates(&base.metadata, &self.planned),
            maintenance,
        }))
    }

    fn is_unknown(&mut self) {
        // The table may name it.
        self.written = None;
    }
}

fn updates(metadata: &TableMetadata, plan: &Plan) -> Vec<TableUpdate> {
    let mut updates: Vec<_> = plan
        .refs
        .iter()
        .map(|name| TableUpdate::RemoveSnapshotRef {
            ref_name: name.clone(),
        })
        .collect();
    for statistics in metadata.statistics_iter() {
        if plan.snapshots.contains(&statistics.snapshot_id) {
            updates.push(TableUpdate::RemoveStatistics {
                snapshot_id: statistics.snapshot_id,
            });
        }
    }
    for statistics in metadata.partition_statistics_iter() {
        if plan.snapshots.contains(&statistics.snapshot_id) {
            updates.push(TableUpdate::RemovePartitionStatistics {
                snapshot_id: statistics.snapshot_id,
            });
        }
    }
    if !plan.snapshots.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots {
            snapshot_ids: plan.snapshots.iter().copied().collect(),
        });
    }
    updates
}

/// Those of manifests that are still there: of snapshots that go, a clean-up that broke off may have deleted some.
async fn still_there<'m>(
    table: &LoadedTable,
    manifests: &[&'m ManifestFile],
) -> Result<Vec<&'m ManifestFile>, TableError> {
    let mut looks: Vec<Call<'_, bool>> = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        looks.push(Box::pin(is_there(table, &manifest.manifest_path)));
    }
    let looks = stream::iter(looks).buffered(reach::READS_AT_A_TIME);
    let there: Vec<bool> = looks.try_collect().await?;
    let there = manifests.iter().zip(there).filter(|(_, there)| *there);
    Ok(there.map(|(manifest, _)| *manifest).collect())
}

async fn is_there(table: &LoadedTable, path: &str) -> Result<bool, TableError> {
    let stat = table.storage.stat(path).await;
    let stat = stat.map_err(|error| reach::storage_error(table, &error))?;
    Ok(stat.is_some())
}

/// The files that only the snapshots that go need.
async fn left_behind(table: &LoadedTable, plan: &Plan) -> Result<Vec<String>, TableError> {
    if plan.snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let metadata = &table.metadata;
    let goes = |id: i64| plan.snapshots.contains(&id);
    let (going, staying): (Vec<&SnapshotRef>, Vec<&SnapshotRef>) = metadata
        .snapshots()
        .partition(|snapshot| goes(snapshot.snapshot_id()));
    let going = reach::named(table, &going).await?;
    let staying = reach::named(table, &staying).await?;
    if let Some(list) = staying.lost.first() {
        return Err(reach::unknown(table, list));
    }
    for list in &going.lost {
        tracing::warn!(table = %table.name, list, "is gone; what its snapshot needed is left to the removal of orphan files");
    }
    let dead = going
        .manifests
        .iter()
        .filter(|(path, _)| !staying.manifests.contains_key(*path));
    let dead: Vec<&ManifestFile> = dead.map(|(_, manifest)| manifest).collect();
    let dead = still_there(table, &dead).await?;
    let mut left: BTreeMap<u128, String> = BTreeMap::new();
    let mut add = |path: &str| {
        left.insert(path_key(path), path.to_owned());
    };
    reach::for_each_live(table, &dead, &mut add).await?;
    for manifest in &dead {
        add(&manifest.manifest_path);
    }
    for list in &going.lists {
        add(list);
    }
    let statistics = metadata
        .statistics_iter()
        .filter(|one| goes(one.snapshot_id));
    for one in statistics {
        add(&one.statistics_path);
    }
    let statistics = metadata
        .partition_statistics_iter()
        .filter(|one| goes(one.snapshot_id));
    for one in statistics {
        add(&one.statistics_path);
    }
    let mut keep = |path: &str| {
        left.remove(&path_key(path));
    };
    let stays: Vec<&ManifestFile> = staying.manifests.values().collect();
    reach::for_each_live(table, &stays, &mut keep).await?;
    for path in staying.lists.iter().chain(staying.manifests.keys()) {
        keep(path);
    }
    let statistics = metadata
        .statistics_iter()
        .filter(|one| !goes(one.snapshot_id));
    for one in statistics {
        keep(&one.statistics_path);
    }
    Ok(left.into_values().collect())
}
