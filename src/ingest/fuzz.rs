//! Ways for [`crate::fuzzing`] into what reads packages before GDAL does.

use std::io::Cursor;
use std::path::Path;

use super::ahead::{self, Ahead, Packed, Told};
use super::error::IngestError;
use super::job::Limits;
use super::{claims, classes, dated, dbf, discover, legend, member, netcdf, package, raw_copy, tiff, vector};

/// Most bytes that a package unpacks to here.
pub(crate) const ROOM: u64 = 1 << 20;
/// Most members.
pub(crate) const MEMBERS: u64 = 64;

fn limits() -> Limits {
    Limits { unpacked_bytes: ROOM, members: MEMBERS, ..Limits::default() }
}

/// Unpacks the package at `path` into the empty folder `target`, with the help of what was unpacked `ahead`; gives the files,
/// or why it is refused.
pub(crate) fn unpack(
    path: &Path,
    target: &Path,
    scratch: &Path,
    consume: bool,
    ahead: Option<(&Path, &[Packed])>,
) -> Result<Vec<String>, IngestError> {
    let ahead = ahead.map_or_else(Ahead::default, |(folder, members)| Ahead::new(folder.to_owned(), members));
    package::unpack(path, target, scratch, &limits(), consume, ahead, &mut |_| {})
}

/// Unpacks a package into the empty folder `target` as it comes; gives what became files there.
pub(crate) fn unpack_ahead(bytes: &[u8], target: &Path) -> Vec<Packed> {
    let mut members = Vec::new();
    let mut tell = |told| {
        if let Told::Unpacked(packed) = told {
            members.push(packed);
        }
    };
    let _ = ahead::unpack_ahead(bytes, bytes.len() as u64, target, &limits(), &mut tell);
    members
}

/// The tags of a TIFF, read in both ways that we have; `path` holds the same bytes.
pub(crate) fn tiff(bytes: &[u8], path: &Path) {
    let read = |offset: u64, length: usize| {
        let start = usize::try_from(offset).ok()?;
        Some(bytes.get(start..start.checked_add(length)?)?.to_vec())
    };
    let tags = tiff::first_directory(read);
    for tag in tags.iter().flatten() {
        let _ = tag.integers();
    }
    let _ = claims::check(path, "fuzz.tif");
    let _ = raw_copy::is_good_frame(bytes, 512 * 512);
}

/// The header of a classic netCDF.
pub(crate) fn netcdf(bytes: &[u8]) {
    let _ = netcdf::classic::end_of_data(Cursor::new(bytes));
}

/// Units, calendar and values of a time axis, each on a line.
pub(crate) fn times(text: &str) {
    let mut lines = text.lines();
    let (units, calendar) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let values: Vec<f64> = lines.filter_map(|line| line.parse().ok()).collect();
    if let Ok(times) = netcdf::time::decode(units, calendar, &values) {
        assert_eq!(times.len(), values.len());
    }
}

/// Tables of classes in all their formats.
pub(crate) fn tables(bytes: &[u8]) {
    if let Some(table) = dbf::parse(bytes, None) {
        let _ = classes::from_table(&table.into());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (legend::parse_style(text), legend::parse_color_map(text), classes::parse_clr(text));
    }
}

/// Paths of a package, one a line: which are kept, which are series, which are vector data.
pub(crate) fn paths(text: &str) {
    let mut files: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let path = member::SafePath::parse(line).ok()?;
            assert!(path.text().split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
            Some(path.text())
        })
        .collect();
    files.sort();
    files.dedup();
    let layers = discover::layers(&files);
    let among = layers.iter().map(|layer| layer.files.len()).sum::<usize>();
    assert!(among <= files.len(), "no file is in two layers");
    let series = dated::series(layers);
    let dated =
        series.iter().flat_map(|series| &series.steps).map(|step| step.layer.files.len()).sum::<usize>();
    assert_eq!(dated, among, "no file is lost between layers and series");
    let _ = (discover::netcdf_layers(&files), vector::find(&files));
}
