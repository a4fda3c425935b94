//! `item.json` of products. Describing a ready one takes PROJ and thus milliseconds, so it is kept.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use lru::LruCache;

use crate::catalog::{Product, item_document};
use crate::store::layout::EntryKey;

use super::Vfs;
use super::error::VfsError;
use super::tree::entry_key;
use super::views::Purpose;

/// Documents kept; some kilobytes each.
const KEPT: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

/// Documents of ready products.
#[derive(Debug)]
pub(super) struct Items {
    kept: Mutex<LruCache<EntryKey, Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// Publication of the entry it describes.
    generation: u64,
    /// Catalogue it was made from.
    serial: u64,
    bytes: Arc<[u8]>,
}

impl Default for Items {
    fn default() -> Self {
        Self { kept: Mutex::new(LruCache::new(KEPT)) }
    }
}

impl Vfs {
    /// `item.json` as it is now.
    ///
    /// # Errors
    /// [`VfsError::Local`] when the entry cannot be looked into now.
    pub(super) fn item(&self, product: Product<'_>) -> Result<Arc<[u8]>, VfsError> {
        let key = entry_key(product);
        let Some((view, lease)) = self.views.get(product, Purpose::Look)? else {
            return Ok(item_document(product, None).into());
        };
        let serial = self.serial_of(product);
        if let Some(bytes) = self.kept_item(&key, lease.generation(), serial) {
            return Ok(bytes);
        }
        let bytes: Arc<[u8]> = item_document(product, Some(view.meta())).into();
        if let Some(serial) = serial {
            let kept = Kept { generation: lease.generation(), serial, bytes: Arc::clone(&bytes) };
            self.kept_items().put(key, kept);
        }
        Ok(bytes)
    }

    /// The serial of the present catalogue, if that is the product's: who asks may still hold the one before.
    fn serial_of(&self, product: Product<'_>) -> Option<u64> {
        let shown = self.shown();
        let present = shown.catalog.dataset(product.dataset().name().as_str())?;
        std::ptr::eq(present, product.dataset()).then_some(shown.serial)
    }

    /// Length of `item.json` for a listing, which must not wait for PROJ: of the full description once it has been
    /// made, of the short one until then. Whoever opens the file sees the length of what it reads.
    pub(super) fn item_length(&self, product: Product<'_>) -> usize {
        let key = entry_key(product);
        let lease = self.engine.inventory().peek(&key);
        let full = lease.and_then(|lease| self.kept_item(&key, lease.generation(), self.serial_of(product)));
        full.map_or_else(|| product.cold_item_size(), |bytes| bytes.len())
    }

    fn kept_item(&self, key: &EntryKey, generation: u64, serial: Option<u64>) -> Option<Arc<[u8]>> {
        let mut kept = self.kept_items();
        let found = kept.get(key).filter(|kept| kept.generation == generation && Some(kept.serial) == serial);
        found.map(|kept| Arc::clone(&kept.bytes))
    }

    fn kept_items(&self) -> std::sync::MutexGuard<'_, LruCache<EntryKey, Kept>> {
        self.items.kept.lock().expect("no code panics while it holds the items")
    }

    /// Prepares what a product that has just become ready will be asked for: its view and its description.
    pub fn warm(&self, path: &str) {
        let catalog = self.catalog();
        if let Some(product) = catalog.find(path)
            && let Err(error) = self.item(product)
        {
            tracing::warn!(path, %error, "a product that has just become ready cannot be described");
        }
    }
}
