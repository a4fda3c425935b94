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

/// Longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

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

    /// Milliseconds since 1970 from when on a new attempt is made.
    pub fn retry_at(&self) -> u64 {
        let pause = self.kind.pause().saturating_mul(1 << self.before.min(16)).min(LONGEST_PAUSE);
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.at.saturating_add(pause.max(self.asked))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        let mut failure = Failure::new(FailureKind::Package, String::new());
        let pause = |failure: &Failure| failure.retry_at() - failure.at;
        assert_eq!(pause(&failure), 20_000);
        failure.asked = 30_000;
        assert_eq!(pause(&failure), 30_000);
        failure.before = 3;
        assert_eq!(pause(&failure), 160_000);
        failure.before = u32::MAX;
        assert_eq!(pause(&failure), 3_600_000);
    }
}
