//! Exhaustive: each fault, and each deed of another engine, at each call, one at a time.

use frazil_sim::{
    fault::FaultPlan,
    foreign::Deed,
    scenario::{self, Scenario, table_name},
    sweep::{Runs, Sweep},
    writer::CatalogKind,
};

/// Without D's own note of what it took, the first of them loses dead letters.
const SEEDS_OF_A_TABLE_GONE_BACK: u64 = 3;

fn interleaved() -> FaultPlan {
    FaultPlan {
        latency_ms_max: 3,
        ..FaultPlan::none()
    }
}

#[test]
fn without_faults_everything_is_committed_once() {
    scenario::run(&Scenario::one_writer(), 1, FaultPlan::none()).assert_holds("one writer");
    let operated = |_| (Scenario::operated(), interleaved());
    Runs::every_seed(0..20, operated).sweep().assert_holds();
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..5 {
        let (scenario, plan) = crate::random::drawn(seed);
        let one = scenario::run(&scenario, seed, plan.clone());
        let other = scenario::run(&scenario, seed, plan);
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.trace_hash, other.trace_hash);
    }
    let (scenario, plan) = crate::random::drawn(0);
    let one = scenario::run(&scenario, 0, plan.clone());
    assert_ne!(one.trace_hash, scenario::run(&scenario, 1, plan).trace_hash);
}

#[test]
fn one_writer_survives_every_fault_at_every_call() {
    let runs = Runs::every_fault(&Scenario::one_writer(), 1, &FaultPlan::none());
    assert!(runs.len() > 500, "only {} runs", runs.len());
    runs.sweep().assert_holds();
    let rest = Scenario::short().over(CatalogKind::Rest);
    Runs::every_fault(&rest, 1, &FaultPlan::none())
        .sweep()
        .assert_holds();
}

#[test]
fn two_writers_survive_every_fault_at_every_call() {
    let runs = Runs::every_fault(&Scenario::two_writers(), 2, &interleaved());
    assert!(runs.len() > 500, "only {} runs", runs.len());
    runs.sweep().assert_holds();
    let rest = Scenario::operated().over(CatalogKind::Rest);
    Runs::every_fault(&rest, 3, &interleaved())
        .sweep()
        .assert_holds();
}

/// Both tables, each deed before each call.
fn deeds(deeds: impl IntoIterator<Item = Deed>) -> Vec<(Deed, bool, Sweep)> {
    let mut sweeps = Vec::new();
    for deed in deeds {
        for (dead, table) in [(false, table_name()), (true, table_name().dead_letters())] {
            let runs = Runs::every_deed(&Scenario::short(), 1, &FaultPlan::none(), deed, &table);
            sweeps.push((deed, dead, runs.sweep()));
        }
    }
    sweeps
}

#[test]
fn other_engines_welcome_deeds_stop_nobody() {
    for (deed, _, sweep) in deeds(Deed::WELCOME) {
        sweep.assert_holds();
        assert_eq!(sweep.stopped, 0, "{deed:?}");
    }
}

#[test]
fn other_engines_harm_is_survived_or_named() {
    let harm = Deed::ALL.into_iter().filter(|deed| !deed.is_welcome());
    for (deed, dead, sweep) in deeds(harm) {
        sweep.assert_holds();
        // A dead-letter table that is gone is made anew, loudly; it has no sources.
        let may_go_on = dead && matches!(deed, Deed::Drop | Deed::LoseFinished);
        assert!(
            may_go_on || sweep.stopped > 0,
            "{deed:?}, dead letters: {dead}"
        );
    }
}

/// A writer in the middle of handing over a dead letter that its table, gone back, gives out no more.
#[test]
fn a_table_that_goes_back_under_two_writers_loses_no_dead_letters() {
    for seed in 0..SEEDS_OF_A_TABLE_GONE_BACK {
        let (scenario, deed) = (Scenario::two_writers(), Deed::Rewind(1));
        let runs = Runs::every_deed(&scenario, seed, &interleaved(), deed, &table_name());
        runs.sweep().assert_holds();
    }
}
