//! What the engine's handle and its drivers share.

use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;
use crate::store::inventory::Inventory;
use crate::store::layout::{CacheDir, EntryKey};
use crate::sync::{Mutex, MutexGuard};

use super::counters::Counters;
use super::engine::{Change, EngineOptions};
use super::failure::{Failure, FailureKind};
use super::flights::{Flights, State};
use super::job::Job;
use super::ledger::Ledger;
use super::now;
use super::poller::Poller;
use super::service::{Converter, Service};

pub(super) struct Inner {
    pub(super) service: Arc<dyn Service>,
    pub(super) converter: Arc<dyn Converter>,
    pub(super) cache: Arc<CacheDir>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) options: Live<EngineOptions>,
    pub(super) poller: Poller,
    pub(super) flights: Flights,
    /// One order at a time per account: the service races with itself.
    pub(super) order_gate: Semaphore,
    pub(super) download_gate: Semaphore,
    pub(super) convert_gate: Semaphore,
    /// Downloads that are followed. Nobody waits for it who is waited for.
    pub(super) ahead_gate: Semaphore,
    pub(super) changes: broadcast::Sender<Change>,
    /// Held while a state changes and the news of it is sent: nobody sees the one without the other being under way.
    pub(super) news: Mutex<()>,
    pub(super) drivers: TaskTracker,
    pub(super) shutdown: CancellationToken,
    pub(super) counters: Counters,
}

impl Inner {
    /// How the engine behaves now.
    pub(super) fn options(&self) -> Arc<EngineOptions> {
        self.options.get()
    }

    /// Whoever holds this has the state and the news of it to himself.
    pub(super) fn news(&self) -> MutexGuard<'_, ()> {
        self.news.lock().expect("no code panics while it holds the news")
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.flights.state()
    }

    /// Takes one order from the user's budget.
    pub(super) fn spend(&self, uid: u32) -> Result<(), Failure> {
        let limit = self.options().orders_per_hour;
        let hour_ago = now().saturating_sub(3600 * 1000);
        match self.ledger.spend(uid, limit, hour_ago) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new(
                FailureKind::Budget,
                format!(
                    "order budget used up: {limit} orders in the last hour for uid {uid}; wait, or raise orders_per_hour"
                ),
            )),
            Err(error) => {
                tracing::warn!(%error, "the order budget cannot be kept");
                Ok(())
            }
        }
    }

    pub(super) fn forget(&self, key: &EntryKey) {
        if let Err(error) = self.ledger.forget_job(key) {
            tracing::warn!(%key, %error, "a finished job stays in the ledger");
        }
    }

    /// Closes the books of a published product.
    pub(super) fn finish_books(&self, job: &Job) {
        if let Err(error) = self.ledger.note_use(&job.key, &job.path, now()) {
            tracing::warn!(path = job.path, %error, "the entry's use is not saved");
        }
        self.forget(&job.key);
        let _ = std::fs::remove_dir_all(self.cache.staging(&job.key));
        self.inventory.count_books();
    }
}
