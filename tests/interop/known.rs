//! Failures that are the tools' own: named, explained, and no longer than they last.
//!
//! What fails and is not here fails the suite; so does what is here and passes.

use std::collections::BTreeSet;

use crate::findings::Findings;
use crate::tools::{TOOLS, Tools};

/// A failure that is a tool's own.
#[derive(Debug)]
pub(crate) struct Known {
    /// What the table shows.
    pub(crate) name: &'static str,
    /// What it is, whose it is, and the way out.
    pub(crate) explanation: &'static str,
    /// The version of the system's GDAL that has it no longer.
    until_gdal: Option<(u32, u32)>,
    /// (tool, check, kinds) that fail.
    fails: &'static [(&'static str, &'static str, Kinds)],
}

/// Which kinds.
#[derive(Debug, Clone, Copy)]
enum Kinds {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const INT8: Kinds = Kinds::Only(&["classes-int8"]);
const SIGNED_CLASSES: Kinds = Kinds::Only(&["classes-int8", "IMC_1518_020m_eu_03035_v0_1"]);
const BANDS: Kinds = Kinds::Only(&["bands", "netcdf-dates"]);
const ONE_PIXEL: Kinds = Kinds::Only(&["one-pixel"]);

/// Every known failure.
#[rustfmt::skip]
pub(crate) const KNOWN: &[Known] = &[
    Known {
        name: "axes swapped",
        explanation: "GDAL before 3.10.1 swaps x and y when it reprojects from a Zarr, its own included \
            (<https://github.com/OSGeo/gdal/pull/11381>). Reading is right. Name the CRS (`gdalwarp -s_srs EPSG:3035`) \
            or take the `.tif`.",
        until_gdal: Some((3, 10)),
        fails: &[("gdal-zarr", "warp", Kinds::AllBut(&["bands", "netcdf-dates", "one-pixel"]))],
    },
    Known {
        name: "no signed byte",
        explanation: "GDAL before 3.7 has no signed byte. It reads a `.tif` of Int8 as bytes with the note \
            `PIXELTYPE=SIGNEDBYTE`, which R terra and QGIS do not look at: they show -128 as 128 and as a value. It reads a `.zarr` of Int8 as Int16 with the right values: \
            take that one.",
        until_gdal: Some((3, 7)),
        fails: &[
            ("gdal-zarr", "type", INT8),
            // The view is right; what it is compared with, the source, is warped with nodata 0.
            ("gdal-zarr", "warp -s_srs", INT8),
            ("terra-tif", "nodata", INT8),
            ("qgis-tif", "nodata", INT8),
            ("qgis-tif", "statistics", INT8),
        ],
    },
    Known {
        name: "bands are subdatasets",
        explanation: "GDAL before 3.8 shows each band of a three-dimensional Zarr as a subdataset of its own \
            (`ZARR:\"name.zarr\":/band:0`), and QGIS and R terra open none of them by the folder's name. The `.tif` has \
            all bands.",
        until_gdal: Some((3, 8)),
        fails: &[
            ("gdal-zarr", "one raster", BANDS),
            ("terra-zarr", "open", BANDS),
            ("qgis-zarr", "valid", BANDS),
        ],
    },
    Known {
        name: "one centre",
        explanation: "From a Zarr GDAL takes the size of a pixel from the distance of two centres. A raster of one \
            pixel has one; the `.tif` says it.",
        until_gdal: None,
        fails: &[
            ("gdal-zarr", "transform", ONE_PIXEL),
            ("gdal-zarr", "warp", ONE_PIXEL),
            ("gdal-zarr", "warp -s_srs", ONE_PIXEL),
            ("rasterio-zarr", "transform", ONE_PIXEL),
            ("terra-zarr", "transform", ONE_PIXEL),
            ("qgis-zarr", "transform", ONE_PIXEL),
        ],
    },
    Known {
        name: "lowest float",
        explanation: "tifffile takes the lowest Float32 for a number that Float32 cannot hold, also in files of GDAL's \
            own, and then reads tiles that hold nothing but nodata as 0.",
        until_gdal: None,
        fails: &[("tifffile", "pixels", Kinds::Only(&["float32-lowest"]))],
    },
    Known {
        name: "no palette",
        explanation: "Palettes are for unsigned numbers; of any other GDAL complains whenever it copies the raster. \
            Colours of Int8 and Int16 classes are in the attribute table of `.tif.aux.xml`: `gdalinfo` shows it, QGIS from \
            3.30 on draws by it (not tested), QGIS before makes no legend, and rasterio and R terra see the names or nothing.",
        until_gdal: None,
        fails: &[
            ("qgis-tif", "colours", SIGNED_CLASSES),
            ("qgis-tif", "classes", SIGNED_CLASSES),
            ("rasterio-tif", "colours", SIGNED_CLASSES),
            ("terra-tif", "colours", SIGNED_CLASSES),
        ],
    },
    Known {
        name: "opened for writing",
        explanation: "QGIS 3.22 with GDAL 3.6 opens a geodatabase for writing first and, on every file system that is \
            read-only, shows its features without fields. Make a GeoPackage of it (`ogr2ogr name.gpkg name.gdb`).",
        until_gdal: None,
        fails: &[("qgis-vector", "fields", Kinds::Only(&["vector-gdb"]))],
    },
    Known {
        name: "colours beside the file",
        explanation: "Where the producer has the colours in a file beside the raster, so have we: in `.tif.aux.xml`, \
            which is GDAL's. tifffile reads the `.tif` only.",
        until_gdal: None,
        fails: &[
            ("tifffile", "colours", SIGNED_CLASSES),
            ("tifffile", "colours", Kinds::Only(&["classes-clr"])),
        ],
    },
];

impl Known {
    /// Whether it is to be expected here.
    fn applies(&self, gdal: (u32, u32)) -> bool {
        self.until_gdal.is_none_or(|fixed| gdal < fixed)
    }

    fn covers(&self, kind: &str, tool: &str, check: &str) -> bool {
        self.fails.iter().any(|(known, name, kinds)| *known == tool && *name == check && kinds.contain(kind))
    }
}

impl Kinds {
    fn contain(self, kind: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(&kind),
            Self::AllBut(names) => !names.contains(&kind),
        }
    }
}

/// The known failure that a check is, if it is one.
pub(crate) fn of(kind: &str, tool: &str, check: &str, gdal: (u32, u32)) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.applies(gdal) && known.covers(kind, tool, check))
}

/// What was not to be expected: checks that fail, that were not made, and that pass although they are known to fail.
///
/// Of tools that read with the system's GDAL only where that is the version that was measured; with another one they
/// are printed.
pub(crate) fn judge(findings: &Findings, tools: &Tools) -> Vec<String> {
    let mut surprises: Vec<(&str, String)> =
        findings.missing.iter().map(|missing| (missing.tool.as_str(), missing.to_string())).collect();
    for ((kind, tool, check), reasons) in &findings.checks {
        let surprise = match (reasons.first(), of(kind, tool, check, tools.gdal)) {
            (Some(reason), None) => reason.clone(),
            (None, Some(known)) => format!("passes, and '{}' is over", known.name),
            _ => continue,
        };
        surprises.push((tool, format!("{tool} of {kind}: {check}: {surprise}")));
    }
    let (judged, told): (Vec<_>, Vec<_>) =
        surprises.into_iter().partition(|(tool, _)| tools.measured_gdal() || !reads_with_systems_gdal(tool));
    for (_, surprise) in told {
        println!("note: with GDAL {:?}: {surprise}", tools.gdal);
    }
    judged.into_iter().map(|(_, surprise)| surprise).collect()
}

/// Checks that did not fail where they had to. What is known to fail somewhere has shown that it can.
pub(crate) fn never_failing(failed: &BTreeSet<(String, String)>, tools: &Tools) -> Vec<String> {
    let lines = tools.present.iter().flat_map(|tool| tool.lines);
    let checks = lines.flat_map(|told| told.checks.iter().map(move |check| (told.name, *check)));
    checks
        .filter(|(tool, check)| {
            let known =
                || KNOWN.iter().flat_map(|known| known.fails).any(|(t, c, _)| t == tool && c == check);
            !failed.contains(&((*tool).to_owned(), (*check).to_owned())) && !known()
        })
        .map(|(tool, check)| format!("{tool}: {check}"))
        .collect()
}

fn reads_with_systems_gdal(line: &str) -> bool {
    TOOLS.iter().any(|tool| tool.system_gdal && tool.lines.iter().any(|told| told.name == line))
}

#[test]
fn known_failures_are_of_tools_and_checks_that_exist() {
    for known in KNOWN {
        for (tool, check, _) in known.fails {
            let told = TOOLS.iter().flat_map(|tool| tool.lines).find(|told| told.name == *tool).unwrap();
            assert!(
                *check == "open" || told.checks.contains(check),
                "{}: {tool} makes no check '{check}'",
                known.name
            );
        }
        // A list item in the documentation.
        assert!(!known.explanation.contains('\n') && known.explanation.ends_with('.'), "{}", known.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::findings::Line;
    use crate::tools::Data;

    fn surprises(lines: Vec<Line>) -> Vec<String> {
        let present = TOOLS.iter().filter(|tool| tool.name == "tifffile").collect();
        let tools = Tools::of(present);
        let kind = |name: &str| Kind {
            name: name.into(),
            title: name.into(),
            real: false,
            data: vec![Data::Rasters],
        };
        judge(&Findings::new(&[kind("uint16"), kind("float32-lowest")], &tools, lines), &tools)
    }

    fn all_checks() -> Vec<Line> {
        let tool = TOOLS.iter().find(|tool| tool.name == "tifffile").unwrap();
        let (name, checks) = (tool.lines[0].name, tool.lines[0].checks);
        let lines = |kind| checks.iter().map(move |check| Line::new(kind, name, check, Ok(())));
        let mut lines: Vec<Line> = lines("uint16").chain(lines("float32-lowest")).collect();
        // Two rasters, of which one is known to fail.
        lines.push(Line::new("float32-lowest", name, "pixels", Err("zeros".into())));
        lines
    }

    #[test]
    fn what_was_to_be_expected_is_no_surprise() {
        assert_eq!(surprises(all_checks()), Vec::<String>::new());
    }

    #[test]
    fn a_failure_without_a_name_is_one() {
        let mut lines = all_checks();
        lines.push(Line::new("uint16", "tifffile", "crs", Err("another".into())));
        assert_eq!(surprises(lines), ["tifffile of uint16: crs: another"]);
    }

    #[test]
    fn a_known_failure_that_passes_is_one() {
        let mut lines = all_checks();
        lines.pop();
        assert_eq!(
            surprises(lines),
            ["tifffile of float32-lowest: pixels: passes, and 'lowest float' is over"]
        );
    }

    #[test]
    fn a_check_that_nobody_made_is_one() {
        let lines =
            all_checks().into_iter().filter(|line| line.check != "nodata" || line.kind != "uint16").collect();
        assert_eq!(surprises(lines), ["tifffile of uint16: no check 'nodata'"]);
    }

    #[test]
    fn what_does_not_open_is_one_surprise() {
        let mut lines: Vec<Line> = all_checks().into_iter().filter(|line| line.kind != "uint16").collect();
        lines.push(Line::new("uint16", "tifffile", "open", Err("no TIFF".into())));
        assert_eq!(surprises(lines), ["tifffile of uint16: open: no TIFF"]);
    }
}
