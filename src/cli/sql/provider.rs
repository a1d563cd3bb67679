//! A table of ours as DataFusion's.

use std::{any::Any, sync::Arc};

use anyhow::Context as _;
use arrow_schema::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::Column,
    datasource::TableType,
    error::Result,
    execution::context::SessionContext,
    logical_expr::{
        ColumnarValue, Expr, ScalarUDF, TableProviderFilterPushDown, Volatility, create_udf,
    },
    physical_plan::ExecutionPlan,
};
use frazil_table::catalog::LoadedTable;
use iceberg::{
    expr::Bind as _,
    spec::{PrimitiveType, SchemaRef as IcebergSchemaRef, Type},
};
use iceberg_datafusion::{IcebergStaticTableProvider, physical_plan::convert_filters_to_predicate};

use crate::cli::{read, rows};

/// The table, with UUIDs as the text that people compare them with.
pub(super) async fn provider(
    session: &SessionContext,
    table: &LoadedTable,
) -> anyhow::Result<Arc<dyn TableProvider>> {
    let schema = Arc::clone(table.metadata.current_schema());
    let uuids: Vec<&str> = schema
        .as_struct()
        .fields()
        .iter()
        .filter(|field| *field.field_type == Type::Primitive(PrimitiveType::Uuid))
        .map(|field| field.name.as_str())
        .collect();
    let inner = IcebergStaticTableProvider::try_new_from_table(read::scannable(table)?)
        .await
        .with_context(|| format!("read table {}", table.name))?;
    let scanned: Arc<dyn TableProvider> = Arc::new(Scanned {
        inner,
        schema: Arc::clone(&schema),
    });
    if uuids.is_empty() {
        return Ok(scanned);
    }
    let text = uuid_text();
    let columns = schema.as_struct().fields().iter().map(|field| {
        let column = Expr::Column(Column::from_name(&field.name));
        if uuids.contains(&field.name.as_str()) {
            text.call(vec![column]).alias(&field.name)
        } else {
            column
        }
    });
    Ok(session
        .read_table(scanned)?
        .select(columns.collect::<Vec<_>>())?
        .into_view())
}

/// 16 bytes as a UUID's text.
fn uuid_text() -> ScalarUDF {
    create_udf(
        "uuid_text",
        vec![DataType::FixedSizeBinary(rows::UUID_BYTES)],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            Ok(ColumnarValue::Array(rows::printable_column(&arrays[0])))
        }),
    )
}

/// The crate's table, with one mend: where it cannot take the filters that DataFusion hands down (a
/// number compared with text), it reads without them in place of failing. DataFusion filters again
/// in any case.
#[derive(Debug)]
struct Scanned {
    inner: IcebergStaticTableProvider,
    schema: IcebergSchemaRef,
}

#[async_trait]
impl TableProvider for Scanned {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let taken: Vec<_> = filters
            .iter()
            .filter(|filter| self.takes(filter))
            .cloned()
            .collect();
        self.inner.scan(state, projection, &taken, limit).await
    }
}

impl Scanned {
    fn takes(&self, filter: &Expr) -> bool {
        let predicate = convert_filters_to_predicate(std::slice::from_ref(filter));
        predicate.is_some_and(|predicate| {
            predicate
                .rewrite_not()
                .bind(Arc::clone(&self.schema), true)
                .is_ok()
        })
    }
}
