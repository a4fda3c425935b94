//! Tables, sizes, times and bars for people.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use console::measure_text_width;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::ByteSize;
use crate::fetch::state::{ProductState, Progress};

/// Width that every table keeps to.
pub(super) const WIDTH: usize = 80;

/// Prints a line for whoever still reads; verbs that serve others go on when nobody does (`println!` panics then).
pub(super) fn say(line: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a complaint on standard error, for whoever still reads.
pub(super) fn complain(line: Arguments<'_>) {
    // messages about configuration files have several lines
    let line = line.to_string();
    let lines: Vec<String> = line.split('\n').map(printable).collect();
    let _ = writeln!(std::io::stderr(), "clmsfs: {}", lines.join("\n"));
}

/// Whether a stream shows colours: where a person sees them and has not declined (<https://no-color.org>).
pub(super) fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

/// The text in lines of at most so many columns, broken between words; a longer word is a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if measure_text_width(line) + 1 + measure_text_width(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Prints rows under headings; the column `flexible` is cut so that a line fits.
///
/// Control characters of foreign names never reach the terminal.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>], flexible: usize) {
    for line in table_lines(headings, rows, flexible, terminal_width()) {
        println!("{line}");
    }
}

/// The width that a table has to keep to: only where a person looks; in a pipe nothing is cut.
pub(super) fn terminal_width() -> Option<usize> {
    std::io::stdout().is_terminal().then_some(WIDTH)
}

/// The lines of a [`table`], the headings in front.
pub(super) fn table_lines(
    headings: &[&str],
    rows: &[Vec<String>],
    flexible: usize,
    limit: Option<usize>,
) -> Vec<String> {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let printable_row = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows.iter().map(printable_row)).collect();
    let width = |column: usize| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    if let Some(limit) = limit {
        let others: usize =
            widths.iter().enumerate().filter(|(i, _)| *i != flexible).map(|(_, w)| w + 2).sum();
        widths[flexible] = widths[flexible].min(limit.saturating_sub(others).max(12));
    }
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cut(cell, *width);
            text.push_str(&cell);
            text.push_str(&" ".repeat(width.saturating_sub(measure_text_width(&cell)) + 2));
        }
        let text = text.trim_end();
        limit.map_or_else(|| text.to_owned(), |limit| cut(text, limit))
    };
    rows.iter().map(line).collect()
}

/// A text that is too wide loses its middle: the ends of product names tell them apart.
pub(super) fn cut(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = taken(text.chars(), room.div_ceil(2));
    let tail: String = taken(text.chars().rev(), room / 2).chars().rev().collect();
    if width == 0 { String::new() } else { format!("{head}…{tail}") }
}

/// As many letters as are no wider than `room` together.
fn taken(letters: impl Iterator<Item = char>, room: usize) -> String {
    let mut text = String::new();
    for letter in letters {
        let before = text.len();
        text.push(letter);
        if measure_text_width(&text) > room {
            text.truncate(before);
            break;
        }
    }
    text
}

pub(super) use crate::text::printable;

/// A document for programs, and for the people who look at what these get.
///
/// # Errors
/// A value that JSON cannot say.
pub(super) fn json(value: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(crate::text::harmless_json)
}

/// The same in one line.
///
/// # Errors
/// A value that JSON cannot say.
pub(super) fn json_line(value: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<String> {
    serde_json::to_string(value).map(crate::text::harmless_json)
}

/// Bytes as people write them.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).rounded()
}

/// A budget as it was configured.
pub(super) fn budget(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// How long ago, from milliseconds since 1970.
pub(super) fn ago(then: u64) -> String {
    let seconds = crate::fetch::now().saturating_sub(then) / 1000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `converting 42 %, 3 s left`.
pub(super) fn describe(progress: &Progress) -> String {
    let mut text = progress.state.to_string();
    if let Some(fraction) = progress.fraction.filter(|_| progress.state.is_under_way()) {
        text.push_str(&format!(" {:.0} %", fraction * 100.0));
    }
    if let Some(eta) = progress.eta.filter(|_| progress.state.is_under_way()) {
        text.push_str(&format!(", {eta} s left"));
    }
    text
}

/// Bars for fetches: on a terminal only.
pub(super) struct Bars {
    bars: MultiProgress,
}

impl Bars {
    /// Draws on standard error, or nowhere.
    pub(super) fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// A bar for one product.
    pub(super) fn add(&self, name: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(1000));
        let style = ProgressStyle::with_template("{prefix:32!} {bar:24} {msg}").expect("a constant template");
        bar.set_style(style);
        let name = printable(name);
        let tail: String = name.chars().rev().take(32).collect::<Vec<_>>().into_iter().rev().collect();
        bar.set_prefix(tail);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Shows a fetch on its bar.
pub(super) fn show(bar: &ProgressBar, progress: &Progress) {
    let position = match progress.state {
        ProductState::Ready => 1000,
        _ => progress.fraction.map_or(0, |fraction| (fraction * 1000.0) as u64),
    };
    bar.set_position(position);
    let mut text = describe(progress);
    if let (ProductState::Downloading, Some((done, total))) = (progress.state, progress.bytes) {
        let total = total.map(|total| format!(" of {}", size(total))).unwrap_or_default();
        let speed = progress.speed.map(|speed| format!(", {}/s", size(speed))).unwrap_or_default();
        let eta = progress.eta.map(|eta| format!(", {eta} s left")).unwrap_or_default();
        text = format!("downloading {}{total}{speed}{eta}", size(done));
    }
    bar.set_message(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrapped("Ærø på ny", 6), ["Ærø på", "ny"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn sizes_and_names_are_readable() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(cut("abcdef", 4), "ab…f");
        assert_eq!((cut("abc", 3), cut("abc", 1), cut("abc", 0)), ("abc".into(), "…".into(), String::new()));
        assert_eq!(cut("日本語です", 6), "日…す");
    }

    #[test]
    fn tables_keep_to_their_width() {
        let rows = vec![vec!["clc2018/a_very_long_product_name".to_owned(), "ready".to_owned()]];
        let lines = table_lines(&["PRODUCT", "STATE"], &rows, 0, Some(24));
        assert_eq!(lines, ["PRODUCT            STATE", "clc2018/…uct_name  ready"]);
        assert!(table_lines(&["PRODUCT", "STATE"], &rows, 0, None)[1].contains("very_long"));
    }
}
