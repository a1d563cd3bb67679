//! What a swap needs, without one: a lock of a name of our own, and what the server says to an alter that it refuses.

use std::sync::Arc;

use frazil_dataset::TableName;
use futures::FutureExt as _;

use super::{
    lock::Lock,
    metastore::{Metastore, Target},
    mirror,
    server::Failure,
    swap::Swap,
};
use crate::catalog::{LoadedTable, Rehearsal, pointer::SwapOutcome};

/// The database that every metastore has.
const DEFAULT: &str = "default";

/// Tries both, as far as the options ask for them.
pub(super) async fn rehearse(
    metastore: &Arc<Metastore>,
    table: Option<&LoadedTable>,
) -> Result<Rehearsal, SwapOutcome> {
    let mut rehearsal = Rehearsal::default();
    if metastore.options.lock {
        lock(metastore, &mut rehearsal).await?;
    }
    if let Some(table) = table {
        compare(metastore, table, &mut rehearsal).await?;
    }
    Ok(rehearsal)
}

/// Why it is not known, or not so.
pub(super) fn reason(outcome: &SwapOutcome) -> &str {
    match outcome {
        SwapOutcome::Swapped => "",
        SwapOutcome::Conflict(reason)
        | SwapOutcome::Rejected(reason)
        | SwapOutcome::NotSent(reason)
        | SwapOutcome::Unknown(reason) => reason,
    }
}

async fn lock(metastore: &Arc<Metastore>, rehearsal: &mut Rehearsal) -> Result<(), SwapOutcome> {
    let not_sent = |failure: Failure| SwapOutcome::NotSent(failure.reason().to_owned());
    let asked = metastore.ask(metastore.preferred(), |server| server.databases().boxed());
    asked.await.map_err(not_sent)?;
    let server = metastore.preferred();
    let target = Target::new(&TableName {
        namespace: vec![DEFAULT.to_owned()],
        table: metastore.holder().agent,
    })
    .map_err(SwapOutcome::Rejected)?;
    let metastore_of_task = Arc::clone(metastore);
    // As a task of its own: whoever waits for it may stop waiting, and the lock is given back.
    let taken = tokio::spawn(async move {
        let metastore = metastore_of_task;
        let lock = Lock::acquire(&metastore, server, &target)
            .await
            .map_err(SwapOutcome::NotSent)?;
        let kept = lock.heartbeat().await;
        lock.release().await;
        kept.map_err(not_sent)
    });
    let kept = taken
        .await
        .map_err(|error| SwapOutcome::NotSent(format!("the lock was not tried: {error}")))??;
    if !kept {
        return Err(SwapOutcome::NotSent(
            "a lock was lost right after it was given".to_owned(),
        ));
    }
    let server = &metastore.servers[server];
    rehearsal.shown.push(match server.lock_timeout().await {
        Some(timeout) => format!(
            "a lock was taken, kept and given back; the server keeps one for {} s without a word of its holder",
            timeout.as_secs()
        ),
        None => "a lock was taken, kept and given back".to_owned(),
    });
    if server.clears_locks().await == Some(false) {
        rehearsal.warnings.push(
            "the metastore's housekeeping does not run, so that a lock whose holder died stays for ever; turn it on \
             (\"Locks that are left over\" in docs/hive.md)"
                .to_owned(),
        );
    }
    Ok(())
}

async fn compare(
    metastore: &Arc<Metastore>,
    table: &LoadedTable,
    rehearsal: &mut Rehearsal,
) -> Result<(), SwapOutcome> {
    let swap = Swap {
        metastore: Arc::clone(metastore),
        target: Target::new(&table.name).map_err(SwapOutcome::Rejected)?,
        expected: table.metadata_location.clone(),
        new: String::new(),
        mirror: None,
        locks_are_off: mirror::locks_are_off(&table.metadata),
    };
    if swap.compares().await? {
        let shown = "the server compares what a commit expects";
        rehearsal.shown.push(shown.to_owned());
    } else {
        rehearsal.warnings.push(
            "the server does not compare what a commit expects (Hive 4 does): a writer that stalls beyond its lock can \
             overwrite another's commit; docs/hive.md says what can be lost"
                .to_owned(),
        );
    }
    Ok(())
}
