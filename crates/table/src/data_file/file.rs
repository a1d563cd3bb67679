//! One data file: rows held back, then a Parquet file that grows by row groups.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct};
use parquet::file::writer::SerializedFileWriter;

use super::{
    TableWriteError,
    encode::Tools,
    metrics::FileMetrics,
    row_group::{DictionaryHints, FileLayout, RowGroupEncoder},
    settings::WriteSettings,
};
use crate::storage::{Storage, StorageWriter};

/// Rows encoded between two looks at a row group's size.
const ENCODE_ROWS: usize = 8_192;

/// The least that the storage is handed at a time, where there is more to come.
const PIECE_BYTES_MIN: usize = 256 * 1024;

/// What files have in common while they are written.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: WriteSettings,
    pub(crate) layout: Arc<FileLayout>,
    pub(crate) spec_id: i32,
    pub(crate) tools: Tools,
    pub(crate) hints: DictionaryHints,
}

/// Small pages put together, since each piece that the storage is handed costs a call.
fn joined(pages: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let mut pages = pages.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = pages.next()?;
        if first.len() >= PIECE_BYTES_MIN || pages.peek().is_none() {
            return Some(first);
        }
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES_MIN);
        piece.extend_from_slice(&first);
        while piece.len() < PIECE_BYTES_MIN
            && let Some(next) = pages.next_if(|next| next.len() < PIECE_BYTES_MIN)
        {
            piece.extend_from_slice(&next);
        }
        Some(piece.into())
    })
}

/// What parquet's writer writes: magic numbers, indexes, footer. Pages pass by it.
#[derive(Debug, Default)]
struct Sink {
    bytes: Vec<u8>,
    /// Whether what comes is handed to the storage by other ways.
    discards: bool,
}

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.discards {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A Parquet file being written.
pub(crate) struct ParquetFile {
    path: String,
    output: Box<dyn StorageWriter>,
    parquet: SerializedFileWriter<Sink>,
    row_group: Option<RowGroupEncoder>,
    metrics: FileMetrics,
    rows: u64,
    /// Handed to the storage.
    written_bytes: u64,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl ParquetFile {
    pub(crate) async fn create(path: String, shared: &Shared) -> Result<Self, TableWriteError> {
        let layout = &shared.layout;
        let parquet = SerializedFileWriter::new(
            Sink::default(),
            Arc::clone(&layout.parquet),
            Arc::clone(&layout.properties),
        )?;
        let output = shared.storage.writer(&path).await?;
        let metrics = FileMetrics::new(layout.leaves.len());
        Ok(Self {
            path,
            output,
            parquet,
            row_group: None,
            metrics,
            rows: 0,
            written_bytes: 0,
        })
    }

    /// Encodes rows; a row group that is full goes to the storage.
    pub(crate) async fn write(
        &mut self,
        rows: &RecordBatch,
        shared: &mut Shared,
    ) -> Result<(), TableWriteError> {
        let mut from = 0;
        while from < rows.num_rows() {
            let count = ENCODE_ROWS.min(rows.num_rows() - from);
            self.encode(&rows.slice(from, count), shared)?;
            from += count;
            let full = self.row_group.as_ref().is_some_and(|row_group| {
                row_group.uncompressed_bytes() >= shared.settings.row_group_size_bytes
            });
            if full {
                self.end_row_group(shared).await?;
            }
        }
        Ok(())
    }

    fn encode(&mut self, rows: &RecordBatch, shared: &mut Shared) -> Result<(), TableWriteError> {
        let row_group = match &mut self.row_group {
            Some(row_group) => row_group,
            none => none.insert(RowGroupEncoder::new(
                &shared.layout,
                &shared.hints,
                &mut shared.tools,
            )?),
        };
        row_group.write(rows, &mut shared.tools)?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    /// Encodes what is left of the row group and hands it to the storage.
    ///
    /// Its pages go there as they are: parquet's writer only has to know how long they are.
    async fn end_row_group(&mut self, shared: &mut Shared) -> Result<(), TableWriteError> {
        let Some(row_group) = self.row_group.take() else {
            return Ok(());
        };
        if row_group.rows() == 0 {
            return Ok(());
        }
        let columns = row_group.close(&mut shared.tools, &mut shared.hints)?;
        self.send().await?;
        self.parquet.inner_mut().discards = true;
        let mut pages = Vec::new();
        let mut writer = self.parquet.next_row_group()?;
        for (leaf, column) in columns.into_iter().enumerate() {
            self.metrics.add(leaf, &column);
            writer.append_column(&column.bytes, column.close)?;
            pages.extend(column.bytes.into_parts());
        }
        writer.close()?;
        self.flush()?;
        self.parquet.inner_mut().discards = false;
        for bytes in joined(pages) {
            self.written_bytes += bytes.len() as u64;
            self.output.write(bytes).await?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), TableWriteError> {
        let flushed = self.parquet.flush();
        Ok(flushed.map_err(parquet::errors::ParquetError::from)?)
    }

    /// Hands what parquet's writer wrote itself to the storage.
    async fn send(&mut self) -> Result<(), TableWriteError> {
        self.flush()?;
        let bytes = std::mem::take(&mut self.parquet.inner_mut().bytes);
        if !bytes.is_empty() {
            self.written_bytes += bytes.len() as u64;
            self.output.write(Bytes::from(bytes)).await?;
        }
        Ok(())
    }

    /// Memory held: the row group being encoded.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.row_group
            .as_ref()
            .map_or(0, RowGroupEncoder::memory_bytes)
    }

    /// The file's size so far, as far as it is known.
    pub(crate) fn size_bytes(&self) -> u64 {
        let row_group = self
            .row_group
            .as_ref()
            .map_or(0, RowGroupEncoder::compressed_bytes);
        self.written_bytes + row_group as u64
    }

    /// Ends the file: on return it is durable.
    pub(crate) async fn finish(
        mut self,
        partition: Struct,
        sort_order_id: Option<i32>,
        shared: &mut Shared,
    ) -> Result<DataFile, TableWriteError> {
        let result = self.finish_content(shared).await;
        let split_offsets = match result {
            Ok(split_offsets) => split_offsets,
            Err(error) => {
                // The first failure is what is told; the file, which nothing names, may stay.
                let _ = self.output.abort().await;
                return Err(error);
            }
        };
        self.output.close().await?;
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data)
            .file_path(self.path)
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .partition_spec_id(shared.spec_id)
            .record_count(self.rows)
            .file_size_in_bytes(self.written_bytes)
            .split_offsets(Some(split_offsets));
        if let Some(id) = sort_order_id {
            file.sort_order_id(id);
        }
        self.metrics
            .fill(&shared.layout.leaves, &shared.settings, &mut file);
        file.build().map_err(|error| TableWriteError::Encode {
            reason: error.to_string(),
        })
    }

    async fn finish_content(&mut self, shared: &mut Shared) -> Result<Vec<i64>, TableWriteError> {
        self.end_row_group(shared).await?;
        let footer = self.parquet.finish()?;
        self.send().await?;
        let offset = |group: &parquet::file::metadata::RowGroupMetaData| {
            let column = group.columns().first()?;
            Some(
                column
                    .dictionary_page_offset()
                    .unwrap_or_else(|| column.data_page_offset()),
            )
        };
        Ok(footer.row_groups().iter().filter_map(offset).collect())
    }

    /// Gives the file up, and removes what there is of it.
    pub(crate) async fn abort(self) -> Result<(), TableWriteError> {
        Ok(self.output.abort().await?)
    }
}
