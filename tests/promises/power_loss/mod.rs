//! Power loss at any moment: no wrong byte is served afterwards, and no order is lost.
//!
//! A real mount is recorded by strace(1) from an empty cache through two fetches, an eviction and a refresh. Then disks are
//! made as a loss of power may leave them after every moment of the recording ([`disk`]: what was not synced is lost, kept
//! or mixed), and the store is opened on each.
//!
//! `make crash` tries many more mixtures (`CLMSFS_POWER_MIXTURES`; `CLMSFS_CRASH_SEED` repeats them).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use clmsfs::fetch::job::Job;
use clmsfs::fetch::ledger::Ledger;
use clmsfs::store::layout::CacheDir;
use clmsfs::store::verify;

use crate::support::packages::Pixels;
use crate::support::random::number;
use crate::support::{Package, Stage, process, wait};

mod disk;
mod trace;

use disk::{Fate, Files, Recording, Remark};

/// The calls that change a disk, move a descriptor, or send something.
const CALLS: &str = "open,openat,creat,mkdir,mkdirat,write,writev,pwrite64,pwritev,pwritev2,read,readv,lseek,ftruncate,\
                     truncate,fallocate,copy_file_range,sendfile,splice,rename,renameat,renameat2,unlink,unlinkat,rmdir,\
                     link,linkat,symlink,symlinkat,fsync,fdatasync,sendto";

#[test]
fn no_wrong_byte_and_no_lost_order() {
    let Some(stage) = Stage::shared() else { return };
    if let Some(reason) = cannot_record(stage.folder()) {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    let recording = record(&stage);
    let story = Story::read(&recording);
    let mixtures = number("CLMSFS_POWER_MIXTURES", 1);
    let seed = number("CLMSFS_CRASH_SEED", 20_261_125);
    println!(
        "power loss: {} steps recorded, seed {seed}, {mixtures} mixtures at each moment",
        recording.len()
    );
    let fates = [Fate::Lost, Fate::NamesOnly, Fate::DataOnly, Fate::Kept].into_iter();
    let fates: Vec<Fate> = fates.chain((0..mixtures).map(|number| Fate::Mixed(seed + number))).collect();
    let (mut seen, mut tried, mut damaged) = (HashSet::new(), 0, 0);
    for moment in recording.moments() {
        for fate in &fates {
            let fate = match fate {
                Fate::Mixed(seed) => Fate::Mixed(seed.wrapping_mul(1_000_003) + moment as u64),
                fate => *fate,
            };
            let files = recording.after(moment, fate);
            let mut hasher = DefaultHasher::new();
            (&files, story.orders_before(moment)).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                tried += 1;
                damaged += story.check(&files, moment, &|| {
                    format!("after step {moment}, {fate:?}:\n{}\n", recording.tell(moment))
                });
            }
        }
    }
    println!("power loss: {tried} different disks, {damaged} damaged entries");
    assert_eq!(damaged, 0, "an entry is published whole and taken away whole");
    assert!(tried > 100, "too few to prove anything");
}

/// Why calls cannot be recorded here.
fn cannot_record(folder: &Path) -> Option<String> {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return Some("not root: a traced fusermount3 may not mount".to_owned());
    }
    let out = folder.join("try.trace");
    let mut command = process::command("strace");
    command.args(["-D", "-f", "-o"]).arg(&out).args(["-e", "trace=fsync", "true"]);
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            Some(format!("strace may not trace here: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => {
            Some(format!("strace cannot be started ({error}); scripts/system-packages test installs it"))
        }
    }
}

/// Runs a mount under strace and plays what it did.
fn record(stage: &Stage) -> Recording {
    for name in ["one", "two"] {
        Package::new(name, Pixels::Classes, 300).write(&stage.data());
    }
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let trace = stage.folder().join("mount.trace");
    let (text, file) = (format!("trace={CALLS}"), trace.display().to_string());
    let strace = ["strace", "-D", "-f", "-y", "-xx", "-s", "100000000", "-e", &text, "-o", &file];
    let mut mount = stage.mount(&simulator).under(&strace).start();
    for name in ["one", "two"] {
        mount.cat(name).success();
    }
    mount.run(&["cache", "evict", "data/one"]).success();
    Package::new("two", Pixels::Noise, 200).write(&stage.data());
    mount.run(&["fetch", "--refresh", "data/two"]).success();
    assert!(mount.terminate().success());
    let text = wait::until("the end of the trace", || {
        let text = std::fs::read_to_string(&trace).ok()?;
        // The last word is about the first process; threads end before it.
        let first = text.split(' ').next()?;
        let last = text.trim_end().lines().last()?.strip_prefix(first)?;
        last.trim_start().starts_with("+++ exited with 0 +++").then_some(text)
    });
    let root = mount.cache().canonicalize().unwrap();
    let recording = Recording::new(&trace::read(&text), &root.to_string_lossy());
    // The recording is complete: played to its end, it gives what really lies there.
    let mut really = Files::new();
    collect(&root, "", &mut really);
    let played = recording.seen(recording.len());
    let names = |files: &Files| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&played), names(&really));
    for (path, bytes) in &really {
        assert!(
            played[path] == *bytes,
            "{path} was played wrong: {} bytes of {}",
            played[path].len(),
            bytes.len()
        );
    }
    recording
}

/// Reads a folder as [`Recording::after`] gives it.
fn collect(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            files.insert(format!("{path}/"), Vec::new());
            collect(&entry.path(), &format!("{path}/"), files);
        } else if !path.ends_with("-shm") {
            files.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// What the recorded mount did, seen from outside.
struct Story {
    /// Orders: the step at which each was sent, and the key of its product.
    orders: Vec<(usize, String)>,
    /// Publications: step, key and files.
    published: Vec<(usize, String, Files)>,
    /// Steps at which entries were taken away.
    evicted: Vec<(usize, String)>,
}

impl Story {
    #[track_caller]
    fn read(recording: &Recording) -> Self {
        let key = |path: &str| path.strip_prefix("rasters/").map(str::to_owned);
        let (mut sent, mut published, mut evicted) = (Vec::new(), Vec::new(), Vec::new());
        for (step, remark) in recording.remarks() {
            match remark {
                Remark::Appeared(path) => {
                    let Some(key) = key(path) else { continue };
                    let files = below(&recording.seen(step), &format!("rasters/{key}/"));
                    published.push((step, key, files));
                }
                Remark::Vanished(path) => evicted.extend(key(path).map(|key| (step, key))),
                Remark::Sent(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    if text.contains("@datarequest_post") {
                        sent.push((step, text.into_owned()));
                    }
                }
            }
        }
        let keys: BTreeSet<&String> = published.iter().map(|(_, key, _)| key).collect();
        let file_of = |key: &str| key.split_once('-').expect("dataset and file").1.to_owned();
        let orders: Vec<(usize, String)> = sent
            .iter()
            .map(|(step, text)| {
                let key = keys.iter().find(|key| text.contains(&file_of(key)));
                (*step, key.unwrap_or_else(|| panic!("whose order is {text}?")).to_string())
            })
            .collect();
        assert_eq!((orders.len(), published.len(), evicted.len()), (3, 3, 1), "one, two, and two once more");
        Self { orders, published, evicted }
    }

    fn orders_before(&self, moment: usize) -> usize {
        self.orders.iter().filter(|(step, _)| *step < moment).count()
    }

    /// Opens the store on a disk and checks what it would serve, and what it remembers. The number of entries that prove
    /// damaged, and so are fetched anew.
    #[track_caller]
    fn check(&self, files: &Files, moment: usize, what: &dyn Fn() -> String) -> usize {
        // In memory where that is possible: SQLite syncs as it starts.
        let memory = Path::new("/dev/shm");
        let mut folder = tempfile::Builder::new();
        folder.prefix("clmsfs-power-");
        let folder = if memory.is_dir() { folder.tempdir_in(memory) } else { folder.tempdir() }.unwrap();
        disk::write(files, folder.path());
        let cache = CacheDir::open(folder.path()).unwrap_or_else(|error| panic!("{}: {error}", what()));
        let ledger = Ledger::open(&cache.ledger()).unwrap_or_else(|error| panic!("{}: {error}", what()));
        let jobs = ledger.jobs().unwrap_or_else(|error| panic!("{}: {error}", what()));
        let mut sound: BTreeMap<String, usize> = BTreeMap::new();
        let mut damaged = 0;
        for entry in std::fs::read_dir(cache.entries()).unwrap().map(Result::unwrap) {
            let key = entry.file_name().to_string_lossy().into_owned();
            match verify::quick(&entry.path()) {
                Ok(_) => {
                    let mut found = Files::new();
                    collect(&entry.path(), "", &mut found);
                    let edition =
                        self.published.iter().rposition(|(_, other, files)| *other == key && *files == found);
                    let edition =
                        edition.unwrap_or_else(|| panic!("{}: {key} would be served, and is wrong", what()));
                    sound.insert(key, edition);
                }
                Err(error) => {
                    assert!(error.is_damage(), "{}: {error}", what());
                    damaged += 1;
                }
            }
        }
        for (sent, key) in self.orders.iter().filter(|(sent, _)| *sent < moment) {
            let is_noted = jobs.iter().any(|job| job.key.as_str() == key && knows_its_order(job));
            let edition = self.published.iter().position(|(step, other, _)| step > sent && other == key);
            let is_here =
                sound.get(key).is_some_and(|found| edition.is_some_and(|edition| *found >= edition));
            // The remark stands behind its rename.
            let had_its_time =
                self.evicted.iter().any(|(step, other)| *step > *sent && *step <= moment && other == key);
            assert!(
                is_noted || is_here || had_its_time,
                "{}: the order of {key} is forgotten; jobs: {jobs:?}",
                what()
            );
        }
        damaged
    }
}

fn knows_its_order(job: &Job) -> bool {
    job.sent.is_some() || job.task.is_some()
}

fn below(files: &Files, prefix: &str) -> Files {
    let inside = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(prefix)?, bytes)));
    inside
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, bytes)| (path.to_owned(), bytes.clone()))
        .collect()
}
