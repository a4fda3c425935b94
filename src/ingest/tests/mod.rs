//! The whole way from a package to an entry, proven by two independent readers: zarrs reads the store, GDAL
//! reads the raster file as a TIFF, and both must give the source's pixels.
#![allow(clippy::unwrap_used)]

mod child;
mod follow;
mod mosaics;
mod odd_tiffs;
mod packages;
mod pixels;
mod real;
mod reuse;
mod series;
mod vectors;
mod walls;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gdal::raster::{ColorEntry, ColorTable, PaletteInterpretation};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata};
use tempfile::TempDir;
use zarrs::array::{Array, ArrayBytes};
use zarrs::filesystem::FilesystemStore;
use zip::write::SimpleFileOptions;

use super::pixel::{Pixel, as_bytes, with_pixel};
use super::source::{SourceReader, Window};
use super::*;
use crate::store::entry::{Number, PixelType, RasterMeta};

/// A GeoTIFF to be made.
pub(super) struct Tiff<'a> {
    pub(super) size: (usize, usize),
    pub(super) bands: usize,
    pub(super) options: &'a [&'a str],
    pub(super) nodata: Option<f64>,
    pub(super) transform: [f64; 6],
    pub(super) epsg: Option<u32>,
    pub(super) palette: &'a [[u8; 4]],
}

impl Default for Tiff<'_> {
    fn default() -> Self {
        Self {
            size: (64, 64),
            bands: 1,
            options: &[],
            nodata: None,
            transform: [4_000_000.0, 10.0, 0.0, 3_000_000.0, 0.0, -10.0],
            epsg: Some(3035),
            palette: &[],
        }
    }
}

impl Tiff<'_> {
    /// Writes the file; `value(band, y, x)` gives the pixels, which are returned as (band, y, x) in C order.
    pub(super) fn write<T: Pixel>(&self, path: &Path, value: impl Fn(usize, usize, usize) -> T) -> Vec<T> {
        let (width, height) = self.size;
        let pixels: Vec<T> = (0..self.bands)
            .flat_map(|band| (0..height).flat_map(move |y| (0..width).map(move |x| (band, y, x))))
            .map(|(band, y, x)| value(band, y, x))
            .collect();
        let mut options: Vec<String> = self.options.iter().map(|&option| option.to_owned()).collect();
        if T::TYPE == PixelType::Int8 {
            options.push("PIXELTYPE=SIGNEDBYTE".to_owned());
        }
        let options = gdal::raster::RasterCreationOptions::from_iter(options.iter().map(String::as_str));
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let (w, h, n) = (width, height, self.bands);
        let mut dataset: Dataset = match T::TYPE {
            PixelType::Int8 | PixelType::UInt8 => {
                driver.create_with_band_type_with_options::<u8, _>(path, w, h, n, &options)
            }
            PixelType::Int16 => driver.create_with_band_type_with_options::<i16, _>(path, w, h, n, &options),
            PixelType::UInt16 => driver.create_with_band_type_with_options::<u16, _>(path, w, h, n, &options),
            PixelType::Int32 => driver.create_with_band_type_with_options::<i32, _>(path, w, h, n, &options),
            PixelType::UInt32 => driver.create_with_band_type_with_options::<u32, _>(path, w, h, n, &options),
            PixelType::Float32 => {
                driver.create_with_band_type_with_options::<f32, _>(path, w, h, n, &options)
            }
            PixelType::Float64 => {
                driver.create_with_band_type_with_options::<f64, _>(path, w, h, n, &options)
            }
        }
        .unwrap();
        if let Some(epsg) = self.epsg {
            dataset.set_spatial_ref(&SpatialRef::from_epsg(epsg).unwrap()).unwrap();
        }
        dataset.set_geo_transform(&self.transform).unwrap();
        for band in 0..self.bands {
            let mut raster = dataset.rasterband(band + 1).unwrap();
            raster.set_no_data_value(self.nodata).unwrap_or_default();
            if !self.palette.is_empty() {
                let mut table = ColorTable::new(PaletteInterpretation::Rgba);
                let entry = |[r, g, b, a]: [u8; 4]| ColorEntry::rgba(r.into(), g.into(), b.into(), a.into());
                for (index, &color) in self.palette.iter().enumerate() {
                    table.set_color_entry(index as u16, &entry(color));
                }
                raster.set_color_table(&table);
            }
            let plane = &pixels[band * w * h..(band + 1) * w * h];
            // SAFETY: the buffer holds w × h pixels of the type that is named.
            let status = unsafe {
                gdal_sys::GDALRasterIO(
                    raster.c_rasterband(),
                    gdal_sys::GDALRWFlag::GF_Write,
                    0,
                    0,
                    w as i32,
                    h as i32,
                    plane.as_ptr().cast_mut().cast(),
                    w as i32,
                    h as i32,
                    gdal_sys::GDALGetRasterDataType(raster.c_rasterband()),
                    0,
                    0,
                )
            };
            assert_eq!(status, 0);
        }
        dataset.close().unwrap();
        pixels
    }
}

/// A folder with a package and room for the entry.
pub(super) struct Workshop {
    pub(super) folder: TempDir,
}

impl Workshop {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Zips files (name in the zip, path) into `package.zip`.
    pub(super) fn zip(&self, files: &[(&str, &Path)]) -> PathBuf {
        let contents: Vec<(&str, Vec<u8>)> =
            files.iter().map(|(name, path)| (*name, fs::read(path).unwrap())).collect();
        let path = self.path("package.zip");
        fs::write(&path, zip_bytes(&contents)).unwrap();
        path
    }

    pub(super) fn job(&self, package: &Path) -> IngestJob {
        let staging = self.folder.path().join("staging");
        fs::create_dir_all(&staging).unwrap();
        IngestJob {
            package: package.to_owned(),
            staging,
            product: "PRODUCT".to_owned(),
            limits: Limits { threads: 2, ..Limits::default() },
            codec: CodecChoice::Auto,
            former: None,
            consume: false,
            ahead: Vec::new(),
        }
    }

    pub(super) fn ingest(&self, package: &Path) -> Result<EntryMeta, IngestError> {
        ingest(&self.job(package), &mut |_| {})
    }

    pub(super) fn entry(&self) -> PathBuf {
        self.folder.path().join("staging/entry")
    }
}

/// A zip in memory.
pub(super) fn zip_bytes(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The raster file of an array.
pub(super) fn raster_file(entry: &Path, raster: &RasterMeta) -> PathBuf {
    entry.join(&raster.name).join(shard::shard_path(raster.bands.len()))
}

/// All bytes of an array as zarrs decodes them.
pub(super) fn zarr_bytes(entry: &Path, name: &str) -> Vec<u8> {
    let store = Arc::new(FilesystemStore::new(entry).unwrap());
    let array = Array::open(store, &format!("/{name}")).unwrap();
    let bytes: ArrayBytes<'static> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    bytes.into_fixed().unwrap().into_owned()
}

/// All pixels of a TIFF as GDAL decodes them.
pub(super) fn gdal_pixels<T: Pixel>(path: &Path) -> Vec<T> {
    let facts = source::inspect(path, "test").unwrap();
    assert_eq!(facts.pixel, T::TYPE);
    let reader = SourceReader::open(path, "test", &source::Origin::Tiff).unwrap();
    let (width, height) = (facts.width as usize, facts.height as usize);
    let mut pixels = vec![T::ZERO; width * height * facts.bands.len()];
    for (band, plane) in pixels.chunks_mut(width * height).enumerate() {
        let window = Window { x: 0, y: 0, width, height };
        reader.read(band as u32, window, plane, width).unwrap();
    }
    pixels
}

/// Checks one raster of an entry with both readers against the pixels it must have.
pub(super) fn check_raster<T: Pixel>(entry: &Path, raster: &RasterMeta, expected: &[T]) {
    assert_eq!(raster.pixel, T::TYPE);
    let wanted = as_bytes(expected);
    assert!(zarr_bytes(entry, &raster.name) == wanted, "zarrs reads other pixels of {}", raster.name);
    let path = raster_file(entry, raster);
    assert!(as_bytes(&gdal_pixels::<T>(&path)) == wanted, "GDAL reads other pixels of {}", raster.name);
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.raster_size(), (raster.width as usize, raster.height as usize));
    assert_eq!(dataset.raster_count(), raster.bands.len());
    let band = dataset.rasterband(1).unwrap();
    assert_eq!(band.overview_count().unwrap() as usize, raster.overviews.len());
    for (number, overview) in raster.overviews.iter().enumerate() {
        let size = band.overview(number).unwrap().size();
        assert_eq!(size, (overview.width as usize, overview.height as usize));
    }
    assert_eq!(band.no_data_value().map(Number), raster.nodata);
    assert_eq!(dataset.geo_transform().unwrap_or([0.0, 1.0, 0.0, 0.0, 0.0, 1.0]), raster.geotransform);
    let epsg = dataset.spatial_ref().ok().and_then(|srs| srs.auth_code().ok()).map(|code| code as u32);
    if let Some(crs) = &raster.crs {
        assert_eq!(epsg, crs.epsg);
    }
}

/// Level `number` (0 = finest overview) of a band as GDAL decodes it.
pub(super) fn overview_pixels(path: &Path, band: usize, number: usize) -> Vec<f64> {
    let dataset = Dataset::open(path).unwrap();
    let overview = dataset.rasterband(band).unwrap().overview(number).unwrap();
    let size = overview.size();
    let signed = overview.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").as_deref() == Some("SIGNEDBYTE");
    let pixels = overview.read_as::<f64>((0, 0), size, size, None).unwrap();
    // GDAL before 3.7 gives signed bytes as unsigned ones.
    pixels.data().iter().map(|&pixel| if signed && pixel > 127.0 { pixel - 256.0 } else { pixel }).collect()
}

/// The folder of real packages, if this machine has one.
pub(super) fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("CLMSFS_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real packages in '{}' (set CLMSFS_REAL_DATA)", folder.display());
    None
}

/// Runs a check for a source of any type.
pub(super) fn with_source_pixels(path: &Path, check: impl FnOnce(PixelType, Vec<u8>)) {
    let facts = source::inspect(path, "source").unwrap();
    let bytes = with_pixel!(facts.pixel, T => as_bytes(&gdal_pixels::<T>(path)).to_vec());
    check(facts.pixel, bytes);
}
