//! Directories: the kernel keeps the names that it has read, and they are those of now.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::meddler::Meddler;
use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::wait::until_true;
use crate::support::{Package, Stage};

const QUICK: &str = "queued = '10ms'\nrunning = '10ms'";

#[test]
fn what_was_listed_once_is_listed_without_asking_the_mount() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["cold", "ready"] {
        Package::new(name, Pixels::Classes, 600).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("ready").success();
    // not -l, which asks for extended attributes, and not find, which asks for the file system's size
    let list = || Reader::start("ls", &["-isR".as_ref(), mount.point().join("data").as_os_str()]);
    // the news of a fetch comes once more a second later
    until_true("the mount is not asked", || {
        let before = list().finish().success().stdout;
        mount.signal(libc::SIGSTOP);
        let mut again = list();
        let waited = (0..40).any(|_| {
            std::thread::sleep(Duration::from_millis(25));
            !again.runs()
        });
        mount.signal(libc::SIGCONT);
        let again = again.finish().success().stdout;
        waited && again == before
    });
}

#[test]
fn names_that_are_kept_are_those_of_now() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("p", Pixels::Classes, 600).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).flag("--orders-per-hour", "1000").start();
    let (product, zarr) = (mount.product("p"), mount.zarr("p"));
    let cold = [names(&product), names(&zarr)];
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = End(&ended);
        let ended = &ended;
        // names are under way all the time
        for folder in [&product, &zarr] {
            scope.spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let _ = fs::read_dir(folder).map(|entries| entries.count());
                }
            });
        }
        let mut ready = None;
        for round in 0..8 {
            // whoever has opened a file finds the others, as does whoever has waited for the fetch
            if round % 2 == 0 {
                mount.cat("p").success();
            } else {
                mount.run(&["fetch", "data/p"]).success();
            }
            let now = [names(&product), names(&zarr)];
            assert!(now[1].contains("band") && now[1].contains("x"), "round {round}: {now:?}");
            assert_eq!(ready.get_or_insert_with(|| now.clone()), &now, "round {round}");
            mount.run(&["cache", "evict", "data/p"]).success();
            assert_eq!([names(&product), names(&zarr)], cold, "round {round}");
        }
    });
}

/// Ends those who read when the one who looks has ended, in whatever way.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The catalogue changes between two questions of a reader, and somebody else has read the new names by then.
#[test]
fn whoever_goes_on_after_a_change_misses_no_name_and_sees_none_twice() {
    let Some(stage) = Stage::shared() else { return };
    let one = Package::new("stays0000", Pixels::Classes, 32).write(&stage.data());
    let other = |name: String| stage.data().join(format!("{name}.zip"));
    for number in 1..400 {
        fs::copy(&one, other(format!("stays{number:04}"))).unwrap();
        fs::copy(&one, other(format!("goes{number:04}"))).unwrap();
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.product("stays0000");
    let snapshot = mount.cache().join("catalog.json");
    drop((mount, simulator));
    for number in 1..400 {
        fs::rename(other(format!("goes{number:04}")), other(format!("comes{number:04}"))).unwrap();
    }
    let yesterday = SystemTime::now() - Duration::from_secs(30 * 3600);
    File::options().write(true).open(&snapshot).unwrap().set_modified(yesterday).unwrap();

    let simulator = stage.simulator(QUICK);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Arc::clone(&gate);
    let meddler = Meddler::start(
        simulator.authority(),
        Arc::new(move |answer| {
            if answer.is_of("@search") {
                let open = held.0.lock().unwrap();
                drop(held.1.wait_while(open, |open| !*open).unwrap());
            }
        }),
    );
    meddler.begin();
    let api = simulator.api().replace(simulator.authority(), meddler.authority());
    let mount = stage.mount(&simulator).api(&api).start();
    let data = mount.point().join("data");
    let mut slow = Getdents::open(&data);
    let mut seen = slow.next(4096);
    let first: BTreeSet<String> = seen.iter().cloned().collect();
    assert!(first.len() > 10 && first.len() < 200, "{}", first.len());
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    until_true("the new catalogue is shown", || names(&data).contains("comes0007"));
    assert!(!names(&data).contains("goes0007"));
    loop {
        let more = slow.next(4096);
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    let unique: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "a name is seen twice");
    let missed: Vec<String> =
        (0..400).map(|number| format!("stays{number:04}")).filter(|name| !unique.contains(name)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A directory that is read by getdents64(2), so much at a time.
struct Getdents(File);

impl Getdents {
    fn open(folder: &Path) -> Self {
        Self(File::open(folder).unwrap())
    }

    fn next(&mut self, bytes: usize) -> Vec<String> {
        let mut buffer = vec![0u8; bytes];
        // SAFETY: the descriptor is open, and the buffer as long as it is said to be.
        let read =
            unsafe { libc::syscall(libc::SYS_getdents64, self.0.as_raw_fd(), buffer.as_mut_ptr(), bytes) };
        let read = usize::try_from(read).unwrap_or_else(|_| panic!("{}", io::Error::last_os_error()));
        let mut rest = &buffer[..read];
        let mut names = Vec::new();
        // struct linux_dirent64: inode, offset, length of the whole, type, name with a NUL behind
        while let Some(length) = rest.get(16..18) {
            let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
            let name = rest[19..length].split(|byte| *byte == 0).next().unwrap();
            names.push(String::from_utf8(name.to_vec()).unwrap());
            rest = &rest[length..];
        }
        names
    }
}
