//! Commits of maintenance that make no snapshot: expired snapshots go, and files that they left are remembered.
//!
//! What is to change is planned anew on every base. The writers' state is not touched.

use async_trait::async_trait;
use frazil_dataset::TableName;
use iceberg::TableUpdate;
use uuid::Uuid;

use super::{
    Committer,
    attempts::{Attempts, Plan, Step, Tickets},
    guard,
};
use crate::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    maintenance::{Maintenance, PENDING_LISTS_MAX},
};

/// A change of a table's metadata.
#[derive(Debug, Clone)]
pub struct MetadataChange {
    /// What changes beside what maintenance remembers.
    pub updates: Vec<TableUpdate>,
    /// What it remembers from then on.
    pub maintenance: Maintenance,
}

/// Plans a change on a base.
#[async_trait]
pub trait MetadataPlan: Send {
    /// The change; `None` where there is nothing to do.
    async fn plan(
        &mut self,
        base: &LoadedTable,
        maintenance: Maintenance,
    ) -> Result<Option<MetadataChange>, TableError>;

    /// The last plan's commit ended in a way that is not known: what was written for it may be named by the table.
    fn is_unknown(&mut self);
}

impl Committer {
    /// Commits what the plan says, planned anew on each base. True: it is committed. False: there is nothing to do.
    ///
    /// # Errors
    /// A guard stops; the plan fails. After [`TableErrorKind::Unknown`] it may be committed all the same.
    pub async fn maintain(
        &self,
        name: &TableName,
        plan: &mut dyn MetadataPlan,
    ) -> Result<bool, TableError> {
        let id = self.attempts.tickets.ids.uuid();
        let plan = MaintainPlan {
            attempts: self.attempts.clone(),
            name: name.clone(),
            id,
            plan,
        };
        self.attempts.run(name, plan).await
    }
}

struct MaintainPlan<'a> {
    attempts: Attempts,
    name: TableName,
    id: Uuid,
    plan: &'a mut dyn MetadataPlan,
}

#[async_trait]
impl Plan for MaintainPlan<'_> {
    type Done = bool;

    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        _: &Tickets,
    ) -> Result<Step<bool>, TableError> {
        let base = base.ok_or_else(|| TableError::gone(&self.name))?;
        guard::state_of(base, &self.attempts.guards)?;
        let maintenance = Maintenance::of(base)?;
        if maintenance.last == Some(self.id) {
            return Ok(Step::Done(true));
        }
        let Some(change) = self.plan.plan(base, maintenance).await? else {
            return Ok(Step::Done(false));
        };
        let mut maintenance = change.maintenance;
        if maintenance.deletes.len() > PENDING_LISTS_MAX {
            return Err(TableError::new(
                &self.name,
                TableErrorKind::Conflicts,
                format!(
                    "{} lists of files wait to be deleted; run `frazil-maintenance expire-snapshots` with a shorter \
                     --grace, or see why they are not deleted",
                    maintenance.deletes.len()
                ),
            ));
        }
        maintenance.last = Some(self.id);
        let mut updates = change.updates;
        updates.push(TableUpdate::SetProperties {
            updates: maintenance.encode().into_iter().collect(),
        });
        Ok(Step::Update(updates))
    }

    fn committed(&mut self, _: i64) -> bool {
        true
    }

    fn is_unknown(&mut self) {
        self.plan.is_unknown();
    }
}
