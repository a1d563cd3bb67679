//! Decode and coerce alone, and with deduplication behind it, beside arrow-json's reader and a bare lazy walk, on the
//! same bytes in the same run; and each format, with the fields of the same records.
//!
//!     cargo bench --bench decode -- [rows, default 200000] [rounds, default 5]
//!     cargo bench --bench decode -- --formats [rows] [rounds]
//!
//! Prints CPU seconds a million records of each, the best of the rounds, and the ratios. Machines
//! differ and are shared, so only the ratios say something.

use std::{sync::Arc, time::Duration};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use frazil::{
    decode::decoder,
    dedup::{Dedup, DedupGuards},
    record::{RecordBlock, RecordSpan, SourceInfo},
};
use frazil_dataset::{
    CheckpointPolicy, Dataset, DedupKey, DedupPolicy, Format, Limits, OverLimit, Profile, Share,
    SnapshotsPolicy, TableName, UnknownFields, parse_dataset,
};
use frazil_table::{
    schema::{arrow_schema, table_schema},
    state::SourceIdentity,
};

mod corpus;
#[path = "corpus/formats.rs"]
mod formats;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the source hands over at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// After all times of the corpus.
const NOW_MICROS: i64 = 2_000_000_000_000_000;

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|one| one.parse().ok())
        .collect();
    // Run as a test, it only shows that it runs.
    let measured = std::env::args().any(|one| one == "--bench");
    let (rows, rounds) = if measured { (200_000, 5) } else { (1000, 1) };
    let rows = numbers.first().copied().unwrap_or(rows);
    let rounds = numbers.get(1).copied().unwrap_or(rounds);
    let mut text = String::new();
    let mut corpus = corpus::Corpus::new(7);
    for _ in 0..rows {
        corpus.write(&mut text);
    }
    println!("{rows} records of {} bytes", text.len() / rows);
    let schema = schema();
    if std::env::args().any(|one| one == "--formats") || !measured {
        measure_formats(&text, rounds);
    }
    if std::env::args().any(|one| one == "--formats") {
        return;
    }
    let blocks = blocks(&Bytes::from(text));
    let mut best = [f64::MAX; 4];
    // For a profile: --alone
    let alone = std::env::args().any(|one| one == "--alone");
    for _ in 0..rounds {
        let ours = measure(|| with_frazil(&blocks, &schema));
        let seconds = if alone {
            [ours, ours, ours, ours]
        } else {
            [
                ours,
                measure(|| with_arrow_json(&blocks, &schema)),
                measure(|| with_lazy_walk(&blocks)),
                measure(|| with_dedup(&blocks, &schema)),
            ]
        };
        for (best, seconds) in best.iter_mut().zip(seconds) {
            *best = best.min(seconds);
        }
    }
    let million = 1e6 / rows as f64;
    let [ours, arrow, walk, dedup] = best.map(|seconds| seconds * million);
    println!("frazil decode and coerce  {ours:.3} CPU-s a million records");
    println!(
        "with deduplication        {dedup:.3}   {:.2} times ours",
        dedup / ours
    );
    println!(
        "arrow-json reader         {arrow:.3}   {:.2} times ours",
        arrow / ours
    );
    println!(
        "sonic-rs lazy walk        {walk:.3}   {:.2} times ours",
        walk / ours
    );
}

/// Prints what each format gives.
fn measure_formats(json: &str, rounds: usize) {
    let mut of_json = 0.0;
    println!("format        bytes a record  records a CPU-s  MB a CPU-s  of json's records");
    for sample in formats::samples(json) {
        let dataset = parse_dataset(&sample.dataset_file, sample.name, "web");
        let dataset = dataset.unwrap_or_else(|error| panic!("{}", error.render()));
        let schema = table_schema(&dataset).expect("the columns are a table's");
        let schema = arrow_schema(&schema).expect("the schema is supported");
        let bytes = sample.text.len();
        let rows = sample.text.lines().count();
        let blocks = blocks(&Bytes::from(sample.text));
        let mut best = f64::MAX;
        for _ in 0..rounds {
            best = best.min(measure(|| {
                let mut decoder = decoder(&dataset, &schema).expect("the schema is supported");
                let mut found = 0;
                for block in &blocks {
                    let decoded = decoder.decode(block, 0);
                    assert_eq!(decoded.rejects, [], "{}", sample.name);
                    assert_eq!(decoded.counts.rows_rescued, 0, "{}", sample.name);
                    found += decoded.rows.num_rows();
                }
                assert_eq!(found, rows);
                found
            }));
        }
        let speed = rows as f64 / best;
        if of_json == 0.0 {
            of_json = speed;
        }
        println!(
            "{:<13} {:>14} {:>16.0} {:>11.0} {:>18.2}",
            sample.name,
            bytes / rows,
            speed,
            bytes as f64 / best / 1e6,
            speed / of_json,
        );
    }
}

fn with_frazil(blocks: &[RecordBlock], schema: &SchemaRef) -> usize {
    let mut decoder = decoder(&dataset(), schema).expect("the schema is supported");
    let mut rows = 0;
    for block in blocks {
        let decoded = decoder.decode(block, 0);
        assert_eq!(decoded.rejects, []);
        assert_eq!(decoded.counts.rows_rescued, 0);
        rows += decoded.rows.num_rows();
    }
    rows
}

/// The same rows looked up by `request_id`, of which all are the first.
fn with_dedup(blocks: &[RecordBlock], schema: &SchemaRef) -> usize {
    let dataset = dataset();
    let policy = DedupPolicy {
        key: DedupKey::Columns(vec!["request_id".to_owned()]),
        time: "@timestamp".to_owned(),
        window: Duration::from_hours(24 * 366),
        memory_bytes_max: 1 << 30,
    };
    let guards = DedupGuards::default();
    let dedup = Dedup::new(&dataset.table, &policy, schema.clone(), [7; 16], guards);
    let mut dedup = Arc::new(dedup)
        .worker(dataset.rescued.as_deref())
        .expect("the schema has the key");
    let mut decoder = decoder(&dataset, schema).expect("the schema is supported");
    let mut rows = 0;
    for (number, block) in blocks.iter().enumerate() {
        let mut decoded = decoder.decode(block, 0);
        let keys = dedup.keys(&decoded).expect("the rows have the key");
        let unchecked = dedup.drop_duplicates(&mut decoded, &keys, number as u64, NOW_MICROS);
        assert_eq!(unchecked.expect("rows can be filtered"), 0);
        rows += decoded.rows.num_rows();
    }
    rows
}

fn with_arrow_json(blocks: &[RecordBlock], schema: &SchemaRef) -> usize {
    let fields = schema
        .fields()
        .iter()
        .filter(|field| field.name() != "_rescued");
    let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
    let mut decoder = arrow_json::ReaderBuilder::new(schema)
        .with_batch_size(8192)
        .build_decoder()
        .expect("the schema is supported");
    let mut rows = 0;
    for block in blocks {
        let mut rest = &block.bytes[..];
        while !rest.is_empty() {
            let read = decoder.decode(rest).expect("the corpus is JSON");
            rest = &rest[read..];
            if !rest.is_empty() {
                rows += decoder
                    .flush()
                    .expect("it fits")
                    .map_or(0, |batch| batch.num_rows());
            }
        }
    }
    rows + decoder
        .flush()
        .expect("it fits")
        .map_or(0, |batch| batch.num_rows())
}

fn with_lazy_walk(blocks: &[RecordBlock]) -> usize {
    let mut bytes = 0;
    for block in blocks {
        for span in &block.records {
            for member in sonic_rs::to_object_iter(block.record(span)) {
                bytes += member.expect("the corpus is JSON").1.as_raw_str().len();
            }
        }
    }
    bytes
}

/// The CPU seconds of this thread that a piece of work takes.
fn measure(work: impl FnOnce() -> usize) -> f64 {
    let before = cpu();
    std::hint::black_box(work());
    cpu().saturating_sub(before).as_secs_f64()
}

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|one| one.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn blocks(bytes: &Bytes) -> Vec<RecordBlock> {
    let source = Arc::new(SourceInfo {
        id: 1,
        name: "corpus".into(),
        partition: 0,
    });
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let limit = rest.len().min(BLOCK_BYTES);
        let end = start + memchr::memrchr(b'\n', &rest[..limit]).expect("records are short") + 1;
        let mut from = 0;
        let records = memchr::memchr_iter(b'\n', &bytes[start..end]).map(|newline| {
            let span = RecordSpan {
                start: from as u32,
                length: (newline - from) as u32,
                position: (start + from) as u64,
            };
            from = newline + 1;
            span
        });
        blocks.push(RecordBlock {
            source: Arc::clone(&source),
            range: start as u64..end as u64,
            records: records.collect(),
            bytes: bytes.slice(start..end),
            oversize: Vec::new(),
            messages: None,
            header: None,
            identity: SourceIdentity::StandardInput,
        });
        start = end;
    }
    blocks
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let geo = vec![
        field("country", DataType::Utf8),
        field("asn", DataType::Int32),
    ];
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    Arc::new(Schema::new(vec![
        field("request_id", DataType::Utf8),
        field("@timestamp", time),
        field("clientip", DataType::Utf8),
        field("verb", DataType::Utf8),
        field("request", DataType::Utf8),
        field("httpversion", DataType::Utf8),
        field("response", DataType::Int32),
        field("bytes", DataType::Int64),
        field("referrer", DataType::Utf8),
        field("agent", DataType::Utf8),
        field("latency_ms", DataType::Float64),
        field("cached", DataType::Boolean),
        field("geo", DataType::Struct(geo.into())),
        field(
            "tags",
            DataType::List(Arc::new(field("element", DataType::Utf8))),
        ),
        field("_rescued", DataType::Utf8),
    ]))
}

/// A dataset whose columns are all the table's.
fn dataset() -> Dataset {
    Dataset {
        name: "web".to_owned(),
        table: TableName {
            namespace: vec!["logs".to_owned()],
            table: "web".to_owned(),
        },
        catalog: None,
        project: None,
        owner: None,
        format: Format::Json,
        multiline: None,
        columns: Vec::new(),
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        unknown_fields: UnknownFields::Rescue,
        rescued: Some("_rescued".to_owned()),
        profile: Profile::Standard,
        source: None,
        checkpoint: CheckpointPolicy {
            interval: Duration::from_mins(1),
            bytes: 1 << 29,
            records: u64::MAX,
        },
        complete: None,
        dedup: None,
        limits: Limits {
            dead_letters_max: Share(0.5),
            window: Duration::from_mins(5),
            then: OverLimit::Stop,
            record_bytes_max: 1 << 20,
        },
        snapshots: SnapshotsPolicy::default(),
        properties: Vec::new(),
    }
}
