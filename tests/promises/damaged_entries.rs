//! A damaged entry is never served: sizes and index checksums are proven at its first open after a start, everything by
//! `clmsfs cache verify`. It is thrown away and fetched again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::faulty::{Fault, FaultyDisk};
use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// A product in the cache, and its mount, at an end.
struct Shelf {
    mount: Mount,
    /// What GDAL says of the pixels of the source. The bytes of two conversions may differ: tiles lie as they were done.
    sums: Vec<String>,
    entry: PathBuf,
    simulator: Simulator,
    stage: Stage,
}

fn shelf() -> Option<Shelf> {
    shelf_with("true")
}

fn shelf_with(passthrough: &str) -> Option<Shelf> {
    let stage = Stage::shared()?;
    let source = Package::new("one", Pixels::Classes, 1100).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let passthrough = format!("--passthrough={passthrough}");
    let mut mount = stage.mount(&simulator).switch(&passthrough).start();
    mount.cat("one").success();
    let entries: Vec<_> = std::fs::read_dir(mount.cache().join("rasters")).unwrap().collect();
    assert_eq!(entries.len(), 1);
    let entry = entries[0].as_ref().unwrap().path();
    mount.terminate();
    Some(Shelf { mount, sums: raster::checksums(&source), entry, simulator, stage })
}

impl Shelf {
    /// The pixels that a reader gets.
    #[track_caller]
    fn served(&self) -> Vec<String> {
        self.mount.cat("one").success();
        raster::checksums(&self.mount.tif("one"))
    }
}

/// All files of an entry.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The raster file of an entry.
fn raster_file(entry: &Path) -> PathBuf {
    let found = files(entry).into_iter().find(|path| path.to_string_lossy().contains("/c/0/"));
    found.expect("an entry has a raster")
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn shorten(path: &Path, by: u64) {
    let file = File::options().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size.saturating_sub(by)).unwrap();
}

#[test]
fn what_is_truncated_or_missing_is_noticed_at_the_first_open_after_a_start() {
    let Some(mut shelf) = shelf() else { return };
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 8] = [
        ("a byte is missing at the end", |entry| shorten(&raster_file(entry), 1)),
        ("half is missing", |entry| {
            let path = raster_file(entry);
            shorten(&path, std::fs::metadata(&path).unwrap().len() / 2);
        }),
        ("nothing is left", |entry| shorten(&raster_file(entry), u64::MAX)),
        ("a bit of the index", |entry| {
            let path = raster_file(entry);
            flip(&path, std::fs::metadata(&path).unwrap().len() - 7);
        }),
        ("the raster is gone", |entry| std::fs::remove_file(raster_file(entry)).unwrap()),
        ("the description is gone", |entry| std::fs::remove_file(entry.join("zarr.json")).unwrap()),
        ("the description is cut", |entry| shorten(&entry.join("zarr.json"), 10)),
        ("a side file is cut", |entry| {
            let originals = files(&entry.join("original"));
            shorten(&originals[0], 1);
        }),
    ];
    for (number, (what, damage)) in damages.iter().enumerate() {
        damage(&shelf.entry);
        shelf.mount.start_again();
        assert_eq!(shelf.served(), shelf.sums, "{what}: other pixels were served");
        let requests = shelf.simulator.requests();
        assert_eq!(requests.downloads("one"), number as u64 + 2, "{what}: it was not fetched again");
        let told = shelf.mount.log().matches("a cache entry is damaged").count();
        assert_eq!(told, number + 1, "{what}: the log does not say so");
        wait::until_true("the damaged one is gone", || shelf.mount.staging().is_empty());
        shelf.mount.terminate();
    }
    // the package is brought again, not ordered again: the task was paid for
    let posts = shelf.simulator.requests().posts("one");
    assert_eq!(posts, 1, "{:?}", shelf.simulator.requests());
}

#[test]
fn verify_finds_a_flipped_bit_wherever_it_is() {
    let Some(mut shelf) = shelf() else { return };
    shelf.mount.start_again();
    shelf.mount.run(&["cache", "verify", "data/one"]).success();
    // Five places in each file, the first and the last byte among them; the unit tests of the seal try all.
    let mut places: Vec<(PathBuf, u64)> = Vec::new();
    for path in files(&shelf.entry) {
        let size = std::fs::metadata(&path).unwrap().len();
        places.extend((0..=4).map(|step| (path.clone(), (size - 1) * step / 4)));
    }
    places.dedup();
    let mut unnoticed = Vec::new();
    for (path, at) in &places {
        flip(path, *at);
        let proof = shelf.mount.run(&["cache", "verify", "data/one"]);
        if proof.status.success() {
            unnoticed.push(format!("{} at {at}", path.strip_prefix(&shelf.entry).unwrap().display()));
            flip(path, *at);
            continue;
        }
        assert!(proof.stderr.contains("fetched again"), "{}", proof.stderr);
        assert_eq!(shelf.mount.state("one"), "cold", "it is out of service");
        assert_eq!(shelf.served(), shelf.sums, "{} at {at}", path.display());
    }
    assert!(unnoticed.is_empty(), "{} of {} unnoticed: {unnoticed:#?}", unnoticed.len(), places.len());
    assert_eq!(shelf.simulator.requests().posts("one"), 1, "the package is brought again, not ordered again");
}

#[test]
fn a_damaged_entry_that_is_open_is_told_from_its_successor() {
    for passthrough in ["true", "false"] {
        let Some(mut shelf) = shelf_with(passthrough) else { return };
        shelf.mount.start_again();
        let held = File::open(shelf.mount.tif("one")).unwrap();
        flip(&raster_file(&shelf.entry), 1000);
        let proof = shelf.mount.run(&["cache", "verify", "data/one"]);
        assert!(!proof.status.success(), "{}", proof.text());
        let mut successor = File::open(shelf.mount.tif("one")).unwrap();
        // Its bytes, damaged as they are, must not get into the pages of the other one.
        std::io::copy(&mut &held, &mut std::io::sink()).unwrap();
        assert_eq!(shelf.served(), shelf.sums, "--passthrough={passthrough}");
        let copy = shelf.stage.folder().join("copy.tif");
        std::io::copy(&mut successor, &mut File::create(&copy).unwrap()).unwrap();
        assert_eq!(raster::checksums(&copy), shelf.sums, "--passthrough={passthrough}");
    }
}

/// A proof is a look, and one for which nobody waits any more ends.
#[test]
fn a_verification_is_no_use_and_ends_with_the_one_who_asked_for_it() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Noise, 4000).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    mount.cat("one").success();
    let line = || mount.json(&["cache", "ls"])[0].clone();
    wait::until_true("its reader is gone", || line()["readers"] == 0);
    let last_use = line()["last_use"].clone();
    disk.fails([Fault::slow("/c/0/0", Duration::ZERO)]);
    mount.run(&["cache", "verify"]).success();
    let whole = disk.mend();
    assert_eq!(line()["last_use"], last_use);

    disk.fails([Fault::slow("/c/0/0", Duration::from_millis(100))]);
    let client = Reader::spawn(mount.verb(&["cache", "verify"]));
    wait::until_true("it is under way", || disk.struck() > 0);
    client.signal(libc::SIGKILL);
    client.finish();
    wait::until_true("it ends", || line()["readers"] == 0);
    assert!(disk.mend() < whole / 2, "of {whole} reads");
}
