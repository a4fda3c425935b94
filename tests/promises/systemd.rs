//! What a service manager hears: readiness, a line about the work, signs of life that went through the mount.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::packages::Pixels;
use crate::support::{Package, Stage};

/// Silence after which a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_hears_that_the_mount_answers_what_it_does_and_that_it_lives() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let path = stage.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = |what: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("no {what}: {error}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.starts_with(what) {
                return message;
            }
        }
    };
    let mut mount =
        stage.mount(&simulator).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000").start();
    hears("READY=1");
    let told = hears("STATUS=");
    assert!(told.starts_with("STATUS=0 ready, ") && told.ends_with(" of 4.0 GB used"), "{told}");
    hears("WATCHDOG=1");
    mount.cat("wanted").success();
    hears("STATUS=1 ready, ");
    hears("WATCHDOG=1");
    assert!(mount.terminate().success());
    hears("STOPPING=1");
}
