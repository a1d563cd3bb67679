//! Locks, and writers that race.

use std::{sync::Arc, time::Duration};

use frazil_table::catalog::{
    Catalog, CommitError,
    hive::{Enforcement, HiveOptions},
};

use super::{
    HiveLake, enforces, lake,
    proxy::{Act, Gate, Proxy, come},
    put,
};
use crate::{on::On, support::name};

super::on_each_hive! {
    without_a_lock_one_wins_each_round_or_none_may_try,
    a_server_said_to_compare_that_does_not_is_why_it_is_refused,
    a_lock_that_is_left_over_is_named,
    a_lock_that_was_lost_before_the_alter_sends_nothing,
    a_lock_that_was_lost_before_a_late_alter,
    a_swap_that_nobody_waits_for_gives_its_lock_back,
    a_table_that_tells_its_writers_not_to_lock,
    a_lock_whose_answer_was_lost_is_given_back,
    what_the_server_says_of_its_patience_is_heeded,
}

const ALTER: &str = "alter_table_with_environment_context";

fn without_lock(lake: &HiveLake) -> HiveOptions {
    HiveOptions {
        lock: false,
        ..lake.options()
    }
}

async fn without_a_lock_one_wins_each_round_or_none_may_try(on: On) {
    let (_folder, lake) = lake(on);
    let mut base = lake.make().await;
    let rivals: Vec<Arc<dyn Catalog>> = (0..8).map(|_| lake.catalog(without_lock(&lake))).collect();
    if !enforces(on) {
        let refused = put(rivals[0].as_ref(), &base, "1").await.unwrap_err();
        assert!(matches!(refused, CommitError::Rejected(_)), "{refused:?}");
        assert!(
            refused.to_string().contains("hive lock = true"),
            "{refused}"
        );
        assert_eq!(lake.load().await.metadata_location, base.metadata_location);
        return;
    }
    for round in 0..20 {
        let start = tokio::sync::Barrier::new(rivals.len());
        let commits = rivals.iter().enumerate().map(|(number, rival)| {
            let (base, start) = (&base, &start);
            async move {
                start.wait().await;
                put(rival.as_ref(), base, &format!("{round}.{number}")).await
            }
        });
        let ended = futures::future::join_all(commits).await;
        let now = lake.load().await;
        let won: Vec<_> = ended.iter().filter_map(|end| end.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{ended:?}");
        assert_eq!(won[0].metadata_location, now.metadata_location);
        let lost = |end: &&Result<_, _>| matches!(end, Err(CommitError::Conflict(_)));
        assert_eq!(ended.iter().filter(lost).count(), 7, "{ended:?}");
        base = now;
    }
    assert!(lake.locks().await.is_empty());
}

async fn a_server_said_to_compare_that_does_not_is_why_it_is_refused(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let proxy = Proxy::start(lake.port, move |call| match call.method {
        ALTER => Act::Hold(Arc::clone(&held)),
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        lock: false,
        enforces_expected_value: Enforcement::True,
        ..lake.through(&proxy)
    };
    let slow = lake.catalog(options);
    let slow_base = base.clone();
    let slow = tokio::spawn(async move { put(slow.as_ref(), &slow_base, "slow").await });
    come(&gate.reached).await;
    let quick = lake.catalog(lake.options());
    let quick = put(quick.as_ref(), &base, "quick").await.unwrap();
    gate.open.notify_one();
    let slow = slow.await.unwrap();
    let now = lake.load().await;
    if enforces(on) {
        assert!(matches!(slow, Err(CommitError::Conflict(_))), "{slow:?}");
        assert_eq!(now.metadata_location, quick.metadata_location);
    } else {
        // Both were told that they had won, and one has not.
        assert_eq!(slow.unwrap().metadata_location, now.metadata_location);
        assert_ne!(now.metadata_location, quick.metadata_location);
    }
}

async fn a_lock_that_is_left_over_is_named(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let mut other = lake.client().await;
    let lock = other.lock(&lake.database(), "web", "ana").await;
    let options = HiveOptions {
        lock_wait_max: Duration::from_millis(300),
        ..lake.options()
    };
    let catalog = lake.catalog(options);
    let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    let text = error.to_string();
    let holder =
        format!("lock {lock} is held by ana@host-of-the-test (Iceberg-of-the-test) since ");
    assert!(text.contains(&holder), "{text}");
    // The one that waited in vain is gone.
    assert_eq!(lake.locks().await, [lock]);
    other.unlock(lock).await;
    put(catalog.as_ref(), &base, "1").await.unwrap();
    assert!(lake.locks().await.is_empty());
}

/// What expiry does to the locks of a table, at a moment of the test's choosing.
async fn expire(lake: &HiveLake) {
    let mut client = lake.client().await;
    let locks = client.locks(&lake.database(), "web").await;
    assert_eq!(locks.len(), 1);
    client.unlock(locks[0]).await;
}

async fn a_lock_that_was_lost_before_the_alter_sends_nothing(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let of_rule = lake.clone();
    let proxy = Proxy::start(lake.port, move |call| match call.method {
        "heartbeat" if call.number == 1 => {
            let lake = of_rule.clone();
            Act::After(Box::pin(async move { expire(&lake).await }))
        }
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        enforces_expected_value: Enforcement::False,
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options);
    let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    assert!(error.to_string().contains("the lock was lost"), "{error}");
    assert_eq!(proxy.count(ALTER), 0);
    assert_eq!(lake.load().await.metadata_location, base.metadata_location);
}

/// A holder that slept: what is safe with Hive 4, and what is not with 2.3 and 3.1.
async fn a_lock_that_was_lost_before_a_late_alter(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let proxy = Proxy::start(lake.port, move |call| match call.method {
        ALTER => Act::Hold(Arc::clone(&held)),
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        enforces_expected_value: Enforcement::False,
        ..lake.through(&proxy)
    };
    let sleeper = lake.catalog(options);
    let of_sleeper = base.clone();
    let sleeper = tokio::spawn(async move { put(sleeper.as_ref(), &of_sleeper, "late").await });
    come(&gate.reached).await;
    expire(&lake).await;
    let other = lake.catalog(lake.options());
    let other = put(other.as_ref(), &base, "other").await.unwrap();
    gate.open.notify_one();
    let late = sleeper.await.unwrap();
    let now = lake.load().await;
    if enforces(on) {
        assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
        assert_eq!(now.metadata_location, other.metadata_location);
    } else {
        // It overwrote the other's, and does not claim to have committed.
        assert!(matches!(late, Err(CommitError::Unknown(_))), "{late:?}");
        assert_eq!(now.metadata.properties()["put"], "late");
    }
}

async fn a_swap_that_nobody_waits_for_gives_its_lock_back(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let unlocked = Arc::new(tokio::sync::Notify::new());
    let of_rule = Arc::clone(&unlocked);
    let proxy = Proxy::start(lake.port, move |call| match call.method {
        ALTER => Act::Hold(Arc::clone(&held)),
        "unlock" => {
            of_rule.notify_one();
            Act::Pass
        }
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        enforces_expected_value: Enforcement::False,
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options);
    let of_task = base.clone();
    let waiting = tokio::spawn(async move { put(catalog.as_ref(), &of_task, "1").await });
    come(&gate.reached).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(lake.locks().await.len(), 1);
    gate.open.notify_one();
    come(&unlocked).await;
    // The next one gets the lock, if only once the other's is given back.
    let now = lake.load().await;
    let catalog = lake.catalog(lake.options());
    put(catalog.as_ref(), &now, "2").await.unwrap();
    assert!(lake.locks().await.is_empty());
}

async fn a_table_that_tells_its_writers_not_to_lock(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let catalog = lake.catalog(lake.options());
    let updates = super::set("engine.hive.lock-enabled", "false");
    let base = catalog.commit(&base, vec![], updates).await.unwrap();
    let ended = put(catalog.as_ref(), &base, "1").await;
    if enforces(on) {
        ended.unwrap();
        return;
    }
    let error = ended.unwrap_err();
    assert!(matches!(error, CommitError::Rejected(_)), "{error:?}");
    assert!(
        error.to_string().contains("engine.hive.lock-enabled"),
        "{error}"
    );
    assert_eq!(lake.load().await.metadata_location, base.metadata_location);
    assert!(lake.locks().await.is_empty());
}

async fn a_lock_whose_answer_was_lost_is_given_back(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let proxy = Proxy::start(lake.port, |call| match call.method {
        "lock" if call.number == 1 => Act::Cut(5),
        _ => Act::Pass,
    })
    .await;
    let catalog = lake.catalog(lake.through(&proxy));
    let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    assert!(error.to_string().contains("failed to lock"), "{error}");
    assert!(lake.locks().await.is_empty());
    let next = catalog.load(&name()).await.unwrap().unwrap();
    put(catalog.as_ref(), &next, "1").await.unwrap();
}

async fn what_the_server_says_of_its_patience_is_heeded(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let proxy = Proxy::start(lake.port, |call| match call.method {
        // A server that drops locks at once.
        "get_config_value" => {
            let patience = super::wire::text("0s");
            Act::Result(super::wire::fields([(0, patience)]))
        }
        _ => Act::Pass,
    })
    .await;
    let options = HiveOptions {
        enforces_expected_value: Enforcement::False,
        ..lake.through(&proxy)
    };
    let catalog = lake.catalog(options);
    let error = put(catalog.as_ref(), &base, "1").await.unwrap_err();
    assert!(matches!(error, CommitError::NotSent(_)), "{error:?}");
    assert_eq!(proxy.count(ALTER), 0);
    assert!(lake.locks().await.is_empty());
}
