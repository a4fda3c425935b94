//! A value that many read and a reload replaces.

use std::sync::{Arc, PoisonError, RwLock};

/// A shared value that can be replaced while others read it. Whoever has got it keeps the one that was there.
///
/// The lock is held for a copy of a pointer: readers never wait for work, and nothing can be held across an await.
pub struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    /// One with a first value.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as it is now.
    pub fn get(&self) -> Arc<T> {
        // a pointer is whole whoever panicked
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        let value = Arc::new(value);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_got_a_value_keeps_it() {
        let live = Live::new(1);
        let held = live.get();
        live.set(2);
        assert_eq!((*held, *live.get()), (1, 2));
    }
}
