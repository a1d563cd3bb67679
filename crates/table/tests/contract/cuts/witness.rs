//! What a catalog said of each swap, to be held against the table later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_table::catalog::{Catalog, CatalogError, CommitError, Creation, LoadedTable};
use iceberg::{TableRequirement, TableUpdate};

use super::proxy::Proxy;

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    NotDone,
    Unknown,
}

/// One swap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swap {
    pub(super) snapshot_id: i64,
    pub(super) verdict: Verdict,
    /// Whether the way broke while it was under way.
    pub(super) broke: bool,
}

/// All that was said.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Vec<Swap>>);

impl Said {
    pub(super) fn swaps(&self) -> Vec<Swap> {
        self.0.lock().unwrap().clone()
    }

    /// No swap that was done is missing, and none that was not is there.
    pub(super) fn check(&self, history: &HashSet<i64>) {
        let swaps = self.swaps();
        for (number, swap) in swaps.iter().enumerate() {
            // An attempt that is certainly lost hands its id on to the next.
            let is_handed_on = swaps[number + 1..]
                .iter()
                .any(|later| later.snapshot_id == swap.snapshot_id);
            let there = history.contains(&swap.snapshot_id) && !is_handed_on;
            match swap.verdict {
                Verdict::Done => assert!(there, "said to be done, and is not: {swap:?}"),
                Verdict::NotDone => assert!(!there, "said not to be done, and is: {swap:?}"),
                Verdict::Unknown => {}
            }
        }
    }
}

/// A catalog whose words are written down.
pub(super) struct Witness {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) proxy: Arc<Proxy>,
    pub(super) said: Arc<Said>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

#[async_trait]
impl Catalog for Witness {
    fn describe(&self) -> String {
        self.catalog.describe()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        self.catalog.load(name).await
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        self.catalog.create(name, creation).await
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let snapshot_id = updates.iter().find_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => Some(snapshot.snapshot_id()),
            _ => None,
        });
        let whole = self.proxy.broken().is_none();
        let done = self.catalog.commit(base, requirements, updates).await;
        self.said.0.lock().unwrap().push(Swap {
            snapshot_id: snapshot_id.unwrap(),
            verdict: match &done {
                Ok(_) => Verdict::Done,
                Err(CommitError::Unknown(_)) => Verdict::Unknown,
                Err(_) => Verdict::NotDone,
            },
            broke: whole && self.proxy.broken().is_some(),
        });
        done
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        self.catalog.list().await
    }
}
