//! Vector data as a producer would deliver it, and what OGR says of it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::{
    Feature, FieldValue, Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType,
};
use zip::write::SimpleFileOptions;

use super::process;

/// Makes a dataset with these layers; each has so many coded polygons in EPSG:3035.
#[track_caller]
pub(crate) fn make(path: &Path, driver: &str, layers: &[(&str, usize)]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let driver = DriverManager::get_driver_by_name(driver).unwrap();
    let mut dataset = driver.create_vector_only(path.to_str().unwrap()).unwrap();
    let laea = SpatialRef::from_epsg(3035).unwrap();
    for (name, features) in layers {
        let layer = dataset
            .create_layer(LayerOptions {
                name,
                srs: Some(&laea),
                ty: OGRwkbGeometryType::wkbMultiPolygon,
                options: None,
            })
            .unwrap();
        layer.create_defn_fields(&[("code", OGRFieldType::OFTString)]).unwrap();
        for number in 0..*features {
            let (west, south) = (4_321_000 + number % 100 * 1000, 3_210_000 + number / 100 * 1000);
            let (east, north) = (west + 900, south + 900);
            let polygon = format!(
                "MULTIPOLYGON((({west} {south},{west} {north},{east} {north},{east} {south},{west} {south})))"
            );
            let mut feature = Feature::new(layer.defn()).unwrap();
            feature.set_geometry(Geometry::from_wkt(&polygon).unwrap()).unwrap();
            let code = FieldValue::StringValue(format!("{}", 100 + number * 7 % 423));
            feature.set_field(layer.defn().field_index("code").unwrap(), &code).unwrap();
            feature.create(&layer).unwrap();
        }
    }
    dataset.close().unwrap();
}

/// All files below a folder, with their paths relative to it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
                found.push((name, entry.path()));
            }
        }
    }
    found.sort();
    found
}

/// Zips a folder as `<name>.zip` into `data`, below a folder of the same name, as packages are.
pub(crate) fn pack(data: &Path, name: &str, folder: &Path) {
    let mut zip = zip::ZipWriter::new(File::create(data.join(format!("{name}.zip"))).unwrap());
    for (path, file) in files(folder) {
        zip.start_file(format!("{name}/{path}"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(file).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}

/// Everything that `ogrinfo` tells of layers, but where they lie.
#[track_caller]
pub(crate) fn ogrinfo(path: &Path, arguments: &[&str]) -> String {
    let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(std::ffi::OsStr::new).collect();
    all.push(path.as_os_str());
    let told = process::run("ogrinfo", &all).success();
    let lines: Vec<String> = told
        .text()
        .lines()
        .filter(|line| !line.starts_with("INFO: Open of") && !line.contains("using driver"))
        .map(str::to_owned)
        .collect();
    lines.join("\n")
}

/// Names in a directory, sorted, directories with a slash behind.
#[track_caller]
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(Result::unwrap)
        .map(|entry| {
            let slash = if entry.file_type().unwrap().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    names
}

/// Fails unless both files have the same bytes.
#[track_caller]
pub(crate) fn assert_same_bytes(served: &Path, source: &Path) {
    let read =
        |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(read(served) == read(source), "{} is not {}", served.display(), source.display());
}
