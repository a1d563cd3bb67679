//! PostgreSQL's own ways to fail: lost connections, locks, rights, standbys, passwords, TLS.

mod wire;

use std::{path::PathBuf, time::Duration};

use frazil_dataset::{SecretReference, TableName};
use frazil_service::secret::Secret;
use frazil_table::catalog::{
    CatalogError,
    pointer::{PointerStore, SwapOutcome},
    postgres::{PostgresOptions, PostgresPointers},
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    on::{postgres, schema, unique},
    support::name,
};

/// An address with a schema of its own.
async fn address() -> String {
    schema(postgres().address("uri")).await
}

async fn open(uri: &str) -> PostgresPointers {
    PostgresPointers::open(PostgresOptions::new(uri))
        .await
        .unwrap()
}

/// Pointers with one table's, at `a`.
async fn with_table(uri: &str) -> PostgresPointers {
    let pointers = open(uri).await;
    assert_eq!(pointers.insert(&name(), "a").await, SwapOutcome::Swapped);
    pointers
}

async fn connect(uri: &str) -> PgConnection {
    PgConnection::connect(uri).await.unwrap()
}

/// The address by way of another port, and by another role.
fn by(uri: &str, port: u16, role: &str) -> String {
    let (_, rest) = uri.split_once('@').unwrap();
    let (_, rest) = rest.split_once('/').unwrap();
    format!("postgresql://{role}@127.0.0.1:{port}/{rest}")
}

fn port() -> u16 {
    u16::try_from(postgres().number("port")).unwrap()
}

async fn role(uri: &str, options: &str) -> String {
    let role = unique();
    let mut admin = connect(uri).await;
    let create = format!("CREATE ROLE {role} LOGIN {options}");
    admin.execute(create.as_str()).await.unwrap();
    role
}

fn is_rejected(error: &CatalogError, with: &str) -> bool {
    matches!(error, CatalogError::Rejected { .. }) && error.to_string().contains(with)
}

#[tokio::test]
async fn many_may_make_the_tables_at_once_and_older_ones_are_upgraded() {
    let uri = address().await;
    futures::future::join_all((0..8).map(|_| open(&uri))).await;
    let uri = address().await;
    let mut other = connect(&uri).await;
    // V0, as older Java and PyIceberg make it.
    other
        .execute(
            "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL, \
             table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL, \
             metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), \
             PRIMARY KEY (catalog_name, table_namespace, table_name)); \
             INSERT INTO iceberg_tables VALUES ('frazil', 'logs', 'web', 'a', NULL), \
             ('another', 'logs', 'web', 'x', NULL)",
        )
        .await
        .unwrap();
    let pointers = open(&uri).await;
    assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
    assert_eq!(pointers.swap(&name(), "a", "b").await, SwapOutcome::Swapped);
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT metadata_location, previous_metadata_location FROM iceberg_tables ORDER BY 1",
    )
    .fetch_all(&mut other)
    .await
    .unwrap();
    let another = ("x".to_owned(), None);
    assert_eq!(rows, [("b".to_owned(), Some("a".to_owned())), another]);
    assert_eq!(pointers.list().await.unwrap(), [name()]);
}

#[tokio::test]
async fn transactions_are_durable_whatever_the_server_s_default() {
    let uri = address().await;
    let role = role(&uri, "").await;
    let mut admin = connect(&uri).await;
    let off = format!("ALTER ROLE {role} SET synchronous_commit = off");
    admin.execute(off.as_str()).await.unwrap();
    open(&uri).await;
    // What the transaction that swaps runs with, as a trigger sees it.
    admin
        .execute(
            "CREATE TABLE seen (name TEXT, value TEXT); \
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO seen SELECT n, current_setting(n) FROM unnest(ARRAY['synchronous_commit', \
             'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', \
             'transaction_isolation', 'application_name']) n; RETURN NEW; END $$; \
             CREATE TRIGGER look BEFORE INSERT ON iceberg_tables FOR EACH ROW EXECUTE FUNCTION look()",
        )
        .await
        .unwrap();
    let grant =
        format!("GRANT ALL ON seen, iceberg_tables, iceberg_namespace_properties TO {role}");
    admin.execute(grant.as_str()).await.unwrap();
    let pointers = open(&by(&uri, port(), &role)).await;
    assert_eq!(pointers.insert(&name(), "a").await, SwapOutcome::Swapped);
    let seen: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM seen ORDER BY 1")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    let expected = [
        ("application_name", "frazil"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("lock_timeout", "10s"),
        ("statement_timeout", "30s"),
        ("synchronous_commit", "on"),
        ("transaction_isolation", "read committed"),
    ];
    let seen: Vec<(&str, &str)> = seen.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn who_may_only_read_reads_and_is_told() {
    let uri = address().await;
    with_table(&uri).await;
    let role = role(&uri, "").await;
    let mut admin = connect(&uri).await;
    let grant = format!("GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO {role}");
    admin.execute(grant.as_str()).await.unwrap();
    let pointers = open(&by(&uri, port(), &role)).await;
    assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
    let outcome = pointers.swap(&name(), "a", "b").await;
    assert!(
        matches!(&outcome, SwapOutcome::Rejected(reason) if reason.contains("grant it the right")),
        "{outcome:?}"
    );
    let error = pointers
        .create_namespace(&["x".to_owned()])
        .await
        .unwrap_err();
    assert!(is_rejected(&error, "grant it the right"), "{error}");
}

#[tokio::test]
async fn a_standby_is_read_and_not_written() {
    let uri = address().await;
    let pointers = with_table(&uri).await;
    let standby = postgres().address("standby");
    let (_, parameters) = uri.split_once('?').unwrap();
    let standby = format!("{standby}?{parameters}");
    // Until it has what the primary has.
    let mut primary = connect(&uri).await;
    let written: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&mut primary)
        .await
        .unwrap();
    let mut replica = connect(&standby).await;
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
    while !sqlx::query_scalar::<_, bool>(&replayed)
        .fetch_one(&mut replica)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
    let copy = open(&standby).await;
    assert_eq!(copy.get(&name()).await.unwrap().as_deref(), Some("a"));
    for outcome in [
        copy.swap(&name(), "a", "b").await,
        copy.insert(&name(), "b").await,
    ] {
        assert!(
            matches!(&outcome, SwapOutcome::Rejected(reason) if reason.contains("read-only")
                && reason.contains("name the primary")),
            "{outcome:?}"
        );
    }
    assert_eq!(pointers.swap(&name(), "a", "b").await, SwapOutcome::Swapped);
}

#[tokio::test]
async fn another_s_lock_is_waited_for_and_then_nothing_is_done() {
    let uri = address().await;
    with_table(&uri).await;
    let mut options = PostgresOptions::new(&uri);
    options.lock_timeout = Duration::from_millis(50);
    let pointers = PostgresPointers::open(options.clone()).await.unwrap();
    let mut other = connect(&uri).await;
    other
        .execute("BEGIN; UPDATE iceberg_tables SET iceberg_type = 'TABLE'")
        .await
        .unwrap();
    let outcome = pointers.swap(&name(), "a", "b").await;
    assert!(
        matches!(&outcome, SwapOutcome::NotSent(reason) if reason.contains("pg_locks")),
        "{outcome:?}"
    );
    options.lock_timeout = Duration::from_secs(20);
    options.statement_timeout = Duration::from_millis(500);
    let impatient = PostgresPointers::open(options.clone()).await.unwrap();
    let outcome = impatient.swap(&name(), "a", "b").await;
    assert!(
        matches!(&outcome, SwapOutcome::NotSent(reason) if reason.contains("statement_timeout")),
        "{outcome:?}"
    );
    // A swap that waits for another's, which then commits, is too late.
    options.statement_timeout = Duration::from_secs(20);
    let patient = PostgresPointers::open(options).await.unwrap();
    other
        .execute("UPDATE iceberg_tables SET metadata_location = 'c'")
        .await
        .unwrap();
    let name = name();
    let (outcome, ()) = tokio::join!(patient.swap(&name, "a", "b"), async {
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        let mut looks = connect(&uri).await;
        while sqlx::query(waits)
            .fetch_optional(&mut looks)
            .await
            .unwrap()
            .is_none()
        {
            tokio::task::yield_now().await;
        }
        other.execute("COMMIT").await.unwrap();
    });
    assert!(matches!(outcome, SwapOutcome::Conflict(_)), "{outcome:?}");
    assert_eq!(pointers.get(&name).await.unwrap().as_deref(), Some("c"));
}

#[tokio::test]
async fn connections_have_a_limit_and_a_wait() {
    let uri = address().await;
    with_table(&uri).await;
    let mut options = PostgresOptions::new(&uri);
    options.connections_max = 1;
    options.acquire_timeout = Duration::from_millis(50);
    let pointers = PostgresPointers::open(options).await.unwrap();
    let mut other = connect(&uri).await;
    other
        .execute("BEGIN; LOCK TABLE iceberg_tables IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let name = name();
    let (first, second) = tokio::join!(pointers.get(&name), async {
        let error = pointers.get(&name).await.unwrap_err();
        other.execute("COMMIT").await.unwrap();
        error
    });
    assert_eq!(first.unwrap().as_deref(), Some("a"));
    assert!(second.to_string().contains("in use"), "{second}");
}

#[tokio::test]
async fn what_does_not_fit_is_rejected() {
    let uri = address().await;
    let pointers = with_table(&uri).await;
    let long = "x".repeat(1_001);
    let outcome = pointers.swap(&name(), "a", &long).await;
    assert!(
        matches!(&outcome, SwapOutcome::Rejected(reason) if reason.contains("longer than")),
        "{outcome:?}"
    );
    let mut admin = connect(&uri).await;
    admin.execute("DROP TABLE iceberg_tables").await.unwrap();
    let error = pointers.get(&name()).await.unwrap_err();
    assert!(
        is_rejected(&error, "not those of an Iceberg JDBC catalog"),
        "{error}"
    );
    let nowhere = uri.replace("/postgres?", "/nowhere?");
    let error = PostgresPointers::open(PostgresOptions::new(nowhere))
        .await
        .unwrap_err();
    assert!(is_rejected(&error, "no such database"), "{error}");
    assert!(error.to_string().contains("@127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_password_is_read_at_each_new_connection() {
    let uri = address().await;
    let mut admin = connect(&uri).await;
    // The only role that must give one. No other test uses it.
    admin
        .execute(
            "CREATE ROLE scrambled LOGIN PASSWORD 'hush-one'; \
             GRANT ALL ON DATABASE postgres TO scrambled",
        )
        .await
        .unwrap();
    open(&uri).await;
    admin
        .execute("GRANT ALL ON iceberg_tables, iceberg_namespace_properties TO scrambled")
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "hush-one\n").unwrap();
    let mut options = PostgresOptions::new(by(&uri, port(), "scrambled"));
    let error = PostgresPointers::open(options.clone()).await.unwrap_err();
    assert!(is_rejected(&error, ""), "{error}");
    let reference = SecretReference::File(path.to_str().unwrap().to_owned());
    options.password = Some(Secret::new(reference));
    let pointers = PostgresPointers::open(options).await.unwrap();
    assert_eq!(pointers.insert(&name(), "a").await, SwapOutcome::Swapped);
    admin
        .execute(
            "ALTER ROLE scrambled PASSWORD 'hush-two'; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'scrambled'",
        )
        .await
        .unwrap();
    let error = pointers.get(&name()).await.unwrap_err();
    assert!(is_rejected(&error, "does not let this user in"), "{error}");
    assert!(
        !format!("{error} {error:?} {pointers:?}").contains("hush"),
        "{error}"
    );
    std::fs::write(&path, "hush-two").unwrap();
    assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
    std::fs::remove_file(&path).unwrap();
    // The connection that there is needs none.
    assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
}

#[tokio::test]
async fn both_sides_show_who_they_are_by_tls() {
    let uri = address().await;
    let mut admin = connect(&uri).await;
    admin.execute("CREATE ROLE certified LOGIN").await.unwrap();
    open(&uri).await;
    admin
        .execute("GRANT ALL ON iceberg_tables, iceberg_namespace_properties TO certified")
        .await
        .unwrap();
    let server = postgres();
    let uri = format!("{}&sslmode=verify-full", by(&uri, port(), "certified"));
    let mut options = PostgresOptions::new(&uri);
    let error = PostgresPointers::open(options.clone()).await.unwrap_err();
    assert!(is_rejected(&error, "TLS failed"), "{error}");
    options.tls.ca_file = Some(PathBuf::from(server.address("ca")));
    let error = PostgresPointers::open(options.clone()).await.unwrap_err();
    assert!(is_rejected(&error, "does not let this user in"), "{error}");
    options.tls.certificate_file = Some(PathBuf::from(server.address("certificate")));
    let key = SecretReference::File(server.address("key").to_owned());
    options.tls.key = Some(Secret::new(key));
    let pointers = PostgresPointers::open(options.clone()).await.unwrap();
    assert_eq!(pointers.insert(&name(), "a").await, SwapOutcome::Swapped);
    // It is the server of another name.
    options.uri = uri.replace("127.0.0.1", "localhost");
    let error = PostgresPointers::open(options).await.unwrap_err();
    assert!(is_rejected(&error, "TLS failed"), "{error}");
}

#[tokio::test]
async fn a_session_that_the_server_ended_while_idle_is_replaced() {
    let uri = address().await;
    let role = role(&uri, "SUPERUSER").await;
    let pointers = with_table(&by(&uri, port(), &role)).await;
    let mut admin = connect(&uri).await;
    let ended = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{role}'"
    );
    let ended: Vec<bool> = sqlx::query_scalar(&ended)
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert_eq!(ended, [true]);
    assert_eq!(pointers.swap(&name(), "a", "b").await, SwapOutcome::Swapped);
}

/// A rule of the database that refuses at COMMIT itself.
#[tokio::test]
async fn a_refusal_by_commit_itself_did_nothing() {
    let uri = address().await;
    let pointers = with_table(&uri).await;
    let mut admin = connect(&uri).await;
    for (code, expected) in [
        ("40001", "Conflict"),
        ("40P01", "NotSent"),
        ("23514", "Rejected"),
        ("P0001", "Unknown"),
    ] {
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$; \
             DROP TRIGGER IF EXISTS refuse ON iceberg_tables; \
             CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON iceberg_tables \
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        admin.execute(trigger.as_str()).await.unwrap();
        let outcome = pointers.swap(&name(), "a", "b").await;
        assert!(
            format!("{outcome:?}").starts_with(expected),
            "{code}: {outcome:?}"
        );
        assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
    }
}

/// Names are arguments of statements, never parts of them.
#[tokio::test]
async fn names_are_taken_as_they_are() {
    let pointers = open(&address().await).await;
    let odd = TableName {
        namespace: vec!["a'; DROP TABLE iceberg_tables; --".to_owned()],
        table: "$1 \" \\".to_owned(),
    };
    pointers.create_namespace(&odd.namespace).await.unwrap();
    pointers.create_namespace(&odd.namespace).await.unwrap();
    assert_eq!(pointers.insert(&odd, "a").await, SwapOutcome::Swapped);
    assert_eq!(pointers.list().await.unwrap(), [odd]);
}
