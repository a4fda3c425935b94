//! How long a fetch bears with the service: the pauses and time limits of its own making, in one place.

use std::time::Duration;

use super::failure::Failure;

/// Pauses and time limits. Those of single requests are [`Timeouts`](crate::clms::Timeouts), those between questions
/// for a task are [`Pace`](super::poller::Pace).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long an order whose outcome is unknown is looked for before it counts as never made: the service itself
    /// waits up to 10 s for its packer, and stores the task only then (CLMS-API 3.1).
    pub reconcile: Duration,
    /// First pause between two searches for an order; doubles each time.
    pub search_pause: Duration,
    /// How long the service may say nothing but nonsense about a task. A slip of a proxy passes; what lasts is told to
    /// the reader, and the next open finds the order again.
    pub nonsense: Duration,
    /// How long it may refuse, while a task is waited for, the very tokens that it gives: the key is good then, and the
    /// order stands.
    pub refusals: Duration,
    /// First pause between two attempts at a download; doubles each time.
    pub download_pause: Duration,
    /// First pause between the loss of a link and the question for it; doubles each time.
    pub link_pause: Duration,
    /// Pauses between two fetches of one product are so many times shorter than [`FailureKind::pause`](super::failure::FailureKind::pause) says.
    pub hurry: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            reconcile: Duration::from_secs(20),
            search_pause: Duration::from_millis(400),
            nonsense: Duration::from_secs(20),
            refusals: Duration::from_secs(120),
            download_pause: Duration::from_millis(500),
            link_pause: Duration::from_secs(2),
            hurry: 1,
        }
    }
}

impl Patience {
    /// Everything so many times shorter: for tests against a simulator.
    #[must_use]
    pub fn hurried(self, times: u32) -> Self {
        let times = times.max(1);
        Self {
            reconcile: self.reconcile / times,
            search_pause: self.search_pause / times,
            nonsense: self.nonsense / times,
            refusals: self.refusals / times,
            download_pause: self.download_pause / times,
            link_pause: self.link_pause / times,
            hurry: self.hurry * times,
        }
    }

    /// Whether the same answer is given again after `failure`. A clock that was put back since does not make it last longer.
    pub fn rests(&self, failure: &Failure, now: u64) -> bool {
        (failure.at..self.retry_at(failure)).contains(&now)
    }

    /// Milliseconds since 1970 from when on a new attempt is made after `failure`.
    pub fn retry_at(&self, failure: &Failure) -> u64 {
        let rest = failure
            .kind
            .pause()
            .saturating_mul(1 << failure.before.min(16))
            .min(failure.kind.longest_pause());
        let rest = u64::try_from((rest / self.hurry.max(1)).as_millis()).unwrap_or(u64::MAX);
        failure.at.saturating_add(rest.max(failure.asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::failure::FailureKind;

    #[test]
    fn the_rest_doubles_up_to_an_hour() {
        let mut failure = Failure::new(FailureKind::Package, String::new());
        let rest = |failure: &Failure| Patience::default().retry_at(failure) - failure.at;
        assert_eq!(rest(&failure), 20_000);
        failure.asked = 30_000;
        assert_eq!(rest(&failure), 30_000);
        failure.before = 3;
        assert_eq!(rest(&failure), 160_000);
        failure.before = u32::MAX;
        assert_eq!(rest(&failure), 3_600_000);
        failure.kind = FailureKind::NoSpace;
        failure.asked = 0;
        assert_eq!(rest(&failure), 60_000, "room that came back is not waited for");
    }

    #[test]
    fn a_clock_that_is_put_back_ends_the_rest() {
        let failure = Failure::new(FailureKind::Package, String::new());
        let patience = Patience::default();
        assert!(patience.rests(&failure, failure.at) && patience.rests(&failure, failure.at + 19_999));
        assert!(!patience.rests(&failure, failure.at + 20_000) && !patience.rests(&failure, failure.at - 1));
        let cancelled = Failure::new(FailureKind::Cancelled, String::new());
        assert!(
            !patience.rests(&cancelled, cancelled.at)
                && !patience.rests(&cancelled, cancelled.at - 3_600_000)
        );
    }

    #[test]
    fn hurry_shortens_all_but_what_the_service_asks_for() {
        let hurried = Patience::default().hurried(20);
        assert_eq!(hurried.reconcile, Duration::from_secs(1));
        let mut failure = Failure::new(FailureKind::Package, String::new());
        assert_eq!(hurried.retry_at(&failure) - failure.at, 1000);
        failure.asked = 30_000;
        assert_eq!(hurried.retry_at(&failure) - failure.at, 30_000);
    }
}
