//! What the engine's handle and its drivers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::inventory::{Inventory, Reservation};
use crate::store::layout::{CacheDir, EntryKey};

use super::engine::{Change, Counters, EngineOptions};
use super::failure::{Failure, FailureKind};
use super::job::Job;
use super::ledger::Ledger;
use super::now;
use super::poller::Poller;
use super::service::{Converter, Service};
use super::state::Progress;

#[derive(Debug, Clone)]
pub(super) struct Driven {
    pub(super) progress: Progress,
    pub(super) outcome: Option<Result<(), Failure>>,
}

pub(super) struct Running {
    pub(super) driven: watch::Sender<Driven>,
    pub(super) cancel: CancellationToken,
    pub(super) job: Job,
}

impl Failed {
    /// A cancelled product is as cold as any other; what is known of its tasks is kept for the next attempt.
    pub(super) fn is_cancelled(&self) -> bool {
        self.failure.kind == FailureKind::Cancelled
    }
}

pub(super) struct Failed {
    pub(super) job: Job,
    pub(super) failure: Failure,
    /// Room of a half-finished download that is kept for the next attempt.
    pub(super) _room: Option<Reservation>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) running: HashMap<EntryKey, Running>,
    pub(super) failed: HashMap<EntryKey, Failed>,
    /// Why the last open of a cold product did not fetch it.
    pub(super) notes: HashMap<EntryKey, String>,
    /// Room of what earlier runs left in staging for nobody, until it is swept.
    pub(super) leftovers: Option<Reservation>,
    pub(super) closed: bool,
}

pub(super) struct Inner {
    pub(super) service: Arc<dyn Service>,
    pub(super) converter: Arc<dyn Converter>,
    pub(super) cache: Arc<CacheDir>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) options: EngineOptions,
    pub(super) poller: Poller,
    pub(super) state: Mutex<State>,
    /// One order at a time per account: the service races with itself.
    pub(super) order_gate: Semaphore,
    pub(super) download_gate: Semaphore,
    pub(super) convert_gate: Semaphore,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) drivers: TaskTracker,
    pub(super) shutdown: CancellationToken,
    pub(super) counters: Counters,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the engine's state")
    }

    /// Takes one order from the user's budget.
    pub(super) fn spend(&self, uid: u32) -> Result<(), Failure> {
        let limit = self.options.orders_per_hour;
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
