//! `frazil doctor`: whether this deployment's servers can be reached, and let us do what a writer needs.

mod catalog;
mod check;
mod kafka;
mod storage;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use frazil_dataset::{Dataset, KafkaSourceSpec, SourceSpec, TableName, parse_duration};
use frazil_service::settings::{Environment, Settings};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};

use super::{Context, exit::Exit, output::Output};
use check::{Check, Checks};

/// Catalogs and clusters that are looked at at the same time.
const LOOKS_AT_ONCE_MAX: usize = 16;

/// Look for what would keep a writer from its work: reach and rights on catalog, storage and Kafka, locks, clocks
///
/// Tries what a writer does, and changes no table: a change of the catalog is made and given up, a small
/// file is written under the warehouse, read and deleted, topics and group are asked for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Dataset files, or names found in schemas/; default: all that are there, and all that the deployment file names
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
    /// How long one step may take
    #[arg(long, value_name = "DURATION", default_value = "1min", value_parser = duration)]
    timeout: Duration,
}

const EXAMPLES: &str = "Examples:
  frazil doctor                  the whole deployment, and all datasets of schemas/
  frazil doctor web              what one dataset needs
  frazil doctor --json | jq 'select(.status != \"ok\")'

Exit codes: 0 nothing failed (there may be warnings), 1 something failed that may mend itself,
2 a file or a setting is wrong.";

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub(crate) async fn run(
    args: &DoctorArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let settings = context.settings()?;
    let mut checks = Checks::new(args.timeout);
    let datasets = datasets(args, context, &mut checks)?;
    let mut exit = tell(checks.made, context, out)?;
    let mut looks: Vec<BoxFuture<'_, Vec<Check>>> = Vec::new();
    for (name, tables) in catalogs(args, &settings, &datasets) {
        looks.push(catalog::look(context, &settings, name, tables, args.timeout).boxed());
    }
    for spec in topics(args, &settings, &datasets) {
        looks.push(kafka::look(&settings, spec, args.timeout).boxed());
    }
    let mut looks = futures::stream::iter(looks).buffered(LOOKS_AT_ONCE_MAX);
    while let Some(made) = looks.next().await {
        exit = exit.and(tell(made, context, out)?);
        out.flush()?;
    }
    Ok(exit)
}

fn tell(made: Vec<Check>, context: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for check in made {
        if context.json {
            out.json(&check.json())?;
        } else {
            for line in check.lines() {
                out.line(line)?;
            }
        }
        exit = exit.and(check.exit());
    }
    Ok(exit)
}

/// The datasets whose files are right.
fn datasets(
    args: &DoctorArgs,
    context: &Context,
    checks: &mut Checks,
) -> anyhow::Result<Vec<Dataset>> {
    let arguments = if args.datasets.is_empty() {
        let files = Environment::of_process()?.dataset_files()?;
        files
            .iter()
            .map(|file| file.display().to_string())
            .collect()
    } else {
        args.datasets.clone()
    };
    let mut datasets = Vec::new();
    for argument in arguments {
        let loaded = checks.now("dataset", &argument, || {
            let dataset = context.dataset(&argument)?;
            let told = format!("defines table {}", dataset.table);
            Ok((dataset, told))
        });
        datasets.extend(loaded);
    }
    Ok(datasets)
}

/// The catalogs, each with the tables of the datasets in it.
fn catalogs(
    args: &DoctorArgs,
    settings: &Settings,
    datasets: &[Dataset],
) -> BTreeMap<Option<String>, BTreeSet<TableName>> {
    let mut catalogs: BTreeMap<Option<String>, BTreeSet<TableName>> = BTreeMap::new();
    if args.datasets.is_empty() {
        let named = settings.deployment.catalogs.iter();
        catalogs.extend(named.map(|(name, _)| (Some(name.clone()), BTreeSet::new())));
        if settings.deployment.catalog.is_some() || catalogs.is_empty() {
            catalogs.insert(None, BTreeSet::new());
        }
    }
    for dataset in datasets {
        let tables = catalogs.entry(dataset.catalog.clone()).or_default();
        tables.insert(dataset.table.clone());
    }
    catalogs
}

/// What is read from Kafka: each dataset's topics; and clusters that no dataset names, without topics.
fn topics(args: &DoctorArgs, settings: &Settings, datasets: &[Dataset]) -> Vec<kafka::Asked> {
    let mut asked = Vec::new();
    for dataset in datasets {
        if let Some(SourceSpec::Kafka(spec)) = &dataset.source {
            asked.push(kafka::Asked::of_dataset(&dataset.name, spec));
        }
    }
    let is_named = |name: &str| {
        let used = |spec: &KafkaSourceSpec| spec.cluster.as_deref().is_none_or(|one| one == name);
        asked.iter().any(|one| used(&one.spec))
    };
    if args.datasets.is_empty() {
        let clusters = settings.deployment.kafka.iter().map(|(name, _)| name);
        let others: Vec<_> = clusters.filter(|name| !is_named(name)).collect();
        asked.extend(
            others
                .into_iter()
                .map(|name| kafka::Asked::of_cluster(name)),
        );
    }
    asked
}
