//! One tile's pixels to the bytes that are TIFF tile and Zarr chunk at once.

use std::io;

use libdeflater::{CompressionLvl, Compressor as Deflater};
use zstd::bulk::Compressor as ZstdCompressor;
use zstd::zstd_safe::CParameter;

use crate::store::entry::Codec;

/// Shortest match that zstd looks for at level 1, which is 6 for frames of a tile's size if nobody says otherwise. With 7, Float32
/// is compressed in two thirds of the time and is 0.4 % larger, classes in nine tenths and smaller or up to 4 % larger
/// (docs/PERFORMANCE.md).
const SHORTEST_MATCH: u32 = 7;

/// A compressor with its reused context; one per thread.
pub(super) struct Encoder {
    compressor: Compressor,
    /// Where a tile is compressed to: as long as the largest so far could have become, so that it is cleared once and not for every tile.
    packed: Vec<u8>,
}

enum Compressor {
    /// zstd frames with content checksum.
    Zstd(ZstdCompressor<'static>),
    /// zlib streams, RFC 1950.
    Zlib(Deflater),
}

impl Encoder {
    /// An encoder for a codec.
    ///
    /// # Errors
    /// When the level is not one of the codec's.
    pub(super) fn new(codec: Codec) -> io::Result<Self> {
        let compressor = match codec {
            Codec::Zstd { level } => {
                let mut compressor = ZstdCompressor::new(level)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                if level == 1 {
                    compressor.set_parameter(CParameter::MinMatch(SHORTEST_MATCH))?;
                }
                Compressor::Zstd(compressor)
            }
            Codec::Zlib { level } => {
                let level = CompressionLvl::new(level)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no such zlib level"))?;
                Compressor::Zlib(Deflater::new(level))
            }
        };
        Ok(Self { compressor, packed: Vec::new() })
    }

    /// Appends the compressed form of `raw` to `out` and gives its length.
    ///
    /// # Errors
    /// When the library runs out of memory.
    pub(super) fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let bound = match &mut self.compressor {
            Compressor::Zstd(_) => zstd::zstd_safe::compress_bound(raw.len()),
            Compressor::Zlib(compressor) => compressor.zlib_compress_bound(raw.len()),
        };
        if self.packed.len() < bound {
            self.packed.resize(bound, 0);
        }
        let written = match &mut self.compressor {
            Compressor::Zstd(compressor) => compressor.compress_to_buffer(raw, &mut self.packed[..])?,
            Compressor::Zlib(compressor) => compressor
                .zlib_compress(raw, &mut self.packed)
                .map_err(|error| io::Error::other(error.to_string()))?,
        };
        out.extend_from_slice(&self.packed[..written]);
        Ok(written)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_codecs_round_trip_and_append() {
        let raw: Vec<u8> = (0..100_000u32).map(|i| (i / 300) as u8).collect();
        let mut out = vec![1, 2, 3];
        let length = Encoder::new(Codec::Zstd { level: 1 }).unwrap().append(&raw, &mut out).unwrap();
        assert_eq!(out.len(), 3 + length);
        assert_eq!(zstd::bulk::decompress(&out[3..], raw.len()).unwrap(), raw);
        // Frame header descriptor: bit 2 says that a content checksum follows.
        assert_ne!(out[3 + 4] & 0b100, 0);
        for level in [0, 6] {
            let mut out = Vec::new();
            Encoder::new(Codec::Zlib { level }).unwrap().append(&raw, &mut out).unwrap();
            let mut back = vec![0; raw.len()];
            libdeflater::Decompressor::new().zlib_decompress(&out, &mut back).unwrap();
            assert_eq!(back, raw);
            assert_eq!(level == 0, out.len() > raw.len());
        }
        assert!(Encoder::new(Codec::Zlib { level: 77 }).is_err());
    }
}
