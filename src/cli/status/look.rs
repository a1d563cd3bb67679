//! One look at one dataset: its file, its table by a writer's own guards, and its source.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use frazil::{pipeline::KafkaInput, source::kafka::Cluster};
use frazil_dataset::{Dataset, SourceSpec, TableName};
use frazil_service::clock::{Clock as _, RandomIds, SystemClock};
use frazil_table::{
    catalog::{Catalog, LoadedTable},
    commit::{Committer, Guards, OpenTable, guard},
    schema,
    state::SourceState,
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::task::JoinHandle;

use super::{
    files,
    report::{Lag, Report},
    table, topics,
};
use crate::cli::{Context, exit::Failure, output::timestamp, read, rejects, target};

type Opened = Result<Arc<dyn Catalog>, Arc<anyhow::Error>>;

/// The catalogs of a round, each opened once by whoever is first.
pub(super) struct Catalogs<'a> {
    context: &'a Context,
    opened: Mutex<HashMap<Option<String>, Shared<BoxFuture<'a, Opened>>>>,
}

impl<'a> Catalogs<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            opened: Mutex::default(),
        }
    }

    /// Catalogs are opened anew: settings, secrets and files may have come to be meanwhile.
    pub(super) fn begin_round(&self) {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn open(&self, name: Option<&str>) -> anyhow::Result<Arc<dyn Catalog>> {
        let opening = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let context = self.context;
            let name = name.map(str::to_owned);
            let open = |name: Option<String>| async move {
                context.catalog(name.as_deref()).await.map_err(Arc::new)
            };
            opened
                .entry(name.clone())
                .or_insert_with(|| open(name).boxed().shared())
                .clone()
        };
        opening.await.map_err(|error| SharedError(error).into())
    }
}

/// An error that several datasets have in common.
#[derive(Debug)]
struct SharedError(Arc<anyhow::Error>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0)
    }
}

/// A dataset that is looked at again and again.
#[derive(Debug)]
pub(super) struct Watched {
    /// A path or a name.
    argument: String,
    /// A look at the source that took longer than it may: not begun a second time beside the first.
    looking: Option<JoinHandle<anyhow::Result<Lag>>>,
    /// A client for Kafka, kept for the next look.
    cluster: Arc<Mutex<Option<Arc<dyn Cluster>>>>,
}

impl Watched {
    pub(super) fn new(argument: String) -> Self {
        Self {
            argument,
            looking: None,
            cluster: Arc::default(),
        }
    }

    /// Looks; each server that is asked may take as long as the limit.
    pub(super) async fn look(&mut self, catalogs: &Catalogs<'_>, limit: Duration) -> Report {
        let name = std::path::Path::new(&self.argument).file_stem();
        let name = name.map_or_else(
            || self.argument.clone(),
            |name| name.to_string_lossy().into(),
        );
        let mut report = Report::new(&name);
        if let Err(error) = self.find_out(catalogs, limit, &mut report).await {
            report.failed(&error);
        }
        report
    }

    async fn find_out(
        &mut self,
        catalogs: &Catalogs<'_>,
        limit: Duration,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let dataset = catalogs.context.dataset(&self.argument)?;
        report.dataset.clone_from(&dataset.name);
        report.table = Some(dataset.table.to_string());
        let mut found = within(limit, "the catalog", open(catalogs, &dataset, report)).await?;
        let stopped = found.as_mut().and_then(|found| found.stopped.take());
        let lag = self.source(catalogs, dataset, found);
        let lag = within(limit, "what it is read from", lag).await?;
        report.stands(lag);
        stopped.map_or(Ok(()), |stopped| Err(stopped.into()))
    }

    /// Looks at the source, off the tasks' threads.
    async fn source(
        &mut self,
        catalogs: &Catalogs<'_>,
        dataset: Dataset,
        table: Option<Found>,
    ) -> anyhow::Result<Lag> {
        if self.looking.is_none() {
            let look = self.question(catalogs, dataset, table)?;
            self.looking = Some(tokio::task::spawn_blocking(look));
        }
        let Some(looking) = &mut self.looking else {
            return Ok(Lag::default());
        };
        let lag = looking.await.context("look at its source");
        self.looking = None;
        lag?
    }

    fn question(
        &self,
        catalogs: &Catalogs<'_>,
        dataset: Dataset,
        found: Option<Found>,
    ) -> anyhow::Result<impl FnOnce() -> anyhow::Result<Lag> + Send + 'static> {
        let input = match &dataset.source {
            Some(SourceSpec::Kafka(spec)) => {
                let settings = catalogs.context.settings()?;
                Some(target::kafka::input(&settings, spec, false, None)?)
            }
            Some(SourceSpec::Files { .. }) | None => None,
        };
        let cluster = Arc::clone(&self.cluster);
        Ok(move || match (input, &dataset.source, found) {
            (Some(input), _, found) => of_topics(
                &input,
                &cluster,
                &dataset.table,
                found.map(|found| found.open),
            ),
            (None, Some(SourceSpec::Files { paths }), Some(found)) => {
                let version = found.open.state.sources_version;
                Ok(files::of_paths(paths, &found.sources, version)?)
            }
            (None, Some(SourceSpec::Files { paths }), None) => {
                Ok(files::of_paths(paths, &BTreeMap::new(), 0)?)
            }
            (None, _, Some(found)) => Ok(files::of_known(&found.open.state.sources)?),
            (None, _, None) => Ok(Lag::default()),
        })
    }
}

/// A table that a writer would go on with.
struct Found {
    open: OpenTable,
    /// Its sources, those of files that were read to their end among them.
    sources: BTreeMap<u64, SourceState>,
    /// What ended its last writer, as far as that left a trace.
    stopped: Option<Failure>,
}

/// The table, after a writer's guards; what it tells is in the report even where they stop.
async fn open(
    catalogs: &Catalogs<'_>,
    dataset: &Dataset,
    report: &mut Report,
) -> anyhow::Result<Option<Found>> {
    let catalog = catalogs.open(dataset.catalog.as_deref()).await?;
    let name = &dataset.table;
    let Some(table) = load(catalog.as_ref(), name).await? else {
        return Ok(None);
    };
    report.latest = table::latest(&table.metadata, SystemClock.now_millis());
    if let Ok(Some(state)) = read::state(&table) {
        report.last_commit = table::last_commit(&table.metadata, &state);
    }
    let state = guard::state_of(&table, &Guards::default())?;
    let metadata = &table.metadata;
    schema::reconcile(
        dataset,
        metadata.current_schema(),
        metadata.last_column_id(),
    )?;
    let open = OpenTable { table, state };
    let committer = Committer::new(catalog, Arc::new(SystemClock), Arc::new(RandomIds));
    let (dead_letters, pending) = committer.look_at_dead_letters(&open).await?;
    report.outbox_pending = pending;
    let stopped = match dead_letters {
        Some(dead_letters) => stopped(dataset, &open.table, &dead_letters).await?,
        None => None,
    };
    let sources = match committer.sources(&open).await? {
        Some(sources) => sources,
        // It moved on meanwhile; what is missing was read to its end.
        None => open.state.sources.clone(),
    };
    Ok(Some(Found {
        open,
        sources,
        stopped,
    }))
}

/// Whether the last checkpoint was given up because of its dead letters.
async fn stopped(
    dataset: &Dataset,
    table: &LoadedTable,
    dead_letters: &LoadedTable,
) -> anyhow::Result<Option<Failure>> {
    let Some(stopped) = rejects::stopped(table, dead_letters).await? else {
        return Ok(None);
    };
    let reasons = stopped.samples.iter().map(|sample| sample.reason.as_str());
    let what = format!(
        "go on writing table {}: its last checkpoint, of {}, had too many dead letters ({})",
        dataset.table,
        timestamp(stopped.at_micros / 1_000),
        reasons.collect::<Vec<_>>().join(", ")
    );
    let next = "`frazil rejects DATASET` shows samples; mend the dataset file, or let them pass once by \
                `frazil write DATASET --accept-dead-letters`";
    Ok(Some(Failure::stopped(what).next(next)))
}

async fn load(catalog: &dyn Catalog, name: &TableName) -> anyhow::Result<Option<LoadedTable>> {
    let loaded = catalog.load(name).await;
    loaded.with_context(|| format!("load table {name}"))
}

fn of_topics(
    input: &KafkaInput,
    kept: &Mutex<Option<Arc<dyn Cluster>>>,
    table: &TableName,
    open: Option<OpenTable>,
) -> anyhow::Result<Lag> {
    let known = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    let cluster = match known {
        Some(cluster) => cluster,
        None => input.connect.ask()?,
    };
    let now_ms = SystemClock.now_millis();
    let lag = topics::lag(input, cluster.as_ref(), table, open.as_ref(), now_ms)?;
    // One that failed is made anew, with secrets as they are then.
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
    Ok(lag)
}

async fn within<T>(
    limit: Duration,
    whom: &str,
    answer: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    if let Ok(answer) = tokio::time::timeout(limit, answer).await {
        return answer;
    }
    let seconds = limit.as_secs_f64();
    let what = format!("ask {whom}: there was no answer within {seconds} s");
    let next = "`frazil doctor` looks longer and closer; --timeout waits longer";
    Err(Failure::failed(what).next(next).into())
}
