//! The names under which vector data is served, cold and ready.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use super::file_tree::FileTree;
use super::names::ColdName;
use crate::store::entry::{EntryMeta, SideFile};
use crate::store::entry_dir;
use crate::store::vector::{VectorFormat, VectorMeta};

/// Tables of a cold file geodatabase: GDAL lists the directory before it opens anything, and silently loses the
/// layers whose tables it has not seen. The first eight are the system's, so there is room for 56 layers.
const COLD_TABLES: u32 = 64;
/// Files that a cold shapefile shows: those that every reader opens.
const COLD_SHAPEFILE: [&str; 5] = [".shp", ".shx", ".dbf", ".prj", ".cpg"];

/// One set of vector data with the names it is served under.
#[derive(Debug, Clone)]
pub struct ServedVector<'a> {
    /// Stem of its files.
    pub name: String,
    /// What it is.
    pub meta: &'a VectorMeta,
    /// Its files: path below the product's directory, and the side file that it is.
    pub files: Vec<(String, &'a SideFile)>,
}

impl ServedVector<'_> {
    /// What a reader opens: the GeoPackage, the geodatabase's directory, the `.shp`.
    pub fn path(&self) -> String {
        format!("{}{}", self.name, self.meta.format.ending())
    }
}

/// Gives all vector data of an entry its names: of each format the first (the largest) has the product's name, the
/// others have their own (with `~2`, `~3` … where that name is taken).
pub fn served_vectors(meta: &EntryMeta) -> Vec<ServedVector<'_>> {
    let mut taken: BTreeSet<(VectorFormat, String)> = BTreeSet::new();
    let served = meta.vectors.iter().map(|vector| {
        let is_first = taken.iter().all(|(format, _)| *format != vector.format);
        let wanted = if is_first { meta.product.as_str() } else { vector.stem().trim() };
        let wanted = if wanted.is_empty() { "vector" } else { wanted };
        let name = std::iter::once(wanted.to_owned())
            .chain((2..).map(|number: u32| format!("{wanted}~{number}")))
            .find(|name| taken.insert((vector.format, name.clone())))
            .unwrap_or_default();
        let files = vector.files(&meta.originals);
        let files = files.map(|(suffix, file)| (format!("{name}{suffix}"), file)).collect();
        ServedVector { name, meta: vector, files }
    });
    served.collect()
}

/// The vector data of an entry as files: `<product>.gpkg`, `<product>.gdb/…`, `<product>.shp` …
pub(super) fn tree(entry_dir: &Path, meta: &EntryMeta) -> FileTree {
    let mut tree = FileTree::default();
    for (path, file) in served_vectors(meta).into_iter().flat_map(|vector| vector.files) {
        tree.add(path, file.size, entry_dir::original_path(entry_dir, &file.path));
    }
    tree
}

/// What a product that is expected to be vector data of a format shows before it was fetched, directories before
/// what is in them.
pub fn cold_vector_names(format: VectorFormat) -> &'static [ColdName] {
    static PACKAGE: LazyLock<Vec<ColdName>> = LazyLock::new(|| vec![ColdName::file(".gpkg")]);
    static DATABASE: LazyLock<Vec<ColdName>> = LazyLock::new(|| {
        let mut names = vec![ColdName::directory(".gdb")];
        names.extend([".gdb/gdb", ".gdb/timestamps"].map(ColdName::file));
        let tables = (1..=COLD_TABLES)
            .flat_map(|table| ["gdbtable", "gdbtablx"].map(|kind| format!(".gdb/a{table:08x}.{kind}")));
        names.extend(tables.map(ColdName::file));
        names
    });
    static SHAPEFILE: LazyLock<Vec<ColdName>> = LazyLock::new(|| COLD_SHAPEFILE.map(ColdName::file).into());
    match format {
        VectorFormat::GeoPackage => &PACKAGE,
        VectorFormat::FileGdb => &DATABASE,
        VectorFormat::Shapefile => &SHAPEFILE,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::fixture;

    fn meta(product: &str, vectors: &[(VectorFormat, &str)], files: &[&str]) -> EntryMeta {
        let mut meta = fixture::meta(product, vec![]);
        let vector = |&(format, path): &(VectorFormat, &str)| VectorMeta {
            format,
            path: path.to_owned(),
            layers: vec![],
        };
        meta.vectors = vectors.iter().map(vector).collect();
        let side = |path: &&str| SideFile { path: (*path).to_owned(), size: 3, sha256: None };
        meta.originals = files.iter().map(side).collect();
        meta.originals.sort_by(|one, other| one.path.cmp(&other.path));
        meta
    }

    fn names(meta: &EntryMeta) -> Vec<(String, &str)> {
        let files = served_vectors(meta).into_iter().flat_map(|vector| vector.files);
        files.map(|(path, file)| (path, file.path.as_str())).collect()
    }

    #[test]
    fn the_first_of_each_format_has_the_products_name() {
        use VectorFormat::{FileGdb, GeoPackage, Shapefile};
        let meta = meta(
            "P",
            &[
                (GeoPackage, "D/big.gpkg"),
                (GeoPackage, "D/P.GPKG"),
                (GeoPackage, "E/P.gpkg"),
                (FileGdb, "D/x.gdb"),
                (Shapefile, "D/roads.SHP"),
            ],
            &[
                "D/P.GPKG",
                "D/big.gpkg",
                "D/roads.DBF",
                "D/roads.SHP",
                "D/roads.shp.xml",
                "D/roads.txt",
                "D/x.gdb/a00000001.gdbtable",
                "D/x.gdb/gdb",
                "D/x.gdb.xml",
                "E/P.gpkg",
            ],
        );
        let expected = [
            ("P.gpkg", "D/big.gpkg"),
            ("P~2.gpkg", "D/P.GPKG"),
            ("P~3.gpkg", "E/P.gpkg"),
            ("P.gdb/a00000001.gdbtable", "D/x.gdb/a00000001.gdbtable"),
            ("P.gdb/gdb", "D/x.gdb/gdb"),
            ("P.dbf", "D/roads.DBF"),
            ("P.shp", "D/roads.SHP"),
            ("P.shp.xml", "D/roads.shp.xml"),
        ];
        assert_eq!(names(&meta), expected.map(|(path, file)| (path.to_owned(), file)));
        assert_eq!(served_vectors(&meta)[3].path(), "P.gdb");
    }

    #[test]
    fn cold_names_are_those_that_readers_need() {
        let paths =
            |format| -> Vec<String> { cold_vector_names(format).iter().map(|name| name.path("P")).collect() };
        assert_eq!(paths(VectorFormat::GeoPackage), ["P.gpkg"]);
        assert_eq!(paths(VectorFormat::Shapefile), ["P.shp", "P.shx", "P.dbf", "P.prj", "P.cpg"]);
        let database = paths(VectorFormat::FileGdb);
        assert_eq!(database.len(), 1 + 2 + 2 * 64);
        assert_eq!(database[..4], ["P.gdb", "P.gdb/gdb", "P.gdb/timestamps", "P.gdb/a00000001.gdbtable"]);
        assert_eq!(database.last().unwrap(), "P.gdb/a00000040.gdbtablx");
    }
}
