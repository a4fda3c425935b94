//! What a STAC item says about vector data: assets, layers, place.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::store::entry::{Crs, EntryMeta};
use crate::store::vector::{LayerMeta, VectorFormat, VectorMeta};
use crate::view::{ServedVector, served_vectors};

use super::footprint::Footprint;
use super::{PROJECTION, TABLE, href};

/// Key of the asset of the first set of a format.
fn key(format: VectorFormat) -> &'static str {
    match format {
        VectorFormat::GeoPackage => "gpkg",
        VectorFormat::FileGdb => "gdb",
        VectorFormat::Shapefile => "shp",
    }
}

fn media_type(format: VectorFormat) -> &'static str {
    match format {
        VectorFormat::GeoPackage => "application/geopackage+sqlite3",
        // Not registered, like the format; what GIS catalogues use.
        VectorFormat::FileGdb => "application/x-filegdb",
        VectorFormat::Shapefile => "application/vnd.shp",
    }
}

fn title(format: VectorFormat) -> &'static str {
    match format {
        VectorFormat::GeoPackage => "GeoPackage",
        VectorFormat::FileGdb => "file geodatabase",
        VectorFormat::Shapefile => "shapefile",
    }
}

/// The assets that opening may bring, before the product is here.
pub(super) fn cold_assets(product: &str, formats: &[VectorFormat]) -> Vec<(String, Value)> {
    let asset = |&format: &VectorFormat| {
        let path = format!("{product}{}", format.ending());
        let asset = json!({
            "href": format!("./{}", href(&path)),
            "type": media_type(format),
            "title": title(format),
            "description": "opening it orders the product and downloads it",
            "roles": ["data"],
        });
        (key(format).to_owned(), asset)
    };
    formats.iter().map(asset).collect()
}

/// The assets of a ready product's vector data.
pub(super) fn ready_assets(entry: &EntryMeta) -> Vec<(String, Value)> {
    let served = served_vectors(entry);
    let first = |vector: &ServedVector<'_>| {
        served.iter().find(|other| other.meta.format == vector.meta.format).map(|other| &other.name)
    };
    let asset = |vector: &ServedVector<'_>| {
        let kind = key(vector.meta.format);
        let is_first = first(vector) == Some(&vector.name);
        let key = if is_first { kind.to_owned() } else { format!("{kind}:{}", vector.name) };
        (key, Value::Object(ready_asset(vector)))
    };
    served.iter().map(asset).collect()
}

fn ready_asset(vector: &ServedVector<'_>) -> Map<String, Value> {
    let meta = vector.meta;
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    set("href", json!(format!("./{}", href(&vector.path()))));
    set("type", json!(media_type(meta.format)));
    set("title", json!(meta.stem()));
    set("roles", json!(["data"]));
    // One file: the size and checksum of what the address names.
    let own = vector.files.iter().find(|(_, file)| file.path == meta.path).map(|(_, file)| file);
    if let Some(file) = own {
        set("file:size", json!(file.size));
        if let Some(checksum) = file.sha256 {
            set("file:checksum", json!(checksum.multihash()));
        }
    }
    if let Some((crs, bbox)) = place(meta) {
        let code = crs.epsg.map(|code| format!("EPSG:{code}"));
        set("proj:code", json!(code));
        if code.is_none() {
            set("proj:wkt2", json!(crs.wkt2));
        }
        set("proj:bbox", json!(bbox));
    }
    if let [layer] = &meta.layers[..]
        && let Some(features) = layer.features
    {
        set("table:row_count", json!(features));
    }
    if !meta.layers.is_empty() {
        set("clms:layers", meta.layers.iter().map(layer_fields).collect());
    }
    fields
}

fn layer_fields(layer: &LayerMeta) -> Value {
    json!({
        "name": layer.name,
        "geometry": layer.geometry,
        "features": layer.features,
        "crs": layer.crs.as_ref().and_then(|crs| crs.epsg).map(|code| format!("EPSG:{code}")),
        "bbox": layer.bbox,
    })
}

/// The box around all layers that have the CRS of the first one with a place.
fn place(vector: &VectorMeta) -> Option<(&Crs, [f64; 4])> {
    let mut places = vector.layers.iter().filter_map(|layer| Some((layer.crs.as_ref()?, layer.bbox?)));
    let (crs, first) = places.next()?;
    let around = |a: [f64; 4], b: [f64; 4]| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
    Some((crs, places.filter(|(other, _)| *other == crs).fold(first, |all, (_, bbox)| around(all, bbox))))
}

/// Where the vector data is: of the first set that knows its place.
pub(super) fn footprint(entry: &EntryMeta) -> Option<Footprint> {
    let (crs, bbox) = entry.vectors.iter().find_map(place)?;
    Footprint::of_rectangle(crs, bbox)
}

/// Paths of the side files that are vector data.
pub(super) fn paths(entry: &EntryMeta) -> BTreeSet<&str> {
    let files = entry.vectors.iter().flat_map(|vector| vector.files(&entry.originals));
    files.map(|(_, file)| file.path.as_str()).collect()
}

/// The extensions that [`ready_assets`] uses, without the one for files.
pub(super) fn uses(vectors: &[VectorMeta]) -> Vec<&'static str> {
    let mut extensions = Vec::new();
    if vectors.iter().any(|vector| place(vector).is_some()) {
        extensions.push(PROJECTION);
    }
    if vectors.iter().any(|vector| vector.layers.len() == 1 && vector.layers[0].features.is_some()) {
        extensions.push(TABLE);
    }
    extensions
}
