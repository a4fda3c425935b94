//! The directory of one published entry: where its files lie, and how its self-description is read.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::entry::{ENTRY_FORMAT, EntryMeta, RasterMeta};
use super::vector;

/// Why the self-description of an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// `zarr.json` cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `zarr.json` is not the JSON that an entry has.
    #[error("{path} does not describe an entry: {source}; evict the product and fetch it again", path = path.display())]
    Json {
        /// The file that was parsed.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another release wrote the entry.
    #[error("{path} has entry format {found}, this release reads {ENTRY_FORMAT}; evict the product and fetch it again", path = path.display())]
    Format {
        /// The file that was parsed.
        path: PathBuf,
        /// Its format number.
        found: u32,
    },
    /// The description contradicts itself.
    #[error("{path} contradicts itself: {reason}; evict the product and fetch it again", path = path.display())]
    Invalid {
        /// The file that was parsed.
        path: PathBuf,
        /// Which rule of [`EntryMeta`] it breaks.
        reason: String,
    },
}

/// Reads and checks the self-description of the entry in `entry_dir`.
///
/// # Errors
/// [`EntryError`] when `zarr.json` is missing, is no entry's, is of another format, or breaks a rule of
/// [`EntryMeta`] (so that nobody after this function needs to look for unsafe names or impossible sizes).
pub fn read_meta(entry_dir: &Path) -> Result<EntryMeta, EntryError> {
    #[derive(serde::Deserialize)]
    struct Group {
        attributes: Attributes,
    }
    #[derive(serde::Deserialize)]
    struct Attributes {
        clmsfs: serde_json::Value,
    }

    let path = group_path(entry_dir);
    let text = std::fs::read(&path).map_err(|source| EntryError::Io { path: path.clone(), source })?;
    let json_error = |source| EntryError::Json { path: path.clone(), source };
    let group: Group = serde_json::from_slice(&text).map_err(json_error)?;
    // The format number comes first: another format may well have other fields.
    let found = group.attributes.clmsfs.get("format").and_then(serde_json::Value::as_u64);
    if let Some(found) = found.filter(|&found| found != u64::from(ENTRY_FORMAT)) {
        return Err(EntryError::Format { path, found: u32::try_from(found).unwrap_or(u32::MAX) });
    }
    let mut meta: EntryMeta = serde_json::from_value(group.attributes.clmsfs).map_err(json_error)?;
    meta.originals.sort_by(|one, other| one.path.cmp(&other.path));
    check(&meta).map_err(|reason| EntryError::Invalid { path, reason })?;
    Ok(meta)
}

/// `zarr.json` of the entry's group.
pub fn group_path(entry_dir: &Path) -> PathBuf {
    entry_dir.join("zarr.json")
}

/// `<raster>/zarr.json`, the array's own description.
pub fn array_path(entry_dir: &Path, raster: &RasterMeta) -> PathBuf {
    entry_dir.join(&raster.name).join("zarr.json")
}

/// `<raster>/c/0/0` (`c/0/0/0` with several bands): the raster file.
pub fn raster_path(entry_dir: &Path, raster: &RasterMeta) -> PathBuf {
    let shard = if raster.bands.len() > 1 { "c/0/0/0" } else { "c/0/0" };
    entry_dir.join(&raster.name).join(shard)
}

/// A side file of the package by its path relative to `original/`.
pub fn original_path(entry_dir: &Path, path: &str) -> PathBuf {
    entry_dir.join("original").join(path)
}

/// `preview.png`, which an entry may have.
pub fn preview_path(entry_dir: &Path) -> PathBuf {
    entry_dir.join("preview.png")
}

fn check(meta: &EntryMeta) -> Result<(), String> {
    check_name(&meta.product)?;
    if meta.rasters.is_empty() && meta.vectors.is_empty() {
        return Err("it has neither rasters nor vector data".into());
    }
    for (position, raster) in meta.rasters.iter().enumerate() {
        check_raster(raster).map_err(|reason| format!("raster '{}': {reason}", raster.name))?;
        if meta.rasters[..position].iter().any(|other| other.name == raster.name) {
            return Err(format!("two rasters are called '{}'", raster.name));
        }
    }
    for original in &meta.originals {
        let plain = Path::new(&original.path).components().all(|part| matches!(part, Component::Normal(_)));
        let canonical = original.path.split('/').all(|part| !part.is_empty() && part != ".");
        if original.path.is_empty() || !plain || !canonical || original.path.contains('\0') {
            return Err(format!("side file '{}' is not a plain relative path", original.path));
        }
    }
    vector::check(meta)
}

fn check_raster(raster: &RasterMeta) -> Result<(), String> {
    check_name(&raster.name)?;
    if raster.width == 0 || raster.height == 0 || raster.bands.is_empty() {
        return Err("it has no pixels".into());
    }
    if !raster.geotransform.iter().all(|number| number.is_finite()) {
        return Err("its geotransform is not finite".into());
    }
    let mut finer = 1;
    for overview in &raster.overviews {
        if !overview.factor.is_power_of_two() || overview.factor <= finer {
            return Err(format!("overview factor {} does not follow {finer}", overview.factor));
        }
        finer = overview.factor;
        let expected = (raster.width.div_ceil(finer), raster.height.div_ceil(finer));
        if (overview.width, overview.height) != expected {
            return Err(format!("overview {finer} is not {} by {} pixels", expected.0, expected.1));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    match name {
        "" | "." | ".." => Err(format!("'{name}' is no name")),
        _ if name.contains(['/', '\0']) => Err(format!("'{name}' is no name")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::entry::{Overview, SideFile};
    use crate::store::fixture;
    use crate::store::vector::{VectorFormat, VectorMeta};

    fn written(change: impl FnOnce(&mut EntryMeta)) -> Result<EntryMeta, EntryError> {
        let dir = tempfile::tempdir().unwrap();
        let mut meta = fixture::meta("product", vec![fixture::classes("band", 1100, 700)]);
        change(&mut meta);
        fixture::write_group(dir.path(), &meta);
        read_meta(dir.path())
    }

    #[test]
    fn a_written_description_comes_back() {
        let meta = written(|_| ()).unwrap();
        assert_eq!(meta, fixture::meta("product", vec![fixture::classes("band", 1100, 700)]));
    }

    #[test]
    fn names_that_leave_the_entry_are_refused() {
        for name in ["", ".", "..", "a/b", "../x"] {
            assert!(matches!(written(|meta| meta.product = name.into()), Err(EntryError::Invalid { .. })));
            assert!(matches!(
                written(|meta| meta.rasters[0].name = name.into()),
                Err(EntryError::Invalid { .. })
            ));
        }
        for path in ["", "..", "a/../../b", "/etc/passwd", "a//b", "./a", "a/"] {
            let side = SideFile { path: path.into(), size: 1, sha256: None };
            let read = written(|meta| meta.originals = vec![side]);
            assert!(matches!(read, Err(EntryError::Invalid { .. })), "{path} was taken");
        }
    }

    #[test]
    fn impossible_rasters_are_refused() {
        let wrong: [fn(&mut EntryMeta); 6] = [
            |meta| meta.rasters.clear(),
            |meta| meta.rasters[0].width = 0,
            |meta| meta.rasters[0].bands.clear(),
            |meta| meta.rasters[0].geotransform[1] = f64::INFINITY,
            |meta| meta.rasters[0].overviews = vec![Overview { factor: 2, width: 551, height: 350 }],
            |meta| meta.rasters.push(meta.rasters[0].clone()),
        ];
        for change in wrong {
            assert!(written(change).is_err());
        }
    }

    #[test]
    fn vector_data_needs_its_files() {
        let side = |path: &str| SideFile { path: path.into(), size: 1, sha256: None };
        let vector = |format, path: &str| VectorMeta { format, path: path.into(), layers: vec![] };
        let with = |vectors: &[VectorMeta]| {
            written(|meta| {
                meta.rasters.clear();
                meta.originals = vec![side("a/x.gdb/gdb"), side("x.gpkg")];
                meta.vectors = vectors.to_vec();
            })
        };
        let package = vector(VectorFormat::GeoPackage, "x.gpkg");
        with(&[package.clone(), vector(VectorFormat::FileGdb, "a/x.gdb")]).unwrap();
        for wrong in [
            vec![],
            vec![vector(VectorFormat::GeoPackage, "y.gpkg")],
            vec![vector(VectorFormat::GeoPackage, "../x.gpkg")],
            vec![vector(VectorFormat::FileGdb, "a/x.gdb/gdb")],
            vec![package.clone(), package],
        ] {
            assert!(matches!(with(&wrong), Err(EntryError::Invalid { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn entries_of_earlier_releases_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut meta = fixture::meta("product", vec![fixture::classes("band", 1100, 700)]);
        meta.originals = vec![SideFile { path: "a.xml".into(), size: 1, sha256: None }];
        let mut old = serde_json::to_value(&meta).unwrap();
        assert!(old.as_object_mut().unwrap().remove("vectors").is_some());
        assert!(old["originals"][0].as_object_mut().unwrap().remove("sha256").is_some());
        let group = serde_json::json!({"attributes": {"clmsfs": old}});
        std::fs::write(dir.path().join("zarr.json"), group.to_string()).unwrap();
        assert_eq!(read_meta(dir.path()).unwrap(), meta);
    }

    #[test]
    fn another_format_is_named() {
        let error = written(|meta| meta.format = 2).unwrap_err();
        assert!(matches!(error, EntryError::Format { found: 2, .. }));
        assert!(error.to_string().contains("evict"));
    }

    #[test]
    fn no_entry_at_all_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_meta(dir.path()), Err(EntryError::Io { .. })));
        std::fs::write(dir.path().join("zarr.json"), "{\"attributes\":{}}").unwrap();
        assert!(matches!(read_meta(dir.path()), Err(EntryError::Json { .. })));
    }
}
