//! Keeps the names that the ledger knows those of the catalogue: a product may get another one when a namesake comes or goes,
//! and what `cache ls` shows must lead to the entry that it is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{Catalog, Dataset};
use crate::store::layout::EntryKey;
use crate::vfs::Vfs;
use crate::vfs::tree::{entry_key, entry_key_prefix};

/// Keys of what is in the cache or being fetched, by which datasets are known that may hold some of it.
pub(super) struct Held(BTreeSet<String>);

impl Held {
    /// What is in use now.
    pub(super) fn by(vfs: &Vfs) -> Self {
        Self(vfs.engine().in_use().into_iter().map(String::from).collect())
    }

    /// False for datasets of which nothing is in use.
    pub(super) fn may_be_of(&self, dataset: &Dataset) -> bool {
        let prefix = entry_key_prefix(dataset);
        self.0.range(prefix.clone()..).next().is_some_and(|key| key.starts_with(&prefix))
    }

    /// The names that the catalogue has for them. Datasets whose records cannot be read keep the names that they had.
    fn names(&self, catalog: &Catalog) -> Vec<(EntryKey, String)> {
        let datasets = catalog.datasets().iter().filter(|dataset| self.may_be_of(dataset));
        let products = datasets.filter(|dataset| dataset.load().is_ok()).flat_map(Dataset::products);
        let named = products
            .map(|product| (entry_key(product), format!("{}/{}", product.dataset().name(), product.name())));
        named.filter(|(key, _)| self.0.contains(key.as_str())).collect()
    }
}

/// Writes the names of the present catalogue into the ledger.
pub(super) async fn note(vfs: &Arc<Vfs>) {
    let vfs = Arc::clone(vfs);
    let noted = tokio::task::spawn_blocking(move || {
        vfs.engine().ledger().note_names(&Held::by(&vfs).names(&vfs.catalog()))
    });
    if let Ok(Err(error)) = noted.await {
        tracing::warn!(%error, "names of products in the cache may be those of an earlier catalogue");
    }
}
