//! The life of one fetch as a pure state machine: every step, every event, every transition, no I/O.
//!
//! ```text
//! Order ──► Poll ──► Download ──► Convert ──► Ready
//!   ▲        │ ▲         │           │
//!   │        │ └─────────┤ link lost │ package damaged: once more
//!   └────────┴───────────┘           ▼
//!      task gone, link lost again  Failed
//! ```
//!
//! The driver saves the job, performs what its [`Step`] asks for, and feeds the outcome back as an [`Event`].
//! A restart simply performs the saved step again: each step is written so that doing it twice costs nothing.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::clms::{DatasetUid, FileId, TaskId};
use crate::store::layout::EntryKey;

use super::engine::Target;
use super::failure::{Failure, FailureKind};

/// How often a lost or vanished order may be replaced by a new one.
const REORDERS: u32 = 1;
/// How often the link of one task may be lost, in half a minute, before the task is given up: a file may come later than
/// its link.
const LINK_LOSSES: u32 = 5;
/// How often a damaged package is downloaded again.
const DAMAGED_DOWNLOADS: u32 = 1;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Adopt a usable task of ours, or order one.
    Order,
    /// Wait for the service to finish `task`.
    Poll,
    /// Bring the package from `link`.
    Download,
    /// Turn the package into an entry and publish it.
    Convert,
    /// The entry is published.
    Ready,
    /// It ended without an entry.
    Failed(Failure),
}

/// What the service says of a task that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    /// Accepted, not yet started.
    Queued,
    /// Being prepared.
    Running,
}

/// One fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where the result goes.
    pub key: EntryKey,
    /// Dataset of the product.
    pub dataset: DatasetUid,
    /// File of the product.
    pub file: FileId,
    /// `<dataset>/<product>`, as the mount shows it.
    pub path: String,
    /// Safe product name, stem of the served files.
    pub product: String,
    /// User that caused the order.
    pub uid: u32,
    /// Milliseconds since 1970 when it began.
    pub began: u64,
    /// What to do next.
    pub step: Step,
    /// Task that will bring the package.
    pub task: Option<TaskId>,
    /// What the service last said of the task.
    pub remote: Option<Remote>,
    /// Where the package lies.
    pub link: Option<Url>,
    /// Milliseconds since 1970 when the service first named `link`.
    #[serde(default)]
    pub linked: Option<u64>,
    /// Size of the package in bytes as the catalogue declares it, later as the service announced it; a hint, the download
    /// itself is the truth.
    pub announced: Option<u64>,
    /// Tasks that are of no use any more and must not be adopted again.
    pub burned: Vec<TaskId>,
    /// Orders made in place of lost ones.
    pub reorders: u32,
    /// Links lost of the present task.
    pub link_losses: u32,
    /// Damaged packages received.
    pub damaged: u32,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// Milliseconds since 1970 when an order was sent whose outcome is not known yet. Kept over failures: as long as it
    /// may still show up at the service, another one would be a second one.
    #[serde(default)]
    pub sent: Option<u64>,
    /// The publication ([`CacheDir::identity`](crate::store::layout::CacheDir::identity)) that the result takes the place
    /// of: the product is here already and is served meanwhile.
    #[serde(default)]
    pub replaces: Option<u64>,
}

/// Outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task of ours is under way or done: a new one or an adopted one.
    Ordered(TaskId),
    /// The service works on it.
    Progressed(Remote),
    /// The task turned out to be for another product (the service mixes up concurrent orders).
    Misdirected,
    /// The task is finished; the package waits at the link.
    Finished {
        /// Where.
        link: Url,
        /// Announced size in bytes.
        size: Option<u64>,
    },
    /// The service does not know the task any more.
    Vanished,
    /// The service says that the task is finished, and names no usable link.
    Linkless,
    /// The link answers that it leads nowhere, or with something that is no package.
    LinkLost(String),
    /// The package is complete in staging.
    Downloaded,
    /// The package is not (any more) in staging.
    PackageMissing,
    /// The package does not unpack.
    Damaged(String),
    /// The entry is published.
    Published,
    /// The order was refused, and left this task behind.
    Refused {
        /// Stays queued for good when it cannot be cancelled: of no use to a later attempt.
        task: Option<TaskId>,
        /// Why.
        failure: Failure,
    },
    /// The user does not want it any more.
    Cancelled,
    /// The step failed for good.
    Failed(Failure),
}

impl Job {
    /// A fetch that has not begun.
    pub fn new(target: &Target, uid: u32) -> Self {
        Self {
            key: target.key.clone(),
            dataset: target.dataset.clone(),
            file: target.file.clone(),
            path: target.path.clone(),
            product: target.product.clone(),
            uid,
            began: super::now(),
            step: Step::Order,
            task: None,
            remote: None,
            link: None,
            linked: None,
            announced: target.declared,
            burned: Vec::new(),
            reorders: 0,
            link_losses: 0,
            damaged: 0,
            failures: 0,
            sent: None,
            replaces: None,
        }
    }

    /// A fetch that takes the place of the publication `former`.
    pub fn refresh(target: &Target, uid: u32, former: u64) -> Self {
        Self { replaces: Some(former), ..Self::new(target, uid) }
    }

    /// The service's ids of dataset and file, as `user.clmsfs.data_id` has them.
    pub fn data_id(&self) -> String {
        format!("{}/{}", self.dataset, self.file)
    }

    /// Whether its entry is published, when `present` is the publication that is there now.
    pub fn is_published(&self, present: Option<u64>) -> bool {
        present.is_some() && (self.replaces.is_none() || self.replaces != present)
    }

    /// The job after `event`. Events that do not belong to the present step change nothing.
    #[must_use]
    pub fn after(mut self, event: Event) -> Self {
        match (&self.step, event) {
            (_, Event::Failed(failure)) => self.fail(failure),
            (_, Event::Cancelled) => {
                // the task may be on its way out at the service: a later attempt must not adopt it
                if self.link.is_none() {
                    self.burn_task();
                }
                self.fail(Failure::new(
                    FailureKind::Cancelled,
                    "cancelled by the user; open it again to order it anew".to_owned(),
                ));
            }
            (Step::Order, Event::Refused { task, failure }) => {
                self.burned.extend(task);
                self.sent = None;
                self.fail(failure);
            }
            (Step::Order, Event::Ordered(task)) => {
                self.task = Some(task);
                self.sent = None;
                self.remote = None;
                self.link = None;
                self.link_losses = 0;
                self.step = Step::Poll;
            }
            (Step::Poll, Event::Progressed(remote)) => self.remote = Some(remote),
            (Step::Poll, Event::Misdirected) => {
                self.order_again("the service made a task for another product")
            }
            (Step::Poll, Event::Finished { link, size }) => {
                if self.link.as_ref() != Some(&link) {
                    self.linked = Some(super::now());
                }
                self.link = Some(link);
                self.announced = size;
                self.step = Step::Download;
            }
            (Step::Poll, Event::Linkless) => {
                self.order_again("the service says that the task is finished, but gives no usable link")
            }
            (Step::Poll, Event::Vanished) => self.order_again("the service does not know the task any more"),
            (Step::Download, Event::LinkLost(what)) => {
                self.link_losses += 1;
                if self.link_losses < LINK_LOSSES {
                    // ask the status again: the service may have a fresh link, or the file may be there now
                    self.step = Step::Poll;
                } else {
                    self.order_again(&what);
                }
            }
            (Step::Download, Event::Downloaded) => self.step = Step::Convert,
            (Step::Convert, Event::PackageMissing) => {
                self.step = if self.link.is_some() { Step::Download } else { Step::Order };
            }
            (Step::Convert, Event::Damaged(what)) => {
                self.damaged += 1;
                if self.damaged <= DAMAGED_DOWNLOADS && self.link.is_some() {
                    self.step = Step::Download;
                } else {
                    // a later attempt orders the package anew
                    self.burn_task();
                    self.fail(Failure::new(
                        FailureKind::Package,
                        format!("the package came damaged {} times: {what}; try again later, or tell the CLMS service desk", self.damaged),
                    ));
                }
            }
            (Step::Convert, Event::Published) => {
                self.failures = 0;
                self.step = Step::Ready;
            }
            (_, _) => {}
        }
        self
    }

    /// A new attempt after a failure: goes on from what the failed one had already paid for.
    #[must_use]
    pub fn retried(mut self) -> Self {
        let Step::Failed(failure) = &self.step else { return self };
        let service_is_done = failure.kind != FailureKind::Service;
        // a host that cannot be reached may not be where the file is any more: that costs one question
        let link_is_good = failure.kind != FailureKind::Offline;
        self.step = match (&self.link, &self.task) {
            (Some(_), Some(_)) if service_is_done && link_is_good => Step::Download,
            (Some(_), Some(_)) if service_is_done => Step::Poll,
            (None, Some(_)) if service_is_done => Step::Poll,
            _ => Step::Order,
        };
        self.reorders = 0;
        self.link_losses = 0;
        self.damaged = 0;
        self
    }

    fn burn_task(&mut self) {
        self.burned.extend(self.task.take());
        self.link = None;
        self.remote = None;
    }

    fn order_again(&mut self, why: &str) {
        self.burn_task();
        if self.reorders < REORDERS {
            self.reorders += 1;
            self.step = Step::Order;
        } else {
            self.fail(Failure::new(
                FailureKind::Service,
                format!("ordered {} times and got no package: {why}; try again later, or look at your downloads on land.copernicus.eu", self.reorders + 1),
            ));
        }
    }

    fn fail(&mut self, mut failure: Failure) {
        failure.before = self.failures;
        self.failures = self.failures.saturating_add(1);
        self.step = Step::Failed(failure);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::fetch) fn job() -> Job {
        let target = Target {
            key: EntryKey::new("d-f").unwrap(),
            dataset: DatasetUid::parse("0407d497d3c44bcd93ce8fd5bf78596a").unwrap(),
            file: FileId::parse("3d9e2413-46ca-4f6e-abf8-b6eb429a4e48").unwrap(),
            path: "clc2018/u2018".into(),
            product: "u2018".into(),
            declared: None,
        };
        Job { began: 0, ..Job::new(&target, 0) }
    }

    fn task(number: u32) -> TaskId {
        TaskId::parse(&number.to_string()).unwrap()
    }

    fn finished() -> Event {
        Event::Finished { link: "http://127.0.0.1/1.zip".parse().unwrap(), size: Some(7) }
    }

    fn walk(events: impl IntoIterator<Item = Event>) -> Job {
        events.into_iter().fold(job(), Job::after)
    }

    #[test]
    fn the_straight_way() {
        let job = walk([
            Event::Ordered(task(1)),
            Event::Progressed(Remote::Queued),
            Event::Progressed(Remote::Running),
            finished(),
            Event::Downloaded,
            Event::Published,
        ]);
        assert_eq!(job.step, Step::Ready);
    }

    #[test]
    fn a_lost_link_asks_again_orders_once_more_then_fails() {
        let lost = || Event::LinkLost("404".into());
        let loses = |mut job: Job| {
            for _ in 1..LINK_LOSSES {
                let linked = job.linked;
                job = job.after(finished()).after(lost());
                assert_eq!(job.step, Step::Poll);
                assert!(linked.is_none_or(|linked| job.linked == Some(linked)), "the link is the same");
            }
            job.after(finished()).after(lost())
        };
        let job = loses(walk([Event::Ordered(task(1))]));
        assert_eq!(job.step, Step::Order);
        assert_eq!(job.burned, [task(1)]);
        let job = loses(job.after(Event::Ordered(task(2))));
        assert!(matches!(job.step, Step::Failed(Failure { kind: FailureKind::Service, .. })));
    }

    #[test]
    fn a_damaged_package_is_fetched_once_more() {
        let damaged = || Event::Damaged("bad crc".into());
        let job = walk([Event::Ordered(task(1)), finished(), Event::Downloaded, damaged()]);
        assert_eq!(job.step, Step::Download);
        let job = job.after(Event::Downloaded).after(damaged());
        assert!(matches!(job.step, Step::Failed(Failure { kind: FailureKind::Package, .. })));
    }

    #[test]
    fn a_new_attempt_goes_on_from_what_was_paid_for() {
        let failed = |kind, events: Vec<Event>| {
            walk(events).after(Event::Failed(Failure::new(kind, "x".into()))).retried().step
        };
        let linked = || vec![Event::Ordered(task(1)), finished()];
        assert_eq!(failed(FailureKind::Offline, linked()), Step::Poll, "the link may have changed");
        assert_eq!(failed(FailureKind::NoSpace, linked()), Step::Download);
        assert_eq!(failed(FailureKind::Offline, vec![Event::Ordered(task(1))]), Step::Poll);
        assert_eq!(failed(FailureKind::Service, vec![Event::Ordered(task(1))]), Step::Order);
        assert_eq!(failed(FailureKind::Credentials, vec![]), Step::Order);
    }

    #[test]
    fn a_refresh_is_published_when_another_entry_is_there() {
        let (job, refresh) = (job(), Job { replaces: Some(7), ..job() });
        assert_eq!([None, Some(7), Some(8)].map(|present| job.is_published(present)), [false, true, true]);
        assert_eq!(
            [None, Some(7), Some(8)].map(|present| refresh.is_published(present)),
            [false, false, true]
        );
        // Jobs of earlier releases replace nothing.
        let mut old = serde_json::to_value(&job).unwrap();
        assert!(old.as_object_mut().unwrap().remove("replaces").is_some());
        assert_eq!(serde_json::from_value::<Job>(old).unwrap(), job);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0u32..5).prop_map(|n| Event::Ordered(task(n))),
            Just(Event::Progressed(Remote::Queued)),
            Just(Event::Misdirected),
            Just(finished()),
            Just(Event::Vanished),
            Just(Event::Linkless),
            Just(Event::Cancelled),
            Just(Event::LinkLost("x".into())),
            Just(Event::Downloaded),
            Just(Event::PackageMissing),
            Just(Event::Damaged("x".into())),
            Just(Event::Published),
            Just(Event::Failed(Failure::new(FailureKind::Offline, "x".into()))),
        ]
    }

    proptest! {
        #[test]
        fn no_walk_leaves_a_step_without_what_it_needs(events in prop::collection::vec(any_event(), 0..40)) {
            let mut job = job();
            for event in events {
                let ended = matches!(job.step, Step::Ready | Step::Failed(_));
                let before = job.clone();
                job = job.after(event.clone());
                if ended && !matches!(event, Event::Failed(_) | Event::Cancelled) {
                    prop_assert_eq!(&job, &before);
                }
                match &job.step {
                    Step::Poll => prop_assert!(job.task.is_some()),
                    Step::Download => prop_assert!(job.task.is_some() && job.link.is_some()),
                    _ => {}
                }
                prop_assert!(job.reorders <= REORDERS);
                prop_assert!(job.damaged <= DAMAGED_DOWNLOADS + 1);
                let json = serde_json::to_string(&job).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Job>(&json).unwrap(), &job);
            }
        }
    }
}
