//! Layers of a package that are one thing at several dates. Pure: names only.
//!
//! Dates are whole words of a name: `20210101`, `202101010000`, `20210101T103000`, `2021-01-01`
//! (or with `_` or `.`). Layers whose paths are
//! equal apart from dates (and from the place of a tile) are one series. Years alone are no dates: products of
//! different years are different products. Nor is what stands behind a release (`_V01_R00_20240101`): that is when a
//! file was made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::discover::{Layer, stem, without_place};

/// The same layer at one or several dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    /// Stem of its name; without dates when there are several.
    pub(super) stem: String,
    /// Its dates, ascending; a single one may have none.
    pub(super) steps: Vec<Step>,
}

/// One date of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The date that its path tells.
    pub(super) date: Option<Timestamp>,
    /// Its files.
    pub(super) layer: Layer,
}

/// Puts the layers of a package together that are one series.
pub(super) fn series(layers: Vec<Layer>) -> Vec<Series> {
    // By the name without versions, then by that with them.
    let mut by_key: BTreeMap<String, BTreeMap<String, Vec<Step>>> = BTreeMap::new();
    for layer in layers {
        let path = layer.files.first().map_or("", String::as_str);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let key = normal(&format!("{folder}/{}", layer.stem));
        let step = Step { date: date_of(path), layer };
        by_key.entry(without_versions(&key)).or_default().entry(key).or_default().push(step);
    }
    let mut groups: Vec<(Vec<Step>, bool)> = Vec::new();
    for by_version in by_key.into_values() {
        let all = sorted(by_version.values().flatten().cloned().collect());
        // Where a date has two versions, each version is a series of its own.
        match is_series(&all) {
            true => groups.push((all, true)),
            false => groups.extend(by_version.into_values().map(sorted).map(|steps| {
                let is_series = is_series(&steps);
                (steps, is_series)
            })),
        }
    }
    let mut series = Vec::new();
    for (steps, is_series) in groups {
        if is_series {
            let stem = without_dates(&steps[0].layer.stem).0;
            series.push(Series { stem, steps });
        } else {
            series.extend(
                steps.into_iter().map(|step| Series { stem: step.layer.stem.clone(), steps: vec![step] }),
            );
        }
    }
    // As the layers came: by the path of the first file.
    series.sort_by(|a, b| a.steps[0].layer.files.cmp(&b.steps[0].layer.files));
    series
}

fn sorted(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by(|a, b| (a.date, &a.layer.files).cmp(&(b.date, &b.layer.files)));
    steps
}

/// Whether steps in their order are several, each of another date.
fn is_series(steps: &[Step]) -> bool {
    let mut pairs = steps.windows(2);
    steps.len() > 1 && pairs.all(|pair| pair[0].date.is_some() && pair[0].date < pair[1].date)
}

/// A path without words such as `V1.0.2` and `RT6`: global products go on under a new version, and near real time
/// products are consolidated, in the middle of a series.
fn without_versions(path: &str) -> String {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = |word: &str| word.strip_prefix(['V', 'v']).is_some_and(is_number);
    let is_mode = |word: &str| word.strip_prefix("RT").is_some_and(is_number);
    let plain = |part: &str| {
        let mut kept = String::new();
        let (mut end, mut in_version) = (0, false);
        for (from, word) in words(part) {
            in_version = is_version(word) || in_version && &part[end..from] == "." && is_number(word);
            if !in_version && !is_mode(word) {
                kept.push_str(&part[end..from]);
                kept.push_str(word);
            }
            end = from + word.len();
        }
        kept + &part[end..]
    };
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

/// The date in a file's name, else that of the nearest folder that has one.
fn date_of(path: &str) -> Option<Timestamp> {
    let (folders, _) = path.rsplit_once('/').unwrap_or(("", path));
    std::iter::once(stem(path)).chain(folders.rsplit('/')).find_map(|part| without_dates(part).1)
}

/// A path without dates and places.
fn normal(path: &str) -> String {
    let plain = |part: &str| {
        let part = without_dates(part).0;
        without_place(&part).unwrap_or(part)
    };
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

/// What a band of that time is called: `2021-01-01`, or with the time of day where it is not midnight.
pub(super) fn label(time: Timestamp) -> String {
    let civil = time.to_zoned(TimeZone::UTC).datetime();
    if civil.time() == jiff::civil::Time::midnight() { civil.date().to_string() } else { time.to_string() }
}

/// A name without its dates and the separators in front of them, and the first of them.
fn without_dates(name: &str) -> (String, Option<Timestamp>) {
    let words = words(name);
    let mut plain = String::new();
    let mut first = None;
    let mut end = 0;
    let mut number = 0;
    while number < words.len() {
        let (from, word) = words[number];
        let release = number.checked_sub(1).is_some_and(|before| is_release(words[before].1));
        // `2021-01-01` is three words.
        let three = words.get(number..number + 3).filter(|three| {
            let lengths = [three[0].1.len(), three[1].1.len(), three[2].1.len()];
            let (first, second) = (name.get(from + 4..from + 5), name.get(from + 7..from + 8));
            let is_date = lengths == [4, 2, 2] && three[2].0 == from + 8 && first == second;
            is_date && matches!(first, Some("-" | "_" | "."))
        });
        let found = match three.and_then(|three| moment(&[three[0].1, three[1].1, three[2].1].concat())) {
            Some(date) => Some((date, 3)),
            None => moment(word).map(|date| (date, 1)),
        };
        if let Some((date, count)) = found.filter(|_| !release) {
            let before = &name[end..from];
            plain.push_str(before.strip_suffix(['_', '-', '.']).unwrap_or(before));
            first.get_or_insert(date);
            let (last, word) = words[number + count - 1];
            end = last + word.len();
            number += count;
        } else {
            number += 1;
        }
    }
    plain.push_str(&name[end..]);
    (plain.trim_start_matches(['_', '-']).to_owned(), first)
}

/// The runs of letters and digits of a name, with their places.
fn words(name: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in name.char_indices().chain([(name.len(), '_')]) {
        match (character.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, &name[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// `R00` of `V01_R00`.
fn is_release(word: &str) -> bool {
    word.strip_prefix(['R', 'r'])
        .is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `20210101`, `202101010000`, `20210101103000`, `20210101T103000` as a moment.
fn moment(word: &str) -> Option<Timestamp> {
    let (date, clock) = word.split_at_checked(8)?;
    let clock = clock.strip_prefix(['T', 't']).unwrap_or(clock);
    let clock = clock.strip_suffix(['Z', 'z']).unwrap_or(clock);
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(date) || !all_digits(clock) || ![0, 4, 6].contains(&clock.len()) {
        return None;
    }
    let number =
        |text: &str, from: usize| text.get(from..from + 2).map_or(Some(0), |two| two.parse::<i8>().ok());
    let year = date[..4].parse::<i16>().ok().filter(|year| (1950..=2100).contains(year))?;
    let (month, day) = (number(date, 4)?, number(date, 6)?);
    let (hour, minute, second) = (number(clock, 0)?, number(clock, 2)?, number(clock, 4)?);
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::discover;
    use super::*;

    /// Date and number of files.
    type Found = (Option<String>, usize);

    fn found(paths: &[&str]) -> Vec<(String, Vec<Found>)> {
        let files: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        series(discover::layers(&files))
            .into_iter()
            .map(|series| {
                let steps = series.steps.iter().map(|step| (step.date.map(label), step.layer.files.len()));
                (series.stem, steps.collect())
            })
            .collect()
    }

    fn step(date: &str, files: usize) -> Found {
        (Some(date.to_owned()), files)
    }

    #[test]
    fn versions_may_change_within_a_series() {
        let names = [
            "d/c_gls_LAI300-RT6_202101010000_GLOBE_OLCI_V1.1.1.tiff",
            "d/c_gls_LAI300-RT0_202101110000_GLOBE_OLCI_V1.1.2.tiff",
            "d/c_gls_LAI300_202012310000_GLOBE_OLCI_V1.0.1.tiff",
        ];
        let [(_, steps)] = found(&names).try_into().unwrap();
        assert_eq!(steps, [step("2020-12-31", 1), step("2021-01-01", 1), step("2021-01-11", 1)]);
        // A date in two versions: each version is a series.
        let names = ["x_20210101_V1.tif", "x_20210111_V1.tif", "x_20210101_V2.tif", "x_20210111_V2.tif"];
        let two = [step("2021-01-01", 1), step("2021-01-11", 1)];
        assert_eq!(found(&names), [("x_V1".to_owned(), two.to_vec()), ("x_V2".to_owned(), two.to_vec())]);
        assert_eq!(without_versions("a/V1.2/x_V101_s1_RT_RT1.VRT"), "a//x_s1_RT.VRT");
    }

    #[test]
    fn dates_in_other_spellings() {
        for names in [["x_2021_01_05.tif", "x_2021_02_15.tif"], ["x.2021.01.05.y.tif", "x.2021.02.15.y.tif"]]
        {
            assert_eq!(found(&names)[0].1, [step("2021-01-05", 1), step("2021-02-15", 1)]);
        }
        assert_eq!(found(&["x_2021_13_05.tif", "x_2021_14_15.tif"]).len(), 2);
    }

    #[test]
    fn dated_folders_are_one_series() {
        let series = found(&[
            "20210111/ST_E44N29.tif",
            "20210111/ST_E45N29.tif",
            "20210101/ST_E44N29.tif",
            "20210101/ST_E45N29.tif",
        ]);
        assert_eq!(series, [("ST".to_owned(), vec![step("2021-01-01", 2), step("2021-01-11", 2)])]);
    }

    #[test]
    fn dated_names_are_one_series() {
        let series = found(&[
            "d/VPP_20210111T103000_S2_PPI.tif",
            "d/VPP_20210101T103000_S2_PPI.tif",
            "d/VPP_20210101T103000_S2_QFLAG.tif",
            "d/VPP_20210111T103000_S2_QFLAG.tif",
        ]);
        let steps = vec![step("2021-01-01T10:30:00Z", 1), step("2021-01-11T10:30:00Z", 1)];
        assert_eq!(series, [("VPP_S2_PPI".to_owned(), steps.clone()), ("VPP_S2_QFLAG".to_owned(), steps)]);
        let series = found(&["a/x-2021-01-01.tif", "a/x-2021-02-01.tif"]);
        assert_eq!(series, [("x".to_owned(), vec![step("2021-01-01", 1), step("2021-02-01", 1)])]);
    }

    #[test]
    fn folders_with_dates_and_names_with_dates() {
        let series = found(&[
            "20210101/c_gls_X_202101010000_GLOBE_V1.0.1/c_gls_X_202101010000_GLOBE_V1.0.1.tiff",
            "20210111/c_gls_X_202101110000_GLOBE_V1.0.1/c_gls_X_202101110000_GLOBE_V1.0.1.tiff",
        ]);
        let steps = vec![step("2021-01-01", 1), step("2021-01-11", 1)];
        assert_eq!(series, [("c_gls_X_GLOBE_V1.0.1".to_owned(), steps)]);
    }

    #[test]
    fn what_only_looks_like_a_date() {
        // Years, codes, the day a file was made, one date alone.
        assert_eq!(found(&["CTY_S2020_R10m.tif", "CTY_S2021_R10m.tif"]).len(), 2);
        assert_eq!(found(&["a_99999999.tif", "a_20211301.tif"]).len(), 2);
        assert_eq!(found(&["X_E44N29_V01_R00_20240101.tif", "X_E45N29_V01_R00_20240102.tif"]).len(), 2);
        assert_eq!(found(&["x_20210101.tif"]), [("x_20210101".to_owned(), vec![step("2021-01-01", 1)])]);
        // The same date twice: nothing tells which is which.
        let twice = found(&["x_20210101_20210105.tif", "x_20210101_20210106.tif"]);
        assert_eq!(twice.len(), 2);
        assert_eq!(twice[0].0, "x_20210101_20210105");
    }

    #[test]
    fn dates_leave_no_separator_behind() {
        assert_eq!(without_dates("ST_20210101_x").0, "ST_x");
        assert_eq!(without_dates("20210101_x").0, "x");
        assert_eq!(without_dates("20210101-20210110").0, "");
        assert_eq!(without_dates("x_20210101-20210110_y").0, "x_y");
        assert_eq!(without_dates("é_20210101_ü").0, "é_ü");
        assert_eq!(without_dates("U2018_CLC2018_V2020_20u1"), ("U2018_CLC2018_V2020_20u1".to_owned(), None));
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "[0-9_.éT-]{0,40}") {
            let (plain, _) = without_dates(&name);
            prop_assert!(plain.len() <= name.len());
        }

        #[test]
        fn every_file_is_in_one_series(names in prop::collection::vec("(20210[1-3]0[1-3]|a|E44N29|_)(_a|_20210101)?", 1..12)) {
            let mut files: Vec<String> = names.iter().map(|name| format!("{name}.tif")).collect();
            files.sort();
            files.dedup();
            let mut seen: Vec<String> = series(discover::layers(&files))
                .into_iter()
                .flat_map(|series| series.steps)
                .flat_map(|step| step.layer.files)
                .collect();
            seen.sort();
            prop_assert_eq!(seen, files);
        }
    }
}
