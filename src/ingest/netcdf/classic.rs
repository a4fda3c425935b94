//! The length that the header of a classic netCDF file (version 3) promises: its library reads zeros behind the end of a
//! file that is cut off, and says nothing. HDF5, which netCDF 4 is, notices itself.
//!
//! Layout: "CDF", version, number of records, then lists of dimensions, attributes and variables; each list is a tag, a
//! number and the items, names and values are padded to four bytes
//! (<https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html>).

use std::io::{self, BufReader, Read, Seek};

/// Most items of a list that are looked at.
const MOST_ITEMS: u64 = 1 << 20;
/// The number of records of a file that was written as a stream.
const STREAMING: u64 = 0xFFFF_FFFF;

/// The first byte behind the data, as the header says it; `None` for what is no classic netCDF or is none that can be
/// understood.
pub(in crate::ingest) fn end_of_data(file: impl Read + Seek) -> Option<u64> {
    Header { file: BufReader::new(file), wide: false, far: false }.end_of_data().ok().flatten()
}

struct Header<R> {
    file: BufReader<R>,
    /// Version 5: numbers have 64 bits.
    wide: bool,
    /// Version 2 and 5: offsets have 64 bits.
    far: bool,
}

/// A variable: where it begins, the bytes of one record (or all of it), and whether it has records.
struct Extent {
    begin: u64,
    bytes: u64,
    has_records: bool,
}

impl<R: Read + Seek> Header<R> {
    fn end_of_data(&mut self) -> io::Result<Option<u64>> {
        let mut magic = [0; 4];
        self.file.read_exact(&mut magic)?;
        if !magic.starts_with(b"CDF") || ![1, 2, 5].contains(&magic[3]) {
            return Ok(None);
        }
        (self.wide, self.far) = (magic[3] == 5, magic[3] != 1);
        let records = self.number()?;
        let mut dimensions = Vec::new();
        for _ in 0..self.list()? {
            self.skip_name()?;
            dimensions.push(self.number()?);
        }
        self.skip_attributes()?;
        let mut extents = Vec::new();
        for _ in 0..self.list()? {
            extents.push(self.variable(&dimensions)?);
        }
        if records == STREAMING {
            return Ok(None);
        }
        let of_records: Vec<&Extent> = extents.iter().filter(|extent| extent.has_records).collect();
        // Records are padded, unless there is only one variable of them.
        let padded = |extent: &&Extent| extent.bytes.checked_next_multiple_of(4).unwrap_or(u64::MAX);
        let record = match of_records.as_slice() {
            [only] => only.bytes,
            several => several.iter().map(padded).fold(0, u64::saturating_add),
        };
        let end = |extent: &Extent| {
            let before =
                if extent.has_records { records.saturating_sub(1).saturating_mul(record) } else { 0 };
            let is_empty = extent.has_records && records == 0;
            if is_empty { 0 } else { extent.begin.saturating_add(before).saturating_add(extent.bytes) }
        };
        Ok(extents.iter().map(end).max())
    }

    fn variable(&mut self, dimensions: &[u64]) -> io::Result<Extent> {
        self.skip_name()?;
        let mut lengths = Vec::new();
        for _ in 0..self.count()? {
            let number = self.number()?;
            lengths.push(
                usize::try_from(number).ok().and_then(|n| dimensions.get(n).copied()).ok_or_else(nonsense)?,
            );
        }
        self.skip_attributes()?;
        let size = self.size_of_type()?;
        // Of large variables it does not hold the size.
        self.number()?;
        let begin = if self.far { self.long()? } else { self.int()? };
        let has_records = lengths.first() == Some(&0);
        let one = &lengths[usize::from(has_records)..];
        Ok(Extent { begin, bytes: one.iter().copied().fold(size, u64::saturating_mul), has_records })
    }

    fn skip_attributes(&mut self) -> io::Result<()> {
        for _ in 0..self.list()? {
            self.skip_name()?;
            let size = self.size_of_type()?;
            let values = self.number()?;
            self.skip_padded(values.saturating_mul(size))?;
        }
        Ok(())
    }

    fn size_of_type(&mut self) -> io::Result<u64> {
        Ok(match self.int()? {
            1 | 2 | 7 => 1,
            3 | 8 => 2,
            4 | 5 | 9 => 4,
            6 | 10 | 11 => 8,
            _ => return Err(nonsense()),
        })
    }

    /// Number of items of a list, whose tag is passed over.
    fn list(&mut self) -> io::Result<u64> {
        self.int()?;
        self.count()
    }

    fn count(&mut self) -> io::Result<u64> {
        let items = self.number()?;
        if items > MOST_ITEMS { Err(nonsense()) } else { Ok(items) }
    }

    fn skip_name(&mut self) -> io::Result<()> {
        let length = self.number()?;
        self.skip_padded(length)
    }

    fn skip_padded(&mut self, bytes: u64) -> io::Result<()> {
        let padded = bytes.checked_next_multiple_of(4).and_then(|bytes| i64::try_from(bytes).ok());
        self.file.seek_relative(padded.ok_or_else(nonsense)?)
    }

    fn number(&mut self) -> io::Result<u64> {
        if self.wide { self.long() } else { self.int() }
    }

    fn int(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from(u32::from_be_bytes(bytes)))
    }

    fn long(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }
}

fn nonsense() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::simulator::classic::{Classic, Values};

    fn file() -> Vec<u8> {
        let mut file = Classic::default();
        let (y, x) = (file.dimension("y", 5), file.dimension("x", 7));
        file.variable("x", &[x], &[("units", Values::text("degrees_east"))], Values::Doubles(vec![1.0; 7]));
        file.variable("v", &[y, x], &[], Values::Ints(vec![3; 35]));
        file.bytes()
    }

    #[test]
    fn the_end_is_that_of_the_file() {
        let bytes = file();
        assert_eq!(end_of_data(Cursor::new(&bytes)), Some(bytes.len() as u64));
        // A header does not tell more because less is there.
        assert_eq!(end_of_data(Cursor::new(&bytes[..bytes.len() - 90])), Some(bytes.len() as u64));
        assert_eq!(end_of_data(Cursor::new(b"\x89HDF\r\n")), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(at in 0usize..400, value in any::<u8>(), cut in 0usize..400) {
            let mut bytes = file();
            let place = at % bytes.len();
            bytes[place] = value;
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = end_of_data(Cursor::new(bytes));
        }
    }
}
