//! Catalogs: open, list, load, what a commit needs, and the storage of their tables.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use frazil_dataset::{Connection, TableName};
use frazil_service::{
    clock::{Clock as _, SystemClock},
    settings::{ResolvedCatalog, Settings},
};
use frazil_table::{
    catalog::{Catalog, LoadedTable},
    storage::Storage,
};

use super::{
    check::{Check, Checks},
    storage::{self, Place},
};
use crate::cli::{Context, exit::Exit, output::counted, target};

/// Clocks that differ by more than this are told.
const SKEW_MAX_MS: u64 = 10_000;

/// File systems that a file's locks may not work on, by how Linux names them; FUSE's begin with `fuse.`.
const NETWORK_FILE_SYSTEMS: [&str; 10] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "glusterfs",
    "afs",
];

/// All checks of one catalog.
pub(super) async fn look(
    context: &Context,
    settings: &Settings,
    name: Option<String>,
    tables: BTreeSet<TableName>,
    limit: Duration,
) -> Vec<Check> {
    let mut checks = Checks::new(limit);
    let of = name
        .as_deref()
        .map_or_else(|| "catalog".to_owned(), |name| format!("catalogs.{name}"));
    let resolved = match settings.catalog(name.as_deref()) {
        Ok(resolved) => resolved,
        Err(error) => {
            checks.now::<()>("catalog-open", &of, || Err(error.into()));
            return checks.made;
        }
    };
    let opened = checks.wait("catalog-open", &of, async {
        let catalog = context.catalog(name.as_deref()).await?;
        let told = catalog.describe();
        Ok((catalog, told))
    });
    let table = match opened.await {
        Some(catalog) => reached(&mut checks, &resolved, catalog.as_ref(), tables).await,
        None => None,
    };
    storage::look(&mut checks, place(settings, &resolved, table.as_ref())).await;
    checks.made
}

/// What an opened catalog lets us do. Gives one of the tables.
async fn reached(
    checks: &mut Checks,
    resolved: &ResolvedCatalog,
    catalog: &dyn Catalog,
    tables: BTreeSet<TableName>,
) -> Option<LoadedTable> {
    let of = catalog.describe();
    let listed = checks.wait("catalog-list", &of, async {
        let names = catalog.list().await.context("list the tables")?;
        Ok(((), counted(names.len() as u64, "table")))
    });
    // Who does not answer is not asked again; who may not list may load all the same.
    if listed.await.is_none() && checks.last_exit() == Exit::Failed {
        return None;
    }
    let mut first = None;
    for name in tables {
        let shown = name.to_string();
        let loaded = checks.wait("table-load", &shown, load(catalog, &name));
        if let Some(table) = loaded.await.flatten() {
            is_of_the_past(&table, checks);
            first.get_or_insert(table);
        }
    }
    commit(checks, resolved, catalog, &of, first.as_ref()).await;
    first
}

async fn load(
    catalog: &dyn Catalog,
    name: &TableName,
) -> anyhow::Result<(Option<LoadedTable>, String)> {
    let table = catalog.load(name).await.context("load it")?;
    let told = match &table {
        Some(table) => format!(
            "there, with {}",
            counted(table.metadata.snapshots().len() as u64, "snapshot")
        ),
        None => "not there yet; `frazil write` makes it".to_owned(),
    };
    Ok((table, told))
}

/// What a commit needs: rights, and what keeps writers apart.
async fn commit(
    checks: &mut Checks,
    resolved: &ResolvedCatalog,
    catalog: &dyn Catalog,
    of: &str,
    table: Option<&LoadedTable>,
) {
    if let Connection::Sqlite(file) = &resolved.connection {
        if !Path::new(&file.path).exists() {
            return;
        }
        locks(checks, &file.path);
    }
    let rehearsed = checks.wait("catalog-commit", of, async {
        let rehearsal = catalog.rehearse(table).await.context("commit")?;
        let told = rehearsal.shown.join("; ");
        Ok((rehearsal, told))
    });
    let Some(rehearsal) = rehearsed.await else {
        return;
    };
    if rehearsal.shown.is_empty() {
        checks.made.pop();
        let next = "look again once a dataset was written";
        checks.warn(
            "catalog-commit",
            of,
            "whether it lets us commit shows only with a table",
            next,
        );
    }
    for warning in rehearsal.warnings {
        checks.warn("catalog-commit", of, warning, "see docs/catalogs.md");
    }
    if let Some(clock_ms) = rehearsal.clock_ms {
        let now_ms = SystemClock.now_millis();
        clocks(checks, of, now_ms, now_ms, clock_ms);
    }
}

/// Tells where another's clock was between two looks at ours, if it was not there.
pub(super) fn clocks(checks: &mut Checks, of: &str, before_ms: i64, after_ms: i64, theirs_ms: i64) {
    let apart = match theirs_ms {
        early if early < before_ms => before_ms.abs_diff(early),
        late => after_ms.abs_diff(late.max(after_ms)),
    };
    if apart > SKEW_MAX_MS {
        let told = format!("its clock and this machine's are {} s apart", apart / 1_000);
        let next = "set both by NTP: storages refuse signatures of another time, and times in metadata mislead people";
        checks.warn("clock", of, told, next);
    } else {
        let told = format!(
            "its clock is this machine's, within {} s",
            SKEW_MAX_MS / 1_000
        );
        checks.now("clock", of, || Ok(((), told)));
    }
}

/// A last snapshot of the future was made by a clock that goes before ours.
fn is_of_the_past(table: &LoadedTable, checks: &mut Checks) {
    let snapshot = table.metadata.current_snapshot();
    let made_ms = snapshot.map_or(0, |snapshot| snapshot.timestamp_ms());
    let ahead = made_ms.saturating_sub(SystemClock.now_millis());
    if ahead > SKEW_MAX_MS as i64 {
        let told = format!(
            "its last snapshot is of {} s from now: a writer's clock is ahead, or this machine's behind",
            ahead / 1_000
        );
        checks.warn(
            "clock",
            &table.name.to_string(),
            told,
            "set the clocks of all writers by NTP",
        );
    }
}

/// SQLite keeps writers apart by the file's locks.
fn locks(checks: &mut Checks, path: &str) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Some(kind) = file_system(&mounts, Path::new(path)) else {
        return;
    };
    let is_network = NETWORK_FILE_SYSTEMS.contains(&kind) || kind.starts_with("fuse.");
    if is_network {
        let told = format!(
            "the file is on a network file system ({kind}), whose locks may not keep writers on other machines apart"
        );
        let next = "keep it on a local disk, or name a PostgreSQL, Hive or REST catalog where several machines write";
        checks.warn("locking", path, told, next);
    } else {
        let told = format!("the file's locks keep this machine's writers apart ({kind})");
        checks.now("locking", path, || Ok(((), told)));
    }
}

/// The kind of the file system that a path is on, by Linux's list of mounts.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&point)
            .then_some((point.len(), after.split(' ').next()?))
    };
    let mounts = mounts.lines().filter_map(mount);
    // Of several at one place the last one is seen.
    mounts
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

/// Where the catalog's tables lie. Some servers give storages by the table only.
fn place(
    settings: &Settings,
    resolved: &ResolvedCatalog,
    table: Option<&LoadedTable>,
) -> Option<Place> {
    let by_table = |table: &LoadedTable| Place {
        storage: Arc::clone(&table.storage),
        folder: table.metadata.location().trim_end_matches('/').to_owned(),
    };
    let is_rest = matches!(resolved.connection, Connection::Rest(_));
    let warehouse = resolved
        .warehouse
        .as_ref()
        .filter(|one| one.contains("://"));
    match (table, warehouse) {
        (Some(table), _) if is_rest => Some(by_table(table)),
        (_, Some(warehouse)) => Some(Place {
            storage: Arc::new(target::storages(&settings.deployment.storage)) as Arc<dyn Storage>,
            folder: warehouse.trim_end_matches('/').to_owned(),
        }),
        (Some(table), None) => Some(by_table(table)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_on_the_mount_nearest_above_it() {
        let mounts = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            30 21 0:40 / /data rw shared:5 - nfs4 server:/export rw\n\
            31 21 0:41 / /data/a\\040b rw - tmpfs tmpfs rw\n";
        for (path, kind) in [
            ("/x/catalog.db", "ext4"),
            ("/data/catalog.db", "nfs4"),
            ("/data/a b/catalog.db", "tmpfs"),
            ("/database/catalog.db", "ext4"),
        ] {
            assert_eq!(file_system(mounts, Path::new(path)), Some(kind), "{path}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let mut checks = Checks::new(Duration::from_secs(1));
        for theirs in [95_000, 100_500, 110_000, 89_000, 112_000] {
            clocks(&mut checks, "it", 100_000, 101_000, theirs);
        }
        let told: Vec<_> = checks
            .made
            .iter()
            .map(|check| check.json()["status"].clone())
            .collect();
        assert_eq!(told, ["ok", "ok", "ok", "warning", "warning"]);
    }
}
