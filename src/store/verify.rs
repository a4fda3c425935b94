//! Proves a published entry: quickly at its first use after a start, fully on demand (`clmsfs cache verify`).

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use serde::Deserialize;

use super::checksum::{Checksum, PIECE};
use super::entry::{Codec, EntryMeta, Number, RasterMeta, TILE};
use super::entry_dir::{self, EntryError};
use super::raster_file::{RasterError, RasterErrorKind, RasterFile, TileId, TileRange};
use super::seal;
use super::shard_index::ShardIndexError;
use super::tiff::TiffError;

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The entry does not describe itself.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A raster file is not what the entry describes, or its index is damaged.
    #[error(transparent)]
    Raster(#[from] RasterError),
    /// An array's `zarr.json` or a side file is missing or not what the entry describes.
    #[error("{path} {reason}; evict the product and fetch it again", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the entry cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The TIFF tables and the shard index say different things about a tile.
    #[error("{path} is damaged: its TIFF tables and its shard index disagree on tile {tile}; evict the product and fetch it again", path = path.display())]
    Disagreement {
        /// The raster file.
        path: PathBuf,
        /// The tile.
        tile: TileId,
    },
    /// A tile does not decode.
    #[error("{path} is damaged in tile {tile}: {reason}; evict the product and fetch it again", path = path.display())]
    Tile {
        /// The raster file.
        path: PathBuf,
        /// The tile.
        tile: TileId,
        /// What the decoder said.
        reason: String,
    },
    /// The caller stopped the proof; nothing is known to be wrong.
    #[error("the verification was cancelled")]
    Cancelled,
}

impl VerifyError {
    /// True when the entry is proven to be damaged: then it must go. False when this machine could not look (no
    /// file descriptors, no memory, a failing disk): then the entry may be sound, and must not be deleted.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Entry(EntryError::Io { source, .. }) | Self::Read { source, .. } => tells_of_damage(source),
            Self::Entry(_) | Self::File { .. } | Self::Disagreement { .. } | Self::Tile { .. } => true,
            Self::Raster(error) => match &error.kind {
                RasterErrorKind::Io(source)
                | RasterErrorKind::Tiff(TiffError::Io(source))
                | RasterErrorKind::Index(ShardIndexError::Io(source)) => tells_of_damage(source),
                _ => true,
            },
            Self::Cancelled => false,
        }
    }
}

/// A file that is missing, of another kind or too short is damage; every other failure is the machine's.
fn tells_of_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
    )
}

/// How far a full proof has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tiles that were looked at, missing ones included, and pieces of side files that were read.
    pub done: u64,
    /// Tiles of all levels and rasters of the entry, and pieces of all side files with a checksum.
    pub total: u64,
}

/// What a full proof has proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Tiles that decode to their full size.
    pub tiles: u64,
    /// Tiles that are missing and mean the fill value.
    pub missing: u64,
    /// Bytes of the encoded tiles.
    pub encoded_bytes: u64,
    /// Tiles among `tiles` whose stream carries no checksum (copied from a source without one): their size is
    /// proven, their pixels are not.
    pub without_checksum: u64,
    /// Side files, vector data among them, that have their checksum.
    pub files: u64,
    /// Side files of which only the size could be proven: an earlier release took no checksums.
    pub files_without_checksum: u64,
    /// Everything else in the entry is as it was sealed; false where an earlier build set no seal.
    pub sealed: bool,
}

/// Proves what is cheap to prove: descriptions, sizes, and the checksums of all shard indexes.
///
/// # Errors
/// The first [`VerifyError`] that is found.
pub fn quick(entry_dir: &Path) -> Result<EntryMeta, VerifyError> {
    open(entry_dir).map(|(meta, _)| meta)
}

/// Proves everything: what [`quick`] proves, that TIFF tables and shard index agree, that every tile of every
/// level decodes to exactly its size, its checksum being right, that every side file (vector data is among
/// them) has its checksum, and that everything else is as it was sealed. Uses all cores.
///
/// `progress` is called after every row of tiles and every piece of a file, on the calling thread; `Break` cancels.
///
/// # Errors
/// The first [`VerifyError`] that is found, [`VerifyError::Cancelled`] after a `Break`.
pub fn full(
    entry_dir: &Path,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Proof, VerifyError> {
    let (meta, rasters) = open(entry_dir)?;
    let tiles = rasters.iter().flat_map(|raster| (0..raster.levels()).map(|level| raster.tiles(level)));
    let summed = || meta.originals.iter().filter_map(|file| Some((file, file.sha256?)));
    let total = tiles.sum::<u64>() + summed().map(|(file, _)| file.size.div_ceil(PIECE)).sum::<u64>();
    let (mut proof, mut done) = (Proof::default(), 0);
    for (raster, meta) in rasters.iter().zip(&meta.rasters) {
        compare_index(raster)?;
        prove_tiles(raster, meta, |row| {
            done += row.tiles + row.missing;
            proof.tiles += row.tiles;
            proof.missing += row.missing;
            proof.encoded_bytes += row.encoded_bytes;
            proof.without_checksum += row.without_checksum;
            progress(Progress { done, total })
        })?;
    }
    for (file, expected) in summed() {
        prove_file(&entry_dir::original_path(entry_dir, &file.path), expected, || {
            done += 1;
            progress(Progress { done, total })
        })?;
        proof.files += 1;
    }
    proof.files_without_checksum = meta.originals.len() as u64 - proof.files;
    proof.sealed = seal::prove(entry_dir, &meta, &rasters)?;
    Ok(proof)
}

fn open(entry_dir: &Path) -> Result<(EntryMeta, Vec<RasterFile>), VerifyError> {
    let meta = entry_dir::read_meta(entry_dir)?;
    let mut rasters = Vec::with_capacity(meta.rasters.len());
    for raster in &meta.rasters {
        check_array(&entry_dir::array_path(entry_dir, raster), raster)?;
        let file = RasterFile::open(&entry_dir::raster_path(entry_dir, raster), raster)?;
        file.verify_index()?;
        rasters.push(file);
    }
    for original in &meta.originals {
        let path = entry_dir::original_path(entry_dir, &original.path);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(VerifyError::File { path, reason: "is no regular file".into() });
            }
            Ok(found) if found.len() != original.size => {
                let reason = format!("has {} bytes, the entry describes {}", found.len(), original.size);
                return Err(VerifyError::File { path, reason });
            }
            Ok(_) => (),
            Err(source) => return Err(VerifyError::Read { path, source }),
        }
    }
    Ok((meta, rasters))
}

/// Compares the array's own description with the entry's: a Zarr reader must see the same raster.
fn check_array(path: &Path, raster: &RasterMeta) -> Result<(), VerifyError> {
    #[derive(Deserialize)]
    struct Array {
        zarr_format: u8,
        node_type: String,
        shape: Vec<u64>,
        data_type: String,
        fill_value: Number,
    }
    let wrong = |reason: String| VerifyError::File { path: path.to_owned(), reason };
    let text = std::fs::read(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source })?;
    let array: Array =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("describes no array: {error}")))?;
    let mut shape = vec![u64::from(raster.height), u64::from(raster.width)];
    if raster.bands.len() > 1 {
        shape.insert(0, raster.bands.len() as u64);
    }
    if (array.zarr_format, array.node_type.as_str()) != (3, "array") {
        return Err(wrong("is no Zarr v3 array".into()));
    }
    if array.shape != shape {
        return Err(wrong(format!("has shape {:?}, the entry describes {shape:?}", array.shape)));
    }
    if array.data_type != raster.pixel.zarr() {
        let expected = raster.pixel.zarr();
        return Err(wrong(format!("has data type {}, the entry describes {expected}", array.data_type)));
    }
    let fill = raster.fill_value();
    if array.fill_value != fill {
        let found = array.fill_value.0;
        return Err(wrong(format!("has fill value {found}, the entry describes {}", fill.0)));
    }
    Ok(())
}

/// The full resolution: TIFF tables and shard index must name the same bytes.
fn compare_index(raster: &RasterFile) -> Result<(), VerifyError> {
    let mut disagreement = None;
    raster.walk_index(|first, entries| {
        for (&entry, index) in entries.iter().zip(first..) {
            let tile = raster.tile_at(0, index);
            if disagreement.is_none() && raster.tile(tile).map_err(|error| error.kind)? != entry {
                disagreement = Some(tile);
            }
        }
        Ok(())
    })?;
    match disagreement {
        Some(tile) => Err(VerifyError::Disagreement { path: raster.path().to_owned(), tile }),
        None => Ok(()),
    }
}

/// Reads a side file to its end; `visit` hears of every piece.
fn prove_file(
    path: &Path,
    expected: Checksum,
    mut visit: impl FnMut() -> ControlFlow<()>,
) -> Result<(), VerifyError> {
    let read = File::open(path).and_then(|file| Checksum::of(file, |_| visit()));
    match read.map_err(|source| VerifyError::Read { path: path.to_owned(), source })? {
        Some(found) if found == expected => Ok(()),
        Some(_) => Err(VerifyError::File {
            path: path.to_owned(),
            reason: "is damaged: it does not have its checksum".into(),
        }),
        None => Err(VerifyError::Cancelled),
    }
}

/// Decodes all tiles on all cores; `visit` gets every row's proof on the calling thread.
fn prove_tiles(
    raster: &RasterFile,
    meta: &RasterMeta,
    mut visit: impl FnMut(Proof) -> ControlFlow<()>,
) -> Result<(), VerifyError> {
    let rows: Vec<(usize, u32, u32)> = (0..raster.levels())
        .flat_map(|level| (0..raster.bands()).map(move |band| (level, band)))
        .flat_map(|(level, band)| (0..raster.rows(level)).map(move |row| (level, band, row)))
        .collect();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(rows.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, rows, next, stop) = (sender.clone(), &rows, &next, &stop);
            scope.spawn(move || {
                let mut decoder = TileDecoder::new(meta);
                while !stop.load(Ordering::Relaxed) {
                    let Some(&(level, band, row)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    if sender.send(prove_row(raster, &mut decoder, level, band, row, stop)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Leaving early drops nothing: the scope waits, and `stop` ends the workers within one tile.
        let result = receiver.iter().try_for_each(|row| match visit(row?) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(VerifyError::Cancelled),
        });
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn prove_row(
    raster: &RasterFile,
    decoder: &mut TileDecoder,
    level: usize,
    band: u32,
    row: u32,
    stop: &AtomicBool,
) -> Result<Proof, VerifyError> {
    let mut proof = Proof::default();
    for (range, column) in raster.row(level, band, row)?.into_iter().zip(0..) {
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Cancelled);
        }
        let Some(range) = range else {
            proof.missing += 1;
            continue;
        };
        let path = || raster.path().to_owned();
        let checksum = decoder.prove(raster.file(), range).map_err(|error| match error {
            Unproven::Unread(source) => VerifyError::Read { path: path(), source },
            Unproven::Damaged(reason) => {
                VerifyError::Tile { path: path(), tile: TileId { level, band, row, column }, reason }
            }
        })?;
        proof.tiles += 1;
        proof.encoded_bytes += range.length;
        proof.without_checksum += u64::from(!checksum);
    }
    Ok(proof)
}

/// Why a tile is not proven.
#[derive(Debug)]
enum Unproven {
    /// This machine could not look.
    Unread(io::Error),
    /// What was read is no tile.
    Damaged(String),
}

/// Decodes tiles into one buffer.
struct TileDecoder {
    codec: TileCodec,
    encoded: Vec<u8>,
    /// One byte longer than a tile, so that a longer stream is noticed.
    decoded: Vec<u8>,
}

enum TileCodec {
    Zstd(Option<zstd::bulk::Decompressor<'static>>),
    Zlib(libdeflater::Decompressor),
}

impl TileDecoder {
    fn new(meta: &RasterMeta) -> Self {
        let codec = match meta.codec {
            Codec::Zstd { .. } => TileCodec::Zstd(zstd::bulk::Decompressor::new().ok()),
            Codec::Zlib { .. } => TileCodec::Zlib(libdeflater::Decompressor::new()),
        };
        let size = TILE as usize * TILE as usize * meta.pixel.size();
        Self { codec, encoded: Vec::new(), decoded: vec![0; size + 1] }
    }

    /// Decodes one tile; true when its stream carries a checksum (which was right).
    fn prove(&mut self, file: &File, range: TileRange) -> Result<bool, Unproven> {
        let damaged = |error: io::Error| Unproven::Damaged(error.to_string());
        let size = self.decoded.len() - 1;
        // No encoder makes a tile twice as large: a longer one is a damaged length, not worth the memory.
        if range.length > 2 * size as u64 + 1024 {
            let reason = format!("{} bytes are too many for an encoded tile", range.length);
            return Err(Unproven::Damaged(reason));
        }
        self.encoded.resize(range.length as usize, 0);
        file.read_exact_at(&mut self.encoded, range.offset).map_err(Unproven::Unread)?;
        let (length, checksum) = match &mut self.codec {
            TileCodec::Zstd(decoder) => {
                let no_memory = || Unproven::Unread(io::ErrorKind::OutOfMemory.into());
                let length = decoder
                    .as_mut()
                    .ok_or_else(no_memory)?
                    .decompress_to_buffer(&self.encoded, self.decoded.as_mut_slice())
                    .map_err(damaged)?;
                // RFC 8878 3.1.1.1.1: bit 2 of the frame header descriptor, after 4 bytes of magic number.
                (length, self.encoded.get(4).is_some_and(|descriptor| descriptor & 4 != 0))
            }
            TileCodec::Zlib(decoder) => {
                let length = decoder
                    .zlib_decompress(&self.encoded, &mut self.decoded)
                    .map_err(|error| Unproven::Damaged(error.to_string()))?;
                (length, true)
            }
        };
        if length == size {
            Ok(checksum)
        } else {
            Err(Unproven::Damaged(format!("it decodes to {length} bytes instead of {size}")))
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
