//! Tiles, header and index put together into the one file that is COG and shard at once.
//!
//! Full resolution was written first in time and must come last in the file: room for header and overviews is
//! opened in front of it, on ext4 and xfs without moving a byte, elsewhere by copying into a new file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{DiskContext, IngestError};
use super::grid::Level;
use super::shard;
use super::sink::{TileSink, TileSpan};
use super::tiff::{self, Directory};

/// Finishes the file at `path`, which holds the tiles of `base` and nothing else, and syncs it. The files of the
/// overviews are empty afterwards. `room` is told how many bytes come next.
///
/// # Errors
/// [`IngestError::Disk`].
pub(super) fn assemble(
    path: &Path,
    directory: &Directory,
    levels: &[Level],
    base: TileSink,
    overviews: Vec<TileSink>,
    room: &mut dyn FnMut(u64),
) -> Result<(), IngestError> {
    let (mut file, base_length, mut base_spans) = base.finish();
    let mut coarser: Vec<(File, Vec<TileSpan>)> = Vec::with_capacity(overviews.len());
    for sink in overviews {
        let (file, _, spans) = sink.finish();
        coarser.push((file, spans));
    }
    // The header's size does not depend on the offsets in it.
    let header_length = {
        let empty: Vec<(Level, &[TileSpan])> = std::iter::once((levels[0], base_spans.as_slice()))
            .chain(levels[1..].iter().copied().zip(coarser.iter().map(|(_, spans)| spans.as_slice())))
            .collect();
        tiff::header(directory, &empty).len() as u64
    };
    let mut end = header_length;
    let mut placed: Vec<Vec<TileSpan>> = coarser.iter().map(|(_, spans)| spans.clone()).collect();
    for spans in placed.iter_mut().rev() {
        for span in spans.iter_mut().filter(|span| !span.is_missing()) {
            span.offset = end;
            end += u64::from(span.length);
        }
    }
    let front = end.next_multiple_of(block_size(&file));
    file = open_front(path, file, front, base_length).disk(|| "make room for the overviews".to_owned())?;
    for span in base_spans.iter_mut().filter(|span| !span.is_missing()) {
        span.offset += front;
    }
    let tables: Vec<(Level, &[TileSpan])> = std::iter::once((levels[0], base_spans.as_slice()))
        .chain(levels[1..].iter().copied().zip(placed.iter().map(Vec::as_slice)))
        .collect();
    let header = tiff::header(directory, &tables);
    let write = |file: &File, bytes: &[u8], at: u64| {
        file.write_all_at(bytes, at).disk(|| format!("write '{}'", path.display()))
    };
    let index = shard::index(&base_spans);
    room((header.len() + index.len()) as u64);
    write(&file, &header, 0)?;
    write(&file, &index, front + base_length)?;
    copy_overviews(&file, &coarser, &placed, room).disk(|| "write the overviews".to_owned())?;
    file.sync_all().disk(|| format!("sync '{}'", path.display()))
}

/// Copies overview tiles to their places, through a buffer that is written in large runs.
fn copy_overviews(
    file: &File,
    sources: &[(File, Vec<TileSpan>)],
    placed: &[Vec<TileSpan>],
    room: &mut dyn FnMut(u64),
) -> io::Result<()> {
    const RUN: usize = 4 << 20;
    let mut run: Vec<u8> = Vec::with_capacity(RUN);
    let mut run_start = 0;
    let mut write = |run: &[u8], at: u64| {
        room(run.len() as u64);
        file.write_all_at(run, at)
    };
    for ((source, from), to) in sources.iter().zip(placed).rev() {
        for (from, to) in from.iter().zip(to).filter(|(from, _)| !from.is_missing()) {
            if run.len() + from.length as usize > RUN {
                write(&run, run_start)?;
                run.clear();
            }
            if run.is_empty() {
                run_start = to.offset;
            }
            let start = run.len();
            run.resize(start + from.length as usize, 0);
            source.read_exact_at(&mut run[start..], from.offset)?;
        }
        // Its tiles are in the run or in the file.
        source.set_len(0)?;
    }
    write(&run, run_start)
}

/// Size in which the file system inserts ranges; a multiple of 4096 where it does not say.
fn block_size(file: &File) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let stated = file.metadata().map_or(0, |metadata| metadata.blksize());
    if stated.is_power_of_two() { stated.clamp(4096, 1 << 20) } else { 4096 }
}

/// Opens `front` bytes in front of the first `length` bytes of `file`.
fn open_front(path: &Path, file: File, front: u64, length: u64) -> io::Result<File> {
    let offset = |value: u64| {
        libc::off_t::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::FileTooLarge, error))
    };
    if length == 0 {
        return Ok(file);
    }
    // SAFETY: the descriptor belongs to `file`; the call has no memory arguments.
    let status =
        unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_INSERT_RANGE, 0, offset(front)?) };
    if status == 0 {
        return Ok(file);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Not this file system, or not this block size: copy.
        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::EPERM) => {
            copy_behind(path, &file, front, length)
        }
        _ => Err(error),
    }
}

/// Copies the file behind a hole of `front` bytes and takes its place.
fn copy_behind(path: &Path, file: &File, front: u64, length: u64) -> io::Result<File> {
    let fresh_path = path.with_extension("moved");
    let fresh = OpenOptions::new().read(true).write(true).create_new(true).open(&fresh_path)?;
    let (mut from, mut to) = (0i64, front as i64);
    while (from as u64) < length {
        let left = usize::try_from(length - from as u64).unwrap_or(usize::MAX).min(1 << 30);
        // SAFETY: both descriptors are open and both offsets live on this stack frame.
        let copied = unsafe {
            libc::copy_file_range(file.as_raw_fd(), &mut from, fresh.as_raw_fd(), &mut to, left, 0)
        };
        if copied > 0 {
            continue;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            _ if copied == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(libc::EINTR) => {}
            Some(libc::EXDEV | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => {
                copy_by_hand(file, &fresh, from as u64, to as u64, length)?;
                break;
            }
            _ => return Err(error),
        }
    }
    fs::rename(&fresh_path, path)?;
    Ok(fresh)
}

fn copy_by_hand(from: &File, to: &File, mut start: u64, mut target: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while start < end {
        let length = usize::try_from(end - start).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..length], start)?;
        to.write_all_at(&buffer[..length], target)?;
        start += length as u64;
        target += length as u64;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_making_room_keep_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, &content).unwrap();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            (path, file)
        };
        let front = 8192;
        let (path, file) = make("insert");
        let inserted = open_front(&path, file, front, content.len() as u64).unwrap();
        inserted.write_all_at(b"head", 0).unwrap();
        let (path_copy, file) = make("copy");
        let copied = copy_behind(&path_copy, &file, front, content.len() as u64).unwrap();
        copied.write_all_at(b"head", 0).unwrap();
        let (path_hand, file) = make("hand");
        let hand = File::create(folder.path().join("hand2")).unwrap();
        copy_by_hand(&file, &hand, 0, front, content.len() as u64).unwrap();
        assert_eq!(fs::read(folder.path().join("hand2")).unwrap()[front as usize..], content);
        assert_eq!(fs::read(path_hand).unwrap(), content);
        for path in [path, path_copy] {
            let bytes = fs::read(path).unwrap();
            assert_eq!(bytes.len(), content.len() + front as usize);
            assert_eq!(&bytes[..4], b"head");
            assert_eq!(bytes[front as usize..], content);
        }
    }
}
