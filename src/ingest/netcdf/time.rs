//! Times of CF: numbers of a unit since a moment. Pure.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// Before this day the mixed calendar that CF calls `standard` counts other dates than ours.
const GREGORIAN: DateTime = jiff::civil::date(1582, 10, 15).at(0, 0, 0, 0);

/// Turns the values of a time coordinate into moments.
///
/// # Errors
/// What of units, calendar or values cannot be understood.
pub(super) fn decode(units: &str, calendar: &str, values: &[f64]) -> Result<Vec<Timestamp>, String> {
    let calendar = calendar.to_ascii_lowercase();
    let proleptic = calendar == "proleptic_gregorian";
    if !proleptic && !["", "standard", "gregorian"].contains(&calendar.as_str()) {
        return Err(format!("its calendar '{calendar}' is none that dates can be told in"));
    }
    let (unit, since) = units
        .split_once(" since ")
        .ok_or_else(|| format!("its units '{units}' are not of the form '<unit> since <date>'"))?;
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "days" | "day" | "d" => 86_400.0,
        "hours" | "hour" | "hr" | "hrs" | "h" => 3600.0,
        "minutes" | "minute" | "min" | "mins" => 60.0,
        "seconds" | "second" | "sec" | "secs" | "s" => 1.0,
        "milliseconds" | "millisecond" | "ms" | "msec" => 1e-3,
        unit => return Err(format!("its unit '{unit}' is none of days, hours, minutes, seconds")),
    };
    let epoch = epoch(since.trim()).ok_or_else(|| format!("its units '{units}' begin at no date"))?;
    values
        .iter()
        .map(|&value| {
            let unusable = || format!("its value {value} is no time in '{units}'");
            // Milliseconds are kept; what is finer is rounding of days as fractions.
            let milliseconds = (value * seconds * 1000.0).round();
            if !value.is_finite() || milliseconds.abs() > 1e15 {
                return Err(unusable());
            }
            let moment = epoch
                .checked_add(SignedDuration::from_millis(milliseconds as i64))
                .map_err(|_| unusable())?;
            let early = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime() < GREGORIAN;
            if early && !proleptic { Err(unusable()) } else { Ok(moment) }
        })
        .collect()
}

/// `2021-01-01`, `2021-1-1 00:00:0.0`, `1970-01-01T00:00:00Z`, `1950-01-01 00:00:00 +00:00` …
fn epoch(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text).trim();
    let (date, rest) = match text.find([' ', 'T', 't']) {
        Some(at) => (&text[..at], text[at + 1..].trim()),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-');
    let year: i16 = parts.next()?.parse().ok()?;
    let month: i8 = parts.next()?.parse().ok()?;
    let day: i8 = parts.next()?.parse().ok()?;
    let (clock, zone) = match rest.find([' ', '+', '-']) {
        Some(at) => (rest[..at].trim(), rest[at..].trim()),
        None => (rest, ""),
    };
    let mut clock = clock.split(':').filter(|part| !part.is_empty());
    let mut part = || clock.next().map_or(Some(0.0), |part| part.parse::<f64>().ok());
    let (hour, minute, second) = (part()?, part()?, part()?);
    let in_range =
        (0.0..24.0).contains(&hour) && (0.0..60.0).contains(&minute) && (0.0..60.0).contains(&second);
    if !in_range || clock.next().is_some() {
        return None;
    }
    let start = DateTime::new(year, month, day, 0, 0, 0, 0).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let milliseconds = ((hour * 3600.0 + minute * 60.0 + second) * 1000.0).round() as i64;
    let ahead = offset(zone)?;
    start
        .timestamp()
        .checked_add(SignedDuration::from_millis(milliseconds) - SignedDuration::from_mins(ahead))
        .ok()
}

/// Minutes that a zone such as `+02:00`, `-1` or `+0130` is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1) {
        None => return Some(0),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        Some(_) => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
    ((0..=18).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(units: &str, value: f64) -> String {
        decode(units, "", &[value]).unwrap()[0].to_string()
    }

    #[test]
    fn units_as_producers_write_them() {
        assert_eq!(one("days since 1970-01-01", 18_628.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("days since 1970-01-01 00:00:00", 18_628.5), "2021-01-01T12:00:00Z");
        assert_eq!(one("Days since 1970-1-1 0:0:0.0", 18_628.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("hours since 1950-01-01T00:00:00Z", 622_392.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("seconds since 2021-01-01 02:00:00 +02:00", 1.0), "2021-01-01T00:00:01Z");
        assert_eq!(one("minutes since 2020-12-31 23:30 UTC", 30.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("days since 2021-01-01 00:00:00 -0130", 0.0), "2021-01-01T01:30:00Z");
    }

    #[test]
    fn what_is_no_date_is_said() {
        let refused =
            |units: &str, calendar: &str, value: f64| decode(units, calendar, &[value]).unwrap_err();
        assert!(refused("days", "", 1.0).contains("'days'"));
        assert!(refused("months since 2000-01-01", "", 1.0).contains("months"));
        assert!(refused("days since yesterday", "", 1.0).contains("no date"));
        assert!(refused("days since 2000-02-30", "", 1.0).contains("no date"));
        assert!(refused("days since 2000-01-01", "360_day", 1.0).contains("360_day"));
        assert!(refused("days since 2000-01-01", "", f64::NAN).contains("NaN"));
        assert!(refused("days since 2000-01-01", "", 1e300).contains("no time"));
        assert!(refused("days since 0001-01-01", "standard", 1.0).contains("no time"));
        assert!(decode("days since 0001-01-01", "proleptic_gregorian", &[1.0]).is_ok());
        assert!(decode("days since 0001-01-01", "proleptic_gregorian", &[1e9]).is_err());
    }

    proptest! {
        #[test]
        fn no_units_make_it_panic(units in "(days|s|h) since [0-9T:. Zé+-]{0,30}", value in any::<f64>()) {
            let _ = decode(&units, "", &[value]);
        }

        #[test]
        fn days_come_back(day in -30_000i32..60_000) {
            let moment = decode("days since 1970-01-01", "standard", &[f64::from(day)]).unwrap()[0];
            prop_assert_eq!(moment.as_second(), i64::from(day) * 86_400);
        }
    }
}
