//! The catalogue changes behind a mount's back, and nobody loses what he works with.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::packages::Pixels;
use crate::support::wait::until_true;
use crate::support::{Package, Stage};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";

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
    let yesterday = SystemTime::now() - Duration::from_secs(30 * 3600);
    File::options().write(true).open(&snapshot).unwrap().set_modified(yesterday).unwrap();
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
