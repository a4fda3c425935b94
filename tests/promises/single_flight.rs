//! One reader or fifty: one order, one download, one conversion; and nobody who only looks has to wait.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::packages::Pixels;
use crate::support::process::{Reader, run};
use crate::support::{Package, Stage, raster};

#[test]
fn fifty_processes_cause_one_order_and_get_fifty_right_answers() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("wanted", Pixels::Classes, 1500).write(&stage.data());
    let simulator = stage.simulator("queued = '500ms'\nrunning = '500ms'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("wanted");

    let readers: Vec<Reader> = (0..50).map(|_| Reader::start("sha256sum", &[&tif])).collect();
    let answers: Vec<String> = readers.into_iter().map(|reader| reader.finish().success().text()).collect();

    let requests = simulator.requests();
    assert_eq!((requests.posts("wanted"), requests.downloads("wanted")), (1, 1), "{requests:?}");
    let right = run("sha256sum", &[&tif]).success().text();
    for answer in answers {
        assert_eq!(answer, right);
    }
    assert_eq!(raster::checksums(&tif), raster::checksums(&source), "and the answer is the source's pixels");
}

#[test]
fn both_views_of_a_product_share_one_fetch() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 600).write(&stage.data());
    let simulator = stage.simulator("queued = '500ms'\nrunning = '200ms'");
    let mount = stage.mount(&simulator).start();
    let tif = Reader::start("cat", &[mount.tif("wanted")]);
    let zarr = Reader::start("cat", &[mount.zarr("wanted").join("zarr.json")]);
    let fetch = Reader::spawn(mount.verb(&["fetch", "data/wanted"]));
    tif.finish().success();
    zarr.finish().success();
    fetch.finish().success();
    let requests = simulator.requests();
    assert_eq!((requests.posts("wanted"), requests.downloads("wanted")), (1, 1), "{requests:?}");
}

#[test]
fn twenty_cold_files_at_once_while_looking_around_stays_quick() {
    let Some(stage) = Stage::alone() else { return };
    let names: Vec<String> = (0..20).map(|number| format!("tile{number:02}")).collect();
    let sources: Vec<_> =
        names.iter().map(|name| Package::new(name, Pixels::Classes, 700).write(&stage.data())).collect();
    let simulator = stage.simulator("queued = '1s'\nrunning = '1s'");
    let mount = stage.mount(&simulator).start();

    // The same names on the local disk: how long a look takes on this machine, just now, with all that it has to do.
    let twin = stage.folder().join("twin");
    same_names(mount.point(), &twin);
    // Warm: the programs themselves come from disk once.
    look(mount.point());
    look(&twin);
    let mut readers: Vec<Reader> =
        names.iter().map(|name| Reader::start("cat", &[mount.tif(name)])).collect();
    let (mut looks, mut local) = (Vec::new(), Vec::new());
    while readers.iter_mut().any(Reader::runs) {
        looks.extend(look(mount.point()));
        local.extend(look(&twin));
    }
    for (reader, (name, source)) in readers.into_iter().zip(names.iter().zip(&sources)) {
        assert!(!reader.finish().success().stdout.is_empty());
        assert_eq!(simulator.requests().posts(name), 1);
        assert_eq!(raster::checksums(&mount.tif(name)), raster::checksums(source), "{name}");
    }
    looks.sort();
    local.sort();
    let middle = looks.len() / 2;
    println!(
        "{} looks: median {:?}, slowest {:?}; on the local disk {:?} and {:?}",
        looks.len(),
        looks[middle],
        looks[looks.len() - 1],
        local[middle],
        local[looks.len() - 1]
    );
    assert!(looks.len() >= 10, "only {} looks while 20 readers waited", looks.len());
    // 100 ms, or ten times what the local disk's names take where the machine itself is slow; and what else runs may take
    // a core away in the wrong moment: one look in ten may meet that.
    let limit = Duration::from_millis(100).max(local[middle] * 10);
    let slow = looks.iter().filter(|elapsed| **elapsed >= limit).count();
    assert!(slow * 10 <= looks.len(), "{slow} of {} looks took more than {limit:?}: {looks:?}", looks.len());
}

/// Makes the names of a tree anew, as empty files: opening one to copy it would order it.
fn same_names(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copy = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => same_names(&entry.path(), &copy),
            false => drop(std::fs::File::create(copy).unwrap()),
        }
    }
}

fn look(folder: &Path) -> [Duration; 2] {
    let ls = run("ls", &["-lR".as_ref(), folder.as_os_str()]).success().elapsed;
    let df = run("df", &[folder]).success().elapsed;
    [ls, df]
}

#[test]
fn metadata_answers_at_once_while_every_open_waits() {
    let Some(stage) = Stage::shared() else { return };
    for number in 0..40 {
        Package::new(&format!("tile{number:02}"), Pixels::Classes, 64).write(&stage.data());
    }
    // The tasks stay queued: 40 parked opens must not freeze a single stat.
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).start();
    let tifs: Vec<_> = (0..40).map(|number| mount.tif(&format!("tile{number:02}"))).collect();
    let mut readers: Vec<Reader> = tifs.iter().map(|tif| Reader::start("cat", &[tif])).collect();
    crate::support::wait::until_true("forty posted orders", || simulator.requests().count("post") >= 40);
    let round = || {
        let start = Instant::now();
        for tif in &tifs {
            assert_eq!(std::fs::metadata(tif).unwrap().len(), 0);
        }
        start.elapsed()
    };
    let quickest = (0..5).map(|_| round()).min().expect("there were five");
    assert!(quickest < Duration::from_secs(1), "40 stats took {quickest:?} in the quickest of five rounds");
    assert!(readers.iter_mut().all(Reader::runs), "all of them still wait");
}
