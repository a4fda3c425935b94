//! Rasters that no writer makes are refused by name, within seconds and little memory, and nothing else is harmed.

use std::io::Write;
use std::time::{Duration, Instant};

use zip::write::SimpleFileOptions;

use crate::support::packages::Pixels;
use crate::support::{Package, Stage, raster};

/// No refusal may take longer, 3 GB of zeros to unpack included.
const BOUND: Duration = Duration::from_secs(60);
/// More than a signed number of 32 bits, as libraries count bytes, can say.
const THREE_GB: u64 = 3 << 30;

/// A value of a tag, or the place of its values.
enum Field {
    Short(u16),
    Doubles(&'static [f64]),
    Place(u64),
}

/// A tag: code, type, count, values.
type Tag = (u16, u16, u64, Field);

/// A BigTIFF of 16 × 16 bytes in EPSG:3035 whose tags are replaced or joined by these; the pixels lie at 4096.
fn tiff(others: Vec<Tag>) -> Vec<u8> {
    const PIXELS: u64 = 4096;
    let short = |code, value| (code, 3, 1, Field::Short(value));
    let mut tags = vec![
        short(256, 16),
        short(257, 16),
        short(258, 8),
        short(259, 1),
        short(262, 1),
        (273, 16, 1, Field::Place(PIXELS)),
        short(277, 1),
        short(278, 16),
        short(279, 256),
        (33_550, 12, 3, Field::Doubles(&[10.0, 10.0, 0.0])),
        (33_922, 12, 6, Field::Doubles(&[0.0, 0.0, 0.0, 4e6, 3e6, 0.0])),
    ];
    tags.retain(|tag| others.iter().all(|other| other.0 != tag.0));
    tags.extend(others);
    tags.sort_by_key(|tag| tag.0);
    let mut bytes = b"II\x2B\0\x08\0\0\0".to_vec();
    bytes.extend(16u64.to_le_bytes());
    bytes.extend((tags.len() as u64).to_le_bytes());
    let mut values = 16 + 8 + 20 * tags.len() as u64 + 8;
    let mut behind = Vec::new();
    for (code, kind, count, field) in tags {
        bytes.extend([code.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend(count.to_le_bytes());
        match field {
            Field::Short(value) => bytes.extend(u64::from(value).to_le_bytes()),
            Field::Place(place) => bytes.extend(place.to_le_bytes()),
            Field::Doubles(numbers) => {
                bytes.extend(values.to_le_bytes());
                values += 8 * numbers.len() as u64;
                behind.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
        }
    }
    bytes.extend([0; 8]);
    bytes.extend(behind);
    bytes.resize(PIXELS as usize, 0);
    bytes.extend(0..=255);
    bytes
}

/// An ASCII tag of 3 GB that begins at 8192.
fn three_gb_of(code: u16) -> Vec<u8> {
    tiff(vec![(code, 2, THREE_GB, Field::Place(8192))])
}

/// The product `broken` holds this file, and `zeros` more bytes of it; opening it is EIO with these words and the file's
/// name, it is `failed`, nothing is cached, and another product opens.
fn refuses(name: &str, bytes: &[u8], zeros: u64, words: &[&str]) {
    let Some(stage) = Stage::shared() else { return };
    let good = Package::new("good", Pixels::Classes, 300).write(&stage.data());
    let mut zip = zip::ZipWriter::new(std::fs::File::create(stage.data().join("broken.zip")).unwrap());
    zip.start_file(name, SimpleFileOptions::default().compression_level(Some(1))).unwrap();
    zip.write_all(bytes).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), zeros), &mut zip).unwrap();
    zip.finish().unwrap();
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let mount = stage.mount(&simulator).flag("--cache-size", "8GB").start();
    let start = Instant::now();
    let error = std::fs::File::open(mount.tif("broken")).unwrap_err();
    let took = start.elapsed();
    let reason = mount.attribute("broken", "error");
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}: '{reason}'");
    assert!(took < BOUND, "took {took:?}");
    assert!(
        words.iter().chain(&[name]).all(|word| reason.contains(word)),
        "'{reason}': not all of {words:?}"
    );
    assert_eq!(mount.state("broken"), "failed");
    assert_eq!(mount.staging(), Vec::<std::path::PathBuf>::new());
    let cached: Vec<_> = std::fs::read_dir(mount.cache().join("rasters")).unwrap().collect();
    assert!(cached.is_empty(), "{cached:?}");
    assert_eq!(raster::checksums(&mount.tif("good")), raster::checksums(&good));
}

#[test]
fn the_tiff_is_good_where_nothing_is_broken() {
    let Some(stage) = Stage::shared() else { return };
    let mut zip = zip::ZipWriter::new(std::fs::File::create(stage.data().join("whole.zip")).unwrap());
    zip.start_file("p/whole.tif", SimpleFileOptions::default()).unwrap();
    zip.write_all(&tiff(vec![])).unwrap();
    zip.finish().unwrap();
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let mount = stage.mount(&simulator).start();
    mount.cat("whole").success();
}

#[test]
fn no_bands() {
    refuses("p/bands.tif", &tiff(vec![(277, 3, 1, Field::Short(0))]), 0, &["SamplesPerPixel"]);
}

#[test]
fn no_columns() {
    refuses("p/columns.tif", &tiff(vec![(256, 3, 1, Field::Short(0))]), 0, &["cannot read raster"]);
}

#[test]
fn an_attribute_of_3_gb_that_is_not_there() {
    // GDAL would leave it out and go on: without scale, or with nodata as values.
    refuses("p/claim.tif", &three_gb_of(42_113), 0, &["GDAL_NODATA", "3221225472 bytes"]);
}

#[test]
fn a_crs_that_leaves_the_file() {
    refuses(
        "p/crs.tif",
        &tiff(vec![(34_735, 3, 4000, Field::Place(4096))]),
        0,
        &["34735", "claims 8000 bytes"],
    );
}

#[test]
fn an_attribute_of_3_gb_that_is_there() {
    refuses("p/real.tif", &three_gb_of(42_112), 3840 + THREE_GB, &["GDAL_METADATA", "3221225472 bytes"]);
}

#[test]
fn an_attribute_of_3_gb_in_a_netcdf() {
    // CDF-5: no records, no dimensions, one attribute `history`.
    let mut netcdf = b"CDF\x05".to_vec();
    for (number, size) in [(0, 8), (0, 4), (0, 8), (12, 4), (1, 8), (7, 8)] {
        netcdf.extend(&u64::to_be_bytes(number)[8 - size..]);
    }
    netcdf.extend(b"history\0\0\0\0\x02");
    netcdf.extend(THREE_GB.to_be_bytes());
    netcdf.resize(200, 0);
    refuses("p/claim.nc", &netcdf, 0, &["more in its header"]);
}
