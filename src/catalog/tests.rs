//! The catalogue as a whole: naming, lookups, snapshots, documents.
#![allow(clippy::unwrap_used)]

mod snapshot;
mod vectors;

use gdal::spatial_ref::SpatialRef;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clms::{DatasetRecord, FileId};
use crate::store::entry::{
    BandMeta, Class, Codec, Crs, ENTRY_FORMAT, EntryMeta, Number, PixelType, RasterMeta, SideFile, Statistics,
};

fn uuid(number: u128) -> String {
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn file(number: u128, name: &str) -> Value {
    json!({
        "@id": uuid(number), "file": name, "format": "Geotiff", "path": format!("H:\\data\\{name}.zip"),
        "source": "EEA", "size": "125.0 MB", "type": "Raster", "year": "2018", "resolution": "100 m"
    })
}

fn dataset(id: &str, files: &[Value]) -> Value {
    json!({
        "UID": format!("uid-of-{id}"), "id": id, "title": format!("Title of {id}"), "description": "What it is",
        "effective": "2020-06-13T10:00:00+00:00", "modified": "2024-01-01T00:00:00+00:00",
        "keywords": ["Land cover", "Copernicus"], "characteristics_projection": "ETRS89-LAEA (EPSG:3035)",
        "temporalExtentStart": "2017-01-01", "temporalExtentEnd": "2018-12-31",
        "geographicBoundingBox": {"items": [{"west": "-31.5", "south": "27.5", "east": "44.5", "north": "71.5"}]},
        "downloadable_files": {"items": files}
    })
}

fn records(values: Vec<Value>) -> Vec<DatasetRecord> {
    values.into_iter().map(|value| DatasetRecord::from_json(value).unwrap()).collect()
}

fn catalog(values: Vec<Value>) -> Catalog {
    of_records(records(values))
}

fn of_records(records: Vec<DatasetRecord>) -> Catalog {
    Catalog::from_records(records, "2026-11-22T09:00:00Z".parse().unwrap()).unwrap()
}

fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.products().map(|product| product.name()).collect()
}

#[test]
fn products_are_named_by_file_title_area_or_path() {
    let item = |id: u128, fields: Value| {
        let mut item = json!({"@id": uuid(id), "path": "H:\\x\\from_path.zip", "source": "EEA"});
        item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        item
    };
    let catalog = catalog(vec![dataset(
        "d",
        &[
            item(1, json!({"file": "f", "title": "t", "area": "a"})),
            item(2, json!({"file": "", "title": " t ", "area": "a"})),
            item(3, json!({"file": null, "title": "/", "area": "a"})),
            item(4, json!({})),
            item(5, json!({"file": " (SEASON 2) c_gls_LSP_V1.0.1.tiff"})),
            item(6, json!({"file": "f.zip"})),
        ],
    )]);
    let dataset = catalog.dataset("d").unwrap();
    assert_eq!(names(dataset), ["(SEASON 2) c_gls_LSP_V1.0.1", "a", "f", "from_path", "f~2", "t"]);
    let season = dataset.product("(SEASON 2) c_gls_LSP_V1.0.1").unwrap();
    assert_eq!(season.raw_name(), " (SEASON 2) c_gls_LSP_V1.0.1.tiff");
    assert_eq!(dataset.product("f").unwrap().file_id().as_str(), uuid(1));
    assert_eq!(dataset.product("f~2").unwrap().file_id().as_str(), uuid(6));
}

#[test]
fn placeholders_are_hidden_with_the_reason_and_empty_datasets_left_out() {
    let placeholder = json!({"@id": uuid(9), "file": "", "path": "", "source": ""});
    let catalog = catalog(vec![
        dataset(
            "mixed",
            &[
                file(1, "good"),
                placeholder.clone(),
                json!({"@id": uuid(2), "file": "nosource", "path": "p", "source": ""}),
                json!({"file": "noid", "path": "p", "source": "EEA"}),
                file(1, "zz-again"),
            ],
        ),
        dataset("egms", &[placeholder]),
        dataset("bare", &[]),
    ]);
    assert_eq!(catalog.datasets().len(), 1);
    assert_eq!(catalog.product_count(), 1);
    let mixed = catalog.dataset("mixed").unwrap();
    assert_eq!(names(mixed), ["good"]);
    let reasons: Vec<_> = mixed.hidden().iter().map(|file| (file.raw_name.as_str(), file.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("", HiddenReason::NoPath),
            ("nosource", HiddenReason::NoSource),
            ("noid", HiddenReason::NoId),
            ("zz-again", HiddenReason::SameId)
        ]
    );
    let left: Vec<_> = catalog.left_out().iter().map(|one| (one.name.as_str(), one.reason)).collect();
    assert_eq!(left, [("bare", None), ("egms", Some(HiddenReason::NoPath))]);
    // The reasons stand where people look for the missing file.
    let metadata: Value = serde_json::from_slice(&catalog.metadata_document(mixed).unwrap()).unwrap();
    let items = metadata["downloadable_files"]["items"].as_array().unwrap();
    let told: Vec<_> = items.iter().map(|item| item["clmsfs:hidden"].as_str()).collect();
    let reason = |reason: HiddenReason| Some(reason.as_str());
    assert_eq!(
        told,
        [
            None,
            reason(HiddenReason::NoPath),
            reason(HiddenReason::NoSource),
            reason(HiddenReason::NoId),
            reason(HiddenReason::SameId)
        ]
    );
}

#[test]
fn what_is_withdrawn_stays_while_it_is_ready() {
    let old = catalog(vec![
        dataset("partly", &[file(1, "stays"), file(2, "ready"), file(3, "cold")]),
        dataset("wholly", &[file(4, "ready"), file(5, "cold")]),
        dataset("cold", &[file(6, "cold")]),
    ]);
    let with_withdrawn = |old: &Catalog, now: Vec<Value>, is_ready: &dyn Fn(Product<'_>) -> bool| {
        let withdrawn = super::remarks::Withdrawn::new(old, &|_| true, is_ready);
        let now = records(now);
        let seen = now.iter().map(|record| record.uid.clone()).collect();
        let kept = now.into_iter().map(|record| withdrawn.added_to(record));
        of_records(kept.chain(withdrawn.missing_from(&seen)).collect())
    };
    let now = vec![dataset("partly", &[file(1, "stays")]), dataset("new", &[file(7, "new")])];
    let fresh = with_withdrawn(&old, now, &|product| product.name() == "ready");
    let tree: Vec<_> =
        fresh.datasets().iter().map(|dataset| (dataset.name().as_str(), names(dataset))).collect();
    assert_eq!(tree, [("new", vec!["new"]), ("partly", vec!["ready", "stays"]), ("wholly", vec!["ready"])]);
    // Once more: the marks are no obstacle, and what is evicted goes.
    let now = vec![dataset("partly", &[file(1, "stays")])];
    let fresh = with_withdrawn(&fresh, now, &|product| product.dataset().name().as_str() == "wholly");
    assert_eq!(
        fresh.datasets().iter().map(|dataset| dataset.name().as_str()).collect::<Vec<_>>(),
        ["partly", "wholly"]
    );
    assert_eq!(names(fresh.dataset("partly").unwrap()), ["stays"]);
}

#[test]
fn a_list_of_files_in_an_odd_shape_loses_nothing_to_what_is_withdrawn() {
    for shape in [
        |files: Vec<Value>| json!(files),
        |files: Vec<Value>| json!({"items": {"0": files[0], "1": files[1]}}),
        |files: Vec<Value>| json!({"items": files}),
    ] {
        let shaped = |files: [Value; 2]| {
            let mut record = dataset("d", &[]);
            record["downloadable_files"] = shape(files.to_vec());
            record
        };
        let old = catalog(vec![shaped([file(1, "gone"), file(2, "stays")])]);
        let withdrawn = super::remarks::Withdrawn::new(&old, &|_| true, &|_| true);
        let now = records(vec![shaped([file(2, "stays"), file(3, "new")])]).remove(0);
        let fresh = of_records(vec![withdrawn.added_to(now)]);
        assert_eq!(names(fresh.dataset("d").unwrap()), ["gone", "new", "stays"]);
        let marks = fresh.metadata_document(fresh.dataset("d").unwrap()).unwrap();
        assert_eq!(String::from_utf8(marks).unwrap().matches("clmsfs:withdrawn").count(), 1);
    }
}

#[test]
fn what_a_partial_search_does_not_show_stays_as_it_was() {
    let old =
        catalog(vec![dataset("shown", &[file(1, "x")]), dataset("missed", &[file(2, "y"), file(3, "z")])]);
    let withdrawn = super::remarks::Withdrawn::new(&old, &|_| true, &|_| false);
    let now = records(vec![dataset("shown", &[file(1, "x")])]);
    let seen = now.iter().map(|record| record.uid.clone()).collect();
    assert!(withdrawn.missing_from(&seen).is_empty());
    let fresh = of_records(now.into_iter().chain(withdrawn.unseen(&seen)).collect());
    assert_eq!(names(fresh.dataset("missed").unwrap()), ["y", "z"]);
    let record = fresh.metadata_document(fresh.dataset("missed").unwrap()).unwrap();
    assert!(!String::from_utf8(record).unwrap().contains("clmsfs:withdrawn"));
}

#[test]
fn datasets_keep_clear_of_the_roots_own_names() {
    let mut second = dataset("clc", &[file(2, "x")]);
    second["UID"] = json!("another");
    let catalog = catalog(vec![
        dataset("clc", &[file(1, "x")]),
        second,
        dataset("catalog.json", &[file(3, "x")]),
        dataset("a/b", &[file(4, "metadata.json")]),
    ]);
    let found: Vec<_> = catalog.datasets().iter().map(|dataset| dataset.name().as_str()).collect();
    assert_eq!(found, ["ab", "catalog.json~2", "clc", "clc~2"]);
    assert_eq!(catalog.dataset("clc").unwrap().uid().as_str(), "another", "the smaller UID keeps the name");
    assert_eq!(names(catalog.dataset("ab").unwrap()), ["metadata.json~2"]);
}

#[test]
fn products_are_found_by_every_name_people_use() {
    let catalog = catalog(vec![
        dataset("clc2018", &[file(0xabc, "u2018_raster100m"), file(2, " odd|name.tiff")]),
        dataset("slope_of-v1.0", &[file(3, "x")]),
    ]);
    for text in [
        "clc2018/u2018_raster100m",
        "clc2018|u2018_raster100m",
        " clc2018/u2018_raster100m/ ",
        "./clc2018/u2018_raster100m/u2018_raster100m.tif",
        &uuid(0xabc),
    ] {
        assert_eq!(catalog.find(text).unwrap().name(), "u2018_raster100m", "{text}");
    }
    assert_eq!(catalog.find("clc2018| odd|name.tiff").unwrap().name(), "odd|name");
    assert_eq!(catalog.find("clc2018/odd|name").unwrap().name(), "odd|name");
    assert_eq!(catalog.find("slope_of-v1.0|x").unwrap().dataset().name().as_str(), "slope_of-v1.0");
    for text in ["", "/", "clc2018", "clc2018/none", "none/x", "|", "clc2018|", &uuid(77)] {
        assert!(catalog.find(text).is_none(), "{text}");
    }
    let id = FileId::parse(&uuid(3)).unwrap();
    assert_eq!(catalog.product_by_file(&id).unwrap().name(), "x");
    assert_eq!(catalog.dataset_by_uid(catalog.datasets()[0].uid()).unwrap().name().as_str(), "clc2018");
}

#[test]
fn a_product_knows_what_the_record_says() {
    let catalog = catalog(vec![dataset("clc2018", &[file(1, "raster")])]);
    let product = catalog.find("clc2018/raster").unwrap();
    assert_eq!(product.kind(), Kind::Raster);
    assert_eq!(product.format(), Some("Geotiff"));
    assert_eq!(product.declared_size(), Some(125_000_000));
    assert_eq!((product.year(), product.resolution()), (Some("2018"), Some("100 m")));
    let dataset = product.dataset();
    assert_eq!(dataset.published().to_string(), "2020-06-13T10:00:00Z");
    assert_eq!(dataset.projection(), Some("ETRS89-LAEA (EPSG:3035)"));
    assert_eq!(dataset.keywords().collect::<Vec<_>>(), ["Land cover", "Copernicus"]);
}

#[test]
fn a_publication_date_is_never_now() {
    let mut without = dataset("a", &[file(1, "x")]);
    for (effective, created, expected) in [
        (json!(null), json!("2021-02-03T00:00:00"), "2021-02-03T00:00:00Z"),
        (json!("1969-12-31T00:00:00+00:00"), json!("2021-02-03T00:00:00"), "2021-02-03T00:00:00Z"),
        (json!(null), json!("soon"), "2012-01-01T00:00:00Z"),
    ] {
        without["effective"] = effective;
        without["created"] = created;
        without["modified"] = Value::Null;
        let catalog = catalog(vec![without.clone()]);
        assert_eq!(catalog.datasets()[0].published().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_names_make_a_sound_tree(raw in prop::collection::vec("\\PC{0,12}", 1..12)) {
        let files: Vec<_> = raw.iter().enumerate().map(|(number, name)| file(number as u128, name)).collect();
        let catalog = catalog(vec![dataset("d", &files)]);
        let dataset = catalog.dataset("d").unwrap();
        prop_assert_eq!(dataset.products().len(), raw.len());
        let names = names(dataset);
        prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "sorted and unique");
        for name in names {
            prop_assert!(!name.contains('/') && !name.is_empty() && name.len() < 220);
            prop_assert_eq!(dataset.product(name).unwrap().name(), name);
        }
    }
}

fn documents(catalog: &Catalog) -> Vec<Vec<u8>> {
    let mut all = vec![catalog_document(catalog)];
    for dataset in catalog.datasets() {
        all.push(collection_document(dataset));
        all.push(catalog.metadata_document(dataset).unwrap());
        assert_eq!(all.last().unwrap().len() as u64, catalog.metadata_size(dataset));
        all.extend(dataset.products().map(|product| item_document(product, None)));
    }
    all
}

fn sample() -> Catalog {
    catalog(vec![
        dataset("clc2018", &[file(1, "raster"), file(2, "vector")]),
        dataset("b", &[file(3, "x")]),
        dataset("egms", &[]),
    ])
}

#[test]
fn an_empty_catalogue_is_refused() {
    assert!(matches!(Catalog::from_records(Vec::new(), Timestamp::UNIX_EPOCH), Err(CatalogError::Empty)));
}

// ---- documents ----

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_root_links_to_collections_and_they_to_items() {
    let catalog = catalog(vec![dataset("a b#1", &[file(1, "50% (x)")])]);
    let root = parse(&catalog_document(&catalog));
    assert_eq!((&root["type"], &root["stac_version"]), (&json!("Catalog"), &json!("1.1.0")));
    let child = &root["links"][1];
    assert_eq!((&child["rel"], &child["href"]), (&json!("child"), &json!("./a b%231/collection.json")));
    let collection = parse(&collection_document(&catalog.datasets()[0]));
    assert_eq!(collection["extent"]["spatial"]["bbox"], json!([[-31.5, 27.5, 44.5, 71.5]]));
    assert_eq!(
        collection["extent"]["temporal"]["interval"],
        json!([["2017-01-01T00:00:00Z", "2018-12-31T23:59:59Z"]])
    );
    let item = collection["links"].as_array().unwrap().last().unwrap();
    assert_eq!(item["href"], "./50%25 (x)/item.json");
}

#[test]
fn a_cold_item_says_what_is_known() {
    let catalog = sample();
    let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), None));
    assert_eq!(item["geometry"]["type"], "Polygon");
    assert_eq!(item["bbox"], json!([-31.5, 27.5, 44.5, 71.5]));
    let properties = &item["properties"];
    assert_eq!(properties["datetime"], Value::Null);
    assert_eq!(properties["start_datetime"], "2018-01-01T00:00:00Z", "the product's own year");
    assert_eq!(properties["end_datetime"], "2018-12-31T23:59:59Z");
    assert_eq!(properties["gsd"], 100.0);
    assert_eq!(properties["clms:state"], "cold");
    assert_eq!(item["assets"]["data"]["href"], "./raster.tif");
    assert_eq!(item["assets"]["zarr"]["href"], "./raster.zarr");
}

#[test]
fn an_item_without_place_and_time_is_still_an_item() {
    let mut bare = dataset("d", &[json!({"@id": uuid(1), "file": "x_fgdb", "path": "p", "source": "EEA"})]);
    for key in ["geographicBoundingBox", "temporalExtentStart", "temporalExtentEnd", "description", "title"] {
        bare[key] = Value::Null;
    }
    let catalog = catalog(vec![bare]);
    let item = parse(&item_document(catalog.find("d/x_fgdb").unwrap(), None));
    assert_eq!(item["geometry"], Value::Null);
    assert!(item.get("bbox").is_none());
    assert_eq!(item["properties"]["datetime"], "2020-06-13T10:00:00Z");
    assert_eq!(item["assets"]["gdb"]["href"], "./x_fgdb.gdb");
    let collection = parse(&collection_document(&catalog.datasets()[0]));
    assert_eq!(collection["description"], "d");
    assert_eq!(collection["extent"]["spatial"]["bbox"], json!([[-180.0, -90.0, 180.0, 90.0]]));
    assert_eq!(collection["extent"]["temporal"]["interval"], json!([[null, null]]));
}

/// Tile E40N20 of the 10 m grid, cut to 100 km.
pub(super) fn entry() -> EntryMeta {
    let laea = SpatialRef::from_epsg(3035).unwrap();
    let raster = |name: &str| RasterMeta {
        name: name.to_owned(),
        pixel: PixelType::UInt8,
        width: 10_000,
        height: 5_000,
        bands: vec![BandMeta {
            description: "density".to_owned(),
            unit: "percent".to_owned(),
            scale: Some(0.5),
            offset: Some(0.0),
            statistics: Some(Statistics {
                minimum: 0.0,
                maximum: 100.0,
                mean: 12.5,
                stddev: 3.0,
                valid_percent: 99.0,
            }),
            fingerprint: None,
        }],
        codec: Codec::Zstd { level: 1 },
        geotransform: [4_000_000.0, 10.0, 0.0, 2_100_000.0, 0.0, -10.0],
        crs: Some(Crs {
            epsg: Some(3035),
            wkt1: laea.to_wkt().unwrap(),
            wkt2: String::new(),
            projected: true,
        }),
        nodata: Some(Number(255.0)),
        classes: vec![Class {
            value: 254,
            name: "Unclassifiable (clouds)".to_owned(),
            color: Some([1, 2, 255, 255]),
        }],
        palette: Vec::new(),
        categorical: true,
        overviews: Vec::new(),
        sources: vec!["DATA/x.tif".to_owned()],
        times: Vec::new(),
        variable: Default::default(),
    };
    EntryMeta {
        format: ENTRY_FORMAT,
        product: "raster".to_owned(),
        rasters: vec![raster("raster"), raster("confidence #2")],
        vectors: Vec::new(),
        originals: vec![SideFile { path: "Legend/a b.qml".to_owned(), size: 12, sha256: None }],
    }
}

#[test]
fn a_ready_item_has_the_real_grid() {
    let catalog = sample();
    let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry())));
    let data = &item["assets"]["data"];
    assert_eq!(data["href"], "./raster.tif");
    assert_eq!(data["proj:code"], "EPSG:3035");
    assert_eq!(data["proj:shape"], json!([5000, 10000]));
    assert_eq!(data["proj:transform"], json!([10.0, 0.0, 4_000_000.0, 0.0, -10.0, 2_100_000.0]));
    assert_eq!(data["proj:bbox"], json!([4_000_000.0, 2_050_000.0, 4_100_000.0, 2_100_000.0]));
    assert_eq!((&data["data_type"], &data["nodata"]), (&json!("uint8"), &json!(255)));
    let band = &data["bands"][0];
    assert_eq!((&band["unit"], &band["raster:scale"]), (&json!("percent"), &json!(0.5)));
    assert_eq!(band["statistics"]["mean"], 12.5);
    assert_eq!(band["classification:classes"][0]["name"], "Unclassifiable_clouds");
    assert_eq!(band["classification:classes"][0]["color_hint"], "0102FF");
    assert_eq!(item["assets"]["data:confidence #2"]["href"], "./confidence %232.tif");
    assert_eq!(item["assets"]["zarr"]["proj:shape"], json!([5000, 10000]));
    assert_eq!(item["assets"]["original/Legend/a b.qml"]["href"], "./original/Legend/a b.qml");
    assert_eq!(item["properties"]["clms:state"], "ready");
    let bbox: Vec<f64> = item["bbox"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
    // By pyproj 3.7.2, transform_bounds with 100 points per side.
    for (edge, expected) in bbox.iter().zip([6.142_122_6, 41.478_260_6, 7.362_418_8, 41.968_490_2]) {
        assert!((edge - expected).abs() < 1e-5, "{bbox:?}");
    }
    let ring = item["geometry"]["coordinates"][0].as_array().unwrap();
    assert_eq!(ring.first(), ring.last());
    assert_eq!(ring.len(), 65);
}

#[test]
fn an_item_refers_only_to_names_that_are_served() {
    let catalog = sample();
    let mut entry = entry();
    // converted when the catalogue still had another name for it; the second raster's name is taken by the first
    entry.product = "older".to_owned();
    entry.rasters[1].name = "older".to_owned();
    let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry)));
    let assets = item["assets"].as_object().unwrap();
    assert_eq!(assets["data"]["href"], "./older.tif");
    assert_eq!(assets["data:older~2"]["href"], "./older~2.tif");
    assert_eq!(assets["zarr:older~2"]["href"], "./older~2.zarr");
}

#[test]
fn a_product_that_is_not_served_has_no_data_and_says_why() {
    let mut netcdf = file(2, "temperature");
    netcdf["format"] = json!("Netcdf");
    let mut vector = file(1, "outlines");
    vector["format"] = json!("Geojson");
    let catalog = catalog(vec![dataset("d", &[vector, netcdf, file(3, "raster")])]);
    let item = parse(&item_document(catalog.find("d/outlines").unwrap(), None));
    assert_eq!(item["assets"], json!({}));
    let why = item["properties"]["description"].as_str().unwrap();
    assert!(why.contains("vector") && why.contains("serves"), "{why}");
    for served in ["d/raster", "d/temperature"] {
        let item = parse(&item_document(catalog.find(served).unwrap(), None));
        assert!(item["properties"].get("description").is_none());
        assert_eq!(item["assets"].as_object().unwrap().len(), 2);
    }
}

#[test]
fn an_item_has_the_times_that_are_really_there() {
    let catalog = sample();
    let properties = |times: &[&str]| {
        let mut entry = entry();
        entry.rasters[0].times = times.iter().map(|time| time.parse().unwrap()).collect();
        let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry)));
        item["properties"].clone()
    };
    let several = properties(&["2021-01-01T00:00:00Z", "2021-01-11T00:00:00Z"]);
    assert_eq!(several["datetime"], Value::Null);
    assert_eq!(several["start_datetime"], "2021-01-01T00:00:00Z");
    assert_eq!(several["end_datetime"], "2021-01-11T00:00:00Z");
    let one = properties(&["2021-01-01T00:00:00Z"]);
    assert_eq!(one["datetime"], "2021-01-01T00:00:00Z");
    assert!(one.get("start_datetime").is_none());
}

#[test]
fn a_raster_without_a_crs_stays_where_its_dataset_is() {
    let catalog = sample();
    let mut entry = entry();
    for raster in &mut entry.rasters {
        raster.crs = None;
        raster.classes.clear();
    }
    let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry)));
    assert_eq!(item["bbox"], json!([-31.5, 27.5, 44.5, 71.5]));
    assert_eq!(item["assets"]["data"]["proj:code"], Value::Null);
    assert!(!item["stac_extensions"].to_string().contains("classification"));
}

#[test]
fn documents_are_the_same_every_time() {
    let (one, two) = (sample(), sample());
    assert_eq!(documents(&one), documents(&two));
    let ready = |catalog: &Catalog| item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry()));
    assert_eq!(ready(&one), ready(&two));
}
