//! Georeference, nodata and metadata as TIFF tags: GDAL writes a tiny file in memory, we copy its tags.
//!
//! GeoKeys for a CRS without a code are a science of their own; GDAL is its best practitioner, and what it
//! wrote it will read.

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};

use gdal::raster::RasterCreationOptions;
use gdal::spatial_ref::SpatialRef;
use gdal::{DriverManager, Metadata};

use super::error::IngestError;
use super::source::has_int8;
use super::tiff::{Tag, first_directory};
use crate::store::entry::{BandMeta, Crs, Number, PixelType};

/// Pixel scale, tie points, transformation, the three GeoKey tags, GDAL's metadata and nodata.
const COPIED: [u16; 8] = [33_550, 33_922, 34_264, 34_735, 34_736, 34_737, 42_112, 42_113];

/// What the tags shall say.
#[derive(Debug)]
pub(super) struct Georeference<'a> {
    /// Name for error messages.
    pub(super) name: &'a str,
    /// Type of the pixels.
    pub(super) pixel: PixelType,
    /// Transform of the upper left corner, if any.
    pub(super) geotransform: Option<[f64; 6]>,
    /// CRS, if any.
    pub(super) crs: Option<&'a Crs>,
    /// `AREA_OR_POINT=Point`.
    pub(super) pixel_is_point: bool,
    /// Nodata, if any.
    pub(super) nodata: Option<Number>,
    /// Facts of the bands.
    pub(super) bands: &'a [BandMeta],
}

/// The tags that say it.
///
/// # Errors
/// [`IngestError::Raster`] when GDAL refuses.
pub(super) fn tags(what: &Georeference<'_>) -> Result<Vec<Tag>, IngestError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let path = format!("/vsimem/clmsfs-geotags-{}.tif", NUMBER.fetch_add(1, Ordering::Relaxed));
    let written = write(what, &path).map_err(|error| IngestError::raster(what.name, error));
    let bytes = gdal::vsi::get_vsi_mem_file_bytes_owned(&path);
    written?;
    let bytes = bytes.map_err(|error| IngestError::raster(what.name, error))?;
    let read = |offset: u64, length: usize| {
        let from = usize::try_from(offset).ok()?;
        bytes.get(from..from.checked_add(length)?).map(<[u8]>::to_vec)
    };
    let tags = first_directory(read)
        .ok_or_else(|| IngestError::raster(what.name, "GDAL wrote a GeoTIFF that cannot be read back"))?;
    Ok(tags.into_iter().filter(|tag| COPIED.contains(&tag.code)).collect())
}

fn write(what: &Georeference<'_>, path: &str) -> gdal::errors::Result<()> {
    let driver = DriverManager::get_driver_by_name("GTiff")?;
    let mut options = vec!["BIGTIFF=YES", "ENDIANNESS=LITTLE", "SPARSE_OK=TRUE"];
    let has_int8 = has_int8();
    if what.pixel == PixelType::Int8 && !has_int8 {
        options.push("PIXELTYPE=SIGNEDBYTE");
    }
    let options = RasterCreationOptions::from_iter(options);
    let bands = what.bands.len();
    let mut dataset = match what.pixel {
        // Where GDAL has a signed byte of its own, a wider type carries every nodata value just as well: only
        // the tags are taken from this file.
        PixelType::Int8 if has_int8 => {
            driver.create_with_band_type_with_options::<i16, _>(path, 1, 1, bands, &options)
        }
        PixelType::Int8 | PixelType::UInt8 => {
            driver.create_with_band_type_with_options::<u8, _>(path, 1, 1, bands, &options)
        }
        PixelType::UInt16 => driver.create_with_band_type_with_options::<u16, _>(path, 1, 1, bands, &options),
        PixelType::Int16 => driver.create_with_band_type_with_options::<i16, _>(path, 1, 1, bands, &options),
        PixelType::UInt32 => driver.create_with_band_type_with_options::<u32, _>(path, 1, 1, bands, &options),
        PixelType::Int32 => driver.create_with_band_type_with_options::<i32, _>(path, 1, 1, bands, &options),
        PixelType::Float32 => {
            driver.create_with_band_type_with_options::<f32, _>(path, 1, 1, bands, &options)
        }
        PixelType::Float64 => {
            driver.create_with_band_type_with_options::<f64, _>(path, 1, 1, bands, &options)
        }
    }?;
    dataset.set_metadata_item("AREA_OR_POINT", if what.pixel_is_point { "Point" } else { "Area" }, "")?;
    if let Some(crs) = what.crs {
        dataset.set_spatial_ref(&spatial_ref(crs)?)?;
    }
    if let Some(transform) = what.geotransform {
        dataset.set_geo_transform(&transform)?;
    }
    for (number, meta) in what.bands.iter().enumerate() {
        let mut band = dataset.rasterband(number + 1)?;
        if let Some(nodata) = what.nodata {
            band.set_no_data_value(Some(nodata.0))?;
        }
        if !meta.description.is_empty() {
            band.set_description(&meta.description)?;
        }
        if let Some(scale) = meta.scale {
            band.set_scale(scale)?;
        }
        if let Some(offset) = meta.offset {
            band.set_offset(offset)?;
        }
        if !meta.unit.is_empty() {
            let unit = CString::new(meta.unit.as_str())?;
            // SAFETY: the band is valid and the text is a C string that GDAL copies.
            unsafe { gdal_sys::GDALSetRasterUnitType(band.c_rasterband(), unit.as_ptr()) };
        }
        if let Some(statistics) = meta.statistics {
            for (key, value) in [
                ("STATISTICS_MINIMUM", statistics.minimum),
                ("STATISTICS_MAXIMUM", statistics.maximum),
                ("STATISTICS_MEAN", statistics.mean),
                ("STATISTICS_STDDEV", statistics.stddev),
                ("STATISTICS_VALID_PERCENT", statistics.valid_percent),
            ] {
                band.set_metadata_item(key, &value.to_string(), "")?;
            }
        }
    }
    dataset.close()
}

/// The CRS as GDAL's object: by its code if it has one, else by its text.
pub(super) fn spatial_ref(crs: &Crs) -> gdal::errors::Result<SpatialRef> {
    match crs.epsg {
        Some(code) => SpatialRef::from_epsg(code),
        None => SpatialRef::from_wkt(&crs.wkt2).or_else(|_| SpatialRef::from_wkt(&crs.wkt1)),
    }
}
