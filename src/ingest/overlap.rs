//! Which parts of which sources a piece of a raster is made of. Pure.

use super::mosaic::{Mosaic, MosaicTile};
use super::schedule::Piece;
use super::source::Window;

/// The part of a source that a piece sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Number of the source in the mosaic.
    pub(super) source: usize,
    /// Which of the source's bands it is.
    pub(super) band: u32,
    /// Where it begins in the piece.
    pub(super) x: usize,
    /// And its row there.
    pub(super) y: usize,
    /// What is read from the source.
    pub(super) window: Window,
}

/// The parts of sources that a piece is made of, in the order in which they are laid down.
pub(super) fn overlaps(mosaic: &Mosaic, piece: Piece) -> Vec<Overlap> {
    let of = |(source, tile)| Overlap::of(piece, tile).map(|overlap| Overlap { source, ..overlap });
    mosaic.tiles.iter().enumerate().filter_map(of).collect()
}

impl Overlap {
    fn of(piece: Piece, tile: &MosaicTile) -> Option<Self> {
        let along = |start: usize, length: usize, tile_start: u32, tile_length: u32| {
            let (tile_start, tile_end) = (tile_start as usize, (tile_start + tile_length) as usize);
            let from = start.max(tile_start);
            let to = (start + length).min(tile_end);
            (from < to).then(|| (from - start, from - tile_start, to - from))
        };
        let (x, source_x, width) = along(piece.x, piece.width, tile.x, tile.width)?;
        let (y, source_y, height) = along(piece.y, piece.height, tile.y, tile.height)?;
        let band = tile.bands.source(piece.band)?;
        Some(Self { source: 0, band, x, y, window: Window { x: source_x, y: source_y, width, height } })
    }

    /// True when both lie on a pixel of the piece.
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.x < other.x + other.window.width
            && other.x < self.x + self.window.width
            && self.y < other.y + other.window.height
            && other.y < self.y + self.window.height
    }
}
