//! Halving a tile: the mode for classes, the nodata-aware mean for the rest.
//!
//! Every level is made from the one below it. A pixel stands for exactly 2×2 pixels of the finer level; at an
//! odd right or lower edge for the one or two that exist (the missing ones repeat those, which changes neither
//! the mode nor the mean).

use super::pixel::Pixel;
use super::simd::widest;

/// How four pixels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Most frequent valid value, the first in scan order on a tie; nodata only if all four are.
    Mode,
    /// Mean of the valid values, halves rounded up for integers; nodata (or NaN) only if none is valid.
    Mean,
}

widest! {
    /// Halves the `size` (columns, rows) pixels in the corner of `source` (rows `stride` apart) into `target`
    /// (rows `target_stride` apart).
    pub(super) fn halve<T: Pixel>(
        method: Method,
        nodata: Option<T>,
        source: &[T],
        stride: usize,
        size: (usize, usize),
        target: &mut [T],
        target_stride: usize,
    ) = halve_rows
}

#[inline(always)]
fn halve_rows<T: Pixel>(
    method: Method,
    nodata: Option<T>,
    source: &[T],
    stride: usize,
    (width, height): (usize, usize),
    target: &mut [T],
    target_stride: usize,
) {
    for (row, target) in target.chunks_mut(target_stride).take(height.div_ceil(2)).enumerate() {
        let upper = &source[2 * row * stride..][..width];
        let lower = if 2 * row + 1 < height { &source[(2 * row + 1) * stride..][..width] } else { upper };
        match (method, nodata) {
            (Method::Mode, None) => halve_row(upper, lower, target, |pixels| mode4(pixels, |_| true)),
            (Method::Mode, Some(nodata)) => {
                halve_row(upper, lower, target, |pixels| mode4(pixels, |pixel| !pixel.same(nodata)));
            }
            (Method::Mean, _) => halve_row(upper, lower, target, |pixels| mean4(pixels, nodata)),
        }
    }
}

#[inline(always)]
fn halve_row<T: Pixel>(upper: &[T], lower: &[T], target: &mut [T], reduce: impl Fn([T; 4]) -> T) {
    let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
    for (target, (up, low)) in target.iter_mut().zip(pairs) {
        *target = reduce([up[0], up[1], low[0], low[1]]);
    }
    if !upper.len().is_multiple_of(2) {
        let last = upper.len() - 1;
        target[last / 2] = reduce([upper[last], upper[last], lower[last], lower[last]]);
    }
}

/// The rules of [`Method::Mode`] as selections without branches, so that rows are computed in SIMD registers.
#[inline(always)]
fn mode4<T: Pixel>([a, b, c, d]: [T; 4], valid: impl Fn(T) -> bool) -> T {
    let mut mode = d;
    mode = if valid(c) { c } else { mode };
    mode = if valid(b) { b } else { mode };
    mode = if valid(a) { a } else { mode };
    mode = if valid(c) & (c == d) { c } else { mode };
    mode = if valid(b) & ((b == c) | (b == d)) { b } else { mode };
    if valid(a) & ((a == b) | (a == c) | (a == d)) { a } else { mode }
}

#[inline(always)]
fn mean4<T: Pixel>(pixels: [T; 4], nodata: Option<T>) -> T {
    match (T::mean4(pixels, nodata), nodata) {
        // A mean that happens to be the nodata value would turn valid pixels into a hole.
        (Some(mean), Some(nodata)) if mean.same(nodata) => {
            pixels.into_iter().find(|pixel| !pixel.same(nodata) && pixel.same(*pixel)).unwrap_or(mean)
        }
        (Some(mean), _) => mean,
        (None, Some(nodata)) => nodata,
        // Only floats have no mean without a nodata value: all four are NaN.
        (None, None) => pixels[0],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn halve_all<T: Pixel>(
        method: Method,
        nodata: Option<T>,
        source: &[T],
        width: usize,
        height: usize,
    ) -> Vec<T> {
        let mut target = vec![T::ZERO; width.div_ceil(2) * height.div_ceil(2)];
        halve(method, nodata, source, width, (width, height), &mut target, width.div_ceil(2));
        target
    }

    /// The rule in words: count, most frequent first, then earliest.
    fn plain_mode(pixels: &[u8], nodata: Option<u8>) -> u8 {
        let valid: Vec<u8> = pixels.iter().copied().filter(|&p| Some(p) != nodata).collect();
        let count = |p: u8| valid.iter().filter(|&&q| q == p).count();
        let mut best: Option<u8> = None;
        for &pixel in &valid {
            if best.is_none_or(|b| count(pixel) > count(b)) {
                best = Some(pixel);
            }
        }
        best.or(nodata).unwrap()
    }

    fn quarters(source: &[u8], width: usize, height: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let mut four = Vec::new();
                for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    if y + dy < height && x + dx < width {
                        four.push(source[(y + dy) * width + x + dx]);
                    }
                }
                all.push(four);
            }
        }
        all
    }

    proptest! {
        #[test]
        fn mode_is_the_most_frequent_valid_value(
            (width, height, source) in (1usize..40, 1usize..9).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(0u8..4, w * h))
            }),
            nodata in prop::option::of(0u8..4),
        ) {
            let expected: Vec<u8> =
                quarters(&source, width, height).iter().map(|four| plain_mode(four, nodata)).collect();
            prop_assert_eq!(halve_all(Method::Mode, nodata, &source, width, height), expected);
        }

        #[test]
        fn mean_ignores_nodata(
            (width, height, source) in (1usize..40, 1usize..9).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(any::<u8>(), w * h))
            }),
            nodata in prop::option::of(any::<u8>()),
        ) {
            let halved = halve_all(Method::Mean, nodata, &source, width, height);
            for (four, mean) in quarters(&source, width, height).iter().zip(halved) {
                let valid: Vec<u8> = four.iter().copied().filter(|&p| Some(p) != nodata).collect();
                if valid.is_empty() {
                    prop_assert_eq!(Some(mean), nodata);
                    continue;
                }
                prop_assert_ne!(Some(mean), nodata);
                let exact = valid.iter().map(|&p| f64::from(p)).sum::<f64>() / valid.len() as f64;
                let rounded = (exact + 0.5).floor();
                if Some(rounded as u8) != nodata {
                    prop_assert_eq!(f64::from(mean), rounded);
                }
            }
        }
    }

    #[test]
    fn all_nan_stays_nan() {
        let halved = halve_all(Method::Mean, None, &[f32::NAN; 4], 2, 2);
        assert!(halved[0].is_nan());
        let halved = halve_all(Method::Mean, Some(-1.0), &[f32::NAN, -1.0, -1.0, f32::NAN], 2, 2);
        assert_eq!(halved, [-1.0]);
    }
}
