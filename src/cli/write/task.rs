//! One dataset of a process: written until it is done, and started again where that may help.
//!
//! Guarantees that nothing of one dataset ends another: each has its own task, catalog, Kafka client and retries. What
//! a person must decide stops that dataset alone; the process ends when none is left that does anything.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use frazil::pipeline::{self, Input, Progress, State, Trouble, WriteError, WriteReport};
use frazil_dataset::Dataset;
use frazil_service::{
    clock::{Clock as _, SystemClock},
    shutdown::Shutdown,
};
use tokio::sync::watch;

use super::{WriteArgs, job::Shared, named};
use crate::cli::exit::{self, Exit};

/// The first rest after a failure, doubled up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How often a parked dataset looks whether a person has decided: at first, and at last.
const PARKED_MIN: Duration = Duration::from_secs(5);
const PARKED_MAX: Duration = Duration::from_mins(1);

/// What a dataset does when a person must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum OnStop {
    /// It ends; the process ends once no dataset is left
    #[default]
    Exit,
    /// It stays, not ready, and looks again from time to time
    Park,
}

/// What others see of a dataset.
#[derive(Debug)]
pub(super) struct Watched {
    names: Mutex<(String, Option<String>)>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Watched {
    pub(super) fn new(argument: &str, progress: watch::Receiver<Progress>) -> Self {
        Self {
            names: Mutex::new((argument.to_owned(), None)),
            progress,
        }
    }

    /// The dataset's name and project; before its file was read, what it was called by.
    pub(super) fn names(&self) -> (String, Option<String>) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.clone()
    }

    fn is(&self, dataset: &Dataset) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        *names = (dataset.name.clone(), dataset.project.clone());
    }
}

/// Counts the times that the dataset files are to be read again.
#[derive(Debug)]
pub(super) struct Reload {
    times: watch::Sender<u64>,
}

impl Reload {
    /// By SIGHUP, where the process may run on for ever. Whatever ends by itself is ended by it, as usual.
    pub(super) fn on_signals(args: &WriteArgs) -> io::Result<Self> {
        let times = watch::Sender::new(0_u64);
        #[cfg(unix)]
        if (args.from.is_empty() || args.follow) && !args.once {
            use tokio::signal::unix::{SignalKind, signal};
            let mut hangups = signal(SignalKind::hangup())?;
            let counted = times.clone();
            tokio::spawn(async move {
                while hangups.recv().await.is_some() {
                    tracing::info!("SIGHUP: reading the dataset files again");
                    counted.send_modify(|times| *times += 1);
                }
            });
        }
        #[cfg(not(unix))]
        let _ = args;
        Ok(Self { times })
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.times.subscribe()
    }
}

/// How a dataset ended. An error was told already.
pub(super) struct Finished {
    pub(super) dataset: Option<Dataset>,
    pub(super) report: Option<WriteReport>,
    pub(super) progress: Progress,
    pub(super) took: Duration,
    pub(super) exit: Exit,
}

/// One dataset.
pub(super) struct DatasetTask {
    argument: String,
    shared: Arc<Shared>,
    watched: Arc<Watched>,
    progress: watch::Sender<Progress>,
    /// The definition that was good last.
    dataset: Option<Dataset>,
    /// Whether it reads on for ever.
    is_stream: bool,
}

/// How an attempt ended.
enum Attempt {
    Done(WriteReport),
    /// Another definition is to be taken.
    Changed,
}

/// What comes after a failure.
enum Next {
    End,
    /// Again, after so long, or when told to look again.
    Again(State, Duration),
    /// Again, when told to look again.
    WhenTold,
}

impl DatasetTask {
    pub(super) fn new(
        argument: &str,
        shared: Arc<Shared>,
        watched: Arc<Watched>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        Self {
            argument: argument.to_owned(),
            shared,
            watched,
            progress,
            dataset: None,
            is_stream: false,
        }
    }

    /// Writes until all is done, or nothing helps. `active` counts the datasets that may still do something.
    pub(super) async fn run(
        mut self,
        mut shutdown: Shutdown,
        mut reload: watch::Receiver<u64>,
        active: watch::Sender<usize>,
    ) -> Finished {
        let started = Instant::now();
        let mut failures: u32 = 0;
        loop {
            let commits = self.progress.borrow().committed.commits;
            let error = match self.attempt(&mut shutdown, &mut reload).await {
                Ok(Attempt::Done(report)) => {
                    self.set_state(State::Ended, None);
                    active.send_modify(|active| *active -= 1);
                    return self.finished(started, Some(report), Exit::Done);
                }
                Ok(Attempt::Changed) => continue,
                Err(error) => error,
            };
            let has_committed = self.progress.borrow().committed.commits > commits;
            failures = if has_committed { 1 } else { failures + 1 };
            let code = exit_of(&error);
            let next = if shutdown.is_requested() {
                Next::End
            } else {
                self.next(code, failures)
            };
            self.tell(error, &next, failures);
            match next {
                Next::End => {
                    active.send_modify(|active| *active -= 1);
                    return self.finished(started, None, code);
                }
                Next::Again(_, pause) => {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = reload.changed() => {}
                        () = shutdown.requested() => {
                            active.send_modify(|active| *active -= 1);
                            return self.finished(started, None, code);
                        }
                    }
                }
                Next::WhenTold => {
                    active.send_modify(|active| *active -= 1);
                    let mut others = active.subscribe();
                    tokio::select! {
                        Ok(()) = reload.changed() => active.send_modify(|active| *active += 1),
                        _ = others.wait_for(|active| *active == 0) => {
                            return self.finished(started, None, code);
                        }
                        () = shutdown.requested() => return self.finished(started, None, code),
                    }
                }
            }
        }
    }

    fn next(&self, code: Exit, failures: u32) -> Next {
        let args = &self.shared.args;
        let is_park = args.on_stop == OnStop::Park;
        let is_one_of_many = args.datasets.len() > 1;
        // What was read of standard input cannot be read again by us.
        if args.from.iter().any(|path| path == "-") {
            return Next::End;
        }
        let doubled = |min: Duration, max: Duration| {
            min.saturating_mul(1 << failures.saturating_sub(1).min(16))
                .min(max)
        };
        match code {
            Exit::Failed if is_park || (is_one_of_many && self.is_stream) => {
                Next::Again(State::Retrying, doubled(RETRY_MIN, RETRY_MAX))
            }
            Exit::Done | Exit::Failed => Next::End,
            _ if is_park => Next::Again(State::Parked, doubled(PARKED_MIN, PARKED_MAX)),
            _ if is_one_of_many => Next::WhenTold,
            _ => Next::End,
        }
    }

    /// Tells people and whoever watches why it does not go on. One that looks again and finds the same tells it once.
    fn tell(&self, error: anyhow::Error, next: &Next, failures: u32) {
        let error = named(&self.shared.args, &self.watched.names().0, error);
        let text = exit::plain(&error);
        let is_known = self
            .progress
            .borrow()
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.error == text);
        match next {
            Next::End => exit::report(&error),
            Next::WhenTold => {
                exit::report(&error);
                tracing::warn!(
                    "dataset {} stands until SIGHUP; the others go on",
                    self.watched.names().0
                );
            }
            Next::Again(..) if is_known => {}
            Next::Again(state, pause) => {
                exit::report(&error);
                tracing::warn!(
                    dataset = self.watched.names().0,
                    state = state.name(),
                    failures,
                    again_in_ms = pause.as_millis(),
                    "looking again by itself"
                );
            }
        }
        let state = match next {
            Next::End | Next::WhenTold => State::Stopped,
            Next::Again(state, _) => *state,
        };
        self.set_state(state, Some(Trouble::new(text)));
    }

    fn set_state(&self, state: State, trouble: Option<Trouble>) {
        let now = SystemClock.now_micros();
        self.progress
            .send_modify(|progress| progress.set_state(state, trouble, now));
    }

    fn finished(self, started: Instant, report: Option<WriteReport>, exit: Exit) -> Finished {
        Finished {
            dataset: self.dataset,
            report,
            progress: self.progress.borrow().clone(),
            took: started.elapsed(),
            exit,
        }
    }

    /// From the dataset file to the end of its input, or of the process.
    async fn attempt(
        &mut self,
        shutdown: &mut Shutdown,
        reload: &mut watch::Receiver<u64>,
    ) -> anyhow::Result<Attempt> {
        reload.mark_unchanged();
        let dataset = self.load()?;
        self.watched.is(&dataset);
        self.dataset = Some(dataset.clone());
        let job = self.shared.job(dataset)?;
        self.is_stream = match &job.input {
            Input::Kafka(kafka) => !kafka.once,
            Input::Files { follow, .. } => *follow,
            Input::StandardInput => false,
        };
        self.progress.send_modify(|progress| {
            progress.dead_letter_share_max = job.dataset.limits.dead_letters_max.0;
            progress.checkpoint_interval = Some(job.dataset.checkpoint.interval);
        });
        let services = self.shared.services(&job.dataset).await?;
        let (trigger, stop) = Shutdown::triggered();
        let writing = pipeline::write(&services, &job, &stop, &self.progress);
        tokio::pin!(writing);
        let mut is_asked = false;
        let mut is_changed = false;
        let ended = loop {
            tokio::select! {
                ended = &mut writing => break ended,
                () = shutdown.requested(), if !is_asked => {
                    is_asked = true;
                    trigger.request();
                }
                Ok(()) = reload.changed(), if !is_asked => {
                    is_changed = self.is_changed(&job.dataset);
                    if is_changed {
                        is_asked = true;
                        trigger.request();
                    }
                }
            }
        };
        let report = ended?;
        Ok(if is_changed && !shutdown.is_requested() {
            Attempt::Changed
        } else {
            Attempt::Done(report)
        })
    }

    /// The definition; where the file became bad since, the one before.
    fn load(&self) -> anyhow::Result<Dataset> {
        match (self.shared.context.dataset(&self.argument), &self.dataset) {
            (Err(error), Some(before)) => {
                exit::report(
                    &error.context("read the dataset file again; the definition before it stays"),
                );
                Ok(before.clone())
            }
            (loaded, _) => loaded,
        }
    }

    fn is_changed(&self, running: &Dataset) -> bool {
        match self.load() {
            Ok(now) if now == *running => {
                tracing::info!(dataset = running.name, "its file says the same as before");
                false
            }
            Ok(_) => {
                tracing::info!(
                    dataset = running.name,
                    "its file has changed: a last checkpoint by the old one, then by the new"
                );
                true
            }
            Err(_) => false,
        }
    }
}

/// The exit code of an error.
fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<WriteError>() {
        Some(WriteError::TooManyDeadLetters { .. }) => Exit::DeadLetters,
        Some(error) => Exit::after(error.remedy()),
        None => exit::of(error),
    }
}
