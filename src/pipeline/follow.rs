//! Files that are still being written: after one look at them, when the next one is due.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use frazil_table::error::Remedy;
use tokio::time::Instant;

use super::{Services, WriteError, WriteJob, WriteReport};
use crate::source::{self, Compute, FileSystem, Glimpse, Metadata, SourceError};

/// How often it is looked whether files changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Nobody who writes lines takes so long for one: what stands behind the last line end is a record by then.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// Tells when files that were read to their ends are to be looked at again.
#[derive(Debug)]
pub(super) struct Follow {
    paths: Vec<String>,
    files: Arc<dyn FileSystem>,
    compute: Compute,
    /// Between two looks that only find more in the same files: each makes a checkpoint.
    interval: Duration,
    /// As they stood before they were last read.
    before: Glimpse,
    /// Since when each stands as it does.
    since: HashMap<PathBuf, (Metadata, Instant)>,
    /// Files that hold what was read of one that was given: renamed, they may still be written to for a while.
    rotated: BTreeSet<String>,
    /// Those that were settled when they were last read.
    settled: HashSet<PathBuf>,
    read_at: Instant,
    /// Whether they were read to their ends once.
    has_read: bool,
    /// What could not be read when they last were.
    failed: Vec<String>,
}

impl Follow {
    pub(super) fn new(paths: &[String], services: &Services, job: &WriteJob) -> Self {
        Self {
            paths: paths.to_vec(),
            files: Arc::clone(&services.files),
            compute: job.compute,
            interval: job.dataset.checkpoint.interval,
            before: Glimpse::default(),
            since: HashMap::new(),
            rotated: BTreeSet::new(),
            settled: HashSet::new(),
            read_at: Instant::now(),
            has_read: false,
            failed: Vec::new(),
        }
    }

    /// Remembers how the files stand, right before they are read, and gives those that nobody has written to for a while.
    pub(super) async fn begin(&mut self) -> Result<HashSet<PathBuf>, WriteError> {
        self.before = self.glimpse().await?;
        self.read_at = Instant::now();
        self.settled = self.settled_by(self.read_at);
        Ok(self.settled.clone())
    }

    /// Files to be read beside those that were given.
    pub(super) fn rotated(&self) -> Vec<String> {
        self.rotated.iter().cloned().collect()
    }

    fn settled_by(&self, now: Instant) -> HashSet<PathBuf> {
        let settled = self
            .since
            .iter()
            .filter(|(_, (_, since))| now.duration_since(*since) >= SETTLED_AFTER);
        settled.map(|(path, _)| path.clone()).collect()
    }

    /// They were read to their ends, but for those that the report names; each of these is told once.
    pub(super) fn has_read(&mut self, report: &WriteReport) {
        self.has_read = true;
        self.rotated
            .retain(|path| !self.settled.contains(Path::new(path)));
        let found = report.rotated.iter();
        self.rotated
            .extend(found.filter_map(|path| path.to_str().map(str::to_owned)));
        let failed: Vec<String> = report
            .failed_sources
            .iter()
            .map(ToString::to_string)
            .collect();
        for error in failed.iter().filter(|error| !self.failed.contains(error)) {
            tracing::error!("failed to {error}; it is tried again once the files change");
        }
        self.failed = failed;
    }

    /// Whether what failed may mend itself, as when a server comes back.
    pub(super) fn goes_on(&self, error: &WriteError) -> bool {
        self.has_read && error.remedy() == Remedy::Retry
    }

    /// Waits until there may be something new: at most one read an interval, but at once where a file was replaced or
    /// cut, since what it held can be gone with the next rotation.
    pub(super) async fn changed(&mut self) -> Result<(), WriteError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.glimpse().await?;
            let is_due = self.read_at.elapsed() >= self.interval || now.has_lost(&self.before);
            let has_settled = !self.settled_by(Instant::now()).is_subset(&self.settled);
            if has_settled || (now != self.before && is_due) {
                return Ok(());
            }
        }
    }

    /// How the files stand now; as before, where that cannot be seen for the moment.
    async fn glimpse(&mut self) -> Result<Glimpse, WriteError> {
        let paths = [self.paths.clone(), self.rotated()].concat();
        let files = Arc::clone(&self.files);
        let look = move || -> Result<Glimpse, SourceError> { Glimpse::of(&paths, files.as_ref()) };
        let looked = match self.compute {
            Compute::Inline => look(),
            Compute::Threads => tokio::task::spawn_blocking(look)
                .await
                .map_err(|_| WriteError::Stopped)?,
        };
        let seen = match looked {
            Err(error) if error.remedy() == source::Remedy::Retry => {
                tracing::debug!(%error, "the files were not looked at");
                return Ok(self.before.clone());
            }
            looked => looked?,
        };
        let now = Instant::now();
        let since = seen.files().map(|(path, metadata)| {
            let before = self.since.get(path).filter(|(was, _)| was == metadata);
            let at = before.map_or(now, |(_, at)| *at);
            (path.to_owned(), (*metadata, at))
        });
        self.since = since.collect();
        Ok(seen)
    }
}
