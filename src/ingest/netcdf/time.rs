//! Times of CF: numbers of a unit since a moment. Pure.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// Before this day the mixed calendar that CF calls `standard` counts other dates than ours.
const GREGORIAN: DateTime = jiff::civil::date(1582, 10, 15).at(0, 0, 0, 0);

/// Turns the values of a time coordinate into moments.
///
/// # Errors
/// What of units, calendar or values cannot be understood.
pub(in crate::ingest) fn decode(
    units: &str,
    calendar: &str,
    values: &[f64],
) -> Result<Vec<Timestamp>, String> {
    let calendar = calendar.to_ascii_lowercase();
    let proleptic = calendar == "proleptic_gregorian";
    let even = EvenCalendar::named(&calendar);
    if !proleptic && even.is_none() && !["", "standard", "gregorian", "none"].contains(&calendar.as_str()) {
        return Err(format!("its calendar '{calendar}' is none that dates can be told in"));
    }
    if units.to_ascii_lowercase().replace("days", "day").starts_with("day as %y%m%d") {
        return values.iter().map(|&value| written_out(value)).collect();
    }
    let (unit, since) = units
        .split_once(" since ")
        .ok_or_else(|| format!("its units '{units}' are not of the form '<unit> since <date>'"))?;
    let epoch = epoch(since.trim()).ok_or_else(|| format!("its units '{units}' begin at no date"))?;
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "months" | "month" => return values.iter().map(|&value| months_after(epoch, value)).collect(),
        "years" | "year" => return values.iter().map(|&value| months_after(epoch, value * 12.0)).collect(),
        "weeks" | "week" => 7.0 * 86_400.0,
        "days" | "day" | "d" => 86_400.0,
        "hours" | "hour" | "hr" | "hrs" | "h" => 3600.0,
        "minutes" | "minute" | "min" | "mins" => 60.0,
        "seconds" | "second" | "sec" | "secs" | "s" => 1.0,
        "milliseconds" | "millisecond" | "ms" | "msec" => 1e-3,
        "microseconds" | "microsecond" => 1e-6,
        "nanoseconds" | "nanosecond" | "ns" => 1e-9,
        unit => return Err(format!("its unit '{unit}' is none of days, hours, minutes, seconds")),
    };
    let is_mixed = !proleptic && even.is_none();
    let epoch = if is_mixed {
        in_mixed_calendar(epoch).ok_or_else(|| format!("its units '{units}' begin at no date"))?
    } else {
        epoch
    };
    values
        .iter()
        .map(|&value| {
            let unusable = || format!("its value {value} is no time in '{units}'");
            // Milliseconds are kept; what is finer is rounding of days as fractions.
            let milliseconds = (value * seconds * 1000.0).round();
            if !value.is_finite() || milliseconds.abs() > 1e15 {
                return Err(unusable());
            }
            if let Some(even) = even {
                return even.after(epoch, milliseconds as i64).ok_or_else(unusable);
            }
            let moment = epoch
                .checked_add(SignedDuration::from_millis(milliseconds as i64))
                .map_err(|_| unusable())?;
            let early = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime() < GREGORIAN;
            if early && !proleptic { Err(unusable()) } else { Ok(moment) }
        })
        .collect()
}

/// The moment that has this moment's date in the mixed calendar, which is the Julian one before 1582-10-15. `None` for years
/// before the first, which readers count differently.
fn in_mixed_calendar(moment: Timestamp) -> Option<Timestamp> {
    let date = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    if date >= GREGORIAN {
        return Some(moment);
    }
    // The Julian calendar has a leap day in every hundredth year. It comes at the end of February.
    let year = i64::from(date.year()) - i64::from(date.month() < 3);
    let behind = year.div_euclid(100) - year.div_euclid(400) - 2;
    let later = moment.checked_add(SignedDuration::from_hours(24 * behind)).ok();
    later.filter(|_| date.year() > 0)
}

/// A calendar whose years are all alike. Its dates are ours where ours has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EvenCalendar {
    NoLeap,
    AllLeap,
    ThirtyDays,
}

impl EvenCalendar {
    fn named(name: &str) -> Option<Self> {
        match name {
            "noleap" | "365_day" => Some(Self::NoLeap),
            "all_leap" | "366_day" => Some(Self::AllLeap),
            "360_day" => Some(Self::ThirtyDays),
            _ => None,
        }
    }

    fn months(self) -> [i64; 12] {
        match self {
            Self::NoLeap => [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
            Self::AllLeap => [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31],
            Self::ThirtyDays => [30; 12],
        }
    }

    /// The date that is so long after another in this calendar; `None` where ours has no such date.
    fn after(self, epoch: Timestamp, milliseconds: i64) -> Option<Timestamp> {
        let months = self.months();
        let year_days: i64 = months.iter().sum();
        let start = epoch.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let midnight = start.date().to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let clock = epoch.as_millisecond() - midnight.as_millisecond() + milliseconds;
        let before: i64 = months[..start.month() as usize - 1].iter().sum();
        let days = i64::from(start.year()) * year_days + before + i64::from(start.day()) - 1;
        let days = days + clock.div_euclid(86_400_000);
        let (year, mut day) = (days.div_euclid(year_days), days.rem_euclid(year_days));
        let mut month = 0;
        while day >= months[month] {
            day -= months[month];
            month += 1;
        }
        let date = jiff::civil::Date::new(i16::try_from(year).ok()?, month as i8 + 1, day as i8 + 1).ok()?;
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        midnight.checked_add(SignedDuration::from_millis(clock.rem_euclid(86_400_000))).ok()
    }
}

/// Whole months later: what producers mean who count in months, whatever the dictionary of units says of their length.
fn months_after(epoch: Timestamp, months: f64) -> Result<Timestamp, String> {
    let unusable = || format!("{months} is no whole number of months");
    let whole =
        (months.fract() == 0.0 && months.abs() < 1e5).then_some(months as i64).ok_or_else(unusable)?;
    let start = epoch.to_zoned(jiff::tz::TimeZone::UTC);
    let later = start.checked_add(jiff::Span::new().months(whole)).map_err(|_| unusable())?;
    Ok(later.timestamp())
}

/// `20210101.5`: a date as a number, and the part of the day.
fn written_out(value: f64) -> Result<Timestamp, String> {
    let unusable = || format!("its value {value} is no date of eight digits");
    let whole = (1e7..1e8).contains(&value).then_some(value as i64).ok_or_else(unusable)?;
    let (year, month, day) = (whole / 10_000, whole / 100 % 100, whole % 100);
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).map_err(|_| unusable())?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| unusable())?.timestamp();
    let milliseconds = (value.fract() * 86_400_000.0).round() as i64;
    midnight.checked_add(SignedDuration::from_millis(milliseconds)).map_err(|_| unusable())
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
    ((0..=18).contains(&hours) && (0..60).contains(&minutes)).then(|| sign * (hours * 60 + minutes))
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
    fn early_epochs_are_dates_of_the_mixed_calendar() {
        // As cftime, and xarray with it, have them.
        assert_eq!(one("days since 0001-01-01", 737_792.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("hours since 1-1-1 00:00:0.0", 737_792.0 * 24.0), "2021-01-01T00:00:00Z");
        // The day before the first Gregorian one, and the days around a leap day that the Gregorian calendar has not.
        assert_eq!(one("days since 1582-10-04", 1.0), "1582-10-15T00:00:00Z");
        assert_eq!(one("days since 1582-10-15", 1.0), "1582-10-16T00:00:00Z");
        let days = |units: &str| decode(units, "", &[200_000.0]).unwrap()[0].as_second() / 86_400;
        assert_eq!(days("days since 1500-03-01") - days("days since 1500-02-28"), 2);
        // Months are counted by the calendar.
        assert_eq!(one("months since 0001-01-01", 24_240.0), "2021-01-01T00:00:00Z");
        let proleptic = decode("days since 0001-01-01", "proleptic_gregorian", &[737_790.0]).unwrap();
        assert_eq!(proleptic[0].to_string(), "2021-01-01T00:00:00Z");
        assert!(decode("days since 0000-01-01", "", &[738_000.0]).is_err());
    }

    #[test]
    fn other_ways_to_count_days() {
        let one = |units: &str, calendar: &str, value: f64| {
            decode(units, calendar, &[value]).unwrap()[0].to_string()
        };
        assert_eq!(one("days since 1970-01-01", "noleap", 51.0 * 365.0 + 59.0), "2021-03-01T00:00:00Z");
        assert_eq!(one("hours since 1970-01-01 06:00", "365_day", -12.0), "1969-12-31T18:00:00Z");
        assert_eq!(one("days since 2000-01-01", "all_leap", 366.0), "2001-01-01T00:00:00Z");
        assert_eq!(one("days since 1970-01-01", "360_day", 51.0 * 360.0 + 30.5), "2021-02-01T12:00:00Z");
        assert_eq!(one("months since 2021-01-31", "", 1.0), "2021-02-28T00:00:00Z");
        assert_eq!(one("years since 2012-01-01", "standard", 9.0), "2021-01-01T00:00:00Z");
        assert_eq!(one("weeks since 2021-01-01", "", 2.0), "2021-01-15T00:00:00Z");
        assert_eq!(one("nanoseconds since 1970-01-01", "", 1_609_459_200e9), "2021-01-01T00:00:00Z");
        assert_eq!(one("day as %Y%m%d.%f", "", 20_210_101.5), "2021-01-01T12:00:00Z");
    }

    #[test]
    fn a_zone_of_countless_hours_is_none() {
        // found by `make fuzz`: multiplied before it was looked at
        for zone in ["+9223372036854775807", "-200000000000000000:00"] {
            assert!(decode(&format!("days since 1970-01-01 00:00:00 {zone}"), "", &[0.0]).is_err(), "{zone}");
        }
    }

    #[test]
    fn what_is_no_date_is_said() {
        let refused =
            |units: &str, calendar: &str, value: f64| decode(units, calendar, &[value]).unwrap_err();
        assert!(refused("days", "", 1.0).contains("'days'"));
        assert!(refused("months since 2000-01-01", "", 1.5).contains("months"));
        assert!(refused("fortnights since 2000-01-01", "", 1.0).contains("fortnights"));
        assert!(refused("day as %Y%m%d.%f", "", 20_211_301.0).contains("20211301"));
        assert!(refused("days since yesterday", "", 1.0).contains("no date"));
        assert!(refused("days since 2000-02-30", "", 1.0).contains("no date"));
        assert!(refused("days since 2000-01-01", "julian", 1.0).contains("julian"));
        // Ours has no 30th of February.
        assert!(refused("days since 2000-01-01", "360_day", 59.0).contains("no time"));
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
