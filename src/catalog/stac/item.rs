//! `item.json` of a product: what the catalogue knows while it is cold, what is there once it is ready.

use serde_json::{Map, Value, json};

use crate::catalog::period::Period;
use crate::catalog::product::{Kind, Product};
use crate::store::entry::EntryMeta;
use crate::view::served_names;

use super::footprint::Footprint;
use super::raster::{raster_asset, uses};
use super::vector;
use super::{COG_TYPE, FILE, JSON_TYPE, STAC_VERSION, ZARR_TYPE, href, link, pretty, put};

/// `item.json`: a STAC Item. `entry` is the converted product when it is ready.
///
/// Cold items have the place and time of their dataset (or of their year) and the assets that opening will bring;
/// ready ones have the rasters' real place, grid, bands and classes.
pub fn item_document(product: Product<'_>, entry: Option<&EntryMeta>) -> Vec<u8> {
    let dataset = product.dataset();
    let footprint = entry
        .and_then(|entry| {
            let raster = entry.rasters.first().and_then(Footprint::of_raster);
            raster.or_else(|| vector::footprint(entry))
        })
        .or_else(|| Footprint::of_boxes(dataset.boxes()));
    let mut item = Map::new();
    let mut set = |key: &str, value: Value| item.insert(key.to_owned(), value);
    set("type", json!("Feature"));
    set("stac_version", json!(STAC_VERSION));
    set("stac_extensions", json!(entry.map(extensions).unwrap_or_default()));
    set("id", json!(product.name()));
    set("collection", json!(dataset.name().as_str()));
    match footprint {
        Some(Footprint { geometry, bbox }) => {
            set("geometry", geometry);
            set("bbox", json!(bbox));
        }
        // A box is forbidden without a geometry.
        None => {
            set("geometry", Value::Null);
        }
    }
    set("properties", properties(product, entry));
    set(
        "links",
        json!([
            link("root", "../../catalog.json", JSON_TYPE),
            link("parent", "../collection.json", JSON_TYPE),
            link("collection", "../collection.json", JSON_TYPE),
            link("describedby", "../metadata.json", JSON_TYPE),
        ]),
    );
    set("assets", entry.map_or_else(|| cold_assets(product), ready_assets));
    pretty(&item)
}

fn properties(product: Product<'_>, entry: Option<&EntryMeta>) -> Value {
    let ready = entry.is_some();
    let dataset = product.dataset();
    let mut fields = Map::new();
    fields.insert("title".to_owned(), json!(product.raw_name().trim()));
    put(&mut fields, "description", if ready { None } else { note(product) });
    // A product's own year says more than its dataset's whole time.
    let own = product.year().map(Period::years).unwrap_or_default();
    let period = if own == Period::default() { dataset.period() } else { own };
    match (period.start, period.end) {
        _ if entry.is_some_and(|entry| entry.rasters.iter().any(|raster| !raster.times.is_empty())) => {
            times(entry, &mut fields);
        }
        (Some(start), Some(end)) => {
            fields.insert("datetime".to_owned(), Value::Null);
            fields.insert("start_datetime".to_owned(), json!(start));
            fields.insert("end_datetime".to_owned(), json!(end));
        }
        // One side alone is not allowed beside a datetime that is null.
        (Some(one), None) | (None, Some(one)) => {
            fields.insert("datetime".to_owned(), json!(one));
        }
        (None, None) => {
            fields.insert("datetime".to_owned(), json!(dataset.published()));
        }
    }
    fields.insert("published".to_owned(), json!(dataset.published()));
    put(&mut fields, "updated", dataset.modified().map(|moment| moment.to_string()));
    put(&mut fields, "gsd", product.resolution().and_then(metres));
    fields.insert("license".to_owned(), json!("other"));
    fields.insert("clms:state".to_owned(), json!(if ready { "ready" } else { "cold" }));
    fields.insert("clms:dataset_uid".to_owned(), json!(dataset.uid()));
    fields.insert("clms:file_id".to_owned(), json!(product.file_id()));
    fields.insert("clms:raw_name".to_owned(), json!(product.raw_name()));
    put(&mut fields, "clms:format", product.format());
    put(&mut fields, "clms:year", product.year());
    put(&mut fields, "clms:resolution", product.resolution());
    put(&mut fields, "clms:declared_size", product.declared_size());
    Value::Object(fields)
}

/// The moment or the span of the dates that are really there.
fn times(entry: Option<&EntryMeta>, fields: &mut Map<String, Value>) {
    let times = || entry.into_iter().flat_map(|entry| &entry.rasters).flat_map(|raster| &raster.times);
    let (first, last) = (times().min(), times().max());
    fields.insert("datetime".to_owned(), if first == last { json!(first) } else { Value::Null });
    if first != last {
        fields.insert("start_datetime".to_owned(), json!(first));
        fields.insert("end_datetime".to_owned(), json!(last));
    }
}

/// `100 m`, `100m`, `0.3 km` in metres.
fn metres(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase().replace(',', ".");
    let (number, factor) = match text.strip_suffix("km") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('m')?, 1.0),
    };
    let metres = number.trim().parse::<f64>().ok()? * factor;
    (metres.is_finite() && metres > 0.0).then_some(metres)
}

/// Why a product has no data assets, or some that it may not have; `None` where there is nothing to say.
fn note(product: Product<'_>) -> Option<&'static str> {
    match product.kind() {
        Kind::Raster | Kind::Netcdf => None,
        Kind::Unknown => Some(
            "the catalogue does not say what this product holds: which of its assets exist is known once it was fetched",
        ),
        Kind::Vector if !product.expected_vectors().is_empty() => None,
        Kind::Vector => Some(
            "vector data in a format that this release of clmsfs does not serve: it serves GeoPackages, file geodatabases and shapefiles",
        ),
    }
}

/// The files that the folder of a product shows before it is fetched.
fn cold_assets(product: Product<'_>) -> Value {
    let mut assets = Map::new();
    let stem = href(product.name());
    let asset = |ending: &str, media_type: &str, title: &str| {
        json!({
            "href": format!("./{stem}.{ending}"),
            "type": media_type,
            "title": title,
            "description": "opening it orders the product, downloads and converts it",
            "roles": ["data"],
        })
    };
    if matches!(product.kind(), Kind::Raster | Kind::Netcdf | Kind::Unknown) {
        assets.insert("data".to_owned(), asset("tif", COG_TYPE, "cloud-optimised GeoTIFF"));
        assets.insert("zarr".to_owned(), asset("zarr", ZARR_TYPE, "Zarr store, versions 2 and 3"));
    }
    assets.extend(vector::cold_assets(product.name(), product.expected_vectors()));
    Value::Object(assets)
}

fn ready_assets(entry: &EntryMeta) -> Value {
    let mut assets = Map::new();
    for (number, (raster, served)) in entry.rasters.iter().zip(served_names(entry)).enumerate() {
        let stem = href(&served);
        let key = |kind: &str| if number == 0 { kind.to_owned() } else { format!("{kind}:{served}") };
        let mut tif = raster_asset(raster);
        tif.insert("href".to_owned(), json!(format!("./{stem}.tif")));
        tif.insert("type".to_owned(), json!(COG_TYPE));
        tif.insert("title".to_owned(), json!(raster.name));
        tif.insert("roles".to_owned(), json!(["data"]));
        let mut zarr = tif.clone();
        zarr.insert("href".to_owned(), json!(format!("./{stem}.zarr")));
        zarr.insert("type".to_owned(), json!(ZARR_TYPE));
        assets.insert(key("data"), Value::Object(tif));
        assets.insert(key("zarr"), Value::Object(zarr));
    }
    assets.extend(vector::ready_assets(entry));
    // every conversion draws one from its first raster
    if !entry.rasters.is_empty() {
        assets.insert(
            "thumbnail".to_owned(),
            json!({"href": "./preview.png", "type": "image/png", "roles": ["thumbnail"]}),
        );
    }
    let data = vector::paths(entry);
    for original in &entry.originals {
        let path = format!("original/{}", original.path);
        let role = if data.contains(original.path.as_str()) { "data" } else { "metadata" };
        let mut asset =
            json!({"href": format!("./{}", href(&path)), "roles": [role], "file:size": original.size});
        if let Some(checksum) = original.sha256 {
            asset["file:checksum"] = json!(checksum.multihash());
        }
        assets.insert(path, asset);
    }
    Value::Object(assets)
}

fn extensions(entry: &EntryMeta) -> Vec<&'static str> {
    let mut extensions = uses(&entry.rasters);
    let further = vector::uses(&entry.vectors).into_iter().filter(|one| !extensions.contains(one));
    let further: Vec<_> = further.collect();
    extensions.extend(further);
    if !entry.originals.is_empty() {
        extensions.push(FILE);
    }
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_in_metres() {
        assert_eq!(metres("100 m"), Some(100.0));
        assert_eq!(metres("10m"), Some(10.0));
        assert_eq!(metres("0,3 km"), Some(300.0));
        for text in ["", "1/112 deg", "m", "-1 m", "inf m"] {
            assert_eq!(metres(text), None, "{text}");
        }
    }
}
