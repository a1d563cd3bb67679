//! The servers that share one database, and which of them is asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{
    HiveAddress, HiveOptions,
    alter::get_table,
    capabilities::{Enforces, knows_zoned_timestamps},
    lock::LeftOver,
    raw::RawConnection,
    server::{Failure, Holder, Server},
    table::HiveTable,
};

/// Who asks, where the options name no user.
const NOBODY: &str = "frazil";

/// The servers of one metastore.
#[derive(Debug)]
pub(super) struct Metastore {
    pub(super) options: HiveOptions,
    pub(super) servers: Vec<Server>,
    /// The server that answered last.
    preferred: AtomicUsize,
    host: String,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// Locks of ours that could not be given back, which keep everybody out.
    pub(super) left_over: Mutex<Vec<LeftOver>>,
}

/// A table by the metastore's names.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: TableName,
    pub(super) database: String,
    pub(super) table: String,
}

impl Target {
    /// The table's names in a metastore, which has one level of databases and no upper case.
    pub(super) fn new(name: &TableName) -> Result<Self, String> {
        let database = database(&name.namespace)?;
        if let Some(reason) = upper_case(&name.table) {
            return Err(format!("table {name}: {reason}"));
        }
        Ok(Self {
            name: name.clone(),
            database,
            table: name.table.clone(),
        })
    }

    pub(super) fn names(&self) -> (&str, &str) {
        (&self.database, &self.table)
    }
}

/// A namespace's name in a metastore.
pub(super) fn database(namespace: &[String]) -> Result<String, String> {
    let [database] = namespace else {
        return Err(format!(
            "the namespace {} has {} levels, and a Hive Metastore has one; name the table \
             <database>.<table>",
            namespace.join("."),
            namespace.len()
        ));
    };
    match upper_case(database) {
        Some(reason) => Err(format!("namespace {database}: {reason}")),
        None => Ok(database.clone()),
    }
}

fn upper_case(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    (lower != name).then(|| {
        format!(
            "a Hive Metastore keeps names in lower case, so that {name} and {lower} would be one; \
             name it {lower}"
        )
    })
}

/// A table that was read, and the connection that it was read over.
pub(super) struct Read {
    pub(super) table: Option<HiveTable>,
    pub(super) server: usize,
    pub(super) connection: RawConnection,
}

impl Metastore {
    pub(super) fn new(options: HiveOptions, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let servers = options
            .addresses
            .iter()
            .map(|address| Server::new(address, &options))
            .collect();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match host.trim() {
            "" => "unknown-host".to_string(),
            host => host.to_string(),
        };
        Self {
            options,
            servers,
            preferred: AtomicUsize::new(0),
            host,
            clock,
            ids,
            left_over: Mutex::default(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let all: Vec<String> = self
            .servers
            .iter()
            .map(|s| s.address().to_string())
            .collect();
        format!("hive:{}", all.join(","))
    }

    /// Who asks, for people.
    pub(super) fn user(&self) -> &str {
        self.options.user.as_deref().unwrap_or(NOBODY)
    }

    /// Who holds the next lock.
    pub(super) fn holder(&self) -> Holder {
        Holder {
            user: self.user().to_string(),
            host: self.host.clone(),
            agent: format!("frazil-{}", self.ids.uuid()),
        }
    }

    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// That server first, then the others.
    fn turns(&self, first: usize) -> impl Iterator<Item = usize> {
        let count = self.servers.len();
        (0..count).map(move |turn| (first + turn) % count)
    }

    /// The table as some server has it, over a connection of its own. A server that cannot be
    /// reached or does not answer is passed over; the error is of all of them.
    pub(super) async fn read(&self, target: &Target) -> Result<Read, Failure> {
        let mut reasons = Vec::new();
        for server in self.turns(self.preferred()) {
            let mut connection = match self.servers[server].dial.connect().await {
                Ok(connection) => connection,
                Err(reason) => {
                    reasons.push(reason);
                    continue;
                }
            };
            let deadline = Instant::now() + self.options.call_timeout;
            match get_table(&mut connection, target.names(), deadline).await {
                Ok(table) => {
                    self.preferred.store(server, Ordering::Relaxed);
                    return Ok(Read {
                        table,
                        server,
                        connection,
                    });
                }
                Err(Failure::Lost(reason)) => reasons.push(reason),
                Err(refused) => return Err(refused),
            }
        }
        Err(Failure::Lost(reasons.join("; ")))
    }

    /// Asks that server, and where it does not answer the others; a lone one twice, since a
    /// connection kept open may have broken meanwhile. For calls that may be made twice.
    pub(super) async fn ask<T>(
        &self,
        first: usize,
        call: impl for<'a> Fn(&'a Server) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut reasons = Vec::new();
        let again = (self.servers.len() == 1).then_some(first);
        for server in self.turns(first).chain(again) {
            match call(&self.servers[server]).await {
                Err(Failure::Lost(reason)) => reasons.push(reason),
                answered => {
                    if answered.is_ok() {
                        self.preferred.store(server, Ordering::Relaxed);
                    }
                    return answered;
                }
            }
        }
        reasons.dedup();
        Err(Failure::Lost(reasons.join("; ")))
    }

    /// A server that is certainly of another version than one of which that was found out.
    pub(super) fn other_than(&self, found: &Enforces) -> Option<&HiveAddress> {
        let differs = |server: &&Server| {
            let known = server.enforces.lock().expect("nobody panics with it");
            matches!(
                (&*known, found),
                (Some(Enforces::Yes), Enforces::No) | (Some(Enforces::No), Enforces::Yes)
            )
        };
        self.servers.iter().find(differs).map(Server::address)
    }

    /// Whether the server knows timestamps with a time zone, asked over that connection to it.
    pub(super) async fn zoned_timestamps(
        &self,
        server: usize,
        connection: &mut RawConnection,
    ) -> Result<bool, String> {
        let known = &self.servers[server].zoned_timestamps;
        if let Some(known) = known.get() {
            return Ok(*known);
        }
        let deadline = Instant::now() + self.options.call_timeout;
        let knows = knows_zoned_timestamps(connection, deadline).await?;
        Ok(*known.get_or_init(|| knows))
    }

    /// Waits, twice as long as the last time and up to twice that, so that two who collided part.
    pub(super) async fn wait(&self, last: &mut Duration, until: Instant) {
        const WAIT_MIN: Duration = Duration::from_millis(25);
        const WAIT_MAX: Duration = Duration::from_secs(1);
        *last = (*last * 2).clamp(WAIT_MIN, WAIT_MAX);
        let (_, low) = self.ids.uuid().as_u64_pair();
        let share = f64::from((low & 0xffff) as u32) / 65_536.0;
        let wait = last.mul_f64(1.0 + share);
        tokio::time::sleep_until(until.min(Instant::now() + wait)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hive_s_or_refused() {
        let target = |namespace: &[&str], table: &str| {
            Target::new(&TableName {
                namespace: namespace.iter().map(ToString::to_string).collect(),
                table: table.to_string(),
            })
        };
        assert_eq!(
            target(&["logs"], "web__dead_letters").unwrap().names(),
            ("logs", "web__dead_letters")
        );
        let error = target(&["a", "b"], "web").unwrap_err();
        assert!(error.contains("2 levels"), "{error}");
        let error = target(&["logs"], "Web").unwrap_err();
        assert!(error.contains("name it web"), "{error}");
        let error = target(&["Logs"], "web").unwrap_err();
        assert!(error.contains("name it logs"), "{error}");
    }
}
