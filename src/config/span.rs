//! Durations as people write them: `60s`, `30m`, `2h`, `500ms`, `1h 30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest span that is accepted; longer ones are typing errors.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A length of time with a unit. [`fmt::Display`] writes a form that parses back to the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Nothing but blanks.
    #[error("a duration is missing; write for example 500ms, 60s, 30m or 2h")]
    Empty,
    /// A number without a unit could be anything.
    #[error("'{0}' has no unit; write for example {0}s or {0}m")]
    NoUnit(String),
    /// The text is no duration at all.
    #[error("'{0}' is not a duration; write a number and a unit, for example 500ms, 60s, 30m or 2h")]
    Invalid(String),
    /// Ten years and more.
    #[error("'{0}' is longer than ten years; write a shorter duration")]
    TooLong(String),
}

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The span for the standard library and tokio.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SpanError::Empty);
        }
        // humantime accepts a bare 0; so do we, it needs no unit.
        if text != "0" && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(SpanError::NoUnit(text.to_owned()));
        }
        match humantime::parse_duration(text) {
            Ok(duration) if duration > LONGEST => Err(SpanError::TooLong(text.to_owned())),
            Ok(duration) => Ok(Self(duration)),
            Err(humantime::DurationError::NumberOverflow) => Err(SpanError::TooLong(text.to_owned())),
            Err(_) => Err(SpanError::Invalid(text.to_owned())),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u128); 6] = [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        let nanoseconds = self.0.as_nanos();
        if nanoseconds == 0 {
            return f.write_str("0s");
        }
        match UNITS.iter().find(|(_, length)| nanoseconds.is_multiple_of(*length)) {
            Some((name, length)) => write!(f, "{}{name}", nanoseconds / length),
            None => write!(f, "{nanoseconds}ns"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn milliseconds(text: &str) -> Result<u128, SpanError> {
        text.parse::<Span>().map(|span| span.duration().as_millis())
    }

    #[test]
    fn the_spellings_people_use() {
        assert_eq!(milliseconds("500ms"), Ok(500));
        assert_eq!(milliseconds("60s"), Ok(60_000));
        assert_eq!(milliseconds("30m"), Ok(1_800_000));
        assert_eq!(milliseconds("2h"), Ok(7_200_000));
        assert_eq!(milliseconds("1h 30m"), Ok(5_400_000));
        assert_eq!(milliseconds(" 24h "), Ok(86_400_000));
        assert_eq!(milliseconds("0s"), Ok(0));
        assert_eq!(milliseconds("0"), Ok(0));
    }

    #[test]
    fn nonsense_is_refused_with_advice() {
        assert_eq!(milliseconds(""), Err(SpanError::Empty));
        assert_eq!(milliseconds("60"), Err(SpanError::NoUnit("60".into())));
        assert!(matches!(milliseconds("soon"), Err(SpanError::Invalid(_))));
        assert!(matches!(milliseconds("-5s"), Err(SpanError::Invalid(_))));
        assert!(matches!(milliseconds("99999years"), Err(SpanError::TooLong(_))));
        assert!(milliseconds("60").unwrap_err().to_string().contains("60s"));
    }

    #[test]
    fn the_largest_unit_that_fits_is_written() {
        for text in ["500ms", "60s", "30m", "2h", "24h", "90s"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!(Span::seconds(60).to_string(), "1m");
        assert_eq!(Span::seconds(90).to_string(), "90s");
        assert_eq!(Span::seconds(86_400).to_string(), "24h");
    }

    proptest! {
        #[test]
        fn every_span_survives_being_written_and_read(seconds in 0u64..300_000_000, nanoseconds in 0u32..1_000_000_000) {
            let span = Span(Duration::new(seconds, nanoseconds));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = milliseconds(&text);
        }
    }
}
