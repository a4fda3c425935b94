//! What producers put into GeoTIFFs beside plain pixels on a plain grid.

use std::ffi::CString;
use std::ptr::null_mut;

use super::*;
use crate::view::EntryView;
use crate::view::export::export;

/// Opens a TIFF that was written for changing it.
fn edit(path: &Path) -> Dataset {
    let options =
        gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() };
    Dataset::open_ex(path, options).unwrap()
}

/// Writes a TIFF without a place.
fn nowhere(path: &Path) -> Vec<u8> {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let dataset = driver.create_with_band_type::<u8, _>(path, 8, 4, 1).unwrap();
    let pixels: Vec<u8> = (0..32).collect();
    let mut buffer = gdal::raster::Buffer::new((8, 4), pixels.clone());
    dataset.rasterband(1).unwrap().write((0, 0), (8, 4), &mut buffer).unwrap();
    dataset.close().unwrap();
    pixels
}

/// Gives the four corners of an 8×4 raster places.
fn set_control_points(path: &Path, corners: [(f64, f64); 4]) {
    let dataset = edit(path);
    let mut empty = CString::default().into_bytes_with_nul();
    let text = empty.as_mut_ptr().cast();
    let pixels = [(0.0, 0.0), (8.0, 0.0), (0.0, 4.0), (8.0, 4.0)];
    let points: Vec<gdal_sys::GDAL_GCP> = pixels
        .iter()
        .zip(corners)
        .map(|(&(pixel, line), (x, y))| gdal_sys::GDAL_GCP {
            pszId: text,
            pszInfo: text,
            dfGCPPixel: pixel,
            dfGCPLine: line,
            dfGCPX: x,
            dfGCPY: y,
            dfGCPZ: 0.0,
        })
        .collect();
    let wkt = CString::new(SpatialRef::from_epsg(3035).unwrap().to_wkt().unwrap()).unwrap();
    // SAFETY: the dataset is open, the list has four points whose texts live as long as the call.
    let status = unsafe { gdal_sys::GDALSetGCPs(dataset.c_dataset(), 4, points.as_ptr(), wkt.as_ptr()) };
    assert_eq!(status, 0);
    dataset.close().unwrap();
}

#[test]
fn ground_control_points_on_a_grid_are_its_place() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let pixels = nowhere(&source);
    set_control_points(
        &source,
        [(4e6, 3e6), (4_000_080.0, 3e6), (4e6, 2_999_960.0), (4_000_080.0, 2_999_960.0)],
    );
    let meta = shop.ingest(&shop.zip(&[("a/a.tif", &source)])).unwrap();
    let raster = &meta.rasters[0];
    check_raster(&shop.entry(), raster, &pixels);
    assert_eq!(raster.geotransform, [4e6, 10.0, 0.0, 3e6, 0.0, -10.0]);
    assert_eq!(raster.crs.as_ref().unwrap().epsg, Some(3035));
}

#[test]
fn ground_control_points_that_bend_the_raster_are_refused() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    nowhere(&source);
    set_control_points(
        &source,
        [(4e6, 3e6), (4_000_080.0, 3e6), (4e6, 2_999_960.0), (4_000_100.0, 2_999_900.0)],
    );
    let error = shop.ingest(&shop.zip(&[("a/a.tif", &source)])).unwrap_err();
    assert!(error.to_string().contains("'a/a.tif'") && error.to_string().contains("gdalwarp"), "{error}");
}

#[test]
fn a_prj_beside_the_raster_is_its_crs() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    nowhere(&source);
    let esri = SpatialRef::from_epsg(3035).unwrap();
    esri.morph_to_esri().unwrap();
    fs::write(shop.path("in/p"), esri.to_wkt().unwrap()).unwrap();
    fs::write(shop.path("in/w"), "10\n0\n0\n-10\n4000005\n2999995\n").unwrap();
    let (prj, tfw) = (shop.path("in/p"), shop.path("in/w"));
    let package = shop.zip(&[("a/a.tif", &source), ("a/A.PRJ", &prj), ("a/a.tfw", &tfw)]);
    let raster = shop.ingest(&package).unwrap().rasters.remove(0);
    assert_eq!(raster.geotransform, [4e6, 10.0, 0.0, 3e6, 0.0, -10.0]);
    assert_eq!(raster.crs.unwrap().epsg, Some(3035));
}

#[test]
fn a_local_crs_is_none_of_degrees_and_a_prj_counts_more() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    Tiff { epsg: None, ..Tiff::default() }.write(&source, |_, y, x| (y + x) as u8);
    let mut dataset = edit(&source);
    let local = SpatialRef::from_wkt(r#"LOCAL_CS["site",UNIT["metre",1]]"#).unwrap();
    dataset.set_spatial_ref(&local).unwrap();
    dataset.close().unwrap();
    let meta = shop.ingest(&shop.zip(&[("a/a.tif", &source)])).unwrap();
    assert!(meta.rasters[0].crs.as_ref().unwrap().wkt1.contains("site"), "{:?}", meta.rasters[0].crs);
    let product = shop.path("view");
    export(&EntryView::open(&shop.entry()).unwrap(), &product);
    let x = fs::read_to_string(product.join("PRODUCT.zarr/x/.zattrs")).unwrap();
    assert!(x.contains("\"m\"") && !x.contains("degrees"), "{x}");
    let mapping = fs::read_to_string(product.join("PRODUCT.zarr/spatial_ref/zarr.json")).unwrap();
    assert!(!mapping.contains("latitude_longitude"), "{mapping}");

    let shop = Workshop::new();
    let prj = shop.path("in/a.prj");
    fs::write(&prj, SpatialRef::from_epsg(3035).unwrap().to_wkt().unwrap()).unwrap();
    let meta = shop.ingest(&shop.zip(&[("a/a.tif", &source), ("a/a.prj", &prj)])).unwrap();
    assert_eq!(meta.rasters[0].crs.as_ref().unwrap().epsg, Some(3035));
}

#[test]
fn a_tiff_of_several_pages_is_kept_beside_the_raster_of_its_first() {
    for consume in [false, true] {
        let shop = Workshop::new();
        let source = shop.path("in/a.tif");
        let pixels =
            Tiff { options: &["COMPRESS=LZW"], ..Tiff::default() }.write(&source, |_, y, x| (y * x) as u8);
        let second = Tiff { options: &["APPEND_SUBDATASET=YES"], size: (30, 20), ..Tiff::default() };
        second.write(&source, |_, y, _| y as u8);
        let plain = shop.path("in/b.tif");
        Tiff { size: (9, 9), ..Tiff::default() }.write(&plain, |_, y, x| (y + x) as u8);
        let package = shop.zip(&[("p/a.tif", &source), ("p/b.tif", &plain)]);
        let meta = ingest(&IngestJob { consume, ..shop.job(&package) }, &mut |_| {}).unwrap();
        check_raster(&shop.entry(), &meta.rasters[0], &pixels);
        let kept: Vec<&str> = meta.originals.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(kept, ["p/a.tif"]);
        assert!(fs::read(shop.entry().join("original/p/a.tif")).unwrap() == fs::read(&source).unwrap());
    }
}

/// A raster of 64 bit integers; GDAL's wrapper has no such type.
fn wide(path: &Path, pixels: &mut [i64], nodata: i64) {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let (width, height) = (pixels.len() as i32, 1);
    let kind = gdal_sys::GDALDataType::GDT_Int64;
    // SAFETY: driver, dataset and band are valid until the dataset is closed; the buffer has the pixels of the type.
    unsafe {
        let dataset =
            gdal_sys::GDALCreate(driver.c_driver(), name.as_ptr(), width, height, 1, kind, null_mut());
        let band = gdal_sys::GDALGetRasterBand(dataset, 1);
        assert_eq!(gdal_sys::GDALSetRasterNoDataValueAsInt64(band, nodata), 0);
        let (write, data) = (gdal_sys::GDALRWFlag::GF_Write, pixels.as_mut_ptr().cast());
        let status =
            gdal_sys::GDALRasterIO(band, write, 0, 0, width, height, data, width, height, kind, 0, 0);
        assert_eq!(status, 0);
        gdal_sys::GDALClose(dataset);
    }
}

#[test]
fn integers_of_64_bits_become_32_when_every_value_fits() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let mut pixels = [1, -1, i64::from(i32::MAX), i64::from(i32::MIN), 7];
    wide(&source, &mut pixels, -1);
    let raster = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap().rasters.remove(0);
    assert_eq!((raster.pixel, raster.nodata), (PixelType::Int32, Some(Number(-1.0))));
    let expected: Vec<i32> = pixels.iter().map(|&pixel| pixel as i32).collect();
    check_raster(&shop.entry(), &raster, &expected);

    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    wide(&source, &mut [1, i64::from(i32::MAX) + 1], -1);
    let error = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap_err();
    assert!(error.to_string().contains("'a.tif'") && error.to_string().contains("2147483648"), "{error}");
}

#[test]
fn red_green_blue_and_alpha_are_told() {
    for (options, bands, expected) in [
        (&["PHOTOMETRIC=RGB", "COMPRESS=LZW"][..], 3, &["Red", "Green", "Blue"][..]),
        (&["PHOTOMETRIC=RGB", "ALPHA=YES"], 4, &["Red", "Green", "Blue", "Alpha"]),
        (&["PHOTOMETRIC=RGB", "ALPHA=NO"], 4, &["Red", "Green", "Blue", "Undefined"]),
        (&["PHOTOMETRIC=MINISBLACK", "ALPHA=YES"], 2, &["Gray", "Alpha"]),
        (&["PHOTOMETRIC=MINISBLACK"], 3, &["Gray", "Undefined", "Undefined"]),
    ] {
        let shop = Workshop::new();
        let source = shop.path("in/a.tif");
        let tiff = Tiff { size: (600, 530), bands, options, ..Tiff::default() };
        let pixels = tiff.write(&source, |band, y, x| ((band * 50 + y * 3 + x) % 256) as u8);
        let raster = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap().rasters.remove(0);
        check_raster(&shop.entry(), &raster, &pixels);
        let served = Dataset::open(raster_file(&shop.entry(), &raster)).unwrap();
        let found: Vec<String> =
            (1..=bands).map(|band| served.rasterband(band).unwrap().color_interpretation().name()).collect();
        assert_eq!(found, expected, "{options:?}");
    }
}
