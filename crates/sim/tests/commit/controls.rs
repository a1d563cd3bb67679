//! Negative controls: each guard switched off, in turn, must be missed by a checker. Where none
//! is, either the guard or the simulation is good for nothing.
//!
//! That nothing breaks with all guards on is shown by the sweeps. Where one guard stands behind
//! another, the one behind is off in both halves of the comparison.

use frazil_sim::{
    fault::FaultPlan,
    foreign::Deed,
    scenario::{Scenario, table_name},
    sweep::Runs,
    writer::CatalogKind,
};
use frazil_table::commit::Guards;

const ALL: Guards = Guards {
    position: true,
    own_id: true,
    epoch: true,
    sources_version: true,
    table_uuid: true,
    history: true,
    state_missing: true,
    finished: true,
    kept: true,
    files: true,
    format_version: true,
    requirements: true,
    unknown_deletes_nothing: true,
    outbox_step: true,
    dead_letter_history: true,
    inputs_live: true,
};

fn interleaved() -> FaultPlan {
    FaultPlan {
        latency_ms_max: 3,
        ..FaultPlan::none()
    }
}

fn assert_breaks(invariant: &'static str, runs: &Runs) {
    let sweep = runs.search(invariant);
    let found = sweep.violated.contains(invariant);
    assert!(
        found,
        "{invariant} holds in {} runs; broken are {:?}",
        sweep.runs, sweep.violated
    );
}

fn two_at_once(guards: Guards) -> Runs {
    Runs::every_seed(0..12, |_| {
        (Scenario::two_writers().with_guards(guards), interleaved())
    })
}

fn every_fault(guards: Guards) -> Runs {
    Runs::every_fault(
        &Scenario::short().with_guards(guards),
        1,
        &FaultPlan::none(),
    )
}

fn every_deed(guards: Guards, deed: Deed) -> Runs {
    let scenario = Scenario::short().with_guards(guards);
    Runs::every_deed(&scenario, 1, &FaultPlan::none(), deed, &table_name())
}

#[test]
fn position() {
    assert_breaks(
        "C1",
        &two_at_once(Guards {
            position: false,
            ..ALL
        }),
    );
}

#[test]
fn own_id() {
    assert_breaks(
        "C6",
        &every_fault(Guards {
            own_id: false,
            ..ALL
        }),
    );
}

#[test]
fn epoch() {
    let scenario = Scenario::operated().with_guards(Guards {
        epoch: false,
        ..ALL
    });
    let runs = Runs::every_seed(0..12, |_| (scenario.clone(), interleaved()));
    assert_breaks("E1", &runs);
}

#[test]
fn table_uuid() {
    // A table made like ours has neither our history nor our dead-letter table.
    let behind = Guards {
        history: false,
        dead_letter_history: false,
        ..ALL
    };
    every_deed(behind, Deed::RecreateLike)
        .sweep()
        .assert_holds();
    let guards = Guards {
        table_uuid: false,
        ..behind
    };
    assert_breaks("E1", &every_deed(guards, Deed::RecreateLike));
}

#[test]
fn history() {
    assert_breaks(
        "H1",
        &every_deed(
            Guards {
                history: false,
                ..ALL
            },
            Deed::Rollback,
        ),
    );
}

#[test]
fn state_missing() {
    // A state that begins anew has given out no dead letters, and the table for them has some.
    let behind = Guards {
        dead_letter_history: false,
        ..ALL
    };
    every_deed(behind, Deed::RemoveState).sweep().assert_holds();
    let guards = Guards {
        state_missing: false,
        ..behind
    };
    assert_breaks("C8", &every_deed(guards, Deed::RemoveState));
}

#[test]
fn finished() {
    let guards = Guards {
        finished: false,
        ..ALL
    };
    let runs = Runs::every_seed(0..12, |_| {
        let scenario = Scenario::one_writer().with_guards(guards);
        (scenario, FaultPlan::none())
    });
    assert_breaks("C8", &runs);
}

#[test]
fn kept() {
    let guards = Guards { kept: false, ..ALL };
    assert_breaks("L1", &every_deed(guards, Deed::RemoveOrphans));
}

#[test]
fn files() {
    assert_breaks(
        "F1",
        &every_deed(
            Guards {
                files: false,
                ..ALL
            },
            Deed::DropColumn,
        ),
    );
}

#[test]
fn format_version() {
    let guards = Guards {
        format_version: false,
        ..ALL
    };
    assert_breaks("N1", &every_deed(guards, Deed::UpgradeFormat));
}

#[test]
fn requirements() {
    let guards = Guards {
        requirements: false,
        ..ALL
    };
    let scenario = Scenario::two_writers()
        .over(CatalogKind::Rest)
        .with_guards(guards);
    let runs = Runs::every_seed(0..12, |_| (scenario.clone(), interleaved()));
    assert_breaks("C1", &runs);
}

#[test]
fn unknown_deletes_nothing() {
    let guards = Guards {
        unknown_deletes_nothing: false,
        ..ALL
    };
    assert_breaks("C6", &every_fault(guards));
}

#[test]
fn outbox_step() {
    assert_breaks(
        "C8",
        &every_fault(Guards {
            outbox_step: false,
            ..ALL
        }),
    );
}

#[test]
fn dead_letter_history() {
    let guards = Guards {
        dead_letter_history: false,
        ..ALL
    };
    let scenario = Scenario::short().with_guards(guards);
    let table = table_name().dead_letters();
    let runs = Runs::every_deed(&scenario, 1, &FaultPlan::none(), Deed::Rollback, &table);
    assert_breaks("C2", &runs);
}

/// Not a guard of ours: what is asked of the catalog.
#[test]
fn a_catalog_that_looks_and_then_acts() {
    let plan = FaultPlan {
        swaps_in_two_steps: true,
        ..interleaved()
    };
    let runs = Runs::every_seed(0..40, |_| (Scenario::two_writers(), plan.clone()));
    assert_breaks("C1", &runs);
}

/// Not a guard of ours: what is asked of the storage.
#[test]
fn a_storage_that_acknowledges_early() {
    let plan = FaultPlan {
        acknowledges_early: true,
        ..FaultPlan::none()
    };
    assert_breaks("C5", &Runs::every_fault(&Scenario::short(), 1, &plan));
}
