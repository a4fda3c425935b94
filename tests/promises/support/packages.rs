//! Packages as a producer would deliver them, with pixels that the test knows.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use gdal::raster::{Buffer, ColorEntry, ColorTable, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata};
use zip::write::SimpleFileOptions;

/// Pixels of a made-up raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// UInt8 classes with a colour table, nodata 255: compresses well, as land cover does.
    Classes,
    /// UInt8 noise: does not compress at all.
    Noise,
    /// UInt16, smooth with noise in the low bits.
    Heights,
    /// UInt16 ramps that differ from row to row: tiny as a package (predictor), about its full size in the cache.
    Ramps,
    /// Signed 8 bit with nodata -128, as CLC V2020 is.
    Signed,
    /// Float32 with NaN as nodata, scale and offset.
    Floats,
}

/// A package to be made.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    name: String,
    pixels: Pixels,
    width: usize,
    height: usize,
    tiles: usize,
    epsg: u32,
}

impl Package {
    /// A square raster in EPSG:3035.
    pub(crate) fn new(name: &str, pixels: Pixels, side: usize) -> Self {
        Self { name: name.to_owned(), pixels, width: side, height: side, tiles: 1, epsg: 3035 }
    }

    /// Another shape.
    pub(crate) fn shape(mut self, width: usize, height: usize) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// Cut into so many tiles from west to east, each a file of its own.
    pub(crate) fn tiles(mut self, tiles: usize) -> Self {
        self.tiles = tiles;
        self
    }

    /// Another reference system.
    pub(crate) fn epsg(mut self, epsg: u32) -> Self {
        self.epsg = epsg;
        self
    }

    /// Writes `<name>.zip` into `folder` and returns the path of the untouched source raster beside it
    /// (in `sources/`, which the simulator does not look into).
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let sources = folder.join("sources");
        std::fs::create_dir_all(&sources).unwrap();
        let whole = sources.join(format!("{}.tif", self.name));
        self.raster(&whole, 0, self.width);
        let mut files = vec![whole.clone()];
        if self.tiles > 1 {
            let step = self.width.div_ceil(self.tiles);
            files = (0..self.tiles)
                .map(|tile| {
                    // Named as the HRL tiles are: the lower left corner in units of 100 km.
                    let path = sources.join(format!("{}_E{:02}N30.tif", self.name, 40 + tile));
                    let from = tile * step;
                    self.raster(&path, from, (self.width - from).min(step));
                    path
                })
                .collect();
        }
        self.pack(folder, &files);
        whole
    }

    fn pack(&self, folder: &Path, files: &[PathBuf]) {
        let mut zip = zip::ZipWriter::new(File::create(folder.join(format!("{}.zip", self.name))).unwrap());
        let options = SimpleFileOptions::default();
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy();
            zip.start_file(format!("{}/{name}", self.name), options).unwrap();
            zip.write_all(&std::fs::read(file).unwrap()).unwrap();
        }
        zip.start_file(format!("{}/Metadata/{}.xml", self.name, self.name), options).unwrap();
        zip.write_all(b"<gmd:MD_Metadata xmlns:gmd='http://www.isotc211.org/2005/gmd'/>\n").unwrap();
        zip.finish().unwrap();
    }

    /// Writes the columns `from..from + width` of the raster.
    fn raster(&self, path: &Path, from: usize, width: usize) {
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        // LZW in strips, as most producers deliver.
        let mut options = vec!["COMPRESS=LZW".to_owned()];
        if self.pixels == Pixels::Ramps {
            options = vec!["COMPRESS=DEFLATE".to_owned(), "PREDICTOR=2".to_owned()];
        }
        if self.pixels == Pixels::Signed {
            options.push("PIXELTYPE=SIGNEDBYTE".to_owned());
        }
        let options: RasterCreationOptions = options.into_iter().collect();
        match self.pixels {
            Pixels::Classes | Pixels::Noise | Pixels::Signed => {
                let set = driver
                    .create_with_band_type_with_options::<u8, _>(path, width, self.height, 1, &options)
                    .unwrap();
                self.describe(set, from, width, |value| value.to_le_bytes()[0]);
            }
            Pixels::Heights | Pixels::Ramps => {
                let set = driver
                    .create_with_band_type_with_options::<u16, _>(path, width, self.height, 1, &options)
                    .unwrap();
                self.describe(set, from, width, |value| value as u16);
            }
            Pixels::Floats => {
                let set = driver
                    .create_with_band_type_with_options::<f32, _>(path, width, self.height, 1, &options)
                    .unwrap();
                self.describe(
                    set,
                    from,
                    width,
                    |value| {
                        if value % 97 == 0 { f32::NAN } else { value as f32 / 7.0 }
                    },
                );
            }
        }
    }

    fn describe<T: gdal::raster::GdalType + Copy>(
        &self,
        mut set: Dataset,
        from: usize,
        width: usize,
        pixel: impl Fn(u32) -> T,
    ) {
        let resolution = if self.epsg == 4326 { 0.0001 } else { 10.0 };
        let (west, north) = if self.epsg == 4326 { (9.5, 54.25) } else { (4_321_000.0, 3_210_000.0) };
        set.set_geo_transform(&[west + from as f64 * resolution, resolution, 0.0, north, 0.0, -resolution])
            .unwrap();
        set.set_spatial_ref(&SpatialRef::from_epsg(self.epsg).unwrap()).unwrap();
        let mut band = set.rasterband(1).unwrap();
        match self.pixels {
            Pixels::Classes => {
                band.set_no_data_value(Some(255.0)).unwrap();
                band.set_color_table(&palette());
            }
            Pixels::Heights | Pixels::Ramps => band.set_no_data_value(Some(65_535.0)).unwrap(),
            Pixels::Signed => band.set_no_data_value(Some(-128.0)).unwrap(),
            Pixels::Floats => {
                band.set_no_data_value(Some(f64::NAN)).unwrap();
                band.set_scale(0.5).unwrap();
                band.set_offset(-10.0).unwrap();
                band.set_metadata_item("units", "m", "").unwrap();
            }
            Pixels::Noise => {}
        }
        // Row by row: the largest rasters here are tens of megabytes.
        for y in 0..self.height {
            let row: Vec<T> = (from..from + width).map(|x| pixel(self.value(x as u32, y as u32))).collect();
            band.write((0, y as isize), (width, 1), &mut Buffer::new((width, 1), row)).unwrap();
        }
    }

    /// The value at a place: the same whatever the tiling.
    fn value(&self, x: u32, y: u32) -> u32 {
        let noise = scramble(x ^ y.rotate_left(16) ^ scramble(self.seed()));
        match self.pixels {
            Pixels::Classes if x < 64 && y < 64 => 255,
            Pixels::Classes => (x / 37 + y / 53 + self.seed()) % 44,
            Pixels::Noise | Pixels::Signed => noise & 0xff,
            Pixels::Ramps => {
                let row = scramble(y ^ self.seed());
                row.wrapping_add(x * (row % 251 + 3)) % 65_535
            }
            Pixels::Heights => (x * 3 + y * 2 + (noise & 15)) % 60_000,
            Pixels::Floats => (x + y * 3) % 10_000 + (noise & 1),
        }
    }

    /// Different products have different pixels, so that one cannot be served for another unnoticed.
    fn seed(&self) -> u32 {
        self.name.bytes().fold(17, |sum, byte| scramble(sum ^ u32::from(byte))) & 0xffff
    }
}

/// Mixes the bits of a number (the finaliser of MurmurHash3).
fn scramble(mut value: u32) -> u32 {
    value ^= value >> 16;
    value = value.wrapping_mul(0x85eb_ca6b);
    value ^= value >> 13;
    value = value.wrapping_mul(0xc2b2_ae35);
    value ^ (value >> 16)
}

fn palette() -> ColorTable<'static> {
    let mut table = ColorTable::default();
    for value in 0..44u16 {
        let i16 = |number: u16| number as i16;
        let color = ColorEntry::rgba(i16(value * 5), i16(255 - value * 5), i16(value * 3 % 256), 255);
        table.set_color_entry(value, &color);
    }
    table
}

/// Where packages with real CLMS values are, if this machine has them.
fn real_folder() -> PathBuf {
    std::env::var_os("CLMSFS_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real"), PathBuf::from)
}

/// One package with real CLMS values, `None` (with the reason printed) when it is not on this machine.
pub(crate) fn real_package(name: &str) -> Option<PathBuf> {
    let path = real_folder().join(format!("{name}.zip"));
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: no real package {} (set CLMSFS_REAL_DATA)", path.display());
    None
}

/// The raster packages with real CLMS values, `None` (with the reason printed) when they are not on this machine.
pub(crate) fn real() -> Option<Vec<PathBuf>> {
    let folder = real_folder();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no real packages in {} (set CLMSFS_REAL_DATA)", folder.display());
        return None;
    };
    let mut zips: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "zip") && raster_inside(path).is_some()
        })
        .collect();
    zips.sort();
    assert!(!zips.is_empty(), "{} holds no raster package", folder.display());
    Some(zips)
}

/// The one GeoTIFF inside a zip, as GDAL opens it.
pub(crate) fn raster_inside(zip: &Path) -> Option<PathBuf> {
    let archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let name = archive.file_names().filter_map(Result::ok).find(|name| name.ends_with(".tif"))?.into_owned();
    Some(PathBuf::from(format!("/vsizip/{}/{name}", zip.display())))
}
