//! The files of one package, arranged as its producer would.

use super::{
    Layout, PackageError, RasterFiles, Recipe, Theme,
    raster::{self, RasterPlan},
    soil_moisture,
    vector::{self, VectorPlan},
};

/// Most pixels along a side of a netCDF file: it is made in memory, once for each date.
const LARGEST_NETCDF: u32 = 600;

/// A file of a package.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path inside the zip.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// Everything inside the package `stem`.
pub(super) fn of(stem: &str, recipe: &Recipe, raster_size: u32) -> Result<Vec<Entry>, PackageError> {
    match recipe {
        Recipe::Generic => {
            let files = RasterFiles::One {
                stem: stem.to_owned(),
                left: 4_400_000.0,
                top: 3_200_000.0,
                metres: f64::from(raster_size) * 100.0,
            };
            rasters(stem, Theme::Imperviousness, &files, Layout::Layer, raster_size)
        }
        Recipe::Raster { theme, files, layout } => rasters(stem, *theme, files, *layout, raster_size),
        Recipe::Vector(plan) => vectors(stem, plan),
        Recipe::SoilMoisture { dates } => Ok(soil_moistures(stem, dates, raster_size)),
        Recipe::CutOut { theme, west, north, degrees } => {
            let side = raster_size.min(256);
            let plan = RasterPlan {
                theme: *theme,
                landscape: stem.to_owned(),
                columns: side,
                rows: side,
                left: *west,
                top: *north,
                step: degrees / f64::from(side),
                epsg: 4326,
            };
            let tif = Entry { path: format!("{stem}/{stem}.tif"), bytes: raster::geotiff(&plan)? };
            Ok(vec![tif, text(format!("{stem}/metadata.xml"), metadata(stem))])
        }
        // Never asked for: a file is copied into the outer zip without being looked at.
        Recipe::File(_) => Ok(Vec::new()),
    }
}

/// The rasters' plans with their stems and endings.
fn plans(
    package: &str,
    theme: Theme,
    files: &RasterFiles,
    raster_size: u32,
) -> Vec<(String, &'static str, RasterPlan)> {
    let plan = |columns: u32, left: f64, top: f64, step: f64| RasterPlan {
        theme,
        landscape: package.to_owned(),
        columns,
        rows: columns,
        left,
        top,
        step,
        epsg: 3035,
    };
    match files {
        RasterFiles::One { stem, left, top, metres } => {
            let step = metres / f64::from(raster_size);
            vec![(stem.clone(), "tif", plan(raster_size, *left, *top, step))]
        }
        RasterFiles::Tiles { prefix, suffix, kilometres, tiles } => {
            let side = tile_side(raster_size, tiles.len());
            let metres = f64::from(*kilometres) * 1000.0;
            tiles
                .iter()
                .map(|(east, north)| {
                    let stem = format!("{prefix}E{east:02}N{north:02}{suffix}");
                    let left = f64::from(*east) * 100_000.0;
                    let top = f64::from(*north) * 100_000.0 + metres;
                    let ending = if theme == Theme::Elevation { "TIF" } else { "tif" };
                    (stem, ending, plan(side, left, top, metres / f64::from(side)))
                })
                .collect()
        }
        RasterFiles::Globe { stem } => {
            let rows = (raster_size / 2).max(8);
            let step = 180.0 / f64::from(rows);
            let globe = RasterPlan { columns: rows * 2, epsg: 4326, ..plan(rows, -180.0, 90.0, step) };
            vec![(stem.clone(), "tiff", globe)]
        }
    }
}

/// Pixels along a tile: a divisor of 100 km that keeps the mosaic near the wished size.
fn tile_side(raster_size: u32, tiles: usize) -> u32 {
    const SIDES: [u32; 14] = [16, 20, 32, 50, 80, 100, 125, 200, 250, 400, 500, 1000, 1250, 2000];
    let wished = raster_size / if tiles > 1 { 3 } else { 1 };
    SIDES.into_iter().rev().find(|side| *side <= wished).unwrap_or(SIDES[0])
}

fn rasters(
    package: &str,
    theme: Theme,
    files: &RasterFiles,
    layout: Layout,
    raster_size: u32,
) -> Result<Vec<Entry>, PackageError> {
    let mut entries = Vec::new();
    for (stem, ending, plan) in plans(package, theme, files, raster_size) {
        let folder = match layout {
            Layout::Corine | Layout::Layer => format!("{package}/DATA/"),
            Layout::Nested => format!("{stem}/"),
            Layout::Flat => String::new(),
        };
        let file = format!("{folder}{stem}.{ending}");
        entries.push(Entry { path: file.clone(), bytes: raster::geotiff(&plan)? });
        if layout != Layout::Flat {
            entries.push(text(format!("{folder}{stem}.tfw"), raster::world_file(&plan)));
        }
        if !theme.classes().is_empty() && layout != Layout::Flat {
            entries.push(text(format!("{file}.aux.xml"), raster::attribute_table(theme)));
            entries.push(Entry { path: format!("{file}.vat.dbf"), bytes: raster::attribute_dbf(theme) });
            entries.push(text(format!("{file}.vat.cpg"), "UTF-8".to_owned()));
        }
        if layout == Layout::Corine && theme == Theme::ClcSigned {
            let part = RasterPlan {
                columns: plan.columns.min(300),
                rows: plan.rows.min(200),
                left: 2_000_000.0,
                top: 1_000_000.0,
                ..plan.clone()
            };
            let path = format!("{package}/DATA/French_DOMs/{stem}_FR_REU.tif");
            entries.push(Entry { path, bytes: raster::geotiff(&part)? });
        }
        if matches!(layout, Layout::Corine | Layout::Layer) {
            entries.push(text(format!("{package}/Metadata/{stem}.xml"), metadata(&stem)));
        }
    }
    if matches!(layout, Layout::Corine | Layout::Layer) && !theme.palette().is_empty() {
        entries.push(text(format!("{package}/Legend/{package}.txt"), raster::legend(theme)));
    }
    if layout == Layout::Corine {
        let words =
            "Generated by the clmsfs simulator; not data of the Copernicus Land Monitoring Service.\n";
        entries.push(text(format!("{package}/readme_{package}.txt"), words.to_owned()));
        entries
            .push(text(format!("{package}/Documents/Naming_convention_description.txt"), words.to_owned()));
    }
    Ok(entries)
}

/// A folder for each date, with the file and its description.
fn soil_moistures(package: &str, dates: &[(&str, f64)], raster_size: u32) -> Vec<Entry> {
    let side = raster_size.min(LARGEST_NETCDF);
    let files = dates.iter().flat_map(|&(date, day)| {
        let stem = soil_moisture::stem(date);
        let folder = format!("{package}/{date}");
        let file = Entry { path: format!("{folder}/{stem}.nc"), bytes: soil_moisture::file(date, day, side) };
        let description = stem.replace("c_gls_SSM1km", "c_gls_SSM1km_PROD-DESC");
        [file, text(format!("{folder}/{description}.xml"), metadata(&stem))]
    });
    files.collect()
}

fn vectors(package: &str, plan: &VectorPlan) -> Result<Vec<Entry>, PackageError> {
    let mut entries: Vec<Entry> = vector::files(plan)?
        .into_iter()
        .map(|(path, bytes)| Entry { path: format!("{package}/Data/{path}"), bytes })
        .collect();
    entries.push(text(format!("{package}/Metadata/{}.xml", plan.name), metadata(&plan.name)));
    entries.push(text(format!("{package}/Legend/{}.txt", plan.name), raster::legend(Theme::ClcSigned)));
    Ok(entries)
}

fn metadata(name: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gmd:MD_Metadata xmlns:gmd=\"http://www.isotc211.org/2005/gmd\">\n  <!-- {name} -->\n</gmd:MD_Metadata>\n"
    )
}

fn text(path: String, text: String) -> Entry {
    Entry { path, bytes: text.into_bytes() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tiles() -> Recipe {
        Recipe::Raster {
            theme: Theme::Imperviousness,
            files: RasterFiles::Tiles {
                prefix: "IMD_2018_010m_".to_owned(),
                suffix: "_03035_v020".to_owned(),
                kilometres: 100,
                tiles: vec![(44, 29), (45, 29), (44, 30)],
            },
            layout: Layout::Layer,
        }
    }

    #[test]
    fn a_mosaic_has_its_tiles_in_the_data_folder() {
        let entries = of("IMD_x", &tiles(), 96).unwrap();
        let tifs: Vec<_> =
            entries.iter().map(|entry| &entry.path).filter(|path| path.ends_with(".tif")).collect();
        assert_eq!(
            tifs,
            [
                "IMD_x/DATA/IMD_2018_010m_E44N29_03035_v020.tif",
                "IMD_x/DATA/IMD_2018_010m_E45N29_03035_v020.tif",
                "IMD_x/DATA/IMD_2018_010m_E44N30_03035_v020.tif"
            ]
        );
    }

    #[test]
    fn the_same_name_gives_the_same_bytes() {
        let bytes = || super::super::inner("IMD_x", &tiles(), 96).unwrap();
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn neighbouring_tiles_share_one_landscape() {
        let files = RasterFiles::One { stem: "a".to_owned(), left: 0.0, top: 0.0, metres: 1000.0 };
        let whole = plans("p", Theme::TreeCover, &files, 100);
        assert_eq!(whole[0].2.step, 10.0);
        assert_eq!(tile_side(3000, 4), 1000);
        assert_eq!(tile_side(1, 1), 16);
    }
}
