//! What the file system was asked for. One atomic addition each: reads are counted, too.

use crate::config::Answer;
use crate::tally::{Count, Histogram, Tally, label};

use super::error::VfsError;

/// Bounds in seconds of how long readers wait in open(): a fetch is minutes, a long queue hours.
const WAIT: &[u64] = &[1, 10, 60, 300, 900, 3600, 14_400];

label! {
    /// How an open() ended.
    pub enum Opened {
        /// The kernel reads the file of the cache by itself.
        Passthrough = "passthrough",
        /// The file of the cache is read through the mount.
        ThroughMount = "through_mount",
        /// A small file made in memory: `item.json`, the documents of a Zarr, what is in `.clmsfs/`.
        Memory = "memory",
        /// EAGAIN: not here yet, or not now.
        NotReady = "not_ready",
        /// EACCES: a rule, or the service refuses the key.
        Denied = "denied",
        /// ENOSPC: no room for the product.
        NoSpace = "no_space",
        /// ENETDOWN: the service cannot be reached.
        Offline = "offline",
        /// ETIMEDOUT: the block timeout is over.
        TimedOut = "timed_out",
        /// EINTR: the reader was told to die.
        Interrupted = "interrupted",
        /// EIO and ECANCELED: the fetch failed or was cancelled, or the cache could not be read.
        Failed = "failed",
        /// EROFS, EISDIR, ENOENT and the like: it could not have been opened for reading at all.
        Refused = "refused",
    }
}

impl From<&VfsError> for Opened {
    fn from(error: &VfsError) -> Self {
        match error.errno() {
            libc::EAGAIN => Self::NotReady,
            libc::EACCES => Self::Denied,
            libc::ENOSPC => Self::NoSpace,
            libc::ENETDOWN => Self::Offline,
            libc::ETIMEDOUT => Self::TimedOut,
            libc::EINTR => Self::Interrupted,
            libc::EIO | libc::ECANCELED => Self::Failed,
            _ => Self::Refused,
        }
    }
}

label! {
    /// What policy said to the open() of a cold file.
    pub enum ColdAnswer {
        /// Fetch, and let the reader wait.
        Block = "block",
        /// Fetch, and answer EAGAIN at once.
        Eagain = "eagain",
        /// Answer EAGAIN, and fetch nothing.
        EagainNoOrder = "eagain_no_order",
        /// Answer EACCES, and fetch nothing.
        Deny = "deny",
    }
}

impl From<Answer> for ColdAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Block => Self::Block,
            Answer::Eagain => Self::Eagain,
            Answer::EagainNoOrder => Self::EagainNoOrder,
            Answer::Deny => Self::Deny,
        }
    }
}

label! {
    /// What became of an attempt to read the catalogue anew.
    pub enum Refreshed {
        /// The newer one is shown.
        Done = "done",
        /// The older one stays.
        Failed = "failed",
    }
}

/// All of it, since the mount began.
#[derive(Debug)]
pub struct Counters {
    /// Answers to open().
    pub opens: Tally<Opened>,
    /// Decisions about cold files.
    pub cold: Tally<ColdAnswer>,
    /// How long readers waited in open(), whatever the end was.
    pub waits: Histogram,
    /// Reads that came to the mount. What the kernel reads by itself is not known.
    pub reads: Count,
    /// Their bytes.
    pub read_bytes: Count,
    /// Reads that failed.
    pub read_errors: Count,
    /// Attempts to read the catalogue anew.
    pub refreshes: Tally<Refreshed>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            opens: Tally::default(),
            cold: Tally::default(),
            waits: Histogram::new(WAIT),
            reads: Count::default(),
            read_bytes: Count::default(),
            read_errors: Count::default(),
            refreshes: Tally::default(),
        }
    }
}
