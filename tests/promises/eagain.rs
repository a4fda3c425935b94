//! `--on-miss eagain` and O_NONBLOCK: the answer comes at once, the file comes later.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::support::packages::Pixels;
use crate::support::process::run;
use crate::support::{Package, Stage, raster, wait};

#[test]
fn cat_says_temporarily_unavailable_at_once_and_a_retry_succeeds() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("later", Pixels::Classes, 600).write(&stage.data());
    // Nothing comes as long as the service is held: an open that waited would wait for ever.
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).flag("--on-miss", "eagain").start();
    let tif = mount.tif("later");

    // Asking again and again neither orders again nor waits.
    let quickest = (0..5)
        .map(|_| {
            let refused = run("cat", &[&tif]);
            assert!(!refused.status.success());
            assert!(refused.stderr.contains("Resource temporarily unavailable"), "{}", refused.stderr);
            refused.elapsed
        })
        .min()
        .expect("there were five");
    assert!(quickest < Duration::from_secs(1), "the quickest of five took {quickest:?}");

    simulator.scenario("queued = '0s'\nrunning = '100ms'");
    wait::until_true("a retry that succeeds", || run("cat", &[&tif]).status.success());
    assert_eq!(simulator.requests().posts("later"), 1);
    assert_eq!(raster::checksums(&tif), raster::checksums(&source));
}

#[test]
fn gdal_shows_the_reason_and_python_a_blocking_io_error() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("later", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).flag("--on-miss", "eagain").start();
    let tif = mount.tif("later");
    let told = run("gdalinfo", &[&tif]);
    assert!(!told.status.success());
    assert!(told.stderr.contains("Resource temporarily unavailable"), "{}", told.stderr);
    let script = format!("open({:?}, 'rb')", tif.display().to_string());
    let told = run("python3", &["-c", &script]);
    assert!(told.stderr.contains("BlockingIOError"), "{}", told.stderr);
}

#[test]
fn o_nonblock_never_waits_even_where_others_do() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("asked", Pixels::Classes, 300).write(&stage.data());
    // As long as the service is held, an open that waited would wait for ever.
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).flag("--on-miss", "block").start();
    let tif = mount.tif("asked");
    let nonblocking = || OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&tif);
    assert_eq!(nonblocking().unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    simulator.scenario("queued = '0s'\nrunning = '100ms'");
    // It was a way to ask for it: the product comes without anybody else's opening.
    mount.ready("asked");
    nonblocking().unwrap();
    assert_eq!(simulator.requests().posts("asked"), 1);
}

#[test]
fn the_order_budget_protects_the_account() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["one", "two", "three"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let mount = stage.mount(&simulator).flag("--orders-per-hour", "2").start();
    mount.cat("one").success();
    mount.cat("two").success();
    let refused = mount.cat("three");
    assert!(refused.stderr.contains("Resource temporarily unavailable"), "{}", refused.stderr);
    assert!(!mount.attribute("three", "error").is_empty(), "the reason is in user.clmsfs.error");
    assert_eq!(simulator.requests().posts("three"), 0);
    // What is here is not counted.
    mount.cat("one").success();
}
