//! Progress, drawn for a person who watches.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use frazil::pipeline::Progress;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;

/// Progress is shown once a run takes longer than this.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// How often progress is drawn: often enough to look alive, too seldom to cost anything.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Draws progress for a person who watches, until the run lets go of its end.
pub(super) async fn draw(name: String, mut progress: watch::Receiver<Progress>, json: bool) {
    if json || !std::io::stderr().is_terminal() {
        return;
    }
    let started = Instant::now();
    let first = tokio::time::sleep(PROGRESS_AFTER);
    tokio::select! {
        () = first => {}
        () = gone(progress.clone()) => return,
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(name);
    loop {
        let now = progress.borrow_and_update().clone();
        bar.set_message(line(&now, started.elapsed()));
        bar.tick();
        let closed = tokio::select! {
            () = tokio::time::sleep(PROGRESS_EVERY) => progress.has_changed().is_err(),
            () = gone(progress.clone()) => true,
        };
        if closed {
            bar.finish_and_clear();
            return;
        }
    }
}

async fn gone(mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {}
}

fn line(now: &Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = HumanBytes((now.bytes_read as f64 / seconds) as u64);
    let share = now
        .bytes_total
        .filter(|total| *total > 0)
        .map_or(String::new(), |total| {
            format!("{:.0} % · ", 100.0 * now.bytes_read as f64 / total as f64)
        });
    let snapshot = now
        .committed
        .snapshot_id
        .map_or("none yet".to_owned(), |id| id.to_string());
    format!(
        "{share}{} rows · {rate}/s · {} rescued · {} dead · {} commits, snapshot {snapshot}",
        HumanCount(now.decoded.rows_written),
        HumanCount(now.decoded.rows_rescued),
        HumanCount(now.decoded.dead_letters),
        now.committed.commits,
    )
}
