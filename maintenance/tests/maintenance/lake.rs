//! A table that writers have written, looked at from outside.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use frazil_dataset::{Dataset, parse_dataset};
use frazil_maintenance::{Maintainer, Target, files, files::LiveFiles};
use frazil_service::clock::{Clock, Ids as _, RandomIds};
use frazil_table::{
    catalog::{Catalog, Creation, LoadedTable, pointer::PointerCatalog, sqlite::SqlitePointers},
    commit::{Advance, Checkpoint, Committer, Counts, Outcome, PendingFile},
    data_file::{MemoryBudget, PartitionedWriter, WriterContext},
    schema,
    state::{SourceIdentity, State, wire},
    storage::{Storage, iceberg_io, local::LocalStorage},
};
use futures::TryStreamExt as _;
use iceberg::{NamespaceIdent, Runtime, TableIdent, table::Table};
use tempfile::TempDir;

/// Rows, each with how often it occurs.
pub(crate) type Rows = BTreeMap<String, u64>;

/// A clock that a test sets; it moves by a microsecond at each look.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// 2026-01-05T00:00:00Z
const NOW_MICROS: i64 = 1_767_571_200_000_000;

const COLUMNS: &str = r#"
columns = [
  { name = "number", type = "long", required = true },
  { name = "host", type = "string" },
  { name = "time", type = "timestamptz" },
  { name = "latency", type = "double" },
  { name = "geo", type = "struct<country: string, asn: int>" },
  { name = "tags", type = "list<string>" },
]
"#;

/// A folder of a user with one table, `logs.web`.
pub(crate) struct Lake {
    folder: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) storage: Arc<LocalStorage>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) pointers: SqlitePointers,
    pub(crate) dataset: Dataset,
}

impl Lake {
    /// With a table by that definition, which has these columns besides.
    pub(crate) async fn new(definition: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (head, sections) = match definition.find("\n[") {
            Some(at) => definition.split_at(at),
            None => (definition, ""),
        };
        let text = format!("{head}\n{COLUMNS}\n{sections}\n");
        let dataset = parse_dataset(&text, "web.toml", "web").unwrap();
        fs::create_dir_all(folder.path().join("schemas")).unwrap();
        fs::create_dir_all(folder.path().join("frazil-data")).unwrap();
        fs::write(folder.path().join("schemas/web.toml"), text).unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(NOW_MICROS)));
        let storage = Arc::new(LocalStorage::new());
        let file = folder.path().join("frazil-data/catalog.db");
        let warehouse = LocalStorage::uri(&folder.path().join("frazil-data/warehouse")).unwrap();
        let open = async || SqlitePointers::open(&file).await.unwrap();
        let catalog = PointerCatalog::new(
            open().await,
            Arc::clone(&storage) as _,
            &warehouse,
            Arc::clone(&clock) as _,
            Arc::new(RandomIds),
        );
        let pointers = open().await;
        let lake = Self {
            folder,
            clock,
            storage,
            catalog: Arc::new(catalog),
            pointers,
            dataset,
        };
        let table_schema = schema::table_schema(&lake.dataset).unwrap();
        let creation = Creation {
            partition_spec: schema::partition_spec(&lake.dataset, &table_schema).unwrap(),
            sort_order: schema::sort_order(&lake.dataset, &table_schema).unwrap(),
            properties: schema::table_properties(&lake.dataset),
            schema: table_schema,
        };
        let name = &lake.dataset.table;
        lake.committer().create(name, creation).await.unwrap();
        lake
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn committer(&self) -> Committer {
        let (clock, ids) = (Arc::clone(&self.clock) as _, Arc::new(RandomIds));
        Committer::new(Arc::clone(&self.catalog), clock, ids)
    }

    pub(crate) fn maintainer(&self) -> Maintainer {
        let (clock, ids) = (Arc::clone(&self.clock) as _, Arc::new(RandomIds));
        Maintainer::new(Arc::clone(&self.catalog), clock, ids)
    }

    pub(crate) fn target(&self) -> Target {
        Target::Table(self.dataset.table.clone())
    }

    pub(crate) async fn table(&self) -> LoadedTable {
        let loaded = self.catalog.load(&self.dataset.table).await;
        loaded.unwrap().unwrap()
    }

    /// What the writers remember in the table, as it stands in its properties.
    pub(crate) async fn state(&self) -> State {
        let table = self.table().await;
        wire::decode(table.metadata.properties()).unwrap().unwrap()
    }

    pub(crate) async fn live(&self) -> LiveFiles {
        files::live(&self.table().await).await.unwrap()
    }

    /// Commits the rows of these numbers, a checkpoint for each range.
    pub(crate) async fn write(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        for range in ranges {
            let open = self.committer().open(&self.dataset.table).await;
            let open = open.unwrap().unwrap();
            let start = open.state.sources.get(&1).map_or(0, |one| one.position);
            let files = write_files(&open.table, range.clone()).await;
            let rows = range.end - range.start;
            let checkpoint = Checkpoint {
                id: RandomIds.uuid(),
                table_uuid: open.table.metadata.uuid(),
                epoch: open.state.epoch,
                sources_version: open.state.sources_version,
                advances: vec![Advance {
                    source: 1,
                    new: start == 0,
                    identity: SourceIdentity::StandardInput,
                    start,
                    end: start + rows,
                }],
                data_files: files,
                dead_letters: None,
                counts: Counts::default(),
                completion: None,
            };
            let name = &self.dataset.table;
            let outcome = self.committer().commit(name, &checkpoint).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        }
    }

    /// The rows that a reader of Iceberg tables finds.
    pub(crate) async fn rows(&self) -> Rows {
        rows(&self.table().await, None).await
    }

    /// Those of an earlier snapshot.
    pub(crate) async fn rows_of(&self, snapshot_id: i64) -> Rows {
        rows(&self.table().await, Some(snapshot_id)).await
    }

    /// The paths of all files in the table's folder.
    pub(crate) async fn files(&self) -> Vec<String> {
        let location = self.table().await.metadata.location().to_owned();
        let listed = self.storage.list(&format!("{location}/")).await.unwrap();
        let mut paths: Vec<String> = listed.into_iter().map(|file| file.path).collect();
        paths.sort();
        paths
    }

    /// Reads every snapshot whole.
    pub(crate) async fn read_all_snapshots(&self) {
        let table = self.table().await;
        for snapshot in table.metadata.snapshots() {
            rows(&table, Some(snapshot.snapshot_id())).await;
        }
    }
}

/// Writes rows of these numbers into data files, as a writer does.
pub(crate) async fn write_files(table: &LoadedTable, numbers: Range<u64>) -> Vec<PendingFile> {
    let mut writer = PartitionedWriter::new(WriterContext {
        storage: Arc::clone(&table.storage),
        metadata: Arc::clone(&table.metadata),
        ids: Arc::new(RandomIds),
        name_prefix: format!("e0-s1-{}", numbers.start),
        memory: MemoryBudget::new(256 << 20),
        open_files_max: 16,
    })
    .unwrap();
    let batch = batch(&writer.schema(), numbers);
    writer.write(&batch).await.unwrap();
    writer.finish().await.unwrap()
}

/// The row of each number; some of it is null now and then.
fn batch(schema: &arrow_schema::SchemaRef, numbers: Range<u64>) -> RecordBatch {
    let mut json = String::new();
    for n in numbers {
        let day = n % 3 + 1;
        let host = if n % 11 == 0 {
            "null".to_owned()
        } else {
            format!("\"host-{}\"", n * 7919 % 23)
        };
        let geo = if n % 5 == 0 {
            "null".to_owned()
        } else {
            format!(r#"{{"country":"c{}","asn":{n}}}"#, n % 4)
        };
        let tags: Vec<String> = (0..n % 3).map(|tag| format!("\"t{}\"", n + tag)).collect();
        let latency = n as f64 / 7.0;
        writeln!(
            json,
            r#"{{"number":{n},"host":{host},"time":"2026-01-0{day}T00:00:{:02}Z","latency":{latency},"geo":{geo},"tags":[{}]}}"#,
            n % 60,
            tags.join(",")
        )
        .unwrap();
    }
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(1 << 20)
        .build_decoder()
        .unwrap();
    decoder.decode(json.as_bytes()).unwrap();
    decoder.flush().unwrap().unwrap()
}

/// The rows of a snapshot, or the current one, by the `iceberg` crate's own scan.
async fn rows(table: &LoadedTable, snapshot_id: Option<i64>) -> Rows {
    let namespace = NamespaceIdent::from_vec(table.name.namespace.clone()).unwrap();
    let table = Table::builder()
        .identifier(TableIdent::new(namespace, table.name.table.clone()))
        .metadata(Arc::clone(&table.metadata))
        .metadata_location(table.metadata_location.clone())
        .file_io(iceberg_io::file_io(Arc::clone(&table.storage)))
        .runtime(Runtime::try_current().unwrap())
        .readonly(true)
        .build()
        .unwrap();
    let mut scan = table.scan();
    if let Some(id) = snapshot_id {
        scan = scan.snapshot_id(id);
    }
    let stream = scan.build().unwrap().to_arrow().await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let mut rows = Rows::new();
    for batch in batches {
        let options = FormatOptions::default().with_null("∅");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            for column in &columns {
                write!(text, "{}|", column.value(row)).unwrap();
            }
            *rows.entry(text).or_default() += 1;
        }
    }
    rows
}

/// Ranges of so many numbers each, one after the other.
pub(crate) fn ranges(count: u64, each: u64) -> impl Iterator<Item = Range<u64>> {
    (0..count).map(move |index| index * each..(index + 1) * each)
}
