//! Dates that the product's former entry has already: their tiles are copied from it, of every level, and nothing of them
//! is decoded or encoded.
//!
//! When a set of dates is converted, each band gets a fingerprint of all that decides its tiles and its statistics: the
//! checksums of its sources and how they are read and laid down, pixel type, nodata, codec and method of the overviews.
//! A band of the former entry with the same fingerprint has the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::convert::Work;
use super::error::{DiskContext, IngestError};
use super::grid::{Level, TILE_PIXELS, TileAt};
use super::mosaic::Mosaic;
use super::overview::Method;
use super::pixel::{Pixel, from_bytes};
use super::sink::TileSink;
use crate::store::checksum::Checksum;
use crate::store::entry::{Codec, RasterMeta, Statistics};
use crate::store::entry_dir;
use crate::store::raster_file::{RasterFile, TileId, TileRange};

/// Goes up when the same sources would give other tiles or other statistics than before.
const RECIPE: u32 = 2;
/// Bytes of tiles that are written at a time.
const RUN: usize = 4 << 20;

/// The checksums of the sources of dated rasters, by path.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<PathBuf, Checksum>);

impl Sources {
    /// Reads every source of the mosaics that are sets of dates, each once.
    ///
    /// # Errors
    /// [`IngestError::Disk`].
    pub(super) fn of(mosaics: &[Mosaic]) -> Result<Self, IngestError> {
        let mut sources = Self::default();
        let tiles = mosaics.iter().filter(|mosaic| mosaic.times.len() > 1).flat_map(|mosaic| &mosaic.tiles);
        for tile in tiles {
            if !sources.0.contains_key(&tile.path) {
                let read = || Checksum::of(File::open(&tile.path)?, |_| ControlFlow::Continue(()));
                let sum = read().disk(|| format!("read '{}'", tile.name))?;
                sources.0.extend(sum.map(|sum| (tile.path.clone(), sum)));
            }
        }
        Ok(sources)
    }
}

/// What decides, beside the mosaic, what its tiles are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// Compression.
    pub(super) codec: Codec,
    /// True when the source's own tiles are taken as they are.
    pub(super) raw: bool,
    /// How overviews are made.
    pub(super) method: Method,
}

/// The fingerprint of each band; none for bands that are no dates.
pub(super) fn fingerprints(mosaic: &Mosaic, sources: &Sources, recipe: Recipe) -> Vec<Option<Checksum>> {
    let bands = 0..mosaic.facts.bands.len() as u32;
    if mosaic.times.len() < 2 {
        return bands.map(|_| None).collect();
    }
    let Recipe { codec, raw, method } = recipe;
    let facts = &mosaic.facts;
    let whole = format!(
        "{RECIPE} {codec:?} {raw} {method:?} {}x{} {:?} {:?} {:?}",
        mosaic.width, mosaic.height, facts.pixel, mosaic.nodata, facts.variable.valid_range
    );
    bands
        .map(|band| {
            let mut text = whole.clone();
            for tile in &mosaic.tiles {
                let Some(number) = tile.bands.source(band) else { continue };
                let sum = sources.0.get(&tile.path)?;
                text.push_str(&format!(
                    "\n{sum} {number} {} {} {} {} {:?} {:?}",
                    tile.x, tile.y, tile.width, tile.height, tile.other_nodata, tile.origin
                ));
            }
            Checksum::of(text.as_bytes(), |_| ControlFlow::Continue(())).ok().flatten()
        })
        .collect()
}

/// The former entry of the product.
#[derive(Debug)]
pub(super) struct Former(Vec<(RasterMeta, RasterFile)>);

impl Former {
    /// Opens the entry; `None` when it cannot be used: then everything is made anew.
    pub(super) fn open(entry: &Path) -> Option<Self> {
        let with_file = |raster: RasterMeta| {
            let file = RasterFile::open(&entry_dir::raster_path(entry, &raster), &raster).ok()?;
            Some((raster, file))
        };
        let meta = entry_dir::read_meta(entry).ok()?;
        meta.rasters.into_iter().map(with_file).collect::<Option<_>>().map(Self)
    }

    /// The band with this fingerprint.
    pub(super) fn band(&self, fingerprint: Checksum) -> Option<Donor<'_>> {
        self.0.iter().find_map(|(raster, file)| {
            let number = raster.bands.iter().position(|band| band.fingerprint == Some(fingerprint))?;
            Some(Donor { raster, file, band: number as u32 })
        })
    }
}

/// A band of the former entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Donor<'a> {
    raster: &'a RasterMeta,
    file: &'a RasterFile,
    band: u32,
}

impl Donor<'_> {
    /// The statistics of the band.
    pub(super) fn statistics(self) -> Option<Statistics> {
        self.raster.bands[self.band as usize].statistics
    }

    /// Copies the tiles of all levels to band `band` of the sinks, the finest first; gives their number.
    ///
    /// # Errors
    /// [`IngestError::Disk`] also when the former entry turns out to be damaged.
    pub(super) fn copy<'s>(
        self,
        band: u32,
        levels: &[Level],
        sinks: impl Iterator<Item = &'s TileSink>,
        progress: &mut dyn FnMut(Work),
    ) -> Result<u64, IngestError> {
        let (mut run, mut spans, mut tiles) = (Vec::with_capacity(RUN), Vec::new(), 0);
        for ((number, level), sink) in levels.iter().enumerate().zip(sinks) {
            let mut write = |run: &mut Vec<u8>, spans: &mut Vec<(usize, u32)>| {
                progress(Work::Room(run.len() as u64));
                sink.append(run, spans)?;
                run.clear();
                spans.clear();
                Ok::<(), IngestError>(())
            };
            for row in 0..level.rows() {
                let ranges = self.file.row(number, self.band, row).map_err(broken)?;
                for (column, range) in ranges.into_iter().enumerate() {
                    let Some(range) = range else { continue };
                    let start = run.len();
                    self.read(range, &mut run)?;
                    let at = TileAt { band, row, column: column as u32 };
                    spans.push((level.index(at), (run.len() - start) as u32));
                    tiles += 1;
                    if run.len() >= RUN {
                        write(&mut run, &mut spans)?;
                    }
                }
            }
            write(&mut run, &mut spans)?;
        }
        Ok(tiles)
    }

    /// The only tile of the coarsest level, `None` where it is missing: the one tile that is decoded, for the preview.
    ///
    /// # Errors
    /// [`IngestError::Disk`] when the former entry turns out to be damaged.
    pub(super) fn top<T: Pixel>(self) -> Result<Option<Vec<T>>, IngestError> {
        let tile = TileId { level: self.file.levels() - 1, band: self.band, row: 0, column: 0 };
        let Some(range) = self.file.tile(tile).map_err(broken)? else { return Ok(None) };
        let (mut packed, length) = (Vec::new(), TILE_PIXELS * size_of::<T>());
        self.read(range, &mut packed)?;
        let bytes = match self.raster.codec {
            Codec::Zstd { .. } => zstd::bulk::decompress(&packed, length).map_err(broken)?,
            Codec::Zlib { .. } => {
                let mut bytes = vec![0; length];
                let done = libdeflater::Decompressor::new().zlib_decompress(&packed, &mut bytes);
                bytes.truncate(done.map_err(broken)?);
                bytes
            }
        };
        if bytes.len() != length {
            return Err(broken(format!("its coarsest tile has {} bytes instead of {length}", bytes.len())));
        }
        Ok(Some(from_bytes(&bytes)))
    }

    fn read(self, range: TileRange, into: &mut Vec<u8>) -> Result<(), IngestError> {
        let start = into.len();
        let length = u32::try_from(range.length).map_err(broken)?;
        into.resize(start + length as usize, 0);
        self.file.file().read_exact_at(&mut into[start..], range.offset).disk(action)
    }
}

fn action() -> String {
    "copy tiles of the former entry".to_owned()
}

fn broken(error: impl std::fmt::Display) -> IngestError {
    IngestError::Disk { action: action(), reason: error.to_string(), errno: None }
}
