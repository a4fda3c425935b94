//! NetCDF products: a raster for each variable, a band for each date, the stored values bit for bit; what cannot be
//! served is said, and costs nobody else anything.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Stage, process, python, raster};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";

/// Lets Python write the netCDF files of a kind, and zips them as the product `<kind>`.
fn made(python: &Path, stage: &Stage, kind: &str) -> Vec<PathBuf> {
    let folder = stage.folder().join(format!("sources-{kind}"));
    std::fs::create_dir_all(&folder).unwrap();
    python::script(python, "make_netcdf.py", &[OsStr::new(kind), folder.as_os_str()]).success();
    let mut files = files_below(&folder);
    files.sort();
    let mut zip = zip::ZipWriter::new(File::create(stage.data().join(format!("{kind}.zip"))).unwrap());
    // Not in the order of their dates.
    for file in files.iter().rev() {
        let name = file.strip_prefix(&folder).unwrap().display();
        zip.start_file(format!("{kind}/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(file).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    files
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Compares a variable as it is served under `stem` with the files it came from.
#[track_caller]
fn assert_same(python: &Path, mount: &Mount, product: &str, stem: &str, variable: &str, files: &[PathBuf]) {
    let stem = mount.product(product).join(stem);
    let mut arguments = vec![stem.as_os_str(), OsStr::new(variable)];
    arguments.extend(files.iter().map(|file| file.as_os_str()));
    let told = python::script(python, "compare_netcdf.py", &arguments);
    assert_eq!(told.success().text().trim(), "same", "{variable}");
}

/// What GDAL says of the Zarr and of the GeoTIFF: both must open, with the same pixels.
#[track_caller]
fn assert_gdal_opens(mount: &Mount, product: &str, bands: usize) {
    let sums = raster::checksums(&mount.tif(product));
    assert_eq!(sums.len(), bands);
    let zarr = mount.zarr(product);
    let info = process::run("gdalinfo", &[zarr.as_os_str()]).success().text();
    assert!(info.contains("Driver: Zarr"), "{info}");
    for (number, sum) in sums.iter().enumerate() {
        // GDAL shows the slices of an array of three dimensions one by one.
        let slice = if bands > 1 { format!(":{number}") } else { String::new() };
        let array = PathBuf::from(format!("ZARR:\"{}\":/band{slice}", zarr.display()));
        assert_eq!(raster::checksums(&array), std::slice::from_ref(sum), "band {}", number + 1);
    }
}

#[test]
fn every_variable_of_one_file() {
    let Some(stage) = Stage::shared() else { return };
    let Some(python) = python::interpreter() else { return };
    let files = made(&python, &stage, "single");
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    // Cold: the names of a raster. Opening one fetches.
    assert!(mount.tif("single").exists() && mount.zarr("single").join("zarr.json").exists());
    assert_same(&python, &mount, "single", "single", "ssm", &files);
    for variable in
        ["ssm_noise", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "quality", "float64"]
    {
        assert_same(&python, &mount, "single", variable, variable, &files);
    }
    assert_gdal_opens(&mount, "single", 1);
    // No mean of bits.
    let root = std::fs::read_to_string(mount.product("single").join("quality.zarr/zarr.json")).unwrap();
    assert!(root.contains("\"mode\""), "overviews of bits are combinations that nobody measured");
    let item = std::fs::read_to_string(mount.product("single").join("item.json")).unwrap();
    assert!(item.contains("./ssm_noise.tif") && item.contains("water_mask"), "{item}");
}

#[test]
fn a_file_for_each_date_becomes_a_time_axis() {
    let Some(stage) = Stage::shared() else { return };
    let Some(python) = python::interpreter() else { return };
    let files = made(&python, &stage, "dates");
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    assert_same(&python, &mount, "dates", "dates", "ssm", &files);
    assert_same(&python, &mount, "dates", "ssm_noise", "ssm_noise", &files);
    assert_gdal_opens(&mount, "dates", 3);
    let item: serde_json::Value =
        serde_json::from_slice(&std::fs::read(mount.product("dates").join("item.json")).unwrap()).unwrap();
    assert_eq!(item["properties"]["start_datetime"], "2021-01-01T00:00:00Z");
    assert_eq!(item["properties"]["end_datetime"], "2021-01-21T00:00:00Z");
    assert!(mount.run(&["cache", "verify"]).success().status.success());
}

#[test]
fn steps_of_one_file_on_a_projected_grid() {
    let Some(stage) = Stage::shared() else { return };
    let Some(python) = python::interpreter() else { return };
    let files = made(&python, &stage, "steps");
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    assert_same(&python, &mount, "steps", "steps", "ppi", &files);
    assert_gdal_opens(&mount, "steps", 4);
    let info = process::run("gdalinfo", &[mount.tif("steps")]).success().text();
    assert!(info.contains("ID[\"EPSG\",3035]"), "{info}");
}

/// The simulator's own product: no Python needed.
#[test]
fn the_sample_of_soil_moisture() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let product = "SSM1km_CEURO_202101";
    assert_gdal_opens(&mount, product, 3);
    let info = process::run("gdalinfo", &[mount.tif(product)]).success().text();
    for wanted in
        ["Description = 2021-01-01", "Description = 2021-01-13", "NoData Value=255", "Scale:0.5", "Type=Byte"]
    {
        assert!(info.contains(wanted), "{wanted}:\n{info}");
    }
    let folder = mount.product(product);
    assert!(folder.join("ssm_noise.tif").exists());
    let names: Vec<PathBuf> = files_below(&folder.join("original"));
    assert_eq!(names.len(), 3, "the descriptions, and not the netCDF files: {names:?}");
}

#[test]
fn dated_geotiffs_become_a_time_axis_too() {
    let Some(stage) = Stage::shared() else { return };
    let mut sources = Vec::new();
    let mut zip = zip::ZipWriter::new(File::create(stage.data().join("series.zip")).unwrap());
    for date in ["20210101", "20210111"] {
        let source =
            Package::new(&format!("ST_{date}"), Pixels::Classes, 600).write(&stage.folder().join("made"));
        zip.start_file(format!("series/{date}/ST.tif"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(&source).unwrap()).unwrap();
        sources.push(source);
    }
    zip.finish().unwrap();
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let sums: Vec<String> = sources.iter().flat_map(|source| raster::checksums(source)).collect();
    assert_eq!(raster::checksums(&mount.tif("series")), sums);
    assert_gdal_opens(&mount, "series", 2);
    if let Some(python) = python::interpreter() {
        let code = "import sys, xarray; print(xarray.open_zarr(sys.argv[1])['time'].values.astype('M8[D]'))";
        let zarr = mount.zarr("series");
        let told =
            process::run(&python.to_string_lossy(), &[OsStr::new("-c"), OsStr::new(code), zarr.as_os_str()]);
        assert_eq!(told.success().text().trim(), "['2021-01-01' '2021-01-11']");
    }
}

/// Opens the product and expects EIO with a reason that names the file; another product still opens.
fn refused(kind: &str, words: &[&str]) {
    let Some(stage) = Stage::shared() else { return };
    let Some(python) = python::interpreter() else { return };
    made(&python, &stage, kind);
    Package::new("good", Pixels::Classes, 64).write(&stage.data());
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let error = File::open(mount.tif(kind)).unwrap_err();
    let reason = mount.attribute(kind, "error");
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}: {reason}");
    assert_eq!(mount.state(kind), "failed");
    for word in words {
        assert!(reason.contains(word), "'{word}' is not in '{reason}'");
    }
    assert!(reason.contains(&format!("{kind}/{kind}.nc")), "{reason}");
    mount.cat("good").success();
    let entries: Vec<PathBuf> = std::fs::read_dir(mount.cache().join("rasters"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(entries.len(), 1, "nothing of the refused product is cached: {entries:?}");
    assert_eq!(mount.staging(), Vec::<PathBuf>::new());
}

#[test]
fn a_netcdf_without_coordinates() {
    refused("nowhere", &["no coordinates", "'value'", "row, column"]);
}

#[test]
fn a_netcdf_with_a_curvilinear_grid() {
    refused("curved", &["curvilinear", "gdalwarp -geoloc"]);
}

#[test]
fn integers_that_fit_into_no_pixel() {
    refused("large", &["'count'", "64 bits", "1099511627776"]);
}
