//! The cache's folder is ours alone, but what others put there stays; a cache of another release and one that is in use are
//! refused with the way out.

use std::path::Path;

use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Package, Stage, process, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'\n";

#[test]
fn what_others_put_into_the_cache_stays_and_is_named() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["first", "second"] {
        Package::new(name, Pixels::Ramps, 1200).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    mount.cat("first").success();
    let full = mount.disk_use();
    mount.terminate();

    let foreign = ["thesis.tex", "rasters/notes.txt", "rasters/backup-2025/photo.jpg", "staging/results.csv"];
    for path in foreign {
        let path = mount.cache().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![7; 2_000_000]).unwrap();
    }
    // Room for less than two products: the second makes the first go, and nothing else.
    let budget = (full * 19 / 10).to_string();
    drop(mount);
    let mount = stage.mount(&simulator).flag("--cache-size", budget).start();
    assert_eq!(mount.state("first"), "ready", "what others put there does not count");
    mount.cat("second").success();
    assert_eq!(mount.state("first"), "cold");
    for path in foreign {
        assert_eq!(std::fs::metadata(mount.cache().join(path)).unwrap().len(), 2_000_000, "{path}");
    }
    let named = |name: &str| mount.log().contains(name);
    wait::until_true("they are named in the log", || {
        ["notes.txt", "backup-2025", "results.csv"].iter().all(|name| named(name))
    });
    let held = mount.json(&["cache", "ls"]).to_string();
    assert!(!held.contains("backup-2025") && !held.contains("notes.txt"), "{held}");
}

#[test]
fn a_folder_that_is_no_cache_is_refused() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let home = stage.folder().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("thesis.tex"), "").unwrap();
    let ended = stage.mount(&simulator).cache(&home).refused();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("thesis.tex") && ended.stderr.contains("--cache-dir"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1, "nothing was made there");
}

#[test]
fn caches_of_an_older_and_of_a_later_release_are_refused_and_untouched() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    let bytes = mount.cat("one").success().stdout;
    mount.terminate();
    let version = mount.cache().join("VERSION");
    let ours = std::fs::read(&version).unwrap();
    for other in ["clmsfs-cache 0\n", "clmsfs-cache 99\n", "clmsfs-cache 1 \n", "\u{1b}[31m\n", ""] {
        std::fs::write(&version, other).unwrap();
        let ended = stage.mount(&simulator).refused();
        let told = &ended.stderr;
        assert_eq!(ended.status.code(), Some(1), "{other:?}: {told}");
        assert!(told.contains("VERSION") && told.contains("--cache-dir"), "{other:?}: {told}");
        assert!(!told.contains('\u{1b}'), "raw on a terminal: {told:?}");
        assert_eq!(std::fs::read_to_string(&version).unwrap(), other);
    }
    // a ledger of a later release likewise
    std::fs::write(&version, ours).unwrap();
    let ledger = rusqlite::Connection::open(mount.cache().join("ledger.sqlite")).unwrap();
    ledger.pragma_update(None, "user_version", 99).unwrap();
    let open = stage.mount(&simulator).refused();
    assert!(open.stderr.contains("another program"), "{}", open.stderr);
    drop(ledger);
    let ended = stage.mount(&simulator).refused();
    assert!(ended.stderr.contains("--cache-dir") && ended.stderr.contains("99"), "{}", ended.stderr);
    let ledger = rusqlite::Connection::open(mount.cache().join("ledger.sqlite")).unwrap();
    ledger.pragma_update(None, "user_version", 1).unwrap();
    drop(ledger);
    mount.start_again();
    assert_eq!(mount.state("one"), "ready");
    assert!(mount.cat("one").success().stdout == bytes);
}

/// `clmsfs mount` of the same cache on another mount point.
fn second(stage: &Stage, simulator: &crate::support::Simulator, cache: &Path) -> process::Finished {
    let point = stage.folder().join("second");
    std::fs::create_dir_all(&point).unwrap();
    let mut command = process::clmsfs(stage.folder());
    command.arg("mount").arg(&point).arg("--cache-dir").arg(cache);
    command.arg("--credentials").arg(simulator.key()).args(["--api-url", simulator.api()]);
    Reader::spawn(command).finish()
}

#[test]
fn a_second_mount_of_one_cache_is_refused_until_the_first_is_gone_however_it_went() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    let bytes = mount.cat("one").success().stdout;
    let link = stage.folder().join("link");
    std::os::unix::fs::symlink(mount.cache(), &link).unwrap();
    for path in [mount.cache().to_owned(), link] {
        let refused = second(&stage, &simulator, &path);
        assert_eq!(refused.status.code(), Some(1));
        let owner = format!("pid {}", mount.pid());
        for word in ["in use", "--cache-dir", &owner] {
            assert!(refused.stderr.contains(word), "no '{word}': {}", refused.stderr);
        }
    }
    assert!(mount.cat("one").success().stdout == bytes, "the first does not notice");
    // kill -9 leaves no lock behind
    mount.kill();
    mount.start_again();
    assert!(mount.cat("one").success().stdout == bytes);
    assert_eq!(simulator.requests().posts("one"), 1);
}
