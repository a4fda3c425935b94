//! The engine: starts, joins, resumes and cancels fetches.
//!
//! One product has at most one driver, however many readers wait for it. A driver is a task that saves the job,
//! performs its step, and feeds the outcome back ([`Job::after`]); everything others may know of it is in a
//! watch channel. Nothing here holds a lock across an await.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_util::task::TaskTracker;

use crate::clms::{DatasetUid, FileId, TaskId};
use crate::live::Live;
use crate::store::eviction::Evicted;
use crate::store::inventory::{Inventory, Reservation};
use crate::store::layout::{CacheDir, EntryKey, disk_usage};
use crate::sync::Mutex;

use super::convert::ConvertLimits;
use super::counters::Counters;
use super::driver::drive;
use super::failure::{Failure, FailureKind};
use super::flights::{Failed, Flight, Flights};
use super::job::{Job, Step};
use super::ledger::{Ledger, LedgerError};
use super::order::failure;
use super::patience::Patience;
use super::poller::{Pace, Poller};
use super::service::{Converter, Service};
use super::shared::Inner;
use super::state::{ProductState, Progress};

pub use super::flights::{Refusal, Ticket};

/// Downloads at a time.
const DOWNLOADS: usize = 4;
/// Conversions at a time; each uses all its threads. As many downloads are unpacked while they arrive.
const CONVERSIONS: usize = 1;
/// Longest wait for the service's answer to a cancellation (it is known to hang).
pub(super) const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// What a fetch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where the entry goes.
    pub key: EntryKey,
    /// Dataset of the product.
    pub dataset: DatasetUid,
    /// File of the product.
    pub file: FileId,
    /// `<dataset>/<product>`.
    pub path: String,
    /// Safe product name.
    pub product: String,
    /// Size of the package as the catalogue declares it: a hint.
    pub declared: Option<u64>,
}

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Orders per hour and user; 0 = no limit.
    pub orders_per_hour: u32,
    /// How long a finished task's link is trusted.
    pub link_trust: Duration,
    /// How often tasks are polled.
    pub pace: Pace,
    /// How long it bears with the service.
    pub patience: Patience,
    /// Largest package that is downloaded, in bytes.
    pub max_package: Option<u64>,
    /// What a conversion may cost.
    pub convert: ConvertLimits,
}

/// Whether a fetch takes one order from the user's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// It goes on with what was charged before a restart.
    Free,
    /// It orders or downloads anew.
    Owner,
}

/// A line of `jobs`.
#[derive(Debug, Clone)]
pub struct JobLine {
    /// Entry key.
    pub key: EntryKey,
    /// `<dataset>/<product>`.
    pub path: String,
    /// The service's ids of dataset and file.
    pub data_id: String,
    /// Milliseconds since 1970 when it began.
    pub began: u64,
    /// User that caused it.
    pub uid: u32,
    /// How many readers wait.
    pub waiting: usize,
    /// The product is here and served; a newer edition of it is what is fetched, or did not come.
    pub renewal: bool,
    /// Picture.
    pub progress: Progress,
}

/// Longest wait for those who must do something before readers are let in.
const LISTENERS: Duration = Duration::from_secs(5);

/// A product's state changed in a way that changes what files it shows.
#[derive(Debug, Clone)]
pub enum Change {
    /// It became ready.
    Ready {
        /// `<dataset>/<product>`.
        path: String,
        /// Those who wait for the product are told once every listener has dropped this.
        heard: Heard,
    },
    /// It left the cache.
    Gone(Evicted),
    /// A newer one has taken its place.
    Replaced {
        /// The entry.
        key: EntryKey,
    },
    /// Nothing more: somebody waits until what came before is done.
    Settled(Heard),
}

/// Held by a listener until it has done what must be done before readers are let in.
#[derive(Debug, Clone)]
pub struct Heard {
    _open: mpsc::Sender<()>,
}

impl Heard {
    /// One for the listeners, and what ends when all of them have dropped theirs.
    pub(super) fn new() -> (Self, Unheard) {
        let (open, ended) = mpsc::channel(1);
        (Self { _open: open }, Unheard { ended })
    }
}

/// The other end of a [`Heard`].
#[derive(Debug)]
pub(super) struct Unheard {
    ended: mpsc::Receiver<()>,
}

impl Unheard {
    /// Returns when every listener is done; false when one takes too long.
    pub(super) async fn all_heard(mut self) -> bool {
        tokio::time::timeout(LISTENERS, self.ended.recv()).await.is_ok()
    }
}

/// Handle to the engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.inner.options()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Puts the engine together; call within a tokio runtime. `changes` also carries what the inventory evicts.
    pub fn new(
        service: Arc<dyn Service>,
        converter: Arc<dyn Converter>,
        cache: Arc<CacheDir>,
        inventory: Arc<Inventory>,
        ledger: Arc<Ledger>,
        changes: broadcast::Sender<Change>,
        options: EngineOptions,
    ) -> Self {
        let poller = Poller::start(Arc::clone(&service), options.pace);
        let flights = Flights::new(options.patience);
        let inner = Inner {
            service,
            converter,
            cache,
            inventory,
            ledger,
            options: Live::new(options),
            poller,
            order_gate: Semaphore::new(1),
            download_gate: Semaphore::new(DOWNLOADS),
            convert_gate: Semaphore::new(CONVERSIONS),
            ahead_gate: Semaphore::new(CONVERSIONS),
            changes,
            drivers: TaskTracker::new(),
            shutdown: flights.shutdown(),
            flights,
            news: Mutex::new(()),
            counters: Counters::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Goes on with every fetch that the ledger knows. Cheap: call it before anybody can open a product.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn resume(&self) -> Result<(), LedgerError> {
        let (cache, inventory) = (&self.inner.cache, &self.inner.inventory);
        for job in self.inner.ledger.jobs()? {
            match &job.step {
                // published, but the ledger was not told any more
                _ if job.is_published(self.inner.cache.identity(&job.key)) => self.inner.finish_books(&job),
                Step::Ready => self.inner.forget(&job.key),
                Step::Failed(failure) => {
                    let failure = failure.clone();
                    let failed = Failed { job, failure, _room: None };
                    self.inner.state().failed.insert(failed.job.key.clone(), failed);
                }
                _ => {
                    tracing::info!(path = job.path, data_id = %job.data_id(), task_id = job.task.as_ref().map(tracing::field::display), "going on with a fetch of the last run");
                    // it counts before anything more is written: several packages may wait for their turn
                    let staged = disk_usage(&cache.staging(&job.key));
                    let room = Some(inventory.take_over(staged)).filter(|_| staged > 0);
                    self.inner.state().start(job, self.launch(Charge::Free, room));
                }
            }
        }
        self.inner.take_over_leftovers();
        Ok(())
    }

    /// Deletes staging directories that no fetch under way owns: leftovers of crashes. May take long.
    pub fn sweep(&self) {
        self.inner.sweep_staging();
    }

    /// State of a product. Costs two locks and lookups; never the network, never the disk.
    pub fn progress(&self, key: &EntryKey) -> Progress {
        let state = self.inner.state();
        if let Some(running) = state.awaited(key, |key| self.inner.inventory.contains(key)) {
            return running.driven.borrow().progress.clone();
        }
        if self.inner.inventory.contains(key) {
            let error =
                state.failed.get(key).map(|failed| format!("not renewed: {}", failed.failure.message));
            return Progress { error, ..Progress::bare(ProductState::Ready) };
        }
        let cold = |error| Progress { error, ..Progress::bare(ProductState::Cold) };
        let failed = state.failed.get(key).map(|failed| match failed.is_cancelled() {
            true => cold(Some(failed.failure.message.clone())),
            false => Progress::of(&failed.job, &self.inner.options().patience),
        });
        failed.unwrap_or_else(|| cold(state.notes.get(key).cloned()))
    }

    /// The picture of the fetch that is under way, also where the product is here and is being renewed.
    pub fn under_way(&self, key: &EntryKey) -> Option<Progress> {
        self.inner.state().running.get(key).map(|running| running.driven.borrow().progress.clone())
    }

    /// Only the state of a product, without copying texts.
    pub fn product_state(&self, key: &EntryKey) -> ProductState {
        let state = self.inner.state();
        match state.awaited(key, |key| self.inner.inventory.contains(key)) {
            Some(running) => running.driven.borrow().progress.state,
            None if self.inner.inventory.contains(key) => ProductState::Ready,
            None if state.failed.get(key).is_some_and(|failed| !failed.is_cancelled()) => {
                ProductState::Failed
            }
            None => ProductState::Cold,
        }
    }

    /// True when a product is here or is being fetched: somebody may work with it or wait for it.
    pub fn is_in_use(&self, key: &EntryKey) -> bool {
        // in this order: a fetch is over only after it was published
        let is_running = self.inner.state().running.contains_key(key);
        is_running || self.inner.inventory.contains(key)
    }

    /// The products for which [`Engine::is_in_use`] holds.
    pub fn in_use(&self) -> BTreeSet<EntryKey> {
        let mut keys: BTreeSet<_> = self.inner.state().running.keys().cloned().collect();
        keys.extend(self.inner.inventory.holdings().into_iter().map(|holding| holding.key));
        keys
    }

    /// Starts or joins the fetch of a product on behalf of `uid`. Costs locks only; the driver does the rest.
    ///
    /// With `insist` (an explicit wish of the user) a recent failure does not stand in the way.
    ///
    /// # Errors
    /// [`Refusal`] when nothing was started.
    pub fn request(&self, target: &Target, uid: u32, insist: bool) -> Result<Ticket, Refusal> {
        let job = |earlier: Option<Failed>| {
            let mut job = match earlier {
                Some(failed) => Job { uid, ..failed.job.retried() },
                None => Job::new(target, uid),
            };
            if insist {
                // the user knows better than the catalogue how large it is
                job.announced = None;
            }
            job
        };
        let is_here = |key: &EntryKey| self.inner.inventory.contains(key);
        self.inner.flights.request(&target.key, insist, is_here, job, self.launch(Charge::Owner, None))
    }

    /// Fetches a product that is here anew, or joins a fetch that is under way; one that is not here is fetched. What is
    /// here is served until the newer one takes its place.
    ///
    /// # Errors
    /// [`Refusal`] when nothing was started.
    pub fn refresh(&self, target: &Target, uid: u32) -> Result<Ticket, Refusal> {
        let inner = &self.inner;
        let former = inner.cache.identity(&target.key).filter(|_| inner.inventory.contains(&target.key));
        let Some(former) = former else { return self.request(target, uid, true) };
        let mut state = inner.state();
        let earlier = state.failed.remove(&target.key);
        let job = match earlier {
            Some(failed) => Job { uid, replaces: Some(former), ..failed.job.retried() },
            None => Job::refresh(target, uid, former),
        };
        state.start(job, self.launch(Charge::Owner, None)).ok_or(Refusal::ShuttingDown)
    }

    /// Gives a fetch its driver; `room` is what it has in staging already.
    fn launch(&self, charge: Charge, room: Option<Reservation>) -> impl FnOnce(Flight) {
        let inner = &self.inner;
        move |Flight { job, driven, cancel }| {
            inner.counters.fetches.one();
            let (shared, key) = (Arc::clone(inner), job.key.clone());
            inner.drivers.spawn(async move {
                let driving = drive(Arc::clone(&shared), job, driven, cancel, charge, room);
                if AssertUnwindSafe(driving).catch_unwind().await.is_err() {
                    // our bug, but nobody must wait for ever because of it: without the sender the waiters wake up
                    tracing::error!(%key, "the driver of a fetch panicked");
                    shared.flights.vanish(&key);
                }
            });
        }
    }

    /// Notes for the xattr `error` why an open of a cold product did not fetch it.
    pub fn note(&self, key: &EntryKey, reason: String) {
        self.inner.state().notes.insert(key.clone(), reason);
    }

    /// Cancels a fetch: at once here, best effort at the service. `false` when none was under way.
    pub fn cancel(&self, key: &EntryKey) -> bool {
        self.inner.flights.cancel(key)
    }

    /// Cancels a task at the service, whoever ordered it.
    ///
    /// # Errors
    /// What the service says, or that it did not answer in time.
    pub async fn cancel_task(&self, task: &TaskId) -> Result<(), Failure> {
        match tokio::time::timeout(CANCEL_PATIENCE, self.inner.service.cancel(task)).await {
            Ok(result) => result.map_err(|error| failure(&error)),
            Err(_) => Err(Failure::new(
                FailureKind::Offline,
                format!("the service does not answer the cancellation of {task}; it may still take effect"),
            )),
        }
    }

    /// Pins or unpins a product, ready or not, and remembers it. Writes to the ledger.
    ///
    /// # Errors
    /// [`LedgerError`]; the pin holds until the next start then.
    pub fn pin(&self, key: &EntryKey, path: &str, pinned: bool) -> Result<(), LedgerError> {
        self.inner.inventory.pin(key, pinned);
        self.inner.ledger.note_pin(key, path, pinned)
    }

    /// Writes the last uses of all entries to the ledger.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn save_uses(&self) -> Result<(), LedgerError> {
        let holdings = self.inner.inventory.holdings();
        let uses: Vec<_> = holdings.into_iter().map(|holding| (holding.key, holding.last_use)).collect();
        self.inner.ledger.note_uses(&uses)
    }

    /// All fetches under way and all that failed.
    pub fn jobs(&self) -> Vec<JobLine> {
        let state = self.inner.state();
        let line = |job: &Job, progress: Progress, waiting| JobLine {
            key: job.key.clone(),
            path: job.path.clone(),
            data_id: job.data_id(),
            began: job.began,
            uid: job.uid,
            waiting,
            renewal: job.replaces.is_some() && self.inner.inventory.contains(&job.key),
            progress,
        };
        let running = state.running.values().map(|running| {
            // one receiver is kept by nobody but waiters
            line(&running.job, running.driven.borrow().progress.clone(), running.driven.receiver_count())
        });
        let failed = state.failed.values().filter(|failed| !failed.is_cancelled());
        let failed = failed
            .map(|failed| line(&failed.job, Progress::of(&failed.job, &self.inner.options().patience), 0));
        let mut lines: Vec<_> = running.chain(failed).collect();
        lines.sort_by(|a, b| (a.began, &a.path).cmp(&(b.began, &b.path)));
        lines
    }

    /// What the engine has done so far.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The inventory behind it.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inner.inventory
    }

    /// The ledger behind it.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.inner.ledger
    }

    /// Changes of products between ready and not ready.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Returns when every listener has done what the changes so far ask for, or is slow.
    pub async fn settled(&self) {
        let (heard, ended) = Heard::new();
        // behind the news of every state that was seen
        drop(self.inner.news());
        let _ = self.inner.changes.send(Change::Settled(heard));
        if !ended.all_heard().await {
            tracing::warn!("a listener is slow; the kernel may know former names");
        }
    }

    /// Behaves in another way from now on. Steps that are under way end as they began; patience stays as it was.
    pub fn follow(&self, options: EngineOptions) {
        let patience = self.inner.options().patience;
        self.inner.poller.set_pace(options.pace);
        self.inner.options.set(EngineOptions { patience, ..options });
    }

    /// Stops all drivers where they are; the next run goes on with them. Waiters are told.
    pub async fn shut_down(&self) {
        self.inner.flights.close();
        self.inner.shutdown.cancel();
        self.inner.drivers.close();
        self.inner.drivers.wait().await;
        if let Err(error) = self.save_uses() {
            tracing::warn!(%error, "last uses are not saved");
        }
    }
}
