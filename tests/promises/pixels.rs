//! Pixels are the source's pixels in every view; CRS, transform, nodata, scaling and colours survive.

use std::path::{Path, PathBuf};

use crate::support::packages::{Pixels, raster_inside, real};
use crate::support::raster::{Raster, checksums};
use crate::support::{Mount, Package, Stage, python};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";

/// Everything that GDAL, rasterio, xarray and zarr can tell of the difference between a product and its source.
fn assert_served_as(mount: &Mount, product: &str, source: &Path) {
    let (tif, zarr) = (mount.tif(product), mount.zarr(product));
    assert_eq!(checksums(&tif), checksums(source), "{product}: gdalinfo -checksum");
    let whole = Raster::read(source);
    whole.assert_same(&Raster::read(&tif), &format!("{product}.tif"));
    // GDAL before 3.7 has no signed byte: it reads the TIFF as unsigned with a flag and the Zarr as Int16, so
    // that the sums differ where the values do not. compare.py compares the values.
    if !whole.signed_bytes() {
        let array = PathBuf::from(format!("ZARR:\"{}\":/band", zarr.display()));
        assert_eq!(checksums(&array), checksums(source), "{product}: gdalinfo -checksum of the Zarr");
    }
    if let Some(python) = python::interpreter() {
        let told =
            python::script(&python, "compare.py", &[source.as_os_str(), tif.as_os_str(), zarr.as_os_str()]);
        assert_eq!(told.success().text().trim(), "same", "{product}");
    }
}

#[test]
fn of_every_real_package() {
    let Some(stage) = Stage::shared() else { return };
    let Some(zips) = real() else { return };
    let simulator = stage.simulator_of(zips[0].parent().unwrap(), QUICK);
    let mount = stage.mount(&simulator).start();
    for zip in zips {
        let product = zip.file_stem().unwrap().to_string_lossy().into_owned();
        assert_served_as(&mount, &product, &raster_inside(&zip).unwrap());
    }
}

#[test]
fn of_classes_with_colours_and_odd_edges() {
    // Not a multiple of 512 in any direction, and larger than one tile in one only.
    one("classes", |package| package.shape(1300, 333), Pixels::Classes);
}

#[test]
fn of_signed_bytes_with_negative_nodata() {
    one("signed", |package| package.shape(513, 511), Pixels::Signed);
}

#[test]
fn of_heights_in_geographic_coordinates() {
    one("heights", |package| package.shape(700, 900).epsg(4326), Pixels::Heights);
}

#[test]
fn of_floats_with_nan_scale_and_offset() {
    one("floats", |package| package.shape(1025, 600), Pixels::Floats);
}

#[test]
fn of_incompressible_noise() {
    one("noise", |package| package.shape(512, 512), Pixels::Noise);
}

#[test]
fn of_a_raster_of_one_pixel() {
    one("single", |package| package.shape(1, 1), Pixels::Noise);
}

#[test]
fn of_tiles_that_become_one_mosaic() {
    one("mosaic", |package| package.shape(1700, 800).tiles(4), Pixels::Classes);
}

fn one(name: &str, shape: impl Fn(Package) -> Package, pixels: Pixels) {
    let Some(stage) = Stage::shared() else { return };
    let source = shape(Package::new(name, pixels, 1)).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    assert_served_as(&mount, name, &source);
}

#[test]
fn random_reads_agree_with_the_whole() {
    use std::os::unix::fs::FileExt;

    let Some(stage) = Stage::shared() else { return };
    Package::new("noise", Pixels::Noise, 1500).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let whole = mount.cat("noise").success().stdout;
    let file = std::fs::File::open(mount.tif("noise")).unwrap();
    let mut place: u64 = 1;
    for _ in 0..500 {
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let from = (place >> 20) as usize % whole.len();
        let mut part = vec![0; 1 + (place >> 50) as usize % 9000];
        let read = file.read_at(&mut part, from as u64).unwrap();
        assert!(read == part.len() || from + read == whole.len(), "a short read in the middle at {from}");
        assert!(part[..read] == whole[from..from + read], "at {from}");
    }
    // Behind the end there is nothing.
    assert_eq!(file.read_at(&mut [0; 10], whole.len() as u64).unwrap(), 0);
}
