//! Sizes, times and states in words, and texts of others.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::config::ByteSize;
use crate::fetch::state::{ProductState, Progress};

/// A text of others, in one line, without letters that play tricks. The template escapes it.
pub(super) fn shown(text: &str) -> String {
    crate::text::one_line(text)
}

/// Bytes as people write them.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).rounded()
}

/// `1 dataset`, `10 000 datasets`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Digits in groups of three, parted by narrow blanks that do not break.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `40 s`, `3 min`, `2 h 5 min`, `3 days`.
pub(super) fn lasting(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => match (seconds / 3600, seconds % 3600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A moment in milliseconds since 1970, as time ago or ahead, with the exact one for whoever points at it.
pub(super) fn moment(then: u64) -> Markup {
    let now = crate::fetch::now();
    let text = match now.checked_sub(then) {
        // not counted in seconds: a page that is looked at would change with each of them
        Some(past) if past < 60_000 => "less than a minute ago".to_owned(),
        Some(past) => format!("{} ago", lasting(past / 1000)),
        None => format!("in {}", lasting((then - now).div_ceil(1000))),
    };
    let exact = i64::try_from(then).ok().and_then(|then| Timestamp::from_millisecond(then).ok());
    let exact = exact.map(|exact| exact.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    html! { time datetime=[exact.as_deref()] title=[exact.as_deref()] { (text) } }
}

/// A day, in UTC.
pub(super) fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

/// What a state means.
pub(super) const fn meaning(state: ProductState) -> &'static str {
    match state {
        ProductState::Cold => "not on this machine; nothing is under way",
        ProductState::Ordered => "being ordered from the service",
        ProductState::Queued => "waiting in the service's queue",
        ProductState::Running => "being prepared by the service",
        ProductState::Downloading => "being downloaded",
        ProductState::Extracting => "being unpacked",
        ProductState::Converting => "being converted",
        ProductState::Ready => "on this machine",
        ProductState::Failed => "the last fetch brought no data",
    }
}

/// The state as a mark.
pub(super) fn mark(state: ProductState) -> Markup {
    html! { span class={ "mark " (state.as_str()) } { (state.as_str()) } }
}

/// Percent of the present state's work, when it can be known.
pub(super) fn percent(progress: &Progress) -> Option<u64> {
    progress.fraction.map(|fraction| (fraction.clamp(0.0, 1.0) * 100.0) as u64)
}

/// `being downloaded: 42 %, 1.2 MB of 3.0 MB, about 3 s left`.
pub(super) fn describe(progress: &Progress) -> String {
    let mut text = meaning(progress.state).to_owned();
    let mut facts = Vec::new();
    facts.extend(percent(progress).map(|percent| format!("{percent} %")));
    if let (ProductState::Downloading, Some((done, total))) = (progress.state, progress.bytes) {
        facts.push(match total {
            Some(total) => format!("{} of {}", size(done), size(total)),
            None => size(done),
        });
    }
    facts.extend(progress.eta.map(|seconds| format!("about {} left", lasting(seconds))));
    if !facts.is_empty() && progress.state.is_under_way() {
        text.push_str(": ");
        text.push_str(&facts.join(", "));
    }
    text
}

/// What a screen reader is told while a fetch goes on: every state, and within it every quarter.
pub(super) fn announcement(progress: &Progress) -> String {
    let quarter = percent(progress).map(|percent| percent / 25 * 25).filter(|quarter| *quarter > 0);
    match quarter.filter(|_| progress.state.is_under_way()) {
        Some(quarter) => format!("{}: {quarter} %", meaning(progress.state)),
        None => meaning(progress.state).to_owned(),
    }
}

/// One part of an address's path.
pub(super) fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The address of a dataset's page.
pub(super) fn dataset_address(dataset: &str) -> String {
    format!("/datasets/{}", segment(dataset))
}

/// The address of a product's page, from `<dataset>/<product>`; that of the catalogue when it is no such path.
pub(super) fn product_address(path: &str) -> String {
    match path.split_once('/') {
        Some((dataset, product)) => format!("/datasets/{}/{}", segment(dataset), segment(product)),
        None => "/datasets".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_are_readable() {
        for (seconds, text) in [
            (0, "0 s"),
            (89, "89 s"),
            (90, "2 min"),
            (3600, "60 min"),
            (7200, "2 h"),
            (7500, "2 h 5 min"),
            (400_000, "4 days"),
        ] {
            assert_eq!(lasting(seconds), text);
        }
        assert_eq!(count(1, "dataset", "datasets"), "1 dataset");
        assert_eq!(count(10_000, "dataset", "datasets"), "10\u{202f}000 datasets");
        assert_eq!((grouped(999), grouped(1_234_567)), ("999".into(), "1\u{202f}234\u{202f}567".into()));
    }

    #[test]
    fn progress_is_told_in_words_and_announced_by_quarters() {
        let mut progress = Progress::bare(ProductState::Downloading);
        assert_eq!(describe(&progress), "being downloaded");
        progress.fraction = Some(0.427);
        progress.bytes = Some((1_200_000, Some(3_000_000)));
        progress.eta = Some(3);
        assert_eq!(describe(&progress), "being downloaded: 42 %, 1.2 MB of 3.0 MB, about 3 s left");
        assert_eq!(announcement(&progress), "being downloaded: 25 %");
        progress.fraction = Some(0.1);
        assert_eq!(announcement(&progress), "being downloaded");
    }

    #[test]
    fn names_become_parts_of_addresses() {
        assert_eq!(segment("a b+c/d?e#f%g"), "a%20b%2Bc%2Fd%3Fe%23f%25g");
        assert_eq!(product_address("d e/p\"<q"), "/datasets/d%20e/p%22%3Cq");
        assert_eq!(product_address("no product"), "/datasets");
    }
}
