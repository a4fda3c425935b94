//! Tests of the attributes.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::entry::{BandMeta, PixelType};
use crate::store::fixture;
use crate::store::variable::BitFlags;

fn pixels(raster: &RasterMeta, format: Format) -> Map<String, Value> {
    of_pixels(raster, &Level::all(raster)[0], format)
}

#[test]
fn base64_is_that_of_python() {
    // base64.b64encode(struct.pack("<d", value))
    assert_eq!(base64_of_double(f64::NAN), "AAAAAAAA+H8=");
    assert_eq!(base64_of_double(-9999.0), "AAAAAICHw8A=");
    assert_eq!(base64_of_double(0.1), "mpmZmZmZuT8=");
}

#[test]
fn nodata_is_an_attribute_in_v3_only() {
    let classes = fixture::classes("r", 10, 10);
    assert_eq!(pixels(&classes, Format::V3)["_FillValue"], json!(255));
    assert!(!pixels(&classes, Format::V2).contains_key("_FillValue"));
    let float =
        RasterMeta { nodata: Some(Number(-9999.0)), ..fixture::raster("r", PixelType::Float32, 9, 9) };
    assert_eq!(pixels(&float, Format::V3)["_FillValue"], json!("AAAAAICHw8A="));
    let impossible = RasterMeta { nodata: Some(Number(-9999.0)), ..classes };
    assert!(!pixels(&impossible, Format::V3).contains_key("_FillValue"));
}

#[test]
fn class_names_become_words() {
    let raster = fixture::classes("r", 10, 10);
    let attributes = pixels(&raster, Format::V2);
    assert_eq!(attributes["flag_values"], json!([0, 1, 2]));
    assert_eq!(attributes["flag_meanings"], "Non-tree_areas_incl._water Broadleaved_trees Coniferous_trees");
    assert_eq!(attributes["flag_colors"], "#f0f0f0 #469e4a #1c5c24");
    assert_eq!(attributes["class_names"][0], "Non-tree areas (incl. water)");
    let nameless = Class { value: -128, name: " () ".into(), color: None };
    assert_eq!(flag_meaning(&nameless), "class_-128");
}

#[test]
fn colours_are_all_there_or_none() {
    let mut raster = fixture::classes("r", 10, 10);
    raster.classes[1].color = None;
    assert!(!pixels(&raster, Format::V3).contains_key("flag_colors"));
    raster.palette = vec![[1, 2, 3, 255]; 3];
    assert_eq!(pixels(&raster, Format::V3)["flag_colors"], "#f0f0f0 #010203 #1c5c24");
}

#[test]
fn bands_that_agree_are_scaled_by_cf() {
    let band = BandMeta { scale: Some(0.01), offset: Some(-1.0), unit: "%".into(), ..BandMeta::default() };
    let mut raster = fixture::raster("r", PixelType::Int16, 10, 10);
    raster.bands = vec![band.clone(), band];
    let attributes = pixels(&raster, Format::V3);
    assert_eq!((&attributes["scale_factor"], &attributes["add_offset"]), (&json!(0.01), &json!(-1.0)));
    assert_eq!(attributes["units"], "%");
    raster.bands[1].scale = None;
    raster.bands[1].unit.clear();
    let attributes = pixels(&raster, Format::V3);
    assert!(!attributes.contains_key("scale_factor") && !attributes.contains_key("units"));
    assert_eq!(attributes["scales"], json!([0.01, 1.0]));
    raster.bands.truncate(1);
    raster.bands[0] = BandMeta { scale: Some(1.0), offset: Some(0.0), ..BandMeta::default() };
    assert!(!pixels(&raster, Format::V3).contains_key("scale_factor"));
}

#[test]
fn bits_have_masks_instead_of_classes() {
    let mut raster = fixture::raster("r", PixelType::UInt8, 10, 10);
    let numbers = |numbers: &[f64]| numbers.iter().map(|&number| Number(number)).collect();
    let mut flags = BitFlags { masks: numbers(&[1.0, 128.0]), values: vec![], meanings: "cloud sea".into() };
    raster.variable.bit_flags = Some(flags.clone());
    let attributes = pixels(&raster, Format::V3);
    assert_eq!(
        (&attributes["flag_masks"], &attributes["flag_meanings"]),
        (&json!([1, 128]), &json!("cloud sea"))
    );
    assert!(!attributes.contains_key("flag_values"));
    flags.values = numbers(&[1.0, 0.0]);
    raster.variable.bit_flags = Some(flags);
    assert_eq!(pixels(&raster, Format::V2)["flag_values"], json!([1, 0]));
    // Classes of the package say it better.
    raster.classes = fixture::classes("r", 10, 10).classes;
    assert!(!pixels(&raster, Format::V3).contains_key("flag_masks"));
}

#[test]
fn a_crs_without_code_is_given_as_wkt() {
    let mut raster = fixture::classes("r", 10, 10);
    if let Some(crs) = raster.crs.as_mut() {
        crs.epsg = None;
    }
    let attributes = pixels(&raster, Format::V3);
    assert!(attributes["crs"].as_str().unwrap().starts_with("PROJCRS"));
    assert!(attributes["_CRS"]["wkt"].is_string() && attributes["proj:wkt2"].is_string());
    raster.crs = None;
    let attributes = pixels(&raster, Format::V3);
    assert!(["crs", "_CRS", "proj:code", "proj:wkt2"].iter().all(|key| !attributes.contains_key(*key)));
    assert_eq!(attributes["zarr_conventions"].as_array().unwrap().len(), 1);
}

#[test]
fn the_pyramid_is_a_chain() {
    let raster = fixture::classes("r", 3000, 3000);
    let root = of_root(&raster, &Level::all(&raster));
    let layout = root["multiscales"]["layout"].as_array().unwrap();
    let assets: Vec<_> = layout.iter().map(|level| level["asset"].as_str().unwrap()).collect();
    assert_eq!(assets, ["band", "ovr_2x", "ovr_4x", "ovr_8x"]);
    assert_eq!(layout[3]["derived_from"], "ovr_4x");
    assert_eq!(layout[3]["transform"]["scale"], json!([2.0, 2.0]));
    assert_eq!(layout[1]["resampling_method"], "mode");
}

#[test]
fn coordinates_of_a_geographic_crs_are_degrees() {
    let mut raster = fixture::classes("r", 10, 10);
    assert_eq!(of_axis(&raster, Axis::X, Format::V3)["units"], "m");
    raster.crs.as_mut().unwrap().projected = false;
    let y = of_axis(&raster, Axis::Y, Format::V2);
    assert_eq!((&y["standard_name"], &y["units"]), (&json!("latitude"), &json!("degrees_north")));
    assert_eq!(y["_ARRAY_DIMENSIONS"], json!(["y"]));
}

#[test]
fn conventions_are_declared_as_rioxarray_and_gdal_look_for_them() {
    let attributes = pixels(&fixture::classes("r", 30, 20), Format::V3);
    let declared: Vec<_> = attributes["zarr_conventions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|convention| (convention["name"].as_str().unwrap(), convention["uuid"].as_str().unwrap()))
        .collect();
    assert_eq!(
        declared,
        [
            ("proj:", "f17cb550-5864-4468-aeb7-f3180cfb622f"),
            ("spatial:", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4")
        ]
    );
    assert_eq!(attributes["proj:code"], "EPSG:3035");
    assert_eq!(attributes["spatial:shape"], json!([20, 30]));
    assert_eq!(attributes["spatial:transform"], json!([10.0, 0.0, 4_321_000.0, 0.0, -10.0, 3_210_000.0]));
}
