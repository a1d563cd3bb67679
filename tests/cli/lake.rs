//! What other hands do to a table behind frazil's back: its pointer in the catalog, and its metadata.

use std::path::PathBuf;

use frazil_dataset::TableName;
use frazil_table::catalog::{
    pointer::{PointerStore as _, SwapOutcome},
    sqlite::SqlitePointers,
};
use serde_json::Value;

use crate::User;

/// The table `logs.web` of a user's embedded catalog, or its dead-letter table.
pub(crate) struct Lake<'a> {
    user: &'a User,
    name: TableName,
}

impl<'a> Lake<'a> {
    pub(crate) fn web(user: &'a User) -> Self {
        let name = TableName {
            namespace: vec!["logs".to_owned()],
            table: "web".to_owned(),
        };
        Self { user, name }
    }

    pub(crate) fn dead_letters(&self) -> Self {
        Self {
            user: self.user,
            name: self.name.dead_letters(),
        }
    }

    fn in_catalog<T>(&self, work: impl AsyncFnOnce(&SqlitePointers) -> T) -> T {
        let catalog = self.user.path("frazil-data").join("catalog.db");
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let pointers = SqlitePointers::open(&catalog).await.unwrap();
            work(&pointers).await
        })
    }

    /// Where the current metadata file is; `None` where there is no table.
    pub(crate) fn pointer(&self) -> Option<String> {
        self.in_catalog(async |pointers| pointers.get(&self.name).await.unwrap())
    }

    pub(crate) fn set_pointer(&self, to: &str) {
        let from = self.pointer().unwrap();
        assert!(self.swap(&from, to));
    }

    /// Whether the pointer was still there, and moved.
    fn swap(&self, from: &str, to: &str) -> bool {
        match self.in_catalog(async |pointers| pointers.swap(&self.name, from, to).await) {
            SwapOutcome::Swapped => true,
            SwapOutcome::Conflict(_) => false,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn metadata(&self) -> Value {
        let path = local(&self.pointer().unwrap());
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Another engine's commit: the metadata with that change, tried until no writer is in between.
    pub(crate) fn change(&self, change: impl Fn(&mut Value)) {
        loop {
            let pointer = self.pointer().unwrap();
            let mut metadata =
                serde_json::from_slice(&std::fs::read(local(&pointer)).unwrap()).unwrap();
            change(&mut metadata);
            let (folder, _) = pointer.rsplit_once('/').unwrap();
            let number = std::fs::read_dir(local(folder)).unwrap().count();
            let next =
                format!("{folder}/{number:05}-00000000-0000-4000-8000-{number:012}.metadata.json");
            std::fs::write(local(&next), metadata.to_string()).unwrap();
            if self.swap(&pointer, &next) {
                return;
            }
        }
    }

    /// Drops the dead-letter table: the catalog is made again without it.
    pub(crate) fn drop_dead_letters(&self) {
        let pointer = self.pointer().unwrap();
        std::fs::remove_file(self.user.path("frazil-data").join("catalog.db")).unwrap();
        let inserted = self.in_catalog(async |pointers| {
            let namespace = &self.name.namespace;
            pointers.create_namespace(namespace).await.unwrap();
            pointers.insert(&self.name, &pointer).await
        });
        assert_eq!(inserted, SwapOutcome::Swapped);
    }

    /// Moves `main` to a snapshot of the table.
    pub(crate) fn move_main(&self, snapshot_id: &Value) {
        self.change(|metadata| {
            metadata["current-snapshot-id"] = snapshot_id.clone();
            metadata["refs"]["main"]["snapshot-id"] = snapshot_id.clone();
        });
    }

    /// Drops the table and makes it again, empty and as another one.
    pub(crate) fn recreate(&self, with_properties: bool) {
        self.change(|metadata| {
            metadata["table-uuid"] = "99999999-0000-4000-8000-000000000000".into();
            metadata["current-snapshot-id"] = (-1).into();
            for key in [
                "refs",
                "snapshots",
                "snapshot-log",
                "metadata-log",
                "statistics",
            ] {
                metadata.as_object_mut().unwrap().remove(key);
            }
            if !with_properties {
                metadata["properties"] = serde_json::json!({});
            }
        });
    }
}

/// The path of a `file://` URI.
pub(crate) fn local(uri: &str) -> PathBuf {
    PathBuf::from(uri.strip_prefix("file://").unwrap())
}
