//! The log: one line for each stage of a fetch, with the service's ids; priorities where a journal reads it.

use std::os::unix::fs::MetadataExt;

use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Stage, wait};

/// Long enough to be seen by the poller, which asks five times a second here.
const SEEN: &str = "queued = '1s'\nrunning = '3s'";

/// The value of a field of a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    Some(rest.split_whitespace().next().unwrap_or_default())
}

/// The lines of one product.
fn lines_of(mount: &Mount, data_id: &str) -> Vec<String> {
    let log = mount.log();
    log.lines().filter(|line| field(line, "data_id") == Some(data_id)).map(str::to_owned).collect()
}

/// The word behind `fetch`, or `evicted`.
fn stage_of(line: &str) -> &str {
    let words = line.split_once("fetch ").map_or("evicted", |(_, rest)| rest);
    words.split([' ', ':']).next().unwrap()
}

#[test]
fn a_fetch_is_told_stage_by_stage_with_both_ids() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["wanted", "broken"] {
        Package::new(name, Pixels::Classes, 300).write(&stage.data());
    }
    let simulator = stage.simulator(&format!("{SEEN}\n[[fault]]\nfile = 'broken'\noutcome = 'finished_nok'"));
    let mount = stage.mount(&simulator).flag("--log", "info").start();
    let data_id = mount.attribute("wanted", "data_id");
    mount.cat("wanted").success();
    wait::until_true("a reader that has closed", || {
        mount.run(&["cache", "evict", "data/wanted"]).status.success()
    });
    wait::until_true("a line about the end", || {
        lines_of(&mount, &data_id).last().is_some_and(|line| line.contains("evicted"))
    });
    let lines = lines_of(&mount, &data_id);
    let stages: Vec<&str> = lines.iter().map(|line| stage_of(line)).collect();
    let all = ["ordered", "queued", "running", "downloading", "extracting", "converting", "ready", "evicted"];
    assert_eq!(stages, all, "{lines:#?}");
    let task = field(&lines[1], "task_id").unwrap();
    assert!(!task.is_empty(), "{lines:#?}");
    for (line, name) in lines.iter().zip(all) {
        assert!(line.contains(" INFO ") && line.contains("path=\"data/wanted\""), "{line}");
        assert_eq!(
            field(line, "task_id"),
            Some(task).filter(|_| !["ordered", "evicted"].contains(&name)),
            "{line}"
        );
        assert_eq!(field(line, "took_ms").is_some(), !["ordered", "evicted"].contains(&name), "{line}");
    }
    let number = |line: &str, name: &str| field(line, name).and_then(|text| text.parse::<u64>().ok());
    // what the running state took is told when the next one begins
    assert!(number(&lines[3], "took_ms") >= Some(1000), "{}", lines[3]);
    assert!(number(&lines[6], "total_ms") >= number(&lines[3], "took_ms"), "{}", lines[6]);
    let package = simulator.requests().download_bytes();
    assert_eq!(number(&lines[4], "bytes"), Some(package), "{}", lines[4]);
    assert!(number(&lines[6], "bytes") > Some(0), "{}", lines[6]);
    assert_eq!(number(&lines[7], "bytes"), number(&lines[6], "bytes"));

    assert!(!mount.cat("broken").status.success());
    let data_id = mount.attribute("broken", "data_id");
    let lines = lines_of(&mount, &data_id);
    let last = lines.last().unwrap();
    assert!(last.contains(" WARN fetch failed: the service ended task "), "{last}");
    assert_eq!(
        (field(last, "kind"), field(last, "task_id")),
        (Some("\"service\""), field(&lines[1], "task_id"))
    );
}

#[test]
fn a_journal_gets_the_priority_of_each_line_and_nothing_that_it_has_itself() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let log = stage.folder().join("mount.log");
    let metadata = std::fs::File::create(&log).unwrap().metadata().unwrap();
    let journal = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut mount = stage.mount(&simulator).env("JOURNAL_STREAM", &journal).start();
    mount.cat("wanted").success();
    // at once: the product is still being described, and PROJ's exit handlers beside that were a crash (SIGSEGV)
    let ended = mount.terminate();
    assert!(ended.success(), "{ended}");
    let text = mount.log();
    assert!(text.contains("\n<6>fetch ready path=\"data/wanted\"") && text.contains("<7>"), "{text}");
    for line in text.lines() {
        let rest = ["<3>", "<4>", "<6>", "<7>"].iter().find_map(|priority| line.strip_prefix(priority));
        let rest = rest.unwrap_or_else(|| panic!("no priority: {line}"));
        assert!(!rest.starts_with("20") && !rest.contains('\x1b'), "{line}");
    }
    drop(mount);

    // inherited by a program whose standard error leads elsewhere
    std::fs::remove_file(&log).unwrap();
    let mount = stage.mount(&simulator).env("JOURNAL_STREAM", "1:1").start();
    mount.product("wanted");
    let text = wait::until("a line", || Some(mount.log()).filter(|text| text.contains('\n')));
    let time = text.split(' ').next().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{text}");
}
