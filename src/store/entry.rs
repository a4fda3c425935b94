//! The self-description of a published entry: what is known of a product once it is converted.
//!
//! An entry is one directory, `rasters/<key>/` (rename publishes it whole), and is a Zarr v3 group:
//!
//! ```text
//! rasters/<key>/
//! ├── zarr.json            Zarr v3 group; attributes.clmsfs = EntryMeta as JSON
//! ├── <raster>/zarr.json   Zarr v3 array: one shard over the whole array, inner chunks of 512×512
//! ├── <raster>/c/0/0       the raster file: BigTIFF COG and Zarr shard at once (c/0/0/0 with several bands)
//! ├── clmsfs.seal         checksums of what has none of its own: these documents, the preview, TIFF tags and tables
//! ├── preview.png          at most 512 px, drawn from an overview
//! └── original/            every side file of the package, unchanged names and folders; vector data is among them
//! ```
//!
//! `ingest` writes it, `view` reads it, `catalog` describes it in STAC, `store` counts and proves it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checksum::Checksum;
use super::variable::VariableMeta;
use super::vector::VectorMeta;

/// Side of a square tile (= Zarr chunk = TIFF tile) in pixels; FORMATS section 2.
pub const TILE: u32 = 512;

/// Version of [`EntryMeta`] and of the directory layout around it.
pub const ENTRY_FORMAT: u32 = 1;

/// Everything a reader of an entry needs besides the pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntryMeta {
    /// Layout version, [`ENTRY_FORMAT`] for entries written by this release.
    pub format: u32,
    /// Safe name of the product, the stem of `<product>.tif`.
    pub product: String,
    /// The rasters of the product; the first is served under the product's own name. Never empty together with
    /// `vectors`.
    pub rasters: Vec<RasterMeta>,
    /// The vector data among the side files, the largest of each format first.
    #[serde(default)]
    pub vectors: Vec<VectorMeta>,
    /// Side files below `original/`, in the order of their paths.
    pub originals: Vec<SideFile>,
}

/// A side file of the package, served unchanged below `original/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFile {
    /// Path relative to `original/`, with `/` between its parts.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Its checksum; entries of earlier releases have none.
    #[serde(default)]
    pub sha256: Option<Checksum>,
}

/// One raster: the whole mosaic of one layer of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RasterMeta {
    /// Directory name of the array inside the entry and stem of the served files, unique in the entry.
    pub name: String,
    /// Pixel type, the same for all bands.
    pub pixel: PixelType,
    /// Columns of the full resolution.
    pub width: u32,
    /// Rows of the full resolution.
    pub height: u32,
    /// Per-band facts, in band order; never empty. Several bands are stored as planes (chunks `[1,512,512]`).
    pub bands: Vec<BandMeta>,
    /// How every tile of the file is compressed.
    pub codec: Codec,
    /// GDAL's affine transform: x0, dx, rx, y0, ry, dy, of the upper left CORNER of the upper left pixel.
    pub geotransform: [f64; 6],
    /// Coordinate reference system, `None` when the source has none.
    pub crs: Option<Crs>,
    /// The value that means "nothing here", as in the source. Missing chunks hold it (0 where there is none).
    pub nodata: Option<Number>,
    /// Classes by value when the source has class names or a meaning for its values; empty otherwise.
    pub classes: Vec<Class>,
    /// Colour table indexed by value (UInt8 and UInt16 only), as RGBA; empty when the source has none.
    pub palette: Vec<[u8; 4]>,
    /// True for codes and classes: overviews use the mode; else the nodata-aware average.
    pub categorical: bool,
    /// Overview levels from the finest (factor 2) to the coarsest; empty for small rasters.
    pub overviews: Vec<Overview>,
    /// Source files inside the package that went into this raster, as package paths.
    pub sources: Vec<String>,
    /// When the bands are of, ascending: one for each band, or none where bands are no dates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Timestamp>,
    /// What a netCDF variable says of itself.
    #[serde(default, skip_serializing_if = "VariableMeta::is_empty")]
    pub variable: VariableMeta,
}

impl RasterMeta {
    /// True when the bands are dates: the Zarr then has a dimension `time`.
    pub fn has_time_axis(&self) -> bool {
        self.bands.len() > 1 && self.times.len() == self.bands.len()
    }

    /// What missing tiles hold: the nodata value, or 0 where there is none or where it is no value of the type
    /// (sources declare such things as -9999 for unsigned bytes). In Float32 it is rounded to what a pixel can be.
    pub fn fill_value(&self) -> Number {
        Number(self.representable_nodata().map_or(0.0, |nodata| nodata.0))
    }

    /// The nodata value as a pixel of this raster's type can hold it; `None` when no pixel can be nodata.
    pub fn representable_nodata(&self) -> Option<Number> {
        let nodata = self.nodata?.0;
        match self.pixel.integer_range() {
            Some((low, high)) => (nodata.fract() == 0.0 && nodata >= low as f64 && nodata <= high as f64)
                .then_some(Number(nodata)),
            None if self.pixel == PixelType::Float32 => {
                let rounded = nodata as f32;
                (rounded.is_finite() || !nodata.is_finite()).then_some(Number(f64::from(rounded)))
            }
            None => Some(Number(nodata)),
        }
    }
}

/// Facts of one band.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BandMeta {
    /// Band description (GDAL's) or empty.
    pub description: String,
    /// Unit of the (scaled) value or empty.
    pub unit: String,
    /// Multiply the pixel by this ...
    pub scale: Option<f64>,
    /// ... and add this, to get the physical value.
    pub offset: Option<f64>,
    /// Statistics over all valid pixels of the full resolution, `None` when no pixel is valid.
    pub statistics: Option<Statistics>,
    /// Of a date: the checksum of all that decided its tiles. Where the product is fetched anew and it is still the
    /// same, the tiles are copied. Entries of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Checksum>,
}

/// Exact statistics over the valid pixels of a band: not nodata, not NaN, not outside the variable's valid range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Smallest valid value.
    pub minimum: f64,
    /// Largest valid value.
    pub maximum: f64,
    /// Mean of the valid values.
    pub mean: f64,
    /// Population standard deviation of the valid values.
    pub stddev: f64,
    /// Share of valid pixels in percent.
    pub valid_percent: f64,
}

/// One overview level: `width = ceil(full width / factor)`, likewise the height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Power of two, 2 for the finest.
    pub factor: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A class of a categorical raster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Pixel value.
    pub value: i64,
    /// Human-readable name, may be empty when only a colour is known.
    pub name: String,
    /// RGBA colour when the source gives one.
    pub color: Option<[u8; 4]>,
}

/// A coordinate reference system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crs {
    /// EPSG code when there is one (also found for aliases such as `IGNF:ETRS89LAEA` = 3035).
    pub epsg: Option<u32>,
    /// WKT 1 (GDAL dialect), for the GeoTIFF keys and old readers.
    pub wkt1: String,
    /// WKT 2:2019, for Zarr and STAC.
    pub wkt2: String,
    /// True where coordinates are lengths: in a projected CRS, or in a local one that nobody can place on the Earth. False
    /// for degrees.
    pub projected: bool,
}

/// Compression of the tiles; the same bytes are the TIFF tile and the Zarr chunk (FORMATS section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "id", rename_all = "lowercase")]
pub enum Codec {
    /// zstd frames with content checksum; TIFF compression 50000, Zarr `zstd`.
    Zstd {
        /// Compression level that was used.
        level: i32,
    },
    /// RFC 1950 streams; TIFF compression 8, Zarr `zlib` (never `gzip`).
    Zlib {
        /// Compression level that was used, 6 when the tiles were copied and nobody knows.
        level: i32,
    },
}

/// Type of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelType {
    /// Signed 8 bit (CLC V2020).
    Int8,
    /// Unsigned 8 bit.
    UInt8,
    /// Signed 16 bit.
    Int16,
    /// Unsigned 16 bit.
    UInt16,
    /// Signed 32 bit.
    Int32,
    /// Unsigned 32 bit.
    UInt32,
    /// IEEE 754 single.
    Float32,
    /// IEEE 754 double.
    Float64,
}

impl PixelType {
    /// Bytes per pixel.
    pub const fn size(self) -> usize {
        match self {
            Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// True for the floating point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// Smallest and largest value of an integer type, `None` for floating point.
    pub const fn integer_range(self) -> Option<(i64, i64)> {
        match self {
            Self::Int8 => Some((i8::MIN as i64, i8::MAX as i64)),
            Self::UInt8 => Some((0, u8::MAX as i64)),
            Self::Int16 => Some((i16::MIN as i64, i16::MAX as i64)),
            Self::UInt16 => Some((0, u16::MAX as i64)),
            Self::Int32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::UInt32 => Some((0, u32::MAX as i64)),
            Self::Float32 | Self::Float64 => None,
        }
    }

    /// Zarr v2 (numpy) spelling, little-endian: `|u1`, `<i2`, `<f4` …
    pub const fn numpy(self) -> &'static str {
        match self {
            Self::Int8 => "|i1",
            Self::UInt8 => "|u1",
            Self::Int16 => "<i2",
            Self::UInt16 => "<u2",
            Self::Int32 => "<i4",
            Self::UInt32 => "<u4",
            Self::Float32 => "<f4",
            Self::Float64 => "<f8",
        }
    }

    /// Zarr v3 spelling: `uint8`, `float32` …
    pub const fn zarr(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::UInt8 => "uint8",
            Self::Int16 => "int16",
            Self::UInt16 => "uint16",
            Self::Int32 => "int32",
            Self::UInt32 => "uint32",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

/// A pixel value as a number that survives JSON: NaN and the infinities are written as strings.
///
/// All pixel types we serve fit into a double without loss.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            serializer.serialize_str("NaN")
        } else if self.0.is_infinite() {
            serializer.serialize_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" })
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(f64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(value) => Ok(Self(value)),
            Raw::Text(text) => match text.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(serde::de::Error::custom(format!("'{text}' is not a number"))),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn raster(pixel: PixelType, nodata: Option<f64>) -> RasterMeta {
        let nodata = nodata.map(Number);
        RasterMeta { nodata, ..crate::store::fixture::raster("r", pixel, 10, 10) }
    }

    #[test]
    fn nodata_that_no_pixel_can_hold_is_no_fill_value() {
        for (pixel, nodata, expected) in [
            (PixelType::UInt8, Some(255.0), 255.0),
            (PixelType::UInt8, Some(256.0), 0.0),
            (PixelType::UInt8, Some(-9999.0), 0.0),
            (PixelType::UInt8, Some(f64::NAN), 0.0),
            (PixelType::UInt8, Some(0.5), 0.0),
            (PixelType::Int8, Some(-128.0), -128.0),
            (PixelType::Int16, Some(-32768.0), -32768.0),
            (PixelType::UInt32, Some(4_294_967_295.0), 4_294_967_295.0),
            (PixelType::Float32, Some(-9999.1), f64::from(-9999.1_f32)),
            (PixelType::Float32, Some(f64::NAN), f64::NAN),
            (PixelType::Float32, Some(1e300), 0.0),
            (PixelType::Float64, Some(1e300), 1e300),
            (PixelType::Float32, None, 0.0),
        ] {
            assert_eq!(raster(pixel, nodata).fill_value(), Number(expected), "{pixel:?} {nodata:?}");
        }
    }

    #[test]
    fn numbers_survive_json() {
        for value in [0.0, -1.5, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let text = serde_json::to_string(&Number(value)).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&text).unwrap(), Number(value), "{text}");
        }
        assert!(serde_json::from_str::<Number>("\"zero\"").is_err());
    }
}
