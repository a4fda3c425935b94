//! What a service manager hears: readiness, a line about the work, signs of life that went through the mount.

use crate::support::manager::Manager;
use crate::support::packages::Pixels;
use crate::support::{Package, Stage};

#[test]
fn it_hears_that_the_mount_answers_what_it_does_and_that_it_lives() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let manager = Manager::new(stage.folder());
    let builder = stage.mount(&simulator).env("NOTIFY_SOCKET", manager.path());
    let mut mount = builder.env("WATCHDOG_USEC", "300000").start();
    manager.hears("READY=1");
    let told = manager.hears("STATUS=");
    assert!(told.starts_with("STATUS=0 ready, ") && told.ends_with(" of 4.0 GB used"), "{told}");
    manager.hears("WATCHDOG=1");
    mount.cat("wanted").success();
    manager.hears("STATUS=1 ready, ");
    manager.hears("WATCHDOG=1");
    assert!(mount.terminate().success());
    manager.hears("STOPPING=1");
}
