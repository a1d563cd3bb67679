//! Files that are still being written: after one look at them, when the next one is due.

use std::{sync::Arc, time::Duration};

use frazil_table::error::Remedy;
use tokio::time::Instant;

use super::{Services, WriteError, WriteJob, WriteReport};
use crate::source::{Compute, FileSystem, Glimpse, SourceError};

/// How often it is looked whether files changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
            read_at: Instant::now(),
            has_read: false,
            failed: Vec::new(),
        }
    }

    /// Remembers how the files stand, right before they are read.
    pub(super) async fn begin(&mut self) -> Result<(), WriteError> {
        self.before = self.glimpse().await?;
        self.read_at = Instant::now();
        Ok(())
    }

    /// They were read to their ends, but for those that the report names; each of these is told once.
    pub(super) fn has_read(&mut self, report: &WriteReport) {
        self.has_read = true;
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
    pub(super) async fn changed(&self) -> Result<(), WriteError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.glimpse().await?;
            let is_due = self.read_at.elapsed() >= self.interval || now.has_lost(&self.before);
            if now != self.before && is_due {
                return Ok(());
            }
        }
    }

    async fn glimpse(&self) -> Result<Glimpse, WriteError> {
        let (paths, files) = (self.paths.clone(), Arc::clone(&self.files));
        let look = move || -> Result<Glimpse, SourceError> { Glimpse::of(&paths, files.as_ref()) };
        Ok(match self.compute {
            Compute::Inline => look(),
            Compute::Threads => tokio::task::spawn_blocking(look)
                .await
                .map_err(|_| WriteError::Stopped)?,
        }?)
    }
}
