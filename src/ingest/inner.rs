//! The inner parts of a conversion one by one, for `benches/inner.rs`. Not an interface: it changes with what it measures.

use std::fs::File;
use std::path::Path;

use super::encode::Encoder;
use super::error::{DiskContext, IngestError};
use super::grid::{Level, SIDE, TILE_PIXELS};
use super::overview::{Method, halve};
use super::pixel::{Pixel, as_bytes};
use super::sink::TileSink;
use super::statistics::Accumulator;
use super::{mosaic, raw_copy, source};
use crate::store::entry::Codec;

/// Bytes that are collected before they are written.
const RUN: usize = 4 << 20;

/// Copies the tiles of the full resolution of the GeoTIFF at `from` as they are into a new file; gives how many. `None` when
/// they are not of a kind that can be copied.
///
/// # Errors
/// Any [`IngestError`] of reading and writing rasters.
pub fn copy_raw_tiles(from: &Path, to: &Path) -> Result<Option<usize>, IngestError> {
    let name = from.display().to_string();
    let mosaic = mosaic::assemble(vec![(from.to_owned(), source::inspect(from, &name)?)])?;
    let Some(tiles) = raw_copy::find(&mosaic) else { return Ok(None) };
    let count = Level { width: mosaic.width, height: mosaic.height }.tiles() * mosaic.facts.bands.len();
    let sink = TileSink::new(File::create(to).disk(|| format!("create '{}'", to.display()))?, count);
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for number in 0..count {
        if let Some(length) = tiles.append(number, &mut bytes)? {
            spans.push((number, length));
        }
        if bytes.len() >= RUN || number + 1 == count {
            sink.append(&bytes, &spans)?;
            bytes.clear();
            spans.clear();
        }
    }
    Ok(Some(count))
}

/// Tools for tiles of one type, and a tile to use them on.
pub struct TileBench<T> {
    encoder: Encoder,
    tile: Vec<T>,
    half: Vec<T>,
    packed: Vec<u8>,
    nodata: Option<T>,
}

macro_rules! tile_bench {
    ($type:ty, $new:ident) => {
        impl TileBench<$type> {
            /// With the pixels that a function of the place gives.
            ///
            /// # Errors
            /// When the compressor cannot be made.
            pub fn $new(pixel: impl Fn(usize, usize) -> $type, nodata: $type) -> std::io::Result<Self> {
                let encoder = Encoder::new(Codec::Zstd { level: 1 })?;
                let tile = (0..TILE_PIXELS).map(|at| pixel(at % SIDE, at / SIDE)).collect();
                let half = vec![<$type>::ZERO; TILE_PIXELS / 4];
                Ok(Self { encoder, tile, half, packed: Vec::new(), nodata: Some(nodata) })
            }

            /// Compresses the tile; gives the bytes it has then.
            ///
            /// # Errors
            /// When the compressor fails.
            pub fn encode(&mut self) -> std::io::Result<usize> {
                self.packed.clear();
                self.encoder.append(as_bytes(&self.tile), &mut self.packed)
            }

            /// Makes the tile's quarter of an overview, as classes or as measurements; gives its first pixel.
            pub fn halve(&mut self, classes: bool) -> $type {
                let method = if classes { Method::Mode } else { Method::Mean };
                halve(method, self.nodata, &self.tile, SIDE, (SIDE, SIDE), &mut self.half, SIDE / 2);
                self.half[0]
            }

            /// Takes the tile's statistics; gives its valid share in per cent.
            pub fn statistics(&self) -> Option<f64> {
                let mut all = Accumulator::default();
                self.tile.chunks_exact(SIDE).for_each(|row| all.add_row(row, self.nodata));
                all.finish::<$type>(TILE_PIXELS as u64).map(|statistics| statistics.valid_percent)
            }
        }
    };
}

tile_bench!(u8, of_bytes);
tile_bench!(f32, of_floats);
