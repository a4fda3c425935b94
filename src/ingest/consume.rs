//! Tight room: bytes of the package and of the sources are given back to the disk as soon as nobody needs them.
//!
//! Otherwise package, unpacked files and entry lie on the disk at once, three times the product. Holes are
//! punched (`fallocate(FALLOC_FL_PUNCH_HOLE)`), so offsets stay what they are: behind the reader of a zip, and in
//! a source where no piece that is still to be converted needs a block. A file system without holes only
//! needs more room.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use super::error::{DiskContext, IngestError};
use super::mosaic::{Mosaic, MosaicTile};
use super::overlap::Overlap;
use super::schedule::Piece;
use super::source::Window;
use super::tiff::{Tag, first_directory};

/// Holes are made of whole pages of this size, the block size of the common file systems.
const PAGE: u64 = 4096;
/// Shortest hole behind the reader of a zip.
const STEP: u64 = 256 << 10;
/// Most counters for all sources of a raster together; holes are coarser in what is larger.
const MOST_COUNTERS: u64 = 4 << 20;

/// Gives the bytes `from..to` of a file back; its length stays.
fn punch(file: &File, from: u64, to: u64) -> io::Result<()> {
    let offset = |value: u64| libc::off_t::try_from(value).map_err(io::Error::other);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor belongs to `file`; the call has no memory arguments.
    let status = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset(from)?, offset(to - from)?) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if status == 0 => Ok(()),
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINTR) => Ok(()),
        _ => Err(error),
    }
}

/// A zip that is read once, from front to back, and may be given back behind the reader. It is a file, or lies in one
/// as it is (a member of another zip that is stored, not compressed).
#[derive(Debug)]
pub(super) struct ReadOnce {
    file: File,
    /// Where it begins in the file, and its bytes.
    start: u64,
    length: u64,
    /// What is read next, from its own beginning.
    position: u64,
    /// What is given back, from the beginning of the file.
    freed: u64,
    needed_from: NeededFrom,
}

/// Says from which byte on a [`ReadOnce`] is still needed; nothing is given back before it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct NeededFrom(Rc<Cell<u64>>);

impl NeededFrom {
    /// Everything in front of `byte` that has been read may go.
    pub(super) fn set(&self, byte: u64) {
        self.0.set(byte);
    }
}

impl ReadOnce {
    /// `length` bytes from `start` on of a file that is open for reading, and for writing if anything is ever to
    /// be given back.
    pub(super) fn new(file: File, start: u64, length: u64) -> (Self, NeededFrom) {
        let needed_from = NeededFrom::default();
        let freed = start.next_multiple_of(PAGE);
        (Self { file, start, length, position: 0, freed, needed_from: needed_from.clone() }, needed_from)
    }
}

impl Read for ReadOnce {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What was read before this call has been used or lies in the reader's buffer.
        let behind = (self.start + self.position.min(self.needed_from.0.get())) / PAGE * PAGE;
        if behind >= self.freed + STEP {
            punch(&self.file, self.freed, behind)?;
            self.freed = behind;
        }
        let rest = self.length.saturating_sub(self.position);
        let wanted = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let length = self.file.read_at(&mut buffer[..wanted], self.start + self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for ReadOnce {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place in front of the zip");
        self.position = target.ok_or_else(before)?;
        Ok(self.position)
    }
}

/// The sources of a raster while it is converted in tight room.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<Mutex<Source>>,
}

impl Sources {
    /// Counts which pieces need what. `overlaps` gives the parts of sources that a piece is made of.
    ///
    /// # Errors
    /// [`IngestError::Disk`] when a source cannot be opened.
    pub(super) fn new(
        mosaic: &Mosaic,
        pieces: &[Piece],
        overlaps: impl Fn(Piece) -> Vec<Overlap>,
    ) -> Result<Self, IngestError> {
        let length = |tile: &MosaicTile| fs::metadata(&tile.path).map(|metadata| metadata.len());
        let all: io::Result<u64> = mosaic.tiles.iter().map(length).sum();
        let all = all.disk(|| "look at the sources".to_owned())?;
        let unit = (all / MOST_COUNTERS).max(PAGE).next_power_of_two();
        let mut files = Vec::with_capacity(mosaic.tiles.len());
        for tile in &mosaic.tiles {
            let look = || {
                let blocks = Blocks::find(&File::open(&tile.path)?);
                blocks.map(|blocks| Ok(Counters::new(blocks, unit, length(tile)?))).transpose()
            };
            let counters = look().disk(|| format!("open '{}'", tile.name))?;
            files.push(Source { path: tile.path.clone(), pieces: 0, counters });
        }
        for &piece in pieces {
            for overlap in overlaps(piece) {
                let source = &mut files[overlap.source];
                source.pieces += 1;
                if let Some(counters) = &mut source.counters {
                    counters.add(overlap.band, overlap.window);
                }
            }
        }
        Ok(Self { files: files.into_iter().map(Mutex::new).collect() })
    }

    /// Gives back what only a converted piece needed.
    ///
    /// # Errors
    /// [`IngestError::Disk`].
    pub(super) fn done(&self, overlaps: &[Overlap]) -> Result<(), IngestError> {
        for overlap in overlaps {
            let mut source = self.files[overlap.source].lock().unwrap_or_else(PoisonError::into_inner);
            source.done(overlap.band, overlap.window).disk(|| "give back a source's blocks".to_owned())?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Source {
    path: std::path::PathBuf,
    /// Pieces that still need it.
    pieces: usize,
    /// `None` where the blocks are not known: then it goes as a whole.
    counters: Option<Counters>,
}

impl Source {
    fn done(&mut self, band: u32, window: Window) -> io::Result<()> {
        // Not kept open: a mosaic may have more tiles than a process may have files.
        let file = || OpenOptions::new().write(true).open(&self.path);
        self.pieces -= 1;
        if self.pieces == 0 {
            // Other threads may have it open: deleting it would not give back anything yet.
            self.counters = None;
            return file()?.set_len(0);
        }
        let Some(counters) = &mut self.counters else { return Ok(()) };
        let holes = counters.remove(band, window);
        if holes.is_empty() {
            return Ok(());
        }
        let file = file()?;
        holes.into_iter().try_for_each(|(from, to)| punch(&file, from, to))
    }
}

/// Where a TIFF's blocks (tiles or strips) of the full resolution lie.
#[derive(Debug)]
struct Blocks {
    columns: usize,
    rows: usize,
    width: usize,
    height: usize,
    /// True when every band has blocks of its own.
    planes: bool,
    /// Offset and length of each.
    spans: Vec<(u64, u64)>,
    /// Bytes around a block that its reader may look at.
    frame: u64,
}

impl Blocks {
    fn find(file: &File) -> Option<Self> {
        let read = |offset: u64, length: usize| {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
        };
        let tags = first_directory(read)?;
        let get = |code: u16| tags.iter().find(|tag| tag.code == code).map(Tag::integers);
        let one = |code: u16| get(code).and_then(|values| values.first().copied());
        let size = (usize::try_from(one(256)?).ok()?, usize::try_from(one(257)?).ok()?);
        let (width, height, offsets, lengths) = match (one(322), one(323)) {
            (Some(width), Some(height)) => (width, height, get(324)?, get(325)?),
            _ => (size.0 as u64, one(278).unwrap_or(u64::MAX).min(size.1 as u64), get(273)?, get(279)?),
        };
        let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        if width == 0 || height == 0 {
            return None;
        }
        let (columns, rows) = (size.0.div_ceil(width), size.1.div_ceil(height));
        let planes = one(284) == Some(2);
        let count = columns * rows * if planes { usize::try_from(one(277)?).ok()? } else { 1 };
        if offsets.len() != count || lengths.len() != count {
            return None;
        }
        // GDAL's cloud-optimised files have each block's size in front of it and its end again behind it.
        let ghost = read(0, 512).unwrap_or_default();
        let leader = b"BLOCK_LEADER=SIZE_AS_UINT4";
        let frame = if ghost.windows(leader.len()).any(|bytes| bytes == leader) { 4 } else { 0 };
        let spans = offsets.into_iter().zip(lengths).collect();
        Some(Self { columns, rows, width, height, planes, spans, frame })
    }

    /// First and last byte (exclusive) of all blocks that a window touches.
    fn touched(&self, band: u32, window: Window) -> impl Iterator<Item = (u64, u64)> + '_ {
        let band = if self.planes { band as usize } else { 0 };
        let rows = window.y / self.height..(window.y + window.height).div_ceil(self.height).min(self.rows);
        let columns = window.x / self.width..(window.x + window.width).div_ceil(self.width).min(self.columns);
        rows.flat_map(move |row| columns.clone().map(move |column| (row, column)))
            .map(move |(row, column)| self.spans[(band * self.rows + row) * self.columns + column])
            .filter_map(|span| self.framed(span))
    }

    fn framed(&self, (offset, length): (u64, u64)) -> Option<(u64, u64)> {
        let end = offset.checked_add(length)?.checked_add(self.frame)?;
        (offset > self.frame && length > 0).then(|| (offset - self.frame, end))
    }
}

/// How many uses of each unit of a file are still to come.
#[derive(Debug)]
struct Counters {
    blocks: Blocks,
    unit: u64,
    uses: Vec<u32>,
    /// Units with anything but blocks in them, which stay.
    stays: Vec<bool>,
}

impl Counters {
    fn new(blocks: Blocks, unit: u64, length: u64) -> Self {
        let units = usize::try_from(length.div_ceil(unit)).unwrap_or(0);
        let mut stays = vec![true; units];
        let mut spans: Vec<(u64, u64)> =
            blocks.spans.iter().filter_map(|&span| blocks.framed(span)).collect();
        spans.sort_unstable();
        let mut covered: Vec<(u64, u64)> = Vec::new();
        for (from, to) in spans {
            match covered.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => covered.push((from, to)),
            }
        }
        for (from, to) in covered {
            let range = from.div_ceil(unit)..(to.min(length) / unit);
            range.for_each(|number| stays[number as usize] = false);
        }
        Self { blocks, unit, uses: vec![0; units], stays }
    }

    fn units(&self, band: u32, window: Window) -> Vec<usize> {
        let units =
            |(from, to): (u64, u64)| from / self.unit..to.div_ceil(self.unit).min(self.uses.len() as u64);
        self.blocks.touched(band, window).flat_map(units).map(|number| number as usize).collect()
    }

    fn add(&mut self, band: u32, window: Window) {
        for number in self.units(band, window) {
            self.uses[number] += 1;
        }
    }

    /// Takes a window's uses away; gives the ranges of bytes that have none left.
    fn remove(&mut self, band: u32, window: Window) -> Vec<(u64, u64)> {
        let mut free = Vec::new();
        for number in self.units(band, window) {
            self.uses[number] -= 1;
            if self.uses[number] == 0 && !self.stays[number] {
                free.push(number as u64 * self.unit);
            }
        }
        free.sort_unstable();
        let mut holes: Vec<(u64, u64)> = Vec::new();
        for from in free {
            match holes.last_mut() {
                Some(last) if last.1 == from => last.1 += self.unit,
                _ => holes.push((from, from + self.unit)),
            }
        }
        holes
    }
}
