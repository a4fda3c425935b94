//! Packages become entries: unzip, GDAL reading, mosaic, overviews, encoding; in a child process without rights.
//!
//! ```text
//! run (child.rs, parent side) ── spawns ──▶ child_main (sandbox.rs, system_calls.rs) ──▶ ingest (here)
//!
//! package.rs    the outer zip, unpacked with suspicion; member.rs: safe paths; taken.rs: none twice; pour.rs: one thread
//!               unpacks, one writes
//! follow.rs     while the package is still being downloaded, another child follows it: ahead.rs unpacks what has come,
//!               by local_header.rs; package.rs takes from that what the package's directory confirms
//! lay_out.rs    discover.rs: which files are rasters, which of them are tiles of one layer; dated.rs: which layers
//!               are one at several dates
//! source.rs     one raster as GDAL sees it; claims.rs: what its tags claim before GDAL reads them; place.rs, crs.rs,
//!               classes.rs, dbf.rs (code_page.rs), legend.rs: what it means; netcdf/: one per variable
//! mosaic.rs     tiles on one grid; stack.rs: a band for each date
//! convert.rs    one layer → one array: schedule.rs, overlap.rs → pipeline.rs → encode.rs, pyramid.rs (overview.rs),
//!               statistics.rs → sink.rs; simd.rs: loops for newer processors; raw_copy.rs where nothing needs to be encoded
//! reuse.rs      dates that the product's former entry has already are copied from it
//! consume.rs    what is used up is given back to the disk, where room is tight
//! vector.rs     vector data: found, checked, described; wal.rs: GeoPackages that could not be read otherwise
//! assemble.rs   the raster file: tiff.rs + geotags.rs in front, shard.rs at the end; preview.rs
//! ```
//!
//! What comes out is described in [`crate::store::entry`].

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::store::checksum::Checksum;
use crate::store::entry::{ENTRY_FORMAT, EntryMeta, SideFile};
use crate::store::seal;
use crate::store::verify::VerifyError;

mod ahead;
mod assemble;
mod child;
mod claims;
mod classes;
mod code_page;
mod consume;
mod convert;
mod crs;
mod dated;
mod dbf;
mod discover;
mod encode;
mod error;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod geotags;
mod grid;
#[doc(hidden)]
pub mod inner;
mod job;
mod lay_out;
mod legend;
mod local_header;
mod member;
mod mosaic;
mod netcdf;
mod overlap;
mod overview;
mod package;
mod pipeline;
mod pixel;
mod place;
mod pour;
mod preview;
mod pyramid;
mod raw_copy;
mod reuse;
mod sandbox;
mod schedule;
mod shard;
mod simd;
mod sink;
mod source;
mod stack;
mod statistics;
mod system_calls;
mod taken;
mod thread;
mod tiff;
mod vector;
mod wal;

pub(crate) use ahead::FOLDER as AHEAD_FOLDER;
pub use ahead::Packed;
pub use child::{CHILD_VERB, ChildProgram, DRIVERS, child_main, run, run_with};
pub use error::IngestError;
pub use follow::{Arrived, FOLLOW_VERB, follow, follow_main, follow_with};
pub use job::{AheadJob, CodecChoice, IngestJob, IngestProgress, Ingested, Limits, Stage};
pub use system_calls::HAS_FILTER;

use ahead::Ahead;

use convert::{Target, Work};
use discover::Layer;
use error::DiskContext;
use legend::Legends;
use mosaic::Mosaic;
use reuse::{Former, Sources};

/// Names an array must not have, because the entry has other files of that name.
const RESERVED: [&str; 4] = ["original", "preview.png", "zarr.json", seal::NAME];

/// Converts a package in this process, without a sandbox; for the child and for tests. The entry is
/// `staging/entry`, complete and synced; nothing else stays behind in `staging` when it succeeds.
///
/// # Errors
/// Any [`IngestError`] but those about the child. What was written so far is left for the caller to sweep.
pub fn ingest(job: &IngestJob, progress: &mut dyn FnMut(IngestProgress)) -> Result<EntryMeta, IngestError> {
    make_entry(job, progress).map_err(|error| error.within(&job.staging.join("unpacked")))
}

fn make_entry(job: &IngestJob, progress: &mut dyn FnMut(IngestProgress)) -> Result<EntryMeta, IngestError> {
    check(job)?;
    limit_gdal(&job.limits);
    let folder = |name: &str| {
        let path = job.staging.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).disk(|| format!("remove the stale '{name}'"))?;
        }
        fs::create_dir(&path).disk(|| format!("create '{name}'"))?;
        Ok(path)
    };
    let unpacked = folder("unpacked")?;
    let scratch = folder("scratch")?;
    let entry = folder("entry")?;
    let mut clock = Clock::start();
    let mut files = package::unpack(
        &job.package,
        &unpacked,
        &scratch.join("inner.zip"),
        &job.limits,
        job.consume,
        Ahead::new(job.staging.join(AHEAD_FOLDER), &job.ahead),
        progress,
    )?;
    if !job.ahead.is_empty() {
        // what the directory did not confirm
        let _ = fs::remove_dir_all(job.staging.join(AHEAD_FOLDER));
    }
    progress(clock.took(Stage::Unpacking));
    let mut vectors = vector::find(&files);
    let laid_out = lay_out::rasters(&files, &unpacked, &scratch, !vectors.is_empty())?;
    if laid_out.is_empty() && vectors.is_empty() {
        return Err(IngestError::NoGeodata { found: summary(&files) });
    }
    vector::prepare(&mut vectors, &mut files, &unpacked, progress)?;
    progress(clock.took(Stage::Examining));
    let (layers, mosaics): (Vec<Layer>, Vec<Mosaic>) = laid_out.into_iter().unzip();
    let last_use = last_uses(&mosaics);
    let kept = kept(&files, &mosaics, &unpacked)?;
    let kept_bytes: u64 = kept.iter().map(|file| file.size).sum();
    let total = mosaics.iter().map(Mosaic::pixel_bytes).sum::<u64>() + kept_bytes;
    let mut done = 0;
    let mut tell = |work: Work| match work {
        Work::Done(bytes) => {
            done += bytes;
            progress(IngestProgress::Converting { done, total });
        }
        Work::Room(0) => {}
        Work::Room(bytes) => progress(IngestProgress::Room { bytes }),
        Work::Copied { dates, tiles } => progress(IngestProgress::Copied { dates, tiles }),
        Work::Took(stage) => progress(clock.took(stage)),
    };
    let legends = Legends::among(&files, &unpacked);
    let sources = Sources::of(&mosaics)?;
    let former = job.former.as_deref().and_then(Former::open);
    let mut rasters = Vec::new();
    for ((number, mosaic), name) in mosaics.iter().enumerate().zip(names(&job.product, &layers)) {
        child::say_what_is_read(&mosaic.facts.name);
        let used_up: BTreeSet<&Path> = mosaic
            .tiles
            .iter()
            .map(|tile| &*tile.path)
            .filter(|path| last_use.get(path) == Some(&number))
            .collect();
        let preview = entry.join("preview.png");
        let target = Target {
            entry: &entry,
            name: &name,
            preview: rasters.is_empty().then_some(preview.as_path()),
            legends: &legends,
            scratch: &scratch,
            limits: &job.limits,
            codec: job.codec,
            // Variables of one file share it: only the last may use it up.
            consume: job.consume && mosaic.tiles.iter().all(|tile| used_up.contains(&*tile.path)),
            sources: &sources,
            former: former.as_ref(),
        };
        rasters.push(convert::convert(mosaic, target, &mut tell)?);
        // The source's bytes are needed no more: the next layer may need their room.
        for path in used_up {
            fs::remove_file(path).disk(|| format!("delete the unpacked '{}'", path.display()))?;
        }
    }
    tell(Work::Took(Stage::Converting));
    let originals = keep_originals(kept, &unpacked, &entry.join("original"), &mut tell)?;
    vector::sort(&mut vectors, &originals);
    let meta = EntryMeta { format: ENTRY_FORMAT, product: job.product.clone(), rasters, vectors, originals };
    let document = shard::group_document(&meta)
        .map_err(|error| IngestError::Job { reason: format!("the entry cannot be described: {error}") })?;
    write_document(&entry.join("zarr.json"), &document)?;
    seal::write(&entry, &meta).map_err(unsealed)?;
    for path in [&unpacked, &scratch] {
        fs::remove_dir_all(path).disk(|| format!("remove '{}'", path.display()))?;
    }
    sync_tree(&entry)?;
    progress(clock.took(Stage::Finishing));
    Ok(meta)
}

/// Tells how long stages take.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// The stage that is over; the next one begins.
    fn took(&mut self, stage: Stage) -> IngestProgress {
        let took = self.0.elapsed();
        self.0 += took;
        IngestProgress::Took { stage, milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
    }
}

fn check(job: &IngestJob) -> Result<(), IngestError> {
    let name = &job.product;
    let is_component = !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= 255
        && !name.contains('/')
        && !name.chars().any(char::is_control);
    if !is_component {
        return Err(IngestError::Job {
            reason: format!("'{}' is no name for a product", name.escape_default()),
        });
    }
    if !job.staging.is_dir() {
        return Err(IngestError::Job { reason: format!("'{}' is no directory", job.staging.display()) });
    }
    Ok(())
}

/// GDAL's block cache only has to bridge blocks that two pieces share.
fn limit_gdal(limits: &Limits) {
    let cache = (limits.memory_bytes / 8).clamp(16 << 20, 256 << 20);
    // SAFETY: sets a number under GDAL's own lock.
    unsafe { gdal_sys::GDALSetCacheMax64(cache as i64) };
}

/// The number of the last raster that needs each source; none for those that stay.
fn last_uses(mosaics: &[Mosaic]) -> HashMap<&Path, usize> {
    let uses = mosaics.iter().enumerate();
    uses.flat_map(|(number, mosaic)| {
        let tiles = mosaic.tiles.iter().filter(|tile| !tile.has_more_pages);
        tiles.map(move |tile| (&*tile.path, number))
    })
    .collect()
}

/// Longest name of an array before `~2`, in bytes; a product's has no more. Endings such as `.tif.aux.xml` must fit behind it.
const LONGEST_NAME: usize = 200;

/// Names of the arrays: the product's own for the first, the layers' for the others, `~2` … where taken.
fn names(product: &str, layers: &[Layer]) -> Vec<String> {
    let mut taken: BTreeSet<String> = RESERVED.iter().map(|&name| name.to_owned()).collect();
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let wanted = if number == 0 { product } else { layer.stem.trim() };
        // Zarr keeps names that begin with two underscores for itself; `.` and `..` are no names of folders.
        let is_taken = wanted.starts_with("__") || ["", ".", ".."].contains(&wanted);
        let wanted = if is_taken { "raster" } else { wanted };
        let wanted = wanted[..wanted.floor_char_boundary(LONGEST_NAME)].trim_end();
        let name = std::iter::once(wanted.to_owned())
            .chain((2..).map(|n: u32| format!("{wanted}~{n}")))
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// The files that do not become rasters as a whole, with their sizes.
fn kept(files: &[String], mosaics: &[Mosaic], unpacked: &Path) -> Result<Vec<SideFile>, IngestError> {
    let tiles = mosaics.iter().flat_map(|mosaic| &mosaic.tiles);
    let used: BTreeSet<&String> = tiles.filter(|tile| !tile.has_more_pages).map(|tile| &tile.name).collect();
    let kept = files.iter().filter(|path| !used.contains(path)).map(|path| {
        let size = fs::metadata(unpacked.join(path)).disk(|| format!("look at '{path}'"))?.len();
        Ok(SideFile { path: path.clone(), size, sha256: None })
    });
    kept.collect()
}

/// Moves files below `original/`, synced, and takes their checksums.
fn keep_originals(
    mut kept: Vec<SideFile>,
    unpacked: &Path,
    originals: &Path,
    tell: &mut dyn FnMut(Work),
) -> Result<Vec<SideFile>, IngestError> {
    fs::create_dir(originals).disk(|| "create 'original'".to_owned())?;
    for side in &mut kept {
        let (from, to) = (unpacked.join(&side.path), originals.join(&side.path));
        let mut keep = || {
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(&from, &to)?;
            let file = File::open(&to)?;
            side.sha256 = Checksum::of(&file, |bytes| {
                tell(Work::Done(bytes));
                ControlFlow::Continue(())
            })?;
            file.sync_all()
        };
        keep().disk(|| format!("keep '{}'", side.path))?;
    }
    Ok(kept)
}

/// Writes a JSON document and syncs it.
fn write_document(path: &Path, document: &Value) -> Result<(), IngestError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.sync_all()
    };
    write().disk(|| format!("write '{}'", path.display()))
}

/// The disk below the entry refused while it was sealed; anything else is a fault of ours.
fn unsealed(error: VerifyError) -> IngestError {
    match &error {
        VerifyError::Read { path, source } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            IngestError::disk(format!("seal the entry ('{name}')"), source)
        }
        _ => IngestError::Child { reason: format!("made an entry that cannot be sealed: {error}") },
    }
}

/// Syncs all directories below and including `path` (files are synced when they are written).
fn sync_tree(path: &Path) -> Result<(), IngestError> {
    fn sync(path: &Path) -> std::io::Result<()> {
        for child in fs::read_dir(path)? {
            let child = child?;
            if child.file_type()?.is_dir() {
                sync(&child.path())?;
            }
        }
        File::open(path)?.sync_all()
    }
    sync(path).disk(|| format!("sync '{}'", path.display()))
}

/// What a package without rasters holds, in words: the kinds of files by number.
fn summary(files: &[String]) -> String {
    let mut kinds: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for path in files {
        let file = path.rsplit('/').next().unwrap_or(path);
        let kind = match file.rsplit_once('.') {
            Some((_, extension)) => format!(".{}", extension.to_ascii_lowercase()),
            None => "no extension".to_owned(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    if kinds.is_empty() {
        return "no file at all".to_owned();
    }
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let listed: Vec<String> =
        kinds.iter().take(6).map(|(kind, number)| format!("{number} × {kind}")).collect();
    let example = files.iter().find(|path| path.ends_with(".nc")).or(files.first());
    format!("{} (e.g. '{}')", listed.join(", "), example.map_or("", String::as_str))
}

#[cfg(test)]
mod tests;
