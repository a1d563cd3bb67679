//! Changes while a file is being read: after each single read of the file system, what happens is found or harmless.

use super::{super::Remedy, *};

/// Reads a new file again and again, while `act` happens after the first read, the second, and so on to the last.
/// Each time the records read must be the first of `expected`, and end in an error unless there are at least `least`.
/// How often there was an error.
fn interfere(packed: &[u8], expected: &[Row], least: usize, act: fn(&Files)) -> usize {
    // Small blocks of what is short, to have many reads.
    let options = if packed.len() < 10_000 {
        small()
    } else {
        BlockOptions::default()
    };
    let mut errors = 0;
    for reads in 0.. {
        let files = Files::with(&[("/a.log", packed)]);
        let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
        files.after_reads(reads, act);
        let (mut rows, mut error) = (Vec::new(), None);
        for block in blocks_of(&files, &plan.read[0], options) {
            match block {
                Ok(block) => rows.extend(rows_of(&block)),
                Err(found) => error = Some(found),
            }
        }
        assert!(
            rows.len() <= expected.len(),
            "{reads}: made up records: {error:?}"
        );
        assert!(
            rows == expected[..rows.len()],
            "{reads}: other records: {error:?}"
        );
        assert!(
            error.is_some() || rows.len() >= least,
            "{reads}: {} records",
            rows.len()
        );
        if let Some(error) = error {
            errors += 1;
            assert_eq!(error.remedy(), Remedy::Retry);
            assert!(
                matches!(
                    error,
                    SourceError::ChangedWhileReading { .. } | SourceError::Corrupt { .. }
                ),
                "{reads}: {error}"
            );
        }
        if !files.is_interfered() {
            assert!(reads > 10, "the file was read in {reads} reads");
            break;
        }
    }
    errors
}

const LINES: usize = 200;

fn content() -> Vec<u8> {
    lines("a", 0..LINES)
}

fn expected() -> Vec<Row> {
    rows(&content(), small())
}

#[test]
fn truncation_is_an_error_and_the_records_before_are_sound() {
    let errors = interfere(&content(), &expected(), LINES, |files| {
        files.overwrite("/a.log", b"");
    });
    assert!(errors > 30);
}

#[test]
fn truncation_and_regrowth_never_mix_two_contents() {
    let errors = interfere(&content(), &expected(), LINES, |files| {
        files.overwrite("/a.log", &lines("b", 0..2 * LINES));
    });
    assert!(errors > 30);
}

#[test]
fn a_hole_in_place_of_what_was_read_is_found() {
    // A writer that does not append goes on at its own offset after the truncation.
    let errors = interfere(&content(), &expected(), LINES, |files| {
        files.overwrite(
            "/a.log",
            &[vec![0; content().len()], lines("b", 0..10)].concat(),
        );
    });
    assert!(errors > 30);
}

#[test]
fn compressed_content_is_watched_as_well() {
    // Several buffers of the decompressor long.
    let content: Vec<u8> = (0..64_000_u64)
        .flat_map(|number| {
            let hash = xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes());
            let end = if number % 32 == 31 { "\n" } else { "" };
            format!("{hash:032x}{end}").into_bytes()
        })
        .collect();
    let expected = rows(&content, BlockOptions::default());
    for compression in [Compression::Gzip, Compression::Lz4] {
        let packed = pack(compression, &content);
        let errors = interfere(&packed, &expected, 2000, |files| {
            let other = vec![b'b'; 4 << 20];
            files.overwrite(
                "/a.log",
                &[pack(Compression::Gzip, b"other\n"), other].concat(),
            );
        });
        assert!(errors > 5, "{errors}");
    }
}

#[test]
fn a_file_that_is_renamed_or_replaced_is_read_on() {
    let errors = interfere(&content(), &expected(), LINES, |files| {
        files.rename("/a.log", "/a.log.1");
        files.create("/a.log", &lines("b", 0..LINES));
    });
    assert_eq!(errors, 0);
}

#[test]
fn a_file_that_grows_is_read_to_the_end_that_is_met() {
    let grown = rows(&lines("a", 0..2 * LINES), small());
    let errors = interfere(&content(), &grown, LINES, |files| {
        files.append("/a.log", &lines("a", LINES..2 * LINES));
    });
    assert_eq!(errors, 0);
}

#[test]
fn another_file_at_the_path_since_the_plan_is_found_when_it_is_opened() {
    let files = Files::with(&[("/a.log", &content())]);
    let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
    files.create("/a.log", &lines("b", 0..LINES));
    let blocks = blocks_of(&files, &plan.read[0], small());
    assert!(matches!(
        blocks[..],
        [Err(SourceError::ChangedWhileReading { .. })]
    ));
}

#[tokio::test]
async fn a_reader_that_is_dropped_stops_its_thread() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let files = Files::with(&[("/a.log", &vec![b'x'; 1 << 20])]).serve_at_most(1);
    let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
    files.after_reads(10_000, move |_| sender.send(()).unwrap());
    let reader = SourceReader::open_file(
        Arc::new(files.clone()),
        &plan.read[0],
        ReadOptions::default(),
    );
    tokio::task::spawn_blocking(move || receiver.recv().unwrap())
        .await
        .unwrap();
    drop(reader);
    // The only other holder of the files is the thread.
    while Arc::strong_count(&files.0) > 1 {
        tokio::task::yield_now().await;
    }
}
