use proptest::prelude::*;

use super::*;

#[test]
fn sizes() {
    for (text, bytes) in [
        ("512MiB", 512 << 20),
        ("1 MiB", 1 << 20),
        ("1.5GiB", 3 << 29),
        ("64KiB", 65_536),
        ("0B", 0),
        ("100MB", 100_000_000),
        ("1kB", 1_000),
        ("1KB", 1_000),
        ("2TiB", 2 << 40),
        ("18446744073709551615B", u64::MAX),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_says_what_to_write() {
    for (text, message, help) in [
        (
            "",
            "`` is not a size in bytes",
            "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"",
        ),
        (
            "MiB",
            "`MiB` is not a size in bytes",
            "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"",
        ),
        (
            "-1MiB",
            "`-1MiB` is not a size in bytes",
            "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"",
        ),
        (
            "512",
            "`512` has no unit",
            "\"512B\" is bytes, \"512MiB\" is mebibytes",
        ),
        (
            "512M",
            "`M` is not a unit of size",
            "\"512MiB\" counts in 1024s, \"512MB\" in 1000s",
        ),
        (
            "4k",
            "`k` is not a unit of size",
            "\"4KiB\" counts in 1024s, \"4kB\" in 1000s",
        ),
        (
            "4 rows",
            "`rows` is not a unit of size",
            "units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB",
        ),
        (
            "0.3B",
            "`0.3B` is not a whole number of bytes below 2^64",
            "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"",
        ),
        (
            "99999999999TiB",
            "`99999999999TiB` is not a whole number of bytes below 2^64",
            "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"",
        ),
    ] {
        assert_eq!(
            parse_bytes(text),
            Err(UnitError::new(message, help)),
            "{text}"
        );
    }
}

#[test]
fn durations() {
    for (text, milliseconds) in [
        ("1min", 60_000),
        ("30d", 2_592_000_000),
        ("1h", 3_600_000),
        ("1h30min", 5_400_000),
        ("1h 30min", 5_400_000),
        ("2w", 1_209_600_000),
        ("250ms", 250),
        ("5 s", 5_000),
        ("0s", 0),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_duration_says_what_to_write() {
    for (text, message, help) in [
        (
            "",
            "`` is not a duration",
            "write numbers and units: \"1min\", \"30d\", \"1h30min\"",
        ),
        (
            "soon",
            "`soon` is not a duration",
            "write numbers and units: \"1min\", \"30d\", \"1h30min\"",
        ),
        (
            "-5s",
            "`-5s` is not a duration",
            "write numbers and units: \"1min\", \"30d\", \"1h30min\"",
        ),
        ("5", "`5` has no unit", "\"5s\", \"5min\" or \"5h\"?"),
        (
            "5m",
            "`m` may be minutes or months",
            "minutes are \"5min\"; a month is \"30d\"",
        ),
        (
            "5minutes",
            "`minutes` is not a unit of time",
            "write \"5min\"",
        ),
        ("2 days", "`days` is not a unit of time", "write \"2d\""),
        ("5H", "`H` is not a unit of time", "write \"5h\""),
        (
            "1y",
            "`y` is not a unit of time",
            "units are ms, s, min, h, d and w",
        ),
        (
            "1.5h",
            "`1.5` is not a whole number",
            "take a smaller unit: \"90min\" for 1.5 hours",
        ),
        (
            "99999999999999999d",
            "`99999999999999999d` is too long",
            "durations end at 2^64 milliseconds",
        ),
    ] {
        assert_eq!(
            parse_duration(text),
            Err(UnitError::new(message, help)),
            "{text}"
        );
    }
}

#[test]
fn shares() {
    for (text, share) in [
        ("5%", 0.05),
        ("0.1%", 0.001),
        ("0%", 0.0),
        ("100%", 1.0),
        ("50 %", 0.5),
    ] {
        let parsed = parse_share(text).expect(text);
        assert!((parsed.0 - share).abs() < 1e-12, "{text}");
    }
    for (text, message, help) in [
        ("5", "`5` is not a percentage", "write \"5%\""),
        ("half", "`half` is not a percentage", "write \"5%\""),
        (
            "101%",
            "`101%` is more than the whole",
            "shares are from \"0%\" to \"100%\"",
        ),
        (
            "-1%",
            "`-1%` is not a percentage",
            "write \"5%\" or \"0.1%\"",
        ),
        (
            "nan%",
            "`nan%` is not a percentage",
            "write \"5%\" or \"0.1%\"",
        ),
        (
            "1e1%",
            "`1e1%` is not a percentage",
            "write \"5%\" or \"0.1%\"",
        ),
        ("%", "`%` is not a percentage", "write \"5%\" or \"0.1%\""),
    ] {
        assert_eq!(
            parse_share(text),
            Err(UnitError::new(message, help)),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn sizes_round_trip(bytes in any::<u64>(), shift in 0_u32..50) {
        let bytes = bytes >> shift << shift;
        prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
    }

    #[test]
    fn durations_round_trip(milliseconds in any::<u64>()) {
        let duration = Duration::from_millis(milliseconds);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn shares_round_trip(thousandths in 0_u32..=100_000) {
        let share = Share(f64::from(thousandths) / 100_000.0);
        let read = parse_share(&share.to_string()).expect("it was rendered by us");
        prop_assert!((read.0 - share.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,20}") {
        let _ = (parse_bytes(&text), parse_duration(&text), parse_share(&text));
    }
}
