//! What the tags of a TIFF claim, held against the file, before GDAL reads it.
//!
//! libtiff leaves out a tag that it cannot read, with a warning, and goes on: without its nodata value or its scale a
//! raster reads well and means something else. A tag that leaves the file, or an attribute that nobody can mean, is
//! therefore an error that names the file and the tag.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{DiskContext, IngestError};

/// Largest text of a tag that is read, in bytes; GDAL holds it in memory several times.
const LARGEST_TEXT: u64 = 64 << 20;
/// Directories with more tags are none.
const MOST_TAGS: u64 = 4096;

/// The place and type of a tag's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    code: u16,
    kind: u16,
    /// `None` when it is more than a number can say.
    length: Option<u64>,
    /// First byte, where the values do not lie in the directory itself.
    offset: Option<u64>,
}

/// Checks the first directory of the TIFF at `path`, called `name`, and the size of its `.aux.xml`. What is no TIFF is
/// left to GDAL.
///
/// # Errors
/// [`IngestError::Raster`] for a tag outside the file, [`IngestError::Unsupported`] for a text beyond
/// 64 MiB, [`IngestError::Disk`].
pub(super) fn check(path: &Path, name: &str) -> Result<(), IngestError> {
    let file = File::open(path).disk(|| format!("open '{name}'"))?;
    let size = file.metadata().disk(|| format!("look at '{name}'"))?.len();
    let read = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    };
    for claim in claims(read).unwrap_or_default() {
        claim.hold_against(size, name)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".aux.xml");
    match fs::metadata(beside) {
        // GDAL would go on without it.
        Ok(found) if found.len() > LARGEST_TEXT => {
            let reason = format!(
                "the description beside it, '{name}.aux.xml', has {} bytes, more than the {LARGEST_TEXT} that are read",
                found.len()
            );
            Err(IngestError::Unsupported { name: name.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// The claims of the first directory of a TIFF or BigTIFF of either byte order; `None` when there is none.
fn claims(read: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Option<Vec<Claim>> {
    let head = read(0, 8)?;
    let little = match &head[..2] {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let number = |bytes: &[u8]| {
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
    };
    let is_big = match number(&head[2..4]) {
        42 => false,
        43 => true,
        _ => return None,
    };
    let (word, counter) = if is_big { (8, 8) } else { (4, 2) };
    let start = if is_big { number(&read(8, 8)?) } else { number(&head[4..8]) };
    let tags = Some(number(&read(start, counter)?)).filter(|&tags| tags <= MOST_TAGS)?;
    let entry_size = 4 + 2 * word;
    let entries = read(start.checked_add(counter as u64)?, tags as usize * entry_size)?;
    let claim = |entry: &[u8]| {
        let kind = number(&entry[2..4]) as u16;
        let length = number(&entry[4..4 + word]).checked_mul(value_size(kind)?);
        let offset = length.is_none_or(|length| length > word as u64).then(|| number(&entry[4 + word..]));
        Some(Claim { code: number(&entry[..2]) as u16, kind, length, offset })
    };
    Some(entries.chunks_exact(entry_size).filter_map(claim).collect())
}

/// Bytes of one value of a TIFF type; `None` for types that nobody knows, which readers leave out.
fn value_size(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

impl Claim {
    fn hold_against(self, size: u64, name: &str) -> Result<(), IngestError> {
        let Some(offset) = self.offset else { return Ok(()) };
        let tag = match self.code {
            270 => "ImageDescription".to_owned(),
            34_735..=34_737 => format!("{} (the CRS)", self.code),
            42_112 => "GDAL_METADATA".to_owned(),
            42_113 => "GDAL_NODATA".to_owned(),
            code => code.to_string(),
        };
        let is_inside =
            self.length.and_then(|length| offset.checked_add(length)).is_some_and(|end| end <= size);
        match self.length {
            Some(length) if matches!(self.kind, 1 | 2 | 6 | 7) && length > LARGEST_TEXT => {
                let reason = format!(
                    "its tag {tag} is an attribute of {length} bytes, more than the {LARGEST_TEXT} that are read"
                );
                Err(IngestError::Unsupported { name: name.to_owned(), reason })
            }
            _ if is_inside => Ok(()),
            length => {
                let length = length.map_or("more than 2^64".to_owned(), |length| length.to_string());
                let reason =
                    format!("its tag {tag} claims {length} bytes from {offset} on, the file has {size}");
                Err(IngestError::raster(name, reason))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A TIFF with one tag, whose values lie at 1000; the file has 2000 bytes.
    fn tiff(little: bool, big: bool, kind: u16, count: u64) -> Vec<u8> {
        let number = |value: u64, size: usize| {
            let bytes = value.to_le_bytes()[..size].to_vec();
            if little { bytes } else { bytes.into_iter().rev().collect() }
        };
        let word = if big { 8 } else { 4 };
        let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
        bytes.extend(number(if big { 43 } else { 42 }, 2));
        if big {
            bytes.extend([number(8, 2), number(0, 2)].concat());
        }
        bytes.extend(number(if big { 16 } else { 8 }, word));
        bytes.extend(number(1, if big { 8 } else { 2 }));
        bytes.extend(
            [number(42_112, 2), number(kind.into(), 2), number(count, word), number(1000, word)].concat(),
        );
        bytes.resize(2000, 0);
        bytes
    }

    fn checked(bytes: &[u8]) -> Result<(), IngestError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path(), "p/x.tif")
    }

    #[test]
    fn tags_that_leave_the_file_are_named() {
        for (little, big) in [(true, true), (true, false), (false, true), (false, false)] {
            checked(&tiff(little, big, 2, 1000)).unwrap();
            let error = checked(&tiff(little, big, 2, 1001)).unwrap_err().to_string();
            assert!(error.contains("p/x.tif") && error.contains("GDAL_METADATA claims 1001"), "{error}");
            // Of a type that nobody knows: readers leave it out.
            checked(&tiff(little, big, 99, 1001)).unwrap();
            let error = checked(&tiff(little, big, 2, 0xC000_0000)).unwrap_err().to_string();
            assert!(error.contains("attribute of 3221225472 bytes"), "{error}");
        }
        let error = checked(&tiff(true, true, 12, u64::MAX)).unwrap_err().to_string();
        assert!(error.contains("more than 2^64"), "{error}");
        // A value in the directory itself needs no place.
        checked(&tiff(true, false, 3, 2)).unwrap();
    }

    #[test]
    fn what_is_no_tiff_is_left_to_gdal() {
        for bytes in
            [&b""[..], b"II", b"GIF89a and more", b"II*\0\xFF\xFF\xFF\x7F", b"MM\0*\0\0\0\x08\xFF\xFF"]
        {
            checked(bytes).unwrap();
        }
    }
}
