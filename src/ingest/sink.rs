//! Where finished tiles go: appended to a file as they come, remembered in an index.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::{DiskContext, IngestError};

/// Where a tile's bytes lie in a file; a length of 0 = the tile is missing (all nodata).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TileSpan {
    /// First byte.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) length: u32,
}

impl TileSpan {
    /// True when the tile is stored nowhere.
    pub(super) fn is_missing(self) -> bool {
        self.length == 0
    }
}

/// A file that any number of threads append tiles to. Room is taken by an atomic counter, so writers never
/// wait for each other and nothing is queued in memory.
#[derive(Debug)]
pub(super) struct TileSink {
    file: File,
    end: AtomicU64,
    index: Mutex<Vec<TileSpan>>,
}

impl TileSink {
    /// A sink into an empty file for `tiles` tiles, all missing at first.
    pub(super) fn new(file: File, tiles: usize) -> Self {
        Self { file, end: AtomicU64::new(0), index: Mutex::new(vec![TileSpan::default(); tiles]) }
    }

    /// Appends tiles whose bytes lie one after the other in `bytes`; `tiles` = place in the index and length.
    ///
    /// # Errors
    /// [`IngestError::Disk`].
    pub(super) fn append(&self, bytes: &[u8], tiles: &[(usize, u32)]) -> Result<(), IngestError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, offset).disk(|| "write tiles".to_owned())?;
        start_writing_back(&self.file, offset, bytes.len());
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        for &(at, length) in tiles {
            index[at] = TileSpan { offset, length };
            offset += u64::from(length);
        }
        Ok(())
    }

    /// The file, its length and the index.
    pub(super) fn finish(self) -> (File, u64, Vec<TileSpan>) {
        let index = self.index.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.file, self.end.into_inner(), index)
    }
}

/// Tells the kernel to bring bytes to the disk now and not to wait for it. Everything is synced in the end: the disk should be
/// busy while tiles are compressed, not when there is nothing left to compress.
fn start_writing_back(file: &File, offset: u64, length: usize) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: the descriptor belongs to `file`; the call has no memory arguments. It is a hint: an error is not one of ours, and
    // what the disk refuses is told by the sync.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
