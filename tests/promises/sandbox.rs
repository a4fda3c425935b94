//! The conversion process of a real mount, looked at from outside: what it holds, and what becomes of the mount when it
//! is killed, crashes, runs out of memory or hangs. What it can do from inside is `ingest::tests::walls`.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::support::packages::Pixels;
use crate::support::process::{Reader, send};
use crate::support::proxy::Proxy;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// A conversion that has been stopped behind its walls.
struct Stopped(u32);

impl Stopped {
    /// Waits for the conversion process of a mount, and stops it once the last of its walls stands.
    #[track_caller]
    fn of(mount: &Mount) -> Self {
        let child = wait::until("a conversion process", || child(mount.pid()));
        wait::until_true("its walls", || {
            status(child, "Seccomp") == "2" || !Path::new(&format!("/proc/{child}/exe")).exists()
        });
        send(child, libc::SIGSTOP);
        wait::until_true("it is stopped", || status(child, "State").starts_with('T'));
        Self(child)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(format!("/proc/{}/{file}", self.0)).unwrap_or_default()
    }

    fn ends_by(&self, signal: i32) {
        send(self.0, signal);
        send(self.0, libc::SIGCONT);
    }
}

/// The child of a process that converts.
fn child(parent: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).ok()?.filter_map(Result::ok);
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let all: Vec<u32> = children
        .flat_map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    all.into_iter().find(|id| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("ingest-child"))
    })
}

fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
    line.unwrap_or_default().to_owned()
}

/// Two products, the first of which takes long enough to be caught.
fn stand(stage: &Stage) -> (Simulator, Mount) {
    Package::new("large", Pixels::Floats, 4000).write(&stage.data());
    Package::new("small", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.product("large");
    (simulator, mount)
}

/// Memory of a stopped process, as far as it can be read.
fn memory(pid: u32) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let Ok(file) = fs::File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let name = words.nth(3).unwrap_or_default();
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        // What the process wrote; not text and data of libraries, not the stacks' empty reserves.
        if !rights.starts_with("rw") || name.starts_with("[v") || to - from > 256 << 20 {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if file.read_exact_at(&mut bytes, from).is_ok() {
            all.extend(bytes);
        }
    }
    all
}

fn holds(memory: &[u8], word: &str) -> bool {
    // By the first byte, then the rest: memory is large.
    let word = word.as_bytes();
    let mut rest = memory;
    while let Some(at) = rest.iter().position(|byte| *byte == word[0]) {
        if rest[at..].starts_with(word) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[test]
fn the_conversion_process_has_no_rights_and_inherits_nothing() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("large", Pixels::Floats, 4000).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let proxy = Proxy::start(simulator.authority());
    let api = simulator.api().replace(simulator.authority(), &proxy.authority());
    // What a careless starter leaves open for the mount.
    let left_open = fs::File::open(simulator.key()).unwrap();
    // SAFETY: takes numbers.
    let inherited = unsafe { libc::fcntl(left_open.as_raw_fd(), libc::F_SETFD, 0) };
    assert_eq!(inherited, 0);
    let mount = stage
        .mount(&simulator)
        .api(&api)
        .env("AWS_SECRET_ACCESS_KEY", "a-secret-of-somebody-else")
        .env("LD_PRELOAD", "")
        .start();
    let reader = Reader::start("cat", &[mount.tif("large")]);
    let child = Stopped::of(&mount);

    for (field, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        assert_eq!(status(child.0, field), wanted, "{field}");
    }
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status(child.0, field), 16), Ok(0), "{field}");
    }
    let limits = String::from_utf8(child.read("limits")).unwrap();
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(limit("Max core file size").contains(" 0 "), "{limits}");
    assert!(!limit("Max address space").contains("unlimited"), "{limits}");
    assert!(!limit("Max file size").contains("unlimited"), "{limits}");

    let environment = String::from_utf8(child.read("environ")).unwrap();
    let names: BTreeSet<&str> = environment.split('\0').filter_map(|line| line.split('=').next()).collect();
    let known = [
        "",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS",
        "GDAL_DATA",
        "HDF5_USE_FILE_LOCKING",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "MALLOC_ARENA_MAX",
        "PROJ_DATA",
        "PROJ_LIB",
        "PROJ_NETWORK",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");

    let staging = mount.cache().join("staging");
    let open: Vec<_> = fs::read_dir(format!("/proc/{}/fd", child.0))
        .unwrap()
        .filter_map(|entry| Some((entry.as_ref().ok()?.file_name(), fs::read_link(entry.ok()?.path()).ok()?)))
        .collect();
    assert!(open.len() >= 3, "{open:?}");
    for (number, target) in &open {
        let is_pipe =
            ["0", "1", "2"].iter().any(|of| number == of) && target.to_str().unwrap().starts_with("pipe:");
        // What is left is the work itself, and data of PROJ.
        let is_work = target.starts_with(&staging)
            || target.starts_with("/usr/share")
            || target.starts_with("/usr/local/share");
        assert!(is_pipe || is_work, "descriptor {number:?} is {}: {open:?}", target.display());
    }

    // It was executed anew: nothing of the parent's memory is in it.
    let key: serde_json::Value = serde_json::from_slice(&fs::read(simulator.key()).unwrap()).unwrap();
    let pem = key["private_key"].as_str().unwrap().lines().find(|line| line.len() > 40).unwrap();
    let heard = proxy.heard();
    let token = heard.lines().find_map(|line| line.split_once("Bearer ")).unwrap().1.trim();
    let inside = memory(child.0);
    assert!(holds(&inside, "large"), "its job is in the memory that is looked at ({} bytes)", inside.len());
    for secret in [pem, token, "a-secret-of-somebody-else", key["client_id"].as_str().unwrap()] {
        assert!(!holds(&inside, secret), "the conversion process has a secret of its parent");
    }
    send(child.0, libc::SIGCONT);
    reader.finish().success();
    println!(
        "{} descriptors, {} variables, {} MB of memory looked at",
        open.len(),
        names.len() - 1,
        inside.len() >> 20
    );
}

/// The reader is told, the reason is there, everything else goes on, and the product comes with the next fetch.
#[track_caller]
fn is_survived(mount: &Mount, simulator: &Simulator, reader: Reader, words: &[&str]) {
    let told = reader.finish();
    assert!(told.stderr.contains("Input/output error"), "{}", told.stderr);
    let reason = mount.attribute("large", "error");
    assert!(words.iter().all(|word| reason.contains(word)), "'{reason}' has not all of {words:?}");
    assert_eq!((mount.state("large"), mount.staging().len()), ("failed".to_owned(), 0), "{reason}");
    mount.cat("small").success();
    mount.run(&["fetch", "data/large"]).success();
    assert_eq!(mount.state("large"), "ready");
    assert!(simulator.requests().posts("large") <= 1, "what was paid for is used");
}

#[test]
fn a_conversion_that_is_killed_or_crashes_costs_one_attempt() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount) = stand(&stage);
    let source = stage.data().join("sources/large.tif");
    for (signal, words) in [(libc::SIGKILL, "was killed"), (libc::SIGILL, "crashed with signal 4")] {
        let reader = Reader::start("cat", &[mount.tif("large")]);
        Stopped::of(&mount).ends_by(signal);
        is_survived(&mount, &simulator, reader, &["the conversion process", words]);
        assert_eq!(raster::checksums(&mount.tif("large")), raster::checksums(&source));
        mount.run(&["cache", "evict", "data/large"]).success();
        // Orders are counted for each.
        simulator.reset_when_quiet();
    }
}

#[test]
fn a_conversion_without_memory_costs_one_attempt() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount) = stand(&stage);
    let reader = Reader::start("cat", &[mount.tif("large")]);
    let child = Stopped::of(&mount);
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid limit, and nothing is to be written back.
    let limited = unsafe {
        libc::prlimit(child.0 as libc::pid_t, libc::RLIMIT_AS, &raw const none, std::ptr::null_mut())
    };
    assert_eq!(limited, 0);
    send(child.0, libc::SIGCONT);
    is_survived(&mount, &simulator, reader, &["memory"]);
}

#[test]
fn a_conversion_that_hangs_can_be_cancelled_and_holds_nothing_up() {
    let Some(stage) = Stage::shared() else { return };
    let (_simulator, mount) = stand(&stage);
    let reader = Reader::start("cat", &[mount.tif("large")]);
    let child = Stopped::of(&mount);
    assert!(mount.run(&["ls", "data"]).success().text().contains("data/large"));
    mount.run(&["cancel", "data/large"]).success();
    assert!(!reader.finish().status.success());
    wait::until_true("the stopped process is gone", || !Path::new(&format!("/proc/{}", child.0)).exists());
    mount.cat("small").success();
    wait::until_true("nothing in staging", || mount.staging().is_empty());
    mount.run(&["fetch", "data/large"]).success();
}
