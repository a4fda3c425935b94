//! Packages: what the producers' zips hold, made deterministically from the product's name.

pub(crate) mod classic;
mod contents;
mod pattern;
mod raster;
mod soil_moisture;
mod spool;
mod theme;
mod vector;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

pub(crate) use spool::{Outer, Packages};
pub(crate) use theme::Theme;
pub(crate) use vector::{Container, VectorPlan};

/// What a package holds.
#[derive(Debug, Default)]
pub(crate) enum Recipe {
    /// A small byte raster, whatever the name says.
    #[default]
    Generic,
    /// Rasters with side files.
    Raster { theme: Theme, files: RasterFiles, layout: Layout },
    /// Vector data with side files.
    Vector(VectorPlan),
    /// NetCDF files of these dates (`20210101` and the days since 1970).
    SoilMoisture { dates: Vec<(&'static str, f64)> },
    /// A zip from disk, served as it is.
    File(Arc<Path>),
    /// A cut-out: a folder instead of an inner zip.
    CutOut { theme: Theme, west: f64, north: f64, degrees: f64 },
}

/// Which rasters a package holds and where they lie.
#[derive(Debug, Clone)]
pub(crate) enum RasterFiles {
    /// One raster with this stem; upper left corner and side in metres (EPSG:3035).
    One { stem: String, left: f64, top: f64, metres: f64 },
    /// Tiles of the EEA grid, `<prefix>E##N##<suffix>`: side in km and (E, N) of the lower left corners.
    Tiles { prefix: String, suffix: String, kilometres: u32, tiles: Vec<(u32, u32)> },
    /// One raster in degrees (EPSG:4326) over the whole world.
    Globe { stem: String },
}

/// How a producer arranges a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `<name>/DATA/`, `Legend/`, `Metadata/`, `Documents/`, a readme; French overseas departments beside.
    Corine,
    /// `<name>/DATA/` with side files and `Metadata/`.
    Layer,
    /// `<name>/<stem>/<stem>.tif`.
    Nested,
    /// Files in the zip's root.
    Flat,
}

/// A package that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// GDAL could not write a raster or a layer.
    #[error("a package cannot be generated: {0}")]
    Gdal(#[from] gdal::errors::GdalError),
    /// A zip could not be written.
    #[error("a package cannot be zipped: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// A file could not be read or written.
    #[error("a package cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The task that made the package died.
    #[error("a package cannot be generated: the work was interrupted")]
    Interrupted,
}

/// One ordered thing: the name of its zip and what goes in.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Stem of the inner zip (or name of a cut-out's folder).
    pub(crate) stem: String,
    pub(crate) recipe: Arc<Recipe>,
}

/// Writes the file that FME hands out: `Results/` with every ordered package in it.
fn write_outer(path: &Path, parts: &[Part], raster_size: u32) -> Result<u64, PackageError> {
    let mut outer = ZipWriter::new(File::create(path)?);
    let stored = plain().compression_method(CompressionMethod::Stored);
    outer.add_directory("Results", stored)?;
    for part in parts {
        match part.recipe.as_ref() {
            Recipe::File(source) => {
                let mut source = File::open(source)?;
                let large = source.metadata()?.len() >= u64::from(u32::MAX) / 2;
                outer.start_file(format!("Results/{}.zip", part.stem), stored.large_file(large))?;
                io::copy(&mut source, &mut outer)?;
            }
            Recipe::CutOut { .. } => {
                for entry in contents::of(&part.stem, &part.recipe, raster_size)? {
                    add(&mut outer, &format!("Results/{}", entry.path), &entry.bytes)?;
                }
            }
            _ => {
                outer.start_file(format!("Results/{}.zip", part.stem), stored)?;
                outer.write_all(&inner(&part.stem, &part.recipe, raster_size)?)?;
            }
        }
    }
    outer.finish()?.sync_data()?;
    Ok(std::fs::metadata(path)?.len())
}

/// The bytes of an inner zip: deflated files, directory entries stored, as real deliveries have them.
fn inner(stem: &str, recipe: &Recipe, raster_size: u32) -> Result<Vec<u8>, PackageError> {
    let entries = contents::of(stem, recipe, raster_size)?;
    let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
    let mut folders: Vec<PathBuf> = entries
        .iter()
        .flat_map(|entry| Path::new(&entry.path).ancestors().skip(1))
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        zip.add_directory(folder.to_string_lossy(), plain().compression_method(CompressionMethod::Stored))?;
    }
    for entry in entries {
        add(&mut zip, &entry.path, &entry.bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn add<W: Write + io::Seek>(zip: &mut ZipWriter<W>, path: &str, bytes: &[u8]) -> Result<(), PackageError> {
    zip.start_file(path, plain().compression_method(CompressionMethod::Deflated).compression_level(Some(1)))?;
    zip.write_all(bytes)?;
    Ok(())
}

/// Options with a fixed time, so that a name always gives the same bytes.
fn plain() -> SimpleFileOptions {
    SimpleFileOptions::default().last_modified_time(zip::DateTime::default())
}
