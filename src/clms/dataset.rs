//! A dataset of the catalogue, as `@search?fullobjects=1` gives it (CLMS-API section 2).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ids::{DatasetUid, FileId};
use super::wire;

/// Why an item of the catalogue is no dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRecord(&'static str);

/// A box in degrees (WGS 84). `west > east` means that it crosses the date line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// Western edge, -180 to 180.
    pub west: f64,
    /// Southern edge, -90 to 90.
    pub south: f64,
    /// Eastern edge, -180 to 180.
    pub east: f64,
    /// Northern edge, -90 to 90.
    pub north: f64,
}

/// One pre-packaged file (`downloadable_files.items[]`). Texts are as the editors wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackagedFile {
    /// `@id`.
    pub id: Option<FileId>,
    /// The file's name since 2024.
    pub file: Option<String>,
    /// Title, sometimes the file's name.
    pub title: Option<String>,
    /// Area, until 2023 mostly the file's name.
    pub area: Option<String>,
    /// Windows path on the service's file server. Empty for placeholders.
    pub path: Option<String>,
    /// `EEA` for what can be ordered. Empty for placeholders.
    pub source: Option<String>,
    /// `Geotiff`, `GDB`, `GPKG`, `Netcdf` …
    pub format: Option<String>,
    /// `Raster` or `Vector`.
    pub kind: Option<String>,
    /// Free text such as `125.0 MB`.
    pub size: Option<String>,
    /// Free text such as `2018`.
    pub year: Option<String>,
    /// Free text such as `100 m`.
    pub resolution: Option<String>,
}

/// A dataset of the catalogue: what we use of it, and the whole record.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetRecord {
    /// `UID`.
    pub uid: DatasetUid,
    /// `id`, the short name (last part of its address), such as `clc2018`.
    pub short_name: String,
    /// Title, or empty.
    pub title: String,
    /// Description, or empty.
    pub description: String,
    /// When it went public (`effective`).
    pub published: Option<Timestamp>,
    /// When the record was made.
    pub created: Option<Timestamp>,
    /// When the record was last edited.
    pub modified: Option<Timestamp>,
    /// Sound boxes only.
    pub boxes: Vec<BoundingBox>,
    /// `temporalExtentStart`: free text, mostly a date or a year.
    pub start: Option<String>,
    /// `temporalExtentEnd`.
    pub end: Option<String>,
    /// `characteristics_temporal_extent`, such as `2017 - 2024` or `2014 - present`.
    pub period: Option<String>,
    /// Keywords in the record's order, without repetitions.
    pub keywords: Vec<String>,
    /// `characteristics_projection`, or the texts of `coordinateReferenceSystemList` joined by ` / `.
    pub projection: Option<String>,
    /// `Grid`, `Vector` or `Vector and Grid`.
    pub representation: Option<String>,
    /// `accessAndUseLimitationPublic_line`.
    pub access: Option<String>,
    /// The pre-packaged files, placeholders included.
    pub files: Vec<PackagedFile>,
    /// The record as the service gave it.
    pub raw: Value,
}

impl DatasetRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// [`BadRecord`] when it is no object or has no UID or no name; every other field may be odd or absent.
    pub fn from_json(raw: Value) -> Result<Self, BadRecord> {
        let fields = raw.as_object().ok_or(BadRecord("not an object"))?;
        let uid = fields.get("UID").and_then(DatasetUid::from_json).ok_or(BadRecord("no UID"))?;
        let short_name = wire::trimmed(fields.get("id"))
            .or_else(|| last_part(fields.get("@id")?.as_str()?))
            .ok_or(BadRecord("no id"))?;
        let trimmed = |key: &str| wire::trimmed(fields.get(key));
        Ok(Self {
            uid,
            short_name,
            title: trimmed("title").unwrap_or_default(),
            description: trimmed("description").unwrap_or_default(),
            published: wire::moment(fields.get("effective")),
            created: wire::moment(fields.get("created")),
            modified: wire::moment(fields.get("modified")),
            boxes: wire::items(fields.get("geographicBoundingBox"))
                .into_iter()
                .filter_map(bounding_box)
                .collect(),
            start: trimmed("temporalExtentStart"),
            end: trimmed("temporalExtentEnd"),
            period: trimmed("characteristics_temporal_extent"),
            keywords: keywords(fields),
            projection: trimmed("characteristics_projection").or_else(|| {
                let systems = wire::texts(fields.get("coordinateReferenceSystemList"));
                (!systems.is_empty()).then(|| systems.join(" / "))
            }),
            representation: trimmed("characteristics_spatial_representation_type"),
            access: trimmed("accessAndUseLimitationPublic_line"),
            files: wire::items(fields.get("downloadable_files"))
                .into_iter()
                .filter_map(packaged_file)
                .collect(),
            raw,
        })
    }
}

fn last_part(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let part = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().trim();
    (!part.is_empty()).then(|| part.to_owned())
}

fn keywords(fields: &Map<String, Value>) -> Vec<String> {
    let mut keywords = Vec::new();
    for key in ["keywords", "subjects"] {
        for word in wire::texts(fields.get(key)) {
            if !keywords.contains(&word) {
                keywords.push(word);
            }
        }
    }
    keywords
}

fn bounding_box(value: &Value) -> Option<BoundingBox> {
    let edge = |key: &str| wire::number(value.get(key));
    let (west, south, east, north) = (edge("west")?, edge("south")?, edge("east")?, edge("north")?);
    let sound = (-180.0..=180.0).contains(&west)
        && (-180.0..=180.0).contains(&east)
        && (-90.0..=90.0).contains(&south)
        && (-90.0..=90.0).contains(&north)
        && south <= north;
    sound.then_some(BoundingBox { west, south, east, north })
}

fn packaged_file(value: &Value) -> Option<PackagedFile> {
    let fields = value.as_object()?;
    let text = |key: &str| wire::text(fields.get(key));
    Some(PackagedFile {
        id: fields.get("@id").and_then(FileId::from_json),
        file: text("file"),
        title: text("title"),
        area: text("area"),
        path: text("path"),
        source: text("source"),
        format: text("format"),
        kind: text("type"),
        size: text("size"),
        year: text("year"),
        resolution: text("resolution"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clms::wire::tests::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn no_json_makes_a_record_panic(mut value in any_json()) {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("UID".to_owned(), json!("u"));
                fields.insert("id".to_owned(), json!("x"));
                prop_assert!(DatasetRecord::from_json(value).is_ok());
            } else {
                prop_assert!(DatasetRecord::from_json(value).is_err());
            }
        }
    }

    #[test]
    fn a_record_with_every_oddity() {
        let record = DatasetRecord::from_json(json!({
            "UID": "u", "@id": "http://inner/api/en/products/x/clc-2012/", "title": " CLC 2012 ",
            "characteristics_spatial_representation_type": {"title": null, "token": "Grid"},
            "geographicBoundingBox": {"items": [
                {"west": "-31.5", "south": "27.6", "east": "44.8", "north": "71.2"},
                {"west": "", "south": "", "east": "", "north": ""},
                {"west": "0", "south": "9", "east": "1", "north": "8"},
                {"west": 170, "south": -20, "east": -170, "north": 0}]},
            "coordinateReferenceSystemList": ["EPSG:3035", "EPSG:4326"],
            "keywords": ["a", "b", "a", null], "effective": "2020-06-13T00:00:00",
            "downloadable_files": {"items": [null, {"@id": "f", "file": " x.tif", "format": {"title": "Geotiff", "token": "t"}, "year": 2018}]}
        })).unwrap();
        assert_eq!(record.short_name, "clc-2012");
        assert_eq!(record.title, "CLC 2012");
        assert_eq!(record.representation.as_deref(), Some("Grid"));
        assert_eq!(record.boxes.len(), 2);
        assert_eq!(record.projection.as_deref(), Some("EPSG:3035 / EPSG:4326"));
        assert_eq!(record.keywords, ["a", "b"]);
        assert_eq!(record.published.unwrap().to_string(), "2020-06-13T00:00:00Z");
        assert_eq!(record.files.len(), 1);
        assert_eq!(record.files[0].file.as_deref(), Some(" x.tif"));
        assert_eq!(record.files[0].format.as_deref(), Some("Geotiff"));
        assert_eq!(record.files[0].year.as_deref(), Some("2018"));
    }

    #[test]
    fn an_escaped_path_stays_escaped() {
        let wire = r#"{"UID":"u","id":"i","downloadable_files":{"items":[{"@id":"f","path":"H:\\raster\\u2018_clc2018.zip"}]}}"#;
        let record = DatasetRecord::from_json(serde_json::from_str(wire).unwrap()).unwrap();
        assert_eq!(record.files[0].path.as_deref(), Some(r"H:\raster\u2018_clc2018.zip"));
        assert!(record.raw.to_string().contains(r"raster\\u2018_clc2018"));
    }
}
