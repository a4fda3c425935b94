//! The catalogue on disk, so that a mount can start without a network.
//!
//! ```text
//! "CLMSCAT2"                          8 bytes: name and version of the format
//! zstd frames                         the records, each one a JSON text
//! index                               JSON: {"fetched": …, "frames": [[offset, length, text length, crc32c], …],
//!                                            "headings": [{"uid": …, "name": …, "products": …, …}, …]}
//! index offset u64, length u32, crc32c u32 (little-endian), "CLMSCATE"
//! ```
//! The headings are enough for the tree's first level; a record is unpacked when somebody looks into its dataset.
//! Version 1 had no headings: they are made from its records, which takes as long as unpacking them all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clms::DatasetRecord;

use super::error::CatalogError;
use super::heading::Heading;
use super::index::Catalog;
use super::records::{Frame, RawRecords};

const MAGIC: &[u8; 8] = b"CLMSCAT2";
/// The format without headings.
const FIRST: &[u8; 8] = b"CLMSCAT1";
const END: &[u8; 8] = b"CLMSCATE";
const FOOTER: usize = 24;

#[derive(Serialize, Deserialize)]
struct Index {
    fetched: Timestamp,
    frames: Vec<(u64, u32, u32, u32)>,
    /// Missing in version 1.
    #[serde(default)]
    headings: Vec<Heading>,
}

impl Catalog {
    /// Writes the snapshot: a reader sees the old one or the new one, whatever happens.
    ///
    /// # Errors
    /// [`CatalogError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), CatalogError> {
        let failed = |source| CatalogError::Io { path: path.to_owned(), verb: "written", source };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{:08x}.tmp", std::process::id(), rand::random::<u32>()));
        let temporary = folder.join(name);
        let written = self
            .write(&temporary)
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| File::open(folder)?.sync_all());
        if written.is_err() {
            // Best effort: the error that matters is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(failed)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC)?;
        let mut offset = MAGIC.len() as u64;
        let mut frames = Vec::new();
        for (number, frame) in self.records.frames().iter().enumerate() {
            out.write_all(&self.records.frame(number as u32)?)?;
            frames.push((offset, frame.length, frame.raw_length, frame.crc));
            offset += u64::from(frame.length);
        }
        let index =
            serde_json::to_vec(&Index { fetched: self.fetched(), frames, headings: self.headings.clone() })?;
        out.write_all(&index)?;
        out.write_all(&offset.to_le_bytes())?;
        let length = u32::try_from(index.len()).map_err(|_| io::Error::other("the index is too large"))?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&crc32c::crc32c(&index).to_le_bytes())?;
        out.write_all(END)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    /// Reads a snapshot. The records stay on disk; the file may be replaced meanwhile, but not truncated.
    ///
    /// # Errors
    /// [`CatalogError::Io`] when there is none; [`CatalogError::Damaged`] or [`CatalogError::UnknownFormat`] when it is of
    /// no use: fetch the catalogue anew then.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        Loader { path: path.to_owned() }.load()
    }
}

struct Loader {
    path: PathBuf,
}

impl Loader {
    fn unreadable(&self, source: io::Error) -> CatalogError {
        CatalogError::Io { path: self.path.clone(), verb: "read", source }
    }

    fn damaged(&self, what: &str) -> CatalogError {
        CatalogError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    fn load(&self) -> Result<Catalog, CatalogError> {
        let file = File::open(&self.path).map_err(|error| self.unreadable(error))?;
        let size = file.metadata().map_err(|error| self.unreadable(error))?.len();
        let index = self.index(&file, size)?;
        let frames = index
            .frames
            .into_iter()
            .map(|(offset, length, raw_length, crc)| Frame { offset, length, raw_length, crc })
            .collect();
        let records = RawRecords::on_disk(file, frames);
        // damage is found now, while the service can still be asked
        for number in 0..records.frames().len() as u32 {
            records.frame(number).map_err(|error| self.damaged(&error.to_string()))?;
        }
        let headings = if index.headings.is_empty() { self.headings(&records)? } else { index.headings };
        if headings.len() != records.frames().len() {
            return Err(self.damaged("its index has not one heading for each record"));
        }
        Ok(Catalog::new(headings, records, index.fetched))
    }

    /// The headings of a snapshot that has none.
    fn headings(&self, records: &RawRecords) -> Result<Vec<Heading>, CatalogError> {
        let heading = |number| {
            let text = records.text(number).map_err(|error| self.damaged(&error.to_string()))?;
            let value = serde_json::from_slice(&text).map_err(|_| self.damaged("a record is no JSON"))?;
            let record = DatasetRecord::from_json(value).map_err(|error| self.damaged(&error.to_string()))?;
            Ok(Heading::of(&record))
        };
        (0..records.frames().len() as u32).map(heading).collect()
    }

    fn index(&self, file: &File, size: u64) -> Result<Index, CatalogError> {
        let mut magic = [0; MAGIC.len()];
        if size < (MAGIC.len() + FOOTER) as u64 {
            return Err(self.damaged("it is too short"));
        }
        file.read_exact_at(&mut magic, 0).map_err(|error| self.unreadable(error))?;
        if &magic != MAGIC && &magic != FIRST {
            // The last character is the version.
            let ours = magic[..MAGIC.len() - 1] == MAGIC[..MAGIC.len() - 1];
            return Err(if ours {
                CatalogError::UnknownFormat { path: self.path.clone() }
            } else {
                self.damaged("it is no snapshot")
            });
        }
        let mut footer = [0; FOOTER];
        let footer_at = size - FOOTER as u64;
        file.read_exact_at(&mut footer, footer_at).map_err(|error| self.unreadable(error))?;
        let (offset, rest) = footer.split_at(8);
        let (length, rest) = rest.split_at(4);
        let (crc, end) = rest.split_at(4);
        let offset = u64::from_le_bytes(offset.try_into().expect("8 bytes"));
        let length = u32::from_le_bytes(length.try_into().expect("4 bytes"));
        let crc = u32::from_le_bytes(crc.try_into().expect("4 bytes"));
        if end != END || offset.checked_add(u64::from(length)) != Some(footer_at) {
            return Err(self.damaged("its end is missing"));
        }
        let mut index = vec![0; length as usize];
        file.read_exact_at(&mut index, offset).map_err(|error| self.unreadable(error))?;
        if crc32c::crc32c(&index) != crc {
            return Err(self.damaged("its index does not match the checksum"));
        }
        serde_json::from_slice(&index).map_err(|_| self.damaged("its index cannot be read"))
    }
}
