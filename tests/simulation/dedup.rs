//! Deduplication under the same faults: each key is live once (D1), and what was dropped has a live row of its key (C7).
//!
//! The keys are the oracle's, by the lines' numbers; all times are within the window.

use frazil::dedup::DedupGuards;
use frazil_sim::{
    fault::{Fault, FaultPlan},
    foreign::Deed,
    sweep::{Sweep, seeds},
};

use crate::{
    every_fault, interleaved, random,
    run::{Scene, run},
};

/// Seeds in an ordinary run.
const SEEDS: u64 = 100;

/// Records of a key are all in one file: among several writers, and a commit that lands after its writer is gone is
/// another's, deduplication holds for no others.
fn within_a_file(number: u64) -> u64 {
    number / 1_000 * 1_000 + number % 7
}

/// Records of a key are in both files.
fn across_files(number: u64) -> u64 {
    number % 1_000 % 11
}

fn without_guard(change: fn(&mut DedupGuards)) -> DedupGuards {
    let mut guards = DedupGuards::default();
    change(&mut guards);
    guards
}

#[test]
fn each_key_is_live_once_without_faults() {
    for seed in 0..5 {
        let scene = Scene::one_writer().with_dedup(across_files);
        run(&scene, seed, FaultPlan::none()).assert_holds("across files");
        let scene = Scene::two_writers().with_dedup(within_a_file);
        run(&scene, seed, interleaved()).assert_holds("two writers");
    }
}

#[test]
fn each_key_is_live_once_under_every_fault_at_every_call() {
    let scene = Scene::one_writer().with_dedup(within_a_file);
    every_fault(&scene, &Fault::ALL, |_| false).assert_holds();
    let scene = Scene::one_writer().with_dedup(across_files);
    let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::LostReply];
    every_fault(&scene, &faults, |_| false).assert_holds();
}

#[test]
fn each_key_is_live_once_under_faults_at_random() {
    over_seeds(DedupGuards::default(), |_| false).assert_holds();
}

fn over_seeds(guards: DedupGuards, enough: impl Fn(&Sweep) -> bool + Sync) -> Sweep {
    let seeds: Vec<u64> = seeds(SEEDS).collect();
    let one = |seed: &u64| {
        let scene = if seed.is_multiple_of(2) {
            Scene::two_writers()
        } else {
            Scene::rotating()
        };
        let scene = scene.with_dedup(within_a_file).with_dedup_guards(guards);
        let mut plan = random();
        if let Some(random) = &mut plan.random {
            // What other engines add here is no Parquet, and the window's keys are read from it.
            random.foreign.retain(|action| action.deed != Deed::Append);
        }
        (format!("seed {seed}"), run(&scene, *seed, plan))
    };
    Sweep::until(&seeds, one, enough)
}

/// The negative controls: each guard off, and the checkers see it.
#[test]
fn a_window_that_begins_empty_lets_duplicates_through() {
    let guards = without_guard(|guards| guards.fills = false);
    let scene = Scene::one_writer()
        .with_dedup(within_a_file)
        .with_dedup_guards(guards);
    let faults = [Fault::CrashBefore, Fault::CrashAfter];
    let sweep = every_fault(&scene, &faults, |sweep| sweep.violated.contains("D1"));
    assert!(sweep.violated.contains("D1"), "{:?}", sweep.violated);
}

#[test]
fn a_window_that_is_kept_over_a_fence_loses_first_records() {
    let guards = without_guard(|guards| guards.forgets = false);
    let sweep = over_seeds(guards, |sweep| sweep.violated.contains("C7"));
    assert!(sweep.violated.contains("C7"), "{:?}", sweep.violated);
}
