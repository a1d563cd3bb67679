//! The whole write path, with real bytes, over simulated storage, catalog, files, clock and ids: from
//! lines to Parquet files and their commits, under every fault at every call.
//!
//! The oracle is the numbered lines. Data files are read by parquet's own reader, tables by
//! Iceberg's own parsers, and frazil's counters are not looked at.

mod dedup;
mod files;
mod lines;
mod run;

use frazil_sim::{
    fault::{Event, Fault, FaultPlan, RandomFaults},
    foreign::{Deed, ForeignAction},
    scenario::table_name,
    sweep::{Sweep, seeds},
};

use crate::run::{Scene, run};

/// Seeds in an ordinary run.
const SEEDS: u64 = 200;

fn interleaved() -> FaultPlan {
    FaultPlan {
        latency_ms_max: 3,
        ..FaultPlan::none()
    }
}

#[test]
fn without_faults_every_line_is_written_once() {
    run(&Scene::one_writer(), 1, FaultPlan::none()).assert_holds("one writer");
    for seed in 0..3 {
        run(&Scene::two_writers(), seed, interleaved()).assert_holds("two writers");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..2 {
        let one = run(&Scene::two_writers(), seed, random());
        let other = run(&Scene::two_writers(), seed, random());
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.trace_hash, other.trace_hash);
    }
}

#[test]
fn every_fault_at_every_call_is_survived() {
    every_fault(&Scene::one_writer(), &Fault::ALL, |_| false).assert_holds();
}

/// Each of these faults at every call of the run without faults, until there is enough.
fn every_fault(scene: &Scene, faults: &[Fault], enough: impl Fn(&Sweep) -> bool + Sync) -> Sweep {
    let baseline = run(scene, 1, FaultPlan::none());
    let mut jobs = Vec::new();
    for (call, class) in baseline.world.call_classes().into_iter().enumerate() {
        for fault in faults.iter().filter(|fault| fault.applies_to(class)) {
            jobs.push((call as u64, *fault));
        }
    }
    assert!(jobs.len() > 100, "only {} runs", jobs.len());
    let one = |(call, fault): &(u64, Fault)| {
        let report = run(scene, 1, FaultPlan::once(*call, Event::Fault(*fault)));
        (format!("{fault:?} at call {call}"), report)
    };
    Sweep::until(&jobs, one, enough)
}

/// The negative control: what the checkers see is lost where storage confirms what it does not keep.
#[test]
fn a_storage_that_loses_what_it_confirmed_is_caught() {
    let scene = Scene::one_writer();
    let lying = |at| FaultPlan {
        acknowledges_early: true,
        at: vec![(at, Event::Fault(Fault::CrashAfter))],
        ..FaultPlan::none()
    };
    let calls: Vec<u64> = (0..run(&scene, 1, FaultPlan::none()).world.calls()).collect();
    let sweep = Sweep::until(
        &calls,
        |call| {
            (
                format!("crash at call {call}"),
                run(&scene, 1, lying(*call)),
            )
        },
        |sweep| sweep.failed > 0,
    );
    assert!(sweep.failed > 0, "none of {} runs failed", sweep.runs);
}

/// Two writers, files that grow and are renamed between the lives of a writer, clocks an hour
/// apart, faults, and other engines' deeds.
fn random() -> FaultPlan {
    let tables = [table_name(), table_name().dead_letters()];
    // What other engines rewrite here would have to be Parquet.
    let deeds = [Deed::SetProperty, Deed::ExpireAllButOne, Deed::Append];
    let actions = deeds
        .into_iter()
        .flat_map(|deed| tables.clone().map(|table| ForeignAction { table, deed }));
    FaultPlan {
        random: Some(RandomFaults {
            per_mille: 25,
            faults_max: 8,
            foreign_per_mille: 10,
            foreign_max: 3,
            foreign: actions.collect(),
            faults: Fault::ALL.to_vec(),
        }),
        ..interleaved()
    }
}

#[test]
fn faults_and_other_engines_at_random() {
    let seeds: Vec<u64> = seeds(SEEDS).collect();
    let sweep = Sweep::over(&seeds, |seed| {
        let scene = if seed % 2 == 0 {
            Scene::two_writers()
        } else {
            Scene::rotating()
        };
        (format!("seed {seed}"), run(&scene, *seed, random()))
    });
    sweep.assert_holds();
}
