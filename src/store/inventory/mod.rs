//! What the cache holds and what it may still take: leases for readers, reservations for fetches, eviction.
//!
//! The budget counts bytes of real blocks: published entries, everything reserved for fetches under way, and
//! the cache's own books. A fetch reserves before it writes; a reader's lease keeps its entry from eviction.
//! All methods are synchronous; the lock is held for decisions only, never while files are written or deleted (but for
//! the one rename that replaces an entry).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::StoreError;
use super::eviction::{Candidate, Cause, Evicted, Plan, plan};
use super::foreign;
use super::layout::{CacheDir, EntryKey, disk_usage, free_space};
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, disk_is_asked};
use crate::tally::{Count, Tally};

mod lease;
mod limits;
mod removal;
mod reservation;

pub use lease::Lease;
pub use limits::Limits;
pub use reservation::Reservation;

/// What is remembered of an entry across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The entry.
    pub key: EntryKey,
    /// Last use in milliseconds since 1970.
    pub last_use: u64,
    /// Pinned by the user.
    pub pinned: bool,
}

/// One line of `cache ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The entry.
    pub key: EntryKey,
    /// Bytes of real blocks.
    pub bytes: u64,
    /// Last use in milliseconds since 1970.
    pub last_use: u64,
    /// Pinned by the user.
    pub pinned: bool,
    /// How many readers have it open.
    pub readers: usize,
}

impl Holding {
    /// Open or pinned: never a victim of eviction.
    pub fn is_held(&self) -> bool {
        self.readers > 0 || self.pinned
    }
}

/// Use of the budget, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The budget.
    pub limit: u64,
    /// Published entries.
    pub entries: u64,
    /// Reserved for fetches under way.
    pub reserved: u64,
    /// Ledger, catalogue and directories.
    pub books: u64,
}

impl Usage {
    /// Everything that counts against the budget.
    pub fn total(&self) -> u64 {
        self.entries + self.reserved + self.books
    }
}

/// Told after an entry left the cache.
pub type OnEvicted = Box<dyn Fn(Evicted) + Send + Sync>;

/// What left the cache since the start.
#[derive(Debug, Default)]
pub struct Departures {
    /// Entries, by what made them go.
    pub entries: Tally<Cause>,
    /// Bytes of real blocks that they had.
    pub bytes: Count,
}

#[derive(Debug)]
struct Item {
    bytes: u64,
    last_use: u64,
    readers: usize,
    /// Differs between two publications of the same key.
    generation: u64,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    items: HashMap<EntryKey, Item>,
    /// Pins may be set before the entry exists.
    pins: HashSet<EntryKey>,
    reserved: u64,
    /// How much of `reserved` lies on the disk already.
    written: u64,
    books: u64,
    /// Entries taken in so far.
    generations: u64,
    /// How often entries were replaced or thrown away although they may have been open, since the start.
    editions: HashMap<EntryKey, u64>,
    /// Entries that count no more and still lie in their places: nothing may be published there.
    leaving: HashSet<EntryKey>,
    /// Bytes of entries that count no more and are still being deleted: the disk will have them free.
    going: u64,
}

impl State {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            items: HashMap::new(),
            pins: HashSet::new(),
            reserved: 0,
            written: 0,
            books: 0,
            generations: 0,
            editions: HashMap::new(),
            leaving: HashSet::new(),
            going: 0,
        }
    }

    /// Files that are open stay those of the edition before.
    fn begin_edition(&mut self, key: &EntryKey) {
        *self.editions.entry(key.clone()).or_default() += 1;
    }

    fn take_in(&mut self, key: EntryKey, bytes: u64, last_use: u64) {
        self.generations += 1;
        let generation = self.generations;
        if self.items.contains_key(&key) {
            self.begin_edition(&key);
        }
        self.items.insert(key, Item { bytes, last_use, readers: 0, generation });
    }
}

/// The inventory of one cache directory.
pub struct Inventory {
    cache: Arc<CacheDir>,
    state: Mutex<State>,
    /// Told when an entry has left its place.
    has_left: Condvar,
    /// Set before the first edition ends: until then every one is 0, and nobody needs a lock to know it.
    has_replaced: AtomicBool,
    on_evicted: OnEvicted,
    departures: Departures,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Inventory {
    /// Takes stock of `cache`: what lies on disk is adopted, `remembered` adds last uses and pins.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory of entries cannot be read.
    pub fn take_stock(
        cache: Arc<CacheDir>,
        limits: Limits,
        remembered: &[Remembered],
        on_evicted: OnEvicted,
    ) -> Result<Self, StoreError> {
        let known: HashMap<_, _> = remembered.iter().map(|entry| (&entry.key, entry)).collect();
        let mut state = State::new(limits);
        let path = cache.entries();
        let listing =
            std::fs::read_dir(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        for entry in listing.filter_map(Result::ok) {
            let Some(key) = foreign::entry_key(&entry, |key| known.contains_key(key)) else {
                let path = entry.path();
                tracing::warn!(path = %path.display(), "what lies here is no entry: it is left alone and not counted");
                continue;
            };
            let last_use = known.get(&key).map_or_else(now, |entry| entry.last_use);
            state.take_in(key, disk_usage(&entry.path()), last_use);
        }
        state.pins = remembered.iter().filter(|entry| entry.pinned).map(|entry| entry.key.clone()).collect();
        let inventory = Self {
            cache,
            state: Mutex::new(state),
            has_left: Condvar::new(),
            has_replaced: AtomicBool::new(false),
            on_evicted,
            departures: Departures::default(),
        };
        inventory.count_books();
        Ok(inventory)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the inventory")
    }

    /// Counts ledger, catalogue and the like anew; cheap, call it when they may have grown.
    pub fn count_books(&self) {
        let root = self.cache.root();
        let listing = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
        let files: u64 = listing.filter(foreign::is_book).map(|entry| disk_usage(&entry.path())).sum();
        // the three directories themselves: root, rasters, staging
        self.state().books = files + 3 * 4096;
    }

    /// How often the entry was replaced or thrown away although it may have been open, since the start: files of one
    /// edition are not those of another, though they have the same names.
    pub fn edition(&self, key: &EntryKey) -> u64 {
        if !self.has_replaced.load(Ordering::SeqCst) {
            return 0;
        }
        self.state().editions.get(key).copied().unwrap_or(0)
    }

    /// True while the entry of `lease` is the one that is published.
    pub fn is_current(&self, lease: &Lease) -> bool {
        self.state().items.get(&lease.key).is_some_and(|item| item.generation == lease.generation)
    }

    /// True when the entry is published.
    pub fn contains(&self, key: &EntryKey) -> bool {
        self.state().items.contains_key(key)
    }

    /// Opens the entry for reading: it will not be evicted while the lease lives. Counts as a use.
    pub fn lease(self: &Arc<Self>, key: &EntryKey) -> Option<Lease> {
        self.hold(key, true)
    }

    /// Opens the entry for a look that is no use: a nightly `find` must not turn the order of eviction over.
    pub fn peek(self: &Arc<Self>, key: &EntryKey) -> Option<Lease> {
        self.hold(key, false)
    }

    fn hold(self: &Arc<Self>, key: &EntryKey, touch: bool) -> Option<Lease> {
        let mut state = self.state();
        let item = state.items.get_mut(key)?;
        item.readers += 1;
        if touch {
            item.last_use = now();
        }
        let generation = item.generation;
        Some(Lease {
            inventory: Arc::clone(self),
            key: key.clone(),
            directory: self.cache.entry(key),
            generation,
            touch,
        })
    }

    /// Sets or removes the user's pin; it may come before the entry does.
    pub fn pin(&self, key: &EntryKey, pinned: bool) {
        let mut state = self.state();
        if pinned {
            state.pins.insert(key.clone());
        } else {
            state.pins.remove(key);
        }
    }

    /// True when the user pinned the entry.
    pub fn is_pinned(&self, key: &EntryKey) -> bool {
        self.state().pins.contains(key)
    }

    /// All entries, least recently used first.
    pub fn holdings(&self) -> Vec<Holding> {
        let state = self.state();
        let mut holdings: Vec<_> = state
            .items
            .iter()
            .map(|(key, item)| Holding {
                key: key.clone(),
                bytes: item.bytes,
                last_use: item.last_use,
                pinned: state.pins.contains(key),
                readers: item.readers,
            })
            .collect();
        holdings.sort_by(|a, b| (a.last_use, &a.key).cmp(&(b.last_use, &b.key)));
        holdings
    }

    /// What left the cache since the start.
    pub fn departures(&self) -> &Departures {
        &self.departures
    }

    /// Free bytes of the disk below, as far as it can be asked. May wait for a network.
    pub fn free_bytes(&self) -> Option<u64> {
        free_space(self.cache.root()).ok()
    }

    /// Size of one entry in bytes of real blocks.
    pub fn size(&self, key: &EntryKey) -> Option<u64> {
        self.state().items.get(key).map(|item| item.bytes)
    }

    /// How the budget is used.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        usage(&state)
    }

    /// Bytes that could be set aside now without evicting anything; 0 when the disk cannot be asked.
    pub fn free_room(&self) -> u64 {
        let (limits, used) = {
            let state = self.state();
            (state.limits, usage(&state).total())
        };
        let on_disk = free_space(self.cache.root()).unwrap_or(0).saturating_sub(limits.free_floor);
        limits.bytes.saturating_sub(used).min(on_disk)
    }

    /// Sets `bytes` aside for a fetch, evicting what must go.
    ///
    /// # Errors
    /// [`StoreError::Budget`] or [`StoreError::Disk`] when there is not enough room; nothing is reserved then.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StoreError> {
        let mut reservation = Reservation { inventory: Arc::clone(self), bytes: 0, written: 0 };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// Counts `bytes` that lie in staging already, left by an earlier run: they are there, whether they fit or not.
    pub fn take_over(self: &Arc<Self>, bytes: u64) -> Reservation {
        let mut state = self.state();
        state.reserved += bytes;
        state.written += bytes;
        drop(state);
        Reservation { inventory: Arc::clone(self), bytes, written: bytes }
    }

    /// Sets `more` bytes aside.
    fn set_aside(&self, more: u64) -> Result<(), StoreError> {
        // before the lock: a file system on a network may take its time
        let free = self.free_on_disk()?;
        self.set_aside_on(free, more)
    }

    /// Sets `more` bytes aside on a disk with `free` bytes.
    pub(in crate::store) fn set_aside_on(&self, free: u64, more: u64) -> Result<(), StoreError> {
        let victims = {
            let mut state = self.state();
            let victims = self.victims(&state, more, free)?;
            let victims: Vec<_> = victims.iter().filter_map(|key| state.let_go(key, Cause::Room)).collect();
            state.reserved += more;
            victims
        };
        let mut removed = Ok(());
        for victim in victims {
            // all of them, that none hangs in the air: the last error is as good as the first
            removed = self.remove_files(victim).and(removed);
        }
        removed.inspect_err(|_| self.state().reserved -= more)
    }

    /// Whether `bytes` could be set aside now, perhaps after evicting; evicts and reserves nothing.
    ///
    /// # Errors
    /// As [`Inventory::reserve`].
    pub fn could_hold(&self, bytes: u64) -> Result<(), StoreError> {
        let free = self.free_on_disk()?;
        self.victims(&self.state(), bytes, free).map(|_| ())
    }

    fn free_on_disk(&self) -> Result<u64, StoreError> {
        let root = self.cache.root();
        free_space(root).map_err(|source| StoreError::Io { path: root.to_owned(), source })
    }

    /// Who must go so that `more` bytes fit, on a disk with `free` bytes.
    fn victims(&self, state: &State, more: u64, free: u64) -> Result<Vec<EntryKey>, StoreError> {
        let limits = state.limits;
        let used = usage(state).total();
        let over_budget = used.saturating_add(more).saturating_sub(limits.bytes);
        // all that is promised and not written yet will still land on the disk
        let unwritten = state.reserved.saturating_sub(state.written);
        let disk_need = more.saturating_add(unwritten).saturating_add(limits.free_floor);
        // what another one evicts for its own need must not be evicted once more
        let over_disk = disk_need.saturating_sub(free.saturating_add(state.going));
        let candidates = state.items.iter().map(|(key, item)| Candidate {
            key: key.clone(),
            bytes: item.bytes,
            last_use: item.last_use,
            held: item.readers > 0 || state.pins.contains(key),
        });
        let slack = limits.bytes / 20;
        match plan(candidates.collect(), over_budget.max(over_disk), slack) {
            Plan::Evict(victims) => Ok(victims),
            Plan::TooLittle { .. } if over_disk >= over_budget => {
                let path = self.cache.root().to_owned();
                Err(StoreError::Disk { path, needed: more, free, floor: limits.free_floor })
            }
            Plan::TooLittle { missing } => {
                let room = more.saturating_sub(missing);
                let held = limits.bytes.saturating_sub(room);
                Err(StoreError::Budget { needed: more, limit: limits.bytes, held })
            }
        }
    }

    /// Publishes `staged` under `key`, in place of the entry that is there, and turns `reservation` into the entry's
    /// real size. Who reads the former entry keeps its open files.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the entry is not published.
    pub fn publish(
        &self,
        reservation: Reservation,
        staged: &std::path::Path,
        key: &EntryKey,
    ) -> Result<u64, StoreError> {
        let bytes = disk_usage(staged);
        let mut state = self.state();
        // what leaves the place would take the newer one with it
        while state.leaving.contains(key) {
            state = self.has_left.wait(state).expect("no code panics while it holds the inventory");
        }
        if state.items.contains_key(key) {
            self.has_replaced.store(true, Ordering::SeqCst);
            // whoever finds the edition unchanged after opening files has opened files of that edition
            self.cache.put(staged, key)?;
            state.take_in(key.clone(), bytes, now());
            drop(state);
        } else {
            drop(state);
            disk_is_asked();
            // a rename may wait for a busy disk, and `ls` must not wait with it
            self.cache.put(staged, key)?;
            self.state().take_in(key.clone(), bytes, now());
        }
        drop(reservation);
        if let Err(error) = self.cache.settle(staged) {
            // whole and visible: readers need not suffer. A power loss may cost it, and then it is fetched again
            tracing::warn!(%key, %error, "the entry is published, but may not survive a power loss");
        }
        Ok(bytes)
    }

    fn end_lease(&self, lease: &Lease) {
        let mut state = self.state();
        // a damaged entry may have been replaced while this lease lived
        let item = state.items.get_mut(&lease.key).filter(|item| item.generation == lease.generation);
        if let Some(item) = item {
            item.readers = item.readers.saturating_sub(1);
            if lease.touch {
                item.last_use = now();
            }
        }
    }
}

fn usage(state: &State) -> Usage {
    Usage {
        limit: state.limits.bytes,
        entries: state.items.values().map(|item| item.bytes).sum(),
        reserved: state.reserved,
        books: state.books,
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
