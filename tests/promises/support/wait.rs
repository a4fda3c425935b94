//! Waiting for conditions, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails: generous, because it is only ever used up by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition.
const GLANCE: Duration = Duration::from_millis(10);

/// Looks again and again until there is a value, and returns it.
///
/// # Panics
/// Nothing came in time; with `what` was waited for.
#[track_caller]
pub(crate) fn until<T>(what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(GLANCE);
    }
}

/// [`until`] for a plain condition.
#[track_caller]
pub(crate) fn until_true(what: impl Display, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}
