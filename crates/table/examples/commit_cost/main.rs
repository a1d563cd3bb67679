//! What a commit costs: as a table grows, and as several writers share it. `bench/commit-cost` runs and plots it.
//!
//!     commit_cost growth COMMITS FILES_A_COMMIT    a line of CSV for each commit
//!     commit_cost contention WRITERS SECONDS [zombie]    what the writers got done, as JSON
//!
//! The tables are in a SQLite catalog and a local folder; data files are named, not written.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod counting;
mod cpu;

use std::{
    io::Write as _,
    ops::Range,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use counting::Counting;
use frazil_dataset::TableName;
use frazil_service::clock::{Ids as _, RandomIds, SystemClock};
use frazil_table::{
    catalog::{Catalog, Creation, LoadedTable, pointer::PointerCatalog, sqlite::SqlitePointers},
    commit::{Advance, Checkpoint, Committer, Counts, Outcome, PendingFile},
    error::TableErrorKind,
    state::SourceIdentity,
    storage::local::LocalStorage,
};
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{
        DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, NestedField,
        PrimitiveType, Schema, SortOrder, Struct, Transform, Type, UnboundPartitionSpec,
    },
};
use serde_json::json;

/// Snapshots that expiry leaves. The metadata file holds each of them.
const SNAPSHOTS_KEPT: usize = 100;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    match arguments[..] {
        ["growth", commits, files] => {
            growth(
                folder.path(),
                commits.parse().unwrap(),
                files.parse().unwrap(),
            )
            .await;
        }
        ["contention", writers, seconds, ref zombie @ ..] => {
            let seconds = Duration::from_secs(seconds.parse().unwrap());
            contention(
                folder.path(),
                writers.parse().unwrap(),
                seconds,
                zombie == ["zombie"],
            )
            .await;
        }
        _ => {
            panic!("usage: commit_cost growth COMMITS FILES | contention WRITERS SECONDS [zombie]")
        }
    }
}

fn name() -> TableName {
    TableName {
        namespace: vec!["logs".to_owned()],
        table: "web".to_owned(),
    }
}

/// Commits over and over, and expires snapshots on the way.
async fn growth(folder: &Path, commits: u64, files: u64) {
    let lake = Lake::open(folder).await;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "commit,files,micros,cpu_micros,requests,bytes_read,bytes_written,manifests_read,manifests"
    )
    .unwrap();
    for commit in 0..commits {
        let open = lake.committer.open(&name()).await.unwrap().unwrap();
        let position = open
            .state
            .sources
            .get(&1)
            .map_or(0, |source| source.position);
        let checkpoint = checkpoint(&open, 1, position..position + 1000, files);
        let before = lake.storage.asked();
        let (started, cpu_before) = (Instant::now(), cpu::times());
        let outcome = lake.committer.commit(&name(), &checkpoint).await.unwrap();
        let (took, cpu) = (started.elapsed(), cpu::since(&cpu_before));
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        let asked = lake.storage.asked();
        let requests = asked.requests - before.requests;
        let read = asked.bytes_read - before.bytes_read;
        let written = asked.bytes_written - before.bytes_written;
        let manifests = asked.manifests_read - before.manifests_read;
        let table = lake.catalog.load(&name()).await.unwrap().unwrap();
        let listed = if commit % 50 == 0 {
            frazil_table::snapshot::manifests(&table)
                .await
                .unwrap()
                .len()
                .to_string()
        } else {
            String::new()
        };
        let total = (commit + 1) * files;
        writeln!(
            out,
            "{commit},{total},{},{},{requests},{read},{written},{manifests},{listed}",
            took.as_micros(),
            cpu.as_micros()
        )
        .unwrap();
        if table.metadata.snapshots().len() > 2 * SNAPSHOTS_KEPT {
            expire(lake.catalog.as_ref(), &table).await;
        }
    }
}

/// Takes all but the newest snapshots out of the metadata, as a maintenance run does.
async fn expire(catalog: &dyn Catalog, table: &LoadedTable) {
    let mut snapshots: Vec<_> = table
        .metadata
        .snapshots()
        .map(|one| (one.sequence_number(), one.snapshot_id()))
        .collect();
    snapshots.sort_unstable();
    snapshots.truncate(snapshots.len() - SNAPSHOTS_KEPT);
    let snapshot_ids = snapshots.into_iter().map(|(_, id)| id).collect();
    let uuid = TableRequirement::UuidMatch {
        uuid: table.metadata.uuid(),
    };
    catalog
        .commit(
            table,
            vec![uuid],
            vec![TableUpdate::RemoveSnapshots { snapshot_ids }],
        )
        .await
        .unwrap();
}

/// Writers with a source each, which share nothing but the table; and a zombie, which commits the first one's source
/// behind its back once a second.
async fn contention(folder: &Path, writers: u64, time: Duration, zombie: bool) {
    let lake = Arc::new(Lake::open(folder).await);
    // Sources are added one after the other; what is measured comes after.
    for source in 1..=writers {
        write_once(&lake, source).await;
    }
    let before = lake.storage.asked();
    let until = Instant::now() + time;
    let tasks: Vec<_> = (1..=writers)
        .map(|source| {
            let lake = Arc::clone(&lake);
            tokio::spawn(async move {
                let mut done = Done::default();
                while Instant::now() < until {
                    done.add(write_once(&lake, source).await);
                }
                done
            })
        })
        .collect();
    let haunting = zombie.then(|| {
        let lake = Arc::clone(&lake);
        tokio::spawn(async move {
            let mut commits = 0_u64;
            while Instant::now() < until {
                tokio::time::sleep(Duration::from_secs(1)).await;
                commits += u64::from(matches!(write_once(&lake, 1).await, Once::Committed));
            }
            commits
        })
    });
    let mut all: Vec<Done> = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    let zombie_commits = match haunting {
        Some(task) => Some(task.await.unwrap()),
        None => None,
    };
    let sum = |of: fn(&Done) -> u64| all.iter().map(of).sum::<u64>();
    let asked = lake.storage.asked();
    let attempts = asked.lists_written - before.lists_written;
    let swaps = asked.metadata_written - before.metadata_written;
    let committed = sum(|done| done.committed) + zombie_commits.unwrap_or(0);
    let share = |lost: u64, of: u64| lost as f64 / of as f64;
    let mut by_writer: Vec<u64> = all.iter().map(|done| done.committed).collect();
    by_writer.sort_unstable();
    println!(
        "{}",
        json!({
            "writers": writers,
            "seconds": time.as_secs(),
            "commits": sum(|done| done.committed),
            "commits_a_second": sum(|done| done.committed) as f64 / time.as_secs_f64(),
            "fenced": sum(|done| done.fenced),
            "gave_up": sum(|done| done.gave_up),
            "attempts": attempts,
            "lost_share_of_attempts": share(attempts - committed, attempts),
            "swaps": swaps,
            "lost_share_of_swaps": share(swaps - committed, swaps),
            "least_commits_of_a_writer": by_writer.first(),
            "median_commits_of_a_writer": by_writer.get(by_writer.len() / 2),
            "most_commits_of_a_writer": by_writer.last(),
            "zombie_commits": zombie_commits,
        })
    );
}

#[derive(Default)]
struct Done {
    committed: u64,
    fenced: u64,
    gave_up: u64,
}

enum Once {
    Committed,
    Fenced,
    GaveUp,
}

impl Done {
    fn add(&mut self, once: Once) {
        match once {
            Once::Committed => self.committed += 1,
            Once::Fenced => self.fenced += 1,
            Once::GaveUp => self.gave_up += 1,
        }
    }
}

/// One checkpoint of a source: from the table, to the table.
async fn write_once(lake: &Lake, source: u64) -> Once {
    let open = lake.committer.open(&name()).await.unwrap().unwrap();
    let position = open
        .state
        .sources
        .get(&source)
        .map_or(0, |source| source.position);
    let checkpoint = checkpoint(&open, source, position..position + 1000, 4);
    match lake.committer.commit(&name(), &checkpoint).await {
        Ok(Outcome::Committed { .. } | Outcome::AlreadyCommitted { .. }) => Once::Committed,
        Ok(Outcome::Superseded | Outcome::Fenced { .. }) => Once::Fenced,
        Err(error)
            if matches!(
                error.kind,
                TableErrorKind::Conflicts | TableErrorKind::CatalogUnavailable
            ) =>
        {
            eprintln!("failed to {error}");
            Once::GaveUp
        }
        Err(error) => panic!("failed to {error}"),
    }
}

fn checkpoint(
    open: &frazil_table::commit::OpenTable,
    source: u64,
    range: Range<u64>,
    files: u64,
) -> Checkpoint {
    let metadata = &open.table.metadata;
    let data_files = (0..files)
        .map(|file| {
            let day = (range.start / 1000 / 100 + file % 2) as i32;
            let data_file = DataFileBuilder::default()
                .content(DataContentType::Data)
                .file_path(format!(
                    "{}/data/day={day}/e0-s{source}-{}-{}.parquet",
                    metadata.location(),
                    range.start,
                    RandomIds.uuid()
                ))
                .file_format(DataFileFormat::Parquet)
                .partition(Struct::from_iter([Some(Literal::int(day))]))
                .partition_spec_id(metadata.default_partition_spec_id())
                .record_count(1000)
                .file_size_in_bytes(64 << 20)
                .value_counts([(1, 1000), (2, 1000)].into())
                .null_value_counts([(1, 0), (2, 0)].into())
                .lower_bounds([(2, Datum::string(format!("host-{file}")))].into())
                .upper_bounds([(2, Datum::string(format!("host-{}", file + 7)))].into())
                .build()
                .unwrap();
            PendingFile {
                data_file,
                partition_spec_id: metadata.default_partition_spec_id(),
                schema_id: metadata.current_schema_id(),
            }
        })
        .collect();
    Checkpoint {
        id: RandomIds.uuid(),
        table_uuid: metadata.uuid(),
        epoch: open.state.epoch,
        sources_version: open.state.sources_version,
        advances: vec![Advance {
            source,
            new: !open.state.sources.contains_key(&source),
            identity: SourceIdentity::StandardInput,
            start: range.start,
            end: range.end,
        }],
        data_files,
        dead_letters: None,
        counts: Counts::default(),
        completion: None,
    }
}

/// A catalog over a storage that counts.
struct Lake {
    storage: Arc<Counting>,
    catalog: Arc<dyn Catalog>,
    committer: Committer,
}

impl Lake {
    async fn open(folder: &Path) -> Self {
        let storage = Arc::new(Counting::default());
        let pointers = SqlitePointers::open(&folder.join("catalog.db"))
            .await
            .unwrap();
        let root = LocalStorage::uri(&folder.join("warehouse")).unwrap();
        let catalog = PointerCatalog::new(
            pointers,
            storage.clone(),
            &root,
            Arc::new(SystemClock),
            Arc::new(RandomIds),
        );
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        let committer = Committer::new(catalog.clone(), Arc::new(SystemClock), Arc::new(RandomIds));
        committer.create(&name(), creation()).await.unwrap();
        Self {
            storage,
            catalog,
            committer,
        }
    }
}

fn creation() -> Creation {
    let field = |id, name, of| Arc::new(NestedField::optional(id, name, Type::Primitive(of)));
    let schema = Schema::builder().with_fields([
        field(1, "day", PrimitiveType::Date),
        field(2, "host", PrimitiveType::String),
    ]);
    let properties = [
        ("write.metadata.previous-versions-max", "20"),
        ("write.metadata.delete-after-commit.enabled", "true"),
    ];
    Creation {
        schema: schema.build().unwrap(),
        partition_spec: UnboundPartitionSpec::builder()
            .add_partition_field(1, "day", Transform::Identity)
            .unwrap()
            .build(),
        sort_order: SortOrder::unsorted_order(),
        properties: properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}
