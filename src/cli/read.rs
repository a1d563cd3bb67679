//! Tables as the `iceberg` crate reads them.

use anyhow::Context as _;
use frazil_table::{
    catalog::LoadedTable,
    dead_letters::APPLIED,
    error::{TableError, TableErrorKind},
    scan,
    state::{State, StateError, wire},
};
use iceberg::table::Table;

/// The table for a scan, by its current columns. Needs a Tokio runtime.
pub(crate) fn scannable(loaded: &LoadedTable) -> anyhow::Result<Table> {
    scan::readable(loaded).with_context(|| format!("read table {}", loaded.name))
}

/// What the table's state says, looked at and not judged; `None` where it has none.
pub(crate) fn state(table: &LoadedTable) -> Result<Option<State>, TableError> {
    wire::decode(table.metadata.properties()).map_err(|error| {
        let kind = match error {
            StateError::Newer { .. } => TableErrorKind::StateNewer,
            StateError::Damaged { .. } => TableErrorKind::StateDamaged,
        };
        TableError::new(&table.name, kind, error.to_string())
    })
}

/// How many lists of dead letters the table's outbox holds that `dead_letters` does not have yet. The
/// outbox itself is tidied by the table's next commit only.
pub(crate) fn outbox_pending(state: Option<&State>, dead_letters: Option<&LoadedTable>) -> u64 {
    let applied =
        dead_letters.and_then(|table| table.metadata.properties().get(APPLIED)?.parse().ok());
    let applied = applied.unwrap_or(0_u64);
    state.map_or(0, |state| {
        state
            .dead_letters
            .outbox
            .keys()
            .filter(|number| **number > applied)
            .count() as u64
    })
}
