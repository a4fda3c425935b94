//! What the caller asks for and hears back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ahead::Packed;
use crate::store::entry::EntryMeta;

/// One conversion: a package to an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngestJob {
    /// The outer zip as downloaded.
    pub package: PathBuf,
    /// An existing directory; everything is written below it. The entry is `staging/entry`.
    pub staging: PathBuf,
    /// Safe name of the product (one path component).
    pub product: String,
    /// What a package may cost.
    #[serde(default)]
    pub limits: Limits,
    /// How tiles are compressed.
    #[serde(default)]
    pub codec: CodecChoice,
    /// The product's entry as it is, when it is fetched anew: dates that are unchanged are copied from it.
    #[serde(default)]
    pub former: Option<PathBuf>,
    /// Tight room: the package (which must be writable) and what was unpacked are given back to the disk while
    /// they are used. Neither can be used again, whether the conversion succeeds or fails.
    #[serde(default)]
    pub consume: bool,
    /// What was unpacked of this very package below `staging` while it was downloaded.
    #[serde(default)]
    pub ahead: Vec<Packed>,
}

/// Unpacking while a package is downloaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AheadJob {
    /// The file that grows.
    pub package: PathBuf,
    /// How large it will be.
    pub size: u64,
    /// The directory in which it lies; everything is written below it.
    pub staging: PathBuf,
    /// What a package may cost.
    pub limits: Limits,
}

/// Bounds of one conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most bytes all files may unpack to; inner zips are bounded for themselves, their content is what counts.
    pub unpacked_bytes: u64,
    /// Most members of all zips together.
    pub members: u64,
    /// Most times the package's own size that it may unpack to (above the first 64 MiB).
    pub ratio: u64,
    /// Bytes of memory for pixels and buffers; the child's address space is limited to this plus head room.
    pub memory_bytes: u64,
    /// Worker threads; 0 = one per core.
    pub threads: usize,
    /// Most open files.
    pub open_files: u64,
    /// Longest time the child may take, in seconds.
    pub seconds: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 256 << 30,
            members: 100_000,
            // A GeoTIFF of one value compresses about 1000 : 1 with deflate, the format's own bound.
            ratio: 1100,
            memory_bytes: 1 << 30,
            threads: 0,
            open_files: 256,
            seconds: None,
        }
    }
}

impl Limits {
    /// Number of worker threads to start.
    pub(super) fn worker_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        }
    }
}

/// Compression of the tiles of a new entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecChoice {
    /// The source's own codec where its tiles can be copied as they are, else zstd.
    #[default]
    Auto,
    /// Always zstd.
    Zstd,
    /// Always zlib, for readers without zstd.
    Zlib,
}

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestProgress {
    /// Unpacking; bytes of all members known so far (the total grows when an inner zip is opened).
    Extracting {
        /// Bytes written.
        done: u64,
        /// Bytes to write.
        total: u64,
    },
    /// Converting; bytes of pixels, and of files that stay as they are.
    Converting {
        /// Bytes converted, or read for their checksum.
        done: u64,
        /// Bytes of the pixels of all rasters and of all other files.
        total: u64,
    },
    /// So many bytes are about to be written below the staging directory. The conversion waits until the one
    /// who is told returns: that is the moment to make room.
    Room {
        /// Bytes that are not on the disk yet, of all threads together.
        bytes: u64,
    },
    /// Dates of a raster were copied from the former entry, without decoding any.
    Copied {
        /// How many dates.
        dates: u64,
        /// Tiles of all levels.
        tiles: u64,
    },
    /// A stage is over.
    Took {
        /// Which.
        stage: Stage,
        /// How long it took.
        milliseconds: u64,
    },
}

/// The stages of a conversion, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Files come out of the zips.
    Unpacking,
    /// What the files are, and which belong together.
    Examining,
    /// Pixels become tiles and overviews, and are synced; sources are deleted.
    Converting,
    /// Side files get their checksums; everything is synced.
    Finishing,
}

/// A finished conversion: rename `entry` into the cache to publish it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingested {
    /// `staging/entry`, complete and synced.
    pub entry: PathBuf,
    /// What is in it (also in its `zarr.json`).
    pub meta: EntryMeta,
}
