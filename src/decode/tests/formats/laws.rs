//! Laws that hold for all bytes in each format.

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof, proptest},
};

use super::*;
use crate::decode::tests::properties::conserved;

/// A dataset of each format, and a record that it is made for.
fn all() -> Vec<(Dataset, &'static str)> {
    let columns = [
        ("time", "\"timestamptz\""),
        ("host", "\"string\""),
        ("status", "\"int\""),
        ("message", "\"string\""),
    ];
    [
        ("{ type = \"csv\", columns = [\"time\", \"host\", \"status\"] }", "2024-05-01T10:00:00Z,\"a \"\"b\"\", c\",200,surplus"),
        ("{ type = \"csv\", header = false, delimiter = \";\", quote = false }", "a;\"b;c"),
        ("{ type = \"tsv\", escapes = true, columns = [\"host\", \"status\"] }", "a\\tb\\\\\t200"),
        ("\"logfmt\"", "time=2024-05-01T10:00:00Z host=\"a \\\"b\\\" \\u00e4\" status=200 flag x= message=\"m\""),
        ("\"syslog\"", "<165>1 2003-10-11T22:14:15.003Z host app 77 ID47 [ex@1 iut=\"3\" a=\"b\\\"\\]\"] message"),
        ("{ type = \"syslog\", year = \"ingested_at\" }", "<34>Oct 11 22:14:15 host su[12]: message"),
        ("\"common_log\"", "::1 - me [10/Oct/2000:13:55:36 -0700] \"GET /a\\\" HTTP/1.0\" 200 2326 and more"),
        ("\"combined_log\"", "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 2326 \"-\" \"agent\""),
        ("{ type = \"regex\", pattern = '(?P<host>\\w+)\\W+\\d+(?P<message>.*?);' }", "a - 12 some; more"),
        ("{ type = \"grok\", pattern = \"%{IP:host} %{NUMBER:status} %{GREEDYDATA:message}\" }", "10.0.0.1 200 rest"),
    ]
    .into_iter()
    .map(|(format, record)| (of(format, &columns), record))
    .collect()
}

const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"=",
    b" ",
    b"-",
    b"<34>",
    b"<34>1 ",
    b"[",
    b"]",
    b"Oct 11 22:14:15 ",
    b"2003-10-11T22:14:15Z ",
    b"host",
    b"status=",
    b"a",
    b"1",
    b"\xc3\xa4",
    b"\xff",
    b"\x00",
    b"GET / HTTP/1.1\" 200 5",
    b"::1 - - [",
    b": ",
    b"\xef\xbb\xbf",
    b"\"\"",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tokens = vec(proptest::sample::select(TOKENS), 0..60).prop_map(|all| all.concat());
    prop_oneof![tokens, vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn all_bytes_are_rows_or_rejects(bytes in bytes()) {
        for (mut dataset, _) in all() {
            conserved(&dataset, &bytes);
            dataset.rescued = None;
            dataset.columns[2].required = true;
            conserved(&dataset, &bytes);
        }
    }

    #[test]
    fn a_cut_or_changed_record_costs_itself_alone(cut in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        for (dataset, whole) in all() {
            let cut = cut.index(whole.len());
            let mut changed = whole.as_bytes().to_vec();
            changed[cut] = byte;
            let text = [whole.as_bytes(), b"\n", &whole.as_bytes()[..cut], b"\n", &changed, b"\n", whole.as_bytes()].concat();
            let decoded = conserved(&dataset, &text);
            let rows = rows(&decoded.rows);
            assert!(rows.len() >= 2, "{whole}");
            assert_eq!(rows.first(), rows.last(), "{whole}");
        }
    }
}

#[test]
fn every_byte_alone_and_every_cut_of_a_record() {
    for (dataset, whole) in all() {
        for byte in 0..=u8::MAX {
            conserved(&dataset, &[byte]);
            conserved(&dataset, &[b"\"a".as_slice(), &[byte], b"b\""].concat());
        }
        for cut in 0..=whole.len() {
            conserved(&dataset, &whole.as_bytes()[..cut]);
        }
        assert_eq!(decode(&dataset, whole).rejects, [], "{whole}");
    }
}
