//! A commit's compare-and-swap in the metastore.
//!
//! Under the table's lock and with the expected value, always, unless the options turn the lock off:
//! a writer that only compares is overwritten by one that only locks (Java's default), and one that
//! only locks by itself once its lock has expired. Nothing here is retried.
//!
//! What is certain, and what is not:
//! - Before the last byte of the alter was handed over, nothing is done.
//! - An answer ends it: what the server then holds is what it will hold. It is read again all the
//!   same, since an answer may be wrong, and the lock is confirmed once more: if it was lost, another
//!   may have read the old pointer before the alter and swap from it.
//! - An alter without an answer may be carried out later. A server that compares will not then
//!   overwrite another's. One that does not would: the lock is kept for a while, and looked whether
//!   it lands.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    Enforcement,
    alter::{Altered, alter, parameter_is_false},
    capabilities::{Enforces, probe},
    columns,
    lock::Lock,
    metastore::{Metastore, Read, Target},
    mirror::{LOCK_ENABLED, Mirror},
    raw::RawConnection,
    server::Failure,
    table::HiveTable,
};
use crate::catalog::pointer::SwapOutcome;

/// One swap.
#[derive(Debug)]
pub(super) struct Swap {
    pub(super) metastore: Arc<Metastore>,
    pub(super) target: Target,
    pub(super) expected: String,
    pub(super) new: String,
    /// What else changes; None: nothing but the pointer.
    pub(super) mirror: Option<Mirror>,
    /// Whether the table's metadata tells its writers not to lock.
    pub(super) locks_are_off: bool,
}

impl Swap {
    /// Swaps. To be run to its end once begun: it gives the lock back.
    pub(super) async fn run(mut self) -> SwapOutcome {
        match self.try_run().await {
            Ok(()) => SwapOutcome::Swapped,
            Err(outcome) => outcome,
        }
    }

    /// Whether the table's server compares expected values, found out without a swap.
    pub(super) async fn compares(&self) -> Result<bool, SwapOutcome> {
        let read = self.metastore.read(&self.target).await;
        let Read {
            table,
            server,
            mut connection,
        } = read.map_err(|error| not_sent(error.reason()))?;
        let gone = || SwapOutcome::Conflict(format!("table {} is gone", self.target.name));
        let table = table.ok_or_else(gone)?;
        self.enforces(&table, server, &mut connection).await
    }

    async fn try_run(&mut self) -> Result<(), SwapOutcome> {
        let (table, server, mut connection) = self.read().await?;
        if let Some(columns) = self.mirror.as_mut().and_then(|m| m.columns.as_mut()) {
            let knows = self.metastore.zoned_timestamps(server, &mut connection);
            if !knows.await.map_err(SwapOutcome::NotSent)? {
                columns::forget_zones(columns);
            }
        }
        let enforces = self.enforces(&table, server, &mut connection).await?;
        if !self.metastore.options.lock {
            let deadline = Instant::now() + self.metastore.options.call_timeout;
            let altered = self.alter(table, &mut connection, deadline).await;
            return self.judge(altered, None, enforces).await;
        }
        drop(connection);
        let lock = Lock::acquire(&self.metastore, server, &self.target)
            .await
            .map_err(SwapOutcome::NotSent)?;
        let swapped = self.under_lock(&lock, enforces).await;
        lock.release().await;
        swapped
    }

    async fn under_lock(&self, lock: &Lock<'_>, enforces: bool) -> Result<(), SwapOutcome> {
        let hold_max = lock.hold_max().await;
        let (table, _, mut connection) = self.read().await?;
        let confirmed = Instant::now();
        match lock.heartbeat().await {
            Ok(true) => {}
            Ok(false) => return Err(not_sent("the lock was lost before the swap")),
            Err(error) => {
                let reason = format!("failed to confirm the lock: {}", error.reason());
                return Err(not_sent(&reason));
            }
        }
        let now = Instant::now();
        let deadline = (confirmed + hold_max).min(now + self.metastore.options.call_timeout);
        if now >= deadline {
            return Err(not_sent(
                "confirming the lock took longer than it may be held",
            ));
        }
        let altered = self.alter(table, &mut connection, deadline).await;
        self.judge(altered, Some(lock), enforces).await
    }

    async fn alter(
        &self,
        mut table: HiveTable,
        connection: &mut RawConnection,
        deadline: Instant,
    ) -> Altered {
        if let Some(mirror) = &self.mirror {
            table.show(mirror);
        }
        table.point_to(&self.expected, &self.new);
        alter(
            connection,
            self.target.names(),
            table,
            &self.expected,
            deadline,
        )
        .await
    }

    /// The table, if it still has the expected pointer.
    async fn read(&self) -> Result<(HiveTable, usize, RawConnection), SwapOutcome> {
        let name = &self.target.name;
        let Read {
            table,
            server,
            connection,
        } = self
            .metastore
            .read(&self.target)
            .await
            .map_err(|error| not_sent(error.reason()))?;
        match table {
            None => Err(SwapOutcome::Conflict(format!("table {name} is gone"))),
            Some(table) if table.pointer() == Some(&self.expected) => {
                Ok((table, server, connection))
            }
            Some(_) => Err(SwapOutcome::Conflict(format!(
                "table {name} was changed meanwhile"
            ))),
        }
    }

    /// Whether the server compares. An error where it must, and does not.
    async fn enforces(
        &self,
        table: &HiveTable,
        server: usize,
        connection: &mut RawConnection,
    ) -> Result<bool, SwapOutcome> {
        let found = match self.metastore.options.enforces_expected_value {
            Enforcement::True => Enforces::Yes,
            Enforcement::False => Enforces::No,
            Enforcement::Auto => self.found_out(table, server, connection).await?,
        };
        let reason = match &found {
            Enforces::Yes => return Ok(true),
            Enforces::No => "it does not compare what a commit expects".to_string(),
            Enforces::Unclear(reason) => {
                format!("whether it compares what a commit expects could not be seen: {reason}")
            }
        };
        let address = self.metastore.servers[server].address();
        if !self.metastore.options.lock {
            return Err(SwapOutcome::Rejected(format!(
                "commits without a lock are not safe at {address}: {reason}; turn the lock on \
                 (hive lock = true), or use Hive 4"
            )));
        }
        if self.locks_are_off || parameter_is_false(table, LOCK_ENABLED) {
            return Err(SwapOutcome::Rejected(format!(
                "the property {LOCK_ENABLED} of table {} tells its writers not to lock, which is \
                 not safe at {address}: {reason}; remove the property for all writers",
                self.target.name
            )));
        }
        Ok(false)
    }

    async fn found_out(
        &self,
        table: &HiveTable,
        server: usize,
        connection: &mut RawConnection,
    ) -> Result<Enforces, SwapOutcome> {
        let server = &self.metastore.servers[server];
        let known = server
            .enforces
            .lock()
            .expect("nobody panics with it")
            .clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let deadline = Instant::now() + self.metastore.options.call_timeout;
        let found = probe(connection, self.target.names(), table, deadline)
            .await
            .map_err(|reason| not_sent(&reason))?;
        let address = server.address();
        if let Some(other) = self.metastore.other_than(&found) {
            return Err(SwapOutcome::Rejected(format!(
                "of the metastores {address} and {other} one compares what a commit expects and one \
                 does not; name servers of one version that share one database"
            )));
        }
        match &found {
            Enforces::Yes => tracing::debug!(%address, "the metastore compares expected values"),
            Enforces::No => tracing::warn!(
                %address,
                "this Hive Metastore does not compare what a commit expects (Hive 4 does): a writer \
                 that stalls beyond its lock can overwrite another's commit; see docs/hive.md"
            ),
            Enforces::Unclear(reason) => tracing::warn!(
                %address,
                reason,
                "whether this Hive Metastore compares what a commit expects could not be seen; set \
                 enforces_expected_value to true or false"
            ),
        }
        *server.enforces.lock().expect("nobody panics with it") = Some(found.clone());
        Ok(found)
    }

    /// What an alter's end means.
    async fn judge(
        &self,
        altered: Altered,
        lock: Option<&Lock<'_>>,
        enforces: bool,
    ) -> Result<(), SwapOutcome> {
        let name = &self.target.name;
        match altered {
            Altered::Done => self.confirm(lock).await,
            Altered::Modified(_) => Err(SwapOutcome::Conflict(format!(
                "table {name} was changed meanwhile"
            ))),
            Altered::NotSent(reason) => Err(SwapOutcome::NotSent(reason)),
            Altered::Invalid(message) => self.after_refusal(lock, refusal(&message, true)).await,
            Altered::Failed(message) => self.after_refusal(lock, refusal(&message, false)).await,
            Altered::Lost(reason) => self.settle(lock, enforces, reason).await,
        }
    }

    /// The server says that it is done.
    async fn confirm(&self, lock: Option<&Lock<'_>>) -> Result<(), SwapOutcome> {
        if let Some(lock) = lock {
            match lock.heartbeat().await {
                Ok(true) => {}
                Ok(false) => return Err(unknown("the lock was lost during the swap")),
                Err(error) => {
                    let reason = format!("failed to confirm the lock: {}", error.reason());
                    return Err(unknown(&reason));
                }
            }
        }
        match self.pointer().await {
            Ok(Some(now)) if now == self.new => Ok(()),
            Ok(_) => Err(unknown(
                "the metastore said that it was done, and names another metadata file",
            )),
            Err(error) => Err(unknown(error.reason())),
        }
    }

    /// The server says that something went wrong. What it holds now tells what was done.
    async fn after_refusal(
        &self,
        lock: Option<&Lock<'_>>,
        refusal: SwapOutcome,
    ) -> Result<(), SwapOutcome> {
        match self.pointer().await {
            Ok(Some(now)) if now == self.expected => Err(refusal),
            Ok(Some(now)) if now == self.new => self.confirm(lock).await,
            Ok(None) => Err(SwapOutcome::Conflict(format!(
                "table {} is gone",
                self.target.name
            ))),
            Ok(Some(_)) => Err(unknown("the metastore names another metadata file")),
            Err(error) => Err(unknown(error.reason())),
        }
    }

    /// There was no answer. Where the server would carry the alter out whatever happened meanwhile,
    /// the lock keeps others away until it is seen, or for as long as the options say.
    async fn settle(
        &self,
        lock: Option<&Lock<'_>>,
        enforces: bool,
        reason: String,
    ) -> Result<(), SwapOutcome> {
        let options = &self.metastore.options;
        let keep = lock.filter(|_| !enforces);
        let wait_max = if keep.is_some() {
            options.late_alter_wait_max
        } else {
            options.call_timeout
        };
        let until = Instant::now() + wait_max;
        let look = async {
            let mut wait = Duration::ZERO;
            loop {
                match self.pointer().await {
                    Ok(Some(now)) if now == self.new => return self.confirm(lock).await,
                    Ok(Some(now)) if now == self.expected => {}
                    Ok(_) => return Err(unknown(&reason)),
                    Err(_) => {}
                }
                let Some(lock) = keep else {
                    return Err(unknown(&reason));
                };
                // Whether it is still ours matters only once the alter is seen.
                let _ = lock.heartbeat().await;
                self.metastore.wait(&mut wait, until).await;
            }
        };
        match timeout(wait_max, look).await {
            Ok(settled) => settled,
            Err(_) => Err(unknown(&reason)),
        }
    }

    async fn pointer(&self) -> Result<Option<String>, Failure> {
        let read = self.metastore.read(&self.target).await?;
        Ok(read
            .table
            .map(|table| table.pointer().unwrap_or_default().to_string()))
    }
}

fn not_sent(reason: &str) -> SwapOutcome {
    SwapOutcome::NotSent(reason.to_string())
}

fn unknown(reason: &str) -> SwapOutcome {
    SwapOutcome::Unknown(reason.to_string())
}

/// What a server's refusal means, where nothing was done: whether asking again can help.
pub(super) fn refusal(message: &str, invalid: bool) -> SwapOutcome {
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let advice = if has(&["type expected at the position"]) {
        "; the metastore does not know the type of one of the table's columns: it is older than \
         another writer of the table takes it for"
    } else if has(&["types incompatible", "incompatible col"]) {
        "; the metastore does not let columns change so: set \
         metastore.disallow.incompatible.col.type.changes (before Hive 3: hive.metastore.…) to false on it"
    } else if has(&[
        "permission denied",
        "accesscontrolexception",
        "not authorized",
        "no privilege",
    ]) {
        "; the user whom the metastore sees may not do this: grant it, or name another user"
    } else if has(&[
        "no filesystem for scheme",
        "unable to create",
        "is not a directory",
    ]) {
        "; the metastore itself must be able to reach the warehouse: give it the file system's jars and credentials"
    } else if has(&["managed"]) && has(&["external"]) {
        "; Hive 4 wants external tables outside of the folder of managed ones \
         (metastore.warehouse.dir): name another warehouse"
    } else if invalid {
        ""
    } else {
        return SwapOutcome::NotSent(format!("the metastore refused: {message}"));
    };
    SwapOutcome::Rejected(format!("the metastore refused: {message}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_stay_are_told_from_those_that_pass() {
        for (message, invalid, stays) in [
            ("Put request failed : UPDATE …", false, false),
            ("Permission denied: user=x, access=WRITE", false, true),
            ("No FileSystem for scheme \"s3\"", false, true),
            ("partition keys can not be changed.", true, true),
            (
                "The following columns have types incompatible with the existing columns in their respective positions : a",
                true,
                true,
            ),
        ] {
            let outcome = refusal(message, invalid);
            assert_eq!(
                matches!(outcome, SwapOutcome::Rejected(_)),
                stays,
                "{outcome:?}"
            );
        }
    }
}
