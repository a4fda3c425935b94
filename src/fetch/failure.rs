//! Why a fetch ended without data, in the words and kinds that readers, `status` and the ledger share.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// Something broke on this machine: EIO.
    Local,
    /// The user's orders of this hour are used up: EAGAIN.
    Budget,
    /// The user cancelled it: ECANCELED.
    Cancelled,
}

impl FailureKind {
    /// How long the same answer is given again before a new attempt is made, after the first failure.
    ///
    /// What the user can mend at once (key, space, network) is tried again soon; what only the service can
    /// mend is left in peace longer. The pause doubles with every failure in a row, so that a script in a loop does
    /// not order or download again and again. An explicit `clmsfs fetch` does not wait.
    pub fn pause(self) -> Duration {
        match self {
            Self::Cancelled => Duration::ZERO,
            Self::Credentials | Self::NoSpace | Self::Offline => Duration::from_secs(5),
            Self::Local => Duration::from_secs(30),
            Self::Budget => Duration::from_secs(60),
            Self::Service | Self::Package => Duration::from_secs(20),
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
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
