//! Tiles of one layer.

use super::*;

/// Writes tiles of 700×700 at the given places (in tiles) and gives the package.
fn tiles(shop: &Workshop, places: &[(usize, usize)], nodata: Option<f64>) -> PathBuf {
    let files: Vec<(String, PathBuf)> = places
        .iter()
        .map(|&(column, row)| {
            let name = format!("DATA/X_E{:02}N{:02}_03035.tif", 40 + column, 30 - row);
            let path = shop.path(&format!("in/{name}"));
            let transform = [
                4_000_000.0 + column as f64 * 7000.0,
                10.0,
                0.0,
                3_000_000.0 - row as f64 * 7000.0,
                0.0,
                -10.0,
            ];
            let tiff =
                Tiff { size: (700, 700), nodata, transform, options: &["COMPRESS=LZW"], ..Tiff::default() };
            tiff.write(&path, |_, y, x| pixel(row * 700 + y, column * 700 + x));
            (name, path)
        })
        .collect();
    let members: Vec<(&str, &Path)> =
        files.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    shop.zip(&members)
}

fn pixel(y: usize, x: usize) -> u8 {
    ((x * 7 + y * 13) / 50 % 200) as u8
}

#[test]
fn tiles_become_one_raster_with_holes() {
    let shop = Workshop::new();
    let places = [(0, 0), (3, 0), (1, 1), (3, 2)];
    let meta = shop.ingest(&tiles(&shop, &places, Some(255.0))).unwrap();
    let [raster] = meta.rasters.as_slice() else { panic!("one raster") };
    assert_eq!((raster.width, raster.height), (2800, 2100));
    assert_eq!(raster.geotransform, [4_000_000.0, 10.0, 0.0, 3_000_000.0, 0.0, -10.0]);
    assert_eq!(raster.sources.len(), 4);
    let expected: Vec<u8> = (0..2100)
        .flat_map(|y| (0..2800).map(move |x| (y, x)))
        .map(|(y, x)| if places.contains(&(x / 700, y / 700)) { pixel(y, x) } else { 255 })
        .collect();
    check_raster(&shop.entry(), raster, &expected);
    assert!((raster.bands[0].statistics.unwrap().valid_percent - 400.0 / 12.0).abs() < 1e-9);
}

#[test]
fn far_tiles_leave_the_middle_empty() {
    let shop = Workshop::new();
    let meta = shop.ingest(&tiles(&shop, &[(0, 0), (9, 6)], Some(255.0))).unwrap();
    let raster = &meta.rasters[0];
    assert_eq!((raster.width, raster.height), (7000, 4900));
    let length = fs::metadata(raster_file(&shop.entry(), raster)).unwrap().len();
    assert!(length < 400_000, "{length} bytes");
    let zarr = zarr_bytes(&shop.entry(), &raster.name);
    assert_eq!(zarr[3000 * 7000 + 3000], 255);
    assert_eq!(zarr[4899 * 7000 + 6999], pixel(4899, 6999));
}

/// Minimum, maximum, mean and standard deviation of band 1 as GDAL computes them.
fn statistics_by_gdal(path: &Path) -> [f64; 4] {
    let dataset = Dataset::open(path).unwrap();
    let band = dataset.rasterband(1).unwrap();
    let [mut minimum, mut maximum, mut mean, mut deviation] = [0.0; 4];
    // SAFETY: the band is open, the numbers are written to, and no progress is asked for.
    let status = unsafe {
        gdal_sys::GDALComputeRasterStatistics(
            band.c_rasterband(),
            0,
            &mut minimum,
            &mut maximum,
            &mut mean,
            &mut deviation,
            None,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(status, 0);
    [minimum, maximum, mean, deviation]
}

#[test]
fn holes_without_nodata_count_as_what_they_are_read_as() {
    // With little memory the pieces are smaller, and more of them have no source.
    for memory_bytes in [1 << 20, 1 << 30] {
        let shop = Workshop::new();
        let mut job = shop.job(&tiles(&shop, &[(0, 0), (9, 6)], None));
        job.limits.memory_bytes = memory_bytes;
        let meta = ingest(&job, &mut |_| {}).unwrap();
        let raster = &meta.rasters[0];
        let found = raster.bands[0].statistics.unwrap();
        let wanted = statistics_by_gdal(&raster_file(&shop.entry(), raster));
        let found_by_us = [found.minimum, found.maximum, found.mean, found.stddev];
        let is_same = found_by_us.iter().zip(wanted).all(|(one, other)| (one - other).abs() < 1e-6);
        assert!(is_same, "with {memory_bytes}: {found_by_us:?}, by GDAL {wanted:?}");
        assert!((found.valid_percent - 100.0).abs() < 1e-9);
    }
}

#[test]
fn later_tiles_win_where_they_are_not_nodata() {
    let shop = Workshop::new();
    let mut members = Vec::new();
    for (name, x, value) in [("a_E40N30.tif", 0.0, 1u8), ("a_E41N30.tif", 300.0, 2)] {
        let path = shop.path(&format!("in/{name}"));
        let transform = [x, 1.0, 0.0, 0.0, 0.0, -1.0];
        let tiff = Tiff { size: (600, 50), nodata: Some(0.0), transform, ..Tiff::default() };
        tiff.write(&path, |_, y, _| if y % 2 == 0 || value == 1 { value } else { 0 });
        members.push((name, path));
    }
    let members: Vec<(&str, &Path)> = members.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let meta = shop.ingest(&shop.zip(&members)).unwrap();
    let expected: Vec<u8> = (0..50)
        .flat_map(|y| (0..900).map(move |x| (y, x)))
        .map(|(y, x)| match (x, y % 2) {
            (0..300, _) => 1,
            (_, 0) => 2,
            (300..600, _) => 1,
            _ => 0,
        })
        .collect();
    check_raster(&shop.entry(), &meta.rasters[0], &expected);
}

#[test]
fn a_tile_that_does_not_fit_is_named() {
    let shop = Workshop::new();
    let mut members = Vec::new();
    for (name, epsg) in [("a_E40N30.tif", 3035), ("a_E41N30.tif", 4326)] {
        let path = shop.path(&format!("in/{name}"));
        Tiff { epsg: Some(epsg), ..Tiff::default() }.write(&path, |_, _, _| 1u8);
        members.push((name, path));
    }
    let members: Vec<(&str, &Path)> = members.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let error = shop.ingest(&shop.zip(&members)).unwrap_err();
    assert!(matches!(&error, IngestError::Mosaic { name, .. } if name == "a_E41N30.tif"), "{error}");
    assert!(error.to_string().contains("EPSG:4326"), "{error}");
}

#[test]
fn other_layers_become_rasters_of_their_own() {
    let shop = Workshop::new();
    let mut members = Vec::new();
    let places = [
        ("D/U_CLC_20u1.tif", 3035, 500),
        ("D/French_DOMs/U_CLC_20u1_FR_GLP.tif", 32620, 60),
        ("D/French_DOMs/PRODUCT.tif", 32622, 30),
    ];
    for (name, epsg, side) in places {
        let path = shop.path(&format!("in/{name}"));
        let tiff = Tiff { epsg: Some(epsg), size: (side, side), nodata: Some(-128.0), ..Tiff::default() };
        let pixels = tiff.write(&path, |_, y, x| (x + y) as i8);
        members.push((name, path, pixels));
    }
    let files: Vec<(&str, &Path)> = members.iter().map(|(name, path, _)| (*name, path.as_path())).collect();
    let meta = shop.ingest(&shop.zip(&files)).unwrap();
    assert_eq!(meta.rasters.len(), 3);
    assert_eq!(meta.rasters[0].name, "PRODUCT");
    let mut names: Vec<&str> = meta.rasters.iter().map(|raster| raster.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3);
    for raster in &meta.rasters {
        let (_, _, pixels) = members.iter().find(|(name, ..)| raster.sources == [*name]).unwrap();
        check_raster(&shop.entry(), raster, pixels);
    }
}

#[test]
fn classes_of_all_tiles_come_together() {
    use crate::ingest::dbf::tests::write as dbf;
    let shop = Workshop::new();
    let mut members: Vec<(String, PathBuf)> = Vec::new();
    for (column, class) in [(0, "1"), (1, "2")] {
        let name = format!("a_E4{column}N30.tif");
        let path = shop.path(&format!("in/{name}"));
        let transform = [f64::from(column) * 640.0, 10.0, 0.0, 0.0, 0.0, -10.0];
        Tiff { transform, ..Tiff::default() }.write(&path, |_, _, _| column as u8 + 1);
        let table = shop.path(&format!("in/{name}.vat.dbf"));
        fs::write(&table, dbf(&[("Value", 'N', 4), ("Name", 'C', 9)], &[vec![class, "x"], vec!["3", class]]))
            .unwrap();
        members.extend([(name.clone(), path), (format!("{name}.vat.dbf"), table)]);
    }
    let members: Vec<(&str, &Path)> =
        members.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    let meta = shop.ingest(&shop.zip(&members)).unwrap();
    let found: Vec<(i64, &str)> =
        meta.rasters[0].classes.iter().map(|c| (c.value, c.name.as_str())).collect();
    assert_eq!(found, [(1, "x"), (2, "x"), (3, "1")]);
}

#[test]
fn a_legend_of_the_package_names_its_classes() {
    let shop = Workshop::new();
    let raster = shop.path("in/landcover.tif");
    Tiff::default().write(&raster, |_, _, x| (x % 3) as u8);
    let quality = shop.path("in/landcover_conf.tif");
    Tiff::default().write(&quality, |_, _, x| (x % 100) as u8);
    let style = shop.path("in/style.qml");
    let entry = |value: i32| {
        format!("<paletteEntry value=\"{value}\" label=\"class {value}\" color=\"#0102{value:02x}\"/>")
    };
    let entries: String = [0, 1, 2, 300].map(entry).concat();
    fs::write(&style, format!("<qgis><colorPalette>{entries}</colorPalette></qgis>")).unwrap();
    let package = shop.zip(&[
        ("p/Legend/style.qml", &style),
        ("p/DATA/landcover.tif", &raster),
        ("p/DATA/landcover_conf.tif", &quality),
    ]);
    let meta = shop.ingest(&package).unwrap();
    let classes: Vec<_> =
        meta.rasters[0].classes.iter().map(|c| (c.value, c.name.as_str(), c.color)).collect();
    let expected = |value: i64, name| (value, name, Some([1, 2, value as u8, 255]));
    assert_eq!(classes, [expected(0, "class 0"), expected(1, "class 1"), expected(2, "class 2")]);
    assert!(meta.rasters[0].categorical);
    assert!(meta.rasters[1].classes.is_empty(), "the legend of the classes is not that of their quality");
}

#[test]
fn tiles_of_another_type_and_nodata_become_one_raster() {
    let shop = Workshop::new();
    let transform = |column: usize| [column as f64 * 640.0, 10.0, 0.0, 0.0, 0.0, -10.0];
    let (left, right) = (shop.path("in/a_E40N30.tif"), shop.path("in/a_E41N30.tif"));
    let narrow = Tiff { transform: transform(0), nodata: Some(255.0), ..Tiff::default() };
    narrow.write(&left, |_, _, x| if x % 7 == 0 { 255 } else { x as u8 });
    let wide = Tiff { transform: transform(1), nodata: Some(65535.0), ..Tiff::default() };
    wide.write(&right, |_, y, x| if y % 5 == 0 { 65535 } else { 1000 + x as u16 });
    let package = shop.zip(&[("a_E40N30.tif", &left), ("a_E41N30.tif", &right)]);
    let meta = shop.ingest(&package).unwrap();
    let raster = &meta.rasters[0];
    assert_eq!((raster.pixel, raster.nodata), (PixelType::UInt16, Some(Number(255.0))));
    let side = raster.width as usize / 2;
    let expected: Vec<u16> = (0..raster.height as usize)
        .flat_map(|y| {
            (0..2 * side).map(move |x| match x {
                x if x < side && x % 7 == 0 => 255,
                x if x < side => u16::from(x as u8),
                _ if y % 5 == 0 => 255,
                x => 1000 + (x - side) as u16,
            })
        })
        .collect();
    check_raster(&shop.entry(), raster, &expected);

    // A tile in which the others' nodata means something cannot be joined without a lie.
    wide.write(&right, |_, _, x| 250 + x as u16);
    let shop_two = Workshop::new();
    let error = shop_two.ingest(&shop.zip(&[("a_E40N30.tif", &left), ("a_E41N30.tif", &right)])).unwrap_err();
    assert!(error.to_string().contains("a_E41N30.tif"), "{error}");
    assert!(error.to_string().contains("255, which is nodata in the other tiles"), "{error}");
}

#[test]
fn overseas_tiles_of_the_same_name_are_a_raster_of_their_own() {
    let write = |shop: &Workshop, name: &str, column: usize, epsg: u32, size: usize| {
        let path = shop.path(&format!("in/{name}"));
        let transform = [4_000_000.0 + column as f64 * 700.0, 10.0, 0.0, 3_000_000.0, 0.0, -10.0];
        let tiff = Tiff { size: (70, size), transform, epsg: Some(epsg), ..Tiff::default() };
        tiff.write(&path, |_, y, x| pixel(y, column * 70 + x));
        path
    };
    let shop = Workshop::new();
    let files = [
        ("D/DATA/T_E43N32.tif", write(&shop, "a.tif", 0, 3035, 90)),
        ("D/DATA/T_E44N32.tif", write(&shop, "b.tif", 1, 3035, 90)),
        ("D/French_DOMs/T_E03N70.tif", write(&shop, "c.tif", 0, 32740, 50)),
    ];
    let members: Vec<(&str, &Path)> = files.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let meta = shop.ingest(&shop.zip(&members)).unwrap();
    let found: Vec<_> =
        meta.rasters.iter().map(|r| (r.width, r.height, r.crs.as_ref().unwrap().epsg.unwrap())).collect();
    assert_eq!(found, [(140, 90, 3035), (70, 50, 32740)]);
    // Mixed within a folder they are a mistake.
    let mixed: Vec<(&str, &Path)> =
        members.iter().zip(["T_E43N32.tif", "T_E44N32.tif", "T_E03N70.tif"]).map(|(m, n)| (n, m.1)).collect();
    let shop = Workshop::new();
    let error = shop.ingest(&shop.zip(&mixed)).unwrap_err();
    assert!(matches!(error, IngestError::Mosaic { .. }), "{error}");
}
