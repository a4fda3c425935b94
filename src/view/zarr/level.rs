//! The grid of one resolution level: its size and where its pixels lie.

use crate::store::entry::RasterMeta;

/// One resolution level of a raster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// 1 for the full resolution, else the power of two of the overview.
    pub(crate) factor: u32,
    /// Columns.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// GDAL's affine transform of this level.
    pub(crate) geotransform: [f64; 6],
}

/// A coordinate axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    X,
    Y,
}

impl Axis {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
        }
    }
}

impl Level {
    /// All levels of a raster, the full resolution first.
    pub(crate) fn all(raster: &RasterMeta) -> Vec<Self> {
        let [x0, dx, rx, y0, ry, dy] = raster.geotransform;
        let full = (1, raster.width, raster.height);
        std::iter::once(full)
            .chain(raster.overviews.iter().map(|overview| (overview.factor, overview.width, overview.height)))
            .map(|(factor, width, height)| {
                // A pixel of an overview is factor by factor pixels from the same corner on, also where the
                // last one reaches beyond the edge.
                let f = f64::from(factor);
                Self { factor, width, height, geotransform: [x0, dx * f, rx * f, y0, ry * f, dy * f] }
            })
            .collect()
    }

    /// Directory of the level below the Zarr root, with the slash; empty for the full resolution.
    pub(crate) fn prefix(&self) -> String {
        if self.factor == 1 { String::new() } else { format!("ovr_{}x/", self.factor) }
    }

    /// Whether rows and columns run along the axes of the CRS: only then are there coordinates by axis.
    pub(crate) fn is_axis_aligned(&self) -> bool {
        self.geotransform[2] == 0.0 && self.geotransform[4] == 0.0
    }

    /// Number of pixels along an axis.
    pub(crate) fn length(&self, axis: Axis) -> u32 {
        match axis {
            Axis::X => self.width,
            Axis::Y => self.height,
        }
    }

    /// Coordinates of the pixels' centres along an axis.
    pub(crate) fn centres(&self, axis: Axis) -> impl Iterator<Item = f64> + use<> {
        let [x0, dx, _, y0, _, dy] = self.geotransform;
        let (start, step) = match axis {
            Axis::X => (x0, dx),
            Axis::Y => (y0, dy),
        };
        (0..self.length(axis)).map(move |index| start + (f64::from(index) + 0.5) * step)
    }

    /// The affine transform in rasterio's order (a, b, c, d, e, f).
    pub(crate) fn rasterio_transform(&self) -> [f64; 6] {
        let [x0, dx, rx, y0, ry, dy] = self.geotransform;
        [dx, rx, x0, ry, dy, y0]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn levels_keep_their_corner_and_grow_their_pixels() {
        let levels = Level::all(&fixture::classes("r", 1101, 700));
        assert_eq!(levels.len(), 3);
        assert_eq!(levels[1].prefix(), "ovr_2x/");
        assert_eq!((levels[2].width, levels[2].height), (276, 175));
        assert_eq!(levels[2].geotransform, [4_321_000.0, 40.0, 0.0, 3_210_000.0, 0.0, -40.0]);
        assert_eq!(levels[2].rasterio_transform(), [40.0, 0.0, 4_321_000.0, 0.0, -40.0, 3_210_000.0]);
        let x: Vec<f64> = levels[0].centres(Axis::X).collect();
        assert_eq!((x.len(), x[0], x[1]), (1101, 4_321_005.0, 4_321_015.0));
        let y: Vec<f64> = levels[1].centres(Axis::Y).collect();
        assert_eq!((y.len(), y[0], y[1]), (350, 3_209_990.0, 3_209_970.0));
    }
}
