//! Vector data of a package: found by its names, checked, made readable where it must be, described.
//!
//! Its files stay what and where they are, below `original/`; the view gives them their other names. Only a
//! GeoPackage in WAL mode is changed ([`super::wal`]): nobody could read it on a read-only file system.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use gdal::vector::{LayerAccess, OGRwkbGeometryType, geometry_type_to_name};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use super::crs;
use super::discover::is_shadow;
use super::error::{DiskContext, IngestError};
use super::job::IngestProgress;
use super::wal;
use crate::store::entry::SideFile;
use crate::store::vector::{LayerMeta, VectorFormat, VectorMeta};

/// The table of a file geodatabase that lists the others: where it is, is one.
const FIRST_TABLE: &str = "a00000001.gdbtable";
/// Bytes at the start of a file that are looked at: SQLite's header is the longest.
const HEADER: u64 = 100;
/// Layers of a package that are described; no producer has nearly as many.
const MOST_LAYERS: usize = 1000;
/// Sets that get names of their own.
const MOST_SETS: usize = 1000;

/// Finds the vector data among `files` (sorted paths inside the package), not described yet. Pure: names only.
pub(super) fn find(files: &[String]) -> Vec<VectorMeta> {
    let mut found = BTreeSet::new();
    for path in files {
        let lower = path.to_ascii_lowercase();
        let (folder, file) = lower.rsplit_once('/').unwrap_or(("", &lower));
        if is_shadow(&lower) {
            continue;
        }
        if file == FIRST_TABLE && folder.ends_with(".gdb") {
            found.insert((VectorFormat::FileGdb, path[..folder.len()].to_owned()));
        } else if file.ends_with(".gpkg") {
            found.insert((VectorFormat::GeoPackage, path.clone()));
        } else if file.ends_with(".shp") {
            found.insert((VectorFormat::Shapefile, path.clone()));
        }
    }
    found.into_iter().map(|(format, path)| VectorMeta { format, path, layers: Vec::new() }).collect()
}

/// Checks what was found, makes it readable without writing, and reads what it says of itself. `files` loses what
/// becomes part of a GeoPackage on the way.
///
/// # Errors
/// [`IngestError::Vector`] for a file that is not what its name says, or that cannot be made readable. That OGR
/// cannot describe a file is no error: the file is served as it is.
pub(super) fn prepare(
    vectors: &mut [VectorMeta],
    files: &mut Vec<String>,
    unpacked: &Path,
    progress: &mut dyn FnMut(IngestProgress),
) -> Result<(), IngestError> {
    let mut described = 0;
    for vector in vectors {
        let header = header(vector, files, unpacked)?;
        if vector.format == VectorFormat::GeoPackage && wal::is_on(&header) {
            wal::end(&vector.path, files, unpacked, progress)?;
        }
        let room = MOST_LAYERS - described;
        vector.layers = layers(vector.format, &unpacked.join(&vector.path), room).unwrap_or_default();
        described += vector.layers.len();
    }
    Ok(())
}

/// Sorts what is to be served: by format, the largest first, then the shorter path, the first by name. What is
/// beyond [`MOST_SETS`] is among the side files only.
pub(super) fn sort(vectors: &mut Vec<VectorMeta>, originals: &[SideFile]) {
    vectors.sort_by_cached_key(|vector| {
        let bytes: u64 = vector.files(originals).map(|(_, file)| file.size).sum();
        (vector.format, Reverse(bytes), vector.path.len(), vector.path.clone())
    });
    vectors.truncate(MOST_SETS);
}

/// The first bytes of the file by which a set is known, checked for what they must be.
fn header(vector: &VectorMeta, files: &[String], unpacked: &Path) -> Result<Vec<u8>, IngestError> {
    let name = match vector.format {
        VectorFormat::FileGdb => {
            let is_first = |path: &&String| {
                let inside = path.strip_prefix(&*vector.path).and_then(|rest| rest.strip_prefix('/'));
                inside.is_some_and(|inside| inside.eq_ignore_ascii_case(FIRST_TABLE))
            };
            files.iter().find(is_first).unwrap_or(&vector.path)
        }
        VectorFormat::GeoPackage | VectorFormat::Shapefile => &vector.path,
    };
    let mut header = Vec::new();
    File::open(unpacked.join(name))
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .disk(|| format!("read '{name}'"))?;
    let (sound, kind) = match vector.format {
        VectorFormat::GeoPackage => (header.starts_with(b"SQLite format 3\0"), "SQLite database"),
        // Little-endian 3, or 4 since row numbers have 64 bits.
        VectorFormat::FileGdb => {
            (header.starts_with(&[3, 0, 0, 0]) || header.starts_with(&[4, 0, 0, 0]), "geodatabase table")
        }
        // Big-endian 9994.
        VectorFormat::Shapefile => (header.starts_with(&[0, 0, 0x27, 0x0a]), "shapefile"),
    };
    if sound && !(vector.format == VectorFormat::GeoPackage && is_cut_off(&header, unpacked, name)?) {
        return Ok(header);
    }
    if sound {
        let reason = "it is cut off: its header promises more pages".to_owned();
        return Err(IngestError::Vector { name: name.clone(), reason });
    }
    let reason = if header.is_empty() { "it is empty".to_owned() } else { format!("it is no {kind}") };
    Err(IngestError::Vector { name: name.clone(), reason })
}

/// Whether a database has fewer pages than its header says; nobody notices before they are read. The number is valid
/// when two counters agree (SQLite file format, 1.3.8), and in WAL mode the log may have the pages.
fn is_cut_off(header: &[u8], unpacked: &Path, name: &str) -> Result<bool, IngestError> {
    let number =
        |at: usize| header.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let page = match number(14) & 0xFFFF {
        1 => 65_536,
        size => u64::from(size),
    };
    let is_valid = number(24) == number(92) && !wal::is_on(header);
    let size = fs::metadata(unpacked.join(name)).disk(|| format!("look at '{name}'"))?.len();
    Ok(is_valid && size < u64::from(number(28)) * page)
}

/// What OGR tells of the first `most` layers without reading features.
fn layers(format: VectorFormat, path: &Path, most: usize) -> gdal::errors::Result<Vec<LayerMeta>> {
    let driver = match format {
        VectorFormat::GeoPackage => "GPKG",
        VectorFormat::FileGdb => "OpenFileGDB",
        VectorFormat::Shapefile => "ESRI Shapefile",
    };
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_VECTOR | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&[driver]),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(path, options)?;
    let layers = dataset.layers().take(most).map(|layer| {
        let field = layer.defn().geom_fields().next();
        let kind = field.as_ref().map(|field| field.field_type());
        let srs = field.and_then(|field| field.spatial_ref().ok());
        let bbox = layer.try_get_extent().ok().flatten();
        let bbox = bbox.map(|bbox| [bbox.MinX, bbox.MinY, bbox.MaxX, bbox.MaxY]);
        LayerMeta {
            name: layer.name(),
            geometry: kind.filter(|&kind| kind != OGRwkbGeometryType::wkbNone).map(geometry_type_to_name),
            features: layer.try_feature_count(),
            crs: srs.and_then(|srs| crs::describe(&srs).ok()).filter(|crs| !crs.wkt1.is_empty()),
            // An empty layer has a box from infinity to minus infinity.
            bbox: bbox.filter(|[west, south, east, north]| {
                west <= east && south <= north && bbox.iter().flatten().all(|edge| edge.is_finite())
            }),
        }
    });
    Ok(layers.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(paths: &[&str]) -> Vec<(VectorFormat, String)> {
        let mut files: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        files.sort();
        find(&files).into_iter().map(|vector| (vector.format, vector.path)).collect()
    }

    #[test]
    fn sets_are_found_by_their_names() {
        let found = found(&[
            "P/DATA/U2018.gdb/A00000001.gdbtable",
            "P/DATA/U2018.gdb/a00000001.gdbtablx",
            "P/DATA/empty.gdb/gdb",
            "P/DATA/a00000001.gdbtable",
            "P/DATA/b.GPKG",
            "P/DATA/b.gpkg-wal",
            "P/DATA/b.gpkg.xml",
            "P/shapes/roads.SHP",
            "P/shapes/roads.DBF",
            "P/shapes/roads.shp.xml",
            "__MACOSX/P/._b.gpkg",
        ]);
        let expected = [
            (VectorFormat::GeoPackage, "P/DATA/b.GPKG"),
            (VectorFormat::FileGdb, "P/DATA/U2018.gdb"),
            (VectorFormat::Shapefile, "P/shapes/roads.SHP"),
        ];
        assert_eq!(found, expected.map(|(format, path)| (format, path.to_owned())));
    }

    proptest! {
        #[test]
        fn any_names_give_sets_that_are_among_them(
            names in proptest::collection::vec("[aé/.]{0,4}(\\.GDB/a00000001.gdbtable|\\.gdb|\\.gpkg|\\.ShP)?", 0..20),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for (_, path) in found(&names) {
                prop_assert!(names.iter().any(|name| name.starts_with(&path)), "{}", path);
            }
        }
    }
}
