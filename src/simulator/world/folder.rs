//! Products from a folder of zips: each is served as an inner package, its bytes untouched.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{World, builder};
use crate::simulator::package::Recipe;

/// A folder that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("list the packages in {}: {source}", path.display())]
pub struct FolderError {
    /// The folder.
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
        );
        for path in zips {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else {
                continue;
            };
            let size = fs::metadata(&path).map_err(failed)?.len();
            dataset = dataset.package(
                json!({
                    "area": "", "file": stem, "format": "", "path": format!("H:\\data\\{stem}.zip"),
                    "resolution": "", "size": format!("{:.1} MB", size as f64 / 1e6), "source": "EEA",
                    "title": "", "type": "", "version": "", "year": "",
                }),
                Recipe::File(Arc::from(path)),
            );
        }
        dataset.add_to(self);
        Ok(())
    }
}
