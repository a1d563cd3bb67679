//! Every cell of `docs/coercion.md`, and laws that no table can state.

use frazil_dataset::{Column, Format, Profile, TimeFormat};
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{Kind, Value, number, time::TimeRule};
use crate::decode::tests::support::{column, dataset, decode};

const DOCUMENT: &str = include_str!("../../docs/coercion.md");

/// A line of a table: the column, the value, and what becomes of it in the three profiles.
fn cells() -> Vec<[String; 5]> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<String> = cells.split(" | ").map(str::to_owned).collect();
        <[String; 5]>::try_from(cells).ok()
    });
    rows.filter(|cells| cells[0] != "column").collect()
}

/// `timestamptz, parse = "epoch_s", timezone = "UTC"`.
fn stated(cell: &str) -> Column {
    let (column_type, settings) = match cell.find(", parse").or_else(|| cell.find(", timezone")) {
        Some(at) => cell.split_at(at),
        None => (cell, ""),
    };
    let mut column = column("v", column_type);
    let setting = |name: &str| {
        let (_, rest) = settings.split_once(&format!("{name} = \""))?;
        Some(rest.split_once('"').unwrap().0.to_owned())
    };
    column.timezone = setting("timezone");
    column.parse = setting("parse").map(|parse| match parse.as_str() {
        "rfc3339" => TimeFormat::Rfc3339,
        "epoch_s" => TimeFormat::EpochSeconds,
        "epoch_ms" => TimeFormat::EpochMillis,
        "epoch_us" => TimeFormat::EpochMicros,
        "epoch_ns" => TimeFormat::EpochNanos,
        _ => TimeFormat::Strftime(parse),
    });
    column
}

/// What becomes of a value, written as in the tables.
fn outcome(column: &Column, profile: Profile, value: &str) -> String {
    let mut column = column.clone();
    column.coerce = Some(profile);
    let dataset = dataset(Format::Json, vec![column]);
    let decoded = decode(&dataset, format!("{{\"v\":{value}}}"));
    assert_eq!(decoded.rejects, []);
    if let Some((reason, _)) = decoded.reasons.rescued.first_key_value() {
        return format!("*{reason}*");
    }
    let mut bytes = Vec::new();
    let mut writer = arrow_json::LineDelimitedWriter::new(&mut bytes);
    writer.write(&decoded.rows.project(&[0]).unwrap()).unwrap();
    writer.finish().unwrap();
    let line = String::from_utf8(bytes).unwrap();
    match line.trim_end().strip_prefix("{\"v\":") {
        Some(value) => format!("`{}`", value.strip_suffix('}').unwrap()),
        None => "`null`".to_owned(),
    }
}

#[test]
fn every_cell_of_the_document_is_so() {
    let cells = cells();
    assert!(cells.len() > 150, "the tables were not found");
    let mut wrong = Vec::new();
    for [column, value, strict, standard, lenient] in &cells {
        let stated = stated(column);
        let value = value.trim_matches('`');
        for (profile, expected) in [
            (Profile::Strict, strict),
            (Profile::Standard, standard),
            (Profile::Lenient, lenient),
        ] {
            let found = outcome(&stated, profile, value);
            if found != *expected {
                wrong.push(format!(
                    "{column} {value} {profile:?}: {found}, not {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn text_of_a_format_without_types_is_read_even_in_strict() {
    let plain = |text| Value::new(Kind::Plain, text);
    assert_eq!(number::int(plain(b"42"), Profile::Strict), Ok(Some(42)));
    assert_eq!(
        number::double(plain(b"NaN"), Profile::Strict)
            .unwrap()
            .map(f64::is_nan),
        Some(true)
    );
}

#[test]
fn not_a_number_and_the_infinities_come_as_text() {
    let text = |text| Value::new(Kind::Text, text);
    let infinity = number::double(text(b"-Infinity"), Profile::Standard);
    assert_eq!(infinity, Ok(Some(f64::NEG_INFINITY)));
    assert!(number::double(text(b"inf"), Profile::Standard).is_err());
    assert_eq!(
        number::double(text(b"inf"), Profile::Lenient),
        Ok(Some(f64::INFINITY))
    );
    assert!(number::double(text(b"NaN"), Profile::Strict).is_err());
    let nan = number::float(text(b"NaN"), Profile::Standard).unwrap();
    assert!(nan.unwrap().is_nan());
}

proptest! {
    #[test]
    fn a_long_comes_back_from_its_text(number in any::<i64>()) {
        let text = number.to_string();
        for kind in [Kind::Number, Kind::Text] {
            let value = Value::new(kind, text.as_bytes());
            prop_assert_eq!(number::long(value, Profile::Standard), Ok(Some(number)));
        }
    }

    #[test]
    fn a_double_comes_back_from_its_text(number in any::<f64>()) {
        let text = serde_json::to_string(&number).unwrap();
        let value = Value::new(Kind::Number, text.as_bytes());
        let read = number::double(value, Profile::Standard);
        prop_assert_eq!(read.unwrap().unwrap().to_bits(), number.to_bits());
    }

    #[test]
    fn short_decimals_are_read_as_the_standard_library_reads_them(
        digits in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?",
    ) {
        let value = Value::new(Kind::Number, digits.as_bytes());
        let read = number::double(value, Profile::Standard).unwrap().unwrap();
        prop_assert_eq!(read.to_bits(), digits.parse::<f64>().unwrap().to_bits());
    }

    #[test]
    fn a_decimal_comes_back_from_its_text(unscaled in -10i128.pow(18)..10i128.pow(18)) {
        let sign = if unscaled < 0 { "-" } else { "" };
        let digits = format!("{:04}", unscaled.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - 3);
        let whole = whole.trim_start_matches('0');
        let text = format!("{sign}{}.{fraction}", if whole.is_empty() { "0" } else { whole });
        let value = Value::new(Kind::Number, text.as_bytes());
        prop_assert_eq!(number::decimal(value, Profile::Standard, 18, 3), Ok(Some(unscaled)));
    }

    #[test]
    fn times_are_read_as_jiff_reads_them(
        micros in -62_135_596_800_000_000i64..=253_402_300_799_999_999,
        offset_minutes in -1439i32..=1439,
    ) {
        let time = jiff::Timestamp::from_microsecond(micros).unwrap();
        let offset = jiff::tz::Offset::from_seconds(offset_minutes * 60).unwrap();
        let text = time.display_with_offset(offset).to_string();
        let value = Value::new(Kind::Text, text.as_bytes());
        let read = TimeRule::default().timestamp(value, Profile::Strict, true);
        let in_years = text.as_bytes()[0].is_ascii_digit() && !text.starts_with("0000");
        match read {
            Ok(Some(read)) => prop_assert_eq!((read.micros, read.cut), (micros, false)),
            _ => assert!(!in_years, "{text}"),
        }
    }

    #[test]
    fn no_text_makes_a_coercion_panic(text in "\\PC{0,40}") {
        let bytes = text.as_bytes();
        for kind in [Kind::Text, Kind::Plain, Kind::Number] {
            let value = Value::new(kind, bytes);
            for profile in [Profile::Strict, Profile::Standard, Profile::Lenient] {
                let _ = number::int(value, profile);
                let _ = number::float(value, profile);
                let _ = number::decimal(value, profile, 38, 10);
                let _ = super::text::uuid(value, profile);
                let _ = super::text::fixed(value, profile, 16, &mut Vec::new());
                let _ = super::text::binary(value, profile, &mut Vec::new());
                let _ = TimeRule::default().timestamp(value, profile, false);
                let _ = TimeRule::default().date(value, profile);
                let _ = TimeRule::default().time(value, profile);
            }
        }
    }
}
