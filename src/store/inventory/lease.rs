//! A reader's hold on an entry.

use std::path::PathBuf;
use std::sync::Arc;

use super::{EntryKey, Inventory};

/// Keeps an entry from being evicted; dropping it ends the use.
#[derive(Debug)]
pub struct Lease {
    /// Whose entry it is.
    pub(super) inventory: Arc<Inventory>,
    /// The entry.
    pub(super) key: EntryKey,
    /// Its directory.
    pub(super) directory: PathBuf,
    /// Which publication of it.
    pub(super) generation: u64,
    /// Its end counts as a use, too.
    pub(super) touch: bool,
}

impl Lease {
    /// Differs between two publications of the same key; the kernel's cached pages of one are not those of another.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Directory of the entry.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// The entry.
    pub fn key(&self) -> &EntryKey {
        &self.key
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.inventory.end_lease(self);
    }
}
