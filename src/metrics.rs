//! Metrics of datasets' writing, in Prometheus' text format 0.0.4. `docs/monitoring.md` lists them.
//!
//! They are made anew from each dataset's [`Progress`] whenever they are asked for: writing does not know of them.

use std::collections::HashMap;

use prometheus::{
    Encoder as _, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
    proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::pipeline::{Durations, Progress, State};

/// The content type of what [`render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A dataset as metrics name it, and what became of it.
#[derive(Debug, Clone)]
pub struct DatasetProgress {
    /// The dataset's name.
    pub dataset: String,
    /// The project that it states.
    pub project: Option<String>,
    /// What has happened.
    pub progress: Progress,
}

/// What metrics tell of the process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessState {
    /// Now, in microseconds since the epoch.
    pub now_micros: i64,
    /// The memory that data files being written may take, in bytes.
    pub memory_limit_bytes: usize,
}

/// All metrics, as text.
///
/// # Errors
/// A metric that contradicts itself: a mistake of ours.
pub fn render(
    datasets: &[DatasetProgress],
    process: ProcessState,
) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry)?;
    metrics
        .memory_limit
        .with_label_values::<&str>(&[])
        .set(process.memory_limit_bytes as i64);
    metrics
        .build
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
    for dataset in datasets {
        metrics.set(dataset, process.now_micros);
    }
    let mut families = registry.gather();
    families.extend(commit_seconds(datasets));
    // The process's own: memory, processor time, open files, threads.
    families.extend(prometheus::gather());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const OF: [&str; 2] = ["dataset", "project"];
const OF_PARTITION: [&str; 4] = ["dataset", "project", "topic", "partition"];

/// The families, by what they hold.
struct Metrics {
    build: IntGaugeVec,
    memory_limit: IntGaugeVec,
    records: IntCounterVec,
    rescued_values: IntCounterVec,
    counters: HashMap<&'static str, IntCounterVec>,
    gauges: HashMap<&'static str, GaugeVec>,
    partitions: HashMap<&'static str, GaugeVec>,
    state: IntGaugeVec,
    heartbeat: GaugeVec,
}

const COUNTERS: [(&str, &str); 8] = [
    (
        "frazil_rows_rescued_total",
        "Committed rows with a value that found no column",
    ),
    (
        "frazil_bytes_read_total",
        "Bytes of records read, decompressed",
    ),
    ("frazil_commits_total", "Checkpoints committed"),
    (
        "frazil_commit_retries_total",
        "Attempts at commits that other writers were ahead of",
    ),
    (
        "frazil_fences_total",
        "Sessions ended by another writer or an operator",
    ),
    ("frazil_data_files_total", "Data files committed"),
    ("frazil_failures_total", "Sessions ended by an error"),
    (
        "frazil_dedup_unchecked_total",
        "Rows written without a look for duplicates: outside of the window of [dedup], or without a time",
    ),
];

const GAUGES: [(&str, &str); 17] = [
    (
        "frazil_checkpoint_interval_seconds",
        "The most between two checkpoints while records come",
    ),
    (
        "frazil_last_commit_timestamp_seconds",
        "When the last commit was made",
    ),
    (
        "frazil_seconds_since_last_commit",
        "Seconds since the last commit, or since the start where there was none",
    ),
    (
        "frazil_uncommitted_records",
        "Records read and not committed",
    ),
    (
        "frazil_uncommitted_age_seconds",
        "Seconds since the first of them was read",
    ),
    (
        "frazil_dead_letter_share",
        "The share of dead letters in the window of [limits]",
    ),
    (
        "frazil_dead_letter_share_max",
        "The share that [limits] allows",
    ),
    ("frazil_open_files", "Data files being written"),
    (
        "frazil_queue_bytes",
        "Bytes of records that wait to be decoded",
    ),
    ("frazil_memory_bytes", "Memory of data files being written"),
    (
        "frazil_table_data_files",
        "Data files of the table at the last commit",
    ),
    (
        "frazil_table_bytes",
        "Bytes of the table's data files at the last commit",
    ),
    (
        "frazil_complete_through_timestamp_seconds",
        "The event time up to which the table is complete",
    ),
    (
        "frazil_dedup_keys",
        "Keys that the window of deduplication holds",
    ),
    ("frazil_dedup_bytes", "The memory that they take"),
    (
        "frazil_dedup_window_seconds",
        "How long the window is: less than [dedup] window where its memory made it so",
    ),
    (
        "frazil_dataset_ready",
        "1 while the dataset is written, or all is done",
    ),
];

const PARTITION_GAUGES: [(&str, &str); 3] = [
    (
        "frazil_source_lag_records",
        "Offsets of the partition that are not committed",
    ),
    (
        "frazil_source_lag_seconds",
        "The age of the newest committed record, 0 where there is none after it",
    ),
    (
        "frazil_source_margin_records",
        "Offsets between the first that the topic holds and the committed one",
    ),
];

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let made = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let whole = |name: &str, help: &str, labels: &[&str]| {
            let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let state = ["dataset", "project", "state"];
        let task = ["dataset", "project", "task"];
        let reason = ["dataset", "project", "reason"];
        let outcome = ["dataset", "project", "outcome", "reason"];
        Ok(Self {
            build: whole("frazil_build_info", "The version", &["version"])?,
            memory_limit: whole(
                "frazil_memory_limit_bytes",
                "What data files being written may take together",
                &[],
            )?,
            records: counter(
                "frazil_records_total",
                "Committed records by what became of them; dead letters by reason",
                &outcome,
            )?,
            rescued_values: counter(
                "frazil_rescued_values_total",
                "Committed values that found no column, by reason",
                &reason,
            )?,
            counters: COUNTERS
                .iter()
                .map(|(name, help)| Ok((*name, counter(name, help, &OF)?)))
                .collect::<Result<_, prometheus::Error>>()?,
            gauges: GAUGES
                .iter()
                .map(|(name, help)| Ok((*name, gauge(name, help, &OF)?)))
                .collect::<Result<_, prometheus::Error>>()?,
            partitions: PARTITION_GAUGES
                .iter()
                .map(|(name, help)| Ok((*name, gauge(name, help, &OF_PARTITION)?)))
                .collect::<Result<_, prometheus::Error>>()?,
            state: whole(
                "frazil_dataset_state",
                "1 for what the dataset's task does",
                &state,
            )?,
            heartbeat: gauge(
                "frazil_task_heartbeat_timestamp_seconds",
                "When a task last moved",
                &task,
            )?,
        })
    }

    fn set(&self, one: &DatasetProgress, now_micros: i64) {
        let of = [one.dataset.as_str(), one.project.as_deref().unwrap_or("")];
        let progress = &one.progress;
        self.count(&of, progress);
        self.measure(&of, progress, now_micros);
        for (partition, lag) in progress.lags(now_micros) {
            let number = partition.number.to_string();
            let labels = [of[0], of[1], &partition.topic, &number];
            let set = |name, value| self.partitions[name].with_label_values(&labels).set(value);
            set("frazil_source_lag_records", lag.records as f64);
            set("frazil_source_margin_records", lag.margin as f64);
            if let Some(seconds) = lag.seconds {
                set("frazil_source_lag_seconds", seconds);
            }
        }
        for state in State::ALL {
            self.state
                .with_label_values(&[of[0], of[1], state.name()])
                .set(i64::from(state == progress.state));
        }
        for (task, micros) in progress.heartbeats(now_micros) {
            let labels = [of[0], of[1], task];
            self.heartbeat
                .with_label_values(&labels)
                .set(seconds(micros));
        }
    }

    fn count(&self, of: &[&str; 2], progress: &Progress) {
        let committed = &progress.committed;
        let counts = &committed.counts;
        for (outcome, count) in [
            ("written", counts.rows_written),
            ("duplicate", counts.duplicates),
            ("filtered", counts.filtered),
        ] {
            let labels = [of[0], of[1], outcome, ""];
            self.records.with_label_values(&labels).inc_by(count);
        }
        for (reason, count) in &committed.reasons.dead {
            let labels = [of[0], of[1], "dead_letter", reason];
            self.records.with_label_values(&labels).inc_by(*count);
        }
        for (reason, count) in &committed.reasons.rescued {
            let labels = [of[0], of[1], reason];
            self.rescued_values
                .with_label_values(&labels)
                .inc_by(*count);
        }
        let add = |name, count| self.counters[name].with_label_values(of).inc_by(count);
        add("frazil_rows_rescued_total", counts.rows_rescued);
        add("frazil_bytes_read_total", progress.bytes_read);
        add("frazil_commits_total", committed.commits);
        add("frazil_commit_retries_total", committed.conflicts);
        add("frazil_fences_total", progress.fences);
        add("frazil_data_files_total", committed.data_files);
        add("frazil_failures_total", progress.failures);
        let unchecked = progress.dedup.map_or(0, |dedup| dedup.unchecked);
        add("frazil_dedup_unchecked_total", unchecked);
    }

    fn measure(&self, of: &[&str; 2], progress: &Progress, now_micros: i64) {
        let committed = &progress.committed;
        let set = |name, value: f64| self.gauges[name].with_label_values(of).set(value);
        let age = |since: i64| seconds((now_micros - since).max(0));
        if let Some(last) = committed.last_micros {
            set("frazil_last_commit_timestamp_seconds", seconds(last));
        }
        if let Some(interval) = progress.checkpoint_interval {
            set("frazil_checkpoint_interval_seconds", interval.as_secs_f64());
        }
        let last = committed.last_micros.unwrap_or(progress.began_micros);
        set("frazil_seconds_since_last_commit", age(last));
        let uncommitted: u64 = progress.uncommitted.iter().map(|one| one.records).sum();
        set("frazil_uncommitted_records", uncommitted as f64);
        let oldest = progress.uncommitted.front();
        set(
            "frazil_uncommitted_age_seconds",
            oldest.map_or(0.0, |one| age(one.since_micros)),
        );
        if let Some(share) = progress.dead_letter_share {
            set("frazil_dead_letter_share", share);
        }
        set(
            "frazil_dead_letter_share_max",
            progress.dead_letter_share_max,
        );
        let files: usize = progress.workers.iter().map(|one| one.open_files).sum();
        let bytes: usize = progress.workers.iter().map(|one| one.memory_bytes).sum();
        set("frazil_open_files", files as f64);
        set("frazil_memory_bytes", bytes as f64);
        set("frazil_queue_bytes", progress.queue_bytes as f64);
        if committed.commits > 0 {
            set("frazil_table_data_files", committed.table_data_files as f64);
            set("frazil_table_bytes", committed.table_bytes as f64);
        }
        if let Some(micros) = progress.complete_through_micros {
            set("frazil_complete_through_timestamp_seconds", seconds(micros));
        }
        if let Some(dedup) = &progress.dedup {
            set("frazil_dedup_keys", dedup.keys as f64);
            set("frazil_dedup_bytes", dedup.bytes as f64);
            set("frazil_dedup_window_seconds", dedup.window_seconds);
        }
        set(
            "frazil_dataset_ready",
            f64::from(u8::from(progress.state.is_ready())),
        );
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The histogram of commits' times, whose counts are the datasets' own.
fn commit_seconds(datasets: &[DatasetProgress]) -> Option<MetricFamily> {
    if datasets.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name("frazil_commit_seconds".to_owned());
    family.set_help("How long a commit took, all of its attempts together".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    for one in datasets {
        let durations = &one.progress.committed.seconds;
        let mut so_far = 0;
        let buckets = Durations::BOUNDS.iter().zip(durations.counts);
        let buckets = buckets.map(|(bound, count)| {
            so_far += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(so_far);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.count);
        histogram.set_sample_sum(durations.sum);
        let project = one.project.clone().unwrap_or_default();
        let labels = [("dataset", one.dataset.clone()), ("project", project)];
        let labels = labels.map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name(name.to_owned());
            label.set_value(value);
            label
        });
        let mut metric = Metric::from_label(labels.into());
        metric.set_histogram(histogram);
        family.mut_metric().push(metric);
    }
    Some(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told_in_prometheus_words() {
        let mut progress = Progress::new(1_000_000);
        progress.committed.counts.rows_written = 7;
        progress.committed.reasons.dead.insert("invalid_json", 2);
        progress.committed.seconds.add(0.3);
        progress.committed.commits = 1;
        progress.committed.last_micros = Some(3_000_000);
        progress.set_state(State::Running, None, 2_000_000);
        let dataset = DatasetProgress {
            dataset: "web".to_owned(),
            project: Some("shop \"A\"".to_owned()),
            progress,
        };
        let process = ProcessState {
            now_micros: 5_500_000,
            memory_limit_bytes: 99,
        };
        let text = render(&[dataset], process).unwrap();
        let project = "project=\"shop \\\"A\\\"\"";
        let of = format!("dataset=\"web\",{project}");
        let written = format!("dataset=\"web\",outcome=\"written\",{project},reason=\"\"");
        let dead = format!("dataset=\"web\",outcome=\"dead_letter\",{project}");
        for line in [
            format!("frazil_records_total{{{written}}} 7"),
            format!("frazil_records_total{{{dead},reason=\"invalid_json\"}} 2"),
            format!("frazil_seconds_since_last_commit{{{of}}} 2.5"),
            format!("frazil_dataset_state{{{of},state=\"running\"}} 1"),
            format!("frazil_dataset_state{{{of},state=\"parked\"}} 0"),
            format!("frazil_commit_seconds_bucket{{{of},le=\"0.25\"}} 0"),
            format!("frazil_commit_seconds_bucket{{{of},le=\"0.5\"}} 1"),
            format!("frazil_commit_seconds_bucket{{{of},le=\"+Inf\"}} 1"),
            format!("frazil_commit_seconds_count{{{of}}} 1"),
            "frazil_memory_limit_bytes 99".to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
