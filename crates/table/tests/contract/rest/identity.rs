//! Who we are: tokens, headers. Secrets are read late and shown nowhere.

use frazil_table::catalog::rest::{AccessDelegation, Authorization, HeaderText, OAuth2Options};

use super::*;

const TOKENS: &str = "/v1/oauth/tokens";
const HOUR_MS: i64 = 3_600_000;

/// A server that gives out `token-1`, `token-2`, … for an hour each, and takes those that `takes` says.
async fn oauth2_server(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let table = table_answer().await;
    let given = AtomicUsize::new(0);
    let done = json!({"metadata-location": "file:///new", "metadata": table["metadata"]});
    Server::start(move |request| {
        if request.is("POST", TOKENS) {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!("token-{number}");
            return Reply::json(
                &json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}),
            );
        }
        let shown = request.header("authorization").unwrap_or_default();
        if !takes(shown) {
            return Reply::error(401, "NotAuthorizedException");
        }
        if request.is("POST", TABLE) {
            return Reply::json(&done);
        }
        usual(request, &table)
    })
    .await
}

fn oauth2(server: &Server, folder: &Path) -> RestOptions {
    let mut oauth2 = OAuth2Options::new(secret(folder, "credential", "ana:hush & hush"));
    oauth2.audience = Some("lake".to_owned());
    oauth2.resource = Some("https://r/".to_owned());
    RestOptions {
        authorization: Authorization::OAuth2(oauth2),
        ..options(server)
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_renewed_before_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let server = oauth2_server(|_| true).await;
    let clock = TestClock::new();
    let catalog = open_at(oauth2(&server, folder.path()), &clock)
        .await
        .unwrap();
    load(&catalog).await;
    futures::future::join_all((0..8).map(|_| load(&catalog))).await;
    let requests = server.requests();
    assert_eq!(server.count("POST", TOKENS), 1);
    assert_eq!(
        String::from_utf8_lossy(&requests[0].body),
        "grant_type=client_credentials&client_id=ana&client_secret=hush+%26+hush&scope=catalog\
         &audience=lake&resource=https%3A%2F%2Fr%2F"
    );
    assert_eq!(
        requests[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    for request in &requests[1..] {
        assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    }
    clock.advance_ms(HOUR_MS - 61_000);
    load(&catalog).await;
    assert_eq!(server.count("POST", TOKENS), 1);
    clock.advance_ms(2_000);
    // All that need the new one at once share it.
    futures::future::join_all((0..8).map(|_| load(&catalog))).await;
    assert_eq!(server.count("POST", TOKENS), 2);
    let last = server.requests().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer token-2"));
    assert!(!format!("{catalog:?}").contains("token-"), "{catalog:?}");
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_renewed_and_a_commit_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let revoked = Arc::new(AtomicUsize::new(0));
    let up_to = Arc::clone(&revoked);
    let server = oauth2_server(move |shown| {
        let number: usize = shown
            .trim_start_matches("Bearer token-")
            .parse()
            .unwrap_or(0);
        number > up_to.load(Ordering::SeqCst)
    })
    .await;
    let catalog = open(oauth2(&server, folder.path())).await.unwrap();
    let base = load(&catalog).await;
    revoked.store(1, Ordering::SeqCst);
    load(&catalog).await;
    assert_eq!(server.count("POST", TOKENS), 2);
    revoked.store(2, Ordering::SeqCst);
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::NotSent(_)), "{error:?}");
    assert_eq!(server.count("POST", TABLE), 1);
    commit(&catalog, &base).await.unwrap();
    assert_eq!(
        (server.count("POST", TABLE), server.count("POST", TOKENS)),
        (2, 3)
    );
    // One that was never taken is refused for another reason than its age.
    revoked.store(usize::MAX, Ordering::SeqCst);
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(matches!(&error, CatalogError::Rejected { .. }), "{error:?}");
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::Rejected(_)), "{error:?}");
    assert!(server.count("POST", TOKENS) < 7);
}

#[tokio::test]
async fn no_token_is_no_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = json!({"error": "invalid_client", "error_description": "who are you"});
    for (reply, hopeless) in [
        (
            Reply::Answer(401, Vec::new(), refusal.to_string().into()),
            true,
        ),
        (
            Reply::Answer(400, Vec::new(), refusal.to_string().into()),
            true,
        ),
        (
            Reply::json(&json!({"access_token": "t", "token_type": "mac"})),
            true,
        ),
        (Reply::status(200), true),
        (Reply::status(503), false),
        (Reply::Lost, false),
    ] {
        let table = table_answer().await;
        let says = in_turn(vec![
            Reply::json(&json!({"access_token": "t", "token_type": "bearer", "expires_in": 1})),
            reply.clone(),
        ]);
        let server = Server::start(move |request| {
            if request.is("POST", TOKENS) {
                says()
            } else {
                usual(request, &table)
            }
        })
        .await;
        let clock = TestClock::new();
        let catalog = open_at(oauth2(&server, folder.path()), &clock)
            .await
            .unwrap();
        let base = load(&catalog).await;
        clock.advance_ms(1_000);
        let error = commit(&catalog, &base).await.unwrap_err();
        assert_eq!(
            matches!(error, CommitError::Rejected(_)),
            hopeless,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, CommitError::NotSent(_)),
            !hopeless,
            "{error:?}"
        );
        assert!(!error.to_string().contains("hush"), "{error}");
        assert_eq!(server.count("POST", TABLE), 0);
        let error = catalog.load(&name()).await.unwrap_err();
        assert_eq!(
            matches!(error, CatalogError::Rejected { .. }),
            hopeless,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn another_server_s_tokens_are_asked_for_without_our_headers() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Server::start(|request| {
        assert!(request.is("POST", "/realm/token"));
        Reply::json(&json!({"access_token": "abc", "token_type": "bearer"}))
    })
    .await;
    let server = oauth2_server(|shown| shown == "Bearer abc").await;
    let mut options = oauth2(&server, folder.path());
    let Authorization::OAuth2(oauth2) = &mut options.authorization else {
        unreachable!("made as OAuth2");
    };
    oauth2.server_uri = Some(format!("{}/realm/token", tokens.uri()));
    oauth2.scope = "a b".to_owned();
    oauth2.credential = secret(folder.path(), "secret", "hush");
    options.headers = vec![
        ("X-Realm".to_owned(), HeaderText::Plain("lake".to_owned())),
        (
            "X-Key".to_owned(),
            HeaderText::Secret(secret(folder.path(), "key", "key-1")),
        ),
    ];
    options.access_delegation = AccessDelegation::None;
    let clock = TestClock::new();
    let catalog = open_at(options.clone(), &clock).await.unwrap();
    load(&catalog).await;
    let asked = &tokens.requests()[0];
    assert_eq!(
        (asked.header("x-realm"), asked.header("x-key")),
        (None, None)
    );
    let form = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(form.starts_with("grant_type=client_credentials&client_secret=hush&scope=a+b&"));
    // Without a time of expiry it is kept until it is refused.
    clock.advance_ms(1_000 * HOUR_MS);
    std::fs::write(folder.path().join("key"), "key-2").unwrap();
    load(&catalog).await;
    assert_eq!(tokens.requests().len(), 1);
    let requests = server.requests();
    assert_eq!(requests[0].header("x-realm"), Some("lake"));
    let keys: Vec<_> = requests.iter().filter_map(|r| r.header("x-key")).collect();
    assert_eq!(keys, ["key-1", "key-1", "key-2"]);
    assert_eq!(requests[1].header("x-iceberg-access-delegation"), None);
    let shown = format!("{options:?} {catalog:?}");
    for hidden in ["hush", "key-1", "key-2", "lake\""] {
        assert!(
            !shown.replace("Some(\"lake\")", "").contains(hidden),
            "{shown}"
        );
    }
    options.headers = vec![("Host".to_owned(), HeaderText::Plain("x".to_owned()))];
    let error = open(options).await.unwrap_err();
    assert!(error.to_string().contains("host cannot be set"), "{error}");
}

#[tokio::test]
async fn a_bearer_s_token_is_read_at_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(|_| Reply::status(401)).await;
    let catalog = open(RestOptions {
        authorization: Authorization::Bearer(secret(folder.path(), "token", "one")),
        ..options(&server)
    })
    .await
    .unwrap();
    std::fs::write(folder.path().join("token"), "two\n").unwrap();
    let base = load(&catalog).await;
    let requests = server.requests();
    let shown: Vec<_> = requests
        .iter()
        .filter_map(|r| r.header("authorization"))
        .collect();
    assert_eq!(shown, ["Bearer one", "Bearer two"]);
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::Rejected(_)), "{error:?}");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::Rejected(_)), "{error:?}");
    assert!(error.to_string().contains("read the secret"), "{error}");
    assert_eq!(server.count("POST", TABLE), 1);
}
