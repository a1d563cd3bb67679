//! A table in memory, and its files read back.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arrow_array::{Array, RecordBatch};
use arrow_select::concat::concat_batches;
use async_trait::async_trait;
use bytes::Bytes;
use frazil_service::clock::Ids;
use iceberg::spec::{
    FormatVersion, PrimitiveLiteral, Schema, SortOrder, TableMetadata, TableMetadataBuilder,
    UnboundPartitionSpec,
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    file::metadata::PageIndexPolicy,
};

use crate::{
    commit::PendingFile,
    data_file::{
        MemoryBudget, PartitionedWriter, WriterContext, encode::Step,
        parquet_schema::parquet_schema,
    },
    partition::{column_at, literal_at},
    storage::{FileStat, Storage, StorageError, StorageErrorKind, StorageWriter},
};

/// Files in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryStorage {
    pub(super) files: Mutex<BTreeMap<String, Bytes>>,
    open: AtomicUsize,
    /// The most files that were being written at a time.
    pub(super) open_max: AtomicUsize,
    /// Fails the write that comes after so many; 0: none.
    pub(super) fail_after_writes: AtomicUsize,
    writes: AtomicUsize,
}

#[async_trait]
impl Storage for Arc<MemoryStorage> {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        Ok(self.files.lock().unwrap()[path].clone())
    }
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        Ok(self.files.lock().unwrap()[path].slice(range.start as usize..range.end as usize))
    }
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.files.lock().unwrap().insert(path.to_owned(), bytes);
        Ok(())
    }
    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_max.fetch_max(open, Ordering::SeqCst);
        Ok(Box::new(MemoryWriter {
            storage: Arc::clone(self),
            path: path.to_owned(),
            bytes: Vec::new(),
        }))
    }
    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        let files = self.files.lock().unwrap();
        Ok(files.get(path).map(|bytes| FileStat {
            path: path.to_owned(),
            size: bytes.len() as u64,
            modified_ms: None,
        }))
    }
    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        self.files.lock().unwrap().remove(path);
        Ok(())
    }
    async fn list(&self, _: &str) -> Result<Vec<FileStat>, StorageError> {
        Ok(Vec::new())
    }
}

struct MemoryWriter {
    storage: Arc<MemoryStorage>,
    path: String,
    bytes: Vec<u8>,
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.storage.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl StorageWriter for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let limit = self.storage.fail_after_writes.load(Ordering::SeqCst);
        if limit > 0 && self.storage.writes.fetch_add(1, Ordering::SeqCst) >= limit {
            return Err(StorageError {
                operation: "write",
                path: self.path.clone(),
                kind: StorageErrorKind::Full,
                reason: "the disk is full".to_owned(),
            });
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }
    async fn close(self: Box<Self>) -> Result<(), StorageError> {
        let bytes = Bytes::from(self.bytes.clone());
        self.storage
            .files
            .lock()
            .unwrap()
            .insert(self.path.clone(), bytes);
        Ok(())
    }
    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

/// A table and where its files go.
pub(super) struct TestTable {
    pub(super) metadata: Arc<TableMetadata>,
    pub(super) storage: Arc<MemoryStorage>,
    pub(super) memory_max_bytes: usize,
    pub(super) open_files_max: usize,
}

impl TestTable {
    pub(super) fn new(
        schema: Schema,
        spec: UnboundPartitionSpec,
        order: SortOrder,
        properties: &[(&str, &str)],
    ) -> Self {
        let properties: HashMap<String, String> = properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let location = "memory:///warehouse/logs/t".to_owned();
        let metadata =
            TableMetadataBuilder::new(schema, spec, order, location, FormatVersion::V2, properties)
                .unwrap()
                .build()
                .unwrap()
                .metadata;
        Self {
            metadata: Arc::new(metadata),
            storage: Arc::default(),
            memory_max_bytes: 256 << 20,
            open_files_max: 100,
        }
    }

    pub(super) fn plain(schema: Schema, properties: &[(&str, &str)]) -> Self {
        let spec = UnboundPartitionSpec::builder().build();
        Self::new(schema, spec, SortOrder::unsorted_order(), properties)
    }

    pub(super) fn writer(&self) -> PartitionedWriter {
        PartitionedWriter::new(WriterContext {
            storage: Arc::new(Arc::clone(&self.storage)),
            metadata: Arc::clone(&self.metadata),
            ids: Arc::new(CountedIds::default()),
            name_prefix: "part".to_owned(),
            memory: MemoryBudget::new(self.memory_max_bytes),
            open_files_max: self.open_files_max,
        })
        .unwrap()
    }

    pub(super) fn write(&self, batches: &[RecordBatch]) -> Vec<PendingFile> {
        block_on(async {
            let mut writer = self.writer();
            for batch in batches {
                writer.write(batch).await.unwrap();
            }
            writer.finish().await.unwrap()
        })
    }

    /// A file's rows, as `parquet`'s reader gives them, in the table's Arrow schema.
    pub(super) fn read(&self, file: &PendingFile) -> RecordBatch {
        let bytes = self.storage.files.lock().unwrap()[file.data_file.file_path()].clone();
        assert_eq!(bytes.len() as u64, file.data_file.file_size_in_bytes());
        let schema = crate::schema::arrow_schema(self.metadata.current_schema()).unwrap();
        let options = ArrowReaderOptions::new()
            .with_schema(Arc::clone(&schema))
            .with_page_index_policy(PageIndexPolicy::Required);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
        let offsets: Vec<i64> = builder
            .metadata()
            .row_groups()
            .iter()
            .map(|group| {
                let column = group.column(0);
                column
                    .dictionary_page_offset()
                    .unwrap_or(column.data_page_offset())
            })
            .collect();
        assert_eq!(file.data_file.split_offsets(), Some(offsets.as_slice()));
        let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
        let rows = concat_batches(&schema, &batches).unwrap();
        assert_eq!(rows.num_rows() as u64, file.data_file.record_count());
        rows
    }

    pub(super) fn row_groups(&self, file: &PendingFile) -> usize {
        let bytes = self.storage.files.lock().unwrap()[file.data_file.file_path()].clone();
        ParquetRecordBatchReaderBuilder::try_new(bytes)
            .unwrap()
            .metadata()
            .num_row_groups()
    }

    /// Fails unless each value of each file lies within its bounds and the counts are right.
    pub(super) fn check_metrics(&self, files: &[PendingFile]) {
        for file in files {
            self.check_file(file, &self.read(file));
        }
    }

    fn check_file(&self, file: &PendingFile, rows: &RecordBatch) {
        let schema = self.metadata.current_schema();
        let data_file = &file.data_file;
        let (_, leaves) = parquet_schema(schema).unwrap();
        for leaf in leaves.iter().filter(|leaf| !leaf.is_repeated()) {
            let fields = leaf.path.iter().map(|step| match step {
                Step::Field(index) => *index,
                Step::Elements => unreachable!("not repeated"),
            });
            let path: Vec<usize> = std::iter::once(leaf.column).chain(fields).collect();
            let array = column_at(rows, &path).unwrap();
            let kind = schema
                .field_by_id(leaf.field_id)
                .unwrap()
                .field_type
                .clone();
            let id = leaf.field_id;
            assert_eq!(
                data_file.value_counts()[&id],
                rows.num_rows() as u64,
                "values of {}",
                leaf.name
            );
            let (mut nulls, mut nans) = (0, 0);
            for row in 0..array.len() {
                let Some(literal) = literal_at(array.as_ref(), row, &kind) else {
                    nulls += 1;
                    continue;
                };
                let literal = literal.as_primitive_literal().unwrap();
                if is_nan(&literal) {
                    nans += 1;
                    continue;
                }
                if let Some(lower) = data_file.lower_bounds().get(&id) {
                    assert!(
                        compare(lower.literal(), &literal).is_le(),
                        "{}: {literal:?} is below {lower:?}",
                        leaf.name
                    );
                }
                if let Some(upper) = data_file.upper_bounds().get(&id) {
                    assert!(
                        compare(&literal, upper.literal()).is_le(),
                        "{}: {literal:?} is above {upper:?}",
                        leaf.name
                    );
                }
            }
            assert_eq!(
                data_file.null_value_counts()[&id],
                nulls,
                "nulls of {}",
                leaf.name
            );
            assert_eq!(
                data_file.nan_value_counts().get(&id).copied().unwrap_or(0),
                nans,
                "{}",
                leaf.name
            );
            if nulls + nans < rows.num_rows() as u64 {
                assert!(
                    data_file.lower_bounds().contains_key(&id),
                    "{} has no lower bound",
                    leaf.name
                );
            }
        }
    }
}

fn is_nan(literal: &PrimitiveLiteral) -> bool {
    match literal {
        PrimitiveLiteral::Float(v) => v.is_nan(),
        PrimitiveLiteral::Double(v) => v.is_nan(),
        _ => false,
    }
}

/// The order of the specification: floats by IEEE's total order, all bytes unsigned.
pub(super) fn compare(a: &PrimitiveLiteral, b: &PrimitiveLiteral) -> std::cmp::Ordering {
    use PrimitiveLiteral as P;
    match (a, b) {
        (P::Boolean(a), P::Boolean(b)) => a.cmp(b),
        (P::Int(a), P::Int(b)) => a.cmp(b),
        (P::Long(a), P::Long(b)) => a.cmp(b),
        (P::Float(a), P::Float(b)) => a.0.total_cmp(&b.0),
        (P::Double(a), P::Double(b)) => a.0.total_cmp(&b.0),
        (P::String(a), P::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (P::Binary(a), P::Binary(b)) => a.cmp(b),
        (P::UInt128(a), P::UInt128(b)) => a.cmp(b),
        (P::Int128(a), P::Int128(b)) => a.cmp(b),
        _ => panic!("a bound of another type: {a:?}, {b:?}"),
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
