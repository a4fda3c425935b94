//! What a product must hold, whatever happened: the source's pixels and side files.

use std::path::Path;

use gdal::Dataset;

/// The one side file of [`Package`](super::Package)s.
pub(crate) const SIDE_FILE: &[u8] = b"<gmd:MD_Metadata xmlns:gmd='http://www.isotc211.org/2005/gmd'/>\n";

/// Width and height of a Zarr chunk.
const CHUNK: usize = 512;

/// Pixels, place and nodata of a source with 8 or 16 bits without sign.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    size: (usize, usize),
    place: [f64; 6],
    nodata: Option<f64>,
    /// Bytes of a pixel.
    depth: usize,
    pixels: Vec<u16>,
}

impl Content {
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Self {
        Self::try_read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Reads it, if it can be read.
    ///
    /// # Errors
    /// What GDAL says.
    pub(crate) fn try_read(path: &Path) -> gdal::errors::Result<Self> {
        let set = Dataset::open(path)?;
        let size = set.raster_size();
        let band = set.rasterband(1)?;
        let depth = usize::from(band.band_type().bits()) / 8;
        let pixels = band.read_as::<u16>((0, 0), size, size, None)?.into_shape_and_vec().1;
        Ok(Self { size, place: set.geo_transform()?, nodata: band.no_data_value(), depth, pixels })
    }

    /// Bytes of all pixels.
    pub(crate) fn bytes(&self) -> u64 {
        (self.pixels.len() * self.depth) as u64
    }

    /// Fails unless the product in `folder` has these pixels, the last chunk and its side file; the number of bytes compared.
    #[track_caller]
    pub(crate) fn assert_served(&self, folder: &Path, name: &str) -> u64 {
        let served = Self::read(&folder.join(format!("{name}.tif")));
        let what = |content: &Self| (content.size, content.place, content.nodata, content.depth);
        assert_eq!(what(self), what(&served), "{name}");
        let wrong = self.pixels.iter().zip(&served.pixels).position(|(a, b)| a != b);
        assert!(wrong.is_none(), "{name}: pixel {wrong:?} is wrong");
        let sides = super::vectors::files(&folder.join("original"));
        assert_eq!(sides.len(), 1, "{name}: {sides:?}");
        assert!(std::fs::read(&sides[0].1).unwrap() == SIDE_FILE, "{name}: its side file is wrong");
        let (rows, columns) = self.chunks();
        let last = folder.join(format!("{name}.zarr/band/{}/{}", rows - 1, columns - 1));
        let chunk = std::fs::read(&last).unwrap_or_else(|error| panic!("{}: {error}", last.display()));
        assert!(self.has_chunk(rows - 1, columns - 1, &chunk), "{name}: its last chunk is wrong");
        self.bytes() + SIDE_FILE.len() as u64
    }

    /// Rows and columns of Zarr chunks.
    pub(crate) fn chunks(&self) -> (usize, usize) {
        (self.size.1.div_ceil(CHUNK), self.size.0.div_ceil(CHUNK))
    }

    /// Whether a chunk, as the Zarr serves it, holds the pixels of its place.
    pub(crate) fn has_chunk(&self, row: usize, column: usize, encoded: &[u8]) -> bool {
        let wanted = CHUNK * CHUNK * self.depth;
        let Ok(raw) = zstd::bulk::decompress(encoded, wanted) else { return false };
        let (width, height) = self.size;
        let columns = CHUNK.min(width - column * CHUNK);
        raw.len() == wanted
            && (0..CHUNK.min(height - row * CHUNK)).all(|y| {
                let source = (row * CHUNK + y) * width + column * CHUNK;
                let line = &raw[y * CHUNK * self.depth..][..columns * self.depth];
                let pixel = |bytes: &[u8]| {
                    bytes.iter().rev().fold(0u16, |sum, byte| (sum << 4 << 4) | u16::from(*byte))
                };
                line.chunks_exact(self.depth)
                    .map(pixel)
                    .eq(self.pixels[source..source + columns].iter().copied())
            })
    }
}
