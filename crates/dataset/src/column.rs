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
    /// The time zone of times that carry none, as an IANA name or an offset (`+02:00`).
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
