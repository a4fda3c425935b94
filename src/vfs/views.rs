//! Views of ready products, opened once and kept while they are in use.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use lru::LruCache;

use crate::catalog::Product;
use crate::fetch::engine::Engine;
use crate::store::inventory::Lease;
use crate::store::layout::EntryKey;
use crate::store::verify;
use crate::view::EntryView;

use super::error::VfsError;
use super::tree::entry_key;

/// Views kept open; each costs a few file descriptors and its documents.
const KEPT: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");

/// Views that can be opened at the same time; more wait for one of these.
const LANES: usize = 32;

/// Why a view is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To list or to describe: no use in the sense of "least recently used".
    Look,
    /// To read.
    Read,
}

/// The open views.
#[derive(Debug)]
pub struct Views {
    engine: Engine,
    /// With the publication each belongs to: an entry that was fetched again has another one.
    open: Mutex<LruCache<EntryKey, (u64, Arc<EntryView>)>>,
    /// One product is opened and proven once, however many first readers it has; another product does not wait for
    /// it (but for those whose keys share a lane).
    opening: [Mutex<()>; LANES],
}

impl Views {
    /// No view is open yet.
    pub fn new(engine: Engine) -> Self {
        Self { engine, open: Mutex::new(LruCache::new(KEPT)), opening: Default::default() }
    }

    /// The view of a ready product and a lease on its entry; `None` when it is not in the cache.
    ///
    /// An entry is proven (size and index checksum) whenever its view is opened. A damaged one is thrown away and
    /// answers `None`: the product is cold again.
    ///
    /// # Errors
    /// [`VfsError::Local`] when this machine cannot look into the entry now (no descriptors, a failing disk).
    pub fn get(
        &self,
        product: Product<'_>,
        purpose: Purpose,
    ) -> Result<Option<(Arc<EntryView>, Lease)>, VfsError> {
        let (key, name) = (entry_key(product), product.name());
        loop {
            match self.try_get(&key, name, purpose)? {
                // replaced while its files were opened one after the other: some may be of the newer one
                Some((_, lease)) if !self.engine.inventory().is_current(&lease) => self.close(&key),
                found => return Ok(found),
            }
        }
    }

    fn try_get(
        &self,
        key: &EntryKey,
        name: &str,
        purpose: Purpose,
    ) -> Result<Option<(Arc<EntryView>, Lease)>, VfsError> {
        let inventory = self.engine.inventory();
        let lease = match purpose {
            Purpose::Look => inventory.peek(key),
            Purpose::Read => inventory.lease(key),
        };
        let Some(lease) = lease else { return Ok(None) };
        if let Some(view) = self.kept(&lease, name) {
            return Ok(Some((view, lease)));
        }
        let one = self.lane(key).lock().expect("no code panics while it opens a view");
        if let Some(view) = self.kept(&lease, name) {
            return Ok(Some((view, lease)));
        }
        if let Err(error) = verify::quick(lease.directory()) {
            if !inventory.is_current(&lease) {
                drop(one);
                return self.try_get(key, name, purpose);
            }
            if error.is_damage() {
                tracing::error!(%key, %error, "a cache entry is damaged");
                inventory.quarantine(&lease);
                return Ok(None);
            }
            return Err(VfsError::Local(error.to_string()));
        }
        let view = EntryView::open_as(lease.directory(), name)
            .map_err(|error| VfsError::Local(error.to_string()))?;
        let view = Arc::new(view);
        self.kept_mut().put(key.clone(), (lease.generation(), Arc::clone(&view)));
        Ok(Some((view, lease)))
    }

    /// Closes the view of an entry that left the cache.
    pub fn close(&self, key: &EntryKey) {
        self.kept_mut().pop(key);
    }

    /// Closes all of them.
    pub fn close_all(&self) {
        self.kept_mut().clear();
    }

    fn lane(&self, key: &EntryKey) -> &Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.opening[hash as usize % LANES]
    }

    fn kept(&self, lease: &Lease, name: &str) -> Option<Arc<EntryView>> {
        let mut kept = self.kept_mut();
        let (generation, view) = kept.get(lease.key())?;
        (*generation == lease.generation() && view.meta().product == name).then(|| Arc::clone(view))
    }

    fn kept_mut(&self) -> std::sync::MutexGuard<'_, LruCache<EntryKey, (u64, Arc<EntryView>)>> {
        self.open.lock().expect("no code panics while it holds the open views")
    }
}
