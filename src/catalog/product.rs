//! Products: many of them, so they are kept as rows over one text per dataset.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::clms::{FileId, PackagedFile};

use super::dataset::Dataset;
use super::names::ProductName;
use super::stac::item_document;
use crate::store::vector::VectorFormat;

/// What a product is expected to hold, guessed before it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// GeoTIFF and its relatives.
    Raster,
    /// Geopackage, file geodatabase, shapefile.
    Vector,
    /// NetCDF.
    Netcdf,
    /// Nothing tells.
    Unknown,
}

impl Kind {
    /// By format, then type, then the name itself, then what the dataset says about all its files.
    pub(super) fn guess(file: &PackagedFile, name: &str, representation: Option<&str>) -> Self {
        let known = |text: Option<&str>, words: fn(&str) -> Self| match words(
            &text.unwrap_or_default().to_ascii_lowercase(),
        ) {
            Self::Unknown => None,
            kind => Some(kind),
        };
        known(file.format.as_deref(), Self::of_words)
            .or_else(|| known(file.kind.as_deref(), Self::of_words))
            .or_else(|| known(Some(name), Self::of_name))
            .or_else(|| known(representation, Self::of_words))
            .unwrap_or(Self::Unknown)
    }

    /// Words of the fields `format`, `type` and `characteristics_spatial_representation_type`.
    fn of_words(words: &str) -> Self {
        let has = |list: &[&str]| list.iter().any(|word| words.contains(word));
        // Before "vector": "Vector and Grid" of a dataset says nothing about one of its files.
        if words.contains("vector") && words.contains("grid") {
            return Self::Unknown;
        }
        if has(&["netcdf"]) || words == "nc" {
            Self::Netcdf
        } else if has(&["gdb", "gpkg", "geopackage", "shape", "shp", "geojson", "gml", "sqlite", "vector"]) {
            Self::Vector
        } else if has(&["tif", "cog", "raster", "grid"]) {
            Self::Raster
        } else {
            Self::Unknown
        }
    }

    fn of_name(name: &str) -> Self {
        let has = |list: &[&str]| list.iter().any(|word| name.contains(word));
        if has(&[".nc"]) {
            Self::Netcdf
        } else if has(&["_fgdb", "geopackage", ".gdb", ".gpkg", ".shp", "_vector", "vec_"]) {
            Self::Vector
        } else if has(&["raster", ".tif", "_010m_", "_020m_", "_100m_", "_20m_"]) {
            Self::Raster
        } else {
            Self::Unknown
        }
    }
}

/// Formats of vector data that words name; `None` when they name none, no format at all when they name one that is
/// not served.
fn vector_formats(words: &str) -> Option<&'static [VectorFormat]> {
    let words = words.to_ascii_lowercase();
    let has = |list: &[&str]| list.iter().any(|word| words.contains(word));
    if has(&["gpkg", "geopackage"]) {
        Some(&[VectorFormat::GeoPackage])
    } else if has(&["gdb"]) {
        Some(&[VectorFormat::FileGdb])
    } else if has(&["shape", "shp"]) {
        Some(&[VectorFormat::Shapefile])
    } else if has(&["geojson", "gml", "sqlite"]) {
        Some(&[])
    } else {
        None
    }
}

/// A piece of the dataset's text.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// UUIDs take 16 bytes in place of 36 characters.
#[derive(Clone, Copy)]
enum PackedId {
    Uuid([u8; 16]),
    Text(Span),
}

/// A file id that can be compared without being unpacked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IdKey<'a> {
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> IdKey<'a> {
    pub(super) fn of(id: &'a FileId) -> Self {
        pack_uuid(id.as_str()).map_or(Self::Text(id.as_str()), Self::Uuid)
    }
}

/// Stands for "no text" and "no size".
const NONE: u32 = u32::MAX;
const NO_SIZE: u64 = u64::MAX;

struct Row {
    id: PackedId,
    name: Span,
    raw_name: Span,
    size: u64,
    format: u32,
    year: u32,
    resolution: u32,
    kind: Kind,
    /// Length of the `item.json` that the product has while it is cold; 0 until somebody asks.
    cold_item: AtomicU32,
}

/// The products of a dataset, sorted by name.
#[derive(Default)]
pub(super) struct Products {
    /// Names, raw names and odd ids, one after another.
    text: Box<str>,
    rows: Box<[Row]>,
    /// Formats, years and resolutions: few different ones in a dataset.
    labels: Box<[Box<str>]>,
}

impl fmt::Debug for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} products", self.rows.len())
    }
}

/// A product before it is packed into its row.
pub(super) struct Draft<'a> {
    pub(super) id: &'a FileId,
    pub(super) name: String,
    pub(super) raw_name: &'a str,
    pub(super) kind: Kind,
    pub(super) file: &'a PackagedFile,
}

impl Products {
    /// Packs drafts with unique names; `None` when their texts exceed 4 GB.
    pub(super) fn pack(mut drafts: Vec<Draft<'_>>) -> Option<Self> {
        drafts.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = String::new();
        let mut labels: Vec<Box<str>> = Vec::new();
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut rows = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            let mut add = |piece: &str| {
                let start = u32::try_from(text.len()).ok()?;
                text.push_str(piece);
                Some(Span { start, length: u32::try_from(piece.len()).ok()? })
            };
            let name = add(&draft.name)?;
            let raw_name = if draft.raw_name == draft.name { name } else { add(draft.raw_name)? };
            let id = match pack_uuid(draft.id.as_str()) {
                Some(bytes) => PackedId::Uuid(bytes),
                None => PackedId::Text(add(draft.id.as_str())?),
            };
            let mut label = |value: &Option<String>| match value.as_deref().map(str::trim) {
                None | Some("") => NONE,
                Some(value) => *known.entry(value.to_owned()).or_insert_with(|| {
                    labels.push(value.into());
                    labels.len() as u32 - 1
                }),
            };
            rows.push(Row {
                id,
                name,
                raw_name,
                size: draft.file.size.as_deref().and_then(declared_size).unwrap_or(NO_SIZE),
                format: label(&draft.file.format),
                year: label(&draft.file.year),
                resolution: label(&draft.file.resolution),
                kind: draft.kind,
                cold_item: AtomicU32::new(0),
            });
        }
        Some(Self { text: text.into(), rows: rows.into(), labels: labels.into() })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Position of a product by its safe name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.rows.binary_search_by(|row| self.piece(row.name).cmp(name)).ok()
    }

    fn piece(&self, span: Span) -> &str {
        &self.text[span.start as usize..(span.start + span.length) as usize]
    }

    fn label(&self, number: u32) -> Option<&str> {
        self.labels.get(number as usize).map(|label| &**label)
    }
}

/// One pre-packaged file of a dataset. A cheap view; copy it freely.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    dataset: &'a Dataset,
    products: &'a Products,
    row: &'a Row,
}

impl<'a> Product<'a> {
    pub(super) fn at(dataset: &'a Dataset, position: usize) -> Option<Self> {
        let products = dataset.rows();
        Some(Self { dataset, products, row: products.rows.get(position)? })
    }

    /// Name of its directory, unique in its dataset.
    pub fn name(&self) -> &'a str {
        self.products.piece(self.row.name)
    }

    /// [`Product::name`] as a value of its own.
    pub fn to_name(&self) -> ProductName {
        ProductName::assigned(self.name())
    }

    /// The name as the service has it.
    pub fn raw_name(&self) -> &'a str {
        self.products.piece(self.row.raw_name)
    }

    /// What an order names.
    pub fn file_id(&self) -> FileId {
        let text = match &self.row.id {
            PackedId::Uuid(bytes) => unpack_uuid(bytes),
            PackedId::Text(span) => self.products.piece(*span).to_owned(),
        };
        FileId::parse(&text).expect("packed from a FileId")
    }

    /// [`Product::file_id`] without making it, for sorting and searching.
    pub(super) fn id_key(&self) -> IdKey<'a> {
        match &self.row.id {
            PackedId::Uuid(bytes) => IdKey::Uuid(*bytes),
            PackedId::Text(span) => IdKey::Text(self.products.piece(*span)),
        }
    }

    /// The dataset it belongs to.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// What it is expected to hold.
    pub fn kind(&self) -> Kind {
        self.row.kind
    }

    /// Formats of vector data it may hold, as far as the record tells: all of them where nothing tells.
    pub fn expected_vectors(&self) -> &'static [VectorFormat] {
        match self.kind() {
            Kind::Raster | Kind::Netcdf => &[],
            Kind::Unknown => &VectorFormat::ALL,
            Kind::Vector => self
                .format()
                .and_then(vector_formats)
                .or_else(|| vector_formats(self.raw_name()))
                .unwrap_or(&VectorFormat::ALL),
        }
    }

    /// `Geotiff`, `GDB` … as the service has it.
    pub fn format(&self) -> Option<&'a str> {
        self.products.label(self.row.format)
    }

    /// Length in bytes of the `item.json` that the product has while it is cold; made once, for every listing asks.
    pub fn cold_item_size(&self) -> usize {
        let known = self.row.cold_item.load(Relaxed);
        if known != 0 {
            return known as usize;
        }
        let size = item_document(*self, None).len();
        self.row.cold_item.store(u32::try_from(size).unwrap_or(0), Relaxed);
        size
    }

    /// The size the editors wrote down, in bytes; a hint, not a fact.
    pub fn declared_size(&self) -> Option<u64> {
        (self.row.size != NO_SIZE).then_some(self.row.size)
    }

    /// `2018`, as the service has it.
    pub fn year(&self) -> Option<&'a str> {
        self.products.label(self.row.year)
    }

    /// `100 m`, as the service has it.
    pub fn resolution(&self) -> Option<&'a str> {
        self.products.label(self.row.resolution)
    }
}

impl fmt::Debug for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dataset.name(), self.name())
    }
}

/// The 16 bytes of a UUID in its usual spelling (lower case, with hyphens), so that nothing is lost.
fn pack_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let digits = std::str::from_utf8(&hex).ok().filter(|hex| hex.len() == 32)?;
    let bytes = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
    (unpack_uuid(&bytes) == text).then_some(bytes)
}

fn unpack_uuid(bytes: &[u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(*bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// `125.0 MB`, `1,9 GB`, `5 GiB` in bytes.
fn declared_size(text: &str) -> Option<u64> {
    let text = text.trim().replace(',', ".");
    // A bare number has no unit: bytes or megabytes, nobody knows.
    if !text.ends_with(['b', 'B']) {
        return None;
    }
    text.parse::<bytesize::ByteSize>()
        .ok()
        .map(|size| size.as_u64())
        .filter(|size| *size > 0 && *size != NO_SIZE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uuids_are_packed_without_loss_or_not_at_all() {
        let uuid = "3d9e2413-46ca-4f6e-abf8-b6eb429a4e48";
        assert_eq!(unpack_uuid(&pack_uuid(uuid).unwrap()), uuid);
        for odd in [
            "3D9E2413-46ca-4f6e-abf8-b6eb429a4e48",
            "3d9e241346ca4f6eabf8b6eb429a4e48",
            "x",
            "",
            "+d9e2413-46ca-4f6e-abf8-b6eb429a4e48",
        ] {
            assert_eq!(pack_uuid(odd), None, "{odd}");
        }
    }

    #[test]
    fn sizes_are_read_where_they_can_be() {
        assert_eq!(declared_size("125.0 MB"), Some(125_000_000));
        assert_eq!(declared_size("1,9 GB"), Some(1_900_000_000));
        assert_eq!(declared_size(" 5 GiB "), Some(5 << 30));
        for text in ["", "big", "125", "0 B", "-3 MB", "MB"] {
            assert_eq!(declared_size(text), None, "{text}");
        }
    }

    #[test]
    fn kinds_are_guessed() {
        let file = |format: &str, kind: &str| PackagedFile {
            format: Some(format.to_owned()),
            kind: Some(kind.to_owned()),
            ..PackagedFile::default()
        };
        let none = PackagedFile::default();
        assert_eq!(Kind::guess(&file("Geotiff", "Vector"), "x", None), Kind::Raster);
        assert_eq!(Kind::guess(&file("GDB", ""), "x", None), Kind::Vector);
        assert_eq!(Kind::guess(&file("Netcdf", "Raster"), "x", None), Kind::Netcdf);
        assert_eq!(Kind::guess(&file("", "Raster"), "x", None), Kind::Raster);
        assert_eq!(Kind::guess(&none, "u2018_clc2018_v2020_20u1_geoPackage", Some("Grid")), Kind::Vector);
        assert_eq!(Kind::guess(&none, "u2018_clc2018_v2020_20u1_raster100m", None), Kind::Raster);
        assert_eq!(Kind::guess(&none, "IBU_2018_010m_al_03035_v010", None), Kind::Raster);
        assert_eq!(Kind::guess(&none, "x", Some("Grid")), Kind::Raster);
        assert_eq!(Kind::guess(&none, "x", Some("Vector and Grid")), Kind::Unknown);
    }

    proptest! {
        #[test]
        fn no_size_makes_it_panic(text in "[0-9.,+-]{0,24} ?[kKmMgGtTpPeE]?[iI]?[bB]?") {
            declared_size(&text);
        }
    }
}
