//! How large the cache may be, and how it becomes so when that changes.

use super::{Cause, Inventory, StoreError};

/// Limits of the cache.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Budget in bytes.
    pub bytes: u64,
    /// Bytes that must stay free on the file system.
    pub free_floor: u64,
}

impl Inventory {
    /// Other limits from now on. What is too much is evicted at once, the least recently used first; what is open, pinned or
    /// being fetched stays, and goes when it may. For a floor that the disk cannot have in any way nothing is evicted.
    ///
    /// # Errors
    /// [`StoreError::Budget`] or [`StoreError::Disk`] when too little may go; the limits hold all the same, for all that comes.
    pub fn set_limits(&self, limits: Limits) -> Result<(), StoreError> {
        self.state().limits = limits;
        let held = self.set_aside(0);
        if matches!(held, Err(StoreError::Budget { .. })) {
            // what may go goes, though it is not enough
            for key in self.holdings().into_iter().map(|holding| holding.key) {
                let _ = self.evict_for(&key, Cause::Room);
            }
        }
        held
    }
}
