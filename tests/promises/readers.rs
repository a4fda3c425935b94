//! Readers that wait, in numbers and in odd places: each can be killed, none is forgotten, and none costs a second order.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::disk::skip;
use crate::support::packages::Pixels;
use crate::support::process::{self, Reader};
use crate::support::wait::PATIENCE;
use crate::support::{Mount, Package, Stage, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";
/// Nothing moves until the scenario changes.
const STUCK: &str = "queued = '1h'\n";

/// How many wait for the product, as the mount sees it.
fn waiting(mount: &Mount, product: &str) -> u64 {
    let status = mount.json(&["jobs"]);
    let jobs = status.as_array().expect("a list of jobs");
    let path = format!("data/{product}");
    let job = jobs.iter().find(|job| job["path"] == path.as_str());
    job.map_or(0, |job| job["waiting"].as_u64().unwrap())
}

/// Readers without pipes and threads: five hundred of them are little.
struct Crowd(Vec<Child>);

impl Crowd {
    fn of(count: usize, path: &Path) -> Self {
        let reader = |_| {
            let mut command = process::command("cat");
            command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        Self((0..count).map(reader).collect())
    }

    fn signal(&self, signal: i32) {
        for reader in &self.0 {
            process::send(reader.id(), signal);
        }
    }

    /// Waits until all are gone; how many succeeded.
    #[track_caller]
    fn gone(&mut self) -> usize {
        let start = Instant::now();
        let mut succeeded = 0;
        while let Some(reader) = self.0.last_mut() {
            match reader.try_wait().unwrap() {
                Some(status) => {
                    succeeded += usize::from(status.success());
                    self.0.pop();
                }
                None => {
                    assert!(start.elapsed() < PATIENCE, "{} readers do not end", self.0.len());
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        succeeded
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        // those that cannot be killed are the watchdog's
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10)
            && self.0.iter_mut().any(|reader| matches!(reader.try_wait(), Ok(None)))
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn five_hundred_readers_are_killed_by_each_signal_and_order_once() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(STUCK);
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGKILL];
    let mut crowds = signals.map(|signal| (signal, Crowd::of(125, &tif)));
    wait::until_true("all 500 wait", || waiting(&mount, "slow") == 500);
    // listing and the verbs do not wait with them
    assert_eq!(std::fs::metadata(&tif).unwrap().len(), 0);

    let mut left = 500;
    for (signal, crowd) in &mut crowds {
        crowd.signal(*signal);
        assert_eq!(crowd.gone(), 0, "nobody gets a file that is not there");
        left -= 125;
        wait::until_true(format!("{left} wait after signal {signal}"), || waiting(&mount, "slow") == left);
    }
    assert_eq!(mount.state("slow"), "queued", "the fetch goes on");
    simulator.scenario(QUICK);
    mount.ready("slow");
    assert_eq!(raster::checksums(&tif), raster::checksums(&source));
    assert_eq!(simulator.requests().posts("slow"), 1);
}

/// The letter of the process's state.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[test]
fn a_suspended_reader_holds_nothing_up_and_reads_on_when_it_is_continued() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(STUCK);
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    let suspended = Reader::start("cat", &[&tif]);
    let doomed = Reader::start("cat", &[&tif]);
    let awake = Reader::start("cat", &[&tif]);
    wait::until_true("three wait", || waiting(&mount, "slow") == 3);
    for reader in [&suspended, &doomed] {
        reader.signal(libc::SIGSTOP);
    }
    // suspended or not, it can be killed
    doomed.signal(libc::SIGKILL);
    assert_eq!(doomed.finish().signal(), Some(libc::SIGKILL));
    wait::until_true("two wait", || waiting(&mount, "slow") == 2);
    simulator.scenario(QUICK);
    let bytes = awake.finish().success().stdout;
    wait::until_true("the suspended one is stopped", || state_of(suspended.id()) == Some('T'));
    suspended.signal(libc::SIGCONT);
    assert!(suspended.finish().success().stdout == bytes);
    assert_eq!(simulator.requests().posts("slow"), 1);
}

/// The first process called `name` below `pid`.
fn descendant(pid: u32, name: &str) -> Option<u32> {
    let parents: Vec<(u32, u32, String)> = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (before, after) = stat.rsplit_once(") ")?;
            let parent = after.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent, before.split_once('(')?.1.to_owned()))
        })
        .collect();
    let mut below = vec![pid];
    while let Some(ancestor) = below.pop() {
        for (child, parent, comm) in &parents {
            if *parent == ancestor {
                if comm == name {
                    return Some(*child);
                }
                below.push(*child);
            }
        }
    }
    None
}

/// A shell command in a pid namespace of its own, as in a container; `None` (with the reason printed) where that is not
/// possible.
fn contained(script: &str, path: &Path) -> Option<Reader> {
    let made = process::run("unshare", &["--pid", "--fork", "--mount-proc", "true"]);
    if !made.status.success() {
        return skip(&format!("unshare: {}", made.stderr));
    }
    let mut command = process::command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, "sh"]).arg(path);
    Some(Reader::spawn(command))
}

#[test]
fn readers_in_containers_are_watched_and_killed_like_all_others() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(STUCK);
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    // a signal from outside, to a process that is not the first of its namespace
    let Some(reader) = contained("cat \"$1\"; exit 7", &tif) else { return };
    wait::until_true("it waits", || waiting(&mount, "slow") == 1);
    let cat = wait::until("cat in the container", || descendant(reader.id(), "cat"));
    process::send(cat, libc::SIGTERM);
    assert_eq!(reader.finish().status.code(), Some(7), "only cat is gone");
    wait::until_true("nobody waits", || waiting(&mount, "slow") == 0);
    // a signal from inside
    let reader = contained("timeout -s INT 1 cat \"$1\"; exit 8", &tif).unwrap();
    assert_eq!(reader.finish().status.code(), Some(8));
    wait::until_true("nobody waits", || waiting(&mount, "slow") == 0);
    // the end of the whole container: its first process goes, and the kernel kills the rest
    let reader = contained("cat \"$1\"; exit 9", &tif).unwrap();
    wait::until_true("it waits", || waiting(&mount, "slow") == 1);
    let first = wait::until("the container", || descendant(reader.id(), "sh"));
    process::send(first, libc::SIGKILL);
    reader.finish();
    wait::until_true("nobody waits", || waiting(&mount, "slow") == 0);
    // and one that is patient gets its file
    let reader = contained("cat \"$1\"", &tif).unwrap();
    wait::until_true("it waits", || waiting(&mount, "slow") == 1);
    simulator.scenario(QUICK);
    let bytes = reader.finish().success().stdout;
    assert!(mount.cat("slow").success().stdout == bytes && !bytes.is_empty());
    assert_eq!(simulator.requests().posts("slow"), 1);
}

#[test]
fn a_reader_that_a_mount_in_a_container_cannot_see_is_let_go_after_a_while() {
    let Some(stage) = Stage::shared() else { return };
    let made = process::run("unshare", &["--pid", "--fork", "true"]);
    if !made.status.success() {
        eprintln!("SKIPPED: unshare: {}", made.stderr);
        return;
    }
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(STUCK);
    // the mount alone is in a pid namespace of its own; this test is outside and has no number there
    let mount = stage.mount(&simulator).under(&["unshare", "--pid", "--fork", "--kill-child"]).start();
    let tif = mount.tif("slow");
    let reader = Reader::start("cat", &[&tif]);
    wait::until_true("it waits", || waiting(&mount, "slow") == 1);
    let refused = reader.finish();
    assert!(refused.stderr.contains("Resource temporarily unavailable"), "{}", refused.stderr);
    assert_eq!(mount.state("slow"), "queued", "the fetch goes on");
    simulator.scenario(QUICK);
    mount.ready("slow");
    assert!(!mount.cat("slow").success().stdout.is_empty());
    assert_eq!(simulator.requests().posts("slow"), 1);
}

/// Fifty wait; `end` takes the mount away. They get an error, the mount is gone, the process ends within ten seconds.
fn unmounted_while_fifty_wait(end: impl FnOnce(&mut Mount), orderly: bool) {
    let Some(stage) = Stage::shared() else { return };
    Package::new("slow", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(STUCK);
    let mut mount = stage.mount(&simulator).start();
    let tif = mount.tif("slow");
    let mut crowd = Crowd::of(50, &tif);
    wait::until_true("fifty wait", || waiting(&mount, "slow") == 50);
    let start = Instant::now();
    end(&mut mount);
    if orderly {
        assert!(mount.ended().success());
        // asked of the product itself (DESIGN section 7), not of this machine: it takes a few milliseconds
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*mount.point().to_string_lossy()), "it is gone");
    }
    assert_eq!(crowd.gone(), 0, "nobody gets a file");
    simulator.scenario(QUICK);
    mount.start_again();
    mount.ready("slow");
    assert_eq!(simulator.requests().posts("slow"), 1, "the order is kept");
}

#[test]
fn unmounted_by_a_signal_while_fifty_wait() {
    unmounted_while_fifty_wait(|mount| process::send(mount.pid(), libc::SIGTERM), true);
}

#[test]
fn unmounted_by_the_verb_while_fifty_wait() {
    unmounted_while_fifty_wait(
        |mount| {
            let mut command = process::clmsfs(mount.point().parent().unwrap());
            command.arg("umount").arg(mount.point());
            Reader::spawn(command).finish().success();
        },
        true,
    );
}

#[test]
fn killed_while_fifty_wait() {
    unmounted_while_fifty_wait(|mount| mount.kill(), false);
}
