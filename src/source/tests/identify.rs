//! Which source a file is, over rotations, copies and edits between runs.

use super::{
    super::{Remedy, identity_at},
    *,
};

/// A table that holds all of a file, or so many blocks of it.
fn after(files: &Files, path: &str, blocks_max: usize) -> (Table, Vec<Row>) {
    let mut table = Table::default();
    let plan = table.plan(files, &[path]).unwrap();
    let rows = table.read(files, &plan, blocks_max);
    (table, rows)
}

#[test]
fn the_same_file_again_is_already_read() {
    for size in [1, 1000] {
        let files = Files::with(&[("/a.log", &lines("a", 0..size))]);
        let (table, rows) = after(&files, "/a.log", usize::MAX);
        assert_eq!(rows.len(), size);
        let plan = table.plan(&files, &["/a.log"]).unwrap();
        assert!(plan.read.is_empty());
        assert_eq!(plan.already_read[0].source_id, 1);
    }
}

#[test]
fn a_file_that_grew_goes_on() {
    let files = Files::with(&[("/a.log", &lines("a", 0..10))]);
    let (mut table, mut all) = after(&files, "/a.log", usize::MAX);
    // Past 4 KiB: the head that is hashed grows with it.
    for numbers in [10..11, 11..600, 600..601, 601..2000] {
        files.append("/a.log", &lines("a", numbers));
        all.extend(table.run(&files, &["/a.log"]).unwrap());
    }
    assert_eq!(all, rows(&lines("a", 0..2000), small()));
    assert_eq!(table.sources.len(), 1);
    assert_eq!(table.file(1).0.head_length, 4096);
}

#[test]
fn a_renamed_file_goes_on_and_is_known_by_its_new_name() {
    let files = Files::with(&[("/a.log", &lines("a", 0..1000))]);
    let (mut table, _) = after(&files, "/a.log", 10);
    files.rename("/a.log", "/a.log.1");
    let plan = table.plan(&files, &["/a.log.1"]).unwrap();
    assert_eq!(plan.read[0].continues.as_deref(), Some("/a.log"));
    assert!(!plan.read[0].is_new && plan.read[0].start > 0);
    table.read(&files, &plan, usize::MAX);
    assert_eq!(table.file(1).0.path, "/a.log.1");
    assert_eq!(table.file(1).1, lines("a", 0..1000).len() as u64);
}

#[test]
fn copy_and_truncate_goes_on_with_the_copy_and_begins_the_new() {
    let files = Files::with(&[("/a.log", &lines("a", 0..500))]);
    let (mut table, mut all) = after(&files, "/a.log", usize::MAX);
    files.append("/a.log", &lines("a", 500..600));
    files.copy("/a.log", "/a.log.1");
    files.overwrite("/a.log", &lines("b", 0..900));
    let plan = table.plan(&files, &["/a.log*"]).unwrap();
    assert_eq!(
        plan.read
            .iter()
            .map(|file| file.info.id)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    all.extend(table.read(&files, &plan, usize::MAX));
    let mut found = texts(&all);
    found.sort_unstable();
    let expected = [lines("a", 0..600), lines("b", 0..900)].concat();
    let expected = rows(&expected, small());
    let mut expected = texts(&expected);
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_name_or_an_inode_that_is_used_again_is_a_new_source() {
    let files = Files::with(&[("/a.log", &lines("a", 0..500))]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    // The inode.
    files.overwrite("/a.log", &lines("b", 0..800));
    assert_eq!(table.run(&files, &["/a.log"]).unwrap().len(), 800);
    // The name.
    files.create("/a.log", &lines("c", 0..10));
    assert_eq!(table.run(&files, &["/a.log"]).unwrap().len(), 10);
    assert_eq!(table.sources.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn truncated_and_grown_past_the_position_is_not_taken_for_the_same() {
    let files = Files::with(&[("/a.log", &lines("a", 0..500))]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    let position = table.file(1).1;
    files.overwrite("/a.log", &lines("b", 0..900));
    assert!(files.metadata(Path::new("/a.log")).unwrap().length > position);
    let rows = table.run(&files, &["/a.log"]).unwrap();
    assert_eq!(rows.first(), Some(&(2, 0, "b line 0".to_owned())));
    assert_eq!(rows.len(), 900);
}

#[test]
fn files_that_share_a_header_are_two_sources() {
    let header = lines("header", 0..500);
    let first = [header.clone(), lines("a", 0..10)].concat();
    let second = [header.clone(), lines("b", 0..10)].concat();
    let files = Files::with(&[("/a.log", &first), ("/b.log", &second)]);
    let mut table = Table::default();
    let plan = table.plan(&files, &["/"]).unwrap();
    assert_eq!(
        plan.read
            .iter()
            .map(|file| file.info.id)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(table.read(&files, &plan, usize::MAX).len(), 1020);
    // Each goes on by itself.
    files.append("/a.log", b"more\n");
    files.append("/b.log", b"more\n");
    let rows = table.run(&files, &["/b.log", "/a.log"]).unwrap();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [2, 1]);
    // One that comes later, too.
    files.create("/c.log", &[header, lines("c", 0..10)].concat());
    assert_eq!(table.run(&files, &["/"]).unwrap().len(), 510);
}

#[test]
fn files_that_part_after_what_was_read_are_each_read_whole() {
    let files = Files::with(&[("/a.log", b"header\n")]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    files.create("/b.log", b"header\nb1\n");
    files.append("/a.log", b"a1\n");
    let rows = table.run(&files, &["/b.log", "/a.log"]).unwrap();
    assert_eq!(texts(&rows), ["header", "b1", "a1"]);
    assert_eq!(rows[2].0, 1, "the file that was read goes on");
}

#[test]
fn the_longest_match_wins() {
    // Read as they grew apart: a source of the first half, and one of it all.
    let content = lines("a", 0..1000);
    let half = content.len() / 2;
    let files = Files::with(&[("/half.log", &content[..half]), ("/whole.log", &content)]);
    let mut table = after(&files, "/half.log", usize::MAX).0;
    let whole = after(&files, "/whole.log", usize::MAX).0;
    table.sources.insert(2, whole.sources[&1].clone());
    table.sources_version = 2;
    files.create("/c.log", &[content.clone(), b"more\n".to_vec()].concat());
    let plan = table.plan(&files, &["/c.log"]).unwrap();
    assert_eq!(
        (plan.read[0].info.id, plan.read[0].start),
        (2, content.len() as u64)
    );
}

#[test]
fn of_copies_and_beginnings_only_the_longest_is_read() {
    let content = lines("a", 0..1000);
    for cut in [10, 4096, 5000, content.len()] {
        let files = Files::with(&[("/1.log", &content[..cut]), ("/2.log", &content)]);
        let plan = Table::default().plan(&files, &["/"]).unwrap();
        assert_eq!(plan.read.len(), 1);
        let expected = if cut == content.len() {
            "/1.log"
        } else {
            "/2.log"
        };
        assert_eq!(plan.read[0].path, Path::new(expected), "{cut}");
        assert_eq!(plan.copies[0].of, Path::new(expected));
    }
    // Of a chain, all name the last.
    let files = Files::with(&[
        ("/1.log", &content[..10]),
        ("/2.log", &content[..5000]),
        ("/3.log", &content[..6000]),
        ("/4.log", &content),
    ]);
    let plan = Table::default().plan(&files, &["/"]).unwrap();
    assert_eq!(plan.copies.len(), 3);
    assert!(
        plan.copies
            .iter()
            .all(|copy| copy.of == Path::new("/4.log"))
    );
}

#[test]
fn an_older_copy_of_what_was_read_is_not_read_again() {
    let content = lines("a", 0..1000);
    let files = Files::with(&[("/a.log", &content)]);
    let (table, _) = after(&files, "/a.log", usize::MAX);
    files.create("/snapshot.log", &content[..9000]);
    let plan = table.plan(&files, &["/snapshot.log"]).unwrap();
    assert!(plan.read.is_empty());
    assert_eq!(plan.copies[0].of, Path::new("/a.log"));
}

#[test]
fn an_unfinished_source_is_found_in_its_folder() {
    let files = Files::with(&[("/logs/a.log", &lines("a", 0..1000))]);
    let (mut table, mut all) = after(&files, "/logs/a.log", 10);
    // Two rotations while we were down.
    files.rename("/logs/a.log", "/logs/a.log.2");
    files.create("/logs/a.log.1", &lines("b", 0..10));
    files.create("/logs/a.log", &lines("c", 0..10));
    let plan = table.plan(&files, &["/logs/a.log"]).unwrap();
    assert_eq!(plan.read.len(), 2);
    let found = &plan.read[1];
    assert_eq!(
        (found.path.to_str(), found.found_by_content),
        (Some("/logs/a.log.2"), true)
    );
    all.extend(table.read(&files, &plan, usize::MAX));
    assert_eq!(all.len(), 1010);
    assert!(table.file(1).0.at_end);
}

#[test]
fn an_unfinished_source_that_is_gone_stops_by_name() {
    let files = Files::with(&[
        ("/logs/a.log", &lines("a", 0..1000)),
        ("/logs/z.log", b"z\n"),
    ]);
    let (table, _) = after(&files, "/logs/a.log", 10);
    files.overwrite("/logs/a.log", &lines("b", 0..10));
    for given in ["/logs/a.log", "/logs", "/logs/*.log"] {
        let error = table.plan(&files, &[given]).unwrap_err();
        assert!(
            matches!(error, SourceError::Lost { source_id: 1, .. }),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::Stop);
        let message = error.to_string();
        assert!(message.contains("/logs/a.log"), "{message}");
        assert!(
            message.contains("offsets set DATASET --source 1 --forget"),
            "{message}"
        );
    }
    files.remove("/logs/a.log");
    let error = table.plan(&files, &["/logs"]).unwrap_err();
    assert!(matches!(error, SourceError::Lost { .. }), "{error}");
    // What is not asked for stops nothing.
    assert_eq!(table.plan(&files, &["/logs/z.log"]).unwrap().read.len(), 1);
}

#[test]
fn a_file_cut_or_edited_below_the_position_stops_by_name() {
    let content = lines("a", 0..1000);
    let mut edited = content.clone();
    let last = edited.len() - 3;
    edited[last] = b'#';
    for changed in [&content[..8000], &edited] {
        let files = Files::with(&[("/a.log", &content)]);
        let (table, _) = after(&files, "/a.log", usize::MAX);
        files.overwrite("/a.log", changed);
        let error = table.plan(&files, &["/a.log"]).unwrap_err();
        assert!(matches!(error, SourceError::Altered { .. }), "{error}");
        assert_eq!(error.remedy().exit_code(), 3);
        // Rotation of files with one header: the one that was read is beside it.
        files.create("/a.log.1", &content);
        let plan = table.plan(&files, &["/a.log"]).unwrap();
        // What is shorter is a copy of the other, what is different is a new source.
        assert_eq!(plan.read.len() + plan.copies.len(), 1);
        assert!(
            plan.read
                .iter()
                .all(|file| file.is_new && !file.found_by_content)
        );
    }
}

#[test]
fn as_new_source_reads_all_again_and_goes_on_after_a_stop() {
    let content = lines("a", 0..1000);
    let files = Files::with(&[("/a.log", &content)]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    let given = expansion(&files, &["/a.log"]).unwrap();
    let plan = identify_files(&given, table.known(), u64::MAX - 1, &files).unwrap();
    assert_eq!((plan.read[0].info.id, plan.read[0].start), (2, 0));
    let mut again = table.read(&files, &plan, 10);
    // Stopped in the middle: without the flag the new source is the one to finish.
    again.extend(table.run(&files, &["/a.log"]).unwrap());
    assert_eq!(texts(&again), texts(&rows(&content, small())));
    assert!(again.iter().all(|row| row.0 == 2));
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    assert!(plan.read.is_empty());
}

#[test]
fn as_new_source_decides_about_a_source_that_is_gone() {
    let files = Files::with(&[("/a.log", &lines("a", 0..1000))]);
    let (mut table, _) = after(&files, "/a.log", 10);
    files.overwrite("/a.log", &lines("b", 0..10));
    table.plan(&files, &["/a.log"]).unwrap_err();
    let given = expansion(&files, &["/a.log"]).unwrap();
    let plan = identify_files(&given, table.known(), u64::MAX - 1, &files).unwrap();
    assert_eq!(plan.given_up.len(), 1);
    assert_eq!(table.read(&files, &plan, usize::MAX).len(), 10);
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    assert_eq!(plan.already_read.len(), 1);
}

#[test]
fn as_new_source_decides_about_a_file_that_was_altered() {
    let content = lines("a", 0..1000);
    let files = Files::with(&[("/a.log", &content)]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    files.overwrite("/a.log", &[&content[..8000], b"other\n"].concat());
    table.plan(&files, &["/a.log"]).unwrap_err();
    let given = expansion(&files, &["/a.log"]).unwrap();
    let plan = identify_files(&given, table.known(), u64::MAX - 1, &files).unwrap();
    // Also when it is stopped in the middle.
    table.read(&files, &plan, 3);
    let plan = table.plan(&files, &["/a.log"]).unwrap();
    assert_eq!(plan.read[0].info.id, 2);
    table.read(&files, &plan, usize::MAX);
    assert!(table.plan(&files, &["/a.log"]).unwrap().read.is_empty());
}

/// The new file's first records are committed, the rest of the rotated one's not yet, and it is rotated once more.
#[test]
fn a_rotated_source_is_looked_for_even_if_its_path_has_a_new_one() {
    let files = Files::with(&[("/logs/a.log", &lines("a", 0..1000))]);
    let (mut table, mut all) = after(&files, "/logs/a.log", 10);
    files.rename("/logs/a.log", "/logs/a.log.1");
    files.create("/logs/a.log", &lines("b", 0..10));
    let mut plan = table.plan(&files, &["/logs/a.log"]).unwrap();
    plan.read.truncate(1);
    all.extend(table.read(&files, &plan, usize::MAX));
    files.rename("/logs/a.log.1", "/logs/a.log.2");
    all.extend(table.run(&files, &["/logs/a.log"]).unwrap());
    assert_eq!(all.len(), 1010);
    // Had it gone, nothing would have passed over it in silence.
    let SourceIdentity::File(identity) = &mut table.sources.get_mut(&1).unwrap().identity else {
        panic!()
    };
    identity.at_end = false;
    files.remove("/logs/a.log.2");
    let plan = table.plan(&files, &["/logs"]);
    assert!(matches!(plan, Err(SourceError::Lost { source_id: 1, .. })));
}

/// It was read to its end, grew, and was rotated before anybody looked again.
#[test]
fn what_a_replaced_file_grew_by_is_read_though_its_new_name_was_not_given() {
    for way in ["rename", "copy"] {
        let content = lines("a", 0..100);
        let files = Files::with(&[("/logs/a.log", &content)]);
        let (mut table, _) = after(&files, "/logs/a.log", usize::MAX);
        files.append("/logs/a.log", &lines("a", 100..110));
        if way == "rename" {
            files.rename("/logs/a.log", "/logs/a.log.1");
        } else {
            files.create("/logs/a.log.1", &[content, lines("a", 100..110)].concat());
        }
        files.create("/logs/a.log", &lines("b", 0..5));
        let found = table.run(&files, &["/logs/a.log"]).unwrap();
        assert_eq!(found.len(), 15, "{way}");
        assert!(
            table
                .plan(&files, &["/logs/a.log"])
                .unwrap()
                .read
                .is_empty()
        );
        // One that had not grown is passed over, and one that is gone was read.
        files.remove("/logs/a.log.1");
        files.create("/logs/a.log", &lines("c", 0..5));
        let found = table.run(&files, &["/logs/a.log"]).unwrap();
        assert_eq!(found.len(), 5, "{way}");
    }
}

#[test]
fn a_source_without_a_read_byte_is_found_by_head_or_path() {
    let files = Files::with(&[("/a.log", &lines("a", 0..100)), ("/b.log", b"b1\n")]);
    let mut table = Table::default();
    let plan = table.plan(&files, &["/"]).unwrap();
    for file in &plan.read {
        let identity = SourceIdentity::File(file.identity.clone());
        let state = SourceState {
            identity,
            position: 0,
            commit: Uuid::nil(),
        };
        table.sources.insert(file.info.id, state);
    }
    table.sources_version = 2;
    files.rename("/a.log", "/c.log");
    files.overwrite("/b.log", b"other\n");
    let plan = table.plan(&files, &["/"]).unwrap();
    let ids = plan
        .read
        .iter()
        .map(|file| (file.info.id, file.is_new, file.start));
    assert_eq!(ids.collect::<Vec<_>>(), [(2, false, 0), (1, false, 0)]);
    assert_eq!(table.read(&files, &plan, usize::MAX).len(), 101);
}

#[test]
fn a_position_set_by_hand_is_found_again() {
    let content = lines("a", 0..1000);
    let files = Files::with(&[("/a.log", &content)]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    for position in [0, 9, 90, 4096, content.len() as u64] {
        let path = Path::new("/a.log");
        let identity = identity_at(&files, path, position).unwrap().unwrap();
        assert_eq!(identity.at_end, position == content.len() as u64);
        let state = table.sources.get_mut(&1).unwrap();
        *state = SourceState {
            identity: SourceIdentity::File(identity),
            position,
            commit: Uuid::nil(),
        };
        let plan = table.plan(&files, &["/a.log"]).unwrap();
        let starts: Vec<_> = plan
            .read
            .iter()
            .map(|file| (file.info.id, file.start))
            .collect();
        let expected = if position == content.len() as u64 {
            vec![]
        } else {
            vec![(1, position)]
        };
        assert_eq!(starts, expected);
        let mut resumed = table.clone();
        let rows = resumed.read(&files, &plan, usize::MAX);
        assert_eq!(
            rows.len() as u64,
            content[position as usize..].split(|b| *b == b'\n').count() as u64 - 1
        );
    }
    assert!(
        identity_at(&files, Path::new("/a.log"), 1 << 40)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_file_that_went_away_while_it_was_looked_for_is_no_mistake_of_the_user() {
    let files = Files::with(&[("/logs/a.log", b"a\n"), ("/logs/b.log", b"b\n")]);
    let given = expansion(&files, &["/logs"]).unwrap();
    files.rename("/logs/b.log", "/logs/b.log.1");
    let error = identify_files(&given, Table::default().known(), 0, &files).unwrap_err();
    assert!(matches!(error, SourceError::Gone { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let files = Files::with(&[("/logs/a.log", b"a\n"), ("/logs/b.log", b"b\n")]);
    let given = expansion(&files, &["/logs"]).unwrap();
    files.deny("/logs/b.log");
    let error = identify_files(&given, Table::default().known(), 0, &files).unwrap_err();
    assert!(
        error.to_string().contains("/logs/b.log: permission denied"),
        "{error}"
    );
}

/// A run that takes all as new sources goes on with those that it began itself, after a fence.
#[test]
fn only_sources_before_the_run_are_passed_over() {
    let files = Files::with(&[
        ("/a.log", &lines("a", 0..1000)),
        ("/b.log", &lines("b", 0..10)),
    ]);
    let (mut table, _) = after(&files, "/a.log", usize::MAX);
    let given = expansion(&files, &["/a.log", "/b.log"]).unwrap();
    let before = table.known().sources_version;
    let plan = identify_files(&given, table.known(), before, &files).unwrap();
    let mut again = table.read(&files, &plan, 3);
    let plan = identify_files(&given, table.known(), before, &files).unwrap();
    again.extend(table.read(&files, &plan, usize::MAX));
    assert_eq!(again.len(), 1010);
    let plan = identify_files(&given, table.known(), before, &files).unwrap();
    assert!(plan.read.is_empty());
}
