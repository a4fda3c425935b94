//! kill -9 at any moment: the next start goes on, nothing is ordered twice, no wrong byte is served.

use std::path::PathBuf;

use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Mount, Package, Simulator, Stage, raster};

/// A service that does not keep anybody waiting.
const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";

/// Kills the mount when the product reaches one of the states, starts it anew and checks what arrives.
/// `scenario` holds the product in that state; the service is quick once the mount is dead. Nobody opens the file again before it is there: the start itself must go on.
fn survives_a_kill_while(
    states: &[&str],
    product: Package,
    scenario: &str,
) -> Option<(Stage, Simulator, Mount, PathBuf)> {
    let stage = Stage::shared()?;
    let source = product.write(&stage.data());
    let simulator = stage.simulator(scenario);
    let mut mount = stage.mount(&simulator).start();
    let reader = Reader::start("cat", &[mount.tif("fragile")]);
    mount.reaches("fragile", states);
    if states.contains(&"downloading") {
        // without a byte there is nothing to go on from
        crate::support::wait::until_true("some of the package is here", || {
            mount
                .staging()
                .iter()
                .any(|path| std::fs::metadata(path.join("package.part")).is_ok_and(|part| part.len() > 0))
        });
    }
    mount.kill();
    let broken = reader.finish();
    assert!(
        !broken.status.success() && broken.stdout.is_empty(),
        "a reader got bytes of an unfinished product"
    );

    simulator.scenario(QUICK);
    mount.start_again();
    mount.ready("fragile");
    let requests = simulator.requests();
    assert_eq!(requests.posts("fragile"), 1, "{requests:?}");
    assert_eq!(raster::checksums(&mount.tif("fragile")), raster::checksums(&source));
    assert_eq!(mount.staging(), Vec::<PathBuf>::new(), "staging is swept");
    Some((stage, simulator, mount, source))
}

#[test]
fn while_queued() {
    let product = Package::new("fragile", Pixels::Classes, 600);
    let Some((stage, simulator, mount, _)) = survives_a_kill_while(&["queued"], product, "queued = '1h'")
    else {
        return;
    };
    assert_eq!(simulator.requests().downloads("fragile"), 1);
    drop((mount, simulator, stage));
}

#[test]
fn while_the_service_prepares_it() {
    let product = Package::new("fragile", Pixels::Classes, 600);
    let Some((stage, simulator, mount, _)) =
        survives_a_kill_while(&["running"], product, "queued = '10ms'\nrunning = '1h'")
    else {
        return;
    };
    drop((mount, simulator, stage));
}

#[test]
fn while_downloading() {
    // 4 MB of noise at 400 kB/s until the kill.
    let product = Package::new("fragile", Pixels::Noise, 2000);
    let Some((stage, simulator, mount, _)) = survives_a_kill_while(
        &["downloading"],
        product,
        "queued = '10ms'\nrunning = '10ms'\ndownload_rate = 400000",
    ) else {
        return;
    };
    let requests = simulator.requests();
    assert_eq!(requests.downloads("fragile"), 2, "one that was cut, one that went on");
    assert_eq!(requests.resumed(), 1, "the second asked for the rest only: {requests:?}");
    let package = std::fs::metadata(stage.data().join("fragile.zip")).unwrap().len();
    // What was on its way when the mount died is paid twice, nothing more.
    assert!(requests.download_bytes() < package * 3 / 2, "{} of {package}", requests.download_bytes());
    drop((mount, simulator, stage));
}

#[test]
fn while_converting() {
    let product = Package::new("fragile", Pixels::Noise, 6000);
    let Some((stage, simulator, mount, _)) =
        survives_a_kill_while(&["extracting", "converting"], product, QUICK)
    else {
        return;
    };
    drop((mount, simulator, stage));
}

#[test]
fn the_dead_mount_point_is_taken_over() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("fine", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let mut mount = stage.mount(&simulator).start();
    let bytes = mount.cat("fine").success().stdout;
    mount.kill();
    let dead = std::fs::metadata(mount.point()).unwrap_err();
    assert_eq!(dead.raw_os_error(), Some(libc::ENOTCONN));
    simulator.reset_when_quiet();
    mount.start_again();
    assert_eq!(mount.state("fine"), "ready");
    assert!(mount.cat("fine").success().stdout == bytes);
    assert_eq!(simulator.requests().count("post") + simulator.requests().count("download"), 0);
}

#[test]
fn an_orderly_end_stops_the_readers_and_keeps_the_orders() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("fragile", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mut mount = stage.mount(&simulator).start();
    let reader = Reader::start("cat", &[mount.tif("fragile")]);
    mount.reaches("fragile", &["queued"]);
    assert!(mount.terminate().success(), "TERM is an orderly end, also while a reader waits");
    assert!(!reader.finish().status.success());
    simulator.scenario(QUICK);
    mount.start_again();
    mount.ready("fragile");
    assert_eq!(simulator.requests().posts("fragile"), 1);
}

/// The conversion was started by the name of the program's file, which an upgrade of the package takes away.
#[test]
fn a_mount_outlives_the_file_of_its_program() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("fine", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let program = stage.folder().join("clmsfs-of-yesterday");
    std::fs::copy(crate::support::process::CLMSFS, &program).unwrap();
    let script = format!("shift; exec {} \"$@\"", program.display());
    let mount = stage.mount(&simulator).under(&["sh", "-c", &script, "sh"]).start();
    std::fs::remove_file(&program).unwrap();
    mount.cat("fine").success();
}
