//! The catalogue changes behind a mount's back, and nobody loses what he works with.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::packages::Pixels;
use crate::support::proxy::Proxy;
use crate::support::wait::until_true;
use crate::support::{Package, Stage, raster};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";

/// The next mount reads the catalogue anew.
fn make_old(snapshot: &Path) {
    let yesterday = SystemTime::now() - Duration::from_secs(30 * 3600);
    File::options().write(true).open(snapshot).unwrap().set_modified(yesterday).unwrap();
}

#[test]
fn what_the_service_withdraws_stays_while_it_is_in_the_cache() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["kept", "gone"] {
        Package::new(name, Pixels::Classes, 300).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let bytes = mount.cat("kept").success().stdout;
    let snapshot = mount.cache().join("catalog.json");
    drop((mount, simulator));

    for name in ["kept", "gone"] {
        fs::remove_file(stage.data().join(format!("{name}.zip"))).unwrap();
    }
    Package::new("fresh", Pixels::Classes, 300).write(&stage.data());
    make_old(&snapshot);
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let data = mount.point().join("data");
    until_true("the catalogue is refreshed", || data.join("fresh").exists());
    let mut names: Vec<String> =
        fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["collection.json", "fresh", "kept", "metadata.json"]);
    assert!(mount.cat("kept").success().stdout == bytes);
    assert_eq!(mount.state("kept"), "ready");
    let metadata = fs::read_to_string(data.join("metadata.json")).unwrap();
    assert_eq!(metadata.matches("clmsfs:withdrawn").count(), 1);
    assert_eq!(simulator.requests().count("post"), 0);
}

/// The name that was written down when it was fetched was shown for ever, and led to another product by then.
#[test]
fn what_the_cache_holds_is_listed_by_the_name_that_it_has_now() {
    let Some(stage) = Stage::shared() else { return };
    let offer = |zip: &str, id: &str| {
        Package::new(zip, Pixels::Classes, 64).write(&stage.data());
        let record = serde_json::json!({"file": "same", "@id": id}).to_string();
        fs::write(stage.data().join(format!("{zip}.json")), record).unwrap();
    };
    offer("first", "20000000-0000-4000-8000-000000000000");
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("same").success();
    let snapshot = mount.cache().join("catalog.json");
    drop((mount, simulator));

    // of namesakes the one with the smallest id has the plain name
    offer("second", "10000000-0000-4000-8000-000000000000");
    make_old(&snapshot);
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.product("same~2");
    let shown = || mount.json(&["cache", "ls"])[0]["path"].as_str().unwrap().to_owned();
    until_true("its present name", || shown() == "data/same~2");
    mount.run(&["cache", "pin", &shown()]).success();
    assert_eq!((mount.state("same~2"), mount.attribute("same~2", "pinned")), ("ready".into(), "1".into()));
    assert_eq!((mount.state("same"), mount.attribute("same", "pinned")), ("cold".into(), "0".into()));
}

/// A package `p` whose file has this id.
fn published(folder: &Path, id: &str, pixels: Pixels, side: usize) -> Vec<String> {
    let source = Package::new("p", pixels, side).write(folder);
    fs::write(folder.join("p.json"), format!(r#"{{"@id": "{id}"}}"#)).unwrap();
    raster::checksums(&source)
}

/// The service publishes a product anew under another id. The former one, which is in the cache, becomes `p~2`.
#[test]
fn a_name_that_passes_to_another_product_leads_to_that_ones_bytes() {
    let Some(stage) = Stage::shared() else { return };
    let former = published(&stage.data(), "ffffffff-0000-4000-8000-000000000002", Pixels::Classes, 700);
    let before = stage.simulator(QUICK);
    let mut wire = Proxy::start(before.authority());
    let api = before.api().replace(before.authority(), &wire.authority());
    let mount = stage.mount(&before).api(&api).flag("--catalog-ttl", "10s").start();
    let tif = mount.tif("p");
    assert_eq!(raster::checksums(&tif), former);
    let bytes = fs::read(&tif).unwrap();
    let (held, ino) = (File::open(&tif).unwrap(), fs::metadata(&tif).unwrap().ino());

    let data = stage.folder().join("anew");
    let newer = published(&data, "00000000-0000-4000-8000-000000000001", Pixels::Floats, 900);
    let after = stage.simulator_of(&data, QUICK);
    wire.lead_to(after.authority());
    let moved = mount.point().join("data/p~2/p~2.tif");
    until_true("the catalogue is refreshed", || moved.exists());
    // The kernel was told a lasting size; it hears right after the refresh that it holds no more.
    until_true("the name is of the other one", || fs::metadata(&tif).unwrap().ino() != ino);
    assert_eq!(fs::metadata(&tif).unwrap().len(), 0, "it is cold");
    assert_eq!(raster::checksums(&tif), newer);
    assert!(fs::read(&moved).unwrap() == bytes);
    let mut kept = vec![0; bytes.len()];
    assert_eq!(held.metadata().unwrap().len(), bytes.len() as u64);
    held.read_exact_at(&mut kept, 0).unwrap();
    assert!(kept == bytes, "what was open is what it was");
    assert_eq!(after.requests().posts("p"), 1);
}
