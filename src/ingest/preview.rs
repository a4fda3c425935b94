//! The little picture of a product: its coarsest level in its own colours.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::error::{DiskContext, IngestError};
use super::grid::{Level, SIDE};
use super::pixel::Pixel;
use crate::store::entry::RasterMeta;

/// Writes `preview.png` from the only tile of the coarsest level (`None` = nothing but nodata) and syncs it.
///
/// Classes and palettes keep their colours; other rasters are stretched between their 2nd and 98th percentile.
/// Nodata is transparent.
///
/// # Errors
/// [`IngestError::Disk`].
pub(super) fn write<T: Pixel>(
    path: &Path,
    raster: &RasterMeta,
    level: Level,
    tile: Option<&[T]>,
) -> Result<(), IngestError> {
    let (width, height) = (level.width as usize, level.height as usize);
    let mut image = vec![0; width * height * 4];
    if let Some(tile) = tile {
        let pixels = tile.chunks_exact(SIDE).take(height).flat_map(|row| &row[..width]).copied();
        let paint = Paint::new(raster, pixels.clone());
        for (color, pixel) in image.chunks_exact_mut(4).zip(pixels) {
            color.copy_from_slice(&paint.color(pixel));
        }
    }
    encode(path, level, &image).disk(|| format!("write '{}'", path.display()))
}

fn encode(path: &Path, level: Level, image: &[u8]) -> io::Result<()> {
    let file = File::create(path)?;
    let mut encoder = png::Encoder::new(BufWriter::new(&file), level.width, level.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let other = |error: png::EncodingError| match error {
        png::EncodingError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    };
    let mut writer = encoder.write_header().map_err(other)?;
    writer.write_image_data(image).map_err(other)?;
    writer.finish().map_err(other)?;
    file.sync_all()
}

struct Paint<T> {
    nodata: Option<T>,
    palette: Vec<[u8; 4]>,
    classes: HashMap<i64, [u8; 4]>,
    low: f64,
    range: f64,
}

impl<T: Pixel> Paint<T> {
    fn new(raster: &RasterMeta, pixels: impl Iterator<Item = T>) -> Self {
        let nodata = raster.nodata.and_then(|nodata| T::exact(nodata.0));
        let classes =
            raster.classes.iter().filter_map(|class| class.color.map(|color| (class.value, color))).collect();
        let mut values: Vec<f64> = pixels
            .filter(|pixel| pixel.is_finite() && !nodata.is_some_and(|nodata| nodata.same(*pixel)))
            .map(Pixel::to_f64)
            .filter(|value| raster.variable.measures(*value))
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| values.get(values.len() * percent / 100).copied();
        let (low, high) = (at(2).unwrap_or(0.0), at(98).unwrap_or(0.0));
        Self { nodata, palette: raster.palette.clone(), classes, low, range: high - low }
    }

    fn color(&self, pixel: T) -> [u8; 4] {
        if pixel.to_f64().is_nan() || self.nodata.is_some_and(|nodata| nodata.same(pixel)) {
            return [0; 4];
        }
        let value = pixel.to_f64();
        let known = self
            .classes
            .get(&(value as i64))
            .copied()
            .or_else(|| (value >= 0.0).then(|| self.palette.get(value as usize).copied()).flatten());
        known.unwrap_or_else(|| {
            let share = if self.range > 0.0 { (value - self.low) / self.range } else { 0.5 };
            let grey = (share.clamp(0.0, 1.0) * 255.0).round() as u8;
            [grey, grey, grey, 255]
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::entry::{Class, Codec, Number, PixelType};

    fn raster() -> RasterMeta {
        RasterMeta {
            name: "r".to_owned(),
            pixel: PixelType::Int16,
            width: 3,
            height: 1,
            bands: Vec::new(),
            codec: Codec::Zstd { level: 1 },
            geotransform: [0.0; 6],
            crs: None,
            nodata: Some(Number(-1.0)),
            classes: Vec::new(),
            palette: Vec::new(),
            categorical: false,
            overviews: Vec::new(),
            sources: Vec::new(),
            times: Vec::new(),
            variable: Default::default(),
        }
    }

    fn draw(raster: &RasterMeta, pixels: [i16; 3]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preview.png");
        let mut tile = vec![-1i16; SIDE * SIDE];
        tile[..3].copy_from_slice(&pixels);
        write(&path, raster, Level { width: 3, height: 1 }, Some(&tile)).unwrap();
        let decoder = png::Decoder::new(io::BufReader::new(File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut image = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut image).unwrap();
        image
    }

    #[test]
    fn nodata_is_transparent_and_values_are_stretched() {
        assert_eq!(draw(&raster(), [10, -1, 20]), [0, 0, 0, 255, 0, 0, 0, 0, 255, 255, 255, 255]);
    }

    #[test]
    fn classes_have_their_colors() {
        let mut raster = raster();
        raster.classes.push(Class { value: 111, name: "city".to_owned(), color: Some([230, 0, 77, 255]) });
        assert_eq!(draw(&raster, [111, 111, -1]), [230, 0, 77, 255, 230, 0, 77, 255, 0, 0, 0, 0]);
    }
}
