//! What everyone may know about a product's way from cold to ready.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::job::{Job, Remote, Step};
use super::patience::Patience;
use crate::tally::Label;

/// State of a product (DESIGN section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductState {
    /// Not here, nothing under way.
    Cold,
    /// Being ordered.
    Ordered,
    /// Waits in the service's queue.
    Queued,
    /// Being prepared by the service.
    Running,
    /// Being downloaded.
    Downloading,
    /// Being unpacked.
    Extracting,
    /// Being converted.
    Converting,
    /// Here.
    Ready,
    /// The last fetch ended without data.
    Failed,
}

impl Label for ProductState {
    const ALL: &'static [Self] = &[
        Self::Cold,
        Self::Ordered,
        Self::Queued,
        Self::Running,
        Self::Downloading,
        Self::Extracting,
        Self::Converting,
        Self::Ready,
        Self::Failed,
    ];

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn place(self) -> usize {
        self as usize
    }
}

impl ProductState {
    /// The word users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Ordered => "ordered",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Downloading => "downloading",
            Self::Extracting => "extracting",
            Self::Converting => "converting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// True while a fetch is under way.
    pub const fn is_under_way(self) -> bool {
        !matches!(self, Self::Cold | Self::Ready | Self::Failed)
    }
}

impl fmt::Display for ProductState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A live picture of one fetch, cheap to copy to every waiter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// State.
    pub state: ProductState,
    /// Share of the present state's work that is done, 0 to 1, when it can be known.
    pub fraction: Option<f64>,
    /// Bytes done and in all of a download, when it can be known.
    pub bytes: Option<(u64, Option<u64>)>,
    /// Bytes in a second that a download brings now, when it can be known.
    #[serde(default)]
    pub speed: Option<u64>,
    /// Seconds until this state's work is done, estimated from the speed so far.
    pub eta: Option<u64>,
    /// The service's task.
    pub task: Option<String>,
    /// Why it failed, or what it is waiting for.
    pub error: Option<String>,
    /// Milliseconds since 1970 from when a failed fetch is tried again on open.
    pub retry_at: Option<u64>,
    /// Milliseconds since 1970 when the present state began.
    pub since: u64,
}

impl Progress {
    /// Nothing is known beyond the state.
    pub fn bare(state: ProductState) -> Self {
        Self {
            state,
            fraction: None,
            bytes: None,
            speed: None,
            eta: None,
            task: None,
            error: None,
            retry_at: None,
            since: super::now(),
        }
    }

    /// The picture at the beginning of the job's present step.
    pub fn of(job: &Job, patience: &Patience) -> Self {
        let mut progress = Self::bare(state_of(job));
        progress.task = job.task.as_ref().map(ToString::to_string);
        if let Step::Failed(failure) = &job.step {
            progress.fail(failure, patience);
        }
        progress
    }

    fn fail(&mut self, failure: &Failure, patience: &Patience) {
        self.error = Some(failure.message.clone());
        self.retry_at = Some(patience.retry_at(failure));
        self.since = failure.at;
    }

    /// Notes that `done` of `total` is done, and estimates the rest from the time it took.
    pub fn advance(&mut self, done: u64, total: Option<u64>) {
        self.fraction = total.filter(|total| *total > 0).map(|total| (done as f64 / total as f64).min(1.0));
        let elapsed = super::now().saturating_sub(self.since) as f64 / 1000.0;
        self.eta = self
            .fraction
            .filter(|fraction| *fraction > 0.0 && elapsed > 0.5)
            .map(|fraction| (elapsed * (1.0 - fraction) / fraction).ceil() as u64);
    }
}

/// The state that a job's step shows to users.
pub fn state_of(job: &Job) -> ProductState {
    match (&job.step, job.remote) {
        (Step::Order, _) => ProductState::Ordered,
        (Step::Poll, None | Some(Remote::Queued)) => ProductState::Queued,
        (Step::Poll, Some(Remote::Running)) => ProductState::Running,
        (Step::Download, _) => ProductState::Downloading,
        // the package is unpacked first, perhaps after a wait for its turn
        (Step::Convert, _) => ProductState::Extracting,
        (Step::Ready, _) => ProductState::Ready,
        (Step::Failed(_), _) => ProductState::Failed,
    }
}
