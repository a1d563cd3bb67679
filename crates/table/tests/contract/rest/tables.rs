//! Tables: how they are made, listed, and whose credentials their files are reached with.

use std::{collections::HashMap, sync::Mutex};

use frazil_table::{
    catalog::rest::StorageFactory,
    storage::{Storage, StorageError, local::LocalStorage},
};

use super::*;
use crate::support::creation;

/// Makes local storages, and remembers of what.
#[derive(Default)]
struct Remembering(Mutex<Vec<(String, HashMap<String, String>)>>);

impl std::fmt::Debug for Remembering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembering")
    }
}

impl StorageFactory for Remembering {
    fn for_table(
        &self,
        location: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let made = (location.to_owned(), properties.clone());
        self.0.lock().unwrap().push(made);
        Ok(Arc::new(LocalStorage::new()))
    }
}

impl Remembering {
    fn keys(&self) -> Vec<String> {
        let made = self.0.lock().unwrap();
        made.iter()
            .map(|(_, properties)| properties["s3.access-key-id"].clone())
            .collect()
    }
}

fn lent(clock: &TestClock, key: &str) -> Value {
    use frazil_service::clock::Clock as _;
    let expires = clock.now_millis() + 3_600_000;
    json!([{"prefix": "file:///", "config": {
        "s3.access-key-id": key,
        "s3.session-token": "hush",
        "s3.session-token-expires-at-ms": expires.to_string(),
    }}])
}

async fn vending(endpoints: Value, clock: &Arc<TestClock>) -> Server {
    let (mut table, clock) = (table_answer().await, Arc::clone(clock));
    let done = json!({"metadata-location": "file:///new", "metadata": table["metadata"]});
    table["config"] = json!({"s3.region": "eu"});
    Server::start(move |request| {
        let mut table = table.clone();
        if request.is("GET", CONFIG) {
            Reply::json(&json!({
                "defaults": {"s3.endpoint": "http://e", "s3.region": "us", "s3.remote-key": "hush", "token": "hush"},
                "overrides": {},
                "endpoints": endpoints,
            }))
        } else if request.is("GET", &format!("{TABLE}/credentials")) {
            Reply::json(&json!({"storage-credentials": lent(&clock, "endpoint")}))
        } else if request.is("GET", TABLE) {
            table["storage-credentials"] = lent(&clock, "load");
            Reply::json(&table)
        } else {
            Reply::json(&done)
        }
    })
    .await
}

#[tokio::test]
async fn credentials_come_with_the_table_and_are_renewed() {
    let credentials = "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials";
    for (endpoints, renewed_by) in [(json!([credentials]), "endpoint"), (Value::Null, "load")] {
        let clock = TestClock::new();
        let server = vending(endpoints, &clock).await;
        let storages = Arc::new(Remembering::default());
        let catalog = RestCatalog::open(
            options(&server),
            Arc::clone(&storages) as _,
            clock.clone(),
            Arc::new(RandomIds),
        )
        .await
        .unwrap();
        let table = load(&catalog).await;
        let (location, properties) = storages.0.lock().unwrap()[0].clone();
        assert_eq!(location, table.metadata.location());
        let mut names: Vec<_> = properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "s3.access-key-id",
                "s3.endpoint",
                "s3.region",
                "s3.remote-key",
                "s3.session-token",
                "s3.session-token-expires-at-ms"
            ]
        );
        assert_eq!(properties["s3.region"], "eu");
        let table = commit(&catalog, &table).await.unwrap();
        table.storage.stat("file:///none").await.unwrap();
        assert_eq!(storages.keys(), ["load"]);
        clock.advance_ms(3_600_000 - 299_000);
        table.storage.stat("file:///none").await.unwrap();
        assert_eq!(storages.keys(), ["load", renewed_by]);
        assert!(!format!("{table:?} {catalog:?}").contains("hush"));
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let server = Server::start(|request| {
        let page = |key: &str, items: Value, next: Option<&str>| {
            Reply::json(&json!({key: items, "next-page-token": next}))
        };
        match request.target.as_str() {
            "/v1/config" => Reply::json(&json!({"overrides": {"namespace-separator": "%2E"}})),
            "/v1/namespaces?pageToken=" => page("namespaces", json!([["a"]]), Some("n 2")),
            "/v1/namespaces?pageToken=n+2" => page("namespaces", json!([["b"], ["a"]]), Some("")),
            "/v1/namespaces?parent=a&pageToken=" => page("namespaces", json!([["a", "c"]]), None),
            "/v1/namespaces?parent=a%2Ec&pageToken=" => page("namespaces", json!([["a"]]), None),
            "/v1/namespaces?parent=b&pageToken=" => Reply::status(400),
            "/v1/namespaces/a/tables?pageToken=" => page(
                "identifiers",
                json!([{"namespace": ["a"], "name": "y"}]),
                Some("t"),
            ),
            // The same token again would never end.
            "/v1/namespaces/a/tables?pageToken=t" => page(
                "identifiers",
                json!([{"namespace": ["a"], "name": "x"}]),
                Some("t"),
            ),
            "/v1/namespaces/a%2Ec/tables?pageToken=" => page(
                "identifiers",
                json!([{"namespace": ["a", "c"], "name": "z"}]),
                None,
            ),
            "/v1/namespaces/b/tables?pageToken=" => Reply::error(404, "NoSuchNamespaceException"),
            other => panic!("{other}"),
        }
    })
    .await;
    let catalog = open(options(&server)).await.unwrap();
    let names: Vec<String> = catalog
        .list()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["a.x", "a.y", "a.c.z"]);
    drop(server);
    let error = catalog.list().await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
}

/// How the making of a table ends, and what was asked, where namespaces and tables are made so.
async fn creates(there: bool, namespace: Reply, table: Reply) -> (String, Vec<String>) {
    let server = Server::start(move |request| {
        if request.is("POST", "/v1/namespaces") {
            namespace.clone()
        } else if request.is("POST", "/v1/namespaces/logs/tables") {
            table.clone()
        } else if request.is("GET", "/v1/namespaces/logs") && there {
            Reply::json(&json!({"namespace": ["logs"]}))
        } else if request.is("GET", CONFIG) {
            Reply::json(&json!({}))
        } else {
            Reply::error(404, "NoSuchNamespaceException")
        }
    })
    .await;
    let mut options = options(&server);
    options.commit_timeout = IMPATIENCE;
    let catalog = open(options).await.unwrap();
    let end = match catalog.create(&name(), creation(&[("a", "1")])).await {
        Ok(table) => table.name.to_string(),
        Err(error) => format!("{error:?}"),
    };
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST");
    (
        end,
        posts
            .map(|request| String::from_utf8(request.body).unwrap())
            .collect(),
    )
}

#[tokio::test]
async fn tables_are_made_once_and_namespaces_where_they_are_missing() {
    let made = || Reply::json(&json!({"namespace": ["logs"]}));
    let table = || async { Reply::json(&table_answer().await) };
    for (there, namespace, reply, expected, posts) in [
        (true, made(), table().await, "logs.web", 1),
        (false, made(), table().await, "logs.web", 2),
        (
            false,
            Reply::error(409, "AlreadyExistsException"),
            table().await,
            "logs.web",
            2,
        ),
        (false, Reply::status(403), table().await, "Rejected", 1),
        (false, Reply::Lost, table().await, "NotSent", 1),
        (
            true,
            made(),
            Reply::error(409, "AlreadyExistsException"),
            "Conflict",
            1,
        ),
        (
            true,
            made(),
            Reply::error(400, "BadRequestException"),
            "Rejected",
            1,
        ),
        (true, made(), Reply::status(500), "Unknown", 1),
        (true, made(), Reply::Lost, "Unknown", 1),
        (true, made(), Reply::Never, "Unknown", 1),
    ] {
        let shown = format!("{there} {namespace:?}");
        let (end, sent) = creates(there, namespace, reply).await;
        assert!(end.starts_with(expected), "{shown}: {end}");
        assert_eq!(sent.len(), posts, "{shown}");
    }
    let (_, sent) = creates(true, made(), table().await).await;
    let request: Value = serde_json::from_str(&sent[0]).unwrap();
    assert_eq!(request["name"], "web");
    assert_eq!(request["stage-create"], false);
    assert_eq!(
        request["properties"],
        json!({"a": "1", "format-version": "2"})
    );
    assert_eq!(request["partition-spec"]["spec-id"], 0);
    assert_eq!(
        request["partition-spec"]["fields"][0]["transform"],
        "truncate[10]"
    );
    assert_eq!(request["write-order"]["order-id"], 0);
    assert_eq!(request["schema"]["fields"][1]["name"], "m");
}
