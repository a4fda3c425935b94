//! The seal of an entry: checksums of everything in it that has none of its own.
//!
//! Tiles carry the checksum of their codec, side files have theirs in the description. What is left (the descriptions
//! themselves, the preview, and of each raster file all bytes that are not tiles: TIFF tags, tables, index) is sealed by
//! one text file, `clmsfs.seal`: a line for each file, its SHA-256 and its path. Entries of earlier builds have none.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::checksum::Checksum;
use super::entry::EntryMeta;
use super::entry_dir;
use super::raster_file::RasterFile;
use super::verify::VerifyError;

/// Name of the seal in an entry's directory.
pub const NAME: &str = "clmsfs.seal";

/// Seals the finished entry in `entry_dir`, and syncs the seal.
///
/// # Errors
/// [`VerifyError`] when a file of the entry cannot be read, or the seal not be written.
pub fn write(entry_dir: &Path, meta: &EntryMeta) -> Result<(), VerifyError> {
    let rasters = meta
        .rasters
        .iter()
        .map(|raster| RasterFile::open(&entry_dir::raster_path(entry_dir, raster), raster))
        .collect::<Result<Vec<_>, _>>()?;
    let text: String =
        lines(entry_dir, meta, &rasters)?.into_iter().map(|(_, line)| format!("{line}\n")).collect();
    let path = entry_dir.join(NAME);
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| VerifyError::Read { path: path.clone(), source })
}

/// Proves the seal; false for an entry that has none.
///
/// # Errors
/// [`VerifyError::File`] names the first file that is not as it was sealed.
pub fn prove(entry_dir: &Path, meta: &EntryMeta, rasters: &[RasterFile]) -> Result<bool, VerifyError> {
    let path = entry_dir.join(NAME);
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(VerifyError::Read { path, source }),
    };
    let mut sealed = sealed.split(|byte| *byte == b'\n');
    for (path, line) in lines(entry_dir, meta, rasters)? {
        if sealed.next() != Some(line.as_bytes()) {
            return Err(VerifyError::File { path, reason: "is damaged: it is not as it was sealed".into() });
        }
    }
    // the last line ends, too
    if sealed.next() == Some(b"") && sealed.next().is_none() {
        return Ok(true);
    }
    Err(VerifyError::File { path, reason: "is damaged: it seals other files than there are".into() })
}

/// The files that are sealed, and their lines.
fn lines(
    entry_dir: &Path,
    meta: &EntryMeta,
    rasters: &[RasterFile],
) -> Result<Vec<(PathBuf, String)>, VerifyError> {
    let mut sealed = Vec::new();
    let mut seal = |path: PathBuf, checksum: Checksum| {
        let name = path.strip_prefix(entry_dir).unwrap_or(&path).display();
        let line = format!("{checksum}  {name}");
        sealed.push((path, line));
    };
    let mut documents = vec![entry_dir::group_path(entry_dir)];
    documents.extend(meta.rasters.iter().map(|raster| entry_dir::array_path(entry_dir, raster)));
    let preview = entry_dir::preview_path(entry_dir);
    match fs::symlink_metadata(&preview) {
        Ok(_) => documents.push(preview),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(VerifyError::Read { path: preview, source }),
    }
    for path in documents {
        let sum = File::open(&path).and_then(sum);
        let sum = sum.map_err(|source| VerifyError::Read { path: path.clone(), source })?;
        seal(path, sum);
    }
    for raster in rasters {
        let path = raster.path().to_owned();
        let gaps = Gaps { file: raster.file(), ranges: gaps(raster)?, at: 0 };
        let sum = sum(gaps).map_err(|source| VerifyError::Read { path: path.clone(), source })?;
        seal(path, sum);
    }
    Ok(sealed)
}

fn sum(reader: impl Read) -> io::Result<Checksum> {
    let sum = Checksum::of(reader, |_| ControlFlow::Continue(()))?;
    Ok(sum.expect("nobody breaks off"))
}

/// The bytes of a raster file that are no tile's: beginnings and ends, ascending.
fn gaps(raster: &RasterFile) -> Result<Vec<(u64, u64)>, VerifyError> {
    let mut tiles = Vec::new();
    for level in 0..raster.levels() {
        for band in 0..raster.bands() {
            for row in 0..raster.rows(level) {
                let row = raster.row(level, band, row)?;
                tiles.extend(
                    row.into_iter().flatten().map(|range| (range.offset, range.offset + range.length)),
                );
            }
        }
    }
    tiles.sort_unstable();
    tiles.push((raster.size(), raster.size()));
    let mut end = 0;
    let mut gaps = Vec::new();
    for (from, to) in tiles {
        if from > end {
            gaps.push((end, from));
        }
        end = end.max(to);
    }
    Ok(gaps)
}

/// Reads ranges of a file as if they were one file.
struct Gaps<'a> {
    file: &'a File,
    ranges: Vec<(u64, u64)>,
    /// Which range is read.
    at: usize,
}

impl Read for Gaps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((from, to)) = self.ranges.get_mut(self.at) {
            let wanted = usize::try_from(*to - *from).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            if wanted == 0 {
                if from == to {
                    self.at += 1;
                    continue;
                }
                return Ok(0);
            }
            let count = self.file.read_at(&mut buffer[..wanted], *from)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *from += count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::entry::{Codec, PixelType, RasterMeta, SideFile};
    use crate::store::{fixture, verify};

    /// A sealed entry of two rasters and a side file with a checksum; all its files.
    fn entry() -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let second = RasterMeta {
            codec: Codec::Zlib { level: 6 },
            ..fixture::raster("second", PixelType::UInt16, 600, 300)
        };
        let mut meta = fixture::meta("product", vec![fixture::classes("first", 700, 600), second]);
        meta.originals =
            vec![SideFile { path: "a.xml".into(), size: 4, sha256: Some(sum(&b"oooo"[..]).unwrap()) }];
        fixture::write_entry(dir.path(), &meta);
        fs::write(dir.path().join("original/a.xml"), "oooo").unwrap();
        fs::write(entry_dir::preview_path(dir.path()), "a picture").unwrap();
        write(dir.path(), &meta).unwrap();
        let mut folders = vec![dir.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for found in fs::read_dir(folder).unwrap() {
                let path = found.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        (dir, files)
    }

    fn proven(dir: &Path) -> Result<bool, VerifyError> {
        verify::full(dir, |_| ControlFlow::Continue(())).map(|proof| proof.sealed)
    }

    #[test]
    fn every_flipped_byte_outside_of_tiles_is_found() {
        let (dir, files) = entry();
        let meta = entry_dir::read_meta(dir.path()).unwrap();
        assert!(proven(dir.path()).unwrap());
        let mut flipped = 0;
        for path in &files {
            let good = fs::read(path).unwrap();
            // tiles have checksums of their own; a flipped bit that changes no pixel (codecs have such) is none of ours
            let of_raster =
                meta.rasters.iter().find(|raster| entry_dir::raster_path(dir.path(), raster) == *path);
            let sealed = match of_raster {
                Some(raster) => gaps(&RasterFile::open(path, raster).unwrap()).unwrap(),
                None => vec![(0, good.len() as u64)],
            };
            let places: Vec<usize> =
                sealed.into_iter().flat_map(|(from, to)| from as usize..to as usize).collect();
            let step = (places.len() / 1000).max(1);
            for at in places.into_iter().step_by(step) {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                fs::write(path, bad).unwrap();
                let error = proven(dir.path()).expect_err(&format!("{} at {at}", path.display()));
                assert!(error.is_damage(), "{} at {at}: {error}", path.display());
                flipped += 1;
            }
            fs::write(path, good).unwrap();
        }
        assert!(proven(dir.path()).unwrap());
        assert!(flipped > 2000, "{flipped}");
    }

    #[test]
    fn an_entry_without_a_seal_is_of_an_earlier_build_and_a_cut_seal_is_damage() {
        let (dir, _) = entry();
        let path = dir.path().join(NAME);
        let text = fs::read(&path).unwrap();
        for length in [0, 10, text.len() - 1] {
            fs::write(&path, &text[..length]).unwrap();
            assert!(proven(dir.path()).unwrap_err().is_damage(), "{length}");
        }
        fs::write(&path, [&text[..], b"more\n"].concat()).unwrap();
        assert!(proven(dir.path()).unwrap_err().is_damage());
        fs::remove_file(&path).unwrap();
        assert!(!proven(dir.path()).unwrap());
    }
}
