//! A dataset's columns as an Iceberg schema, and how they meet a table that exists already.
//!
//! A new table is made from the dataset file alone. A table that exists is authoritative: a column of
//! the file that it lacks may be added, as optional; a column that both have must be of one type.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use frazil_dataset::{Column, ColumnType, Dataset, SortDirection, TableName};
use iceberg::{
    arrow::schema_to_arrow_schema,
    spec::{
        ListType, MapType, NestedField, NestedFieldRef, NullOrder, PrimitiveType, Schema,
        SortDirection as IcebergDirection, SortField, SortOrder, StructType, Transform, Type,
        UnboundPartitionSpec,
    },
};

#[cfg(test)]
mod tests;

/// The definition cannot be an Iceberg table. Reads after "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("define the table of dataset {dataset}: {reason}")]
pub struct SchemaError {
    /// The dataset's name.
    pub dataset: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// The dataset file and its table contradict each other. Reads after "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write to table {table} as the dataset file has it: {}", .conflicts.join("; "))]
pub struct SchemaConflict {
    /// The table.
    pub table: TableName,
    /// One sentence a contradiction: the column, both types, and what to do. Never empty.
    pub conflicts: Vec<String>,
}

/// Fresh field ids, in the order in which Iceberg's own table creation gives them: all fields of a
/// struct before what is nested in them.
struct FreshIds(i32);

impl FreshIds {
    fn next(&mut self) -> i32 {
        self.0 += 1;
        self.0
    }
}

/// The schema of a new table: the dataset's columns in the file's order, the rescued column last.
pub fn table_schema(dataset: &Dataset) -> Result<Schema, SchemaError> {
    let mut ids = FreshIds(0);
    let rescued = dataset.rescued.as_ref().map(|_| ());
    let own: Vec<i32> = dataset.columns.iter().map(|_| ids.next()).collect();
    let rescued_id = rescued.map(|()| ids.next());
    let mut fields: Vec<NestedFieldRef> = dataset
        .columns
        .iter()
        .zip(own)
        .map(|(column, id)| Arc::new(column_field(column, id, column.required, &mut ids)))
        .collect();
    if let (Some(name), Some(id)) = (&dataset.rescued, rescued_id) {
        fields.push(Arc::new(rescued_field(name, id)));
    }
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|error| schema_error(dataset, error.message()))
}

fn schema_error(dataset: &Dataset, reason: impl Into<String>) -> SchemaError {
    SchemaError {
        dataset: dataset.name.clone(),
        reason: reason.into(),
    }
}

fn column_field(column: &Column, id: i32, required: bool, ids: &mut FreshIds) -> NestedField {
    let field = NestedField::new(
        id,
        &column.name,
        iceberg_type(&column.column_type, ids),
        required,
    );
    match &column.doc {
        Some(doc) => field.with_doc(doc),
        None => field,
    }
}

fn rescued_field(name: &str, id: i32) -> NestedField {
    NestedField::optional(id, name, Type::Primitive(PrimitiveType::String))
        .with_doc("Values that found no place: {\"<path>\": {\"value\": …, \"reason\": \"…\"}}")
}

fn iceberg_type(column_type: &ColumnType, ids: &mut FreshIds) -> Type {
    match column_type {
        ColumnType::Struct(fields) => {
            let own: Vec<i32> = fields.iter().map(|_| ids.next()).collect();
            let fields = fields.iter().zip(own).map(|(field, id)| {
                Arc::new(NestedField::optional(
                    id,
                    &field.name,
                    iceberg_type(&field.field_type, ids),
                ))
            });
            Type::Struct(StructType::new(fields.collect()))
        }
        ColumnType::List(element) => {
            let id = ids.next();
            let element = NestedField::list_element(id, iceberg_type(element, ids), false);
            Type::List(ListType::new(Arc::new(element)))
        }
        ColumnType::Map(key, value) => {
            let (key_id, value_id) = (ids.next(), ids.next());
            let key = NestedField::map_key_element(key_id, iceberg_type(key, ids));
            let value = NestedField::map_value_element(value_id, iceberg_type(value, ids), false);
            Type::Map(MapType::new(Arc::new(key), Arc::new(value)))
        }
        primitive => Type::Primitive(primitive_type(primitive)),
    }
}

fn primitive_type(column_type: &ColumnType) -> PrimitiveType {
    match column_type {
        ColumnType::Boolean => PrimitiveType::Boolean,
        ColumnType::Int => PrimitiveType::Int,
        ColumnType::Long => PrimitiveType::Long,
        ColumnType::Float => PrimitiveType::Float,
        ColumnType::Double => PrimitiveType::Double,
        ColumnType::Decimal { precision, scale } => PrimitiveType::Decimal {
            precision: u32::from(*precision),
            scale: u32::from(*scale),
        },
        ColumnType::Date => PrimitiveType::Date,
        ColumnType::Time => PrimitiveType::Time,
        ColumnType::Timestamp => PrimitiveType::Timestamp,
        ColumnType::Timestamptz => PrimitiveType::Timestamptz,
        ColumnType::Uuid => PrimitiveType::Uuid,
        ColumnType::Fixed(length) => PrimitiveType::Fixed(u64::from(*length)),
        ColumnType::Binary => PrimitiveType::Binary,
        // The nested types never come here: `iceberg_type` has taken them.
        ColumnType::String
        | ColumnType::Struct(_)
        | ColumnType::List(_)
        | ColumnType::Map(_, _) => PrimitiveType::String,
    }
}

/// The partitioning of a new table, its fields named as Iceberg's Java library and Spark would:
/// `time_day`, `host_bucket`, `path_trunc`; a column by itself keeps its name.
pub fn partition_spec(
    dataset: &Dataset,
    schema: &Schema,
) -> Result<UnboundPartitionSpec, SchemaError> {
    let mut builder = UnboundPartitionSpec::builder();
    let mut names: Vec<String> = Vec::new();
    for field in &dataset.partition_by {
        let source = source_field(dataset, schema, &field.column, "partition_by")?;
        let transform = iceberg_transform(field.transform);
        check_transform(dataset, source, transform)?;
        let name = partition_field_name(schema, &field.column, transform, &names);
        names.push(name.clone());
        builder = builder
            .add_partition_field(source.id, name, transform)
            .map_err(|error| schema_error(dataset, error.message()))?;
    }
    Ok(builder.build())
}

fn source_field<'a>(
    dataset: &Dataset,
    schema: &'a Schema,
    column: &str,
    key: &str,
) -> Result<&'a NestedFieldRef, SchemaError> {
    schema.as_struct().field_by_name(column).ok_or_else(|| {
        schema_error(
            dataset,
            format!("`{key}` names column `{column}`, which there is not"),
        )
    })
}

fn iceberg_transform(transform: frazil_dataset::Transform) -> Transform {
    match transform {
        frazil_dataset::Transform::Identity => Transform::Identity,
        frazil_dataset::Transform::Bucket(buckets) => Transform::Bucket(buckets),
        frazil_dataset::Transform::Truncate(width) => Transform::Truncate(width),
        frazil_dataset::Transform::Year => Transform::Year,
        frazil_dataset::Transform::Month => Transform::Month,
        frazil_dataset::Transform::Day => Transform::Day,
        frazil_dataset::Transform::Hour => Transform::Hour,
        frazil_dataset::Transform::Void => Transform::Void,
    }
}

fn check_transform(
    dataset: &Dataset,
    source: &NestedField,
    transform: Transform,
) -> Result<(), SchemaError> {
    let refuse = |why: &str| {
        let kind = describe(&source.field_type);
        let reason = format!(
            "column `{}` ({kind}) cannot be partitioned by {transform}: {why}",
            source.name
        );
        Err(schema_error(dataset, reason))
    };
    if transform.result_type(&source.field_type).is_err() || source.field_type.is_nested() {
        return refuse("the transform does not take that type");
    }
    match (transform, source.field_type.as_ref()) {
        (Transform::Bucket(n), _) if n == 0 || i32::try_from(n).is_err() => {
            refuse("the number of buckets must be from 1 to 2147483647")
        }
        (Transform::Truncate(width), _) if width == 0 || i32::try_from(width).is_err() => {
            refuse("the width must be from 1 to 2147483647")
        }
        (Transform::Truncate(width), Type::Primitive(PrimitiveType::Decimal { precision, .. }))
            if !truncated_decimal_fits(*precision, width) =>
        {
            refuse(
                "the smallest value would be cut to one that the type cannot hold; take a smaller width",
            )
        }
        _ => Ok(()),
    }
}

/// Whether the smallest decimal of `precision`, cut down to a multiple of `width`, can still be
/// stored in the bytes that Iceberg gives that precision.
fn truncated_decimal_fits(precision: u32, width: u32) -> bool {
    let Ok(bytes) = Type::decimal_required_bytes(precision) else {
        return false;
    };
    let smallest = 1 - 10i128.pow(precision.min(38));
    let cut = smallest - smallest.rem_euclid(i128::from(width));
    bytes >= 16 || cut >= -(1i128 << (8 * bytes - 1))
}

fn partition_field_name(
    schema: &Schema,
    column: &str,
    transform: Transform,
    taken: &[String],
) -> String {
    let base = match transform {
        Transform::Identity => return column.to_owned(),
        Transform::Bucket(_) => format!("{column}_bucket"),
        Transform::Truncate(_) => format!("{column}_trunc"),
        Transform::Year => format!("{column}_year"),
        Transform::Month => format!("{column}_month"),
        Transform::Day => format!("{column}_day"),
        Transform::Hour => format!("{column}_hour"),
        Transform::Void | Transform::Unknown => format!("{column}_null"),
    };
    // A column, or another field, may have that name already, which Iceberg refuses.
    let is_taken =
        |name: &String| schema.as_struct().field_by_name(name).is_some() || taken.contains(name);
    let mut name = base.clone();
    let mut number = 1;
    while is_taken(&name) {
        number += 1;
        name = format!("{base}_{number}");
    }
    name
}

/// The sort order of a new table's files; unsorted where the dataset file has none.
/// Ascending puts nulls first, descending last: Iceberg's defaults.
pub fn sort_order(dataset: &Dataset, schema: &Schema) -> Result<SortOrder, SchemaError> {
    let mut builder = SortOrder::builder();
    for field in &dataset.sort_by {
        let source = source_field(dataset, schema, &field.column, "sort_by")?;
        let (direction, null_order) = match field.direction {
            SortDirection::Ascending => (IcebergDirection::Ascending, NullOrder::First),
            SortDirection::Descending => (IcebergDirection::Descending, NullOrder::Last),
        };
        builder.with_sort_field(SortField {
            source_id: source.id,
            transform: Transform::Identity,
            direction,
            null_order,
        });
    }
    builder
        .build(schema)
        .map_err(|error| schema_error(dataset, error.message()))
}

/// The properties of a new table: the dataset file's, and defaults for what it leaves out.
pub fn table_properties(dataset: &Dataset) -> Vec<(String, String)> {
    // Streams commit every minute: without the two of them a table's metadata files never go.
    const DEFAULTS: [(&str, &str); 3] = [
        ("write.parquet.compression-codec", "zstd"),
        ("write.metadata.delete-after-commit.enabled", "true"),
        ("write.metadata.previous-versions-max", "100"),
    ];
    let stated = |key: &str| dataset.properties.iter().any(|(name, _)| name == key);
    let defaults = DEFAULTS.iter().filter(|(key, _)| !stated(key));
    let mut properties: Vec<(String, String)> = defaults
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    properties.extend(dataset.properties.iter().cloned());
    properties
}

/// The Arrow schema of a table's rows: field ids in the metadata, strings as `Utf8`, binary as
/// `LargeBinary`, `timestamptz` with zone `+00:00`, uuid as 16 fixed bytes.
///
/// Batches for [`crate::data_file::PartitionedWriter`] have this schema.
pub fn arrow_schema(schema: &Schema) -> Result<SchemaRef, iceberg::Error> {
    Ok(Arc::new(schema_to_arrow_schema(schema)?))
}

/// What a table that exists needs before the dataset can be written to it: the columns to add, as
/// optional, with ids from `last_column_id` on. Empty where it has them all.
///
/// # Errors
/// The contradictions, all of them: a column of another type, one that differs in case only, one
/// that the table requires and the file does not fill.
pub fn reconcile(
    dataset: &Dataset,
    table: &Schema,
    last_column_id: i32,
) -> Result<Vec<NestedFieldRef>, SchemaConflict> {
    let mut conflicts = Vec::new();
    let mut missing = Vec::new();
    for column in &dataset.columns {
        match existing(table, &column.name, &mut conflicts) {
            Existing::Field(field) => compare(column, field, &mut conflicts),
            Existing::Missing => missing.push(Some(column)),
            Existing::Conflict => {}
        }
    }
    if let Some(name) = &dataset.rescued {
        match existing(table, name, &mut conflicts) {
            Existing::Field(field) => compare_rescued(name, field, &mut conflicts),
            Existing::Missing => missing.push(None),
            Existing::Conflict => {}
        }
    }
    let filled = |name: &str| {
        dataset.columns.iter().any(|column| column.name == name)
            || dataset.rescued.as_deref() == Some(name)
    };
    for field in table.as_struct().fields() {
        if field.required && !filled(&field.name) {
            conflicts.push(format!(
                "the table requires column `{}` ({}), which the file does not have: add it to `columns`, \
                 or make it optional in the table",
                field.name,
                describe(&field.field_type)
            ));
        }
    }
    if !conflicts.is_empty() {
        return Err(SchemaConflict {
            table: dataset.table.clone(),
            conflicts,
        });
    }
    Ok(additions(dataset, &missing, last_column_id))
}

fn additions(
    dataset: &Dataset,
    missing: &[Option<&Column>],
    last_column_id: i32,
) -> Vec<NestedFieldRef> {
    let mut ids = FreshIds(last_column_id);
    let own: Vec<i32> = missing.iter().map(|_| ids.next()).collect();
    missing
        .iter()
        .zip(own)
        .map(|(column, id)| match (column, &dataset.rescued) {
            (Some(column), _) => Arc::new(column_field(column, id, false, &mut ids)),
            (None, rescued) => {
                Arc::new(rescued_field(rescued.as_deref().unwrap_or("_rescued"), id))
            }
        })
        .collect()
}

/// The table's schema with columns added at its end, for an `AddSchema` update.
pub fn with_added_columns(
    table: &Schema,
    added: &[NestedFieldRef],
) -> Result<Schema, iceberg::Error> {
    Schema::builder()
        .with_schema_id(table.schema_id())
        .with_fields(table.as_struct().fields().iter().chain(added).cloned())
        .with_identifier_field_ids(table.identifier_field_ids())
        .build()
}

enum Existing<'a> {
    Field(&'a NestedFieldRef),
    Missing,
    Conflict,
}

fn existing<'a>(table: &'a Schema, name: &str, conflicts: &mut Vec<String>) -> Existing<'a> {
    if let Some(field) = table.as_struct().field_by_name(name) {
        return Existing::Field(field);
    }
    let lower = name.to_lowercase();
    let like = table
        .as_struct()
        .fields()
        .iter()
        .find(|field| field.name.to_lowercase() == lower);
    match like {
        None => Existing::Missing,
        Some(field) => {
            // Most engines fold case: two such columns would make the table unreadable for them.
            conflicts.push(format!(
                "the file's column `{name}` is `{}` in the table: write it so in the file",
                field.name
            ));
            Existing::Conflict
        }
    }
}

fn compare(column: &Column, field: &NestedField, conflicts: &mut Vec<String>) {
    if !same_type(&column.column_type, &field.field_type) {
        let ours = describe(&iceberg_type(&column.column_type, &mut FreshIds(0)));
        let theirs = describe(&field.field_type);
        conflicts.push(format!(
            "column `{}` is {ours} in the file but {theirs} in the table: set its type to \"{theirs}\" in the \
             file, change it in the table, or give the file's column another name",
            column.name
        ));
    } else if field.required && !column.required {
        conflicts.push(format!(
            "column `{}` is required in the table but not in the file: set `required = true` in the file, \
             or make it optional in the table",
            column.name
        ));
    }
}

fn compare_rescued(name: &str, field: &NestedField, conflicts: &mut Vec<String>) {
    if field.required || *field.field_type != Type::Primitive(PrimitiveType::String) {
        let optional = if field.required { "required " } else { "" };
        conflicts.push(format!(
            "the rescued column `{name}` must be an optional string but is {optional}{} in the table: \
             set `rescued` to another name in the file",
            describe(&field.field_type)
        ));
    }
}

/// Whether the table's type takes the file's values: the same type, where a struct of the table may
/// have more fields, all optional.
fn same_type(ours: &ColumnType, theirs: &Type) -> bool {
    match (ours, theirs) {
        (ColumnType::Struct(fields), Type::Struct(table)) => {
            table.fields().iter().all(|field| !field.required)
                && fields.iter().all(|field| {
                    let found = table.field_by_name(&field.name);
                    found.is_some_and(|found| same_type(&field.field_type, &found.field_type))
                })
        }
        (ColumnType::List(element), Type::List(table)) => {
            !table.element_field.required && same_type(element, &table.element_field.field_type)
        }
        (ColumnType::Map(key, value), Type::Map(table)) => {
            !table.value_field.required
                && same_type(key, &table.key_field.field_type)
                && same_type(value, &table.value_field.field_type)
        }
        (ColumnType::Struct(_) | ColumnType::List(_) | ColumnType::Map(..), _) => false,
        (primitive, Type::Primitive(table)) => primitive_type(primitive) == *table,
        _ => false,
    }
}

/// A type in the dataset file's words: `struct<country: string, asn: int>`.
pub fn describe(field_type: &Type) -> String {
    let required = |field: &NestedField| if field.required { " (required)" } else { "" };
    match field_type {
        Type::Primitive(PrimitiveType::Fixed(length)) => format!("fixed({length})"),
        Type::Primitive(primitive) => primitive.to_string(),
        Type::Struct(fields) => {
            let fields: Vec<String> = fields
                .fields()
                .iter()
                .map(|field| {
                    format!(
                        "{}: {}{}",
                        field.name,
                        describe(&field.field_type),
                        required(field)
                    )
                })
                .collect();
            format!("struct<{}>", fields.join(", "))
        }
        Type::List(list) => {
            format!(
                "list<{}{}>",
                describe(&list.element_field.field_type),
                required(&list.element_field)
            )
        }
        Type::Map(map) => format!(
            "map<{}, {}{}>",
            describe(&map.key_field.field_type),
            describe(&map.value_field.field_type),
            required(&map.value_field)
        ),
    }
}
