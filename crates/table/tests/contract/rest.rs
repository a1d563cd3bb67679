//! The REST client against a server that answers what it is told to.

mod identity;
mod outcomes;
mod signatures;
mod tables;
mod tls;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use frazil_dataset::SecretReference;
use frazil_service::{clock::RandomIds, secret::Secret};
use frazil_table::catalog::{
    Catalog, CatalogError, CommitError, LoadedTable,
    rest::{RestCatalog, RestOptions},
};
use iceberg::TableUpdate;
use serde_json::{Value, json};

use crate::{
    http::{Reply, Request, Server},
    on::{LocalStorages, On},
    support::{Lake, TestClock, name},
};

const CONFIG: &str = "/v1/config";
const TABLE: &str = "/v1/namespaces/logs/tables/web";

/// Longer than any answer here takes; short where a server never answers.
const PATIENCE: Duration = Duration::from_secs(20);
const IMPATIENCE: Duration = Duration::from_millis(300);

/// A table as a server answers it.
async fn table_answer() -> Value {
    let table = Lake::with_table(On::Sqlite, &[]).await.load().await;
    json!({
        "metadata-location": "file:///w/logs/web/metadata/00000-x.metadata.json",
        "metadata": serde_json::to_value(table.metadata.as_ref()).unwrap(),
        "config": {},
    })
}

/// A server with one table, whose commits end as `commit` says.
async fn server(commit: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let table = table_answer().await;
    Server::start(move |request| {
        if request.is("POST", TABLE) {
            commit(request)
        } else {
            usual(request, &table)
        }
    })
    .await
}

/// What a server answers to who reads.
fn usual(request: &Request, table: &Value) -> Reply {
    if request.is("GET", CONFIG) {
        Reply::json(&json!({"defaults": {}, "overrides": {}}))
    } else if request.is("GET", TABLE) {
        Reply::json(table)
    } else {
        Reply::error(404, "NoSuchTableException")
    }
}

/// Answers one after the other, and then the last again and again.
fn in_turn(replies: Vec<Reply>) -> impl Fn() -> Reply + Send + Sync {
    let next = AtomicUsize::new(0);
    move || {
        let turn = next.fetch_add(1, Ordering::SeqCst);
        replies[turn.min(replies.len() - 1)].clone()
    }
}

fn options(server: &Server) -> RestOptions {
    RestOptions {
        read_timeout: PATIENCE,
        commit_timeout: PATIENCE,
        ..RestOptions::new(server.uri())
    }
}

async fn open(options: RestOptions) -> Result<RestCatalog, CatalogError> {
    open_at(options, &TestClock::new()).await
}

async fn open_at(
    options: RestOptions,
    clock: &Arc<TestClock>,
) -> Result<RestCatalog, CatalogError> {
    let (clock, ids) = (Arc::clone(clock), Arc::new(RandomIds));
    RestCatalog::open(options, Arc::new(LocalStorages), clock, ids).await
}

async fn load(catalog: &RestCatalog) -> LoadedTable {
    catalog.load(&name()).await.unwrap().unwrap()
}

/// One commit of some property.
async fn commit(catalog: &RestCatalog, base: &LoadedTable) -> Result<LoadedTable, CommitError> {
    let updates = vec![TableUpdate::SetProperties {
        updates: [("a".to_owned(), "1".to_owned())].into(),
    }];
    catalog.commit(base, Vec::new(), updates).await
}

/// A secret in a file.
fn secret(folder: &Path, file: &str, text: &str) -> Secret {
    let path = folder.join(file);
    std::fs::write(&path, text).unwrap();
    Secret::new(SecretReference::File(path.to_str().unwrap().to_owned()))
}
