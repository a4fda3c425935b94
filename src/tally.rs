//! Counts of what happens while a mount runs: a relaxed atomic addition each, cheap enough for every read.
//!
//! Whoever counts knows nothing of metrics; `control::metrics` looks at the counts when it is asked. Below all floors.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One of a few words that tell counts apart. There is no count for a name that comes from outside.
pub trait Label: Copy + Send + Sync + 'static {
    /// All of them, in the order of [`Label::place`].
    const ALL: &'static [Self];

    /// The word, as metrics write it.
    fn word(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn place(self) -> usize;
}

/// All words of a label.
pub fn words<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|label| label.word()).collect()
}

/// Makes an enum a [`Label`]: each variant with its word.
macro_rules! label {
    ($(#[$about:meta])* $visibility:vis enum $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name { $($(#[$what])* $variant,)+ }

        impl $crate::tally::Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use label;

/// A count.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts one more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more, until what is returned is dropped.
    pub fn enter(&self) -> Present<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Present(self)
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts in a [`Level`] as long as it lives.
#[derive(Debug)]
pub struct Present<'a>(&'a Level);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A count for each word of a label.
pub struct Tally<L> {
    counts: Box<[Count]>,
    label: PhantomData<fn() -> L>,
}

impl<L: Label> Default for Tally<L> {
    fn default() -> Self {
        Self { counts: L::ALL.iter().map(|_| Count::default()).collect(), label: PhantomData }
    }
}

impl<L: Label> fmt::Debug for Tally<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.read()).finish()
    }
}

impl<L: Label> Tally<L> {
    /// Counts one more.
    pub fn one(&self, label: L) {
        self.counts[label.place()].one();
    }

    /// How many there were.
    pub fn get(&self, label: L) -> u64 {
        self.counts[label.place()].get()
    }

    /// Every word and its count.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        L::ALL.iter().map(move |label| (label.word(), self.get(*label)))
    }
}

/// A count for each pair of words.
pub struct Grid<A, B> {
    rows: Box<[Tally<B>]>,
    label: PhantomData<fn() -> A>,
}

impl<A: Label, B: Label> Default for Grid<A, B> {
    fn default() -> Self {
        Self { rows: A::ALL.iter().map(|_| Tally::default()).collect(), label: PhantomData }
    }
}

impl<A: Label, B: Label> fmt::Debug for Grid<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(A::ALL.iter().map(|row| (row.word(), &self.rows[row.place()]))).finish()
    }
}

impl<A: Label, B: Label> Grid<A, B> {
    /// Counts one more.
    pub fn one(&self, row: A, column: B) {
        self.rows[row.place()].one(column);
    }

    /// Every pair and its count.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let row = move |row: &A| {
            let word = row.word();
            self.rows[row.place()].read().map(move |(column, count)| (word, column, count))
        };
        A::ALL.iter().flat_map(row)
    }
}

/// How long things took, in classes of seconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: what took longer than the last.
    classes: Box<[Count]>,
    milliseconds: Count,
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// Upper bound in seconds, and how many took at most so long; the last bound is infinite, its count that of all.
    pub up_to: Vec<(f64, u64)>,
    /// Seconds of all together.
    pub sum: f64,
}

impl Histogram {
    /// With these upper bounds in seconds, in rising order.
    pub fn new(bounds: &'static [u64]) -> Self {
        let classes = (0..=bounds.len()).map(|_| Count::default()).collect();
        Self { bounds, classes, milliseconds: Count::default() }
    }

    /// Counts one that took so long.
    pub fn took(&self, time: Duration) {
        let class = self.bounds.iter().position(|bound| time <= Duration::from_secs(*bound));
        self.milliseconds.add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.classes[class.unwrap_or(self.bounds.len())].one();
    }

    /// What it holds now. The count of all is made of the classes, so that the two never disagree.
    pub fn read(&self) -> Classes {
        let bounds = self.bounds.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
        let mut so_far = 0;
        let up_to = bounds.zip(&self.classes).map(|(bound, class)| {
            so_far += class.get();
            (bound, so_far)
        });
        Classes { up_to: up_to.collect(), sum: self.milliseconds.get() as f64 / 1000.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    label! {
        /// For the test.
        enum Fruit {
            /// One.
            Apple = "apple",
            /// The other.
            Pear = "pear",
        }
    }

    #[test]
    fn every_word_has_its_count() {
        let (tally, grid) = (Tally::default(), Grid::default());
        tally.one(Fruit::Pear);
        tally.one(Fruit::Pear);
        grid.one(Fruit::Pear, Fruit::Apple);
        assert_eq!(tally.read().collect::<Vec<_>>(), [("apple", 0), ("pear", 2)]);
        let filled: Vec<_> = grid.read().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!((filled, grid.read().count()), (vec![("pear", "apple", 1)], 4));
        assert_eq!(words::<Fruit>(), ["apple", "pear"]);
    }

    #[test]
    fn classes_count_what_took_at_most_so_long() {
        let histogram = Histogram::new(&[1, 10]);
        for milliseconds in [500, 1000, 1001, 20_000] {
            histogram.took(Duration::from_millis(milliseconds));
        }
        let read = histogram.read();
        assert_eq!(read.up_to, [(1.0, 2), (10.0, 3), (f64::INFINITY, 4)]);
        assert!((read.sum - 22.501).abs() < 1e-9);
    }

    #[test]
    fn a_level_falls_again() {
        let level = Level::default();
        let present = level.enter();
        assert_eq!(level.get(), 1);
        drop(present);
        assert_eq!(level.get(), 0);
    }
}
