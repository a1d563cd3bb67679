//! A catalog's pointers in memory, with a true compare-and-swap, under the fault plan.

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_table::catalog::{
    CatalogError,
    pointer::{PointerStore, SwapOutcome},
};

use crate::{
    durable::{Actor, Durable, Swap},
    fault::CallClass,
    world::{Process, Reply},
};

/// One process's view of the catalog's pointers.
#[derive(Debug, Clone)]
pub struct SimPointerStore {
    process: Process,
}

impl SimPointerStore {
    pub(crate) fn new(process: Process) -> Self {
        Self { process }
    }

    fn unavailable(&self) -> CatalogError {
        CatalogError::Unavailable {
            catalog: self.describe(),
            reason: "it did not answer; trying again may help".to_owned(),
        }
    }

    async fn move_pointer(
        &self,
        operation: &'static str,
        name: &TableName,
        expected: Option<String>,
        new: &str,
    ) -> SwapOutcome {
        let (table, new) = (name.clone(), new.to_owned());
        let subject = format!("{name} → {}", new.rsplit('/').next().unwrap_or(&new));
        let in_two_steps = self.process.world().swaps_in_two_steps();
        if in_two_steps && self.get(name).await.ok().flatten() != expected {
            return SwapOutcome::Conflict(format!("table {name} is not at what was expected"));
        }
        let reply = self
            .process
            .call(
                CallClass::Swap,
                operation,
                &subject,
                move |durable, context| {
                    let by = Actor::Process(context.process);
                    if in_two_steps {
                        durable.set_pointer(&table, Some(new), by);
                        return Swap::Moved;
                    }
                    durable.swap(&table, expected.as_deref(), Some(new), by)
                },
            )
            .await;
        match reply {
            Reply::Done(Swap::Moved) => SwapOutcome::Swapped,
            Reply::Done(Swap::Stale) => {
                SwapOutcome::Conflict(format!("table {name} is not at what was expected"))
            }
            Reply::Failed => SwapOutcome::NotSent("the catalog could not be asked".to_owned()),
            Reply::Lost => SwapOutcome::Unknown("the catalog did not answer".to_owned()),
        }
    }
}

#[async_trait]
impl PointerStore for SimPointerStore {
    fn describe(&self) -> String {
        "simulated catalog".to_owned()
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        let table = name.clone();
        let reply = self
            .process
            .call(
                CallClass::PointerRead,
                "get",
                &name.to_string(),
                move |durable, context| {
                    if context.stale {
                        durable.stale_pointer(&table)
                    } else {
                        durable.pointer(&table)
                    }
                },
            )
            .await;
        match reply {
            Reply::Done(location) => Ok(location),
            Reply::Failed | Reply::Lost => Err(self.unavailable()),
        }
    }

    async fn swap(&self, name: &TableName, expected: &str, new: &str) -> SwapOutcome {
        self.move_pointer("swap", name, Some(expected.to_owned()), new)
            .await
    }

    async fn insert(&self, name: &TableName, new: &str) -> SwapOutcome {
        self.move_pointer("insert", name, None, new).await
    }

    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CatalogError> {
        let subject = namespace.join(".");
        match self
            .process
            .call(CallClass::Read, "create namespace", &subject, |_, _| ())
            .await
        {
            Reply::Done(()) => Ok(()),
            Reply::Failed | Reply::Lost => Err(self.unavailable()),
        }
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let reply = self
            .process
            .call(CallClass::Read, "list tables", "", |durable, _| {
                tables(durable)
            })
            .await;
        match reply {
            Reply::Done(tables) => Ok(tables),
            Reply::Failed | Reply::Lost => Err(self.unavailable()),
        }
    }
}

fn tables(durable: &Durable) -> Vec<TableName> {
    let names = durable.table_names().into_iter();
    let names = names.filter_map(|name| {
        let (namespace, table) = name.rsplit_once('.')?;
        Some(TableName {
            namespace: namespace.split('.').map(str::to_owned).collect(),
            table: table.to_owned(),
        })
    });
    names
        .filter(|name| durable.pointer(name).is_some())
        .collect()
}
