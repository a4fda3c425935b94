//! Tiles that are already what an entry needs are copied as they are, without decoding.
//!
//! That is the case when the layer is one file, tiled 512×512, deflate or zstd, predictor 1, little-endian,
//! with its bands in planes. TIFF tiles at the edges are full-size, as ours are. The tiles are still decoded
//! once, for overviews and statistics, so a damaged one is found.
//!
//! zstd frames must also state their content's size, which zarr 2 insists on, and carry its checksum, which
//! readers then verify. libtiff writes frames with neither; a file that begins with such tiles is encoded anew
//! as a whole, and where only later tiles lack something, those are.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::encode::Encoder;
use super::error::IngestError;
use super::grid::{Level, SIDE, TILE_PIXELS};
use super::mosaic::Mosaic;
use super::tiff::{Tag, first_directory};
use crate::store::entry::Codec;

/// How many tiles are looked at before a zstd source is taken for copying.
const LOOKED_AT: usize = 16;
/// Level of the zlib streams of overviews above copied tiles. At level 6 the overviews, a third of the pixels, took more than
/// half of the conversion; at 1 the whole file is 7 % larger (20000² of classes: 57 MB against 53).
const OVERVIEW_LEVEL: i32 = 1;
/// Level of those above tiles that deflate made hardly smaller (noisy measurements): streams of stored blocks. Compressing their
/// overviews again took a quarter of the processor time of the whole conversion and saved 8 % of the file.
const STORED: i32 = 0;
/// Tiles of a zlib source are hardly smaller when so many per cent of their size are left.
const HARDLY_SMALLER: u64 = 70;
/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Tiles of a source that can be copied.
#[derive(Debug)]
pub(super) struct RawTiles {
    file: File,
    name: String,
    codec: Codec,
    /// Bytes of a decoded tile.
    tile_bytes: usize,
    /// Offset and length of each tile, C order.
    spans: Vec<(u64, u64)>,
}

/// Looks whether the source of a layer can be copied; `None` when its tiles must be made anew.
pub(super) fn find(mosaic: &Mosaic) -> Option<RawTiles> {
    let [tile] = mosaic.tiles.as_slice() else { return None };
    let file = File::open(&tile.path).ok()?;
    let tags = first_directory(|offset, length| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    })?;
    let get = |code: u16| tags.iter().find(|tag| tag.code == code).map(Tag::integers);
    let one = |code: u16, default: u64| match get(code) {
        None => Some(default),
        Some(values) => values.first().copied().filter(|first| values.iter().all(|value| value == first)),
    };
    let compression = one(259, 1)?;
    let bands = mosaic.facts.bands.len() as u64;
    let bits = mosaic.facts.pixel.size() as u64 * 8;
    let fits = one(317, 1)? == 1
        && one(266, 1)? == 1
        && one(322, 0)? == SIDE as u64
        && one(323, 0)? == SIDE as u64
        && one(256, 0)? == u64::from(mosaic.width)
        && one(257, 0)? == u64::from(mosaic.height)
        && one(258, 1)? == bits
        && one(277, 1)? == bands
        && (bands == 1 || one(284, 1)? == 2);
    let (offsets, lengths) = (get(324)?, get(325)?);
    let tiles = Level { width: mosaic.width, height: mosaic.height }.tiles() * bands as usize;
    let is_complete = offsets.len() == tiles && lengths.len() == tiles;
    // What a missing tile reads as is only agreed on where there is a nodata value.
    let has_holes = offsets.iter().chain(&lengths).any(|&value| value == 0);
    if !fits || !is_complete || (has_holes && mosaic.nodata.is_none()) {
        return None;
    }
    let tile_bytes = TILE_PIXELS * mosaic.facts.pixel.size();
    let codec = match compression {
        50_000 => Codec::Zstd { level: 1 },
        // 8 is Adobe's deflate, 32946 the older number for the same stream.
        8 | 32_946 => Codec::Zlib { level: overview_level(&lengths, tile_bytes) },
        _ => return None,
    };
    let spans: Vec<(u64, u64)> = offsets.into_iter().zip(lengths).collect();
    if matches!(codec, Codec::Zstd { .. }) {
        let stored = spans.iter().filter(|&&(offset, length)| offset != 0 && length != 0);
        for &(offset, _) in stored.take(LOOKED_AT) {
            let mut start = [0; 5];
            file.read_exact_at(&mut start, offset).ok()?;
            has_size_and_checksum(&start).then_some(())?;
        }
    }
    Some(RawTiles { file, name: tile.name.clone(), codec, tile_bytes, spans })
}

/// How hard to compress overviews above zlib tiles of these lengths, by what compression did to the tiles themselves.
fn overview_level(lengths: &[u64], tile_bytes: usize) -> i32 {
    let stored = lengths.iter().filter(|&&length| length > 0);
    let (tiles, bytes) =
        stored.fold((0_u64, 0_u64), |(tiles, bytes), &length| (tiles + 1, bytes.saturating_add(length)));
    let percent = bytes.saturating_mul(100) / (tiles * tile_bytes as u64).max(1);
    if percent >= HARDLY_SMALLER { STORED } else { OVERVIEW_LEVEL }
}

/// Looks at the frame header descriptor (RFC 8878, 3.1.1.1.1): the content's size is there when its flag or the
/// single segment flag is set, the checksum when bit 2 is.
pub(super) fn has_size_and_checksum(frame: &[u8]) -> bool {
    frame.starts_with(&ZSTD_MAGIC)
        && frame.get(4).is_some_and(|descriptor| descriptor & 0xE0 != 0 && descriptor & 0x04 != 0)
}

/// True for one zstd frame, and nothing else, of a tile's size.
pub(super) fn is_good_frame(bytes: &[u8], tile_bytes: usize) -> bool {
    has_size_and_checksum(bytes)
        && zstd::zstd_safe::find_frame_compressed_size(bytes) == Ok(bytes.len())
        && matches!(zstd::zstd_safe::get_frame_content_size(bytes), Ok(Some(size)) if size == tile_bytes as u64)
}

impl RawTiles {
    /// The codec of the tiles.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the stored form of a tile (its place in the index) to `bytes`; gives its length, `None` for a hole.
    ///
    /// # Errors
    /// [`IngestError::Raster`] when the source ends before the tile does or the tile cannot be decoded.
    pub(super) fn append(&self, number: usize, bytes: &mut Vec<u8>) -> Result<Option<u32>, IngestError> {
        let (offset, length) = self.spans[number];
        if offset == 0 || length == 0 {
            return Ok(None);
        }
        let start = bytes.len();
        let tile = u32::try_from(length).ok().filter(|&length| length <= 1 << 30).ok_or_else(|| {
            IngestError::raster(&*self.name, format!("tile {number} claims {length} bytes"))
        })?;
        bytes.resize(start + tile as usize, 0);
        self.file.read_exact_at(&mut bytes[start..], offset).map_err(|error| self.broken(number, &error))?;
        if matches!(self.codec, Codec::Zstd { .. }) && !is_good_frame(&bytes[start..], self.tile_bytes) {
            return self.encode_anew(number, bytes, start).map(Some);
        }
        Ok(Some(tile))
    }

    /// Replaces the zstd stream that begins at `start` of `bytes` by a frame as ours are; gives its length.
    fn encode_anew(&self, number: usize, bytes: &mut Vec<u8>, start: usize) -> Result<u32, IngestError> {
        let broken = |error: &std::io::Error| self.broken(number, error);
        let mut pixels = Vec::with_capacity(self.tile_bytes);
        let decoder = zstd::stream::read::Decoder::with_buffer(&bytes[start..]).map_err(|e| broken(&e))?;
        // One byte more than a tile has, so that a longer one is told apart.
        decoder.take(self.tile_bytes as u64 + 1).read_to_end(&mut pixels).map_err(|e| broken(&e))?;
        if pixels.len() != self.tile_bytes {
            let reason = format!("tile {number} is not of {} bytes", self.tile_bytes);
            return Err(IngestError::raster(&*self.name, reason));
        }
        bytes.truncate(start);
        let mut encode = || Encoder::new(self.codec)?.append(&pixels, bytes);
        encode().map(|length| length as u32).map_err(|error| IngestError::disk("compress a tile", &error))
    }

    fn broken(&self, number: usize, error: &std::io::Error) -> IngestError {
        IngestError::raster(&*self.name, format!("tile {number}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overviews_are_compressed_where_it_helped_the_tiles() {
        assert_eq!(overview_level(&[100, 200, 0], 1000), OVERVIEW_LEVEL, "a hole says nothing");
        assert_eq!(overview_level(&[900, 600], 1000), STORED);
        assert_eq!(overview_level(&[0, 0], 1000), OVERVIEW_LEVEL);
        assert_eq!(overview_level(&[], 1000), OVERVIEW_LEVEL);
        // lengths are what a file claims
        assert_eq!(overview_level(&[u64::MAX, u64::MAX], 1000), STORED);
    }
}
