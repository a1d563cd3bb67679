//! One metastore, by the `hive_metastore` crate: all calls of which nothing is lost.
//!
//! The crate knows Hive 2.3's fields. What it reads, decides on and makes itself (databases, locks,
//! new tables, lists) needs no others. A table that is there already goes by [`super::raw`].
//!
//! Its client has no time limits of its own, takes exceptions for results, and names no host: each
//! call here has a limit, exceptions are [`Failure`]s, and it connects by [`Dial`]. It gets the one
//! address `.address()`, without discovery, since with that it sends requests again by itself.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use hive_metastore::{
    CheckLockRequest, Database, EnvironmentContext, GetTablesRequest, HeartbeatRequest,
    LockComponent, LockLevel, LockRequest, LockState, LockType, ShowLocksRequest,
    ShowLocksResponseElement, Table, ThriftHiveMetastoreCheckLockException as CheckLockException,
    ThriftHiveMetastoreClient, ThriftHiveMetastoreClientBuilder,
    ThriftHiveMetastoreCreateDatabaseException as CreateDatabaseException,
    ThriftHiveMetastoreCreateTableWithEnvironmentContextException as CreateTableException,
    ThriftHiveMetastoreGetAllDatabasesException as GetAllDatabasesException,
    ThriftHiveMetastoreGetAllTablesException as GetAllTablesException,
    ThriftHiveMetastoreGetTableObjectsByNameReqException as GetTablesException,
    ThriftHiveMetastoreHeartbeatException as HeartbeatException,
    ThriftHiveMetastoreLockException as LockException,
    ThriftHiveMetastoreUnlockException as UnlockException, UnlockRequest,
};
use pilota::FastStr;
use tokio::{sync::OnceCell, time::timeout};
use volo_thrift::{
    ApplicationExceptionKind, ClientError, MaybeException, codec::default::DefaultMakeCodec,
};

use super::{
    HiveAddress, HiveOptions,
    capabilities::Enforces,
    dial::Dial,
    mirror::{ICEBERG, TABLE_TYPE},
    raw::shown,
};

/// Tables whose definitions are fetched by one call.
const TABLES_AT_ONCE: usize = 100;

/// Connections kept open between calls, and for how long.
const IDLE_CONNECTIONS_MAX: usize = 2;
const IDLE: Duration = Duration::from_secs(15);

/// The crate wants an address; [`Dial`] knows the real ones.
const NO_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Why a server did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It did not answer. It may have the request, and may carry it out yet.
    Lost(String),
    /// It answered that it did not.
    Refused(String),
}

impl Failure {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Lost(reason) | Self::Refused(reason) => reason,
        }
    }
}

/// How making a table or a database ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    Made,
    /// One of that name is there.
    Exists,
}

/// One metastore.
pub(super) struct Server {
    pub(super) dial: Dial,
    client: ThriftHiveMetastoreClient,
    limit: Duration,
    /// Whether it compares expected values, once that is known.
    pub(super) enforces: Mutex<Option<Enforces>>,
    /// Whether it knows timestamps with a time zone, once that is known.
    pub(super) zoned_timestamps: OnceLock<bool>,
    lock_timeout: OnceCell<Option<Duration>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("dial", &self.dial)
            .field("enforces", &self.enforces)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Connects to nothing yet. Within a tokio runtime: the crate's pool starts a task.
    pub(super) fn new(address: &HiveAddress, options: &HiveOptions) -> Self {
        let dial = Dial::new(address.clone(), options);
        let pool = volo_thrift::transport::pool::Config::new(IDLE_CONNECTIONS_MAX, IDLE);
        let client = ThriftHiveMetastoreClientBuilder::new("hive-metastore")
            .make_transport(dial.clone())
            .make_codec(DefaultMakeCodec::buffered())
            .pool_config(pool)
            .address(NO_ADDRESS)
            .build();
        Self {
            dial,
            client,
            // Connecting is part of a call of the crate's.
            limit: options.connect_timeout + options.call_timeout,
            enforces: Mutex::new(None),
            zoned_timestamps: OnceLock::new(),
            lock_timeout: OnceCell::new(),
        }
    }

    pub(super) fn address(&self) -> &HiveAddress {
        &self.dial.address
    }

    async fn ask<T>(
        &self,
        method: &str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Failure> {
        let address = self.address();
        match timeout(self.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let refused = matches!(&error, ClientError::Application(error)
                    if matches!(error.kind(), ApplicationExceptionKind::UNKNOWN_METHOD
                        | ApplicationExceptionKind::INTERNAL_ERROR));
                let reason = format!("{address} {method}: {}", brief(&error));
                Err(if refused {
                    Failure::Refused(reason)
                } else {
                    Failure::Lost(reason)
                })
            }
            Err(_) => Err(Failure::Lost(format!(
                "{address} {method}: there was no answer within {:?}",
                self.limit
            ))),
        }
    }

    fn refused<T>(&self, method: &str, message: Option<FastStr>) -> Result<T, Failure> {
        let reason = message.as_deref().unwrap_or("it gave no reason");
        let reason = shown(reason);
        Err(Failure::Refused(format!(
            "{} {method}: {reason}",
            self.address()
        )))
    }

    pub(super) async fn databases(&self) -> Result<Vec<String>, Failure> {
        let method = "get_all_databases";
        let answer = self.client.get_all_databases();
        match self.ask(method, answer).await? {
            MaybeException::Ok(names) => Ok(strings(names)),
            MaybeException::Exception(GetAllDatabasesException::O1(e)) => {
                self.refused(method, e.message)
            }
        }
    }

    /// The names of a database's Iceberg tables.
    pub(super) async fn iceberg_tables(&self, database: &str) -> Result<Vec<String>, Failure> {
        let method = "get_all_tables";
        let answer = self.client.get_all_tables(text(database));
        let names = match self.ask(method, answer).await? {
            MaybeException::Ok(names) => names,
            MaybeException::Exception(GetAllTablesException::O1(e)) => {
                return self.refused(method, e.message);
            }
        };
        let mut found = Vec::new();
        for names in names.chunks(TABLES_AT_ONCE) {
            let tables = self.definitions(database, names.to_vec()).await?;
            let iceberg = tables.into_iter().filter(is_iceberg);
            found.extend(iceberg.filter_map(|table| Some(table.table_name?.to_string())));
        }
        Ok(found)
    }

    async fn definitions(
        &self,
        database: &str,
        names: Vec<FastStr>,
    ) -> Result<Vec<Table>, Failure> {
        let method = "get_table_objects_by_name_req";
        let request = GetTablesRequest {
            db_name: text(database),
            tbl_names: Some(names),
            ..Default::default()
        };
        let answer = self.client.get_table_objects_by_name_req(request);
        match self.ask(method, answer).await? {
            MaybeException::Ok(result) => Ok(result.tables),
            MaybeException::Exception(e) => {
                let message = match e {
                    GetTablesException::O1(e) => e.message,
                    GetTablesException::O2(e) => e.message,
                    GetTablesException::O3(e) => e.message,
                };
                self.refused(method, message)
            }
        }
    }

    pub(super) async fn create_database(&self, name: &str) -> Result<Made, Failure> {
        let method = "create_database";
        let database = Database {
            name: Some(text(name)),
            ..Default::default()
        };
        match self
            .ask(method, self.client.create_database(database))
            .await?
        {
            MaybeException::Ok(()) => Ok(Made::Made),
            MaybeException::Exception(CreateDatabaseException::O1(_)) => Ok(Made::Exists),
            MaybeException::Exception(CreateDatabaseException::O2(e)) => {
                self.refused(method, e.message)
            }
            MaybeException::Exception(CreateDatabaseException::O3(e)) => {
                self.refused(method, e.message)
            }
        }
    }

    pub(super) async fn create_table(&self, table: Table) -> Result<Made, Failure> {
        let method = "create_table";
        // Else some versions list the table's folder to count its files.
        let properties = [(text("DO_NOT_UPDATE_STATS"), text("true"))];
        let context = EnvironmentContext {
            properties: Some(properties.into_iter().collect()),
        };
        let answer = self
            .client
            .create_table_with_environment_context(table, context);
        match self.ask(method, answer).await? {
            MaybeException::Ok(()) => Ok(Made::Made),
            MaybeException::Exception(CreateTableException::O1(_)) => Ok(Made::Exists),
            MaybeException::Exception(e) => {
                let message = match e {
                    CreateTableException::O1(e) => e.message,
                    CreateTableException::O2(e) => e.message,
                    CreateTableException::O3(e) => e.message,
                    CreateTableException::O4(e) => e.message,
                };
                self.refused(method, message)
            }
        }
    }

    /// Asks for the table's exclusive lock, which may have to be waited for.
    pub(super) async fn lock(
        &self,
        database: &str,
        table: &str,
        holder: &Holder,
    ) -> Result<(i64, LockState), Failure> {
        let method = "lock";
        let component = LockComponent {
            r#type: LockType::EXCLUSIVE,
            level: LockLevel::TABLE,
            dbname: text(database),
            tablename: Some(text(table)),
            ..Default::default()
        };
        let request = LockRequest {
            component: vec![component],
            user: text(&holder.user),
            hostname: text(&holder.host),
            agent_info: Some(text(&holder.agent)),
            ..Default::default()
        };
        match self.ask(method, self.client.lock(request)).await? {
            MaybeException::Ok(answer) => Ok((answer.lockid, answer.state)),
            MaybeException::Exception(e) => {
                let message = match e {
                    LockException::O1(e) => e.message,
                    LockException::O2(e) => e.message,
                };
                self.refused(method, message)
            }
        }
    }

    /// The lock's state; None where it is gone. Asking keeps it alive.
    pub(super) async fn check_lock(&self, id: i64) -> Result<Option<LockState>, Failure> {
        let method = "check_lock";
        let request = CheckLockRequest {
            lockid: id,
            ..Default::default()
        };
        match self.ask(method, self.client.check_lock(request)).await? {
            MaybeException::Ok(answer) => Ok(Some(answer.state)),
            MaybeException::Exception(CheckLockException::O3(_)) => Ok(None),
            MaybeException::Exception(CheckLockException::O1(e)) => self.refused(method, e.message),
            MaybeException::Exception(CheckLockException::O2(e)) => self.refused(method, e.message),
        }
    }

    /// Keeps the lock alive. False: it is gone.
    pub(super) async fn heartbeat(&self, id: i64) -> Result<bool, Failure> {
        let method = "heartbeat";
        let request = HeartbeatRequest {
            lockid: Some(id),
            ..Default::default()
        };
        match self.ask(method, self.client.heartbeat(request)).await? {
            MaybeException::Ok(()) => Ok(true),
            MaybeException::Exception(HeartbeatException::O1(_)) => Ok(false),
            MaybeException::Exception(HeartbeatException::O2(e)) => self.refused(method, e.message),
            MaybeException::Exception(HeartbeatException::O3(e)) => self.refused(method, e.message),
        }
    }

    /// Gives the lock back. One that is gone is no error.
    pub(super) async fn unlock(&self, id: i64) -> Result<(), Failure> {
        let method = "unlock";
        let answer = self.client.unlock(UnlockRequest { lockid: id });
        match self.ask(method, answer).await? {
            MaybeException::Ok(()) | MaybeException::Exception(UnlockException::O1(_)) => Ok(()),
            MaybeException::Exception(UnlockException::O2(e)) => self.refused(method, e.message),
        }
    }

    /// All locks on the table, and those that wait for it.
    pub(super) async fn locks(
        &self,
        database: &str,
        table: &str,
    ) -> Result<Vec<ShowLocksResponseElement>, Failure> {
        let request = ShowLocksRequest {
            dbname: Some(text(database)),
            tablename: Some(text(table)),
            ..Default::default()
        };
        let answer = self.client.show_locks(request);
        Ok(self
            .ask("show_locks", answer)
            .await?
            .locks
            .unwrap_or_default())
    }

    /// After how long without a heartbeat the server drops a lock, where it tells.
    pub(super) async fn lock_timeout(&self) -> Option<Duration> {
        let told = self.lock_timeout.get_or_try_init(|| async {
            for name in ["metastore.txn.timeout", "hive.txn.timeout"] {
                let value = self.config(name).await?;
                if let Some(timeout) = duration(&value) {
                    return Ok(Some(timeout));
                }
            }
            Ok::<_, Failure>(None)
        });
        told.await.ok().copied().flatten()
    }

    /// Whether the server drops the locks of holders that died, where it tells. Versions name it otherwise.
    pub(super) async fn clears_locks(&self) -> Option<bool> {
        let mut told = None;
        for name in [
            "metastore.housekeeping.threads.on",
            "metastore.compactor.initiator.on",
            "hive.compactor.initiator.on",
        ] {
            match self.config(name).await.ok()?.as_str() {
                "true" => return Some(true),
                "false" => told = Some(false),
                _ => {}
            }
        }
        told
    }

    async fn config(&self, name: &str) -> Result<String, Failure> {
        let answer = self.client.get_config_value(text(name), text(""));
        match self.ask("get_config_value", answer).await? {
            MaybeException::Ok(value) => Ok(value.to_string()),
            // It does not tell.
            MaybeException::Exception(_) => Ok(String::new()),
        }
    }
}

/// Who holds a lock, for people.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) user: String,
    pub(super) host: String,
    /// Unique, so that a lock whose answer was lost is found again.
    pub(super) agent: String,
}

pub(super) fn text(text: &str) -> FastStr {
    FastStr::new(text)
}

fn strings(names: Vec<FastStr>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

fn is_iceberg(table: &Table) -> bool {
    let parameters = table.parameters.as_ref();
    parameters
        .and_then(|parameters| parameters.get(TABLE_TYPE))
        .is_some_and(|found| found.eq_ignore_ascii_case(ICEBERG))
}

/// What the crate says, without its dump of the call's context.
fn brief(error: &ClientError) -> String {
    let whole = error.to_string();
    let end = ["ClientContext", "cx:", ", rpcinfo:"]
        .iter()
        .filter_map(|mark| whole.find(mark))
        .min()
        .unwrap_or(whole.len());
    shown(whole[..end].trim_end_matches([' ', ',', ':', '(']))
}

/// A duration as Hive's settings have it; a bare number is in seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..unit_at].parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match text[unit_at..].trim() {
        "" | "s" | "sec" | "seconds" => seconds(1),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "m" | "min" | "minutes" => seconds(60),
        "h" | "hour" | "hours" => seconds(3_600),
        "d" | "day" | "days" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_hive_are_durations() {
        for (text, seconds) in [
            ("300s", Some(300)),
            ("300", Some(300)),
            (" 5 min ", Some(300)),
            ("300000ms", Some(300)),
            ("1d", Some(86_400)),
            ("", None),
            ("s", None),
            ("soon", None),
            ("3 weeks", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
