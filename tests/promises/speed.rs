//! What is here is read at the speed of a local file: ratios inside one run, so that the machine does not matter.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Stage};

/// Ways to read, and the share of the local disk's speed below which something is broken; that leaves room for whatever else the
/// machine does. A working mount reaches 0.8 and more with passthrough. Without, the kernel keeps single pages for FUSE where it has
/// large ones for the disk: that was 0.47 to 0.62 of this file, and 0.19 when no pages were kept from one open to the next.
const WAYS: [(&str, f64); 2] = [("true", 0.5), ("false", 0.3)];
/// Rounds; the best of each side count, since nothing makes a read faster than it is.
const ROUNDS: usize = 9;
/// Times that the file is read in a round.
const READS: usize = 3;

#[test]
fn a_warm_geotiff_is_read_as_fast_as_the_file_in_the_cache() {
    let Some(stage) = Stage::alone() else { return };
    // Noise does not compress: the file is as large as its pixels.
    Package::new("noise", Pixels::Noise, 5000).write(&stage.data());
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    for (passthrough, least) in WAYS {
        let mount = stage.mount(&simulator).flag("-o", format!("passthrough={passthrough}")).start();
        mount.cat("noise").success();
        let (tif, cached) = (mount.tif("noise"), largest_file(&mount));
        assert_eq!(std::fs::read(&tif).unwrap(), std::fs::read(&cached).unwrap());
        let (ours, local) = best(|| read(&tif), || read(&cached));
        let ratio = local.as_secs_f64() / ours.as_secs_f64();
        println!("passthrough {passthrough}: {ratio:.2} × the local file ({ours:?}, {local:?})");
        assert!(ratio >= least, "passthrough {passthrough}: {ours:?} against {local:?}");
    }
}

/// The shortest time of each of two works, in turns.
fn best(ours: impl Fn() -> Duration, local: impl Fn() -> Duration) -> (Duration, Duration) {
    let mut shortest = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        shortest.0 = shortest.0.min(ours());
        shortest.1 = shortest.1.min(local());
    }
    shortest
}

fn read(path: &Path) -> Duration {
    let mut buffer = vec![0; 1 << 20];
    let start = Instant::now();
    for _ in 0..READS {
        let mut file = File::open(path).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
    }
    start.elapsed()
}

fn largest_file(mount: &Mount) -> PathBuf {
    let mut folders = vec![mount.cache().join("rasters")];
    let mut largest = (0, PathBuf::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                largest = largest.max((metadata.len(), entry.path()));
            }
        }
    }
    largest.1
}
