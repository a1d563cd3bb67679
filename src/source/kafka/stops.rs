//! What stops a reader for a person to decide, as the table, the topics and the group tell it before anything is read.
//! Pure: whoever only looks finds the same as a writer.

use std::collections::BTreeSet;

use frazil_dataset::TableName;
use frazil_table::{
    commit::OpenTable,
    state::{SourceIdentity, State},
};

use super::{GroupPosition, KafkaError, KafkaErrorKind, Partition, Topic, Topics};

/// Names that a dataset gives must be topics.
///
/// # Errors
/// One that was read is gone; one that was never read is not there.
pub fn all_there(wanted: &Topics, found: &[Topic], state: &State) -> Result<(), KafkaError> {
    let Topics::Names(names) = wanted else {
        return Ok(());
    };
    let found: BTreeSet<&str> = found.iter().map(|one| one.topic.name.as_str()).collect();
    let Some(missing) = names.iter().find(|name| !found.contains(name.as_str())) else {
        return Ok(());
    };
    let was_read = state.sources.values().any(|source| {
        matches!(&source.identity, SourceIdentity::Kafka(kafka) if kafka.topic.name == **missing)
    });
    let action = format!("find topic {missing}");
    Err(if was_read {
        KafkaError::new(
            action,
            KafkaErrorKind::TopicChanged,
            "it is gone from the cluster; what the table holds of it stays. Take it out of the dataset's `topics`, \
             or start again once it is there",
        )
    } else {
        KafkaError::new(
            action,
            KafkaErrorKind::Usage,
            "the cluster has no such topic, or this user may not see it; make it, or correct `topics`",
        )
    })
}

/// Whether partitions that the table has no position of may begin where the dataset says; `open` is the table, where
/// there is one, and `stored` what the group has of each partition.
///
/// # Errors
/// The group stands in one of them: the table's state was lost, or another reads by that group. Or the table
/// holds rows, none of which are ours.
pub fn may_begin(
    table: &TableName,
    open: Option<&OpenTable>,
    group: &str,
    new: &[Partition],
    stored: &[Option<GroupPosition>],
) -> Result<(), KafkaError> {
    // An operator may have forgotten positions, whose trace in the group is our own.
    let forgotten = open
        .filter(|open| open.state.last_action.is_some())
        .map(|open| open.table.metadata.uuid().to_string());
    let standing = new.iter().zip(stored).find_map(|(partition, stored)| {
        let stored = stored.as_ref()?;
        (forgotten.as_ref() != Some(&stored.metadata)).then_some((partition, stored.offset))
    });
    let missing = |partition: &Partition, reason: String| {
        KafkaError::new(
            format!("begin reading {partition} into table {table}"),
            KafkaErrorKind::PositionsMissing,
            reason,
        )
    };
    if let Some((partition, offset)) = standing {
        return Err(missing(
            partition,
            format!(
                "the table has no position of it, but group {group} stands at offset {offset}: the table's state was \
                 lost, or another reader uses this group. `frazil offsets set DATASET --from-group {group}` goes on \
                 where the group stands; another `group` in the dataset's [source.kafka] begins at `start`"
            ),
        ));
    }
    match new.first() {
        Some(partition) if open.is_some_and(is_of_others) => Err(missing(
            partition,
            "the table holds rows of another writer's and no position: which of the topic's records they are is not \
             known. `frazil offsets set DATASET --from-group GROUP` goes on where that writer's consumer group stands; \
             `frazil offsets set DATASET --at earliest`, `latest` or a time goes on there"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Whether the table has rows, and never had a commit of ours.
fn is_of_others(open: &OpenTable) -> bool {
    let snapshot = open.table.metadata.current_snapshot();
    let has_rows = snapshot.is_some_and(|snapshot| {
        let total = snapshot
            .summary()
            .additional_properties
            .get("total-records");
        total.is_none_or(|total| total != "0")
    });
    has_rows && open.state.last_commit.is_none()
}

/// A position must be within what the topic holds: `first` is the first offset there, `end` that of what comes next.
///
/// # Errors
/// It is not: retention took records, or a leader was elected that lacks them.
pub fn within(
    partition: &Partition,
    position: u64,
    first: u64,
    end: u64,
) -> Result<(), KafkaError> {
    let what = if position < first {
        format!("the topic begins at {first}: retention, or another hand, took what was before")
    } else if position > end {
        format!(
            "the topic ends at {end}: its last records were lost, as when a leader is elected that lacks them"
        )
    } else {
        return Ok(());
    };
    let Partition { topic, number } = partition;
    Err(KafkaError::new(
        format!("go on in {partition} at offset {position}"),
        KafkaErrorKind::PositionsLost,
        format!(
            "{what}. `frazil offsets show DATASET` shows both; `frazil offsets set DATASET {topic}:{number}=OFFSET` \
             says where to go on"
        ),
    ))
}
