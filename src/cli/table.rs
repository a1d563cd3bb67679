//! `frazil table`: what a dataset's table is, its snapshots and its files, from metadata alone.

use std::collections::BTreeMap;

use anyhow::Context as _;
use frazil_table::{catalog::LoadedTable, schema::describe as describe_type};
use iceberg::spec::{
    DataContentType, DataFile, Literal, ManifestContentType, PartitionSpec, PrimitiveLiteral,
    Schema, Snapshot, Transform, Type,
};
use serde_json::{Value, json};

use super::{
    Context,
    exit::Exit,
    output::{Align, Grid, Output, byte_size, grouped, timestamp},
    read,
};

/// Show a dataset's table: its columns, snapshots or files
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TableArgs {
    #[command(subcommand)]
    view: View,
}

const EXAMPLES: &str = "Examples:
  frazil table describe web
  frazil table snapshots web --json
  frazil table files schemas/web.toml --dead-letters";

#[derive(Debug, clap::Subcommand)]
enum View {
    /// Columns, partitioning, properties, size, and how to read it in DuckDB
    Describe(Of),
    /// The snapshots, the newest last
    Snapshots(Of),
    /// The files of the current snapshot
    Files(Of),
}

#[derive(Debug, clap::Args)]
struct Of {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// The table of its dead letters instead
    #[arg(long)]
    dead_letters: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: &TableArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let (View::Describe(of) | View::Snapshots(of) | View::Files(of)) = &args.view;
    let dataset = context.dataset(&of.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let name = if of.dead_letters {
        dataset.table.dead_letters()
    } else {
        dataset.table.clone()
    };
    let table = context
        .table(catalog.as_ref(), &dataset.name, &name)
        .await?;
    match &args.view {
        View::Describe(_) => describe(&table, &catalog.describe(), context, out)?,
        View::Snapshots(_) => snapshots(&table, context, out)?,
        View::Files(_) => files(&table, context, out).await?,
    }
    Ok(Exit::Done)
}

fn describe(
    table: &LoadedTable,
    catalog: &str,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<()> {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let partitions = spelled_fields(metadata.default_partition_spec(), schema);
    let sort: Vec<_> = metadata
        .default_sort_order()
        .fields
        .iter()
        .map(|field| {
            format!(
                "{} {}",
                field_text(schema, field.source_id, &field.transform.to_string()),
                field.direction
            )
        })
        .collect();
    // The state is `offsets show`'s, and would fill the screen.
    let properties: BTreeMap<_, _> = metadata
        .properties()
        .iter()
        .filter(|(key, _)| !key.starts_with("frazil.state"))
        .collect();
    let current = metadata.current_snapshot();
    let total = |key: &str| {
        current
            .and_then(|snapshot| summary_number(snapshot, key))
            .unwrap_or(0)
    };
    let (rows, data_files, bytes) = (
        total("total-records"),
        total("total-data-files"),
        total("total-files-size"),
    );
    if context.json {
        let columns: Vec<_> = schema
            .as_struct()
            .fields()
            .iter()
            .map(|field| {
                json!({ "id": field.id, "name": field.name, "type": describe_type(&field.field_type),
                        "required": field.required, "doc": field.doc })
            })
            .collect();
        return out.json(&json!({
            "table": table.name.to_string(), "catalog": catalog, "uuid": metadata.uuid().to_string(),
            "format_version": metadata.format_version() as u8, "location": metadata.location(),
            "metadata_location": table.metadata_location, "columns": columns,
            "partition_by": partitions, "sort_by": sort, "properties": properties,
            "snapshot_id": current.map(|snapshot| snapshot.snapshot_id().to_string()),
            "snapshots": metadata.snapshots().count(),
            "rows": rows, "data_files": data_files, "bytes": bytes,
        }));
    }
    out.line(format!(
        "table      {}  (Iceberg format version {})",
        table.name,
        metadata.format_version() as u8
    ))?;
    out.line(format!("catalog    {catalog}"))?;
    out.line(format!("location   {}", metadata.location()))?;
    out.line(format!("metadata   {}", table.metadata_location))?;
    out.line(format!("uuid       {}", metadata.uuid()))?;
    out.line(format!(
        "size       {} rows, {} data files, {}",
        grouped(rows),
        grouped(data_files),
        byte_size(bytes)
    ))?;
    match current {
        Some(snapshot) => out.line(format!(
            "snapshot   {} of {}, {} kept",
            snapshot.snapshot_id(),
            timestamp(snapshot.timestamp_ms()),
            metadata.snapshots().count()
        ))?,
        None => out.line("snapshot   none yet")?,
    }
    let or_none = |list: &[String]| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    out.line(format!("partition  {}", or_none(&partitions)))?;
    out.line(format!("sort       {}", or_none(&sort)))?;
    out.line("")?;
    let mut grid = Grid::new(&[
        ("id", Align::Right),
        ("column", Align::Left),
        ("type", Align::Left),
        ("", Align::Left),
        ("doc", Align::Left),
    ]);
    for field in schema.as_struct().fields() {
        grid.row([
            field.id.to_string(),
            field.name.clone(),
            describe_type(&field.field_type),
            if field.required {
                "required".to_owned()
            } else {
                String::new()
            },
            field.doc.clone().unwrap_or_default(),
        ]);
    }
    grid.print(out)?;
    out.line("")?;
    for (key, value) in properties {
        out.line(format!("{key} = {value}"))?;
    }
    out.line("")?;
    out.line("In DuckDB: INSTALL iceberg; LOAD iceberg;")?;
    out.line(format!(
        "  SELECT * FROM iceberg_scan('{}');",
        table.metadata_location
    ))
}

fn snapshots(table: &LoadedTable, context: &Context, out: &mut Output) -> anyhow::Result<()> {
    let mut list: Vec<_> = table.metadata.snapshots().collect();
    list.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
    let current = table.metadata.current_snapshot_id();
    if context.json {
        for snapshot in list {
            out.json(&json!({
                "snapshot_id": snapshot.snapshot_id().to_string(),
                "parent_snapshot_id": snapshot.parent_snapshot_id().map(|id| id.to_string()),
                "sequence_number": snapshot.sequence_number(),
                "committed_at": timestamp(snapshot.timestamp_ms()),
                "operation": snapshot.summary().operation.as_str(),
                "current": Some(snapshot.snapshot_id()) == current,
                "summary": snapshot.summary().additional_properties,
            }))?;
        }
        return Ok(());
    }
    let mut grid = Grid::new(&[
        ("committed at", Align::Left),
        ("snapshot", Align::Right),
        ("operation", Align::Left),
        ("rows added", Align::Right),
        ("files added", Align::Right),
        ("rows", Align::Right),
        ("", Align::Left),
    ]);
    for snapshot in list {
        let number =
            |key: &str| summary_number(snapshot, key).map_or_else(|| "-".to_owned(), grouped);
        grid.row([
            timestamp(snapshot.timestamp_ms()),
            snapshot.snapshot_id().to_string(),
            snapshot.summary().operation.as_str().to_owned(),
            summary_number(snapshot, "added-records").map_or_else(|| "0".to_owned(), grouped),
            summary_number(snapshot, "added-data-files").map_or_else(|| "0".to_owned(), grouped),
            number("total-records"),
            if Some(snapshot.snapshot_id()) == current {
                "current".to_owned()
            } else {
                String::new()
            },
        ]);
    }
    grid.print(out)
}

/// Prints manifest by manifest: a table may have more files than fit in memory as text.
async fn files(table: &LoadedTable, context: &Context, out: &mut Output) -> anyhow::Result<()> {
    let Some(snapshot) = table.metadata.current_snapshot() else {
        return if context.json {
            Ok(())
        } else {
            out.line("no snapshot yet, so no files")
        };
    };
    let readable = read::scannable(table)?;
    let manifests = readable
        .manifest_list_reader(snapshot)
        .load()
        .await
        .with_context(|| {
            format!(
                "read the manifest list of snapshot {}",
                snapshot.snapshot_id()
            )
        })?;
    let mut grid = Grid::new(&[
        ("content", Align::Left),
        ("partition", Align::Left),
        ("rows", Align::Right),
        ("size", Align::Right),
        ("file", Align::Left),
    ]);
    let (mut count, mut rows, mut bytes) = (0, 0, 0);
    for manifest_file in manifests.entries() {
        let manifest = manifest_file
            .load_manifest(readable.file_io())
            .await
            .with_context(|| format!("read manifest {}", manifest_file.manifest_path))?;
        let spec = manifest.metadata().partition_spec().clone();
        let schema = table.metadata.current_schema();
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            let content = content_name(manifest_file.content, file.content_type());
            let partition = partition_values(&spec, schema, file);
            if manifest_file.content == ManifestContentType::Data {
                (count, rows, bytes) = (
                    count + 1,
                    rows + file.record_count(),
                    bytes + file.file_size_in_bytes(),
                );
            }
            if context.json {
                out.json(&json!({
                    "content": content, "path": file.file_path(), "rows": file.record_count(),
                    "bytes": file.file_size_in_bytes(), "partition": partition.iter().cloned().collect::<serde_json::Map<_, _>>(),
                    "spec_id": manifest_file.partition_spec_id,
                    "sequence_number": entry.sequence_number(),
                    "snapshot_id": entry.snapshot_id().map(|id| id.to_string()),
                }))?;
                continue;
            }
            let text: Vec<_> = partition
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("null")))
                .collect();
            grid.row([
                content.to_owned(),
                text.join("/"),
                grouped(file.record_count()),
                byte_size(file.file_size_in_bytes()),
                file.file_path()
                    .strip_prefix(table.metadata.location())
                    .unwrap_or(file.file_path())
                    .to_owned(),
            ]);
        }
    }
    if context.json {
        return Ok(());
    }
    grid.print(out)?;
    out.line(format!(
        "{} data files, {} rows, {} under {}",
        grouped(count),
        grouped(rows),
        byte_size(bytes),
        table.metadata.location()
    ))
}

fn content_name(manifest: ManifestContentType, content: DataContentType) -> &'static str {
    match (manifest, content) {
        (ManifestContentType::Data, _) => "data",
        (_, DataContentType::EqualityDeletes) => "equality-deletes",
        (_, _) => "position-deletes",
    }
}

/// A file's partition: name and readable value of each field.
fn partition_values(
    spec: &PartitionSpec,
    schema: &Schema,
    file: &DataFile,
) -> Vec<(String, Value)> {
    let fields = spec.fields().iter().zip(file.partition().iter());
    fields
        .map(|(field, value)| {
            let text = value.map(|value| {
                // A source column that was dropped since leaves only the value as it is stored.
                let of = schema.field_by_id(field.source_id);
                let kind = of.and_then(|of| field.transform.result_type(&of.field_type).ok());
                match (field.transform, value, kind) {
                    (Transform::Year, Literal::Primitive(PrimitiveLiteral::Int(years)), _) => {
                        format!("{}", 1970 + years)
                    }
                    (Transform::Month, Literal::Primitive(PrimitiveLiteral::Int(months)), _) => {
                        format!(
                            "{}-{:02}",
                            1970 + months.div_euclid(12),
                            months.rem_euclid(12) + 1
                        )
                    }
                    (Transform::Hour, Literal::Primitive(PrimitiveLiteral::Int(hours)), _) => {
                        hour_text(*hours)
                    }
                    (transform, value, Some(kind @ Type::Primitive(_))) => {
                        transform.to_human_string(&kind, Some(value))
                    }
                    (_, value, _) => format!("{value:?}"),
                }
            });
            (field.name.clone(), text.map_or(Value::Null, Value::String))
        })
        .collect()
}

/// Hours since the epoch as `2024-05-01-13`.
fn hour_text(hours: i32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(hours) * 3_600);
    time.map_or_else(
        |_| hours.to_string(),
        |time| time.strftime("%Y-%m-%d-%H").to_string(),
    )
}

fn spelled_fields(spec: &PartitionSpec, schema: &Schema) -> Vec<String> {
    spec.fields()
        .iter()
        .map(|field| field_text(schema, field.source_id, &field.transform.to_string()))
        .collect()
}

/// `host`, `day(time)`, `bucket(16, host)`.
fn field_text(schema: &Schema, source_id: i32, transform: &str) -> String {
    let column = schema.name_by_field_id(source_id).unwrap_or("(dropped)");
    match transform
        .strip_suffix(']')
        .and_then(|text| text.split_once('['))
    {
        Some((name, argument)) => format!("{name}({argument}, {column})"),
        None if transform == "identity" => column.to_owned(),
        None => format!("{transform}({column})"),
    }
}

fn summary_number(snapshot: &Snapshot, key: &str) -> Option<u64> {
    snapshot
        .summary()
        .additional_properties
        .get(key)?
        .parse()
        .ok()
}
