//! `frazil sql`: one query over the tables, read only, by DataFusion.
//!
//! Only the tables that the query names are opened. The one place that knows DataFusion.

mod names;
mod print;
mod provider;

use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    common::TableReference,
    error::DataFusionError,
    execution::{
        context::SessionContext, memory_pool::FairSpillPool, runtime_env::RuntimeEnvBuilder,
    },
    physical_plan::execute_stream,
    prelude::{SQLOptions, SessionConfig},
    sql::{parser::Statement, sqlparser::ast},
};
use frazil_dataset::TableName;
use frazil_table::catalog::{Catalog, LoadedTable};
use futures::StreamExt as _;

use super::{
    Context,
    exit::{Exit, Failure},
    output::Output,
};

/// What sorts, joins and aggregations may hold before they spill to disk.
const MEMORY_MIB_DEFAULT: usize = 1_024;

/// Query the tables; read only
///
/// Tables are named as logs.web, or just web; the dead letters of web are web__dead_letters. Names are
/// matched whatever their case; names with other characters than letters, digits and _ stand in
/// double quotes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SqlArgs {
    /// One SELECT statement, or EXPLAIN of one
    query: String,
    /// How rows are printed; default: table, with --json: json (an object a line)
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A catalog of the deployment file; default: [catalog]
    #[arg(long, value_name = "NAME")]
    catalog: Option<String>,
    /// What the query may hold in memory before it spills to disk
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB_DEFAULT)]
    memory_mib_max: usize,
}

const EXAMPLES: &str = "Examples:
  frazil sql 'SELECT count(*) FROM logs.web'
  frazil sql 'SELECT host, count(*) n FROM web GROUP BY host ORDER BY n DESC LIMIT 10'
  frazil sql 'SELECT * FROM web WHERE _rescued IS NOT NULL LIMIT 5' --format json
  frazil sql 'SELECT reason, detail, record::text FROM web__dead_letters LIMIT 5'";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// With a line of column names
    Csv,
    /// An object a line
    Json,
}

/// Runs the command.
pub(crate) async fn run(
    args: &SqlArgs,
    context: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let format = args.format.unwrap_or(if context.json {
        Format::Json
    } else {
        Format::Table
    });
    let session = session(args.memory_mib_max)?;
    let mut statement = parse(&session, &args.query)?;
    let references = session
        .state()
        .resolve_table_references(&statement)
        .map_err(refused)?;
    let catalog = context.catalog(args.catalog.as_deref()).await?;
    let mut columns = Vec::new();
    for reference in references {
        // The parser does not tell `generate_series(1, 3)` from a table.
        if session
            .state()
            .table_functions()
            .contains_key(reference.table())
        {
            continue;
        }
        let table = find(catalog.as_ref(), &reference).await?;
        columns.extend(
            table
                .metadata
                .current_schema()
                .as_struct()
                .fields()
                .iter()
                .map(|field| field.name.clone()),
        );
        register(&session, reference, &table).await?;
    }
    names::match_case(&mut statement, &columns);
    let plan = session
        .state()
        .statement_to_plan(statement)
        .await
        .map_err(refused)?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|_| not_read_only())?;
    let frame = session.execute_logical_plan(plan).await.map_err(refused)?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.map_err(refused)?;
    let mut printer = print::Printer::new(format, &plan.schema(), out);
    let mut batches = execute_stream(plan, task).map_err(failed)?;
    while let Some(batch) = batches.next().await {
        printer.batch(batch.map_err(failed)?)?;
        if printer.is_closed() {
            break;
        }
    }
    printer.finish()?;
    Ok(Exit::Done)
}

fn session(memory_mib_max: usize) -> anyhow::Result<SessionContext> {
    let pool = FairSpillPool::new(memory_mib_max.max(16) << 20);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .build_arc()?;
    let mut config = SessionConfig::new();
    // `1.1` is meant as it is written; a double would be near it only.
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    let config = config
        .with_default_catalog_and_schema("frazil", "tables")
        .with_create_default_catalog_and_schema(true);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// The one statement, if it reads.
fn parse(session: &SessionContext, query: &str) -> anyhow::Result<Statement> {
    let state = session.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(query, &dialect).map_err(refused)?;
    let reads = |statement: &Statement| matches!(statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_) | ast::Statement::Explain { .. }));
    let allowed = match &statement {
        Statement::Explain(explain) => reads(&explain.statement),
        other => reads(other),
    };
    if allowed {
        Ok(statement)
    } else {
        Err(not_read_only().into())
    }
}

fn not_read_only() -> Failure {
    Failure::usage("run that statement: `frazil sql` only reads")
        .next(
            "give a SELECT; `frazil ls` lists the tables and `frazil table describe` their columns, and what \
             changes a table is `frazil write` or another engine",
        )
}

/// The query is at fault.
fn refused(error: DataFusionError) -> anyhow::Error {
    Failure::usage("understand the query")
        .because(message(&error))
        .into()
}

/// The query ran and failed.
fn failed(error: DataFusionError) -> anyhow::Error {
    let root = error.find_root();
    let failure = Failure::failed("run the query").because(message(&error));
    match root {
        DataFusionError::ResourcesExhausted(_) => failure
            .next("give it more with `--memory-mib-max`, or select less")
            .into(),
        _ => failure.into(),
    }
}

fn message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(error, _) => error.to_string(),
        root => root.strip_backtrace().replace("frazil.tables.", ""),
    }
}

/// The table that a query means by `web` or `logs.web`.
async fn find(catalog: &dyn Catalog, reference: &TableReference) -> anyhow::Result<LoadedTable> {
    let wanted: Vec<_> = [reference.catalog(), reference.schema()]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    let known = catalog
        .list()
        .await
        .with_context(|| format!("list the tables of {}", catalog.describe()))?;
    let name = names::choose(&known, &wanted, reference.table())
        .map_err(|candidates| missing(catalog, reference, &known, &candidates))?;
    match catalog
        .load(name)
        .await
        .with_context(|| format!("load table {name}"))?
    {
        Some(table) => Ok(table),
        None => Err(missing(catalog, reference, &known, &[]).into()),
    }
}

fn missing(
    catalog: &dyn Catalog,
    reference: &TableReference,
    known: &[TableName],
    candidates: &[&TableName],
) -> Failure {
    const SHOWN_MAX: usize = 20;
    let list = |names: &mut dyn Iterator<Item = String>| {
        names.take(SHOWN_MAX).collect::<Vec<_>>().join(", ")
    };
    if !candidates.is_empty() {
        return Failure::usage(format!(
            "choose a table for `{reference}`: several have that name"
        ))
        .next(format!(
            "write one of {}",
            list(&mut candidates.iter().map(ToString::to_string))
        ));
    }
    let failure = Failure::usage(format!(
        "find table `{reference}` in catalog {}",
        catalog.describe()
    ));
    let mut known = known
        .iter()
        .filter(|name| !name.table.ends_with("__dead_letters"))
        .map(ToString::to_string);
    match list(&mut known) {
        none if none.is_empty() => {
            failure.next("the catalog has no tables yet; `frazil write` makes them")
        }
        names => failure.next(format!("its tables: {names}")),
    }
}

/// Puts the table where the query looks for it.
async fn register(
    session: &SessionContext,
    reference: TableReference,
    table: &LoadedTable,
) -> anyhow::Result<()> {
    let provider = provider::provider(session, table).await?;
    let catalog_name = reference.catalog().unwrap_or("frazil");
    let schema_name = reference.schema().unwrap_or("tables");
    let catalog = session.catalog(catalog_name).unwrap_or_else(|| {
        let catalog: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
        session.register_catalog(catalog_name, Arc::clone(&catalog));
        catalog
    });
    if catalog.schema(schema_name).is_none() {
        catalog.register_schema(schema_name, Arc::new(MemorySchemaProvider::new()))?;
    }
    let schema = catalog
        .schema(schema_name)
        .context("find the schema that was just registered")?;
    schema.register_table(reference.table().to_owned(), provider)?;
    Ok(())
}
