//! Unpacking an outer CLMS zip, hostile until proven otherwise.
//!
//! The service delivers `Results/<package>.zip` (one or several), sometimes a folder below `Results/`, sometimes
//! the files themselves. Inner zips are unpacked where they lie, `Results/` aside; a zip inside an inner zip is, too, when
//! it holds geodata (a city of a country, a `.gdb.zip`), and else stays a file.
//! Every member must have a name that stays below the target, without control characters, unique, and must be
//! a regular file or a directory; nothing is repaired, the package is refused. Only `\` as a separator (written
//! by Windows tools) and a leading `./` are normalised, and the package's own folder is passed over where it is listed.
//! CRC and size are checked by reading every member to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::ahead::{Ahead, Packed};
use super::consume::{NeededFrom, ReadOnce};
use super::discover;
use super::error::{DiskContext, IngestError};
use super::job::{IngestProgress, Limits};
use super::member::{Member, SafePath};
use super::pour::pour;
use super::taken::Taken;
use super::vector;

/// The first bytes of output that are not held against the ratio limit.
const RATIO_FREE: u64 = 64 << 20;
/// What is read of a zip at a time.
const READ_AHEAD: usize = 256 << 10;
/// How deep zips are unpacked, the package itself not counted.
const MOST_ZIPS: usize = 3;

/// Unpacks `package` into the existing directory `target`. Inner zips that are stored, as the service does, are read where
/// they lie; compressed ones go through `scratch` (a file that does not exist yet). Gives the paths of all files, relative
/// to `target`, sorted. With `consume` the zips are given back to the disk behind the reader, and the package is empty in
/// the end. What `ahead` has of it is taken instead of unpacking it.
///
/// # Errors
/// [`IngestError::NotAPackage`], [`IngestError::UnsafeMember`], [`IngestError::TooLarge`],
/// [`IngestError::Damaged`] or [`IngestError::Disk`].
pub(super) fn unpack(
    package: &Path,
    target: &Path,
    scratch: &Path,
    limits: &Limits,
    consume: bool,
    ahead: Ahead,
    progress: &mut dyn FnMut(IngestProgress),
) -> Result<Vec<String>, IngestError> {
    let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = open(package, consume).disk(|| format!("open '{name}'"))?;
    let size = file.metadata().disk(|| format!("open '{name}'"))?.len();
    let (mut archive, needed_from) = open_archive(file, (0, size), &name)?;
    if archive.offset() != 0 {
        // Its own directory is missing, and that of the last zip in it was taken for it: the others would be lost.
        let reason = "its directory is missing".to_owned();
        return Err(IngestError::Damaged { name, reason });
    }
    let mut unpacking = Unpacking {
        target,
        scratch,
        limits,
        consume,
        most_bytes: most_bytes(limits, size),
        by_ratio: most_bytes(limits, size) < limits.unpacked_bytes,
        members: 0,
        done: 0,
        total: 0,
        kept: Bytes::default(),
        passing: Bytes::default(),
        taken: Taken::default(),
        ahead,
        progress,
    };
    let members = unpacking.plan(&mut archive, &name, true, Some(0))?;
    let strip = common_results_folder(&members);
    for member in members {
        unpacking.consume_up_to(&needed_from, &member);
        if member.is_zip() {
            let mut inner = Inner::of(&member, 1);
            // The delivery's own folder says nothing; another one may be a date, or tell zips of one name apart.
            if inner.folder.first().is_some_and(|first| is_results(first)) {
                inner.folder.remove(0);
            }
            if let Some(place) = member.stored {
                // Its content is what is unpacked; it is not written itself.
                unpacking.total -= place.1;
                let file = open(package, consume).disk(|| format!("open '{name}'"))?;
                unpacking.unpack_inner(&inner, file, place, Some(place.0))?;
            } else {
                unpacking.write_member(&mut archive, &member, scratch, false)?;
                unpacking.unpack_scratch(&inner, scratch)?;
            }
            continue;
        }
        let mut path = member.path.clone();
        if strip {
            path.0.remove(0);
        }
        unpacking.place(&mut archive, &Member { path, ..member })?;
    }
    let files = unpacking.taken.files.into_iter().collect();
    if consume {
        let empty = OpenOptions::new().write(true).open(package).and_then(|package| package.set_len(0));
        empty.disk(|| format!("give back '{name}'"))?;
    }
    Ok(files)
}

/// Most bytes that a package of `size` bytes may unpack to.
pub(super) fn most_bytes(limits: &Limits, size: u64) -> u64 {
    limits.unpacked_bytes.min(size.saturating_mul(limits.ratio).max(RATIO_FREE))
}

/// A zip in a zip.
struct Inner {
    /// Its name in the zip around it.
    name: String,
    /// The folder into which it is unpacked.
    folder: Vec<String>,
    /// Its own name without `.zip`.
    stem: String,
    /// How many zips are around it.
    depth: usize,
}

impl Inner {
    fn of(member: &Member, depth: usize) -> Self {
        let folder = member.path.0.split_last().map_or(Vec::new(), |(_, folder)| folder.to_vec());
        let stem = member.stem_of_zip().unwrap_or("package").to_owned();
        Self { name: member.name.clone(), folder, stem, depth }
    }
}

/// What is held against the limits.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    declared: u64,
    written: u64,
}

struct Unpacking<'a> {
    target: &'a Path,
    scratch: &'a Path,
    limits: &'a Limits,
    consume: bool,
    most_bytes: u64,
    by_ratio: bool,
    members: u64,
    done: u64,
    total: u64,
    /// Files that stay.
    kept: Bytes,
    /// Inner zips, which are gone once they are unpacked: what they hold is not counted twice.
    passing: Bytes,
    taken: Taken,
    ahead: Ahead,
    progress: &'a mut dyn FnMut(IngestProgress),
}

impl Unpacking<'_> {
    /// Lets a zip be given back up to the end of the member that is read next.
    fn consume_up_to(&self, needed_from: &NeededFrom, member: &Member) {
        if self.consume {
            needed_from.set(member.end);
        }
    }

    /// Checks all members of a zip (`unpacks_zips` = zips in it may be unpacked) before the first byte is written;
    /// gives them as they lie in the file. `begins` says where the zip begins in the package, if it lies there as it is.
    fn plan<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        archive_name: &str,
        unpacks_zips: bool,
        begins: Option<u64>,
    ) -> Result<Vec<Member>, IngestError> {
        self.members += archive.len() as u64;
        if self.members > self.limits.members {
            return Err(IngestError::TooLarge { what: "members".to_owned(), limit: self.limits.members });
        }
        if archive.has_duplicate_names() {
            return Err(unsafe_member(archive_name, "two of its members have the same name"));
        }
        let mut members = Vec::with_capacity(archive.len());
        let mut seen = Taken::default();
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(|error| damaged(archive_name, &error))?;
            let name = match entry.name() {
                Ok(name) => name.into_owned(),
                Err(_) => String::from_utf8_lossy(entry.name_raw()).into_owned(),
            };
            let refuse = |reason: &str| unsafe_member(&name, reason);
            let is_dir = entry.is_dir() || name.ends_with('\\');
            if is_dir && SafePath::is_root(&name) {
                continue;
            }
            let path = SafePath::parse(&name).map_err(|reason| refuse(&reason))?;
            match entry.unix_mode().unwrap_or(0) & libc::S_IFMT {
                0 | libc::S_IFREG | libc::S_IFDIR => {}
                libc::S_IFLNK => return Err(refuse("it is a symbolic link")),
                _ => return Err(refuse("it is a device, pipe or socket")),
            }
            if entry.encrypted() {
                return Err(refuse("it is encrypted"));
            }
            if !zip::SUPPORTED_COMPRESSION_METHODS.contains(&entry.compression()) {
                let method = entry.compression();
                return Err(refuse(&format!(
                    "it is compressed with method '{method}', which is not supported"
                )));
            }
            let known = if is_dir { seen.add_folders(&path.0) } else { seen.add_file(&path) };
            known.map_err(|reason| refuse(&reason))?;
            let start = entry.header_start();
            let end = entry.data_start().unwrap_or(start).saturating_add(entry.compressed_size());
            let size = entry.size();
            let is_stored =
                entry.compression() == CompressionMethod::Stored && size == entry.compressed_size();
            let stored = entry.data_start().filter(|_| is_stored).map(|start| (start, size));
            let packed = begins.and_then(|begins| Packed::of(&entry, begins));
            let member = Member { index, name, path, is_dir, start, end, stored, packed };
            self.total = self.total.saturating_add(size);
            let bytes = if unpacks_zips && member.is_zip() { &mut self.passing } else { &mut self.kept };
            bytes.declared = bytes.declared.saturating_add(size);
            members.push(member);
        }
        members.sort_by_key(|member| member.start);
        // Should members overlap, what a later one needs stays.
        let mut next = u64::MAX;
        for member in members.iter_mut().rev() {
            member.end = member.end.min(next);
            next = member.start;
        }
        // The declared sizes already tell most bombs apart, before the disk is touched.
        if self.kept.declared.max(self.passing.declared) > self.most_bytes {
            return Err(self.too_large());
        }
        Ok(members)
    }

    /// Unpacks the zip at `path` and deletes it.
    fn unpack_scratch(&mut self, inner: &Inner, path: &Path) -> Result<(), IngestError> {
        let file = open(path, self.consume).disk(|| "open an inner zip".to_owned())?;
        let length = file.metadata().disk(|| "look at an inner zip".to_owned())?.len();
        self.unpack_inner(inner, file, (0, length), None)?;
        fs::remove_file(path).disk(|| "delete an inner zip".to_owned())
    }

    /// Unpacks the zip that lies at `place` (first byte, length) of a file; `begins` as for [`Self::plan`].
    fn unpack_inner(
        &mut self,
        inner: &Inner,
        file: File,
        place: (u64, u64),
        begins: Option<u64>,
    ) -> Result<(), IngestError> {
        let (mut archive, needed_from) = open_archive(file, place, &inner.name)?;
        let unpacks_zips = inner.depth < MOST_ZIPS;
        let members = self.plan(&mut archive, &inner.name, unpacks_zips, begins)?;
        // Packages repeat their own name as the top folder; the others get one, so that several cannot collide.
        let has_own_folder = members.iter().all(|member| {
            (member.is_dir || member.path.0.len() > 1)
                && member.path.0.first().is_some_and(|first| first.eq_ignore_ascii_case(&inner.stem))
        });
        let own_folder = (!has_own_folder).then(|| inner.stem.clone());
        for member in members {
            let folders = inner.folder.iter().chain(&own_folder);
            let path = member.path.below(folders).map_err(|reason| unsafe_member(&member.name, &reason))?;
            self.consume_up_to(&needed_from, &member);
            let member = Member { path, ..member };
            if unpacks_zips && member.is_zip() {
                self.unpack_or_keep(&mut archive, &member, inner.depth + 1)?;
            } else {
                self.place(&mut archive, &member)?;
            }
        }
        Ok(())
    }

    /// Unpacks a zip in an inner zip if it holds geodata, and else keeps it as the file that it is.
    fn unpack_or_keep<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        member: &Member,
        depth: usize,
    ) -> Result<(), IngestError> {
        let scratch = self.scratch.with_extension(format!("{depth}.zip"));
        self.write_member(archive, member, &scratch, false)?;
        let file = File::open(&scratch).disk(|| format!("open '{}'", member.name))?;
        if ZipArchive::new(BufReader::new(file)).is_ok_and(|zip| holds_geodata(&zip, depth < MOST_ZIPS)) {
            return self.unpack_scratch(&Inner::of(member, depth), &scratch);
        }
        let size = fs::metadata(&scratch).disk(|| format!("look at '{}'", member.name))?.len();
        self.kept.written += size;
        if self.kept.written > self.most_bytes {
            return Err(self.too_large());
        }
        let path = self.find_place(member)?;
        fs::rename(&scratch, path).disk(|| format!("move '{}'", member.name))
    }

    fn place<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        member: &Member,
    ) -> Result<(), IngestError> {
        let path = self.find_place(member)?;
        if member.is_dir { Ok(()) } else { self.write_member(archive, member, &path, true) }
    }

    /// The path of a member, which no other has, in a folder that exists.
    fn find_place(&mut self, member: &Member) -> Result<PathBuf, IngestError> {
        let path: PathBuf = self.target.join(member.path.0.iter().collect::<PathBuf>());
        let known = if member.is_dir {
            self.taken.add_folders(&member.path.0)
        } else {
            self.taken.add_file(&member.path)
        };
        known.map_err(|reason| unsafe_member(&member.name, &reason))?;
        let folder = if member.is_dir { Some(path.as_path()) } else { path.parent() };
        if let Some(folder) = folder {
            fs::create_dir_all(folder).disk(|| format!("create the folder of '{}'", member.name))?;
        }
        Ok(path)
    }

    fn write_member<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        member: &Member,
        path: &Path,
        stays: bool,
    ) -> Result<(), IngestError> {
        let mut entry = archive.by_index(member.index).map_err(|error| damaged(&member.name, &error))?;
        let ahead = member.packed.as_ref().and_then(|packed| self.ahead.take(packed));
        if ahead.is_some_and(|file| fs::rename(file, path).is_ok()) {
            return self.count(entry.size(), stays);
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .disk(|| format!("create '{}'", member.name))?;
        let size = entry.size();
        let written = pour(&mut entry, size, &file, &member.name, |length| {
            self.count(length, stays)?;
            (self.progress)(IngestProgress::Room { bytes: length });
            Ok(())
        })?;
        if written != size {
            return Err(IngestError::Damaged {
                name: member.name.clone(),
                reason: format!("it has {written} bytes, the zip promises {size}"),
            });
        }
        Ok(())
    }

    /// Counts bytes that come out, against the limits and for those who look on.
    fn count(&mut self, length: u64, stays: bool) -> Result<(), IngestError> {
        self.done += length;
        let bytes = if stays { &mut self.kept } else { &mut self.passing };
        bytes.written += length;
        if bytes.written > self.most_bytes {
            return Err(self.too_large());
        }
        (self.progress)(IngestProgress::Extracting { done: self.done, total: self.total.max(self.done) });
        Ok(())
    }

    fn too_large(&self) -> IngestError {
        if self.by_ratio {
            return IngestError::TooLarge {
                what: "times the package's own size".to_owned(),
                limit: self.limits.ratio,
            };
        }
        IngestError::TooLarge { what: "unpacked bytes".to_owned(), limit: self.limits.unpacked_bytes }
    }
}

/// True for the name of the delivery's own folder.
fn is_results(folder: &str) -> bool {
    folder.eq_ignore_ascii_case("Results")
}

/// True when everything that is not a zip lies below `Results/`, the delivery's own folder.
fn common_results_folder(members: &[Member]) -> bool {
    members.iter().all(|member| {
        member.path.0.first().is_some_and(|first| is_results(first))
            && (member.is_dir || member.path.0.len() > 1)
    }) && !members.iter().any(|member| member.is_dir && member.path.0.len() == 1 && members.len() == 1)
}

/// Whether a zip holds what can be served, or a zip that may hold it.
fn holds_geodata<R: Read + Seek>(archive: &ZipArchive<R>, unpacks_zips: bool) -> bool {
    let names = archive.file_names().filter_map(Result::ok).map(|name| name.replace('\\', "/"));
    let names: Vec<String> = names.collect();
    !discover::layers(&names).is_empty()
        || !discover::netcdf_layers(&names).is_empty()
        || !vector::find(&names).is_empty()
        || unpacks_zips && names.iter().any(|name| name.to_ascii_lowercase().ends_with(".zip"))
}

fn open(path: &Path, consume: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(consume).open(path)
}

type Archive = ZipArchive<BufReader<ReadOnce>>;

/// Opens the zip that lies at `place` (first byte, length) of a file.
fn open_archive(file: File, place: (u64, u64), name: &str) -> Result<(Archive, NeededFrom), IngestError> {
    let (first, size) = place;
    let mut start = vec![0; size.min(512) as usize];
    file.read_exact_at(&mut start, first).disk(|| format!("read '{name}'"))?;
    let reason = |error: &dyn std::fmt::Display| {
        let start = String::from_utf8_lossy(&start).trim_start().to_ascii_lowercase();
        match size {
            0 => "it is empty".to_owned(),
            _ if start.starts_with("<!doctype html") || start.starts_with("<html") => {
                "it is an HTML page".to_owned()
            }
            _ if start.starts_with('<') => "it is an XML or HTML document".to_owned(),
            _ if start.starts_with('{') => "it is a JSON document".to_owned(),
            _ => error.to_string(),
        }
    };
    let not_a_package = |error: &dyn std::fmt::Display| IngestError::NotAPackage {
        name: name.to_owned(),
        reason: reason(error),
    };
    let (file, needed_from) = ReadOnce::new(file, first, size);
    let archive = ZipArchive::new(BufReader::with_capacity(READ_AHEAD, file)).map_err(|error| {
        // When it begins as a zip, what is wrong now is damage (a truncated download).
        if start.starts_with(b"PK") { damaged(name, &error) } else { not_a_package(&error) }
    })?;
    Ok((archive, needed_from))
}

fn unsafe_member(name: &str, reason: &str) -> IngestError {
    IngestError::UnsafeMember { name: name.escape_default().to_string(), reason: reason.to_owned() }
}

fn damaged(name: &str, error: &ZipError) -> IngestError {
    match error {
        ZipError::Io(error) => IngestError::unreadable(name, error),
        error => IngestError::Damaged { name: name.to_owned(), reason: error.to_string() },
    }
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
