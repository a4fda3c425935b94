//! Seeing what a mount does: the live view of `status --watch`, `jobs`, `fetch --attach`, and the peace of a waiting reader's
//! terminal.

use std::process::Command;

use serde_json::Value;

use crate::support::packages::Pixels;
use crate::support::process::{self, Reader, Service};
use crate::support::{Mount, Package, Stage, wait};

mod terminal;

use terminal::Terminal;

const HELD: &str = "queued = '1h'";
const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";
/// Each picture begins with it.
const FRAME: &[u8] = b"\x1b[?2026h";

/// A verb of the mount, to be started in a terminal.
fn verb(stage: &Stage, mount: &Mount, words: &[&str]) -> Command {
    let mut command = process::clmsfs_under(stage.folder(), &["setsid".into(), "--ctty".into()]);
    command.args(words).arg("--mount").arg(mount.point());
    command
}

fn waiting(mount: &Mount) -> u64 {
    let jobs = mount.json(&["jobs"]);
    jobs.as_array().unwrap().iter().map(|job| job["waiting"].as_u64().unwrap()).sum()
}

#[track_caller]
fn fits(terminal: &Terminal, columns: u16, rows: u16) {
    terminal.look(|screen| {
        assert_eq!(screen.size().0.get(), rows);
        assert!((0..rows).all(|row| !screen.row_wrapped(row)), "a line is too long:\n{}", screen.contents());
        let first = screen.rows(0, columns).next().unwrap();
        assert!(first.starts_with("mount    "), "it scrolled:\n{}", screen.contents());
    });
}

#[test]
fn a_live_view_fits_its_terminal_and_gives_it_back() {
    let Some(stage) = Stage::shared() else { return };
    for number in 0..12 {
        Package::new(
            &format!("a_product_with_quite_a_long_name_that_has_the_number_{number}"),
            Pixels::Classes,
            64,
        )
        .write(&stage.data());
    }
    let simulator = stage.simulator(HELD);
    let mount = stage.mount(&simulator).start();
    let awaited = "a_product_with_quite_a_long_name_that_has_the_number_11";
    let reader = Reader::start("cat", &[mount.tif(awaited)]);
    wait::until_true("a reader that waits", || waiting(&mount) == 1);
    for number in 0..11 {
        let id = format!("data/a_product_with_quite_a_long_name_that_has_the_number_{number}");
        mount.run(&["fetch", "--no-wait", &id]);
    }

    let mut terminal = Terminal::start(verb(&stage, &mount, &["status", "--watch"]), 80, 24);
    wait::until_true("three pictures", || terminal.count(FRAME) >= 3);
    fits(&terminal, 80, 24);
    let text = terminal.text();
    let row = text.lines().skip_while(|line| !line.starts_with("PRODUCT")).nth(1).unwrap();
    assert!(row.contains("number_11") && row.contains("queued"), "who waits comes first:\n{text}");
    assert!(text.contains("readers  1 waiting") && text.contains("] "), "{text}");
    assert!(text.contains("more: clmsfs jobs"), "{text}");
    assert!(terminal.look(|screen| screen.alternate_screen() && screen.hide_cursor()));
    assert!(!terminal.echoes());
    assert_eq!(terminal.count(b"\x1b[2J"), 0, "an empty screen between two pictures flickers");

    for (columns, rows) in [(120, 40), (50, 12)] {
        let before = terminal.count(FRAME);
        terminal.resize(columns, rows);
        wait::until_true("pictures of the new size", || terminal.count(FRAME) >= before + 2);
        fits(&terminal, columns, rows);
    }
    terminal.press(b"\x03");
    assert_eq!(terminal.ended().code(), Some(0));
    wait::until_true("the shell's screen", || terminal.look(|screen| !screen.alternate_screen()));
    assert!(terminal.look(|screen| !screen.hide_cursor()) && terminal.echoes());
    assert_eq!(terminal.text().trim(), "", "nothing is left on the shell's screen");

    // the key q does the same, and Ctrl-Z gives the terminal to the shell meanwhile
    let mut terminal = Terminal::start(verb(&stage, &mount, &["status", "--watch"]), 80, 24);
    wait::until_true("a picture", || terminal.count(FRAME) >= 1);
    // as job control does it: a session without a shell ignores the key
    process::send(terminal.id(), libc::SIGTSTP);
    wait::until_true("the shell's screen", || {
        terminal.look(|screen| !screen.alternate_screen()) && terminal.echoes()
    });
    let before = terminal.count(FRAME);
    wait::until_true("a program that goes on", || {
        process::send(terminal.id(), libc::SIGCONT);
        terminal.count(FRAME) > before && !terminal.echoes()
    });
    terminal.press(b"xq");
    assert_eq!(terminal.ended().code(), Some(0));
    wait::until_true("the shell's screen", || terminal.look(|screen| !screen.alternate_screen()));
    assert!(terminal.echoes());
    assert_eq!(waiting(&mount), 1, "watching ends nobody's wait");
    drop(reader);
}

#[test]
fn a_live_view_of_a_mount_that_goes_away_says_so_on_the_shells_screen() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(HELD);
    let mut mount = stage.mount(&simulator).start();
    let mut terminal = Terminal::start(verb(&stage, &mount, &["status", "--watch"]), 80, 24);
    wait::until_true("a picture", || terminal.count(FRAME) >= 1);
    mount.terminate();
    assert_eq!(terminal.ended().code(), Some(1));
    wait::until_true("a word", || terminal.text().contains("clmsfs: failed to show the status: mount "));
    assert!(terminal.look(|screen| !screen.alternate_screen()));
}

#[test]
fn a_pipe_gets_blocks_of_text_or_lines_of_json() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(HELD);
    let mount = stage.mount(&simulator).start();
    let json =
        Service::start("status", mount.verb(&["status", "--watch", "--json"]), &stage.folder().join("log"));
    for _ in 0..2 {
        let status: Value = serde_json::from_str(&json.line()).unwrap();
        assert_eq!(status["mountpoint"], mount.point().to_str().unwrap());
        assert!(status["cache"]["used"].as_u64() > Some(0), "{status}");
    }
    let text = Service::start("status", mount.verb(&["status", "--watch"]), &stage.folder().join("log"));
    for _ in 0..2 {
        let block: Vec<String> =
            std::iter::from_fn(|| Some(text.line()).filter(|line| !line.is_empty())).collect();
        assert!(block[0].starts_with("mount    ") && block.last().unwrap() == "jobs     none", "{block:?}");
        assert!(!block.concat().contains('\x1b'), "{block:?}");
    }
}

#[test]
fn jobs_say_what_they_wait_for_and_why_they_failed() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["slow", "broken"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator(
        "queued = '20ms'\nrunning = '1h'\n[[fault]]\nfile = 'broken'\nstatus = 400\nendpoint = 'post'",
    );
    let mount = stage.mount(&simulator).start();
    assert!(!mount.cat("broken").status.success());
    let reader = Reader::start("cat", &[mount.tif("slow")]);
    mount.reaches("slow", &["running"]);
    wait::until_true("a reader that waits", || waiting(&mount) == 1);
    let mut terminal = Terminal::start(verb(&stage, &mount, &["jobs"]), 80, 24);
    assert!(terminal.ended().success());
    wait::until_true("a table", || terminal.text().contains("broken"));
    let text = mount.run(&["jobs"]).success().text();
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["PRODUCT", "STATE", "DONE", "LEFT", "READERS", "AGE"]);
    assert_eq!(words(lines[1])[..3], ["data/slow", "running", "1"], "{text}");
    assert!(lines[2].contains("in preparation at the service, task "), "{text}");
    assert_eq!(words(lines[3])[..2], ["data/broken", "failed"], "{text}");
    assert!(
        lines[4].starts_with("  the service refused") && text.contains("next open tries again"),
        "{text}"
    );
    assert!(terminal.text().lines().all(|line| line.chars().count() < 80), "{}", terminal.text());
    let jobs = mount.json(&["jobs"]);
    let slow = jobs.as_array().unwrap().iter().find(|job| job["path"] == "data/slow").unwrap();
    assert_eq!(slow["data_id"], mount.attribute("slow", "data_id"));
    drop(reader);
}

#[test]
fn attach_watches_what_others_have_started_and_starts_nothing() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["wanted", "broken"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator(&format!("{HELD}\n[[fault]]\nfile = 'broken'\noutcome = 'rejected'"));
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("wanted");
    let path = tif.to_str().unwrap().to_owned();
    let attach = |path: &str| mount.run(&["fetch", "--attach", path]);

    let cold = attach(&path);
    assert_eq!((cold.status.code(), cold.text().as_str()), (Some(3), ""));
    assert!(cold.stderr.contains("data/wanted: not here, and nobody fetches it"), "{}", cold.stderr);
    assert_eq!(attach("data/no-such").status.code(), Some(1));
    assert_eq!(simulator.requests().count("post"), 0, "it starts nothing");

    let reader = Reader::start("cat", &[&tif]);
    mount.reaches("wanted", &["queued"]);
    let mut terminal = Terminal::start(verb(&stage, &mount, &["fetch", "--attach", &path]), 80, 24);
    wait::until_true("a bar", || {
        let text = terminal.text();
        text.contains("data/wanted") && text.contains("queued")
    });
    terminal.press(b"\x03");
    assert_eq!(terminal.ended().code(), Some(130));
    wait::until_true("a word", || terminal.text().contains("the fetch goes on"));
    assert_eq!((mount.state("wanted").as_str(), waiting(&mount)), ("queued", 1));

    let attached = Reader::spawn(mount.verb(&["fetch", "--attach", "data/wanted"]));
    let failing = Reader::start("cat", &[mount.tif("broken")]);
    mount.reaches("broken", &["ordered", "queued", "failed"]);
    let broken = Reader::spawn(mount.verb(&["fetch", "--attach", "data/broken"]));
    simulator.scenario(&format!("{QUICK}\n[[fault]]\nfile = 'broken'\noutcome = 'rejected'"));
    let attached = attached.finish().success();
    let product = mount.product("wanted").display().to_string();
    assert_eq!((attached.text().trim(), attached.stderr.as_str()), (product.as_str(), ""));
    reader.finish().success();
    let broken = broken.finish();
    assert_eq!(broken.status.code(), Some(1));
    assert!(broken.stderr.to_lowercase().contains("rejected"), "{}", broken.stderr);
    assert!(!failing.finish().status.success());
    attach(&path).success();
    assert_eq!(attach("data/broken").status.code(), Some(1));
    assert_eq!((simulator.requests().posts("wanted"), simulator.requests().posts("broken")), (1, 1));
    assert_eq!(mount.run(&["fetch", "--attach", "--refresh", &path]).status.code(), Some(2));
}

#[test]
fn a_waiting_readers_terminal_is_never_written_to() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("wanted", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '200ms'\nrunning = '1h'");
    let mount = stage.mount(&simulator).start();
    let mut command = process::command("setsid");
    command.args(["--ctty", "sh", "-c", "cat \"$0\" > /dev/null"]).arg(mount.tif("wanted"));
    let mut terminal = Terminal::start(command, 80, 24);
    mount.reaches("wanted", &["queued", "running"]);
    wait::until_true("a reader that waits", || waiting(&mount) == 1);
    // through the states that others see on their bars
    mount.reaches("wanted", &["running"]);
    assert_eq!(terminal.bytes(), b"", "{}", terminal.text());
    simulator.scenario(QUICK);
    assert_eq!(terminal.ended().code(), Some(0));
    assert_eq!(terminal.bytes(), b"", "{}", terminal.text());
}
