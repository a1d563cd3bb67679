//! A model of the writer: fake data files that hold numbered records as lines, committed by the real
//! committer to the real manifests and metadata.
//!
//! It is as careless as the protocol allows: it keeps nothing but what it holds in memory, and
//! asks the table for everything else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use frazil_table::{
    catalog::{Creation, LoadedTable, pointer::PointerCatalog},
    commit::{
        Advance, Checkpoint, Committer, Counts, Guards, OpenTable, Outcome, PendingFile,
        RetryPolicy,
    },
    dead_letters,
    error::{TableError, TableErrorKind},
    state::{FileIdentity, SourceIdentity, State},
    storage::{Storage, StorageError},
};
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Literal, NestedField, PrimitiveType, Schema,
    SortOrder, Struct, Type, UnboundPartitionSpec,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::{
    oracle::{Definition, Oracle},
    reading::Lines,
    rest::SimRestCatalog,
    world::Process,
};

/// Where the simulated tables lie.
const WAREHOUSE: &str = "sim://lake";
const MICROS_A_DAY: i64 = 86_400_000_000;

/// Which catalog the writers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatalogKind {
    /// A pointer with a true compare-and-swap.
    #[default]
    Pointer,
    /// A REST catalog, which checks what is asserted and nothing else.
    Rest,
}

/// How a model writer behaves.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// The table.
    pub table: TableName,
    /// The catalog.
    pub catalog: CatalogKind,
    /// The guards of the commit layer.
    pub guards: Guards,
    /// The most records of one source in one checkpoint.
    pub batch_max: u64,
    /// How many finished sources the state holds before they move to a file.
    pub finished_sources_max: usize,
    /// Properties of the table, when it is made.
    pub properties: Vec<(String, String)>,
}

/// What a writer asked to be committed, and what it was told: kept outside, for the checkers.
#[derive(Debug, Clone)]
pub struct Told {
    /// The checkpoint's id.
    pub id: Uuid,
    /// The epoch that it was begun in.
    pub epoch: u64,
    /// The table that it was begun on.
    pub table_uuid: Uuid,
    /// What the writer was told; `None`: it died, or got an error.
    pub outcome: Option<Outcome>,
}

/// All that writers were told, over all of their lives.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Told>>>);

impl Journal {
    /// All entries.
    pub fn entries(&self) -> Vec<Told> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn asks(&self, checkpoint: &Checkpoint) -> usize {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Told {
            id: checkpoint.id,
            epoch: checkpoint.epoch,
            table_uuid: checkpoint.table_uuid,
            outcome: None,
        });
        entries.len() - 1
    }

    fn is_told(&self, entry: usize, outcome: &Outcome) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries[entry].outcome = Some(outcome.clone());
    }
}

/// How a writer's work ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All records of all sources are committed, and the outbox is empty.
    Complete,
    /// It made the checkpoints that it was told to make, and left.
    Leaves,
}

/// One life of a writer.
#[derive(Debug)]
pub struct Writer {
    committer: Committer,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    rng: StdRng,
    oracle: Oracle,
    definition: Definition,
    options: WriterOptions,
    journal: Journal,
}

/// Where a writer stands: the table as it found it, and what it has committed since.
struct Seat {
    state: State,
    table: LoadedTable,
    dead_letters: LoadedTable,
}

impl Writer {
    /// A writer in that process.
    pub fn new(
        process: &Process,
        oracle: &Oracle,
        definition: Definition,
        options: &WriterOptions,
        journal: &Journal,
    ) -> Self {
        let committer = committer(process, options);
        Self {
            committer,
            storage: process.storage(),
            clock: process.clock(),
            ids: process.ids(),
            rng: StdRng::seed_from_u64(process.world().random(Rng::random)),
            oracle: oracle.clone(),
            definition,
            options: options.clone(),
            journal: journal.clone(),
        }
    }

    /// Writes until all is committed, or so many checkpoints are made.
    pub async fn write(mut self, checkpoints_max: u64) -> Result<Ended, TableError> {
        let name = self.options.table.clone();
        let first = match self.committer.open(&name).await? {
            Some(open) => open,
            None => {
                self.committer
                    .create(&name, creation(&self.options))
                    .await?
            }
        };
        let uuid = first.table.metadata.uuid();
        self.committer.apply_outbox(&name).await?;
        let mut made = 0;
        loop {
            let seat = self.seat(uuid).await?;
            // Whoever lost a race leaves the other some time.
            let Some(mut seat) = seat else {
                self.pause().await;
                continue;
            };
            loop {
                let Some((checkpoint, next)) = self.checkpoint(&seat).await? else {
                    self.committer.apply_outbox(&name).await?;
                    return Ok(Ended::Complete);
                };
                if made == checkpoints_max {
                    return Ok(Ended::Leaves);
                }
                made += 1;
                match self.commit(&checkpoint).await? {
                    Outcome::Committed { .. } | Outcome::AlreadyCommitted { .. } => {}
                    Outcome::Superseded | Outcome::Fenced { .. } => break,
                }
                seat.state = next;
                if checkpoint.dead_letters.is_some() && self.rng.random_bool(0.7) {
                    self.committer.apply_outbox(&name).await?;
                }
            }
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        let pause = Duration::from_millis(self.rng.random_range(1..50));
        tokio::time::sleep(pause).await;
    }

    /// Seeks from the table; `None` where it moved on meanwhile. A table that was made anew under a
    /// running writer is a named stop.
    async fn seat(&self, uuid: Uuid) -> Result<Option<Seat>, TableError> {
        let name = &self.options.table;
        let open = self.committer.open(name).await?;
        let open = open.ok_or_else(|| {
            TableError::new(
                name,
                TableErrorKind::Gone,
                "it was dropped while it was being written",
            )
        })?;
        if open.table.metadata.uuid() != uuid {
            return Err(TableError::new(
                name,
                TableErrorKind::Recreated,
                "it was dropped and made again while it was being written",
            ));
        }
        let dead_letters = self.committer.dead_letter_table(name).await?;
        let Some(sources) = self.committer.sources(&open).await? else {
            return Ok(None);
        };
        let OpenTable { table, state } = open;
        Ok(Some(Seat {
            state: State { sources, ..state },
            table,
            dead_letters,
        }))
    }

    async fn commit(&self, checkpoint: &Checkpoint) -> Result<Outcome, TableError> {
        let entry = self.journal.asks(checkpoint);
        let outcome = self
            .committer
            .commit(&self.options.table, checkpoint)
            .await?;
        self.journal.is_told(entry, &outcome);
        Ok(outcome)
    }

    /// The next checkpoint, and the state that it leads to as far as the writer keeps track of it;
    /// `None` where nothing is left to read.
    async fn checkpoint(&mut self, seat: &Seat) -> Result<Option<(Checkpoint, State)>, TableError> {
        let id = self.ids.uuid();
        let mut next = seat.state.clone();
        let mut advances = Vec::new();
        let (mut rows, mut dead) = (Lines::default(), Lines::default());
        for (source, records) in self.oracle.sources().to_vec() {
            let known = find(&seat.state, &source);
            let start = known.map_or(0, |(_, position)| position);
            let skips = !advances.is_empty() && self.rng.random_bool(0.3);
            if start >= records || skips {
                continue;
            }
            let most = self.options.batch_max.min(records - start);
            let end = start + self.rng.random_range(1..=most);
            let (more_rows, more_dead) = self.definition.split(&source, start..end);
            rows.merge(more_rows);
            dead.merge(more_dead);
            let number = known.map_or_else(|| next.sources_version + 1, |(number, _)| number);
            // What was read to its end may still grow.
            let at_end = end == records || self.rng.random_bool(0.4);
            let identity = identity(&source, end, at_end);
            if known.is_none() {
                next.sources_version = number;
            }
            next.sources.insert(
                number,
                frazil_table::state::SourceState {
                    identity: identity.clone(),
                    position: end,
                    commit: id,
                },
            );
            advances.push(Advance {
                source: number,
                new: known.is_none(),
                identity,
                start,
                end,
            });
        }
        if advances.is_empty() {
            return Ok(None);
        }
        let counts = Counts {
            records_read: rows.count() + dead.count(),
            source_records: rows.count() + dead.count(),
            rows_written: rows.count(),
            dead_letters: dead.count(),
            ..Counts::default()
        };
        let data_files = self.write_rows(seat, id, &rows).await?;
        let dead_letters = self.write_dead(seat, &dead).await?;
        let checkpoint = Checkpoint {
            id,
            table_uuid: seat.table.metadata.uuid(),
            epoch: seat.state.epoch,
            sources_version: seat.state.sources_version,
            advances,
            data_files,
            dead_letters,
            counts,
            completion: None,
        };
        Ok(Some((checkpoint, next)))
    }

    async fn write_rows(
        &self,
        seat: &Seat,
        id: Uuid,
        rows: &Lines,
    ) -> Result<Vec<PendingFile>, TableError> {
        if rows.count() == 0 {
            return Ok(Vec::new());
        }
        let path = format!("{}/data/{id}.parquet", seat.table.metadata.location());
        let file = self
            .write_file(&seat.table, &path, rows, Struct::empty())
            .await?;
        Ok(vec![file])
    }

    async fn write_dead(&self, seat: &Seat, dead: &Lines) -> Result<Option<String>, TableError> {
        if dead.count() == 0 {
            return Ok(None);
        }
        let table = &seat.dead_letters;
        let path = format!(
            "{}/data/{}.parquet",
            table.metadata.location(),
            self.ids.uuid()
        );
        let day = self.clock.now_micros().div_euclid(MICROS_A_DAY) as i32;
        let partition = Struct::from_iter([Some(Literal::date(day))]);
        let file = self.write_file(table, &path, dead, partition).await?;
        let manifest = dead_letters::write_manifest(table, &[file], self.ids.uuid()).await?;
        Ok(Some(manifest))
    }

    async fn write_file(
        &self,
        table: &LoadedTable,
        path: &str,
        lines: &Lines,
        partition: Struct,
    ) -> Result<PendingFile, TableError> {
        let bytes = lines.to_bytes();
        self.put(table, path, bytes.clone()).await?;
        let metadata = &table.metadata;
        let columns = metadata.current_schema().as_struct().fields();
        let counts: HashMap<i32, u64> = columns
            .iter()
            .map(|column| (column.id, lines.count()))
            .collect();
        let data_file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path.to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .record_count(lines.count())
            .file_size_in_bytes(bytes.len() as u64)
            .value_counts(counts)
            .partition_spec_id(metadata.default_partition_spec_id())
            .build()
            .expect("all required fields are set");
        Ok(PendingFile {
            data_file,
            partition_spec_id: metadata.default_partition_spec_id(),
            schema_id: metadata.current_schema_id(),
        })
    }

    async fn put(&self, table: &LoadedTable, path: &str, bytes: Bytes) -> Result<(), TableError> {
        let written = self.storage.write(path, bytes).await;
        written.map_err(|error: StorageError| {
            TableError::new(
                &table.name,
                TableErrorKind::Storage,
                format!("failed to {error}"),
            )
        })
    }
}

/// A committer of that process, with a short patience: simulated outages are short.
pub fn committer(process: &Process, options: &WriterOptions) -> Committer {
    let storage = process.storage();
    let (clock, ids) = (process.clock(), process.ids());
    let committer = match options.catalog {
        CatalogKind::Pointer => {
            let catalog = PointerCatalog::new(
                process.pointers(),
                storage,
                WAREHOUSE,
                process.clock(),
                process.ids(),
            );
            Committer::new(Arc::new(catalog), clock, ids)
        }
        CatalogKind::Rest => {
            let catalog = SimRestCatalog::new(process.clone(), WAREHOUSE);
            Committer::new(Arc::new(catalog), clock, ids)
        }
    };
    let policy = RetryPolicy {
        unknown_wait_max: Duration::from_secs(5),
        ..RetryPolicy::default()
    };
    committer
        .with_guards(options.guards)
        .with_policy(policy)
        .with_finished_sources_max(options.finished_sources_max)
}

fn creation(options: &WriterOptions) -> Creation {
    let column =
        |id, name: &str, of| Arc::new(NestedField::optional(id, name, Type::Primitive(of)));
    let schema = Schema::builder()
        .with_fields([
            column(1, "source", PrimitiveType::String),
            column(2, "number", PrimitiveType::Long),
        ])
        .build()
        .expect("names and ids are distinct");
    Creation {
        schema,
        partition_spec: UnboundPartitionSpec::default(),
        sort_order: SortOrder::unsorted_order(),
        properties: options.properties.clone(),
    }
}

/// A source by its name, among the table's: its id and position.
fn find(state: &State, source: &str) -> Option<(u64, u64)> {
    let found = state
        .sources
        .iter()
        .find(|(_, known)| source_name(&known.identity) == source);
    found.map(|(number, known)| (*number, known.position))
}

/// The name that a model source's identity carries.
pub fn source_name(identity: &SourceIdentity) -> &str {
    match identity {
        SourceIdentity::File(file) => &file.path,
        SourceIdentity::StandardInput => "-",
        SourceIdentity::Kafka(kafka) => &kafka.topic.name,
    }
}

fn identity(source: &str, end: u64, at_end: bool) -> SourceIdentity {
    SourceIdentity::File(FileIdentity {
        path: source.to_owned(),
        head_length: end,
        head_hash: format!("{source}-head"),
        tail_hash: format!("{source}-{end}"),
        at_end,
    })
}

/// The positions of a state, by the source's name.
pub fn positions(state: &State) -> BTreeMap<String, Vec<u64>> {
    let mut positions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for source in state.sources.values() {
        let name = source_name(&source.identity).to_owned();
        positions.entry(name).or_default().push(source.position);
    }
    positions
}
