//! How the cache's budget is used: as a picture, and the same facts as a table, in the order of eviction.

use maud::{Markup, html};

use super::super::actions::Action;
use super::act::{self, Button};
use super::page::{Here, Page};
use super::site::Site;
use super::words::{count, moment, product_address, shown, size};
use crate::store::inventory::{Holding, Usage};
use crate::store::layout::EntryKey;
use crate::vfs::Vfs;

/// Lines of one page of the table.
const LINES: usize = 100;
/// Entries that the picture draws one by one; the rest of a kind is drawn as one.
const DRAWN: usize = 60;
/// Width of the picture in its own units.
const WIDTH: f64 = 1000.0;

/// What is to become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its place in the order of eviction, from 1.
    Goes(usize),
    /// Somebody reads it.
    InUse(usize),
    /// The user keeps it.
    Pinned,
}

impl Standing {
    fn in_words(self) -> String {
        match self {
            Self::Goes(1) => "goes next".to_owned(),
            Self::Goes(place) => format!("goes as number {place}"),
            Self::InUse(readers) => format!("in use by {}", count(readers, "reader", "readers")),
            Self::Pinned => "pinned".to_owned(),
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Goes(1) => "next",
            Self::Goes(_) => "goes",
            Self::InUse(_) => "in-use",
            Self::Pinned => "pinned",
        }
    }
}

/// An entry and what is to become of it.
struct Line {
    holding: Holding,
    standing: Standing,
}

/// The name of an entry. Only those that are shown are asked for: each is a question to the ledger.
fn name(vfs: &Vfs, key: &EntryKey) -> String {
    vfs.engine().ledger().path_of(key).ok().flatten().unwrap_or_else(|| key.to_string())
}

/// The entries: those that may go first, in the order in which they would, then those in use, then pinned ones.
fn lines(vfs: &Vfs) -> Vec<Line> {
    let mut lines: Vec<Line> = standings(vfs.engine().inventory().holdings()).collect();
    lines.sort_by_key(|line| match line.standing {
        Standing::Goes(place) => (0, place),
        Standing::InUse(_) => (1, 0),
        Standing::Pinned => (2, 0),
    });
    lines
}

/// `holdings` are sorted as eviction takes them.
fn standings(holdings: Vec<Holding>) -> impl Iterator<Item = Line> {
    let mut place = 0;
    holdings.into_iter().map(move |holding| {
        let standing = if holding.pinned {
            Standing::Pinned
        } else if holding.is_held() {
            Standing::InUse(holding.readers)
        } else {
            place += 1;
            Standing::Goes(place)
        };
        Line { holding, standing }
    })
}

/// A part of the picture.
#[derive(Debug, PartialEq)]
struct Part {
    class: &'static str,
    bytes: u64,
    title: String,
}

/// The parts of the picture from left to right. Together they are the budget, or what is used where that is more.
fn parts(lines: &[Line], usage: Usage, name: impl Fn(&EntryKey) -> String) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (class, bytes) = (line.standing.class(), line.holding.bytes);
        match parts.last_mut().filter(|part| number >= DRAWN && part.class == class) {
            Some(rest) => {
                rest.bytes += bytes;
                rest.title = format!("more: {}", size(rest.bytes));
            }
            None => {
                let name = name(&line.holding.key);
                let title = format!("{}: {}, {}", shown(&name), size(bytes), line.standing.in_words());
                parts.push(Part { class, bytes, title });
            }
        }
    }
    let mut more = |class, bytes: u64, what: &str| {
        if bytes > 0 {
            parts.push(Part { class, bytes, title: format!("{what}: {}", size(bytes)) });
        }
    };
    more("reserved", usage.reserved, "set aside for fetches");
    more("books", usage.books, "ledger and catalogue");
    more("free", usage.limit.saturating_sub(usage.total()), "free");
    parts
}

/// The picture with its legend.
fn picture(vfs: &Vfs, lines: &[Line], usage: Usage) -> Markup {
    let parts = parts(lines, usage, |key| name(vfs, key));
    let whole = parts.iter().map(|part| part.bytes).sum::<u64>().max(1) as f64;
    let mut at = 0.0;
    let placed = parts.iter().map(|part| {
        let width = part.bytes as f64 / whole * WIDTH;
        at += width;
        (part, at - width, width)
    });
    let sum =
        |class: &str| -> u64 { parts.iter().filter(|part| part.class == class).map(|part| part.bytes).sum() };
    let legend = [
        ("next", "goes next"),
        ("goes", "may go, least recently used first"),
        ("in-use", "in use"),
        ("pinned", "pinned"),
        ("reserved", "set aside for fetches"),
        ("books", "ledger and catalogue"),
        ("free", "free"),
    ];
    let text = format!(
        "{} of {} used: {}",
        size(usage.total()),
        size(usage.limit),
        legend.map(|(class, words)| format!("{} {words}", size(sum(class)))).join(", ")
    );
    html! {
        svg.picture viewBox="0 0 1000 36" preserveAspectRatio="none" role="img" aria-label=(text) {
            @for (part, x, width) in placed {
                rect class=(part.class) x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="36" {
                    title { (part.title) }
                }
            }
        }
        ul.legend {
            @for (class, words) in legend {
                @if sum(class) > 0 {
                    li { span class={ "swatch " (class) } {} (words) " " b { (size(sum(class))) } }
                }
            }
        }
    }
}

/// The entries `from` on as a table.
fn table(site: &Site, vfs: &Vfs, lines: &[Line], caption: &str, from: &str) -> Markup {
    html! {
        table.entries {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { "Product" }
                    th.number scope="col" { "Size" }
                    th.wide scope="col" { "Last used" }
                    th scope="col" { "Eviction" }
                    th scope="col" { span.heard { "Actions" } }
                }
            }
            tbody {
                @for line in lines {
                    @let path = name(vfs, &line.holding.key);
                    tr {
                        th scope="row" { a href=(product_address(&path)) { (shown(&path)) } }
                        td.number { (size(line.holding.bytes)) }
                        td.wide { (moment(line.holding.last_use)) }
                        td { span class={ "swatch " (line.standing.class()) } {} (line.standing.in_words()) }
                        td { (act::buttons(site, &path, Some(&path), from, choices(line.standing))) }
                    }
                }
            }
        }
    }
}

fn choices(standing: Standing) -> &'static [Button] {
    match standing {
        Standing::Goes(_) => &[(Action::Pin, "Pin"), (Action::Evict, "Evict")],
        Standing::InUse(_) => &[(Action::Pin, "Pin")],
        Standing::Pinned => &[(Action::Unpin, "Unpin")],
    }
}

/// The cache in short: the picture, and the `few` entries that would go first.
pub(super) fn summary(site: &Site, vfs: &Vfs, few: usize) -> Markup {
    let usage = vfs.engine().inventory().usage();
    let lines = lines(vfs);
    let first = lines.iter().take_while(|line| matches!(line.standing, Standing::Goes(_))).count().min(few);
    html! {
        p { (used(usage)) " by " (count(lines.len(), "product", "products")) "." }
        (picture(vfs, &lines, usage))
        @if first > 0 {
            (table(site, vfs, &lines[..first], "What would be evicted next, in this order", "overview"))
        }
        p { a href="/cache" { "All of the cache" } }
    }
}

fn used(usage: Usage) -> String {
    let percent = usage.total() as f64 / usage.limit.max(1) as f64 * 100.0;
    format!("{} of {} used ({percent:.0} %)", size(usage.total()), size(usage.limit))
}

/// `/cache`: everything, a page at a time.
pub(super) fn page(site: &Site, vfs: &Vfs, from: usize, told: Option<&'static str>) -> Markup {
    let usage = vfs.engine().inventory().usage();
    let lines = lines(vfs);
    let from = from.min(lines.len().saturating_sub(1)) / LINES * LINES;
    let to = (from + LINES).min(lines.len());
    let directory = site.mounted.settings().settings.cache_dir.display().to_string();
    let caption = format!("Products in the cache, {} to {to} of {}", (from + 1).min(to), lines.len());
    let body = html! {
        h1 { "Cache" }
        p { (used(usage)) " in " code { (shown(&directory)) } "." }
        (picture(vfs, &lines, usage))
        @if lines.is_empty() {
            p.quiet { "Nothing is here yet. What is fetched stays here until room is needed." }
        } @else {
            (table(site, vfs, &lines[from..to], &caption, "cache"))
        }
        nav.pages aria-label="Parts of the table" {
            @if from > 0 { a href={ "/cache?from=" (from - LINES) } rel="prev" { "Before" } }
            @if to < lines.len() { a href={ "/cache?from=" (to) } rel="next" { "After" } }
        }
    };
    Page { title: "Cache", here: Here::Cache, view: None, told, body }.framed(site)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holding(name: &str, bytes: u64, pinned: bool, readers: usize) -> Holding {
        Holding { key: EntryKey::new(name).unwrap(), bytes, last_use: 0, pinned, readers }
    }

    #[test]
    fn what_is_held_has_no_place_in_the_order() {
        let lines = standings(vec![
            holding("open", 1, false, 2),
            holding("old", 1, false, 0),
            holding("kept", 1, true, 1),
            holding("new", 1, false, 0),
        ]);
        let words: Vec<_> = lines.map(|line| line.standing.in_words()).collect();
        assert_eq!(words, ["in use by 2 readers", "goes next", "pinned", "goes as number 2"]);
    }

    #[test]
    fn the_parts_are_the_budget_and_stay_few_and_so_do_questions_for_names() {
        let many = (0..500).map(|number| holding(&format!("k{number}"), 10, false, 0)).collect();
        let lines: Vec<_> = standings(many).collect();
        let usage = Usage { limit: 10_000, entries: 5000, reserved: 100, books: 50 };
        let asked = std::cell::Cell::new(0);
        let name = |key: &EntryKey| {
            asked.set(asked.get() + 1);
            key.to_string()
        };
        let parts = parts(&lines, usage, name);
        assert!(asked.get() <= DRAWN, "{} questions", asked.get());
        assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), 10_000);
        assert!(parts.len() <= DRAWN + 5, "{}", parts.len());
        assert_eq!(parts.last().unwrap().class, "free");
    }
}
