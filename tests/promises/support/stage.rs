//! One test's own folder, its turn on the machine, and whether it can run at all.

use std::path::{Path, PathBuf};
use std::sync::{Once, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::mount::MountBuilder;
use super::simulator::Simulator;

/// Tests that measure time run alone, the others together.
static TURNS: RwLock<()> = RwLock::new(());

/// A test's turn, kept until its end.
enum Turn {
    Together(#[expect(dead_code, reason = "held for its Drop")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held for its Drop")] RwLockWriteGuard<'static, ()>),
}

/// The ground a test stands on. Declare it first: it goes last.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    _turn: Turn,
}

impl Stage {
    /// For tests that check what happens. `None` (with the reason printed) when there is no FUSE here.
    pub(crate) fn shared() -> Option<Self> {
        possible()
            .then(|| Self::new(Turn::Together(TURNS.read().unwrap_or_else(|poisoned| poisoned.into_inner()))))
    }

    /// For tests that check how fast it happens: no other test of this suite runs meanwhile.
    pub(crate) fn alone() -> Option<Self> {
        possible()
            .then(|| Self::new(Turn::Alone(TURNS.write().unwrap_or_else(|poisoned| poisoned.into_inner()))))
    }

    fn new(turn: Turn) -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(|| {
            heed_signals();
            sweep();
        });
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}.", std::process::id()))
            .tempdir()
            .expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, _turn: turn }
    }

    /// The test's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder whose zips the simulator offers as the products of the dataset `data`.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// A simulated service that offers the sample catalogue and [`Stage::data`].
    pub(crate) fn simulator(&self, scenario: &str) -> Simulator {
        Simulator::start(self.folder(), &self.data(), scenario)
    }

    /// The same with the zips of another folder.
    pub(crate) fn simulator_of(&self, data: &Path, scenario: &str) -> Simulator {
        Simulator::start(self.folder(), data, scenario)
    }

    /// A mount of that service, to be started.
    pub(crate) fn mount(&self, simulator: &Simulator) -> MountBuilder {
        MountBuilder::new(self.folder(), simulator)
    }
}

/// Beginning of the folders' names; the process id and a dot follow.
const PREFIX: &str = "clmsfs-promise-";

/// Whether a mount is possible; a reason why not is printed, and is a failure under `CI=true`.
fn possible() -> bool {
    let reason = match std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Ok(_) => return true,
        Err(error) => format!("/dev/fuse cannot be opened ({error})"),
    };
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "{reason}: under CI=true this is a failure; give the runner /dev/fuse");
    eprintln!("SKIPPED: {reason}");
    false
}

/// Readers must heed the signals that end a program. Under nohup(1), and in some runners, a signal is ignored, and programs
/// inherit that.
fn heed_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: SIG_DFL is a valid disposition, and nothing here has handlers of its own.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Detaches the mounts of earlier runs that were killed before they could clean up.
fn sweep() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for point in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        let Some((_, rest)) = point.split_once(PREFIX) else { continue };
        let owner = rest.split('.').next().unwrap_or_default();
        if !owner.is_empty() && !Path::new("/proc").join(owner).exists() {
            super::mount::detach(Path::new(point));
        }
    }
}
