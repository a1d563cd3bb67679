//! Rows of any partitions into data files, within limits of memory and open files.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use iceberg::spec::{PartitionSpecRef, Struct, StructType};

use super::{
    TableWriteError, WriterContext,
    encode::{Compressor, PageLimits, Tools},
    file::{ParquetFile, Shared},
    memory::Held,
    row_group::{DictionaryHints, FileLayout},
    settings::WriteSettings,
    sort::{Sorter, in_order},
};
use crate::{
    commit::PendingFile,
    partition::{PartitionRows, Partitioner, partition_path},
};

/// A partition's rows are held back until there are so many bytes of them: a file that is begun costs
/// buffers for each column, and counts as open. Larger values hold more memory where there are many
/// partitions.
const ENCODE_BYTES_MIN: usize = 1 << 20;

/// Arrow's bytes for one of compressed Parquet, about, for logs: how many rows make a sorted file.
const ROW_BYTES_PER_FILE_BYTE: usize = 6;

/// Writes rows of any partitions into data files.
///
/// Files are closed as they reach the target size (or a limit), and named all together by
/// [`Self::finish`]. Nothing is visible in the table until a commit names them. The encoding runs
/// in the calling task.
#[derive(Debug)]
pub struct PartitionedWriter {
    context: WriterContext,
    shared: Shared,
    partitioner: Partitioner,
    spec: PartitionSpecRef,
    sorter: Option<Sorter>,
    /// The sort order that files are said to have.
    sort_order_id: Option<i32>,
    /// The partitions that have rows, in the order of their keys: the same rows make the same files
    /// in the same order.
    partitions: BTreeMap<Box<[u8]>, Partition>,
    /// What the partitions hold together.
    memory: Held,
    open_files: usize,
    finished: Vec<PendingFile>,
}

/// A partition that rows have come for.
#[derive(Debug)]
struct Partition {
    values: Struct,
    /// Rows that are not yet encoded.
    held: Vec<RecordBatch>,
    held_bytes: usize,
    /// Never with a sort order: a sorted file is begun when its rows are complete.
    file: Option<ParquetFile>,
    memory_bytes: usize,
}

impl PartitionedWriter {
    /// A writer of rows of the table's current schema.
    ///
    /// # Errors
    /// [`TableWriteError::Unsupported`] where a table property has a value that this version cannot obey.
    pub fn new(context: WriterContext) -> Result<Self, TableWriteError> {
        let metadata = &context.metadata;
        let sorter = Sorter::new(metadata.default_sort_order(), metadata.current_schema())?;
        Self::with(context, sorter)
    }

    /// A writer of rows that stay in the order in which they are given, which is the table's sort order where
    /// `is_sorted`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn in_given_order(
        context: WriterContext,
        is_sorted: bool,
    ) -> Result<Self, TableWriteError> {
        let order = i32::try_from(context.metadata.default_sort_order_id()).ok();
        let mut writer = Self::with(context, None)?;
        writer.sort_order_id = order.filter(|_| is_sorted);
        Ok(writer)
    }

    fn with(context: WriterContext, sorter: Option<Sorter>) -> Result<Self, TableWriteError> {
        let metadata = &context.metadata;
        let schema = metadata.current_schema();
        let spec = metadata.default_partition_spec().clone();
        let settings = WriteSettings::new(metadata)?;
        let layout = std::sync::Arc::new(FileLayout::new(schema)?);
        let limits = PageLimits {
            bytes: settings.page_size_bytes,
            rows: settings.page_row_limit,
            dictionary_bytes: settings.dictionary_size_bytes,
        };
        let shared = Shared {
            storage: context.storage.clone(),
            tools: Tools::new(Compressor::new(settings.compression)?, limits),
            hints: DictionaryHints::new(&layout),
            spec_id: spec.spec_id(),
            settings,
            layout,
        };
        Ok(Self {
            partitioner: Partitioner::new(&spec, schema)?,
            sort_order_id: sorter.as_ref().map(|sorter| sorter.order_id),
            sorter,
            spec,
            shared,
            partitions: BTreeMap::new(),
            memory: Held::new(std::sync::Arc::clone(&context.memory)),
            open_files: 0,
            finished: Vec::new(),
            context,
        })
    }

    /// The memory held at present, in bytes: rows held back, pages, dictionaries, working buffers.
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes() + self.shared.tools.memory_bytes()
    }

    /// The Arrow schema that batches must have: [`crate::schema::arrow_schema`] of the current schema.
    pub fn schema(&self) -> arrow_schema::SchemaRef {
        self.shared.layout.arrow.clone()
    }

    /// Takes rows, in the table's Arrow schema.
    ///
    /// # Errors
    /// After an error nothing of what was written may be committed: [`Self::abort`] it.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<(), TableWriteError> {
        self.check(rows)?;
        for part in self.partitioner.split(rows)? {
            self.write_partition(part).await?;
        }
        Ok(())
    }

    fn check(&self, rows: &RecordBatch) -> Result<(), TableWriteError> {
        let wrong = |reason: String| Err(TableWriteError::Rows { reason });
        let expected = self.shared.layout.arrow.fields();
        if rows.num_columns() != expected.len() {
            return wrong(format!(
                "{} columns, not {}",
                rows.num_columns(),
                expected.len()
            ));
        }
        for (field, array) in expected.iter().zip(rows.columns()) {
            if !field.data_type().equals_datatype(array.data_type()) {
                return wrong(format!(
                    "column `{}` is {}, not {}",
                    field.name(),
                    array.data_type(),
                    field.data_type()
                ));
            }
            if !field.is_nullable() && array.null_count() > 0 {
                return wrong(format!(
                    "column `{}` is required, but a row has none",
                    field.name()
                ));
            }
        }
        Ok(())
    }

    async fn write_partition(&mut self, part: PartitionRows) -> Result<(), TableWriteError> {
        let PartitionRows { key, values, rows } = part;
        let encode_at = self.held_bytes_max();
        let partition = self
            .partitions
            .entry(key.clone())
            .or_insert_with(|| Partition {
                values,
                held: Vec::new(),
                held_bytes: 0,
                file: None,
                memory_bytes: 0,
            });
        if let Some(file) = &mut partition.file {
            file.write(&rows, &mut self.shared).await?;
        } else {
            partition.held_bytes += rows.get_array_memory_size();
            partition.held.push(rows);
        }
        let full = partition.file.is_none() && partition.held_bytes >= encode_at;
        self.account(&key);
        if full && self.sorter.is_some() {
            self.close_partition(&key).await?;
        } else if full {
            self.begin_file(&key).await?;
        }
        self.close_if_large(&key).await?;
        self.keep_memory_limit().await
    }

    /// How many bytes of rows a partition holds before they are encoded.
    fn held_bytes_max(&self) -> usize {
        if self.sorter.is_none() {
            return ENCODE_BYTES_MIN;
        }
        let file = self.shared.settings.target_file_size_bytes;
        let rows = file.saturating_mul(ROW_BYTES_PER_FILE_BYTE);
        rows.min(self.memory.share_bytes() / 2)
            .max(ENCODE_BYTES_MIN)
    }

    /// Brings the sum of the partitions' memory up to date.
    fn account(&mut self, key: &[u8]) {
        if let Some(partition) = self.partitions.get_mut(key) {
            let file = partition.file.as_ref().map_or(0, ParquetFile::memory_bytes);
            let now = partition.held_bytes + file;
            self.memory.change(partition.memory_bytes, now);
            partition.memory_bytes = now;
        }
    }

    /// Begins a partition's file with the rows held back.
    async fn begin_file(&mut self, key: &[u8]) -> Result<(), TableWriteError> {
        self.keep_open_files_limit().await?;
        let path = match self.partitions.get(key) {
            Some(partition) => self.path(&partition.values),
            None => return Ok(()),
        };
        let mut file = ParquetFile::create(path, &self.shared).await?;
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let held = std::mem::take(&mut partition.held);
        partition.held_bytes = 0;
        self.open_files += 1;
        let mut result = Ok(());
        for rows in held {
            result = file.write(&rows, &mut self.shared).await;
            if result.is_err() {
                break;
            }
        }
        partition.file = Some(file);
        self.account(key);
        result
    }

    fn path(&self, values: &Struct) -> String {
        let folder = partition_path(&self.spec, self.partition_type(), values);
        let slash = if folder.is_empty() { "" } else { "/" };
        format!(
            "{}/{folder}{slash}{}-{}.parquet",
            self.shared.settings.data_path,
            self.context.name_prefix,
            self.context.ids.uuid()
        )
    }

    fn partition_type(&self) -> &StructType {
        self.partitioner.partition_type()
    }

    async fn close_if_large(&mut self, key: &[u8]) -> Result<(), TableWriteError> {
        let target = self.shared.settings.target_file_size_bytes as u64;
        let file = self
            .partitions
            .get(key)
            .and_then(|partition| partition.file.as_ref());
        if file.is_some_and(|file| file.size_bytes() >= target) {
            self.close_partition(key).await?;
        }
        Ok(())
    }

    /// Files being written at present.
    pub fn open_files(&self) -> usize {
        self.open_files
    }

    /// Closes files where all writers together are beyond the limit of memory and this one holds a large part of it.
    /// For a writer that waits for rows, after [`MemoryBudget::pressed`](super::MemoryBudget::pressed).
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn keep_memory_limit(&mut self) -> Result<(), TableWriteError> {
        while self.memory.must_shrink() {
            let largest = self
                .partitions
                .iter()
                .max_by_key(|(_, partition)| partition.memory_bytes);
            let Some(key) = largest.map(|(key, _)| key.clone()) else {
                return Ok(());
            };
            self.close_partition(&key).await?;
        }
        Ok(())
    }

    /// Makes room for one more file.
    async fn keep_open_files_limit(&mut self) -> Result<(), TableWriteError> {
        while self.open_files >= self.context.open_files_max.max(1) {
            let open = self.partitions.iter().filter_map(|(key, partition)| {
                partition.file.as_ref().map(|file| (file.size_bytes(), key))
            });
            let Some(key) = open
                .max_by_key(|(size, _)| *size)
                .map(|(_, key)| key.clone())
            else {
                return Ok(());
            };
            self.close_partition(&key).await?;
        }
        Ok(())
    }

    /// Ends a partition's file, with all rows that there are of it.
    async fn close_partition(&mut self, key: &[u8]) -> Result<(), TableWriteError> {
        let Some(mut partition) = self.partitions.remove(key) else {
            return Ok(());
        };
        self.memory.change(partition.memory_bytes, 0);
        let counted = partition.file.is_some();
        let result = self.close_file(&mut partition).await;
        if counted {
            self.open_files -= 1;
        }
        match result {
            Ok(Some(file)) => self.finished.push(file),
            Ok(None) => {}
            Err(error) => {
                if let Some(file) = partition.file.take() {
                    // The first failure is what is told; the file, which nothing names, may stay.
                    let _ = file.abort().await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn close_file(
        &mut self,
        partition: &mut Partition,
    ) -> Result<Option<PendingFile>, TableWriteError> {
        let held = std::mem::take(&mut partition.held);
        if partition.file.is_none() {
            if held.is_empty() {
                return Ok(None);
            }
            let path = self.path(&partition.values);
            partition.file = Some(ParquetFile::create(path, &self.shared).await?);
        }
        let Some(file) = &mut partition.file else {
            return Ok(None);
        };
        if let Some(sorter) = &self.sorter {
            let order = sorter.sort(&held)?;
            for rows in in_order(&held, &order) {
                file.write(&rows?, &mut self.shared).await?;
            }
        } else {
            for rows in held {
                file.write(&rows, &mut self.shared).await?;
            }
        }
        let Some(file) = partition.file.take() else {
            return Ok(None);
        };
        let values = partition.values.clone();
        let id = self.sort_order_id;
        let data_file = file.finish(values, id, &mut self.shared).await?;
        Ok(Some(PendingFile {
            data_file,
            partition_spec_id: self.shared.spec_id,
            schema_id: self.context.metadata.current_schema_id(),
        }))
    }

    /// Ends all files, which are then durable: each row that was written is in exactly one of them.
    ///
    /// # Errors
    /// Then there is nothing to commit; what was written has been removed, as far as the storage let us.
    pub async fn finish(mut self) -> Result<Vec<PendingFile>, TableWriteError> {
        // The key is taken out of the loop's head: an iterator kept over the wait would make the future not `Send`.
        loop {
            let next = self.partitions.keys().next().cloned();
            let Some(key) = next else { break };
            if let Err(error) = self.close_partition(&key).await {
                self.abort().await;
                return Err(error);
            }
        }
        Ok(self.finished)
    }

    /// Gives everything up, and removes what was written, as far as the storage lets us. No commit can
    /// have named these files: only [`Self::finish`] tells of them.
    pub async fn abort(self) {
        for partition in self.partitions.into_values() {
            if let Some(file) = partition.file
                && let Err(error) = file.abort().await
            {
                tracing::warn!(%error, "a data file that was given up may remain");
            }
        }
        for file in self.finished {
            if let Err(error) = self
                .context
                .storage
                .delete(file.data_file.file_path())
                .await
            {
                tracing::warn!(%error, "a data file that was given up may remain");
            }
        }
    }
}
