//! NetCDF files and sets of several dates, from the package to the entry.

use super::child::{block_on, program};
use super::*;
use crate::ingest::child::run_with;
use crate::simulator::classic::{Classic, Values};
use crate::view::EntryView;
use crate::view::export::export;

const SIDE: usize = 700;

fn pixel(day: usize, y: usize, x: usize) -> u8 {
    ((y / 3 + x / 5) * (day + 2) % 251) as u8
}

/// A netCDF of one day with two variables, latitudes from south to north.
fn netcdf(day: usize) -> Vec<u8> {
    let mut file = Classic::default();
    let (time, lat, lon) =
        (file.dimension("time", 1), file.dimension("lat", SIDE), file.dimension("lon", SIDE));
    let text = Values::text;
    let units = [("units", text("days since 2021-01-01"))];
    file.variable("time", &[time], &units, Values::Doubles(vec![day as f64]));
    let degrees = |number: usize| number as f64 / 112.0;
    let north = [("units", text("degrees_north"))];
    file.variable("lat", &[lat], &north, Values::Doubles((0..SIDE).map(|row| 40.0 + degrees(row)).collect()));
    let east = [("units", text("degrees_east"))];
    file.variable(
        "lon",
        &[lon],
        &east,
        Values::Doubles((0..SIDE).map(|column| 10.0 + degrees(column)).collect()),
    );
    let bytes = |shift: usize| {
        let rows = (0..SIDE)
            .flat_map(move |row| (0..SIDE).map(move |x| pixel(day + shift, SIDE - 1 - row, x) as i8));
        Values::Bytes(rows.collect())
    };
    let attributes = [
        ("_Unsigned", text("true")),
        ("_FillValue", Values::Bytes(vec![-1])),
        ("scale_factor", Values::Doubles(vec![0.5])),
        ("long_name", text("Surface Soil Moisture")),
        ("valid_range", Values::Bytes(vec![0, 100])),
        ("flag_values", Values::Bytes(vec![-5, -3])),
        ("flag_meanings", text("water slope")),
    ];
    file.variable("ssm_noise", &[time, lat, lon], &attributes[..3], bytes(7));
    file.variable("ssm", &[time, lat, lon], &attributes, bytes(0));
    file.bytes()
}

fn days(days: &[usize], shift: usize) -> Vec<u8> {
    let places = move |day: usize| (0..SIDE).flat_map(move |y| (0..SIDE).map(move |x| (day, y, x)));
    days.iter().flat_map(|&day| places(day)).map(|(day, y, x)| pixel(day + shift, y, x)).collect()
}

pub(super) fn package(shop: &Workshop, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = shop.path("package.zip");
    fs::write(&path, zip_bytes(files)).unwrap();
    path
}

pub(super) fn dated(days: &[usize]) -> Vec<(String, Vec<u8>)> {
    let name = |day: usize| format!("202101{day:02}", day = day + 1);
    // The order of the zip is not that of the dates.
    days.iter()
        .map(|&day| (format!("p/{0}/c_gls_SSM1km_{0}0000_CEURO_V1.nc", name(day)), netcdf(day)))
        .collect()
}

pub(super) fn as_members(files: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect()
}

#[test]
fn a_file_for_each_date_becomes_a_raster_by_date_for_each_variable() {
    for consume in [false, true] {
        let shop = Workshop::new();
        let files = dated(&[12, 0, 6]);
        let package = package(&shop, &as_members(&files));
        let job = IngestJob { consume, ..shop.job(&package) };
        let ingested = block_on(run_with(&program("convert"), job, |_| {})).unwrap();
        let [main, noise] = ingested.meta.rasters.as_slice() else { panic!("two rasters") };
        assert_eq!((main.name.as_str(), noise.name.as_str()), ("PRODUCT", "ssm_noise"));
        check_raster(&shop.entry(), main, &days(&[0, 6, 12], 0));
        check_raster(&shop.entry(), noise, &days(&[0, 6, 12], 7));
        let labels: Vec<&str> = main.bands.iter().map(|band| band.description.as_str()).collect();
        assert_eq!(labels, ["2021-01-01", "2021-01-07", "2021-01-13"]);
        assert_eq!(main.times[1].to_string(), "2021-01-07T00:00:00Z");
        assert_eq!(
            (main.variable.long_name.as_str(), main.bands[2].scale),
            ("Surface Soil Moisture", Some(0.5))
        );
        assert_eq!(main.crs.as_ref().unwrap().epsg, Some(4326));
        let step = 1.0 / 112.0;
        let wanted = [10.0 - step / 2.0, step, 0.0, 40.0 + 699.5 * step, 0.0, -step];
        assert!(main.geotransform.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-9));
        let classes: Vec<(i64, &str)> =
            main.classes.iter().map(|class| (class.value, class.name.as_str())).collect();
        assert_eq!(classes, [(251, "water"), (253, "slope")]);
        assert!(main.categorical && noise.classes.is_empty() && !noise.categorical);
        assert_eq!(main.sources.len(), 3);
        // Codes are no measurements.
        let measured: Vec<u8> = days(&[6], 0).into_iter().filter(|&pixel| pixel <= 100).collect();
        let statistics = main.bands[1].statistics.unwrap();
        assert_eq!((statistics.minimum, statistics.maximum), (0.0, 100.0));
        let mean = measured.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / measured.len() as f64;
        assert!((statistics.mean - mean).abs() < 1e-9);
        assert!(ingested.meta.originals.is_empty());
    }
}

#[test]
fn one_file_with_several_steps() {
    let shop = Workshop::new();
    let mut file = Classic::default();
    let (time, lat, lon) = (file.dimension("time", 3), file.dimension("lat", 2), file.dimension("lon", 2));
    let units = [("units", Values::text("hours since 2021-01-01"))];
    // Descending in the file.
    file.variable("time", &[time], &units, Values::Ints(vec![12, 6, 0]));
    file.variable("lat", &[lat], &[], Values::Doubles(vec![1.0, 0.0]));
    file.variable("lon", &[lon], &[], Values::Doubles(vec![0.0, 1.0]));
    file.variable("v", &[time, lat, lon], &[], Values::Floats((0..12u8).map(f32::from).collect()));
    let meta = shop.ingest(&package(&shop, &[("a'b \"c#d.nc", file.bytes())])).unwrap();
    let [raster] = meta.rasters.as_slice() else { panic!("one raster") };
    assert_eq!(raster.bands[1].description, "2021-01-01T06:00:00Z");
    let wanted: Vec<f32> = [8u8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3].map(f32::from).to_vec();
    check_raster(&shop.entry(), raster, &wanted);
}

/// Tiles of 64×64 in folders by date.
fn dated_tiffs(shop: &Workshop, change: impl Fn(usize, usize, &mut Tiff<'_>)) -> PathBuf {
    let mut members = Vec::new();
    for (day, folder) in ["20210101", "20210111", "20210121"].into_iter().enumerate() {
        for column in 0..2 {
            // A tile that is missing on one date.
            if (day, column) == (1, 1) {
                continue;
            }
            let name = format!("p/{folder}/ST_E4{column}N30.tif");
            let path = shop.path(&format!("in/{name}"));
            let x = 4_000_000.0 + column as f64 * 640.0;
            let transform = [x, 10.0, 0.0, 3_000_000.0, 0.0, -10.0];
            let mut tiff = Tiff { nodata: Some(255.0), transform, ..Tiff::default() };
            change(day, column, &mut tiff);
            tiff.write(&path, |_, y, x| pixel(day, y, x + 64 * column));
            members.push((name, path));
        }
    }
    let files: Vec<(&str, &Path)> =
        members.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    shop.zip(&files)
}

#[test]
fn tiles_in_folders_by_date_become_one_raster() {
    for consume in [false, true] {
        let shop = Workshop::new();
        let job = IngestJob { consume, ..shop.job(&dated_tiffs(&shop, |_, _, _| ())) };
        let meta = ingest(&job, &mut |_| {}).unwrap();
        let [raster] = meta.rasters.as_slice() else { panic!("one raster") };
        assert_eq!((raster.width, raster.height, raster.times.len()), (128, 64, 3));
        let value = |day: usize, y: usize, x: usize| if day == 1 && x >= 64 { 255 } else { pixel(day, y, x) };
        let places = (0..3).flat_map(|day| (0..64).flat_map(move |y| (0..128).map(move |x| (day, y, x))));
        let wanted: Vec<u8> = places.map(|(day, y, x)| value(day, y, x)).collect();
        check_raster(&shop.entry(), raster, &wanted);
        assert_eq!(raster.sources.len(), 5);
    }
}

#[test]
fn the_palette_of_a_series_is_that_of_nameless_classes() {
    let shop = Workshop::new();
    const PALETTE: [[u8; 4]; 3] = [[10, 20, 30, 255], [40, 50, 60, 255], [0, 0, 0, 255]];
    let meta = shop.ingest(&dated_tiffs(&shop, |_, _, tiff| tiff.palette = &PALETTE)).unwrap();
    let [raster] = meta.rasters.as_slice() else { panic!("one raster") };
    let classes: Vec<_> =
        raster.classes.iter().map(|class| (class.value, &*class.name, class.color)).collect();
    assert_eq!(classes, [(0, "", Some(PALETTE[0])), (1, "", Some(PALETTE[1]))]);
    let product = shop.path("view");
    export(&EntryView::open(&shop.entry()).unwrap(), &product);
    let side_file = fs::read_to_string(product.join("PRODUCT.tif.aux.xml")).unwrap();
    assert!(side_file.contains("<F>1</F><F></F><F>40</F><F>50</F><F>60</F><F>255</F>"), "{side_file}");
}

#[test]
fn dates_that_do_not_fit_together_stay_apart() {
    let shop = Workshop::new();
    let package = dated_tiffs(&shop, |day, _, tiff| {
        if day == 2 {
            tiff.epsg = Some(32632);
        }
    });
    let meta = shop.ingest(&package).unwrap();
    assert_eq!(meta.rasters.len(), 3);
    assert!(meta.rasters.iter().all(|raster| raster.times.is_empty() && raster.bands.len() == 1));
}

#[test]
fn a_netcdf_without_rasters_is_a_side_file_only_where_there_are_others() {
    let shop = Workshop::new();
    let mut series = Classic::default();
    let time = series.dimension("time", 3);
    series.variable("mean", &[time], &[], Values::Doubles(vec![1.0, 2.0, 3.0]));
    let tiff = shop.path("in/a.tif");
    Tiff::default().write(&tiff, |_, _, _| 1u8);
    let files = [("p/a.tif", fs::read(&tiff).unwrap()), ("p/stations.nc", series.bytes())];
    let meta = shop.ingest(&package(&shop, &files)).unwrap();
    assert_eq!(meta.originals[0].path, "p/stations.nc");
    assert_eq!(fs::read(shop.entry().join("original/p/stations.nc")).unwrap(), series.bytes());
    let error = shop.ingest(&package(&shop, &files[1..])).unwrap_err();
    assert!(matches!(&error, IngestError::Unsupported { name, .. } if name == "p/stations.nc"), "{error}");
    // Whether the others are GeoTIFFs or netCDFs, and before or behind it, is all the same.
    for (stations, other) in [("a.nc", "b.nc"), ("b.nc", "a.nc")] {
        let shop = Workshop::new();
        let files = [(stations, series.bytes()), (other, netcdf(0))];
        let meta = shop.ingest(&package(&shop, &files)).unwrap();
        assert_eq!((meta.rasters.len(), meta.originals[0].path.as_str()), (2, stations));
    }
}

#[test]
fn long_names_of_files_are_cut() {
    let shop = Workshop::new();
    let long = format!("{}.nc", "é".repeat(120));
    let meta = shop.ingest(&package(&shop, &[(&*long, netcdf(0)), ("b.nc", netcdf(1))])).unwrap();
    assert_eq!(meta.rasters.len(), 4);
    let product = shop.path("view");
    export(&EntryView::open(&shop.entry()).unwrap(), &product);
    let of_long = |name: &str| name.starts_with('é') && name.ends_with("_ssm.tif.aux.xml");
    let names: Vec<String> = fs::read_dir(&product)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| name.len() <= 255));
    assert!(names.iter().any(|name| of_long(name)), "{names:?}");
}

#[test]
fn a_damaged_file_of_a_series_is_never_left_out() {
    let shop = Workshop::new();
    let mut files = dated(&[0, 6]);
    files[1].1.truncate(300);
    let tiff = shop.path("in/a.tif");
    Tiff::default().write(&tiff, |_, _, _| 1u8);
    files.push(("p/a.tif".to_owned(), fs::read(&tiff).unwrap()));
    let error = shop.ingest(&package(&shop, &as_members(&files))).unwrap_err();
    assert!(matches!(&error, IngestError::Raster { name, .. } if *name == files[1].0), "{error}");
}

/// HDF5 inside, as GDAL writes it from a raster in memory.
#[test]
fn netcdf_4_with_chunks() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let transform = [9.5, 0.001, 0.0, 54.25, 0.0, -0.001];
    let tiff = Tiff { size: (1200, 900), epsg: Some(4326), transform, nodata: Some(-1.0), ..Tiff::default() };
    let pixels = tiff.write(&source, |_, y, x| (x * 31 + y * 17) as i16);
    let path = shop.path("in/a.nc");
    let driver = DriverManager::get_driver_by_name("netCDF").unwrap();
    let options = gdal::raster::RasterCreationOptions::from_iter(["FORMAT=NC4", "COMPRESS=DEFLATE"]);
    Dataset::open(&source).unwrap().create_copy(&driver, &path, &options).unwrap().close().unwrap();
    let meta = shop.ingest(&shop.zip(&[("a.nc", &path)])).unwrap();
    let raster = &meta.rasters[0];
    assert!(raster.geotransform.iter().zip(transform).all(|(found, wanted)| (found - wanted).abs() < 1e-9));
    assert_eq!(raster.crs.as_ref().unwrap().epsg, Some(4326));
    check_raster(&shop.entry(), raster, &pixels);
}

#[test]
fn an_attribute_of_gigabytes_costs_one_product() {
    // A header that declares 2 GB of text where there are none.
    let mut bytes = b"CDF\x02".to_vec();
    bytes.extend([0; 12]);
    bytes.extend([0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 4]);
    bytes.extend(b"bomb");
    bytes.extend([0, 0, 0, 2, 0x7f, 0xff, 0xff, 0xf0]);
    bytes.extend([b'a'; 1000]);
    // With little memory the header cannot be read; with more it is found to say nothing.
    for memory in [64 << 20, 1 << 30] {
        let shop = Workshop::new();
        let mut job = shop.job(&package(&shop, &[("p/bomb.nc", bytes.clone())]));
        job.limits.memory_bytes = memory;
        let error = block_on(run_with(&program("convert"), job, |_| {})).unwrap_err();
        assert!(error.to_string().contains("'p/bomb.nc'"), "{error}");
    }
}
