//! The grammar of types: Iceberg's names, nested with `<` and `>`.

use crate::{ColumnType, StructField, names, suggest};

/// Deeper types overflow the stack of some readers, and no log needs them.
pub(crate) const TYPE_DEPTH_MAX: usize = 16;
/// A longer `fixed(n)` is a `binary`.
const FIXED_BYTES_MAX: u32 = 1_048_576;

const NAMES: [&str; 17] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "decimal",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "string",
    "uuid",
    "fixed",
    "binary",
    "struct",
    "list",
    "map",
];

/// Why a text is no type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeError {
    /// The byte of the text at which it goes wrong.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Reads a type: `decimal(9,2)`, `list<struct<a: int, b: map<string, date>>>`.
pub(crate) fn parse_type(text: &str) -> Result<ColumnType, TypeError> {
    let mut parser = Parser { text, at: 0 };
    let parsed = parser.column_type(1)?;
    parser.skip_space();
    if parser.at < text.len() {
        let rest = &text[parser.at..];
        let help = (rest.trim() == "[]").then(|| format!("an array is `list<{parsed}>`"));
        return Err(parser.error_here(format!("`{}` follows the type", cut(rest)), help));
    }
    Ok(parsed)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn column_type(&mut self, depth: usize) -> Result<ColumnType, TypeError> {
        self.skip_space();
        let at = self.at;
        if depth > TYPE_DEPTH_MAX {
            let message = format!("types nest at most {TYPE_DEPTH_MAX} deep");
            return Err(self.error_here(
                message,
                Some("a `string` column keeps a nested value as its JSON text".to_owned()),
            ));
        }
        let word = self.word(|c| c.is_alphanumeric() || c == '_');
        Ok(match word {
            "" => return Err(self.error_here("a type is missing".to_owned(), None)),
            "boolean" => ColumnType::Boolean,
            "int" => ColumnType::Int,
            "long" => ColumnType::Long,
            "float" => ColumnType::Float,
            "double" => ColumnType::Double,
            "decimal" => self.decimal(at)?,
            "date" => ColumnType::Date,
            "time" => ColumnType::Time,
            "timestamp" => ColumnType::Timestamp,
            "timestamptz" => ColumnType::Timestamptz,
            "string" => ColumnType::String,
            "uuid" => ColumnType::Uuid,
            "fixed" => self.fixed(at)?,
            "binary" => ColumnType::Binary,
            "struct" => self.structure(at, depth)?,
            "list" => self.list(at, depth)?,
            "map" => self.map(at, depth)?,
            other => return Err(unknown(other, &self.text[self.at..], at)),
        })
    }

    fn decimal(&mut self, at: usize) -> Result<ColumnType, TypeError> {
        let help =
            || Some("`decimal(18,2)`: 18 digits in all, 2 of them after the point".to_owned());
        let numbers_at = self.at;
        let Some(numbers) = self.numbers() else {
            return Err(error(at, "`decimal` needs its precision and scale", help()));
        };
        let [precision, scale] = numbers[..] else {
            return Err(error(
                numbers_at,
                "`decimal` takes a precision and a scale",
                help(),
            ));
        };
        if !(1..=38).contains(&precision) {
            return Err(error(
                numbers_at,
                format!("a decimal's precision is from 1 to 38, not {precision}"),
                help(),
            ));
        }
        if scale > precision {
            let message = format!(
                "a decimal's scale is at most its precision: {scale} is more than {precision}"
            );
            return Err(error(numbers_at, message, help()));
        }
        Ok(ColumnType::Decimal {
            precision: precision as u8,
            scale: scale as u8,
        })
    }

    fn fixed(&mut self, at: usize) -> Result<ColumnType, TypeError> {
        let help = || Some("`fixed(16)`: 16 bytes".to_owned());
        let numbers_at = self.at;
        let Some(numbers) = self.numbers() else {
            return Err(error(at, "`fixed` needs its length in bytes", help()));
        };
        match numbers[..] {
            [length] if (1..=FIXED_BYTES_MAX).contains(&length) => Ok(ColumnType::Fixed(length)),
            [length] => {
                let message =
                    format!("a fixed's length is from 1 to {FIXED_BYTES_MAX} bytes, not {length}");
                Err(error(numbers_at, message, help()))
            }
            _ => Err(error(numbers_at, "`fixed` takes one length", help())),
        }
    }

    fn list(&mut self, at: usize, depth: usize) -> Result<ColumnType, TypeError> {
        if !self.take('<') {
            return Err(error(
                at,
                "`list` needs its element's type",
                Some("`list<string>`".to_owned()),
            ));
        }
        let element = self.column_type(depth + 1)?;
        self.close("list")?;
        Ok(ColumnType::List(Box::new(element)))
    }

    fn map(&mut self, at: usize, depth: usize) -> Result<ColumnType, TypeError> {
        let help = || Some("`map<string, long>`".to_owned());
        if !self.take('<') {
            return Err(error(
                at,
                "`map` needs the types of its keys and values",
                help(),
            ));
        }
        self.skip_space();
        let key_at = self.at;
        let key = self.column_type(depth + 1)?;
        if key != ColumnType::String {
            let message = format!("a map's keys are `string`, not `{key}`");
            return Err(error(
                key_at,
                message,
                Some("the keys of a JSON object are strings".to_owned()),
            ));
        }
        if !self.take(',') {
            return Err(self.error_here("`map` needs the type of its values".to_owned(), help()));
        }
        let value = self.column_type(depth + 1)?;
        self.close("map")?;
        Ok(ColumnType::Map(Box::new(key), Box::new(value)))
    }

    fn structure(&mut self, at: usize, depth: usize) -> Result<ColumnType, TypeError> {
        let help = || Some("`struct<country: string, asn: int>`".to_owned());
        if !self.take('<') {
            return Err(error(at, "`struct` needs its fields", help()));
        }
        let mut fields: Vec<StructField> = Vec::new();
        loop {
            self.skip_space();
            let name_at = self.at;
            let name = self.word(|c| !"<>:,()".contains(c)).trim_end();
            if let Err(why) = names::check_column_name(name) {
                return Err(error(
                    name_at,
                    format!("the name `{}` of a struct's field {why}", cut(name)),
                    help(),
                ));
            }
            let folded = name.to_lowercase();
            if let Some(other) = fields
                .iter()
                .find(|field| field.name.to_lowercase() == folded)
            {
                let message = format!("the struct has the field `{}` already", other.name);
                let help = "engines do not tell upper from lower case in names".to_owned();
                return Err(error(
                    name_at,
                    message,
                    (other.name != name).then_some(help),
                ));
            }
            if !self.take(':') {
                return Err(
                    self.error_here(format!("the field `{name}` needs `:` and its type"), help())
                );
            }
            let field_type = self.column_type(depth + 1)?;
            fields.push(StructField {
                name: name.to_owned(),
                field_type,
            });
            if !self.take(',') {
                break;
            }
        }
        self.close("struct")?;
        Ok(ColumnType::Struct(fields))
    }

    fn close(&mut self, of: &str) -> Result<(), TypeError> {
        if self.take('>') {
            return Ok(());
        }
        let found = &self.text[self.at..];
        let message = if found.is_empty() {
            format!("`{of}<` is not closed")
        } else {
            format!("`{of}<` is not closed before `{}`", cut(found))
        };
        Err(self.error_here(message, Some("add `>`".to_owned())))
    }

    /// Reads `(9,2)`; `None` where none or anything else follows, an empty list for `()`.
    fn numbers(&mut self) -> Option<Vec<u32>> {
        let from = self.at;
        if !self.take('(') {
            return None;
        }
        let Some(length) = self.text[self.at..].find(')') else {
            self.at = from;
            return None;
        };
        let inner = &self.text[self.at..self.at + length];
        self.at += length + 1;
        inner
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect()
    }

    fn word(&mut self, of: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !of(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        self.word(char::is_whitespace);
    }

    fn error_here(&self, message: String, help: Option<String>) -> TypeError {
        error(self.at, message, help)
    }
}

fn error(at: usize, message: impl Into<String>, help: Option<String>) -> TypeError {
    TypeError {
        at,
        message: message.into(),
        help,
    }
}

/// A text short enough for a message.
fn cut(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unknown(word: &str, rest: &str, at: usize) -> TypeError {
    let lower = word.to_lowercase();
    if matches!(
        lower.as_str(),
        "timestamp_ns" | "timestamptz_ns" | "variant" | "geometry" | "geography" | "unknown"
    ) {
        let help = match lower.as_str() {
            "timestamp_ns" => "`timestamp` keeps microseconds",
            "timestamptz_ns" => "`timestamptz` keeps microseconds",
            "variant" => "a `string` column keeps a nested value as its JSON text",
            _ => "the types of Iceberg's format version 2 are",
        };
        let message =
            format!("`{word}` is a type of Iceberg's format version 3, which is not supported yet");
        let help = if help.ends_with("are") {
            format!("{help} {}", suggest::listed(NAMES))
        } else {
            help.to_owned()
        };
        return error(at, message, Some(help));
    }
    let spaced = rest.trim_start().to_lowercase();
    let help = if NAMES.contains(&lower.as_str()) {
        format!("types are written in lower case: `{lower}`")
    } else if let Some(ours) = ours(&lower, &spaced) {
        format!("here that is {ours}")
    } else if let Some(near) = suggest::nearest(word, NAMES) {
        format!("did you mean `{near}`?")
    } else {
        format!("types are {}", suggest::listed(NAMES))
    };
    error(at, format!("unknown type `{}`", cut(word)), Some(help))
}

/// What a type of another system is called here.
fn ours(word: &str, rest: &str) -> Option<&'static str> {
    Some(match word {
        "bool" | "bit" | "logical" => "`boolean`",
        "tinyint" | "smallint" | "integer" | "mediumint" | "byte" | "short" | "int2" | "int4"
        | "int8" | "int16" | "int32" | "i8" | "i16" | "i32" | "u8" | "u16" | "uint8" | "uint16"
        | "serial" => "`int`",
        "bigint" | "int64" | "i64" | "u32" | "uint32" | "bigserial" | "number64" => "`long`",
        "uint64" | "u64" | "ubigint" => {
            "`decimal(20,0)`, or `long` where no value is over 2^63 - 1"
        }
        "hugeint" | "int128" | "i128" | "uint128" => "`decimal(38,0)`",
        "real" | "float32" | "f32" | "float4" => "`float`",
        "float64" | "f64" | "float8" => "`double`",
        "number" => "`long` for whole numbers, `double` or `decimal(p,s)` for others",
        "numeric" | "dec" | "money" | "decimal128" | "bigdecimal" => {
            "`decimal(p,s)`, as in `decimal(18,2)`"
        }
        "varchar" | "text" | "char" | "str" | "utf8" | "nvarchar" | "varchar2" | "character"
        | "clob" | "keyword" | "enum" | "lowcardinality" | "tinytext" | "mediumtext"
        | "longtext" | "ip" | "inet" | "ipv4" | "ipv6" => "`string`",
        "json" | "jsonb" | "any" | "dynamic" => {
            "`string`, which keeps a nested value as its JSON text, or `struct<…>`"
        }
        "bytes" | "blob" | "bytea" | "varbinary" | "bytearray" | "image" => "`binary`",
        "guid" | "uniqueidentifier" => "`uuid`",
        "datetime" | "datetime2" | "datetime64" | "smalldatetime" => {
            "`timestamptz` (an instant) or `timestamp` (without a zone)"
        }
        "timestampz" | "timestamp_tz" | "timestamp_ltz" | "timestampltz" | "datetimeoffset"
        | "instant" => "`timestamptz`",
        "timestampntz" | "timestamp_ntz" | "localdatetime" => "`timestamp`",
        "date32" => "`date`",
        "timetz" | "time64" | "localtime" => "`time`",
        "row" | "record" | "object" | "tuple" | "nested" => "`struct<name: type, …>`",
        "array" | "vec" | "repeated" | "sequence" | "set" => "`list<type>`",
        "dict" | "dictionary" | "hash" | "hashmap" => "`map<string, type>`",
        _ if word == "precision" || rest.starts_with("precision") => "`double`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
