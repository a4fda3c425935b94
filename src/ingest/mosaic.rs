//! Tiles of one layer put on one grid. Pure: facts in, places out.
//!
//! The geotransform tells where a tile lies, never its name. All tiles must share CRS, pixel size, bands and
//! scaling, and lie on one grid. Where tiles overlap, the later one (by name) wins wherever it is not nodata.
//! Tiles of different pixel types become the smallest type that holds all of them without loss. The nodata value is
//! the first stated one; a tile without any is taken as it is, and what another value marks as nodata in its tile
//! gets the mosaic's (a tile in which the mosaic's nodata value is a valid pixel is refused while it is read).

use std::path::PathBuf;

use jiff::Timestamp;

use super::classes::AttributeTable;
use super::error::IngestError;
use super::grid::{Level, SIDE};
use super::source::{Origin, SourceFacts};
use crate::store::entry::{Number, PixelType};

/// Furthest a tile may be off the grid, in pixels: what producers snap, and nobody sees.
const OFF_GRID: f64 = 0.1;
/// Most tiles of 512×512 one raster may have: the index of a larger one would not fit into memory.
const MOST_TILES: u64 = 16 << 20;
/// Most bands: TIFF counts them in 16 bits.
const MOST_BANDS: usize = u16::MAX as usize;

/// A layer as one raster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mosaic {
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Transform of the whole, `None` when the single source has none.
    pub(super) geotransform: Option<[f64; 6]>,
    /// Nodata of the whole.
    pub(super) nodata: Option<Number>,
    /// The tiles in the order they are laid down.
    pub(super) tiles: Vec<MosaicTile>,
    /// When the bands are of, ascending; empty when they are no dates.
    pub(super) times: Vec<Timestamp>,
    /// Facts of the first tile, which speaks for all; the colour table is that of the first tile that has one.
    pub(super) facts: SourceFacts,
}

/// One source raster and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MosaicTile {
    /// File on disk.
    pub(super) path: PathBuf,
    /// Path inside the package.
    pub(super) name: String,
    /// Column of its left edge.
    pub(super) x: u32,
    /// Row of its upper edge.
    pub(super) y: u32,
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Its attribute table: tiles list only the classes they have.
    pub(super) attributes: Option<AttributeTable>,
    /// Its own nodata value, where the mosaic's is another one.
    pub(super) other_nodata: Option<Number>,
    /// How it is read.
    pub(super) origin: Origin,
    /// Which of the mosaic's bands it has.
    pub(super) bands: TileBands,
    /// True when its file has pages that are no part of the mosaic: it stays as it is, too.
    pub(super) has_more_pages: bool,
}

/// Which bands of a mosaic a tile has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TileBands {
    /// All, in their order.
    All,
    /// Some: the mosaic's number and the tile's number of each, in the order of the first.
    Some(Vec<(u32, u32)>),
}

impl TileBands {
    /// The tile's number of a band of the mosaic, if the tile has it.
    pub(super) fn source(&self, band: u32) -> Option<u32> {
        match self {
            Self::All => Some(band),
            Self::Some(bands) => {
                bands.binary_search_by_key(&band, |pair| pair.0).ok().map(|found| bands[found].1)
            }
        }
    }
}

impl Mosaic {
    /// Pixels of all source files together: what a mosaic with holes really has.
    pub(super) fn source_pixels(&self) -> u64 {
        self.tiles.iter().map(|tile| u64::from(tile.width) * u64::from(tile.height)).sum()
    }

    /// Checks that it is not more than one raster can be.
    ///
    /// # Errors
    /// [`IngestError::Unsupported`].
    pub(super) fn fits(&self) -> Result<(), IngestError> {
        let level = Level { width: self.width, height: self.height };
        let bands = self.facts.bands.len();
        let tiles = level.tiles() as u64 * bands as u64;
        let unsupported = |reason: String| IngestError::Unsupported { name: self.facts.name.clone(), reason };
        if bands > MOST_BANDS {
            return Err(unsupported(format!(
                "{bands} bands are more than the {MOST_BANDS} that a TIFF can have"
            )));
        }
        if tiles > MOST_TILES {
            return Err(unsupported(format!(
                "{} × {} pixels are {tiles} tiles of {SIDE}×{SIDE}, more than {MOST_TILES}",
                self.width, self.height
            )));
        }
        Ok(())
    }

    /// Bytes of pixels of all bands.
    pub(super) fn pixel_bytes(&self) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height) * self.facts.bands.len() as u64;
        pixels * self.facts.pixel.size() as u64
    }
}

/// Lays the sources (path on disk and facts, in the order of their names) on one grid.
///
/// # Errors
/// [`IngestError::Mosaic`] naming the tile that does not fit.
pub(super) fn assemble(sources: Vec<(PathBuf, SourceFacts)>) -> Result<Mosaic, IngestError> {
    let Some((_, first)) = sources.first() else {
        return Err(IngestError::NoGeodata { found: "an empty layer".to_owned() });
    };
    let first = first.clone();
    let mosaic = if sources.len() == 1 { single(sources, first) } else { several(sources, first)? };
    mosaic.fits()?;
    Ok(mosaic)
}

fn single(sources: Vec<(PathBuf, SourceFacts)>, facts: SourceFacts) -> Mosaic {
    let (width, height) = (facts.width, facts.height);
    let tiles = sources
        .into_iter()
        .map(|(path, facts)| MosaicTile {
            path,
            name: facts.name,
            x: 0,
            y: 0,
            width,
            height,
            attributes: facts.attributes,
            other_nodata: None,
            origin: facts.origin,
            bands: TileBands::All,
            has_more_pages: facts.has_more_pages,
        })
        .collect();
    Mosaic {
        width,
        height,
        geotransform: facts.geotransform,
        nodata: facts.nodata,
        tiles,
        times: Vec::new(),
        facts,
    }
}

fn several(sources: Vec<(PathBuf, SourceFacts)>, mut first: SourceFacts) -> Result<Mosaic, IngestError> {
    let refuse =
        |facts: &SourceFacts, reason: String| IngestError::Mosaic { name: facts.name.clone(), reason };
    let grid = |facts: &SourceFacts| {
        let transform = facts
            .geotransform
            .ok_or_else(|| refuse(facts, "it has no geotransform, so its place is unknown".to_owned()))?;
        if transform[2] != 0.0 || transform[4] != 0.0 {
            return Err(refuse(facts, "it is rotated".to_owned()));
        }
        Ok(transform)
    };
    let origin = grid(&first)?;
    let (dx, dy) = (origin[1], origin[5]);
    let nodata = sources.iter().find_map(|(_, facts)| facts.nodata);
    let with_palette = sources.iter().find(|(_, facts)| !facts.palette.is_empty());
    first.palette = with_palette.map(|(_, facts)| facts.palette.clone()).unwrap_or_default();
    // Places relative to the first tile, in pixels; they may be negative.
    let mut places = Vec::with_capacity(sources.len());
    for (_, facts) in &sources {
        let transform = grid(facts)?;
        same_kind(&first, facts).map_err(|reason| refuse(facts, reason))?;
        // Variables are read as what they are stored as.
        let can_widen = facts.origin == Origin::Tiff || facts.pixel == first.pixel;
        let common = common_type(first.pixel, facts.pixel).filter(|_| can_widen);
        first.pixel = common.ok_or_else(|| {
            let (own, others) = (facts.pixel.zarr(), first.pixel.zarr());
            refuse(facts, format!("its pixels are {own}, and no type holds these and {others}"))
        })?;
        // A relative difference that adds up to less than the tolerance over the tile.
        let sides = [(transform[1], dx, facts.width), (transform[5], dy, facts.height)];
        if sides.iter().any(|&(size, of_first, pixels)| {
            ((size - of_first) / of_first * f64::from(pixels)).abs() > OFF_GRID
        }) {
            return Err(refuse(
                facts,
                format!("its pixels are {} × {}, not {dx} × {dy}", transform[1], transform[5]),
            ));
        }
        let place = [(transform[0] - origin[0]) / dx, (transform[3] - origin[3]) / dy];
        if place.iter().any(|place| place.abs() > 1e9) {
            return Err(refuse(facts, "it lies too far from the others".to_owned()));
        }
        if place.iter().any(|place| (place - place.round()).abs() > OFF_GRID) {
            return Err(refuse(facts, "its pixels lie between those of the others".to_owned()));
        }
        places.push((place[0].round() as i64, place[1].round() as i64));
    }
    if !matches!(first.pixel, PixelType::UInt8 | PixelType::UInt16) {
        // TIFF has colour tables for these two only.
        first.palette.clear();
    }
    let left = places.iter().map(|place| place.0).min().unwrap_or(0);
    let top = places.iter().map(|place| place.1).min().unwrap_or(0);
    let mut tiles = Vec::with_capacity(sources.len());
    let (mut width, mut height) = (0, 0);
    for ((path, facts), (x, y)) in sources.into_iter().zip(places) {
        let place = |from: i64, size: u32| {
            let end = from + i64::from(size);
            match (u32::try_from(from), i32::try_from(end)) {
                (Ok(from), Ok(end)) => Ok((from, end as u32)),
                _ => Err(refuse(&facts, "it lies too far from the others".to_owned())),
            }
        };
        let (x, right) = place(x - left, facts.width)?;
        let (y, bottom) = place(y - top, facts.height)?;
        width = width.max(right);
        height = height.max(bottom);
        tiles.push(MosaicTile {
            path,
            name: facts.name,
            x,
            y,
            width: facts.width,
            height: facts.height,
            attributes: facts.attributes,
            other_nodata: facts.nodata.filter(|own| Some(*own) != nodata),
            origin: facts.origin,
            bands: TileBands::All,
            has_more_pages: facts.has_more_pages,
        });
    }
    let transform = [origin[0] + left as f64 * dx, dx, 0.0, origin[3] + top as f64 * dy, 0.0, dy];
    Ok(Mosaic {
        width,
        height,
        geotransform: Some(transform),
        nodata,
        tiles,
        times: Vec::new(),
        facts: first,
    })
}

/// The smallest pixel type that holds the values of both without loss. None for signed bytes with others: GDAL
/// before 3.7 gives them as unsigned ones when it is to widen them.
fn common_type(one: PixelType, other: PixelType) -> Option<PixelType> {
    use PixelType::{Float32, Float64, Int8, Int16, Int32, UInt8, UInt16, UInt32};
    if one == other {
        return Some(one);
    }
    if one == Int8 || other == Int8 {
        return None;
    }
    let holds = |wide: PixelType, narrow: PixelType| match (wide.integer_range(), narrow.integer_range()) {
        (Some((low, high)), Some((from, to))) => low <= from && to <= high,
        // All integers up to 24 bits fit into a single, up to 32 into a double.
        (None, Some(_)) => wide == Float64 || narrow.size() < 4,
        (None, None) => wide == Float64 || narrow == Float32,
        (Some(_), None) => false,
    };
    [UInt8, Int16, UInt16, Int32, UInt32, Float32, Float64]
        .into_iter()
        .find(|wide| holds(*wide, one) && holds(*wide, other))
}

fn same_kind(first: &SourceFacts, tile: &SourceFacts) -> Result<(), String> {
    let codes = |facts: &SourceFacts| {
        facts.crs.as_ref().map(|crs| (crs.epsg, crs.epsg.is_none().then(|| crs.wkt2.clone())))
    };
    if codes(first) != codes(tile) {
        let name = |facts: &SourceFacts| match &facts.crs {
            Some(crs) => crs.epsg.map_or("a custom CRS".to_owned(), |code| format!("EPSG:{code}")),
            None => "no CRS".to_owned(),
        };
        return Err(format!("it has {}, the first tile {}", name(tile), name(first)));
    }
    if first.bands.len() != tile.bands.len() {
        return Err(format!("it has {} bands, not {}", tile.bands.len(), first.bands.len()));
    }
    // Stated or not, a scale of one and an offset of zero change nothing.
    let scaling = |facts: &SourceFacts| -> Vec<_> {
        facts.bands.iter().map(|b| (b.scale.unwrap_or(1.0), b.offset.unwrap_or(0.0))).collect()
    };
    if scaling(first) != scaling(tile) {
        return Err("its scale or offset is another one".to_owned());
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::super::source::SourceBand;
    use super::*;

    pub(in crate::ingest) fn tile(name: &str, x: f64, y: f64) -> (PathBuf, SourceFacts) {
        let facts = SourceFacts {
            name: name.to_owned(),
            width: 100,
            height: 50,
            pixel: PixelType::UInt8,
            geotransform: Some([x, 10.0, 0.0, y, 0.0, -10.0]),
            crs: None,
            pixel_is_point: false,
            nodata: Some(Number(255.0)),
            bands: vec![SourceBand::default()],
            block: (100, 1),
            palette: Vec::new(),
            attributes: None,
            categories: Vec::new(),
            origin: Origin::Tiff,
            times: Vec::new(),
            variable: Default::default(),
            has_more_pages: false,
        };
        (PathBuf::from(name), facts)
    }

    #[test]
    fn places_come_from_the_geotransform() {
        let mosaic =
            assemble(vec![tile("a", 4000.0, 3000.0), tile("b", 3000.0, 3000.0), tile("c", 5000.0, 2500.0)])
                .unwrap();
        assert_eq!((mosaic.width, mosaic.height), (300, 100));
        assert_eq!(mosaic.geotransform, Some([3000.0, 10.0, 0.0, 3000.0, 0.0, -10.0]));
        let places: Vec<_> = mosaic.tiles.iter().map(|t| (t.x, t.y)).collect();
        assert_eq!(places, [(100, 0), (0, 0), (200, 50)]);
    }

    #[test]
    fn a_scale_of_one_is_none() {
        let mut stated = tile("b", 5000.0, 3000.0);
        stated.1.bands[0].scale = Some(1.0);
        stated.1.bands[0].offset = Some(0.0);
        assert!(assemble(vec![tile("a", 4000.0, 3000.0), stated]).is_ok());
    }

    #[test]
    fn tiles_that_do_not_fit_are_named() {
        let refused = |change: &dyn Fn(&mut SourceFacts)| {
            let mut other = tile("odd one", 5000.0, 3000.0);
            change(&mut other.1);
            match assemble(vec![tile("a", 4000.0, 3000.0), other]) {
                Err(IngestError::Mosaic { name, reason }) => {
                    assert_eq!(name, "odd one");
                    reason
                }
                other => panic!("expected a refusal, got {other:?}"),
            }
        };
        assert!(
            refused(&|f| f.geotransform = Some([5003.0, 10.0, 0.0, 3000.0, 0.0, -10.0])).contains("between")
        );
        assert!(refused(&|f| f.geotransform = Some([5000.0, 20.0, 0.0, 3000.0, 0.0, -20.0])).contains("20"));
        assert!(refused(&|f| f.geotransform = None).contains("geotransform"));
        assert!(
            refused(&|f| f.geotransform = Some([5000.0, 10.0, 1.0, 3000.0, 0.0, -10.0])).contains("rotated")
        );
        assert!(refused(&|f| f.geotransform = Some([5e11, 10.0, 0.0, 3000.0, 0.0, -10.0])).contains("far"));
        assert!(refused(&|f| f.pixel = PixelType::Int8).contains("int8"));
        assert!(refused(&|f| f.bands.clear()).contains("bands"));
        assert!(refused(&|f| f.bands[0].scale = Some(2.0)).contains("scale"));
    }

    #[test]
    fn a_tile_without_nodata_is_taken_as_it_is() {
        let mut plain = tile("a", 4000.0, 3000.0);
        plain.1.nodata = None;
        let mosaic = assemble(vec![plain, tile("b", 5000.0, 3000.0)]).unwrap();
        assert_eq!(mosaic.nodata, Some(Number(255.0)));
    }

    #[test]
    fn another_nodata_value_is_remembered() {
        let mut other = tile("b", 5000.0, 3000.0);
        other.1.nodata = Some(Number(254.0));
        let mosaic = assemble(vec![tile("a", 4000.0, 3000.0), other]).unwrap();
        assert_eq!(mosaic.nodata, Some(Number(255.0)));
        let own: Vec<_> = mosaic.tiles.iter().map(|tile| tile.other_nodata).collect();
        assert_eq!(own, [None, Some(Number(254.0))]);
    }

    #[test]
    fn types_become_the_smallest_that_holds_all() {
        use PixelType::*;
        for (one, other, common) in [
            (UInt8, UInt16, Some(UInt16)),
            (UInt8, Int16, Some(Int16)),
            (UInt16, Int16, Some(Int32)),
            (UInt32, Int32, Some(Float64)),
            (UInt16, Float32, Some(Float32)),
            (Int32, Float32, Some(Float64)),
            (Float32, Float64, Some(Float64)),
            (Int8, Int8, Some(Int8)),
            (Int8, Int16, None),
        ] {
            assert_eq!(common_type(one, other), common, "{one:?} {other:?}");
            assert_eq!(common_type(other, one), common, "{other:?} {one:?}");
        }
        let mut wide = tile("b", 5000.0, 3000.0);
        wide.1.pixel = UInt16;
        assert_eq!(assemble(vec![tile("a", 4000.0, 3000.0), wide]).unwrap().facts.pixel, UInt16);
    }

    #[test]
    fn a_sea_of_nothing_is_refused() {
        let result = assemble(vec![tile("a", 0.0, 0.0), tile("b", 2e10, -2e10)]);
        assert!(matches!(result, Err(IngestError::Unsupported { .. } | IngestError::Mosaic { .. })));
    }
}
