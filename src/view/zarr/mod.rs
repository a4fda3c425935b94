//! `<product>.zarr/`: one tree that readers of Zarr v2, of Zarr v3 and of GDAL's dialect open (FORMATS, section 4).
//!
//! ```text
//! .zgroup .zattrs .zmetadata zarr.json
//! band/  .zarray .zattrs zarr.json <row>/<column>         (several bands: <band>/<row>/<column>)
//! x/ y/  .zarray .zattrs zarr.json 0                      (time/ too where bands are dates)
//! spatial_ref/ zarr.json 0
//! ovr_2x/ zarr.json  band/ x/ y/ spatial_ref/             (v3 only), ovr_4x/ …
//! ```

mod attributes;
mod documents;
mod level;
mod time;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use super::names::ZARR_ROOT;
use super::node::{Content, Listed, Node, ViewFile};
use crate::store::entry::{Codec, RasterMeta, TILE};
use crate::store::raster_file::{RasterError, RasterFile, TileId};
use level::{Axis, Level};

/// The Zarr tree of one raster.
#[derive(Debug)]
pub(crate) struct ZarrTree {
    raster: Arc<RasterFile>,
    several_bands: bool,
    documents: HashMap<String, Arc<[u8]>>,
    levels: Vec<LevelTree>,
    /// The chunk that stands for every missing one, when missing ones must not show: a raster without nodata has
    /// `fill_value: null` in v2, where a missing chunk means undefined pixels.
    empty_chunk: Option<Arc<[u8]>>,
    /// The encoded times where bands are dates.
    times: Option<Arc<[u8]>>,
}

#[derive(Debug)]
struct LevelTree {
    level: Level,
    /// `ovr_2x/`, empty for the full resolution.
    prefix: String,
    x: OnceLock<Arc<[u8]>>,
    y: OnceLock<Arc<[u8]>>,
}

/// What a path below the root means, without its documents.
enum Place<'a> {
    Level,
    Pixels,
    Axis,
    AxisChunk(Axis),
    Time,
    TimeChunk,
    SpatialRef,
    SpatialRefChunk,
    /// The parts below `band/`.
    Chunk(&'a str),
    Nothing,
}

impl ZarrTree {
    pub(crate) fn new(raster: Arc<RasterFile>, meta: &RasterMeta) -> Self {
        let levels = Level::all(meta);
        let documents = documents::all(meta, &levels);
        let empty_chunk = meta.representable_nodata().is_none().then(|| empty_chunk(meta));
        let levels = levels
            .into_iter()
            .map(|level| LevelTree { level, prefix: level.prefix(), x: OnceLock::new(), y: OnceLock::new() })
            .collect();
        let times = meta.has_time_axis().then(|| {
            let bytes: Vec<u8> = time::encoded(meta).1.into_iter().flat_map(i64::to_le_bytes).collect();
            zstd_frame(&bytes, documents::COORDINATE_LEVEL)
        });
        Self { raster, several_bands: meta.bands.len() > 1, documents, levels, empty_chunk, times }
    }

    /// What stands at a path below the root, `None` for nothing (a missing chunk is nothing).
    pub(crate) fn node(&self, path: &str) -> Result<Option<Node>, RasterError> {
        let Some((index, tree, place)) = self.place(path) else { return Ok(None) };
        let node = match place {
            Place::Chunk(parts) => return self.chunk(index, parts),
            Place::Level | Place::Pixels | Place::SpatialRef => Some(Node::Dir),
            Place::Axis if tree.level.is_axis_aligned() => Some(Node::Dir),
            Place::AxisChunk(axis) if tree.level.is_axis_aligned() => {
                Some(Node::File(ViewFile::bytes(tree.coordinates(axis))))
            }
            Place::Time if self.times.is_some() => Some(Node::Dir),
            Place::TimeChunk => self.times.clone().map(|bytes| Node::File(ViewFile::bytes(bytes))),
            // The grid mapping is the value 0 of type int64.
            Place::SpatialRefChunk => Some(Node::File(ViewFile::bytes(Arc::from([0; 8])))),
            Place::Axis | Place::AxisChunk(_) | Place::Time | Place::Nothing => {
                self.documents.get(path).map(|bytes| Node::File(ViewFile::bytes(bytes.clone())))
            }
        };
        Ok(node)
    }

    /// What a directory below the root holds, `None` when it is none.
    pub(crate) fn list(&self, path: &str) -> Result<Option<Vec<Listed>>, RasterError> {
        let Some((index, tree, place)) = self.place(path) else { return Ok(None) };
        let has_v2 = index == 0;
        let mut listed = Vec::new();
        match place {
            Place::Level => {
                let documents = if has_v2 { &ZARR_ROOT[..] } else { &["zarr.json"] };
                listed.extend(documents.iter().map(|&name| Listed::file(name)));
                listed.push(Listed::dir("band"));
                listed.extend(documents::axes(&tree.level).map(|axis| Listed::dir(axis.name())));
                if self.times.is_some() {
                    listed.push(Listed::dir(time::NAME));
                }
                listed.push(Listed::dir("spatial_ref"));
                if has_v2 {
                    let overviews = self.levels[1..].iter();
                    listed.extend(
                        overviews.map(|level| Listed::dir(level.prefix.trim_end_matches('/').to_owned())),
                    );
                }
            }
            Place::Pixels => {
                list_array(&mut listed, has_v2);
                let count = if self.several_bands { self.raster.bands() } else { self.raster.rows(index) };
                listed.extend((0..count).map(|number| Listed::dir(number.to_string())));
            }
            Place::Axis if tree.level.is_axis_aligned() => {
                list_array(&mut listed, has_v2);
                listed.push(Listed::file("0"));
            }
            Place::Time if self.times.is_some() => {
                list_array(&mut listed, has_v2);
                listed.push(Listed::file("0"));
            }
            Place::SpatialRef => listed.extend([Listed::file("zarr.json"), Listed::file("0")]),
            Place::Chunk(parts) => return self.list_chunks(index, parts),
            _ => return Ok(None),
        }
        Ok(Some(listed))
    }

    /// Finds the level and the place of a path. Allocates nothing.
    fn place<'a>(&self, path: &'a str) -> Option<(usize, &LevelTree, Place<'a>)> {
        let (index, rest) = match path.strip_prefix("ovr_") {
            None => (0, path),
            Some(_) => {
                let (position, tree) = self.levels.iter().enumerate().skip(1).find(|(_, tree)| {
                    path.starts_with(&tree.prefix) || path == tree.prefix.trim_end_matches('/')
                })?;
                (position, path.get(tree.prefix.len()..).unwrap_or(""))
            }
        };
        let place = match rest {
            "" => Place::Level,
            "band" => Place::Pixels,
            "x" => Place::Axis,
            "y" => Place::Axis,
            "x/0" => Place::AxisChunk(Axis::X),
            "y/0" => Place::AxisChunk(Axis::Y),
            time::NAME => Place::Time,
            "time/0" => Place::TimeChunk,
            "spatial_ref" => Place::SpatialRef,
            "spatial_ref/0" => Place::SpatialRefChunk,
            _ => match rest.strip_prefix("band/") {
                Some(parts) if parts.starts_with(|first: char| first.is_ascii_digit()) => Place::Chunk(parts),
                _ => Place::Nothing,
            },
        };
        Some((index, &self.levels[index], place))
    }

    /// A chunk or a directory above chunks.
    fn chunk(&self, level: usize, parts: &str) -> Result<Option<Node>, RasterError> {
        let Some((tile, depth)) = self.parse(level, parts) else { return Ok(None) };
        if depth < self.depth() {
            return Ok(Some(Node::Dir));
        }
        Ok(match self.raster.tile(tile)? {
            Some(range) => Some(Node::File(ViewFile {
                size: range.length,
                content: Content::Slice {
                    file: self.raster.file().clone(),
                    offset: range.offset,
                    length: range.length,
                },
            })),
            None => self.empty_chunk.as_ref().map(|bytes| Node::File(ViewFile::bytes(bytes.clone()))),
        })
    }

    fn list_chunks(&self, level: usize, parts: &str) -> Result<Option<Vec<Listed>>, RasterError> {
        let Some((tile, depth)) = self.parse(level, parts) else { return Ok(None) };
        match self.depth() - depth {
            0 => Ok(None),
            1 => {
                let row = self.raster.row(level, tile.band, tile.row)?;
                let shown =
                    row.iter().zip(0..).filter(|(range, _)| range.is_some() || self.empty_chunk.is_some());
                Ok(Some(shown.map(|(_, column): (_, u32)| Listed::file(column.to_string())).collect()))
            }
            _ => Ok(Some((0..self.raster.rows(level)).map(|row| Listed::dir(row.to_string())).collect())),
        }
    }

    /// Numbers in the path of a chunk.
    fn depth(&self) -> usize {
        if self.several_bands { 3 } else { 2 }
    }

    /// Reads the numbers of a chunk's path, or of a directory above it (the missing ones are 0): the tile, which is
    /// inside the grid, and how many numbers there were.
    fn parse(&self, level: usize, parts: &str) -> Option<(TileId, usize)> {
        let mut numbers = [0; 3];
        let first = 3 - self.depth();
        let mut depth = 0;
        for part in parts.split('/') {
            *numbers.get_mut(first + depth)? = number(part)?;
            depth += 1;
        }
        let [band, row, column] = numbers;
        let tile = TileId { level, band, row, column };
        self.raster.has_tile(tile).then_some((tile, depth))
    }
}

impl LevelTree {
    /// The encoded coordinates of an axis; made at the first call.
    fn coordinates(&self, axis: Axis) -> Arc<[u8]> {
        let cell = match axis {
            Axis::X => &self.x,
            Axis::Y => &self.y,
        };
        cell.get_or_init(|| {
            let bytes: Vec<u8> = self.level.centres(axis).flat_map(f64::to_le_bytes).collect();
            zstd_frame(&bytes, documents::COORDINATE_LEVEL)
        })
        .clone()
    }
}

fn list_array(listed: &mut Vec<Listed>, has_v2: bool) {
    if has_v2 {
        listed.extend([Listed::file(".zarray"), Listed::file(".zattrs")]);
    }
    listed.push(Listed::file("zarr.json"));
}

/// A chunk coordinate: digits without a sign and without leading zeros, so that no chunk has two names.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// An encoded tile of zeros.
fn empty_chunk(meta: &RasterMeta) -> Arc<[u8]> {
    let zeros = vec![0; TILE as usize * TILE as usize * meta.pixel.size()];
    match meta.codec {
        Codec::Zstd { level } => zstd_frame(&zeros, level),
        Codec::Zlib { .. } => {
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
            let mut out = vec![0; compressor.zlib_compress_bound(zeros.len())];
            // The buffer has the bound that the library itself gives, so that this cannot fail.
            let length = compressor.zlib_compress(&zeros, &mut out).unwrap_or(0);
            Arc::from(&out[..length])
        }
    }
}

/// A zstd frame with content size and checksum, as all our tiles have.
fn zstd_frame(bytes: &[u8], level: i32) -> Arc<[u8]> {
    let encode = || {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), level)?;
        encoder.include_checksum(true)?;
        encoder.include_contentsize(true)?;
        encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    // Writing into memory fails only when there is none left; an empty frame is an error for every reader.
    Arc::from(encode().unwrap_or_default())
}
