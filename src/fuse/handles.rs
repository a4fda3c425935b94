//! Numbers for open files.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// Open things by the number the kernel uses for them. Numbers are never used twice.
#[derive(Debug)]
pub struct Handles<T> {
    next: AtomicU64,
    open: RwLock<HashMap<u64, Arc<T>>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), open: RwLock::default() }
    }
}

impl<T> Handles<T> {
    /// Keeps `thing` and numbers it.
    pub fn add(&self, thing: T) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.write().expect("no code panics while it holds the handles").insert(number, Arc::new(thing));
        number
    }

    /// The thing of that number.
    pub fn get(&self, number: u64) -> Option<Arc<T>> {
        self.open.read().expect("no code panics while it holds the handles").get(&number).cloned()
    }

    /// Something open that is wanted.
    pub fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let open = self.open.read().expect("no code panics while it holds the handles");
        open.values().find(|thing| wanted(thing)).cloned()
    }

    /// Forgets it.
    pub fn remove(&self, number: u64) -> Option<Arc<T>> {
        self.open.write().expect("no code panics while it holds the handles").remove(&number)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.read().expect("no code panics while it holds the handles").len()
    }

    /// True when none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
