//! What a table remembers of its maintenance: one property, `frazil.maintenance`, beside the writers' state and apart
//! from it.
//!
//! It changes by commits of maintenance only, so that neither undoes what the other has written.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
};

/// The table property.
pub const KEY: &str = "frazil.maintenance";

/// The key of a snapshot's summary with the id of the maintenance commit that made it.
pub const COMMIT_ID: &str = "frazil.maintenance-id";

/// The version that this binary writes, and the newest that it reads.
const VERSION: u64 = 1;

/// Lists of files that may wait. More mean that files were not deleted that many times, and someone should know.
pub const PENDING_LISTS_MAX: usize = 8;

/// What a table remembers of its maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    version: u64,
    /// The table's own uuid: a clone's properties are not its own.
    table: Uuid,
    /// In the names of files that maintenance writes; a rewrite of an earlier one is not committed.
    pub epoch: u64,
    /// The last commit that changed this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Uuid>,
    /// Files that expiry left to be deleted, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<PendingDeletes>,
}

/// Files that no snapshot needs since a commit, and that are still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDeletes {
    /// The file that lists them.
    pub list: String,
    /// How many.
    pub files: u64,
    /// When the commit was made, in milliseconds since the epoch.
    pub at_ms: i64,
}

impl Maintenance {
    fn new(table: Uuid) -> Self {
        Self {
            version: VERSION,
            table,
            epoch: 1,
            last: None,
            deletes: Vec::new(),
        }
    }

    /// What the table remembers; nothing where the property is missing, or another table's.
    ///
    /// # Errors
    /// A newer frazil wrote it, or it cannot be read.
    pub fn of(table: &LoadedTable) -> Result<Self, TableError> {
        let metadata = &table.metadata;
        let decoded = Self::decode(metadata.properties(), metadata.uuid());
        decoded.map_err(|(kind, reason)| TableError::new(&table.name, kind, reason))
    }

    fn decode(
        properties: &HashMap<String, String>,
        table: Uuid,
    ) -> Result<Self, (TableErrorKind, String)> {
        let Some(text) = properties.get(KEY) else {
            return Ok(Self::new(table));
        };
        let damaged = |reason: &str| {
            let reason = format!(
                "its property {KEY} is damaged: {reason}; remove the property: files that wait to be deleted \
                 are then found by `frazil-maintenance remove-orphan-files`"
            );
            (TableErrorKind::StateDamaged, reason)
        };
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
        match json["version"].as_u64() {
            Some(VERSION) => {}
            Some(version) if version > VERSION => {
                let reason = format!(
                    "its property {KEY} has version {version} and this frazil knows up to {VERSION}; use the newer \
                     frazil that wrote it"
                );
                return Err((TableErrorKind::StateNewer, reason));
            }
            _ => return Err(damaged("it has no version")),
        }
        let known: Self =
            serde_json::from_value(json).map_err(|error| damaged(&error.to_string()))?;
        Ok(if known.table == table {
            known
        } else {
            Self::new(table)
        })
    }

    /// The property.
    pub(crate) fn encode(&self) -> BTreeMap<String, String> {
        let json = serde_json::to_string(self).expect("its keys and values are plain");
        BTreeMap::from([(KEY.to_owned(), json)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_another_tables_is_not() {
        let table = Uuid::from_u128(1);
        let mut known = Maintenance::new(table);
        known.epoch = 7;
        known.last = Some(Uuid::from_u128(2));
        known.deletes.push(PendingDeletes {
            list: "file:///t/metadata/deletes-1.zst".to_owned(),
            files: 3,
            at_ms: 5,
        });
        let properties: HashMap<_, _> = known.encode().into_iter().collect();
        assert_eq!(Maintenance::decode(&properties, table).unwrap(), known);
        let other = Uuid::from_u128(3);
        assert_eq!(
            Maintenance::decode(&properties, other).unwrap(),
            Maintenance::new(other)
        );
        let none = HashMap::new();
        assert_eq!(Maintenance::decode(&none, table).unwrap().epoch, 1);
    }

    #[test]
    fn what_is_newer_or_damaged_is_said() {
        let read = |text: &str| {
            let properties = HashMap::from([(KEY.to_owned(), text.to_owned())]);
            Maintenance::decode(&properties, Uuid::nil()).unwrap_err().0
        };
        assert_eq!(read(r#"{"version":2}"#), TableErrorKind::StateNewer);
        for text in ["", "{}", r#"{"version":1}"#, r#"{"version":"1"}"#] {
            assert_eq!(read(text), TableErrorKind::StateDamaged, "{text}");
        }
    }
}
