//! `TemporalFilter`: two times in milliseconds since 1970.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Refusal;

/// A checked period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Period {
    start: Timestamp,
    end: Timestamp,
}

impl Period {
    /// Reads the filter of an item; `limit` is `download_limit_temporal_extent`.
    pub(crate) fn check(filter: &Value, limit: Option<i64>) -> Result<Self, Refusal> {
        if limit.is_none_or(|days| days <= 0) {
            return Err(Refusal::say(
                "Error, temporal restriction is not allowed in not time-series enabled datasets",
            ));
        }
        if filter.as_object().is_some_and(|map| map.len() > 2) {
            return Err(Refusal::say("Error, TemporalFilter has too many fields"));
        }
        let (Some(start), Some(end)) = (filter.get("StartDate"), filter.get("EndDate")) else {
            return Err(Refusal::say("Error, TemporalFilter does not have StartDate or EndDate"));
        };
        let time = |value: &Value| {
            let milliseconds = value.as_f64()?;
            Timestamp::from_millisecond(milliseconds as i64).ok()
        };
        let (Some(start), Some(end)) = (time(start), time(end)) else {
            return Err(Refusal::say("Error, date format is not correct"));
        };
        if start > end {
            return Err(Refusal::say("Error, difference between StartDate and EndDate is not coherent"));
        }
        Ok(Self { start, end })
    }

    /// Whole days from start to end.
    pub(crate) fn days(self) -> i64 {
        self.end.duration_since(self.start).as_secs() / 86_400
    }

    /// The form that a task stores.
    pub(crate) fn stored(self) -> Value {
        let text = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S").to_string();
        json!({ "StartDate": text(self.start), "EndDate": text(self.end) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_taken_as_1970() {
        let period =
            Period::check(&json!({ "StartDate": 1640995200, "EndDate": 1643673600 }), Some(30)).unwrap();
        assert_eq!(
            period.stored(),
            json!({ "StartDate": "1970-01-19 23:49:55", "EndDate": "1970-01-20 00:34:33" })
        );
        assert_eq!(period.days(), 0);
    }

    #[test]
    fn what_is_wrong_is_said_in_order() {
        let message = |filter: Value, limit| match Period::check(&filter, limit).unwrap_err() {
            Refusal::Message(message) | Refusal::Crash(message, _) => message,
        };
        assert!(message(json!({}), None).contains("not allowed"));
        assert!(message(json!({ "a": 1, "b": 2, "c": 3 }), Some(1)).contains("too many"));
        assert!(message(json!({ "StartDate": 1 }), Some(1)).contains("does not have"));
        assert!(message(json!({ "StartDate": "2022-01-01", "EndDate": "x" }), Some(1)).contains("format"));
        assert!(message(json!({ "StartDate": 2, "EndDate": 1 }), Some(1)).contains("coherent"));
    }
}
