//! The tools: which scripts there are, who runs them, and what each of them must look at.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::findings::Line;
use crate::support::process::{self, Reader};
use crate::zarrs_reader;

/// Who runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// The interpreter with `requirements.txt`.
    Newest,
    /// The interpreter with `requirements-zarr2.txt`.
    Zarr2,
    /// `Rscript`.
    R,
    /// The system's Python, where QGIS' modules are.
    Qgis,
    /// This test.
    Here,
}

/// A script and its place in the table.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name for `CLMSFS_INTEROP_TOOLS`.
    pub(crate) name: &'static str,
    /// The column of the table; neighbours may share one.
    pub(crate) column: &'static str,
    /// File in `tools/`.
    script: &'static str,
    /// A third argument.
    argument: &'static str,
    runner: Runner,
    /// True when it reads with the system's GDAL, whose version decides what it can do.
    pub(crate) system_gdal: bool,
    /// What it tells, by the names it gives in its lines.
    pub(crate) lines: &'static [Told],
}

/// What a tool tells under one name.
#[derive(Debug)]
pub(crate) struct Told {
    /// The name in its lines.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: Data,
    /// The checks that it must make each time.
    pub(crate) checks: &'static [&'static str],
}

/// What a package holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// Grids.
    Rasters,
    /// Layers of features.
    Vectors,
}

const fn tool(
    name: &'static str,
    column: &'static str,
    script: &'static str,
    argument: &'static str,
    runner: Runner,
    lines: &'static [Told],
) -> Tool {
    let system_gdal = matches!(runner, Runner::R | Runner::Qgis);
    Tool { name, column, script, argument, runner, system_gdal, lines }
}

const fn rasters(name: &'static str, checks: &'static [&'static str]) -> Told {
    Told { name, about: Data::Rasters, checks }
}

const fn vectors(name: &'static str, checks: &'static [&'static str]) -> Told {
    Told { name, about: Data::Vectors, checks }
}

/// The version of the system's GDAL with which everything was measured: Debian 12's.
pub(crate) const MEASURED_GDAL: (u32, u32) = (3, 6);

/// All tools in the order of the table's columns; those that take long are the first.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool { system_gdal: true, ..tool("gdal", "GDAL", "gdal.py", "", Runner::Newest, &[
        rasters("gdal-tif", &["type", "pixels", "crs", "transform", "nodata", "scaling", "colours", "classes", "warp"]),
        rasters("gdal-zarr", &["type", "pixels", "crs", "transform", "nodata", "scaling", "one raster", "warp", "warp -s_srs"]),
    ]) },
    Tool { system_gdal: true, ..tool("ogr", "GDAL", "ogr.py", "", Runner::Newest, &[
        vectors("ogr", &["layers", "crs", "fields", "geometry"]),
    ]) },
    tool("qgis", "QGIS", "qgis_.py", "", Runner::Qgis, &[
        rasters("qgis-tif", &["valid", "pixels", "crs", "transform", "nodata", "statistics", "colours", "classes"]),
        rasters("qgis-zarr", &["valid", "pixels", "crs", "transform", "nodata", "statistics"]),
    ]),
    tool("qgis-vectors", "QGIS", "qgis_vectors.py", "", Runner::Qgis, &[
        vectors("qgis-vector", &["valid", "layers", "crs", "fields", "geometry"]),
    ]),
    tool("terra", "R terra", "terra.R", "", Runner::R, &[
        rasters("terra-tif", &["pixels", "crs", "transform", "nodata", "colours", "classes"]),
        rasters("terra-zarr", &["pixels", "crs", "transform", "nodata"]),
        vectors("terra-vector", &["layers", "crs", "fields", "geometry"]),
    ]),
    tool("fiona", "fiona", "fiona_.py", "", Runner::Newest, &[
        vectors("fiona", &["layers", "crs", "fields", "geometry"]),
    ]),
    tool("geopandas", "geopandas", "geopandas_.py", "", Runner::Newest, &[
        vectors("geopandas", &["layers", "crs", "fields", "geometry"]),
    ]),
    tool("rasterio-tif", "rasterio", "rasterio_.py", "tif", Runner::Newest, &[
        rasters("rasterio-tif", &["type", "pixels", "crs", "transform", "nodata", "scaling", "mask", "colours"]),
    ]),
    tool("rasterio-zarr", "rasterio", "rasterio_.py", "zarr", Runner::Newest, &[
        rasters("rasterio-zarr", &["type", "pixels", "crs", "transform", "nodata", "scaling", "mask"]),
    ]),
    tool("rioxarray-tif", "rioxarray", "rioxarray_.py", "tif", Runner::Newest, &[
        rasters("rioxarray-tif", &["type", "pixels", "crs", "transform", "nodata", "scaling", "mask"]),
    ]),
    tool("rioxarray-zarr", "rioxarray", "rioxarray_.py", "zarr", Runner::Newest, &[
        rasters("rioxarray-zarr", &["type", "pixels", "crs", "transform", "nodata", "centres"]),
    ]),
    tool("xarray", "xarray", "xarray_.py", "xarray", Runner::Newest, &[
        rasters("xarray", &["type", "pixels", "crs", "transform", "nodata", "scaling", "time", "classes"]),
    ]),
    tool("zarr3", "zarr 3", "zarr_.py", "zarr3", Runner::Newest, &[
        rasters("zarr3", &["type", "pixels", "crs", "transform", "nodata", "classes", "overviews"]),
    ]),
    tool("zarr2", "zarr 2.18", "zarr_.py", "zarr2", Runner::Zarr2, &[
        rasters("zarr2", &["type", "pixels", "crs", "transform", "nodata", "classes"]),
    ]),
    tool("xarray-zarr2", "zarr 2.18", "xarray_.py", "xarray-zarr2", Runner::Zarr2, &[
        rasters("xarray-zarr2", &["type", "pixels", "crs", "transform", "nodata", "scaling", "time", "classes"]),
    ]),
    tool("zarrs", "zarrs", "", "", Runner::Here, &[
        rasters("zarrs", &["type", "pixels", "crs", "transform", "nodata", "centres", "classes"]),
    ]),
    tool("tifffile", "tifffile", "tifffile_.py", "", Runner::Newest, &[
        rasters("tifffile", &["type", "pixels", "crs", "transform", "nodata", "colours"]),
    ]),
    tool("rio-cogeo", "rio cogeo", "rio_cogeo_.py", "", Runner::Newest, &[
        rasters("rio-cogeo", &["strict"]),
    ]),
    tool("stac", "STAC", "stac.py", "SCHEMAS", Runner::Newest, &[
        rasters("stac-validator", &["schema"]),
        rasters("pystac", &["schema", "asset", "type", "crs", "transform", "nodata", "statistics", "scaling", "classes", "checksums"]),
        vectors("stac-validator-vector", &["schema"]),
        vectors("pystac-vector", &["schema", "asset", "checksums"]),
    ]),
];

/// The tools of this machine.
pub(crate) struct Tools {
    /// The interpreter with the newest packages.
    pub(crate) newest: PathBuf,
    zarr2: PathBuf,
    /// What `schemas.py` collected.
    pub(crate) schemas: PathBuf,
    /// Those that can be run.
    pub(crate) present: Vec<&'static Tool>,
    /// Version of the system's GDAL, (3, 6).
    pub(crate) gdal: (u32, u32),
}

impl Tools {
    /// Looks which tools there are and says which not and why; `None` when the environments are not made.
    pub(crate) fn present(newest: &Path) -> Option<Self> {
        let folder = newest.ancestors().nth(2).expect("an interpreter in bin/ of its environment");
        let beside = |ending: &str| PathBuf::from(format!("{}-{ending}", folder.display()));
        let (zarr2, schemas) = (beside("zarr2").join("bin/python"), beside("schemas"));
        for path in [&zarr2, &schemas] {
            if !path.exists() {
                assert!(!ci(), "{} is missing: under CI=true this is a failure", path.display());
                println!("SKIPPED: {} is missing; 'make test' makes it", path.display());
                return None;
            }
        }
        let wanted = std::env::var("CLMSFS_INTEROP_TOOLS").unwrap_or_default();
        let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
        for name in &wanted {
            assert!(
                TOOLS.iter().any(|tool| tool.name == *name),
                "CLMSFS_INTEROP_TOOLS: there is no tool {name}"
            );
        }
        let mut present = Vec::new();
        for tool in TOOLS.iter().filter(|tool| wanted.is_empty() || wanted.contains(&tool.name)) {
            match tool.missing() {
                None => present.push(tool),
                Some(reason) => {
                    assert!(wanted.is_empty(), "{}: {reason}", tool.name);
                    println!("SKIPPED: {}: {reason}", tool.column);
                }
            }
        }
        Some(Self { newest: newest.to_owned(), zarr2, schemas, present, gdal: gdal_version() })
    }

    /// Whether the system's GDAL is the one that the known failures and the table are about.
    pub(crate) fn measured_gdal(&self) -> bool {
        self.gdal == MEASURED_GDAL
    }

    /// Tools that need not be there, for tests of what is made of findings.
    pub(crate) fn of(present: Vec<&'static Tool>) -> Self {
        let nowhere = PathBuf::new;
        Self { newest: nowhere(), zarr2: nowhere(), schemas: nowhere(), present, gdal: MEASURED_GDAL }
    }

    /// Runs all tools on what is mounted, several at once, and returns everything that they told.
    pub(crate) fn run(&self, manifest: &Path, mounted: &Path, limit: Duration) -> Vec<Line> {
        let waiting: Mutex<VecDeque<&Tool>> = Mutex::new(self.present.iter().copied().collect());
        let told = Mutex::new(Vec::new());
        let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let Some(tool) = waiting.lock().unwrap().pop_front() else { return };
                        let start = std::time::Instant::now();
                        let lines = self.run_one(tool, manifest, mounted, limit);
                        println!("{:>8.1} s for {}", start.elapsed().as_secs_f64(), tool.name);
                        told.lock().unwrap().extend(lines);
                    }
                });
            }
        });
        told.into_inner().unwrap()
    }

    fn run_one(&self, tool: &Tool, manifest: &Path, mounted: &Path, limit: Duration) -> Vec<Line> {
        if tool.runner == Runner::Here {
            return zarrs_reader::read(manifest, mounted);
        }
        let program = match tool.runner {
            Runner::Newest => self.newest.as_os_str(),
            Runner::Zarr2 => self.zarr2.as_os_str(),
            Runner::R => "Rscript".as_ref(),
            Runner::Qgis => SYSTEM_PYTHON.as_ref(),
            Runner::Here => unreachable!("handled above"),
        };
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/tools");
        let mut command = process::command(program);
        command.arg(scripts.join(tool.script)).arg(manifest).arg(mounted);
        // Wheels bring their own GDAL and PROJ; the system's data would be of another version.
        command.env_remove("GDAL_DATA").env_remove("PROJ_LIB").env_remove("PROJ_DATA");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        match tool.argument {
            "" => {}
            "SCHEMAS" => drop(command.arg(&self.schemas)),
            argument => drop(command.arg(argument)),
        }
        if tool.runner == Runner::Qgis {
            // No window, and no settings of whoever runs the tests.
            command.env("QT_QPA_PLATFORM", "offscreen").env("HOME", manifest.parent().unwrap());
        }
        let told = Reader::spawn(command).finish_within(limit).success();
        told.text()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", tool.name))
            })
            .collect()
    }
}

/// Where Debian and Ubuntu install QGIS' modules.
const SYSTEM_PYTHON: &str = "/usr/bin/python3";

impl Tool {
    /// Why it cannot be run here.
    fn missing(&self) -> Option<&'static str> {
        let succeeds = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
        match self.runner {
            Runner::R
                if !succeeds(Command::new("Rscript").args(["-e", "library(terra); library(jsonlite)"])) =>
            {
                assert!(!ci(), "R with terra is missing: under CI=true this is a failure");
                Some("R with terra and jsonlite is missing; 'make test' installs it")
            }
            Runner::Qgis
                if !succeeds(Command::new(SYSTEM_PYTHON).args(["-c", "import qgis.core, numpy"])) =>
            {
                Some("python3-qgis is missing; 'make interop-qgis' installs it")
            }
            _ => None,
        }
    }
}

fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// `GDAL 3.6.2, released …` is (3, 6).
fn gdal_version() -> (u32, u32) {
    let told = process::run("gdalinfo", &["--version"]).success().text();
    let mut numbers = told.trim_start_matches("GDAL ").split('.').map_while(|number| number.parse().ok());
    let mut number = || numbers.next().unwrap_or_else(|| panic!("gdalinfo --version says '{told}'"));
    (number(), number())
}
