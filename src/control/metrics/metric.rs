//! What a metric is: everything that is to be known of it, its value included.

use std::borrow::Cow;

use super::reading::Reading;
use crate::tally::{Classes, Grid, Label, Tally, words};

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up while the mount lives.
    Counter,
    /// How long things took, in classes.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Unit of a metric: base units only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A number of things.
    Number,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// The word that documents and names use.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}

/// What may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stability {
    /// Name, labels and meaning stay as long as the first number of the release does.
    Stable,
    /// May change with any release; the changelog says so.
    Experimental,
}

impl Stability {
    /// The word of the document.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Experimental => "experimental",
        }
    }
}

/// What tells the samples of a metric apart.
pub(super) struct Dimension {
    /// Name of the label.
    pub(super) name: &'static str,
    /// Its values.
    pub(super) values: Values,
}

/// The values that a label may have. There are few: a name of a product or a user is never one.
#[derive(Clone, Copy)]
pub(super) enum Values {
    /// These.
    Words(fn() -> Vec<&'static str>),
    /// One that stays the same while the mount lives, described here.
    Fixed(&'static str),
}

/// A metric.
pub(super) struct Metric {
    /// Name, with its unit.
    pub(super) name: &'static str,
    /// Kind.
    pub(super) kind: Kind,
    /// Unit.
    pub(super) unit: Unit,
    /// What may be relied on.
    pub(super) stability: Stability,
    /// One sentence or two.
    pub(super) help: &'static str,
    /// Labels.
    pub(super) labels: &'static [Dimension],
    /// Its samples now.
    pub(super) read: fn(&Reading) -> Samples,
}

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// A whole one, written without loss.
    Whole(u64),
    /// A fraction.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// The samples of one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Samples {
    /// It cannot be known now.
    Unknown,
    /// One without labels.
    One(Value),
    /// One for each set of label values.
    Labelled(Vec<(Vec<Cow<'static, str>>, Value)>),
    /// Of a histogram.
    Classes(Classes),
}

impl Samples {
    /// A number, if it is known.
    pub(super) fn one(value: impl Into<Value>) -> Self {
        Self::One(value.into())
    }

    /// A number that may be unknown.
    pub(super) fn known<V: Into<Value>>(value: Option<V>) -> Self {
        value.map_or(Self::Unknown, Self::one)
    }

    /// A sample for each word.
    pub(super) fn tally<L: Label>(tally: &Tally<L>) -> Self {
        Self::Labelled(tally.read().map(|(word, count)| (vec![word.into()], count.into())).collect())
    }

    /// A sample for each pair of words.
    pub(super) fn grid<A: Label, B: Label>(grid: &Grid<A, B>) -> Self {
        let sample = |(row, column, count): (&'static str, &'static str, u64)| {
            (vec![row.into(), column.into()], Value::from(count))
        };
        Self::Labelled(grid.read().map(sample).collect())
    }
}

/// A label whose values are the words of `L`.
pub(super) const fn label<L: Label>(name: &'static str) -> Dimension {
    Dimension { name, values: Values::Words(words::<L>) }
}
