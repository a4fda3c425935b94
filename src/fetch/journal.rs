//! The log of a fetch: one line for each stage that begins, with the service's ids, and how long the one before took.
//!
//! `fetch queued path="clc2018/…" data_id=<dataset>/<file> task_id=1001 took_ms=840`. Lines of one product are found by
//! `data_id`, lines of one order by `task_id`.

use std::sync::Mutex;
use std::time::Instant;

use crate::clms::TaskId;
use crate::store::eviction::Evicted;
use crate::tally::Label;

use super::failure::{Failure, FailureKind};
use super::job::Job;
use super::state::ProductState;

/// Writes the lines of one fetch.
#[derive(Debug)]
pub(super) struct Journal {
    path: String,
    data_id: String,
    uid: u32,
    begun: Instant,
    stage: Mutex<Option<(ProductState, Instant)>>,
}

impl Journal {
    /// For a fetch that begins or goes on now.
    pub(super) fn new(job: &Job) -> Self {
        Self {
            path: job.path.clone(),
            data_id: job.data_id(),
            uid: job.uid,
            begun: Instant::now(),
            stage: Mutex::default(),
        }
    }

    /// A stage begins; `bytes` is what it is about, where that is known. A stage that goes on says nothing.
    pub(super) fn enters(&self, state: ProductState, task: Option<&TaskId>, bytes: Option<u64>) {
        let Some(took_ms) = self.turns_to(state) else { return };
        let (path, data_id, task_id) = (&self.path, &self.data_id, task.map(tracing::field::display));
        if state == ProductState::Ordered {
            let uid = self.uid;
            tracing::info!(path, %data_id, task_id, uid, took_ms, bytes, "fetch ordered");
        } else {
            tracing::info!(path, %data_id, task_id, took_ms, bytes, "fetch {state}");
        }
    }

    /// The product is here.
    pub(super) fn ready(&self, task: Option<&TaskId>, bytes: Option<u64>) {
        let Some(took_ms) = self.turns_to(ProductState::Ready) else { return };
        let total_ms = milliseconds(self.begun);
        let (path, data_id, task_id) = (&self.path, &self.data_id, task.map(tracing::field::display));
        tracing::info!(path, %data_id, task_id, took_ms, total_ms, bytes, "fetch ready");
    }

    /// The fetch is over, and the product is not here.
    pub(super) fn failed(&self, task: Option<&TaskId>, failure: &Failure) {
        let took_ms = self.turns_to(ProductState::Failed).flatten();
        let total_ms = milliseconds(self.begun);
        let (path, data_id, task_id) = (&self.path, &self.data_id, task.map(tracing::field::display));
        if failure.kind == FailureKind::Cancelled {
            tracing::info!(path, %data_id, task_id, took_ms, total_ms, "fetch cancelled");
        } else {
            let kind = failure.kind.word();
            tracing::warn!(path, %data_id, task_id, kind, took_ms, total_ms, "fetch failed: {failure}");
        }
    }

    /// The mount goes away; the next start goes on with the fetch.
    pub(super) fn suspended(&self, task: Option<&TaskId>) {
        let (path, data_id, task_id) = (&self.path, &self.data_id, task.map(tracing::field::display));
        tracing::info!(path, %data_id, task_id, "fetch suspended: the next start goes on with it");
    }

    /// Milliseconds that the stage before took, where there was one; `None` when the stage does not change.
    fn turns_to(&self, state: ProductState) -> Option<Option<u64>> {
        let mut stage = self.stage.lock().expect("no code panics while it holds the stage");
        let before = *stage;
        if before.is_some_and(|(before, _)| before == state) {
            return None;
        }
        *stage = Some((state, Instant::now()));
        Some(before.map(|(_, since)| milliseconds(since)))
    }
}

/// An entry has left the cache; its ids are known as long as the catalogue has the product.
pub fn evicted(path: Option<&str>, data_id: Option<&str>, evicted: &Evicted) {
    let Evicted { key, bytes, cause } = evicted;
    let data_id = data_id.map(tracing::field::display);
    tracing::info!(path, data_id, %key, bytes, cause = cause.word(), "evicted");
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
