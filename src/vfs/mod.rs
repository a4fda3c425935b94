//! The file system without FUSE in the loop: tree, inodes, attributes, policy, waiting.
//!
//! * [`node`] — what a path means; [`inodes`] — numbers the kernel knows; [`tree`] — names, kinds, sizes; [`listing`] —
//!   directories as readers go through them.
//! * [`open`] — opening and reading; the only place that starts fetches, and the only calls that may wait.
//! * [`xattr`] — `user.clmsfs.*`; [`views`] — open views of ready products; [`opener`] — who asks, from `/proc`.
//! * [`counters`] — what was asked for, for metrics.
//! * `look` — what may be shown of a product besides its files, without using it.
//! * [`error`] — what can fail, and the one table of errnos.
//!
//! Everything but [`open::PendingOpen::wait`] answers from memory or the local disk.

pub mod counters;
mod documents;
pub mod error;
pub mod inodes;
mod items;
pub mod listing;
mod look;
pub mod node;
pub mod open;
pub mod opener;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod views;
pub mod xattr;

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::catalog::{Catalog, catalog_document};
use crate::config::{OnMiss, Rule};
use crate::fetch::engine::Engine;
use crate::live::Live;
use crate::store::inventory::Usage;

/// What open() of a cold file follows.
#[derive(Debug, Clone)]
pub struct VfsOptions {
    /// Policy rules, the administrator's first.
    pub rules: Vec<Rule>,
    /// What happens when no rule says otherwise.
    pub on_miss: OnMiss,
    /// Longest wait of an open.
    pub block_timeout: Option<Duration>,
}

/// A file in `.clmsfs/`: its content is made anew at every open.
pub struct LiveFile {
    /// Its name.
    pub name: &'static str,
    /// Makes its content.
    pub content: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
}

impl std::fmt::Debug for LiveFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The catalogue as it is now, with its root document and its time.
#[derive(Debug, Clone)]
struct Shown {
    catalog: Arc<Catalog>,
    document: Arc<[u8]>,
    /// When the catalogue last changed: the newest dataset in it.
    time: SystemTime,
    /// Counts the catalogues that were shown.
    serial: u64,
}

impl Shown {
    fn new(catalog: Arc<Catalog>, serial: u64) -> Self {
        let newest = catalog.datasets().iter().map(|dataset| dataset.published().as_second()).max();
        let seconds = newest.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        Self { document: catalog_document(&catalog).into(), catalog, time, serial }
    }
}

/// The file system.
#[derive(Debug)]
pub struct Vfs {
    shown: RwLock<Shown>,
    engine: Engine,
    views: views::Views,
    items: items::Items,
    listings: listing::Listings,
    live: Vec<LiveFile>,
    options: Live<VfsOptions>,
    /// What it was asked for.
    pub counters: counters::Counters,
    /// The inodes the kernel knows.
    pub inodes: inodes::Inodes,
}

/// Numbers for statfs(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The cache's budget in bytes.
    pub total: u64,
    /// What is left of it (eviction gives more).
    pub free: u64,
    /// Datasets and products in the catalogue.
    pub files: u64,
}

impl Vfs {
    /// Puts the file system together.
    pub fn new(catalog: Arc<Catalog>, engine: Engine, live: Vec<LiveFile>, options: VfsOptions) -> Self {
        let shown = Shown::new(catalog, 0);
        let views = views::Views::new(engine.clone());
        let items = items::Items::default();
        Self {
            items,
            listings: listing::Listings::default(),
            shown: RwLock::new(shown),
            engine,
            views,
            live,
            options: Live::new(options),
            counters: counters::Counters::default(),
            inodes: inodes::Inodes::default(),
        }
    }

    /// Other rules from now on; opens that wait already go on as they began.
    pub fn follow(&self, options: VfsOptions) {
        self.options.set(options);
    }

    fn shown(&self) -> Shown {
        self.shown.read().expect("no code panics while it holds the catalogue").clone()
    }

    /// The catalogue that is shown now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.shown().catalog
    }

    fn catalog_document(&self) -> Arc<[u8]> {
        self.shown().document
    }

    /// When the catalogue last changed.
    fn catalog_time(&self) -> SystemTime {
        self.shown().time
    }

    /// Shows another catalogue from now on.
    pub fn show(&self, catalog: Arc<Catalog>) {
        let mut next = Shown::new(catalog, 0);
        let mut shown = self.shown.write().expect("no code panics while it holds the catalogue");
        next.serial = shown.serial + 1;
        *shown = next;
    }

    /// The engine behind the file system.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The node of an inode that the kernel knows.
    ///
    /// # Errors
    /// [`VfsError::NotFound`](error::VfsError::NotFound).
    pub fn node(&self, ino: node::Ino) -> Result<node::Node, error::VfsError> {
        self.inodes.node(ino).ok_or(error::VfsError::NotFound)
    }

    /// Looks `name` up in the directory `parent`; the kernel knows what is found from then on, once more for each time.
    ///
    /// # Errors
    /// Those of [`Vfs::lookup`].
    pub fn look_up(
        &self,
        parent: node::Ino,
        name: &str,
    ) -> Result<(node::Ino, tree::Attributes), error::VfsError> {
        let (node, attributes) = self.lookup(&self.node(parent)?, name)?;
        let path = node.path(&self.live_names());
        Ok((self.inodes.remember(node, &path, 1), attributes))
    }

    /// Forgets the open view of an entry that left the cache.
    pub fn close_view(&self, key: &crate::store::layout::EntryKey) {
        self.views.close(key);
    }

    /// Forgets all open views: nobody knows any more what left the cache.
    pub fn close_all_views(&self) {
        self.views.close_all();
    }

    /// Names of the live files, for paths.
    pub fn live_names(&self) -> Vec<&'static str> {
        self.live.iter().map(|file| file.name).collect()
    }

    /// The budget as a disk: `df` shows what the cache really uses.
    pub fn space(&self) -> Space {
        let usage: Usage = self.engine.inventory().usage();
        let catalog = self.catalog();
        Space {
            total: usage.limit,
            free: usage.limit.saturating_sub(usage.total()),
            files: catalog.product_count() as u64,
        }
    }
}
