//! Web access records as NDJSON, the same for the same seed: 14 columns, about 474 bytes a record,
//! one struct, one list. All measurements of this project are on this shape.

use std::fmt::Write as _;

/// Writes records one after another.
pub(crate) struct Corpus {
    state: u64,
    number: u64,
    time_micros: i64,
}

const VERBS: [&str; 6] = ["GET", "GET", "GET", "POST", "PUT", "HEAD"];
const RESPONSES: [u32; 8] = [200, 200, 200, 200, 304, 404, 301, 500];
const COUNTRIES: [&str; 8] = ["DE", "US", "FR", "IN", "BR", "JP", "GB", "ZA"];
const TAGS: [&str; 8] = [
    "web",
    "edge",
    "prod",
    "canary",
    "eu-west-1",
    "mobile",
    "bot",
    "cache",
];
const SEGMENTS: [&str; 10] = [
    "api", "v1", "users", "orders", "search", "static", "catalog", "items", "cart", "health",
];
const SYSTEMS: [&str; 5] = [
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 14",
    "X11; Linux x86_64",
    "iPhone; CPU iPhone OS 17_4",
    "Linux; Android 14; Pixel 8",
];

impl Corpus {
    /// Records of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            number: 0,
            // 2024-05-01T00:00:00Z
            time_micros: 1_714_521_600_000_000,
        }
    }

    /// The next number of the splitmix64 generator: small, and the same everywhere for ever.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Appends a record and its newline.
    pub(crate) fn write(&mut self, line: &mut String) {
        self.number += 1;
        self.time_micros += 50 + self.below(4000) as i64;
        let (high, low) = (self.next(), self.next());
        let _ = write!(
            line,
            "{{\"request_id\":\"{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}\",\"@timestamp\":\"{}\"",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff,
            rfc3339(self.time_micros),
        );
        let address = self.next();
        let _ = write!(
            line,
            ",\"clientip\":\"{}.{}.{}.{}\",\"verb\":\"{}\"",
            1 + address % 223,
            address >> 8 & 255,
            address >> 16 & 255,
            address >> 24 & 255,
            self.of(&VERBS),
        );
        let path = [self.of(&SEGMENTS), self.of(&SEGMENTS)];
        let (session, page) = (self.next() as u32, self.below(50));
        let _ = write!(
            line,
            ",\"request\":\"/{}/{}?s={session:08x}&page={page}\",\"httpversion\":\"1.1\"",
            path[0], path[1],
        );
        let bytes = self.below(1 << (6 + self.number % 14));
        let _ = write!(
            line,
            ",\"response\":{},\"bytes\":{bytes},\"referrer\":\"https://example.com/{}\"",
            self.of(&RESPONSES),
            self.of(&SEGMENTS),
        );
        let (system, major, build) = (self.of(&SYSTEMS), 110 + self.below(20), self.below(6000));
        let _ = write!(
            line,
            ",\"agent\":\"Mozilla/5.0 ({system}) AppleWebKit/537.36 Chrome/{major}.0.{build}.0 Safari/537.36\"",
        );
        let latency = self.below(2_000_000);
        let _ = write!(
            line,
            ",\"latency_ms\":{}.{:03},\"cached\":{}",
            latency / 1000,
            latency % 1000,
            self.below(2) == 0,
        );
        let _ = write!(
            line,
            ",\"geo\":{{\"country\":\"{}\",\"asn\":{}}},\"tags\":[",
            self.of(&COUNTRIES),
            1000 + self.below(64_000),
        );
        for tag in 0..=self.below(3) {
            let comma = if tag == 0 { "" } else { "," };
            let _ = write!(line, "{comma}\"{}\"", self.of(&TAGS));
        }
        line.push_str("]}\n");
    }
}

/// A time of 2024's May or later that year, in RFC 3339 with microseconds.
fn rfc3339(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}
