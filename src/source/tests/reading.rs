//! Records and their positions.

use xxhash_rust::xxh3::xxh3_128;

use super::*;

fn whole() -> BlockOptions {
    BlockOptions::default()
}

#[test]
fn lines_are_records_and_nothing_else_is_touched() {
    let content = b"one\r\n\n\0two\0\n  \n\xff\xfe\nlast";
    let rows = rows(content, whole());
    let found: Vec<_> = rows
        .iter()
        .map(|(_, position, text)| (*position, text.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (0, "one\r"),
            (5, ""),
            (6, "\0two\0"),
            (12, "  "),
            (15, "\u{fffd}\u{fffd}"),
            (18, "last")
        ]
    );
}

#[test]
fn blocks_tile_the_content_and_only_the_last_is_at_the_end() {
    for content in [
        lines("a", 0..100),
        [lines("a", 0..100), b"no end".to_vec()].concat(),
    ] {
        let files = Files::with(&[("/a.log", &content)]);
        let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
        let blocks = blocks_of(&files, &plan.read[0], small());
        assert!(blocks.len() > 10);
        let mut at = 0;
        for (index, block) in blocks.iter().enumerate() {
            let block = block.as_ref().unwrap();
            assert_eq!(block.range.start, at);
            assert!(block.bytes.len() <= 64);
            at = block.range.end;
            let SourceIdentity::File(identity) = &block.identity else {
                panic!()
            };
            assert_eq!(identity.at_end, index + 1 == blocks.len());
            assert_eq!(identity.head_length, at.min(4096));
        }
        assert_eq!(at, content.len() as u64);
    }
}

#[test]
fn a_block_that_ends_with_the_content_is_the_last() {
    // Lines of 16 bytes in blocks of 64: the last block is full.
    let content = b"123456789012345\n".repeat(8);
    let files = Files::with(&[("/a.log", &content)]);
    let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
    let blocks = blocks_of(&files, &plan.read[0], small());
    assert_eq!(blocks.len(), 2);
    let SourceIdentity::File(identity) = &blocks[1].as_ref().unwrap().identity else {
        panic!()
    };
    assert!(identity.at_end);
}

#[test]
fn a_file_served_a_byte_at_a_time_gives_the_same() {
    let content = [lines("a", 0..400), b"no end".to_vec()].concat();
    let expected = rows(&content, small());
    let files = Files::with(&[("/a.log", &content)]).serve_at_most(1);
    assert_eq!(Table::default().run(&files, &["/a.log"]).unwrap(), expected);
}

#[test]
fn an_open_line_is_left_until_it_ends_where_the_file_is_followed() {
    let follow = BlockOptions {
        leaves_open_line: true,
        ..small()
    };
    let content = [lines("a", 0..30), b"open".to_vec()].concat();
    let whole = lines("a", 0..30).len() as u64;
    let files = Files::with(&[("/a.log", &content), ("/b.log", b"open")]);
    let mut table = Table::default();
    let plan = table.plan(&files, &["/a.log", "/b.log"]).unwrap();
    assert!(blocks_of(&files, &plan.read[1], follow).is_empty());
    for block in blocks_of(&files, &plan.read[0], follow) {
        table.commit(&block.unwrap());
    }
    let (identity, position) = table.file(1);
    assert_eq!((identity.at_end, position), (false, whole));
    files.append("/a.log", b"ed\n");
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    let blocks = blocks_of(&files, &plan.read[0], follow);
    let found: Vec<_> = blocks
        .iter()
        .flat_map(|block| rows_of(block.as_ref().unwrap()))
        .collect();
    assert_eq!(found, [(1, whole, "opened".to_owned())]);
    // What is compressed is whole.
    let packed = Files::with(&[("/a.gz", &pack(Compression::Gzip, b"a\nopen"))]);
    let plan = Table::default().plan(&packed, &["/a.gz"]).unwrap();
    let blocks = blocks_of(&packed, &plan.read[0], follow);
    let last = rows_of(blocks.last().unwrap().as_ref().unwrap());
    assert_eq!(last.last().unwrap().2, "open");
}

#[test]
fn an_empty_file_is_no_source() {
    let empty_gzip = pack(Compression::Gzip, b"");
    let files = Files::with(&[("/a.log", b""), ("/b.gz", b""), ("/c.gz", &empty_gzip)]);
    let plan = Table::default().plan(&files, &["/"]).unwrap();
    assert_eq!(plan.empty.len(), 3);
    assert!(plan.read.is_empty());
}

/// Lines about the limit and the block's length, before and after short ones.
#[test]
fn lines_over_the_limit_are_cut_hashed_and_never_whole_in_memory() {
    let options = BlockOptions {
        block_bytes: 64,
        record_bytes_max: 100,
        leaves_open_line: false,
    };
    for before in 0..70 {
        for length in [63, 64, 65, 99, 100, 101, 102, 127, 128, 129, 200, 1000] {
            for end in [&b""[..], b"\n", b"\nlast", b"\n\n"] {
                let long: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
                let content = [&vec![b'x'; before][..], b"\n", &long, end].concat();
                let files = Files::with(&[("/a.log", &content)]);
                let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
                let blocks = blocks_of(&files, &plan.read[0], options);
                let blocks: Vec<_> = blocks.into_iter().map(Result::unwrap).collect();
                assert!(blocks.iter().all(|block| block.bytes.len() <= 101));
                assert_eq!(blocks.last().unwrap().range.end, content.len() as u64);
                let (block, oversize) = match blocks.iter().find(|b| !b.oversize.is_empty()) {
                    Some(block) => (block, &block.oversize[..]),
                    None => (&blocks[0], &[][..]),
                };
                assert_eq!(oversize.len(), usize::from(length > 100));
                if let [oversize] = oversize {
                    let span = block.records[oversize.record as usize];
                    assert_eq!(oversize.length, length as u64);
                    assert_eq!(oversize.hash, xxh3_128(&long));
                    assert_eq!(span.position, before as u64 + 1);
                    assert_eq!(block.record(&span), &long[..100]);
                }
                let records: usize = blocks.iter().map(|block| block.records.len()).sum();
                assert_eq!(records, 2 + usize::from(end.len() > 1));
            }
        }
    }
}

#[test]
fn a_line_that_went_on_after_the_end_is_two_records() {
    let files = Files::with(&[("/a.log", b"one\ntwo")]);
    let mut table = Table::default();
    assert_eq!(
        texts(&table.run(&files, &["/a.log"]).unwrap()),
        ["one", "two"]
    );
    files.append("/a.log", b" and a half\nthree\n");
    let rows = table.run(&files, &["/a.log"]).unwrap();
    assert_eq!(
        rows,
        [
            (1, 7, " and a half".to_owned()),
            (1, 19, "three".to_owned())
        ]
    );
}

#[test]
fn a_line_end_that_comes_later_is_no_record() {
    for end in [&b"\n"[..], b"\r\n"] {
        let files = Files::with(&[("/a.log", b"one\ntwo")]);
        let mut table = Table::default();
        table.run(&files, &["/a.log"]).unwrap();
        files.append("/a.log", end);
        assert!(table.run(&files, &["/a.log"]).unwrap().is_empty());
        assert_eq!(table.file(1).1, 7 + end.len() as u64);
        files.append("/a.log", b"\nthree\n");
        assert_eq!(
            texts(&table.run(&files, &["/a.log"]).unwrap()),
            ["", "three"]
        );
    }
}

#[test]
fn an_end_that_was_not_told_is_told_by_a_block_without_records() {
    let content = lines("a", 0..10);
    let files = Files::with(&[("/a.log", &content)]);
    let mut table = Table::default();
    table.run(&files, &["/a.log"]).unwrap();
    let SourceIdentity::File(identity) = &mut table.sources.get_mut(&1).unwrap().identity else {
        panic!()
    };
    identity.at_end = false;
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    assert!(table.read(&files, &plan, usize::MAX).is_empty());
    assert!(table.file(1).0.at_end);
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    assert!(plan.read.is_empty());
    assert_eq!(plan.already_read[0].position, content.len() as u64);
}

#[tokio::test]
async fn a_thread_reads_ahead_and_gives_the_same() {
    let content = lines("a", 0..1000);
    let files = Files::with(&[("/a.log", &content)]);
    let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
    let options = ReadOptions {
        blocks: small(),
        ..ReadOptions::default()
    };
    let mut reader = SourceReader::open_file(Arc::new(files.clone()), &plan.read[0], options);
    let mut found = Vec::new();
    while let Some(block) = reader.next_block().await.unwrap() {
        found.extend(rows_of(&block));
    }
    assert_eq!(found, rows(&content, whole()));
    assert!(reader.next_block().await.unwrap().is_none());
}

#[tokio::test]
async fn standard_input_is_a_source_of_its_own() {
    let content = lines("a", 0..1000);
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Lz4,
    ] {
        let input = Box::new(io::Cursor::new(pack(compression, &content)));
        let mut reader = SourceReader::stream(7, input, ReadOptions::default());
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(block) = reader.next_block().await.unwrap() {
            assert_eq!(block.range.start, at);
            assert_eq!(block.identity, SourceIdentity::StandardInput);
            assert_eq!((block.source.id, &*block.source.name), (7, "-"));
            at = block.range.end;
            found.extend(rows_of(&block));
        }
        assert_eq!(at, content.len() as u64);
        assert_eq!(texts(&found), texts(&rows(&content, whole())));
    }
}

#[tokio::test]
async fn a_stream_hands_on_whole_lines_before_it_goes_on() {
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
    let input = Box::new(Pieces {
        pieces: receiver,
        rest: Vec::new(),
    });
    let mut reader = SourceReader::stream(1, input, ReadOptions::default());
    sender.send(b"one\nt".to_vec()).unwrap();
    let block = reader.next_block().await.unwrap().unwrap();
    assert_eq!(texts(&rows_of(&block)), ["one"]);
    sender.send(b"wo\nthree".to_vec()).unwrap();
    let block = reader.next_block().await.unwrap().unwrap();
    assert_eq!(texts(&rows_of(&block)), ["two"]);
    drop(sender);
    let block = reader.next_block().await.unwrap().unwrap();
    assert_eq!(texts(&rows_of(&block)), ["three"]);
    assert!(reader.next_block().await.unwrap().is_none());
}

/// A pipe whose writer is the test.
struct Pieces {
    pieces: std::sync::mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.pieces.recv().unwrap_or_default();
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}
