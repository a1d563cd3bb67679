//! Scenarios: model writers in a world, restarted until they are done, and the checkers over the rest.

use std::time::Duration;

use frazil_dataset::TableName;
use frazil_table::{
    commit::{Guards, PositionChanges},
    error::{Remedy, TableError, TableErrorKind},
};
use futures::future::join;
use rand::Rng;

use crate::{
    fault::FaultPlan,
    lives::{self, LIVES_MAX, Life, LifeEnd, Report},
    oracle::{Definition, Oracle},
    world::{World, simulate},
    writer::{self, CatalogKind, Ended, Journal, Writer, WriterOptions},
};

/// What is run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The sources.
    pub oracle: Oracle,
    /// How many writers write all of them at once.
    pub writers: u64,
    /// How a writer behaves.
    pub options: WriterOptions,
    /// A writer leaves after so many checkpoints, and another takes its place, as at an update.
    pub checkpoints_a_life: u64,
    /// Clocks are up to so far apart.
    pub clock_skew_max: Duration,
    /// How many times an operator raises the epoch while the writers write.
    pub operator_actions: u64,
}

/// The name of the simulated table.
pub fn table_name() -> TableName {
    TableName {
        namespace: vec!["logs".to_owned()],
        table: "web".to_owned(),
    }
}

impl Scenario {
    /// One writer and two sources, over a pointer catalog.
    pub fn one_writer() -> Self {
        Self {
            oracle: Oracle::new(&[("a", 14), ("b", 8)]),
            writers: 1,
            options: WriterOptions {
                table: table_name(),
                catalog: CatalogKind::Pointer,
                guards: Guards::default(),
                batch_max: 5,
                finished_sources_max: 0,
                properties: Vec::new(),
            },
            checkpoints_a_life: 3,
            clock_skew_max: Duration::ZERO,
            operator_actions: 0,
        }
    }

    /// Two writers that share nothing but the table, both on both sources.
    pub fn two_writers() -> Self {
        Self {
            writers: 2,
            ..Self::one_writer()
        }
    }

    /// One writer of a few records: for sweeps over what does not depend on how many there are.
    pub fn short() -> Self {
        Self {
            oracle: Oracle::new(&[("a", 7), ("b", 3)]),
            checkpoints_a_life: 2,
            ..Self::one_writer()
        }
    }

    /// Two writers, and an operator who acts in between.
    pub fn operated() -> Self {
        Self {
            operator_actions: 2,
            ..Self::two_writers()
        }
    }

    /// The same over another catalog.
    #[must_use]
    pub fn over(mut self, catalog: CatalogKind) -> Self {
        self.options.catalog = catalog;
        self
    }

    /// The same with other guards.
    #[must_use]
    pub fn with_guards(mut self, guards: Guards) -> Self {
        self.options.guards = guards;
        self
    }
}

/// Runs a scenario to its end and checks the invariants.
pub fn run(scenario: &Scenario, seed: u64, plan: FaultPlan) -> Report {
    let world = World::new(seed, plan);
    let journal = Journal::default();
    let end = simulate(async {
        let live = |life: Life| live(scenario, &journal, life);
        let writers = lives::all(&world, scenario.writers, scenario.clock_skew_max, live);
        join(writers, run_operator(scenario, &world)).await;
        Box::pin(lives::last(&world, scenario.writers, live)).await
    });
    lives::report(
        world,
        end,
        &scenario.options.table,
        &scenario.oracle,
        &journal.entries(),
    )
}

/// One life of one of the scenario's writers.
pub async fn live(scenario: &Scenario, journal: &Journal, life: Life) -> LifeEnd {
    // The definition changes at every restart.
    let definition = Definition(life.number * 100 + life.lane);
    let process = &life.process;
    let writer = Writer::new(
        process,
        &scenario.oracle,
        definition,
        &scenario.options,
        journal,
    );
    match writer.write(scenario.checkpoints_a_life).await {
        Ok(Ended::Complete) => LifeEnd::Complete,
        Ok(Ended::Leaves) => LifeEnd::Leaves,
        Err(error) => failed(&error),
    }
}

/// What an error of the commit layer means for a writer's lives.
pub fn failed(error: &TableError) -> LifeEnd {
    let text = format!("failed to {error}");
    match error.remedy() {
        Remedy::Retry => LifeEnd::Fails(text),
        Remedy::Usage | Remedy::Stop => LifeEnd::Stops {
            named: !matches!(error.kind, TableErrorKind::Rejected | TableErrorKind::Usage),
            error: text,
        },
    }
}

/// Raises the epoch now and then, again and again until it is done.
async fn run_operator(scenario: &Scenario, world: &World) {
    let changes = PositionChanges {
        changes: Vec::new(),
        who: "operator".to_owned(),
        why: "simulated".to_owned(),
        accept_history: true,
    };
    for _ in 0..scenario.operator_actions {
        let pause = world.random(|rng| rng.random_range(10..400));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        for _ in 0..LIVES_MAX {
            let process = world.start_process(0);
            let committer = writer::committer(&process, &scenario.options);
            let acted = committer.set_positions(&scenario.options.table, &changes);
            match process.run(acted).await {
                Err(_) => {}
                Ok(Ok(_)) => break,
                Ok(Err(error)) => world.note(&format!("process {} fails: {error}", process.id())),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
