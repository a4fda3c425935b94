//! The cache stays within its budget, forgets the least recently used, and never what somebody has open.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::support::gauge::Gauge;
use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Stage, process, raster, xattr};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";

/// Real blocks of one product in the cache, and of a cache without any.
fn measure(stage: &Stage, product: &str) -> (u64, u64) {
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.product(product);
    let empty = mount.disk_use();
    mount.cat(product).success();
    let full = mount.disk_use();
    let cache = mount.cache().to_owned();
    drop(mount);
    std::fs::remove_dir_all(cache).unwrap();
    (full - empty, empty)
}

fn mount_with(stage: &Stage, simulator: &crate::support::Simulator, budget: u64) -> Mount {
    stage.mount(simulator).flag("--cache-size", budget.to_string()).start()
}

#[test]
fn smaller_than_two_products_serves_three_and_never_grows_beyond() {
    let Some(stage) = Stage::shared() else { return };
    let names = ["first", "second", "third"];
    let sources = names.map(|name| Package::new(name, Pixels::Ramps, 2000).write(&stage.data()));
    let (product, empty) = measure(&stage, "first");
    let budget = empty + product * 19 / 10;

    let simulator = stage.simulator(QUICK);
    let mount = mount_with(&stage, &simulator, budget);
    let gauge = Gauge::watch(mount.cache().to_owned());
    for (name, source) in names.iter().zip(&sources) {
        assert_eq!(raster::checksums(&mount.tif(name)), raster::checksums(source), "{name}");
        assert!(mount.disk_use() <= budget, "{} of {budget} after {name}", mount.disk_use());
    }
    assert!(gauge.most() <= budget, "{} of {budget}, one product is {product}", gauge.most());
    assert_eq!(names.map(|name| mount.state(name)), ["cold", "cold", "ready"].map(str::to_owned));
    assert_eq!(std::fs::metadata(mount.tif("first")).unwrap().len(), 0, "an evicted product is cold again");
    // And it comes back.
    assert_eq!(raster::checksums(&mount.tif("first")), raster::checksums(&sources[0]));
    assert!(gauge.most() <= budget, "{} of {budget}", gauge.most());
}

#[test]
fn the_least_recently_used_goes_first_and_a_pinned_one_never() {
    let Some(stage) = Stage::shared() else { return };
    let names = ["a", "b", "c", "d", "e"];
    for name in names.iter().chain(&["newest"]) {
        Package::new(name, Pixels::Ramps, 1200).write(&stage.data());
    }
    let (product, empty) = measure(&stage, "a");
    let simulator = stage.simulator(QUICK);
    // Room for five, and for what a sixth needs while it is converted only when one of the five goes.
    let mount = mount_with(&stage, &simulator, empty + product * 59 / 10);
    for name in names {
        mount.cat(name).success();
    }
    assert_eq!(names.map(|name| mount.state(name)), ["ready"; 5].map(str::to_owned));
    // Reading makes 'a' the youngest, a pin protects 'b': 'c' is now the oldest that may go.
    mount.cat("a").success();
    xattr::set(&mount.product("b"), "user.clmsfs.pinned", "1").unwrap();
    assert_eq!(mount.attribute("b", "pinned"), "1");
    mount.cat("newest").success();
    assert_eq!(mount.state("c"), "cold", "the least recently used");
    for kept in ["a", "b", "newest"] {
        assert_eq!(mount.state(kept), "ready", "{kept}");
    }
}

#[test]
fn an_open_product_is_never_evicted() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["open", "wanted"] {
        Package::new(name, Pixels::Ramps, 2000).write(&stage.data());
    }
    let (product, empty) = measure(&stage, "open");
    let simulator = stage.simulator(QUICK);
    let mount = mount_with(&stage, &simulator, empty + product * 19 / 10);
    let bytes = mount.cat("open").success().stdout;
    let held = File::open(mount.tif("open")).unwrap();

    let refused = mount.cat("wanted");
    assert!(refused.stderr.contains("No space left on device"), "{}", refused.stderr);
    assert!(!mount.attribute("wanted", "error").is_empty());
    let mut read = vec![0; bytes.len()];
    held.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes, "an open file keeps its bytes");
    assert_eq!(mount.state("open"), "ready");

    // Space returns, and so does the service: nothing has to be restarted.
    drop(held);
    crate::support::wait::until_true("'wanted' fits once 'open' is closed", || {
        mount.cat("wanted").status.success()
    });
    assert_eq!(mount.state("open"), "cold");
}

#[test]
fn du_agrees_with_what_we_count() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 1000).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("one").success();
    let told =
        process::run("du", &["-s".as_ref(), "-B1".as_ref(), mount.cache().as_os_str()]).success().text();
    let du: u64 = told.split_whitespace().next().unwrap().parse().unwrap();
    // du also counts the folder itself.
    assert!(du.abs_diff(mount.disk_use()) <= 64 * 1024, "du {du}, we {}", mount.disk_use());
}
