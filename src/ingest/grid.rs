//! Sizes of a raster's levels and their tiles.

use crate::store::entry::{Overview, TILE};

/// Side of a tile as an index type.
pub(super) const SIDE: usize = TILE as usize;
/// Pixels of a tile.
pub(super) const TILE_PIXELS: usize = SIDE * SIDE;

/// One resolution of a raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Columns in pixels.
    pub(super) width: u32,
    /// Rows in pixels.
    pub(super) height: u32,
}

impl Level {
    /// Tiles across.
    pub(super) fn columns(self) -> u32 {
        self.width.div_ceil(TILE)
    }

    /// Tiles down.
    pub(super) fn rows(self) -> u32 {
        self.height.div_ceil(TILE)
    }

    /// Tiles of one band.
    pub(super) fn tiles(self) -> usize {
        self.columns() as usize * self.rows() as usize
    }

    /// Index of a tile in a table over all bands, C order (band, row, column).
    pub(super) fn index(self, tile: TileAt) -> usize {
        (tile.band as usize * self.rows() as usize + tile.row as usize) * self.columns() as usize
            + tile.column as usize
    }

    /// Columns and rows of a tile that lie inside the raster.
    pub(super) fn inside(self, tile: TileAt) -> (usize, usize) {
        let width = (self.width - tile.column * TILE).min(TILE);
        let height = (self.height - tile.row * TILE).min(TILE);
        (width as usize, height as usize)
    }

    /// The next coarser level.
    fn halved(self) -> Self {
        Self { width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }
}

/// Place of a tile in a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TileAt {
    /// Band, from 0.
    pub(super) band: u32,
    /// Row of tiles.
    pub(super) row: u32,
    /// Column of tiles.
    pub(super) column: u32,
}

impl TileAt {
    /// The tile of the next coarser level that this one is a quarter of.
    pub(super) fn parent(self) -> Self {
        Self { band: self.band, row: self.row / 2, column: self.column / 2 }
    }
}

/// All levels, the full resolution first, halved until both sides fit into one tile.
pub(super) fn levels(width: u32, height: u32) -> Vec<Level> {
    let mut levels = vec![Level { width, height }];
    let mut last = levels[0];
    while last.width > TILE || last.height > TILE {
        last = last.halved();
        levels.push(last);
    }
    levels
}

/// The levels above the full resolution, as the entry describes them.
pub(super) fn overviews(levels: &[Level]) -> Vec<Overview> {
    levels
        .iter()
        .enumerate()
        .skip(1)
        .map(|(n, level)| Overview { factor: 1 << n, width: level.width, height: level.height })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_until_one_tile() {
        assert_eq!(levels(1, 1).len(), 1);
        assert_eq!(levels(512, 512).len(), 1);
        assert_eq!(levels(511, 513)[1..], [Level { width: 256, height: 257 }]);
        let levels = levels(5000, 4000);
        assert_eq!(levels.len(), 5);
        assert_eq!(levels[4], Level { width: 313, height: 250 });
        assert_eq!(overviews(&levels)[3], Overview { factor: 16, width: 313, height: 250 });
    }

    #[test]
    fn cascaded_ceil_equals_ceil_of_the_factor() {
        for size in (1..20_000).chain([650_000, 460_001, u32::MAX - 3]) {
            for (n, level) in levels(size, 3).iter().enumerate() {
                assert_eq!(u64::from(level.width), u64::from(size).div_ceil(1 << n));
            }
        }
    }

    #[test]
    fn indexes_tiles_in_c_order() {
        let level = Level { width: 1025, height: 513 };
        let tile = TileAt { band: 1, row: 1, column: 2 };
        assert_eq!((level.columns(), level.rows(), level.tiles()), (3, 2, 6));
        assert_eq!(level.index(tile), 6 + 3 + 2);
        assert_eq!(level.inside(tile), (1, 1));
    }
}
