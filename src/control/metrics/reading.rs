//! What all metrics of one scrape are taken from, read once.

use std::sync::Arc;

use super::process::Process;
use crate::clms::counts::Counts;
use crate::control::Mounted;
use crate::control::status::{Status, status};
use crate::fetch::counters::Counters;
use crate::fetch::state::ProductState;
use crate::store::inventory::Departures;
use crate::tally::Label;
use crate::vfs::{Vfs, counters};

/// One look at a mount.
pub(super) struct Reading {
    /// The picture that people get, too.
    pub(super) status: Status,
    /// What the kernel says of the process.
    pub(super) process: Process,
    service: Arc<Counts>,
    vfs: Arc<Vfs>,
}

impl Reading {
    /// Looks; `None` while the mount is being put together.
    pub(super) fn of(mounted: &Mounted) -> Option<Self> {
        Some(Self {
            status: status(mounted)?,
            process: Process::current(),
            service: Arc::clone(&mounted.service),
            vfs: Arc::clone(mounted.vfs.get()?),
        })
    }

    /// What was asked of the service.
    pub(super) fn service(&self) -> &Counts {
        &self.service
    }

    /// What the engine has done.
    pub(super) fn engine(&self) -> &Counters {
        self.vfs.engine().counters()
    }

    /// What the file system was asked for.
    pub(super) fn files(&self) -> &counters::Counters {
        &self.vfs.counters
    }

    /// What left the cache.
    pub(super) fn departures(&self) -> &Departures {
        self.vfs.engine().inventory().departures()
    }

    /// Fetches in each state that one can be in.
    pub(super) fn jobs_by_state(&self) -> Vec<(ProductState, usize)> {
        let count = |state: &ProductState| {
            let jobs = self.status.jobs.iter().filter(|job| job.progress.state == *state);
            (*state, jobs.count())
        };
        ProductState::ALL.iter().map(count).filter(|(state, _)| is_of_a_job(*state)).collect()
    }
}

/// True for states that a fetch can be in; what is cold or ready has none.
pub(super) fn is_of_a_job(state: ProductState) -> bool {
    !matches!(state, ProductState::Cold | ProductState::Ready)
}
