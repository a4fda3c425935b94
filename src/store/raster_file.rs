//! The raster file of an entry: one file that is a cloud-optimised BigTIFF and a Zarr v3 shard at once.
//!
//! [`RasterFile`] answers where a tile lies, for every level, from the TIFF's own tables. The pixels are the
//! reader's business: a tile is the same bytes for a TIFF reader and for a Zarr reader.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::{Codec, PixelType, RasterMeta, TILE};
use super::shard_index::{self, ShardIndexError};
use super::tiff::{self, Directory, Integers, TiffError};

/// Tables of levels with at most this many tiles are kept in memory (1 MiB); larger ones are read tile by tile
/// from the file, that is from the page cache.
const MOST_TILES_IN_MEMORY: u64 = 65_536;

const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const SAMPLES_PER_PIXEL: u16 = 277;
const PLANAR_CONFIGURATION: u16 = 284;
const PREDICTOR: u16 = 317;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;
const SAMPLE_FORMAT: u16 = 339;

/// Why a raster file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} {kind}; evict the product and fetch it again", path = path.display())]
pub struct RasterError {
    /// The raster file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: RasterErrorKind,
}

/// What is wrong with a raster file.
#[derive(Debug, thiserror::Error)]
pub enum RasterErrorKind {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not the BigTIFF that the entry describes.
    #[error(transparent)]
    Tiff(#[from] TiffError),
    /// It has more or fewer overviews than the entry describes.
    #[error("has {found} levels, the entry describes {expected}")]
    Levels {
        /// Directories in the file.
        found: usize,
        /// Full resolution and overviews of the entry.
        expected: usize,
    },
    /// Its shard index is damaged.
    #[error("is damaged: {0}")]
    Index(#[from] ShardIndexError),
    /// A tile lies outside the file, or has an offset without a length.
    #[error("is damaged: tile {tile} leaves the file")]
    Tile {
        /// Which one.
        tile: TileId,
    },
    /// Somebody asked for a tile that the raster cannot have.
    #[error("has no tile {tile}")]
    NoSuchTile {
        /// Which one.
        tile: TileId,
    },
}

/// The place of a tile in a raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileId {
    /// 0 for the full resolution, then the overviews from the finest on.
    pub level: usize,
    /// Band, from 0.
    pub band: u32,
    /// Row of tiles, from 0 at the top.
    pub row: u32,
    /// Column of tiles, from 0 at the left.
    pub column: u32,
}

impl std::fmt::Display for TileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level, band, row, column } = self;
        write!(f, "{band}/{row}/{column} (band/row/column) of level {level}")
    }
}

/// Where the encoded bytes of a tile lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileRange {
    /// First byte.
    pub offset: u64,
    /// Bytes, never 0.
    pub length: u64,
}

/// An open raster file; cheap to share, needs no lock.
#[derive(Debug)]
pub struct RasterFile {
    file: Arc<File>,
    path: PathBuf,
    size: u64,
    bands: u32,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    rows: u32,
    columns: u32,
    table: Table,
}

/// Offsets and byte counts of a level's tiles, in the order band, row, column.
#[derive(Debug)]
enum Table {
    Memory(Box<[(u64, u64)]>),
    File { offsets: Integers, byte_counts: Integers },
}

impl RasterFile {
    /// Opens a raster file and reads its directories; `meta` says what they must contain.
    ///
    /// # Errors
    /// [`RasterError`] when the file cannot be read or is not the raster that `meta` describes.
    pub fn open(path: &Path, meta: &RasterMeta) -> Result<Self, RasterError> {
        Self::parse(path, meta).map_err(|kind| RasterError { path: path.to_owned(), kind })
    }

    fn parse(path: &Path, meta: &RasterMeta) -> Result<Self, RasterErrorKind> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let directories = tiff::read_directories(&file, size)?;
        let expected = 1 + meta.overviews.len();
        if directories.len() != expected {
            return Err(RasterErrorKind::Levels { found: directories.len(), expected });
        }
        let sizes = std::iter::once((meta.width, meta.height))
            .chain(meta.overviews.iter().map(|overview| (overview.width, overview.height)));
        let levels = directories
            .iter()
            .zip(sizes)
            .map(|(directory, (width, height))| read_level(&file, directory, meta, width, height))
            .collect::<Result<_, _>>()?;
        // The number of bands fits: every band has an entry in a table that fits into the file.
        let bands = u32::try_from(meta.bands.len()).unwrap_or(u32::MAX);
        Ok(Self { file: Arc::new(file), path: path.to_owned(), size, bands, levels })
    }

    /// The open file, for readers of tiles and of the whole.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Levels: the full resolution and its overviews.
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Bands, the same for all levels.
    pub fn bands(&self) -> u32 {
        self.bands
    }

    /// Rows of tiles of a level, 0 for a level that is not there.
    pub fn rows(&self, level: usize) -> u32 {
        self.levels.get(level).map_or(0, |level| level.rows)
    }

    /// Columns of tiles of a level, 0 for a level that is not there.
    pub fn columns(&self, level: usize) -> u32 {
        self.levels.get(level).map_or(0, |level| level.columns)
    }

    /// Tiles of a level, missing ones included.
    pub fn tiles(&self, level: usize) -> u64 {
        u64::from(self.bands) * u64::from(self.rows(level)) * u64::from(self.columns(level))
    }

    /// Whether the raster's grid has such a tile (it may be missing all the same).
    pub fn has_tile(&self, tile: TileId) -> bool {
        tile.band < self.bands && tile.row < self.rows(tile.level) && tile.column < self.columns(tile.level)
    }

    /// Where a tile lies; `None` for a missing one, which holds nothing but the fill value. Allocates nothing.
    ///
    /// # Errors
    /// [`RasterErrorKind::NoSuchTile`] outside the grid, [`RasterErrorKind::Tile`] for a damaged table, or what
    /// the system said when the table could not be read.
    pub fn tile(&self, tile: TileId) -> Result<Option<TileRange>, RasterError> {
        let fail = |kind| RasterError { path: self.path.clone(), kind };
        let Some(level) = self.levels.get(tile.level).filter(|_| self.has_tile(tile)) else {
            return Err(fail(RasterErrorKind::NoSuchTile { tile }));
        };
        let index = level.index(tile.band, tile.row) + u64::from(tile.column);
        let (offset, length) = match &level.table {
            Table::Memory(entries) => entries[index as usize],
            Table::File { offsets, byte_counts } => offsets
                .get(&self.file, index)
                .and_then(|offset| Ok((offset, byte_counts.get(&self.file, index)?)))
                .map_err(|error| fail(error.into()))?,
        };
        self.range(tile, offset, length).map_err(fail)
    }

    /// Where the tiles of one row lie, by column; one or two reads instead of two for each tile.
    ///
    /// # Errors
    /// As [`RasterFile::tile`].
    pub fn row(&self, level: usize, band: u32, row: u32) -> Result<Vec<Option<TileRange>>, RasterError> {
        let fail = |kind| RasterError { path: self.path.clone(), kind };
        let first = TileId { level, band, row, column: 0 };
        let Some(of_level) = self.levels.get(level).filter(|_| self.has_tile(first)) else {
            return Err(fail(RasterErrorKind::NoSuchTile { tile: first }));
        };
        let count = of_level.columns as usize;
        let index = of_level.index(band, row);
        let read = |array: &Integers| {
            array.get_many(&self.file, index, count).map_err(|error| fail(RasterErrorKind::Io(error)))
        };
        let range = |column: usize, offset, length| {
            self.range(TileId { column: column as u32, ..first }, offset, length).map_err(fail)
        };
        match &of_level.table {
            Table::Memory(entries) => entries[index as usize..index as usize + count]
                .iter()
                .enumerate()
                .map(|(column, &(offset, length))| range(column, offset, length))
                .collect(),
            Table::File { offsets, byte_counts } => read(offsets)?
                .into_iter()
                .zip(read(byte_counts)?)
                .enumerate()
                .map(|(column, (offset, length))| range(column, offset, length))
                .collect(),
        }
    }

    /// Proves the checksum of the shard index at the end of the file; costs one read of 16 bytes per tile.
    ///
    /// # Errors
    /// [`RasterErrorKind::Index`]: a truncated or overwritten file ends here.
    pub fn verify_index(&self) -> Result<(), RasterError> {
        self.walk_index(|_, _| Ok(()))
    }

    /// Walks the shard index; see [`shard_index::walk`].
    ///
    /// # Errors
    /// What `visit` says, or [`RasterErrorKind::Index`].
    pub fn walk_index(
        &self,
        visit: impl FnMut(u64, &[Option<TileRange>]) -> Result<(), RasterErrorKind>,
    ) -> Result<(), RasterError> {
        shard_index::walk(&self.file, self.size, self.tiles(0), visit)
            .map_err(|kind| RasterError { path: self.path.clone(), kind })
    }

    /// The tile that stands at `index` in the tables of `level`; the level must have tiles.
    pub fn tile_at(&self, level: usize, index: u64) -> TileId {
        let (rows, columns) = (u64::from(self.rows(level)), u64::from(self.columns(level)));
        let (line, column) = (index / columns, index % columns);
        TileId { level, band: (line / rows) as u32, row: (line % rows) as u32, column: column as u32 }
    }

    fn range(&self, tile: TileId, offset: u64, length: u64) -> Result<Option<TileRange>, RasterErrorKind> {
        match (offset, length) {
            (0, 0) => Ok(None),
            (0, _) | (_, 0) => Err(RasterErrorKind::Tile { tile }),
            _ if offset.checked_add(length).is_none_or(|end| end > self.size) => {
                Err(RasterErrorKind::Tile { tile })
            }
            _ => Ok(Some(TileRange { offset, length })),
        }
    }
}

impl Level {
    /// Index of the first tile of a row in the table.
    fn index(&self, band: u32, row: u32) -> u64 {
        (u64::from(band) * u64::from(self.rows) + u64::from(row)) * u64::from(self.columns)
    }
}

fn read_level(
    file: &File,
    directory: &Directory,
    meta: &RasterMeta,
    width: u32,
    height: u32,
) -> Result<Level, RasterErrorKind> {
    let bands = meta.bands.len() as u64;
    let one = |tag, value, default| directory.require(file, tag, 1, value, default);
    one(IMAGE_WIDTH, u64::from(width), None)?;
    one(IMAGE_LENGTH, u64::from(height), None)?;
    one(TILE_WIDTH, u64::from(TILE), None)?;
    one(TILE_LENGTH, u64::from(TILE), None)?;
    one(COMPRESSION, compression(meta.codec), None)?;
    one(PREDICTOR, 1, Some(1))?;
    one(SAMPLES_PER_PIXEL, bands, Some(1))?;
    directory.require(file, BITS_PER_SAMPLE, bands, meta.pixel.size() as u64 * 8, None)?;
    directory.require(file, SAMPLE_FORMAT, bands, sample_format(meta.pixel), Some(1))?;
    if bands > 1 {
        one(PLANAR_CONFIGURATION, 2, Some(1))?;
    }

    let (rows, columns) = (height.div_ceil(TILE), width.div_ceil(TILE));
    let tiles = (u64::from(rows) * u64::from(columns))
        .checked_mul(bands)
        .ok_or_else(|| directory.wrong(TILE_OFFSETS, "no file has so many tiles"))?;
    let offsets = directory.array(TILE_OFFSETS, tiles)?;
    let byte_counts = directory.array(TILE_BYTE_COUNTS, tiles)?;
    let table = if tiles <= MOST_TILES_IN_MEMORY {
        let offsets = offsets.get_many(file, 0, tiles as usize)?;
        let byte_counts = byte_counts.get_many(file, 0, tiles as usize)?;
        Table::Memory(offsets.into_iter().zip(byte_counts).collect())
    } else {
        Table::File { offsets, byte_counts }
    };
    Ok(Level { rows, columns, table })
}

/// TIFF tag 259.
fn compression(codec: Codec) -> u64 {
    match codec {
        Codec::Zstd { .. } => 50_000,
        Codec::Zlib { .. } => 8,
    }
}

/// TIFF tag 339.
fn sample_format(pixel: PixelType) -> u64 {
    match pixel {
        PixelType::UInt8 | PixelType::UInt16 | PixelType::UInt32 => 1,
        PixelType::Int8 | PixelType::Int16 | PixelType::Int32 => 2,
        PixelType::Float32 | PixelType::Float64 => 3,
    }
}

#[cfg(test)]
#[path = "raster_file_tests.rs"]
mod tests;
