//! Reading the service's JSON without being surprised by it.
//!
//! Any field may be a string, a number, `{"title": …, "token": …}`, null or absent (CLMS-API sections 2 and 8.1).
//! These helpers never fail: what cannot be understood is `None`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::{Map, Value};

/// The field of that name: as it is documented, else in another case or with words set apart (`download_url`).
pub(super) fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    fields.get(name).or_else(|| {
        let wanted = letters(name);
        fields.iter().find(|(key, _)| letters(key) == wanted).map(|(_, value)| value)
    })
}

/// The text of a field: a string that is not blank (kept as it is, blanks around it included), a number as text,
/// the title or else the token of a choice, the first text of a list.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(choice) => ["title", "token"].iter().find_map(|key| choice.get(*key).and_then(plain)),
        Value::Array(list) => list.iter().find_map(plain),
        _ => None,
    }
}

/// A string that is not blank or a number; no recursion, so hostile nesting costs nothing.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Like [`text`], without blanks around it.
pub(super) fn trimmed(value: Option<&Value>) -> Option<String> {
    text(value).map(|text| text.trim().to_owned())
}

/// All texts of a list; a single text counts as a list of one.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(|entry| trimmed(Some(entry))).collect(),
        other => trimmed(other).into_iter().collect(),
    }
}

/// A whole number, also when written as text.
pub(super) fn whole_number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            // 2^53: beyond it a double no longer counts in ones.
            (float >= 0.0 && float.fract() == 0.0 && float <= 9_007_199_254_740_992.0).then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A finite number, also when written as text.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// The `items` of a "mixed field" (`{"items": [...]}`), or of a bare list; a list whose positions have become keys
/// (`{"items": {"0": …}}`) counts as one, and so does an item without a list around it.
pub(super) fn items(value: Option<&Value>) -> Vec<&Value> {
    list(match value {
        Some(Value::Object(field)) => field.get("items"),
        bare => bare,
    })
}

/// The entries of a list in these shapes.
pub(super) fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(keyed)) if keyed.values().all(Value::is_object) => keyed.values().collect(),
        Some(single @ Value::Object(_)) => vec![single],
        _ => Vec::new(),
    }
}

/// A moment: ISO 8601 with an offset, without one (then it is UTC), a bare date, a date as in mails, or seconds or
/// milliseconds since 1970.
pub(super) fn moment(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::String(text) => parse_moment(text),
        Value::Number(number) => since_1970(number.as_f64()?),
        _ => None,
    }
}

/// Milliseconds where seconds would be in another geological age.
fn since_1970(number: f64) -> Option<Timestamp> {
    const SECONDS: f64 = 100_000_000_000.0;
    let milliseconds = if number.abs() < SECONDS { number * 1000.0 } else { number };
    // what is no time between 1970 and the year 9999 is something else
    let is_sound = milliseconds > 0.0 && milliseconds < 253_402_300_799_000.0;
    is_sound.then(|| Timestamp::from_millisecond(milliseconds as i64).ok()).flatten()
}

/// [`moment`] of a text.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(moment) = MAIL_DATE.parse_timestamp(text) {
        return Some(moment);
    }
    let civil = text.trim_end_matches("UTC").trim_end();
    let civil = civil
        .parse::<DateTime>()
        .ok()
        .or_else(|| civil.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)))?;
    civil.in_tz("UTC").ok().map(|zoned| zoned.timestamp())
}

/// Tolerates a wrong day of the week.
const MAIL_DATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any JSON, with the keys the service uses turning up often.
    pub(in crate::clms) fn any_json() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            prop::sample::select(vec![
                "title",
                "token",
                "items",
                "@id",
                "UID",
                "id",
                "file",
                "path",
                "source",
                "Datasets",
                "Status",
                "DownloadURL",
                "FileSize",
                "TaskIds",
                "TaskID",
                "downloadable_files",
                "geographicBoundingBox",
                "west",
                "east",
                "north",
                "south",
                "created",
                "RegistrationDateTime",
                "batching",
                "next",
            ])
            .prop_map(str::to_owned),
            ".{0,6}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!("Finished_ok")),
            Just(json!("2026-11-22T09:05:19.290220+00:00")),
            Just(json!("https://example.org/a.zip")),
        ];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..8)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_the_helpers_panic(value in any_json()) {
            text(Some(&value));
            texts(Some(&value));
            whole_number(Some(&value));
            number(Some(&value));
            items(Some(&value));
            moment(Some(&value));
        }
    }

    #[test]
    fn choices_strings_and_numbers_are_texts() {
        assert_eq!(text(Some(&json!({"title": null, "token": "Grid"}))).as_deref(), Some("Grid"));
        assert_eq!(text(Some(&json!({"title": "Geotiff", "token": "g"}))).as_deref(), Some("Geotiff"));
        assert_eq!(text(Some(&json!({"title": "", "token": "g"}))).as_deref(), Some("g"));
        assert_eq!(text(Some(&json!(2018))).as_deref(), Some("2018"));
        assert_eq!(text(Some(&json!(" (SEASON 2) x"))).as_deref(), Some(" (SEASON 2) x"));
        assert_eq!(text(Some(&json!("  "))), None);
        assert_eq!(text(Some(&json!(null))), None);
        assert_eq!(text(None), None);
    }

    #[test]
    fn numbers_come_as_text_too() {
        assert_eq!(whole_number(Some(&json!("9266860"))), Some(9_266_860));
        assert_eq!(whole_number(Some(&json!(12.0))), Some(12));
        assert_eq!(whole_number(Some(&json!(-1))), None);
        assert_eq!(number(Some(&json!("-31.5"))), Some(-31.5));
        assert_eq!(number(Some(&json!("nan"))), None);
        assert_eq!(number(Some(&json!(""))), None);
    }

    #[test]
    fn lists_are_found_in_every_shape() {
        let (one, two) = (json!({"@id": "1"}), json!({"@id": "2"}));
        for list in [json!([one, two]), json!({"items": [one, two]}), json!({"items": {"0": one, "1": two}})]
        {
            assert_eq!(items(Some(&list)), [&one, &two], "{list}");
        }
        assert_eq!(items(Some(&json!({"items": one}))), [&one]);
        for none in
            [json!(null), json!(""), json!({"items": null}), json!({"items": {}}), json!({"schema": {}})]
        {
            assert!(items(Some(&none)).is_empty(), "{none}");
        }
    }

    #[test]
    fn times_with_and_without_offset_are_the_same_moment() {
        let with = parse_moment("2026-11-22T09:05:19.290220+00:00").unwrap();
        assert_eq!(parse_moment("2026-11-22T09:05:19.290220"), Some(with));
        assert_eq!(parse_moment("2026-11-22T10:05:19.290220+01:00"), Some(with));
        assert_eq!(parse_moment("2018-01-01"), parse_moment("2018-01-01T00:00:00Z"));
        assert_eq!(parse_moment("yesterday"), None);
        let whole = parse_moment("2026-11-22T09:05:19Z").unwrap();
        for text in ["Sun, 22 Nov 2026 09:05:19 GMT", "2026-11-22 09:05:19 UTC", "2026-11-22 09:05:19Z"] {
            assert_eq!(parse_moment(text), Some(whole), "{text}");
        }
        for number in [json!(whole.as_second()), json!(whole.as_millisecond())] {
            assert_eq!(moment(Some(&number)), Some(whole), "{number}");
        }
        for none in [json!(0), json!(-1), json!(1e300), json!(true), json!(null)] {
            assert_eq!(moment(Some(&none)), None, "{none}");
        }
    }

    #[test]
    fn fields_are_found_in_any_spelling_and_the_documented_one_goes_first() {
        let fields = json!({"download_url": 1, "STATUS": 2, "TaskID": 3, "taskid": 4});
        let get = |name: &str| field(fields.as_object().unwrap(), name).and_then(Value::as_u64);
        assert_eq!(
            ["DownloadURL", "Status", "TaskID", "FileSize"].map(get),
            [Some(1), Some(2), Some(3), None]
        );
    }
}
