//! Exact statistics, computed on the fly and merged.
//!
//! Integers are summed exactly, so the order of merging does not matter. Floats keep mean and squared
//! differences per job (Chan's parallel formula) and are merged in the order of the jobs: the result does
//! not depend on how threads were scheduled.

use super::pixel::{Pixel, RowMoments, RowSums};
use super::simd::widest;
use crate::store::entry::Statistics;

/// Running statistics of valid pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Accumulator {
    count: u64,
    minimum: f64,
    maximum: f64,
    sum: i128,
    squares: u128,
    mean: f64,
    differences: f64,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self {
            count: 0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            sum: 0,
            squares: 0,
            mean: 0.0,
            differences: 0.0,
        }
    }
}

impl Accumulator {
    /// Adds a row of pixels (at most one tile wide); nodata, NaN and the infinities do not count.
    pub(super) fn add_row<T: Pixel>(&mut self, row: &[T], nodata: Option<T>) {
        let sums = sums(row, nodata);
        if sums.count == 0 {
            return;
        }
        let mut added = Self {
            count: u64::from(sums.count),
            minimum: sums.range.0.to_f64(),
            maximum: sums.range.1.to_f64(),
            ..Self::default()
        };
        match sums.moments {
            RowMoments::Exact(sum, squares) => {
                added.sum = i128::from(sum);
                added.squares = squares;
            }
            RowMoments::Centred(mean, differences) => {
                added.mean = mean;
                added.differences = differences;
            }
        }
        self.merge(&added);
    }

    /// Adds `count` pixels of one value.
    pub(super) fn add_uniform<T: Pixel>(&mut self, pixel: T, count: usize, nodata: Option<T>) {
        if !pixel.is_finite() || nodata.is_some_and(|nodata| nodata.same(pixel)) {
            return;
        }
        let value = pixel.to_f64();
        let mut added =
            Self { count: count as u64, minimum: value, maximum: value, mean: value, ..Self::default() };
        if let RowMoments::Exact(sum, squares) = T::sums(&[pixel], None).moments {
            added.sum = i128::from(sum) * count as i128;
            added.squares = squares * count as u128;
        }
        self.merge(&added);
    }

    /// Adds what another one has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let total = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count as f64 / total as f64;
        self.differences += other.differences + delta * delta * self.count as f64 * share;
        self.mean += delta * share;
        self.count = total;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The result over `pixels` pixels, `None` when none of them was valid.
    pub(super) fn finish<T: Pixel>(&self, pixels: u64) -> Option<Statistics> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f64;
        let (mean, variance) = if T::TYPE.is_float() {
            (self.mean, self.differences / count)
        } else {
            let mean = self.sum as f64 / count;
            // sum of squares - sum² / n as one exact fraction where it fits (32 bit rasters may not).
            let spread = i128::try_from(self.squares)
                .ok()
                .and_then(|squares| squares.checked_mul(i128::from(self.count)))
                .and_then(|scaled| self.sum.checked_mul(self.sum).map(|square| scaled - square));
            let variance = match spread {
                Some(spread) => spread as f64 / count / count,
                None => self.squares as f64 / count - mean * mean,
            };
            (mean, variance)
        };
        // Doubles near their own limit have no finite sum; JSON has no word for infinity.
        (mean.is_finite() && variance.is_finite()).then(|| Statistics {
            minimum: self.minimum,
            maximum: self.maximum,
            mean,
            stddev: variance.max(0.0).sqrt(),
            valid_percent: 100.0 * count / pixels as f64,
        })
    }
}

widest! {
    /// [`Pixel::sums`].
    fn sums<T: Pixel>(row: &[T], nodata: Option<T>) -> RowSums<T> = plain_sums
}

#[inline(always)]
fn plain_sums<T: Pixel>(row: &[T], nodata: Option<T>) -> RowSums<T> {
    T::sums(row, nodata)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(rows in prop::collection::vec(prop::collection::vec(any::<i16>(), 1..60), 1..9)) {
            let nodata = Some(7);
            let mut integers = Accumulator::default();
            let mut floats = Accumulator::default();
            let mut valid = Vec::new();
            for row in &rows {
                integers.add_row(row, nodata);
                floats.add_row(&row.iter().map(|&p| f32::from(p)).collect::<Vec<_>>(), Some(7.0));
                valid.extend(row.iter().filter(|&&p| p != 7).map(|&p| f64::from(p)));
            }
            let total = rows.iter().map(Vec::len).sum::<usize>() as u64;
            let Some(integer) = integers.finish::<i16>(total) else {
                prop_assert!(valid.is_empty());
                return Ok(());
            };
            let float = floats.finish::<f32>(total).unwrap();
            let (mean, stddev) = plain(&valid);
            for found in [integer, float] {
                prop_assert!((found.mean - mean).abs() < 1e-6 && (found.stddev - stddev).abs() < 1e-6);
                prop_assert!((found.valid_percent - 100.0 * valid.len() as f64 / total as f64).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn uniform_is_the_same_as_rows() {
        let mut rows = Accumulator::default();
        let mut uniform = Accumulator::default();
        for _ in 0..512 {
            rows.add_row(&[200u8; 512], Some(255));
        }
        uniform.add_uniform(200u8, 512 * 512, Some(255));
        assert_eq!(rows.finish::<u8>(1 << 18), uniform.finish::<u8>(1 << 18));
        uniform.add_uniform(255u8, 100, Some(255));
        assert_eq!(uniform.finish::<u8>(1 << 19).unwrap().valid_percent, 50.0);
        assert_eq!(Accumulator::default().finish::<f32>(10), None);
    }
}
