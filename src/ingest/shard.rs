//! The Zarr side of the raster file: the shard index at its end and the two metadata documents.

use serde_json::{Value, json};

use super::grid::SIDE;
use super::sink::TileSpan;
use crate::store::entry::{Codec, EntryMeta, Number, RasterMeta, TILE};

/// The index of a Zarr v3 shard with `index_location: end`: offset and length of every inner chunk in C order
/// as u64, all ones for a missing chunk, then the CRC-32C of all that.
pub(super) fn index(spans: &[TileSpan]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(spans.len() * 16 + 4);
    for span in spans {
        let (offset, length) =
            if span.is_missing() { (u64::MAX, u64::MAX) } else { (span.offset, u64::from(span.length)) };
        bytes.extend(offset.to_le_bytes());
        bytes.extend(length.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Path of the shard below the array: `c/0/0`, with several bands `c/0/0/0`.
pub(super) fn shard_path(bands: usize) -> &'static str {
    if bands > 1 { "c/0/0/0" } else { "c/0/0" }
}

/// `zarr.json` of a raster's array: one shard over the whole array, inner chunks of one tile.
pub(super) fn array_document(raster: &RasterMeta) -> Value {
    let (height, width) = (u64::from(raster.height), u64::from(raster.width));
    let bands = raster.bands.len() as u64;
    let round = |side: u64| side.next_multiple_of(u64::from(TILE));
    let (shape, shard, chunk, names) = if bands > 1 {
        (
            json!([bands, height, width]),
            json!([bands, round(height), round(width)]),
            json!([1, SIDE, SIDE]),
            json!(["band", "y", "x"]),
        )
    } else {
        (json!([height, width]), json!([round(height), round(width)]), json!([SIDE, SIDE]), json!(["y", "x"]))
    };
    let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
    let bytes = if raster.pixel.size() == 1 { json!({"name": "bytes"}) } else { little.clone() };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": raster.pixel.zarr(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value(raster),
        "codecs": [{
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": chunk,
                "codecs": [bytes, codec(raster.codec)],
                "index_codecs": [little, {"name": "crc32c"}],
                "index_location": "end",
            },
        }],
        "dimension_names": names,
        "attributes": {},
    })
}

/// `zarr.json` of the entry: a group that carries the entry's self-description.
pub(super) fn group_document(meta: &EntryMeta) -> serde_json::Result<Value> {
    Ok(json!({
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"clmsfs": serde_json::to_value(meta)?},
    }))
}

fn codec(codec: Codec) -> Value {
    match codec {
        Codec::Zstd { level } => {
            json!({"name": "zstd", "configuration": {"level": level, "checksum": true}})
        }
        // The name that zarr-python and zarrs share for RFC 1950 streams.
        Codec::Zlib { level } => json!({"name": "numcodecs.zlib", "configuration": {"level": level}}),
    }
}

fn fill_value(raster: &RasterMeta) -> Value {
    let Number(value) = raster.nodata.unwrap_or(Number(0.0));
    if raster.pixel.is_float() { json!(Number(value)) } else { json!(value as i64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_has_pairs_and_a_checksum() {
        let bytes = index(&[TileSpan { offset: 4096, length: 7 }, TileSpan::default()]);
        assert_eq!(bytes.len(), 36);
        assert_eq!(bytes[..8], 4096u64.to_le_bytes());
        assert_eq!(bytes[8..16], 7u64.to_le_bytes());
        assert!(bytes[16..32].iter().all(|&byte| byte == 0xFF));
        assert_eq!(bytes[32..], crc32c::crc32c(&bytes[..32]).to_le_bytes());
    }
}
