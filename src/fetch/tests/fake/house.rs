//! The converter, and the cache in a temporary directory that an engine works on.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};

use super::{FakeService, Gate};
use crate::clms::{DatasetUid, FileId};
use crate::fetch::convert::ConvertLimits;
use crate::fetch::engine::{Change, Engine, EngineOptions, Target};
use crate::fetch::ledger::Ledger;
use crate::fetch::patience::Patience;
use crate::fetch::poller::Pace;
use crate::fetch::service::{Converter, OnProgress, OnRoom};
use crate::ingest::{AheadJob, Arrived, IngestError, IngestJob, IngestProgress, Packed};
use crate::store::fixture;
use crate::store::inventory::{Inventory, Limits};
use crate::store::layout::{CacheDir, EntryKey};

/// How a conversion ends.
#[derive(Debug, Clone)]
pub(crate) enum Conversion {
    Entry,
    Fails(IngestError),
    /// An entry of so many pixels per side.
    Side(u32),
    /// Writes so many bytes and waits for the gate before it writes the entry.
    Writes(usize),
}

/// The converter: makes small real entries.
#[derive(Debug)]
pub(crate) struct FakeConverter {
    pub(crate) script: Mutex<VecDeque<Conversion>>,
    pub(crate) packages: Mutex<Vec<Vec<u8>>>,
    /// The former entries that it was shown.
    pub(crate) formers: Mutex<Vec<Option<PathBuf>>>,
    /// How many members each conversion found unpacked.
    pub(crate) aheads: Mutex<Vec<usize>>,
    /// How many downloads it follows, and how many it was asked to.
    pub(crate) followers: Arc<AtomicU32>,
    pub(crate) follows: AtomicU32,
    pub(crate) gate: Gate,
    /// How the conversions of these products end, whatever the script says.
    pub(crate) verdicts: Mutex<HashMap<String, Conversion>>,
    /// Pixels per side of the rasters that it makes.
    pub(crate) side: AtomicU32,
}

impl Default for FakeConverter {
    fn default() -> Self {
        Self {
            script: Mutex::default(),
            packages: Mutex::default(),
            formers: Mutex::default(),
            aheads: Mutex::default(),
            followers: Arc::default(),
            follows: AtomicU32::default(),
            gate: Gate::default(),
            verdicts: Mutex::default(),
            side: AtomicU32::new(600),
        }
    }
}

impl FakeConverter {
    pub(crate) fn conversions(&self) -> usize {
        self.packages.lock().unwrap().len()
    }

    pub(crate) fn plan(&self, conversions: impl IntoIterator<Item = Conversion>) {
        self.script.lock().unwrap().extend(conversions);
    }
}

impl Converter for FakeConverter {
    fn convert(
        &self,
        job: IngestJob,
        mut on_progress: OnProgress,
    ) -> BoxFuture<'_, Result<PathBuf, IngestError>> {
        Box::pin(async move {
            self.packages.lock().unwrap().push(std::fs::read(&job.package).unwrap());
            self.formers.lock().unwrap().push(job.former.clone());
            self.aheads.lock().unwrap().push(job.ahead.len());
            assert_eq!(
                job.staging.join("ahead").exists(),
                !job.ahead.is_empty(),
                "what counts for nothing is gone"
            );
            on_progress(IngestProgress::Extracting { done: 1, total: 2 });
            let verdict = self.verdicts.lock().unwrap().get(&job.product).cloned();
            let conversion =
                verdict.or_else(|| self.script.lock().unwrap().pop_front()).unwrap_or(Conversion::Entry);
            if let Conversion::Writes(bytes) = &conversion {
                std::fs::create_dir_all(job.staging.join("unpacked")).unwrap();
                std::fs::write(job.staging.join("unpacked/raster"), vec![7; *bytes]).unwrap();
            }
            self.gate.pass().await;
            if let Conversion::Fails(error) = conversion {
                return Err(error);
            }
            on_progress(IngestProgress::Converting { done: 1, total: 2 });
            let _ = std::fs::remove_dir_all(job.staging.join("unpacked"));
            let entry = job.staging.join("entry");
            std::fs::create_dir_all(&entry).unwrap();
            let side = match conversion {
                Conversion::Side(side) => side,
                _ => self.side.load(Relaxed),
            };
            let raster = fixture::classes(&job.product, side, side);
            fixture::write_entry(&entry, &fixture::meta(&job.product, vec![raster]));
            Ok(entry)
        })
    }

    /// Writes one member of [`AHEAD`] bytes, and waits for the end.
    fn follow<'a>(
        &'a self,
        job: AheadJob,
        mut arrived: watch::Receiver<Arrived>,
        mut room: OnRoom<'a>,
    ) -> BoxFuture<'a, Result<Vec<Packed>, IngestError>> {
        self.follows.fetch_add(1, Relaxed);
        self.followers.fetch_add(1, Relaxed);
        let guard = Following(Arc::clone(&self.followers));
        Box::pin(async move {
            let _guard = guard;
            let given_up = IngestError::Child { reason: "gives up".to_owned() };
            if !room(AHEAD) {
                return Err(given_up);
            }
            std::fs::create_dir(job.staging.join("ahead")).unwrap();
            std::fs::write(job.staging.join("ahead/0"), vec![7; AHEAD as usize]).unwrap();
            let member =
                serde_json::json!({"start": 0, "length": 1, "deflated": true, "size": AHEAD, "crc32": 0});
            let ended = arrived.wait_for(|arrived| arrived.is_whole || arrived.is_void).await;
            if ended.is_ok_and(|arrived| !arrived.is_void) {
                return Ok(vec![serde_json::from_value(member).unwrap()]);
            }
            Err(given_up)
        })
    }
}

/// Bytes that are unpacked ahead of a package.
pub(crate) const AHEAD: u64 = 1 << 20;

/// Counts those that follow.
struct Following(Arc<AtomicU32>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A cache in a temporary directory, the world around it, and how engines over it behave.
pub(crate) struct House {
    pub(crate) service: Arc<FakeService>,
    pub(crate) converter: Arc<FakeConverter>,
    pub(crate) options: EngineOptions,
    /// Budget of the cache in bytes.
    pub(crate) budget: u64,
    pub(crate) dir: TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let options = EngineOptions {
            orders_per_hour: 0,
            link_trust: Duration::from_secs(24 * 3600),
            pace: Pace { min: Duration::from_millis(500), max: Duration::from_secs(60) },
            patience: Patience::default(),
            max_package: None,
            convert: ConvertLimits { memory: 1 << 26, threads: 1 },
        };
        Self {
            service: Arc::default(),
            converter: Arc::default(),
            options,
            budget: 64 << 20,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// An engine over the cache, not yet resumed. Call within a runtime; one at a time.
    pub(crate) fn engine(&self) -> Engine {
        let cache = Arc::new(CacheDir::open(self.dir.path()).unwrap());
        let ledger = Arc::new(Ledger::open(&cache.ledger()).unwrap());
        let (changes, _) = broadcast::channel(64);
        let gone = changes.clone();
        let on_evicted = Box::new(move |evicted| {
            let _ = gone.send(Change::Gone(evicted));
        });
        let limits = Limits { bytes: self.budget, free_floor: 0 };
        let remembered = ledger.remembered().unwrap();
        let inventory = Inventory::take_stock(Arc::clone(&cache), limits, &remembered, on_evicted).unwrap();
        Engine::new(
            Arc::clone(&self.service) as _,
            Arc::clone(&self.converter) as _,
            cache,
            Arc::new(inventory),
            ledger,
            changes,
            self.options.clone(),
        )
    }

    /// Names in the staging directory.
    pub(crate) fn staged(&self) -> Vec<String> {
        let listing = std::fs::read_dir(self.dir.path().join("staging")).unwrap();
        listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(crate) fn staging(&self, target: &Target) -> PathBuf {
        self.dir.path().join("staging").join(target.key.as_str())
    }

    /// A runtime of its own with paused time: ending it kills an engine as `kill -9` would.
    pub(crate) fn life<T>(&self, life: impl Future<Output = T>) -> T {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(life)
    }
}

/// The `number`th product.
pub(crate) fn target(number: u32) -> Target {
    Target {
        key: EntryKey::new(format!("uid-file-{number}")).unwrap(),
        dataset: DatasetUid::parse("uid").unwrap(),
        file: FileId::parse(&format!("file-{number}")).unwrap(),
        path: format!("dataset/product-{number}"),
        product: format!("product-{number}"),
        declared: None,
    }
}
