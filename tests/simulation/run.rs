//! The pipeline in a simulated world.

use std::{sync::Arc, time::Duration};

use frazil::{
    dedup::DedupGuards,
    pipeline::{self, Input, Progress, Services, WriteError, WriteJob},
    source::Compute,
};
use frazil_dataset::{Dataset, parse_dataset};
use frazil_service::shutdown::Shutdown;
use frazil_sim::{
    fault::FaultPlan,
    lives::{self, Life, LifeEnd, Report},
    scenario,
    world::{World, simulate},
};
use frazil_table::{catalog::pointer::PointerCatalog, data_file::MemoryBudget, error::Remedy};
use rand::Rng as _;
use tokio::sync::watch;

use crate::{
    files::{Disk, FOLDER, SimFileSystem},
    lines::{NumberedFile, NumberedFiles},
};

/// What is written, by how many.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    files: NumberedFiles,
    writers: u64,
    /// How much of each file is there at first, in hundredths; the rest comes as writers start.
    percent_at_first: usize,
    clock_skew_max: Duration,
    dedup_guards: DedupGuards,
}

impl Scene {
    /// One writer of two files that are there from the start.
    pub(crate) fn one_writer() -> Self {
        Self {
            files: NumberedFiles {
                files: vec![NumberedFile::new(0..30), NumberedFile::new(1_000..1_012)],
                key: None,
            },
            writers: 1,
            percent_at_first: 100,
            clock_skew_max: Duration::ZERO,
            dedup_guards: DedupGuards::default(),
        }
    }

    /// The same with records that come several times.
    #[must_use]
    pub(crate) fn with_dedup(mut self, key: fn(u64) -> u64) -> Self {
        self.files = NumberedFiles {
            files: vec![
                NumberedFile::keyed(0..30, key),
                NumberedFile::keyed(1_000..1_012, key),
            ],
            key: Some(key),
        };
        self
    }

    /// The same with other guards of deduplication.
    #[must_use]
    pub(crate) fn with_dedup_guards(mut self, guards: DedupGuards) -> Self {
        self.dedup_guards = guards;
        self
    }

    /// Two writers that share nothing but the files and the table.
    pub(crate) fn two_writers() -> Self {
        Self {
            writers: 2,
            clock_skew_max: Duration::from_hours(1),
            ..Self::one_writer()
        }
    }

    /// Files that grow and are renamed between a writer's lives.
    pub(crate) fn rotating() -> Self {
        Self {
            percent_at_first: 40,
            ..Self::one_writer()
        }
    }
}

/// Runs it to its end and checks the invariants.
pub(crate) fn run(scene: &Scene, seed: u64, plan: FaultPlan) -> Report {
    let world = World::new(seed, plan);
    let disk = Disk::default();
    for (index, file) in scene.files.files.iter().enumerate() {
        let there = file.cut(scene.percent_at_first);
        disk.append(&format!("{index}.log"), &file.content[..there]);
    }
    let end = simulate(async {
        let live = |life: Life| live(scene, life, disk.clone());
        lives::all(&world, scene.writers, scene.clock_skew_max, live).await;
        if scene.percent_at_first < 100 {
            finish_files(scene, &disk);
            lives::all(&world, 1, scene.clock_skew_max, live).await;
        }
        Box::pin(lives::last(&world, scene.writers, live)).await
    });
    lives::report(world, end, &scenario::table_name(), &scene.files, &[])
}

/// The rest of every file comes; the first one has been renamed by then.
fn finish_files(scene: &Scene, disk: &Disk) {
    disk.rename("0.log", "0.log.1");
    for (index, file) in scene.files.files.iter().enumerate() {
        let there = file.cut(scene.percent_at_first);
        let name = if index == 0 {
            "0.log.1".to_owned()
        } else {
            format!("{index}.log")
        };
        disk.append(&name, &file.content[there..]);
    }
}

async fn live(scene: &Scene, life: Life, disk: Disk) -> LifeEnd {
    let process = &life.process;
    let catalog = PointerCatalog::new(
        process.pointers(),
        process.storage(),
        "sim://lake",
        process.clock(),
        process.ids(),
    );
    let services = Services {
        catalog: Arc::new(catalog),
        clock: process.clock(),
        ids: process.ids(),
        files: Arc::new(SimFileSystem::new(process.clone(), disk)),
    };
    let job = WriteJob {
        // The definition changes at every restart.
        dataset: dataset(
            (life.number + life.lane).is_multiple_of(2),
            scene.files.key.is_some(),
        ),
        input: Input::Files {
            paths: vec![FOLDER.to_owned()],
            as_new_source: false,
            follow: false,
        },
        workers: process.world().random(|rng| rng.random_range(1..=2)),
        memory: MemoryBudget::new(64 * 1024 * 1024),
        accept_dead_letters: false,
        block_bytes: 400,
        // Every file moves as soon as it was read to its end.
        finished_sources_max: 0,
        compute: Compute::Inline,
        dedup_guards: scene.dedup_guards,
    };
    let (_never, shutdown) = Shutdown::triggered();
    let (progress, _) = watch::channel(Progress::default());
    match pipeline::write(&services, &job, &shutdown, &progress).await {
        Ok(_) => LifeEnd::Complete,
        Err(WriteError::Table(error)) => scenario::failed(&error),
        Err(error) if error.remedy() == Remedy::Retry => LifeEnd::Fails(error.to_string()),
        Err(error) => LifeEnd::Stops {
            named: true,
            error: format!("failed to {error}"),
        },
    }
}

/// `strict` takes a required column from a field that a third of the records cannot fill.
fn dataset(strict: bool, dedup: bool) -> Dataset {
    let from = if strict { "v" } else { "n" };
    let (columns, dedup) = if dedup {
        (
            "{ name = \"key\", type = \"string\", from = \"k\" },\n{ name = \"time\", type = \"timestamptz\", from = \"t\" },",
            "[dedup]\nkey = [\"key\"]\ntime = \"time\"",
        )
    } else {
        ("", "")
    };
    let text = format!(
        r#"
format = "json"
unknown_fields = "ignore"
columns = [
  {{ name = "number", type = "long", from = "n" }},
  {{ name = "checked", type = "long", from = "{from}", required = true }},
  {columns}
]
[checkpoint]
records = 12
[limits]
dead_letters_max = "100%"
{dedup}
"#
    );
    parse_dataset(&text, "web.toml", "web").expect("the definition is right")
}
