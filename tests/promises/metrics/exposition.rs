//! A strict reader of Prometheus' text format 0.0.4: what `promtool check metrics` complains of, and more, is a panic here.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample.
pub(crate) type Labels = BTreeMap<String, String>;

/// All metrics of a text, by name.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) families: BTreeMap<String, Family>,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// What follows the family's name: `_bucket`, `_sum`, `_count` or nothing.
    suffix: String,
    labels: Labels,
    value: f64,
}

impl Page {
    /// Reads a whole text.
    ///
    /// # Panics
    /// Something in it is not as it has to be; with the line.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut present: Option<String> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(is_name(name, true), "no name of a metric: {line}");
                assert!(!help.trim().is_empty(), "no help: {line}");
                let kind = lines.next().and_then(|next| next.strip_prefix(&format!("# TYPE {name} ")));
                let kind = kind.unwrap_or_else(|| panic!("no TYPE behind: {line}")).to_owned();
                assert!(["gauge", "counter", "histogram"].contains(&kind.as_str()), "no type: {kind}");
                let family = Family { help: help.to_owned(), kind, samples: Vec::new() };
                assert!(families.insert(name.to_owned(), family).is_none(), "twice: {line}");
                present = Some(name.to_owned());
                continue;
            }
            assert!(!line.starts_with('#') && !line.trim().is_empty(), "what is this: '{line}'");
            let name = present.as_ref().unwrap_or_else(|| panic!("before any HELP: {line}"));
            let (sample, full) = sample(line, name);
            let family = families.get_mut(name).unwrap();
            assert!(
                !family
                    .samples
                    .iter()
                    .any(|other| (&other.suffix, &other.labels) == (&sample.suffix, &sample.labels)),
                "the same sample twice: {line}"
            );
            assert!(full.len() >= name.len(), "{line}");
            family.samples.push(sample);
        }
        let page = Self { families };
        for (name, family) in &page.families {
            family.check(name);
        }
        page
    }

    /// The value of a sample without labels, or with exactly these.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let family = self.families.get(name).unwrap_or_else(|| panic!("no metric {name}"));
        let sample = family.samples.iter().find(|sample| sample.suffix.is_empty() && sample.labels == labels);
        sample.unwrap_or_else(|| panic!("{name} has no sample {labels:?}: {family:?}")).value
    }

    /// The sum of all samples in which a label has this value.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        let family = self.families.get(name).unwrap_or_else(|| panic!("no metric {name}"));
        let wanted =
            family.samples.iter().filter(|sample| sample.labels.get(label).is_some_and(|is| is == value));
        wanted.map(|sample| sample.value).sum()
    }

    /// How many a histogram has counted.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> f64 {
        let family = self.families.get(name).unwrap_or_else(|| panic!("no metric {name}"));
        family.samples.iter().find(|sample| sample.suffix == "_count").expect("a histogram was checked").value
    }

    /// Everything that must never fall while a mount lives: counters, and what a histogram has counted.
    pub(crate) fn rising(&self) -> BTreeMap<(String, Labels), f64> {
        let rising = self.families.iter().filter(|(_, family)| family.kind != "gauge");
        let samples = rising.flat_map(|(name, family)| {
            family
                .samples
                .iter()
                .map(move |sample| ((name.clone() + &sample.suffix, sample.labels.clone()), sample.value))
        });
        samples.collect()
    }
}

impl Family {
    /// Names of the labels, without the bounds of histograms.
    pub(crate) fn labels(&self) -> BTreeSet<&str> {
        let names = self.samples.iter().flat_map(|sample| sample.labels.keys());
        names.map(String::as_str).filter(|name| *name != "le").collect()
    }

    /// The values that a label has.
    pub(crate) fn values(&self, label: &str) -> BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }

    fn check(&self, name: &str) {
        assert!(!self.samples.is_empty(), "{name} has no sample");
        assert_eq!(name.ends_with("_total"), self.kind == "counter", "{name} is a {}", self.kind);
        for sample in &self.samples {
            assert!(self.kind == "gauge" || sample.value >= 0.0, "{name}: {sample:?}");
            assert_eq!(!sample.suffix.is_empty(), self.kind == "histogram", "{name}: {sample:?}");
            assert_eq!(sample.labels.contains_key("le"), sample.suffix == "_bucket", "{name}: {sample:?}");
        }
        if self.kind != "histogram" {
            return;
        }
        let mut last = (f64::NEG_INFINITY, 0.0);
        for bucket in self.samples.iter().filter(|sample| sample.suffix == "_bucket") {
            let bound = number(&bucket.labels["le"]).unwrap_or_else(|| panic!("{name}: {bucket:?}"));
            assert!(bound > last.0 && bucket.value >= last.1, "{name}: not in order: {bucket:?}");
            last = (bound, bucket.value);
        }
        let one = |suffix: &str| {
            let found: Vec<_> = self.samples.iter().filter(|sample| sample.suffix == suffix).collect();
            assert_eq!(found.len(), 1, "{name}{suffix}");
            found[0].value
        };
        assert_eq!(last, (f64::INFINITY, one("_count")), "{name}: the last bucket is of all");
        assert!(one("_sum").is_finite(), "{name}");
    }
}

/// A line `name{label="value"} 1`, of the metric `family`.
fn sample(line: &str, family: &str) -> (Sample, String) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let name = &line[..end];
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("not of {family}: {line}"));
    assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "not of {family}: {line}");
    let mut labels = Labels::new();
    let mut rest = &line[end..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label, false) && !label.starts_with("__"), "no name of a label: {line}");
            let (value, behind) = unescaped(value).unwrap_or_else(|| panic!("no end of a label: {line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "a label twice: {line}");
            match behind.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = behind.strip_prefix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').and_then(number).unwrap_or_else(|| panic!("no number: {line}"));
    (Sample { suffix: suffix.to_owned(), labels, value }, name.to_owned())
}

/// A label's value up to its quote, and what comes behind.
fn unescaped(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            other => value.push(other),
        }
    }
    None
}

/// A value; no timestamp may follow.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

fn is_name(text: &str, of_a_metric: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (of_a_metric && c == ':');
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// What is wrong with each of these, the reader must notice.
#[test]
fn a_text_that_is_not_sound_is_noticed() {
    const SOUND: &str = "# HELP a_total A.\n# TYPE a_total counter\na_total{of=\"x\\\"\\\\\\n\"} 1\na_total{of=\"y\"} 2\n\
        # HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n";
    let page = Page::read(SOUND);
    assert_eq!(page.value("a_total", &[("of", "x\"\\\n")]), 1.0);
    assert_eq!((page.count("h"), page.rising().len(), page.sum("a_total", "of", "y")), (3.0, 6, 2.0));
    let broken = [
        ("a_total{of=\"y\"} 2\n", "a_total{of=\"y\"} 2\na_total{of=\"y\"} 3\n"),
        ("a_total{of=\"y\"} 2\n", "b{of=\"y\"} 2\n"),
        ("{of=\"y\"} 2", "{of=\"y\"} two"),
        ("{of=\"y\"} 2", "{of=\"y\"} 2 1700000000"),
        ("{of=\"y\"} 2", "{of=\"y} 2"),
        ("{of=\"y\"} 2", "{of=\"\\y\"} 2"),
        ("{of=\"y\"} 2", "{0f=\"y\"} 2"),
        ("{of=\"y\"} 2", "{of=\"y\",of=\"z\"} 2"),
        ("{of=\"y\"} 2", "{of=\"y\"} -2"),
        ("# TYPE a_total counter\n", ""),
        ("# TYPE a_total counter\n", "# TYPE a_total gauge\n"),
        ("# TYPE a_total counter\n", "# TYPE a_total number\n"),
        ("# HELP h H.", "# HELP h "),
        ("# HELP h H.\n# TYPE h histogram\n", "# HELP a_total A.\n# TYPE a_total counter\n"),
        ("h_bucket{le=\"+Inf\"} 3\n", ""),
        ("h_count 3", "h_count 4"),
        ("h_sum 4.5\n", ""),
        ("le=\"1\"} 1", "le=\"1\"} 4"),
        ("h_count 3\n", "h_count 3"),
        ("h_count 3\n", "h_count 3\n\n"),
    ];
    for (sound, wrong) in broken {
        assert!(SOUND.contains(sound), "{sound}");
        let text = SOUND.replacen(sound, wrong, 1);
        assert!(std::panic::catch_unwind(|| Page::read(&text)).is_err(), "not noticed:\n{text}");
    }
}
