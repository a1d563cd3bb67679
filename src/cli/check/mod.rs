//! `frazil check`: whether a dataset file is right, and what would become of each record of a sample.
//!
//! Writes nothing, to no place. A sample goes through the same source and decoder as `write`'s
//! records, so that what is said here is what will happen there (deduplication apart).

mod report;
mod sample;

use anyhow::Context as _;
use arrow_schema::SchemaRef;
use frazil_dataset::{Dataset, Share, units::parse_share};
use frazil_table::{
    catalog::LoadedTable,
    schema::{arrow_schema, reconcile, table_schema, with_added_columns},
};
use iceberg::spec::Schema;
use serde_json::json;

use super::{
    Context,
    exit::{Exit, Failure},
    output::{Output, counted},
};

/// Say what would become of each record; writes nothing
///
/// Without a sample: whether the dataset file is right and fits the table, if there is one. With a
/// sample: how many rows, rescued values and dead letters it would make, why, on which lines, and what
/// the first rows look like.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// A dataset file, or the name of one in schemas/
    dataset: String,
    /// Records to try: a file, folder or glob (.gz .zst .bz2 .lz4 too), or `-` for standard input
    #[arg(long, value_name = "PATH")]
    sample: Option<String>,
    /// Exit with 4 where more than this share of the sample's records would become dead letters
    #[arg(long, value_name = "SHARE", requires = "sample", value_parser = share)]
    fail_on: Option<Share>,
}

const EXAMPLES: &str = "Examples:
  frazil check web                                        the file alone
  frazil check schemas/web.toml --sample web.ndjson.gz    and what becomes of a sample
  frazil check web --sample in/ --fail-on 0.1% --json     as a gate, for machines";

fn share(text: &str) -> Result<Share, String> {
    parse_share(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub(crate) async fn run(
    args: &CheckArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let dataset = context.dataset(&args.dataset)?;
    let catalog = context.catalog(dataset.catalog.as_deref()).await?;
    let table = catalog
        .load(&dataset.table)
        .await
        .with_context(|| format!("load table {}", dataset.table))?;
    let fitted = Fitted::of(&dataset, table.as_ref())?;
    if !context.json {
        fitted.print(&dataset, out)?;
    }
    let Some(path) = &args.sample else {
        if context.json {
            out.json(&json!({
                "dataset": dataset.name,
                "table": dataset.table.to_string(),
                "table_exists": fitted.exists,
                "columns_to_add": fitted.added,
                "columns": dataset.columns.len(),
            }))?;
        } else if dataset.source.is_none() {
            out.line(format!(
                "Next: frazil check {} --sample FILE, or frazil write {0} --from FILE",
                args.dataset
            ))?;
        }
        return Ok(Exit::Done);
    };
    let report = sample::decode(&dataset, &fitted.rows, path).await?;
    if context.json {
        out.json(&report.json(&dataset.name, &dataset.table.to_string()))?;
    } else {
        report.print(out)?;
    }
    match args.fail_on {
        Some(Share(most)) if report.dead_share() > most => Ok(Exit::DeadLetters),
        _ => Ok(Exit::Done),
    }
}

/// The dataset against its table, where there is one.
struct Fitted {
    exists: bool,
    /// Columns that the first write would add to the table.
    added: Vec<String>,
    /// What rows will look like.
    rows: SchemaRef,
}

impl Fitted {
    fn of(dataset: &Dataset, table: Option<&LoadedTable>) -> anyhow::Result<Self> {
        let defined = table_schema(dataset).map_err(|error| wrong(dataset, error))?;
        let Some(table) = table else {
            return Self::with(&defined, false, Vec::new());
        };
        let current = table.metadata.current_schema();
        let added = reconcile(dataset, current, table.metadata.last_column_id())
            .map_err(|conflict| wrong(dataset, conflict))?;
        let names = added.iter().map(|field| field.name.clone()).collect();
        Self::with(&with_added_columns(current, &added)?, true, names)
    }

    fn with(schema: &Schema, exists: bool, added: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self {
            exists,
            added,
            rows: arrow_schema(schema)?,
        })
    }

    fn print(&self, dataset: &Dataset, out: &mut Output) -> anyhow::Result<()> {
        let columns = counted(dataset.columns.len() as u64, "column");
        let table = match (self.exists, self.added.as_slice()) {
            (false, _) => format!(
                "table {} is not there yet, the first write makes it",
                dataset.table
            ),
            (true, []) => format!("fits table {}", dataset.table),
            (true, added) => {
                format!(
                    "fits table {}, to which the next write adds: {}",
                    dataset.table,
                    added.join(", ")
                )
            }
        };
        out.line(format!("{}: {columns}; {table}", dataset.name))
    }
}

fn wrong(
    dataset: &Dataset,
    error: impl std::error::Error + Send + Sync + 'static,
) -> anyhow::Error {
    Failure::usage(format!("check dataset {}", dataset.name))
        .because(error)
        .into()
}
