//! Whatever a file holds, it is read or refused with places within it.

use proptest::prelude::*;

use crate::{Diagnostics, parse_dataset, parse_deployment};

const SEEDS: [&str; 7] = [
    include_str!("../../../../../schemas/web.toml"),
    include_str!("../../../../../schemas/lines.toml"),
    "columns = [{ name = \"é\", type = \"string\" }]\n[source.kafka]\ntopics = [\"é\", \"a\"]\nstart = 1969-01-01T00:00:00Z\ngroup = \"é\"\n[complete]\ntime = \"é\"\ndelay = \"1s\"\n",
    "[catalog]\ntype = \"sql\"\nuri = \"sqlite:/é.db\"\nwarehouse = \"file:///a\"\ncredential = { env = \"X\" }\n[catalogs.a]\nuri = \"x\"\n",
    "[catalog]\nuri = \"postgresql://é@[::1]:5432/lake?sslmode=require\"\nuser = \"é\"\nwarehouse = \"abfss://c@a.b/é\"\n\
     connect_timeout = \"1s\"\ntls = { ca = \"/é\", key = { env = \"X\" } }\n[catalogs.a]\nuri = \"thrift://a:1,[::1]\"\n",
    "[catalog]\nuri = \"https://é:1/x\"\nheaders = { x-é = \"é\" }\nsigv4 = { region = \"r\" }\nmetadata_bytes_max = \"1MiB\"\n\
     [storage]\nattempts_max = 2\n[storage.hdfs.properties]\ndfs.é = \"x\"\n[storage.s3]\nencryption = \"kms\"\n",
    "[kafka.é]\nbrokers = [\"é:1\", \"[::1]\", 1]\n[kafka.é.sasl]\nmechanism = \"oauthbearer\"\nserver_uri = \"http://é\"\n\
     [kafka.é.properties]\ngroup.id = \"é\"\n",
];

/// Levels of variables, put where they do not belong.
const LEVELS: [&str; 18] = [
    "CATALOG",
    "CATALOGS",
    "STORAGE",
    "KAFKA",
    "BROKERS",
    "SASL",
    "S3",
    "HDFS",
    "PROPERTIES",
    "HEADERS",
    "OAUTH2",
    "TLS",
    "URI",
    "CREDENTIAL",
    "ENV",
    "PART_BYTES",
    "é",
    "",
];

/// Pieces that files are made of, put where they do not belong.
const PIECES: [&str; 20] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    "\n",
    "\\u0000",
    "é😀",
    "list<",
    "struct<a:",
    "decimal(",
    "$",
    "$$",
    "%",
    "/~",
    "[[columns]]\n",
    "1e999",
];

fn mutated() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0_usize..24,
        any::<bool>(),
    );
    (
        prop::sample::select(&SEEDS[..]),
        prop::collection::vec(edit, 1..6),
    )
        .prop_map(|(seed, edits)| {
            let mut chars: Vec<char> = seed.chars().collect();
            for (at, piece, length, cut) in edits {
                let at = at.index(chars.len() + 1);
                let end = if cut {
                    (at + length).min(chars.len())
                } else {
                    at
                };
                chars.splice(at..end, PIECES[piece.index(PIECES.len())].chars());
            }
            chars.into_iter().collect()
        })
}

fn places_are_within(text: &str, diagnostics: &Diagnostics) {
    assert!(!diagnostics.list.is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for one in &diagnostics.list {
        if one.line > 0 {
            assert!(one.line <= lines.len(), "{one:?}");
            assert!(
                one.column >= 1 && one.column <= lines[one.line - 1].chars().count() + 1,
                "{one:?}"
            );
        }
    }
    let mut sorted = diagnostics.list.clone();
    sorted.sort_by_key(|one| (one.line == 0, one.line, one.column));
    assert_eq!(sorted, diagnostics.list, "in the file's order");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files(text in mutated()) {
        if let Err(diagnostics) = parse_dataset(&text, "f.toml", "f") {
            places_are_within(&text, &diagnostics);
        }
        if let Err(diagnostics) = parse_deployment(&text, "f.toml", &std::collections::BTreeMap::new()) {
            places_are_within(&text, &diagnostics);
        }
    }

    #[test]
    fn variables(
        seed in prop::sample::select(&SEEDS[3..]),
        names in prop::collection::vec(prop::collection::vec(prop::sample::select(&LEVELS[..]), 1..6), 1..6),
        value in "(true|1|1s|https://h|postgresql://é:p@h|[é/:@?#,]{0,9})",
    ) {
        let variables = names.iter().map(|levels| (format!("FRAZIL_{}", levels.join("__")), value.clone())).collect();
        for text in [seed, ""] {
            if let Err(diagnostics) = parse_deployment(text, "f.toml", &variables) {
                places_are_within(text, &diagnostics);
            }
        }
    }

    #[test]
    fn texts_in_values(value in "\\PC{0,30}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        for key in ["dataset", "table", "format", "rescued", "profile", "unknown_fields"] {
            let _ = parse_dataset(&format!("{key} = \"{quoted}\""), "f.toml", "f");
        }
        for key in ["name", "type", "from", "parse", "timezone", "coerce"] {
            let text = format!("columns = [{{ name = \"a\", type = \"timestamptz\" }}, {{ {key} = \"{quoted}\" }}]");
            let _ = parse_dataset(&text, "f.toml", "f");
        }
        let text = format!(
            "partition_by = [\"{quoted}\", \"day({quoted})\"]\nsort_by = [\"{quoted}\"]\ncolumns = [{{ name = \"a\", \
             type = \"timestamptz\", parse = \"%{quoted}\" }}]"
        );
        let _ = parse_dataset(&text, "f.toml", "f");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        "a.".repeat(100_000),
    ] {
        assert!(parse_dataset(&text, "f.toml", "f").is_err());
    }
}
