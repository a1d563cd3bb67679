//! What the process tells of its datasets: metrics, health, and systemd.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use frazil::{
    metrics::{self, DatasetProgress, ProcessState},
    pipeline::State,
};
use frazil_service::{
    clock::{Clock as _, SystemClock},
    http::{Answer, Server},
};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::{job::Shared, task::Watched};
use crate::cli::{exit::Failure, output::timestamp};

/// How long a Kafka client may go unserved before the process counts as hanging. It never waits for storage.
const SILENT_MAX_MICROS: i64 = 120 * 1_000_000;

/// How often systemd is told, at least.
const NOTIFY_EVERY: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Runs as long as it is held.
pub(super) struct Service {
    _server: Option<Server>,
    notifying: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.notifying.abort();
    }
}

/// Tells systemd that the last checkpoint is being made.
pub(super) fn tell_stopping() {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
}

/// Listens, where asked to, and tells systemd, where it asks.
pub(super) async fn start(
    listen: Option<SocketAddr>,
    watched: Vec<Arc<Watched>>,
    shared: Arc<Shared>,
) -> Result<Service, Failure> {
    let health = Health { watched, shared };
    let notifying = tokio::spawn(notify(health.clone()));
    let server = match listen {
        None => None,
        Some(address) => {
            let answers = move |path: &str| health.answer(path);
            let server = Server::start(address, Arc::new(answers)).await;
            let server = server.map_err(|error| {
                Failure::usage(format!("listen at {address}"))
                    .because(error)
                    .next("give --listen an address of this machine that is free")
            })?;
            tracing::info!("listening at http://{}", server.address());
            Some(server)
        }
    };
    Ok(Service {
        _server: server,
        notifying,
    })
}

#[derive(Clone)]
struct Health {
    watched: Vec<Arc<Watched>>,
    shared: Arc<Shared>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    datasets: Vec<DatasetReadiness>,
}

#[derive(Serialize)]
struct DatasetReadiness {
    dataset: String,
    state: &'static str,
    ready: bool,
    error: Option<String>,
    next: Option<String>,
    since: String,
}

impl Health {
    fn answer(&self, path: &str) -> Option<Answer> {
        match path {
            "/metrics" => Some(self.metrics()),
            "/health/live" => Some(self.live()),
            "/health/ready" => Some(self.ready()),
            _ => None,
        }
    }

    fn metrics(&self) -> Answer {
        let datasets: Vec<DatasetProgress> = self
            .watched
            .iter()
            .map(|one| {
                let (dataset, project) = one.names();
                DatasetProgress {
                    dataset,
                    project,
                    progress: one.progress.borrow().clone(),
                }
            })
            .collect();
        let process = ProcessState {
            now_micros: SystemClock.now_micros(),
            memory_limit_bytes: self.shared.memory.max_bytes(),
        };
        match metrics::render(&datasets, process) {
            Ok(body) => Answer {
                status: 200,
                content_type: metrics::CONTENT_TYPE,
                body,
            },
            Err(error) => Answer {
                status: 500,
                content_type: TEXT,
                body: format!("the metrics contradict themselves: {error}\n"),
            },
        }
    }

    /// Whether the process moves: its tasks answer, and no Kafka client is left alone.
    fn live(&self) -> Answer {
        let now = SystemClock.now_micros();
        let silent = self.watched.iter().find(|one| {
            let progress = one.progress.borrow();
            let beats = progress.heartbeats(now);
            let kafka = beats.iter().find(|(task, _)| *task == "kafka");
            progress.state == State::Running
                && kafka.is_some_and(|(_, at)| now - at > SILENT_MAX_MICROS)
        });
        let (status, body) = match silent {
            None => (200, "live\n".to_owned()),
            Some(one) => {
                let name = one.names().0;
                (503, format!("the Kafka client of dataset {name} hangs\n"))
            }
        };
        Answer {
            status,
            content_type: TEXT,
            body,
        }
    }

    fn readiness(&self) -> Readiness {
        let datasets: Vec<DatasetReadiness> = self
            .watched
            .iter()
            .map(|one| {
                let progress = one.progress.borrow();
                let trouble = progress.trouble.as_ref();
                DatasetReadiness {
                    dataset: one.names().0,
                    state: progress.state.name(),
                    ready: progress.state.is_ready(),
                    error: trouble.map(|trouble| trouble.error.clone()),
                    next: trouble.and_then(|trouble| trouble.next.clone()),
                    since: timestamp(progress.state_since_micros / 1_000),
                }
            })
            .collect();
        Readiness {
            ready: datasets.iter().all(|one| one.ready),
            datasets,
        }
    }

    fn ready(&self) -> Answer {
        let readiness = self.readiness();
        let status = if readiness.ready { 200 } else { 503 };
        match serde_json::to_string(&readiness) {
            Ok(json) => Answer {
                status,
                content_type: JSON,
                body: json + "\n",
            },
            Err(error) => Answer {
                status: 500,
                content_type: TEXT,
                body: format!("{error}\n"),
            },
        }
    }

    /// For systemd: whether each dataset has begun, or is known not to; and a line for people.
    fn status(&self) -> (bool, String) {
        let readiness = self.readiness();
        let all = readiness.datasets.len();
        let has_begun = readiness
            .datasets
            .iter()
            .all(|one| one.state != State::Starting.name());
        let ready = readiness.datasets.iter().filter(|one| one.ready).count();
        let mut text = format!("{ready} of {all} datasets are written");
        if let Some(one) = readiness.datasets.iter().find(|one| one.error.is_some()) {
            let _ = write!(text, "; {} is {}", one.dataset, one.state);
        }
        (has_begun, text)
    }
}

/// Tells systemd that the process is up, how it is, and that it moves. Without systemd there is nobody to tell.
async fn notify(health: Health) {
    use sd_notify::NotifyState;
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let every = sd_notify::watchdog_enabled()
        .map_or(NOTIFY_EVERY, |watchdog| NOTIFY_EVERY.min(watchdog / 3));
    let mut is_told = false;
    loop {
        let (has_begun, status) = health.status();
        let mut states = vec![NotifyState::Status(&status)];
        if health.live().status == 200 {
            states.push(NotifyState::Watchdog);
        }
        if has_begun && !std::mem::replace(&mut is_told, has_begun) {
            states.push(NotifyState::Ready);
        }
        if let Err(error) = sd_notify::notify(&states) {
            tracing::debug!(%error, "systemd was not told");
        }
        tokio::time::sleep(every).await;
    }
}
