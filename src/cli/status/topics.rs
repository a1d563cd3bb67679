//! How far a table is behind its topics, and what would stop a writer there.

use frazil::{
    pipeline::KafkaInput,
    source::kafka::{
        Cluster, KafkaError, Partition, Seek, all_there, match_topics, may_begin, within,
    },
};
use frazil_dataset::TableName;
use frazil_table::{
    commit::OpenTable,
    state::{KafkaIdentity, State},
};
use uuid::Uuid;

use super::report::Lag;

/// Records are not older than this, as far as their age is asked for: ten years.
const AGE_MAX_MS: i64 = 10 * 365 * 86_400_000;

/// How exact an age is: this, or a sixteenth of it. More exact takes more questions.
const AGE_EXACT_MS: i64 = 1_000;

/// What a writer would read, found out as it does. `open` is the table, where there is one. Blocks.
///
/// # Errors
/// A cluster that does not answer or refuses, and what stops a writer.
pub(super) fn lag(
    input: &KafkaInput,
    cluster: &dyn Cluster,
    table: &TableName,
    open: Option<&OpenTable>,
    now_ms: i64,
) -> Result<Lag, KafkaError> {
    let nothing = State::new(Uuid::nil());
    let state = open.map_or(&nothing, |open| &open.state);
    let topics = cluster.topics(&input.topics)?;
    all_there(&input.topics, &topics, state)?;
    let matched = match_topics(state, &topics)?;
    let has_begun = !matched.known.is_empty();
    let (added, of_new_topics) = (names(matched.added), names(matched.of_new_topics));
    let new: Vec<Partition> = added.iter().chain(&of_new_topics).cloned().collect();
    if !new.is_empty() {
        let stored = cluster.group_positions(&new)?;
        may_begin(table, open, &input.group, &new, &stored)?;
    }
    let mut behind = Vec::new();
    let known: Vec<Partition> = matched.known.keys().cloned().collect();
    let firsts = cluster.offsets(&known, Seek::Earliest)?;
    let ends = cluster.offsets(&known, Seek::Latest)?;
    for (((partition, found), first), end) in matched.known.into_iter().zip(firsts).zip(ends) {
        within(&partition, found.position, first, end)?;
        behind.push((partition, found.position, end - found.position));
    }
    for (partitions, seek) in [(added, Seek::Earliest), (of_new_topics, input.start)] {
        let starts = cluster.offsets(&partitions, seek)?;
        let ends = cluster.offsets(&partitions, Seek::Latest)?;
        for ((partition, start), end) in partitions.into_iter().zip(starts).zip(ends) {
            behind.push((partition, start, end.saturating_sub(start)));
        }
    }
    behind.retain(|(.., records)| *records > 0);
    Ok(Lag {
        has_begun,
        is_behind: !behind.is_empty(),
        records: Some(behind.iter().map(|(.., records)| records).sum()),
        bytes: None,
        oldest_ms: oldest(cluster, &behind, now_ms)?,
    })
}

fn names(new: Vec<(Partition, KafkaIdentity)>) -> Vec<Partition> {
    new.into_iter().map(|(partition, _)| partition).collect()
}

/// The age of the oldest record behind these positions, by the times that the topics give their records.
///
/// Kafka finds the first record at or after a time. Where for a time it is behind a position, the record at the
/// position is older. So the age is narrowed down by questions, all partitions at once, and no record is read.
/// None: nothing is behind, or the records tell no time.
fn oldest(
    cluster: &dyn Cluster,
    behind: &[(Partition, u64, u64)],
    now_ms: i64,
) -> Result<Option<i64>, KafkaError> {
    let partitions: Vec<Partition> = behind.iter().map(|(one, ..)| one.clone()).collect();
    // Whether all of them are at most that old.
    let are_within = |age_ms: i64| -> Result<bool, KafkaError> {
        let found = cluster.offsets(&partitions, Seek::Time((now_ms - age_ms).max(0)))?;
        let mut pairs = behind.iter().zip(found);
        Ok(pairs.all(|((_, position, _), found)| found <= *position))
    };
    if behind.is_empty() || !are_within(AGE_MAX_MS)? {
        return Ok(None);
    }
    let (mut low, mut high) = (0, AGE_MAX_MS);
    while high - low > AGE_EXACT_MS.max(high / 16) {
        // By ratio: ages are of all sizes.
        let middle =
            ((low.max(AGE_EXACT_MS) as f64 * high as f64).sqrt() as i64).clamp(low + 1, high - 1);
        if are_within(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use frazil::source::kafka::{GroupPosition, Topic, Topics};

    use super::*;

    /// Partitions whose records come one a second until `now_ms`.
    #[derive(Debug)]
    struct Seconds {
        now_ms: i64,
        end: u64,
        asked: AtomicU32,
    }

    impl Cluster for Seconds {
        fn topics(&self, _: &Topics) -> Result<Vec<Topic>, KafkaError> {
            Ok(Vec::new())
        }

        fn offsets(&self, partitions: &[Partition], seek: Seek) -> Result<Vec<u64>, KafkaError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let offset = match seek {
                Seek::Earliest => 0,
                Seek::Latest => self.end,
                Seek::Time(at_ms) => {
                    let behind = (self.now_ms - at_ms).div_euclid(1_000) + 1;
                    self.end.saturating_sub(behind.max(0) as u64)
                }
            };
            Ok(vec![offset; partitions.len()])
        }

        fn ends(&self, partitions: &[Partition]) -> Result<Vec<u64>, KafkaError> {
            Ok(vec![self.end; partitions.len()])
        }

        fn group_positions(
            &self,
            partitions: &[Partition],
        ) -> Result<Vec<Option<GroupPosition>>, KafkaError> {
            Ok(vec![None; partitions.len()])
        }

        fn group_members(&self) -> Result<usize, KafkaError> {
            Ok(0)
        }
    }

    #[test]
    fn the_age_of_the_oldest_record_is_narrowed_down_by_few_questions() {
        let cluster = Seconds {
            now_ms: 1_800_000_000_000,
            end: 10_000_000,
            asked: AtomicU32::new(0),
        };
        let partition = |number| Partition {
            topic: "web".into(),
            number,
        };
        for seconds in [1, 60, 5_000, 9_000_000_u64] {
            // The other partition's are younger.
            let behind = [
                (partition(0), cluster.end - seconds, seconds),
                (partition(1), cluster.end - 1, 1),
            ];
            cluster.asked.store(0, Ordering::Relaxed);
            let age = oldest(&cluster, &behind, cluster.now_ms).unwrap().unwrap();
            let is = (seconds as i64 - 1) * 1_000;
            assert!((is..=is + is / 15 + 1_000).contains(&age), "{age} for {is}");
            let asked = cluster.asked.load(Ordering::Relaxed);
            assert!(asked < 20, "{asked} questions");
        }
        assert_eq!(oldest(&cluster, &[], cluster.now_ms).unwrap(), None);
    }
}
