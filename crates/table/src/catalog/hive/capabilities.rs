//! What a metastore can. It does not tell its version, so it is tried.
//!
//! *Whether it compares an alter's expected value* with what it has (Hive 4.0 and later do; 2.3 and
//! 3.1 take the request as if it had none), by an alter that none carries out: it expects a value that
//! the table cannot have, and adds a partition key, which Hive has always refused. A server that
//! compares refuses by the value, which it looks at first; one that does not, by the key. Both leave
//! the table as it is, so that no scratch table is needed, and no rights but those that a commit
//! takes. The server logs an error for it, once a process.
//!
//! *Whether it knows the type of timestamps with a time zone* (Hive 3.0 and later do), by a method
//! that came with the same version. A table with a type that 2.3 does not know can be made there, and
//! never be altered again.

use tokio::time::Instant;

use super::{
    alter::{Altered, alter},
    mirror::METADATA_LOCATION,
    raw::{Answer, RawConnection},
    table::HiveTable,
};

/// No metadata file has that name: it has no scheme.
const IMPOSSIBLE: &str = "(frazil asks whether this server compares expected values)";

/// Whether the server knows Hive 3's types. The error says why there is no answer.
pub(super) async fn knows_zoned_timestamps(
    connection: &mut RawConnection,
    deadline: Instant,
) -> Result<bool, String> {
    match connection.call("get_catalogs", &[], deadline).await {
        Ok(Answer::UnknownMethod) => Ok(false),
        Ok(Answer::Result(_) | Answer::Failed(_)) => Ok(true),
        Err(error) => Err(error.reason().to_string()),
    }
}

/// What was found out about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Enforces {
    /// It compares.
    Yes,
    /// It does not.
    No,
    /// It answered what no metastore is known to.
    Unclear(String),
}

/// Tries it on that table. The error says why there is no answer.
pub(super) async fn probe(
    connection: &mut RawConnection,
    (database, name): (&str, &str),
    table: &HiveTable,
    deadline: Instant,
) -> Result<Enforces, String> {
    let mut changed = table.clone();
    changed.add_partition_key("frazil_asks_whether_expected_values_are_compared");
    let altered = alter(connection, (database, name), changed, IMPOSSIBLE, deadline).await;
    Ok(match altered {
        Altered::Modified(_) => Enforces::Yes,
        Altered::Invalid(message) if message.contains("partition keys") => Enforces::No,
        Altered::Done => Enforces::Unclear(format!(
            "it accepted a partition key for the table {database}.{name}; see that the table has \
             none in the metastore, and its {METADATA_LOCATION} is the right one"
        )),
        Altered::Invalid(message) | Altered::Failed(message) => Enforces::Unclear(message),
        Altered::NotSent(reason) | Altered::Lost(reason) => return Err(reason),
    })
}
