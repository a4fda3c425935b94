//! How entries leave the cache: evicted for room or on the user's word, or thrown away as damaged.

use super::{Cause, Evicted, Inventory, Item, Lease, State, StoreError};
use crate::store::entry_dir::group_path;
use crate::store::layout::EntryKey;
use crate::sync::{Ordering, disk_is_asked};

/// An entry that was let go and still lies in its place.
pub(super) struct Leaving {
    key: EntryKey,
    item: Item,
    cause: Cause,
}

impl State {
    /// The entry counts no more, if there was one. Whoever calls this removes its files next.
    pub(super) fn let_go(&mut self, key: &EntryKey, cause: Cause) -> Option<Leaving> {
        let item = self.items.remove(key)?;
        self.leaving.insert(key.clone());
        self.going += item.bytes;
        Some(Leaving { key: key.clone(), item, cause })
    }
}

impl Inventory {
    /// Deletes one entry on the user's word.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Busy`] or [`StoreError::Pinned`]; [`StoreError::Io`] where the disk refuses.
    /// It is still there then.
    pub fn evict(&self, key: &EntryKey) -> Result<u64, StoreError> {
        self.evict_for(key, Cause::Asked)
    }

    pub(super) fn evict_for(&self, key: &EntryKey, cause: Cause) -> Result<u64, StoreError> {
        let unknown = || StoreError::Unknown { key: key.clone() };
        let leaving = {
            let mut state = self.state();
            let item = state.items.get(key).ok_or_else(unknown)?;
            // a pin is told first: readers go by themselves
            if state.pins.contains(key) {
                return Err(StoreError::Pinned { key: key.clone() });
            }
            if item.readers > 0 {
                return Err(StoreError::Busy { key: key.clone() });
            }
            state.let_go(key, cause).ok_or_else(unknown)?
        };
        let bytes = leaving.item.bytes;
        self.remove_files(leaving).map(|()| bytes)
    }

    /// Takes the damaged entry of `lease` out of service, whoever reads it; those readers keep their open files, and what
    /// is published next is of another edition than theirs.
    ///
    /// An entry that was published under the key since then is another one and stays.
    pub fn quarantine(&self, lease: &Lease) {
        let key = lease.key();
        let known = {
            let mut state = self.state();
            let same = state.items.get(key).is_some_and(|item| item.generation == lease.generation);
            same.then(|| {
                self.has_replaced.store(true, Ordering::SeqCst);
                state.begin_edition(key);
                state.let_go(key, Cause::Damaged)
            })
            .flatten()
        };
        if let Some(leaving) = known {
            tracing::error!(%key, "entry is damaged: it is removed and will be fetched again");
            // it is never put back
            let _ = self.remove_files(leaving);
        }
    }

    /// Deletes what was let go. What cannot be moved away is put back on the books, for there it lies; but for a damaged
    /// entry, which must not be served again, by the next start neither.
    pub(super) fn remove_files(&self, Leaving { key, item, cause }: Leaving) -> Result<(), StoreError> {
        disk_is_asked();
        let place = self.cache.entry(&key);
        let mut apart = self.cache.set_apart(&place);
        if cause == Cause::Damaged
            && let Err(error) = &apart
        {
            tracing::warn!(%key, %error, "failed to delete a damaged entry; without its description it is not served again");
            let _ = std::fs::remove_file(group_path(&place));
            apart = Ok(None);
        }
        let bytes = item.bytes;
        {
            let mut state = self.state();
            state.leaving.remove(&key);
            if apart.is_err() {
                state.items.insert(key.clone(), item);
                state.going -= bytes;
            }
        }
        self.has_left.notify_all();
        if let Some(apart) = apart? {
            self.cache.delete_entry(apart);
        }
        self.departures.entries.one(cause);
        self.departures.bytes.add(bytes);
        (self.on_evicted)(Evicted { key, bytes, cause });
        self.state().going -= bytes;
        Ok(())
    }
}
