//! Products from a folder of zips: each is served as an inner package, its bytes untouched.
//!
//! The record of a product says what its editors would: a format, found among the names of the package's files.
//! `<name>.json` beside `<name>.zip` overrides fields of the record, for records that are wrong or say nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    World,
    builder::{self, choice},
};
use crate::simulator::package::Recipe;

/// Formats as the service calls them, with the endings of their files.
const FORMATS: [(&str, &[&str]); 5] = [
    ("Geotiff", &[".tif", ".tiff"]),
    ("GPKG", &[".gpkg"]),
    ("GDB", &[".gdbtable"]),
    ("Shapefile", &[".shp"]),
    ("Netcdf", &[".nc"]),
];

/// A folder that cannot be listed, or a record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the packages in {} cannot be listed: {source}", path.display())]
pub struct FolderError {
    /// The folder, or the file in it.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl World {
    /// Adds the dataset `data` with one product per `*.zip` of the folder, named after the file's stem.
    ///
    /// # Errors
    /// [`FolderError`] when the folder cannot be listed.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), FolderError> {
        let failed = |source| FolderError { path: folder.to_owned(), source };
        let mut zips: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        zips.retain(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")));
        zips.sort();
        self.family("en/products/local-data", "Local data");
        let mut dataset = builder::dataset(
            "local-data/data",
            "Local data (packages of a folder)",
            "Packages that were put into the simulator's data folder",
        )
        // The template's datasets are rasters; a folder may hold anything.
        .fields(json!({ "characteristics_spatial_representation_type": choice("Vector and Grid") }));
        for path in zips {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else {
                continue;
            };
            let size = fs::metadata(&path).map_err(failed)?.len();
            let mut record = json!({
                "area": "", "file": stem, "format": format(&path), "path": format!("H:\\data\\{stem}.zip"),
                "resolution": "", "size": format!("{:.1} MB", size as f64 / 1e6), "source": "EEA",
                "title": "", "type": "", "version": "", "year": "",
            });
            if let (Value::Object(record), Some(fields)) = (&mut record, overrides(&path)?) {
                record.extend(fields);
            }
            dataset = dataset.package(record, Recipe::File(Arc::from(path)));
        }
        dataset.add_to(self);
        Ok(())
    }
}

/// The format that the record of a package names; empty where its files are of several formats or of none.
fn format(package: &Path) -> &'static str {
    let Some(archive) = fs::File::open(package).ok().and_then(|file| zip::ZipArchive::new(file).ok()) else {
        return "";
    };
    let mut found: Vec<&str> = archive
        .file_names()
        .filter_map(Result::ok)
        .filter_map(|name| {
            let name = name.to_ascii_lowercase();
            let has = |ending: &str| name.ends_with(ending);
            FORMATS
                .iter()
                .find(|(_, endings)| endings.iter().any(|ending| has(ending)))
                .map(|(format, _)| *format)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    if let [format] = found[..] { format } else { "" }
}

/// The fields of `<name>.json` beside a package.
fn overrides(package: &Path) -> Result<Option<Map<String, Value>>, FolderError> {
    let path = package.with_extension("json");
    let failed = |source| FolderError { path: path.clone(), source };
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip(folder: &Path, name: &str, files: &[&str]) -> PathBuf {
        let path = folder.join(format!("{name}.zip"));
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for file in files {
            zip.start_file(*file, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(b"x").unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn records_name_the_format_of_their_package() {
        let folder = tempfile::tempdir().unwrap();
        for (files, expected) in [
            (&["a/x.TIF", "a/y.tif", "a/x.xml"][..], "Geotiff"),
            (&["a/x.gpkg"], "GPKG"),
            (&["x.gdb/a00000001.gdbtable", "x.gdb/gdb"], "GDB"),
            (&["x.shp", "x.dbf"], "Shapefile"),
            (&["x.nc"], "Netcdf"),
            (&["x.tif", "x.gpkg"], ""),
            (&["x.txt"], ""),
        ] {
            assert_eq!(format(&zip(folder.path(), "p", files)), expected, "{files:?}");
        }
        let no_zip = folder.path().join("no.zip");
        fs::write(&no_zip, "<html>").unwrap();
        assert_eq!(format(&no_zip), "");
    }

    #[test]
    fn fields_beside_a_package_override_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = zip(folder.path(), "p", &["x.gpkg"]);
        assert_eq!(overrides(&path).unwrap(), None);
        fs::write(folder.path().join("p.json"), r#"{"format": "GDB"}"#).unwrap();
        assert_eq!(overrides(&path).unwrap().unwrap()["format"], "GDB");
        fs::write(folder.path().join("p.json"), "[]").unwrap();
        assert!(overrides(&path).is_err());
    }
}
