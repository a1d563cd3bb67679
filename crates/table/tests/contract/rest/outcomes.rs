//! What comes of answers, and of their lack: done, not done, or unknown. A commit is sent once.

use super::*;

async fn ends(reply: Reply) -> (String, usize) {
    let server = server(move |_| reply.clone()).await;
    let mut options = options(&server);
    options.commit_timeout = IMPATIENCE;
    let catalog = open(options).await.unwrap();
    // The commit goes over a connection that was used before, which is where clients like to repeat.
    let base = load(&catalog).await;
    let end = match commit(&catalog, &base).await {
        Ok(table) => {
            assert_eq!(table.metadata_location, "file:///new");
            assert!(Arc::ptr_eq(&table.storage, &base.storage));
            "Committed".to_owned()
        }
        Err(error) => format!("{error:?}"),
    };
    (end, server.count("POST", TABLE))
}

#[tokio::test]
async fn a_commit_ends_as_the_server_says_and_is_sent_once() {
    let table = table_answer().await;
    let done = json!({"metadata-location": "file:///new", "metadata": table["metadata"]});
    let body = done.to_string().into_bytes();
    let redirect = |status| {
        let elsewhere = vec![(
            "location",
            "https://u:hush@elsewhere/x?token=hush".to_owned(),
        )];
        Reply::Answer(status, elsewhere, Vec::new())
    };
    let cases = [
        (Reply::json(&done), "Committed"),
        (Reply::error(409, "CommitFailedException"), "Conflict"),
        (Reply::status(409), "Conflict"),
        (Reply::error(404, "NoSuchTableException"), "Conflict"),
        (Reply::status(404), "Rejected"),
        (Reply::error(400, "ValidationException"), "Rejected"),
        (Reply::error(401, "NotAuthorizedException"), "Rejected"),
        (Reply::error(403, "ForbiddenException"), "Rejected"),
        (
            Reply::error(422, "UnprocessableEntityException"),
            "Rejected",
        ),
        (redirect(302), "Rejected"),
        (redirect(307), "Rejected"),
        (redirect(308), "Rejected"),
        (redirect(303), "Unknown"),
        (Reply::status(408), "Unknown"),
        (Reply::status(429), "Unknown"),
        (Reply::error(500, "CommitStateUnknownException"), "Unknown"),
        (Reply::status(502), "Unknown"),
        (Reply::status(503), "Unknown"),
        (Reply::status(504), "Unknown"),
        (Reply::Answer(202, Vec::new(), Vec::new()), "Unknown"),
        (Reply::Answer(204, Vec::new(), Vec::new()), "Unknown"),
        (
            Reply::json(&json!({"metadata-location": "file:///new"})),
            "Unknown",
        ),
        (Reply::Lost, "Unknown"),
        (Reply::Half(body.clone()), "Unknown"),
        (Reply::Stuck(body), "Unknown"),
        (Reply::Never, "Unknown"),
    ];
    for (reply, expected) in cases {
        let (end, sent) = ends(reply.clone()).await;
        let shown = format!("{reply:?}").chars().take(200).collect::<String>();
        assert!(end.starts_with(expected), "{shown}: {end}");
        assert_eq!(sent, 1, "{shown}");
        assert!(!end.contains("hush"), "{end}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_unknown() {
    let server = server(|_| Reply::status(500)).await;
    let options = options(&server);
    let catalog = open(options.clone()).await.unwrap();
    let base = load(&catalog).await;
    server.stop().await;
    // The connection of before is closed, and there is no new one.
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::NotSent(_)), "{error:?}");
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("no connection"), "{error}");
    let error = open(options).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let options = RestOptions {
        read_timeout: IMPATIENCE,
        read_attempts_max: 2,
        ..RestOptions::new(uri)
    };
    let began = std::time::Instant::now();
    let error = open(options).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("300ms"), "{error}");
    assert!(began.elapsed() >= 2 * IMPATIENCE);
    assert!(began.elapsed() < PATIENCE);
}

/// How often a table is asked for, and what comes of it, where the answers are these in turn.
async fn reads(replies: Vec<Reply>, answer_bytes_max: u64) -> (String, usize) {
    let replies = in_turn(replies);
    let server = Server::start(move |request| {
        if request.is("GET", TABLE) {
            replies()
        } else {
            usual(request, &Value::Null)
        }
    })
    .await;
    let mut options = options(&server);
    options.read_timeout = IMPATIENCE;
    options.metadata_bytes_max = answer_bytes_max;
    let catalog = open(options).await.unwrap();
    let end = match catalog.load(&name()).await {
        Ok(Some(table)) => table.name.to_string(),
        Ok(None) => "none".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    (end, server.count("GET", TABLE))
}

#[tokio::test]
async fn reads_are_tried_again_only_where_that_may_help() {
    let table = Reply::json(&table_answer().await);
    let then_table = |reply: Reply| vec![reply.clone(), reply, table.clone()];
    let Reply::Answer(_, _, body) = table.clone() else {
        unreachable!("made as an answer");
    };
    let wait = Reply::Answer(429, vec![("retry-after", "0".to_owned())], Vec::new());
    let no_location = json!({"metadata": table_answer().await["metadata"]});
    let cases = [
        (vec![table.clone()], "logs.web", 1),
        (then_table(Reply::status(503)), "logs.web", 3),
        (then_table(Reply::status(500)), "logs.web", 3),
        (then_table(Reply::Lost), "logs.web", 3),
        (then_table(Reply::Half(body.clone())), "logs.web", 3),
        (then_table(Reply::Stuck(body)), "logs.web", 3),
        (then_table(wait), "logs.web", 3),
        (vec![Reply::status(504)], "Unavailable", 3),
        (vec![Reply::Lost], "Unavailable", 3),
        (vec![Reply::error(404, "NoSuchTableException")], "none", 1),
        (
            vec![Reply::error(404, "NoSuchNamespaceException")],
            "none",
            1,
        ),
        (vec![Reply::status(404)], "Rejected", 1),
        (
            vec![Reply::error(404, "NoSuchWarehouseException")],
            "Rejected",
            1,
        ),
        (
            vec![Reply::error(401, "NotAuthorizedException")],
            "Rejected",
            1,
        ),
        (vec![Reply::error(403, "ForbiddenException")], "Rejected", 1),
        (vec![Reply::json(&json!({"hello": 1}))], "Rejected", 1),
        (vec![Reply::json(&no_location)], "Rejected", 1),
        (vec![Reply::status(200)], "Rejected", 1),
    ];
    for (replies, expected, asked) in cases {
        let shown = format!("{:?}", replies[0])
            .chars()
            .take(200)
            .collect::<String>();
        let (end, count) = reads(replies, 1 << 20).await;
        assert!(end.starts_with(expected), "{shown}: {end}");
        assert_eq!(count, asked, "{shown}");
    }
}

#[tokio::test]
async fn answers_that_are_too_long_are_not_taken() {
    let table = Reply::json(&table_answer().await);
    let (end, count) = reads(vec![table.clone()], 100).await;
    assert!(end.contains("100 bytes"), "{end}");
    assert_eq!((end.starts_with("Rejected"), count), (true, 1));
    // Of an error as much is read as is shown.
    let endless = Reply::Answer(500, Vec::new(), vec![b'x'; 10_000_000]);
    let (end, _) = reads(vec![endless], 100).await;
    assert!(end.starts_with("Unavailable"), "{end}");
    assert!(end.len() < 1_000, "{}", end.len());
    // A commit whose answer is too long was made, or not.
    let done = json!({"metadata-location": "x".repeat(10_000)});
    let server = server(move |_| Reply::json(&done)).await;
    let mut options = options(&server);
    let base = load(&open(options.clone()).await.unwrap()).await;
    options.metadata_bytes_max = 5_000;
    let error = commit(&open(options).await.unwrap(), &base)
        .await
        .unwrap_err();
    assert!(matches!(&error, CommitError::Unknown(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_sent_is_what_the_specification_asks_for() {
    let server = server(|_| Reply::status(500)).await;
    let catalog = open(options(&server)).await.unwrap();
    let base = load(&catalog).await;
    let updates = vec![TableUpdate::SetCurrentSchema { schema_id: -1 }];
    let requirements = vec![iceberg::TableRequirement::RefSnapshotIdMatch {
        r#ref: "main".to_owned(),
        snapshot_id: Some(7),
    }];
    catalog
        .commit(&base, requirements, updates)
        .await
        .unwrap_err();
    let requests = server.requests();
    let load = &requests[1];
    assert_eq!(load.target, format!("{TABLE}?snapshots=all"));
    for (header, value) in [
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("accept", "application/json"),
        ("x-iceberg-access-delegation", "vended-credentials"),
    ] {
        assert_eq!(load.header(header), Some(value));
    }
    assert!(load.header("user-agent").unwrap().starts_with("frazil/"));
    assert_eq!(load.header("if-none-match"), None);
    assert_eq!(load.header("authorization"), None);
    let commit = &requests[2];
    assert_eq!(commit.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&commit.body).unwrap();
    let expected = json!({
        "identifier": {"namespace": ["logs"], "name": "web"},
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7}],
        "updates": [{"action": "set-current-schema", "schema-id": -1}],
    });
    assert_eq!(body, expected);
}

/// Something on the way sent the commit twice: the first got in, and we hear of the second.
#[tokio::test]
async fn a_conflict_with_ourselves_is_no_conflict() {
    let table = table_answer().await;
    for (arrives, then, expected) in [
        (true, None, "Committed"),
        (false, None, "Conflict"),
        (false, Some(Reply::status(403)), "Unknown"),
    ] {
        let after = Arc::new(std::sync::Mutex::new(None));
        let (now, before) = (Arc::clone(&after), table.clone());
        let server = Server::start(move |request| {
            let mut now = now.lock().unwrap();
            if request.is("POST", TABLE) {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let mut table = before.clone();
                if arrives {
                    table["metadata"]["snapshots"] = json!([body["updates"][0]["snapshot"]]);
                    table["metadata"]["last-sequence-number"] = json!(1);
                }
                *now = Some(then.clone().unwrap_or_else(|| Reply::json(&table)));
                return Reply::error(409, "CommitFailedException");
            }
            match &*now {
                Some(reply) => reply.clone(),
                None => usual(request, &before),
            }
        })
        .await;
        let catalog = open(options(&server)).await.unwrap();
        let base = load(&catalog).await;
        let (requirements, updates) = crate::catalogs::snapshot_on(&base, 7);
        let end = catalog.commit(&base, requirements, updates).await;
        let shown = match &end {
            Ok(table) => {
                assert!(table.metadata.snapshot_by_id(7).is_some());
                "Committed".to_owned()
            }
            Err(error) => format!("{error:?}"),
        };
        assert!(shown.starts_with(expected), "{arrives}: {shown}");
        assert_eq!(server.count("POST", TABLE), 1);
    }
}
