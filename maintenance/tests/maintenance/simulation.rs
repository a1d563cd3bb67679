//! Maintenance in simulation: writers at work between any two of its steps, each fault at each call, other engines'
//! deeds before each call, and both at random; and what the checks would find where a rule were missing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use frazil_maintenance::{
    Maintainer, Target,
    expire_snapshots::{Expiry, SnapshotWishes, expire_snapshots},
    files,
    report::Report,
    rewrite_data_files::{Group, RewriteFiles, Rewriting, rewrite_with},
};
use frazil_service::clock::Ids;
use frazil_sim::{
    fault::{CallClass, Event, Fault, FaultPlan, RandomFaults},
    foreign::{Deed, ForeignAction},
    invariants::Violation,
    lives::{self, LIVES_MAX, Life},
    reading::{self, Lines},
    scenario::{self, Scenario, table_name},
    sweep::{Sweep, seeds},
    world::{Process, World, simulate},
    writer::{self, CatalogKind, Journal},
};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Guards, PendingFile, RewriteGroup},
    error::TableError,
    storage::StorageError,
};
use futures::future::join;
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Operation};
use rand::Rng as _;

/// Rounds of maintenance beside the writers, in runs of which there is one for each call; and in those at random.
const ROUNDS: u32 = 1;
const RANDOM_ROUNDS: u32 = 4;

/// Seeds of the random family.
const SEEDS: u64 = 100;

/// What is run.
#[derive(Debug, Clone)]
struct Work {
    scenario: Scenario,
    rounds: u32,
    grace: Duration,
    /// Files of expired snapshots are deleted without a look at who else needs them.
    is_eager: bool,
}

impl Work {
    fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            rounds: ROUNDS,
            grace: Duration::from_millis(30),
            is_eager: false,
        }
    }
}

/// The files of simulated tables: lines of text.
#[derive(Debug)]
struct LineFiles(Arc<dyn Ids>);

#[async_trait]
impl RewriteFiles for LineFiles {
    async fn rewrite(
        &self,
        table: &LoadedTable,
        group: &Group,
        epoch: u64,
    ) -> Result<RewriteGroup, TableError> {
        let failed = |error: StorageError| {
            let kind = frazil_table::error::TableErrorKind::Storage;
            TableError::new(&table.name, kind, format!("failed to {error}"))
        };
        let mut lines = Lines::default();
        for file in &group.files {
            lines.add(&table.storage.read(&file.path).await.map_err(failed)?);
        }
        let bytes = lines.to_bytes();
        let (location, id) = (table.metadata.location(), self.0.uuid());
        let path = format!("{location}/data/m{epoch}-{id}.parquet");
        table
            .storage
            .write(&path, bytes.clone())
            .await
            .map_err(failed)?;
        let spec_id = table.metadata.default_partition_spec_id();
        let data_file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .partition(group.files[0].partition.clone())
            .partition_spec_id(spec_id)
            .record_count(lines.count())
            .file_size_in_bytes(bytes.len() as u64)
            .build()
            .unwrap();
        Ok(RewriteGroup {
            inputs: group.files.iter().map(|file| file.path.clone()).collect(),
            outputs: vec![PendingFile {
                data_file,
                partition_spec_id: spec_id,
                schema_id: table.metadata.current_schema_id(),
            }],
        })
    }
}

fn maintainer(process: &Process, work: &Work) -> Maintainer {
    Maintainer {
        committer: writer::committer(process, &work.scenario.options),
        clock: process.clock(),
        ids: process.ids(),
    }
}

/// One round of all procedures on both tables. True: something was committed.
async fn maintain(process: &Process, work: &Work) -> Result<bool, TableError> {
    let maintainer = maintainer(process, work);
    let name = work.scenario.options.table.clone();
    let mut committed = false;
    for target in [
        Target::Table(name.clone()),
        Target::DeadLettersOf(name.clone()),
    ] {
        // The writer has not made it yet.
        if maintainer.committer.look(&target.name()).await?.is_none() {
            continue;
        }
        committed |= rewrite(&maintainer, &target, process).await?.committed;
        let before = eager_victims(&maintainer, &target, work).await?;
        let expiry = Expiry {
            wishes: SnapshotWishes {
                older_than_ms: Some(i64::MAX),
                retain_last: Some(1),
            },
            grace: work.grace,
            dry_run: false,
        };
        committed |= expire_snapshots(&maintainer, &target, &expiry)
            .await?
            .committed;
        for (storage, path) in before {
            let deleted: Result<(), StorageError> = storage.delete(&path).await;
            drop(deleted);
        }
    }
    Ok(committed)
}

async fn rewrite(
    maintainer: &Maintainer,
    target: &Target,
    process: &Process,
) -> Result<Report, TableError> {
    let rewriting = Rewriting {
        target_bytes: None,
        min_input_files: 2,
        hot_for_ms: 0,
        groups_at_a_time: None,
        dry_run: false,
    };
    let files = Arc::new(LineFiles(process.ids()));
    rewrite_with(maintainer, target, &rewriting, 2, files).await
}

/// What a clean-up that looks at nothing would delete: all files of the present.
async fn eager_victims(
    maintainer: &Maintainer,
    target: &Target,
    work: &Work,
) -> Result<Vec<(Arc<dyn frazil_table::storage::Storage>, String)>, TableError> {
    if !work.is_eager {
        return Ok(Vec::new());
    }
    let open = maintainer.open(target).await?;
    let live = files::live(&open.table).await?.data.into_iter();
    Ok(live
        .map(|file| (Arc::clone(&open.table.storage), file.path))
        .collect())
}

/// Rounds of maintenance, each again and again until it is done. The processes that it took.
async fn run_maintenance(work: &Work, world: &World) -> BTreeSet<u32> {
    let mut processes = BTreeSet::new();
    for _ in 0..work.rounds {
        let pause = world.random(|rng| rng.random_range(40..200));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        for _ in 0..LIVES_MAX {
            let process = world.start_process(0);
            processes.insert(process.id());
            match Box::pin(process.run(maintain(&process, work))).await {
                Err(_) => {}
                Ok(Ok(_)) => break,
                Ok(Err(error)) => world.note(&format!("process {} fails: {error}", process.id())),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    processes
}

/// With nothing else at work, maintenance ends, and has then nothing left to do.
async fn last_maintenance(work: &Work, world: &World) -> Option<Violation> {
    let violation = |found: String| {
        Some(Violation {
            invariant: "M4",
            found,
        })
    };
    let mut committed = false;
    for _ in 0..3 {
        tokio::time::sleep(work.grace + Duration::from_millis(1)).await;
        let process = world.start_process(0);
        match Box::pin(process.run(maintain(&process, work))).await {
            Ok(Ok(more)) => committed = more,
            Ok(Err(error)) => return violation(format!("it fails: {error}")),
            Err(_) => return violation("it dies".to_owned()),
        }
    }
    committed
        .then(|| violation("a third run still finds something to do".to_owned()))
        .flatten()
}

fn run(work: &Work, seed: u64, plan: FaultPlan) -> lives::Report {
    run_told(work, seed, plan).0
}

/// The run, and the processes of maintenance in it.
fn run_told(work: &Work, seed: u64, plan: FaultPlan) -> (lives::Report, BTreeSet<u32>) {
    let world = World::new(seed, plan);
    let journal = Journal::default();
    let scenario = &work.scenario;
    let mut left = None;
    let mut processes = BTreeSet::new();
    let end = simulate(async {
        let live = |life: Life| scenario::live(scenario, &journal, life);
        let writers = lives::all(&world, scenario.writers, scenario.clock_skew_max, live);
        processes = Box::pin(join(writers, run_maintenance(work, &world)))
            .await
            .1;
        let end = Box::pin(lives::last(&world, scenario.writers, live)).await;
        if matches!(end, frazil_sim::invariants::End::Complete) {
            left = Box::pin(last_maintenance(work, &world)).await;
        }
        end
    });
    let (table, told) = (&scenario.options.table, journal.entries());
    let mut report = lives::report(world, end, table, &scenario.oracle, &told);
    report.violations.extend(left);
    (report, processes)
}

/// The calls of maintenance beside the writers, in the first run from that seed on in which it has files to put together
/// while a writer goes on after it; and that seed.
fn calls(work: &Work, first: u64, plan: &FaultPlan) -> (u64, Vec<(u64, CallClass)>) {
    let runs = (first..).map(|seed| (seed, run_told(work, seed, plan.clone())));
    let mut runs = runs.take(100);
    let found = runs.find(|(_, (report, _))| is_rewritten_while_written(&report.world));
    let (seed, (report, processes)) = found.expect("a run in a hundred has something to do");
    let classes = report.world.call_classes().into_iter();
    let calls = (0..).zip(classes.zip(report.world.callers()));
    let calls = calls.filter(|(_, (_, caller))| processes.contains(caller));
    (
        seed,
        calls.map(|(call, (class, _))| (call, class)).collect(),
    )
}

/// Whether a writer appended to the table after its files were put together.
fn is_rewritten_while_written(world: &World) -> bool {
    world.durable(|durable| {
        let versions = durable.history(&table_name()).iter();
        let operations = versions.filter_map(|version| {
            let metadata = reading::metadata(durable, version.location.as_ref()?).ok()?;
            let current = metadata.current_snapshot()?;
            Some(current.summary().operation.clone())
        });
        let mut operations = operations.skip_while(|one| *one != Operation::Replace);
        operations.any(|one| one == Operation::Append)
    })
}

/// A run of its own: what it is, its seed and faults.
type Job = (String, Work, u64, FaultPlan);

fn sweep(jobs: &[Job]) -> Sweep {
    Sweep::over(jobs, |(what, work, seed, plan)| {
        (what.clone(), run(work, *seed, plan.clone()))
    })
}

/// Runs them until one breaks that invariant.
fn assert_breaks(invariant: &'static str, jobs: &[Job]) {
    let one = |(what, work, seed, plan): &Job| (what.clone(), run(work, *seed, plan.clone()));
    let sweep = Sweep::until(jobs, one, |sweep| sweep.violated.contains(invariant));
    let broken = &sweep.violated;
    assert!(
        broken.contains(invariant),
        "{invariant} holds; broken are {broken:?}"
    );
}

fn every_fault(work: &Work, seed: u64, plan: &FaultPlan) -> Vec<Job> {
    let mut jobs = Vec::new();
    let (seed, calls) = calls(work, seed, plan);
    for (call, class) in calls {
        for fault in Fault::ALL
            .into_iter()
            .filter(|fault| fault.applies_to(class))
        {
            let mut plan = plan.clone();
            plan.at.push((call, Event::Fault(fault)));
            jobs.push((
                format!("{fault:?} at call {call}"),
                work.clone(),
                seed,
                plan,
            ));
        }
    }
    jobs
}

fn every_deed(work: &Work, seed: u64, plan: &FaultPlan, deed: Deed) -> Vec<Job> {
    let (seed, calls) = calls(work, seed, plan);
    let job = |(call, _)| {
        let mut plan = plan.clone();
        let table = table_name();
        plan.at
            .push((call, Event::Foreign(ForeignAction { table, deed })));
        (
            format!("{deed:?} before call {call}"),
            work.clone(),
            seed,
            plan,
        )
    };
    calls.into_iter().map(job).collect()
}

fn interleaved() -> FaultPlan {
    FaultPlan {
        latency_ms_max: 3,
        ..FaultPlan::none()
    }
}

#[test]
fn rows_and_positions_stay_through_every_fault_at_every_call() {
    let short = Work::new(Scenario::short());
    let jobs = every_fault(&short, 1, &interleaved());
    assert!(jobs.len() > 200, "only {} runs", jobs.len());
    sweep(&jobs).assert_holds();
    let at_once = Work {
        grace: Duration::ZERO,
        ..Work::new(Scenario::short().over(CatalogKind::Rest))
    };
    sweep(&every_fault(&at_once, 2, &interleaved())).assert_holds();
}

#[test]
fn other_engines_are_no_hindrance() {
    let work = Work::new(Scenario::short());
    for deed in [Deed::Append, Deed::Compact, Deed::ExpireAllButOne] {
        sweep(&every_deed(&work, 3, &interleaved(), deed)).assert_holds();
    }
}

/// A catalog that goes back by one version, at any time within the grace period.
#[test]
fn a_table_that_goes_back_still_has_its_files() {
    let patient = Work {
        grace: Duration::from_hours(1),
        ..Work::new(Scenario::short())
    };
    sweep(&every_deed(&patient, 4, &interleaved(), Deed::Rewind(1))).assert_holds();
}

/// What seeds draw: one or two writers, over one or the other catalog, with faults and deeds at random.
fn drawn(seed: u64) -> Job {
    let scenario = match seed % 4 {
        0 => Scenario::one_writer(),
        1 => Scenario::two_writers(),
        2 => Scenario::two_writers().over(CatalogKind::Rest),
        _ => Scenario::operated(),
    };
    let mut work = Work::new(scenario);
    work.rounds = RANDOM_ROUNDS;
    if seed.is_multiple_of(3) {
        work.grace = Duration::ZERO;
    }
    let foreign = [
        Deed::Append,
        Deed::SetProperty,
        Deed::Compact,
        Deed::ExpireAllButOne,
    ];
    let plan = FaultPlan {
        random: Some(RandomFaults {
            per_mille: 15,
            faults_max: 12,
            foreign_per_mille: 5,
            foreign_max: 3,
            foreign: foreign
                .map(|deed| ForeignAction {
                    table: table_name(),
                    deed,
                })
                .to_vec(),
            faults: Fault::ALL.to_vec(),
        }),
        ..interleaved()
    };
    (format!("seed {seed}"), work, seed, plan)
}

#[test]
fn rows_and_positions_stay_through_faults_and_deeds_at_random() {
    let jobs: Vec<Job> = seeds(SEEDS).map(drawn).collect();
    sweep(&jobs).assert_holds();
}

#[test]
fn without_a_look_at_its_inputs_a_rewrite_would_double_rows() {
    let guards = Guards {
        inputs_live: false,
        ..Guards::default()
    };
    let work = Work::new(Scenario::short().with_guards(guards));
    assert_breaks("M1", &every_deed(&work, 3, &interleaved(), Deed::Compact));
}

#[test]
fn without_a_look_at_what_is_needed_expiry_would_delete_live_files() {
    let work = Work {
        is_eager: true,
        ..Work::new(Scenario::short())
    };
    assert_breaks("C6", &[("eager".to_owned(), work, 1, interleaved())]);
}
