use super::*;

fn name(table: &str) -> TableName {
    TableName {
        namespace: vec!["logs".to_string()],
        table: table.to_string(),
    }
}

#[tokio::test]
async fn folders_and_file_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/catalog.db");
    let pointers = SqlitePointers::open(&path).await.unwrap();
    assert!(path.is_file());
    assert_eq!(pointers.get(&name("web")).await.unwrap(), None);
    assert_eq!(pointers.describe(), format!("sqlite:{}", path.display()));
}

#[tokio::test]
async fn swaps_only_from_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let pointers = SqlitePointers::open(&path).await.unwrap();
    pointers
        .create_namespace(&["logs".to_string()])
        .await
        .unwrap();
    pointers
        .create_namespace(&["logs".to_string()])
        .await
        .unwrap();
    assert!(matches!(
        pointers.swap(&name("web"), "a", "b").await,
        SwapOutcome::Conflict(_)
    ));
    assert_eq!(
        pointers.insert(&name("web"), "a").await,
        SwapOutcome::Swapped
    );
    assert!(matches!(
        pointers.insert(&name("web"), "x").await,
        SwapOutcome::Conflict(_)
    ));
    assert_eq!(
        pointers.swap(&name("web"), "a", "b").await,
        SwapOutcome::Swapped
    );
    assert!(matches!(
        pointers.swap(&name("web"), "a", "c").await,
        SwapOutcome::Conflict(_)
    ));
    let again = SqlitePointers::open(&path).await.unwrap();
    assert_eq!(again.get(&name("web")).await.unwrap().as_deref(), Some("b"));
    assert_eq!(again.list().await.unwrap(), [name("web")]);
    let previous: String =
        sqlx::query_scalar("SELECT previous_metadata_location FROM iceberg_tables")
            .fetch_one(&again.pool)
            .await
            .unwrap();
    assert_eq!(previous, "a");
}

#[tokio::test]
async fn it_is_durable_and_without_a_write_ahead_log() {
    let folder = tempfile::tempdir().unwrap();
    let pointers = SqlitePointers::open(&folder.path().join("catalog.db"))
        .await
        .unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&pointers.pool)
        .await
        .unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&pointers.pool)
        .await
        .unwrap();
    assert_eq!((mode.as_str(), synchronous), ("delete", 2));
}

#[tokio::test]
async fn an_older_catalog_gets_the_missing_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(&sql::CREATE_TABLES.replace("iceberg_type VARCHAR(5), ", ""))
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO iceberg_tables VALUES ('frazil', 'logs', 'old', 'm', NULL)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let pointers = SqlitePointers::open(&path).await.unwrap();
    assert_eq!(
        pointers.get(&name("old")).await.unwrap().as_deref(),
        Some("m")
    );
    assert_eq!(
        pointers.swap(&name("old"), "m", "n").await,
        SwapOutcome::Swapped
    );
}

#[tokio::test]
async fn what_is_no_database_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    std::fs::write(
        &path,
        "this is a text file, long enough to be looked at as a database header\n".repeat(20),
    )
    .unwrap();
    let error = SqlitePointers::open(&path).await.unwrap_err();
    assert!(matches!(error, CatalogError::Rejected { .. }), "{error}");
    assert!(
        error.to_string().contains("not a SQLite database"),
        "{error}"
    );
    let error = SqlitePointers::open(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    let error = SqlitePointers::open(&path.join("below/a.db"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("folder cannot be made"),
        "{error}"
    );
}

#[tokio::test]
async fn another_process_s_lock_is_said_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let pointers = SqlitePointers::open(&path).await.unwrap();
    assert_eq!(
        pointers.insert(&name("web"), "a").await,
        SwapOutcome::Swapped
    );
    let impatient = SqlitePointers {
        pool: SqlitePoolOptions::new().connect_lazy_with(
            SqliteConnectOptions::new()
                .filename(&path)
                .busy_timeout(Duration::from_millis(1)),
        ),
        path: path.clone(),
    };
    let mut holder = pointers.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE iceberg_tables SET iceberg_type = 'TABLE'")
        .execute(&mut *holder)
        .await
        .unwrap();
    match impatient.swap(&name("web"), "a", "b").await {
        SwapOutcome::NotSent(reason) => {
            assert!(reason.contains("locked by another process"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    holder.rollback().await.unwrap();
    assert_eq!(
        impatient.swap(&name("web"), "a", "b").await,
        SwapOutcome::Swapped
    );
}
