//! Unpacks a package while it is being downloaded, where that costs nobody anything.
//!
//! A task of its own waits until the download is worth it, there is room for package, unpacked files and entry without evicting
//! anything, and no other download is followed; then it runs the converter's follower. Whatever goes wrong with it is
//! written to the log, and the package is unpacked when it is complete, as always.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::ingest::{AHEAD_FOLDER, AheadJob, Arrived, Packed};
use crate::store::inventory::Reservation;

use super::convert::{PACKAGES, limits};
use super::shared::Inner;

/// Smaller packages are unpacked in less time than a process takes to start.
const SMALLEST: u64 = 16 << 20;
/// Longest wait for a follower when the package is complete: it hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A download that is followed, perhaps. Dropped, the follower is killed.
pub(super) struct Ahead {
    arrived: watch::Sender<Arrived>,
    work: AbortOnDropHandle<Option<Unpacked>>,
    staging: PathBuf,
}

/// What was unpacked ahead, and the room that it takes.
struct Unpacked {
    members: Vec<Packed>,
    room: Reservation,
}

impl Ahead {
    /// Gets ready to follow the download to `part`.
    pub(super) fn start(inner: &Arc<Inner>, staging: &Path, part: &Path) -> Self {
        let (arrived, receiver) = watch::channel(Arrived::default());
        let work = work(Arc::clone(inner), staging.to_owned(), part.to_owned(), receiver);
        Self { arrived, work: AbortOnDropHandle::new(tokio::spawn(work)), staging: staging.to_owned() }
    }

    /// Where the download says what has arrived.
    pub(super) fn arrived(&self) -> &watch::Sender<Arrived> {
        &self.arrived
    }

    /// The package is complete; what is left to unpack is unpacked from now on without waiting.
    pub(super) fn complete(&self) {
        self.arrived.send_modify(|arrived| arrived.is_whole = true);
    }

    /// Waits for the rest, and gives what there is in `<staging>/ahead`; `room` takes over what it takes.
    pub(super) async fn finish(self, room: &mut Reservation) -> Vec<Packed> {
        let Ok(Ok(Some(unpacked))) = tokio::time::timeout(PATIENCE, self.work).await else {
            return Vec::new();
        };
        room.absorb(unpacked.room);
        unpacked.members
    }

    /// The download has ended otherwise.
    pub(super) async fn discard(self) {
        self.work.abort();
        let _ = self.work.await;
        let _ = tokio::fs::remove_dir_all(self.staging.join(AHEAD_FOLDER)).await;
    }
}

async fn work(
    inner: Arc<Inner>,
    staging: PathBuf,
    part: PathBuf,
    mut arrived: watch::Receiver<Arrived>,
) -> Option<Unpacked> {
    let is_over = |arrived: &Arrived| arrived.is_whole || arrived.is_void;
    let begun = *arrived.wait_for(|arrived| is_over(arrived) || arrived.bytes > 0).await.ok()?;
    let size = begun.total.filter(|size| *size >= SMALLEST && !is_over(&begun))?;
    let _permit = tokio::select! {
        biased;
        _ = arrived.wait_for(is_over) => return None,
        permit = inner.ahead_gate.acquire() => permit.ok()?,
    };
    // the package itself is reserved
    if inner.inventory.free_room() < size.saturating_mul(PACKAGES - 1) {
        tracing::debug!(part = %part.display(), "room is tight: nothing is unpacked ahead");
        return None;
    }
    let mut room = inner.inventory.reserve(0).ok()?;
    let mut written = 0;
    let folder = staging.join(AHEAD_FOLDER);
    let job = AheadJob {
        package: part,
        size,
        staging,
        limits: limits(&inner.inventory, &inner.options().convert, size),
    };
    let ask = |bytes: u64| {
        room.wrote(written);
        written += bytes;
        let missing = written.saturating_sub(room.bytes());
        missing <= inner.inventory.free_room() && room.grow_to(written).is_ok()
    };
    let followed = inner.converter.follow(job, arrived, Box::new(ask)).await;
    match followed {
        Ok(members) => {
            tracing::info!(members = members.len(), bytes = written, "unpacked while it was downloaded");
            Some(Unpacked { members, room })
        }
        Err(error) => {
            tracing::info!(%error, "the package is unpacked when it is complete");
            // before its room is given back
            let _ = tokio::fs::remove_dir_all(folder).await;
            None
        }
    }
}
