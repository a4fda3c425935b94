//! The readers of Python's world: rasterio, xarray, zarr.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::process::{self, Finished};

/// The interpreter with the packages of `tests/interop/requirements.txt`, made by `make test`;
/// `None` (with the reason printed) when there is none.
pub(crate) fn interpreter() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os("CLMSFS_TEST_PYTHON")
        .map_or_else(|| root.join("target/interop/bin/python"), PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "{} is missing: under CI=true this is a failure; 'make test' makes it", path.display());
    eprintln!("SKIPPED: {} is missing; 'make test' makes it, or set CLMSFS_TEST_PYTHON", path.display());
    None
}

/// Runs a script of `tests/interop` to its end.
#[track_caller]
pub(crate) fn script(python: &Path, name: &str, arguments: &[&OsStr]) -> Finished {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name);
    let mut all = vec![script.as_os_str()];
    all.extend_from_slice(arguments);
    let mut command = process::command(python);
    // The wheels bring their own GDAL and PROJ; the system's data would be of another version.
    command.env_remove("GDAL_DATA").env_remove("PROJ_LIB").env_remove("PROJ_DATA").args(all);
    process::Reader::spawn(command).finish()
}
