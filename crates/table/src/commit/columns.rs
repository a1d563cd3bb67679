//! Adding columns to a table: a schema change alone, beside whatever else is committed.

use iceberg::{TableRequirement, TableUpdate, spec::NestedFieldRef};

use super::Committer;
use crate::{
    catalog::{CommitError, LoadedTable},
    error::{TableError, TableErrorKind},
    schema::with_added_columns,
};

/// Stands for the schema that was added just before, in Iceberg's updates.
const LAST_ADDED: i32 = -1;

impl Committer {
    /// Adds optional columns at the end of the schema that `base` has. Where another changed the
    /// schema meanwhile nothing is done: open the table again, and see what is still missing.
    ///
    /// # Errors
    /// The catalog does not answer, or refuses.
    pub async fn add_columns(
        &self,
        base: &LoadedTable,
        columns: &[NestedFieldRef],
    ) -> Result<(), TableError> {
        let refused =
            |reason: String| TableError::new(&base.name, TableErrorKind::Rejected, reason);
        let schema = with_added_columns(base.metadata.current_schema(), columns)
            .map_err(|error| refused(error.to_string()))?;
        let requirements = vec![
            TableRequirement::UuidMatch {
                uuid: base.metadata.uuid(),
            },
            TableRequirement::CurrentSchemaIdMatch {
                current_schema_id: base.metadata.current_schema_id(),
            },
            TableRequirement::LastAssignedFieldIdMatch {
                last_assigned_field_id: base.metadata.last_column_id(),
            },
        ];
        let updates = vec![
            TableUpdate::AddSchema { schema },
            TableUpdate::SetCurrentSchema {
                schema_id: LAST_ADDED,
            },
        ];
        match self
            .attempts
            .catalog
            .commit(base, requirements, updates)
            .await
        {
            // Of an unknown outcome the table tells when it is opened again.
            Ok(_) | Err(CommitError::Conflict(_) | CommitError::Unknown(_)) => Ok(()),
            Err(CommitError::Rejected(reason)) => Err(refused(reason)),
            Err(CommitError::NotSent(reason)) => Err(TableError::new(
                &base.name,
                TableErrorKind::CatalogUnavailable,
                reason,
            )),
        }
    }
}
