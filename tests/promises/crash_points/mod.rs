//! kill -9 at many seeded points over the life of fetches, refreshes and evictions, and in the middle of starts.
//!
//! Every kill is aimed at a moment ([`Aim`]), hit by an event and a random delay, not by the clock. What it really hit is
//! read from ledger and staging afterwards ([`hit::Found`]). Then the same cache is started again and everything is checked:
//! pixels and side files of all that is ready, orders at the service, ledger, staging, budget.
//!
//! `make crash` kills 208 times. `CLMSFS_CRASH_SEED` and `CLMSFS_CRASH_KILLS` repeat or change a run: the same seed makes the
//! same products, aims and delays; what the scheduler makes of them may differ.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::content::Content;
use crate::support::gauge::Gauge;
use crate::support::inotify::{Event, Happening, Watch};
use crate::support::packages::Pixels;
use crate::support::process::Reader;
use crate::support::proxy::Proxy;
use crate::support::random::{Random, number};
use crate::support::{Mount, Package, Simulator, Stage, wait, xattr};

mod hit;

/// The service's pace: every state lasts long enough to be hit, and a noisy package takes most of a second to load.
const PACE: &str = "queued = '120ms'\nrunning = '120ms'\ndownload_rate = 1200000";
/// How long the service's answers are on their way: an order can be killed while it is answered.
const LINE: Duration = Duration::from_millis(20);
/// Room for about five products: from then on every fetch evicts.
const BUDGET: u64 = 9_000_000;
/// What the cache may hold beyond its budget: pages that SQLite adds to its log between two counts of the books.
const SLACK: u64 = 256 << 10;
/// A look at a cache that changes takes a while: an entry that was counted may be gone before what takes its place is.
const VICTIM: u64 = 2 << 20;
/// An aim that does not come within this time was missed (the product was faster); the kill is done all the same.
const AIMING: Duration = Duration::from_secs(40);

/// The moment that a kill is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// The job looks for a task to adopt, or orders.
    Ordering,
    /// The service has just taken the order.
    Ordered,
    Queued,
    Running,
    /// The link is known, nothing has arrived.
    Link,
    /// A random part of the package is here.
    Download,
    /// The package has just become complete.
    Downloaded,
    Unpack,
    Convert,
    /// The package was deleted, the entry waits for its rename.
    BeforePublish,
    Publish,
    /// The entry is visible, the books are still open.
    Books,
    /// `clmsfs cache evict`.
    Evict,
    /// A fetch makes room.
    EvictForRoom,
    /// The newer entry takes the place of the former.
    RefreshPublish,
    /// Any other moment of a refresh.
    Refresh,
}

const AIMS: [Aim; 16] = [
    Aim::Ordering,
    Aim::Ordered,
    Aim::Queued,
    Aim::Running,
    Aim::Link,
    Aim::Download,
    Aim::Downloaded,
    Aim::Unpack,
    Aim::Convert,
    Aim::BeforePublish,
    Aim::Publish,
    Aim::Books,
    Aim::Evict,
    Aim::EvictForRoom,
    Aim::RefreshPublish,
    Aim::Refresh,
];

#[test]
fn nothing_is_lost_paid_twice_or_served_wrong() {
    let Some(stage) = Stage::shared() else { return };
    let kills = number("CLMSFS_CRASH_KILLS", 16);
    let seed = number("CLMSFS_CRASH_SEED", 20_261_125);
    println!("crash points: seed {seed}, {kills} kills");
    let mut run = Run::new(&stage, seed, kills);
    while run.kills < kills {
        run.round();
    }
    run.report();
}

struct Run {
    simulator: Simulator,
    _line: Proxy,
    mount: Mount,
    gauge: Gauge,
    random: Random,
    /// What is still to be aimed at; filled anew when all were.
    aims: Vec<Aim>,
    products: BTreeMap<String, Product>,
    fresh: Vec<String>,
    seed: u64,
    kills: u64,
    began: Instant,
    hits: BTreeMap<String, u64>,
    missed: u64,
    compared: u64,
    downloads: u64,
    scratch: PathBuf,
}

/// What is known of one product.
struct Product {
    content: Content,
    /// Bytes of its package.
    package: u64,
    /// Orders that may have been sent by now: the first one, and one for each refresh.
    due: u64,
    /// Orders that the service took.
    posts: u64,
    /// It was here once.
    came: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "crash points: failed after kill {} of seed {}; repeat it with CLMSFS_CRASH_SEED={} CLMSFS_CRASH_KILLS={}",
                self.kills, self.seed, self.seed, self.kills
            );
        }
    }
}

impl Run {
    fn new(stage: &Stage, seed: u64, kills: u64) -> Self {
        let mut random = Random::new(seed);
        let mut products = BTreeMap::new();
        let mut fresh = Vec::new();
        // A kill takes at most one new product.
        for number in 0..kills {
            let name = format!("p{number:03}");
            let (pixels, side) = random
                .pick(&[
                    (Pixels::Classes, 900),
                    (Pixels::Noise, 850),
                    (Pixels::Ramps, 800),
                    (Pixels::Heights, 600),
                ])
                .expect("there are some");
            let source = Package::new(&name, pixels, side).write(&stage.data());
            let package = stage.data().join(format!("{name}.zip")).metadata().unwrap().len();
            products.insert(
                name.clone(),
                Product { content: Content::read(&source), package, due: 0, posts: 0, came: false },
            );
            std::fs::remove_file(source).unwrap();
            fresh.push(name);
        }
        let simulator = stage.simulator(PACE);
        let line = Proxy::far(simulator.authority(), LINE);
        let mount = stage
            .mount(&simulator)
            .api(&format!("http://{}/api", line.authority()))
            .watchdog(Duration::from_secs(4 * 3600))
            .flag("--cache-size", BUDGET.to_string())
            .start();
        Self {
            gauge: Gauge::watch(mount.cache().to_owned()),
            simulator,
            _line: line,
            mount,
            random,
            aims: Vec::new(),
            products,
            fresh,
            seed,
            kills: 0,
            began: Instant::now(),
            hits: BTreeMap::new(),
            missed: 0,
            compared: 0,
            downloads: 0,
            scratch: stage.folder().join("scratch"),
        }
    }

    /// One kill (or some, when the start after it is killed, too), and all checks.
    fn round(&mut self) {
        let aim = self.aims.pop().unwrap_or_else(|| {
            self.aims = AIMS.to_vec();
            self.random.shuffle(&mut self.aims);
            // What needs a product in the cache is no first aim.
            let first = self.aims.iter().position(|aim| *aim == Aim::Queued).expect("it is one of them");
            let last = self.aims.len() - 1;
            self.aims.swap(first, last);
            Aim::Queued
        });
        self.aims.retain(|other| *other != aim);
        let name = self.subject(aim);
        let mut watch =
            Watch::new(&[&self.mount.cache().join("rasters"), &self.mount.cache().join("staging")]);
        let mut acts = vec![self.begin(aim, &name)];
        if self.random.one_in(3)
            && let Some(other) = self.random.pick(&self.known(|state| state == "cold"))
        {
            // A second fetch beside it: a product that was evicted before.
            acts.push(self.read(&other));
        }
        if !self.wait_for(aim, &name, &mut watch) {
            self.missed += 1;
        }
        self.mount.kill();
        self.kills += 1;
        self.after_the_kill(&name);
        for act in acts {
            act.finish();
        }
        while self.random.one_in(4) {
            self.mount.begin_again();
            // A random moment of the start is meant: there is no condition to wait for.
            std::thread::sleep(Duration::from_micros(self.random.below(250_000)));
            self.mount.kill();
            self.kills += 1;
            *self.hits.entry("start".to_owned()).or_default() += 1;
        }
        self.mount.start_again();
        self.comes_to_rest(&name);
    }

    /// The product that is fetched, evicted or refreshed.
    fn subject(&mut self, aim: Aim) -> String {
        if matches!(aim, Aim::Evict | Aim::Refresh | Aim::RefreshPublish)
            && let Some(ready) = self.random.pick(&self.known(|state| state == "ready"))
        {
            return ready;
        }
        // Once all were taken, products come back that were evicted: their finished tasks are adopted.
        let evicted = self.known(|state| state == "cold");
        let name = self
            .fresh
            .pop()
            .or_else(|| self.random.pick(&evicted))
            .expect("more products than the cache holds");
        self.products.get_mut(&name).expect("it was made").due = 1;
        name
    }

    /// Products that were asked for before and are in such a state.
    fn known(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let asked = self.products.iter().filter(|(_, product)| product.due > 0);
        asked.map(|(name, _)| name.clone()).filter(|name| wanted(&self.state(name))).collect()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.mount.point().join("data").join(name)
    }

    fn state(&self, name: &str) -> String {
        let folder = self.folder(name);
        xattr::get(&folder, "user.clmsfs.state")
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    }

    fn read(&self, name: &str) -> Reader {
        Reader::start("cat", &[self.folder(name).join(format!("{name}.tif"))])
    }

    fn begin(&mut self, aim: Aim, name: &str) -> Reader {
        let id = format!("data/{name}");
        match (aim, self.state(name).as_str()) {
            (Aim::Evict, "ready") => Reader::spawn(self.mount.verb(&["cache", "evict", &id])),
            (Aim::Refresh | Aim::RefreshPublish, "ready") => {
                self.products.get_mut(name).expect("it was made").due += 1;
                Reader::spawn(self.mount.verb(&["fetch", "--refresh", &id]))
            }
            _ => self.read(name),
        }
    }

    /// Waits for the moment, and a random time within it. False when it passed by.
    fn wait_for(&mut self, aim: Aim, name: &str, watch: &mut Watch) -> bool {
        let moment = match aim {
            Aim::Refresh => self.random.pick(&AIMS[..12]).expect("there are some"),
            other => other,
        };
        let delay = match moment {
            Aim::Ordering => self.random.below(70_000),
            Aim::Ordered => self.random.below(20_000),
            Aim::BeforePublish => self.random.below(1500),
            Aim::Publish | Aim::RefreshPublish => self.random.below(800),
            Aim::Books => 500 + self.random.below(6000),
            Aim::Evict | Aim::EvictForRoom => self.random.below(400),
            Aim::Link => self.random.below(3000),
            Aim::Queued | Aim::Running => self.random.below(120_000),
            Aim::Convert => self.random.below(60_000),
            _ => self.random.below(8000),
        };
        let begun = Instant::now();
        let posts = self.simulator.requests().posts(name);
        let part = self.random.below(self.products[name].package);
        // The service is asked, not the kernel.
        let patience = if moment == Aim::Ordered { 0 } else { 1 };
        let mut happened = Vec::new();
        let hit = loop {
            if let Some(event) = watch.next(Duration::from_millis(patience)) {
                if event.happening == Happening::Created && event.folder.ends_with("staging") {
                    // The folder may be gone again.
                    let _ = watch.add(&event.folder.join(&event.name));
                }
                happened.push(event);
            }
            let is_here = match moment {
                Aim::Ordering => self.state(name) == "ordered" || !happened.is_empty(),
                Aim::Ordered => self.simulator.requests().posts(name) > posts,
                Aim::Queued => self.state(name) == "queued",
                Aim::Running => self.state(name) == "running",
                Aim::Download => self.arrived(&happened) > part,
                moment => happened.iter().any(|event| is_moment(moment, event)),
            };
            if is_here {
                break true;
            }
            if begun.elapsed() > AIMING || self.is_over(aim, name, &happened) {
                break false;
            }
        };
        // A random moment within the stage is meant: there is no condition to wait for.
        std::thread::sleep(Duration::from_micros(delay));
        hit
    }

    /// Most bytes of a package that have arrived.
    fn arrived(&self, happened: &[Event]) -> u64 {
        if happened.iter().any(|event| is_moment(Aim::Downloaded, event)) {
            return u64::MAX;
        }
        let parts = self.mount.staging().into_iter().map(|folder| folder.join("package.part"));
        parts.filter_map(|part| Some(part.metadata().ok()?.len())).max().unwrap_or(0)
    }

    fn is_over(&self, aim: Aim, name: &str, happened: &[Event]) -> bool {
        match aim {
            Aim::Evict => self.state(name) == "cold",
            Aim::Refresh | Aim::RefreshPublish => happened.iter().any(|event| is_moment(Aim::Publish, event)),
            _ => self.state(name) == "ready",
        }
    }

    /// Looks at what the dead daemon left behind.
    fn after_the_kill(&mut self, name: &str) {
        let requests = self.simulator.requests();
        self.simulator.forget_requests();
        for (name, product) in &mut self.products {
            product.posts += requests.posts(name);
            self.downloads += requests.downloads(name);
        }
        let left = hit::Left::read(self.mount.cache(), &self.scratch);
        *self.hits.entry(left.found(&format!("data/{name}")).to_string()).or_default() += 1;
        let mut came = Vec::new();
        for job in left.jobs() {
            let name = job.path.strip_prefix("data/").expect("all are of one dataset");
            let product = &self.products[name];
            assert!(product.due > 0, "{name}: a job that nobody asked for");
            if left.is_published(job) {
                came.push(name.to_owned());
            }
            assert!(
                job.task.is_none() || product.posts > 0,
                "{name}: a task that was never ordered: {job:?}"
            );
            if job.replaces.is_none() && product.posts > 0 {
                let is_written = job.task.is_some() || job.sent.is_some() || left.is_published(job);
                // One that was here before looks for its finished task.
                assert!(
                    is_written || product.came,
                    "{name}: the service has an order that the ledger does not know: {job:?}"
                );
            }
        }
        self.note(came);
    }

    fn note(&mut self, came: Vec<String>) {
        for name in came {
            self.products.get_mut(&name).expect("it was made").came = true;
        }
    }

    /// Waits for the end of everything that the start goes on with, and checks all there is to check.
    fn comes_to_rest(&mut self, name: &str) {
        let status = self.mount.point().join(".clmsfs/status.json");
        wait::until_true("all fetches of the last run are over", || {
            let text = std::fs::read_to_string(&status).unwrap();
            let status: serde_json::Value = serde_json::from_str(&text).unwrap();
            let jobs = status["jobs"].as_array().unwrap();
            assert!(!text.contains("\"failed\","), "a fetch failed: {text}");
            jobs.is_empty()
        });
        let requests = self.simulator.requests();
        let ordered = self.products[name].posts + requests.posts(name) > 0;
        if self.state(name) == "cold" {
            // Killed before the order, or evicted: then it comes anew.
            let came = self.products[name].came || self.log_tells_of_its_end(name);
            assert!(!ordered || came, "{name}: ordered, and forgotten");
            self.read(name).finish().success();
        }
        let requests = self.simulator.requests();
        for (name, product) in &self.products {
            let posts = product.posts + requests.posts(name);
            assert!(posts <= product.due, "{name}: ordered {posts} times, {} were due", product.due);
        }
        let ready = self.known(|state| state == "ready");
        for name in &ready {
            self.compared += self.products[name].content.assert_served(&self.folder(name), name);
        }
        self.note(ready);
        wait::until_true("staging is swept", || self.mount.staging().is_empty());
        let (most, now) = (self.gauge.most(), self.mount.disk_use());
        assert!(now <= BUDGET + SLACK, "the cache holds {now} bytes of {BUDGET}");
        assert!(most <= BUDGET + SLACK + VICTIM, "the cache held {most} bytes of {BUDGET}");
    }

    /// True when a product that is cold was here before.
    fn log_tells_of_its_end(&self, name: &str) -> bool {
        let told = format!("published path=\"data/{name}\"");
        self.mount.log().contains(&told)
    }

    fn report(&self) {
        let orders: u64 = {
            let requests = self.simulator.requests();
            self.products.iter().map(|(name, product)| product.posts + requests.posts(name)).sum()
        };
        let due: u64 = self.products.values().map(|product| product.due).sum();
        println!(
            "crash points: {} kills in {:.0} s, {} aims missed",
            self.kills,
            self.began.elapsed().as_secs_f64(),
            self.missed
        );
        for (found, times) in &self.hits {
            println!("  {times:4}  {found}");
        }
        println!(
            "  {orders} orders for {due} wishes, {} downloads, {} bytes of pixels and side files compared, cache at most {} of {BUDGET}",
            self.downloads,
            self.compared,
            self.gauge.most()
        );
    }
}

/// Whether an event in `rasters` or `staging` is the beginning of the moment.
fn is_moment(moment: Aim, event: &Event) -> bool {
    let among_entries = event.folder.ends_with("rasters");
    let in_staging = !among_entries && !event.folder.ends_with("staging");
    match moment {
        Aim::Link => event.folder.ends_with("staging") && event.happening == Happening::Created,
        Aim::Downloaded => {
            in_staging && event.happening == Happening::MovedHere && event.name == "package.zip"
        }
        Aim::Unpack => in_staging && event.happening == Happening::Created && event.name == "unpacked",
        Aim::Convert => in_staging && event.happening == Happening::Created && event.name == "entry",
        Aim::BeforePublish => {
            in_staging && event.happening == Happening::Deleted && event.name.starts_with("package.")
        }
        Aim::Publish | Aim::Books | Aim::RefreshPublish => {
            among_entries && event.happening == Happening::MovedHere
        }
        Aim::Evict | Aim::EvictForRoom => among_entries && event.happening == Happening::MovedAway,
        _ => false,
    }
}
