//! How a process ends when it is asked to: SIGTERM or SIGINT once means "finish what you hold",
//! a second time "now".
//!
//! Ending at once loses nothing, since everything that counts is in the table; it only leaves the
//! last checkpoint unmade.

use std::io;

use tokio::sync::watch;

/// The exit code of a process that was told twice: its last checkpoint was not made.
const EXIT_AT_ONCE: i32 = 1;

/// Whether the process was asked to end. Clones share the answer.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

/// Asks a [`Shutdown`] to end, in place of a signal.
#[derive(Debug)]
pub struct ShutdownTrigger {
    requested: watch::Sender<bool>,
}

impl ShutdownTrigger {
    /// Asks.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }
}

impl Shutdown {
    /// One that a test or another part asks, and no signal.
    pub fn triggered() -> (ShutdownTrigger, Self) {
        let (sender, requested) = watch::channel(false);
        (ShutdownTrigger { requested: sender }, Self { requested })
    }

    /// Listens for SIGTERM and SIGINT from now on: the first is seen here, the second ends the
    /// process at once. Needs a Tokio runtime; fails where the system gives no signal handler.
    pub fn on_signals() -> io::Result<Self> {
        let mut signals = Signals::install()?;
        let (trigger, shutdown) = Self::triggered();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!("{name}: making the last checkpoint; a second signal ends at once");
            trigger.request();
            let name = signals.next().await;
            tracing::warn!("second signal ({name}): ending at once, without the last checkpoint");
            std::process::exit(EXIT_AT_ONCE);
        });
        Ok(shutdown)
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits until it is asked for; for ever where nobody is left to ask.
    pub async fn requested(&mut self) {
        if self
            .requested
            .wait_for(|requested| *requested)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        // Without a console there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone() {
        let (trigger, mut shutdown) = Shutdown::triggered();
        let copy = shutdown.clone();
        assert!(!copy.is_requested());
        trigger.request();
        shutdown.requested().await;
        assert!(copy.is_requested());
    }

    #[tokio::test]
    async fn a_trigger_that_is_gone_asks_nothing() {
        let (trigger, mut shutdown) = Shutdown::triggered();
        drop(trigger);
        let waited = tokio::select! {
            biased;
            () = shutdown.requested() => true,
            () = std::future::ready(()) => false,
        };
        assert!(!waited);
        assert!(!shutdown.is_requested());
    }
}
