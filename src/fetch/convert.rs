//! Turns a downloaded package into a published entry, within the room that the cache can give.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::ingest::{AHEAD_FOLDER, CodecChoice, IngestError, IngestJob, IngestProgress, Limits, Packed};
use crate::store::StoreError;
use crate::store::disk::Trouble;
use crate::store::inventory::{Inventory, Reservation};
use crate::store::layout::disk_usage;

use super::download::PackageFiles;
use super::failure::{Failure, FailureKind};
use super::job::{Event, Job};
use super::service::Converter;

/// How often the staging directory is measured while a conversion writes into it.
const MEASURE: Duration = Duration::from_millis(100);
/// Room asked for ahead of what the staging directory holds, as far as it is free: claims are cheap within it.
const AHEAD: u64 = 4 << 20;

/// A conversion that takes longer than this, and a second for each further
const LEAST_SECONDS: u64 = 1800;
/// so many bytes of its package, hangs.
const SLOWEST: u64 = 200_000;

/// What a conversion may cost on this machine.
#[derive(Debug, Clone)]
pub struct ConvertLimits {
    /// Bytes of memory for pixels and buffers.
    pub memory: u64,
    /// Worker threads; 0 = one per core.
    pub threads: usize,
}

/// The directories that a conversion sees, and what is in them.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where the package lies and the entry is made.
    pub staging: &'a Path,
    /// An entry of the product from which unchanged dates are copied; the caller holds it.
    pub former: Option<&'a Path>,
    /// What was unpacked of the package while it was downloaded.
    pub ahead: &'a [Packed],
}

/// What package, unpacked files and entry need together at most, in sizes of the package: with so much room
/// everything can be kept until the end.
pub(super) const PACKAGES: u64 = 3;

/// Performs [`Step::Convert`](super::job::Step::Convert): unpacks, converts, publishes.
///
/// `reservation` covers the package already; it grows with the staging directory and becomes the entry. Where
/// three times the package would only fit if other entries went, the package is consumed: renamed (so that it
/// counts as missing after a crash, and is downloaded again) and given back to the disk while it is unpacked.
pub async fn convert(
    converter: &dyn Converter,
    inventory: &Arc<Inventory>,
    job: &Job,
    places: Places<'_>,
    limits: &ConvertLimits,
    mut reservation: Reservation,
    on_progress: impl FnMut(IngestProgress) + Send + 'static,
) -> Event {
    let Places { staging, former, mut ahead } = places;
    // of an earlier attempt
    clear(staging).await;
    let files = PackageFiles::below(staging);
    let Ok(metadata) = tokio::fs::metadata(&files.package).await else { return Event::PackageMissing };
    let consume =
        inventory.free_room().saturating_add(reservation.bytes()) < metadata.len().saturating_mul(PACKAGES);
    let package = if consume { consumed(staging) } else { files.package };
    if consume {
        tracing::info!(path = job.path, "room is tight: the package is consumed while it is converted");
        ahead = &[];
        reservation.shrink_to(metadata.len());
        if let Err(error) = tokio::fs::rename(PackageFiles::below(staging).package, &package).await {
            return Event::Failed(Failure::of_io(&package, &error));
        }
    }
    if ahead.is_empty() {
        forget_ahead(staging).await;
    }
    let request = IngestJob {
        package: package.clone(),
        staging: staging.to_owned(),
        product: job.product.clone(),
        limits: self::limits(inventory, limits, metadata.len()),
        codec: CodecChoice::Auto,
        former: former.map(Path::to_owned),
        consume,
        ahead: ahead.to_vec(),
    };
    let room = Arc::new(Mutex::new(Room {
        inventory: Arc::clone(inventory),
        reservation,
        staging: staging.to_owned(),
        package: package.clone(),
        phase: Phase::Unpacking,
        claimed: u64::MAX,
    }));
    // a refusal that is met inside the converter's callback ends the conversion from here
    let refused = Arc::new(Mutex::new(None));
    let refusal = Arc::new(Notify::new());
    let work = {
        let (room, refused, refusal) = (Arc::clone(&room), Arc::clone(&refused), Arc::clone(&refusal));
        let (mut on_progress, path) = (on_progress, job.path.clone());
        converter.convert(
            request,
            Box::new(move |progress| match progress {
                IngestProgress::Room { bytes } => {
                    if let Err(error) = lock(&room).claim(bytes) {
                        *lock(&refused) = Some(error);
                        refusal.notify_one();
                    }
                }
                IngestProgress::Converting { .. } => {
                    lock(&room).phase = Phase::Converting;
                    on_progress(progress);
                }
                IngestProgress::Extracting { .. } => on_progress(progress),
                IngestProgress::Copied { dates, tiles } => {
                    tracing::info!(path, dates, tiles, "copied from the former entry");
                }
                IngestProgress::Took { stage, milliseconds } => {
                    tracing::debug!(path, ?stage, milliseconds, "a stage of the conversion is over");
                }
            }),
        )
    };
    let mut tick = tokio::time::interval(MEASURE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let entry = {
        tokio::pin!(work);
        loop {
            let error = tokio::select! {
                biased;
                () = refusal.notified() => lock(&refused).take(),
                result = &mut work => match result {
                    Ok(entry) => break Ok(entry),
                    Err(error) => break Err(sort(error, &package).await),
                },
                _ = tick.tick() => lock(&room).measure(0).err(),
            };
            if let Some(error) = error {
                break Err(Event::Failed(Failure::of_store(&error)));
            }
        }
    };
    // the converter and its callback are gone: nothing writes any more
    let entry = match entry {
        Ok(entry) => entry,
        Err(event) => {
            clear(staging).await;
            forget_ahead(staging).await;
            return event;
        }
    };
    // the package has done its work; without it the entry fits more easily
    let _ = tokio::fs::remove_file(&package).await;
    let room = Arc::into_inner(room).and_then(|room| room.into_inner().ok());
    let mut reservation = room.expect("only the callback shared it, and it is gone").reservation;
    if let Err(error) = reservation.grow_to(disk_usage(staging)) {
        clear(staging).await;
        return Event::Failed(Failure::of_store(&error));
    }
    match inventory.publish(reservation, &entry, &job.key) {
        Ok(bytes) => {
            tracing::debug!(path = job.path, bytes, "published");
            Event::Published
        }
        Err(error) => Event::Failed(Failure::of_store(&error)),
    }
}

/// What a package of `size` bytes may cost.
pub(super) fn limits(inventory: &Inventory, limits: &ConvertLimits, size: u64) -> Limits {
    Limits {
        // the room is what bounds a package; measuring enforces it while it unpacks
        unpacked_bytes: inventory.usage().limit,
        memory_bytes: limits.memory,
        threads: limits.threads,
        // a format that makes GDAL loop must not stop all conversions for ever
        seconds: Some(LEAST_SECONDS + size / SLOWEST),
        ..Limits::default()
    }
}

/// A package that is given back while it is used, so that nobody takes it for a whole one.
fn consumed(staging: &Path) -> PathBuf {
    staging.join("package.consumed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds the room")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unpacking,
    Converting,
}

/// The reservation of a conversion, kept ahead of what its staging directory holds.
struct Room {
    inventory: Arc<Inventory>,
    reservation: Reservation,
    staging: PathBuf,
    package: PathBuf,
    phase: Phase,
    /// Most bytes the staging directory may hold by now: as measured last, and all claims since.
    claimed: u64,
}

impl Room {
    /// Makes room for `bytes` that are about to be written.
    fn claim(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.claimed = self.claimed.saturating_add(bytes);
        if self.claimed <= self.reservation.bytes() { Ok(()) } else { self.measure(bytes) }
    }

    /// Measures the staging directory, and makes the reservation at least that large and `coming` more.
    fn measure(&mut self, coming: u64) -> Result<(), StoreError> {
        let first = match self.reserve(coming) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // short of room: once unpacked, the package itself can go (a restart would have to download it again)
        if self.phase == Phase::Converting && std::fs::remove_file(&self.package).is_ok() {
            tracing::info!(package = %self.package.display(), "short of room: the unpacked package is deleted early");
        }
        self.reserve(coming).map_err(|_| first)
    }

    fn reserve(&mut self, coming: u64) -> Result<(), StoreError> {
        let used = disk_usage(&self.staging);
        self.reservation.wrote(used);
        self.claimed = used.saturating_add(coming);
        let missing = self.claimed.saturating_sub(self.reservation.bytes());
        if missing == 0 {
            return Ok(());
        }
        // the head start must not cost an entry
        let ahead = self.inventory.free_room().saturating_sub(missing).min(AHEAD);
        self.reservation.grow_to(self.claimed + ahead).or_else(|_| self.reservation.grow_to(self.claimed))
    }
}

/// Leaves nothing of a conversion behind but the package, if that is still whole.
async fn clear(staging: &Path) {
    for leftover in ["unpacked", "scratch", "entry"] {
        let _ = tokio::fs::remove_dir_all(staging.join(leftover)).await;
    }
    let _ = tokio::fs::remove_file(consumed(staging)).await;
}

/// Deletes what was unpacked ahead.
async fn forget_ahead(staging: &Path) {
    let _ = tokio::fs::remove_dir_all(staging.join(AHEAD_FOLDER)).await;
}

async fn sort(error: IngestError, package: &Path) -> Event {
    if error.is_damaged_download() {
        let _ = tokio::fs::remove_file(package).await;
        return Event::Damaged(error.to_string());
    }
    // this limit is the cache's own, the others tell bombs
    if let IngestError::TooLarge { what, limit } = &error
        && what == "unpacked bytes"
    {
        let message =
            format!("the package unpacks to more than the cache budget of {limit} bytes; raise --cache-size");
        return Event::Failed(Failure::new(FailureKind::NoSpace, message));
    }
    if let IngestError::Disk { errno: Some(errno), .. } = &error
        && let Some(trouble) = Trouble::of_errno(*errno)
    {
        let staging = package.parent().unwrap_or(package).display();
        let message = format!("{staging}: {error}; {}", trouble.way_out());
        return Event::Failed(Failure::new(FailureKind::of_disk(Some(trouble)), message));
    }
    let kind = match &error {
        IngestError::Disk { .. }
        | IngestError::Child { .. }
        | IngestError::Timeout { .. }
        | IngestError::Job { .. } => FailureKind::Local,
        _ => FailureKind::Package,
    };
    Event::Failed(Failure::new(kind, error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::super::job::tests::job;
    use super::super::service::OnProgress;
    use super::*;
    use crate::store::inventory;
    use crate::store::layout::{CacheDir, EntryKey};

    /// Writes `writes` MiB, asking first, and then does as it is told.
    struct Fake {
        writes: u64,
        fails: bool,
        seen: Mutex<Vec<(bool, PathBuf)>>,
    }

    impl Converter for Fake {
        fn convert(
            &self,
            job: IngestJob,
            mut on_progress: OnProgress,
        ) -> BoxFuture<'_, Result<PathBuf, IngestError>> {
            Box::pin(async move {
                self.seen.lock().unwrap().push((job.consume, job.package.clone()));
                let entry = job.staging.join("entry");
                std::fs::create_dir(&entry).unwrap();
                for number in 0..self.writes {
                    on_progress(IngestProgress::Room { bytes: 1 << 20 });
                    tokio::task::yield_now().await;
                    std::fs::write(entry.join(number.to_string()), vec![7; 1 << 20]).unwrap();
                }
                if self.fails {
                    return Err(IngestError::Child { reason: "died".to_owned() });
                }
                Ok(entry)
            })
        }
    }

    struct Desk {
        inventory: Arc<Inventory>,
        staging: PathBuf,
        _folder: tempfile::TempDir,
    }

    /// A cache of 16 MiB with an old entry of `old` MiB and a package of 2 MiB.
    fn desk(old: usize) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(CacheDir::open(folder.path()).unwrap());
        let limits = inventory::Limits { bytes: 16 << 20, free_floor: 0 };
        let inventory =
            Arc::new(Inventory::take_stock(Arc::clone(&cache), limits, &[], Box::new(|_| {})).unwrap());
        let key = EntryKey::new("old").unwrap();
        let staged = cache.stage(&key).unwrap().join("entry");
        std::fs::create_dir(&staged).unwrap();
        std::fs::write(staged.join("data"), vec![7; old << 20]).unwrap();
        let reservation = inventory.reserve((old as u64) << 20).unwrap();
        inventory.publish(reservation, &staged, &key).unwrap();
        let staging = cache.stage(&job().key).unwrap();
        std::fs::write(staging.join("package.zip"), vec![7; 2 << 20]).unwrap();
        Desk { inventory, staging, _folder: folder }
    }

    async fn run(desk: &Desk, fake: &Fake) -> Event {
        let limits = ConvertLimits { memory: 1 << 30, threads: 1 };
        let reservation = desk.inventory.reserve(2 << 20).unwrap();
        let places = Places { staging: &desk.staging, former: None, ahead: &[] };
        convert(fake, &desk.inventory, &job(), places, &limits, reservation, |_| {}).await
    }

    fn fake(writes: u64, fails: bool) -> Fake {
        Fake { writes, fails, seen: Mutex::default() }
    }

    fn left(desk: &Desk) -> Vec<std::ffi::OsString> {
        std::fs::read_dir(&desk.staging).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[tokio::test]
    async fn a_package_is_consumed_only_where_room_is_tight() {
        for (old, consumes) in [(1, false), (11, true)] {
            let (desk, fake) = (desk(old), fake(2, false));
            assert_eq!(run(&desk, &fake).await, Event::Published);
            let name = if consumes { "package.consumed" } else { "package.zip" };
            assert_eq!(*fake.seen.lock().unwrap(), [(consumes, desk.staging.join(name))]);
            // What fits beside the old entry costs it nothing.
            assert!(desk.inventory.contains(&EntryKey::new("old").unwrap()));
        }
    }

    #[tokio::test]
    async fn a_failure_leaves_a_whole_package_or_none() {
        for (old, kept) in [(1, vec!["package.zip"]), (11, vec![])] {
            let desk = desk(old);
            assert!(matches!(run(&desk, &fake(2, true)).await, Event::Failed(_)));
            assert_eq!(left(&desk), kept);
        }
        // As a process that died in the middle leaves it.
        let desk = desk(1);
        std::fs::rename(desk.staging.join("package.zip"), desk.staging.join("package.consumed")).unwrap();
        assert_eq!(run(&desk, &fake(2, false)).await, Event::PackageMissing);
        assert!(left(&desk).is_empty());
    }

    #[tokio::test]
    async fn room_is_made_before_it_is_used() {
        let old = EntryKey::new("old").unwrap();
        let desk = desk(11);
        assert_eq!(run(&desk, &fake(5, false)).await, Event::Published);
        assert!(!desk.inventory.contains(&old), "the old entry has made room");
        // More than the whole budget; and the old entry is open.
        for (megabytes, writes, held) in [(1, 20, false), (11, 5, true)] {
            let desk = self::desk(megabytes);
            let lease = held.then(|| desk.inventory.lease(&old).unwrap());
            match run(&desk, &fake(writes, false)).await {
                Event::Failed(failure) => {
                    assert_eq!(failure.kind, FailureKind::NoSpace);
                    assert!(failure.message.contains("--cache-size"), "{}", failure.message);
                }
                other => panic!("expected a refusal, got {other:?}"),
            }
            assert_eq!(desk.inventory.contains(&old), held);
            assert_eq!(desk.inventory.usage().reserved, 0);
            drop(lease);
        }
    }
}
