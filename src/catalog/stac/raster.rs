//! What a STAC asset says about a raster: grid, CRS, bands, classes.

use serde_json::{Map, Value, json};

use crate::store::entry::{BandMeta, Class, Number, RasterMeta, Statistics};

use super::footprint::corner;
use super::{CLASSIFICATION, PROJECTION, RASTER, put};

/// The extensions that [`raster_asset`] uses for these rasters. A schema refuses documents that declare its extension
/// and use none of its fields.
pub(super) fn uses(rasters: &[RasterMeta]) -> Vec<&'static str> {
    let mut extensions = if rasters.is_empty() { Vec::new() } else { vec![PROJECTION] };
    let scaled =
        |raster: &RasterMeta| raster.bands.iter().any(|band| band.scale.is_some() || band.offset.is_some());
    if rasters.iter().any(|raster| resolution(raster).is_some() || scaled(raster)) {
        extensions.push(RASTER);
    }
    if rasters.iter().any(|raster| !raster.classes.is_empty()) {
        extensions.push(CLASSIFICATION);
    }
    extensions
}

/// The fields that describe a raster, without address, type and roles.
pub(super) fn raster_asset(raster: &RasterMeta) -> Map<String, Value> {
    let [x0, dx, rx, y0, ry, dy] = raster.geotransform;
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    let crs = raster.crs.as_ref();
    let code = crs.and_then(|crs| crs.epsg).map(|code| format!("EPSG:{code}"));
    set("proj:code", json!(code));
    if let (None, Some(crs)) = (&code, crs) {
        set("proj:wkt2", json!(crs.wkt2));
    }
    set("proj:shape", json!([raster.height, raster.width]));
    set("proj:transform", json!([dx, rx, x0, ry, dy, y0]));
    set("proj:bbox", json!(projected_box(raster)));
    set("data_type", json!(raster.pixel.zarr()));
    put(&mut fields, "nodata", raster.nodata.map(nodata));
    let resolution = resolution(raster);
    let bands: Vec<Value> = raster
        .bands
        .iter()
        .enumerate()
        .map(|(number, band)| {
            let mut fields = band_fields(band, number);
            put(&mut fields, "raster:spatial_resolution", resolution);
            if !raster.classes.is_empty() {
                fields.insert("classification:classes".to_owned(), classes(&raster.classes));
            }
            Value::Object(fields)
        })
        .collect();
    fields.insert("bands".to_owned(), Value::Array(bands));
    fields
}

/// The side of a pixel. The extension counts in metres, so degrees have none.
fn resolution(raster: &RasterMeta) -> Option<f64> {
    let [_, dx, _, _, ry, _] = raster.geotransform;
    raster.crs.as_ref().filter(|crs| crs.projected).map(|_| f64::hypot(dx, ry))
}

fn projected_box(raster: &RasterMeta) -> [f64; 4] {
    let (width, height) = (f64::from(raster.width), f64::from(raster.height));
    let corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)]
        .map(|(column, row)| corner(&raster.geotransform, column, row));
    corners.iter().fold(
        [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY],
        |[west, south, east, north], (x, y)| [west.min(*x), south.min(*y), east.max(*x), north.max(*y)],
    )
}

/// STAC writes what JSON has no number for as a text.
fn nodata(Number(value): Number) -> Value {
    if value.is_nan() {
        json!("nan")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    } else if value.fract() == 0.0 && value.abs() < 9.0e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn band_fields(band: &BandMeta, number: usize) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(format!("{}", number + 1)));
    put(&mut fields, "description", Some(band.description.as_str()).filter(|text| !text.is_empty()));
    put(&mut fields, "unit", Some(band.unit.as_str()).filter(|text| !text.is_empty()));
    put(&mut fields, "raster:scale", band.scale);
    put(&mut fields, "raster:offset", band.offset);
    put(&mut fields, "statistics", band.statistics.as_ref().map(statistics));
    fields
}

fn statistics(statistics: &Statistics) -> Value {
    json!({
        "minimum": statistics.minimum,
        "maximum": statistics.maximum,
        "mean": statistics.mean,
        "stddev": statistics.stddev,
        "valid_percent": statistics.valid_percent,
    })
}

fn classes(classes: &[Class]) -> Value {
    let list = classes.iter().map(|class| {
        let mut fields = Map::new();
        fields.insert("value".to_owned(), json!(class.value));
        fields.insert("name".to_owned(), json!(class_name(class)));
        let title = if class.name.is_empty() { format!("class {}", class.value) } else { class.name.clone() };
        fields.insert("title".to_owned(), json!(title));
        fields.insert("description".to_owned(), json!(title));
        if let Some([red, green, blue, _]) = class.color {
            fields.insert("color_hint".to_owned(), json!(format!("{red:02X}{green:02X}{blue:02X}")));
        }
        Value::Object(fields)
    });
    list.collect()
}

/// The extension allows letters, digits, `-` and `_` in names; the full name is in the title.
fn class_name(class: &Class) -> String {
    let mut name = String::new();
    for letter in class.name.chars() {
        if letter.is_ascii_alphanumeric() || letter == '-' {
            name.push(letter);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    if name.is_empty() { format!("class_{}", class.value) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::PixelType;
    use crate::store::fixture;

    #[test]
    fn class_names_fit_the_extension() {
        let name = |name: &str| class_name(&Class { value: -1, name: name.to_owned(), color: None });
        assert_eq!(name("Non-irrigated arable land"), "Non-irrigated_arable_land");
        assert_eq!(name("Moors & heathland (322)"), "Moors_heathland_322");
        assert_eq!(name("–"), "class_-1");
        assert_eq!(name(""), "class_-1");
    }

    #[test]
    fn only_extensions_in_use_are_declared() {
        let metres = fixture::raster("r", PixelType::UInt16, 10, 10);
        assert_eq!(uses(std::slice::from_ref(&metres)), [PROJECTION, RASTER]);
        let mut degrees = fixture::geographic(metres);
        assert_eq!(uses(std::slice::from_ref(&degrees)), [PROJECTION]);
        degrees.bands[0].scale = Some(0.5);
        assert_eq!(uses(std::slice::from_ref(&degrees)), [PROJECTION, RASTER]);
        assert_eq!(uses(&[fixture::classes("r", 10, 10)]), [PROJECTION, RASTER, CLASSIFICATION]);
    }

    #[test]
    fn nodata_values_survive_json() {
        assert_eq!(nodata(Number(255.0)), json!(255));
        assert_eq!(nodata(Number(-128.0)), json!(-128));
        assert_eq!(nodata(Number(f64::NAN)), json!("nan"));
        assert_eq!(nodata(Number(f64::NEG_INFINITY)), json!("-inf"));
        assert_eq!(nodata(Number(-3.402_823_466_385_288_6e38)), json!(-3.402_823_466_385_288_6e38));
    }
}
