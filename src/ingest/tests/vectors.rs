//! Vector data becomes part of an entry as it was delivered; only GeoPackages in WAL mode are changed.

use gdal::vector::{Feature, Geometry, LayerAccess, LayerOptions, OGRwkbGeometryType};
use rusqlite::Connection;

use super::*;
use crate::ingest::tests::child::convert_in_child;
use crate::store::vector::{LayerMeta, VectorFormat};
use crate::view::EntryView;
use crate::view::export::export;

/// Writes a dataset with a layer of `features` squares for each name, and returns the paths of its files.
fn squares(path: &Path, driver: &str, layers: &[(&str, usize)]) -> Vec<PathBuf> {
    let mut dataset = DriverManager::get_driver_by_name(driver)
        .unwrap()
        .create_vector_only(path.to_str().unwrap())
        .unwrap();
    let laea = SpatialRef::from_epsg(3035).unwrap();
    for (name, features) in layers {
        let layer = dataset
            .create_layer(LayerOptions {
                name,
                srs: Some(&laea),
                ty: OGRwkbGeometryType::wkbPolygon,
                options: None,
            })
            .unwrap();
        for number in 0..*features {
            let (west, south) = (4_000_000 + number * 1000, 3_000_000);
            let (east, north) = (west + 1000, south + 1000);
            let mut feature = Feature::new(layer.defn()).unwrap();
            let ring = format!(
                "POLYGON(({west} {south},{west} {north},{east} {north},{east} {south},{west} {south}))"
            );
            feature.set_geometry(Geometry::from_wkt(&ring).unwrap()).unwrap();
            feature.create(&layer).unwrap();
        }
    }
    dataset.close().unwrap();
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Zips files under a folder, by their own names.
fn pack(shop: &Workshop, parts: &[(&str, &[PathBuf])]) -> PathBuf {
    let named: Vec<(String, &Path)> = parts
        .iter()
        .flat_map(|(folder, files)| {
            files.iter().map(move |file| {
                (format!("{folder}/{}", file.file_name().unwrap().to_str().unwrap()), file.as_path())
            })
        })
        .collect();
    let named: Vec<(&str, &Path)> = named.iter().map(|(name, path)| (name.as_str(), *path)).collect();
    shop.zip(&named)
}

fn original(shop: &Workshop, path: &str) -> PathBuf {
    shop.entry().join("original").join(path)
}

fn assert_unchanged(shop: &Workshop, folder: &str, files: &[PathBuf]) {
    for file in files {
        let kept = original(shop, &format!("{folder}/{}", file.file_name().unwrap().to_str().unwrap()));
        assert!(fs::read(&kept).unwrap() == fs::read(file).unwrap(), "{} changed", kept.display());
    }
}

fn assert_layer(layer: &LayerMeta, name: &str, features: usize) {
    assert_eq!((layer.name.as_str(), layer.features), (name, Some(features as u64)));
    // A geodatabase knows no single ones.
    assert!(matches!(layer.geometry.as_deref(), Some("Polygon" | "Multi Polygon")), "{:?}", layer.geometry);
    assert_eq!(layer.crs.as_ref().unwrap().epsg, Some(3035));
    let east = 4_000_000.0 + features as f64 * 1000.0;
    assert_eq!(layer.bbox, Some([4_000_000.0, 3_000_000.0, east, 3_001_000.0]));
}

#[test]
fn every_format_is_kept_and_described_behind_the_walls() {
    let shop = Workshop::new();
    let package = squares(&shop.path("in/a.gpkg"), "GPKG", &[("one", 2), ("two", 5)]);
    let database = squares(&shop.path("in/b.gdb"), "OpenFileGDB", &[("one", 3)]);
    fs::create_dir(shop.path("in/shapes")).unwrap();
    squares(&shop.path("in/shapes/roads.shp"), "ESRI Shapefile", &[("roads", 4)]);
    let mut shapes: Vec<PathBuf> =
        fs::read_dir(shop.path("in/shapes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    shapes.sort();
    let zip = pack(&shop, &[("P", &package), ("P/b.gdb", &database), ("P/shapes", &shapes)]);
    let (meta, seen) = convert_in_child(shop.job(&zip)).unwrap();

    assert!(meta.rasters.is_empty() && !shop.entry().join("preview.png").exists());
    let sets: Vec<(VectorFormat, &str)> =
        meta.vectors.iter().map(|vector| (vector.format, vector.path.as_str())).collect();
    assert_eq!(
        sets,
        [
            (VectorFormat::GeoPackage, "P/a.gpkg"),
            (VectorFormat::FileGdb, "P/b.gdb"),
            (VectorFormat::Shapefile, "P/shapes/roads.shp")
        ]
    );
    assert_eq!(meta.vectors[0].layers.len(), 2);
    assert_layer(&meta.vectors[0].layers[0], "one", 2);
    assert_layer(&meta.vectors[0].layers[1], "two", 5);
    assert_layer(&meta.vectors[1].layers[0], "one", 3);
    assert_layer(&meta.vectors[2].layers[0], "roads", 4);
    assert_unchanged(&shop, "P", &package);
    assert_unchanged(&shop, "P/b.gdb", &database);
    assert_unchanged(&shop, "P/shapes", &shapes);

    // It describes itself, proves itself, and nothing else is left.
    assert_eq!(crate::store::verify::quick(&shop.entry()).unwrap(), meta);
    let proof = crate::store::verify::full(&shop.entry(), |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((proof.files, proof.files_without_checksum), (meta.originals.len() as u64, 0));
    assert_eq!(proof.files as usize, package.len() + database.len() + shapes.len());
    let bytes = meta.originals.iter().map(|file| file.size).sum();
    let last = seen.iter().rfind(|progress| matches!(progress, IngestProgress::Converting { .. }));
    assert_eq!(last, Some(&IngestProgress::Converting { done: bytes, total: bytes }));
    let left: Vec<_> =
        fs::read_dir(shop.folder.path().join("staging")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["entry"]);
}

#[test]
fn a_geodatabase_in_upper_case_is_served_in_lower_case() {
    let shop = Workshop::new();
    let database = squares(&shop.path("in/b.gdb"), "OpenFileGDB", &[("one", 3)]);
    let members: Vec<(String, &Path)> = database
        .iter()
        .map(|file| {
            (format!("P/B.GDB/{}", file.file_name().unwrap().to_str().unwrap().to_uppercase()), &**file)
        })
        .collect();
    let members: Vec<(&str, &Path)> = members.iter().map(|(name, path)| (&**name, *path)).collect();
    let meta = shop.ingest(&shop.zip(&members)).unwrap();
    assert_eq!(meta.vectors[0].path, "P/B.GDB");
    let product = shop.path("view");
    export(&EntryView::open(&shop.entry()).unwrap(), &product);
    let served = Dataset::open_ex(
        product.join("PRODUCT.gdb"),
        gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_VECTOR, ..Default::default() },
    )
    .unwrap();
    assert_eq!(served.layer(0).unwrap().features().count(), 3);
    assert!(product.join("original/P/B.GDB/A00000001.GDBTABLE").is_file());
}

/// A GeoPackage whose last change is in its log only; gives the files a careless producer would zip.
fn with_log(shop: &Workshop) -> (Connection, PathBuf) {
    let path = shop.path("in/w.gpkg");
    squares(&path, "GPKG", &[("one", 2)]);
    let database = Connection::open(&path).unwrap();
    let mode: String =
        database.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    database.execute("UPDATE gpkg_contents SET description = 'from the log'", []).unwrap();
    (database, path)
}

fn description(path: &Path) -> String {
    let database = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    database.query_row("SELECT description FROM gpkg_contents", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_log_is_folded_in_and_gone() {
    let shop = Workshop::new();
    let (database, path) = with_log(&shop);
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
    let files = [path.clone(), beside("-wal"), beside("-shm")];
    assert!(fs::metadata(&files[1]).unwrap().len() > 0);
    let zip = pack(&shop, &[("P", &files)]);
    drop(database);
    let (meta, seen) = convert_in_child(shop.job(&zip)).unwrap();
    let kept: Vec<&str> = meta.originals.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(kept, ["P/w.gpkg"]);
    let served = original(&shop, "P/w.gpkg");
    assert_eq!(fs::read(&served).unwrap()[18..20], [1, 1]);
    assert_eq!(description(&served), "from the log");
    assert_layer(&meta.vectors[0].layers[0], "one", 2);
    assert_eq!(fs::read_dir(original(&shop, "P")).unwrap().count(), 1, "nothing is left beside it");
    assert!(seen.iter().any(|progress| matches!(progress, IngestProgress::Room { bytes } if *bytes > 0)));
}

#[test]
fn a_header_in_wal_mode_is_all_that_changes_without_a_log() {
    let shop = Workshop::new();
    let (database, path) = with_log(&shop);
    database.close().unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(before[18..20], [2, 2]);
    let zip = pack(&shop, &[("P", std::slice::from_ref(&path))]);
    convert_in_child(shop.job(&zip)).unwrap();
    let served = original(&shop, "P/w.gpkg");
    let after = fs::read(&served).unwrap();
    assert_eq!(after[18..20], [1, 1]);
    // Behind the header, with its version numbers and change counters, no byte differs.
    assert!(before.len() == after.len() && before[100..] == after[100..]);
    assert_eq!(description(&served), "from the log");
}

#[test]
fn a_log_of_another_file_does_no_harm() {
    let shop = Workshop::new();
    let (database, path) = with_log(&shop);
    database.close().unwrap();
    let log = shop.path("in/w.gpkg-wal");
    fs::write(&log, [7; 10_000]).unwrap();
    let zip = pack(&shop, &[("P", &[path, log])]);
    convert_in_child(shop.job(&zip)).unwrap();
    assert_eq!(description(&original(&shop, "P/w.gpkg")), "from the log");
}

#[test]
fn what_is_not_what_its_name_says_is_named() {
    for (name, bytes, word) in [
        ("P/a.gpkg", &b"<html>not found</html>"[..], "no SQLite database"),
        ("P/a.gpkg", &b""[..], "empty"),
        ("P/b.gdb/a00000001.gdbtable", &b"\0\0\0\0\0\0\0\0"[..], "no geodatabase table"),
        ("P/c.SHP", &b"PK\x03\x04"[..], "no shapefile"),
    ] {
        let shop = Workshop::new();
        let file = shop.path("in/f");
        fs::write(&file, bytes).unwrap();
        let error = shop.ingest(&shop.zip(&[(name, &file)])).unwrap_err();
        let IngestError::Vector { name: named, reason } = &error else { panic!("{error}") };
        assert!(named == name && reason.contains(word), "{error}");
        assert!(!shop.entry().join("zarr.json").exists());
    }
    // A header alone is no database that could be taken out of WAL mode.
    let shop = Workshop::new();
    let file = shop.path("in/f");
    let mut header = b"SQLite format 3\0".to_vec();
    header.extend([0x10, 0, 2, 2]);
    header.resize(5000, 1);
    fs::write(&file, header).unwrap();
    let error = shop.ingest(&shop.zip(&[("w.gpkg", &file)])).unwrap_err();
    assert!(error.to_string().contains("'w.gpkg'") && error.to_string().contains("WAL mode"), "{error}");
}

#[test]
fn a_geopackage_that_is_cut_off_is_named() {
    let shop = Workshop::new();
    let file = shop.path("in/cut.gpkg");
    squares(&file, "GPKG", &[("a", 500)]);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let error = shop.ingest(&shop.zip(&[("cut.gpkg", &file)])).unwrap_err();
    assert!(error.to_string().contains("'cut.gpkg'") && error.to_string().contains("cut off"), "{error}");
}

#[test]
fn what_ogr_cannot_describe_is_served_all_the_same() {
    let shop = Workshop::new();
    // A database without any of the tables of a GeoPackage, and a geodatabase that is cut off.
    let plain = shop.path("in/plain.gpkg");
    Connection::open(&plain).unwrap().execute("CREATE TABLE t (a)", []).unwrap();
    let table = shop.path("in/a00000001.gdbtable");
    fs::write(&table, [3, 0, 0, 0, 9, 9, 9]).unwrap();
    let zip = shop.zip(&[("P/plain.gpkg", &plain), ("P/cut.gdb/a00000001.gdbtable", &table)]);
    let (meta, _) = convert_in_child(shop.job(&zip)).unwrap();
    assert_eq!(meta.vectors.len(), 2);
    assert!(meta.vectors.iter().all(|vector| vector.layers.is_empty()), "{:?}", meta.vectors);
    assert_unchanged(&shop, "P", &[plain]);
}

#[test]
fn the_largest_of_each_format_comes_first() {
    let shop = Workshop::new();
    let small = squares(&shop.path("in/a_FR_GLP.gpkg"), "GPKG", &[("one", 1)]);
    let large = squares(&shop.path("in/b.gpkg"), "GPKG", &[("one", 3000)]);
    let zip = pack(&shop, &[("P/French_DOMs", &small), ("P", &large)]);
    let meta = shop.ingest(&zip).unwrap();
    let paths: Vec<&str> = meta.vectors.iter().map(|vector| vector.path.as_str()).collect();
    assert_eq!(paths, ["P/b.gpkg", "P/French_DOMs/a_FR_GLP.gpkg"]);
}

#[test]
fn rasters_and_vectors_come_together() {
    let shop = Workshop::new();
    let source = shop.path("in/r.tif");
    let pixels = Tiff::default().write(&source, |_, y, x| (x * y % 251) as u8);
    let package = squares(&shop.path("in/v.gpkg"), "GPKG", &[("one", 1)]);
    let zip = pack(&shop, &[("P", &[source]), ("P/vector", &package)]);
    let meta = shop.ingest(&zip).unwrap();
    check_raster(&shop.entry(), &meta.rasters[0], &pixels);
    assert_unchanged(&shop, "P/vector", &package);
    assert_eq!((meta.vectors[0].path.as_str(), meta.vectors[0].layers.len()), ("P/vector/v.gpkg", 1));
    assert!(shop.entry().join("preview.png").is_file());
}
