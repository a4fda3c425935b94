//! Documents of vector products.

use super::*;
use crate::store::checksum::Checksum;
use crate::store::vector::{LayerMeta, VectorFormat, VectorMeta};

#[test]
fn a_ready_item_has_the_real_layers() {
    let catalog = sample();
    let laea = SpatialRef::from_epsg(3035).unwrap();
    let crs = Crs { epsg: Some(3035), wkt1: laea.to_wkt().unwrap(), wkt2: String::new(), projected: true };
    let layer = |name: &str, bbox| LayerMeta {
        name: name.to_owned(),
        geometry: Some("Multi Polygon".to_owned()),
        features: Some(7),
        crs: Some(crs.clone()),
        bbox,
    };
    let sum = Checksum::of(&b"abc"[..], |_| std::ops::ControlFlow::Continue(())).unwrap();
    let vector = |format, path: &str, layers| VectorMeta { format, path: path.to_owned(), layers };
    let side = |path: &str| SideFile { path: path.to_owned(), size: 3, sha256: sum };
    let entry = EntryMeta {
        rasters: Vec::new(),
        vectors: vec![
            vector(
                VectorFormat::GeoPackage,
                "D/big #1.gpkg",
                vec![
                    layer("a", Some([4_000_000.0, 2_050_000.0, 4_050_000.0, 2_100_000.0])),
                    layer("empty", None),
                    layer("b", Some([4_040_000.0, 2_060_000.0, 4_100_000.0, 2_090_000.0])),
                ],
            ),
            vector(VectorFormat::GeoPackage, "D/small #2.gpkg", vec![layer("one", None)]),
            vector(VectorFormat::FileGdb, "D/x.gdb", Vec::new()),
        ],
        originals: ["D/a.xml", "D/big #1.gpkg", "D/small #2.gpkg", "D/x.gdb/gdb"].map(side).to_vec(),
        ..entry()
    };
    let item = parse(&item_document(catalog.find("clc2018/raster").unwrap(), Some(&entry)));
    let assets = item["assets"].as_object().unwrap();
    let keys: Vec<&str> = assets.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "gpkg",
            "gpkg:small #2",
            "gdb",
            "original/D/a.xml",
            "original/D/big #1.gpkg",
            "original/D/small #2.gpkg",
            "original/D/x.gdb/gdb"
        ]
    );
    let main = &assets["gpkg"];
    assert_eq!((&main["href"], &main["title"]), (&json!("./raster.gpkg"), &json!("big #1")));
    assert_eq!(main["type"], "application/geopackage+sqlite3");
    assert_eq!((&main["file:size"], &main["proj:code"]), (&json!(3), &json!("EPSG:3035")));
    let abc = "1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(
        (&main["file:checksum"], &assets["original/D/a.xml"]["file:checksum"]),
        (&json!(abc), &json!(abc))
    );
    assert_eq!(main["proj:bbox"], json!([4_000_000.0, 2_050_000.0, 4_100_000.0, 2_100_000.0]));
    assert_eq!((main.get("table:row_count"), &main["clms:layers"][0]["features"]), (None, &json!(7)));
    assert_eq!(assets["gpkg:small #2"]["href"], "./small %232.gpkg");
    assert_eq!(assets["gpkg:small #2"]["table:row_count"], 7);
    assert_eq!((&assets["gdb"]["href"], assets["gdb"].get("file:size")), (&json!("./raster.gdb"), None));
    assert_eq!(assets["original/D/x.gdb/gdb"]["roles"], json!(["data"]));
    assert_eq!(assets["original/D/a.xml"]["roles"], json!(["metadata"]));
    let used: Vec<&str> =
        item["stac_extensions"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
    assert_eq!(used.len(), 3, "{used:?}");
    assert!(
        ["/projection/", "/table/", "/file/"].iter().all(|name| used.iter().any(|uri| uri.contains(name)))
    );
    // The box of tile E40N20 cut to 100 km, as of the raster above.
    let bbox: Vec<f64> = item["bbox"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
    for (edge, expected) in bbox.iter().zip([6.142_122_6, 41.478_260_6, 7.362_418_8, 41.968_490_2]) {
        assert!((edge - expected).abs() < 1e-5, "{bbox:?}");
    }
}

#[test]
fn cold_vectors_have_the_assets_that_their_record_promises() {
    let record = |number, format: &str, kind: &str| {
        let mut record = file(number, &format!("p{number}"));
        (record["format"], record["type"]) = (json!(format), json!(kind));
        record
    };
    let files = [
        record(1, "GPKG", "Vector"),
        record(2, "Shapefile", ""),
        record(3, "", "Vector"),
        record(4, "", ""),
        record(5, "Geojson", "Vector"),
    ];
    let mut dataset = dataset("d", &files);
    dataset["characteristics_spatial_representation_type"] = json!({"token": "Vector and Grid"});
    let catalog = catalog(vec![dataset]);
    let keys = |product: &str| -> Vec<String> {
        let item = parse(&item_document(catalog.find(product).unwrap(), None));
        item["assets"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys("d/p1"), ["gpkg"]);
    assert_eq!(keys("d/p2"), ["shp"]);
    assert_eq!(keys("d/p3"), ["gpkg", "gdb", "shp"]);
    assert_eq!(keys("d/p4"), ["data", "zarr", "gpkg", "gdb", "shp"]);
    assert!(keys("d/p5").is_empty());
}
