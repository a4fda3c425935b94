//! Free texts about time become intervals.

use jiff::Timestamp;
use jiff::civil::Date;

/// A span of time; an open side is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// First moment.
    pub start: Option<Timestamp>,
    /// Last moment.
    pub end: Option<Timestamp>,
}

/// Years before Earth observation or far ahead are numbers that mean something else.
const YEARS: std::ops::RangeInclusive<i16> = 1950..=2100;

impl Period {
    /// From a dataset's fields: the two extents first, else a text such as `2017 - 2024` or `2014 - present`.
    pub(super) fn parse(start: Option<&str>, end: Option<&str>, text: Option<&str>) -> Self {
        let stated = Self {
            start: start.and_then(|text| day(text, Edge::First)),
            end: end.and_then(|text| day(text, Edge::Last)),
        };
        // Ends before it starts: editors mix the fields up.
        let sound = |period: &Self| match (period.start, period.end) {
            (Some(start), Some(end)) => start <= end,
            (start, end) => start.is_some() || end.is_some(),
        };
        if sound(&stated) { stated } else { text.map(Self::years).filter(sound).unwrap_or_default() }
    }

    /// From the years that a text names: `2018`, `2015-2018`, `2014 - present`.
    pub(super) fn years(text: &str) -> Self {
        let years: Vec<i16> = text
            .split(|letter: char| !letter.is_ascii_digit())
            .filter(|digits| digits.len() == 4)
            .filter_map(|digits| digits.parse().ok())
            .filter(|year| YEARS.contains(year))
            .collect();
        let lower = text.to_ascii_lowercase();
        let ongoing = lower.contains("present") || lower.contains("now") || lower.contains("ongoing");
        let start = years.iter().min().and_then(|year| edge_of(*year, 1, 1, Edge::First));
        let end = years.iter().max().filter(|_| !ongoing).and_then(|year| edge_of(*year, 12, 31, Edge::Last));
        Self { start, end }
    }
}

#[derive(Clone, Copy)]
enum Edge {
    First,
    Last,
}

/// `2018`, `2018-03`, `2018-03-05`, `2018-03-05T…`: its first or last moment.
fn day(text: &str, edge: Edge) -> Option<Timestamp> {
    let text = text.trim();
    let date = text.get(..10).unwrap_or(text);
    if let Ok(date) = date.parse::<Date>() {
        return edge_of(date.year(), date.month(), date.day(), edge);
    }
    let mut parts = text.split('-');
    let year: i16 = parts.next()?.trim().parse().ok().filter(|year| YEARS.contains(year))?;
    let month: Option<i8> = parts.next().and_then(|month| month.trim().parse().ok());
    match (edge, month) {
        (Edge::First, month) => edge_of(year, month.unwrap_or(1), 1, edge),
        (Edge::Last, month) => {
            let first = Date::new(year, month.unwrap_or(12), 1).ok()?;
            edge_of(year, first.month(), first.days_in_month(), edge)
        }
    }
}

fn edge_of(year: i16, month: i8, day: i8, edge: Edge) -> Option<Timestamp> {
    let date = Date::new(year, month, day).ok()?;
    let moment = match edge {
        Edge::First => date.at(0, 0, 0, 0),
        Edge::Last => date.at(23, 59, 59, 0),
    };
    moment.in_tz("UTC").ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(period: Period) -> (String, String) {
        let show =
            |moment: Option<Timestamp>| moment.map_or_else(|| "..".to_owned(), |moment| moment.to_string());
        (show(period.start), show(period.end))
    }

    #[test]
    fn texts_become_intervals() {
        for (start, end, text, expected) in [
            (Some("2018-01-01"), Some("2018-12-31"), None, ("2018-01-01T00:00:00Z", "2018-12-31T23:59:59Z")),
            (Some("2017"), Some(""), None, ("2017-01-01T00:00:00Z", "..")),
            (Some("2018-02"), Some("2020-02"), None, ("2018-02-01T00:00:00Z", "2020-02-29T23:59:59Z")),
            (None, None, Some("2017 - 2024"), ("2017-01-01T00:00:00Z", "2024-12-31T23:59:59Z")),
            (Some("?"), None, Some("2014 - present"), ("2014-01-01T00:00:00Z", "..")),
            (
                Some("2020-01-01"),
                Some("2010-01-01"),
                Some("2012"),
                ("2012-01-01T00:00:00Z", "2012-12-31T23:59:59Z"),
            ),
            (None, None, Some("100 m"), ("..", "..")),
        ] {
            assert_eq!(
                shown(Period::parse(start, end, text)),
                (expected.0.to_owned(), expected.1.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(start in ".{0,14}", end in "[0-9T:-]{0,14}", text in "[0-9 a-z-]{0,20}") {
            let period = Period::parse(Some(&start), Some(&end), Some(&text));
            if let (Some(start), Some(end)) = (period.start, period.end) {
                prop_assert!(start <= end);
            }
        }
    }
}
