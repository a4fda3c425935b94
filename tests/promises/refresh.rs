//! `clmsfs fetch --refresh`: what is here is served until the newer one takes its place, and whoever reads keeps the
//! bytes that he opened.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use zip::write::SimpleFileOptions;

use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// An open file with all bytes that it must give for ever.
struct Kept {
    file: File,
    bytes: Vec<u8>,
}

impl Kept {
    fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Self { file, bytes }
    }

    #[track_caller]
    fn is_unchanged(&self) {
        assert_eq!(self.file.metadata().unwrap().len(), self.bytes.len() as u64);
        let mut again = vec![1; self.bytes.len()];
        self.file.read_exact_at(&mut again, 0).unwrap();
        assert!(again == self.bytes, "other bytes than when it was opened");
    }
}

fn refreshed(mount: &Mount) {
    mount.run(&["fetch", "--refresh", "data/p"]).success();
}

/// The `.tif` is read by the kernel itself (where it can), the chunk of the Zarr through the page cache of the mount.
#[test]
fn readers_keep_what_they_opened() {
    let Some(stage) = Stage::shared() else { return };
    let old = Package::new("p", Pixels::Classes, 1500).write(&stage.data());
    let wanted = raster::checksums(&old);
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let (tif, chunk) = (mount.tif("p"), mount.zarr("p").join("band/1/1"));
    assert_eq!(raster::checksums(&tif), wanted);
    let (kept, kept_chunk) = (Kept::open(&tif), Kept::open(&chunk));
    let ino = tif.metadata().unwrap().ino();

    // Larger, and of another type: nothing of the old file can pass for the new one.
    let new = Package::new("p", Pixels::Floats, 1700).write(&stage.data());
    let newer = raster::checksums(&new);
    simulator.reset_when_quiet();
    refreshed(&mount);
    assert_eq!(simulator.requests().posts("p"), 1, "an order of its own");
    kept.is_unchanged();
    kept_chunk.is_unchanged();
    assert_eq!(raster::checksums(&tif), newer);
    assert_ne!(std::fs::read(&chunk).unwrap(), kept_chunk.bytes);
    assert_ne!(tif.metadata().unwrap().ino(), ino, "another file under the same name");
    assert_eq!(tif.metadata().unwrap().len(), std::fs::read(&tif).unwrap().len() as u64);
    // Reading the newer one has not put its pages into the older one.
    kept.is_unchanged();
    kept_chunk.is_unchanged();
    assert_eq!(mount.state("p"), "ready");

    // And a smaller one.
    let third = Package::new("p", Pixels::Classes, 300).write(&stage.data());
    refreshed(&mount);
    kept.is_unchanged();
    assert_eq!(raster::checksums(&tif), raster::checksums(&third));
    assert!(!chunk.exists(), "it has one chunk only");
    kept.is_unchanged();
    kept_chunk.is_unchanged();
}

#[test]
fn what_is_here_is_served_while_the_newer_one_comes_and_when_it_does_not() {
    let Some(stage) = Stage::shared() else { return };
    let old = Package::new("p", Pixels::Classes, 300).write(&stage.data());
    let wanted = raster::checksums(&old);
    let simulator: Simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    assert_eq!(raster::checksums(&mount.tif("p")), wanted);
    simulator.scenario("queued = '1h'");
    let waiting = Reader::spawn(mount.verb(&["fetch", "--refresh", "data/p"]));
    wait::until_true("it is ordered", || simulator.requests().posts("p") == 2);
    assert_eq!(mount.state("p"), "ready");
    assert_eq!(raster::checksums(&mount.tif("p")), wanted);
    mount.run(&["cancel", "data/p"]).success();
    let told = waiting.finish();
    assert!(!told.status.success(), "no newer one came");
    assert_eq!(mount.state("p"), "ready");
    assert_eq!(raster::checksums(&mount.tif("p")), wanted);
}

/// A package with a raster for each date; `values` decides what they hold.
fn dated(stage: &Stage, dates: &[(&str, Pixels)]) {
    let mut zip = zip::ZipWriter::new(File::create(stage.data().join("p.zip")).unwrap());
    for (date, pixels) in dates {
        let folder = tempfile::tempdir().unwrap();
        let source = Package::new("ST", *pixels, 700).write(folder.path());
        zip.start_file(format!("p/{date}/ST.tif"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(source).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_date_more_costs_that_date_only() {
    let Some(stage) = Stage::shared() else { return };
    let (one, other) = (Pixels::Classes, Pixels::Noise);
    dated(&stage, &[("20210101", one), ("20210111", one)]);
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("p").success();
    let before = raster::checksums(&mount.tif("p"));
    dated(&stage, &[("20210101", one), ("20210111", one), ("20210121", other)]);
    refreshed(&mount);
    let after = raster::checksums(&mount.tif("p"));
    assert_eq!((before.len(), after.len()), (2, 3));
    assert_eq!((&after[..2], after[2] == after[0]), (&before[..], false));
    assert!(mount.log().contains("copied from the former entry"), "{}", mount.log());
    // 2×2 tiles and one overview for each of the two dates.
    assert!(mount.log().contains("dates=2 tiles=10"), "{}", mount.log());
}
