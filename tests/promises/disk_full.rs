//! A full disk, a used-up quota, no inodes left: the reader is told ENOSPC at open, the message names the disk and the way
//! out, what is here is served on, nothing half is kept, and it goes on by itself when there is room again.

use std::path::PathBuf;

use crate::support::disk::{SmallDisk, skip};
use crate::support::faulty::{Call, Fault, FaultyDisk};
use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Mount, Package, Stage, process, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// Opening the product fails with that errno; the reason has all the words and is told by `status`, too.
#[track_caller]
fn refused(mount: &Mount, product: &str, errno: i32, words: &[&str]) -> String {
    let error = match std::fs::File::open(mount.tif(product)) {
        Err(error) => error,
        Ok(_) => panic!("{product} opened"),
    };
    let reason = mount.attribute(product, "error");
    assert_eq!(error.raw_os_error(), Some(errno), "{product}: {error}; '{reason}'\n{}", mount.log());
    assert!(words.iter().all(|word| reason.contains(word)), "{product}: '{reason}' has not all of {words:?}");
    assert_eq!(mount.state(product), "failed");
    let status = mount.json(&["status"]).to_string();
    let quoted = serde_json::to_string(&reason).unwrap();
    assert!(
        status.contains(quoted.trim_matches('"')),
        "status does not give the reason '{reason}':\n{status}"
    );
    reason
}

/// Nothing of a failed fetch is left.
#[track_caller]
fn clean(mount: &Mount) {
    wait::until_true("an empty staging folder", || mount.staging().is_empty());
}

/// Where a fetch may meet the full disk: what is written then, and how.
const STAGES: [(&str, Call, &str); 6] = [
    ("download", Call::Write, "/package.part"),
    ("unpack", Call::Write, "/unpacked/"),
    ("convert", Call::Write, "/entry/"),
    ("sync", Call::Sync, "/entry/"),
    ("publish", Call::Rename, "rasters/"),
    ("books", Call::Write, "ledger.sqlite-wal"),
];

/// The fetch meets the errno at the stages; each time only it suffers, and afterwards it succeeds without a second order.
fn at_each_stage(stages: &[(&str, Call, &str)], errno: i32, words: &[&str]) {
    let Some(stage) = Stage::shared() else { return };
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    let package = |(name, ..): &(&str, Call, &str)| {
        Package::new(name, Pixels::Classes, 600).tiles(2).write(&stage.data())
    };
    let sources: Vec<_> = stages.iter().map(package).collect();
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let kept = mount.cat("here").success().stdout;
    let names = |mount: &Mount| {
        let entries = std::fs::read_dir(mount.cache().join("rasters")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let before = names(&mount);

    for (name, call, path) in stages {
        disk.fails([Fault::new(*call, path, errno)]);
        let cache = disk.cache().to_string_lossy().into_owned();
        let words: Vec<&str> = words.iter().copied().chain([&*cache]).collect();
        refused(&mount, name, libc::ENOSPC, &words);
        assert!(disk.struck() > 0, "{name} never met the fault");
        clean(&mount);
        assert!(mount.cat("here").success().stdout == kept, "{name}: what is here is served");
        assert!(disk.mend() > 0);
        assert_eq!(names(&mount).len(), before.len(), "{name}: nothing half is published");
    }
    for ((name, ..), source) in stages.iter().zip(&sources) {
        // by itself, without a word of the user
        wait::until_true(format!("{name} opens once there is room"), || mount.cat(name).status.success());
        assert_eq!(raster::checksums(&mount.tif(name)), raster::checksums(source), "{name}");
        assert_eq!(simulator.requests().posts(name), 1, "{name}: {:?}", simulator.requests());
    }
    clean(&mount);
    mount.run(&["cache", "verify"]).success();
}

#[test]
fn a_full_disk_at_each_stage() {
    at_each_stage(&STAGES, libc::ENOSPC, &["make room"]);
}

#[test]
fn a_used_up_quota_at_each_stage() {
    // what another errno could change: our own writes, those of the converter, those of SQLite
    let stages: Vec<_> =
        STAGES.into_iter().filter(|(name, ..)| ["download", "convert", "books"].contains(name)).collect();
    at_each_stage(&stages, libc::EDQUOT, &["quota"]);
}

#[test]
fn a_really_full_disk_is_noticed_before_the_order_and_room_that_comes_back_is_used() {
    let Some(stage) = Stage::shared() else { return };
    let Some(disk) = SmallDisk::tmpfs(stage.folder(), 24 << 20) else { return };
    Package::new("here", Pixels::Classes, 300).write(&stage.data());
    let source = Package::new("wanted", Pixels::Noise, 1200).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).cache(&disk.cache()).flag("--free-space-floor", "1MB").start();
    let kept = mount.cat("here").success().stdout;
    // held, so that it is not evicted to make room: evicting it would not be enough anyway
    let held = std::fs::File::open(mount.tif("here")).unwrap();
    let others = disk.fill();
    let cache = disk.cache();
    refused(&mount, "wanted", libc::ENOSPC, &[&cache.to_string_lossy(), "make room"]);
    assert_eq!(simulator.requests().posts("wanted"), 0, "nothing is ordered that has no place to go");
    clean(&mount);
    assert!(mount.cat("here").success().stdout == kept);
    // `ls`, `df` and the verbs do not need room
    mount.run(&["status"]).success();
    process::run("df", &[mount.point()]).success();

    std::fs::remove_file(others).unwrap();
    wait::until_true("the product opens once there is room", || mount.cat("wanted").status.success());
    assert_eq!(raster::checksums(&mount.tif("wanted")), raster::checksums(&source));
    assert_eq!(simulator.requests().posts("wanted"), 1);
    drop(held);
}

#[test]
fn what_the_catalogue_declares_too_large_is_not_ordered_unless_the_user_insists() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("huge", Pixels::Noise, 2400).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).flag("--cache-size", "3MB").start();
    refused(&mount, "huge", libc::ENOSPC, &["--cache-size", "clmsfs fetch"]);
    assert_eq!(simulator.requests().posts("huge"), 0);
    let insisted = mount.run(&["fetch", "data/huge"]);
    assert!(!insisted.status.success() && insisted.stderr.contains("--cache-size"), "{}", insisted.stderr);
    assert_eq!(simulator.requests().posts("huge"), 1, "the declaration is a hint only");
    clean(&mount);
}

#[test]
fn a_start_on_a_full_disk_says_so_and_spoils_nothing() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    // At the very first start, wherever it meets the end of the disk.
    for path in ["VERSION", "rasters", "ledger.sqlite", "ledger.sqlite-", ""] {
        disk.fails([Fault::new(Call::Write, path, libc::ENOSPC)]);
        let ended = stage.mount(&simulator).cache(&disk.cache()).refused();
        let told = &ended.stderr;
        assert_eq!(ended.status.code(), Some(1), "{path}: {told}");
        assert!(told.contains("make room"), "{path}: {told}");
        assert!(disk.mend() > 0, "{path}: never met");
    }
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    mount.cat("one").success();
}

#[test]
fn a_catalogue_that_cannot_be_saved_is_shown_all_the_same() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let disk = FaultyDisk::below(stage.folder());
    disk.fails([Fault::new(Call::Write, "catalog.json", libc::ENOSPC)]);
    let mut mount = stage.mount(&simulator).cache(&disk.cache()).start();
    mount.cat("one").success();
    assert!(disk.struck() > 0);
    let log = mount.log();
    assert!(log.contains("catalog.json") && log.contains("make room"), "{log}");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(disk.cache()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(!names().iter().any(|name| name.starts_with("catalog.json")), "no half is left: {:?}", names());
    disk.mend();
    mount.start_again();
    assert_eq!(mount.state("one"), "ready");
    assert!(names().iter().any(|name| name == "catalog.json"), "{:?}", names());
}

#[test]
fn a_log_on_a_full_disk_ends_nothing() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    // every write to it is ENOSPC
    let mut mount = stage.mount(&simulator).errors_to("/dev/full").start();
    assert_eq!(raster::checksums(&mount.tif("one")), raster::checksums(&source));
    assert_eq!(mount.state("one"), "ready");
    assert!(mount.terminate().success());
}

#[test]
fn no_inodes_left() {
    let Some(stage) = Stage::shared() else { return };
    let mkfs = ["mkfs.ext4", "-q", "-N", "128", "-m", "0"];
    let Some(disk) = SmallDisk::image(stage.folder(), 64, &mkfs, "") else { return };
    let source = Package::new("wanted", Pixels::Classes, 600).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    mount.product("wanted");
    let crowd = disk.root().join("crowd");
    std::fs::create_dir(&crowd).unwrap();
    let mut many = 0;
    while std::fs::File::create(crowd.join(many.to_string())).is_ok() {
        many += 1;
    }
    refused(&mount, "wanted", libc::ENOSPC, &[&disk.cache().to_string_lossy(), "df -i"]);
    clean(&mount);
    std::fs::remove_dir_all(crowd).unwrap();
    wait::until_true("the product opens once there are inodes", || mount.cat("wanted").status.success());
    assert_eq!(raster::checksums(&mount.tif("wanted")), raster::checksums(&source));
    assert_eq!(simulator.requests().posts("wanted"), 1);
}

/// A disk with a quota on the cache's folder: of ext4, or of btrfs where the kernel has no quotas for ext4.
fn disk_with_quota(stage: &Stage, bytes: u64) -> Option<SmallDisk> {
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().ok()?;
        output.status.success().then_some(())
    };
    if run("setquota", &["--version"]).is_some() {
        let mkfs = ["mkfs.ext4", "-q", "-O", "quota", "-E", "quotatype=usrquota"];
        if let Some(disk) = SmallDisk::image(stage.folder(), 64, &mkfs, "usrquota") {
            let point = disk.root().to_string_lossy().into_owned();
            let blocks = (bytes / 1024).to_string();
            // root is not bound by a user's quota on ext4
            if run("setquota", &["-u", "root", &blocks, &blocks, "0", "0", &point]).is_some()
                && std::fs::write(disk.root().join("probe"), vec![7; 2 * bytes as usize]).is_err()
            {
                let _ = std::fs::remove_file(disk.root().join("probe"));
                return Some(disk);
            }
        }
    }
    if run("btrfs", &["--version"]).is_none() {
        return skip("quotas: neither those of ext4 (setquota, kernel) nor btrfs are here");
    }
    let disk = SmallDisk::image(stage.folder(), 160, &["mkfs.btrfs", "-q", "-f"], "")?;
    let point = disk.root().to_string_lossy().into_owned();
    let cache = disk.cache().to_string_lossy().into_owned();
    let limited = run("btrfs", &["quota", "enable", &point])
        .and_then(|()| run("btrfs", &["subvolume", "create", &cache]))
        .and_then(|()| run("btrfs", &["qgroup", "limit", &bytes.to_string(), &cache]));
    match limited {
        Some(()) => Some(disk),
        None => skip("quotas: btrfs does not limit a subvolume here"),
    }
}

#[test]
fn a_real_quota() {
    let Some(stage) = Stage::shared() else { return };
    let Some(disk) = disk_with_quota(&stage, 8 << 20) else { return };
    Package::new("small", Pixels::Classes, 300).write(&stage.data());
    Package::new("large", Pixels::Noise, 4000).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let kept = mount.cat("small").success().stdout;
    // the file system says that there is room: only writing shows the quota
    let reason = refused(&mount, "large", libc::ENOSPC, &["quota", &disk.cache().to_string_lossy()]);
    assert!(reason.contains("--cache-size"), "{reason}");
    clean(&mount);
    assert!(mount.cat("small").success().stdout == kept);
    assert!(simulator.requests().posts("large") <= 1);
}

#[test]
fn a_reader_that_waits_when_the_disk_fills_up_is_told() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'\n");
    let disk = FaultyDisk::below(stage.folder());
    let mount = stage.mount(&simulator).cache(&disk.cache()).start();
    let readers: Vec<Reader> = (0..5).map(|_| Reader::start("cat", &[mount.tif("slow")])).collect();
    mount.reaches("slow", &["queued"]);
    disk.fails(Fault::all_writes(libc::ENOSPC));
    simulator.scenario(QUICK);
    for reader in readers {
        let ended = reader.finish();
        assert!(
            ended.stderr.contains("No space left on device") && ended.stdout.is_empty(),
            "{}",
            ended.stderr
        );
    }
    disk.mend();
    assert_eq!(mount.staging(), Vec::<PathBuf>::new());
    wait::until_true("it opens once there is room", || mount.cat("slow").status.success());
    assert_eq!(simulator.requests().posts("slow"), 1);
}
