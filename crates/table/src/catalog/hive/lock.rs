//! A table's exclusive lock in the metastore, as Iceberg's Java library and Trino take it.
//!
//! The server's housekeeping, where it runs, drops a lock whose holder is silent for
//! `hive.txn.timeout`; there is no fence: a holder that slept through that does not notice, and on a server that does not compare expected
//! values its alter is carried out. So a lock is confirmed right before the alter and after it.

use std::{sync::PoisonError, time::Duration};

use futures::FutureExt as _;
use hive_metastore::{LockState, ShowLocksResponseElement};
use tokio::time::{Instant, timeout};

use super::{
    metastore::{Metastore, Target},
    server::Failure,
};

/// How long a lock is tried to be given back; after that it is left over until the next one is taken.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Locks that are remembered: a metastore that gives locks and takes none back is sick.
const LEFT_OVER_MAX: usize = 1_000;

/// A lock of ours that could not be given back.
#[derive(Debug, Clone)]
pub(super) enum LeftOver {
    /// By its id.
    Lock(i64),
    /// By the name under which it was asked for: the answer was lost, and there may be none.
    Request {
        /// The table.
        target: Target,
        /// The name.
        agent: String,
    },
}

/// A lock that was given to us.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    metastore: &'a Metastore,
    server: usize,
    id: i64,
}

impl<'a> Lock<'a> {
    /// Waits until the lock is ours. The error says why it is not, and who holds it.
    pub(super) async fn acquire(
        metastore: &'a Metastore,
        server: usize,
        target: &Target,
    ) -> Result<Self, String> {
        give_back(metastore, server).await;
        let until = Instant::now() + metastore.options.lock_wait_max;
        let holder = metastore.holder();
        let asked = metastore.servers[server].lock(&target.database, &target.table, &holder);
        let (id, mut state) = match asked.await {
            Ok(given) => given,
            Err(error) => {
                release_by_agent(metastore, server, target, &holder.agent).await;
                return Err(format!(
                    "failed to lock table {}: {}",
                    target.name,
                    error.reason()
                ));
            }
        };
        let lock = Self {
            metastore,
            server,
            id,
        };
        let mut wait = Duration::ZERO;
        while state == LockState::WAITING {
            if Instant::now() >= until {
                let reason = lock.not_in_time(target).await;
                lock.release().await;
                return Err(reason);
            }
            metastore.wait(&mut wait, until).await;
            let checked = metastore.ask(server, move |server| server.check_lock(id).boxed());
            state = match checked.await {
                Ok(Some(state)) => state,
                Ok(None) => LockState::ABORT,
                Err(error) => {
                    lock.release().await;
                    return Err(format!(
                        "failed to wait for the lock of table {}: {}",
                        target.name,
                        error.reason()
                    ));
                }
            };
        }
        if state == LockState::ACQUIRED {
            return Ok(lock);
        }
        lock.release().await;
        Err(format!(
            "the metastore dropped our request for the lock of table {} ({})",
            target.name,
            state.to_string()
        ))
    }

    /// Tells the server that we are alive. False: the lock is no longer ours.
    pub(super) async fn heartbeat(&self) -> Result<bool, Failure> {
        let id = self.id;
        self.metastore
            .ask(self.server, move |server| server.heartbeat(id).boxed())
            .await
    }

    /// How long an alter may be under way after a heartbeat: far less than the server's patience.
    pub(super) async fn hold_max(&self) -> Duration {
        let told = self.metastore.servers[self.server].lock_timeout().await;
        let third = told.map_or(Duration::MAX, |told| told / 3);
        self.metastore.options.lock_hold_max.min(third)
    }

    /// Gives it back. A way that broke may be whole again in a moment, and a lock that is left over
    /// keeps everybody out: it is tried until the time is over.
    pub(super) async fn release(&self) {
        let id = self.id;
        let until = Instant::now() + RELEASE_WAIT_MAX;
        let released = async {
            let mut wait = Duration::ZERO;
            loop {
                match unlock(self.metastore, self.server, id).await {
                    Err(Failure::Lost(_)) if Instant::now() < until => {
                        self.metastore.wait(&mut wait, until).await;
                    }
                    ended => return ended,
                }
            }
        };
        let reason = match timeout(RELEASE_WAIT_MAX, released).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.reason().to_string(),
            Err(_) => format!("there was no answer within {RELEASE_WAIT_MAX:?}"),
        };
        remember(self.metastore, LeftOver::Lock(id));
        tracing::warn!(
            lock = id,
            reason,
            "could not give a lock of the Hive Metastore back; tried again before the next one is taken. If this process \
             ends before: see \"Locks that are left over\" in docs/hive.md"
        );
    }

    async fn not_in_time(&self, target: &Target) -> String {
        let waited = span(self.metastore.options.lock_wait_max);
        let name = &target.name;
        let holders = match locks(self.metastore, self.server, target).await {
            Ok(locks) => locks
                .iter()
                .filter(|lock| lock.state == LockState::ACQUIRED && lock.lockid != self.id)
                .map(|lock| self.describe(lock))
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => format!("who holds it could not be asked: {}", error.reason()),
        };
        let holders = match holders.as_str() {
            "" => "it is waited for by others, too",
            holders => holders,
        };
        format!(
            "the lock of table {name} was not free within {waited}: {holders}. If the holder is \
             gone, its lock stays until the metastore's housekeeping drops it, which by default does \
             not run: see \"Locks that are left over\" in docs/hive.md"
        )
    }

    fn describe(&self, lock: &ShowLocksResponseElement) -> String {
        let now_ms = self.metastore.clock.now_millis();
        let ago = |at_ms: i64| {
            let ms = now_ms.saturating_sub(at_ms).max(0);
            span(Duration::from_millis(ms.unsigned_abs()))
        };
        let agent = lock.agent_info.as_deref().unwrap_or("no name given");
        let since = match lock.acquiredat {
            Some(at) if at > 0 => format!(" since {}", ago(at)),
            _ => String::new(),
        };
        let heard = match lock.lastheartbeat {
            at if at > 0 => format!(", last heard of {} ago", ago(at)),
            _ => String::new(),
        };
        format!(
            "lock {} is held by {}@{} ({agent}){since}{heard}",
            lock.lockid, lock.user, lock.hostname
        )
    }
}

async fn locks(
    metastore: &Metastore,
    server: usize,
    target: &Target,
) -> Result<Vec<ShowLocksResponseElement>, Failure> {
    let target = target.clone();
    metastore
        .ask(server, move |server| {
            let target = target.clone();
            async move { server.locks(&target.database, &target.table).await }.boxed()
        })
        .await
}

fn remember(metastore: &Metastore, one: LeftOver) {
    let mut left_over = metastore
        .left_over
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if left_over.len() < LEFT_OVER_MAX {
        left_over.push(one);
    }
}

/// Gives back what could not be given back before: a metastore that was away for longer than that is patient.
async fn give_back(metastore: &Metastore, server: usize) {
    let left_over = std::mem::take(
        &mut *metastore
            .left_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    for one in left_over {
        let given = match &one {
            LeftOver::Lock(id) => unlock(metastore, server, *id).await,
            LeftOver::Request { target, agent } => match locks(metastore, server, target).await {
                Ok(all) => {
                    let ours = all
                        .iter()
                        .find(|lock| lock.agent_info.as_deref() == Some(agent.as_str()));
                    match ours {
                        Some(lock) => unlock(metastore, server, lock.lockid).await,
                        None => Ok(()),
                    }
                }
                Err(error) => Err(error),
            },
        };
        if given.is_err() {
            remember(metastore, one);
        }
    }
}

async fn unlock(metastore: &Metastore, server: usize, id: i64) -> Result<(), Failure> {
    metastore
        .ask(server, move |server| server.unlock(id).boxed())
        .await
}

/// Gives back a lock whose answer was lost: it may have been given to us all the same.
async fn release_by_agent(metastore: &Metastore, server: usize, target: &Target, agent: &str) {
    let until = Instant::now() + RELEASE_WAIT_MAX;
    let unseen = || LeftOver::Request {
        target: target.clone(),
        agent: agent.to_string(),
    };
    let find = async {
        let mut wait = Duration::ZERO;
        let all = loop {
            match locks(metastore, server, target).await {
                Err(Failure::Lost(_)) if Instant::now() < until => {
                    metastore.wait(&mut wait, until).await;
                }
                Err(_) => {
                    remember(metastore, unseen());
                    return;
                }
                Ok(all) => break all,
            }
        };
        let ours = all
            .into_iter()
            .find(|lock| lock.agent_info.as_deref() == Some(agent));
        if let Some(lock) = ours {
            let lock = Lock {
                metastore,
                server,
                id: lock.lockid,
            };
            lock.release().await;
        }
    };
    if timeout(RELEASE_WAIT_MAX, find).await.is_err() {
        remember(metastore, unseen());
        tracing::warn!(
            table = %target.name,
            agent,
            "could not see whether a lock of the Hive Metastore is left over; see \"Locks that are left over\" in docs/hive.md"
        );
    }
}

/// A span of time for people: `3 min 5 s`.
fn span(of: Duration) -> String {
    let seconds = of.as_secs();
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) if rest == 0 => format!("{} ms", of.as_millis()),
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_for_people() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (5_400, "5 s"),
            (185_000, "3 min 5 s"),
            (7_380_000, "2 h 3 min"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
    }
}
