//! A package is unpacked while it is downloaded, and nobody can tell by what arrives.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::proxy::Proxy;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";
/// The first download comes to a halt in the middle.
const HALTS: &str = "queued = '10ms'\nrunning = '10ms'\n[[fault]]\nfile = 'large'\nstall = true\ntimes = 1";
/// What the log says when it worked.
const AHEAD: &str = "unpacked while it was downloaded";

/// A package that is worth it: some twenty megabytes in four tiles. Gives its source.
fn large(data: &Path) -> PathBuf {
    let source = Package::new("large", Pixels::Noise, 4800).tiles(4).write(data);
    assert!(fs::metadata(data.join("large.zip")).unwrap().len() > 20 << 20);
    source
}

/// A mount that has unpacked the first file of a package of which only the first half is here, and a reader that waits.
struct Halfway {
    reader: Reader,
    mount: Mount,
    /// Between mount and file host; cut, the download breaks off.
    wire: Proxy,
    simulator: Simulator,
}

fn halfway(stage: &Stage, scenario: &str) -> Halfway {
    let simulator = stage.simulator(QUICK);
    let wire = Proxy::start(simulator.authority());
    simulator.scenario(&format!("link_host = '{}'\n{scenario}", wire.authority()));
    let mount = stage.mount(&simulator).hurry(20).start();
    let reader = Reader::start("cat", &[mount.tif("large")]);
    wait::until_true("the second file is begun", || {
        mount.staging().iter().any(|staging| staging.join("ahead/1").exists())
    });
    let staging = &mount.staging()[0];
    assert!(!staging.join("package.zip").exists(), "the download has not ended");
    let (first, unpacked) = (staging.join("ahead/0"), staging.join("unpacked"));
    assert!(fs::metadata(first).unwrap().len() > 4 << 20 && !unpacked.exists());
    assert_eq!(mount.state("large"), "downloading");
    Halfway { reader, mount, wire, simulator }
}

fn assert_served(mount: &Mount, source: &Path) {
    assert_eq!(raster::checksums(&mount.tif("large")), raster::checksums(source));
    assert_eq!(mount.staging(), Vec::<PathBuf>::new(), "staging is empty");
}

#[test]
fn files_are_unpacked_before_the_download_has_ended_also_when_it_is_resumed() {
    let Some(stage) = Stage::shared() else { return };
    let source = large(&stage.data());
    let Halfway { reader, mount, mut wire, simulator } = halfway(&stage, HALTS);
    let follower = follower(mount.pid()).expect("it is followed");
    let status = fs::read_to_string(format!("/proc/{follower}/status")).unwrap();
    for wall in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(wall), "{wall}: {status}");
    }
    wire.cut();
    wire.mend();
    assert!(reader.finish().success().stdout.len() > 20 << 20);
    assert_eq!(simulator.requests().resumed(), 1);
    // four tiles and the metadata
    assert!(mount.log().contains(AHEAD) && mount.log().contains("members=5"), "{}", mount.log());
    assert_served(&mount, &source);
}

#[test]
fn a_download_that_begins_anew_is_unpacked_anew() {
    let Some(stage) = Stage::shared() else { return };
    let source = large(&stage.data());
    let scenario = HALTS.replace("[[", "range = false\n[[");
    let Halfway { reader, mount, mut wire, simulator } = halfway(&stage, &scenario);
    wire.cut();
    wire.mend();
    assert!(reader.finish().success().stdout.len() > 20 << 20);
    let package = fs::metadata(stage.data().join("large.zip")).unwrap().len();
    assert!(simulator.requests().download_bytes() > package * 5 / 4, "the whole came once more");
    assert!(!mount.log().contains(AHEAD), "{}", mount.log());
    assert_served(&mount, &source);
}

#[test]
fn kill_9_while_it_is_unpacked_ahead_costs_nothing_that_has_arrived() {
    let Some(stage) = Stage::shared() else { return };
    let source = large(&stage.data());
    let Halfway { reader, mut mount, wire: _wire, simulator } = halfway(&stage, HALTS);
    mount.kill();
    assert!(reader.finish().stdout.is_empty());
    simulator.scenario(QUICK);
    mount.start_again();
    mount.ready("large");
    let requests = simulator.requests();
    assert_eq!((requests.posts("large"), requests.resumed()), (1, 1), "{requests:?}");
    assert_served(&mount, &source);
}

#[test]
fn a_cancelled_download_is_followed_no_more() {
    let Some(stage) = Stage::shared() else { return };
    large(&stage.data());
    let Halfway { reader, mount, wire: _wire, simulator: _simulator } = halfway(&stage, HALTS);
    let folder = mount.product("large");
    mount.run(&["cancel", folder.to_str().unwrap()]).success();
    assert!(!reader.finish().status.success());
    wait::until_true("staging is empty", || mount.staging().is_empty());
    wait::until_true("the follower is gone", || follower(mount.pid()).is_none());
}

/// The child of a process that follows a download.
fn follower(parent: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).unwrap().filter_map(Result::ok);
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut all = children
        .flat_map(|line| line.split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>());
    all.find(|id| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("follow-child"))
    })
}

/// Checksum, sizes and name of the local headers are not the directory's, which is what counts.
#[test]
fn local_headers_that_lie_change_nothing() {
    let Some(stage) = Stage::shared() else { return };
    let source = large(&stage.data());
    let package = stage.data().join("large.zip");
    let honest = fs::read(&package).unwrap();
    let headers: Vec<usize> =
        honest.windows(4).enumerate().filter(|(_, four)| four == b"PK\x03\x04").map(|(at, _)| at).collect();
    for (offset, lie) in [(14, &b"lies"[..]), (18, &[0, 16, 0, 0]), (22, &b"lies"[..]), (30, &b"../../x"[..])]
    {
        let mut lying = honest.clone();
        for header in &headers[..2] {
            lying[header + offset..header + offset + lie.len()].copy_from_slice(lie);
        }
        fs::write(&package, lying).unwrap();
        let simulator = stage.simulator(QUICK);
        let mount = stage.mount(&simulator).cache(&stage.folder().join(format!("cache-{offset}"))).start();
        mount.cat("large").success();
        assert_served(&mount, &source);
    }
}
