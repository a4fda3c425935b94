//! The part of BigTIFF that a raster file uses: a chain of directories whose fields are arrays of integers.
//!
//! Strict on purpose. We wrote the file; what looks different was damaged, and is refused rather than guessed.
//! Layout: <https://www.awaresystems.be/imaging/tiff/bigtiff.html>.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Directories a file may have: full resolution and at most 31 overviews.
const MOST_DIRECTORIES: usize = 32;
/// Fields a directory may have; ours have about 20.
const MOST_FIELDS: u64 = 256;

/// Why a file is not a BigTIFF as we write it.
#[derive(Debug, thiserror::Error)]
pub enum TiffError {
    /// Reading failed (also: the file ends too early).
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The first 16 bytes are not those of a little-endian BigTIFF.
    #[error("has no little-endian BigTIFF header")]
    Header,
    /// The chain of directories leaves the file, is endless, or a directory is too large.
    #[error("has a broken chain of directories at directory {directory}")]
    Chain {
        /// Number of the directory, 0 for the first.
        directory: usize,
    },
    /// A field is missing or not as we write it.
    #[error("has a wrong field {tag} in directory {directory}: {reason}")]
    Field {
        /// Number of the directory, 0 for the full resolution.
        directory: usize,
        /// TIFF tag.
        tag: u16,
        /// What was expected.
        reason: &'static str,
    },
}

/// An array of unsigned integers somewhere in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Integers {
    /// Where the first one lies; the whole array is known to lie inside the file.
    position: u64,
    /// Bytes of one: 1, 2, 4 or 8.
    width: u8,
    /// How many there are.
    pub(crate) count: u64,
}

impl Integers {
    /// Reads number `index`.
    pub(crate) fn get(&self, file: &File, index: u64) -> io::Result<u64> {
        if index >= self.count {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = [0; 8];
        let width = usize::from(self.width);
        file.read_exact_at(&mut bytes[..width], self.position + index * u64::from(self.width))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads `count` numbers from number `first` on.
    pub(crate) fn get_many(&self, file: &File, first: u64, count: usize) -> io::Result<Vec<u64>> {
        if first.checked_add(count as u64).is_none_or(|end| end > self.count) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let width = usize::from(self.width);
        let mut bytes = vec![0; count * width];
        file.read_exact_at(&mut bytes, self.position + first * u64::from(self.width))?;
        Ok(bytes
            .chunks_exact(width)
            .map(|chunk| {
                let mut number = [0; 8];
                number[..width].copy_from_slice(chunk);
                u64::from_le_bytes(number)
            })
            .collect())
    }
}

/// One image file directory.
#[derive(Debug)]
pub(crate) struct Directory {
    number: usize,
    /// Integer fields by tag, in the file's order; other types (doubles, text) are of no use to us.
    fields: Vec<(u16, Integers)>,
}

impl Directory {
    /// The integers of a field, `None` when the directory has no such field.
    pub(crate) fn find(&self, tag: u16) -> Option<Integers> {
        self.fields.iter().find(|field| field.0 == tag).map(|field| field.1)
    }

    /// The integers of a field that must be there, `count` of them.
    pub(crate) fn array(&self, tag: u16, count: u64) -> Result<Integers, TiffError> {
        match self.find(tag) {
            None => Err(self.wrong(tag, "it is missing")),
            Some(array) if array.count != count => Err(self.wrong(tag, "it has another number of values")),
            Some(array) => Ok(array),
        }
    }

    /// Requires a field to be `count` times `value`; `default` is what a missing field means.
    pub(crate) fn require(
        &self,
        file: &File,
        tag: u16,
        count: u64,
        value: u64,
        default: Option<u64>,
    ) -> Result<(), TiffError> {
        let same = match (self.find(tag), default) {
            (None, Some(default)) => default == value,
            (None, None) => return Err(self.wrong(tag, "it is missing")),
            (Some(array), _) if array.count != count => {
                return Err(self.wrong(tag, "it has another number of values"));
            }
            (Some(array), _) => {
                let mut same = true;
                for index in 0..array.count {
                    same &= array.get(file, index)? == value;
                }
                same
            }
        };
        if same { Ok(()) } else { Err(self.wrong(tag, "it is not what the entry describes")) }
    }

    pub(crate) fn wrong(&self, tag: u16, reason: &'static str) -> TiffError {
        TiffError::Field { directory: self.number, tag, reason }
    }
}

/// Reads all directories of a BigTIFF of `size` bytes.
pub(crate) fn read_directories(file: &File, size: u64) -> Result<Vec<Directory>, TiffError> {
    let mut header = [0; 16];
    file.read_exact_at(&mut header, 0)?;
    // "II", version 43, offsets of 8 bytes, a zero.
    if header[..8] != [b'I', b'I', 43, 0, 8, 0, 0, 0] {
        return Err(TiffError::Header);
    }
    let mut directories = Vec::new();
    let mut position = u64_at(&header, 8);
    while position != 0 {
        let number = directories.len();
        if number == MOST_DIRECTORIES {
            return Err(TiffError::Chain { directory: number });
        }
        let (directory, next) = read_directory(file, size, number, position)?;
        directories.push(directory);
        position = next;
    }
    Ok(directories)
}

fn read_directory(
    file: &File,
    size: u64,
    number: usize,
    position: u64,
) -> Result<(Directory, u64), TiffError> {
    let broken = TiffError::Chain { directory: number };
    if position >= size {
        return Err(broken);
    }
    let mut count = [0; 8];
    file.read_exact_at(&mut count, position)?;
    let count = u64::from_le_bytes(count);
    if count == 0 || count > MOST_FIELDS {
        return Err(broken);
    }
    let mut bytes = vec![0; count as usize * 20 + 8];
    file.read_exact_at(&mut bytes, position + 8)?;
    let mut fields = Vec::with_capacity(count as usize);
    for (index, field) in bytes[..count as usize * 20].chunks_exact(20).enumerate() {
        let tag = u16::from_le_bytes([field[0], field[1]]);
        let kind = u16::from_le_bytes([field[2], field[3]]);
        // BYTE, SHORT, LONG, LONG8 and IFD8.
        let width = match kind {
            1 => 1,
            3 => 2,
            4 => 4,
            16 | 18 => 8,
            _ => continue,
        };
        let count = u64_at(field, 4);
        let wrong = |reason| TiffError::Field { directory: number, tag, reason };
        let length = count.checked_mul(width).ok_or_else(|| wrong("its size overflows"))?;
        // Up to 8 bytes stand in the field itself, more stand where it points to.
        let start = if length <= 8 { position + 8 + index as u64 * 20 + 12 } else { u64_at(field, 12) };
        if start.checked_add(length).is_none_or(|end| end > size) {
            return Err(wrong("it leaves the file"));
        }
        fields.push((tag, Integers { position: start, width: width as u8, count }));
    }
    Ok((Directory { number, fields }, u64_at(&bytes, count as usize * 20)))
}

/// The little-endian u64 at `bytes[start..start + 8]`; the callers' slices are longer.
fn u64_at(bytes: &[u8], start: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[start..start + 8]);
    u64::from_le_bytes(number)
}
