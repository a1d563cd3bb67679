//! Syslog: RFC 5424, and the many forms of RFC 3164 and of what is in `/var/log`, told apart by each record.
//!
//! A time of RFC 3164 has no year and no zone. `timestamp` holds it as it stands. `time` is there for columns that are
//! times: of RFC 5424, and where the year is written, or was asked to be that of ingestion.

use std::{io::Write as _, ops::Range};

use frazil_dataset::Syslog;
use jiff::civil::Date;

use super::{
    rows::Rows,
    text::{Fault, TextFormat, TextRecord},
};
use crate::record::RecordBlock;

mod rfc3164;
mod rfc5424;

const FIELDS: [&str; 14] = [
    "priority",
    "facility",
    "severity",
    "facility_code",
    "severity_code",
    "version",
    "timestamp",
    "time",
    "hostname",
    "app_name",
    "proc_id",
    "msg_id",
    "structured_data",
    "message",
];
const PRIORITY: usize = 0;
const FACILITY: usize = 1;
const SEVERITY: usize = 2;
const FACILITY_CODE: usize = 3;
const SEVERITY_CODE: usize = 4;
const VERSION: usize = 5;
const TIMESTAMP: usize = 6;
const TIME: usize = 7;
const HOSTNAME: usize = 8;
const APP_NAME: usize = 9;
const PROC_ID: usize = 10;
const MSG_ID: usize = 11;
const STRUCTURED_DATA: usize = 12;
const MESSAGE: usize = 13;

/// By their numbers in RFC 5424, with the words of syslog.conf.
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

const CODES: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23",
];

/// The way its fields are found.
#[derive(Debug)]
pub(super) struct SyslogFormat {
    options: Syslog,
}

impl SyslogFormat {
    pub(super) fn new(options: Syslog) -> Self {
        Self { options }
    }
}

/// A record's place for fields, counted from its start.
struct Fields<'a, 'r> {
    record: &'a TextRecord<'a>,
    rows: &'r mut Rows,
}

impl Fields<'_, '_> {
    fn here(&self, place: Range<usize>) -> Range<usize> {
        let start = self.record.text.start;
        start + place.start..start + place.end
    }

    fn put(&mut self, field: usize, place: Range<usize>) {
        let place = self.here(place);
        self.rows.put(self.record.block, field, place);
    }

    /// What no text of the record is.
    fn put_text(&mut self, field: usize, text: &[u8]) {
        let place = self
            .rows
            .add(self.record.block, |into| into.extend_from_slice(text));
        self.rows.put(self.record.block, field, place);
    }

    /// A priority's number, and what it is made of.
    fn put_priority(&mut self, priority: &Priority) {
        let Priority { code, digits } = priority;
        let (facility, severity) = (usize::from(code / 8), usize::from(code % 8));
        let takes = |field| self.rows.takes(field);
        let has_facility = takes(FACILITY) || takes(FACILITY_CODE);
        let has_severity = takes(SEVERITY) || takes(SEVERITY_CODE);
        if takes(PRIORITY) || !(has_facility && has_severity) {
            self.put(PRIORITY, digits.clone());
        }
        if self.rows.takes(FACILITY) {
            self.put_text(FACILITY, FACILITIES[facility].as_bytes());
        }
        if self.rows.takes(SEVERITY) {
            self.put_text(SEVERITY, SEVERITIES[severity].as_bytes());
        }
        if self.rows.takes(FACILITY_CODE) {
            self.put_text(FACILITY_CODE, CODES[facility].as_bytes());
        }
        if self.rows.takes(SEVERITY_CODE) {
            self.put_text(SEVERITY_CODE, CODES[severity].as_bytes());
        }
    }

    /// A time as it stands, and as RFC 3339 writes it, where that is known.
    fn put_time(&mut self, stands: Range<usize>, time: Option<Time>) {
        let has_time = time.is_some() && self.rows.takes(TIME);
        if self.rows.takes(TIMESTAMP) || !has_time {
            self.put(TIMESTAMP, stands.clone());
        }
        match time {
            Some(Time::AsItStands) if has_time => self.put(TIME, stands),
            Some(Time::Completed { date, clock }) if has_time => {
                let clock = &self.record.bytes()[clock];
                let place = self.rows.add(self.record.block, |into| {
                    // Into memory, which cannot fail.
                    let _ = write!(into, "{date}T");
                    into.extend_from_slice(clock);
                });
                self.rows.put(self.record.block, TIME, place);
            }
            _ => {}
        }
    }
}

/// A time that a column can take.
enum Time {
    /// Written as RFC 3339 has it.
    AsItStands,
    /// A date that was completed, and the place of the time of day.
    Completed { date: Date, clock: Range<usize> },
}

/// `<34>`.
struct Priority {
    code: u8,
    digits: Range<usize>,
}

/// The priority that a record begins with, and where it ends.
fn priority(text: &[u8]) -> Option<(Priority, usize)> {
    let behind = text.get(1..)?.iter().take(4);
    let digits = behind.take_while(|byte| byte.is_ascii_digit()).count();
    if text[0] != b'<' || !(1..=3).contains(&digits) || text.get(1 + digits) != Some(&b'>') {
        return None;
    }
    let digits = 1..1 + digits;
    let code = std::str::from_utf8(&text[digits.clone()])
        .ok()?
        .parse()
        .ok()?;
    let end = digits.end + 1;
    (code < 192).then_some((Priority { code, digits }, end))
}

impl TextFormat for SyslogFormat {
    fn begin(&mut self, _: &RecordBlock, rows: &mut Rows) {
        if rows.fixed_count() == 0 {
            rows.fix(FIELDS.map(str::to_owned).to_vec());
        }
    }

    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault> {
        let text = record.bytes();
        let mut fields = Fields { record, rows };
        let mut at = 0;
        if let Some((priority, end)) = priority(text) {
            fields.put_priority(&priority);
            at = end;
            if let Some(header) = rfc5424::begins(text, at) {
                return rfc5424::put(text, header, &mut fields);
            }
        }
        rfc3164::put(text, at, self.options, &mut fields)
    }
}
