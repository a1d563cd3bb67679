//! A column with the rules by which values are turned into its type.

use std::sync::Arc;

use arrow_array::{ArrayRef, types::ArrowPrimitiveType};
use arrow_schema::{DataType, Field, TimeUnit};
use frazil_dataset::{ColumnType, Profile};

use super::{
    Kind, Ledger, Misfit, Run, TimeRule, Value,
    column::{Booleans, Bytes, Column, Fixed, Primitive},
    nested::{Found, ListColumn, MapColumn, StructColumn},
    number, text,
    time::{Micros, rfc3339},
    unescape,
};

/// A column under construction and its rules.
#[derive(Debug)]
pub(crate) struct Target {
    column: Column,
    profile: Profile,
    time: TimeRule,
    /// Whether it may hold null.
    pub(crate) nullable: bool,
}

/// A table's column has a type that no value is turned into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a column of the Arrow type {0}")]
pub struct UnsupportedType(pub String);

impl Target {
    /// The target for a field of the table's schema. `stated` is the type in the dataset file, which
    /// tells `fixed(16)` from `uuid`.
    pub(crate) fn new(
        field: &Field,
        stated: Option<&ColumnType>,
        profile: Profile,
        time: &TimeRule,
    ) -> Result<Self, UnsupportedType> {
        Ok(Self {
            column: Self::column(field.data_type(), stated, profile, time)?,
            profile,
            time: time.clone(),
            nullable: field.is_nullable(),
        })
    }

    fn column(
        data_type: &DataType,
        stated: Option<&ColumnType>,
        profile: Profile,
        time: &TimeRule,
    ) -> Result<Column, UnsupportedType> {
        let of = |data_type: &DataType| data_type.clone();
        Ok(match data_type {
            DataType::Boolean => Column::Boolean(Booleans::new()),
            DataType::Int32 => Column::Int(Primitive::new(of(data_type))),
            DataType::Int64 => Column::Long(Primitive::new(of(data_type))),
            DataType::Float32 => Column::Float(Primitive::new(of(data_type))),
            DataType::Float64 => Column::Double(Primitive::new(of(data_type))),
            DataType::Decimal128(precision, scale) => {
                Column::Decimal(Primitive::new(of(data_type)), *precision, *scale)
            }
            DataType::Date32 => Column::Date(Primitive::new(of(data_type))),
            DataType::Time64(TimeUnit::Microsecond) => Column::Time(Primitive::new(of(data_type))),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Column::Timestamp(Primitive::new(of(data_type)), zone.is_some())
            }
            DataType::Utf8 => Column::String(Bytes::new()),
            DataType::LargeBinary => Column::Binary(Bytes::new()),
            DataType::FixedSizeBinary(16) if !matches!(stated, Some(ColumnType::Fixed(_))) => {
                Column::Uuid(Fixed::new(16))
            }
            DataType::FixedSizeBinary(size) => Column::Fixed(Fixed::new(*size as usize)),
            DataType::Struct(fields) => {
                let children = fields.iter().map(|field| {
                    let stated = member_type(stated, field.name());
                    Self::new(field, stated, profile, time)
                });
                let children = children.collect::<Result<_, _>>()?;
                Column::Struct(Box::new(StructColumn::new(fields.clone(), children)))
            }
            DataType::List(field) => {
                let stated = match stated {
                    Some(ColumnType::List(element)) => Some(&**element),
                    _ => None,
                };
                let elements = Self::new(field, stated, profile, time)?;
                Column::List(Box::new(ListColumn::new(Arc::clone(field), elements)))
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err(UnsupportedType(data_type.to_string()));
                };
                let [key, value] = &fields[..] else {
                    return Err(UnsupportedType(data_type.to_string()));
                };
                let stated = match stated {
                    Some(ColumnType::Map(key, value)) => (Some(&**key), Some(&**value)),
                    _ => (None, None),
                };
                let keys = Self::new(key, stated.0, profile, time)?;
                let values = Self::new(value, stated.1, profile, time)?;
                let entries = Arc::clone(entries);
                Column::Map(Box::new(MapColumn::new(
                    entries,
                    fields.clone(),
                    keys,
                    values,
                )))
            }
            other => return Err(UnsupportedType(other.to_string())),
        })
    }

    /// Whether its values have members, whose places in the record are told apart.
    pub(crate) fn is_nested(&self) -> bool {
        matches!(
            self.column,
            Column::Struct(_) | Column::List(_) | Column::Map(_)
        )
    }

    /// Whether raw bytes go into it, UTF-8 or not.
    pub(crate) fn takes_bytes(&self) -> bool {
        matches!(self.column, Column::Binary(_) | Column::Fixed(_))
    }

    /// Whether [`Target::append_instant`] can be asked of it.
    pub(crate) fn takes_instants(&self) -> bool {
        matches!(self.column, Column::Timestamp(..) | Column::String(_))
    }

    /// Appends values from row `from` of a run on while they are of the commonest shapes and fit,
    /// and says how many.
    ///
    /// [`Target::append`] gives the same for them; here the choice of the type is made once a run.
    pub(crate) fn append_run(&mut self, run: &Run<'_>, from: usize) -> usize {
        match &mut self.column {
            Column::String(column) => run.take_while(from, |kind, rest, length| {
                matches!(kind, Kind::Text | Kind::Plain) && column.push_short(rest, length)
            }),
            Column::Int(column) => run.take_while(from, |kind, rest, length| {
                is_number(kind, rest, length) && push(column, short_int(rest, length))
            }),
            Column::Long(column) => run.take_while(from, |kind, rest, length| {
                is_number(kind, rest, length) && push(column, number::short_integer(rest, length))
            }),
            Column::Double(column) => run.take_while(from, |kind, rest, length| {
                is_number(kind, rest, length) && push(column, number::short_double(rest, length))
            }),
            Column::Boolean(column) => run.take_while(from, |kind, _, _| match kind {
                Kind::True | Kind::False => column.push_value(kind == Kind::True),
                _ => false,
            }),
            Column::Timestamp(column, true) => run.take_while(from, |kind, rest, length| {
                matches!(kind, Kind::Text | Kind::Plain)
                    && push(column, self.time.common_instant(&rest[..length]))
            }),
            _ => 0,
        }
    }

    /// As [`Target::append_run`], of one value: its shape, the bytes from its start on, and its length.
    #[inline]
    pub(crate) fn append_common(&mut self, kind: Kind, rest: &[u8], length: usize) -> bool {
        match (&mut self.column, kind) {
            (Column::String(column), Kind::Text) => column.push_short(rest, length),
            (Column::Int(column), Kind::Number) => push(column, short_int(rest, length)),
            (Column::Long(column), Kind::Number) => {
                push(column, number::short_integer(rest, length))
            }
            (Column::Double(column), Kind::Number) => {
                push(column, number::short_double(rest, length))
            }
            (Column::Timestamp(column, true), Kind::Text) => {
                push(column, self.time.common_instant(&rest[..length]))
            }
            _ => false,
        }
    }

    /// Appends a value, and says whether it is one; null for a misfit, which the caller has to find
    /// another place for.
    pub(crate) fn append(&mut self, value: Value<'_>, ledger: &mut Ledger) -> Result<bool, Misfit> {
        if value.kind.is_nothing() {
            self.push_null();
            return Ok(false);
        }
        self.append_some(value, ledger)
    }

    /// Appends a value whose members, if it is a struct's, the decoder has found already.
    pub(crate) fn append_found(
        &mut self,
        value: Value<'_>,
        found: &Found<'_>,
        ledger: &mut Ledger,
    ) -> Result<bool, Misfit> {
        match &mut self.column {
            Column::Struct(column) if value.kind == Kind::Object => {
                column.append_found(found, ledger).map(|()| true)
            }
            _ => self.append(value, ledger),
        }
    }

    /// Appends a value, and says whether it is one: `lenient` makes null of some texts.
    fn append_some(&mut self, value: Value<'_>, ledger: &mut Ledger) -> Result<bool, Misfit> {
        let profile = self.profile;
        match &mut self.column {
            Column::String(column) => append_string(column, value, profile),
            Column::Int(column) => column.push_coerced(number::int(value, profile)),
            Column::Long(column) => column.push_coerced(number::long(value, profile)),
            Column::Float(column) => column.push_coerced(number::float(value, profile)),
            Column::Double(column) => column.push_coerced(number::double(value, profile)),
            Column::Decimal(column, precision, scale) => {
                column.push_coerced(number::decimal(value, profile, *precision, *scale))
            }
            Column::Boolean(column) => column.push_coerced(text::boolean(value, profile)),
            Column::Date(column) => column.push_coerced(self.time.date(value, profile)),
            Column::Time(column) => {
                let time = noted(self.time.time(value, profile), ledger);
                column.push_coerced(time)
            }
            Column::Timestamp(column, zoned) => {
                let time = noted(self.time.timestamp(value, profile, *zoned), ledger);
                column.push_coerced(time)
            }
            Column::Uuid(column) => {
                let uuid = text::uuid(value, profile);
                column.push(
                    uuid.as_ref()
                        .ok()
                        .and_then(|uuid| uuid.as_ref().map(|uuid| &uuid[..])),
                );
                uuid.map(|uuid| uuid.is_some())
            }
            Column::Binary(column) => {
                let bytes = text::binary(value, profile, &mut column.values);
                if let Ok(Some(())) = bytes {
                    return column.end(true).map(|()| true);
                }
                column.push_null();
                bytes.map(|_| false)
            }
            Column::Fixed(column) => {
                let size = column.size;
                let bytes = text::fixed(value, profile, size, &mut column.values);
                if let Ok(Some(())) = bytes {
                    column.end();
                } else {
                    column.push(None);
                }
                bytes.map(|bytes| bytes.is_some())
            }
            Column::Struct(column) => column.append(value, ledger).map(|()| true),
            Column::List(column) => column.append(value, ledger).map(|()| true),
            Column::Map(column) => column.append(value, ledger).map(|()| true),
        }
    }

    /// Appends a time that frazil knows itself. Only where [`Target::takes_instants`].
    pub(crate) fn append_instant(&mut self, micros: i64) {
        match &mut self.column {
            Column::Timestamp(column, _) => column.push(Some(micros)),
            Column::String(column) => {
                let _ = column.push(rfc3339(micros).as_bytes());
            }
            _ => self.push_null(),
        }
    }

    /// Appends null.
    pub(crate) fn push_null(&mut self) {
        match &mut self.column {
            Column::Boolean(column) => column.push(None),
            Column::Int(column) => column.push(None),
            Column::Long(column) => column.push(None),
            Column::Float(column) => column.push(None),
            Column::Double(column) => column.push(None),
            Column::Decimal(column, _, _) => column.push(None),
            Column::Date(column) => column.push(None),
            Column::Time(column) => column.push(None),
            Column::Timestamp(column, _) => column.push(None),
            Column::String(column) => column.push_null(),
            Column::Binary(column) => column.push_null(),
            Column::Uuid(column) | Column::Fixed(column) => column.push(None),
            Column::Struct(column) => column.push_null(),
            Column::List(column) => column.push_null(),
            Column::Map(column) => column.push_null(),
        }
    }

    /// How many values it holds.
    pub(crate) fn len(&self) -> usize {
        match &self.column {
            Column::Boolean(column) => column.len(),
            Column::Int(column) => column.len(),
            Column::Long(column) => column.len(),
            Column::Float(column) => column.len(),
            Column::Double(column) => column.len(),
            Column::Decimal(column, _, _) => column.len(),
            Column::Date(column) => column.len(),
            Column::Time(column) => column.len(),
            Column::Timestamp(column, _) => column.len(),
            Column::String(column) => column.len(),
            Column::Binary(column) => column.len(),
            Column::Uuid(column) | Column::Fixed(column) => column.len(),
            Column::Struct(column) => column.len(),
            Column::List(column) => column.len(),
            Column::Map(column) => column.len(),
        }
    }

    /// Takes values back, so that `length` are left.
    pub(crate) fn truncate(&mut self, length: usize) {
        match &mut self.column {
            Column::Boolean(column) => column.truncate(length),
            Column::Int(column) => column.truncate(length),
            Column::Long(column) => column.truncate(length),
            Column::Float(column) => column.truncate(length),
            Column::Double(column) => column.truncate(length),
            Column::Decimal(column, _, _) => column.truncate(length),
            Column::Date(column) => column.truncate(length),
            Column::Time(column) => column.truncate(length),
            Column::Timestamp(column, _) => column.truncate(length),
            Column::String(column) => column.truncate(length),
            Column::Binary(column) => column.truncate(length),
            Column::Uuid(column) | Column::Fixed(column) => column.truncate(length),
            Column::Struct(column) => column.truncate(length),
            Column::List(column) => column.truncate(length),
            Column::Map(column) => column.truncate(length),
        }
    }

    /// The column as an array; the target is empty then.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.column {
            Column::Boolean(column) => column.finish(),
            Column::Int(column) => column.finish(),
            Column::Long(column) => column.finish(),
            Column::Float(column) => column.finish(),
            Column::Double(column) => column.finish(),
            Column::Decimal(column, _, _) => column.finish(),
            Column::Date(column) => column.finish(),
            Column::Time(column) => column.finish(),
            Column::Timestamp(column, _) => column.finish(),
            Column::String(column) => column.finish(),
            Column::Binary(column) => column.finish(),
            Column::Uuid(column) | Column::Fixed(column) => column.finish(),
            Column::Struct(column) => column.finish(),
            Column::List(column) => column.finish(),
            Column::Map(column) => column.finish(),
        }
    }
}

/// Appends a value, if there is one.
#[inline]
fn push<T: ArrowPrimitiveType>(column: &mut Primitive<T>, value: Option<T::Native>) -> bool {
    value.is_some_and(|value| column.push_value(value))
}

/// Whether a value is a number in JSON's grammar as far as its first digits tell; of text, only where its shape is the
/// commonest.
#[inline]
fn is_number(kind: Kind, rest: &[u8], length: usize) -> bool {
    kind == Kind::Number
        || (kind == Kind::Plain
            && match rest.first() {
                Some(b'1'..=b'9') => length > 0,
                Some(b'0') => length == 1 || (length > 1 && rest[1] == b'.'),
                _ => false,
            })
}

#[inline]
fn short_int(rest: &[u8], length: usize) -> Option<i32> {
    number::short_integer(rest, length).and_then(|number| i32::try_from(number).ok())
}

/// The type that the dataset file states of a struct's member.
fn member_type<'a>(stated: Option<&'a ColumnType>, name: &str) -> Option<&'a ColumnType> {
    match stated {
        Some(ColumnType::Struct(fields)) => fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.field_type),
        _ => None,
    }
}

/// A time's microseconds; that digits were cut is noted.
#[inline]
fn noted(time: super::Coerced<Micros>, ledger: &mut Ledger) -> super::Coerced<i64> {
    match time {
        Ok(Some(time)) => {
            if time.cut {
                ledger.note_cut();
            }
            Ok(Some(time.micros))
        }
        Ok(None) => Ok(None),
        Err(misfit) => Err(misfit),
    }
}

/// A `string`: text as it is; beyond `strict` also the exact text of anything else.
#[inline]
fn append_string(
    column: &mut Bytes<arrow_array::types::Utf8Type>,
    value: Value<'_>,
    profile: Profile,
) -> Result<bool, Misfit> {
    match value.kind {
        Kind::Text => column.push(value.text)?,
        Kind::Escaped => {
            unescape(value.text, &mut column.values);
            column.end(true)?;
        }
        Kind::Plain if simdutf8::basic::from_utf8(value.text).is_err() => {
            column.push_null();
            return Err(Misfit::NotUtf8);
        }
        Kind::Plain => column.push(value.text)?,
        _ if profile == Profile::Strict => {
            column.push_null();
            return Err(Misfit::WrongType);
        }
        _ => column.push(value.text)?,
    }
    Ok(true)
}
