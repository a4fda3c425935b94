//! Members of a package that are unpacked while it is still being downloaded.
//!
//! The truth about a zip is its directory, which comes last. So nothing is decided here: the bytes that local headers
//! announce are unpacked into files that have numbers for names, and each is noted as a [`Packed`]: where its bytes lie in the package,
//! how they are packed, and size and checksum of what came out. When the package is complete, it is
//! unpacked as always ([`super::package`]), by its directory, with all checks and limits. Only where that says of a member exactly what was
//! noted, the file is taken instead of unpacking the same bytes the same way once more. Names are the directory's.
//! A header that lies, or a kind of zip that is not understood, costs the head start and nothing else.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use serde::{Deserialize, Serialize};
use zip::CompressionMethod;
use zip::read::ZipFile;

use super::error::{DiskContext, IngestError};
use super::job::Limits;
use super::local_header::{self, LocalHeader, Packing};
use super::package;
use super::pour::pour;

/// The folder in staging.
pub(crate) const FOLDER: &str = "ahead";

/// What is read of the package at a time.
const READ_AHEAD: usize = 256 << 10;

/// Bytes of a package, how they are packed, and what comes out. In one package, two that are equal come out equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Packed {
    /// Where they begin in the package.
    pub(super) start: u64,
    /// How many they are.
    pub(super) length: u64,
    /// A deflate stream, else as they are.
    pub(super) deflated: bool,
    /// Bytes of what comes out.
    pub(super) size: u64,
    /// And its checksum.
    pub(super) crc32: u32,
}

impl Packed {
    /// What the directory says of a member of a zip that begins at a place of the package. `None` where nothing of the
    /// kind is unpacked ahead.
    pub(super) fn of<R: Read>(member: &ZipFile<'_, R>, begins: u64) -> Option<Self> {
        let deflated = match member.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            _ => return None,
        };
        Some(Self {
            start: begins.checked_add(member.data_start()?)?,
            length: member.compressed_size(),
            deflated,
            size: member.size(),
            crc32: member.crc32(),
        })
    }
}

/// What was unpacked ahead: the file of the first is called `0`, and so on.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    folder: PathBuf,
    numbers: HashMap<Packed, usize>,
}

impl Ahead {
    pub(super) fn new(folder: PathBuf, members: &[Packed]) -> Self {
        let numbers = members.iter().enumerate().map(|(number, &packed)| (packed, number)).collect();
        Self { folder, numbers }
    }

    /// The file of a member that is exactly what the directory says; a second time there is none.
    pub(super) fn take(&mut self, packed: &Packed) -> Option<PathBuf> {
        self.numbers.remove(packed).map(|number| self.folder.join(number.to_string()))
    }
}

/// What is told of unpacking ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// So many bytes are about to be written; it goes on when this returns.
    Room(u64),
    /// The next file is complete.
    Unpacked(Packed),
}

/// Unpacks a package of `size` bytes that gives its bytes as they come into the existing, empty `folder`. A stored zip in it
/// is gone through as well, one that is deflated becomes a file.
///
/// # Errors
/// Why it ended early; what was told by then holds.
pub(super) fn unpack_ahead(
    package: impl Read,
    size: u64,
    folder: &Path,
    limits: &Limits,
    tell: &mut dyn FnMut(Told),
) -> Result<(), IngestError> {
    let mut tape = Tape { reader: BufReader::with_capacity(READ_AHEAD, package), position: 0 };
    let most_bytes = package::most_bytes(limits, size);
    walk(&mut tape, limits.members, &mut Files { folder, most_bytes, written: 0, count: 0, tell })
}

/// Bytes that come one after the other, and how many have come.
struct Tape<R> {
    reader: BufReader<R>,
    position: u64,
}

impl<R: Read> Read for Tape<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Tape<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.reader.consume(length);
        self.position += length as u64;
    }
}

impl<R: Read> Tape<R> {
    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes on to a later place.
    fn skip_to(&mut self, place: u64) -> io::Result<()> {
        let missing = place.checked_sub(self.position).ok_or(io::ErrorKind::InvalidData)?;
        if io::copy(&mut self.take(missing), &mut io::sink())? == missing {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// The header that comes next; `None` where something else comes. Behind a member whose length is said there only,
    /// these words come first: 12 to 24 bytes, four at a time.
    fn header(&mut self, said_behind: bool) -> io::Result<Option<LocalHeader>> {
        const HEADER: [u8; 4] = *b"PK\x03\x04";
        const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
        const MOST_WORDS: usize = 6;
        let mut words = if said_behind { MOST_WORDS } else { 0 };
        let mut four = [0; 4];
        loop {
            self.read_exact(&mut four)?;
            match four {
                HEADER => break,
                DIRECTORY => return Ok(None),
                _ if words == 0 => return Ok(None),
                _ => words -= 1,
            }
        }
        let mut fixed = [0; local_header::FIXED];
        self.read_exact(&mut fixed)?;
        let (name, extra) = local_header::following(&fixed);
        let (name, extra) = (self.bytes(name)?, self.bytes(extra)?);
        Ok(Some(LocalHeader::parse(&fixed, &name, &extra)))
    }
}

/// Goes from header to header.
fn walk(tape: &mut Tape<impl Read>, most_members: u64, files: &mut Files<'_>) -> Result<(), IngestError> {
    let broken = |error: io::Error| IngestError::unreadable("the package", &error);
    // the zip in the zip that is gone through, and where it ends if that is known
    let mut inner: Option<Option<u64>> = None;
    let mut said_behind = false;
    let mut members = 0;
    loop {
        let Some(header) = tape.header(said_behind).map_err(broken)? else {
            // a directory: the inner zip's, or the package's own
            let Some(Some(end)) = inner.take() else { return Ok(()) };
            tape.skip_to(end).map_err(broken)?;
            said_behind = false;
            continue;
        };
        members += 1;
        if members > most_members {
            return Err(IngestError::TooLarge { what: "members".to_owned(), limit: most_members });
        }
        let end = header.length.map(|length| tape.position.saturating_add(length));
        if header.packing == Packing::Stored && header.is_zip && inner.is_none() {
            inner = Some(end);
            said_behind = false;
            continue;
        }
        match (header.packing, header.length) {
            (Packing::Stored, Some(0)) | (Packing::Other, Some(_)) => {}
            (Packing::Stored, Some(length)) => files.stored(tape, length)?,
            (Packing::Deflated, length) => files.deflated(tape, length)?,
            // nobody knows where it ends
            (Packing::Stored | Packing::Other, None) => return Ok(()),
        }
        if let Some(end) = end {
            tape.skip_to(end).map_err(broken)?;
        }
        said_behind = end.is_none();
    }
}

/// The files that come out.
struct Files<'a> {
    folder: &'a Path,
    most_bytes: u64,
    written: u64,
    count: u64,
    tell: &'a mut dyn FnMut(Told),
}

impl Files<'_> {
    fn stored(&mut self, tape: &mut Tape<impl Read>, length: u64) -> Result<(), IngestError> {
        let start = tape.position;
        let mut member = CrcReader::new(tape.take(length));
        let size = self.write(&mut member, length)?;
        // cut short, it is no member that a directory knows
        self.done(Packed { start, length, deflated: false, size, crc32: member.crc().sum() });
        Ok(())
    }

    fn deflated(&mut self, tape: &mut Tape<impl Read>, length: Option<u64>) -> Result<(), IngestError> {
        let start = tape.position;
        let mut member = CrcReader::new(DeflateDecoder::new(tape));
        let size = self.write(&mut member, length.unwrap_or(u64::MAX))?;
        let (length, crc32) = (member.get_ref().total_in(), member.crc().sum());
        self.done(Packed { start, length, deflated: true, size, crc32 });
        Ok(())
    }

    /// Writes the next file, of about `size` bytes; gives how many it has.
    fn write(&mut self, member: &mut impl Read, size: u64) -> Result<u64, IngestError> {
        let path = self.folder.join(self.count.to_string());
        let name = "a member that comes";
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.disk(|| format!("create '{}'", path.display()))?;
        let size = pour(member, size, &file, name, |length| {
            self.written += length;
            if self.written > self.most_bytes {
                let what = "bytes unpacked ahead".to_owned();
                return Err(IngestError::TooLarge { what, limit: self.most_bytes });
            }
            (self.tell)(Told::Room(length));
            Ok(())
        });
        if size.is_err() {
            // of no use any more; what stays is swept with the folder
            let _ = fs::remove_file(&path);
        }
        size
    }

    fn done(&mut self, packed: Packed) {
        self.count += 1;
        (self.tell)(Told::Unpacked(packed));
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
