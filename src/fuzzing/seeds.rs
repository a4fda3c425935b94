//! Seeds: small inputs of every kind, made by the simulator, by our own writers, or taken from recorded answers of the
//! service. `CLMSFS_WRITE_SEEDS=1 cargo test fuzzing` writes `fuzz/seeds/`; every run passes them to their targets.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::TARGETS;
use crate::catalog::Catalog;
use crate::clms::DatasetRecord;
use crate::config::{PartialSettings, Settings};
use crate::simulator::classic::{Classic, Values};
use crate::store::{entry_dir, fixture};
use crate::{clms, simulator};

/// Larger recorded answers are no seeds.
const LARGEST: usize = 4000;

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_seed_and_everything_that_ever_broke_a_target_passes() {
    let mut found = 0;
    for (name, target) in TARGETS {
        let seeds = inputs(&folder("seeds", name));
        assert!(!seeds.is_empty(), "{name} has no seeds: CLMSFS_WRITE_SEEDS=1 cargo test fuzzing");
        let broke = inputs(&folder("found", name));
        found += broke.len();
        for (path, bytes) in seeds.into_iter().chain(broke) {
            println!("{}", path.display());
            target(&bytes);
            // an input cut in half is another one that must pass
            target(&bytes[..bytes.len() / 2]);
        }
    }
    println!("{found} inputs that once broke a target");
}

#[test]
fn the_fuzzers_know_every_target() {
    let manifest =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let bins = manifest.lines().filter(|line| *line == "[[bin]]").count();
    assert_eq!(bins, TARGETS.len());
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is no target of fuzz/Cargo.toml");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/targets/{name}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("clmsfs::fuzzing::{name}(bytes)")), "{name} calls another one");
    }
}

#[tokio::test]
async fn seeds_can_be_made() {
    let pages = pages().await;
    let records: Vec<DatasetRecord> = pages.iter().flat_map(|page| clms::fuzz::page(page.clone())).collect();
    assert!(records.len() >= 3, "the simulator shows datasets");
    let exchanges = exchanges();
    let mut seeds: Vec<(&str, String, Vec<u8>)> = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        seeds.push(("search", format!("page-{number}"), serde_json::to_vec(page).unwrap()));
    }
    for (number, exchange) in exchanges.iter().enumerate() {
        let (path, status, body) = (&exchange.0, exchange.1, exchange.2.as_bytes());
        let targets = [("@search", "search"), ("@datarequest_post", "order"), ("@datarequest_s", "tasks")];
        let Some((_, target)) = targets.iter().find(|(part, _)| path.contains(part)) else { continue };
        if body.len() <= LARGEST {
            let status = if *target == "order" { status.to_le_bytes().to_vec() } else { Vec::new() };
            seeds.push((target, format!("recorded-{number}"), [&status[..], body].concat()));
        }
    }
    for (target, name, bytes) in made(records) {
        seeds.push((target, name.to_owned(), bytes));
    }
    for (name, target) in TARGETS {
        let of_target: Vec<_> = seeds.iter().filter(|(seed, ..)| *seed == name).collect();
        assert!(!of_target.is_empty(), "no seed for {name}");
        for (_, seed, bytes) in of_target {
            target(bytes);
            if std::env::var_os("CLMSFS_WRITE_SEEDS").is_some() {
                std::fs::create_dir_all(folder("seeds", name)).unwrap();
                std::fs::write(folder("seeds", name).join(seed), bytes).unwrap();
            }
        }
    }
}

/// Pages of the simulator's search, of one dataset each.
async fn pages() -> Vec<Value> {
    let simulator = simulator::start(simulator::Options::default()).await.unwrap();
    let mut pages = Vec::new();
    for start in 0..4 {
        let query = format!("portal_type=DataSet&fullobjects=1&b_size=1&b_start={start}");
        let url = format!("{}/@search?{query}", simulator.api());
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
        let text = answer.header("Accept", "application/json").send().await.unwrap().text().await.unwrap();
        pages.push(serde_json::from_str(&text).unwrap());
    }
    simulator.shutdown().await;
    pages
}

/// Path, status and body of the recorded answers.
fn exchanges() -> Vec<(String, u16, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clms/exchanges.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text =
            |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = line.pointer("/response/status").and_then(Value::as_u64).unwrap() as u16;
        (text("/request/path"), status, text("/response/body"))
    };
    text.lines().map(read).collect()
}

/// What our own writers make.
fn made(records: Vec<DatasetRecord>) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let meta = fixture::meta("r", vec![fixture::classes("r", 900, 600)]);
    fixture::write_entry(dir.path(), &meta);
    let raster = std::fs::read(entry_dir::raster_path(dir.path(), &meta.rasters[0])).unwrap();
    let description = read("zarr.json");
    let fetched = "2026-11-25T00:00:00Z".parse().unwrap();
    Catalog::from_records(records, fetched).unwrap().save(&dir.path().join("catalog.json")).unwrap();
    let settings = Settings::resolve(&PartialSettings::default(), |_| None, None).unwrap().to_toml(false);
    let rule = "\n[[rule]]\nname = \"mine\"\nprocess = [\"cat\", \"g*\"]\nuid = 1000\npath = \"clc*/**\"\naction = \"deny\"\n";
    let scenario = "queued = \"2s\"\n\n[[fault]]\nendpoint = \"search\"\nstatus = 503\ntimes = 2\n";
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"items\": []}").unwrap();
        encoder.finish().unwrap()
    };
    let headers = "Date: Wed, 25 Nov 2026 12:00:00 GMT\nRetry-After: 30\nContent-Range: bytes 5-9/10\n\
                   Content-Length: 5\nContent-Encoding: gzip\nLocation: https://land.copernicus.eu/a.zip\n\n";
    let names = "clc2018\nid-1\tU2018_CLC2018_V2020_20u1.tif.zip\nid-2\tU2018_CLC2018_V2020_20u1\nid-3\t~2\n";
    let paths = "DATA/x_20210101.tif\nDATA/x_20210102.tif\nDATA/a.gdb/gdb\nDATA/TCD_E44N29.tif\nDATA/TCD_E45N29.tif\n";
    let style = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'><qgis><pipe><rasterrenderer><colorPalette>\
                 <paletteEntry value=\"1\" color=\"#e6004d\" label=\"Urban\" alpha=\"255\"/></colorPalette>\
                 </rasterrenderer></pipe></qgis>";
    let export = "# QGIS Generated Color Map Export File\nINTERPOLATION:EXACT\n1,230,0,77,255,Urban fabric\n";
    vec![
        ("raster", "classes", raster),
        ("entry", "classes", description),
        ("snapshot", "sample", read("catalog.json")),
        ("config", "defaults", settings.into_bytes()),
        ("config", "rule", rule.as_bytes().to_vec()),
        ("config", "scenario", scenario.as_bytes().to_vec()),
        ("headers", "download", headers.as_bytes().to_vec()),
        ("headers", "wrapped", [b"Content-Encoding: gzip\n\n", &gzip[..]].concat()),
        ("names", "namesakes", names.as_bytes().to_vec()),
        ("names", "paths", paths.as_bytes().to_vec()),
        ("tables", "style", style.as_bytes().to_vec()),
        ("tables", "export", export.as_bytes().to_vec()),
        ("tables", "clr", b"1 230 0 77\n2, 255, 0, 0, 128\n".to_vec()),
        ("tables", "dbf", dbf()),
        ("netcdf", "classic", classic()),
        ("netcdf", "days", b"days since 1970-01-01 00:00:0.0\nstandard\n0\n18628.5\n".to_vec()),
        ("netcdf", "months", b"months since 2000-1-1\n360_day\n1\n13\n".to_vec()),
        ("package", "service", [&[0][..], &zipped(&[("Results/a.zip", inner())])].concat()),
        ("package", "flat", [&[1][..], &inner()].concat()),
        ("package", "streamed", [&[0][..], &streamed()].concat()),
        ("tiff", "big", bigtiff()),
        ("tiff", "small", smalltiff(true)),
        ("tiff", "motorola", smalltiff(false)),
        ("tasks", "linked", serde_json::to_vec(&task()).unwrap()),
        ("order", "key", br#"{"client_id": "c", "user_id": "u", "token_uri": "https://x/", "private_key": "-----BEGIN RSA PRIVATE KEY-----"}"#.to_vec()),
    ]
}

/// A zip whose writer could not go back: lengths and checksums come behind the members.
fn streamed() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new_stream(Vec::new());
    for name in ["a/a.tif", "a/b.xml"] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(b"content of a file").unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn task() -> Value {
    json!({"1": {
        "Status": "Finished_ok", "DownloadURL": "/fme/1.zip", "FileSize": 5, "FMETaskId": "7",
        "Datasets": [{"DatasetID": "d", "FileID": "f"}], "FinalizationDateTime": "2026-11-25T10:00:00"
    }})
}

fn classic() -> Vec<u8> {
    let mut file = Classic::default();
    let (y, x) = (file.dimension("y", 2), file.dimension("x", 3));
    file.variable("x", &[x], &[("units", Values::text("degrees_east"))], Values::Doubles(vec![1.0; 3]));
    file.variable("v", &[y, x], &[], Values::Ints(vec![3; 6]));
    file.bytes()
}

fn zipped(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let stored = name.ends_with(".zip");
        let method = if stored { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        zip.start_file(*name, options.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn inner() -> Vec<u8> {
    zipped(&[("a/DATA/a.tif", smalltiff(true)), ("a/Metadata/a.xml", b"<a/>".to_vec())])
}

/// One table of a number and a name.
fn dbf() -> Vec<u8> {
    let mut bytes = vec![3, 126, 1, 1, 1, 0, 0, 0, 97, 0, 16, 0];
    bytes.resize(32, 0);
    for (name, kind, length) in [("VALUE", b'N', 5_u8), ("LABEL", b'C', 10)] {
        let mut field = name.as_bytes().to_vec();
        field.resize(11, 0);
        field.push(kind);
        field.resize(16, 0);
        field.push(length);
        field.resize(32, 0);
        bytes.extend(field);
    }
    bytes.push(0x0D);
    bytes.extend(b"     1Urban     \x1A");
    bytes
}

/// The fields of a tiny raster: width, height, bits, compression, a text.
fn fields() -> Vec<(u16, u16, u64, Vec<u8>)> {
    vec![
        (256, 3, 1, vec![16, 0]),
        (257, 3, 1, vec![16, 0]),
        (258, 3, 1, vec![8, 0]),
        (259, 3, 1, vec![1, 0]),
        (42_113, 2, 12, b"255.00000000".to_vec()),
    ]
}

fn bigtiff() -> Vec<u8> {
    let mut out = vec![b'I', b'I', 43, 0, 8, 0, 0, 0];
    out.extend(16_u64.to_le_bytes());
    out.extend((fields().len() as u64).to_le_bytes());
    let mut place = 16 + 8 + 20 * fields().len() as u64 + 8;
    let mut values = Vec::new();
    for (tag, kind, count, bytes) in fields() {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        if bytes.len() <= 8 {
            out.extend([&bytes[..], &vec![0; 8 - bytes.len()]].concat());
        } else {
            out.extend(place.to_le_bytes());
            place += bytes.len() as u64;
            values.extend(bytes);
        }
    }
    out.extend(0_u64.to_le_bytes());
    out.extend(values);
    out
}

fn smalltiff(little: bool) -> Vec<u8> {
    let short = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
    let long = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut out = if little { b"II".to_vec() } else { b"MM".to_vec() };
    out.extend(short(42));
    out.extend(long(8));
    out.extend(short(fields().len() as u16));
    let mut place = 8 + 2 + 12 * fields().len() as u32 + 4;
    let mut values = Vec::new();
    for (tag, kind, count, bytes) in fields() {
        out.extend(short(tag));
        out.extend(short(kind));
        out.extend(long(count as u32));
        if kind == 3 {
            out.extend(short(u16::from_le_bytes([bytes[0], bytes[1]])));
            out.extend([0, 0]);
        } else {
            out.extend(long(place));
            place += bytes.len() as u32;
            values.extend(bytes);
        }
    }
    out.extend(long(0));
    out.extend(values);
    out
}
