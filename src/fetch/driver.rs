//! The driver of one fetch: saves the job, performs its step, feeds the outcome back, until it ends.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clms::{ClmsError, TaskId, TaskOutcome, TaskStatus};
use crate::ingest::IngestProgress;
use crate::store::inventory::{Lease, Reservation};
use crate::store::layout::disk_usage;

use super::adopt;
use super::convert::{Places, convert};
use super::download::{PackageFiles, download};
use super::engine::{CANCEL_PATIENCE, Change, Charge, Heard};
use super::failure::{Failure, FailureKind};
use super::flights::Driven;
use super::job::{Event, Job, Remote, Step};
use super::order::{failure, order};
use super::poller::News;
use super::shared::Inner;
use super::state::{ProductState, Progress};

/// How often progress below one percent is told.
const TELL: Duration = Duration::from_millis(100);
/// Longest wait for those who must do something before readers are let in.
const LISTENERS: Duration = Duration::from_secs(5);
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
    // what is to be replaced is served until then: it must not make room
    let _former = job.replaces.and_then(|_| inner.inventory.peek(&key));
    let (job, end) = match expect_to_fit(&inner, &job).and_then(|()| pay(&inner, &job, charge)) {
        Ok(()) => walk(&inner, job, &driven, &cancel, &mut room).await,
        Err(failure) => (job.after(Event::Failed(failure.clone())), End::Failed(failure)),
    };
    let outcome = match end {
        End::Published => {
            inner.finish_books(&job);
            inner.counters.published.fetch_add(1, Relaxed);
            Ok(())
        }
        End::Failed(failure) => {
            tracing::warn!(path = job.path, task = ?job.task, kind = ?failure.kind, "fetch failed: {failure}");
            inner.counters.failed.fetch_add(1, Relaxed);
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
            inner.flights.vanish(&key);
            return;
        }
    };
    if matches!(&outcome, Err(failure) if failure.kind == FailureKind::Cancelled) {
        // first the books: whoever opens it anew writes its own line
        inner.forget(&key);
    }
    inner.flights.land(&job, &outcome, room);
    // first the state, then the news: whoever hears it finds the product ready
    if outcome.is_ok() {
        if job.replaces.is_some() {
            let _ = inner.changes.send(Change::Replaced { key: key.clone() });
        }
        let (heard, mut ended) = Heard::new();
        let _ = inner.changes.send(Change::Ready { path: job.path.clone(), heard });
        if tokio::time::timeout(LISTENERS, ended.recv()).await.is_err() {
            tracing::warn!(path = job.path, "a listener is slow; readers are let in");
        }
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
) -> (Job, End) {
    let mut watching = None;
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
        tracing::info!(path = job.path, task = job.task.as_ref().map(TaskId::as_str), step = ?job.step, "fetch");
        let begun = tokio::time::Instant::now();
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
            event = perform(inner, &job, driven, room, &mut watching) => event,
        };
        let (task, milliseconds) = (job.task.as_ref().map(TaskId::as_str), begun.elapsed().as_millis());
        tracing::info!(path = job.path, task, step = ?job.step, milliseconds, "a step of the fetch is over");
        job = job.after(event);
    }
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
) -> Event {
    match &job.step {
        Step::Order => {
            let _permit = inner.order_gate.acquire().await.expect("the gate is never closed");
            // what has arrived of another task's package
            let _ = tokio::fs::remove_file(PackageFiles::below(&inner.cache.staging(&job.key)).part).await;
            let save = |job: &Job| {
                let saved = inner.ledger.save_job(job);
                saved.map_err(|error| Failure::of_ledger(&error))
            };
            order(inner.service.as_ref(), job, inner.options().link_trust, inner.options().patience, save)
                .await
        }
        Step::Poll => poll(inner, job, driven, watching).await,
        Step::Download => {
            let _permit = inner.download_gate.acquire().await.expect("the gate is never closed");
            bring(inner, job, driven, room).await
        }
        Step::Convert => {
            let _permit = inner.convert_gate.acquire().await.expect("the gate is never closed");
            process(inner, job, driven, room).await
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

/// Performs [`Step::Download`].
async fn bring(
    inner: &Arc<Inner>,
    job: &Job,
    driven: &watch::Sender<Driven>,
    room: &mut Option<Reservation>,
) -> Event {
    let link = job.link.as_ref().expect("a downloading job has a link");
    let staging = match inner.cache.stage(&job.key) {
        Ok(staging) => staging,
        Err(error) => return Event::Failed(Failure::of_store(&error)),
    };
    let limit = inner.options().max_package;
    // a hint: the length that the host gives is what counts, and what is checked
    let announced = job.announced.unwrap_or(0).min(limit.unwrap_or(u64::MAX));
    let (reservation, too_large) = match reserve_announced(inner, room, announced) {
        Ok(reserved) => reserved,
        Err(failure) => return Event::Failed(failure),
    };
    let reservation = Mutex::new(reservation);
    let reservation = || reservation.lock().expect("no code panics while it holds the reservation");
    let downloaded = &inner.counters.downloaded;
    let mut last = None;
    let mut told: Option<(Instant, u64)> = None;
    download(
        inner.service.as_ref(),
        link,
        &PackageFiles::below(&staging),
        inner.options().patience.download_pause,
        |done, total| {
            let news = done.saturating_sub(last.unwrap_or(done));
            last = Some(done);
            downloaded.fetch_add(news, Relaxed);
            reservation().wrote(done);
            // every waiter wakes up at each telling
            let step = total.unwrap_or(u64::MAX) / 100;
            if told.is_some_and(|(at, before)| at.elapsed() < TELL && done.abs_diff(before) < step) {
                return;
            }
            told = Some((Instant::now(), done));
            driven.send_modify(|driven| {
                driven.progress.bytes = Some((done, total));
                driven.progress.advance(done, total);
            });
        },
        |bytes, stated| {
            if let (None, Some(failure)) = (stated, &too_large) {
                return Err(failure.clone());
            }
            if let Some(limit) = limit.filter(|limit| bytes > *limit) {
                let message = format!("the package has {bytes} bytes, more than max_package_size ({limit}); raise it to fetch this product");
                return Err(Failure::new(FailureKind::NoSpace, message));
            }
            reservation().grow_to(bytes).map_err(|error| Failure::of_store(&error))
        },
    )
    .await
}

/// Performs [`Step::Convert`].
async fn process(
    inner: &Arc<Inner>,
    job: &Job,
    driven: &watch::Sender<Driven>,
    room: &mut Option<Reservation>,
) -> Event {
    let staging = inner.cache.staging(&job.key);
    let former = former(inner, job);
    let package = PackageFiles::below(&staging).package;
    let size = tokio::fs::metadata(&package).await.map_or(0, |metadata| metadata.len());
    if let Err(failure) = reserve(inner, room, size) {
        return Event::Failed(failure);
    }
    let reservation = room.take().expect("just reserved");
    let watcher = driven.clone();
    let on_progress = move |progress: IngestProgress| {
        let (state, done, total) = match progress {
            IngestProgress::Extracting { done, total } => (ProductState::Extracting, done, total),
            IngestProgress::Converting { done, total } => (ProductState::Converting, done, total),
            // a matter between the converter and the inventory, and one of the log
            IngestProgress::Room { .. } | IngestProgress::Copied { .. } | IngestProgress::Took { .. } => {
                return;
            }
        };
        watcher.send_modify(|driven| {
            if driven.progress.state != state {
                driven.progress = Progress { task: driven.progress.task.take(), ..Progress::bare(state) };
            }
            driven.progress.advance(done, Some(total));
        });
    };
    convert(
        inner.converter.as_ref(),
        &inner.inventory,
        job,
        Places { staging: &staging, former: former.as_ref().map(Lease::directory) },
        &inner.options().convert,
        reservation,
        on_progress,
    )
    .await
}

/// The entry that has, perhaps, dates of the product already: the one that is to be replaced, or one that the service
/// offered under the same name and another id.
fn former(inner: &Inner, job: &Job) -> Option<Lease> {
    let others = || {
        inner.ledger.keys_of(&job.path).unwrap_or_else(|error| {
            tracing::warn!(path = job.path, %error, "no former entry is looked for");
            Vec::new()
        })
    };
    let own = inner.inventory.peek(&job.key);
    own.or_else(|| others().iter().find_map(|key| inner.inventory.peek(key)))
}

/// Makes the fetch's reservation as large as the service announces. Where that does not fit, the failure comes with
/// what is reserved: the announcement may be wrong, and a host that states another size is believed.
fn reserve_announced<'a>(
    inner: &Inner,
    room: &'a mut Option<Reservation>,
    announced: u64,
) -> Result<(&'a mut Reservation, Option<Failure>), Failure> {
    let too_large = reserve(inner, room, announced).err();
    Ok((reserve(inner, room, 0)?, too_large))
}

/// Makes the fetch's reservation at least `bytes` large.
fn reserve<'a>(
    inner: &Inner,
    room: &'a mut Option<Reservation>,
    bytes: u64,
) -> Result<&'a mut Reservation, Failure> {
    if room.is_none() {
        *room = Some(inner.inventory.reserve(0).map_err(|error| Failure::of_store(&error))?);
    }
    let reservation = room.as_mut().expect("just set");
    reservation.grow_to(bytes).map_err(|error| Failure::of_store(&error))?;
    Ok(reservation)
}
