//! The service's clock, read from `Date` headers: an `iat` only 5 s ahead of it is refused (CLMS-API 8.2).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, DATE, HeaderMap, RETRY_AFTER};

/// Tolerates a wrong day of the week, which old servers produce.
const HTTP_DATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// The longest wait: a service that asks for more is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Who asks for more than a day means something else.
const LONGEST_BELIEVED: Duration = Duration::from_secs(24 * 3600);

/// Stands for "not measured".
const UNKNOWN: i64 = i64::MIN;

/// How far the service's clock is ahead of ours, as last measured.
#[derive(Debug)]
pub(super) struct ServiceClock(AtomicI64);

impl ServiceClock {
    pub(super) const fn new() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }

    /// Service time minus local time in whole seconds, `None` before the first measurement.
    pub(super) fn offset(&self) -> Option<SignedDuration> {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => None,
            seconds => Some(SignedDuration::from_secs(seconds)),
        }
    }

    /// The service's time now, as well as it is known.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        self.offset().and_then(|offset| now.checked_add(offset).ok()).unwrap_or(now)
    }

    /// Takes a measurement from the headers of an answer that arrived at `received`.
    pub(super) fn measure(&self, headers: &HeaderMap, received: Timestamp) {
        // A cache's answer carries the time when the cache was filled.
        if headers.get(AGE).is_some_and(|age| age.as_bytes() != b"0") {
            return;
        }
        let Some(date) = headers.get(DATE).and_then(|date| HTTP_DATE.parse_timestamp(date.as_bytes()).ok())
        else {
            return;
        };
        self.0.store(date.as_second() - received.as_second(), Ordering::Relaxed);
    }
}

/// `Retry-After` as a time to wait from `now` on: seconds or an HTTP date, at most [`LONGEST_WAIT`], so that nobody
/// who adds it to a time needs to fear an overflow. A date in the past means zero; an absurd wish is none.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        let until = HTTP_DATE.parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    (wait <= LONGEST_BELIEVED).then(|| wait.min(LONGEST_WAIT))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_offset_comes_from_the_date_header() {
        let clock = ServiceClock::new();
        let received: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        assert_eq!(clock.offset(), None);
        clock.measure(&headers(&[(DATE, "Sun, 22 Nov 2026 09:02:00 GMT")]), received);
        assert_eq!(clock.offset(), Some(SignedDuration::from_secs(120)));
        clock.measure(&headers(&[(DATE, "Sun, 22 Nov 2026 10:00:00 GMT"), (AGE, "77")]), received);
        clock.measure(&headers(&[(DATE, "noon")]), received);
        assert_eq!(clock.offset(), Some(SignedDuration::from_secs(120)), "caches and nonsense are ignored");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let wait = |text: &str| retry_after(&headers(&[(RETRY_AFTER, text)]), now);
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait("Sun, 22 Nov 2026 09:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sun, 22 Nov 2026 08:00:30 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-3"), None);
    }

    #[test]
    fn a_retry_after_is_an_hour_at_most_and_an_absurd_one_is_none() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let wait = |text: &str| retry_after(&headers(&[(RETRY_AFTER, text)]), now);
        for text in ["3601", "86400", "Mon, 23 Nov 2026 08:00:00 GMT"] {
            assert_eq!(wait(text), Some(Duration::from_secs(3600)), "{text}");
        }
        for text in [
            "1000000000",
            "9223372036854775807",
            "18446744073709551615",
            "99999999999999999999999999",
            "Thu, 31 Dec 9998 23:59:59 GMT",
        ] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
