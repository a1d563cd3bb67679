//! Metastores that answer wrongly, late, or not at all.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use frazil_table::catalog::{
    CatalogError, CommitError, LoadedTable,
    hive::{Enforcement, HiveAddress, HiveOptions},
};

use super::{
    HiveLake, enforces, lake, lake_in,
    proxy::{Act, Call, Gate, Proxy, come},
    put, script,
    wire::{V, fields, text},
};
use crate::{
    on::On,
    stack::Stack,
    support::{creation, name},
};

super::on_each_hive! {
    answers_that_are_wrong_leave_the_outcome_unknown,
    an_answer_that_breaks_off_is_found_out,
    an_alter_that_lands_late_is_waited_for_where_nothing_else_fences_it,
    an_alter_that_never_lands_is_unknown_and_gives_the_lock_back,
    a_refusal_that_is_none_of_hive_s_is_looked_into,
    reads_that_fail_are_said,
    a_new_table_whose_answer_is_lost_is_found_out,
    other_servers_are_asked_where_one_does_not_answer,
    servers_of_two_versions_are_refused,
    the_user_is_told_on_every_connection,
    a_server_that_stands_still_and_one_that_is_killed,
}

const ALTER: &str = "alter_table_with_environment_context";

/// Does that with the alter of a swap (not with the one by which the server is tried).
fn on_alter(
    act: impl Fn() -> Act + Send + Sync + 'static,
) -> impl Fn(&Call<'_>) -> Act + Send + Sync + 'static {
    move |call| match call.method {
        ALTER if !is_probe(call) => act(),
        _ => Act::Pass,
    }
}

fn is_probe(call: &Call<'_>) -> bool {
    !call.arguments[&3].at(8).list().is_empty()
}

fn impatient(lake: &HiveLake, proxy: &Proxy) -> HiveOptions {
    HiveOptions {
        late_alter_wait_max: Duration::from_millis(500),
        ..lake.through(proxy)
    }
}

fn is_unknown(end: &Result<LoadedTable, CommitError>) -> bool {
    matches!(end, Err(CommitError::Unknown(_)))
}

async fn answers_that_are_wrong_leave_the_outcome_unknown(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let garbage = || Act::Answer(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    // A reply of another call.
    let other = || Act::Answer(b"\x80\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x63\x00".to_vec());
    // A reply that claims to hold four gigabytes.
    let huge = || {
        Act::Answer(
            b"\x80\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x0b\x00\x00\xff\xff\xff\xff"
                .to_vec(),
        )
    };
    // "Done", from one who did nothing.
    let empty = || Act::Result(fields([]));
    let acts: [fn() -> Act; 5] = [garbage, other, huge, empty, || Act::HangUp];
    for (number, act) in acts.into_iter().enumerate() {
        let proxy = Proxy::start(lake.port, on_alter(act)).await;
        let catalog = lake.catalog(impatient(&lake, &proxy));
        let end = put(catalog.as_ref(), &base, "1").await;
        assert!(is_unknown(&end), "{number}: {end:?}");
        assert_eq!(lake.load().await.metadata_location, base.metadata_location);
        assert!(lake.locks().await.is_empty(), "{number}");
    }
    // An exception that the method does not have: the server has answered, and the table is as it was.
    let exception = || {
        let message = V::Struct(fields([(1, text("too new for you"))]));
        Act::Result(fields([(9, message)]))
    };
    let proxy = Proxy::start(lake.port, on_alter(exception)).await;
    let catalog = lake.catalog(impatient(&lake, &proxy));
    let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    assert!(error.to_string().contains("too new for you"), "{error}");
}

async fn an_answer_that_breaks_off_is_found_out(on: On) {
    let (_folder, lake) = lake(on);
    let mut base = lake.make().await;
    for length in [0, 1, 12, 20] {
        let proxy = Proxy::start(lake.port, on_alter(move || Act::Cut(length))).await;
        let catalog = lake.catalog(lake.through(&proxy));
        let now = put(catalog.as_ref(), &base, "1").await.unwrap();
        assert_eq!(lake.load().await.metadata_location, now.metadata_location);
        assert!(lake.locks().await.is_empty());
        base = now;
    }
}

/// An alter that reaches the server only after its sender has given up the connection, and looked once.
async fn an_alter_that_lands_late_is_waited_for_where_nothing_else_fences_it(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let gate = Arc::new(Gate::default());
    let of_rule = Arc::clone(&gate);
    let looks = Mutex::new(None);
    let proxy = Proxy::start(lake.port, move |call| {
        let mut looks = looks.lock().unwrap();
        match (call.method, looks.as_mut()) {
            (ALTER, _) if !is_probe(call) => {
                *looks = Some(0);
                Act::Later(Arc::clone(&of_rule))
            }
            ("get_table_req", Some(count)) => {
                *count += 1;
                if *count != 2 {
                    return Act::Pass;
                }
                let gate = Arc::clone(&of_rule);
                Act::After(Box::pin(async move {
                    gate.open.notify_one();
                    come(&gate.answered).await;
                }))
            }
            _ => Act::Pass,
        }
    })
    .await;
    let catalog = lake.catalog(lake.through(&proxy));
    let end = put(catalog.as_ref(), &base, "late").await;
    if enforces(on) {
        // Nothing can be overwritten: nobody is kept waiting.
        assert!(is_unknown(&end), "{end:?}");
        gate.open.notify_one();
        moved(&lake, &base).await;
    } else {
        let now = lake.load().await;
        assert_eq!(now.metadata_location, end.unwrap().metadata_location);
    }
    assert!(lake.locks().await.is_empty());
}

async fn an_alter_that_never_lands_is_unknown_and_gives_the_lock_back(on: On) {
    let (folder, lake) = lake(on);
    let base = lake.make().await;
    let gate = Arc::new(Gate::default());
    let later = Arc::clone(&gate);
    let proxy = Proxy::start(lake.port, on_alter(move || Act::Later(Arc::clone(&later)))).await;
    let catalog = lake.catalog(impatient(&lake, &proxy));
    let end = put(catalog.as_ref(), &base, "late").await;
    assert!(is_unknown(&end), "{end:?}");
    assert!(lake.locks().await.is_empty());
    // What may be named yet is there: the file of the base, and that of the swap.
    let files = std::fs::read_dir(folder.path().join("logs/web/metadata")).unwrap();
    assert_eq!(files.count(), 2);
    // Another swaps, and then it lands.
    let other = lake.catalog(lake.options());
    let other = put(other.as_ref(), &base, "other").await.unwrap();
    gate.open.notify_one();
    come(&gate.answered).await;
    let now = lake.load().await;
    if enforces(on) {
        assert_eq!(now.metadata_location, other.metadata_location);
    } else {
        // What docs/hive.md says can be lost.
        assert_eq!(now.metadata.properties()["put"], "late");
    }
}

/// An exception after the change was made, and one before.
async fn a_refusal_that_is_none_of_hive_s_is_looked_into(on: On) {
    let (_folder, lake) = lake(on);
    let mut base = lake.make().await;
    for (id, message, stays) in [
        (2, "Put request failed", false),
        (1, "partition keys can not be changed.", true),
        (2, "Permission denied: user=ana", true),
    ] {
        let refuse = move || {
            let exception = V::Struct(fields([(1, text(message))]));
            Act::Result(fields([(id, exception)]))
        };
        let proxy = Proxy::start(lake.port, on_alter(refuse)).await;
        let options = HiveOptions {
            enforces_expected_value: Enforcement::False,
            ..lake.through(&proxy)
        };
        let catalog = lake.catalog(options);
        let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
        assert_eq!(
            matches!(error, CommitError::Rejected(_)),
            stays,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, CommitError::NotSent(_)),
            !stays,
            "{error:?}"
        );
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(lake.load().await.metadata_location, base.metadata_location);
    }
    // A listener that fails once the change is made: the exception is wrong, and the table tells.
    let of_rule = lake.clone();
    let proxy = Proxy::start(lake.port, move |call| {
        if call.method != ALTER {
            return Act::Pass;
        }
        let (lake, arguments) = (of_rule.clone(), call.arguments.clone());
        let exception = V::Struct(fields([(1, text("a listener failed"))]));
        let answer = crate::hive::wire::Message {
            kind: 2,
            method: ALTER.to_owned(),
            sequence: 2,
            fields: fields([(2, exception)]),
        };
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async { lake.client().await.call(ALTER, arguments).await });
        });
        done.join().unwrap();
        Act::Answer(answer.bytes())
    })
    .await;
    let options = HiveOptions {
        enforces_expected_value: Enforcement::False,
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options);
    base = put(catalog.as_ref(), &base, "2").await.unwrap();
    assert_eq!(lake.load().await.metadata_location, base.metadata_location);
}

async fn reads_that_fail_are_said(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    for (act, reason) in [
        (
            (|| Act::Answer(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())) as fn() -> Act,
            "does not speak",
        ),
        (|| Act::HangUp, "closed the connection without an answer"),
        (|| Act::Cut(9), "closed within the answer"),
    ] {
        let proxy = Proxy::start(lake.port, move |call| match call.method {
            "get_table_req" => act(),
            _ => Act::Pass,
        })
        .await;
        let catalog = lake.catalog(lake.through(&proxy));
        let error = catalog.load(&name()).await.unwrap_err();
        assert!(matches!(error, CatalogError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
        assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    }
    let proxy = Proxy::start(lake.port, |_| Act::HangUp).await;
    let catalog = lake.catalog(lake.through(&proxy));
    let error = catalog.list().await.unwrap_err();
    assert!(matches!(error, CatalogError::Unavailable { .. }), "{error}");
    assert!(error.to_string().len() < 1_000, "{error}");
    assert!(!error.to_string().contains("ClientContext"), "{error}");
    let error = catalog.create(&name(), creation(&[])).await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
}

async fn a_new_table_whose_answer_is_lost_is_found_out(on: On) {
    let (_folder, lake) = lake(on);
    let create = "create_table_with_environment_context";
    let proxy = Proxy::start(lake.port, move |call| match call.method {
        m if m == create => Act::Cut(0),
        _ => Act::Pass,
    })
    .await;
    let catalog = lake.catalog(lake.through(&proxy));
    let made = catalog.create(&name(), creation(&[])).await.unwrap();
    assert_eq!(lake.load().await.metadata_location, made.metadata_location);
    lake.drop_table(&name()).await;
    for act in [(|| Act::HangUp) as fn() -> Act, || Act::Result(fields([]))] {
        let proxy = Proxy::start(lake.port, move |call| match call.method {
            m if m == create => act(),
            _ => Act::Pass,
        })
        .await;
        let catalog = lake.catalog(lake.through(&proxy));
        let end = catalog.create(&name(), creation(&[])).await;
        assert!(is_unknown(&end), "{end:?}");
        assert!(catalog.load(&name()).await.unwrap().is_none());
    }
}

async fn other_servers_are_asked_where_one_does_not_answer(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    // Nobody listens there: the port was another's a moment ago.
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        HiveAddress {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        }
    };
    let rude = Proxy::start(lake.port, |_| Act::HangUp).await;
    // A name of several addresses, of which the server has one.
    let named = HiveAddress {
        host: "localhost".to_owned(),
        port: lake.address().port,
    };
    let options = HiveOptions::new(vec![nobody.clone(), rude.address.clone(), named]);
    let catalog = lake.catalog(options);
    let now = put(catalog.as_ref(), &base, "1").await.unwrap();
    assert_eq!(catalog.list().await.unwrap(), [name()]);
    let asked = rude.connections().len();
    assert!(asked > 0);
    // The one that answered is asked first from then on.
    put(catalog.as_ref(), &now, "2").await.unwrap();
    assert_eq!(rude.connections().len(), asked);

    let catalog = lake.catalog(HiveOptions::new(vec![nobody, rude.address.clone()]));
    let error = catalog.load(&name()).await.unwrap_err().to_string();
    assert!(
        error.contains("refused") && error.contains("closed"),
        "{error}"
    );
    let unknown = HiveAddress {
        host: "no-such-host.invalid".to_owned(),
        port: 9083,
    };
    let catalog = lake.catalog(HiveOptions::new(vec![unknown]));
    let error = catalog.load(&name()).await.unwrap_err().to_string();
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

async fn servers_of_two_versions_are_refused(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let dies = Arc::new(AtomicBool::new(false));
    let dead = Arc::clone(&dies);
    let first = Proxy::start(lake.port, move |_| {
        if dead.load(Ordering::SeqCst) {
            Act::HangUp
        } else {
            Act::Pass
        }
    })
    .await;
    // The same server, as one of the other kind.
    let (id, message) = if enforces(on) {
        (1, "partition keys can not be changed.")
    } else {
        (2, "The table has been modified. The parameter value …")
    };
    let second = Proxy::start(lake.port, move |call| match call.method {
        ALTER if is_probe(call) => {
            let exception = V::Struct(fields([(1, text(message))]));
            Act::Result(fields([(id, exception)]))
        }
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions::new(vec![first.address.clone(), second.address.clone()]);
    let catalog = lake.catalog(options);
    let base = put(catalog.as_ref(), &base, "1").await.unwrap();
    dies.store(true, Ordering::SeqCst);
    let error = put(catalog.as_ref(), &base, "2").await.unwrap_err();
    assert!(matches!(error, CommitError::Rejected(_)), "{error:?}");
    assert!(error.to_string().contains("one version"), "{error}");
    assert_eq!(lake.load().await.metadata_location, base.metadata_location);
}

async fn the_user_is_told_on_every_connection(on: On) {
    let (_folder, lake) = lake(on);
    let proxy = Proxy::start(lake.port, |_| Act::Pass).await;
    let options = HiveOptions {
        user: Some("ana".to_owned()),
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options);
    let base = catalog.create(&name(), creation(&[])).await.unwrap();
    put(catalog.as_ref(), &base, "1").await.unwrap();
    let connections = proxy.connections();
    assert!(connections.len() > 1);
    for calls in &connections {
        assert_eq!(calls[0].0, "set_ugi", "{calls:?}");
        assert_eq!(calls[0].1[&1], text("ana"));
        assert!(calls.len() > 1, "{calls:?}");
    }
    let table = lake.client().await.table(&lake.database(), "web").await;
    assert_eq!(table.at(3).str(), "ana");
    let refused = Proxy::start(lake.port, |call| match call.method {
        "set_ugi" => Act::Result(fields([(1, V::Struct(fields([(1, text("not you"))])))])),
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        user: Some("eve".to_owned()),
        ..lake.through(&refused)
    };
    let error = lake.catalog(options).load(&name()).await.unwrap_err();
    assert!(error.to_string().contains("not you"), "{error}");
}

fn signal(pid: u64, name: &str) {
    let done = std::process::Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(done.unwrap().success());
}

/// Waits until the table's pointer is not `old` any more.
async fn moved(lake: &HiveLake, old: &LoadedTable) -> LoadedTable {
    loop {
        let now = lake.load().await;
        if now.metadata_location != old.metadata_location {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

async fn a_server_that_stands_still_and_one_that_is_killed(on: On) {
    let mut server = Stack::start(script(on), &[]);
    let (_folder, lake) = lake_in(&server);
    let base = lake.make().await;
    let pid = server.number("pid");

    // It stands still with the alter in its hands, and goes on when nobody waits any more.
    let stop = move || {
        signal(pid, "STOP");
        Act::Pass
    };
    let proxy = Proxy::start(lake.port, on_alter(stop)).await;
    let options = HiveOptions {
        call_timeout: Duration::from_secs(10),
        late_alter_wait_max: Duration::from_secs(1),
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options.clone());
    let end = put(catalog.as_ref(), &base, "still").await;
    assert!(is_unknown(&end), "{end:?}");
    signal(pid, "CONT");
    let base = moved(&lake, &base).await;
    assert_eq!(base.metadata.properties()["put"], "still");
    // Its lock could not be given back: the server stood still.
    let mut client = lake.client().await;
    for lock in client.locks(&lake.database(), "web").await {
        client.unlock(lock).await;
    }

    // It is killed with the alter in its hands.
    let is_killed = AtomicBool::new(false);
    let kill = move || {
        if !is_killed.swap(true, Ordering::Relaxed) {
            signal(pid, "KILL");
        }
        Act::Pass
    };
    let proxy = Proxy::start(lake.port, on_alter(kill)).await;
    let catalog = lake.catalog(HiveOptions {
        call_timeout: Duration::from_secs(10),
        late_alter_wait_max: Duration::from_secs(1),
        lock_wait_max: Duration::from_millis(300),
        ..lake.through(&proxy)
    });
    let end = put(catalog.as_ref(), &base, "killed").await;
    assert!(is_unknown(&end), "{end:?}");
    let down = catalog.load(&name()).await.unwrap_err();
    assert!(matches!(down, CatalogError::Unavailable { .. }), "{down}");
    server.restart();
    let now = lake.load().await;
    assert_eq!(now.metadata_location, base.metadata_location);
    // The lock is left over, and the next commit says whose it is.
    let direct = lake.catalog(HiveOptions {
        lock_wait_max: Duration::from_millis(300),
        ..lake.options()
    });
    let error = put(direct.as_ref(), &now, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    assert!(error.to_string().contains("is held by frazil@"), "{error}");
    // Who left it over gives it back before it takes another.
    let now = put(catalog.as_ref(), &now, "1").await.unwrap();
    put(direct.as_ref(), &now, "2").await.unwrap();
}
