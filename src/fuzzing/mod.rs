//! What comes from outside, as bytes: one function for every kind, which must neither panic nor break a promise.
//!
//! `fuzz/targets/` calls these with whatever libFuzzer thinks up (`make fuzz`); the test here calls them with the seeds
//! and with all that ever broke one (`fuzz/seeds/`, `fuzz/found/`). Not part of the program: compiled for tests and
//! fuzzers only.

#![allow(missing_docs, clippy::missing_panics_doc)]

mod scratch;
#[cfg(test)]
mod seeds;
mod tree;

use serde_json::Value;

use crate::store::raster_file::{RasterFile, TileId};
use crate::{catalog, clms, config, ingest, simulator, store};

use scratch::Scratch;

/// A function that takes bytes from outside.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders below `fuzz/`.
pub const TARGETS: [(&str, Target); 13] = [
    ("search", search),
    ("names", names),
    ("tasks", tasks),
    ("order", order),
    ("headers", headers),
    ("package", package),
    ("tiff", tiff),
    ("raster", raster),
    ("entry", entry),
    ("netcdf", netcdf),
    ("tables", tables),
    ("snapshot", snapshot),
    ("config", config),
];

fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// A page of the service's search, up to the tree and the documents that are made of it.
pub fn search(bytes: &[u8]) {
    let Some(answer) = json(bytes) else { return };
    tree::check(clms::fuzz::page(answer));
}

/// Names and ids as editors write them: the first line is the dataset's, each further one a file's.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    ingest::fuzz::paths(&text);
    let mut lines = text.split('\n');
    let dataset = lines.next().unwrap_or_default();
    let files: Vec<Value> = lines
        .map(|line| {
            let (id, name) = line.split_once('\t').unwrap_or((line, line));
            serde_json::json!({"@id": id, "file": name, "source": "EEA", "path": "H:\\x.zip", "format": "Geotiff"})
        })
        .collect();
    let record = serde_json::json!({
        "UID": dataset, "id": dataset, "title": dataset, "downloadable_files": {"items": files}
    });
    tree::check(clms::fuzz::page(serde_json::json!([record])));
}

/// A task, or the list of all.
pub fn tasks(bytes: &[u8]) {
    let Some(answer) = json(bytes) else { return };
    for (_, task) in clms::fuzz::tasks(&answer) {
        let _ = task.outcome();
        for link in &task.download_urls {
            assert!(matches!(link.scheme(), "http" | "https"), "{link}");
        }
    }
}

/// The answer to an order: two bytes of status, then the body. A key file has the same form without the status.
pub fn order(bytes: &[u8]) {
    clms::fuzz::key(bytes);
    let Some((status, body)) = bytes.split_first_chunk::<2>() else { return };
    if let Some(answer) = json(body) {
        clms::fuzz::order(u16::from_le_bytes(*status) % 600, &answer);
    }
}

/// Headers of answers, and a compressed body.
pub fn headers(bytes: &[u8]) {
    clms::fuzz::headers(bytes);
}

/// An outer zip. The first byte says whether it is consumed behind the reader. What is unpacked ahead of its directory
/// changes nothing.
pub fn package(bytes: &[u8]) {
    let Some((consume, bytes)) = bytes.split_first() else { return };
    let scratch = Scratch::new();
    let package = scratch.write("package.zip", bytes);
    let (early, target) = (scratch.folder("ahead"), scratch.folder("unpacked"));
    let members = ingest::fuzz::unpack_ahead(bytes, &early);
    let inner = scratch.path("inner.zip");
    let with_help = ingest::fuzz::unpack(&package, &target, &inner, false, Some((&early, &members)));
    let helped: Vec<_> = scratch
        .files(&target)
        .into_iter()
        .map(|file| (std::fs::read(target.join(&file)).ok(), file))
        .collect();

    let scratch = Scratch::new();
    let package = scratch.write("package.zip", bytes);
    let target = scratch.folder("unpacked");
    let files = ingest::fuzz::unpack(&package, &target, &scratch.path("inner.zip"), consume % 2 == 1, None);
    let found = scratch.files(&target);
    if consume % 2 == 0 {
        assert_eq!(with_help, files, "with and without what was unpacked ahead");
    }
    if let Ok(files) = files {
        assert_eq!(files, found, "what is told is what lies there");
        for (content, file) in helped {
            assert_eq!(content, std::fs::read(target.join(&file)).ok(), "{file}");
        }
    }
    let size: u64 = found.iter().map(|file| scratch.size(&target.join(file))).sum();
    assert!(size <= ingest::fuzz::ROOM && found.len() as u64 <= ingest::fuzz::MEMBERS, "{size} bytes");
    let outside = scratch.names();
    let expected = |name: &String| ["package.zip", "unpacked", "inner.zip"].contains(&name.as_str());
    assert!(outside.iter().all(expected), "nothing lies outside of the target: {outside:?}");
}

/// A TIFF of a package, as it is looked at before GDAL opens it.
pub fn tiff(bytes: &[u8]) {
    let scratch = Scratch::new();
    ingest::fuzz::tiff(bytes, &scratch.write("fuzz.tif", bytes));
}

/// A raster file of the cache, tile by tile, where one of 900 by 600 pixels is expected.
pub fn raster(bytes: &[u8]) {
    let scratch = Scratch::new();
    let path = scratch.write("raster", bytes);
    let Ok(raster) = RasterFile::open(&path, &store::fixture::classes("r", 900, 600)) else { return };
    let _ = raster.verify_index();
    for level in 0..raster.levels() {
        for (band, row) in
            (0..raster.bands()).flat_map(|band| (0..raster.rows(level)).map(move |row| (band, row)))
        {
            let whole = raster.row(level, band, row);
            for column in 0..raster.columns(level) {
                let alone = raster.tile(TileId { level, band, row, column });
                if let Ok(Some(range)) = &alone {
                    let end = range.offset.checked_add(range.length).expect("it lies in the file");
                    assert!(range.length > 0 && end <= bytes.len() as u64, "{range:?}");
                }
                if let (Ok(whole), Ok(alone)) = (&whole, &alone) {
                    assert_eq!(&whole[column as usize], alone, "both ways of asking agree");
                }
            }
        }
    }
}

/// The description of an entry of the cache.
pub fn entry(bytes: &[u8]) {
    let scratch = Scratch::new();
    scratch.write("zarr.json", bytes);
    let Ok(meta) = store::entry_dir::read_meta(scratch.root()) else { return };
    for raster in &meta.rasters {
        assert!(store::entry_dir::raster_path(scratch.root(), raster).starts_with(scratch.root()));
        assert!(!raster.name.contains('/') && raster.name != "..");
    }
    for original in &meta.originals {
        assert!(!original.path.split('/').any(|part| part == "..") && !original.path.starts_with('/'));
    }
    let text =
        serde_json::to_vec(&serde_json::json!({"attributes": {"clmsfs": meta}})).expect("it came from JSON");
    scratch.write("zarr.json", &text);
    let again = store::entry_dir::read_meta(scratch.root()).expect("what is read can be written and read");
    assert_eq!(again, meta);
}

/// The head of a classic netCDF; a text is taken for units, calendar and values of a time axis.
pub fn netcdf(bytes: &[u8]) {
    ingest::fuzz::netcdf(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        ingest::fuzz::times(text);
    }
}

/// Names and colours of classes.
pub fn tables(bytes: &[u8]) {
    ingest::fuzz::tables(bytes);
}

/// The catalogue as it lies in the cache.
pub fn snapshot(bytes: &[u8]) {
    let scratch = Scratch::new();
    let path = scratch.write("catalog.json", bytes);
    let Ok(catalog) = catalog::Catalog::load(&path) else { return };
    for dataset in catalog.datasets() {
        let _ = dataset.load();
    }
}

/// A configuration file, and a scenario of the simulator.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    config::fuzz::file(text);
    let _ = simulator::Scenario::from_toml(text);
}
