//! Things that happen to a catalog's commits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_table::catalog::{Catalog, CatalogError, CommitError, Creation, LoadedTable};
use futures::future::BoxFuture;
use iceberg::{TableRequirement, TableUpdate};

type Interlude = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// What happens to a commit.
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// It never arrives, and that is not known.
    LostRequest,
    /// It is done, and that is not known.
    LostReply,
    /// It is done, that is not known, and then something else happens.
    LostReplyThen(Interlude),
    /// Something else happens first.
    After(Interlude),
    /// It cannot be asked for.
    NotSent,
}

impl Fault {
    pub(crate) fn after(interlude: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::After(Box::new(|| Box::pin(interlude)))
    }

    pub(crate) fn lost_reply_then(interlude: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::LostReplyThen(Box::new(|| Box::pin(interlude)))
    }
}

/// A catalog to whose commits things happen, one fault a commit.
pub(crate) struct FaultyCatalog {
    pub(crate) inner: Arc<dyn Catalog>,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
}

impl std::fmt::Debug for FaultyCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyCatalog")
    }
}

#[async_trait]
impl Catalog for FaultyCatalog {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        self.inner.load(name).await
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        self.inner.create(name, creation).await
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let fault = self
            .faults
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Fault::Pass);
        let lost = || CommitError::Unknown("the connection was lost".to_string());
        match fault {
            Fault::Pass => self.inner.commit(base, requirements, updates).await,
            Fault::LostRequest => Err(lost()),
            Fault::LostReply => {
                self.inner.commit(base, requirements, updates).await?;
                Err(lost())
            }
            Fault::LostReplyThen(interlude) => {
                self.inner.commit(base, requirements, updates).await?;
                interlude().await;
                Err(lost())
            }
            Fault::After(interlude) => {
                interlude().await;
                self.inner.commit(base, requirements, updates).await
            }
            Fault::NotSent => Err(CommitError::NotSent("no route".to_string())),
        }
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        self.inner.list().await
    }
}
