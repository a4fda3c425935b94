//! The Zarr v3 shard index at the end of a raster file: where each full-resolution chunk lies.
//!
//! `u64` little-endian pairs (offset, length) in C order over (band, row, column), `2^64-1` twice for a missing
//! chunk, then the crc32c of these bytes (Zarr v3 `sharding_indexed`, `index_location: end`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::raster_file::TileRange;

/// Offset and length of a chunk that is not there.
pub const MISSING: u64 = u64::MAX;

/// Bytes of the index of a shard with `chunks` chunks; `None` when that overflows.
pub fn encoded_size(chunks: u64) -> Option<u64> {
    chunks.checked_mul(16)?.checked_add(4)
}

/// Why the index of a shard cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ShardIndexError {
    /// Reading failed.
    #[error("the shard index cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is too short to hold an index of that many chunks.
    #[error("the file is too short for the index of {chunks} chunks")]
    Short {
        /// Chunks of the full resolution.
        chunks: u64,
    },
    /// The bytes of the index are not those that were written.
    #[error("the shard index is damaged: its checksum is {found:08x}, stored is {stored:08x}")]
    Checksum {
        /// crc32c of the index as it is.
        found: u32,
        /// crc32c that the writer stored.
        stored: u32,
    },
}

/// Walks the index at the end of a file of `size` bytes in memory of 1 MiB, chunk by chunk, and proves its checksum.
///
/// `visit` gets the entries of up to 65 536 chunks at a time and may stop the walk with its own error; what it saw
/// is proven only when the whole walk ends with `Ok`.
///
/// # Errors
/// What `visit` said, or a [`ShardIndexError`].
pub fn walk<E: From<ShardIndexError>>(
    file: &File,
    size: u64,
    chunks: u64,
    mut visit: impl FnMut(u64, &[Option<TileRange>]) -> Result<(), E>,
) -> Result<(), E> {
    const AT_ONCE: u64 = 65_536;
    let start = encoded_size(chunks)
        .and_then(|length| size.checked_sub(length))
        .ok_or(E::from(ShardIndexError::Short { chunks }))?;
    let io_error = |error| E::from(ShardIndexError::Io(error));
    let mut bytes = vec![0; (chunks.min(AT_ONCE) * 16) as usize];
    let mut entries = Vec::with_capacity(chunks.min(AT_ONCE) as usize);
    let mut found = 0;
    let mut first = 0;
    while first < chunks {
        let count = (chunks - first).min(AT_ONCE) as usize;
        let part = &mut bytes[..count * 16];
        file.read_exact_at(part, start + first * 16).map_err(io_error)?;
        found = crc32c::crc32c_append(found, part);
        entries.clear();
        entries.extend(part.chunks_exact(16).map(parse));
        visit(first, &entries)?;
        first += count as u64;
    }
    let mut stored = [0; 4];
    file.read_exact_at(&mut stored, size - 4).map_err(io_error)?;
    let stored = u32::from_le_bytes(stored);
    if found != stored {
        return Err(ShardIndexError::Checksum { found, stored }.into());
    }
    Ok(())
}

fn parse(pair: &[u8]) -> Option<TileRange> {
    let (mut offset, mut length) = ([0; 8], [0; 8]);
    offset.copy_from_slice(&pair[..8]);
    length.copy_from_slice(&pair[8..16]);
    let range = TileRange { offset: u64::from_le_bytes(offset), length: u64::from_le_bytes(length) };
    (range != TileRange { offset: MISSING, length: MISSING }).then_some(range)
}
