use super::*;

fn render(result: Result<(), TimeError>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err((message, help)) => format!("{message} ({})", help.unwrap_or_default()),
    }
}

#[test]
fn zones_are_names_and_offsets() {
    for name in [
        "UTC",
        "Z",
        "Europe/Berlin",
        "America/New_York",
        "+02:00",
        "-05:30",
        "+00:00",
    ] {
        assert!(time_zone(name).is_some(), "{name}");
    }
    for name in [
        "",
        "+2",
        "+02",
        "+02:0",
        "+99:00",
        "+-2:00",
        "+02:60",
        "Europe/Berlin2",
        "../etc/passwd",
    ] {
        assert!(time_zone(name).is_none(), "{name}");
    }
}

#[test]
fn a_zone_has_to_do_something() {
    for (zone, of, expected) in [
        ("Europe/Berlin", ColumnType::Timestamptz, "ok"),
        (
            "Europe/Berlin",
            ColumnType::Date,
            "`timezone` does nothing on a column of type `date` (`timezone` is for `timestamptz`: the zone of \
             times that carry none; remove it or change the type)",
        ),
        (
            "Europe/Berlim",
            ColumnType::Timestamptz,
            "`Europe/Berlim` is not a time zone (did you mean `Europe/Berlin`?)",
        ),
        (
            "PDT",
            ColumnType::Timestamptz,
            "`PDT` is not a time zone (abbreviations have several meanings: an IANA name such as \
             `America/New_York`, or an offset such as `-05:00`)",
        ),
    ] {
        assert_eq!(
            render(check_time_zone(zone, &of, false)),
            expected,
            "{zone}"
        );
    }
}

#[test]
fn formats_by_type() {
    use ColumnType::{Date, String as Text, Time, Timestamp, Timestamptz};
    let strftime = "as in `%d/%b/%Y:%H:%M:%S %z`; a percent sign is `%%`";
    for (format, of, zoned, expected) in [
        ("rfc3339", Timestamptz, false, "ok".to_owned()),
        ("rfc3339", Timestamptz, true, "ok".to_owned()),
        ("rfc3339", Timestamp, false, "ok".to_owned()),
        ("epoch_ns", Timestamp, true, "ok".to_owned()),
        ("epoch_s", Date, false, "ok".to_owned()),
        ("epoch_s", Date, true, "ok".to_owned()),
        ("%s", Timestamp, true, "ok".to_owned()),
        ("%Y-%m-%d %H:%M %z", Timestamp, true, "ok".to_owned()),
        ("%Y-%m-%d %H:%M", Date, false, "ok".to_owned()),
        ("%Y-%m-%d %H:%M:%S", Timestamp, false, "ok".to_owned()),
        ("%Y-%m-%d %H:%M:%S", Timestamptz, true, "ok".to_owned()),
        ("%d/%b/%Y:%H:%M:%S %z", Timestamptz, false, "ok".to_owned()),
        ("%Y-%m-%dT%H:%M:%S%.f%:z", Timestamptz, false, "ok".to_owned()),
        ("%s", Timestamptz, false, "ok".to_owned()),
        ("%d.%m.%y", Date, false, "ok".to_owned()),
        ("%j %Y", Date, false, "ok".to_owned()),
        ("%I:%M %p", Time, false, "ok".to_owned()),
        (
            "rfc3339",
            Text,
            false,
            "`parse` does nothing on a column of type `string` (`parse` is for `date`, `time`, `timestamp` and \
             `timestamptz`; remove it or change the type)"
                .to_owned(),
        ),
        ("iso8601", Timestamptz, false, "`iso8601` is not a way to read times (it is `rfc3339` here)".to_owned()),
        (
            "yyyy-MM-dd",
            Date,
            false,
            "`yyyy-MM-dd` is not a way to read times (patterns are strftime's: `%Y-%m-%d %H:%M:%S`)".to_owned(),
        ),
        ("epoch_m", Timestamptz, false, "`epoch_m` is not a way to read times (did you mean `epoch_s`?)".to_owned()),
        (
            "epoch_s",
            Time,
            false,
            "`epoch_s` is an instant, of which a `time` would lose the date (type = \"timestamptz\", or a strftime \
             pattern such as `%H:%M:%S`)"
                .to_owned(),
        ),
        (
            "epoch_ns",
            Timestamp,
            false,
            "`epoch_ns` is an instant, and a `timestamp` has no zone (type = \"timestamptz\", or the `timezone` \
             whose wall clock the column is to hold)"
                .to_owned(),
        ),
        (
            "%s",
            Date,
            false,
            "`%s` is an instant, which a `date` would cut (`epoch_s`)".to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M %Q",
            Timestamptz,
            false,
            "names of time zones in records, as in `%Y-%m-%d %H:%M %Q`, are not supported yet (`%z` reads an offset)"
                .to_owned(),
        ),
        (
            "%H:%M %z",
            Time,
            false,
            "`%H:%M %z` has a zone, which a `time` would lose (leave `%z` out)".to_owned(),
        ),
        (
            "%Y-%m-%d",
            Date,
            true,
            "`%Y-%m-%d` gives the date itself: `timezone` does nothing (remove `timezone`)".to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M",
            Timestamp,
            true,
            "`%Y-%m-%d %H:%M` gives the wall clock's time itself: `timezone` does nothing (remove `timezone`)"
                .to_owned(),
        ),
        (
            "epoch_ms",
            Timestamptz,
            true,
            "`epoch_ms` counts in UTC: `timezone` does nothing (remove `timezone`)".to_owned(),
        ),
        (
            "%b %d %H:%M:%S",
            Timestamp,
            false,
            "`%b %d %H:%M:%S` has no whole date (`%Y-%m-%d`: year, month and day; frazil makes none up)".to_owned(),
        ),
        (
            "%Y-%m-%d",
            Timestamp,
            false,
            "`%Y-%m-%d` has no time of day (`%H:%M:%S`, or type = \"date\")".to_owned(),
        ),
        (
            "%Y-%m-%d %I:%M",
            Timestamp,
            false,
            "`%Y-%m-%d %I:%M` has no half of the day (`%I` needs `%p`, or take `%H`)".to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M",
            Time,
            false,
            "`%Y-%m-%d %H:%M` has a date, which a `time` would lose (type = \"timestamp\" or \"timestamptz\")"
                .to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M %z",
            Timestamp,
            false,
            "`%Y-%m-%d %H:%M %z` is an instant, and a `timestamp` has no zone (type = \"timestamptz\", or the \
             `timezone` whose wall clock the column is to hold)"
                .to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M %z",
            Timestamptz,
            true,
            "`%Y-%m-%d %H:%M %z` has a zone: `timezone` does nothing (remove `timezone`)".to_owned(),
        ),
        (
            "%Y-%m-%d %H:%M",
            Timestamptz,
            false,
            "`%Y-%m-%d %H:%M` has no zone, and the column no `timezone` (add `%z`, or timezone = \"UTC\" where the \
             times are UTC, or type = \"timestamp\")"
                .to_owned(),
        ),
    ] {
        let result = parse_time_format(format, &of, zoned).map(|_| ());
        assert_eq!(render(result), expected, "{format} {of} {zoned}");
    }
    for wrong in ["%Y-%m-%d %K", "100%", "%"] {
        let text = render(parse_time_format(wrong, &Timestamp, false).map(|_| ()));
        assert!(
            text.starts_with(&format!("`{wrong}` is not a strftime pattern: ")),
            "{text}"
        );
        assert!(text.ends_with(&format!("({strftime})")), "{text}");
    }
}
