//! Attributes of the arrays: what tells a reader of Zarr about CRS, grid, classes, scale and nodata.
//!
//! Every reader looks elsewhere, each line measured:
//!
//! | reader | CRS from | grid from | nodata from |
//! |---|---|---|---|
//! | GDAL before 3.9 | `_CRS` | `x`, `y` | v2 `fill_value` |
//! | rioxarray 0.17 to 0.19 | `crs`, `spatial_ref` through `coordinates` | `x`, `y`, `GeoTransform` | v2 `fill_value`, v3 `_FillValue` |
//! | rioxarray 0.23 | the same, `proj:code` | the same, `spatial:transform` | the same |
//!
//! GDAL before 3.10.1 swaps the axes when it reprojects from any Zarr, its own too, whatever the order of the CRS' axes
//! (<https://github.com/OSGeo/gdal/pull/11381>); no spelling of `_CRS` avoids that, `-s_srs` or the `.tif` does.

use serde_json::{Map, Value, json};

use super::documents::pixel_value;
use super::level::{Axis, Level};
use super::time;
use crate::store::entry::{Class, Crs, Number, RasterMeta};

/// The two Zarr formats that the view shows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    V2,
    V3,
}

/// Names of the dimensions of the pixels' array. Not `band`: xarray takes no array named like one of several
/// dimensions of its own.
pub(crate) fn dimensions(raster: &RasterMeta) -> Vec<&'static str> {
    match raster.bands.len() {
        1 => vec!["y", "x"],
        _ if raster.has_time_axis() => vec![time::NAME, "y", "x"],
        _ => vec!["bands", "y", "x"],
    }
}

/// Attributes of the pixels' array.
pub(crate) fn of_pixels(raster: &RasterMeta, level: &Level, format: Format) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |key: &str, value: Value| drop(attributes.insert(key.into(), value));
    match format {
        Format::V2 => set("_ARRAY_DIMENSIONS", json!(dimensions(raster))),
        Format::V3 => {
            set("grid_mapping", json!("spatial_ref"));
            set("coordinates", json!("spatial_ref"));
            // In v2 the array's fill_value says it.
            if let Some(nodata) = raster.representable_nodata() {
                let value = if raster.pixel.is_float() {
                    json!(base64_of_double(nodata.0))
                } else {
                    json!(nodata.0 as i64)
                };
                set("_FillValue", value);
            }
        }
    }
    if let Some(crs) = &raster.crs {
        set("crs", json!(crs.epsg.map_or_else(|| crs.wkt2.clone(), |code| format!("EPSG:{code}"))));
        set("_CRS", gdal_crs(crs));
    }
    of_bands(raster, &mut set);
    of_classes(raster, &mut set);
    for (key, value) in geo_conventions(raster, level) {
        set(&key, value);
    }
    attributes
}

/// Description, unit, scale and offset. CF knows one scalar for an array, so bands that differ get lists under
/// rioxarray's names, which decode nothing.
fn of_bands(raster: &RasterMeta, set: &mut impl FnMut(&str, Value)) {
    let variable = &raster.variable;
    if !variable.standard_name.is_empty() {
        set("standard_name", json!(variable.standard_name));
    }
    if let Some(range) = variable.valid_range {
        set("valid_range", json!(range.map(|limit| pixel_value(raster, limit.0))));
    }
    if let Some(flags) = variable.bit_flags.as_ref().filter(|_| raster.classes.is_empty())
        && !flags.meanings.is_empty()
    {
        let stored = |numbers: &[Number]| {
            numbers.iter().map(|number| pixel_value(raster, number.0)).collect::<Vec<_>>()
        };
        set("flag_masks", json!(stored(&flags.masks)));
        if !flags.values.is_empty() {
            set("flag_values", json!(stored(&flags.values)));
        }
        set("flag_meanings", json!(flags.meanings));
    }
    let descriptions: Vec<&str> = raster.bands.iter().map(|band| band.description.as_str()).collect();
    match descriptions.as_slice() {
        // What the bands are called is in the coordinate `time`.
        _ if raster.has_time_axis() && variable.long_name.is_empty() => (),
        _ if raster.has_time_axis() => set("long_name", json!(variable.long_name)),
        [one] if !one.is_empty() => set("long_name", json!(one)),
        [_, _, ..] if descriptions.iter().any(|text| !text.is_empty()) => {
            set("long_name", json!(descriptions))
        }
        _ => (),
    }
    let first = &raster.bands[0];
    if !first.unit.is_empty() && raster.bands.iter().all(|band| band.unit == first.unit) {
        set("units", json!(first.unit));
    }
    let scaling: Vec<(f64, f64)> =
        raster.bands.iter().map(|band| (band.scale.unwrap_or(1.0), band.offset.unwrap_or(0.0))).collect();
    if scaling.iter().all(|&scaling| scaling == (1.0, 0.0)) {
        return;
    }
    let of_first = scaling[0];
    if scaling.iter().all(|&scaling| scaling == of_first) {
        set("scale_factor", json!(of_first.0));
        set("add_offset", json!(of_first.1));
    } else {
        set("scales", scaling.iter().map(|scaling| scaling.0).collect());
        set("offsets", scaling.iter().map(|scaling| scaling.1).collect());
    }
}

/// CF flags (section 3.5), flag_colors (ACDD and xcube), and the unchanged names.
fn of_classes(raster: &RasterMeta, set: &mut impl FnMut(&str, Value)) {
    let classes = &raster.classes;
    if classes.is_empty() {
        return;
    }
    set("flag_values", classes.iter().map(|class| class.value).collect());
    set("flag_meanings", json!(classes.iter().map(flag_meaning).collect::<Vec<_>>().join(" ")));
    let colors: Option<Vec<String>> = classes
        .iter()
        .map(|class| {
            let of_palette = || usize::try_from(class.value).ok().and_then(|index| raster.palette.get(index));
            let [red, green, blue, _] = class.color.or_else(|| of_palette().copied())?;
            Some(format!("#{red:02x}{green:02x}{blue:02x}"))
        })
        .collect();
    if let Some(colors) = colors {
        set("flag_colors", json!(colors.join(" ")));
    }
    set("class_names", classes.iter().map(|class| class.name.as_str()).collect());
}

/// One word for a class: CF separates them by blanks and allows letters, digits and `_-.+@`.
fn flag_meaning(class: &Class) -> String {
    let mut word = String::new();
    for character in class.name.chars() {
        if character.is_alphanumeric() || "-.+@".contains(character) {
            word.push(character);
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    let word = word.trim_end_matches('_');
    if word.is_empty() { format!("class_{}", class.value) } else { word.to_owned() }
}

/// What GDAL reads before 3.9.
fn gdal_crs(crs: &Crs) -> Value {
    match crs.epsg {
        Some(code) => json!({"url": format!("http://www.opengis.net/def/crs/EPSG/0/{code}")}),
        None => json!({"wkt": crs.wkt2}),
    }
}

/// The conventions `proj` and `spatial` of <https://github.com/zarr-conventions>.
fn geo_conventions(raster: &RasterMeta, level: &Level) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut conventions = vec![convention("spatial:")];
    if let Some(crs) = &raster.crs {
        conventions.insert(0, convention("proj:"));
        let (key, value) = proj_code(crs);
        attributes.insert(key.into(), value);
    }
    attributes.insert("spatial:dimensions".into(), json!(["y", "x"]));
    attributes.insert("spatial:shape".into(), json!([level.height, level.width]));
    attributes.insert("spatial:transform".into(), json!(level.rasterio_transform()));
    attributes.insert("spatial:registration".into(), json!("pixel"));
    attributes.insert("zarr_conventions".into(), json!(conventions));
    attributes
}

fn proj_code(crs: &Crs) -> (&'static str, Value) {
    match crs.epsg {
        Some(code) => ("proj:code", json!(format!("EPSG:{code}"))),
        None => ("proj:wkt2", json!(crs.wkt2)),
    }
}

/// The declaration of a convention as its version 1 words it. rioxarray finds `proj:` and `spatial:` by these names
/// (later drafts drop the colon), others by the UUID.
fn convention(name: &str) -> Value {
    let (uuid, repository, description) = match name {
        "multiscales" => {
            ("d35379db-88df-4056-af3a-620245f8e347", "multiscales", "Multiscale layout of zarr datasets")
        }
        "proj:" => (
            "f17cb550-5864-4468-aeb7-f3180cfb622f",
            "geo-proj",
            "Coordinate reference system information for geospatial data",
        ),
        _ => ("689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "spatial", "Spatial coordinate information"),
    };
    json!({
        "schema_url":
            format!("https://raw.githubusercontent.com/zarr-conventions/{repository}/refs/tags/v1/schema.json"),
        "spec_url": format!("https://github.com/zarr-conventions/{repository}/blob/v1/README.md"),
        "uuid": uuid,
        "name": name,
        "description": description,
    })
}

/// Attributes of the v3 root group: the pyramid.
pub(crate) fn of_root(raster: &RasterMeta, levels: &[Level]) -> Map<String, Value> {
    let mut attributes = Map::new();
    attributes.insert("Conventions".into(), json!("CF-1.11"));
    if levels.len() < 2 {
        return attributes;
    }
    let resampling = if raster.categorical { "mode" } else { "average" };
    let asset = |level: &Level| match level.factor {
        1 => String::from("band"),
        factor => format!("ovr_{factor}x"),
    };
    let mut layout = vec![json!({"asset": "band", "transform": {"scale": [1.0, 1.0]}})];
    layout.extend(levels.windows(2).map(|pair| {
        let scale = f64::from(pair[1].factor) / f64::from(pair[0].factor);
        json!({
            "asset": asset(&pair[1]),
            "derived_from": asset(&pair[0]),
            "transform": {"scale": [scale, scale], "translation": [0.0, 0.0]},
            "resampling_method": resampling,
        })
    }));
    attributes.insert("zarr_conventions".into(), json!([convention("multiscales")]));
    attributes.insert("multiscales".into(), json!({"layout": layout, "resampling_method": resampling}));
    attributes
}

/// Attributes of a coordinate array.
pub(crate) fn of_axis(raster: &RasterMeta, axis: Axis, format: Format) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |key: &str, value: &str| drop(attributes.insert(key.into(), json!(value)));
    let (letter, projected, geographic, degrees) = match axis {
        Axis::X => ("X", "projection_x_coordinate", "longitude", "degrees_east"),
        Axis::Y => ("Y", "projection_y_coordinate", "latitude", "degrees_north"),
    };
    set("axis", letter);
    match &raster.crs {
        Some(crs) if crs.projected => {
            set("standard_name", projected);
            set("long_name", &format!("{} coordinate of projection", axis.name()));
            // The last UNIT of a projected WKT 1 is that of the axes.
            let unit = crs.wkt1.rfind("UNIT[\"").map(|start| crs.wkt1[start + 6..].to_ascii_lowercase());
            if unit.is_some_and(|unit| unit.starts_with("met")) {
                set("units", "m");
            }
        }
        Some(_) => {
            set("standard_name", geographic);
            set("long_name", geographic);
            set("units", degrees);
        }
        None => (),
    }
    if format == Format::V2 {
        attributes.insert("_ARRAY_DIMENSIONS".into(), json!([axis.name()]));
    }
    attributes
}

/// Attributes of `spatial_ref`, the CF grid mapping as rioxarray and GDAL from 3.9 on read it.
pub(crate) fn of_spatial_ref(raster: &RasterMeta, level: &Level) -> Map<String, Value> {
    let mut attributes = Map::new();
    if let Some(crs) = &raster.crs {
        attributes.insert("crs_wkt".into(), json!(crs.wkt2));
        attributes.insert("spatial_ref".into(), json!(crs.wkt2));
        if !crs.projected {
            attributes.insert("grid_mapping_name".into(), json!("latitude_longitude"));
        }
    }
    let numbers = level.geotransform.map(|number| number.to_string());
    attributes.insert("GeoTransform".into(), json!(numbers.join(" ")));
    attributes
}

/// Base64 (RFC 4648) of the eight bytes of a little-endian double: how xarray writes `_FillValue` of floats in v3.
fn base64_of_double(value: f64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 64 bits, filled up to 66, are 11 letters of 6 bits, filled up to 12.
    let bits = u128::from(u64::from_be_bytes(value.to_le_bytes())) << 2;
    let mut text: String =
        (0..11).rev().map(|position| char::from(LETTERS[(bits >> (6 * position) & 63) as usize])).collect();
    text.push('=');
    text
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
