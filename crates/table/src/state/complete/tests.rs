use std::collections::HashMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::state::{KafkaIdentity, KafkaTopic, wire};

fn add(state: &mut State, identity: SourceIdentity) -> u64 {
    state.sources_version += 1;
    let source = SourceState {
        identity,
        position: 0,
        commit: Uuid::nil(),
    };
    state.sources.insert(state.sources_version, source);
    state.sources_version
}

fn partition(state: &mut State) -> u64 {
    let identity = KafkaIdentity {
        topic: KafkaTopic {
            cluster_id: "c".to_owned(),
            topic_id: None,
            name: "web".to_owned(),
        },
        partition: state.sources_version as i32,
        leader_epoch: None,
    };
    add(state, SourceIdentity::Kafka(identity))
}

fn state(partitions: u64) -> State {
    let mut state = State::new(Uuid::from_u128(7));
    for _ in 0..partitions {
        partition(&mut state);
    }
    state
}

fn completion(marks: &[(u64, i64)]) -> Completion {
    Completion {
        time: "$timestamp".to_owned(),
        sources: marks.iter().copied().collect(),
        gone: BTreeSet::new(),
        late_records: 0,
    }
}

/// What the next writer finds in the table.
fn reopened(state: &State) -> State {
    let properties: HashMap<_, _> = wire::encode(state).into_iter().collect();
    wire::decode(&properties).unwrap().unwrap()
}

#[test]
fn the_table_is_as_complete_as_its_slowest_partition() {
    let mut state = state(2);
    add(&mut state, SourceIdentity::StandardInput);
    for (marks, through) in [
        (&[(1, 100)][..], None),
        (&[(2, 50)], Some(50)),
        (&[(2, 90), (1, 90)], Some(90)),
        (&[], Some(90)),
        (&[(2, 200)], Some(100)),
    ] {
        state.mark_complete(Some(&completion(marks)));
        assert_eq!(state.complete_through_s(), through, "{marks:?}");
    }
}

#[test]
fn a_partition_that_comes_holds_the_table_and_never_takes_back_what_was_said() {
    let mut state = state(1);
    state.mark_complete(Some(&completion(&[(1, 100)])));
    partition(&mut state);
    state.mark_complete(Some(&completion(&[(1, 200)])));
    assert_eq!(state.complete_through_s(), Some(100));
    state.mark_complete(Some(&completion(&[(2, 60)])));
    assert_eq!(state.complete_through_s(), Some(100));
    state.mark_complete(Some(&completion(&[(2, 160)])));
    assert_eq!(state.complete_through_s(), Some(160));
}

#[test]
fn partitions_that_are_gone_hold_nothing_back() {
    let mut state = state(2);
    state.mark_complete(Some(&completion(&[(1, 100)])));
    let mut without = completion(&[]);
    without.gone.insert(2);
    state.mark_complete(Some(&without));
    assert_eq!(state.complete_through_s(), Some(100));
    without.gone.insert(1);
    state.mark_complete(Some(&without));
    assert_eq!(state.complete_through_s(), Some(100));
}

#[test]
fn another_time_or_none_begins_anew() {
    let mut state = state(1);
    state.mark_complete(Some(&completion(&[(1, 100)])));
    let mut other = completion(&[]);
    other.time = "time".to_owned();
    state.mark_complete(Some(&other));
    assert_eq!(state.complete_through_s(), None);
    other.sources.insert(1, 40);
    state.mark_complete(Some(&other));
    assert_eq!(state.complete_through_s(), Some(40));
    state.mark_complete(None);
    assert_eq!(state.complete, None);
    state.mark_complete(Some(&completion(&[])));
    assert_eq!(state.complete_through_s(), None);
}

#[test]
fn what_an_operator_has_read_again_is_no_longer_complete() {
    let mut state = state(3);
    state.mark_complete(Some(&completion(&[(1, 100), (2, 300), (3, 200)])));
    let mut forgotten = state.clone();
    state.unmark_complete(&BTreeSet::from([2]));
    assert_eq!(state.complete_through_s(), None);
    state.mark_complete(Some(&completion(&[(2, 10)])));
    assert_eq!(state.complete_through_s(), Some(10));

    forgotten.sources.remove(&1);
    forgotten.unmark_complete(&BTreeSet::from([1]));
    assert_eq!(forgotten.complete_through_s(), Some(200));
    assert_eq!(reopened(&forgotten), forgotten);
}

proptest! {
    /// However writers share partitions out, and whenever they start again: the table's mark is the highest that the
    /// lowest of the partitions' ever was, and never goes back.
    #[test]
    fn the_mark_is_the_lowest_of_all_and_never_goes_back(
        steps in proptest::collection::vec(
            (proptest::collection::btree_map(1_u64..8, -5_000_000_000_i64..5_000_000_000, 0..4), proptest::collection::btree_set(1_u64..8, 0..2), any::<bool>()),
            1..60,
        ),
    ) {
        let mut state = state(3);
        let mut marks: HashMap<u64, i64> = HashMap::new();
        let mut expected = None;
        for (mut moved, gone, adds) in steps {
            if adds && state.sources.len() < 7 {
                partition(&mut state);
            }
            moved.retain(|source, _| state.sources.contains_key(source));
            for (source, mark) in &moved {
                let known = marks.entry(*source).or_insert(i64::MIN);
                *known = (*known).max(*mark);
            }
            let counted: Vec<u64> = state.sources.keys().copied().filter(|id| !gone.contains(id)).collect();
            if !counted.is_empty() && counted.iter().all(|id| marks.contains_key(id)) {
                expected = expected.max(counted.iter().map(|id| marks[id]).min());
            }
            let before = state.complete_through_s();
            let step = Completion { gone, sources: moved, ..completion(&[]) };
            state.mark_complete(Some(&step));
            prop_assert!(state.complete_through_s() >= before);
            prop_assert_eq!(state.complete_through_s(), expected);
            let again = reopened(&state);
            prop_assert_eq!(&again, &state);
            state = again;
        }
    }
}
