//! Records of several lines, and headers: cut into runs anywhere, they are the same.

use proptest::prelude::*;

use super::*;
use crate::source::{Framing, RecordEnds};

fn csv(header: bool) -> Framing {
    Framing {
        ends: RecordEnds::Quoted {
            delimiter: b',',
            quote: b'"',
        },
        header,
    }
}

/// All blocks of a file.
fn framed(
    files: &Files,
    file: &PlannedFile,
    blocks: BlockOptions,
    framing: &Framing,
) -> Vec<RecordBlock> {
    let options = ReadOptions {
        blocks,
        framing: Arc::new(framing.clone()),
        compute: Compute::Inline,
        ..ReadOptions::default()
    };
    let mut reader = SourceReader::open_file(Arc::new(files.clone()), file, options);
    let mut read = Vec::new();
    while let Some(block) = block_on(reader.next_block()).unwrap() {
        read.push(block);
    }
    read
}

/// Records with their positions, and the header.
fn read(content: &[u8], blocks: BlockOptions, framing: &Framing) -> Vec<(u64, String)> {
    let files = Files::with(&[("/a.csv", content)]);
    let plan = Table::default().plan(&files, &["/a.csv"]).unwrap();
    let blocks = framed(&files, &plan.read[0], blocks, framing);
    let rows = blocks.iter().flat_map(rows_of);
    rows.map(|(_, position, text)| (position, text)).collect()
}

fn texts_of(content: &str, record_bytes_max: usize) -> Vec<String> {
    let options = BlockOptions {
        block_bytes: 4,
        record_bytes_max,
        ..BlockOptions::default()
    };
    let rows = read(content.as_bytes(), options, &csv(false));
    rows.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn quoted_line_ends_are_of_the_record() {
    assert_eq!(
        texts_of("a,\"b\nc\"\r\n\"\n\"\"\n\",d\n\nlast,\"\n\"", 1000),
        ["a,\"b\nc\"\r", "\"\n\"\"\n\",d", "", "last,\"\n\""]
    );
}

#[test]
fn a_quote_that_is_never_closed_quotes_nothing_beyond_its_line() {
    assert_eq!(texts_of("a,\"b\nc,d\ne,f", 1000), ["a,\"b", "c,d", "e,f"]);
    let long = format!("\"a\n{}\nb\n", "x\n".repeat(20));
    let texts = texts_of(&long, 16);
    assert_eq!((texts.len(), texts[0].as_str()), (23, "\"a"));
}

#[test]
fn the_header_is_in_every_block_and_is_no_record() {
    let files = Files::with(&[("/a.csv", b"a,\"b\n\"\n1,2\n3,4\n5,6\n")]);
    let options = BlockOptions {
        block_bytes: 4,
        record_bytes_max: 100,
        ..BlockOptions::default()
    };
    let mut table = Table::default();
    let mut seen = Vec::new();
    // Each block in a run of its own.
    while let Some(file) = table.plan(&files, &["/a.csv"]).unwrap().read.first() {
        let block = framed(&files, file, options, &csv(true)).remove(0);
        assert_eq!(block.header.as_deref(), Some(&b"a,\"b\n\""[..]));
        table.commit(&block);
        seen.extend(rows_of(&block));
    }
    assert_eq!(texts(&seen), ["1,2", "3,4", "5,6"]);
    let positions: Vec<u64> = seen.iter().map(|(_, position, _)| *position).collect();
    assert_eq!(positions, [7, 11, 15]);
}

#[test]
fn a_header_that_was_not_complete_is_once_it_is() {
    let files = Files::with(&[("/a.csv", b"a,b")]);
    let mut table = Table::default();
    for (more, header, records) in [
        ("", "a,b", vec![]),
        (",c\n1,2,3\n", "a,b,c", vec!["1,2,3"]),
        ("4,5", "a,b,c", vec!["4,5"]),
    ] {
        files.append("/a.csv", more.as_bytes());
        let plan = table.plan(&files, &["/a.csv"]).unwrap();
        let blocks = framed(&files, &plan.read[0], small(), &csv(true));
        let mut rows = Vec::new();
        for block in &blocks {
            assert_eq!(block.header.as_deref(), Some(header.as_bytes()));
            table.commit(block);
            rows.extend(rows_of(block));
        }
        assert_eq!(texts(&rows), records);
    }
}

#[test]
fn a_header_beyond_what_proves_a_file_is_read_again() {
    let header = "column,".repeat(1500);
    let content = format!("{header}\n1\n2\n");
    for packed in [Compression::None, Compression::Zstd] {
        let files = Files::with(&[("/a.csv", &pack(packed, content.as_bytes()))]);
        let options = BlockOptions {
            block_bytes: 4,
            record_bytes_max: 20_000,
            ..BlockOptions::default()
        };
        let mut table = Table::default();
        let mut seen = Vec::new();
        while let Some(file) = table.plan(&files, &["/a.csv"]).unwrap().read.first() {
            let block = framed(&files, file, options, &csv(true)).remove(0);
            assert_eq!(block.header.as_deref(), Some(header.as_bytes()));
            table.commit(&block);
            seen.extend(rows_of(&block));
        }
        assert_eq!(texts(&seen), ["1", "2"]);
    }
}

#[test]
fn a_quote_that_is_open_in_a_file_being_written_is_waited_for() {
    let files = Files::with(&[("/a.csv", b"1\n2,\"x\ny")]);
    let options = BlockOptions {
        leaves_open_line: true,
        ..small()
    };
    let mut table = Table::default();
    let mut seen = Vec::new();
    for more in ["", "\nz\"", "\n3\n"] {
        files.append("/a.csv", more.as_bytes());
        for file in &table.plan(&files, &["/a.csv"]).unwrap().read {
            for block in framed(&files, file, options, &csv(false)) {
                table.commit(&block);
                seen.extend(rows_of(&block));
            }
        }
    }
    assert_eq!(texts(&seen), ["1", "2,\"x\ny\nz\"", "3"]);
}

#[test]
fn a_header_over_the_limit_of_a_record_is_none() {
    let files = Files::with(&[("/a.csv", b"a long header\n1\n2\n")]);
    let options = BlockOptions {
        block_bytes: 4,
        record_bytes_max: 6,
        ..BlockOptions::default()
    };
    let plan = Table::default().plan(&files, &["/a.csv"]).unwrap();
    let blocks = framed(&files, &plan.read[0], options, &csv(true));
    assert!(blocks.iter().all(|block| block.header.is_none()));
    let oversize: usize = blocks.iter().map(|block| block.oversize.len()).sum();
    let records: usize = blocks.iter().map(|block| block.records.len()).sum();
    assert_eq!((oversize, records), (1, 3));
}

/// Records that begin with a digit.
fn traces() -> Framing {
    let text = "multiline = { start = '^[0-9]', lines_max = 4, bytes_max = \"40B\" }\ncolumns = [{ name = \"a\", type = \"string\" }]";
    Framing::of(&frazil_dataset::parse_dataset(text, "f", "f").unwrap())
}

#[test]
fn a_record_of_several_lines_that_is_being_written_is_waited_for() {
    let files = Files::with(&[("/a.log", b"1 a\n at b\n2 c\n")]);
    let mut table = Table::default();
    let mut seen = Vec::new();
    for (more, leaves_open_line) in [("", true), (" at d\n", true), ("3\n", false)] {
        files.append("/a.log", more.as_bytes());
        let options = BlockOptions {
            leaves_open_line,
            ..small()
        };
        for file in &table.plan(&files, &["/a.log"]).unwrap().read {
            for block in framed(&files, file, options, &traces()) {
                table.commit(&block);
                seen.extend(rows_of(&block));
            }
        }
    }
    assert_eq!(texts(&seen), ["1 a\n at b", "2 c\n at d", "3"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_into_runs_gives_the_same_records_and_header(
        pieces in prop::collection::vec(prop::sample::select(
            &["\"", "\"\"", ",", "\n", "\r\n", "a", "bc", ",\"x\ny\",", "long long long", "\n1"][..]
        ), 0..60),
        block_bytes in 4usize..60,
        record_bytes_max in 1usize..80,
        framing in prop::sample::select(vec![csv(true), csv(false), traces()]),
        runs in prop::collection::vec(0usize..4, 0..20),
        packed in prop::sample::select(vec![Compression::None, Compression::Gzip]),
    ) {
        let content = pieces.concat();
        let files = Files::with(&[("/a.csv", &pack(packed, content.as_bytes()))]);
        let expected = {
            let plan = Table::default().plan(&files, &["/a.csv"]).unwrap();
            let options = BlockOptions { block_bytes: 1 << 16, record_bytes_max, ..BlockOptions::default() };
            plan.read.first().map_or(Vec::new(), |file| framed(&files, file, options, &framing))
        };
        let options = BlockOptions { block_bytes, record_bytes_max, ..BlockOptions::default() };
        let mut table = Table::default();
        let mut found = Vec::new();
        for blocks_max in runs.into_iter().chain([usize::MAX]) {
            let plan = table.plan(&files, &["/a.csv"]).unwrap();
            for file in &plan.read {
                for block in framed(&files, file, options, &framing).into_iter().take(blocks_max) {
                    table.commit(&block);
                    if !block.records.is_empty() {
                        prop_assert_eq!(&block.header, &expected[0].header);
                    }
                    found.extend(rows_of(&block));
                }
            }
        }
        let expected: Vec<Row> = expected.iter().flat_map(rows_of).collect();
        prop_assert_eq!(&found, &expected);
        // Nothing but line ends, the header and what is over the limit lies between records.
        let mut position = 0;
        for (_, start, text) in &found {
            prop_assert!(*start >= position);
            prop_assert!(content.as_bytes()[*start as usize..].starts_with(text.as_bytes()));
            position = start + text.len() as u64;
        }
    }
}
