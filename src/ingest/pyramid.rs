//! From finished tiles of one level to the tiles of the next: quarters are collected until a tile is whole.
//!
//! A tile that is whole is compressed, halved, and its half becomes a quarter of the next level's tile, and so
//! on upwards. Only tiles that wait for a quarter are kept in memory; in the order in which the pipeline
//! visits the raster that is a handful per level for tiled sources, and one row of tiles for striped ones.
//! Tiles without a single stored pixel (holes of a mosaic, nodata everywhere) pass through without any work.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::encode::Encoder;
use super::error::IngestError;
use super::grid::{Level, SIDE, TILE_PIXELS, TileAt};
use super::overview::{Method, halve};
use super::pixel::{Pixel, as_bytes};
use super::sink::TileSink;

/// The overview levels of one raster while they are made.
#[derive(Debug)]
pub(super) struct Pyramid<'a, T> {
    levels: &'a [Level],
    method: Method,
    nodata: Option<T>,
    fill: T,
    waiting: Vec<Mutex<HashMap<TileAt, Waiting<T>>>>,
    sinks: Vec<TileSink>,
    top: Mutex<Option<Vec<T>>>,
}

/// A tile that lacks quarters.
#[derive(Debug)]
struct Waiting<T> {
    /// Quarters still to come.
    missing: u32,
    /// The pixels, from the first quarter on that has any.
    pixels: Option<Box<[T]>>,
}

/// Per-thread tools: a compressor and buffers that are used again and again.
pub(super) struct Bench<T> {
    /// The compressor.
    pub(super) encoder: Encoder,
    /// Compressed bytes on their way to the sink.
    pub(super) packed: Vec<u8>,
    half: Vec<T>,
}

impl<T: Pixel> Bench<T> {
    /// Tools for one thread.
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, packed: Vec::new(), half: vec![T::ZERO; TILE_PIXELS / 4] }
    }
}

impl<'a, T: Pixel> Pyramid<'a, T> {
    /// A pyramid over `levels` (the full resolution first); `sinks` take the tiles of all but the first.
    pub(super) fn new(
        levels: &'a [Level],
        method: Method,
        nodata: Option<T>,
        fill: T,
        sinks: Vec<TileSink>,
    ) -> Self {
        let waiting = levels.iter().map(|_| Mutex::new(HashMap::new())).collect();
        Self { levels, method, nodata, fill, waiting, sinks, top: Mutex::new(None) }
    }

    /// Takes a finished tile of the full resolution (`None` = missing) and makes everything above it that is
    /// now complete.
    ///
    /// # Errors
    /// [`IngestError::Disk`].
    pub(super) fn deliver(
        &self,
        at: TileAt,
        tile: Option<&[T]>,
        bench: &mut Bench<T>,
    ) -> Result<(), IngestError> {
        let Some(mut whole) = self.climb(0, at, tile, bench) else { return Ok(()) };
        let mut at = at;
        for number in 1..self.levels.len() {
            at = at.parent();
            let tile = whole.as_deref().filter(|tile| !is_fill(tile, self.fill));
            if let Some(tile) = tile {
                bench.packed.clear();
                let length = bench
                    .encoder
                    .append(as_bytes(tile), &mut bench.packed)
                    .map_err(|error| IngestError::disk("compress a tile", &error))?;
                let place = self.levels[number].index(at);
                self.sinks[number - 1].append(&bench.packed, &[(place, length as u32)])?;
            }
            match self.climb(number, at, tile, bench) {
                Some(next) => whole = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Adds tile `at` of level `number` to its parent. Gives the parent's pixels when it is whole
    /// (`Some(None)` = whole and missing).
    #[allow(clippy::option_option)]
    fn climb(
        &self,
        number: usize,
        at: TileAt,
        tile: Option<&[T]>,
        bench: &mut Bench<T>,
    ) -> Option<Option<Box<[T]>>> {
        let level = self.levels[number];
        if number + 1 == self.levels.len() {
            if at.band == 0 {
                *lock(&self.top) = tile.map(<[T]>::to_vec);
            }
            return None;
        }
        let (width, height) = level.inside(at);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        if let Some(tile) = tile {
            halve(self.method, self.nodata, tile, SIDE, (width, height), &mut bench.half, SIDE / 2);
        }
        let parent = at.parent();
        let mut waiting = lock(&self.waiting[number + 1]);
        let entry = waiting
            .entry(parent)
            .or_insert_with(|| Waiting { missing: quarters(level, parent), pixels: None });
        if tile.is_some() {
            let pixels = entry.pixels.get_or_insert_with(|| vec![self.fill; TILE_PIXELS].into_boxed_slice());
            let corner = (at.row % 2) as usize * SIDE / 2 * SIDE + (at.column % 2) as usize * SIDE / 2;
            for row in 0..half_height {
                pixels[corner + row * SIDE..][..half_width]
                    .copy_from_slice(&bench.half[row * SIDE / 2..][..half_width]);
            }
        }
        entry.missing -= 1;
        if entry.missing > 0 {
            return None;
        }
        waiting.remove(&parent).map(|whole| whole.pixels)
    }

    /// The sinks of the overview levels and the only tile of the coarsest level (band 1), `None` if missing.
    pub(super) fn finish(self) -> (Vec<TileSink>, Option<Vec<T>>) {
        (self.sinks, self.top.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many tiles of `level` the parent tile is made of.
fn quarters(level: Level, parent: TileAt) -> u32 {
    (level.columns() - 2 * parent.column).min(2) * (level.rows() - 2 * parent.row).min(2)
}

/// True when every pixel is the fill value, bit for bit. Looks at the first pixel first, so a tile with data
/// is usually told apart at once.
pub(super) fn is_fill<T: Pixel>(tile: &[T], fill: T) -> bool {
    as_bytes(&tile[..1]) == as_bytes(&[fill]) && is_uniform(tile)
}

/// True when all pixels have the same bits as the first one.
pub(super) fn is_uniform<T: Pixel>(tile: &[T]) -> bool {
    // Comparing the memory with itself one pixel further runs at the speed of memcmp and ends at the first change.
    let bytes = as_bytes(tile);
    bytes[..bytes.len() - size_of::<T>()] == bytes[size_of::<T>()..]
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
