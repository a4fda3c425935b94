//! Why a fetch ended without data, in the words and kinds that readers, `status` and the ledger share.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::disk::{Trouble, advice};

use super::ledger::LedgerError;
use crate::tally::Label;

/// What sort of failure; decides the errno at open() and when the next attempt makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The service refuses the key or the token: EACCES.
    Credentials,
    /// The product does not fit into the cache or onto the disk: ENOSPC.
    NoSpace,
    /// The service or the download host cannot be reached: ENETDOWN.
    Offline,
    /// The service refused or failed the order: EIO.
    Service,
    /// The package is damaged or holds nothing we can serve: EIO.
    Package,
    /// The cache's disk is read-only or fails: EIO.
    Disk,
    /// Something broke on this machine: EIO.
    Local,
    /// The user's orders of this hour are used up: EAGAIN.
    Budget,
    /// The user cancelled it: ECANCELED.
    Cancelled,
}

impl Label for FailureKind {
    const ALL: &'static [Self] = &[
        Self::Credentials,
        Self::NoSpace,
        Self::Offline,
        Self::Service,
        Self::Package,
        Self::Disk,
        Self::Local,
        Self::Budget,
        Self::Cancelled,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::NoSpace => "no_space",
            Self::Offline => "offline",
            Self::Service => "service",
            Self::Package => "package",
            Self::Disk => "disk",
            Self::Local => "local",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// Longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The same where this machine was the reason: room that came back is not waited for. What an attempt costs at the service
/// is bounded by the order budget.
const LONGEST_PAUSE_FOR_A_DISK: Duration = Duration::from_secs(60);

impl FailureKind {
    /// How long the same answer is given again before a new attempt is made, after the first failure.
    ///
    /// What the user can mend at once (key, space, network) is tried again soon; what only the service can
    /// mend is left in peace longer. The pause doubles with every failure in a row, so that a script in a loop does
    /// not order or download again and again. An explicit `clmsfs fetch` does not wait.
    pub fn pause(self) -> Duration {
        match self {
            Self::Cancelled => Duration::ZERO,
            Self::Credentials | Self::NoSpace | Self::Disk | Self::Offline => Duration::from_secs(5),
            Self::Local => Duration::from_secs(30),
            Self::Budget => Duration::from_secs(60),
            Self::Service | Self::Package => Duration::from_secs(20),
        }
    }

    /// Beyond this the pause does not grow.
    pub(super) const fn longest_pause(self) -> Duration {
        match self {
            Self::NoSpace | Self::Disk => LONGEST_PAUSE_FOR_A_DISK,
            _ => LONGEST_PAUSE,
        }
    }

    /// The failure that an error of the system means; of the machine where it is no matter of the disk.
    pub fn of_disk(trouble: Option<Trouble>) -> Self {
        match trouble {
            Some(trouble) if trouble.is_lack_of_room() => Self::NoSpace,
            Some(_) => Self::Disk,
            None => Self::Local,
        }
    }
}

/// A failure with the message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// One line: what happened and the way out.
    pub message: String,
    /// Milliseconds since 1970 when it happened.
    pub at: u64,
    /// How many failures in a row came before it.
    #[serde(default)]
    pub before: u32,
    /// Milliseconds that the service asked to be left in peace.
    #[serde(default)]
    pub asked: u64,
}

impl Failure {
    /// A failure that has just happened.
    pub fn new(kind: FailureKind, message: String) -> Self {
        // names of packages and words of the service are in it
        let message = crate::text::one_line(&message);
        Self { kind, message, at: super::now(), before: 0, asked: 0 }
    }

    /// The cache refused.
    pub fn of_store(error: &StoreError) -> Self {
        let kind = match error {
            StoreError::Budget { .. } | StoreError::Disk { .. } => FailureKind::NoSpace,
            StoreError::Io { source, .. } => FailureKind::of_disk(Trouble::of(source)),
            _ => FailureKind::Local,
        };
        Self::new(kind, error.to_string())
    }

    /// The books cannot be kept.
    pub fn of_ledger(error: &LedgerError) -> Self {
        let kind = match error {
            LedgerError::Disk { trouble, .. } => FailureKind::of_disk(Some(*trouble)),
            LedgerError::Open { source, .. } => FailureKind::of_disk(Trouble::of(source)),
            _ => FailureKind::Local,
        };
        Self::new(kind, error.to_string())
    }

    /// A file of the cache cannot be used.
    pub fn of_io(path: &Path, error: &io::Error) -> Self {
        let kind = FailureKind::of_disk(Trouble::of(error));
        Self::new(kind, format!("{}: {error}{}", path.display(), advice(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
