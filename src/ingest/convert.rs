//! One layer of a package becomes one array of the entry.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use super::assemble::assemble;
use super::classes;
use super::error::{DiskContext, IngestError};
use super::geotags::{self, Georeference};
use super::grid::{self, Level};
use super::job::{CodecChoice, Limits, Stage};
use super::legend::Legends;
use super::mosaic::Mosaic;
use super::overview::Method;
use super::pipeline::{self, Converted, Plan};
use super::pixel::{Pixel, with_pixel};
use super::preview;
use super::raw_copy;
use super::reuse::{self, Donor, Former, Recipe, Sources};
use super::shard;
use super::sink::TileSink;
use super::tiff::Directory;
use crate::store::entry::{BandMeta, Class, Codec, RasterMeta};

/// Level of a fresh zstd frame: FORMATS section 2.
const ZSTD_LEVEL: i32 = 1;
/// Level of a fresh zlib stream.
const ZLIB_LEVEL: i32 = 6;

/// Where things go and what they may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The entry's directory; the array becomes `<entry>/<name>`.
    pub(super) entry: &'a Path,
    /// Name of the array.
    pub(super) name: &'a str,
    /// Where the preview is drawn, for the first raster.
    pub(super) preview: Option<&'a Path>,
    /// The legends of the package.
    pub(super) legends: &'a Legends,
    /// An existing directory for files that do not stay.
    pub(super) scratch: &'a Path,
    /// Bounds.
    pub(super) limits: &'a Limits,
    /// Compression.
    pub(super) codec: CodecChoice,
    /// True when the sources may be given back while they are converted.
    pub(super) consume: bool,
    /// The checksums of dated sources.
    pub(super) sources: &'a Sources,
    /// The product's former entry.
    pub(super) former: Option<&'a Former>,
}

/// What a conversion tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// So many bytes of pixels are done.
    Done(u64),
    /// So many bytes are about to be written, as soon as the one who is told returns.
    Room(u64),
    /// So many dates and tiles were copied from the former entry.
    Copied {
        /// Dates.
        dates: u64,
        /// Tiles.
        tiles: u64,
    },
    /// A stage is over.
    Took(Stage),
}

/// Converts a layer; `progress` hears how it goes.
///
/// # Errors
/// [`IngestError::Raster`] for damaged sources, [`IngestError::Disk`].
pub(super) fn convert(
    mosaic: &Mosaic,
    target: Target<'_>,
    progress: &mut dyn FnMut(Work),
) -> Result<RasterMeta, IngestError> {
    let classes = classes::collect(mosaic, target.legends, target.preview.is_some());
    with_pixel!(mosaic.facts.pixel, T => convert_as::<T>(mosaic, target, classes, progress))
}

fn convert_as<T: Pixel>(
    mosaic: &Mosaic,
    target: Target<'_>,
    classes: Vec<Class>,
    progress: &mut dyn FnMut(Work),
) -> Result<RasterMeta, IngestError> {
    let facts = &mosaic.facts;
    let levels = grid::levels(mosaic.width, mosaic.height);
    // The mean of combinations of bits is a combination that nobody measured.
    let has_meaning = !facts.palette.is_empty() || !classes.is_empty() || facts.variable.bit_flags.is_some();
    let categorical = has_meaning && !facts.pixel.is_float();
    let array = target.entry.join(target.name);
    let shard_path = array.join(shard::shard_path(facts.bands.len()));
    if let Some(folder) = shard_path.parent() {
        fs::create_dir_all(folder).disk(|| format!("create '{}'", folder.display()))?;
    }
    let create = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .disk(|| format!("create '{}'", path.display()))
    };
    let raw = match target.codec {
        CodecChoice::Auto => raw_copy::find(mosaic),
        CodecChoice::Zstd | CodecChoice::Zlib => None,
    };
    let codec = match (&raw, target.codec) {
        (Some(raw), _) => raw.codec(),
        (None, CodecChoice::Zlib) => Codec::Zlib { level: ZLIB_LEVEL },
        (None, CodecChoice::Auto | CodecChoice::Zstd) => Codec::Zstd { level: ZSTD_LEVEL },
    };
    let base = TileSink::new(create(&shard_path)?, levels[0].tiles() * facts.bands.len());
    let scratch = OverviewFiles::new(target.scratch, &levels);
    let method = if categorical { Method::Mode } else { Method::Mean };
    let recipe = Recipe { codec, raw: raw.is_some(), method };
    let fingerprints = reuse::fingerprints(mosaic, target.sources, recipe);
    let donors: Vec<Option<Donor<'_>>> =
        fingerprints.iter().map(|print| target.former?.band((*print)?)).collect();
    let left_out: Vec<bool> = donors.iter().map(Option::is_some).collect();
    let plan = Plan {
        mosaic,
        levels: &levels,
        method,
        codec,
        threads: target.limits.worker_threads(),
        memory: target.limits.memory_bytes,
        raw: raw.as_ref(),
        consume: target.consume,
        open_files: target.limits.open_files,
        left_out: &left_out,
    };
    let mut converted = pipeline::convert::<T>(&plan, base, scratch.create(create)?, progress)?;
    copy_dates(&donors, &plan, &mut converted, progress)?;
    let bands = facts
        .bands
        .iter()
        .zip(converted.statistics)
        .zip(fingerprints)
        .map(|((band, statistics), fingerprint)| BandMeta {
            description: band.description.clone(),
            unit: band.unit.clone(),
            scale: band.scale,
            offset: band.offset,
            statistics,
            fingerprint,
        })
        .collect();
    let raster = RasterMeta {
        name: target.name.to_owned(),
        pixel: facts.pixel,
        width: mosaic.width,
        height: mosaic.height,
        bands,
        codec,
        geotransform: mosaic.geotransform.unwrap_or([0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
        crs: facts.crs.clone(),
        nodata: mosaic.nodata,
        classes,
        palette: facts.palette.clone(),
        categorical,
        overviews: grid::overviews(&levels),
        sources: mosaic.tiles.iter().map(|tile| tile.name.clone()).collect(),
        times: mosaic.times.clone(),
        variable: facts.variable.clone(),
    };
    let directory = Directory {
        pixel: raster.pixel,
        bands: facts.bands.iter().map(|band| band.color).collect(),
        codec,
        palette: raster.palette.clone(),
        extra: geotags::tags(&Georeference {
            name: &facts.name,
            pixel: raster.pixel,
            geotransform: mosaic.geotransform,
            crs: raster.crs.as_ref(),
            pixel_is_point: facts.pixel_is_point,
            nodata: raster.nodata,
            bands: &raster.bands,
        })?,
    };
    assemble(&shard_path, &directory, &levels, converted.base, converted.overviews, &mut |bytes| {
        progress(Work::Room(bytes));
    })?;
    scratch.remove()?;
    if let (Some(path), Some(&coarsest)) = (target.preview, levels.last()) {
        preview::write(path, &raster, coarsest, converted.top.as_deref())?;
    }
    let document = shard::array_document(&raster);
    super::write_document(&array.join("zarr.json"), &document)?;
    Ok(raster)
}

/// Takes the bands that have a donor from it: tiles, statistics and, of the first band, the picture.
fn copy_dates<T: Pixel>(
    donors: &[Option<Donor<'_>>],
    plan: &Plan<'_>,
    converted: &mut Converted<T>,
    progress: &mut dyn FnMut(Work),
) -> Result<(), IngestError> {
    let (mut dates, mut tiles) = (0, 0);
    let band_bytes = plan.mosaic.pixel_bytes() / donors.len().max(1) as u64;
    for ((band, donor), statistics) in (0..).zip(donors).zip(&mut converted.statistics) {
        let Some(donor) = donor else { continue };
        let sinks = std::iter::once(&converted.base).chain(&converted.overviews);
        tiles += donor.copy(band, plan.levels, sinks, progress)?;
        dates += 1;
        *statistics = donor.statistics();
        if band == 0 {
            converted.top = donor.top()?;
        }
        progress(Work::Done(band_bytes));
    }
    if dates > 0 {
        progress(Work::Copied { dates, tiles });
    }
    Ok(())
}

/// The files in which overview levels grow before they find their place.
struct OverviewFiles {
    paths: Vec<std::path::PathBuf>,
}

impl OverviewFiles {
    fn new(scratch: &Path, levels: &[Level]) -> Self {
        Self { paths: (1..levels.len()).map(|level| scratch.join(format!("level-{level}"))).collect() }
    }

    fn create(&self, create: impl Fn(&Path) -> Result<File, IngestError>) -> Result<Vec<File>, IngestError> {
        self.paths.iter().map(|path| create(path)).collect()
    }

    fn remove(self) -> Result<(), IngestError> {
        self.paths
            .iter()
            .try_for_each(fs::remove_file)
            .disk(|| "delete the overviews' scratch files".to_owned())
    }
}
