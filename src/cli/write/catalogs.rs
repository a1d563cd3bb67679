//! The catalogs that the datasets of a process share: hundreds of datasets make a few connections, and get one token.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Context as _;
use frazil_dataset::StorageSettings;
use frazil_service::settings::ResolvedCatalog;
use frazil_table::catalog::Catalog;
use tokio::sync::Semaphore;

use crate::cli::target;

/// How many datasets may be opening one catalog at a time: those behind them find it open, and where it does not answer
/// they do not all ask at once.
const OPENING_MAX: usize = 4;

/// Catalogs by the settings that they were opened with. Each is held by those who use it, and closed with the last.
#[derive(Debug, Default)]
pub(super) struct Catalogs {
    entries: Mutex<Vec<Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    resolved: ResolvedCatalog,
    storage: StorageSettings,
    opening: Semaphore,
    open: Mutex<Option<Weak<dyn Catalog>>>,
}

impl Entry {
    fn living(&self) -> Option<Arc<dyn Catalog>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref()?.upgrade()
    }
}

impl Catalogs {
    /// The catalog of these settings, opened unless another dataset has it open.
    pub(super) async fn open(
        &self,
        resolved: &ResolvedCatalog,
        storage: &StorageSettings,
    ) -> anyhow::Result<Arc<dyn Catalog>> {
        let entry = self.entry(resolved, storage);
        if let Some(catalog) = entry.living() {
            return Ok(catalog);
        }
        let _place = entry.opening.acquire().await.context("open the catalog")?;
        if let Some(catalog) = entry.living() {
            return Ok(catalog);
        }
        let catalog = target::open_catalog(resolved, storage).await?;
        *entry.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(&catalog));
        Ok(catalog)
    }

    fn entry(&self, resolved: &ResolvedCatalog, storage: &StorageSettings) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries
            .iter()
            .find(|entry| entry.resolved == *resolved && entry.storage == *storage);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        // Of settings that changed since, nobody is left to ask for the old ones.
        entries.retain(|entry| Arc::strong_count(entry) > 1 || entry.living().is_some());
        let entry = Arc::new(Entry {
            resolved: resolved.clone(),
            storage: storage.clone(),
            opening: Semaphore::new(OPENING_MAX),
            open: Mutex::new(None),
        });
        entries.push(Arc::clone(&entry));
        entry
    }
}

#[cfg(test)]
mod tests {
    use frazil_service::settings::Settings;

    use super::*;

    #[tokio::test]
    async fn datasets_with_the_same_settings_share_a_catalog_as_long_as_one_has_it() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let settings = folders
            .each_ref()
            .map(|folder| Settings::load(None, Some(folder.path())).unwrap());
        let [one, other] = settings;
        let resolved = [&one, &other].map(|settings| settings.catalog(None).unwrap());
        let catalogs = Catalogs::default();
        let storage = &one.deployment.storage;
        let (first, second) = tokio::join!(
            catalogs.open(&resolved[0], storage),
            catalogs.open(&resolved[0], storage)
        );
        let third = catalogs.open(&resolved[0], storage).await.unwrap();
        let elsewhere = catalogs.open(&resolved[1], storage).await.unwrap();
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(Arc::ptr_eq(&third, &first) || Arc::ptr_eq(&third, &second));
        assert!(!Arc::ptr_eq(&third, &elsewhere));
        drop((first, second, third));
        assert!(catalogs.entry(&resolved[0], storage).living().is_none());
        assert!(catalogs.entry(&resolved[1], storage).living().is_some());
    }
}
