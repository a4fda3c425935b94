//! `collection.json` of a dataset.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::catalog::dataset::Dataset;

use super::footprint::union;
use super::{GEOJSON_TYPE, JSON_TYPE, LICENCE_PAGE, SITE, STAC_VERSION, href, link, pretty, put};

/// A dataset whose record says nothing about its place may be anywhere.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

/// `collection.json`: a STAC Collection with a link to every item.
pub fn collection_document(dataset: &Dataset) -> Vec<u8> {
    let mut collection = Map::new();
    let mut set = |key: &str, value: Value| collection.insert(key.to_owned(), value);
    set("type", json!("Collection"));
    set("stac_version", json!(STAC_VERSION));
    set("id", json!(dataset.name().as_str()));
    set("title", json!(title(dataset)));
    // The specification wants a description that is not empty.
    let description = if dataset.description().is_empty() { title(dataset) } else { dataset.description() };
    set("description", json!(description));
    if dataset.keywords().len() > 0 {
        set("keywords", dataset.keywords().collect());
    }
    // "other": the terms are in the link with the relation "license".
    set("license", json!("other"));
    set(
        "providers",
        json!([{
            "name": "Copernicus Land Monitoring Service",
            "roles": ["producer", "licensor", "host"],
            "url": SITE,
        }]),
    );
    set("extent", extent(dataset));
    set("clms:uid", json!(dataset.uid()));
    set("published", json!(dataset.published()));
    put(&mut collection, "updated", dataset.modified().map(|moment| moment.to_string()));
    put(&mut collection, "clms:projection", dataset.projection());
    put(&mut collection, "clms:access", dataset.access());
    collection.insert("links".to_owned(), links(dataset));
    pretty(&collection)
}

fn title(dataset: &Dataset) -> &str {
    if dataset.title().is_empty() { dataset.name().as_str() } else { dataset.title() }
}

fn extent(dataset: &Dataset) -> Value {
    let boxes = dataset.boxes();
    let mut bboxes = vec![union(boxes).unwrap_or(WORLD)];
    // The first box is around all others; a single one is not repeated.
    if boxes.len() > 1 {
        bboxes.extend(boxes.iter().map(|one| [one.west, one.south, one.east, one.north]));
    }
    let period = dataset.period();
    let shown = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
    json!({
        "spatial": {"bbox": bboxes},
        "temporal": {"interval": [[shown(period.start), shown(period.end)]]},
    })
}

fn links(dataset: &Dataset) -> Value {
    let mut links = vec![
        link("root", "../catalog.json", JSON_TYPE),
        link("parent", "../catalog.json", JSON_TYPE),
        link("license", LICENCE_PAGE, "text/html"),
        link("describedby", "./metadata.json", JSON_TYPE),
    ];
    for product in dataset.products() {
        let mut item = link("item", &format!("./{}/item.json", href(product.name())), GEOJSON_TYPE);
        item["title"] = json!(product.name());
        links.push(item);
    }
    Value::Array(links)
}
