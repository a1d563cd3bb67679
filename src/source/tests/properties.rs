//! However reading is cut into runs, the records and their positions are the same.

use proptest::prelude::*;

use super::*;

/// Content out of a few bytes that matter.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\0".to_vec()),
        6 => prop::collection::vec(b'a'..=b'z', 0..20),
        1 => prop::collection::vec(b'a'..=b'z', 90..300),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

/// The records by a plain definition.
fn expected(content: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut position = 0;
    let mut records = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        records.push((position, line.strip_suffix(b"\n").unwrap_or(line).to_vec()));
        position += line.len() as u64;
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_split_into_runs_gives_the_same_records(
        content in content(),
        block_bytes in 4usize..200,
        record_bytes_max in 1usize..200,
        runs in prop::collection::vec(0usize..5, 0..20),
        packed in prop::sample::select(
            [&PACKED[..], &[Compression::None]].concat()
        ),
        read_bytes_max in prop::sample::select(vec![1, 7, usize::MAX]),
    ) {
        let options = BlockOptions { block_bytes, record_bytes_max, leaves_open_line: false };
        let files = Files::with(&[("/a.log", &pack(packed, &content))]).serve_at_most(read_bytes_max);
        let mut table = Table::default();
        let mut found = Vec::new();
        for blocks_max in runs.into_iter().chain([usize::MAX]) {
            let plan = table.plan(&files, &["/a.log"]).unwrap();
            for file in &plan.read {
                for block in blocks_of(&files, file, options).into_iter().take(blocks_max) {
                    let block = block.unwrap();
                    table.commit(&block);
                    for (index, span) in block.records.iter().enumerate() {
                        let oversize = block.oversize.iter().find(|o| o.record as usize == index);
                        let length = oversize.map_or(u64::from(span.length), |o| o.length);
                        found.push((span.position, length, block.record(span).to_vec()));
                    }
                }
            }
        }
        let expected: Vec<_> = expected(&content)
            .into_iter()
            .map(|(position, bytes)| {
                let kept = bytes.len().min(record_bytes_max);
                (position, bytes.len() as u64, bytes[..kept].to_vec())
            })
            .collect();
        prop_assert_eq!(found, expected);
        if !content.is_empty() {
            prop_assert_eq!(table.file(1).1, content.len() as u64);
            prop_assert!(table.file(1).0.at_end);
        }
    }

    /// Growth, rotation and compression between runs of a few blocks: each record once.
    #[test]
    fn rotations_between_runs_lose_and_double_nothing(
        steps in prop::collection::vec((0usize..4, 0usize..40, 0usize..60), 1..25),
    ) {
        let files = Files::default();
        let mut table = Table::default();
        let (mut written, mut generation, mut next) = (0, 0, 0);
        let mut found = Vec::new();
        for (step, count, blocks_max) in steps {
            match step {
                0 if next > 0 => {
                    files.rename("/logs/a.log", &format!("/logs/a.log.{generation}"));
                    generation += 1;
                    next = 0;
                }
                1 if generation > 0 => {
                    let path = format!("/logs/a.log.{}", generation - 1);
                    let raw = files.inode(Path::new(&path)).unwrap().lock().unwrap().clone();
                    if Compression::of_bytes(&raw, Compression::None) == Compression::None {
                        files.create(&path, &pack(Compression::Zstd, &raw));
                    }
                }
                _ => {
                    if next == 0 {
                        files.create("/logs/a.log", b"");
                    }
                    let name = format!("generation {generation}");
                    files.append("/logs/a.log", &lines(&name, next..next + count + 1));
                    written += count + 1;
                    next += count + 1;
                }
            }
            if expansion(&files, &["/logs"]).is_ok() {
                let plan = table.plan(&files, &["/logs"]).unwrap();
                found.extend(table.read(&files, &plan, blocks_max));
            }
        }
        if written > 0 {
            found.extend(table.run(&files, &["/logs"]).unwrap());
        }
        let mut texts = texts(&found);
        texts.sort_unstable();
        texts.dedup();
        prop_assert_eq!(texts.len(), found.len());
        prop_assert_eq!(found.len(), written);
    }
}
