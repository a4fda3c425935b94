//! NetCDF files from bytes to pixels.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use super::*;
use crate::ingest::pixel::Pixel;
use crate::ingest::source::{SourceReader, Window};
use crate::simulator::classic::{Classic, Values};
use crate::store::entry::Number;

/// A file with coordinates of 5 rows and 7 columns (dimensions 0 and 1) and 3 dates (dimension 2).
fn file(ascending: bool) -> Classic {
    let mut file = Classic::default();
    let (lat, lon, time) = (file.dimension("lat", 5), file.dimension("lon", 7), file.dimension("time", 3));
    let row = |row: usize| if ascending { 40.0 + row as f64 } else { 44.0 - row as f64 };
    let text = Values::text;
    file.variable(
        "lat",
        &[lat],
        &[("units", text("degrees_north"))],
        Values::Doubles((0..5).map(row).collect()),
    );
    let columns = (0..7).map(|column| 10.0 + f64::from(column) * 0.5).collect();
    file.variable("lon", &[lon], &[("units", text("degrees_east"))], Values::Doubles(columns));
    let units = [("units", text("days since 2021-01-01"))];
    file.variable("time", &[time], &units, Values::Ints(vec![0, 10, 20]));
    file
}

struct Inspected {
    _folder: tempfile::TempDir,
    path: PathBuf,
    result: Result<Vec<VariableFacts>, IngestError>,
}

fn inspect_bytes(bytes: &[u8]) -> Inspected {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.nc");
    std::fs::write(&path, bytes).unwrap();
    let result = inspect(&path, "package/file.nc");
    Inspected { _folder: folder, path, result }
}

impl Inspected {
    fn facts(&self, number: usize) -> &SourceFacts {
        &self.result.as_ref().unwrap()[number].facts
    }

    /// A whole band, through windows that do not fit anything evenly.
    fn pixels<T: Pixel>(&self, number: usize, band: u32) -> Vec<T> {
        let facts = self.facts(number);
        assert_eq!(facts.pixel, T::TYPE);
        let reader = SourceReader::open(&self.path, "package/file.nc", &facts.origin).unwrap();
        let (width, height) = (facts.width as usize, facts.height as usize);
        let mut pixels = vec![T::ZERO; width * height];
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(3) {
                let window = Window { x, y, width: 3.min(width - x), height: 2.min(height - y) };
                reader.read(band, window, &mut pixels[y * width + x..], width).unwrap();
            }
        }
        pixels
    }

    fn refusal(&self) -> String {
        match &self.result {
            Err(IngestError::Unsupported { name, reason }) => {
                assert_eq!(name, "package/file.nc");
                reason.clone()
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

#[test]
fn stored_values_north_up_whatever_the_file() {
    // Row 0 is the northernmost.
    let value = |row: usize, column: usize| (row * 7 + column) as i16 - 9;
    let wanted: Vec<i16> = (0..35).map(|at| value(at / 7, at % 7)).collect();
    for ascending in [false, true] {
        let mut file = file(ascending);
        let row_of = |row: usize| if ascending { 4 - row } else { row };
        let rows = (0..35).map(|at| value(row_of(at / 7), at % 7)).collect();
        file.variable("rows", &[0, 1], &[], Values::Shorts(rows));
        let columns = (0..35).map(|at| value(row_of(at % 5), at / 5)).collect();
        file.variable("columns", &[1, 0], &[], Values::Shorts(columns));
        let found = inspect_bytes(&file.bytes());
        assert_eq!(found.facts(0).geotransform, Some([9.75, 0.5, 0.0, 44.5, 0.0, -1.0]));
        assert_eq!(found.facts(0).crs.as_ref().unwrap().epsg, Some(4326));
        assert_eq!(found.pixels::<i16>(0, 0), wanted, "ascending: {ascending}");
        assert_eq!(found.pixels::<i16>(1, 0), wanted, "columns first, ascending: {ascending}");
    }
}

#[test]
fn columns_from_east_to_west_are_turned_round() {
    let mut file = Classic::default();
    let (y, x) = (file.dimension("y", 2), file.dimension("x", 3));
    file.variable("y", &[y], &[], Values::Floats(vec![1000.0, 0.0]));
    file.variable("x", &[x], &[], Values::Floats(vec![3000.0, 2000.0, 1000.0]));
    file.variable("v", &[y, x], &[], Values::Ints(vec![1, 2, 3, 4, 5, 6]));
    let found = inspect_bytes(&file.bytes());
    assert_eq!(found.pixels::<i32>(0, 0), [3, 2, 1, 6, 5, 4]);
    assert_eq!(found.facts(0).geotransform, Some([500.0, 1000.0, 0.0, 1500.0, 0.0, -1000.0]));
    assert_eq!(found.facts(0).crs, None);
}

/// A file in EPSG:3035 whose coordinates have this unit; `mapping` are the attributes of the variable `crs`.
fn projected(units: &str, factor: f64, mapping: &[(&str, Values)], named: &[(&str, Values)]) -> Inspected {
    let mut file = Classic::default();
    let (y, x) = (file.dimension("y", 2), file.dimension("x", 3));
    let axis = |centres: &[f64]| Values::Doubles(centres.iter().map(|centre| centre * factor).collect());
    let units = [("units", Values::text(units))];
    file.variable("y", &[y], &units, axis(&[3_000_500.0, 2_999_500.0]));
    file.variable("x", &[x], &units, axis(&[4_000_500.0, 4_001_500.0, 4_002_500.0]));
    file.variable("crs", &[], mapping, Values::Ints(vec![0]));
    file.variable("v", &[y, x], named, Values::Ints(vec![1, 2, 3, 4, 5, 6]));
    inspect_bytes(&file.bytes())
}

#[test]
fn kilometres_become_the_metres_of_the_crs() {
    let wkt = Values::text(&SpatialRef::from_epsg(3035).unwrap().to_wkt().unwrap());
    let named = [("grid_mapping", Values::text("crs"))];
    for (units, factor) in [("m", 1.0), ("km", 1e-3)] {
        let found = projected(units, factor, &[("crs_wkt", wkt.clone())], &named);
        let place = found.facts(0).geotransform.unwrap();
        let wanted = [4e6, 1000.0, 0.0, 3_001_000.0, 0.0, -1000.0];
        assert!(place.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{place:?}");
        assert_eq!(found.facts(0).crs.as_ref().unwrap().epsg, Some(3035));
    }
    // Without a CRS nobody knows what they should become.
    assert_eq!(projected("km", 1e-3, &[], &[]).facts(0).geotransform.unwrap()[1], 1.0);
}

#[test]
fn packed_coordinates_are_unpacked() {
    let mut file = file(false);
    let packed = |scale: f64, offset: f64| {
        [("scale_factor", Values::Doubles(vec![scale])), ("add_offset", Values::Doubles(vec![offset]))]
    };
    let (lat, time) = (0, 2);
    file.variables[lat].values = Values::Shorts(vec![8, 7, 6, 5, 4]);
    file.variables[lat].attributes.extend(packed(0.5, 40.0).map(|(name, value)| (name.to_owned(), value)));
    file.variables[time].values = Values::Shorts(vec![0, 1, 2]);
    file.variables[time].attributes.extend(packed(10.0, 1.0).map(|(name, value)| (name.to_owned(), value)));
    file.variable("v", &[2, 0, 1], &[], Values::Ints(vec![7; 105]));
    let found = inspect_bytes(&file.bytes());
    assert_eq!(found.facts(0).geotransform, Some([9.75, 0.5, 0.0, 44.25, 0.0, -0.5]));
    let labels: Vec<&str> = found.facts(0).bands.iter().map(|band| band.description.as_str()).collect();
    assert_eq!(labels, ["2021-01-02", "2021-01-12", "2021-01-22"]);
}

/// A file whose coordinates are angles, with the grid mapping of a geostationary satellite or another one.
fn angles(units: &str, step: f64, mapping: &[(&str, Values)]) -> Inspected {
    let mut file = Classic::default();
    let (y, x) = (file.dimension("y", 2), file.dimension("x", 2));
    let units = [("units", Values::text(units))];
    file.variable("y", &[y], &units, Values::Doubles(vec![step, 0.0]));
    file.variable("x", &[x], &units, Values::Doubles(vec![0.0, step]));
    file.variable("crs", &[], mapping, Values::Ints(vec![0]));
    file.variable("v", &[y, x], &[("grid_mapping", Values::text("crs"))], Values::Ints(vec![1, 2, 3, 4]));
    inspect_bytes(&file.bytes())
}

#[test]
fn angles_of_a_geostationary_satellite_become_metres() {
    let number = |number: f64| Values::Doubles(vec![number]);
    let mapping = [
        ("grid_mapping_name", Values::text("geostationary")),
        ("perspective_point_height", number(35_785_831.0)),
        ("longitude_of_projection_origin", number(0.0)),
        ("semi_major_axis", number(6_378_137.0)),
        ("semi_minor_axis", number(6_356_752.314_245)),
        ("sweep_angle_axis", Values::text("y")),
    ];
    for (units, step) in [("rad", 1e-4), ("microradian", 100.0)] {
        let place = angles(units, step, &mapping).facts(0).geotransform.unwrap();
        assert!((place[1] - 3578.5831).abs() < 1e-6 && (place[5] + 3578.5831).abs() < 1e-6, "{place:?}");
    }
    let reason = angles("rad", 1e-4, &[("epsg_code", Values::text("EPSG:3035"))]).refusal();
    assert!(reason.contains("'x' has angles"), "{reason}");
}

#[test]
fn a_crs_is_found_where_writers_put_it() {
    let wkt = Values::text(&SpatialRef::from_epsg(3035).unwrap().to_wkt().unwrap());
    let named = [("grid_mapping", Values::text("crs"))];
    for (mapping, named) in [
        (("epsg_code", Values::text("EPSG:3035")), &named[..]),
        (("epsg_code", Values::Ints(vec![3035])), &named),
        (("crs_wkt", wkt.clone()), &[]),
        (("spatial_ref", wkt), &[]),
    ] {
        let found = projected("m", 1.0, std::slice::from_ref(&mapping), named);
        assert_eq!(found.facts(0).crs.as_ref().unwrap().epsg, Some(3035), "{mapping:?}");
    }
    // Degrees are no coordinates of a projected one.
    let plain = projected("m", 1.0, &[("epsg_code", Values::text("EPSG:4326"))], &[]);
    assert_eq!(plain.facts(0).crs, None);
}

#[test]
fn a_file_that_is_cut_off_is_named() {
    let mut file = file(false);
    file.variable("v", &[0, 1], &[], Values::Shorts(vec![7; 35]));
    let bytes = file.bytes();
    assert!(inspect_bytes(&bytes).result.is_ok());
    let error = inspect_bytes(&bytes[..bytes.len() - 20]).result.unwrap_err().to_string();
    assert!(error.contains("'package/file.nc'") && error.contains("cut off"), "{error}");
}

#[test]
fn bytes_have_the_sign_that_the_file_says() {
    let mut file = file(false);
    let bytes = || Values::Bytes((0..35).map(|at| (at * 7) as u8 as i8).collect());
    let minus_one = [("_FillValue", Values::Bytes(vec![-1]))];
    file.variable("signed", &[0, 1], &minus_one, bytes());
    let unsigned = [
        ("_FillValue", Values::Bytes(vec![-1])),
        ("_Unsigned", Values::text("true")),
        ("valid_range", Values::Bytes(vec![0, -6])),
        ("flag_values", Values::Bytes(vec![-5, -4])),
        ("flag_meanings", Values::text("cloud snow")),
    ];
    file.variable("unsigned", &[0, 1], &unsigned, bytes());
    let found = inspect_bytes(&file.bytes());
    let signed: Vec<i8> = (0..35).map(|at| (at * 7) as u8 as i8).collect();
    assert_eq!(found.pixels::<i8>(0, 0), signed);
    assert_eq!(found.facts(0).nodata, Some(Number(-1.0)));
    let unsigned: Vec<u8> = (0..35).map(|at| at * 7).collect();
    assert_eq!(found.pixels::<u8>(1, 0), unsigned);
    let facts = found.facts(1);
    assert_eq!(facts.nodata, Some(Number(255.0)));
    assert_eq!(facts.variable.valid_range, Some([Number(0.0), Number(250.0)]));
    let table = facts.attributes.as_ref().unwrap();
    assert_eq!(table.rows, [["251".to_owned(), "cloud".to_owned()], ["252".to_owned(), "snow".to_owned()]]);
}

#[test]
fn shorts_without_a_sign() {
    let mut file = file(false);
    let values = (0..35).map(|at| (at * 1800) as u16 as i16).collect();
    file.variable("v", &[0, 1], &[("_Unsigned", Values::text("true"))], Values::Shorts(values));
    let found = inspect_bytes(&file.bytes());
    let wanted: Vec<u16> = (0..35).map(|at| at * 1800).collect();
    assert_eq!(found.pixels::<u16>(0, 0), wanted);
}

#[test]
fn meaning_survives_and_nothing_is_made_up() {
    let mut file = file(false);
    let attributes = [
        ("scale_factor", Values::Floats(vec![0.5])),
        ("add_offset", Values::Doubles(vec![-10.0])),
        ("units", Values::text("%")),
        ("long_name", Values::text("Soil moisture")),
        ("standard_name", Values::text("soil_moisture")),
        ("missing_value", Values::Shorts(vec![-9999])),
        // GDAL's raster interface would replace what is outside.
        ("valid_range", Values::Shorts(vec![0, 10])),
    ];
    let values: Vec<i16> = (0..35).map(|at| if at == 3 { -9999 } else { at }).collect();
    file.variable("v", &[0, 1], &attributes, Values::Shorts(values.clone()));
    file.variable("plain", &[0, 1], &[], Values::Floats(vec![1.5; 35]));
    let found = inspect_bytes(&file.bytes());
    let facts = found.facts(0);
    let band = &facts.bands[0];
    assert_eq!((band.scale, band.offset), (Some(0.5), Some(-10.0)));
    assert_eq!((band.unit.as_str(), band.description.as_str()), ("%", "Soil moisture"));
    assert_eq!(
        (facts.variable.standard_name.as_str(), facts.nodata),
        ("soil_moisture", Some(Number(-9999.0)))
    );
    assert_eq!(found.pixels::<i16>(0, 0), values);
    // What netCDF fills with when nobody says anything is no nodata value.
    assert_eq!((found.facts(1).nodata, &found.facts(1).variable), (None, &Default::default()));
    assert_eq!(found.pixels::<f32>(1, 0), [1.5; 35]);
}

#[test]
fn steps_of_time_are_bands() {
    let mut file = file(true);
    file.variable("v", &[2, 0, 1], &[], Values::Ints((0..105).collect()));
    let found = inspect_bytes(&file.bytes());
    let facts = found.facts(0);
    let labels: Vec<&str> = facts.bands.iter().map(|band| band.description.as_str()).collect();
    assert_eq!(labels, ["2021-01-01", "2021-01-11", "2021-01-21"]);
    assert_eq!(facts.times[2], "2021-01-21T00:00:00Z".parse().unwrap());
    // Ascending latitudes: the last row of the file comes first.
    assert_eq!(found.pixels::<i32>(0, 1)[..7], [63, 64, 65, 66, 67, 68, 69]);
    assert_eq!(found.pixels::<i32>(0, 2)[28..], [70, 71, 72, 73, 74, 75, 76]);
}

#[test]
fn depths_are_bands_without_times() {
    let mut file = file(false);
    let depth = file.dimension("depth", 2);
    file.variable("depth", &[depth], &[("units", Values::text("cm"))], Values::Ints(vec![5, 20]));
    let index = file.dimension("member", 2);
    file.variable("v", &[depth, 0, 1], &[], Values::Ints((0..70).collect()));
    file.variable("w", &[index, 0, 1], &[], Values::Ints((0..70).collect()));
    let found = inspect_bytes(&file.bytes());
    let labels = |number: usize| -> Vec<String> {
        found.facts(number).bands.iter().map(|band| band.description.clone()).collect()
    };
    assert_eq!(
        (labels(0), labels(1)),
        (
            vec!["depth 5 cm".to_owned(), "depth 20 cm".to_owned()],
            vec!["member 0".to_owned(), "member 1".to_owned()],
        )
    );
    assert!(found.facts(0).times.is_empty());
    assert_eq!(found.pixels::<i32>(0, 1)[0], 35);
}

#[test]
fn a_projected_grid_has_the_crs_of_its_mapping() {
    let mut file = Classic::default();
    let (y, x) = (file.dimension("y", 2), file.dimension("x", 2));
    let coordinate = |name: &str| [("standard_name", Values::text(name)), ("units", Values::text("m"))];
    file.variable(
        "y",
        &[y],
        &coordinate("projection_y_coordinate"),
        Values::Doubles(vec![3_000_050.0, 3_000_150.0]),
    );
    file.variable(
        "x",
        &[x],
        &coordinate("projection_x_coordinate"),
        Values::Doubles(vec![4_000_050.0, 4_000_150.0]),
    );
    let wkt = SpatialRef::from_epsg(3035).unwrap().to_wkt().unwrap();
    let mapping = [
        ("grid_mapping_name", Values::text("lambert_azimuthal_equal_area")),
        ("spatial_ref", Values::text(&wkt)),
    ];
    file.variable("crs", &[], &mapping, Values::Ints(vec![0]));
    file.variable("v", &[y, x], &[("grid_mapping", Values::text("crs"))], Values::Ints(vec![1, 2, 3, 4]));
    let found = inspect_bytes(&file.bytes());
    assert_eq!(found.facts(0).crs.as_ref().unwrap().epsg, Some(3035));
    assert_eq!(found.facts(0).geotransform, Some([4_000_000.0, 100.0, 0.0, 3_000_200.0, 0.0, -100.0]));
}

#[test]
fn what_cannot_be_served_names_the_file_and_the_way_out() {
    let mut uneven = file(false);
    uneven.variables[0].values = Values::Doubles(vec![44.0, 43.0, 42.0, 40.0, 39.0]);
    uneven.variable("v", &[0, 1], &[], Values::Ints(vec![0; 35]));
    let reason = inspect_bytes(&uneven.bytes()).refusal();
    assert!(reason.contains("'lat'") && reason.contains("evenly") && reason.contains("remapnn"), "{reason}");

    let mut nowhere = Classic::default();
    let (a, b) = (nowhere.dimension("a", 2), nowhere.dimension("b", 3));
    nowhere.variable("v", &[a, b], &[], Values::Ints(vec![0; 6]));
    let reason = inspect_bytes(&nowhere.bytes()).refusal();
    assert!(reason.contains("no coordinates") && reason.contains("'v'"), "{reason}");
}

#[test]
fn steps_that_are_no_dates_are_bands() {
    let mut timeless = file(false);
    timeless.variables[2].attributes[0].1 = Values::text("fortnights since 2021-01-01");
    timeless.variable("v", &[2, 0, 1], &[], Values::Ints(vec![0; 105]));
    let found = inspect_bytes(&timeless.bytes());
    let bands = &found.facts(0).bands;
    assert_eq!((bands.len(), bands[1].description.as_str()), (3, "time 10 fortnights since 2021-01-01"));
    assert!(found.facts(0).times.is_empty());
}

#[test]
fn damaged_files_are_named() {
    let mut good = file(false);
    good.variable("v", &[0, 1], &[], Values::Ints(vec![7; 35]));
    let bytes = good.bytes();
    for bad in [&b"CDF\x02"[..], b"<html>", b"", &bytes[..80]] {
        let found = inspect_bytes(bad);
        assert!(
            matches!(&found.result, Err(IngestError::Raster { name, .. }) if name == "package/file.nc"),
            "{found:?}",
            found = found.result
        );
    }
}

#[test]
fn a_variable_with_dates_and_depths_is_a_raster_for_each_depth() {
    let mut file = file(false);
    let depth = file.dimension("depth", 2);
    file.variable("depth", &[depth], &[("units", Values::text("m"))], Values::Doubles(vec![0.05, 1.0]));
    let value = |depth: usize, time: usize, pixel: usize| (depth * 1000 + time * 100 + pixel) as i16;
    let all =
        (0..2).flat_map(|depth| (0..3).flat_map(move |time| (0..35).map(move |p| value(depth, time, p))));
    file.variable("t", &[depth, 2, 0, 1], &[], Values::Shorts(all.collect()));
    let found = inspect_bytes(&file.bytes());
    let names: Vec<&str> =
        found.result.as_ref().unwrap().iter().map(|facts| facts.variable.as_str()).collect();
    assert_eq!(names, ["t_depth_0.05", "t_depth_1"]);
    for (depth, facts) in found.result.as_ref().unwrap().iter().enumerate() {
        assert_eq!(facts.facts.times.len(), 3);
        for time in 0..3 {
            let wanted: Vec<i16> = (0..35).map(|pixel| value(depth, time, pixel)).collect();
            assert_eq!(found.pixels::<i16>(depth, time as u32), wanted, "depth {depth}, time {time}");
        }
    }
}
