//! Free space of the cache's disk, asked now and then: a disk on a network may take its time, and whoever looks at a status
//! must not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Mounted;

/// How often the disk is asked.
const ASK: Duration = Duration::from_secs(10);
/// Stands for "not known".
const UNKNOWN: u64 = u64::MAX;

/// What the disk said last.
#[derive(Debug)]
pub struct FreeSpace(AtomicU64);

impl Default for FreeSpace {
    fn default() -> Self {
        Self(AtomicU64::new(UNKNOWN))
    }
}

impl FreeSpace {
    /// Bytes; `None` when the disk was not asked yet or gives no answer.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }

    fn set(&self, bytes: Option<u64>) {
        self.0.store(bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

/// Asks again and again. A disk that hangs keeps this waiting, and nothing else.
pub async fn watch(mounted: Arc<Mounted>) {
    let mut tick = tokio::time::interval(ASK);
    loop {
        tick.tick().await;
        let Some(vfs) = mounted.vfs.get() else { continue };
        let inventory = Arc::clone(vfs.engine().inventory());
        let asked = tokio::task::spawn_blocking(move || inventory.free_bytes()).await;
        mounted.free_space.set(asked.ok().flatten());
    }
}
