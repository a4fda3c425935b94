//! The parallel conversion: pieces of the source are read, cut into tiles, compressed, halved and written by a
//! pool of threads. Memory is bounded by the budget, whatever the size of the raster.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::consume::Sources;
use super::convert::Work;
use super::encode::Encoder;
use super::error::IngestError;
use super::grid::{Level, SIDE, TILE_PIXELS, TileAt};
use super::mosaic::Mosaic;
use super::overlap::{Overlap, overlaps};
use super::overview::Method;
use super::pixel::{Pixel, as_bytes};
use super::pyramid::{Bench, Pyramid, is_uniform};
use super::raw_copy::RawTiles;
use super::schedule::{Piece, Schedule};
use super::sink::TileSink;
use super::source::{SourceReader, Window};
use super::statistics::Accumulator;
use super::thread;
use crate::store::entry::{Codec, Statistics};

/// Most sources one thread keeps open.
const MOST_OPEN: usize = 16;
/// Bytes of finished tiles that a thread collects before it writes them: each write is preceded by a question whether there is room.
const WRITTEN_AT_ONCE: usize = 1 << 20;
/// Files that are open for other reasons: pipes, levels, PROJ's database.
const OTHER_FILES: u64 = 48;

/// What is to be converted, and how.
pub(super) struct Plan<'a> {
    /// The source.
    pub(super) mosaic: &'a Mosaic,
    /// The levels, full resolution first.
    pub(super) levels: &'a [Level],
    /// How overviews are made.
    pub(super) method: Method,
    /// Compression of the tiles.
    pub(super) codec: Codec,
    /// Threads to start.
    pub(super) threads: usize,
    /// Bytes of memory for all threads' pixels.
    pub(super) memory: u64,
    /// Most files all threads together may have open.
    pub(super) open_files: u64,
    /// The source's tiles where they can be taken as they are.
    pub(super) raw: Option<&'a RawTiles>,
    /// True when the sources may be given back while they are converted.
    pub(super) consume: bool,
    /// For each band, whether it comes from elsewhere: nothing is done for it.
    pub(super) left_out: &'a [bool],
}

/// A converted raster, not yet put together.
pub(super) struct Converted<T> {
    /// The full resolution.
    pub(super) base: TileSink,
    /// The overview levels from the finest.
    pub(super) overviews: Vec<TileSink>,
    /// Statistics of each band.
    pub(super) statistics: Vec<Option<Statistics>>,
    /// The only tile of the coarsest level of band 1, `None` when it is all nodata.
    pub(super) top: Option<Vec<T>>,
}

/// Converts all pixels. `base` takes the tiles of the full resolution, `overviews` (empty files) those of the
/// levels above. `progress` is called in this thread.
///
/// # Errors
/// The first error of any thread.
pub(super) fn convert<T: Pixel>(
    plan: &Plan<'_>,
    base: TileSink,
    overviews: Vec<File>,
    progress: &mut dyn FnMut(Work),
) -> Result<Converted<T>, IngestError> {
    let mosaic = plan.mosaic;
    let bands = mosaic.facts.bands.len();
    let nodata = mosaic.nodata.and_then(|number| T::exact(number.0));
    let fill = nodata.unwrap_or(T::ZERO);
    let sinks = overviews
        .into_iter()
        .zip(&plan.levels[1..])
        .map(|(file, level)| TileSink::new(file, level.tiles() * bands))
        .collect();
    let pyramid = Pyramid::new(plan.levels, plan.method, nodata, fill, sinks);
    // The rest is for GDAL's blocks and for overview tiles that wait for a quarter.
    let budget = plan.memory / 8 * 5 / (plan.threads as u64 * size_of::<T>() as u64);
    let block = (mosaic.facts.block.0 as usize, mosaic.facts.block.1 as usize);
    let schedule = Schedule::new((mosaic.width as usize, mosaic.height as usize), block, budget as usize);
    let mut pieces = schedule.pieces(bands);
    pieces.retain(|piece| !plan.left_out[piece.band as usize]);
    let used_up =
        plan.consume.then(|| Sources::new(mosaic, &pieces, |piece| overlaps(mosaic, piece))).transpose()?;
    let shared = Shared {
        plan,
        used_up,
        pieces: &pieces,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        base: &base,
        pyramid: &pyramid,
        nodata,
        fill,
    };
    let mut seen = vec![Accumulator::default(); pieces.len()];
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let mut grants = Vec::new();
        for number in 0..plan.threads.min(pieces.len()).max(1) {
            let (grant, granted) = mpsc::sync_channel(1);
            grants.push(grant);
            let desk = Desk { thread: number, sender: sender.clone(), granted };
            let shared = &shared;
            thread::start_in(scope, move || {
                let result = Worker::new(shared, &schedule).and_then(|mut worker| worker.run(&desk));
                if let Err(error) = result {
                    shared.stop.store(true, Ordering::Relaxed);
                    desk.tell(Message::Failed(error));
                }
            });
        }
        drop(sender);
        // What each thread has been granted last, and may not have written yet.
        let mut granted = vec![0; grants.len()];
        let mut first_error = None;
        for message in receiver {
            match message {
                Message::Done { thread, number, statistics } => {
                    granted[thread] = 0;
                    let piece: Piece = pieces[number];
                    seen[number] = statistics;
                    progress(Work::Done((piece.width * piece.height * size_of::<T>()) as u64));
                }
                Message::Room { thread, bytes } => {
                    granted[thread] = bytes;
                    progress(Work::Room(granted.iter().sum()));
                    // A thread that has gone needs no grant.
                    let _ = grants[thread].send(());
                }
                Message::Failed(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    })?;
    let pixels = u64::from(mosaic.width) * u64::from(mosaic.height);
    let statistics = (0..bands)
        .map(|band| {
            let mut all = Accumulator::default();
            let of_band = pieces.iter().zip(&seen).filter(|(piece, _)| piece.band as usize == band);
            of_band.for_each(|(_, piece)| all.merge(piece));
            all.finish::<T>(pixels)
        })
        .collect();
    let (overviews, top) = pyramid.finish();
    Ok(Converted { base, overviews, statistics, top })
}

struct Shared<'a, T> {
    plan: &'a Plan<'a>,
    /// The sources, when they are to be given back.
    used_up: Option<Sources>,
    pieces: &'a [Piece],
    next: AtomicUsize,
    stop: AtomicBool,
    base: &'a TileSink,
    pyramid: &'a Pyramid<'a, T>,
    nodata: Option<T>,
    fill: T,
}

impl<T: Pixel> Shared<'_, T> {
    /// Gives what a source marks as nodata by a value of its own the mosaic's value.
    ///
    /// # Errors
    /// [`IngestError::Mosaic`] when the mosaic's value is a valid pixel of that source.
    fn one_nodata(&self, overlap: Overlap, pixels: &mut [T], stride: usize) -> Result<(), IngestError> {
        let tile = &self.plan.mosaic.tiles[overlap.source];
        let own = tile.other_nodata.and_then(|number| T::exact(number.0));
        let (Some(own), Some(nodata)) = (own, self.nodata) else { return Ok(()) };
        let Window { width, height, .. } = overlap.window;
        for pixel in pixels.chunks_mut(stride).take(height).flat_map(|row| row.iter_mut().take(width)) {
            if own.same(*pixel) {
                *pixel = nodata;
            } else if nodata.same(*pixel) {
                let reason = format!(
                    "its nodata value is {own:?}, and {nodata:?}, which is nodata in the other tiles, is a value in it"
                );
                return Err(IngestError::Mosaic { name: tile.name.clone(), reason });
            }
        }
        Ok(())
    }
}

/// From a worker to the thread that waits for them all.
enum Message {
    /// A piece is done.
    Done { thread: usize, number: usize, statistics: Accumulator },
    /// A thread is about to write so many bytes, and waits for the grant.
    Room { thread: usize, bytes: u64 },
    /// A thread has given up.
    Failed(IngestError),
}

/// Where a worker tells and asks.
struct Desk {
    thread: usize,
    sender: mpsc::Sender<Message>,
    granted: mpsc::Receiver<()>,
}

impl Desk {
    fn tell(&self, message: Message) {
        // The receiver outlives the workers.
        let _ = self.sender.send(message);
    }

    /// Returns when the bytes may be written.
    fn ask_for(&self, bytes: u64) {
        self.tell(Message::Room { thread: self.thread, bytes });
        let _ = self.granted.recv();
    }
}

struct Worker<'a, T> {
    shared: &'a Shared<'a, T>,
    sources: OpenSources,
    /// The pixels of a piece, rows `stride` apart.
    pixels: Vec<T>,
    stride: usize,
    /// Pixels of a tile that overlaps others.
    overlap: Vec<T>,
    tile: Vec<T>,
    /// Pixels of a row that are measurements.
    measured: Vec<T>,
    bench: Bench<T>,
    packed: Vec<u8>,
    spans: Vec<(usize, u32)>,
}

impl<'a, T: Pixel> Worker<'a, T> {
    fn new(shared: &'a Shared<'a, T>, schedule: &Schedule) -> Result<Self, IngestError> {
        let encoder = Encoder::new(shared.plan.codec)
            .map_err(|error| IngestError::disk("start the compressor", &error))?;
        Ok(Self {
            shared,
            sources: OpenSources::new(shared.plan),
            pixels: vec![shared.fill; schedule.width * schedule.height],
            stride: schedule.width,
            overlap: Vec::new(),
            tile: vec![shared.fill; TILE_PIXELS],
            measured: Vec::new(),
            bench: Bench::new(encoder),
            packed: Vec::new(),
            spans: Vec::new(),
        })
    }

    fn run(&mut self, desk: &Desk) -> Result<(), IngestError> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(&piece) = self.shared.pieces.get(number) else { break };
            let covered = overlaps(self.shared.plan.mosaic, piece);
            let statistics = self.piece(piece, &covered, desk)?;
            if let Some(sources) = &self.shared.used_up {
                sources.done(&covered)?;
            }
            desk.tell(Message::Done { thread: desk.thread, number, statistics });
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece, covered: &[Overlap], desk: &Desk) -> Result<Accumulator, IngestError> {
        let mut statistics = Accumulator::default();
        let has_source = self.read(piece, covered)?;
        let level = self.shared.plan.levels[0];
        // Two by two, so that a tile of the first overview is complete after four.
        for quad_y in (0..piece.height).step_by(2 * SIDE) {
            for quad_x in (0..piece.width).step_by(2 * SIDE) {
                for (dy, dx) in [(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)] {
                    let (x, y) = (quad_x + dx, quad_y + dy);
                    if x >= piece.width || y >= piece.height {
                        continue;
                    }
                    let at = TileAt {
                        band: piece.band,
                        row: ((piece.y + y) / SIDE) as u32,
                        column: ((piece.x + x) / SIDE) as u32,
                    };
                    if has_source {
                        self.tile(level, at, y * self.stride + x, &mut statistics)?;
                    } else {
                        self.count_uniform(self.shared.fill, level.inside(at), &mut statistics);
                        self.shared.pyramid.deliver(at, None, &mut self.bench)?;
                    }
                }
                if self.packed.len() >= WRITTEN_AT_ONCE {
                    self.flush(desk)?;
                }
            }
        }
        self.flush(desk)?;
        Ok(statistics)
    }

    /// Cuts one tile out of the piece (its first pixel is `pixels[start]`) and does everything with it.
    fn tile(
        &mut self,
        level: Level,
        at: TileAt,
        start: usize,
        statistics: &mut Accumulator,
    ) -> Result<(), IngestError> {
        let Shared { nodata, fill, pyramid, plan, .. } = *self.shared;
        let (width, height) = level.inside(at);
        if width < SIDE || height < SIDE {
            self.tile.fill(fill);
        }
        for row in 0..height {
            self.tile[row * SIDE..][..width]
                .copy_from_slice(&self.pixels[start + row * self.stride..][..width]);
        }
        let uniform = is_uniform(&self.tile);
        let variable = &plan.mosaic.facts.variable;
        if uniform {
            self.count_uniform(self.tile[0], (width, height), statistics);
        } else if variable.valid_range.is_none() {
            for row in self.tile.chunks_exact(SIDE).take(height) {
                statistics.add_row(&row[..width], nodata);
            }
        } else {
            for row in self.tile.chunks_exact(SIDE).take(height) {
                let measured = row[..width].iter().copied().filter(|pixel| variable.measures(pixel.to_f64()));
                self.measured.clear();
                self.measured.extend(measured);
                statistics.add_row(&self.measured, nodata);
            }
        }
        let missing = uniform && as_bytes(&self.tile[..1]) == as_bytes(&[fill]);
        if missing {
            return pyramid.deliver(at, None, &mut self.bench);
        }
        let index = level.index(at);
        let copied = match plan.raw {
            Some(raw) => raw.append(index, &mut self.packed)?,
            None => None,
        };
        let length = match copied {
            Some(length) => length,
            None => self
                .bench
                .encoder
                .append(as_bytes(&self.tile), &mut self.packed)
                .map_err(|error| IngestError::disk("compress a tile", &error))? as u32,
        };
        self.spans.push((index, length));
        pyramid.deliver(at, Some(&self.tile), &mut self.bench)
    }

    /// Counts the pixels of a tile that has one value only. Where no source is and nothing is nodata, that is a value, too:
    /// how the raster was cut into pieces must not show.
    fn count_uniform(&self, pixel: T, (width, height): (usize, usize), statistics: &mut Accumulator) {
        if self.shared.plan.mosaic.facts.variable.measures(pixel.to_f64()) {
            statistics.add_uniform(pixel, width * height, self.shared.nodata);
        }
    }

    fn flush(&mut self, desk: &Desk) -> Result<(), IngestError> {
        if self.spans.is_empty() {
            return Ok(());
        }
        // A third more for the overviews that these tiles add to.
        desk.ask_for(self.packed.len() as u64 / 3 * 4);
        self.shared.base.append(&self.packed, &self.spans)?;
        self.packed.clear();
        self.spans.clear();
        Ok(())
    }

    /// Fills `pixels` with a piece; false when no source touches it.
    fn read(&mut self, piece: Piece, covered: &[Overlap]) -> Result<bool, IngestError> {
        let plan = self.shared.plan;
        let Some(first) = covered.first() else { return Ok(false) };
        let whole = first.window.width == piece.width && first.window.height == piece.height;
        if !whole {
            self.pixels.fill(self.shared.fill);
        }
        for number in 0..covered.len() {
            let overlap = covered[number];
            let clashes = covered[..number].iter().any(|earlier| earlier.touches(&overlap));
            if clashes {
                self.read_over(overlap)?;
            } else {
                let start = overlap.y * self.stride + overlap.x;
                let stride = self.stride;
                let source = self.sources.get(plan.mosaic, overlap.source)?;
                source.read(overlap.band, overlap.window, &mut self.pixels[start..], stride)?;
                self.shared.one_nodata(overlap, &mut self.pixels[start..], stride)?;
            }
        }
        Ok(true)
    }

    /// Lays a source over pixels that an earlier one wrote: it wins wherever it is not nodata.
    fn read_over(&mut self, overlap: Overlap) -> Result<(), IngestError> {
        let Window { width, height, .. } = overlap.window;
        self.overlap.resize(width * height, self.shared.fill);
        let source = self.sources.get(self.shared.plan.mosaic, overlap.source)?;
        source.read(overlap.band, overlap.window, &mut self.overlap, width)?;
        self.shared.one_nodata(overlap, &mut self.overlap, width)?;
        for (row, new) in self.overlap.chunks_exact(width).take(height).enumerate() {
            let old = &mut self.pixels[(overlap.y + row) * self.stride + overlap.x..][..width];
            for (old, &new) in old.iter_mut().zip(new) {
                if !self.shared.nodata.is_some_and(|nodata| nodata.same(new)) {
                    *old = new;
                }
            }
        }
        Ok(())
    }
}

/// The sources a thread has open, the least recently used in front.
struct OpenSources {
    most: usize,
    readers: VecDeque<(usize, SourceReader)>,
}

impl OpenSources {
    fn new(plan: &Plan<'_>) -> Self {
        let share = plan.open_files.saturating_sub(OTHER_FILES) / plan.threads.max(1) as u64;
        Self { most: (share as usize).clamp(1, MOST_OPEN), readers: VecDeque::new() }
    }

    /// The reader of a source, opened when needed; the least recently used one makes room.
    fn get(&mut self, mosaic: &Mosaic, number: usize) -> Result<&SourceReader, IngestError> {
        let reader = match self.readers.iter().position(|(open, _)| *open == number) {
            Some(at) => self.readers.remove(at),
            None => {
                let tile = &mosaic.tiles[number];
                Some((number, SourceReader::open(&tile.path, &tile.name, &tile.origin)?))
            }
        };
        if self.readers.len() >= self.most {
            self.readers.pop_front();
        }
        self.readers.extend(reader);
        match self.readers.back() {
            Some((_, reader)) => Ok(reader),
            None => Err(IngestError::raster(&*mosaic.facts.name, "no source is open")),
        }
    }
}
