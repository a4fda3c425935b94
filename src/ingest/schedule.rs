//! In which pieces and in which order a raster is read. Pure.

use super::grid::SIDE;

/// Sizes of the pieces (both multiples of a tile) and how they are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Columns of a piece.
    pub(super) width: usize,
    /// Rows of a piece.
    pub(super) height: usize,
    /// Size of the raster.
    raster: (usize, usize),
    /// True: along a space-filling curve (few half-done overview tiles); false: row by row.
    curve: bool,
}

/// One piece of one band, clipped to the raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Band, from 0.
    pub(super) band: u32,
    /// Left column.
    pub(super) x: usize,
    /// Upper row.
    pub(super) y: usize,
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

/// Two by two tiles: the smallest piece that gives whole tiles of the first overview.
const QUAD: usize = 2 * SIDE;

impl Schedule {
    /// Chooses pieces for a raster of `raster` pixels stored in blocks of `block` pixels, so that no piece
    /// has more than `budget` pixels (but always at least a tile's worth of rows and columns).
    ///
    /// Sources stored in strips are read in strips, full width if the budget allows: a strip is decoded as a whole.
    pub(super) fn new(raster: (usize, usize), block: (usize, usize), budget: usize) -> Self {
        let tiled = block.0 < raster.0 && block.0 <= 4 * QUAD;
        let whole = (raster.0.next_multiple_of(SIDE), raster.1.next_multiple_of(SIDE));
        let (mut width, mut height) = if tiled {
            (block.0.max(1).next_multiple_of(QUAD).max(2 * QUAD), block.1.max(1).next_multiple_of(QUAD))
        } else {
            (whole.0, QUAD)
        };
        width = width.min(whole.0);
        height = height.min(whole.1).min(4 * QUAD);
        while width * height > budget && height > SIDE {
            height = (height / 2).next_multiple_of(SIDE);
        }
        while width * height > budget && width > SIDE {
            width = (width / 2).next_multiple_of(SIDE);
        }
        Self { width, height, raster, curve: tiled }
    }

    /// All pieces of `bands` bands, band by band.
    pub(super) fn pieces(&self, bands: usize) -> Vec<Piece> {
        let columns = self.raster.0.div_ceil(self.width);
        let rows = self.raster.1.div_ceil(self.height);
        let mut places: Vec<(usize, usize)> =
            (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
        if self.curve {
            places.sort_by_key(|&(row, column)| interleave(row as u32, column as u32));
        }
        let piece = |band: usize, (row, column): (usize, usize)| {
            let (x, y) = (column * self.width, row * self.height);
            Piece {
                band: band as u32,
                x,
                y,
                width: self.width.min(self.raster.0 - x),
                height: self.height.min(self.raster.1 - y),
            }
        };
        (0..bands).flat_map(|band| places.iter().map(move |&place| piece(band, place))).collect()
    }
}

/// Place on the Z-order curve.
fn interleave(row: u32, column: u32) -> u64 {
    let spread =
        |value: u32| (0..32).fold(0u64, |bits, bit| bits | (u64::from(value >> bit & 1) << (2 * bit)));
    spread(row) << 1 | spread(column)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_cover_everything_once_on_tile_borders(
            width in 1usize..9000, height in 1usize..9000, bands in 1usize..3,
            block in prop_oneof![Just((256, 256)), Just((512, 512)), Just((100, 100)), Just((9000, 1)), Just((9000, 9000))],
            budget in 1usize..20_000_000,
        ) {
            let schedule = Schedule::new((width, height), block, budget);
            prop_assert!(schedule.width * schedule.height <= budget.max(SIDE * SIDE));
            let pieces = schedule.pieces(bands);
            let mut tiles = HashSet::new();
            for piece in &pieces {
                prop_assert!(piece.x % SIDE == 0 && piece.y % SIDE == 0 && piece.width > 0 && piece.height > 0);
                for y in (piece.y..piece.y + piece.height).step_by(SIDE) {
                    for x in (piece.x..piece.x + piece.width).step_by(SIDE) {
                        prop_assert!(tiles.insert((piece.band, x, y)));
                    }
                }
            }
            prop_assert_eq!(tiles.len(), bands * width.div_ceil(SIDE) * height.div_ceil(SIDE));
            let pixels: usize = pieces.iter().map(|piece| piece.width * piece.height).sum();
            prop_assert_eq!(pixels, bands * width * height);
        }
    }

    #[test]
    fn strips_are_read_over_the_full_width() {
        let schedule = Schedule::new((20_000, 20_000), (20_000, 1), 64 << 20);
        assert_eq!((schedule.width, schedule.height), (20_480, 1024));
        let schedule = Schedule::new((20_000, 20_000), (256, 256), 64 << 20);
        assert_eq!((schedule.width, schedule.height), (2048, 1024));
    }
}
