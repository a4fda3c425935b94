//! The steps of a fetch that are done on this machine: the package is brought, then unpacked, converted and published.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::ingest::IngestProgress;
use crate::store::inventory::{Lease, Reservation};

use super::ahead::Ahead;
use super::convert::{Places, convert};
use super::download::{PackageFiles, Rest, download};
use super::failure::{Failure, FailureKind};
use super::flights::Driven;
use super::job::{Event, Job};
use super::journal::Journal;
use super::shared::Inner;
use super::speed::{Speed, seconds_left};
use super::state::{ProductState, Progress};
use super::turn::Turn;

/// How often progress below one percent is told.
const TELL: Duration = Duration::from_millis(100);

/// Performs [`Step::Download`](super::job::Step::Download); what is unpacked meanwhile is `ahead` of the next step.
pub(super) async fn bring(
    inner: &Arc<Inner>,
    job: &Job,
    driven: &watch::Sender<Driven>,
    room: &mut Option<Reservation>,
    ahead: &mut Option<Ahead>,
) -> Event {
    let link = job.link.as_ref().expect("a downloading job has a link");
    let turn = Turn::take(&inner.download_gate, driven, "other packages are downloaded").await;
    let staging = match inner.cache.stage(&job.key) {
        Ok(staging) => staging,
        Err(error) => return Event::Failed(Failure::of_store(&error)),
    };
    let options = inner.options();
    let limit = options.max_package;
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
    let mut speed = Speed::default();
    let files = PackageFiles::below(&staging);
    let following = Ahead::start(inner, &staging, &files.part);
    let event = download(
        inner.service.as_ref(),
        link,
        &files,
        following.arrived(),
        Rest { pause: options.patience.download_pause, turn },
        |done, total| {
            let news = done.saturating_sub(last.unwrap_or(done));
            last = Some(done);
            downloaded.add(news);
            reservation().wrote(done);
            // every waiter wakes up at each telling
            let step = total.unwrap_or(u64::MAX) / 100;
            if told.is_some_and(|(at, before)| at.elapsed() < TELL && done.abs_diff(before) < step) {
                return;
            }
            let now = Instant::now();
            told = Some((now, done));
            let speed = speed.note(now, done);
            driven.send_modify(|driven| {
                driven.progress.bytes = Some((done, total));
                driven.progress.advance(done, total);
                driven.progress.speed = speed;
                driven.progress.eta = seconds_left(done, total, speed);
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
    .await;
    if matches!(event, Event::Downloaded) {
        following.complete();
        *ahead = Some(following);
    } else {
        following.discard().await;
    }
    event
}

/// Performs [`Step::Convert`](super::job::Step::Convert).
pub(super) async fn process(
    inner: &Arc<Inner>,
    job: &Job,
    driven: &watch::Sender<Driven>,
    room: &mut Option<Reservation>,
    ahead: Option<Ahead>,
    journal: &Arc<Journal>,
) -> Event {
    let staging = inner.cache.staging(&job.key);
    let former = former(inner, job);
    let package = PackageFiles::below(&staging).package;
    let size = tokio::fs::metadata(&package).await.map_or(0, |metadata| metadata.len());
    if let Err(failure) = reserve(inner, room, size) {
        return Event::Failed(failure);
    }
    let mut reservation = room.take().expect("just reserved");
    let mut unpacked = Vec::new();
    if let Some(ahead) = ahead {
        let extracting = Progress::bare(ProductState::Extracting);
        driven.send_modify(|driven| {
            driven.progress = Progress { task: driven.progress.task.take(), ..extracting };
        });
        unpacked = ahead.finish(&mut reservation).await;
    }
    let (watcher, journal, task) = (driven.clone(), Arc::clone(journal), job.task.clone());
    let on_progress = move |progress: IngestProgress| {
        let (state, done, total) = match progress {
            IngestProgress::Extracting { done, total } => (ProductState::Extracting, done, total),
            IngestProgress::Converting { done, total } => (ProductState::Converting, done, total),
            // a matter between the converter and the inventory, and one of the log
            IngestProgress::Room { .. } | IngestProgress::Copied { .. } | IngestProgress::Took { .. } => {
                return;
            }
        };
        journal.enters(state, task.as_ref(), Some(total));
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
        Places { staging: &staging, former: former.as_ref().map(Lease::directory), ahead: &unpacked },
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
        inner.ledger.namesakes_of(&job.path).unwrap_or_else(|error| {
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
