//! A table's columns as Hive words them: what `DESCRIBE` shows in engines that ask the metastore alone.

use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Type};

/// A column as the metastore has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HiveColumn {
    pub(super) name: String,
    pub(super) hive_type: String,
    pub(super) comment: Option<String>,
    /// Whether the table had it before, as it is.
    pub(super) unchanged: bool,
}

/// In Hive's words; Hive 2 does not know it.
const ZONED: &str = "timestamp with local time zone";

/// The schema's columns.
pub(super) fn of(schema: &Schema) -> Vec<HiveColumn> {
    schema.as_struct().fields().iter().map(column).collect()
}

/// The columns that a change from one schema to another makes; None: none of them changes.
pub(super) fn changed(from: &Schema, to: &Schema) -> Option<Vec<HiveColumn>> {
    let (from, mut to) = (of(from), of(to));
    if from == to {
        return None;
    }
    for column in &mut to {
        column.unchanged = from.contains(column);
    }
    Some(to)
}

/// Words the columns for a metastore that does not know timestamps with a time zone, as Java's
/// library of Hive 2 does.
pub(super) fn forget_zones(columns: &mut [HiveColumn]) {
    for column in columns {
        column.hive_type = column.hive_type.replace(ZONED, "timestamp");
    }
}

fn column(field: &NestedFieldRef) -> HiveColumn {
    HiveColumn {
        name: field.name.clone(),
        hive_type: type_text(&field.field_type),
        comment: field.doc.clone(),
        unchanged: false,
    }
}

/// A type in Hive's words, which have no spaces between the parts of a nested type.
fn type_text(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => primitive_text(primitive),
        Type::Struct(of) => {
            let fields: Vec<String> = of
                .fields()
                .iter()
                .map(|field| format!("{}:{}", field.name, type_text(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(of) => format!("array<{}>", type_text(&of.element_field.field_type)),
        Type::Map(of) => format!(
            "map<{},{}>",
            type_text(&of.key_field.field_type),
            type_text(&of.value_field.field_type)
        ),
    }
}

fn primitive_text(of: &PrimitiveType) -> String {
    match of {
        PrimitiveType::Boolean => "boolean",
        PrimitiveType::Int => "int",
        PrimitiveType::Long => "bigint",
        PrimitiveType::Float => "float",
        PrimitiveType::Double => "double",
        PrimitiveType::Date => "date",
        PrimitiveType::Timestamp | PrimitiveType::TimestampNs => "timestamp",
        PrimitiveType::Timestamptz | PrimitiveType::TimestamptzNs => ZONED,
        // Hive has neither times nor UUIDs.
        PrimitiveType::Time | PrimitiveType::String | PrimitiveType::Uuid => "string",
        PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary",
        PrimitiveType::Decimal { precision, scale } => {
            return format!("decimal({precision},{scale})");
        }
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::{ListType, MapType, NestedField, StructType};

    use super::*;

    fn optional(id: i32, name: &str, of: Type) -> Arc<NestedField> {
        Arc::new(NestedField::optional(id, name, of))
    }

    #[test]
    fn types_are_hive_s() {
        use PrimitiveType as P;
        let primitive = |of| Type::Primitive(of);
        for (of, text) in [
            (P::Boolean, "boolean"),
            (P::Int, "int"),
            (P::Long, "bigint"),
            (P::Float, "float"),
            (P::Double, "double"),
            (P::Date, "date"),
            (P::Time, "string"),
            (P::Timestamp, "timestamp"),
            (P::TimestampNs, "timestamp"),
            (P::Timestamptz, "timestamp with local time zone"),
            (P::TimestamptzNs, "timestamp with local time zone"),
            (P::String, "string"),
            (P::Uuid, "string"),
            (P::Fixed(3), "binary"),
            (P::Binary, "binary"),
        ] {
            assert_eq!(type_text(&primitive(of)), text);
        }
        let decimal = primitive(P::Decimal {
            precision: 38,
            scale: 9,
        });
        assert_eq!(type_text(&decimal), "decimal(38,9)");
        let list = Type::List(ListType::new(optional(3, "element", decimal)));
        let map = Type::Map(MapType::new(
            Arc::new(NestedField::map_key_element(4, primitive(P::String))),
            optional(5, "value", list),
        ));
        let nested = Type::Struct(StructType::new(vec![
            optional(1, "a", primitive(P::Int)),
            optional(2, "B", map),
        ]));
        assert_eq!(
            type_text(&nested),
            "struct<a:int,B:map<string,array<decimal(38,9)>>>"
        );
    }

    #[test]
    fn columns_keep_their_order_and_doc() {
        let schema = Schema::builder()
            .with_fields([
                Arc::new(
                    NestedField::required(7, "time", Type::Primitive(PrimitiveType::Timestamptz))
                        .with_doc("when it happened"),
                ),
                optional(2, "host", Type::Primitive(PrimitiveType::String)),
            ])
            .build()
            .unwrap();
        let columns = of(&schema);
        assert_eq!(
            columns[0],
            HiveColumn {
                name: "time".to_string(),
                hive_type: "timestamp with local time zone".to_string(),
                comment: Some("when it happened".to_string()),
                unchanged: false,
            }
        );
        assert_eq!(
            (columns[1].name.as_str(), &columns[1].comment),
            ("host", &None)
        );
        assert_eq!(changed(&schema, &schema), None);
        let fewer = Schema::builder()
            .with_fields([schema.as_struct().fields()[0].clone()])
            .build()
            .unwrap();
        let mut changed = changed(&fewer, &schema).unwrap();
        let unchanged: Vec<bool> = changed.iter().map(|column| column.unchanged).collect();
        assert_eq!(unchanged, [true, false]);
        forget_zones(&mut changed);
        assert_eq!(changed[0].hive_type, "timestamp");
        assert_eq!(changed[1].hive_type, "string");
    }
}
