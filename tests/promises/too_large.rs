//! A product that can never fit is refused at open, with the reason, and leaves nothing behind.

use std::path::PathBuf;

use crate::support::packages::Pixels;
use crate::support::{Package, Stage};

#[test]
fn enospc_at_open_with_the_reason_and_an_empty_staging() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("huge", Pixels::Noise, 3000).write(&stage.data());
    Package::new("small", Pixels::Classes, 200).write(&stage.data());
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let budget = 6_000_000;
    let mount = stage.mount(&simulator).flag("--cache-size", budget.to_string()).start();
    mount.cat("small").success();

    for attempt in 1..=2 {
        let refused = mount.cat("huge");
        assert!(refused.stderr.contains("No space left on device"), "attempt {attempt}: {}", refused.stderr);
    }
    let reason = mount.attribute("huge", "error");
    assert!(reason.contains("cache_size") || reason.contains("budget"), "the way out is named: '{reason}'");
    assert_eq!(mount.staging(), Vec::<PathBuf>::new());
    assert!(mount.disk_use() <= budget, "{}", mount.disk_use());
    assert!(simulator.requests().posts("huge") <= 1, "it is not ordered again and again");
    let status = mount.json(&["status"]).to_string();
    assert!(status.contains("huge"), "{status}");
    // What was here is not thrown away for something that can never fit.
    assert_eq!(mount.state("small"), "ready");
}

#[test]
fn a_package_beyond_the_limit_is_refused() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("huge", Pixels::Noise, 3000).write(&stage.data());
    let simulator = stage.simulator("queued = '20ms'\nrunning = '20ms'");
    let mount = stage.mount(&simulator).flag("--max-package-size", "1MB").start();
    let refused = mount.cat("huge");
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let reason = mount.attribute("huge", "error");
    assert!(reason.contains("max_package_size"), "the way out is named: '{reason}'");
    assert_eq!(mount.staging(), Vec::<PathBuf>::new());
}
