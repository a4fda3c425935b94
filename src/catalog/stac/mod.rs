//! STAC 1.1 documents of the tree. Relative links only, so that a copied folder still works.
//!
//! Every function is pure: the same catalogue and entry give the same bytes.

mod collection;
mod footprint;
mod item;
mod raster;
mod vector;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::index::Catalog;

pub use collection::collection_document;
pub use item::item_document;

/// The version of the core specification.
const STAC_VERSION: &str = "1.1.0";
/// Schema of the extension for coordinate reference systems.
const PROJECTION: &str = "https://stac-extensions.github.io/projection/v2.0.0/schema.json";
/// Schema of the extension for scale, offset and resolution of bands.
const RASTER: &str = "https://stac-extensions.github.io/raster/v2.0.0/schema.json";
/// Schema of the extension for classes.
const CLASSIFICATION: &str = "https://stac-extensions.github.io/classification/v2.0.0/schema.json";
/// Schema of the extension for tables: the newest version that pystac knows.
const TABLE: &str = "https://stac-extensions.github.io/table/v1.2.0/schema.json";
/// Schema of the extension for file sizes and checksums.
const FILE: &str = "https://stac-extensions.github.io/file/v2.1.0/schema.json";
/// Media type of GeoTIFFs that are cloud-optimised.
const COG_TYPE: &str = "image/tiff; application=geotiff; profile=cloud-optimized";
/// Media type of Zarr stores.
const ZARR_TYPE: &str = "application/vnd.zarr";
/// Where the terms of use are.
pub const LICENCE_PAGE: &str = "https://land.copernicus.eu/en/data-policy";
/// The service's site.
const SITE: &str = "https://land.copernicus.eu";

/// `catalog.json`: a STAC Catalog with a link to every collection.
pub fn catalog_document(catalog: &Catalog) -> Vec<u8> {
    let mut links = vec![link("root", "./catalog.json", JSON_TYPE)];
    for dataset in catalog.datasets() {
        let mut child =
            link("child", &format!("./{}/collection.json", href(dataset.name().as_str())), JSON_TYPE);
        if !dataset.title().is_empty() {
            child["title"] = json!(dataset.title());
        }
        links.push(child);
    }
    pretty(&json!({
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "clms",
        "title": "Copernicus Land Monitoring Service",
        "description": "The datasets of the Copernicus Land Monitoring Service that can be ordered as files, as a folder made by clmsfs.",
        "links": links,
    }))
}

const JSON_TYPE: &str = "application/json";
const GEOJSON_TYPE: &str = "application/geo+json";

fn link(relation: &str, href: &str, media_type: &str) -> Value {
    json!({"rel": relation, "href": href, "type": media_type})
}

/// A name as one part of a relative reference: the three characters that would end or change it are escaped.
///
/// Blanks and letters beyond ASCII stay: readers of a folder (pystac) take references as paths and do not unescape
/// them, readers of web addresses escape them on their own. Real names hold blanks, but none of the three.
fn href(name: &str) -> String {
    name.replace('%', "%25").replace('#', "%23").replace('?', "%3F")
}

/// JSON for people: indented, with a line end at the end.
pub(in crate::catalog) fn pretty(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string_pretty(value).expect("values and maps with text keys are always JSON");
    let mut bytes = crate::text::harmless_json(json).into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Adds a field when there is something to say.
fn put(fields: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_references() {
        assert_eq!(href("(SEASON 1) a#b?c%d:e"), "(SEASON 1) a%23b%3Fc%25d:e");
        assert_eq!(href("100m – Part 1"), "100m – Part 1");
    }
}
