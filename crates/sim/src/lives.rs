//! Writers that are restarted until they are done, whatever they are made of, and what came of a run.

use std::{future::Future, time::Duration};

use frazil_dataset::TableName;
use futures::future::join_all;
use rand::Rng;

use crate::{
    invariants::{Checker, End, Violation},
    oracle::Truth,
    world::{Process, World},
    writer::Told,
};

/// Lives that a writer may have in a run: more means that it gets nowhere.
pub const LIVES_MAX: u64 = 60;

/// One life of one writer.
#[derive(Debug, Clone)]
pub struct Life {
    /// The process that it is lived in.
    pub process: Process,
    /// Which of the writers, from 0.
    pub lane: u64,
    /// The how manieth life of this writer, from 0.
    pub number: u64,
}

/// How a life ended, other than by a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeEnd {
    /// Everything is committed.
    Complete,
    /// In good order, to be followed by another.
    Leaves,
    /// With an error that trying again may mend.
    Fails(String),
    /// With an error that a person must decide about.
    Stops {
        /// Whether it says what happened, rather than that something did.
        named: bool,
        /// The error.
        error: String,
    },
}

/// Runs so many writers at once until each of them ends.
pub async fn all<F>(
    world: &World,
    writers: u64,
    clock_skew_max: Duration,
    live: impl Fn(Life) -> F,
) -> Vec<End>
where
    F: Future<Output = LifeEnd>,
{
    let live = &live;
    join_all((0..writers).map(|lane| one(world, lane, clock_skew_max, live))).await
}

/// With faults off and all late requests landed, one more writer, which must find all as it should
/// be, finish what is left, or say what is wrong.
pub async fn last<F>(world: &World, lane: u64, live: impl Fn(Life) -> F) -> End
where
    F: Future<Output = LifeEnd>,
{
    world.stop_faults();
    world.land_late_requests();
    one(world, lane, Duration::ZERO, &live).await
}

async fn one<F>(
    world: &World,
    lane: u64,
    clock_skew_max: Duration,
    live: &impl Fn(Life) -> F,
) -> End
where
    F: Future<Output = LifeEnd>,
{
    let skew_max = clock_skew_max.as_micros() as i64;
    for number in 0..LIVES_MAX {
        if world.is_exhausted() {
            break;
        }
        let skew = world.random(|rng| rng.random_range(-skew_max..=skew_max));
        let process = world.start_process(skew);
        let life = Life {
            process: process.clone(),
            lane,
            number,
        };
        let Ok(end) = process.run(live(life)).await else {
            continue;
        };
        world.note(&format!("process {} ends: {end:?}", process.id()));
        match end {
            LifeEnd::Complete => return End::Complete,
            LifeEnd::Leaves | LifeEnd::Fails(_) => {}
            LifeEnd::Stops { named, error } => return End::Stopped { named, error },
        }
    }
    End::OutOfLives
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// The error that stopped the last start, if one did: a person must decide.
    pub stopped: Option<String>,
    /// Seed and trace.
    pub trace: String,
    /// Equal for equal runs.
    pub trace_hash: u64,
    /// The world after the run.
    pub world: World,
}

/// Checks what is durable after a run against the truth.
pub fn report(
    world: World,
    end: End,
    table: &TableName,
    truth: &dyn Truth,
    told: &[Told],
) -> Report {
    let violations = world.durable(|durable| Checker::new(durable, table, truth, told).check(&end));
    Report {
        violations,
        stopped: match end {
            End::Stopped { error, .. } => Some(error),
            End::Complete | End::OutOfLives => None,
        },
        trace: world.report(),
        trace_hash: world.trace_hash(),
        world,
    }
}

impl Report {
    /// Panics with seed, trace and all that was found, if anything was.
    ///
    /// # Panics
    /// A violation.
    pub fn assert_holds(&self, what: &str) {
        assert!(self.violations.is_empty(), "{what}: {}", self.describe());
    }

    /// Seed, trace and all that was found.
    pub fn describe(&self) -> String {
        let found: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        let stopped = self
            .stopped
            .as_ref()
            .map_or_else(String::new, |error| format!("\nstopped: {error}"));
        format!("{}\n{}{stopped}", self.trace, found.join("\n"))
    }
}
