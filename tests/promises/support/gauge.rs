//! Looks at a cache's folder all the time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Remembers the most bytes that a folder ever held.
pub(crate) struct Gauge {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Gauge {
    /// Begins to look.
    pub(crate) fn watch(cache: PathBuf) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (mark, end) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                mark.fetch_max(super::mount::disk_use(&cache), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { most, stop, thread: Some(thread) }
    }

    /// The most so far.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
