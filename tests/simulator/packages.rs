//! Every package of the sample world is made, unpacked and opened.

use std::{
    fs,
    io::{Cursor, Read},
};

use clmsfs::simulator::{Options, Scenario, start};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, vector::LayerAccess, vsi};
use serde_json::Value;
use zip::ZipArchive;

use crate::support::{Client, QUICK, client, link, simulator};

/// All files in the inner zips of an outer zip, by path; directories are left out.
fn unpack(outer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut outer = ZipArchive::new(Cursor::new(outer)).unwrap();
    let mut files = Vec::new();
    for index in 0..outer.len() {
        let mut member = outer.by_index(index).unwrap();
        if member.is_dir() {
            continue;
        }
        assert!(member.name().unwrap().starts_with("Results/"));
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let mut inner = ZipArchive::new(Cursor::new(bytes)).unwrap();
        for index in 0..inner.len() {
            let mut file = inner.by_index(index).unwrap();
            if file.is_file() {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                files.push((file.name().unwrap().into_owned(), bytes));
            }
        }
    }
    files
}

async fn sample(client: &Client) -> Vec<Value> {
    let answer: Value =
        client.get("@search?portal_type=DataSet&fullobjects=1&b_size=100").await.json().await.unwrap();
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_package_opens_in_gdal() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let (mut rasters, mut vectors, mut shapefiles, mut types) = (0, 0, 0, Vec::new());
    for dataset in sample(&client).await {
        for item in dataset["downloadable_files"]["items"].as_array().unwrap() {
            if item["path"] == "" {
                continue;
            }
            let done = client.finished(dataset["UID"].as_str().unwrap(), item["@id"].as_str().unwrap()).await;
            let bytes = client.http.get(link(&done)).send().await.unwrap().bytes().await.unwrap();
            let files = unpack(&bytes);
            for (path, bytes) in &files {
                let lower = path.to_lowercase();
                if lower.ends_with(".tif") || lower.ends_with(".tiff") {
                    let memory = format!("/vsimem/package-{rasters}.tif");
                    vsi::create_mem_file(&memory, bytes.clone()).unwrap();
                    let raster = Dataset::open(&memory).unwrap();
                    assert!(raster.geo_transform().is_ok() && raster.spatial_ref().is_ok(), "{path}");
                    let band = raster.rasterband(1).unwrap();
                    assert!(band.no_data_value().is_some(), "{path}");
                    types.push(band.band_type().name());
                    rasters += 1;
                } else if lower.ends_with(".gpkg") {
                    let memory = format!("/vsimem/package-{vectors}.gpkg");
                    vsi::create_mem_file(&memory, bytes.clone()).unwrap();
                    let options =
                        DatasetOptions { open_flags: GdalOpenFlags::GDAL_OF_VECTOR, ..Default::default() };
                    let vector = Dataset::open_ex(&memory, options).unwrap();
                    assert!(vector.layer_count() >= 1, "{path}");
                    vectors += 1;
                } else if lower.ends_with(".shp") {
                    let base = path.trim_end_matches(".shp");
                    let memory = format!("/vsimem/package-{shapefiles}");
                    for (part, bytes) in files.iter().filter(|(part, _)| part.starts_with(base)) {
                        vsi::create_mem_file(format!("{memory}{}", &part[base.len()..]), bytes.clone())
                            .unwrap();
                    }
                    let options =
                        DatasetOptions { open_flags: GdalOpenFlags::GDAL_OF_VECTOR, ..Default::default() };
                    let vector = Dataset::open_ex(format!("{memory}.shp"), options).unwrap();
                    let layer = vector.layer(0).unwrap();
                    assert!(layer.feature_count() > 100 && layer.spatial_ref().is_some(), "{path}");
                    shapefiles += 1;
                }
            }
            let geodatabase = files.iter().filter(|(path, _)| path.contains(".gdb/")).count();
            assert!(item["format"] != "GDB" || geodatabase > 5, "{item}");
        }
    }
    println!("{rasters} rasters, {vectors} GeoPackages and {shapefiles} shapefiles opened");
    types.sort();
    types.dedup();
    assert_eq!(types, ["Byte", "Float32", "Int16", "UInt16"]);
    assert!(rasters >= 25 && vectors >= 4 && shapefiles == 2, "{rasters} {vectors} {shapefiles}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tiles_of_a_country_touch_each_other() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let imperviousness = sample(&client)
        .await
        .into_iter()
        .find(|dataset| dataset["id"] == "imperviousness-density-2018")
        .unwrap();
    let germany = &imperviousness["downloadable_files"]["items"][0];
    let done =
        client.finished(imperviousness["UID"].as_str().unwrap(), germany["@id"].as_str().unwrap()).await;
    let bytes = client.http.get(link(&done)).send().await.unwrap().bytes().await.unwrap();
    let tiles: Vec<_> = unpack(&bytes).into_iter().filter(|(path, _)| path.ends_with(".tif")).collect();
    assert_eq!(tiles.len(), 7);
    for (path, bytes) in tiles {
        vsi::create_mem_file("/vsimem/tile.tif", bytes).unwrap();
        let tile = Dataset::open("/vsimem/tile.tif").unwrap();
        let [left, step, _, top, ..] = tile.geo_transform().unwrap();
        let name = path.split("_E").nth(1).unwrap();
        let (east, north): (f64, f64) = (name[..2].parse().unwrap(), name[3..5].parse().unwrap());
        assert_eq!((left, top), (east * 100_000.0, (north + 1.0) * 100_000.0), "{path}");
        assert_eq!(step * tile.raster_size().0 as f64, 100_000.0);
        drop(tile);
        vsi::unlink_mem_file("/vsimem/tile.tif").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_of_a_folder_are_served_untouched_and_the_key_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let original = b"PK anything at all".repeat(1000);
    fs::write(folder.path().join("My Package (1).zip"), &original).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a package").unwrap();
    let key = folder.path().join("key.json");
    let simulator = start(Options {
        data: Some(folder.path().to_owned()),
        key_out: Some(key.clone()),
        scenario: Scenario::from_toml(QUICK).unwrap(),
        ..Options::default()
    })
    .await
    .unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(simulator.key_path(), Some(key.as_path()));
    let written: Value = serde_json::from_slice(&fs::read(&key).unwrap()).unwrap();
    assert_eq!(&written, simulator.service_key());

    let client = Client::with_key(simulator.api(), &written).await;
    let data = sample(&client).await.into_iter().find(|dataset| dataset["id"] == "data").unwrap();
    let items = data["downloadable_files"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["file"], "My Package (1)");
    let done = client.finished(data["UID"].as_str().unwrap(), items[0]["@id"].as_str().unwrap()).await;
    let bytes = client.http.get(link(&done)).send().await.unwrap().bytes().await.unwrap();
    let mut served = Vec::new();
    let mut outer = ZipArchive::new(Cursor::new(bytes)).unwrap();
    outer.by_name("Results/My Package (1).zip").unwrap().read_to_end(&mut served).unwrap();
    assert_eq!(served, original);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_catalogue_is_served_page_by_page() {
    let simulator = simulator("generate = { datasets = 10000, products = 100 }").await;
    let http = client();
    let get = async |query: &str| -> Value {
        let url = format!("{}/@search?{query}", simulator.api());
        http.get(url).header("Accept", "application/json").send().await.unwrap().json().await.unwrap()
    };
    let start = std::time::Instant::now();
    let page = get("portal_type=DataSet&fullobjects=1&b_size=50&b_start=9970").await;
    println!("a page of 30 full objects of 10000: {:?}", start.elapsed());
    assert_eq!(page["items_total"], 10_000);
    assert_eq!(page["items"].as_array().unwrap().len(), 30);
    assert_eq!(page["items"][29]["downloadable_files"]["items"].as_array().unwrap().len(), 100);
    let uid = page["items"][29]["UID"].as_str().unwrap();
    let one = get(&format!("UID={uid}&metadata_fields=UID")).await;
    assert_eq!(one["items"][0]["UID"], uid);
}
