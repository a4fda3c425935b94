//! No name, no connection, no answer, or one that does not end.

use super::row::{BOUND, Recovery, Row, Sees, until_asked};
use super::rows;
use crate::support::packages::Pixels;
use crate::support::{Package, Stage};

const QUICK_STALL: &[(&str, &str)] = &[("--download-stall", "1s")];

rows! {
    file_host_without_a_name: Row {
        fault: "DNS failure of the file host",
        scenario: "link_host = 'https://files.clms.invalid'",
        flags: &[("--download-hosts", "files.clms.invalid")],
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["files.clms.invalid cannot be reached"],
        orders_after: 0,
        ..Row::PLAIN
    };
    refused: Row {
        fault: "connections refused",
        cut: true,
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["cannot be reached"],
        orders: 0,
        // the token's: its address is the key's own
        requests: 1,
        ..Row::PLAIN
    };
    reset_search: Row {
        fault: "search of tasks: reset for good",
        scenario: "[[fault]]\nendpoint = 'tasks'\nreset = true",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["cannot be reached"],
        orders: 0,
        requests: 6,
        ..Row::PLAIN
    };
    reset_order: Row {
        fault: "order: reset twice",
        scenario: "[[fault]]\nendpoint = 'post'\nreset = true\ntimes = 2",
        requests: 60,
        ..Row::PLAIN
    };
    reset_status: Row {
        fault: "state of the task: reset for good",
        scenario: "[[fault]]\nendpoint = 'status'\nreset = true",
        sees: Sees::Waits("queued"),
        words: &["cannot be reached"],
        orders_after: 0,
        ..Row::PLAIN
    };
    reset_download: Row {
        fault: "download: reset in the middle, three times",
        scenario: "[[fault]]\nendpoint = 'download'\nreset = true\ntimes = 3",
        check: Some(|scene| assert_eq!(scene.simulator.requests().downloads("broken"), 4)),
        ..Row::PLAIN
    };
    reset_download_for_good: Row {
        fault: "download: reset in the middle, without ranges, for good",
        scenario: "range = false\n[[fault]]\nendpoint = 'download'\nreset = true",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["broke off"],
        orders_after: 0,
        ..Row::PLAIN
    };
    slow_heads: Row {
        fault: "every answer begins late",
        scenario: "[[fault]]\nendpoint = 'token'\ndelay = '300ms'\ntimes = 1
            [[fault]]\nendpoint = 'tasks'\ndelay = '300ms'\ntimes = 1
            [[fault]]\nendpoint = 'post'\ndelay = '300ms'\ntimes = 1
            [[fault]]\nendpoint = 'status'\ndelay = '300ms'\ntimes = 1
            [[fault]]\nendpoint = 'download'\ndelay = '300ms'\ntimes = 1",
        ..Row::PLAIN
    };
    slower_heads_than_the_limit: Row {
        fault: "state of the task: the answer begins later than the limit",
        scenario: "[[fault]]\nendpoint = 'status'\ndelay = '1h'",
        sees: Sees::Waits("queued"),
        words: &["no answer within"],
        hurry: 60,
        orders_after: 0,
        ..Row::PLAIN
    };
    no_answer_to_the_search: Row {
        fault: "search of tasks: no answer",
        scenario: "[[fault]]\nendpoint = 'tasks'\nhang = true",
        sees: Sees::Errno(libc::ENETDOWN),
        words: &["no answer within"],
        orders: 0,
        requests: 6,
        hurry: 60,
        ..Row::PLAIN
    };
    no_answer_to_the_order: Row {
        fault: "order: no answer, once",
        scenario: "[[fault]]\nendpoint = 'post'\nhang = true\ntimes = 1",
        hurry: 60,
        ..Row::PLAIN
    };
    one_byte_a_second_of_json: Row {
        fault: "state of the task: 1 byte/s",
        scenario: "[[fault]]\nendpoint = 'status'\nrate = 1",
        sees: Sees::Waits("queued"),
        // given up and asked again
        meanwhile: Some(|scene| until_asked(scene, "status", 1)),
        hurry: 60,
        orders_after: 0,
        ..Row::PLAIN
    };
    one_byte_a_second_of_a_package: Row {
        fault: "download: 1 byte/s",
        scenario: "[[fault]]\nendpoint = 'download'\nrate = 1",
        sees: Sees::Waits("downloading"),
        meanwhile: Some(|scene| until_asked(scene, "download", 1)),
        flags: QUICK_STALL,
        orders_after: 0,
        ..Row::PLAIN
    };
    stalled_download: Row {
        fault: "download: stalls in the middle, twice",
        scenario: "[[fault]]\nendpoint = 'download'\nstall = true\ntimes = 2",
        flags: QUICK_STALL,
        check: Some(|scene| assert_eq!(scene.simulator.requests().resumed(), 2)),
        ..Row::PLAIN
    };
    stalled_search: Row {
        fault: "search of tasks: stalls in the middle, once",
        scenario: "[[fault]]\nendpoint = 'tasks'\nstall = true\ntimes = 1",
        hurry: 60,
        ..Row::PLAIN
    };
}

/// The catalogue is there, the service's name is not. (A name that comes back is what the row of the file host shows:
/// no test can give this machine names.)
#[test]
fn service_without_a_name() {
    const HOST: &str = "land.clms.invalid";
    let Some(stage) = Stage::shared() else { return };
    Package::new("broken", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(super::row::FINE);
    drop(stage.mount(&simulator).start());
    simulator.forget_requests();
    let mount = stage.mount(&simulator).api(&format!("https://{HOST}/api")).start();
    mount.product("broken");
    let begun = std::time::Instant::now();
    let error = std::fs::File::open(mount.tif("broken")).unwrap_err();
    let message = mount.attribute("broken", "error");
    assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN), "{error}; {message}");
    // the key's own address is asked for the token, and it works
    assert!(message.contains(HOST), "{message}");
    // Where nobody answers for names at all, each of four attempts takes its ten seconds.
    assert!(begun.elapsed() < BOUND * 4, "took {:?}", begun.elapsed());
    assert!(simulator.requests().total() <= 2, "{:?}", simulator.requests());
    super::table::add(&super::table::Line {
        fault: "DNS failure of the service",
        sees: Sees::Errno(libc::ENETDOWN),
        struck: begun.elapsed(),
        requests: simulator.requests().total(),
        orders: 0,
        message: &message,
        recovery: Recovery::NotTried,
        recovered: std::time::Duration::ZERO,
        orders_after: 0,
    });
}
