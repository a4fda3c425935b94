//! The verbs that talk to a running mount, as scripts use them.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::support::meddler::{self, Meddler};
use crate::support::packages::Pixels;
use crate::support::process::{CLMSFS, Reader, run};
use crate::support::{Package, Stage, wait};

const QUICK: &str = "queued = '50ms'\nrunning = '50ms'";

#[test]
fn fetch_brings_products_by_every_kind_of_name() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["one", "two", "three"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.run(&["fetch", "data/one"]).success();
    assert_eq!(mount.state("one"), "ready");
    mount.run(&["fetch", "data|two"]).success();
    assert_eq!(mount.state("two"), "ready");
    let path = mount.tif("three").display().to_string();
    mount.run(&["fetch", &path]).success();
    assert_eq!(mount.state("three"), "ready");
    assert_eq!(mount.run(&["fetch", "data/no-such-product"]).status.code(), Some(1));
}

#[test]
fn a_path_leads_to_its_product_from_every_folder_and_through_links() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("one", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let dataset = mount.product("one").parent().unwrap().to_owned();
    let link = stage.folder().join("link");
    symlink(mount.point(), &link).unwrap();
    let linked = link.join("data/one").display().to_string();
    mount.run(&["fetch", &linked]).success();
    mount.run(&["cache", "pin", &linked]).success();
    assert_eq!(mount.attribute("one", "pinned"), "1");
    let from_within = |words: &[&str]| {
        let mut command = mount.verb(words);
        command.current_dir(&dataset);
        Reader::spawn(command).finish().success().text()
    };
    from_within(&["cache", "unpin", "one"]);
    assert_eq!(mount.attribute("one", "pinned"), "0");
    from_within(&["cache", "pin", "./one/one.tif"]);
    assert_eq!(mount.attribute("one", "pinned"), "1");
    // a name is no path where nothing lies there
    from_within(&["cache", "unpin", "data/one"]);
    assert_eq!(mount.attribute("one", "pinned"), "0");
    assert!(from_within(&["ls", "."]).contains("data/one"));
}

/// It ended with 0 and without a word.
#[test]
fn fetch_says_when_its_product_is_not_in_the_catalogue_any_more() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("leaving", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let rename = |answer: &mut meddler::Answer| {
        if answer.is_of("@search") {
            answer.replace("leaving", "renamed");
        }
    };
    let meddler = Meddler::start(simulator.authority(), Arc::new(rename));
    let api = simulator.api().replace(simulator.authority(), meddler.authority());
    let mount = stage.mount(&simulator).api(&api).flag("--catalog-ttl", "10s").start();
    mount.product("leaving");
    let fetch = Reader::spawn(mount.verb(&["fetch", "data/leaving"]));
    mount.reaches("leaving", &["queued"]);
    meddler.begin();
    let told = fetch.finish();
    assert_eq!(told.status.code(), Some(1), "{}", told.stderr);
    assert!(
        told.stderr.contains("data/leaving: not in the catalogue any more: see clmsfs jobs"),
        "{}",
        told.stderr
    );
}

#[test]
fn fetch_no_wait_says_not_ready_by_its_exit_code() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("later", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '500ms'\nrunning = '50ms'");
    let mount = stage.mount(&simulator).start();
    assert_eq!(mount.run(&["fetch", "--no-wait", "data/later"]).status.code(), Some(3));
    assert!(mount.json(&["jobs"]).to_string().contains("later"));
    mount.ready("later");
    mount.run(&["fetch", "--no-wait", "data/later"]).success();
    assert_eq!(simulator.requests().posts("later"), 1);
}

#[test]
fn cancel_ends_the_waiting_and_forgets_the_task() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("regretted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'");
    let mount = stage.mount(&simulator).start();
    let reader = Reader::start("cat", &[mount.tif("regretted")]);
    mount.reaches("regretted", &["queued"]);
    mount.run(&["cancel", "data/regretted"]).success();
    assert!(!reader.finish().status.success());
    assert!(!["ordered", "queued", "running"].contains(&mount.state("regretted").as_str()));
    wait::until_true("the remote task is deleted", || simulator.requests().count("delete") == 1);
}

#[test]
fn the_cache_can_be_listed_pinned_proven_and_emptied() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("kept", Pixels::Classes, 600).write(&stage.data());
    Package::new("dropped", Pixels::Classes, 600).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("kept").success();
    mount.cat("dropped").success();
    let list = mount.json(&["cache", "ls"]).to_string();
    assert!(list.contains("kept") && list.contains("dropped"), "{list}");
    mount.run(&["cache", "verify"]).success();

    mount.run(&["cache", "pin", "data/kept"]).success();
    assert_eq!(mount.attribute("kept", "pinned"), "1");
    mount.run(&["cache", "evict", "data/dropped"]).success();
    assert_eq!(mount.state("dropped"), "cold");
    assert!(!mount.run(&["cache", "evict", "data/kept"]).status.success(), "a pinned product stays");
    mount.run(&["cache", "unpin", "data/kept"]).success();
    assert_eq!(mount.attribute("kept", "pinned"), "0");
    mount.run(&["cache", "evict", "data/kept"]).success();
    assert_eq!(mount.state("kept"), "cold");
}

#[test]
fn verify_finds_a_single_wrong_bit() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("rotten", Pixels::Noise, 600).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.cat("rotten").success();
    let files = run(
        "find",
        &[
            mount.cache().join("rasters").as_os_str(),
            "-size".as_ref(),
            "+100k".as_ref(),
            "-path".as_ref(),
            "*/c/0/0".as_ref(),
        ],
    );
    let text = files.success().text();
    let file = text.lines().next().expect("a large file in the cache");
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let verdict = mount.run(&["cache", "verify"]);
    assert_eq!(verdict.status.code(), Some(1));
    assert!((verdict.text() + &verdict.stderr).contains("rotten"), "{}{}", verdict.text(), verdict.stderr);
}

#[test]
fn ls_and_search_find_products_without_ordering() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("needle", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    mount.product("needle");
    assert!(mount.run(&["ls"]).success().text().contains("data"));
    assert!(mount.run(&["ls", "data"]).success().text().contains("needle"));
    assert!(mount.json(&["search", "needle"]).to_string().contains("needle"));
    assert_eq!(simulator.requests().count("post"), 0);
}

#[test]
fn umount_ends_the_mount_also_while_a_file_is_open() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("open", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    mount.cat("open").success();
    let held = std::fs::File::open(mount.tif("open")).unwrap();
    mount.run(&["umount"]).success();
    drop(held);
    assert!(mount.ended().success());
    assert!(
        std::fs::read_dir(mount.point()).unwrap().next().is_none(),
        "the mount point is an empty folder again"
    );
}

#[test]
fn umount_takes_the_mount_point_as_an_argument_too() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    let mut command = crate::support::process::clmsfs(stage.folder());
    command.arg("umount").arg(mount.point());
    Reader::spawn(command).finish().success();
    assert!(mount.ended().success());
}

/// In a namespace of mounts that has no other mount of ours and no list of running ones, for the mounts of other tests are
/// this user's, too.
#[test]
fn umount_without_a_name_takes_away_the_one_mount_that_a_crash_left() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("");
    let mut mount = stage.mount(&simulator).start();
    mount.kill();
    let script = r#"
        mounts() { awk '/ - fuse.clmsfs / { print $5 }' /proc/self/mountinfo; }
        mount -t tmpfs tmpfs /run
        for other in $(mounts); do [ "$other" = "$0" ] || umount -l "$other"; done
        mounts
        "$1" umount
        mounts
    "#;
    let point = mount.point().display().to_string();
    let words = ["--mount", "--propagation", "private", "sh", "-euc", script, &point, CLMSFS];
    let told = run("unshare", &words).success();
    assert_eq!(told.text(), format!("{point}\n"), "there before, and not after");
}

#[test]
fn config_show_names_values_and_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "cache_size = '3GB'\n").unwrap();
    let mut command = crate::support::process::clmsfs(folder.path());
    command.args(["config", "show", "--config"]).arg(&file).env("CLMSFS_ON_MISS", "eagain");
    let told = Reader::spawn(command).finish().success().text();
    let line = |name: &str| told.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("cache_size").contains("3GB") && line("cache_size").contains("config.toml:1"), "{told}");
    assert!(line("on_miss").contains("eagain") && line("on_miss").contains("CLMSFS_ON_MISS"), "{told}");
    assert!(line("block_timeout").contains("none") && line("block_timeout").contains("default"), "{told}");

    std::fs::write(&file, "cash_size = '3GB'\n").unwrap();
    let mut command = crate::support::process::clmsfs(folder.path());
    command.args(["config", "check", "--config"]).arg(&file);
    let refused = Reader::spawn(command).finish();
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("'cash_size' is not an option"), "{}", refused.stderr);
}
