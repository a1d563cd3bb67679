//! `frazil ls`: the tables of a catalog.

use anyhow::Context as _;
use serde_json::json;

use super::{
    Context,
    exit::Exit,
    output::{Align, Grid, Output, byte_size, grouped, timestamp},
};

/// List the tables of a catalog
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  frazil ls\n  frazil ls --json")]
pub(crate) struct LsArgs {
    /// A catalog of the deployment file; default: [catalog]
    #[arg(long, value_name = "NAME")]
    catalog: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    args: &LsArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let catalog = context.catalog(args.catalog.as_deref()).await?;
    let mut names = catalog
        .list()
        .await
        .with_context(|| format!("list the tables of {}", catalog.describe()))?;
    names.sort();
    let mut grid = Grid::new(&[
        ("table", Align::Left),
        ("rows", Align::Right),
        ("data files", Align::Right),
        ("size", Align::Right),
        ("last commit", Align::Left),
    ]);
    for name in &names {
        // One that was dropped meanwhile is not in the list any more.
        let Some(table) = catalog
            .load(name)
            .await
            .with_context(|| format!("load table {name}"))?
        else {
            continue;
        };
        let snapshot = table.metadata.current_snapshot();
        let total = |key: &str| {
            let value = snapshot.and_then(|one| one.summary().additional_properties.get(key));
            value
                .and_then(|value| value.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let (rows, files, bytes) = (
            total("total-records"),
            total("total-data-files"),
            total("total-files-size"),
        );
        let committed = snapshot.map(|one| timestamp(one.timestamp_ms()));
        if context.json {
            out.json(&json!({
                "table": name.to_string(), "rows": rows, "data_files": files, "bytes": bytes,
                "snapshot_id": snapshot.map(|one| one.snapshot_id().to_string()), "committed_at": committed,
                "location": table.metadata.location(),
            }))?;
        } else {
            grid.row([
                name.to_string(),
                grouped(rows),
                grouped(files),
                byte_size(bytes),
                committed.unwrap_or_else(|| "never".to_owned()),
            ]);
        }
    }
    if !context.json {
        if names.is_empty() {
            out.line(format!(
                "{} has no tables yet; `frazil write` makes them",
                catalog.describe()
            ))?;
        } else {
            grid.print(out)?;
        }
    }
    Ok(Exit::Done)
}
