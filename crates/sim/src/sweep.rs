//! Many runs, on all cores, and what failed among them.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use frazil_dataset::TableName;

use crate::{
    fault::{Event, Fault, FaultPlan},
    foreign::{Deed, ForeignAction},
    lives::Report,
    scenario::{self, Scenario},
};

/// Failing runs of which the whole report is kept. The first is what one looks at.
const REPORTS_MAX: usize = 3;

/// One run of a scenario.
#[derive(Debug, Clone)]
struct Run {
    what: String,
    scenario: Scenario,
    seed: u64,
    plan: FaultPlan,
}

/// Runs of scenarios, not yet run.
#[derive(Debug, Clone, Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Every fault at every call of the run without faults, one at a time, on top of `plan`.
    pub fn every_fault(scenario: &Scenario, seed: u64, plan: &FaultPlan) -> Self {
        let baseline = scenario::run(scenario, seed, plan.clone());
        let mut runs = Vec::new();
        for (call, class) in baseline.world.call_classes().into_iter().enumerate() {
            for fault in Fault::ALL
                .into_iter()
                .filter(|fault| fault.applies_to(class))
            {
                let mut plan = plan.clone();
                plan.at.push((call as u64, Event::Fault(fault)));
                runs.push(Run {
                    what: format!("{fault:?} at call {call}"),
                    scenario: scenario.clone(),
                    seed,
                    plan,
                });
            }
        }
        Self(runs)
    }

    /// A deed of another engine on a table, before every call of the run without it, on top of `plan`.
    pub fn every_deed(
        scenario: &Scenario,
        seed: u64,
        plan: &FaultPlan,
        deed: Deed,
        table: &TableName,
    ) -> Self {
        let baseline = scenario::run(scenario, seed, plan.clone());
        let action = ForeignAction {
            table: table.clone(),
            deed,
        };
        let run = |call| {
            let mut plan = plan.clone();
            plan.at.push((call, Event::Foreign(action.clone())));
            Run {
                what: format!("seed {seed}, {deed:?} of {table} before call {call}"),
                scenario: scenario.clone(),
                seed,
                plan,
            }
        };
        Self((0..baseline.world.calls()).map(run).collect())
    }

    /// Runs that differ in their seed, and in what is drawn from it.
    pub fn every_seed(seeds: Range<u64>, draw: impl Fn(u64) -> (Scenario, FaultPlan)) -> Self {
        let run = |seed| {
            let (scenario, plan) = draw(seed);
            Run {
                what: format!("seed {seed}"),
                scenario,
                seed,
                plan,
            }
        };
        Self(seeds.map(run).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs all of them.
    pub fn sweep(&self) -> Sweep {
        Sweep::over(&self.0, Run::run)
    }

    /// Runs them until one breaks that invariant.
    pub fn search(&self, invariant: &'static str) -> Sweep {
        Sweep::until(&self.0, Run::run, |sweep| {
            sweep.violated.contains(invariant)
        })
    }
}

impl Run {
    fn run(&self) -> (String, Report) {
        let report = scenario::run(&self.scenario, self.seed, self.plan.clone());
        (self.what.clone(), report)
    }
}

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Sweep {
    /// How many runs there were.
    pub runs: usize,
    /// How many of them broke an invariant.
    pub failed: usize,
    /// How many ended with a named error for a person to decide.
    pub stopped: usize,
    /// The invariants that they broke.
    pub violated: BTreeSet<&'static str>,
    /// What the first failing runs were, and their reports.
    pub reports: Vec<String>,
}

impl Sweep {
    /// Runs all jobs.
    pub fn over<J: Sync>(jobs: &[J], run: impl Fn(&J) -> (String, Report) + Sync) -> Self {
        Self::until(jobs, run, |_| false)
    }

    /// Runs jobs until the sum of them is `enough`.
    pub fn until<J: Sync>(
        jobs: &[J],
        run: impl Fn(&J) -> (String, Report) + Sync,
        enough: impl Fn(&Self) -> bool + Sync,
    ) -> Self {
        let next = AtomicUsize::new(0);
        let sweep = Mutex::new(Self::default());
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (what, report) = run(job);
                        let mut sweep = sweep.lock().unwrap_or_else(PoisonError::into_inner);
                        sweep.add(&what, &report);
                        if enough(&sweep) {
                            break;
                        }
                    }
                });
            }
        });
        sweep.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&mut self, what: &str, report: &Report) {
        self.runs += 1;
        self.stopped += usize::from(report.stopped.is_some());
        if report.violations.is_empty() {
            return;
        }
        self.failed += 1;
        self.violated.extend(
            report
                .violations
                .iter()
                .map(|violation| violation.invariant),
        );
        if self.reports.len() < REPORTS_MAX {
            self.reports.push(format!("{what}: {}", report.describe()));
        }
    }

    /// Panics with the first reports if a run failed.
    ///
    /// # Panics
    /// A run failed.
    pub fn assert_holds(&self) {
        let Self { runs, failed, .. } = self;
        assert!(
            self.reports.is_empty(),
            "{failed} of {runs} runs failed:\n{}",
            self.reports.join("\n\n")
        );
    }
}

/// The seeds of a random family: those that `FRAZIL_SIM_SEEDS` asks for, as `N` or `FIRST..END`, else the first `usual`.
pub fn seeds(usual: u64) -> Range<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own size is no setting of frazil's"
    )]
    let asked = std::env::var("FRAZIL_SIM_SEEDS");
    let Ok(asked) = asked else { return 0..usual };
    let (first, end) = asked.split_once("..").unwrap_or(("0", &asked));
    let number = |text: &str| text.parse().expect("FRAZIL_SIM_SEEDS is N or FIRST..END");
    number(first)..number(end)
}
