//! The two calls that lose nothing: a table as it is, and a table as it is to be.

use hive_metastore::{EXPECTED_PARAMETER_KEY, EXPECTED_PARAMETER_VALUE};
use tokio::time::Instant;

use super::{
    mirror::METADATA_LOCATION,
    raw::{Answer, CallError, RawConnection, message_of},
    server::Failure,
    table::HiveTable,
    thrift::Value,
};

/// How every version that compares begins its refusal.
const MODIFIED: &str = "The table has been modified";

/// The table; None where there is none.
pub(super) async fn get_table(
    connection: &mut RawConnection,
    (database, table): (&str, &str),
    deadline: Instant,
) -> Result<Option<HiveTable>, Failure> {
    let request = vec![(1, Value::text(database)), (2, Value::text(table))];
    // The only method for it that all versions have.
    let method = "get_table_req";
    let answer = connection
        .call(method, &[(1, Value::Struct(request))], deadline)
        .await;
    match answer {
        Ok(Answer::Result(fields)) => match fields.first() {
            Some((0, _)) => match HiveTable::of_result(fields) {
                Some(table) => Ok(Some(table)),
                None => Err(Failure::Refused(format!(
                    "{method}: the answer has no table"
                ))),
            },
            // NoSuchObjectException
            Some((2, _)) => Ok(None),
            Some((_, Value::Struct(exception))) => {
                let message = message_of(exception);
                Err(Failure::Refused(format!("{method}: {message}")))
            }
            _ => Err(Failure::Lost(format!("{method}: the answer is empty"))),
        },
        Ok(Answer::UnknownMethod) => Err(Failure::Refused(format!(
            "the server has no {method}: it is older than Hive 2.3, or no metastore"
        ))),
        Ok(Answer::Failed(message)) => Err(Failure::Refused(format!("{method}: {message}"))),
        Err(error) => Err(Failure::Lost(error.reason().to_string())),
    }
}

/// How an alter ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Altered {
    /// The server says that it is done.
    Done,
    /// The server compared: the table has another value than was expected.
    Modified(String),
    /// `InvalidOperationException`: the table is gone, or the server does not take such a change.
    Invalid(String),
    /// Something went wrong in the server. It has answered, so nothing is under way any more; what
    /// was done before it went wrong it does not say.
    Failed(String),
    /// The server does not have the request.
    NotSent(String),
    /// There is no answer: the request may be carried out yet.
    Lost(String),
}

/// Replaces the table, if its pointer is still the expected one.
pub(super) async fn alter(
    connection: &mut RawConnection,
    (database, name): (&str, &str),
    table: HiveTable,
    expected: &str,
    deadline: Instant,
) -> Altered {
    let environment = Value::texts([
        // Of Hive 4.0 and later; others ignore it.
        (EXPECTED_PARAMETER_KEY, METADATA_LOCATION),
        (EXPECTED_PARAMETER_VALUE, expected),
        // Else the server lists the table's folder to count its files.
        ("DO_NOT_UPDATE_STATS", "true"),
    ]);
    let arguments = [
        (1, Value::text(database)),
        (2, Value::text(name)),
        (3, table.into_value()),
        (4, Value::Struct(vec![(1, environment)])),
    ];
    let method = "alter_table_with_environment_context";
    match connection.call(method, &arguments, deadline).await {
        Ok(Answer::Result(fields)) => outcome(&fields),
        Ok(Answer::UnknownMethod) => Altered::Invalid(format!("the server has no {method}")),
        Ok(Answer::Failed(message)) => Altered::Failed(message),
        Err(CallError::NotSent(reason)) => Altered::NotSent(reason),
        Err(CallError::Lost(reason)) => Altered::Lost(reason),
    }
}

fn outcome(fields: &[(i16, Value)]) -> Altered {
    let Some((id, exception)) = fields.first() else {
        return Altered::Done;
    };
    let message = match exception {
        Value::Struct(exception) => message_of(exception),
        _ => "it gave no reason".to_string(),
    };
    match id {
        1 => Altered::Invalid(message),
        2 if message.starts_with(MODIFIED) => Altered::Modified(message),
        _ => Altered::Failed(message),
    }
}

/// Whether a table with that name says so in the metastore's own parameters, for a swap that is not
/// told the metadata.
pub(super) fn parameter_is_false(table: &HiveTable, name: &str) -> bool {
    table
        .parameter(name)
        .is_some_and(|value| !value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let exception =
            |id: i16, text: &str| outcome(&[(id, Value::Struct(vec![(1, Value::text(text))]))]);
        assert_eq!(outcome(&[]), Altered::Done);
        assert_eq!(
            exception(2, "The table has been modified. The parameter value …"),
            Altered::Modified("The table has been modified. The parameter value …".to_string())
        );
        assert_eq!(
            exception(2, "Put request failed"),
            Altered::Failed("Put request failed".to_string())
        );
        assert_eq!(exception(1, "no"), Altered::Invalid("no".to_string()));
        // One that this method does not have today.
        assert_eq!(exception(7, "new"), Altered::Failed("new".to_string()));
        assert_eq!(
            outcome(&[(2, Value::Struct(vec![]))]),
            Altered::Failed("it gave no reason".to_string())
        );
    }
}
