//! Where a raster lies: transform and CRS, from the file or from what lies beside it.

use std::fs;
use std::path::Path;

use gdal::Dataset;
use gdal::spatial_ref::SpatialRef;

use super::crs;
use super::error::IngestError;
use crate::store::entry::Crs;

/// A `.prj` is a few hundred bytes.
const LARGEST_PRJ: u64 = 64 << 10;

/// Transform and CRS, as far as they are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// GDAL's affine transform.
    pub(super) geotransform: Option<[f64; 6]>,
    /// The CRS.
    pub(super) crs: Option<Crs>,
}

/// Finds the place of the raster at `path`: what GDAL finds in the file, in a world file or `.aux.xml`; else its ground
/// control points where they are corners of an even grid. A CRS may also come from a `.prj` beside it, where the file has
/// none or one that is local.
///
/// # Errors
/// [`IngestError::Unsupported`] when ground control points bend the raster: served without them it would lie nowhere.
pub(super) fn of(dataset: &Dataset, path: &Path, name: &str) -> Result<Place, IngestError> {
    let stated = dataset.geo_transform().ok().filter(|t| t.iter().all(|value| value.is_finite()));
    let points = if stated.is_none() { ControlPoints::of(dataset) } else { None };
    let geotransform = match &points {
        None => stated,
        Some(points) => Some(points.transform.ok_or_else(|| IngestError::Unsupported {
            name: name.to_owned(),
            reason: format!(
                "its {} ground control points make no even grid; warp it first, for example with 'gdalwarp'",
                points.count
            ),
        })?),
    };
    let own = dataset.spatial_ref().ok();
    let found = own.or(points.and_then(|points| points.srs));
    let is_placed = found.as_ref().is_some_and(|srs| !srs.is_local());
    let described = found.map(|srs| crs::describe(&srs)).transpose();
    let crs = described.map_err(|error| IngestError::raster(name, error))?.filter(|crs| !crs.wkt1.is_empty());
    let beside = if is_placed && crs.is_some() { None } else { from_prj(path) };
    Ok(Place { geotransform, crs: beside.or(crs) })
}

/// Ground control points: places of single pixels.
struct ControlPoints {
    count: usize,
    /// The transform that they are exact corners of, to a quarter of a pixel.
    transform: Option<[f64; 6]>,
    srs: Option<SpatialRef>,
}

impl ControlPoints {
    fn of(dataset: &Dataset) -> Option<Self> {
        let mut transform = [0.0; 6];
        // SAFETY: the dataset is open; the list belongs to it and has the length GDAL gives; the transform has six
        // numbers; the reference belongs to the dataset and is copied.
        unsafe {
            let count = gdal_sys::GDALGetGCPCount(dataset.c_dataset());
            let points = gdal_sys::GDALGetGCPs(dataset.c_dataset());
            if count <= 0 || points.is_null() {
                return None;
            }
            let is_even = gdal_sys::GDALGCPsToGeoTransform(count, points, transform.as_mut_ptr(), 0) != 0;
            let srs = gdal_sys::GDALGetGCPSpatialRef(dataset.c_dataset());
            Some(Self {
                count: count as usize,
                transform: is_even.then_some(transform),
                srs: if srs.is_null() { None } else { SpatialRef::from_c_obj(srs).ok() },
            })
        }
    }
}

/// The CRS of `<name>.prj` beside `<name>.tif`, in any case; GDAL does not look there.
fn from_prj(path: &Path) -> Option<Crs> {
    let stem = path.file_stem()?.to_str()?.to_ascii_lowercase();
    let is_wanted = |found: &Path| {
        let name = found.file_name().and_then(|name| name.to_str()).map(str::to_ascii_lowercase);
        name.is_some_and(|name| name.strip_suffix(".prj") == Some(&stem))
    };
    let mut beside = fs::read_dir(path.parent()?).ok()?.flatten().map(|entry| entry.path());
    let prj = beside.find(|found| is_wanted(found))?;
    let text =
        fs::metadata(&prj).is_ok_and(|file| file.len() <= LARGEST_PRJ).then(|| fs::read_to_string(&prj));
    let text = text?.ok()?;
    let srs = SpatialRef::from_esri(&text).or_else(|_| SpatialRef::from_wkt(&text)).ok()?;
    crs::describe(&srs).ok().filter(|crs| !crs.wkt1.is_empty())
}
