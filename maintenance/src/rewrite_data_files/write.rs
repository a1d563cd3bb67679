//! The files of one group, read and written as few.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use frazil_service::clock::Ids;
use frazil_table::{
    catalog::LoadedTable,
    commit::{PendingFile, RewriteGroup},
    data_file::{MemoryBudget, PartitionedWriter, RowKeys, TableWriteError, WriterContext},
    error::{TableError, TableErrorKind},
};
use futures::StreamExt as _;

use super::{
    Group, columns,
    merge::Merge,
    read::{Rows, rows},
};
use crate::files::paths;

/// Partitions of one group that files are open for: one, unless rows are not where their file's entry says.
const OPEN_FILES_MAX: usize = 8;

/// Why a group could not be rewritten.
#[derive(Debug)]
pub(super) enum RewriteError {
    /// Its files could not be read.
    Table(TableError),
    /// The new ones could not be written.
    Write(TableWriteError),
    /// That file is not in the order that its entry says.
    NotSorted(String),
    /// There are other rows in the files than their entries say.
    Count {
        /// In the files.
        read: u64,
        /// In their entries.
        expected: u64,
    },
}

impl RewriteError {
    /// As an error of the table.
    pub(super) fn of(self, table: &LoadedTable) -> TableError {
        let (kind, reason) = match self {
            Self::Table(error) => return error,
            Self::Write(error @ TableWriteError::Storage(_)) => {
                (TableErrorKind::Storage, format!("failed to {error}"))
            }
            Self::Write(error) => (TableErrorKind::Rejected, format!("failed to {error}")),
            Self::NotSorted(path) => (
                TableErrorKind::Rejected,
                format!("{path} is not in the sort order that its manifest entry states"),
            ),
            Self::Count { read, expected } => (
                TableErrorKind::Rejected,
                format!("its files hold {read} rows, and their manifest entries say {expected}"),
            ),
        };
        TableError::new(&table.name, kind, reason)
    }
}

/// Reads the files of groups and writes their rows anew.
#[async_trait]
pub trait RewriteFiles: Debug + Send + Sync + 'static {
    /// Does it for one group. Nothing names the new files yet; where it fails they are removed again.
    async fn rewrite(
        &self,
        table: &LoadedTable,
        group: &Group,
        epoch: u64,
    ) -> Result<RewriteGroup, TableError>;
}

/// Parquet files, as writers write them.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    pub(super) ids: Arc<dyn Ids>,
    pub(super) memory: Arc<MemoryBudget>,
}

#[async_trait]
impl RewriteFiles for ParquetFiles {
    async fn rewrite(
        &self,
        table: &LoadedTable,
        group: &Group,
        epoch: u64,
    ) -> Result<RewriteGroup, TableError> {
        let writing = Writing {
            table,
            files: self,
            epoch,
        };
        let rewritten = writing.rewrite(group).await;
        rewritten.map_err(|error| error.of(table))
    }
}

struct Writing<'a> {
    table: &'a LoadedTable,
    files: &'a ParquetFiles,
    epoch: u64,
}

impl Writing<'_> {
    async fn rewrite(&self, group: &Group) -> Result<RewriteGroup, RewriteError> {
        for file in &group.files {
            columns::check(self.table, file)
                .await
                .map_err(RewriteError::Table)?;
        }
        let context = WriterContext {
            storage: Arc::clone(&self.table.storage),
            metadata: Arc::clone(&self.table.metadata),
            ids: Arc::clone(&self.files.ids),
            name_prefix: format!("m{}", self.epoch),
            memory: Arc::clone(&self.files.memory),
            open_files_max: OPEN_FILES_MAX,
        };
        let mut writer = PartitionedWriter::in_given_order(context, group.is_sorted)
            .map_err(RewriteError::Write)?;
        let written = if group.is_sorted {
            self.merge(group, &mut writer).await
        } else {
            self.concatenate(group, &mut writer).await
        };
        let expected = group.rows();
        let checked = written.and_then(|read| {
            if read == expected {
                Ok(())
            } else {
                Err(RewriteError::Count { read, expected })
            }
        });
        if let Err(error) = checked {
            writer.abort().await;
            return Err(error);
        }
        let outputs: Vec<PendingFile> = writer.finish().await.map_err(RewriteError::Write)?;
        Ok(RewriteGroup {
            inputs: paths(&group.files),
            outputs,
        })
    }

    async fn concatenate(
        &self,
        group: &Group,
        writer: &mut PartitionedWriter,
    ) -> Result<u64, RewriteError> {
        let mut read = 0;
        for file in &group.files {
            let mut batches: Rows = rows(self.table, file).map_err(RewriteError::Table)?;
            while let Some(batch) = batches.next().await {
                let batch = batch.map_err(RewriteError::Table)?;
                read += batch.num_rows() as u64;
                writer.write(&batch).await.map_err(RewriteError::Write)?;
            }
        }
        Ok(read)
    }

    async fn merge(
        &self,
        group: &Group,
        writer: &mut PartitionedWriter,
    ) -> Result<u64, RewriteError> {
        let keys = RowKeys::new(&self.table.metadata).map_err(RewriteError::Write)?;
        let Some(keys) = keys else {
            return self.concatenate(group, writer).await;
        };
        let mut runs = Vec::with_capacity(group.files.len());
        for file in &group.files {
            let rows = rows(self.table, file).map_err(RewriteError::Table)?;
            runs.push((file.path.clone(), rows));
        }
        let mut merge = Merge::new(keys, runs).await?;
        let mut read = 0;
        while let Some(batch) = merge.next().await? {
            read += batch.num_rows() as u64;
            writer.write(&batch).await.map_err(RewriteError::Write)?;
        }
        Ok(read)
    }
}
