//! One fault: what strikes, what the reader sees, what it may cost, and that it is over when the fault is.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::table;
use crate::support::meddler::{Answer, Meddler};
use crate::support::packages::Pixels;
use crate::support::process::{Finished, Reader};
use crate::support::proxy::Proxy;
use crate::support::{Mount, Package, Simulator, Stage, raster, wait};

/// A service that works.
pub(super) const FINE: &str = "queued = '20ms'\nrunning = '20ms'\n";

/// The product that is opened.
const PRODUCT: &str = "broken";

/// What the reader sees while the fault lasts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sees {
    /// The right bytes: the fault strikes now and then, and is got over.
    Bytes,
    /// An error of open(); the product is `failed` and says why.
    Errno(i32),
    /// Nothing: it waits in this state. Where there are words, what it waits for is said meanwhile.
    Waits(&'static str),
}

/// How it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// No test can end the fault.
    NotTried,
    /// The next open is fine, the same reader where it waited.
    Open,
    /// The service asked to be left in peace for long: the user insists with `clmsfs fetch`.
    Insist,
    /// The user cancels the fetch, as the state suggests, and opens it again.
    Cancel,
    /// The user runs the command that the message names.
    AsTheMessageSays,
}

/// What ends the fault, or begins it, besides the scenario.
type Act = fn(&Scene);

/// The actors of a row.
pub(super) struct Scene {
    pub(super) mount: Mount,
    pub(super) simulator: Simulator,
    proxy: RefCell<Option<Proxy>>,
    meddler: Option<Meddler>,
    source: PathBuf,
    _stage: Stage,
}

/// One fault.
pub(super) struct Row {
    /// As the table names it.
    pub(super) fault: &'static str,
    /// The scenario while the fault lasts, besides [`FINE`].
    pub(super) scenario: &'static str,
    pub(super) sees: Sees,
    /// One of them is in the message.
    pub(super) words: &'static [&'static str],
    /// Orders that the service takes while the fault lasts, at most.
    pub(super) orders: u64,
    /// Requests while the fault lasts, at most.
    pub(super) requests: u64,
    pub(super) recovery: Recovery,
    /// Further orders until all is well, at most.
    pub(super) orders_after: u64,
    /// How many times shorter the program's pauses and limits are.
    pub(super) hurry: u32,
    /// Flags of the mount.
    pub(super) flags: &'static [(&'static str, &'static str)],
    /// Goes through a wire that is cut while the fault lasts.
    pub(super) cut: bool,
    /// What becomes of the service's answers while the fault lasts.
    pub(super) meddle: Option<fn(&mut Answer)>,
    /// Before the reader comes.
    pub(super) before: Option<Act>,
    /// While it waits in the state that `Waits` names, or `queued`.
    pub(super) meanwhile: Option<Act>,
    /// What else must hold at the end.
    pub(super) check: Option<Act>,
}

impl Row {
    /// A row that says nothing special.
    pub(super) const PLAIN: Self = Self {
        fault: "",
        scenario: "",
        sees: Sees::Bytes,
        words: &[],
        orders: 1,
        requests: 60,
        recovery: Recovery::Open,
        orders_after: 1,
        hurry: 20,
        flags: &[],
        cut: false,
        meddle: None,
        before: None,
        meanwhile: None,
        check: None,
    };

    /// Stages it.
    pub(super) fn run(&self) {
        let Some(scene) = self.stage() else { return };
        scene.simulator.forget_requests();
        // the scenario's own pace goes first
        let pace = if self.scenario.starts_with("queued") { "" } else { FINE };
        let scenario = format!("{pace}{}", self.scenario);
        scene.simulator.scenario(&scenario);
        if self.cut {
            scene.proxy.borrow_mut().as_mut().expect("the row has a wire").cut();
        }
        if let Some(meddler) = &scene.meddler {
            meddler.begin();
        }
        if let Some(act) = self.before {
            act(&scene);
        }
        let begun = Instant::now();
        let (message, waiting) = self.strike(&scene);
        let struck = begun.elapsed();
        let spent = scene.simulator.requests();
        let seen = (spent.total(), spent.posts(PRODUCT));
        assert!(seen.0 <= self.requests, "{} requests: {spent:?}", seen.0);
        assert!(seen.1 <= self.orders, "{} orders: {spent:?}", seen.1);

        let ended = Instant::now();
        self.recover(&scene, waiting, &message);
        let recovered = ended.elapsed();
        let spent = scene.simulator.requests();
        let orders_after = spent.posts(PRODUCT) - seen.1;
        assert!(orders_after <= self.orders_after, "{orders_after} orders afterwards: {spent:?}");
        assert_eq!(scene.mount.state(PRODUCT), "ready");
        assert_eq!(scene.mount.attribute(PRODUCT, "error"), "", "what is over is not told any more");
        scene.keeps_secrets();
        if let Some(check) = self.check {
            check(&scene);
        }
        table::add(&table::Line {
            fault: self.fault,
            sees: self.sees,
            struck,
            requests: seen.0,
            orders: seen.1,
            message: &message,
            recovery: self.recovery,
            recovered,
            orders_after,
        });
    }

    fn stage(&self) -> Option<Scene> {
        let stage = Stage::shared()?;
        let source = Package::new(PRODUCT, Pixels::Classes, 64).write(&stage.data());
        Package::new("other", Pixels::Classes, 64).write(&stage.data());
        let simulator = stage.simulator(FINE);
        let mut builder = stage.mount(&simulator).hurry(self.hurry);
        for (name, value) in self.flags {
            builder = builder.flag(name, value);
        }
        let mut proxy = None;
        if self.cut {
            let wire = Proxy::start(simulator.authority());
            builder = builder.api(&simulator.api().replace(simulator.authority(), &wire.authority()));
            proxy = Some(wire);
        }
        let meddler =
            self.meddle.map(|meddle| Meddler::start(simulator.authority(), std::sync::Arc::new(meddle)));
        if let Some(meddler) = &meddler {
            builder = builder.api(&simulator.api().replace(simulator.authority(), meddler.authority()));
        }
        let mount = builder.start();
        mount.product(PRODUCT);
        Some(Scene { mount, simulator, proxy: RefCell::new(proxy), meddler, source, _stage: stage })
    }

    /// The reader comes while the fault lasts. Returns what was said, and the reader where it waits.
    fn strike(&self, scene: &Scene) -> (String, Option<Reader>) {
        let tif = scene.mount.tif(PRODUCT);
        match self.sees {
            Sees::Bytes => {
                let reader = Reader::start("cat", &[&tif]);
                if let Some(act) = self.meanwhile {
                    scene.mount.reaches(PRODUCT, &["queued"]);
                    act(scene);
                }
                scene.same_bytes(reader.finish());
                (String::new(), None)
            }
            Sees::Errno(errno) => {
                let reader = self.meanwhile.map(|act| {
                    let reader = Reader::start("cat", &[&tif]);
                    scene.mount.reaches(PRODUCT, &["queued"]);
                    act(scene);
                    reader
                });
                let error = match reader {
                    None => std::fs::File::open(&tif).expect_err("the product opened"),
                    Some(reader) => {
                        assert!(!reader.finish().status.success(), "the reader got something");
                        // the same answer is given again for a while
                        std::fs::File::open(&tif).expect_err("the product opened")
                    }
                };
                let message = scene.mount.attribute(PRODUCT, "error");
                assert_eq!(error.raw_os_error(), Some(errno), "{error}; '{message}'\n{}", scene.mount.log());
                self.speaks(&message);
                scene.failed(&message);
                (message, None)
            }
            Sees::Waits(state) => {
                let mut reader = Reader::start("cat", &[&tif]);
                scene.mount.reaches(PRODUCT, &[state]);
                let message = wait::until(format!("one of {:?} is said", self.words), || {
                    let message = scene.mount.attribute(PRODUCT, "error");
                    (self.words.is_empty() || self.has_word(&message)).then_some(message)
                });
                if let Some(act) = self.meanwhile {
                    act(scene);
                }
                assert!(reader.runs(), "the reader does not wait any more");
                assert_eq!(scene.job(PRODUCT)["state"], state);
                (message, Some(reader))
            }
        }
    }

    /// The fault ends.
    fn recover(&self, scene: &Scene, waiting: Option<Reader>, message: &str) {
        scene.simulator.scenario(FINE);
        if let Some(proxy) = scene.proxy.borrow_mut().as_mut() {
            proxy.mend();
        }
        if let Some(meddler) = &scene.meddler {
            meddler.end();
        }
        let product = format!("data/{PRODUCT}");
        match self.recovery {
            Recovery::Open | Recovery::NotTried => {}
            Recovery::Insist => {
                scene.mount.run(&["fetch", &product]).success();
            }
            Recovery::Cancel => {
                scene.mount.run(&["cancel", &product]).success();
            }
            Recovery::AsTheMessageSays => {
                let (_, command) = message.split_once("'clmsfs ").expect("the message names a command");
                let (command, _) = command.split_once('\'').expect("the command ends");
                scene.mount.run(&command.split(' ').collect::<Vec<_>>()).success();
            }
        }
        match waiting {
            Some(reader) if self.recovery == Recovery::Open => scene.same_bytes(reader.finish()),
            Some(reader) => assert!(!reader.finish().status.success(), "whoever waited is told"),
            None => {}
        }
        wait::until_true("the product opens when the fault is over", || {
            std::fs::File::open(scene.mount.tif(PRODUCT)).is_ok()
        });
        let is_proven = matches!(self.sees, Sees::Bytes);
        if !is_proven {
            assert_eq!(raster::checksums(&scene.mount.tif(PRODUCT)), raster::checksums(&scene.source));
        }
    }

    fn has_word(&self, message: &str) -> bool {
        let message = message.to_lowercase();
        self.words.iter().any(|word| message.contains(word))
    }

    #[track_caller]
    fn speaks(&self, message: &str) {
        assert!(self.has_word(message), "'{message}' has none of {:?}", self.words);
        assert!(!message.contains(['\n', '\x1b']), "one plain line: {message:?}");
    }
}

impl Scene {
    /// What `status --json` prints, from the file that has the same text.
    #[track_caller]
    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.mount.point().join(".clmsfs/status.json")).unwrap())
            .unwrap()
    }

    /// Its line about a product.
    #[track_caller]
    pub(super) fn job(&self, product: &str) -> serde_json::Value {
        let status = self.status();
        let jobs = status["jobs"].as_array().expect("status lists jobs").clone();
        let path = format!("data/{product}");
        jobs.into_iter()
            .find(|job| job["path"] == path.as_str())
            .unwrap_or_else(|| panic!("no job of {product}: {status}"))
    }

    /// The failure is told alike everywhere, and leaves nothing behind but what a download has brought.
    #[track_caller]
    fn failed(&self, message: &str) {
        assert_eq!(self.mount.state(PRODUCT), "failed");
        let job = self.job(PRODUCT);
        assert_eq!((&job["state"], &job["error"]), (&"failed".into(), &message.into()));
        assert!(job["retry_at"].is_u64(), "{job}");
        let status = self.mount.run(&["status"]).success().text();
        assert!(status.contains(PRODUCT), "status does not name the product:\n{status}");
        if let Some(secret) = self.mount.secrets().found_in(&status) {
            panic!("a secret, {secret}, in:\n{status}");
        }
        let left = self.mount.staging();
        let kept = |folder: &PathBuf| folder.read_dir().is_ok_and(|mut files| files.all(is_part));
        assert!(left.iter().all(kept), "left in staging: {left:?}");
    }

    #[track_caller]
    fn same_bytes(&self, finished: Finished) {
        let finished = finished.success();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("read.tif");
        std::fs::write(&copy, finished.stdout).unwrap();
        assert_eq!(raster::checksums(&copy), raster::checksums(&self.source));
    }

    /// Neither in what is said nor in what lies on the disk.
    #[track_caller]
    fn keeps_secrets(&self) {
        let secrets = self.mount.secrets();
        assert!(secrets.count() > 20, "a check against {} secrets proves nothing", secrets.count());
        let mut texts = vec![self.mount.log()];
        let live = self.mount.point().join(".clmsfs");
        for folder in [live.as_path(), self.mount.cache()] {
            for file in folder.read_dir().unwrap().filter_map(Result::ok) {
                texts.push(String::from_utf8_lossy(&std::fs::read(file.path()).unwrap_or_default()).into());
            }
        }
        for name in ["state", "error", "progress"] {
            texts.push(self.mount.attribute(PRODUCT, name));
        }
        for text in texts {
            if let Some(secret) = secrets.found_in(&text) {
                panic!("a secret, {secret}, in:\n{text}");
            }
        }
    }
}

fn is_part(file: std::io::Result<std::fs::DirEntry>) -> bool {
    file.is_ok_and(|file| file.file_name() == "package.part")
}

/// Waits until the service was asked so often, that is: until a fault that strikes each question has struck so often.
pub(super) fn until_asked(scene: &Scene, endpoint: &str, times: u64) {
    let before = scene.simulator.requests().count(endpoint);
    wait::until_true(format!("{endpoint} is asked {times} times"), || {
        scene.simulator.requests().count(endpoint) >= before + times
    });
}

/// No failure of the test keeps its reader longer.
pub(super) const BOUND: Duration = Duration::from_secs(30);
