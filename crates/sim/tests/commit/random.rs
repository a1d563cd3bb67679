//! Everything at once, drawn from a seed.

use std::time::Duration;

use frazil_sim::{
    fault::{Fault, FaultPlan, RandomFaults},
    foreign::{Deed, ForeignAction},
    scenario::{Scenario, table_name},
    sweep::{Runs, seeds},
    writer::CatalogKind,
};

/// Seeds of each of the two families in an ordinary run.
const SEEDS: u64 = 5_000;

/// Writers, catalog, properties and clocks of a seed.
fn scenario(seed: u64) -> Scenario {
    let mut scenario = match seed % 4 {
        0 => Scenario::one_writer(),
        1 | 2 => Scenario::two_writers(),
        _ => Scenario::operated(),
    };
    if seed.is_multiple_of(3) {
        scenario = scenario.over(CatalogKind::Rest);
    }
    if seed.is_multiple_of(5) {
        scenario.options.properties = [
            ("write.metadata.delete-after-commit.enabled", "true"),
            ("write.metadata.previous-versions-max", "2"),
            ("commit.manifest.min-count-to-merge", "2"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    }
    // All that is finished moves, or only some times, or nothing.
    scenario.options.finished_sources_max = [0, 1, 64][(seed % 11 % 3) as usize];
    if seed % 7 < 3 {
        scenario.clock_skew_max = Duration::from_hours(1);
    }
    scenario
}

fn actions(deeds: &[Deed]) -> Vec<ForeignAction> {
    let tables = [table_name(), table_name().dead_letters()];
    let action = |deed: &Deed| {
        let deed = *deed;
        tables.clone().map(|table| ForeignAction { table, deed })
    };
    deeds.iter().flat_map(action).collect()
}

fn plan(foreign: &[Deed], foreign_max: u32) -> FaultPlan {
    FaultPlan {
        random: Some(RandomFaults {
            per_mille: 25,
            faults_max: 8,
            foreign_per_mille: 10,
            foreign_max,
            foreign: actions(foreign),
            faults: Fault::ALL.to_vec(),
        }),
        latency_ms_max: 3,
        ..FaultPlan::none()
    }
}

/// Faults and welcome deeds of a seed.
pub(crate) fn drawn(seed: u64) -> (Scenario, FaultPlan) {
    (scenario(seed), plan(&Deed::WELCOME, 4))
}

#[test]
fn faults_and_welcome_deeds_at_random() {
    Runs::every_seed(seeds(SEEDS), drawn).sweep().assert_holds();
}

/// Faults and one deed of a seed that costs or doubles records unless it is found out.
fn drawn_with_harm(seed: u64) -> (Scenario, FaultPlan) {
    let harm: Vec<Deed> = Deed::ALL
        .into_iter()
        .filter(|deed| !deed.is_welcome())
        .collect();
    let mut scenario = scenario(seed);
    // Who accepts a harm has no claim to the records that it costs or doubles.
    scenario.operator_actions = 0;
    (scenario, plan(&harm, 1))
}

#[test]
fn faults_and_one_harmful_deed_at_random() {
    Runs::every_seed(seeds(SEEDS), drawn_with_harm)
        .sweep()
        .assert_holds();
}

/// A swap that lands late, and a stale answer between: the commit was called fenced, though it is there.
#[test]
fn seeds_that_failed_once() {
    Runs::every_seed(6_152..6_153, drawn).sweep().assert_holds();
    Runs::every_seed(6_588..6_589, drawn_with_harm)
        .sweep()
        .assert_holds();
}
