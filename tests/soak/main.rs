//! A long day in a short time: mixed readers, evictions, faults of the service, restarts. No leak, no stuck job, no wrong byte.
//!
//! `make soak` takes ten minutes (`CLMSFS_SOAK_SECONDS`; `CLMSFS_SOAK_SEED` repeats a run's choices). In the first half the
//! daemon is ended and killed again and again; one daemon lives through the second half, and must be at its end as large as
//! it was after a warm-up.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::content::Content;
use support::gauge::Gauge;
use support::packages::Pixels;
use support::random::{Random, number};
use support::{Mount, Package, Simulator, Stage, wait};

mod chaos;
mod readers;
#[path = "../promises/support/mod.rs"]
#[allow(dead_code, reason = "the promises need more of it")]
mod support;

use chaos::Chaos;
use readers::Tally;

/// Readers at a time.
const READERS: u64 = 6;
/// Room for about a third of the products.
const BUDGET: u64 = 9_000_000;
/// What the cache may hold beyond its budget: pages that SQLite adds to its log between two counts of the books.
const SLACK: u64 = 256 << 10;
/// A look at a cache that changes takes a while: an entry that was counted may be gone before what takes its place is.
const VICTIM: u64 = 2 << 20;
/// A service that is well.
const WELL: &str = "queued = '50ms'\nrunning = '50ms'\n";

/// One product and all that is known of it.
struct Product {
    name: String,
    content: Content,
}

/// What all threads share.
struct World {
    products: Vec<Product>,
    data: std::path::PathBuf,
    scratch: std::path::PathBuf,
    end: AtomicBool,
    /// Readers stand still while this is set.
    rest: AtomicBool,
    resting: AtomicU64,
    /// Odd while the daemon is being replaced, and another number afterwards.
    epoch: AtomicU64,
    tally: Tally,
}

/// Size of a process at rest.
#[derive(Debug, Clone, Copy)]
struct Size {
    resident: u64,
    descriptors: usize,
    threads: usize,
}

#[test]
fn nothing_leaks_sticks_or_is_wrong() {
    let Some(stage) = Stage::shared() else { return };
    let seconds = number("CLMSFS_SOAK_SECONDS", 600);
    let seed = number("CLMSFS_SOAK_SEED", 20_261_125);
    println!("soak: {seconds} s, seed {seed}");
    let products = products(&stage);
    let simulator = stage.simulator(WELL);
    let mut mount = stage
        .mount(&simulator)
        .watchdog(Duration::from_secs(seconds + 600))
        .flag("--cache-size", BUDGET.to_string())
        .flag("--orders-per-hour", "0")
        .flag("--log", "info")
        .start();
    let gauge = Gauge::watch(mount.cache().to_owned());
    let world = World {
        products,
        data: mount.point().join("data"),
        scratch: stage.folder().to_owned(),
        end: AtomicBool::new(false),
        rest: AtomicBool::new(false),
        resting: AtomicU64::new(0),
        epoch: AtomicU64::new(0),
        tally: Tally::default(),
    };
    let (mut chaos, sizes) = std::thread::scope(|scope| {
        // Readers end also when this thread panics.
        let _end = End(&world);
        for reader in 0..READERS {
            let (world, random) = (&world, Random::new(seed ^ (reader + 1)));
            scope.spawn(move || readers::read_on(world, random, reader));
        }
        let mut chaos = Chaos::new(Random::new(seed));
        let quarter = Duration::from_secs(seconds) / 4;
        chaos.for_a_while(quarter * 2, true, &world, &mut mount, &simulator);
        chaos.for_a_while(quarter, false, &world, &mut mount, &simulator);
        let warm = at_rest(&world, &mount, &simulator);
        world.rest.store(false, Ordering::SeqCst);
        chaos.for_a_while(quarter, false, &world, &mut mount, &simulator);
        let end = at_rest(&world, &mount, &simulator);
        (chaos, (warm, end))
    });
    all_come(&world, &mount);
    chaos.report();
    world.tally.report();
    println!("  after the warm-up {:?}", sizes.0);
    println!("  at the end        {:?}", sizes.1);
    println!("  cache at most {} bytes of {BUDGET}", gauge.most());
    world.tally.assert_right();
    assert!(mount.disk_use() <= BUDGET + SLACK, "the cache holds {} bytes of {BUDGET}", mount.disk_use());
    assert!(gauge.most() <= BUDGET + SLACK + VICTIM, "the cache held {} bytes of {BUDGET}", gauge.most());
    assert_no_leak(sizes.0, sizes.1);
}

struct End<'a>(&'a World);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end.store(true, Ordering::SeqCst);
    }
}

fn products(stage: &Stage) -> Vec<Product> {
    let kinds = [(Pixels::Classes, 900), (Pixels::Noise, 850), (Pixels::Ramps, 800), (Pixels::Heights, 600)];
    let names = (0..14).map(|number| format!("s{number:02}"));
    let made = names.zip(kinds.iter().cycle()).map(|(name, (pixels, side))| {
        let source = Package::new(&name, *pixels, *side).write(&stage.data());
        Product { content: Content::read(&source), name }
    });
    made.collect()
}

/// Lets everything come to rest, and measures the daemon.
#[track_caller]
fn at_rest(world: &World, mount: &Mount, simulator: &Simulator) -> Size {
    simulator.scenario(WELL);
    world.rest.store(true, Ordering::SeqCst);
    wait::until_true("readers at rest", || world.resting.load(Ordering::SeqCst) == READERS);
    idle(mount);
    // Threads for blocking work end when they had nothing to do for a while.
    let began = Instant::now();
    let mut least = size(mount.pid());
    wait::until_true("a daemon whose size does not change", || {
        let now = size(mount.pid());
        let smaller = now.threads < least.threads || now.descriptors < least.descriptors;
        least = Size {
            resident: now.resident,
            descriptors: least.descriptors.min(now.descriptors),
            threads: least.threads.min(now.threads),
        };
        !smaller && began.elapsed() > Duration::from_secs(12)
    });
    least
}

/// Waits until no job is under way: none may be stuck when the service is well. Failed ones wait for the next open.
#[track_caller]
fn idle(mount: &Mount) {
    let path = mount.point().join(".clmsfs/status.json");
    let mut last = String::new();
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(&path) {
            let status: serde_json::Value = serde_json::from_str(&text).unwrap();
            let jobs = status["jobs"].as_array().unwrap();
            if jobs.iter().all(|job| job["state"] == "failed") {
                return;
            }
            last = text;
        }
        // An order whose outcome is unknown is looked for during 20 s; lost connections have limits of their own.
        assert!(began.elapsed() < Duration::from_secs(180), "a job is stuck: {last}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every product can be had in the end, whatever happened to it.
#[track_caller]
fn all_come(world: &World, mount: &Mount) {
    for product in &world.products {
        mount.run(&["fetch", &format!("data/{}", product.name)]).success();
        product.content.assert_served(&world.data.join(&product.name), &product.name);
    }
    idle(mount);
    wait::until_true("staging is empty", || mount.staging().is_empty());
}

#[track_caller]
fn size(process: u32) -> Size {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the daemon lives");
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    };
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the daemon is ours").count();
    Size { resident: field("VmRSS:") * 1024, descriptors, threads: field("Threads:") as usize }
}

/// What grows with the work that was done is a leak; what a cache of open entries or an allocator keeps is not.
#[track_caller]
fn assert_no_leak(warm: Size, end: Size) {
    assert!(end.threads <= warm.threads + 4, "threads leak: {warm:?}, then {end:?}");
    assert!(end.descriptors <= warm.descriptors + 16, "descriptors leak: {warm:?}, then {end:?}");
    assert!(end.resident <= warm.resident * 5 / 4 + (24 << 20), "memory leaks: {warm:?}, then {end:?}");
}
