//! Entries on disk: what a converted product looks like, how it is published, found, evicted and proven.
//!
//! This room knows files and bytes; it knows neither the service nor the mount.

pub mod checksum;
pub mod disk;
pub mod entry;
pub mod entry_dir;
pub mod eviction;
#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
pub mod foreign;
pub mod inventory;
#[cfg(test)]
mod inventory_tests;
pub mod layout;
pub mod raster_file;
pub mod seal;
pub mod shard_index;
pub mod tiff;
pub mod variable;
pub mod vector;
pub mod verify;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What can go wrong with the cache directory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key that is not one safe path part.
    #[error("'{text}' cannot name a cache entry: use letters, digits, '.', '_' and '-'")]
    Key {
        /// The refused text.
        text: String,
    },
    /// The cache was written by another release.
    #[error("{}: format '{found}' is not known to this release: use the clmsfs that wrote it, or another --cache-dir", path.display())]
    Version {
        /// The VERSION file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
    /// Another process owns the cache.
    #[error("cache {} is in use ({owner}): unmount that one first, or give this mount its own --cache-dir", path.display())]
    Locked {
        /// The cache.
        path: PathBuf,
        /// What the owner wrote into the lock file.
        owner: String,
    },
    /// A directory with other content.
    #[error("{} is not a cache (it holds {found:?}): name an empty or new directory with --cache-dir", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the things in it.
        found: OsString,
    },
    /// The cache's folder cannot be made.
    #[error("cache {} cannot be made: {source}{}", path.display(), disk::advice_for_folder(source))]
    Unmakeable {
        /// The cache.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is not enough room within the budget, even after evicting everything that may go.
    #[error(
        "{needed} bytes do not fit: the cache budget is {limit} bytes, {held} of them open, pinned or being fetched; \
             raise --cache-size, unpin or close something"
    )]
    Budget {
        /// Bytes asked for.
        needed: u64,
        /// The budget.
        limit: u64,
        /// Bytes that cannot be evicted now.
        held: u64,
    },
    /// The disk itself is too full.
    #[error(
        "{needed} bytes do not fit: the disk of {} has {free} bytes free and {floor} must stay free; \
             make room on the disk, or lower --free-space-floor",
        path.display()
    )]
    Disk {
        /// The cache.
        path: PathBuf,
        /// Bytes asked for.
        needed: u64,
        /// Free bytes on the file system.
        free: u64,
        /// The configured floor.
        floor: u64,
    },
    /// An entry is open and cannot be evicted.
    #[error("it is being read: close its readers first")]
    Busy {
        /// The entry.
        key: layout::EntryKey,
    },
    /// An entry is pinned and cannot be evicted.
    #[error("it is pinned: unpin it first (clmsfs cache unpin)")]
    Pinned {
        /// The entry.
        key: layout::EntryKey,
    },
    /// No such entry.
    #[error("it is not in the cache: clmsfs cache ls shows what is")]
    Unknown {
        /// The entry.
        key: layout::EntryKey,
    },
    /// A file operation failed.
    #[error("{}: {source}{}", path.display(), disk::advice(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
