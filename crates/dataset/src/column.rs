//! Columns: a name, a type, and where in a record the value comes from.

/// A column of the dataset's table, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name in the table.
    pub name: String,
    /// Its Iceberg type.
    pub column_type: ColumnType,
    /// A record that cannot fill it becomes a dead letter.
    pub required: bool,
    /// Where its value is looked for, in this order; never empty (default: the field of its own name).
    pub from: Vec<FieldSource>,
    /// How text or numbers become a time; `None` takes the type's standard text form only.
    pub parse: Option<TimeFormat>,
    /// The time zone of times that carry none, as an IANA name or an offset (`+02:00`): see [`crate::time_zone`].
    /// On a `timestamp` or `date`, the zone whose wall clock it holds of an instant.
    pub timezone: Option<String>,
    /// Its own coercion profile, in place of the dataset's.
    pub coerce: Option<Profile>,
    /// A description, kept as the column's doc in the table.
    pub doc: Option<String>,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldSource {
    /// A field of the record.
    Field(FieldPath),
    /// Something about the record that is not in its bytes.
    Special(SpecialSource),
}

/// A field's place in a record.
///
/// `text` is looked up as one field name first, and only then as the path that its dots spell.
/// A JSON Pointer (RFC 6901) is a path only, whose steps may hold dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// As the dataset file has it (`$$x` already unescaped to `$x`).
    pub text: String,
    /// The steps of the path: one for a plain name, several for `a.b` or `/a/b`.
    pub steps: Vec<String>,
    /// Whether `text` was a JSON Pointer, so that it is never looked up as one name.
    pub pointer: bool,
}

/// A value that frazil knows of a record beside its bytes: `$topic`, `$raw`, ….
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecialSource {
    /// `$ingested_at`: when the record was read.
    IngestedAt,
    /// `$topic`: the Kafka topic, or the file's path.
    Topic,
    /// `$partition`: the Kafka partition; 0 for files.
    Partition,
    /// `$offset`: the Kafka offset, or the byte offset in the decompressed file.
    Offset,
    /// `$timestamp`: Kafka's timestamp; null for files.
    Timestamp,
    /// `$key`: Kafka's key; null for files.
    Key,
    /// `$raw`: the record's bytes as text.
    Raw,
    /// `$headers.<name>`: one Kafka header; null for files.
    Header(String),
}

/// An Iceberg type, spelled as in the specification (`decimal(9,2)`, `list<string>`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `int`: 32-bit signed
    Int,
    /// `long`: 64-bit signed
    Long,
    /// `float`: 32-bit IEEE 754
    Float,
    /// `double`: 64-bit IEEE 754
    Double,
    /// `decimal(precision,scale)`, precision 1 to 38
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `date`
    Date,
    /// `time`: microseconds since midnight
    Time,
    /// `timestamp`: microseconds, without a zone
    Timestamp,
    /// `timestamptz`: microseconds since the epoch, UTC
    Timestamptz,
    /// `string`
    String,
    /// `uuid`
    Uuid,
    /// `fixed(n)`: n bytes
    Fixed(u32),
    /// `binary`
    Binary,
    /// `struct<name: type, …>`; its fields are nullable
    Struct(Vec<StructField>),
    /// `list<type>`; its elements are nullable
    List(Box<ColumnType>),
    /// `map<key, value>`; its keys are strings in JSON, its values nullable
    Map(Box<ColumnType>, Box<ColumnType>),
}

/// A field of a `struct<…>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: ColumnType,
}

/// How willing coercion is to convert a value to its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Only what JSON already types rightly.
    Strict,
    /// Conversions that lose no information.
    #[default]
    Standard,
    /// Also common sloppy spellings.
    Lenient,
}

/// How a column's text or number becomes a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, the default for text.
    Rfc3339,
    /// Seconds since the epoch.
    EpochSeconds,
    /// Milliseconds since the epoch.
    EpochMillis,
    /// Microseconds since the epoch.
    EpochMicros,
    /// Nanoseconds since the epoch.
    EpochNanos,
    /// A strftime pattern, checked when the file is read.
    Strftime(String),
}

impl std::fmt::Display for ColumnType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Timestamptz => f.write_str("timestamptz"),
            Self::String => f.write_str("string"),
            Self::Uuid => f.write_str("uuid"),
            Self::Fixed(length) => write!(f, "fixed({length})"),
            Self::Binary => f.write_str("binary"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", field.name, field.field_type)?;
                }
                f.write_str(">")
            }
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
        }
    }
}

impl ColumnType {
    /// Whether it is one value, in Iceberg's sense: no struct, list or map.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Struct(_) | Self::List(_) | Self::Map(..))
    }

    /// The number of columns that it takes in a Parquet file, and itself: struct fields, elements, keys and values.
    pub(crate) fn field_count(&self) -> usize {
        match self {
            Self::Struct(fields) => {
                1 + fields
                    .iter()
                    .map(|field| field.field_type.field_count())
                    .sum::<usize>()
            }
            Self::List(element) => 1 + element.field_count(),
            Self::Map(key, value) => 1 + key.field_count() + value.field_count(),
            _ => 1,
        }
    }
}
