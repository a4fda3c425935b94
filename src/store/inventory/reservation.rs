//! A fetch's room in the cache.

use std::sync::Arc;

use super::{Inventory, StoreError};

/// Room set aside for one fetch; dropping it gives the room back.
#[derive(Debug)]
pub struct Reservation {
    /// Whose room it is.
    pub(super) inventory: Arc<Inventory>,
    /// Bytes set aside.
    pub(super) bytes: u64,
    /// Bytes of it that are on the disk already.
    pub(super) written: u64,
}

impl Reservation {
    /// Bytes set aside.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Tells how many of the reserved bytes are on the disk already, for the disk's own floor.
    pub fn wrote(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        let mut state = self.inventory.state();
        state.written = (state.written + bytes).saturating_sub(self.written);
        drop(state);
        self.written = bytes;
    }

    /// Makes the reservation at least `bytes` large, evicting what must go.
    ///
    /// # Errors
    /// [`StoreError::Budget`] or [`StoreError::Disk`]; the reservation keeps its size then.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), StoreError> {
        if bytes > self.bytes {
            self.inventory.set_aside(bytes - self.bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Takes another one's room over.
    pub fn absorb(&mut self, mut other: Self) {
        // nothing is left that its end could give back
        self.bytes += std::mem::take(&mut other.bytes);
        self.written += std::mem::take(&mut other.written);
    }

    /// Gives back what is not needed beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            if bytes < self.written {
                self.wrote(bytes);
            }
            let mut state = self.inventory.state();
            state.reserved = state.reserved.saturating_sub(self.bytes - bytes);
            drop(state);
            self.bytes = bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
