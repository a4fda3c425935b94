//! The driver of one fetch: saves the job, performs its step, feeds the outcome back, until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clms::{ClmsError, TaskId, TaskOutcome, TaskStatus};
use crate::store::inventory::Reservation;
use crate::store::layout::disk_usage;

use super::adopt;
use super::ahead::Ahead;
use super::download::PackageFiles;
use super::engine::{CANCEL_PATIENCE, Change, Charge, Heard};
use super::failure::{Failure, FailureKind};
use super::flights::Driven;
use super::job::{Event, Job, Remote, Step};
use super::journal::Journal;
use super::local_steps::{bring, process};
use super::order::{failure, order};
use super::poller::News;
use super::shared::Inner;
use super::state::{Progress, state_of};

/// A wait ends when the service has said nothing useful about the task so many times, and for as long as
/// [`Patience`](super::patience::Patience) says.
const NONSENSE: u32 = 4;
/// A task is lost when the service does not know it so many times in a row: ordering it anew beside one that is open
/// poisons every later order.
const VANISHED: u32 = 2;

/// What is heard of a task, kept while its job goes through its states: a new question would begin a new wait.
struct Watching {
    task: TaskId,
    news: mpsc::UnboundedReceiver<News>,
}

/// How a driver ended.
enum End {
    Published,
    Failed(Failure),
    /// The mount goes away; the ledger keeps the job.
    Suspended,
}

/// Drives `job` to its end; everybody who waits hears of it through `driven`. `room` is what it has in staging already.
pub(super) async fn drive(
    inner: Arc<Inner>,
    job: Job,
    driven: watch::Sender<Driven>,
    cancel: CancellationToken,
    charge: Charge,
    mut room: Option<Reservation>,
) {
    let key = job.key.clone();
    let journal = Arc::new(Journal::new(&job));
    // what is to be replaced is served until then: it must not make room
    let _former = job.replaces.and_then(|_| inner.inventory.peek(&key));
    let (job, end) = match expect_to_fit(&inner, &job).and_then(|()| pay(&inner, &job, charge)) {
        Ok(()) => walk(&inner, job, &driven, &cancel, &mut room, &journal).await,
        Err(failure) => (job.after(Event::Failed(failure.clone())), End::Failed(failure)),
    };
    let outcome = match end {
        End::Published => {
            inner.finish_books(&job);
            inner.counters.published.one();
            inner.counters.durations.took(Duration::from_millis(super::now().saturating_sub(job.began)));
            journal.ready(job.task.as_ref(), inner.inventory.size(&key));
            Ok(())
        }
        End::Failed(failure) => {
            journal.failed(job.task.as_ref(), &failure);
            inner.counters.failed.one();
            inner.counters.failures.one(failure.kind);
            let staging = inner.cache.staging(&key);
            if failure.kind == FailureKind::Offline {
                // what has arrived is kept for the next attempt, and nothing more is held for it
                if let Some(room) = &mut room {
                    room.shrink_to(disk_usage(&staging));
                }
            } else {
                if let Err(error) = inner.cache.discard(&staging) {
                    tracing::warn!(path = job.path, %error, "staging is left for the next start");
                }
                room = None;
            }
            Err(failure)
        }
        End::Suspended => {
            journal.suspended(job.task.as_ref());
            inner.flights.vanish(&key);
            return;
        }
    };
    if matches!(&outcome, Err(failure) if failure.kind == FailureKind::Cancelled) {
        // first the books: whoever opens it anew writes its own line
        inner.forget(&key);
    }
    let told = {
        let _news = inner.news();
        inner.flights.land(&job, &outcome, room);
        // first the state, then the news: whoever hears it finds the product ready
        outcome.is_ok().then(|| {
            if job.replaces.is_some() {
                let _ = inner.changes.send(Change::Replaced { key: key.clone() });
            }
            let (heard, ended) = Heard::new();
            let _ = inner.changes.send(Change::Ready { path: job.path.clone(), heard });
            ended
        })
    };
    if let Some(told) = told
        && !told.all_heard().await
    {
        tracing::warn!(path = job.path, "a listener is slow; readers are let in");
    }
    driven.send_modify(|driven| {
        driven.progress = Progress::of(&job, &inner.options().patience);
        driven.outcome = Some(outcome);
    });
}

/// Refuses before the order what can only be refused after it: nothing has been sent yet, and as far as anybody knows the
/// package does not fit. What the catalogue declares is a hint; who insists is not held up by it.
fn expect_to_fit(inner: &Inner, job: &Job) -> Result<(), Failure> {
    if job.step != Step::Order || job.sent.is_some() {
        return Ok(());
    }
    let declared = job.announced.unwrap_or(0);
    inner.inventory.could_hold(declared).map_err(|error| {
        let mut failure = Failure::of_store(&error);
        if declared > 0 {
            failure.message = format!(
                "not ordered, for the catalogue declares {declared} bytes: {}; clmsfs fetch orders it all the same",
                failure.message
            );
        }
        failure
    })
}

/// Takes what the fetch costs from its owner's budget: an order, or a download of what was ordered before.
fn pay(inner: &Inner, job: &Job, charge: Charge) -> Result<(), Failure> {
    match (&job.step, charge) {
        (Step::Order | Step::Download, Charge::Owner) => inner.spend(job.uid),
        _ => Ok(()),
    }
}

/// Performs step after step until the job ends.
async fn walk(
    inner: &Arc<Inner>,
    mut job: Job,
    driven: &watch::Sender<Driven>,
    cancel: &CancellationToken,
    room: &mut Option<Reservation>,
    journal: &Arc<Journal>,
) -> (Job, End) {
    let mut watching = None;
    let mut ahead = None;
    loop {
        if let Err(error) = inner.ledger.save_job(&job) {
            let failure = Failure::of_ledger(&error);
            job = job.after(Event::Failed(failure.clone()));
            return (job, End::Failed(failure));
        }
        driven.send_modify(|driven| driven.progress = Progress::of(&job, &inner.options().patience));
        match &job.step {
            Step::Ready => return (job, End::Published),
            Step::Failed(failure) => {
                let failure = failure.clone();
                return (job, End::Failed(failure));
            }
            _ => {}
        }
        journal.enters(state_of(&job), job.task.as_ref(), expected_bytes(inner, &job).await);
        let event = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                if inner.shutdown.is_cancelled() {
                    return (job, End::Suspended);
                }
                // a finished task is paid for: the next attempt can adopt it
                if job.link.is_none() {
                    withdraw(inner, &job);
                }
                Event::Cancelled
            }
            event = perform(inner, &job, driven, room, &mut watching, &mut ahead, journal) => event,
        };
        job = job.after(event);
    }
}

/// Bytes that the job's present step is about: what was announced of the package, or what has come.
async fn expected_bytes(inner: &Inner, job: &Job) -> Option<u64> {
    match job.step {
        Step::Order | Step::Download => job.announced,
        Step::Convert => {
            let package = PackageFiles::below(&inner.cache.staging(&job.key)).package;
            tokio::fs::metadata(&package).await.ok().map(|metadata| metadata.len())
        }
        _ => None,
    }
}

/// Takes a turn; while others have it, whoever waits for the product is told so.
async fn turn<'a>(gate: &'a Semaphore, driven: &watch::Sender<Driven>, others: &str) -> SemaphorePermit<'a> {
    if let Ok(permit) = gate.try_acquire() {
        return permit;
    }
    driven.send_modify(|driven| driven.progress.error = Some(format!("waiting for its turn: {others}")));
    let permit = gate.acquire().await.expect("the gate is never closed");
    driven.send_modify(|driven| {
        driven.progress.error = None;
        driven.progress.since = super::now();
    });
    permit
}

/// Tells the service that the task is not wanted, without waiting for it.
fn withdraw(inner: &Arc<Inner>, job: &Job) {
    let Some(task) = job.task.clone() else { return };
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        match tokio::time::timeout(CANCEL_PATIENCE, inner.service.cancel(&task)).await {
            Ok(Ok(())) => tracing::info!(%task, "cancelled at the service"),
            Ok(Err(error)) => tracing::warn!(%task, %error, "not cancelled at the service"),
            Err(_) => tracing::warn!(%task, "the service does not answer the cancellation"),
        }
    });
}

async fn perform(
    inner: &Arc<Inner>,
    job: &Job,
    driven: &watch::Sender<Driven>,
    room: &mut Option<Reservation>,
    watching: &mut Option<Watching>,
    ahead: &mut Option<Ahead>,
    journal: &Arc<Journal>,
) -> Event {
    match &job.step {
        Step::Order => {
            let _turn = turn(&inner.order_gate, driven, "one order after another is sent").await;
            // what has arrived of another task's package
            let _ = tokio::fs::remove_file(PackageFiles::below(&inner.cache.staging(&job.key)).part).await;
            let save = |job: &Job| {
                let saved = inner.ledger.save_job(job);
                saved.map_err(|error| Failure::of_ledger(&error))
            };
            let (service, orders) = (inner.service.as_ref(), &inner.counters.orders);
            let options = inner.options();
            order(service, job, options.link_trust, options.patience, orders, save).await
        }
        Step::Poll => poll(inner, job, driven, watching).await,
        Step::Download => {
            let _turn = turn(&inner.download_gate, driven, "other packages are downloaded").await;
            bring(inner, job, driven, room, ahead).await
        }
        Step::Convert => {
            let _turn = turn(&inner.convert_gate, driven, "another product is converted").await;
            let _at_work = inner.counters.converting.enter();
            let begun = Instant::now();
            let event = process(inner, job, driven, room, ahead.take(), journal).await;
            inner.counters.conversions.took(begun.elapsed());
            event
        }
        Step::Ready | Step::Failed(_) => unreachable!("the walk ends before"),
    }
}

/// Performs [`Step::Poll`] until the task ends or changes its state.
async fn poll(
    inner: &Inner,
    job: &Job,
    driven: &watch::Sender<Driven>,
    watching: &mut Option<Watching>,
) -> Event {
    let task_id = job.task.as_ref().expect("a polled job has a task");
    let followed = watching.take().filter(|watching| watching.task == *task_id);
    let mut watched =
        followed.unwrap_or_else(|| Watching { task: task_id.clone(), news: inner.poller.follow(task_id) });
    let mut nonsense: Option<(tokio::time::Instant, u32)> = None;
    let mut vanished = 0;
    while let Some(news) = watched.news.recv().await {
        match news {
            // the service races with itself: what it does not know once may be there again
            News::Vanished if vanished + 1 < VANISHED => vanished += 1,
            News::Vanished => return Event::Vanished,
            News::Refused(error) => return Event::Failed(failure(&error)),
            News::Delayed(error) => {
                // a service that is away comes back, whatever stands in its place meanwhile
                let patience = match error {
                    ClmsError::BadAnswer { .. } | ClmsError::Refused { .. } => {
                        Some(inner.options().patience.nonsense)
                    }
                    ClmsError::TokenRefused { .. } => Some(inner.options().patience.refusals),
                    _ => None,
                };
                if let Some(patience) = patience {
                    let (since, times) = nonsense.get_or_insert_with(|| (tokio::time::Instant::now(), 0));
                    *times += 1;
                    if *times >= NONSENSE && since.elapsed() >= patience {
                        return Event::Failed(failure(&error));
                    }
                }
                driven.send_modify(|driven| {
                    driven.progress.error = Some(format!("waiting for the service: {error}"));
                });
            }
            News::Task(task) => {
                (nonsense, vanished) = (None, 0);
                driven.send_modify(|driven| driven.progress.error = None);
                if !task.datasets.is_empty() && !adopt::is_for(&task, &job.dataset, &job.file) {
                    return Event::Misdirected;
                }
                match task.outcome() {
                    TaskOutcome::Finished { url } => {
                        return Event::Finished { link: url, size: task.file_size };
                    }
                    TaskOutcome::FinishedWithoutLink => return Event::Linkless,
                    TaskOutcome::Failed => {
                        let said = task.message.as_deref().unwrap_or("no reason given");
                        let message = format!(
                            "the service ended task {task_id} with {}: {said}; try again later, or tell the CLMS service desk",
                            task.status.as_str()
                        );
                        return Event::Failed(Failure::new(FailureKind::Service, message));
                    }
                    TaskOutcome::Cancelled => {
                        let message = format!(
                            "task {task_id} was cancelled at the service; open it again to order it anew"
                        );
                        return Event::Failed(Failure::new(FailureKind::Service, message));
                    }
                    TaskOutcome::Open => {
                        let remote = match task.status {
                            TaskStatus::InProgress => Remote::Running,
                            _ => Remote::Queued,
                        };
                        if job.remote != Some(remote) {
                            *watching = Some(watched);
                            return Event::Progressed(remote);
                        }
                    }
                }
            }
        }
    }
    Event::Failed(Failure::new(FailureKind::Local, "the poller is gone; restart the mount".to_owned()))
}
