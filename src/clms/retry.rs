//! When to try again: jittered exponential waits, few of them.

use std::time::Duration;

/// How often and after which waits a request that may be repeated is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one.
    pub base: Duration,
    /// Longest wait of our own making.
    pub cap: Duration,
    /// Longest `Retry-After` that is waited for inside a call; a longer one is handed to the caller at once.
    pub patience: Duration,
    /// How long refused credentials are not tried again: token storms got users of other programs banned.
    pub refusal: Duration,
    /// The same when only a token was refused, the first time; doubles each time, up to [`RetryPolicy::refusal`].
    pub token_refusal: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            patience: Duration::from_secs(30),
            refusal: Duration::from_secs(60),
            token_refusal: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// The same with all waits of our own making so many times shorter.
    pub(super) fn hurried(self, times: u32) -> Self {
        Self {
            base: self.base / times,
            cap: self.cap / times,
            refusal: self.refusal / times,
            token_refusal: self.token_refusal / times,
            ..self
        }
    }

    /// How long tokens are not asked for after so many refusals of fresh tokens in a row.
    pub(super) fn after_token_refusals(&self, refusals: u32) -> Duration {
        let doubled = 2u32.saturating_pow(refusals.saturating_sub(1).min(16));
        self.token_refusal.saturating_mul(doubled).min(self.refusal)
    }

    /// The wait after failed attempt number `attempt` (from 1), or `None` to give up.
    ///
    /// `asked` is the service's `Retry-After`; `jitter` is uniform in 0..1 and spreads the wait over its upper
    /// half, so that many clients that failed together do not come back together.
    pub(super) fn wait(&self, attempt: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts || asked.is_some_and(|asked| asked > self.patience) {
            return None;
        }
        let doubled = self.base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))).min(self.cap);
        let own = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        Some(own.max(asked.unwrap_or_default()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        base: Duration::from_secs(1),
        cap: Duration::from_secs(3),
        patience: Duration::from_secs(10),
        refusal: Duration::from_secs(60),
        token_refusal: Duration::from_secs(2),
    };

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let waits: Vec<_> = (1..=4).map(|attempt| POLICY.wait(attempt, None, 1.0)).collect();
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!(waits, [seconds(1), seconds(2), seconds(3), None]);
    }

    #[test]
    fn a_wish_of_the_service_is_honoured_up_to_our_patience() {
        assert_eq!(POLICY.wait(1, Some(Duration::from_secs(9)), 0.0), Some(Duration::from_secs(9)));
        assert_eq!(POLICY.wait(1, Some(Duration::from_secs(11)), 0.0), None);
    }

    #[test]
    fn the_rest_after_refused_tokens_doubles_up_to_that_after_refused_credentials() {
        let rests: Vec<u64> =
            [1, 2, 3, 5, 6, 99].map(|refusals| POLICY.after_token_refusals(refusals).as_secs()).into();
        assert_eq!(rests, [2, 4, 8, 32, 60, 60]);
    }

    proptest! {
        #[test]
        fn waits_stay_between_half_and_whole(attempt in 1u32..100, jitter in 0.0f64..1.0) {
            let policy = RetryPolicy { attempts: u32::MAX, ..POLICY };
            let whole = policy.wait(attempt, None, 1.0).unwrap();
            let wait = policy.wait(attempt, None, jitter).unwrap();
            prop_assert!(wait >= whole / 2 && wait <= whole);
        }
    }
}
