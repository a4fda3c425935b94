//! Vector data of an entry: which of its side files belong together, and what is known of them.
//!
//! Nothing is stored for it besides the side files below `original/`: `<product>.gpkg` and its like are further
//! names of the same bytes.

use serde::{Deserialize, Serialize};

use super::entry::{Crs, EntryMeta, SideFile};

/// How vector data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorFormat {
    /// A GeoPackage: one SQLite file.
    GeoPackage,
    /// A file geodatabase: a directory of tables.
    FileGdb,
    /// A shapefile: a `.shp` and the files of the same stem beside it.
    Shapefile,
}

/// Endings of the files that make up a shapefile, in lower case.
const SHAPEFILE_ENDINGS: [&str; 11] =
    [".shp", ".shx", ".dbf", ".prj", ".cpg", ".cst", ".qix", ".sbn", ".sbx", ".qpj", ".shp.xml"];

impl VectorFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GeoPackage, Self::FileGdb, Self::Shapefile];

    /// The ending by which readers know it, with its dot.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::GeoPackage => ".gpkg",
            Self::FileGdb => ".gdb",
            Self::Shapefile => ".shp",
        }
    }
}

/// One set of vector data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorMeta {
    /// How it is stored.
    pub format: VectorFormat,
    /// The GeoPackage, the geodatabase's directory or the `.shp`, relative to `original/`.
    pub path: String,
    /// Its layers; empty when they could not be read, which does not keep the files from being served.
    pub layers: Vec<LayerMeta>,
}

/// What is known of a layer without reading its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerMeta {
    /// Name of the layer.
    pub name: String,
    /// Type of its geometries as GDAL names it (`Multi Polygon`), `None` for a table without geometries.
    pub geometry: Option<String>,
    /// Number of features, `None` when telling would mean counting them.
    pub features: Option<u64>,
    /// Coordinate reference system.
    pub crs: Option<Crs>,
    /// West, south, east, north in `crs`; `None` when telling would mean reading all geometries, or without any.
    pub bbox: Option<[f64; 4]>,
}

impl VectorMeta {
    /// File name without folders and ending.
    pub fn stem(&self) -> &str {
        let file = self.path.rsplit_once('/').map_or(&*self.path, |(_, file)| file);
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }

    /// How the paths of all its files begin.
    fn common(&self) -> &str {
        let base =
            self.path.len().checked_sub(".shp".len()).filter(|_| self.format == VectorFormat::Shapefile);
        base.and_then(|base| self.path.get(..base)).unwrap_or(&self.path)
    }

    /// What follows the served stem in the name of the side file at `path` (`.gpkg`, `.gdb/a00000001.gdbtable`,
    /// `.dbf`), or `None` when that file is no part of this set. In lower case: readers look for nothing else.
    pub fn suffix(&self, path: &str) -> Option<String> {
        match self.format {
            VectorFormat::GeoPackage => (path == self.path).then(|| ".gpkg".to_owned()),
            VectorFormat::FileGdb => {
                let inside = path.strip_prefix(&*self.path)?.strip_prefix('/')?;
                Some(format!(".gdb/{}", inside.to_ascii_lowercase()))
            }
            VectorFormat::Shapefile if path == self.path => Some(".shp".to_owned()),
            VectorFormat::Shapefile => {
                let ending = path.strip_prefix(self.common())?.to_ascii_lowercase();
                (ending != ".shp" && SHAPEFILE_ENDINGS.contains(&&*ending)).then_some(ending)
            }
        }
    }

    /// Its files, each with its [`Self::suffix`]. `originals` are the entry's side files, in the order of their
    /// paths, as an entry has them.
    pub fn files<'a>(&'a self, originals: &'a [SideFile]) -> impl Iterator<Item = (String, &'a SideFile)> {
        // Packages may have very many files and sets.
        let common = self.common();
        let start = originals.partition_point(|file| &*file.path < common);
        originals[start..]
            .iter()
            .take_while(move |file| file.path.starts_with(common))
            .filter_map(|file| Some((self.suffix(&file.path)?, file)))
    }
}

/// Checks what nobody should have to look for later: every set has its files.
pub(super) fn check(meta: &EntryMeta) -> Result<(), String> {
    for (position, vector) in meta.vectors.iter().enumerate() {
        let mut files = vector.files(&meta.originals).map(|(_, file)| &file.path);
        let has_files = match vector.format {
            VectorFormat::FileGdb => files.next().is_some(),
            VectorFormat::GeoPackage | VectorFormat::Shapefile => files.any(|path| *path == vector.path),
        };
        if !has_files {
            return Err(format!("vector data '{}' is none of its side files", vector.path));
        }
        if meta.vectors[..position].iter().any(|other| other.path == vector.path) {
            return Err(format!("vector data '{}' is listed twice", vector.path));
        }
        let finite = |layer: &LayerMeta| layer.bbox.iter().flatten().all(|edge| edge.is_finite());
        if !vector.layers.iter().all(finite) {
            return Err(format!("a bounding box of '{}' is not finite", vector.path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(format: VectorFormat, path: &str) -> VectorMeta {
        VectorMeta { format, path: path.to_owned(), layers: Vec::new() }
    }

    #[test]
    fn every_file_of_a_set_is_found_and_no_other() {
        let package = vector(VectorFormat::GeoPackage, "Data/a.GPKG");
        assert_eq!((package.stem(), package.suffix("Data/a.GPKG").as_deref()), ("a", Some(".gpkg")));
        assert_eq!(package.suffix("Data/a.gpkg"), None);
        assert_eq!(package.suffix("a.GPKG"), None);

        let database = vector(VectorFormat::FileGdb, "Data/a.b.GDB");
        assert_eq!(database.stem(), "a.b");
        assert_eq!(database.suffix("Data/a.b.GDB/gdb").as_deref(), Some(".gdb/gdb"));
        assert_eq!(database.suffix("Data/a.b.GDB/x/y").as_deref(), Some(".gdb/x/y"));
        let table = database.suffix("Data/a.b.GDB/A00000001.GDBTABLE");
        assert_eq!(table.as_deref(), Some(".gdb/a00000001.gdbtable"));
        assert_eq!(database.suffix("Data/a.b.GDB.xml"), None);
        assert_eq!(database.suffix("Data/a.b.GDB"), None);

        let shapes = vector(VectorFormat::Shapefile, "roads.v1.SHP");
        assert_eq!(shapes.stem(), "roads.v1");
        for (path, suffix) in [
            ("roads.v1.SHP", Some(".shp")),
            ("roads.v1.DBF", Some(".dbf")),
            ("roads.v1.shp.xml", Some(".shp.xml")),
            // another shapefile, and files of others
            ("roads.v1.shp", None),
            ("roads.v1.tif", None),
            ("roads.v1", None),
            ("roads.v10.dbf", None),
            ("x/roads.v1.dbf", None),
        ] {
            assert_eq!(shapes.suffix(path).as_deref(), suffix, "{path}");
        }
    }

    proptest! {
        #[test]
        fn looking_at_a_part_of_the_files_misses_none(
            set in "[ab]?/?[ab.]{0,3}(\\.gdb|\\.shp|é|\\.gpkg)?",
            paths in proptest::collection::btree_set("[ab]?/?[ab.]{0,3}(\\.gdb/gdb|\\.shp|\\.dbf|\\.gpkg|é)?(\\.xml)?", 0..40),
        ) {
            let side = |path| SideFile { path, size: 1, sha256: None };
            let originals: Vec<SideFile> = paths.into_iter().map(side).collect();
            for format in VectorFormat::ALL {
                let vector = vector(format, &set);
                let found: Vec<&str> = vector.files(&originals).map(|(_, file)| file.path.as_str()).collect();
                let all = originals.iter().map(|file| file.path.as_str());
                let expected: Vec<&str> = all.filter(|path| vector.suffix(path).is_some()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
