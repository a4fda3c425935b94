//! What a raster says of itself and its every pixel, as GDAL reads it.

use std::path::Path;

use gdal::Dataset;
use gdal::spatial_ref::SpatialRef;

use super::process;

/// Everything that must survive.
#[derive(Debug)]
pub(crate) struct Raster {
    size: (usize, usize),
    geotransform: [f64; 6],
    crs: Option<SpatialRef>,
    bands: Vec<Band>,
}

#[derive(Debug)]
struct Band {
    kind: String,
    signed_byte: bool,
    nodata: Option<f64>,
    scale: Option<f64>,
    offset: Option<f64>,
    palette: Vec<(i16, i16, i16, i16)>,
    /// Every type that is served fits into a double without loss.
    pixels: Vec<f64>,
}

impl Raster {
    /// True when GDAL before 3.7 reads its bands as bytes with a sign flag.
    pub(crate) fn signed_bytes(&self) -> bool {
        self.bands.iter().any(|band| band.signed_byte)
    }

    /// Reads a whole raster.
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Self {
        let set = Dataset::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let size = set.raster_size();
        let bands = (1..=set.raster_count())
            .map(|number| {
                let band = set.rasterband(number).unwrap();
                let buffer = band.read_as::<f64>((0, 0), size, size, None).unwrap();
                let palette = band.color_table().map_or_else(Vec::new, |table| {
                    (0..table.entry_count())
                        .filter_map(|index| table.entry_as_rgb(index))
                        .map(|color| (color.r, color.g, color.b, color.a))
                        .collect()
                });
                Band {
                    kind: band.band_type().name(),
                    signed_byte: signed_byte(&band),
                    nodata: band.no_data_value(),
                    scale: band.scale().filter(|scale| *scale != 1.0),
                    offset: band.offset().filter(|offset| *offset != 0.0),
                    palette,
                    pixels: buffer.into_shape_and_vec().1,
                }
            })
            .collect();
        Self { size, geotransform: set.geo_transform().unwrap(), crs: set.spatial_ref().ok(), bands }
    }

    /// Fails unless `served` has the same pixels, CRS, geotransform, nodata, scaling and palette.
    #[track_caller]
    pub(crate) fn assert_same(&self, served: &Self, what: &str) {
        assert_eq!(self.size, served.size, "{what}: size");
        assert_eq!(self.geotransform, served.geotransform, "{what}: geotransform");
        match (&self.crs, &served.crs) {
            (None, None) => {}
            (Some(source), Some(other)) => assert!(
                source == other,
                "{what}: CRS\n{}\n{}",
                source.to_pretty_wkt().unwrap_or_default(),
                other.to_pretty_wkt().unwrap_or_default()
            ),
            (source, other) => panic!("{what}: CRS {} became {}", source.is_some(), other.is_some()),
        }
        assert_eq!(self.bands.len(), served.bands.len(), "{what}: bands");
        for (number, (source, other)) in self.bands.iter().zip(&served.bands).enumerate() {
            let band = number + 1;
            assert_eq!(source.kind, other.kind, "{what}: type of band {band}");
            assert_eq!(source.signed_byte, other.signed_byte, "{what}: sign of band {band}");
            assert_eq!(
                source.nodata.map(f64::to_bits),
                other.nodata.map(f64::to_bits),
                "{what}: nodata of band {band}: {:?} became {:?}",
                source.nodata,
                other.nodata
            );
            assert_eq!(
                (source.scale, source.offset),
                (other.scale, other.offset),
                "{what}: scaling of band {band}"
            );
            assert_palette(&source.palette, &other.palette, &format!("{what}: palette of band {band}"));
            let wrong = source
                .pixels
                .iter()
                .zip(&other.pixels)
                .position(|(a, b)| a != b && !(a.is_nan() && b.is_nan()));
            assert_eq!(source.pixels.len(), other.pixels.len(), "{what}: pixels of band {band}");
            if let Some(at) = wrong {
                panic!(
                    "{what}: band {band}, column {}, row {}: {} became {}",
                    at % self.size.0,
                    at / self.size.0,
                    source.pixels[at],
                    other.pixels[at]
                );
            }
        }
    }
}

/// A table may be filled up with black to the length that TIFF wants, but no entry may change or vanish. Where the raster
/// has none, a file beside it may (`.clr`).
#[track_caller]
fn assert_palette(source: &[(i16, i16, i16, i16)], served: &[(i16, i16, i16, i16)], what: &str) {
    if source.is_empty() {
        return;
    }
    let opaque_black = |entry: &(i16, i16, i16, i16)| (entry.0, entry.1, entry.2) == (0, 0, 0);
    assert!(served.len() >= source.len(), "{what}: {} entries became {}", source.len(), served.len());
    for (value, (before, after)) in source.iter().zip(served).enumerate() {
        assert_eq!(before, after, "{what}: entry {value}");
    }
    assert!(served[source.len()..].iter().all(opaque_black), "{what}: colours that the source does not have");
}

/// GDAL before 3.7 calls Int8 a Byte with a note.
fn signed_byte(band: &gdal::raster::RasterBand<'_>) -> bool {
    use gdal::Metadata;
    band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").is_some_and(|kind| kind == "SIGNEDBYTE")
}

/// The `Checksum=` lines of `gdalinfo -checksum`, one for each band.
#[track_caller]
pub(crate) fn checksums(path: &Path) -> Vec<String> {
    let told =
        process::run("gdalinfo", &[std::ffi::OsStr::new("-checksum"), path.as_os_str()]).success().text();
    let sums: Vec<String> = told
        .lines()
        .filter(|line| line.trim_start().starts_with("Checksum="))
        .map(|line| line.trim().to_owned())
        .collect();
    assert!(!sums.is_empty(), "gdalinfo told no checksum of {}:\n{told}", path.display());
    sums
}
