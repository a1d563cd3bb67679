use std::collections::BTreeSet;

use arrow_array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use bytes::Bytes;
use frazil_table::{
    commit::Advance,
    state::{KafkaIdentity, KafkaTopic},
};
use uuid::Uuid;

use super::*;
use crate::record::{MessageSpan, SourceInfo};

const NOW: i64 = 1_000 * MICROS_A_SECOND;

fn completeness(time: EventTime, delay: Duration) -> Completeness {
    let policy = CompletePolicy {
        time,
        delay,
        idle: Duration::from_mins(1),
    };
    Completeness::new(&policy, &State::new(Uuid::nil()))
}

fn kafka() -> SourceIdentity {
    SourceIdentity::Kafka(KafkaIdentity {
        topic: KafkaTopic {
            cluster_id: "c".to_owned(),
            topic_id: None,
            name: "web".to_owned(),
        },
        partition: 0,
        leader_epoch: None,
    })
}

fn moves(sources: &[(u64, SourceIdentity)], quiet: &[(u64, i64)]) -> Moves {
    let advances = sources.iter().map(|(source, identity)| Advance {
        source: *source,
        new: false,
        identity: identity.clone(),
        start: 0,
        end: 1,
    });
    Moves {
        sources_version: 9,
        advances: advances.collect(),
        has_blocks: true,
        quiet: quiet.iter().copied().collect(),
        gone: BTreeSet::new(),
    }
}

fn block(source: u64, times_ms: &[Option<i64>]) -> RecordBlock {
    let message = |at: &Option<i64>| MessageSpan {
        timestamp_ms: *at,
        key: None,
        headers: 0..0,
    };
    RecordBlock {
        source: Arc::new(SourceInfo {
            id: source,
            name: "web".into(),
            partition: 0,
        }),
        range: 0..times_ms.len() as u64,
        bytes: Bytes::new(),
        records: Vec::new(),
        oversize: Vec::new(),
        messages: Some(Box::new(Messages {
            of_records: times_ms.iter().map(message).collect(),
            ..Messages::default()
        })),
        header: None,
        identity: kafka(),
    }
}

fn rows(times: &[Option<i64>]) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; times.len()]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("time", times, true)]).unwrap()
}

#[test]
fn a_partition_is_complete_through_its_newest_record_less_the_delay() {
    let told = completeness(EventTime::Message, Duration::from_millis(1_500));
    let seen = told.event_times(rows(&[]).schema_ref()).unwrap();
    let mut times = Times::default();
    for (source, at_ms) in [
        (1, [Some(100_000), None]),
        (2, [Some(90_000), Some(95_000)]),
    ] {
        seen.see(&block(source, &at_ms), &rows(&[]), NOW, &mut times);
    }
    let mut other = Times::default();
    seen.see(&block(1, &[Some(99_000)]), &rows(&[]), NOW, &mut other);
    seen.see(&block(3, &[None]), &rows(&[]), NOW, &mut other);
    times.add(other);
    let sources = [(1, kafka()), (2, kafka()), (3, kafka())];
    let completion = told.of(&moves(&sources, &[(3, 70 * MICROS_A_SECOND)]), &times);
    assert_eq!(
        completion.sources,
        BTreeMap::from([(1, 98), (2, 93), (3, 70)])
    );
    assert_eq!(
        (completion.time.as_str(), completion.late_records),
        ("$timestamp", 0)
    );
}

#[test]
fn the_time_may_be_a_columns_and_files_beside_do_not_count() {
    let told = completeness(EventTime::Column("time".to_owned()), Duration::ZERO);
    let seen = told.event_times(rows(&[]).schema_ref()).unwrap();
    let mut times = Times::default();
    let at = |seconds: i64| Some(seconds * MICROS_A_SECOND - 1);
    seen.see(
        &block(1, &[]),
        &rows(&[at(50), None, at(40)]),
        NOW,
        &mut times,
    );
    seen.see(&block(2, &[]), &rows(&[at(60)]), NOW, &mut times);
    seen.see(&block(3, &[]), &rows(&[None]), NOW, &mut times);
    let sources = [
        (1, kafka()),
        (2, SourceIdentity::StandardInput),
        (3, kafka()),
    ];
    let completion = told.of(&moves(&sources, &[]), &times);
    assert_eq!(completion.sources, BTreeMap::from([(1, 49)]));
    let gone = told.event_times(&Schema::empty());
    assert!(gone.is_err());
}

#[test]
fn a_time_ahead_of_the_clock_counts_as_the_clocks() {
    let told = completeness(EventTime::Message, Duration::ZERO);
    let seen = told.event_times(&Schema::empty()).unwrap();
    let mut times = Times::default();
    seen.see(
        &block(1, &[Some(i64::MAX), Some(5)]),
        &rows(&[]),
        NOW,
        &mut times,
    );
    let completion = told.of(&moves(&[(1, kafka())], &[]), &times);
    assert_eq!(completion.sources, BTreeMap::from([(1, 1_000)]));
}

#[test]
fn what_is_older_than_what_was_said_is_late() {
    for time in [EventTime::Message, EventTime::Column("time".to_owned())] {
        let told = completeness(time, Duration::ZERO);
        let seen = told.event_times(rows(&[]).schema_ref()).unwrap();
        let late = |seen: &EventTimes| {
            let mut times = Times::default();
            let at_ms = [Some(10_000), Some(20_000), None];
            let at = at_ms.map(|at| at.map(|at| at * 1_000));
            seen.see(&block(1, &at_ms), &rows(&at), NOW, &mut times);
            times.late_records
        };
        assert_eq!((late(&seen), told.through_micros()), (0, None));
        told.committed(Some(10));
        assert_eq!(late(&seen), 0);
        told.committed(Some(11));
        assert_eq!(late(&seen), 1);
        told.committed(None);
        told.committed(Some(30));
        assert_eq!(
            (late(&seen), told.through_micros()),
            (2, Some(30 * MICROS_A_SECOND))
        );
    }
}
