//! A disk that turns read-only or answers EIO: readers get EIO at open, never wrong or missing bytes; nothing is deleted on
//! its word; and it goes on by itself once the disk is mended.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::support::disk::SmallDisk;
use crate::support::faulty::{Call, Fault, FaultyDisk};
use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Stage, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

#[track_caller]
fn refused(mount: &Mount, product: &str, words: &[&str]) {
    let error = File::open(mount.tif(product)).map(|_| ()).unwrap_err();
    let reason = mount.attribute(product, "error");
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{product}: {error}; '{reason}'\n{}", mount.log());
    assert!(words.iter().all(|word| reason.contains(word)), "{product}: '{reason}' has not all of {words:?}");
}

#[test]
fn a_read_only_disk_at_the_start_is_refused_with_the_way_out() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    for used in [false, true] {
        disk.fails(Fault::all_writes(libc::EROFS));
        let ended = stage.mount(&simulator).cache(&disk.cache()).refused();
        assert_eq!(ended.status.code(), Some(1));
        let told = &ended.stderr;
        assert!(told.contains("read-only") && told.contains("--cache-dir"), "used: {used}: {told}");
        disk.mend();
        let mount = stage.mount(&simulator).cache(&disk.cache()).start();
        mount.cat("one").success();
    }
}

#[test]
fn a_disk_that_is_really_read_only_at_the_start() {
    let Some(stage) = Stage::shared() else { return };
    let Some(disk) = SmallDisk::image(stage.folder(), 16, &["mkfs.ext4", "-q"], "ro") else { return };
    let simulator = stage.simulator(QUICK);
    let ended = stage.mount(&simulator).cache(&disk.cache()).refused();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("read-only") && ended.stderr.contains("--cache-dir"), "{}", ended.stderr);
}

#[test]
fn a_disk_that_turns_read_only_serves_on_and_is_used_again_afterwards() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    let source = Package::new("wanted", Pixels::Classes, 600).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let kept = mount.cat("here").success().stdout;
    disk.fails(Fault::all_writes(libc::EROFS));
    refused(&mount, "wanted", &["read-only", "ledger"]);
    assert_eq!(simulator.requests().posts("wanted"), 0, "no order that cannot be written down");
    assert!(mount.cat("here").success().stdout == kept);
    disk.mend();
    wait::until_true("it opens once the disk is writable", || mount.cat("wanted").status.success());
    assert_eq!(raster::checksums(&mount.tif("wanted")), raster::checksums(&source));
    assert_eq!(simulator.requests().posts("wanted"), 1);
}

#[test]
fn an_ext4_that_the_kernel_makes_read_only_after_an_error() {
    let Some(stage) = Stage::shared() else { return };
    let mkfs = ["mkfs.ext4", "-q", "-m", "0"];
    let Some(disk) = SmallDisk::image(stage.folder(), 32, &mkfs, "errors=remount-ro") else { return };
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    Package::new("wanted", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let kept = mount.cat("here").success().stdout;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let root = disk.root().to_string_lossy().into_owned();
    let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&root)).unwrap();
    let device = line.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    if let Err(error) = std::fs::write(&trigger, "made by a test of clmsfs") {
        eprintln!("SKIPPED: {trigger}: {error}");
        return;
    }
    refused(&mount, "wanted", &["--cache-dir"]);
    assert_eq!(simulator.requests().posts("wanted"), 0);
    assert!(mount.cat("here").success().stdout == kept, "what is here is served");
}

#[test]
fn eio_while_writing_at_each_stage() {
    let Some(stage) = Stage::shared() else { return };
    let stages = [
        ("download", Call::Write, "/package.part"),
        ("durable", Call::Sync, "/package.part"),
        ("unpack", Call::Write, "/unpacked/"),
        ("reread", Call::Read, "/unpacked/"),
        ("convert", Call::Write, "/entry/"),
        ("sync", Call::Sync, "/entry/"),
        ("publish", Call::Rename, "rasters/"),
        ("books", Call::Write, "ledger.sqlite-wal"),
    ];
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    let sources =
        stages.map(|(name, ..)| Package::new(name, Pixels::Classes, 600).tiles(2).write(&stage.data()));
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let kept = mount.cat("here").success().stdout;
    for (name, call, path) in stages {
        disk.fails([Fault::new(call, path, libc::EIO)]);
        // what cannot be read back may be the producer's fault as well: GDAL does not tell
        refused(&mount, name, if name == "reread" { &[] } else { &["dmesg"] });
        assert!(mount.cat("here").success().stdout == kept, "{name}");
        assert!(disk.mend() > 0, "{name} never met the fault");
        wait::until_true(format!("{name}: an empty staging folder"), || mount.staging().is_empty());
        assert_eq!(std::fs::read_dir(mount.cache().join("rasters")).unwrap().count(), 1, "{name}");
    }
    for ((name, ..), source) in stages.iter().zip(&sources) {
        // the user asks for it: the pause after a failure is not waited for
        mount.run(&["fetch", &format!("data/{name}")]).success();
        assert_eq!(raster::checksums(&mount.tif(name)), raster::checksums(source), "{name}");
        assert_eq!(simulator.requests().posts(name), 1, "{name}");
    }
}

#[test]
fn eio_while_reading_an_entry_is_no_reason_to_delete_it() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Noise, 1500).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    // not through the kernel alone, so that reads are ours
    let mut mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let bytes = mount.cat("one").success().stdout;
    simulator.reset_when_quiet();

    // open already, then the disk fails: an error, never short or other bytes
    let open = File::open(mount.tif("one")).unwrap();
    disk.fails([Fault::new(Call::Read, "/c/0/0", libc::EIO)]);
    let mut buffer = vec![0; bytes.len()];
    let read = open.read_exact_at(&mut buffer, 0);
    assert!(
        read.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EIO)) || buffer == bytes,
        "{read:?}"
    );
    drop(open);
    let ended = mount.cat("one");
    assert!(ended.stdout == bytes || ended.stderr.contains("Input/output error"), "{}", ended.stderr);

    // at the first open after a start the entry cannot be proven
    disk.mend();
    mount.terminate();
    disk.fails([Fault::new(Call::Read, "rasters/", libc::EIO)]);
    mount.start_again();
    let error = File::open(mount.tif("one")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
    let proof = mount.run(&["cache", "verify"]);
    assert!(!proof.status.success(), "{}", proof.text());
    assert!(disk.mend() > 0);
    assert_eq!(mount.state("one"), "ready", "it may be sound, and is not thrown away");
    assert!(mount.cat("one").success().stdout == bytes);
    assert_eq!(simulator.requests().count("post") + simulator.requests().count("download"), 0);
}

/// Descriptions and index can be read, as at an open; bytes of tiles cannot.
#[test]
fn eio_in_a_tile_is_no_reason_to_delete_its_entry() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Noise, 1500).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let bytes = mount.cat("one").success().stdout;
    let middle = bytes.len() as u64 / 2;
    disk.fails([Fault::of_bytes("/c/0/0", middle..middle + 1, libc::EIO)]);
    let proof = mount.run(&["cache", "verify"]);
    assert!(!proof.status.success() && proof.stderr.contains("cannot be read"), "{}", proof.stderr);
    assert!(disk.mend() > 0);
    assert_eq!(mount.state("one"), "ready", "it may be sound, and is not thrown away");
    mount.run(&["cache", "verify"]).success();
    assert!(mount.cat("one").success().stdout == bytes);
    assert_eq!(simulator.requests().downloads("one"), 1);
}

/// btrfs over its quota refuses a rename, which needs room; deleting goes on.
#[test]
fn an_eviction_that_cannot_rename_deletes_in_place_or_says_so_and_keeps_the_entry() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let bytes = mount.cat("one").success().stdout;
    let entries = || std::fs::read_dir(mount.cache().join("rasters")).unwrap().count();
    // once its last reader is gone
    let evict = || {
        wait::until("an answer of the disk", || {
            let evicted = mount.run(&["cache", "evict", "data/one"]);
            (!evicted.stderr.contains("being read")).then_some(evicted)
        })
    };

    disk.fails([Fault::new(Call::Rename, "/.trash-", libc::EIO)]);
    let refused = evict();
    assert!(!refused.status.success() && refused.stderr.contains("dmesg"), "{}", refused.stderr);
    assert_eq!((mount.state("one").as_str(), entries()), ("ready", 1));
    assert!(mount.cat("one").success().stdout == bytes);

    disk.fails([Fault::new(Call::Rename, "/.trash-", libc::EDQUOT)]);
    evict().success();
    assert_eq!((mount.state("one").as_str(), entries()), ("cold", 0));
    assert!(disk.mend() > 0);
}
