//! Dates and times: out of text, out of numbers with a stated unit, and never by a guess.

use frazil_dataset::{Profile, TimeFormat};
use jiff::{
    civil::DateTime,
    fmt::strtime::BrokenDownTime,
    tz::{Offset, TimeZone},
};

use super::{Coerced, Kind, Misfit, Value, number, text::plain_text};

mod iso;

use iso::{Iso, days_from_civil};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 0001-01-01T00:00:00Z: engines read no year before it.
const MICROS_MIN: i64 = -62_135_596_800 * SECOND;
/// 9999-12-31T23:59:59.999999Z.
const MICROS_MAX: i64 = 253_402_300_800 * SECOND - 1;

/// How a column's values become times.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeRule {
    format: Option<TimeFormat>,
    zone: Option<Zone>,
}

/// The zone of times that carry none.
#[derive(Debug, Clone)]
enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    /// With rules that change over the year.
    Ruled(TimeZone),
}

/// A time that a value spells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Micros {
    /// Microseconds since the epoch, of UTC or of the wall clock.
    pub(crate) micros: i64,
    /// Whether finer digits were cut.
    pub(crate) cut: bool,
}

impl TimeRule {
    /// The rule of a column; an unknown time zone is given back as the error.
    pub(crate) fn new(format: Option<&TimeFormat>, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            None => None,
            Some(name) => Some(Zone::parse(name).ok_or_else(|| name.to_owned())?),
        };
        Ok(Self {
            format: format.cloned(),
            zone,
        })
    }

    /// A `timestamptz` (`zoned`) or a `timestamp`.
    pub(crate) fn timestamp(
        &self,
        value: Value<'_>,
        profile: Profile,
        zoned: bool,
    ) -> Coerced<Micros> {
        let Some(time) = self.time_of(value, profile)? else {
            return Ok(None);
        };
        let micros = match (time.instant, zoned) {
            (true, true) | (false, false) => time.micros,
            (false, true) => self.to_instant(time.micros, profile)?,
            (true, false) => self.to_local(time.micros)?,
        };
        if !(MICROS_MIN..=MICROS_MAX).contains(&micros) {
            return Err(Misfit::OutOfRange);
        }
        let cut = time.cut;
        if cut && profile == Profile::Strict {
            return Err(Misfit::TooPrecise);
        }
        Ok(Some(Micros { micros, cut }))
    }

    /// The instant that the commonest form of text spells; `None` of any other, and where digits would be cut.
    #[inline]
    pub(crate) fn common_instant(&self, text: &[u8]) -> Option<i64> {
        if !matches!(self.format, None | Some(TimeFormat::Rfc3339)) {
            return None;
        }
        let time = iso::rfc3339_short(text)?;
        let in_range = (MICROS_MIN..=MICROS_MAX).contains(&time.micros);
        (in_range && !time.cut).then_some(time.micros)
    }

    /// A `date`, in days since the epoch.
    pub(crate) fn date(&self, value: Value<'_>, profile: Profile) -> Coerced<i32> {
        if self.format.is_none() || self.format == Some(TimeFormat::Rfc3339) {
            let Some(text) = textual(value, profile)? else {
                return Ok(None);
            };
            return match iso::date(&text) {
                Ok(days) => Ok(Some(days)),
                Err(misfit) if profile == Profile::Lenient => {
                    iso::slashed_date(&text).map(Some).ok_or(misfit)
                }
                Err(misfit) => Err(misfit),
            };
        }
        if let Some(TimeFormat::Strftime(pattern)) = &self.format {
            let Some(text) = textual(value, profile)? else {
                return Ok(None);
            };
            return strftime_date(pattern, &text).map(Some);
        }
        let Some(time) = self.time_of(value, profile)? else {
            return Ok(None);
        };
        let local = if time.instant && self.zone.is_some() {
            self.to_local(time.micros)?
        } else {
            time.micros
        };
        if time.cut || local.rem_euclid(DAY) != 0 {
            return Err(Misfit::Inexact);
        }
        if !(MICROS_MIN..=MICROS_MAX).contains(&local) {
            return Err(Misfit::OutOfRange);
        }
        Ok(Some((local / DAY) as i32))
    }

    /// A `time`, in microseconds since midnight.
    pub(crate) fn time(&self, value: Value<'_>, profile: Profile) -> Coerced<Micros> {
        let Some(text) = textual(value, profile)? else {
            return Ok(None);
        };
        let time = match &self.format {
            Some(TimeFormat::Strftime(pattern)) => strftime_time(pattern, &text)?,
            Some(TimeFormat::Rfc3339) | None => iso::time(&text, profile)?,
            Some(_) => return Err(Misfit::Unparsable),
        };
        if time.cut && profile == Profile::Strict {
            return Err(Misfit::TooPrecise);
        }
        Ok(Some(time))
    }

    /// The time that a value spells, by the column's `parse`.
    fn time_of(&self, value: Value<'_>, profile: Profile) -> Coerced<Iso> {
        let scale = match &self.format {
            Some(TimeFormat::EpochSeconds) => 6,
            Some(TimeFormat::EpochMillis) => 3,
            Some(TimeFormat::EpochMicros) => 0,
            Some(TimeFormat::EpochNanos) => -3,
            None | Some(TimeFormat::Rfc3339) => {
                if let (Kind::Text, Some(time)) = (value.kind, iso::rfc3339_short(value.text)) {
                    return Ok(Some(time));
                }
                let Some(text) = textual(value, profile)? else {
                    return Ok(None);
                };
                return iso::timestamp(&text, profile).map(Some);
            }
            Some(TimeFormat::Strftime(pattern)) => {
                let Some(text) = textual(value, profile)? else {
                    return Ok(None);
                };
                return strftime(pattern, &text).map(Some);
            }
        };
        let epoch = number::micros(value, profile, scale)?;
        Ok(epoch.map(|(micros, cut)| Iso {
            micros,
            cut,
            instant: true,
        }))
    }

    /// A wall clock's time as an instant.
    fn to_instant(&self, local: i64, profile: Profile) -> Result<i64, Misfit> {
        match &self.zone {
            None => Err(Misfit::NoZone),
            Some(Zone::Fixed(seconds)) => Ok(local - i64::from(*seconds) * SECOND),
            Some(Zone::Ruled(zone)) => {
                let civil = civil(local).ok_or(Misfit::OutOfRange)?;
                let time = zone.to_ambiguous_timestamp(civil);
                let time = match profile {
                    Profile::Lenient => time.compatible(),
                    Profile::Strict | Profile::Standard => time.unambiguous(),
                };
                let time = time.map_err(|_| Misfit::AmbiguousTime)?;
                Ok(time.as_microsecond())
            }
        }
    }

    /// An instant as a wall clock's time.
    fn to_local(&self, instant: i64) -> Result<i64, Misfit> {
        match &self.zone {
            None => Err(Misfit::ZoneNotKept),
            Some(Zone::Fixed(seconds)) => Ok(instant + i64::from(*seconds) * SECOND),
            Some(Zone::Ruled(zone)) => {
                let instant_of = jiff::Timestamp::from_microsecond(instant);
                let time = instant_of.map_err(|_| Misfit::OutOfRange)?;
                Ok(instant + i64::from(zone.to_offset(time).seconds()) * SECOND)
            }
        }
    }
}

impl Zone {
    fn parse(name: &str) -> Option<Self> {
        let zone = frazil_dataset::time_zone(name)?;
        Some(match zone.to_fixed_offset() {
            Ok(offset) => Self::Fixed(offset.seconds()),
            Err(_) => Self::Ruled(zone),
        })
    }
}

/// The text of a value for a time.
fn textual(
    value: Value<'_>,
    profile: Profile,
) -> Result<Option<std::borrow::Cow<'_, [u8]>>, Misfit> {
    match value.kind {
        Kind::Text | Kind::Escaped | Kind::Plain => plain_text(value, profile),
        Kind::Number => Err(Misfit::NoUnit),
        _ => Err(Misfit::WrongType),
    }
}

fn civil(local: i64) -> Option<DateTime> {
    let time = jiff::Timestamp::from_microsecond(local).ok()?;
    Some(Offset::UTC.to_datetime(time))
}

fn broken_down(pattern: &str, text: &[u8]) -> Result<BrokenDownTime, Misfit> {
    BrokenDownTime::parse(pattern, text).map_err(|_| Misfit::Unparsable)
}

/// A time by a strftime pattern: an instant where the pattern has an offset or an epoch second.
fn strftime(pattern: &str, text: &[u8]) -> Result<Iso, Misfit> {
    let time = broken_down(pattern, text)?;
    let (nanos, instant) = if let Ok(instant) = time.to_timestamp() {
        (instant.as_nanosecond(), true)
    } else {
        let local = time.to_datetime().map_err(|_| Misfit::Unparsable)?;
        let local = Offset::UTC.to_timestamp(local);
        let local = local.map_err(|_| Misfit::OutOfRange)?;
        (local.as_nanosecond(), false)
    };
    let micros = i64::try_from(nanos.div_euclid(1000)).map_err(|_| Misfit::OutOfRange)?;
    Ok(Iso {
        micros,
        cut: nanos.rem_euclid(1000) != 0,
        instant,
    })
}

fn strftime_date(pattern: &str, text: &[u8]) -> Result<i32, Misfit> {
    let broken = broken_down(pattern, text)?;
    let date = broken.to_date().map_err(|_| Misfit::Unparsable)?;
    let hour = broken.hour().unwrap_or(0);
    let minute = broken.minute().unwrap_or(0);
    let second = broken.second().unwrap_or(0);
    let nanos = broken.subsec_nanosecond().unwrap_or(0);
    if (hour, minute, second, nanos) != (0, 0, 0, 0) {
        return Err(Misfit::Inexact);
    }
    if date.year() < 1 {
        return Err(Misfit::OutOfRange);
    }
    Ok(days_from_civil(
        i64::from(date.year()),
        i64::from(date.month()),
        i64::from(date.day()),
    ) as i32)
}

fn strftime_time(pattern: &str, text: &[u8]) -> Result<Micros, Misfit> {
    let time = broken_down(pattern, text)?
        .to_time()
        .map_err(|_| Misfit::Unparsable)?;
    let seconds =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let nanos = i64::from(time.subsec_nanosecond());
    Ok(Micros {
        micros: seconds * SECOND + nanos / 1000,
        cut: nanos % 1000 != 0,
    })
}

/// An instant as RFC 3339 text, for a string column.
pub(crate) fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map(|time| time.to_string())
        .unwrap_or_default()
}
