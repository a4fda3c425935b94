//! A blocked reader dies on Ctrl-C and on kill -9, and what it started goes on.

use std::time::{Duration, Instant};

use crate::support::packages::Pixels;
use crate::support::process::{Reader, run};
use crate::support::{Package, Stage, wait};

/// The promise is a second; a busy machine may need longer for the ends of the processes. What a killed reader waits for
/// never comes in these tests, so a reader that is not freed does not end at all.
const LIMIT: Duration = Duration::from_secs(10);

/// `timeout -s SIGNAL 1 cat FILE`, as a person or a batch system would.
fn timeout_ends_the_reader(signal: &str) {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    let ended =
        run("timeout", &["-s".as_ref(), signal.as_ref(), "1".as_ref(), "cat".as_ref(), tif.as_os_str()]);
    assert!(ended.elapsed < LIMIT, "took {:?}", ended.elapsed);
    assert!(
        ended.elapsed >= Duration::from_millis(900),
        "cat did not wait: {:?}, {}",
        ended.elapsed,
        ended.stderr
    );
    assert!(!ended.status.success() && ended.stdout.is_empty());

    // Nobody waits any more, and still it comes; a later reader needs no second order.
    assert_ne!(mount.state("slow"), "cold", "the fetch goes on");
    simulator.scenario("queued = '0s'\nrunning = '0s'");
    mount.ready("slow");
    mount.cat("slow").success();
    assert_eq!(simulator.requests().posts("slow"), 1);
}

#[test]
fn interrupted_by_timeout() {
    timeout_ends_the_reader("INT");
}

#[test]
fn killed_by_timeout() {
    timeout_ends_the_reader("KILL");
}

#[test]
fn each_signal_that_ends_a_program_ends_its_waiting() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    let mut quickest = LIMIT;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGKILL] {
        let reader = Reader::start("cat", &[&tif]);
        wait::until_true("cat waits in open()", || waits_in_open(reader.id()));
        let start = Instant::now();
        reader.signal(signal);
        let ended = reader.finish();
        assert_eq!(ended.signal(), Some(signal));
        assert!(start.elapsed() < LIMIT, "signal {signal}: {:?}", start.elapsed());
        quickest = quickest.min(start.elapsed());
    }
    assert!(quickest < Duration::from_secs(1), "the quickest of them took {quickest:?}");
    // The others still wait: one that gives up takes nobody with it.
    let mut patient = Reader::start("cat", &[&tif]);
    let hasty = Reader::start("cat", &[&tif]);
    wait::until_true("both wait", || waits_in_open(patient.id()) && waits_in_open(hasty.id()));
    hasty.signal(libc::SIGKILL);
    hasty.finish();
    assert!(patient.runs());
    simulator.scenario("queued = '0s'\nrunning = '0s'");
}

#[test]
fn a_signal_that_does_not_end_the_reader_does_not_end_its_waiting() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1500ms'\nrunning = '100ms'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    // A shell that ignores INT hands that on to cat, as nohup and make -i jobs do.
    let script = format!("trap '' INT; exec cat '{}'", tif.display());
    let mut reader = Reader::start("sh", &["-c", &script]);
    wait::until_true("cat waits in open()", || waits_in_open(reader.id()));
    reader.signal(libc::SIGINT);
    // A stop and a continue are not an end either.
    reader.signal(libc::SIGSTOP);
    reader.signal(libc::SIGCONT);
    assert!(reader.runs());
    assert!(!reader.finish().success().stdout.is_empty());
}

#[test]
fn block_timeout_ends_the_waiting_but_not_the_fetch() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).flag("--block-timeout", "500ms").start();
    let start = Instant::now();
    let error = std::fs::File::open(mount.tif("slow")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    assert_ne!(mount.state("slow"), "cold", "the fetch goes on");
    simulator.scenario("queued = '0s'\nrunning = '0s'");
    mount.ready("slow");
    mount.cat("slow").success();
    assert_eq!(simulator.requests().posts("slow"), 1);
}

/// Whether the process sleeps in an open of a FUSE file: `cat` has nothing but its standard files open by then.
fn waits_in_open(pid: u32) -> bool {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let syscall = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    // openat on x86-64 (257) and on the others (56).
    comm.trim() == "cat" && matches!(syscall.split(' ').next(), Some("257" | "56" | "2")) && parked(pid)
}

/// In the kernel's FUSE code, where that can be seen; else asleep.
fn parked(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S') || rest.starts_with('D'))
}
