//! Compressed content: each way, several members, corrupt and truncated.

use super::{super::Remedy, *};

#[test]
fn each_compression_is_known_by_its_bytes_whatever_the_name() {
    let content = lines("a", 0..2000);
    let expected = rows(&content, small());
    for compression in PACKED {
        for name in ["/a.log", "/a.gz", "/a.lz4"] {
            let files = Files::with(&[(name, &pack(compression, &content))]);
            let mut table = Table::default();
            let plan = table.plan(&files, &[name]).unwrap();
            assert_eq!(plan.read[0].compression, compression);
            assert_eq!(
                table.read(&files, &plan, usize::MAX),
                expected,
                "{compression}"
            );
            assert_eq!(table.file(1).1, content.len() as u64);
        }
    }
}

#[test]
fn a_plain_file_with_a_compressed_name_is_read_as_it_is() {
    let files = Files::with(&[("/a.gz", b"one\ntwo\n")]);
    assert_eq!(
        texts(&Table::default().run(&files, &["/a.gz"]).unwrap()),
        ["one", "two"]
    );
    let files = Files::with(&[("/a.log", b"BZh9 is how a log line may begin\n")]);
    assert_eq!(Table::default().run(&files, &["/a.log"]).unwrap().len(), 1);
}

#[test]
fn noise_with_a_compressed_name_is_refused() {
    for content in [&b"\x1f"[..], b"\x1f\x8b", b"\0\0\0\0"] {
        let files = Files::with(&[("/a.gz", content)]);
        let error = Table::default().plan(&files, &["/a.gz"]).unwrap_err();
        assert!(
            matches!(error, SourceError::NotCompressed { .. }),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::Usage);
    }
}

#[test]
fn formats_without_lines_are_named() {
    let mut tar = vec![b'a'; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let cases = [
        (b"\xfd7zXZ\0...".to_vec(), "xz"),
        (b"PK\x03\x04\x14\0".to_vec(), "zip"),
        (b"\x02\x21\x4c\x18legacy".to_vec(), "legacy"),
        (tar.clone(), "tar"),
        (pack(Compression::Gzip, &tar), "tar"),
    ];
    for (content, name) in cases {
        for path in ["/a.log", "/a.gz"] {
            let files = Files::with(&[(path, &content)]);
            let error = Table::default().plan(&files, &[path]).unwrap_err();
            assert!(
                matches!(error, SourceError::UnsupportedFormat { .. }),
                "{error}"
            );
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.remedy(), Remedy::Usage);
        }
    }
}

#[test]
fn members_frames_and_streams_may_follow_each_other() {
    let (first, second) = (lines("a", 0..500), lines("b", 0..500));
    let expected = rows(&[first.clone(), second.clone()].concat(), small());
    for compression in PACKED {
        let empty = pack(compression, b"");
        let packed = [pack(compression, &first), empty, pack(compression, &second)].concat();
        for read_bytes_max in [1, 3, usize::MAX] {
            let files = Files::with(&[("/a", &packed)]).serve_at_most(read_bytes_max);
            let rows = Table::default().run(&files, &["/a"]).unwrap();
            assert_eq!(rows, expected, "{compression}");
        }
    }
}

#[test]
fn padding_and_frames_for_others_are_passed_over() {
    let content = lines("a", 0..50);
    let gzip = [pack(Compression::Gzip, &content), vec![0; 512]].concat();
    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0xyz".to_vec();
    let zstd = [
        skippable.clone(),
        pack(Compression::Zstd, &content),
        skippable.clone(),
    ]
    .concat();
    let lz4 = [
        skippable.clone(),
        pack(Compression::Lz4, &content),
        skippable,
    ]
    .concat();
    for (name, packed) in [("/a.gz", gzip), ("/a.zst", zstd), ("/a.lz4", lz4)] {
        let files = Files::with(&[(name, &packed)]);
        assert_eq!(
            Table::default().run(&files, &[name]).unwrap().len(),
            50,
            "{name}"
        );
    }
}

/// Cut at each byte: never a panic, never a record that is not one, never an end that is none.
#[test]
fn truncated_content_gives_its_whole_lines_and_then_an_error() {
    let content = lines("a", 0..300);
    let expected = rows(&content, small());
    for compression in PACKED {
        // Two members, so that the end of the first is tried, too.
        let half = content.len() / 2;
        let first = pack(compression, &content[..half]);
        let packed = [first.clone(), pack(compression, &content[half..])].concat();
        for length in MAGIC..packed.len() {
            if length == first.len() {
                continue;
            }
            let files = Files::with(&[("/a", &packed[..length])]);
            let plan = Table::default().plan(&files, &["/a"]).unwrap();
            let mut found = Vec::new();
            let mut blocks = blocks_of(&files, &plan.read[0], small());
            let error = blocks.pop().unwrap().unwrap_err();
            assert!(
                matches!(error, SourceError::Corrupt { .. }),
                "{compression} {length}: {error}"
            );
            assert!(
                error.to_string().contains("ends early"),
                "{compression} {length}: {error}"
            );
            assert_eq!(error.remedy(), Remedy::Retry);
            for block in blocks {
                let block = block.unwrap();
                let SourceIdentity::File(identity) = &block.identity else {
                    panic!()
                };
                assert!(!identity.at_end);
                found.extend(rows_of(&block));
            }
            assert_eq!(found, expected[..found.len()], "{compression} {length}");
        }
    }
}

/// So many bytes are needed to know each compression.
const MAGIC: usize = 10;

#[test]
fn corrupt_content_keeps_the_records_before_and_names_the_place() {
    let content = lines("a", 0..20_000);
    for compression in [Compression::Gzip, Compression::Bzip2] {
        let mut packed = pack(compression, &content);
        let middle = packed.len() / 2;
        packed[middle..middle + 64].fill(0xaa);
        let files = Files::with(&[("/a.log.x", &packed)]);
        let mut table = Table::default();
        let plan = table.plan(&files, &["/a.log.x"]).unwrap();
        let mut blocks = blocks_of(&files, &plan.read[0], BlockOptions::default());
        let error = blocks.pop().unwrap().unwrap_err();
        let SourceError::Corrupt { path, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(path, "/a.log.x");
        assert_eq!(error.remedy(), Remedy::Retry);
        for block in blocks {
            table.commit(&block.unwrap());
        }
        // A whole copy in its place goes on where the records ended.
        files.overwrite("/a.log.x", &pack(compression, &content));
        let read = table.file(1).1;
        let rest = table.run(&files, &["/a.log.x"]).unwrap();
        assert_eq!(rest.first().map(|row| row.1), Some(read));
        assert_eq!(table.file(1).1, content.len() as u64);
    }
}

#[test]
fn bytes_after_the_last_member_are_an_error_after_the_records() {
    let packed = [pack(Compression::Gzip, b"one\ntwo\n"), b"trailing".to_vec()].concat();
    let files = Files::with(&[("/a.gz", &packed)]);
    let plan = Table::default().plan(&files, &["/a.gz"]).unwrap();
    let blocks = blocks_of(&files, &plan.read[0], small());
    assert_eq!(texts(&rows_of(blocks[0].as_ref().unwrap())), ["one", "two"]);
    assert!(matches!(blocks[1], Err(SourceError::Corrupt { .. })));
}

#[test]
fn a_bomb_is_read_within_the_memory_of_a_block() {
    // 64 MiB of one line, in some 60 KiB.
    let packed = pack(Compression::Gzip, &vec![b'a'; 64 << 20]);
    let files = Files::with(&[("/a.gz", &packed)]);
    let plan = Table::default().plan(&files, &["/a.gz"]).unwrap();
    let blocks = blocks_of(&files, &plan.read[0], BlockOptions::default());
    let block = blocks[0].as_ref().unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(block.oversize[0].length, 64 << 20);
    assert_eq!(block.bytes.len(), super::super::OVERSIZE_PREFIX_BYTES);
    assert_eq!(block.range, 0..64 << 20);
}

#[test]
fn a_gzip_copy_beside_its_source_is_the_same_source() {
    for size in [100, 1000] {
        let content = lines("a", 0..size);
        let files = Files::with(&[
            ("/a.log", &content),
            ("/a.log.gz", &pack(Compression::Gzip, &content)),
            (
                "/b.zst",
                &pack(Compression::Zstd, &content[..content.len() / 2]),
            ),
        ]);
        let mut table = Table::default();
        let plan = table.plan(&files, &["/"]).unwrap();
        assert_eq!(plan.read.len(), 1);
        assert_eq!(plan.read[0].path, Path::new("/a.log"));
        assert_eq!(plan.copies.len(), 2);
        assert!(
            plan.copies
                .iter()
                .all(|copy| copy.of == Path::new("/a.log"))
        );
        assert_eq!(table.run(&files, &["/"]).unwrap().len(), size);
        let plan = table.plan(&files, &["/"]).unwrap();
        assert!(plan.read.is_empty());
        assert_eq!(plan.already_read.len(), 2);
        // Compressed and removed by rotation.
        files.remove("/a.log");
        let plan = table.plan(&files, &["/a.log.gz"]).unwrap();
        assert_eq!(plan.already_read.len(), 1);
    }
}

#[test]
fn a_file_that_is_compressed_half_read_goes_on_within() {
    for compression in PACKED {
        let content = lines("a", 0..1000);
        let files = Files::with(&[("/a.log", &content)]);
        let mut table = Table::default();
        let plan = table.plan(&files, &["/a.log"]).unwrap();
        let mut all = table.read(&files, &plan, 100);
        assert!(all.len() > 300 && all.len() < 700);
        files.create("/a.log.1", &pack(compression, &content));
        files.remove("/a.log");
        let plan = table.plan(&files, &["/a.log.1"]).unwrap();
        assert_eq!(plan.read[0].continues.as_deref(), Some("/a.log"));
        all.extend(table.read(&files, &plan, usize::MAX));
        assert_eq!(all, rows(&content, small()));
    }
}
