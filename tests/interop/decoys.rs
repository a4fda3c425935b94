//! Proves that the checks can fail: the tools look for one kind in folders that hold something else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::findings::Verdict;
use crate::support::Stage;
use crate::tools::Tools;

/// (tool, check) that failed in a folder with another raster, or with no raster at all.
pub(crate) fn checks_that_fail(
    stage: &Stage,
    tools: &Tools,
    mounted: &Path,
    limit: Duration,
) -> BTreeSet<(String, String)> {
    let folder = stage.folder().join("decoys");
    wrong(&folder.join("wrong"), stage.folder(), &mounted.join("decoy"));
    garbage(&folder.join("garbage"));
    undated(&folder.join("undated"), &mounted.join("bands"));
    let lines = tools.run(&stage.folder().join("decoys.json"), &folder, limit);
    let failed = lines.into_iter().filter(|line| line.result == Verdict::Fail);
    failed.map(|line| (line.tool, line.check)).collect()
}

/// Under the names of `classes-uint8` and `vector-gpkg`: a raster that is another in everything, as a producer wrote it, with a STAC item
/// that no validator takes, and layers that have only their names right.
fn wrong(folder: &Path, packages: &Path, decoy: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::copy(packages.join("packages/decoy/decoy_decoy.tif"), folder.join("classes-uint8.tif")).unwrap();
    std::os::unix::fs::symlink(decoy.join("decoy.zarr"), folder.join("classes-uint8.zarr")).unwrap();
    let item = fs::read_to_string(decoy.join("item.json")).unwrap();
    let item = item
        .replace("decoy.", "classes-uint8.")
        .replace("\"data\"", "\"nothing\"")
        .replace("\"bbox\"", "\"box\"");
    fs::write(folder.join("item.json"), item).unwrap();
    fs::copy(packages.join("packages/decoy.gpkg"), folder.join("vector-gpkg.gpkg")).unwrap();
}

/// Bands that are no dates under the names of `netcdf-dates`.
fn undated(folder: &Path, bands: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (served, name) in
        [("bands.tif", "netcdf-dates.tif"), ("bands.zarr", "netcdf-dates.zarr"), ("item.json", "item.json")]
    {
        std::os::unix::fs::symlink(bands.join(served), folder.join(name)).unwrap();
    }
}

/// Files of these names that are nothing.
fn garbage(folder: &Path) {
    fs::create_dir_all(folder.join("classes-uint8.zarr")).unwrap();
    for name in [
        "classes-uint8.tif",
        "classes-uint8.zarr/zarr.json",
        "classes-uint8.zarr/.zgroup",
        "item.json",
        "vector-gpkg.gpkg",
    ] {
        fs::write(folder.join(name), "nothing of that kind").unwrap();
    }
}
