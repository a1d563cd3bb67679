//! Coerce: a record's values become Arrow columns of the table's types, without changing a value.
//!
//! The table's schema decides the type. A value that cannot be turned into it without losing
//! information is a [`Misfit`]: the column gets null and the value goes, with its path and the
//! misfit's reason, to the rescued column (or makes the record a dead letter, where the column is
//! required or rescue is off). What each profile takes is tabled in `docs/coercion.md`.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, and no input can make it panic.

mod column;
pub(crate) mod digits;
mod json_text;
mod ledger;
mod nested;
mod number;
mod slot;
mod target;
mod text;
mod time;

pub(crate) use json_text::{Reader, hex4, unescape};
pub(crate) use ledger::{Ledger, Path};
pub(crate) use nested::{Clash, Found, place};
pub(crate) use slot::{Key, Member, Run, Slot, Spelling};
pub(crate) use target::Target;
pub use target::UnsupportedType;
pub(crate) use time::TimeRule;

/// The shape of a value as it stands in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No such field.
    Missing,
    /// Fields of several spellings claim the name; all of them are rescued.
    Ambiguous,
    /// JSON's `null`.
    Null,
    /// JSON's `true`.
    True,
    /// JSON's `false`.
    False,
    /// A number in JSON's grammar.
    Number,
    /// What stands between the quotes of a JSON string that has no escapes.
    Text,
    /// What stands between the quotes of a JSON string that has escapes, which are valid.
    Escaped,
    /// Text of a format that knows no other type, so that even `strict` reads numbers from it.
    Plain,
    /// A JSON object, valid.
    Object,
    /// A JSON array, valid.
    Array,
}

/// A value as it stands in its record: nothing of it is decoded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    /// Its shape.
    pub(crate) kind: Kind,
    /// Its bytes: UTF-8, save for [`Kind::Plain`], which may be anything; without the quotes of a string.
    pub(crate) text: &'a [u8],
}

impl<'a> Value<'a> {
    pub(crate) const MISSING: Value<'static> = Value {
        kind: Kind::Missing,
        text: b"",
    };

    pub(crate) fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text }
    }
}

impl Kind {
    /// Whether there is nothing to coerce.
    #[inline]
    pub(crate) fn is_nothing(self) -> bool {
        matches!(self, Kind::Missing | Kind::Ambiguous | Kind::Null)
    }
}

/// Why a value does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Misfit {
    /// The column's type takes no value of this shape in this profile.
    WrongType,
    /// The text does not spell a value of the type.
    Unparsable,
    /// `""` for anything but a string.
    Empty,
    /// A value of the kind, but not one that the type can hold.
    OutOfRange,
    /// The type could hold only a neighbour of the value.
    Inexact,
    /// A number for a time, and no `parse` says its unit.
    NoUnit,
    /// A time without a zone for a `timestamptz`, and no `timezone` says which.
    NoZone,
    /// A time with a zone for a `timestamp`, which would lose it, and no `timezone` says which is meant.
    ZoneNotKept,
    /// A local time that clocks showed twice or never.
    AmbiguousTime,
    /// The 61st second of a minute.
    LeapSecond,
    /// Digits finer than a microsecond, in `strict`.
    TooPrecise,
    /// Bytes of another number than the `fixed(n)` has.
    WrongLength,
    /// A nested field that the table requires is missing or does not fit.
    MissingRequired,
    /// More text than an Arrow array can hold in one batch.
    TooLong,
    /// Bytes that are no UTF-8 for a string.
    NotUtf8,
}

impl Misfit {
    /// The stable word for it, in the rescued column and in counts.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::WrongType => "wrong_type",
            Self::Unparsable => "unparsable",
            Self::Empty => "empty_text",
            Self::OutOfRange => "out_of_range",
            Self::Inexact => "inexact",
            Self::NoUnit => "no_time_unit",
            Self::NoZone => "no_timezone",
            Self::ZoneNotKept => "timezone_not_kept",
            Self::AmbiguousTime => "ambiguous_time",
            Self::LeapSecond => "leap_second",
            Self::TooPrecise => "too_precise",
            Self::WrongLength => "wrong_length",
            Self::MissingRequired => "missing_required",
            Self::TooLong => "too_long",
            Self::NotUtf8 => "not_utf8",
        }
    }
}

/// What a coercion gives: a value, nothing (a spelling of null in `lenient`), or a misfit.
pub(crate) type Coerced<T> = Result<Option<T>, Misfit>;

#[cfg(test)]
mod tests;
