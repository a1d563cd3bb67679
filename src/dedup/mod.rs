//! Deduplication: rows that the table holds already, by their key and within a window of time, are not written again.
//!
//! It stands between decoding and partitioning. What it guarantees, whatever dies and whoever else writes:
//!
//! - A row is dropped only if a row of its key is in the table, or in the same or an earlier checkpoint of this
//!   session, at another position. Blocks pass in the order in which they were read ([`Dedup::turn`]), so a checkpoint
//!   never rests on a later one, and what is dropped does not depend on how many workers there are.
//! - The window is a function of the table that the session began with, and of what the session wrote since. It ends
//!   with the session: a record that is read again after a fence is not taken for its own duplicate.
//! - It begins with what the table holds ([`Dedup::fill`]), read again whenever Kafka's group gives partitions, of
//!   which another may have written meanwhile.

mod keys;
mod shard;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arrow_array::{Array as _, BooleanArray};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::filter::filter_record_batch;
use frazil_dataset::{DedupPolicy, TableName, format_duration};
use frazil_table::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
    scan,
    storage::iceberg_io,
};
use futures::TryStreamExt as _;
use iceberg::{
    expr::Reference,
    spec::{Datum, PrimitiveType, Type},
};
use tokio::sync::watch;

use crate::record::RowBlock;
use keys::{Keyed, Keys};
use window::{Seen, Window};

/// Data files that are read at a time at a start: each takes a row group of the key's columns in memory.
const FILES_READ_MAX: usize = 2;

/// Of a window that keeps narrowing it is told no more often.
const WARN_EVERY: Duration = Duration::from_mins(5);

/// Parts of it that can be switched off: for simulations that show what each is for.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupGuards {
    /// A session begins with the keys that the table holds.
    pub fills: bool,
    /// A session begins without the keys of the session before.
    pub forgets: bool,
}

impl Default for DedupGuards {
    fn default() -> Self {
        Self {
            fills: true,
            forgets: true,
        }
    }
}

/// How the window stands, for whoever watches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DedupProgress {
    /// Keys that are remembered.
    pub keys: u64,
    /// The memory that they take, in bytes.
    pub bytes: u64,
    /// How long the window is, in seconds: less than was asked for where its memory made it so.
    pub window_seconds: f64,
    /// Rows that were written without a look, since they are outside of the window or have no time: of all sessions.
    pub unchecked: u64,
}

/// A session's window, which all of its workers share.
#[derive(Debug)]
pub struct Dedup {
    table: TableName,
    policy: DedupPolicy,
    /// The table's columns.
    schema: SchemaRef,
    /// What hashes are made under; another one for each session, so that nobody can prepare keys that collide.
    secret: [u8; 16],
    guards: DedupGuards,
    state: Mutex<State>,
    /// The block whose turn it is; [`CLOSED`] once a worker failed.
    next: watch::Sender<u64>,
}

const CLOSED: u64 = u64::MAX;

#[derive(Debug)]
struct State {
    window: Window,
    /// How often the window had narrowed when that was told last, and when.
    told: (u64, Option<Instant>),
    /// The snapshot whose keys it holds.
    snapshot: Option<i64>,
}

impl Dedup {
    /// A window without keys, for rows of a table whose arrow schema is `schema`.
    pub fn new(
        table: &TableName,
        policy: &DedupPolicy,
        schema: SchemaRef,
        secret: [u8; 16],
        guards: DedupGuards,
    ) -> Self {
        let micros = i64::try_from(policy.window.as_micros()).unwrap_or(i64::MAX / 16);
        let bytes_max = usize::try_from(policy.memory_bytes_max).unwrap_or(usize::MAX);
        Self {
            table: table.clone(),
            policy: policy.clone(),
            schema,
            secret,
            guards,
            state: Mutex::new(State {
                window: Window::new(micros, bytes_max),
                told: (0, None),
                snapshot: None,
            }),
            next: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins another session with the same keys, which only a control does.
    pub fn begin_again(&self) {
        self.next.send_replace(0);
    }

    /// One worker's part. `rescued` is the table's column of rescued values.
    ///
    /// # Errors
    /// The table lacks a column of the key.
    pub fn worker(self: &Arc<Self>, rescued: Option<&str>) -> Result<WorkerDedup, ArrowError> {
        let rescued = rescued.and_then(|name| self.schema.index_of(name).ok());
        Ok(WorkerDedup {
            keys: Keys::new(&self.policy, &self.schema, self.secret)?,
            shared: Arc::clone(self),
            rescued,
            is_done: false,
        })
    }

    /// Takes in the keys of the rows that the table holds and that are within the window, unless it has those of that
    /// snapshot already. Rows that were deleted are not there: what they were comes again as a row.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn fill(&self, table: &LoadedTable, now_micros: i64) -> Result<(), TableError> {
        let snapshot = table.metadata.current_snapshot_id();
        if !self.guards.fills || snapshot.is_none() || self.lock().snapshot == snapshot {
            return Ok(());
        }
        let started = Instant::now();
        let rows = self.read(table, now_micros).await?;
        let mut state = self.lock();
        state.snapshot = snapshot;
        tracing::info!(
            table = %self.table,
            rows,
            keys = state.window.keys(),
            ms = started.elapsed().as_millis(),
            "read the keys of the deduplication window from the table"
        );
        Ok(())
    }

    async fn read(&self, table: &LoadedTable, now_micros: i64) -> Result<u64, TableError> {
        let unfit = |reason: String| TableError::new(&self.table, TableErrorKind::Rejected, reason);
        let mut keys = Keys::new(&self.policy, &self.schema, self.secret)
            .map_err(|error| unfit(error.to_string()))?;
        let Some(field) = table.metadata.current_schema().field_by_name(keys.time()) else {
            return Err(unfit(format!("it has no column {}", keys.time())));
        };
        let window = i64::try_from(self.policy.window.as_micros()).unwrap_or(i64::MAX);
        let newest = scan::newest_time(table, field.id, now_micros.saturating_add(window)).await?;
        let failed = |error: iceberg::Error| {
            let kind = match iceberg_io::storage_cause(&error) {
                Some(_) => TableErrorKind::Storage,
                None => TableErrorKind::Rejected,
            };
            let reason = format!("the keys that it holds cannot be read for [dedup]: {error}");
            TableError::new(&self.table, kind, reason)
        };
        let readable = scan::readable(table).map_err(failed)?;
        let mut scan = readable
            .scan()
            .select(keys.names())
            .with_data_file_concurrency_limit(FILES_READ_MAX)
            .with_manifest_entry_concurrency_limit(1);
        if let Some(newest) = newest {
            let start = newest.min(now_micros).saturating_sub(window);
            let start = match field.field_type.as_ref() {
                Type::Primitive(PrimitiveType::Timestamp) => Datum::timestamp_micros(start),
                _ => Datum::timestamptz_micros(start),
            };
            let time = Reference::new(keys.time());
            scan = scan.with_filter(time.greater_than_or_equal_to(start));
        }
        let scan = scan.build().map_err(failed)?;
        let mut batches = scan.to_arrow().await.map_err(failed)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            let keyed = keys.of(&batch).map_err(|error| unfit(error.to_string()))?;
            rows += keyed.hashes.len() as u64;
            let mut state = self.lock();
            for (row, hash) in keyed.hashes.iter().enumerate() {
                if let Some(hash) = hash
                    && keyed.times.is_valid(row)
                {
                    state.window.see(*hash, keyed.times.value(row), now_micros);
                }
            }
        }
        Ok(rows)
    }

    /// How it stands, after `unchecked` rows.
    fn progress(&self, unchecked: u64) -> DedupProgress {
        let state = self.lock();
        DedupProgress {
            keys: state.window.keys() as u64,
            bytes: state.window.bytes() as u64,
            window_seconds: state.window.length_micros() as f64 / 1e6,
            unchecked,
        }
    }

    /// Waits until all blocks before that one have passed. False: none ever will, since a worker failed.
    async fn turn(&self, number: u64) -> bool {
        let mut next = self.next.subscribe();
        let came = next.wait_for(|next| *next == number || *next == CLOSED);
        came.await.is_ok_and(|next| *next == number)
    }

    fn pass(&self, number: u64) {
        self.next.send_if_modified(|next| {
            let is_ours = *next == number;
            if is_ours {
                *next += 1;
            }
            is_ours
        });
    }

    /// Looks rows up, in their order.
    fn mark(&self, keyed: &Keyed, now_micros: i64) -> Marked {
        let mut state = self.lock();
        let mut marked = Marked {
            kept: vec![true; keyed.hashes.len()],
            ..Marked::default()
        };
        for (row, hash) in keyed.hashes.iter().enumerate() {
            let Some(hash) = hash else { continue };
            let seen = if keyed.times.is_valid(row) {
                state.window.see(*hash, keyed.times.value(row), now_micros)
            } else {
                Seen::Unknown
            };
            match seen {
                Seen::First => {}
                Seen::Unknown => marked.unchecked += 1,
                Seen::Duplicate => {
                    marked.kept[row] = false;
                    marked.duplicates += 1;
                }
            }
        }
        self.tell_of_memory(&mut state);
        marked
    }

    fn tell_of_memory(&self, state: &mut State) {
        let narrowed = state.window.narrowed();
        let (told, at) = state.told;
        if narrowed == told || at.is_some_and(|at| at.elapsed() < WARN_EVERY) {
            return;
        }
        state.told = (narrowed, Some(Instant::now()));
        let left = Duration::from_micros(state.window.length_micros().unsigned_abs());
        tracing::warn!(
            table = %self.table,
            memory_max = self.policy.memory_bytes_max,
            keys = state.window.keys(),
            "the keys of {} need more than [dedup] memory_max: the window is now {} s, and duplicates that are further apart are written",
            format_duration(self.policy.window),
            left.as_secs()
        );
    }
}

/// What a block's rows are to the window.
#[derive(Debug, Default)]
struct Marked {
    /// One a row: whether it is written.
    kept: Vec<bool>,
    duplicates: u64,
    unchecked: u64,
}

/// One worker's part in a session's deduplication.
pub struct WorkerDedup {
    shared: Arc<Dedup>,
    keys: Keys,
    rescued: Option<usize>,
    /// Whether all that the worker was given has passed.
    is_done: bool,
}

impl WorkerDedup {
    /// The keys of a block's rows: what takes time, and needs no order.
    ///
    /// # Errors
    /// The rows are not of the table's columns.
    pub fn keys(&mut self, rows: &RowBlock) -> Result<BlockKeys, ArrowError> {
        self.keys.of(&rows.rows).map(BlockKeys)
    }

    /// Waits until all blocks before that one have passed. False: none ever will, since another worker failed.
    pub async fn turn(&self, number: u64) -> bool {
        self.shared.turn(number).await
    }

    /// Takes the duplicates out of a block whose turn it is, and lets the next one pass. Gives how many rows were not
    /// looked up.
    ///
    /// # Errors
    /// The rows cannot be filtered.
    pub fn drop_duplicates(
        &self,
        rows: &mut RowBlock,
        keys: &BlockKeys,
        number: u64,
        now_micros: i64,
    ) -> Result<u64, ArrowError> {
        let marked = self.shared.mark(&keys.0, now_micros);
        self.shared.pass(number);
        if marked.duplicates == 0 {
            return Ok(marked.unchecked);
        }
        rows.rows = filter_record_batch(&rows.rows, &BooleanArray::from(marked.kept))?;
        let counts = &mut rows.counts;
        counts.duplicates += marked.duplicates;
        counts.rows_written -= marked.duplicates;
        if let Some(rescued) = self.rescued {
            let column = rows.rows.column(rescued);
            counts.rows_rescued = (column.len() - column.null_count()) as u64;
        }
        Ok(marked.unchecked)
    }

    /// How the window stands, after `unchecked` rows in all.
    pub fn progress(&self, unchecked: u64) -> DedupProgress {
        self.shared.progress(unchecked)
    }

    /// All that the worker was given has passed.
    pub fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for WorkerDedup {
    /// The blocks of a worker that failed never pass, and those behind them need not wait.
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.next.send_replace(CLOSED);
        }
    }
}

/// The keys of a block's rows.
pub struct BlockKeys(Keyed);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    use frazil_dataset::DedupKey;
    use frazil_table::{commit::Counts, state::SourceIdentity};
    use futures::FutureExt as _;

    use super::*;
    use crate::record::{Reasons, SourceInfo};

    fn schema() -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("time", time, true),
        ]))
    }

    fn dedup() -> Arc<Dedup> {
        let policy = DedupPolicy {
            key: DedupKey::Columns(vec!["n".to_owned()]),
            time: "time".to_owned(),
            window: Duration::from_hours(1),
            memory_bytes_max: 1 << 20,
        };
        let table = TableName {
            namespace: vec!["logs".to_owned()],
            table: "web".to_owned(),
        };
        let guards = DedupGuards::default();
        Arc::new(Dedup::new(&table, &policy, schema(), [7; 16], guards))
    }

    fn rows(numbers: &[i64]) -> RowBlock {
        let times = TimestampMicrosecondArray::from(vec![1_000_000; numbers.len()]);
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(Int64Array::from(numbers.to_vec())),
            Arc::new(times),
        ];
        RowBlock {
            source: Arc::new(SourceInfo {
                id: 1,
                name: "x".into(),
                partition: 0,
            }),
            range: 0..1,
            identity: SourceIdentity::StandardInput,
            rows: RecordBatch::try_new(schema(), columns).unwrap(),
            rejects: Vec::new(),
            counts: Counts {
                records_read: numbers.len() as u64,
                rows_written: numbers.len() as u64,
                ..Counts::default()
            },
            reasons: Reasons::default(),
        }
    }

    #[test]
    fn a_later_block_waits_for_the_one_before_so_that_it_never_is_the_first() {
        let dedup = dedup();
        let (mut one, mut other) = (dedup.worker(None).unwrap(), dedup.worker(None).unwrap());
        let mut later = rows(&[1, 2, 3]);
        let keys = other.keys(&later).unwrap();
        assert_eq!(other.turn(1).now_or_never(), None);
        let mut first = rows(&[1, 2, 2]);
        let first_keys = one.keys(&first).unwrap();
        assert_eq!(one.turn(0).now_or_never(), Some(true));
        one.drop_duplicates(&mut first, &first_keys, 0, 2_000_000)
            .unwrap();
        assert_eq!((first.counts.rows_written, first.counts.duplicates), (2, 1));
        assert_eq!(other.turn(1).now_or_never(), Some(true));
        other
            .drop_duplicates(&mut later, &keys, 1, 2_000_000)
            .unwrap();
        assert_eq!((later.rows.num_rows(), later.counts.duplicates), (1, 2));
        assert_eq!(other.progress(0).keys, 3);
    }

    #[test]
    fn nobody_waits_for_a_worker_that_failed() {
        let dedup = dedup();
        let (mut done, failed) = (dedup.worker(None).unwrap(), dedup.worker(None).unwrap());
        let waiting = dedup.worker(None).unwrap();
        done.done();
        drop(done);
        assert_eq!(waiting.turn(5).now_or_never(), None);
        drop(failed);
        assert_eq!(waiting.turn(5).now_or_never(), Some(false));
    }
}
