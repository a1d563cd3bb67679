//! Connections that get lost, before COMMIT and in it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

/// What happens to the message in which a text is sent to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It does not arrive, and the connection ends.
    Before,
    /// It arrives, and the connection ends before the reply.
    After,
    /// It does not arrive, and nothing more is heard.
    Silent,
}

/// The message that commits, with its end: the isolation level begins like it.
const COMMIT: &str = "COMMIT\0";

/// A way to the server on which a message may get lost.
struct Wire {
    address: SocketAddr,
    cut: Arc<Mutex<Option<(&'static str, Cut)>>>,
}

impl Wire {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(Mutex::new(None));
        let of_each = Arc::clone(&cut);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, Arc::clone(&of_each)));
            }
        });
        Self { address, cut }
    }

    /// The address by way of it. By TLS it would not know one message from another.
    fn by(&self, uri: &str) -> String {
        format!(
            "{}&sslmode=disable",
            by(uri, self.address.port(), "postgres")
        )
    }

    fn cut(&self, text: &'static str, cut: Cut) {
        *self.cut.lock().unwrap() = Some((text, cut));
    }

    fn mend(&self) {
        *self.cut.lock().unwrap() = None;
    }
}

async fn pass(client: TcpStream, cut: Arc<Mutex<Option<(&'static str, Cut)>>>) {
    let server = TcpStream::connect(("127.0.0.1", port())).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut bytes = vec![0; 65_536];
    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
        let sent = &bytes[..length];
        let planned = *cut.lock().unwrap();
        let hit = planned
            .filter(|(text, _)| sent.windows(text.len()).any(|part| part == text.as_bytes()));
        match hit {
            None => {}
            Some((_, Cut::Before)) => break,
            Some((_, Cut::Silent)) => std::future::pending().await,
            Some((_, Cut::After)) => {
                back.abort();
                let _ = back.await;
                to_server.write_all(sent).await.unwrap();
                // The server ends the session after what it was sent.
                to_server.shutdown().await.unwrap();
                return;
            }
        }
        if to_server.write_all(sent).await.is_err() {
            break;
        }
    }
    back.abort();
}

#[tokio::test]
async fn a_connection_that_is_lost_before_commit_did_nothing() {
    let uri = address().await;
    let truth = with_table(&uri).await;
    let wire = Wire::new().await;
    let mut options = PostgresOptions::new(wire.by(&uri));
    options.statement_timeout = Duration::from_secs(20);
    for statement in ["UPDATE", "INSERT"] {
        for cut in [Cut::Before, Cut::After] {
            let pointers = PostgresPointers::open(options.clone()).await.unwrap();
            wire.cut(statement, cut);
            let outcome = if statement == "UPDATE" {
                pointers.swap(&name(), "a", "b").await
            } else {
                pointers.insert(&name(), "b").await
            };
            assert!(
                matches!(&outcome, SwapOutcome::NotSent(_)),
                "{cut:?}: {outcome:?}"
            );
            wire.mend();
            assert_eq!(truth.get(&name()).await.unwrap().as_deref(), Some("a"));
            // A lost connection is not used again.
            assert_eq!(pointers.get(&name()).await.unwrap().as_deref(), Some("a"));
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_in_commit_is_unknown() {
    let uri = address().await;
    let truth = with_table(&uri).await;
    let wire = Wire::new().await;
    let options = PostgresOptions::new(wire.by(&uri));
    let pointers = PostgresPointers::open(options).await.unwrap();
    for (cut, new, then) in [(Cut::Before, "b", "a"), (Cut::After, "b", "b")] {
        wire.cut(COMMIT, cut);
        let outcome = pointers.swap(&name(), "a", new).await;
        assert!(
            matches!(&outcome, SwapOutcome::Unknown(_)),
            "{cut:?}: {outcome:?}"
        );
        wire.mend();
        // Once the server is done with the lost session.
        let mut looks = connect(&uri).await;
        let busy = "SELECT 1 FROM pg_locks WHERE relation = 'iceberg_tables'::regclass";
        while sqlx::query(busy)
            .fetch_optional(&mut looks)
            .await
            .unwrap()
            .is_some()
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            truth.get(&name()).await.unwrap().as_deref(),
            Some(then),
            "{cut:?}"
        );
    }
    assert_eq!(pointers.swap(&name(), "b", "c").await, SwapOutcome::Swapped);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let uri = address().await;
    with_table(&uri).await;
    let wire = Wire::new().await;
    let mut options = PostgresOptions::new(wire.by(&uri));
    options.statement_timeout = Duration::from_secs(1);
    options.connect_timeout = Duration::from_secs(1);
    let pointers = PostgresPointers::open(options.clone()).await.unwrap();
    wire.cut(COMMIT, Cut::Silent);
    let outcome = pointers.swap(&name(), "a", "b").await;
    assert!(
        matches!(&outcome, SwapOutcome::Unknown(reason) if reason.contains("did not answer within")),
        "{outcome:?}"
    );
    wire.cut("BEGIN", Cut::Silent);
    let error = pointers.get(&name()).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error}"
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    options.uri = by(&uri, silent.local_addr().unwrap().port(), "postgres");
    let error = PostgresPointers::open(options.clone()).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error}"
    );
    drop(silent);
    let error = PostgresPointers::open(options).await.unwrap_err();
    assert!(
        error.to_string().contains("see that the server runs"),
        "{error}"
    );
}
