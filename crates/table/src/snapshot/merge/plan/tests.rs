use iceberg::spec::ManifestContentType;
use proptest::prelude::*;

use super::*;

fn manifest(spec: i32, entries: u64, bytes: u64) -> ManifestFile {
    ManifestFile {
        manifest_path: String::new(),
        manifest_length: bytes as i64,
        partition_spec_id: spec,
        content: ManifestContentType::Data,
        sequence_number: 1,
        min_sequence_number: 1,
        added_snapshot_id: 1,
        added_files_count: Some(entries as u32),
        existing_files_count: Some(0),
        deleted_files_count: Some(0),
        added_rows_count: Some(1),
        existing_rows_count: Some(0),
        deleted_rows_count: Some(0),
        partitions: None,
        key_metadata: None,
        first_row_id: None,
    }
}

const NOTHING: [usize; 0] = [];

fn policy(target_bytes: u64, min_count: usize) -> Policy {
    Policy {
        enabled: true,
        target_bytes,
        min_count,
    }
}

#[test]
fn the_oldest_of_the_highest_class_that_is_due_are_merged() {
    // Entries of the manifests, newest first, of ten bytes each; the target is 1,000 bytes.
    let cases: [(usize, &[u64], &[usize]); 9] = [
        (3, &[1], &[]),
        // With the new one there are three, but two of a class do not make a merge of three.
        (3, &[1, 1], &[]),
        (3, &[1, 1, 1, 1], &[1, 2, 3]),
        // The class of three to eight has enough, that of one and two has not.
        (3, &[1, 1, 3, 5, 8, 3], &[3, 4, 5]),
        (3, &[1, 1, 1, 2, 5, 8, 3, 4], &[5, 6, 7]),
        // Three of forty are more than the target.
        (3, &[1, 40, 40, 40], &[2, 3]),
        // Full ones are nobody's, and do not count.
        (3, &[51, 51, 51, 51], &[]),
        (3, &[1, 51, 1, 51, 1], &[0, 2, 4]),
        (9, &[1; 8], &[0, 1, 2, 3, 4, 5, 6, 7]),
    ];
    for (min_count, entries, expected) in cases {
        let existing: Vec<_> = entries.iter().map(|n| manifest(0, *n, n * 10)).collect();
        let added = [manifest(0, 1, 10)];
        let policy = policy(1_000, min_count);
        assert_eq!(plan(&existing, &added, &policy), expected, "{entries:?}");
    }
}

#[test]
fn nothing_is_merged_below_the_count_or_where_it_is_turned_off() {
    let existing = vec![manifest(0, 1, 10); 98];
    let added = [manifest(0, 1, 10)];
    let mut policy = policy(1_000_000, 100);
    assert_eq!(plan(&existing, &added, &policy), NOTHING);
    let added = [manifest(0, 1, 10), manifest(0, 1, 10)];
    assert_eq!(
        plan(&existing, &added, &policy),
        [90, 91, 92, 93, 94, 95, 96, 97]
    );
    policy.enabled = false;
    assert_eq!(plan(&existing, &added, &policy), NOTHING);
}

#[test]
fn each_spec_counts_for_itself() {
    let existing: Vec<_> = (0..12).map(|n| manifest(n % 3, 1, 10)).collect();
    let added = [manifest(2, 1, 10)];
    assert_eq!(plan(&existing, &added, &policy(1_000, 5)), NOTHING);
    let existing: Vec<_> = (0..13).map(|n| manifest(n % 3, 1, 10)).collect();
    let added = [manifest(0, 1, 10)];
    assert_eq!(plan(&existing, &added, &policy(1_000, 5)), [0, 3, 6, 9, 12]);
}

/// A table whose commits each add one manifest, as far as merging sees it.
#[derive(Default)]
struct Table {
    /// Newest first.
    manifests: Vec<ManifestFile>,
    /// The entries of each, by the number of the commit that added them, with how often each was copied.
    entries: Vec<Vec<(usize, u32)>>,
}

impl Table {
    /// Adds a manifest, merges what is due, and gives the number merged.
    fn commit(&mut self, number: usize, added: ManifestFile, policy: &Policy) -> usize {
        let places = plan(&self.manifests, std::slice::from_ref(&added), policy);
        if let Some(first) = places.first() {
            self.check(&places, policy);
            let sum = |of: fn(&ManifestFile) -> u64| -> u64 {
                places.iter().map(|place| of(&self.manifests[*place])).sum()
            };
            let merged = manifest(
                self.manifests[*first].partition_spec_id,
                sum(|m| u64::from(m.added_files_count.unwrap_or(0))),
                sum(length),
            );
            let mut carried = Vec::new();
            for place in places.iter().rev() {
                self.manifests.remove(*place);
                carried.extend(self.entries.remove(*place));
            }
            for (_, copies) in &mut carried {
                *copies += 1;
            }
            self.manifests.insert(*first, merged);
            self.entries.insert(*first, carried);
        }
        self.manifests.insert(0, added);
        self.entries.insert(0, vec![(number, 0)]);
        places.len()
    }

    fn check(&self, places: &[usize], policy: &Policy) {
        assert!((2..=MERGED_MANIFESTS_MAX).contains(&places.len()));
        assert!(places.is_sorted_by(|a, b| a < b));
        let of = |place: &usize| &self.manifests[*place];
        let bytes: u64 = places.iter().map(|place| length(of(place))).sum();
        assert!(bytes <= policy.target_bytes);
        let spec = of(&places[0]).partition_spec_id;
        assert!(places.iter().all(|p| of(p).partition_spec_id == spec));
        assert!(
            places
                .iter()
                .all(|p| length(of(p)) <= policy.target_bytes / 2)
        );
    }

    fn not_full(&self, spec: i32, policy: &Policy) -> usize {
        let small = |m: &&ManifestFile| length(m) <= policy.target_bytes / 2;
        let of_spec = self
            .manifests
            .iter()
            .filter(|m| m.partition_spec_id == spec);
        of_spec.filter(small).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However commits come, each merges a little, the list stays short, and each entry is there once.
    #[test]
    fn merging_keeps_up_with_any_growth(
        commits in prop::collection::vec((0..2_i32, 1..200_u64, 20..400_u64), 1..1_500),
        min_count in 0..120_usize,
        target_bytes in 1..(1_u64 << 20),
    ) {
        let policy = policy(target_bytes, min_count);
        let mut table = Table::default();
        let mut bytes = 0;
        // The classes that manifests of up to half the target can be in, each short of a merge.
        let classes = (target_bytes / 20).max(1).ilog(policy.fan_in() as u64) as usize + 1;
        let most = min_count.max(classes * (policy.fan_in() - 1) + 1);
        for (number, (spec, entries, entry_bytes)) in commits.iter().enumerate() {
            let added = manifest(*spec, *entries, entries * entry_bytes);
            bytes += length(&added);
            table.commit(number, added, &policy);
            for spec in 0..2 {
                prop_assert!(table.not_full(spec, &policy) <= most);
            }
        }
        let full = table.manifests.len() - table.not_full(0, &policy) - table.not_full(1, &policy);
        prop_assert!(full as u64 <= 2 * bytes / target_bytes + 1);
        let mut entries: Vec<_> = table.entries.concat();
        let copies = entries.iter().map(|(_, copies)| *copies).max().unwrap_or(0);
        prop_assert!(copies as usize <= classes, "{copies} copies, {classes} classes");
        entries.sort_unstable();
        let numbers: Vec<_> = entries.iter().map(|(number, _)| *number).collect();
        prop_assert_eq!(numbers, (0..commits.len()).collect::<Vec<_>>());
    }
}

#[test]
fn what_others_left_is_worked_off_a_little_at_a_time() {
    let policy = policy(MERGED_BYTES_MAX, 100);
    let mut table = Table {
        manifests: vec![manifest(0, 1, 5_000); 5_000],
        entries: vec![vec![(0, 0)]; 5_000],
    };
    for number in 1..=1_000 {
        table.commit(number, manifest(0, 1, 5_000), &policy);
    }
    let not_full = table.not_full(0, &policy);
    assert!(not_full <= 100, "{not_full}");
}

#[test]
fn a_million_files_need_few_manifests() {
    let policy = policy(MERGED_BYTES_MAX, 100);
    let mut table = Table::default();
    let merges = (0..10_000)
        .filter(|number| table.commit(*number, manifest(0, 100, 23_000), &policy) > 0)
        .count();
    assert!(table.manifests.len() < 300, "{}", table.manifests.len());
    // Not in bursts: one commit of seven.
    assert!((1_300..1_500).contains(&merges), "{merges}");
}
