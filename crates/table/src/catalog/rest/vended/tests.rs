use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::storage::local::LocalStorage;

#[derive(Debug, Default)]
struct At(AtomicI64);

impl Clock for At {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst) * 1_000
    }
}

/// Gives the grants that it was told to, one a call, and counts calls.
#[derive(Debug, Default)]
struct Source {
    next: Mutex<Vec<Result<(i64, &'static str), ()>>>,
    asked: AtomicI64,
}

#[async_trait]
impl GrantSource for Source {
    async fn grant(&self, _: &TableName, _: &str, _: &Grant) -> Result<Grant, CatalogError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.next.lock().unwrap().pop() {
            Some(Ok((expires, key))) => Ok(lent(expires, key)),
            _ => Err(CatalogError::Unavailable {
                catalog: "test".to_owned(),
                reason: "it is down".to_owned(),
            }),
        }
    }
}

/// Makes local storages, and remembers of what.
#[derive(Debug, Default)]
struct Factory(Mutex<Vec<HashMap<String, String>>>);

impl StorageFactory for Factory {
    fn for_table(
        &self,
        _: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        self.0.lock().unwrap().push(properties.clone());
        Ok(Arc::new(LocalStorage::new()))
    }
}

impl Factory {
    fn keys(&self) -> Vec<String> {
        let made = self.0.lock().unwrap();
        made.iter()
            .map(|properties| properties["s3.access-key-id"].clone())
            .collect()
    }
}

fn lent(expires: i64, key: &str) -> Grant {
    let config = [
        ("s3.access-key-id".to_owned(), key.to_owned()),
        ("s3.session-token".to_owned(), "hush".to_owned()),
        (EXPIRY_KEYS[0].to_owned(), expires.to_string()),
    ];
    Grant {
        properties: [("s3.region".to_owned(), "eu".to_owned())].into(),
        credentials: vec![StorageCredential {
            prefix: "file:///".to_owned(),
            config: config.into(),
        }],
    }
}

fn table() -> TableName {
    TableName {
        namespace: vec!["logs".to_owned()],
        table: "web".to_owned(),
    }
}

struct World {
    clock: Arc<At>,
    source: Arc<Source>,
    factory: Arc<Factory>,
    storages: Storages,
    folder: tempfile::TempDir,
}

impl World {
    fn new(next: Vec<Result<(i64, &'static str), ()>>) -> Self {
        let clock = Arc::new(At::default());
        let factory = Arc::new(Factory::default());
        let properties = [
            ("s3.endpoint".to_owned(), "http://e".to_owned()),
            ("s3.region".to_owned(), "us".to_owned()),
        ];
        Self {
            storages: Storages::new(
                Arc::clone(&factory) as _,
                properties.into(),
                Arc::clone(&clock) as _,
            ),
            clock,
            source: Arc::new(Source {
                next: Mutex::new(next),
                asked: AtomicI64::new(0),
            }),
            factory,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn of(&self, grant: Grant) -> Arc<dyn Storage> {
        let source: Arc<dyn GrantSource> = Arc::clone(&self.source) as _;
        self.storages
            .of(source, &table(), "file:///w/t", grant)
            .unwrap()
    }

    fn path(&self) -> String {
        format!("{}/x", LocalStorage::uri(self.folder.path()).unwrap())
    }

    async fn at(&self, ms: i64, storage: &Arc<dyn Storage>) -> Result<(), StorageError> {
        self.clock.0.store(ms, Ordering::SeqCst);
        storage.stat(&self.path()).await.map(|_| ())
    }

    fn asked(&self) -> i64 {
        self.source.asked.load(Ordering::SeqCst)
    }
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn credentials_are_renewed_before_they_expire() {
    let world = World::new(vec![Ok((3 * HOUR_MS, "c")), Ok((2 * HOUR_MS, "b"))]);
    let storage = world.of(lent(HOUR_MS, "a"));
    let properties = world.factory.0.lock().unwrap()[0].clone();
    assert_eq!(properties["s3.endpoint"], "http://e");
    assert_eq!(
        properties["s3.region"], "eu",
        "the table's goes over the catalog's"
    );
    world
        .at(HOUR_MS - RENEW_BEFORE_MS - 1, &storage)
        .await
        .unwrap();
    assert_eq!(world.asked(), 0);
    world.at(HOUR_MS - RENEW_BEFORE_MS, &storage).await.unwrap();
    world.at(HOUR_MS, &storage).await.unwrap();
    assert_eq!(world.asked(), 1);
    world.at(2 * HOUR_MS - 1, &storage).await.unwrap();
    assert_eq!(
        (world.asked(), world.factory.keys()),
        (2, vec!["a".into(), "b".into(), "c".into()])
    );
}

#[tokio::test]
async fn many_who_need_new_credentials_ask_once() {
    let world = World::new(vec![Ok((2 * HOUR_MS, "b"))]);
    let storage = world.of(lent(HOUR_MS, "a"));
    let calls = (0..16).map(|_| world.at(HOUR_MS, &storage));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn credentials_that_still_hold_are_used_while_no_new_ones_come() {
    let world = World::new(vec![Err(())]);
    let storage = world.of(lent(HOUR_MS, "a"));
    world.at(HOUR_MS - 1, &storage).await.unwrap();
    assert_eq!(world.asked(), 1);
    let error = world.at(HOUR_MS, &storage).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    assert!(error.to_string().contains("it is down"), "{error}");
}

#[tokio::test]
async fn a_load_gives_new_credentials_to_who_loaded_earlier() {
    let world = World::new(Vec::new());
    let earlier = world.of(lent(HOUR_MS, "a"));
    let later = world.of(lent(2 * HOUR_MS, "b"));
    assert!(Arc::ptr_eq(&earlier, &later));
    world.at(HOUR_MS + 1, &earlier).await.unwrap();
    assert_eq!(world.asked(), 0);
    // The same again makes nothing anew.
    world.of(lent(2 * HOUR_MS, "b"));
    assert_eq!(world.factory.keys(), ["a", "b"]);
    drop((earlier, later));
    world.of(lent(2 * HOUR_MS, "b"));
    assert_eq!(world.factory.keys(), ["a", "b", "b"]);
}

#[tokio::test]
async fn without_a_time_of_expiry_credentials_are_renewed_now_and_then() {
    let world = World::new(vec![Ok((9 * HOUR_MS, "b"))]);
    let mut untold = lent(0, "a");
    untold.credentials[0].config.remove(EXPIRY_KEYS[0]);
    let storage = world.of(untold);
    world.at(RENEW_UNTOLD_MS - 1, &storage).await.unwrap();
    assert_eq!(world.asked(), 0);
    world.at(RENEW_UNTOLD_MS, &storage).await.unwrap();
    assert_eq!(world.asked(), 1);
    // Nothing lent, nothing to renew.
    let world = World::new(Vec::new());
    let storage = world.of(Grant {
        properties: [("s3.access-key-id".to_owned(), "own".to_owned())].into(),
        credentials: Vec::new(),
    });
    world.at(1_000 * HOUR_MS, &storage).await.unwrap();
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn the_longest_prefix_lends_and_other_places_are_denied() {
    let world = World::new(Vec::new());
    let credential = |prefix: &str, key: &str| StorageCredential {
        prefix: prefix.to_owned(),
        config: [("s3.access-key-id".to_owned(), key.to_owned())].into(),
    };
    let path = world.path();
    let storage = world.of(Grant {
        properties: HashMap::new(),
        credentials: vec![
            credential("s3://b/t", "short"),
            credential("s3://b/t/data", "long"),
            credential(&path, "file"),
        ],
    });
    storage.stat(&path).await.unwrap();
    let error = storage.stat("s3://other/x").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Denied);
    assert!(
        error.to_string().contains("lends no credentials"),
        "{error}"
    );
    let held = world.storages.held.lock().unwrap();
    let table = held.values().next().unwrap().upgrade().unwrap();
    let access = table.current().unwrap();
    let which = |path: &str| {
        let found = access.for_path(path).unwrap();
        access
            .storages
            .iter()
            .find(|(_, storage)| Arc::ptr_eq(storage, found))
            .map(|(prefix, _)| prefix.as_str())
    };
    assert_eq!(which("s3://b/t/data/1"), Some("s3://b/t/data"));
    assert_eq!(which("s3a://b/t/metadata/1"), Some("s3://b/t"));
    assert!(!format!("{access:?} {table:?}").contains("hush"));
}
