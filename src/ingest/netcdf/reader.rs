//! Windows of pixels of one variable, north up and bit for bit as stored.

use std::path::Path;

use super::handle::{Array, Element, File, Number};
use crate::ingest::error::IngestError;
use crate::ingest::pixel::Pixel;
use crate::ingest::source::Window;

/// Most bytes that are held beside the pixels while rows find their places.
const SLAB: usize = 32 << 20;

/// How to get at the pixels of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slices {
    /// The variable.
    pub(super) variable: String,
    /// Number of dimensions; those not named below have one value.
    pub(super) dimensions: usize,
    /// Columns.
    pub(super) x: Direction,
    /// Rows.
    pub(super) y: Direction,
    /// The dimension that makes the bands.
    pub(super) bands: Option<usize>,
    /// The value's number in further dimensions.
    pub(super) place: Vec<(usize, u64)>,
    /// What is stored.
    pub(super) element: Element,
    /// How it becomes pixels.
    pub(super) form: Form,
}

/// A dimension and whether it runs against the raster (southwards is downwards, eastwards to the right).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Direction {
    pub(super) dimension: usize,
    pub(super) length: u64,
    pub(super) reversed: bool,
}

/// How stored elements become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The same bits.
    Bits,
    /// From Int16 into a smaller type that every single value must fit into.
    FromInt16,
    /// From Int64, likewise.
    FromInt64,
    /// From UInt64, likewise.
    FromUInt64,
}

/// An open variable, for one thread.
#[derive(Debug)]
pub(crate) struct SliceReader {
    slices: Slices,
    array: Array,
    name: String,
    // Behind the array, so that it is closed last.
    _file: File,
}

impl SliceReader {
    /// Opens the variable.
    ///
    /// # Errors
    /// [`IngestError::Raster`].
    pub(crate) fn open(path: &Path, name: &str, slices: &Slices) -> Result<Self, IngestError> {
        let file = File::open(path, name)?;
        let array = file.array(&slices.variable)?;
        Ok(Self { slices: slices.clone(), array, name: name.to_owned(), _file: file })
    }

    /// Reads a window into `buffer`, whose rows are `stride` pixels apart and whose first pixel is the window's.
    ///
    /// # Errors
    /// [`IngestError::Raster`] when a chunk is damaged, [`IngestError::Unsupported`] for a value that does not fit
    /// into its pixel.
    pub(crate) fn read<T: Pixel>(
        &self,
        band: u32,
        window: Window,
        buffer: &mut [T],
        stride: usize,
    ) -> Result<(), IngestError> {
        let Slices { x, y, form, element, .. } = self.slices;
        let Window { width, height, .. } = window;
        if width > stride || height == 0 || buffer.len() < (height - 1) * stride + width {
            return Err(IngestError::raster(&*self.name, "window does not fit its buffer"));
        }
        let mut target = Target { band, window, buffer, stride };
        match form {
            Form::Bits if y.dimension < x.dimension && width == stride => self.read_in_place(target),
            Form::Bits => {
                let read = |start: &[u64], count: &[usize], slab: &mut [T]| {
                    self.array.read_bits(element, start, count, slab)
                };
                self.read_slabs(&mut target, T::ZERO, read, Ok)
            }
            Form::FromInt16 => self.narrow::<i16, T>(&mut target, f64::from),
            // Rounding beyond 2^53 does no harm: nothing there fits into 32 bits.
            Form::FromInt64 => self.narrow::<i64, T>(&mut target, |stored| stored as f64),
            Form::FromUInt64 => self.narrow::<u64, T>(&mut target, |stored| stored as f64),
        }
    }

    /// Start and count of a window in the file.
    fn block(&self, band: u32, window: Window) -> (Vec<u64>, Vec<usize>) {
        let Slices { x, y, bands, dimensions, .. } = self.slices;
        let (mut start, mut count) = (vec![0; dimensions], vec![1; dimensions]);
        for &(dimension, number) in &self.slices.place {
            start[dimension] = number;
        }
        for (direction, from, length) in [(x, window.x, window.width), (y, window.y, window.height)] {
            let from = from as u64;
            start[direction.dimension] =
                if direction.reversed { direction.length.saturating_sub(from + length as u64) } else { from };
            count[direction.dimension] = length;
        }
        if let Some(dimension) = bands {
            start[dimension] = u64::from(band);
        }
        (start, count)
    }

    /// Reads straight into the buffer, whose rows are adjacent, and turns them round there.
    fn read_in_place<T: Pixel>(&self, target: Target<'_, T>) -> Result<(), IngestError> {
        let Target { band, window, buffer, .. } = target;
        let Window { width, height, .. } = window;
        let (start, count) = self.block(band, window);
        self.array.read_bits(self.slices.element, &start, &count, &mut buffer[..width * height])?;
        if self.slices.x.reversed {
            buffer.chunks_exact_mut(width).take(height).for_each(<[T]>::reverse);
        }
        if self.slices.y.reversed {
            for row in 0..height / 2 {
                let (upper, lower) = buffer.split_at_mut((height - 1 - row) * width);
                upper[row * width..][..width].swap_with_slice(&mut lower[..width]);
            }
        }
        Ok(())
    }

    fn narrow<S: Number, T: Pixel>(
        &self,
        target: &mut Target<'_, T>,
        value: impl Fn(S) -> f64,
    ) -> Result<(), IngestError> {
        let pixel = |stored: S| {
            let value = value(stored);
            T::exact(value).ok_or_else(|| IngestError::Unsupported {
                name: self.name.clone(),
                reason: format!(
                    "variable '{}' has integers of 64 bits, and the value {value} among them does not fit into {}",
                    self.slices.variable,
                    T::TYPE.zarr()
                ),
            })
        };
        self.read_slabs(target, S::default(), |start, count, slab| self.array.read(start, count, slab), pixel)
    }

    /// Reads some rows at a time as they are stored, and puts every single value where it belongs.
    fn read_slabs<S: Copy, T: Pixel>(
        &self,
        target: &mut Target<'_, T>,
        zero: S,
        read: impl Fn(&[u64], &[usize], &mut [S]) -> Result<(), IngestError>,
        pixel: impl Fn(S) -> Result<T, IngestError>,
    ) -> Result<(), IngestError> {
        let Slices { x, y, .. } = self.slices;
        let window = target.window;
        let rows_at_once = (SLAB / size_of::<S>() / window.width.max(1)).max(1);
        let mut slab: Vec<S> = Vec::new();
        for first in (0..window.height).step_by(rows_at_once) {
            let (width, height) = (window.width, rows_at_once.min(window.height - first));
            let (start, count) = self.block(target.band, Window { y: window.y + first, height, ..window });
            slab.resize(width * height, zero);
            read(&start, &count, &mut slab)?;
            for row in 0..height {
                let stored_row = if y.reversed { height - 1 - row } else { row };
                for column in 0..width {
                    let stored_column = if x.reversed { width - 1 - column } else { column };
                    let at = if y.dimension < x.dimension {
                        stored_row * width + stored_column
                    } else {
                        stored_column * height + stored_row
                    };
                    target.buffer[(first + row) * target.stride + column] = pixel(slab[at])?;
                }
            }
        }
        Ok(())
    }
}

/// What is read, and where it goes.
struct Target<'a, T> {
    band: u32,
    window: Window,
    buffer: &'a mut [T],
    stride: usize,
}
