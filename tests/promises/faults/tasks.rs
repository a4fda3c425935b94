//! Tasks that do not come to a good end.

use std::time::Duration;

use super::row::{FINE, Recovery, Row, Sees, until_asked};
use super::rows;
use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::{Package, Stage, wait};

rows! {
    vanished_once: Row {
        fault: "task vanishes, once",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'vanishes'\ntimes = 1",
        orders: 2,
        ..Row::PLAIN
    };
    vanished: Row {
        fault: "task vanishes, always",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'vanishes'",
        sees: Sees::Errno(libc::EIO),
        words: &["does not know the task any more"],
        orders: 2,
        ..Row::PLAIN
    };
    finished_nok: Row {
        fault: "Finished_nok",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'finished_nok'",
        sees: Sees::Errno(libc::EIO),
        words: &["finished_nok: there was an error"],
        ..Row::PLAIN
    };
    rejected: Row {
        fault: "Rejected",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'rejected'",
        sees: Sees::Errno(libc::EIO),
        words: &["rejected"],
        ..Row::PLAIN
    };
    cancelled_in_the_portal: Row {
        fault: "Cancelled by the user in the portal",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'cancelled'",
        sees: Sees::Errno(libc::EIO),
        words: &["was cancelled at the service; open it again"],
        ..Row::PLAIN
    };
    queued_for_ever: Row {
        fault: "Queued for ever",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'stuck_queued'",
        sees: Sees::Waits("queued"),
        meanwhile: Some(|scene| until_asked(scene, "status", 5)),
        recovery: Recovery::Cancel,
        ..Row::PLAIN
    };
    queued_with_a_link: Row {
        fault: "Queued with a DownloadURL",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'queued_with_url'",
        ..Row::PLAIN
    };
    refused_by_the_packer: Row {
        fault: "order: 500, and a task stays Queued for good",
        scenario: "[[fault]]\nfile = 'broken'\noutcome = 'fme_refuses'",
        sees: Sees::Errno(libc::EIO),
        words: &["refused the order"],
        check: Some(|scene| assert_eq!(scene.simulator.requests().count("delete"), 1, "it is withdrawn")),
        ..Row::PLAIN
    };
    /// The service makes two tasks of one order: both are ours, and one of them will do.
    doubled: Row {
        fault: "two tasks for one order",
        scenario: "[[fault]]\nfile = 'broken'\ndoubled = true",
        ..Row::PLAIN
    };
    /// Two open tasks that are the same poison every later order. Here they are of another product.
    poisoned: Row {
        fault: "DUPLICATED poison by two open tasks of another product",
        scenario: "queued = '1h'\n[[fault]]\nfile = 'other'\ndoubled = true",
        sees: Sees::Errno(libc::EIO),
        words: &["cancel one of them with 'clmsfs cancel --task"],
        before: Some(|scene| {
            scene.mount.run(&["fetch", "--no-wait", "data/other"]);
            scene.mount.reaches("other", &["queued"]);
        }),
        recovery: Recovery::AsTheMessageSays,
        ..Row::PLAIN
    };
}

/// A waiting reader whose patience is limited.
#[test]
fn queued_for_longer_than_the_block_timeout() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("[[fault]]\nfile = 'broken'\noutcome = 'stuck_queued'\ntimes = 1");
    let mount = stage.mount(&simulator).hurry(20).flag("--block-timeout", "1s").start();
    let error = std::fs::File::open(mount.tif("broken")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
    assert_eq!(mount.state("broken"), "queued");
    mount.run(&["cancel", "data/broken"]).success();
    simulator.scenario(FINE);
    wait::until_true("it is ordered anew", || std::fs::File::open(mount.tif("broken")).is_ok());
}

#[test]
fn a_delete_that_never_answers_does_not_hold_up_a_cancel() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator("queued = '1h'\ndelete = 'hangs'");
    let mount = stage.mount(&simulator).start();
    let reader = Reader::start("cat", &[mount.tif("broken")]);
    mount.reaches("broken", &["queued"]);
    simulator.forget_requests();
    let cancel = mount.run(&["cancel", "data/broken"]).success();
    assert!(cancel.elapsed < Duration::from_secs(30), "took {:?}", cancel.elapsed);
    assert!(!reader.finish().status.success(), "whoever waited is told");
    wait::until_true("the product is cold", || mount.state("broken") == "cold");
    assert!(simulator.requests().count("delete") <= 1, "{:?}", simulator.requests());
    // The task goes on at the service, and is not taken for the new order.
    simulator.scenario(FINE);
    mount.cat("broken").success();
}

/// The state of one task never comes; another one is seen all the same.
#[test]
fn a_slow_answer_about_one_task_does_not_hold_up_another() {
    let Some(stage) = Stage::shared() else { return };
    for name in ["slow", "broken"] {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator =
        stage.simulator(&format!("{FINE}[[fault]]\nfile = 'slow'\nendpoint = 'status'\nhang = true"));
    // The usual time limits: a question is given up after a minute, and this test does not take so long.
    let mount = stage.mount(&simulator).start();
    let mut slow = Reader::start("cat", &[mount.tif("slow")]);
    wait::until_true("the slow one is asked for", || simulator.requests().count("status") >= 1);
    mount.cat("broken").success();
    assert!(slow.runs() && mount.state("slow") == "queued", "the other one was not waited for");
    assert_eq!(simulator.requests().unanswered("status"), 1, "{:?}", simulator.requests());
}
