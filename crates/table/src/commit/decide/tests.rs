use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    commit::Counts,
    state::{LastCommit, SourceIdentity, complete::Completion},
};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn state(positions: &[(u64, u64)]) -> State {
    let mut state = State::new(id(1));
    for (source, position) in positions {
        state.sources.insert(
            *source,
            SourceState {
                identity: SourceIdentity::StandardInput,
                position: *position,
                commit: id(100),
            },
        );
        state.sources_version = *source;
    }
    state.last_commit = Some(LastCommit {
        id: id(100),
        snapshot_id: 1,
        sequence_number: 1,
    });
    state
}

#[test]
fn a_new_source_never_takes_an_id_that_was_given_out() {
    let mut state = state(&[(1, 10), (2, 20)]);
    // It was read to its end, and moved to the file of finished sources.
    state.sources.remove(&2);
    let guards = Guards {
        sources_version: false,
        ..Guards::default()
    };
    let again = checkpoint(vec![new(2, 20)], 1);
    let decision = decide_with(&state, &again, &guards);
    assert!(matches!(decision, Decision::Fenced(_)), "{decision:?}");
}

fn advance(source: u64, start: u64, end: u64) -> Advance {
    Advance {
        source,
        new: false,
        identity: SourceIdentity::StandardInput,
        start,
        end,
    }
}

fn new(source: u64, end: u64) -> Advance {
    Advance {
        new: true,
        ..advance(source, 0, end)
    }
}

fn checkpoint(advances: Vec<Advance>, sources_version: u64) -> Checkpoint {
    Checkpoint {
        id: id(200),
        table_uuid: id(1),
        epoch: 0,
        sources_version,
        advances,
        data_files: Vec::new(),
        dead_letters: None,
        counts: Counts::default(),
        completion: None,
    }
}

#[test]
fn starts_at_the_committed_positions_are_accepted_whole() {
    let before = state(&[(1, 10), (2, 20)]);
    let mut asked = checkpoint(vec![advance(1, 10, 15), advance(2, 20, 20), new(3, 7)], 2);
    asked.dead_letters = Some("m".to_string());
    let Decision::Commit(after) = decide(&before, &asked) else {
        panic!("{:?}", decide(&before, &asked))
    };
    let positions: Vec<_> = after
        .sources
        .iter()
        .map(|(id, s)| (*id, s.position))
        .collect();
    assert_eq!(positions, [(1, 15), (2, 20), (3, 7)]);
    assert_eq!(after.sources_version, 3);
    assert!(after.sources.values().all(|s| s.commit == id(200)));
    assert_eq!(after.dead_letters.outbox[&1], "m");
    assert_eq!(after.dead_letters.next, 2);
}

#[test]
fn a_checkpoint_that_is_in_the_state_is_already_committed() {
    let before = state(&[(1, 10), (2, 20)]);
    let asked = checkpoint(vec![advance(1, 10, 15), advance(2, 20, 25)], 2);
    let mut after = *match decide(&before, &asked) {
        Decision::Commit(after) => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(decide(&after, &asked), Decision::AlreadyCommitted);
    // Another moved one of its sources on, and an operator raised the epoch.
    after.sources.get_mut(&1).unwrap().commit = id(300);
    after.epoch += 1;
    assert_eq!(decide(&after, &asked), Decision::AlreadyCommitted);
    after.sources.get_mut(&2).unwrap().commit = id(300);
    after.last_commit.as_mut().unwrap().id = id(200);
    assert_eq!(decide(&after, &asked), Decision::AlreadyCommitted);
}

#[test]
fn all_behind_is_superseded_and_anything_else_is_fenced() {
    let before = state(&[(1, 10), (2, 20)]);
    let cases = [
        (vec![advance(1, 5, 10), advance(2, 20, 20)], true),
        (vec![advance(1, 0, 9)], true),
        (vec![advance(1, 5, 11)], false),
        (vec![advance(1, 5, 10), advance(2, 20, 21)], false),
        (vec![advance(1, 12, 15)], false),
        (vec![advance(9, 0, 5)], false),
        (vec![advance(1, 5, 10), new(3, 4)], false),
    ];
    for (advances, superseded) in cases {
        let decision = decide(&before, &checkpoint(advances.clone(), 2));
        assert_eq!(
            decision == Decision::Superseded,
            superseded,
            "{advances:?}: {decision:?}"
        );
        assert_eq!(
            matches!(decision, Decision::Fenced(_)),
            !superseded,
            "{advances:?}"
        );
    }
}

#[test]
fn an_operator_s_action_and_a_source_s_rival_fence() {
    let mut before = state(&[(1, 10)]);
    before.epoch = 1;
    let asked = checkpoint(vec![advance(1, 10, 15)], 1);
    assert!(
        matches!(decide(&before, &asked), Decision::Fenced(reason) if reason.contains("operator"))
    );
    let before = state(&[(1, 10), (2, 5)]);
    let asked = checkpoint(vec![new(2, 5)], 1);
    assert!(
        matches!(decide(&before, &asked), Decision::Fenced(reason) if reason.contains("added"))
    );
    // Without new sources the version does not matter.
    let asked = checkpoint(vec![advance(1, 10, 15)], 1);
    assert!(matches!(decide(&before, &asked), Decision::Commit(_)));
}

#[test]
fn what_contradicts_itself_is_malformed() {
    let before = state(&[(1, 10)]);
    for advances in [
        vec![],
        vec![advance(1, 10, 9)],
        vec![advance(1, 10, 11), advance(1, 10, 11)],
        vec![new(3, 5)],
        vec![new(3, 5), new(2, 5)],
    ] {
        let decision = decide(&before, &checkpoint(advances.clone(), 1));
        assert!(
            matches!(decision, Decision::Malformed(_)),
            "{advances:?}: {decision:?}"
        );
    }
}

#[test]
fn a_mark_goes_with_the_position_that_it_holds_at() {
    let before = state(&[(1, 10), (2, 20)]);
    let mut asked = checkpoint(vec![advance(1, 10, 10)], 2);
    asked.completion = Some(Completion {
        time: "$timestamp".to_string(),
        sources: BTreeMap::from([(1, 5)]),
        gone: BTreeSet::new(),
        late_records: 0,
    });
    let Decision::Commit(after) = decide(&before, &asked) else {
        panic!("{:?}", decide(&before, &asked))
    };
    let marks = after.complete.map(|complete| complete.sources);
    assert_eq!(marks, Some(BTreeMap::from([(1, 5)])));
    asked.advances = vec![advance(2, 20, 20)];
    let decision = decide(&before, &asked);
    assert!(matches!(decision, Decision::Malformed(_)), "{decision:?}");
}

#[test]
fn each_guard_switched_off_lets_its_case_through() {
    let moved = checkpoint(vec![advance(1, 5, 11)], 2);
    let mut operated = state(&[(1, 10), (2, 20)]);
    operated.epoch = 1;
    let rival = checkpoint(vec![new(2, 5)], 1);
    let on = Guards::default();
    let cases = [
        (
            state(&[(1, 10), (2, 20)]),
            moved,
            Guards {
                position: false,
                ..on
            },
        ),
        (
            operated,
            checkpoint(vec![advance(1, 10, 11)], 2),
            Guards { epoch: false, ..on },
        ),
        (
            state(&[(1, 10), (2, 20)]),
            rival,
            Guards {
                sources_version: false,
                position: false,
                ..on
            },
        ),
    ];
    for (before, asked, guards) in cases {
        assert!(matches!(decide(&before, &asked), Decision::Fenced(_)));
        assert!(
            matches!(decide_with(&before, &asked, &guards), Decision::Commit(_)),
            "{guards:?}"
        );
    }
}

proptest! {
    /// However writers propose, the accepted ranges of a source tile its positions.
    #[test]
    fn accepted_ranges_tile(asks in proptest::collection::vec((0_u64..3, 0_u64..20, 0_u64..20), 1..200)) {
        let mut now = state(&[(0, 0), (1, 0), (2, 0)]);
        let mut read = [0_u64; 3];
        for (number, (source, start, length)) in asks.into_iter().enumerate() {
            let mut asked = checkpoint(vec![advance(source, start, start + length)], 2);
            asked.id = id(1_000 + number as u128);
            if let Decision::Commit(next) = decide(&now, &asked) {
                prop_assert_eq!(start, read[source as usize]);
                read[source as usize] += length;
                now = *next;
            }
            prop_assert_eq!(now.sources[&source].position, read[source as usize]);
        }
    }
}
