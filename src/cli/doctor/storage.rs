//! Storages: a small file of our own is written, read, listed and deleted.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use frazil_service::clock::{Clock as _, Ids as _, RandomIds, SystemClock};
use frazil_table::storage::Storage;

use super::{catalog::clocks, check::Checks};
use crate::cli::exit::Failure;

const CONTENT: &[u8] = b"frazil doctor writes, reads and deletes this file\n";

/// Where files are written.
pub(super) struct Place {
    pub(super) storage: Arc<dyn Storage>,
    /// A URI without a slash at its end.
    pub(super) folder: String,
}

/// Tries what a writer does to files. `place` is None where only a table could tell it.
pub(super) async fn look(checks: &mut Checks, place: Option<Place>) {
    let Some(Place { storage, folder }) = place else {
        let told = "the catalog gives storage by the table only, and there is none yet";
        checks.warn(
            "storage-write",
            "warehouse",
            told,
            "look again once a dataset was written",
        );
        return;
    };
    let within = match folder.strip_prefix("file://") {
        Some(path) => format!("file://{}", there(Path::new(path)).display()),
        None => folder.clone(),
    };
    let own = format!(
        "{}/.frazil-doctor-{}",
        within.trim_end_matches('/'),
        RandomIds.uuid()
    );
    let file = format!("{own}/probe");
    let before_ms = SystemClock.now_millis();
    let written = checks.wait("storage-write", &folder, async {
        storage.write(&file, Bytes::from_static(CONTENT)).await?;
        let told = if within == folder {
            "a file was written".to_owned()
        } else {
            format!("a file was written in {within}: the warehouse is made by its first table")
        };
        Ok(((), told))
    });
    if written.await.is_none() {
        // A write that failed may have left something all the same.
        let _ = storage.delete(&file).await;
        remove_folder(storage.as_ref(), &own).await;
        return;
    }
    let after_ms = SystemClock.now_millis();
    let read = checks.wait("storage-read", &folder, async {
        let content = storage.read(&file).await?;
        if content != CONTENT {
            return Err(Failure::failed(format!("read {file}: it holds something else")).into());
        }
        Ok(((), "it holds what was written".to_owned()))
    });
    read.await;
    let listed = checks.wait("storage-list", &folder, async {
        let files = storage.list(&format!("{own}/")).await?;
        if !files.iter().any(|one| one.path.ends_with("/probe")) {
            return Err(Failure::failed(format!("list {own}/: the file is not there")).into());
        }
        Ok(((), "it is listed".to_owned()))
    });
    listed.await;
    if let Ok(Some(stat)) = storage.stat(&file).await
        && let Some(modified_ms) = stat.modified_ms
    {
        clocks(checks, &folder, before_ms, after_ms, modified_ms);
    }
    let deleted = checks.wait("storage-delete", &folder, async {
        let deleted = storage.delete(&file).await;
        deleted.with_context(|| format!("remove the file, which is left at {file}"))?;
        Ok(((), "it was deleted".to_owned()))
    });
    deleted.await;
    remove_folder(storage.as_ref(), &own).await;
}

/// The nearest folder that is there: a warehouse is made by its first table.
fn there(folder: &Path) -> &Path {
    let there = folder.ancestors().find(|one| one.is_dir());
    there.unwrap_or(folder)
}

/// Takes the empty folder away, where the storage has folders.
async fn remove_folder(storage: &dyn Storage, folder: &str) {
    // What is left is an empty folder whose name says whose it is.
    if let Some(path) = folder.strip_prefix("file://") {
        let _ = std::fs::remove_dir(path);
    } else if folder.starts_with("hdfs:") || folder.starts_with("viewfs:") {
        let _ = storage.delete(folder).await;
    }
}
