//! The eight pixel types as one trait, so that the pipeline is written once.

use crate::store::entry::{Number, PixelType};

#[cfg(target_endian = "big")]
compile_error!("tiles are written little-endian straight from memory; big-endian machines are not supported");

/// A pixel of one of the eight types of [`PixelType`].
pub(super) trait Pixel:
    Copy + PartialEq + PartialOrd + Send + Sync + std::fmt::Debug + 'static
{
    /// The type.
    const TYPE: PixelType;
    /// Zero.
    const ZERO: Self;

    /// `value` if this type can hold it without loss (floats: after rounding to the type).
    fn exact(value: f64) -> Option<Self>;
    /// As a double; lossless for all eight types.
    fn to_f64(self) -> f64;
    /// Equal as values, NaN equal to NaN.
    fn same(self, other: Self) -> bool;
    /// False for NaN and the infinities.
    fn is_finite(self) -> bool;
    /// Mean of the valid ones of four pixels, halves rounded up for integers; `None` if none is valid.
    fn mean4(pixels: [Self; 4], nodata: Option<Self>) -> Option<Self>;
    /// Sums of the finite pixels of a row that are not `nodata`.
    fn sums(row: &[Self], nodata: Option<Self>) -> RowSums<Self>;
}

/// What one row contributes to the statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RowSums<T> {
    /// Valid pixels.
    pub(super) count: u32,
    /// Smallest and largest valid pixel, meaningless when `count` is 0.
    pub(super) range: (T, T),
    /// Sum and sum of squares.
    pub(super) moments: RowMoments,
}

/// Exact for integers; for floats about the row's own mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RowMoments {
    /// Sum and sum of squares.
    Exact(i64, u128),
    /// Mean, and sum of squared differences from it.
    Centred(f64, f64),
}

macro_rules! integer_pixel {
    ($type:ty, $pixel:ident, $wide:ty, $square:ty) => {
        impl Pixel for $type {
            const TYPE: PixelType = PixelType::$pixel;
            const ZERO: Self = 0;

            fn exact(value: f64) -> Option<Self> {
                (value >= f64::from(<$type>::MIN) && value <= f64::from(<$type>::MAX) && value.fract() == 0.0)
                    .then_some(value as $type)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn same(self, other: Self) -> bool {
                self == other
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                true
            }

            #[inline(always)]
            fn mean4(pixels: [Self; 4], nodata: Option<Self>) -> Option<Self> {
                let Some(nodata) = nodata else {
                    let sum: $wide = pixels.iter().map(|&pixel| <$wide>::from(pixel)).sum();
                    return Some(((sum + 2) >> 2) as $type);
                };
                let (mut sum, mut count): ($wide, $wide) = (0, 0);
                for pixel in pixels {
                    let valid = <$wide>::from(pixel != nodata);
                    sum += <$wide>::from(pixel) * valid;
                    count += valid;
                }
                let mean = match count {
                    4 => (sum + 2) >> 2,
                    0 => return None,
                    _ => (2 * sum + count).div_euclid(2 * count),
                };
                Some(mean as $type)
            }

            #[inline(always)]
            fn sums(row: &[Self], nodata: Option<Self>) -> RowSums<Self> {
                let (mut low, mut high) = (<$type>::MAX, <$type>::MIN);
                let (mut sum, mut squares, mut count): ($wide, $square, u32) = (0, 0, 0);
                match nodata {
                    None => {
                        for &pixel in row {
                            low = low.min(pixel);
                            high = high.max(pixel);
                            sum += <$wide>::from(pixel);
                            let magnitude = <$square>::from(pixel.abs_diff(0));
                            squares += magnitude * magnitude;
                        }
                        count = row.len() as u32;
                    }
                    Some(nodata) => {
                        for &pixel in row {
                            let valid = pixel != nodata;
                            low = low.min(if valid { pixel } else { <$type>::MAX });
                            high = high.max(if valid { pixel } else { <$type>::MIN });
                            let pixel = if valid { pixel } else { 0 };
                            sum += <$wide>::from(pixel);
                            let magnitude = <$square>::from(pixel.abs_diff(0));
                            squares += magnitude * magnitude;
                            count += u32::from(valid);
                        }
                    }
                }
                RowSums {
                    count,
                    range: (low, high),
                    moments: RowMoments::Exact(i64::from(sum), u128::from(squares)),
                }
            }
        }
    };
}

// Rows are at most one tile wide (512 pixels): the accumulators below cannot overflow.
integer_pixel!(u8, UInt8, i32, u32);
integer_pixel!(i8, Int8, i32, u32);
integer_pixel!(u16, UInt16, i64, u64);
integer_pixel!(i16, Int16, i64, u64);
integer_pixel!(u32, UInt32, i64, u128);
integer_pixel!(i32, Int32, i64, u128);

macro_rules! float_pixel {
    ($type:ty, $pixel:ident) => {
        impl Pixel for $type {
            const TYPE: PixelType = PixelType::$pixel;
            const ZERO: Self = 0.0;

            fn exact(value: f64) -> Option<Self> {
                let rounded = value as $type;
                (rounded.is_finite() || !value.is_finite()).then_some(rounded)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn same(self, other: Self) -> bool {
                self == other || (self.is_nan() & other.is_nan())
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                <$type>::is_finite(self)
            }

            #[inline(always)]
            fn mean4(pixels: [Self; 4], nodata: Option<Self>) -> Option<Self> {
                let nodata = nodata.unwrap_or(<$type>::NAN);
                let (mut sum, mut count) = (0.0_f64, 0.0_f64);
                for pixel in pixels {
                    let valid = !pixel.is_nan() & (pixel != nodata);
                    sum += if valid { f64::from(pixel) } else { 0.0 };
                    count += if valid { 1.0 } else { 0.0 };
                }
                (count > 0.0).then(|| (sum / count) as $type)
            }

            #[inline(always)]
            fn sums(row: &[Self], nodata: Option<Self>) -> RowSums<Self> {
                let nodata = nodata.unwrap_or(<$type>::NAN);
                let valid = |pixel: $type| <$type>::is_finite(pixel) & (pixel != nodata);
                let (mut low, mut high) = (<$type>::INFINITY, <$type>::NEG_INFINITY);
                // Four partial sums break the chain of additions.
                let (mut sum, mut count) = ([0.0_f64; 4], 0_u32);
                for four in row.chunks(4) {
                    for (lane, &pixel) in four.iter().enumerate() {
                        let valid = valid(pixel);
                        let kept = if valid { pixel } else { 0.0 };
                        low = low.min(if valid { pixel } else { <$type>::INFINITY });
                        high = high.max(if valid { pixel } else { <$type>::NEG_INFINITY });
                        sum[lane] += f64::from(kept);
                        count += u32::from(valid);
                    }
                }
                let mean = sum.iter().sum::<f64>() / f64::from(count.max(1));
                let mut squares = [0.0_f64; 4];
                for four in row.chunks(4) {
                    for (lane, &pixel) in four.iter().enumerate() {
                        let difference = if valid(pixel) { f64::from(pixel) - mean } else { 0.0 };
                        squares[lane] += difference * difference;
                    }
                }
                RowSums {
                    count,
                    range: (low, high),
                    moments: RowMoments::Centred(mean, squares.iter().sum()),
                }
            }
        }
    };
}

float_pixel!(f32, Float32);
float_pixel!(f64, Float64);

/// Runs the body with the type name bound to the Rust type of a [`PixelType`].
macro_rules! with_pixel {
    ($pixel:expr, $type:ident => $body:expr) => {
        match $pixel {
            $crate::store::entry::PixelType::Int8 => {
                type $type = i8;
                $body
            }
            $crate::store::entry::PixelType::UInt8 => {
                type $type = u8;
                $body
            }
            $crate::store::entry::PixelType::Int16 => {
                type $type = i16;
                $body
            }
            $crate::store::entry::PixelType::UInt16 => {
                type $type = u16;
                $body
            }
            $crate::store::entry::PixelType::Int32 => {
                type $type = i32;
                $body
            }
            $crate::store::entry::PixelType::UInt32 => {
                type $type = u32;
                $body
            }
            $crate::store::entry::PixelType::Float32 => {
                type $type = f32;
                $body
            }
            $crate::store::entry::PixelType::Float64 => {
                type $type = f64;
                $body
            }
        }
    };
}
pub(super) use with_pixel;

/// The memory of pixels as little-endian bytes.
pub(super) fn as_bytes<T: Pixel>(pixels: &[T]) -> &[u8] {
    // SAFETY: T is one of the eight primitive number types: no padding, every byte initialised.
    unsafe { std::slice::from_raw_parts(pixels.as_ptr().cast(), std::mem::size_of_val(pixels)) }
}

/// Memory as pixels; what does not fill a pixel at the end is left out.
pub(super) fn from_bytes<T: Pixel>(bytes: &[u8]) -> Vec<T> {
    let mut pixels = vec![T::ZERO; bytes.len() / size_of::<T>()];
    // SAFETY: `pixels` has room for so many bytes, and any bytes are a value of the eight primitive number types.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            pixels.as_mut_ptr().cast::<u8>(),
            size_of_val(&*pixels),
        );
    }
    pixels
}

/// What `nodata` means for a type: the value as that type holds it, `None` when no pixel can ever be it.
pub(super) fn representable(pixel: PixelType, nodata: f64) -> Option<Number> {
    with_pixel!(pixel, T => T::exact(nodata).map(|value| Number(value.to_f64())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mean_rounds_halves_up_and_skips_nodata() {
        assert_eq!(u8::mean4([1, 2, 1, 2], None), Some(2));
        assert_eq!(i16::mean4([-1, -2, -1, -2], None), Some(-1));
        assert_eq!(u8::mean4([255, 2, 255, 5], Some(255)), Some(4));
        assert_eq!(u8::mean4([255, 255, 255, 5], Some(255)), Some(5));
        assert_eq!(i32::mean4([i32::MIN, -3, -4, -4], Some(i32::MIN)), Some(-4));
        assert_eq!(u8::mean4([9; 4], Some(9)), None);
        assert_eq!(f32::mean4([1.0, f32::NAN, 4.0, -9.0], Some(-9.0)), Some(2.5));
        assert_eq!(f32::mean4([f32::MAX; 4], None), Some(f32::MAX));
        assert_eq!(f64::mean4([f64::NAN; 4], None), None);
    }

    #[test]
    fn nodata_is_what_the_type_can_hold() {
        assert_eq!(representable(PixelType::UInt8, 255.0), Some(Number(255.0)));
        assert_eq!(representable(PixelType::UInt8, -9999.0), None);
        assert_eq!(representable(PixelType::UInt8, 0.5), None);
        assert_eq!(representable(PixelType::Int8, -128.0), Some(Number(-128.0)));
        assert_eq!(representable(PixelType::Int16, f64::NAN), None);
        // EU-DEM: the text in the tag has fewer digits than the float.
        assert_eq!(representable(PixelType::Float32, -3.402_823_5e38), Some(Number(f64::from(f32::MIN))));
        assert_eq!(representable(PixelType::Float32, f64::NAN), Some(Number(f64::NAN)));
        assert_eq!(representable(PixelType::Float32, 1e300), None);
    }

    #[test]
    fn sums_are_exact_at_the_extremes() {
        let row = [i32::MIN; 512];
        let sums = i32::sums(&row, None);
        assert_eq!(sums.moments, RowMoments::Exact(512 * i64::from(i32::MIN), 512 << 62));
        let row: Vec<u16> = (0..512).map(|i| if i % 2 == 0 { 65535 } else { 7 }).collect();
        let sums = u16::sums(&row, Some(7));
        assert_eq!((sums.count, sums.range), (256, (65535, 65535)));
        assert_eq!(sums.moments, RowMoments::Exact(256 * 65535, 256 * 65535 * 65535));
        let sums = f32::sums(&[1.0, f32::NAN, f32::INFINITY, 3.0, -1.0], Some(-1.0));
        assert_eq!((sums.count, sums.range), (2, (1.0, 3.0)));
        assert_eq!(sums.moments, RowMoments::Centred(2.0, 2.0));
    }
}
