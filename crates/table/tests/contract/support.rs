//! Tables, writers and faults for the tests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids as _, RandomIds};
use frazil_table::{
    catalog::{Catalog, Creation, LoadedTable, pointer::PointerCatalog, sqlite::SqlitePointers},
    commit::{
        Advance, Checkpoint, Committer, Counts, Outcome, PendingFile, PositionChange,
        PositionChanges, RetryPolicy,
    },
    state::{SourceIdentity, State},
    storage::{Storage, iceberg_io::file_io, local::LocalStorage},
};
use futures::TryStreamExt;
use iceberg::{
    TableIdent, TableRequirement, TableUpdate,
    spec::{
        DataContentType, DataFileBuilder, DataFileFormat, Literal, NestedField, PrimitiveType,
        Schema, SortOrder, Struct, Transform, Type, UnboundPartitionSpec,
    },
    table::Table,
};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use uuid::Uuid;

pub(crate) use crate::faults::{Fault, FaultyCatalog};
use crate::on::{Address, On};

pub(crate) fn name() -> TableName {
    TableName {
        namespace: vec!["logs".to_string()],
        table: "web".to_string(),
    }
}

/// A clock that a test sets; it moves by a microsecond at each look.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_760_000_000_000_000)))
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A catalog of its own, and a warehouse.
pub(crate) struct Lake {
    _folder: tempfile::TempDir,
    pub(crate) address: Address,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) root: String,
}

impl Lake {
    pub(crate) async fn new(on: On) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let address = Address::new(on, folder.path()).await;
        Self {
            _folder: folder,
            storage: Arc::new(LocalStorage::new()),
            catalog: address.connect(clock.clone()).await,
            clock,
            root: address.root().to_owned(),
            address,
        }
    }

    /// A SQLite catalog in the folder, and the warehouse at `root` of the storage.
    pub(crate) async fn over(
        folder: tempfile::TempDir,
        storage: Arc<dyn Storage>,
        root: String,
    ) -> Self {
        let clock = TestClock::new();
        let file = folder.path().join("catalog.db");
        let pointers = SqlitePointers::open(&file).await.unwrap();
        let ids = Arc::new(RandomIds);
        let catalog =
            PointerCatalog::new(pointers, Arc::clone(&storage), &root, clock.clone(), ids);
        Self {
            _folder: folder,
            storage,
            catalog: Arc::new(catalog),
            clock,
            address: Address::Sqlite {
                file,
                root: root.clone(),
            },
            root,
        }
    }

    /// A lake with the table in it.
    pub(crate) async fn with_table(on: On, properties: &[(&str, &str)]) -> Self {
        let lake = Self::new(on).await;
        lake.committer()
            .create(&name(), creation(properties))
            .await
            .unwrap();
        lake
    }

    /// Another process's connection to the catalog.
    pub(crate) async fn connect(&self) -> Arc<dyn Catalog> {
        self.address.connect(self.clock.clone()).await
    }

    pub(crate) fn committer(&self) -> Committer {
        self.committer_on(Arc::clone(&self.catalog))
    }

    pub(crate) fn committer_on(&self, catalog: Arc<dyn Catalog>) -> Committer {
        Committer::new(catalog, self.clock.clone(), Arc::new(RandomIds)).with_policy(RetryPolicy {
            wait_min: std::time::Duration::from_micros(10),
            wait_max: std::time::Duration::from_millis(1),
            unknown_wait_max: std::time::Duration::from_millis(20),
            ..RetryPolicy::default()
        })
    }

    pub(crate) fn faulty(&self, faults: impl IntoIterator<Item = Fault>) -> Arc<FaultyCatalog> {
        Arc::new(FaultyCatalog {
            inner: Arc::clone(&self.catalog),
            faults: Mutex::new(faults.into_iter().collect()),
        })
    }

    pub(crate) async fn load(&self) -> LoadedTable {
        self.catalog.load(&name()).await.unwrap().unwrap()
    }

    pub(crate) async fn dead_letters(&self) -> LoadedTable {
        self.catalog
            .load(&name().dead_letters())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn state(&self) -> State {
        self.committer().open(&name()).await.unwrap().unwrap().state
    }

    /// Updates by another engine, which asserts what engines assert.
    pub(crate) async fn foreign(
        &self,
        table: &LoadedTable,
        updates: Vec<TableUpdate>,
    ) -> LoadedTable {
        let uuid = TableRequirement::UuidMatch {
            uuid: table.metadata.uuid(),
        };
        self.catalog
            .commit(table, vec![uuid], updates)
            .await
            .unwrap()
    }

    /// Points the catalog at that metadata file, as a restored backup would.
    pub(crate) async fn rewind(&self, table: &TableName, location: &str) {
        self.address.rewind(table, location).await;
    }

    /// Takes the table out of the catalog.
    pub(crate) async fn drop_table(&self, table: &TableName) {
        self.address.drop_table(table).await;
    }

    /// All files, but for the checksums that Hadoop puts beside its own.
    pub(crate) async fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self
            .storage
            .list(&format!("{}/", self.root))
            .await
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .filter(|path| path.rsplit('.').next() != Some("crc"))
            .collect();
        files.sort();
        files
    }
}

pub(crate) fn creation(properties: &[(&str, &str)]) -> Creation {
    Creation {
        schema: Schema::builder()
            .with_fields([
                Arc::new(NestedField::optional(
                    1,
                    "n",
                    Type::Primitive(PrimitiveType::Long),
                )),
                Arc::new(NestedField::optional(
                    2,
                    "m",
                    Type::Primitive(PrimitiveType::Long),
                )),
            ])
            .build()
            .unwrap(),
        partition_spec: UnboundPartitionSpec::builder()
            .add_partition_field(1, "n_bucket", Transform::Truncate(10))
            .unwrap()
            .build(),
        sort_order: SortOrder::unsorted_order(),
        properties: properties
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect(),
    }
}

static FILES: AtomicU64 = AtomicU64::new(0);

/// Writes the numbers as a Parquet file of the table, each group of ten a partition of its own.
pub(crate) async fn write_rows(
    table: &LoadedTable,
    numbers: std::ops::Range<u64>,
) -> Vec<PendingFile> {
    let mut files = Vec::new();
    let mut start = numbers.start;
    while start < numbers.end {
        let end = (start / 10 * 10 + 10).min(numbers.end);
        files.push(write_file(table, start..end).await);
        start = end;
    }
    files
}

async fn write_file(table: &LoadedTable, numbers: std::ops::Range<u64>) -> PendingFile {
    let field = |id: i32, name: &str| {
        Field::new(name, DataType::Int64, true)
            .with_metadata([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())].into())
    };
    let schema = Arc::new(ArrowSchema::new(vec![field(1, "n"), field(2, "m")]));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(
        numbers.clone().map(|n| n as i64),
    ));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&values), values]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let file = FILES.fetch_add(1, Ordering::Relaxed);
    let path = format!("{}/data/{file}.parquet", table.metadata.location());
    let size = bytes.len() as u64;
    table.storage.write(&path, bytes.into()).await.unwrap();
    let count = numbers.end - numbers.start;
    let data_file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::long(
            (numbers.start / 10 * 10) as i64,
        ))]))
        .partition_spec_id(table.metadata.default_partition_spec_id())
        .record_count(count)
        .file_size_in_bytes(size)
        .value_counts([(1, count), (2, count)].into())
        .null_value_counts([(1, 0), (2, 0)].into())
        .build()
        .unwrap();
    PendingFile {
        data_file,
        partition_spec_id: table.metadata.default_partition_spec_id(),
        schema_id: table.metadata.current_schema_id(),
    }
}

/// What a writer knows, and the checkpoints it makes: source 1 is a file whose byte `n` is the
/// record `n`.
pub(crate) struct Writer {
    pub(crate) committer: Committer,
    pub(crate) open: frazil_table::commit::OpenTable,
}

impl Writer {
    pub(crate) async fn start(committer: Committer) -> Self {
        let open = committer.open(&name()).await.unwrap().unwrap();
        Self { committer, open }
    }

    pub(crate) fn position(&self, source: u64) -> u64 {
        self.open
            .state
            .sources
            .get(&source)
            .map_or(0, |s| s.position)
    }

    /// A checkpoint of the source's records up to `end`.
    pub(crate) async fn checkpoint(&self, source: u64, end: u64) -> Checkpoint {
        let start = self.position(source);
        let offset = (source - 1) * 1_000_000;
        let files = write_rows(&self.open.table, offset + start..offset + end).await;
        self.without_rows(source, end, files)
    }

    pub(crate) fn without_rows(
        &self,
        source: u64,
        end: u64,
        data_files: Vec<PendingFile>,
    ) -> Checkpoint {
        let start = self.position(source);
        let state = &self.open.state;
        Checkpoint {
            id: RandomIds.uuid(),
            table_uuid: self.open.table.metadata.uuid(),
            epoch: state.epoch,
            sources_version: state.sources_version,
            advances: vec![Advance {
                source,
                new: !state.sources.contains_key(&source),
                identity: SourceIdentity::StandardInput,
                start,
                end,
            }],
            data_files,
            dead_letters: None,
            counts: Counts {
                records_read: end - start,
                ..Counts::default()
            },
            completion: None,
        }
    }
}

/// The numbers in the table, by the crate's own scan, sorted.
pub(crate) async fn numbers(table: &LoadedTable) -> Vec<i64> {
    let table = Table::builder()
        .identifier(TableIdent::from_strs(["logs", "web"]).unwrap())
        .file_io(file_io(Arc::clone(&table.storage)))
        .metadata_location(table.metadata_location.clone())
        .metadata(Arc::clone(&table.metadata))
        .runtime(iceberg::Runtime::current())
        .build()
        .unwrap();
    let batches: Vec<RecordBatch> = table
        .scan()
        .select(["n"])
        .build()
        .unwrap()
        .to_arrow()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let mut numbers: Vec<i64> = batches
        .iter()
        .flat_map(|batch| {
            let column = batch
                .column(0)
                .as_any()
                .downcast_ref::<Int64Array>()
                .unwrap();
            column.values().to_vec()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

pub(crate) fn counted(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

pub(crate) fn uuid_of(table: &LoadedTable) -> Uuid {
    table.metadata.uuid()
}

/// An operator sets one position.
pub(crate) fn set_to(source: u64, position: u64) -> PositionChanges {
    PositionChanges {
        changes: vec![PositionChange::Set {
            source,
            position,
            identity: None,
        }],
        who: "ana".to_string(),
        why: "the file was damaged".to_string(),
        accept_history: false,
    }
}

/// Commits records of source 1 up to each of `ends`.
pub(crate) async fn write(lake: &Lake, ends: &[u64]) {
    for end in ends {
        let writer = Writer::start(lake.committer()).await;
        let checkpoint = writer.checkpoint(1, *end).await;
        let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    }
}
