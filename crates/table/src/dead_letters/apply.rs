//! The dead-letter table takes what its table has given out, one entry after the other.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use frazil_dataset::TableName;
use iceberg::spec::{Manifest, Operation};
use uuid::Uuid;

use super::{APPLIED, APPLIED_BY, APPLIED_MANIFEST, Look, applied, applied_by, is_applied, look};
use crate::{
    catalog::LoadedTable,
    commit::{
        Committer, PendingFile,
        attempts::{Attempts, Plan, Step, Tickets},
        guard::{Lineage, check_format, lineage},
    },
    error::{TableError, TableErrorKind},
    snapshot::SnapshotChange,
    storage::StorageErrorKind,
};

impl Committer {
    /// Applies what is pending to the dead-letter table, whoever gave it out. Gives how many
    /// entries this call applied. At start it is called before anything else; then after each
    /// commit that gave out an entry.
    ///
    /// # Errors
    /// The table is gone or stopped by a guard; the dead-letter table is another's, went back in
    /// time, or cannot be written.
    pub async fn apply_outbox(&self, name: &TableName) -> Result<u64, TableError> {
        let mut taken = 0;
        for _ in 0..self.attempts.policy.conflicts_max {
            let Some(open) = self.open(name).await? else {
                return Err(TableError::gone(name));
            };
            let outbox = &open.state.dead_letters.outbox;
            if outbox.is_empty() {
                return Ok(taken);
            }
            let Look::Fine(found) = look(&self.attempts, &open.table, &open.state).await? else {
                continue;
            };
            for (number, manifest) in outbox.range(found.applied + 1..) {
                // What is seen of the dead-letter table is not told of the table.
                let attempts = Attempts {
                    seen: Arc::default(),
                    ..self.attempts.clone()
                };
                let plan = ApplyPlan {
                    attempts: attempts.clone(),
                    name: found.table.name.clone(),
                    uuid: found.table.metadata.uuid(),
                    number: *number,
                    manifest: manifest.clone(),
                    before: outbox.get(&(number - 1)).cloned(),
                };
                taken += u64::from(attempts.run(&found.table.name, plan).await?);
            }
            return Ok(taken);
        }
        Err(TableError::new(
            name,
            TableErrorKind::Conflicts,
            "it moves on faster than its dead-letter table can follow; start again",
        ))
    }
}

/// One entry on its way into the dead-letter table. True: by us.
struct ApplyPlan {
    attempts: Attempts,
    name: TableName,
    uuid: Uuid,
    number: u64,
    manifest: String,
    /// The entry before, where it is still pending.
    before: Option<String>,
}

#[async_trait]
impl Plan for ApplyPlan {
    type Done = bool;

    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        tickets: &Tickets,
    ) -> Result<Step<bool>, TableError> {
        let Some(base) = base.filter(|base| base.metadata.uuid() == self.uuid) else {
            return Err(self.error(
                TableErrorKind::Conflicts,
                "it was dropped while it was being written; start again",
            ));
        };
        check_format(base, &self.attempts.guards)?;
        let guards = &self.attempts.guards;
        let before = applied(base).ok_or_else(|| {
            self.error(
                TableErrorKind::DeadLetterTable,
                "its property frazil.applied was removed",
            )
        })?;
        if guards.outbox_step {
            self.check_same_history(base, before)?;
        }
        if guards.outbox_step && before >= self.number {
            return Ok(Step::Done(false));
        }
        if guards.outbox_step && before + 1 != self.number {
            return Err(self.error(
                TableErrorKind::DeadLetterTable,
                &format!(
                    "it holds entries up to {before}, and entry {} is next; it went back in time",
                    self.number
                ),
            ));
        }
        let rolled_back =
            applied_by(base).is_some_and(|last| lineage(&base.metadata, &last) == Lineage::Lacks);
        if guards.dead_letter_history && rolled_back {
            return Err(self.error(
                TableErrorKind::DeadLetterTable,
                "it was rolled back while it was being written; go back to a snapshot that has all, or rename or drop it",
            ));
        }
        let ticket = tickets.for_base(base);
        let change = SnapshotChange {
            operation: Operation::Append,
            added: self.files(base).await?,
            replaced: None,
            summary: BTreeMap::from([("frazil.outbox-entry".to_string(), self.number.to_string())]),
            set_properties: BTreeMap::from([
                (APPLIED.to_string(), self.number.to_string()),
                (APPLIED_MANIFEST.to_string(), self.manifest.clone()),
                (
                    APPLIED_BY.to_string(),
                    format!("{}:{}", ticket.snapshot_id, ticket.sequence_number),
                ),
            ]),
            remove_properties: Vec::new(),
            kept: None,
        };
        Ok(Step::Commit(ticket, Box::new(change)))
    }

    fn committed(&mut self, _: i64) -> bool {
        true
    }
}

impl ApplyPlan {
    /// D's last entry is of the history that this one is of: T may have gone back in time, and given out
    /// another entry under a number that was given out before.
    fn check_same_history(&self, base: &LoadedTable, applied: u64) -> Result<(), TableError> {
        let expected = match self.number.checked_sub(applied) {
            Some(0) => Some(&self.manifest),
            Some(1) => self.before.as_ref(),
            _ => None,
        };
        if expected.is_none_or(|manifest| is_applied(base, manifest)) {
            return Ok(());
        }
        Err(self.error(
            TableErrorKind::Conflicts,
            &format!("it took another entry {applied} while it was being written; start again"),
        ))
    }

    /// The data files that the entry's manifest names.
    async fn files(&self, base: &LoadedTable) -> Result<Vec<PendingFile>, TableError> {
        let bytes = match base.storage.read(&self.manifest).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind == StorageErrorKind::NotFound => {
                return Err(self.error(
                    TableErrorKind::DeadLetterTable,
                    &format!(
                        "entry {} of its outbox, the manifest {}, is gone and was never applied (an orphan \
                         removal that does not know of it?); restore that file",
                        self.number, self.manifest
                    ),
                ));
            }
            Err(error) => return Err(TableError::storage(&self.name, &error)),
        };
        let manifest = Manifest::parse_avro(&bytes).map_err(|e| {
            self.error(
                TableErrorKind::DeadLetterTable,
                &format!(
                    "entry {} of its outbox, the manifest {}, cannot be read: {e}",
                    self.number, self.manifest
                ),
            )
        })?;
        let (entries, metadata) = manifest.into_parts();
        Ok(entries
            .iter()
            .map(|entry| PendingFile {
                data_file: entry.data_file().clone(),
                partition_spec_id: metadata.partition_spec().spec_id(),
                schema_id: metadata.schema_id(),
            })
            .collect())
    }

    fn error(&self, kind: TableErrorKind, reason: &str) -> TableError {
        TableError::new(&self.name, kind, reason)
    }
}
