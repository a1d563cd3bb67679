//! Where a table of a REST catalog keeps its files, and the credentials that the server lends for them.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use crate::storage::{Storage, StorageError};

/// Makes storages from a location and what the catalog says of it.
pub trait StorageFactory: Debug + Send + Sync + 'static {
    /// The storage of the files under `location` (`s3://bucket/table`), with Iceberg's FileIO properties: the
    /// server's, then the table's, then the lent credentials', the later ones over the earlier
    /// (`s3.endpoint`, `s3.access-key-id`, `s3.session-token`, `gcs.oauth2.token`, `adls.sas-token.<account>`, …).
    ///
    /// # Errors
    /// A scheme or a property that cannot be served.
    fn for_table(
        &self,
        location: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Arc<dyn Storage>, StorageError>;
}
