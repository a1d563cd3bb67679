//! Which manifests a commit merges. Pure.
//!
//! A manifest is *full* once it is longer than half the target. The others of a partition spec
//! are in classes of like numbers of entries (1 to 7, 8 to 63, 64 to 511, …). Once a spec has
//! `min_count` of them, a commit merges the oldest of the highest class that has enough: at most
//! [`MERGED_MANIFESTS_MAX`], of at most the target's bytes together. (The highest, so that the few
//! large merges come as often on a young table as on an old one.) Each merge makes a manifest of a
//! higher class or a full one, so
//!
//! - what one commit merges is bounded, however large the table is and whatever it looked like before;
//! - an entry is copied once for each class, until it lies in a full manifest;
//! - a spec has at most `min_count` manifests that are not full (or, where that is less, as many as
//!   keep every class short of a merge: the logarithm of the entries that a full one holds).

use std::{cmp::Reverse, collections::BTreeMap};

use iceberg::spec::{ManifestFile, TableMetadata};

/// Manifests that one commit merges into one. More make a commit wait longer for the storage;
/// fewer copy each entry more often.
pub(super) const MERGED_MANIFESTS_MAX: usize = 8;

/// Bytes of manifests that one commit merges, and so the length of a full one, where the table's
/// target is larger. More make the slowest commits slower; fewer make the manifest list, which
/// each commit writes anew, longer.
pub(super) const MERGED_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The table's settings for merging, with Iceberg's defaults. A value that is none counts as unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Whether to merge at all.
    pub(super) enabled: bool,
    /// What one commit merges at most, and so the longest manifest that it makes.
    pub(super) target_bytes: u64,
    /// Manifests of a spec, the new ones among them, from which on some are merged.
    pub(super) min_count: usize,
}

impl Policy {
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        let property = |key: &str| metadata.properties().get(key).map(String::as_str);
        Self {
            enabled: property("commit.manifest-merge.enabled") != Some("false"),
            target_bytes: property("commit.manifest.target-size-bytes")
                .and_then(|value| value.parse().ok())
                .filter(|bytes| *bytes > 0)
                .map_or(MERGED_BYTES_MAX, |bytes: u64| bytes.min(MERGED_BYTES_MAX)),
            min_count: property("commit.manifest.min-count-to-merge")
                .and_then(|value| value.parse().ok())
                .unwrap_or(100),
        }
    }

    /// How many of a class make a merge, and how much larger the next class is.
    fn fan_in(&self) -> usize {
        self.min_count.clamp(2, MERGED_MANIFESTS_MAX)
    }
}

/// The places of the manifests to merge into one, in the order of the list; none where nothing is
/// due. `existing` are lists of data files, newest first; `added` is what the commit adds to them.
pub(super) fn plan(
    existing: &[ManifestFile],
    added: &[ManifestFile],
    policy: &Policy,
) -> Vec<usize> {
    if !policy.enabled {
        return Vec::new();
    }
    let mut specs: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (place, manifest) in existing.iter().enumerate() {
        if length(manifest) <= policy.target_bytes / 2 {
            let spec = specs.entry(manifest.partition_spec_id).or_default();
            spec.push(place);
        }
    }
    // The spec that has most is next, so that none waits for ever.
    let mut specs: Vec<_> = specs.into_iter().collect();
    specs.sort_by_key(|(_, places)| Reverse(places.len()));
    let due = specs.into_iter().find_map(|(spec_id, places)| {
        let new = added.iter().filter(|m| m.partition_spec_id == spec_id);
        let is_enough = places.len() + new.count() >= policy.min_count;
        is_enough.then(|| highest_due(existing, &places, policy))?
    });
    due.unwrap_or_default()
}

/// What is due of one spec: the oldest of the highest class that is large enough.
fn highest_due(existing: &[ManifestFile], places: &[usize], policy: &Policy) -> Option<Vec<usize>> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for place in places {
        let class = class(&existing[*place], policy.fan_in());
        classes.entry(class).or_default().push(*place);
    }
    classes.into_values().rev().find_map(|members| {
        let mut run = Vec::new();
        let mut bytes = 0;
        for place in members.into_iter().rev() {
            bytes += length(&existing[place]);
            if bytes > policy.target_bytes {
                break;
            }
            run.push(place);
            if run.len() == policy.fan_in() {
                break;
            }
        }
        let is_due = run.len() == policy.fan_in() || bytes > policy.target_bytes;
        run.reverse();
        is_due.then_some(run)
    })
}

/// By how often manifests of one entry were merged to make it, had all merges been of `fan_in`.
fn class(manifest: &ManifestFile, fan_in: usize) -> u32 {
    let count = |of: Option<u32>| u64::from(of.unwrap_or(0));
    let entries = count(manifest.added_files_count) + count(manifest.existing_files_count);
    entries.max(1).ilog(fan_in as u64)
}

fn length(manifest: &ManifestFile) -> u64 {
    manifest.manifest_length.max(0).unsigned_abs()
}

#[cfg(test)]
mod tests;
