//! The service's own records, kept for `metadata.json`: zstd frames in memory or in the snapshot file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Fast and good enough: records are texts with much repetition.
const LEVEL: i32 = 3;
/// No record is this large; a larger number in an index is damage.
const MAX_RECORD: u32 = 256 << 20;

/// Where a frame is and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    pub(super) length: u32,
    /// Length of the text inside.
    pub(super) raw_length: u32,
    /// CRC-32C of the frame.
    pub(super) crc: u32,
}

/// All records by their number.
#[derive(Debug)]
pub(super) struct RawRecords {
    frames: Vec<Frame>,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    /// The frames one after another; offsets count from 0.
    Memory(Vec<u8>),
    /// A snapshot; it stays readable through this handle even when a newer one takes its name.
    Disk(File),
}

impl Default for RawRecords {
    /// No records, in memory.
    fn default() -> Self {
        Self { frames: Vec::new(), bytes: Bytes::Memory(Vec::new()) }
    }
}

impl RawRecords {
    /// Records in an open snapshot.
    pub(super) fn on_disk(file: File, frames: Vec<Frame>) -> Self {
        Self { frames, bytes: Bytes::Disk(file) }
    }

    /// Adds a record's text to the ones in memory and gives its number.
    pub(super) fn push(&mut self, text: &[u8]) -> io::Result<u32> {
        let Bytes::Memory(bytes) = &mut self.bytes else {
            return Err(io::Error::other("a snapshot takes no more records"));
        };
        let number = u32::try_from(self.frames.len()).map_err(|_| io::Error::other("too many records"))?;
        let raw_length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_RECORD);
        let raw_length = raw_length.ok_or_else(|| io::Error::other("a record is too large"))?;
        let frame = zstd::bulk::compress(text, LEVEL)?;
        let length = u32::try_from(frame.len()).map_err(|_| io::Error::other("a record is too large"))?;
        self.frames.push(Frame {
            offset: bytes.len() as u64,
            length,
            raw_length,
            crc: crc32c::crc32c(&frame),
        });
        bytes.extend_from_slice(&frame);
        Ok(number)
    }

    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Length of a record's text.
    pub(super) fn text_length(&self, number: u32) -> u64 {
        self.frames.get(number as usize).map_or(0, |frame| u64::from(frame.raw_length))
    }

    /// A frame as it is stored, checked.
    pub(super) fn frame(&self, number: u32) -> io::Result<Vec<u8>> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a record does not match its checksum");
        let frame = self.frames.get(number as usize).ok_or_else(damaged)?;
        if frame.length > MAX_RECORD || frame.raw_length > MAX_RECORD {
            return Err(damaged());
        }
        let bytes = match &self.bytes {
            Bytes::Memory(bytes) => {
                let start = frame.offset as usize;
                bytes.get(start..start + frame.length as usize).ok_or_else(damaged)?.to_vec()
            }
            Bytes::Disk(file) => {
                let mut bytes = vec![0; frame.length as usize];
                file.read_exact_at(&mut bytes, frame.offset)?;
                bytes
            }
        };
        if crc32c::crc32c(&bytes) == frame.crc { Ok(bytes) } else { Err(damaged()) }
    }

    /// A record's text.
    pub(super) fn text(&self, number: u32) -> io::Result<Vec<u8>> {
        let frame = self.frame(number)?;
        zstd::bulk::decompress(&frame, self.text_length(number) as usize)
    }
}
