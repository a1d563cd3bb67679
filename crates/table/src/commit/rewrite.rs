//! Commits of maintenance that put data files in the place of others.
//!
//! Every base is looked at anew: a group whose inputs are not all live any more, or that newer position deletes may
//! be meant for, is left out; the others are committed. Positions and all else of the writers' state stay as they
//! are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use iceberg::spec::{DataContentType, ManifestContentType, ManifestFile, Operation};
use uuid::Uuid;

use super::{
    Committer, PendingFile,
    attempts::{Attempts, Plan, Step, Tickets},
    guard,
};
use crate::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    maintenance::{COMMIT_ID, Maintenance},
    snapshot::{self, Replaced, SnapshotChange},
};

/// Files that take the place of others, in groups of which each is committed whole or not at all.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The id of its commit.
    pub id: Uuid,
    /// The uuid of the table that it was read from.
    pub table_uuid: Uuid,
    /// The epoch of maintenance that its files were written in.
    pub epoch: u64,
    /// The kind of operation: `replace` where the rows stay the same.
    pub operation: Operation,
    /// The sequence number of the snapshot that the rows were read from.
    pub sequence_number: i64,
    /// The groups.
    pub groups: Vec<RewriteGroup>,
}

/// Files that take the place of others.
#[derive(Debug, Clone)]
pub struct RewriteGroup {
    /// The paths of the data files that go.
    pub inputs: BTreeSet<String>,
    /// Those that come.
    pub outputs: Vec<PendingFile>,
}

/// What came of a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The snapshot, where it is known: `None` where no group was committed.
    pub snapshot_id: Option<i64>,
    /// For each group why it was not committed; `None`: it was.
    pub left_out: Vec<Option<String>>,
    /// Whether the files of groups that were left out are certainly named by nothing, so that they may be deleted.
    pub may_discard: bool,
}

impl Committer {
    /// Commits those groups whose inputs are still live.
    ///
    /// # Errors
    /// Nothing is known to be committed. The outputs are to be left alone: orphan removal proves which are dead.
    pub async fn rewrite(
        &self,
        name: &TableName,
        rewrite: &Rewrite,
    ) -> Result<Rewritten, TableError> {
        let was_unknown = Arc::new(AtomicBool::new(false));
        let plan = RewritePlan {
            attempts: self.attempts.clone(),
            name: name.clone(),
            rewrite: rewrite.clone(),
            unrelated: BTreeSet::new(),
            left_out: vec![None; rewrite.groups.len()],
            was_unknown: Arc::clone(&was_unknown),
        };
        let mut rewritten = self.attempts.run(name, plan).await?;
        rewritten.may_discard = !was_unknown.load(Ordering::Relaxed);
        Ok(rewritten)
    }
}

struct RewritePlan {
    attempts: Attempts,
    name: TableName,
    rewrite: Rewrite,
    /// Manifests that list no file of the rewrite. A manifest never changes.
    unrelated: BTreeSet<String>,
    /// As of the last attempt.
    left_out: Vec<Option<String>>,
    was_unknown: Arc<AtomicBool>,
}

/// The files of a rewrite that are live on a base.
#[derive(Debug, Default)]
struct Live {
    /// The manifest of each.
    manifests: BTreeMap<String, String>,
    /// Whether a file is named twice.
    is_twice: bool,
    /// Newer position deletes: the data files that they are for, where each says so.
    position_deletes: Option<BTreeSet<String>>,
    /// Newer position deletes that do not say what they are for.
    any_position_deletes: bool,
}

#[async_trait]
impl Plan for RewritePlan {
    type Done = Rewritten;

    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        tickets: &Tickets,
    ) -> Result<Step<Rewritten>, TableError> {
        let base = base.ok_or_else(|| TableError::gone(&self.name))?;
        guard::state_of(base, &self.attempts.guards)?;
        if base.metadata.uuid() != self.rewrite.table_uuid {
            return Err(TableError::new(
                &self.name,
                TableErrorKind::Recreated,
                "it was dropped and made again while its files were rewritten; nothing was committed to the new one",
            ));
        }
        if let Some(snapshot_id) = self.own_snapshot(base) {
            return Ok(Step::Done(self.rewritten(Some(snapshot_id))));
        }
        let maintenance = Maintenance::of(base)?;
        let live = self.live(base).await?;
        let mut replaced: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut added = Vec::new();
        for (index, group) in self.rewrite.groups.iter().enumerate() {
            self.left_out[index] = if maintenance.epoch == self.rewrite.epoch {
                self.why_not(base, group, &live)
            } else {
                Some("the removal of orphan files has begun a new epoch meanwhile".to_owned())
            };
            if self.left_out[index].is_some() {
                continue;
            }
            added.extend(group.outputs.iter().cloned());
            for input in &group.inputs {
                if let Some(manifest) = live.manifests.get(input) {
                    let files = replaced.entry(manifest.clone()).or_default();
                    files.insert(input.clone());
                }
            }
        }
        if replaced.is_empty() && added.is_empty() {
            return Ok(Step::Done(self.rewritten(None)));
        }
        let ticket = tickets.for_base(base);
        let change = SnapshotChange {
            operation: self.rewrite.operation.clone(),
            added,
            replaced: Some(Replaced {
                files: replaced,
                sequence_number: self.rewrite.sequence_number,
            }),
            summary: BTreeMap::from([(COMMIT_ID.to_owned(), self.rewrite.id.to_string())]),
            set_properties: BTreeMap::new(),
            remove_properties: Vec::new(),
            kept: None,
        };
        Ok(Step::Commit(ticket, Box::new(change)))
    }

    fn committed(&mut self, snapshot_id: i64) -> Rewritten {
        self.rewritten(Some(snapshot_id))
    }

    fn is_unknown(&mut self) {
        self.was_unknown.store(true, Ordering::Relaxed);
    }
}

impl RewritePlan {
    fn rewritten(&self, snapshot_id: Option<i64>) -> Rewritten {
        Rewritten {
            snapshot_id,
            left_out: self.left_out.clone(),
            may_discard: false,
        }
    }

    /// The snapshot that an earlier attempt made, whose reply was lost.
    fn own_snapshot(&self, base: &LoadedTable) -> Option<i64> {
        let id = self.rewrite.id.to_string();
        guard::ancestors(&base.metadata)
            .find(|one| one.summary().additional_properties.get(COMMIT_ID) == Some(&id))
            .map(|one| one.snapshot_id())
    }

    /// Why the group cannot be committed on that base.
    fn why_not(&self, base: &LoadedTable, group: &RewriteGroup, live: &Live) -> Option<String> {
        if !self.attempts.guards.inputs_live {
            return None;
        }
        if group.inputs.is_empty() {
            return Some("it takes the place of no file".to_owned());
        }
        if live.is_twice {
            return Some("a file is live twice, which is for a person to mend".to_owned());
        }
        let gone = group.inputs.iter();
        let gone = gone.filter(|input| !live.manifests.contains_key(*input));
        let gone = gone.count();
        if gone > 0 {
            return Some(format!(
                "{gone} of its {} files are no longer live",
                group.inputs.len()
            ));
        }
        let mut outputs = group.outputs.iter();
        if outputs.any(|output| live.manifests.contains_key(output.data_file.file_path())) {
            return Some("its outputs are live already".to_owned());
        }
        let named = live.position_deletes.as_ref();
        if live.any_position_deletes || named.is_some_and(|named| !named.is_disjoint(&group.inputs))
        {
            return Some("rows of it were deleted meanwhile".to_owned());
        }
        guard::misfit(&base.metadata, &group.outputs)
    }

    /// Looks for the rewrite's files in the manifests that may list them.
    async fn live(&mut self, base: &LoadedTable) -> Result<Live, TableError> {
        let wanted: BTreeSet<&str> = {
            let inputs = self.rewrite.groups.iter().flat_map(|group| &group.inputs);
            let outputs = self.rewrite.groups.iter().flat_map(|group| &group.outputs);
            let outputs = outputs.map(|output| output.data_file.file_path());
            inputs.map(String::as_str).chain(outputs).collect()
        };
        let mut live = Live::default();
        let mut unrelated = Vec::new();
        for manifest in snapshot::manifests(base).await? {
            let path = &manifest.manifest_path;
            if manifest.content == ManifestContentType::Deletes {
                if manifest.sequence_number > self.rewrite.sequence_number {
                    self.newer_deletes(base, &manifest, &mut live).await?;
                }
                continue;
            }
            if self.unrelated.contains(path) {
                continue;
            }
            let loaded = snapshot::load_manifest(base, &manifest).await?;
            let mut is_related = false;
            for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
                if wanted.contains(entry.file_path()) {
                    is_related = true;
                    let file = entry.file_path().to_owned();
                    live.is_twice |= live.manifests.insert(file, path.clone()).is_some();
                }
            }
            if !is_related {
                unrelated.push(path.clone());
            }
        }
        self.unrelated.extend(unrelated);
        Ok(live)
    }

    async fn newer_deletes(
        &self,
        base: &LoadedTable,
        manifest: &ManifestFile,
        live: &mut Live,
    ) -> Result<(), TableError> {
        let loaded = snapshot::load_manifest(base, manifest).await?;
        for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
            let is_newer = entry
                .sequence_number()
                .is_none_or(|number| number > self.rewrite.sequence_number);
            let file = entry.data_file();
            if !is_newer || file.content_type() != DataContentType::PositionDeletes {
                continue;
            }
            match file.referenced_data_file() {
                Some(path) => {
                    live.position_deletes.get_or_insert_default().insert(path);
                }
                None => live.any_position_deletes = true,
            }
        }
        Ok(())
    }
}
