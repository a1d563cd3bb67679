//! What procedures work on, and with.

use std::sync::Arc;

use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use frazil_table::{
    catalog::{Catalog, LoadedTable},
    commit::{Committer, OpenTable},
    error::{TableError, TableErrorKind},
};

use crate::reach::{self, Needed};

/// The property by which a table forbids that its files are deleted.
const GC_ENABLED: &str = "gc.enabled";

/// A table to maintain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A dataset's table.
    Table(TableName),
    /// The table of the dead letters of that table.
    DeadLettersOf(TableName),
}

impl Target {
    /// The table's name.
    pub fn name(&self) -> TableName {
        match self {
            Self::Table(name) => name.clone(),
            Self::DeadLettersOf(name) => name.dead_letters(),
        }
    }
}

/// Carries procedures out.
#[derive(Debug, Clone)]
pub struct Maintainer {
    /// What commits.
    pub committer: Committer,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Names of files.
    pub ids: Arc<dyn Ids>,
}

impl Maintainer {
    /// Works by way of that catalog.
    pub fn new(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            committer: Committer::new(catalog, Arc::clone(&clock), Arc::clone(&ids)),
            clock,
            ids,
        }
    }

    /// The target's table, after the guards of writers: another table's state or a rewritten history stops.
    ///
    /// # Errors
    /// A guard stops; there is no such table.
    pub async fn open(&self, target: &Target) -> Result<OpenTable, TableError> {
        let name = target.name();
        let open = self.committer.look(&name).await?;
        open.ok_or_else(|| {
            TableError::new(
                &name,
                TableErrorKind::Usage,
                "there is no such table yet; `frazil write` makes it",
            )
        })
    }

    /// Files in the outbox of another table for this one: where this one were gone, it would be made again of them.
    /// Read before what else this one needs: an entry that is applied in between is then in both.
    ///
    /// # Errors
    /// The other table, or a manifest, cannot be read.
    pub async fn outbox(&self, target: &Target) -> Result<Needed, TableError> {
        match target {
            Target::Table(_) => Ok(Needed::default()),
            Target::DeadLettersOf(name) => {
                let Some(open) = self.committer.look(name).await? else {
                    return Ok(Needed::default());
                };
                reach::outbox(&open).await
            }
        }
    }
}

/// Refuses a table whose files may not be deleted: they may be another table's, too.
pub(crate) fn check_may_delete(table: &LoadedTable) -> Result<(), TableError> {
    let enabled = table.metadata.properties().get(GC_ENABLED);
    // As Java reads it: what is not `true` is false.
    if enabled.is_some_and(|value| !value.trim().eq_ignore_ascii_case("true")) {
        return Err(TableError::new(
            &table.name,
            TableErrorKind::Usage,
            format!(
                "its property {GC_ENABLED} is not true: its files may belong to another table, too, and are not deleted; \
                 where no other table names them, set it to true"
            ),
        ));
    }
    Ok(())
}
