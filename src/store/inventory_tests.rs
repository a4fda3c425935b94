//! Tests of the inventory; its races are looked for in `tests/races`.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::StoreError;
use super::inventory::{Inventory, Limits, OnEvicted, Remembered};
use super::layout::{CacheDir, EntryKey};

struct Fixture {
    inventory: Arc<Inventory>,
    cache: Arc<CacheDir>,
    evicted: Arc<AtomicUsize>,
    _dir: tempfile::TempDir,
}

fn fixture(bytes: u64) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let cache = Arc::new(CacheDir::open(dir.path()).unwrap());
    let evicted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&evicted);
    let limits = Limits { bytes, free_floor: 0 };
    let on_evicted: OnEvicted = Box::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let inventory = Arc::new(Inventory::take_stock(Arc::clone(&cache), limits, &[], on_evicted).unwrap());
    Fixture { inventory, cache, evicted, _dir: dir }
}

fn key(name: &str) -> EntryKey {
    EntryKey::new(name).unwrap()
}

fn publish(fixture: &Fixture, name: &str, bytes: usize) -> Result<u64, StoreError> {
    let reservation = fixture.inventory.reserve(bytes as u64)?;
    let staged = fixture.cache.stage(&key(name)).unwrap().join("entry");
    std::fs::create_dir(&staged).unwrap();
    std::fs::write(staged.join("zarr.json"), "").unwrap();
    std::fs::write(staged.join("data"), vec![7; bytes]).unwrap();
    fixture.inventory.publish(reservation, &staged, &key(name))
}

#[test]
fn a_full_cache_evicts_the_least_recently_used_but_never_an_open_or_pinned_entry() {
    let fixture = fixture(400_000);
    for name in ["a", "b", "c"] {
        publish(&fixture, name, 100_000).unwrap();
    }
    let lease = fixture.inventory.lease(&key("a")).unwrap();
    fixture.inventory.pin(&key("b"), true);
    publish(&fixture, "d", 100_000).unwrap();
    let names: Vec<_> = fixture.inventory.holdings().into_iter().map(|h| h.key.to_string()).collect();
    assert!(names.contains(&"a".into()) && names.contains(&"b".into()) && names.contains(&"d".into()));
    assert!(!names.contains(&"c".into()), "{names:?}");
    assert_eq!(fixture.evicted.load(Ordering::SeqCst), 1);
    assert!(lease.directory().join("data").exists());
    match fixture.inventory.reserve(300_000) {
        Err(StoreError::Budget { needed: 300_000, .. }) => {}
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert!(matches!(fixture.inventory.evict(&key("a")), Err(StoreError::Busy { .. })));
    drop(lease);
    assert!(matches!(fixture.inventory.evict(&key("b")), Err(StoreError::Pinned { .. })));
    assert!(fixture.inventory.evict(&key("a")).unwrap() >= 100_000);
    assert!(!fixture.cache.entry(&key("a")).exists());
}

#[test]
fn a_newer_entry_takes_the_place_of_one_that_is_read() {
    let fixture = fixture(400_000);
    publish(&fixture, "a", 100_000).unwrap();
    assert_eq!(fixture.inventory.edition(&key("a")), 0);
    let lease = fixture.inventory.lease(&key("a")).unwrap();
    let open = std::fs::File::open(lease.directory().join("data")).unwrap();
    publish(&fixture, "a", 50_000).unwrap();
    assert_eq!(fixture.inventory.edition(&key("a")), 1);
    assert!(!fixture.inventory.is_current(&lease));
    assert_eq!(open.metadata().unwrap().len(), 100_000);
    let newer = fixture.inventory.lease(&key("a")).unwrap();
    assert!(fixture.inventory.is_current(&newer));
    assert_eq!(std::fs::metadata(newer.directory().join("data")).unwrap().len(), 50_000);
    // The end of the first lease is no matter of the second entry.
    drop(lease);
    assert!(matches!(fixture.inventory.evict(&key("a")), Err(StoreError::Busy { .. })));
    drop(newer);
    fixture.inventory.evict(&key("a")).unwrap();
    assert_eq!(fixture.inventory.usage().entries, 0);
    publish(&fixture, "a", 50_000).unwrap();
    assert_eq!(fixture.inventory.edition(&key("a")), 1, "what was evicted was not replaced");
}

#[test]
fn reservations_count_until_they_are_dropped() {
    let fixture = fixture(200_000);
    let mut first = fixture.inventory.reserve(100_000).unwrap();
    assert!(fixture.inventory.reserve(100_000).is_err());
    assert!(first.grow_to(300_000).is_err());
    assert_eq!(fixture.inventory.usage().reserved, 100_000);
    assert_eq!(fixture.inventory.free_room(), 200_000 - fixture.inventory.usage().total());
    drop(first);
    assert_eq!(fixture.inventory.usage().reserved, 0);
    fixture.inventory.reserve(150_000).unwrap();
}

#[test]
fn a_restart_adopts_entries_and_remembers_pins_and_uses() {
    let fixture = fixture(1_000_000);
    publish(&fixture, "a", 10_000).unwrap();
    publish(&fixture, "b", 10_000).unwrap();
    let remembered = [Remembered { key: key("b"), last_use: 5, pinned: true }];
    let limits = Limits { bytes: 1_000_000, free_floor: 0 };
    let again =
        Inventory::take_stock(Arc::clone(&fixture.cache), limits, &remembered, Box::new(|_| {})).unwrap();
    let holdings = again.holdings();
    assert_eq!(holdings[0].key, key("b"));
    assert!(holdings[0].pinned && holdings[0].last_use == 5);
    assert_eq!(holdings.len(), 2);
}

#[test]
fn what_others_put_into_the_cache_is_neither_counted_nor_evicted() {
    let fixture = fixture(400_000);
    publish(&fixture, "a", 100_000).unwrap();
    let rasters = fixture.cache.entries();
    std::fs::create_dir(rasters.join("backup")).unwrap();
    std::fs::write(rasters.join("backup/thesis.tex"), vec![7; 300_000]).unwrap();
    std::fs::write(rasters.join("notes.txt"), vec![7; 300_000]).unwrap();
    std::fs::write(fixture.cache.root().join("film.mkv"), vec![7; 300_000]).unwrap();
    let limits = Limits { bytes: 400_000, free_floor: 0 };
    let again =
        Arc::new(Inventory::take_stock(Arc::clone(&fixture.cache), limits, &[], Box::new(|_| {})).unwrap());
    assert!(again.usage().total() < 150_000, "{:?}", again.usage());
    again.could_hold(300_000).unwrap();
    assert!(again.contains(&key("a")), "asking evicts nothing");
    let reservation = again.reserve(300_000).unwrap();
    assert!(!again.contains(&key("a")));
    assert!(matches!(again.could_hold(300_000), Err(StoreError::Budget { .. })));
    drop(reservation);
    for kept in ["rasters/backup/thesis.tex", "rasters/notes.txt", "film.mkv"] {
        assert!(fixture.cache.root().join(kept).exists(), "{kept}");
    }
}

#[test]
fn smaller_limits_evict_at_once_and_what_is_held_stays_until_it_may_go() {
    let fixture = fixture(1_000_000);
    for name in ["a", "b", "c"] {
        publish(&fixture, name, 100_000).unwrap();
    }
    let names = || -> Vec<String> {
        fixture.inventory.holdings().into_iter().map(|holding| holding.key.to_string()).collect()
    };
    let used = fixture.inventory.usage().total();
    fixture.inventory.set_limits(Limits { bytes: used - 50_000, free_floor: 0 }).unwrap();
    assert_eq!(names(), ["b", "c"], "the least recently used");
    assert_eq!(fixture.inventory.usage().limit, used - 50_000);
    assert!(!fixture.cache.entry(&key("a")).exists());

    let lease = fixture.inventory.lease(&key("b")).unwrap();
    let refused = fixture.inventory.set_limits(Limits { bytes: 50_000, free_floor: 0 });
    assert!(matches!(refused, Err(StoreError::Budget { .. })), "{refused:?}");
    assert_eq!(names(), ["b"], "all that may go is gone");
    assert!(lease.directory().join("data").exists());
    assert!(matches!(fixture.inventory.reserve(1), Err(StoreError::Budget { .. })), "the limit holds");
    drop(lease);
    let refused = fixture.inventory.set_limits(Limits { bytes: 1_000_000, free_floor: 1 << 60 });
    assert!(matches!(refused, Err(StoreError::Disk { .. })), "{refused:?}");
    assert_eq!(names(), ["b"], "evicting would not help");
    fixture.inventory.set_limits(Limits { bytes: 50_000, free_floor: 0 }).unwrap();
    assert!(names().is_empty());
}

#[test]
fn what_is_being_deleted_counts_as_free_for_the_next_one() {
    let this: Arc<OnceLock<Weak<Inventory>>> = Arc::default();
    let dir = tempfile::tempdir().unwrap();
    let cache = Arc::new(CacheDir::open(dir.path()).unwrap());
    // while the first one is deleted, another fetch asks for room, and the disk does not have it yet
    let (inventory, count) = (Arc::clone(&this), Arc::new(AtomicUsize::new(0)));
    let evicted = Arc::clone(&count);
    let on_evicted: OnEvicted = Box::new(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            let inventory = inventory.get().unwrap().upgrade().unwrap();
            inventory.set_aside_on(50_000, 10_000).unwrap();
        }
    });
    let limits = Limits { bytes: 1_000_000, free_floor: 0 };
    let inventory = Arc::new(Inventory::take_stock(Arc::clone(&cache), limits, &[], on_evicted).unwrap());
    this.set(Arc::downgrade(&inventory)).unwrap();
    let fixture = Fixture { inventory, cache, evicted, _dir: dir };
    for name in ["a", "b"] {
        publish(&fixture, name, 100_000).unwrap();
    }
    fixture.inventory.set_aside_on(50_000, 100_000).unwrap();
    assert_eq!(fixture.evicted.load(Ordering::SeqCst), 1, "one makes room for both");
}
