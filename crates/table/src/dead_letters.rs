//! Dead letters: a table of their own, fed by an outbox in the state of the table that they belong to.
//!
//! The table T alone decides. A checkpoint's rejects are written as files first, and one manifest
//! of them ([`write_manifest`]); T's commit then carries, in its state, the entry `{k, manifest}`.
//! The dead-letter table D appends the entry's files under its own `frazil.applied`, from `k - 1` to
//! `k`: a step that changes nothing when done again, so that any writer may finish it for another
//! ([`Committer::apply_outbox`]). T's next commit drops the entries that D has applied.
//!
//! What is looked at before: D names T's uuid, T's state names D's; D's last step is in D's history,
//! and not behind what T has dropped, nor ahead of what T has given out. A D that is gone is made
//! again, loudly, as having applied all but what is pending.
//!
//! T is always read before D, and neither is ever held while the other is changed. A look that
//! fails while T moved on says nothing, and is taken again.

mod apply;
mod schema;

pub use schema::{partition_spec, schema};

use std::collections::BTreeMap;

use frazil_dataset::TableName;
use iceberg::spec::SortOrder;
use uuid::Uuid;

use crate::{
    catalog::{CommitError, Creation, LoadedTable, metadata_file},
    commit::{
        Committer, OpenTable, PendingFile,
        attempts::Attempts,
        guard::{Lineage, lineage},
    },
    error::{TableError, TableErrorKind},
    snapshot,
    state::{DeadLetterState, LastCommit, State},
};

/// D's property that names the table it belongs to.
pub const OF: &str = "frazil.dead-letters-of";
/// D's property that says up to which entry it has applied.
pub const APPLIED: &str = "frazil.applied";
/// D's property that says by which of its snapshots, as `<snapshot id>:<sequence number>`.
const APPLIED_BY: &str = "frazil.applied-by";
/// D's property that says which manifest that entry was: T, gone back in time, may give out another
/// one under the same number.
const APPLIED_MANIFEST: &str = "frazil.applied-manifest";
/// D's property that names the uuid of the dead-letter table in whose stead it was made.
const REPLACES: &str = "frazil.replaces";

/// Entries that may be pending. Each is a manifest to append; that many mean that the dead-letter
/// table has not been writable for as many checkpoints, and someone should know.
pub const OUTBOX_ENTRIES_MAX: usize = 64;

/// A dead-letter table that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetterTable {
    pub(crate) table: LoadedTable,
    /// The entry up to which it has applied.
    pub(crate) applied: u64,
}

/// What a look at the dead-letter table gave.
pub(crate) enum Look {
    Fine(Box<DeadLetterTable>),
    /// T moved on meanwhile, so the look says nothing.
    OutOfDate,
}

/// Writes the manifest of a checkpoint's rejects, durably, and gives its path for
/// [`Checkpoint::dead_letters`](crate::commit::Checkpoint::dead_letters). The files are of one
/// partition spec and one schema of the dead-letter table.
///
/// # Errors
/// It cannot be written; no files; files of several specs or schemas.
pub async fn write_manifest(
    dead_letter_table: &LoadedTable,
    files: &[PendingFile],
    id: Uuid,
) -> Result<String, TableError> {
    let folder = metadata_file::folder(&dead_letter_table.metadata);
    let path = format!("{folder}/outbox-{id}.avro");
    snapshot::write_unassigned_manifest(dead_letter_table, files, &path).await?;
    Ok(path)
}

impl Committer {
    /// The table's dead-letter table, made where there is none yet (or none any more).
    ///
    /// # Errors
    /// The table is gone or stopped by a guard; the dead-letter table is another's, or went back.
    pub async fn dead_letter_table(&self, name: &TableName) -> Result<LoadedTable, TableError> {
        for _ in 0..self.attempts.policy.conflicts_max {
            let open = self.open(name).await?;
            let open = open.ok_or_else(|| TableError::gone(name))?;
            if let Look::Fine(found) = look(&self.attempts, &open.table, &open.state).await? {
                return Ok(found.table);
            }
        }
        Err(TableError::new(
            name,
            TableErrorKind::Conflicts,
            "it moves on faster than its dead-letter table can be looked at; start again",
        ))
    }

    /// Looks at the dead-letter table as a writer would, and changes nothing: the table, where there is one, and how many
    /// entries it has still to take.
    ///
    /// # Errors
    /// The dead-letter table is another's, or went back.
    pub async fn look_at_dead_letters(
        &self,
        open: &OpenTable,
    ) -> Result<(Option<LoadedTable>, u64), TableError> {
        let (base, state) = (&open.table, &open.state);
        let name = base.name.dead_letters();
        let loaded = self.attempts.catalog.load(&name).await;
        let table = loaded.map_err(|e| TableError::catalog(&name, &e))?;
        let applied = match &table {
            Some(table) => match judge(&self.attempts, base, state, table.clone()).await? {
                Look::Fine(found) => found.applied,
                Look::OutOfDate => 0,
            },
            None => 0,
        };
        let pending = state.dead_letters.outbox.range(applied + 1..).count() as u64;
        Ok((table, pending))
    }
}

/// Brings the outbox of T's state up to date before a commit: names D, drops what D has applied.
/// `gives` says whether the commit gives out an entry. `None`: T moved on meanwhile.
///
/// D is looked at before an entry is given out, so that D, if T went back in time, is not taken to
/// have applied an entry of that number already.
pub(crate) async fn settle(
    attempts: &Attempts,
    base: &LoadedTable,
    mut state: State,
    gives: bool,
) -> Result<Option<State>, TableError> {
    if state.dead_letters.table_uuid.is_some() && state.dead_letters.outbox.is_empty() && !gives {
        return Ok(Some(state));
    }
    let Look::Fine(found) = look(attempts, base, &state).await? else {
        return Ok(None);
    };
    let dead_letters = &mut state.dead_letters;
    dead_letters.table_uuid = Some(found.table.metadata.uuid());
    dead_letters
        .outbox
        .retain(|number, _| *number > found.applied);
    if gives && dead_letters.outbox.len() >= OUTBOX_ENTRIES_MAX {
        return Err(TableError::new(
            &base.name,
            TableErrorKind::OutboxFull,
            format!(
                "{} files of dead letters wait for table {}, which has not taken any for as many \
                 checkpoints; see why it cannot be written (`frazil doctor`), then start again",
                dead_letters.outbox.len(),
                base.name.dead_letters()
            ),
        ));
    }
    Ok(Some(state))
}

/// What a state that begins anew, by an operator's word, says of the dead letters: D goes on from
/// where it stands.
pub(crate) async fn adopt(
    attempts: &Attempts,
    base: &LoadedTable,
) -> Result<DeadLetterState, TableError> {
    let name = base.name.dead_letters();
    let loaded = attempts.catalog.load(&name).await;
    let table = loaded.map_err(|e| TableError::catalog(&name, &e))?;
    let of = base.metadata.uuid().to_string();
    let ours = table.filter(|table| table.metadata.properties().get(OF) == Some(&of));
    Ok(DeadLetterState {
        table_uuid: ours.as_ref().map(|table| table.metadata.uuid()),
        next: ours.as_ref().and_then(applied).unwrap_or(0) + 1,
        outbox: BTreeMap::new(),
    })
}

/// Looks at the dead-letter table of T, which was read just before; makes it where it is missing.
pub(crate) async fn look(
    attempts: &Attempts,
    base: &LoadedTable,
    state: &State,
) -> Result<Look, TableError> {
    let name = base.name.dead_letters();
    let loaded = attempts.catalog.load(&name).await;
    let table = match loaded.map_err(|e| TableError::catalog(&name, &e))? {
        Some(table) => table,
        None => make(attempts, base, state).await?,
    };
    judge(attempts, base, state, table).await
}

/// What the dead-letter table, read after T, is to T.
async fn judge(
    attempts: &Attempts,
    base: &LoadedTable,
    state: &State,
    table: LoadedTable,
) -> Result<Look, TableError> {
    let fault = match inspect(&table, base.metadata.uuid(), state) {
        Ok(applied) => return Ok(Look::Fine(Box::new(DeadLetterTable { table, applied }))),
        Err(fault) => fault,
    };
    if !attempts.guards.dead_letter_history {
        let applied = applied(&table).unwrap_or(0);
        return Ok(Look::Fine(Box::new(DeadLetterTable { table, applied })));
    }
    let again = attempts.catalog.load(&base.name).await;
    let again = again.map_err(|e| TableError::catalog(&base.name, &e))?;
    if again.is_none_or(|again| again.metadata_location != base.metadata_location) {
        return Ok(Look::OutOfDate);
    }
    Err(TableError::new(
        &table.name,
        TableErrorKind::DeadLetterTable,
        fault,
    ))
}

/// The entry up to which D has applied, or what is wrong with D.
fn inspect(table: &LoadedTable, of: Uuid, state: &State) -> Result<u64, String> {
    let advice = "rename it, or drop it with what it holds, and start again: it is then made anew";
    let properties = table.metadata.properties();
    if properties.get(OF) != Some(&of.to_string()) {
        return Err(format!(
            "it is not the dead-letter table of the present table (the property {OF} is not {of}); {advice}"
        ));
    }
    let uuid = table.metadata.uuid();
    if let Some(expected) = state
        .dead_letters
        .table_uuid
        .filter(|expected| *expected != uuid)
        && properties.get(REPLACES) != Some(&expected.to_string())
    {
        return Err(format!(
            "it was dropped and made again by another; {advice}"
        ));
    }
    let applied = applied(table)
        .ok_or_else(|| format!("its property {APPLIED} is missing or not a number; {advice}"))?;
    if let Some(last) = applied_by(table)
        && lineage(&table.metadata, &last) == Lineage::Lacks
    {
        return Err(format!(
            "it was rolled back: what it took up to entry {applied} is not in its history; go back to a \
             snapshot that has it, or {advice}"
        ));
    }
    let least = dropped_up_to(state);
    if applied < least {
        return Err(format!(
            "it went back in time: it holds the dead letters up to entry {applied}, and had them up to \
             {least}; restore it, or {advice}"
        ));
    }
    let most = state.dead_letters.next.max(1) - 1;
    if applied > most {
        return Err(format!(
            "it holds dead letters up to entry {applied}, and its table has given out {most}: the table \
             went back in time; restore the table, or {advice}"
        ));
    }
    if let Some(given) = state.dead_letters.outbox.get(&applied)
        && !is_applied(table, given)
    {
        return Err(format!(
            "its entry {applied} is not the one that its table gave out under that number: the table went back \
             in time; restore the table, or {advice}"
        ));
    }
    Ok(applied)
}

/// Whether D's last entry is that manifest, as far as D says.
fn is_applied(table: &LoadedTable, manifest: &str) -> bool {
    let last = table.metadata.properties().get(APPLIED_MANIFEST);
    last.is_none_or(|last| last == manifest)
}

/// The entry up to which T has seen D to have applied.
fn dropped_up_to(state: &State) -> u64 {
    let dead_letters = &state.dead_letters;
    match dead_letters.outbox.keys().next() {
        Some(first) => first - 1,
        None => dead_letters.next.max(1) - 1,
    }
}

fn applied(table: &LoadedTable) -> Option<u64> {
    table.metadata.properties().get(APPLIED)?.parse().ok()
}

fn applied_by(table: &LoadedTable) -> Option<LastCommit> {
    let (snapshot_id, sequence_number) = table
        .metadata
        .properties()
        .get(APPLIED_BY)?
        .split_once(':')?;
    Some(LastCommit {
        id: Uuid::nil(),
        snapshot_id: snapshot_id.parse().ok()?,
        sequence_number: sequence_number.parse().ok()?,
    })
}

/// Makes D. In the stead of one that is gone it counts as having applied all that is not pending.
async fn make(
    attempts: &Attempts,
    base: &LoadedTable,
    state: &State,
) -> Result<LoadedTable, TableError> {
    let name = base.name.dead_letters();
    let applied = dropped_up_to(state);
    let mut properties = vec![
        (OF.to_string(), base.metadata.uuid().to_string()),
        (APPLIED.to_string(), applied.to_string()),
        (
            "write.parquet.compression-codec".to_string(),
            "zstd".to_string(),
        ),
    ];
    if let Some(gone) = state.dead_letters.table_uuid {
        tracing::error!(
            table = %name,
            applied,
            "the dead-letter table is gone, and with it what it held up to this entry; making it again"
        );
        properties.push((REPLACES.to_string(), gone.to_string()));
    }
    let creation = Creation {
        schema: schema(),
        partition_spec: partition_spec(),
        sort_order: SortOrder::unsorted_order(),
        properties,
    };
    let reason = match attempts.catalog.create(&name, creation).await {
        Ok(table) => return Ok(table),
        Err(CommitError::Rejected(reason)) => {
            return Err(TableError::new(&name, TableErrorKind::Rejected, reason));
        }
        Err(CommitError::NotSent(reason)) => {
            return Err(TableError::new(
                &name,
                TableErrorKind::CatalogUnavailable,
                reason,
            ));
        }
        // Perhaps made, by us or another.
        Err(CommitError::Conflict(reason) | CommitError::Unknown(reason)) => reason,
    };
    let loaded = attempts.catalog.load(&name).await;
    loaded
        .map_err(|e| TableError::catalog(&name, &e))?
        .ok_or_else(|| TableError::new(&name, TableErrorKind::CatalogUnavailable, reason))
}
