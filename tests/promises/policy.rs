//! Programs that open everything they meet get nothing ordered.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use crate::support::packages::Pixels;
use crate::support::process::run;
use crate::support::{Package, Stage};

#[test]
fn scanners_and_backup_tools_are_refused_and_order_nothing() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("cold");
    simulator.reset_when_quiet();

    let grep = run("grep", &["-c".as_ref(), "x".as_ref(), tif.as_os_str()]);
    assert!(grep.stderr.contains("Permission denied"), "{}", grep.stderr);
    let noatime = OpenOptions::new().read(true).custom_flags(libc::O_NOATIME).open(&tif);
    assert_eq!(noatime.unwrap_err().raw_os_error(), Some(libc::EACCES));
    assert_eq!(simulator.requests().total(), 0);
    assert_eq!(mount.state("cold"), "cold");

    // What is here opens for everybody.
    mount.cat("cold").success();
    assert_ne!(run("grep", &["-c".as_ref(), "x".as_ref(), tif.as_os_str()]).status.code(), Some(2));
    OpenOptions::new().read(true).custom_flags(libc::O_NOATIME).open(&tif).unwrap();
}

#[test]
fn one_line_of_the_administrator_turns_a_program_on() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("cold", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let config = stage.folder().join("config.toml");
    std::fs::write(
        &config,
        "rule = [{ process = 'grep', action = 'allow' }, { process = 'cat', action = 'deny' }]\n",
    )
    .unwrap();
    let mount = stage.mount(&simulator).flag("--config", &config).start();
    let refused = mount.cat("cold");
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert_eq!(simulator.requests().posts("cold"), 0);
    let grep = run("grep", &["-c".as_ref(), "x".as_ref(), mount.tif("cold").as_os_str()]);
    assert_ne!(grep.status.code(), Some(2), "{}", grep.stderr);
    assert_eq!(simulator.requests().posts("cold"), 1);
}
