//! Leases, evictions, quarantines and publications of the same entries.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clmsfs::store::layout::{CacheDir, EntryKey};
use shuttle::thread;

use crate::in_every_order;
use crate::store::inventory::{Inventory, Limits};

/// A cache on disk that all orders of a test share; each has keys of its own.
pub(crate) struct Cache {
    cache: Arc<CacheDir>,
    number: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(CacheDir::open(dir.path()).unwrap());
        Self { cache, number: AtomicU64::new(0), _dir: dir }
    }

    /// An empty inventory, and a key that was never used.
    pub(crate) fn inventory(&self) -> (Arc<Inventory>, EntryKey) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        for entry in std::fs::read_dir(self.cache.entries()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        let limits = Limits { bytes: 1 << 30, free_floor: 0 };
        let inventory =
            Inventory::take_stock(Arc::clone(&self.cache), limits, &[], Box::new(|_| {})).unwrap();
        (Arc::new(inventory), EntryKey::new(format!("entry-{number}")).unwrap())
    }

    /// Fetches `content` as a driver does: stages, reserves, publishes.
    pub(crate) fn publish(&self, inventory: &Arc<Inventory>, key: &EntryKey, content: &str) {
        let reservation = inventory.reserve(8192).unwrap();
        let staged = self.cache.stage(key).unwrap().join("entry");
        std::fs::create_dir(&staged).unwrap();
        std::fs::write(staged.join("content"), content).unwrap();
        inventory.publish(reservation, &staged, key).unwrap();
    }

    /// When nobody does anything any more: books and disk agree, and nobody holds anything.
    pub(crate) fn check(&self, inventory: &Inventory, key: &EntryKey) {
        assert_eq!(inventory.contains(key), self.cache.entry(key).exists(), "books and disk agree");
        let holdings = inventory.holdings();
        assert!(holdings.iter().all(|holding| holding.readers == 0), "{holdings:?}");
        let usage = inventory.usage();
        assert_eq!(usage.reserved, 0);
        assert_eq!(usage.entries, holdings.iter().map(|holding| holding.bytes).sum::<u64>());
    }
}

fn content(directory: &Path) -> Option<String> {
    std::fs::read_to_string(directory.join("content")).ok()
}

/// Reads an entry twice: as long as it is the published one, it is there and stays what it was.
fn read(inventory: &Arc<Inventory>, key: &EntryKey) {
    let Some(lease) = inventory.lease(key) else { return };
    let first = content(lease.directory());
    let was_current = inventory.is_current(&lease);
    let second = content(lease.directory());
    if inventory.is_current(&lease) {
        assert!(was_current, "an edition does not come back");
        assert!(first.is_some() && first == second, "a held entry was {first:?} and is {second:?}");
    }
}

#[test]
fn a_held_entry_stays_and_an_evicted_one_goes() {
    let cache = Cache::new();
    in_every_order(move || {
        let (inventory, key) = cache.inventory();
        cache.publish(&inventory, &key, "first");
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (inventory, key) = (Arc::clone(&inventory), key.clone());
                thread::spawn(move || {
                    let Some(lease) = inventory.lease(&key) else { return };
                    thread::yield_now();
                    assert!(inventory.is_current(&lease), "what is held is not evicted");
                    assert_eq!(content(lease.directory()).as_deref(), Some("first"));
                })
            })
            .collect();
        let evictors: Vec<_> = [true, false]
            .map(|by_hand| {
                let (inventory, key) = (Arc::clone(&inventory), key.clone());
                thread::spawn(move || match by_hand {
                    true => inventory.evict(&key).is_ok(),
                    // so much that everything must go that may go
                    false => inventory.reserve((1 << 30) - inventory.usage().books).is_ok(),
                })
            })
            .into();
        for reader in readers {
            reader.join().unwrap();
        }
        let evicted: Vec<bool> = evictors.into_iter().map(|evictor| evictor.join().unwrap()).collect();
        assert_eq!(inventory.contains(&key), evicted == [false, false], "{evicted:?}");
        cache.check(&inventory, &key);
    });
}

/// Found by this test: who evicted took the entry off the books and its files away afterwards, and with them a newer
/// entry that was published in between.
#[test]
fn a_newer_entry_does_not_go_with_the_one_that_is_evicted() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let (inventory, key) = cache.inventory();
        cache.publish(&inventory, &key, "first");
        let evictor = {
            let (inventory, key) = (Arc::clone(&inventory), key.clone());
            thread::spawn(move || inventory.evict(&key).is_ok())
        };
        let fetch = {
            let (cache, inventory, key) = (Arc::clone(&cache), Arc::clone(&inventory), key.clone());
            thread::spawn(move || cache.publish(&inventory, &key, "second"))
        };
        read(&inventory, &key);
        fetch.join().unwrap();
        evictor.join().unwrap();
        cache.check(&inventory, &key);
        if let Some(lease) = inventory.lease(&key) {
            assert_eq!(content(lease.directory()).as_deref(), Some("second"));
        }
    });
}

#[test]
fn a_damaged_entry_goes_and_the_one_in_its_place_stays() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let (inventory, key) = cache.inventory();
        cache.publish(&inventory, &key, "damaged");
        let finders: Vec<_> = (0..2)
            .map(|_| {
                let (inventory, key) = (Arc::clone(&inventory), key.clone());
                thread::spawn(move || {
                    let Some(lease) = inventory.peek(&key) else { return };
                    // what is read through a lease that is not current any more says nothing
                    if content(lease.directory()).as_deref() == Some("damaged") {
                        inventory.quarantine(&lease);
                    }
                })
            })
            .collect();
        let fetch = {
            let (cache, inventory, key) = (Arc::clone(&cache), Arc::clone(&inventory), key.clone());
            thread::spawn(move || cache.publish(&inventory, &key, "whole"))
        };
        for thread in finders {
            thread.join().unwrap();
        }
        fetch.join().unwrap();
        cache.check(&inventory, &key);
        let lease = inventory.lease(&key).expect("the newer one is here");
        assert_eq!(content(lease.directory()).as_deref(), Some("whole"));
    });
}

#[test]
fn room_is_given_once_and_given_back() {
    let cache = Cache::new();
    in_every_order(move || {
        let (inventory, key) = cache.inventory();
        let half = ((1 << 30) - inventory.usage().books) / 2;
        let fetches: Vec<_> = (0..3)
            .map(|_| {
                let inventory = Arc::clone(&inventory);
                thread::spawn(move || {
                    let Ok(mut room) = inventory.reserve(half / 2) else { return };
                    room.wrote(half / 4);
                    let _ = room.grow_to(half);
                    let usage = inventory.usage();
                    assert!(usage.total() <= usage.limit, "{usage:?}");
                    room.shrink_to(half / 8);
                })
            })
            .collect();
        for fetch in fetches {
            fetch.join().unwrap();
        }
        cache.check(&inventory, &key);
    });
}
