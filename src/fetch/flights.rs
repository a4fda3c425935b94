//! Which fetches are in the air, who waits for them, and which of them failed: one product is fetched once, however many ask.
//!
//! What is under way takes its place under the lock that found it free, and leaves it under one lock with what is to be
//! remembered of it. `tests/races` compiles this file with a scheduler's locks and looks for races.

use std::collections::HashMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::inventory::Reservation;
use crate::store::layout::EntryKey;
use crate::sync::{Mutex, MutexGuard};

use super::failure::{Failure, FailureKind};
use super::job::Job;
use super::now;
use super::patience::Patience;
use super::state::{ProductState, Progress};

/// What all who wait may see of a fetch.
#[derive(Debug, Clone)]
pub(crate) struct Driven {
    pub(crate) progress: Progress,
    pub(crate) outcome: Option<Result<(), Failure>>,
}

/// A fetch under way.
pub(crate) struct Running {
    pub(crate) driven: watch::Sender<Driven>,
    pub(crate) cancel: CancellationToken,
    pub(crate) job: Job,
}

/// A fetch that ended without data.
pub(crate) struct Failed {
    pub(crate) job: Job,
    pub(crate) failure: Failure,
    /// Room of a half-finished download that is kept for the next attempt.
    pub(crate) _room: Option<Reservation>,
}

impl Failed {
    /// A cancelled product is as cold as any other; what is known of its tasks is kept for the next attempt.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.failure.kind == FailureKind::Cancelled
    }
}

/// Why a fetch was not even started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It failed a moment ago; the answer would be the same.
    #[error("{0}")]
    Failed(Failure),
    /// The engine is shutting down.
    #[error("the mount is going away")]
    ShuttingDown,
}

/// A place in the queue of those who wait for one fetch.
#[derive(Debug)]
pub struct Ticket {
    progress: watch::Receiver<Driven>,
}

impl Ticket {
    /// For what is here already.
    fn ready() -> Self {
        let driven = Driven { progress: Progress::bare(ProductState::Ready), outcome: Some(Ok(())) };
        Self { progress: watch::channel(driven).1 }
    }

    /// Waits until the product is ready.
    ///
    /// # Errors
    /// The failure with which the fetch ended.
    pub async fn wait(mut self) -> Result<(), Failure> {
        let ended = self.progress.wait_for(|driven| driven.outcome.is_some()).await;
        match ended.map(|driven| driven.outcome.clone()) {
            Ok(Some(outcome)) => outcome,
            // the driver is gone without a word: the mount is going away
            _ => Err(Failure::new(FailureKind::Cancelled, "the mount is going away".to_owned())),
        }
    }

    /// The picture now.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().progress.clone()
    }
}

/// What a driver is given.
pub(crate) struct Flight {
    pub(crate) job: Job,
    pub(crate) driven: watch::Sender<Driven>,
    pub(crate) cancel: CancellationToken,
}

/// What is known of all fetches.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) running: HashMap<EntryKey, Running>,
    pub(crate) failed: HashMap<EntryKey, Failed>,
    /// Why the last open of a cold product did not fetch it.
    pub(crate) notes: HashMap<EntryKey, String>,
    /// Room of what earlier runs left in staging for nobody, until it is swept.
    pub(crate) leftovers: Option<Reservation>,
    /// How long a fetch bears with the service.
    patience: Patience,
    /// Ends all of them where they are.
    shutdown: CancellationToken,
    closed: bool,
}

impl State {
    /// Puts a fetch into the air and hands it to `launch`, or joins the one that is there. `None` after the end.
    pub(crate) fn start(&mut self, job: Job, launch: impl FnOnce(Flight)) -> Option<Ticket> {
        if self.closed {
            return None;
        }
        if let Some(running) = self.running.get(&job.key) {
            return Some(Ticket { progress: running.driven.subscribe() });
        }
        self.notes.remove(&job.key);
        let cancel = self.shutdown.child_token();
        let (driven, receiver) =
            watch::channel(Driven { progress: Progress::of(&job, &self.patience), outcome: None });
        let running = Running { driven: driven.clone(), cancel: cancel.clone(), job: job.clone() };
        self.running.insert(job.key.clone(), running);
        launch(Flight { job, driven, cancel });
        Some(Ticket { progress: receiver })
    }

    /// The fetch that has to be waited for, and not one whose product `is_here` and is served meanwhile.
    pub(crate) fn awaited(&self, key: &EntryKey, is_here: impl Fn(&EntryKey) -> bool) -> Option<&Running> {
        self.running.get(key).filter(|running| running.job.replaces.is_none() || !is_here(key))
    }
}

/// All fetches.
#[derive(Default)]
pub(crate) struct Flights {
    state: Mutex<State>,
}

impl Flights {
    /// No fetches yet.
    pub(crate) fn new(patience: Patience) -> Self {
        Self { state: Mutex::new(State { patience, ..State::default() }) }
    }

    /// What is known of them now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the engine's state")
    }

    /// Joins the fetch of a product, or starts one: that which `job` makes of the failed one before. With `insist` a recent
    /// failure does not stand in the way.
    ///
    /// # Errors
    /// [`Refusal`] when nothing was started.
    pub(crate) fn request(
        &self,
        key: &EntryKey,
        insist: bool,
        is_here: impl Fn(&EntryKey) -> bool,
        job: impl FnOnce(Option<Failed>) -> Job,
        launch: impl FnOnce(Flight),
    ) -> Result<Ticket, Refusal> {
        let mut state = self.state();
        if let Some(running) = state.awaited(key, &is_here) {
            return Ok(Ticket { progress: running.driven.subscribe() });
        }
        if is_here(key) {
            return Ok(Ticket::ready());
        }
        if let Some(failed) = state.failed.get(key)
            && !insist
            && state.patience.rests(&failed.failure, now())
        {
            return Err(Refusal::Failed(failed.failure.clone()));
        }
        let job = job(state.failed.remove(key));
        // the place is taken under the same lock that found it free: one order, one charge, however many ask
        state.start(job, launch).ok_or(Refusal::ShuttingDown)
    }

    /// Takes a fetch that ended out of the air, with what is remembered of it. Whoever waits is told afterwards.
    pub(crate) fn land(&self, job: &Job, outcome: &Result<(), Failure>, room: Option<Reservation>) {
        let mut state = self.state();
        state.running.remove(&job.key);
        match outcome {
            // a product that nothing was done for is as cold as before
            Err(failure)
                if failure.kind == FailureKind::Budget
                    && job.failures <= 1
                    && job.link.is_none()
                    && job.replaces.is_none() =>
            {
                state.notes.insert(job.key.clone(), failure.message.clone());
            }
            Err(failure) => {
                let failed = Failed { job: job.clone(), failure: failure.clone(), _room: room };
                state.failed.insert(job.key.clone(), failed);
            }
            Ok(()) => {}
        }
    }

    /// Takes a fetch out of the air that ended without a word: who waits for it hears that the mount goes away.
    pub(crate) fn vanish(&self, key: &EntryKey) {
        self.state().running.remove(key);
    }

    /// Cancels a fetch; `false` when none was under way.
    pub(crate) fn cancel(&self, key: &EntryKey) -> bool {
        let state = self.state();
        let Some(running) = state.running.get(key) else { return false };
        running.cancel.cancel();
        true
    }

    /// Ends all fetches where they are.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.state().shutdown.clone()
    }

    /// Nothing starts any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }
}
