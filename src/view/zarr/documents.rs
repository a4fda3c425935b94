//! The JSON documents of the hybrid Zarr tree, each one built once.
//!
//! Readers of v2 see `band`, `x` and `y` only: a scalar array or a second raster in their view makes GDAL ≤ 3.10
//! open subdatasets instead of a raster. Everything else has no `.zarray`, and so exists in v3 only.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::attributes::{self, Format};
use super::level::{Axis, Level};
use super::time;
use crate::store::entry::{Codec, RasterMeta, TILE};

/// zstd level of the coordinate arrays.
pub(crate) const COORDINATE_LEVEL: i32 = 1;

/// All documents of a raster's Zarr tree by their path below the root.
pub(crate) fn all(raster: &RasterMeta, levels: &[Level]) -> HashMap<String, Arc<[u8]>> {
    let mut documents = HashMap::new();
    let mut put = |path: String, value: &Value| {
        documents.insert(path, Arc::from(serde_json::to_vec_pretty(value).unwrap_or_default()));
    };

    let v2 = nodes_v2(raster, levels);
    for (path, value) in &v2 {
        put(path.clone(), value);
    }
    put(".zmetadata".into(), &json!({"zarr_consolidated_format": 1, "metadata": v2}));

    let v3 = nodes_v3(raster, levels);
    for (path, value) in &v3 {
        put(format!("{path}/zarr.json"), value);
    }
    let mut root = group(attributes::of_root(raster, levels));
    root.insert(
        "consolidated_metadata".into(),
        json!({"kind": "inline", "must_understand": false, "metadata": v3}),
    );
    put("zarr.json".into(), &Value::Object(root));
    documents
}

/// The documents of the v2 view by path, as `.zmetadata` holds them.
fn nodes_v2(raster: &RasterMeta, levels: &[Level]) -> Map<String, Value> {
    let mut nodes = Map::new();
    nodes.insert(".zgroup".into(), json!({"zarr_format": 2}));
    nodes.insert(".zattrs".into(), json!({"Conventions": "CF-1.11"}));
    let Some(full) = levels.first() else { return nodes };

    let (shape, chunks) = shape_and_chunks(raster, full);
    let pixels = json!({
        "zarr_format": 2,
        "shape": shape,
        "chunks": chunks,
        "dtype": raster.pixel.numpy(),
        "compressor": match raster.codec {
            Codec::Zstd { level } => json!({"id": "zstd", "level": level, "checksum": true}),
            Codec::Zlib { level } => json!({"id": "zlib", "level": level}),
        },
        // Readers of v2 take any fill value for nodata, so a raster without nodata has none (and no missing chunk).
        "fill_value": raster.representable_nodata().map_or(Value::Null, |nodata| pixel_value(raster, nodata.0)),
        "order": "C",
        "filters": null,
        "dimension_separator": "/",
    });
    nodes.insert("band/.zarray".into(), pixels);
    nodes.insert("band/.zattrs".into(), Value::Object(attributes::of_pixels(raster, full, Format::V2)));
    for axis in axes(full) {
        let length = full.length(axis);
        let array = json!({
            "zarr_format": 2,
            "shape": [length],
            "chunks": [length],
            "dtype": "<f8",
            "compressor": {"id": "zstd", "level": COORDINATE_LEVEL, "checksum": true},
            "fill_value": null,
            "order": "C",
            "filters": null,
        });
        let name = axis.name();
        nodes.insert(format!("{name}/.zarray"), array);
        nodes.insert(format!("{name}/.zattrs"), Value::Object(attributes::of_axis(raster, axis, Format::V2)));
    }
    if raster.has_time_axis() {
        let length = raster.times.len();
        let array = json!({
            "zarr_format": 2,
            "shape": [length],
            "chunks": [length],
            "dtype": "<i8",
            "compressor": {"id": "zstd", "level": COORDINATE_LEVEL, "checksum": true},
            "fill_value": null,
            "order": "C",
            "filters": null,
        });
        nodes.insert(format!("{}/.zarray", time::NAME), array);
        nodes.insert(format!("{}/.zattrs", time::NAME), Value::Object(time::attributes(raster, Format::V2)));
    }
    nodes
}

/// The nodes of the v3 view by path, as the root's `consolidated_metadata` holds them.
fn nodes_v3(raster: &RasterMeta, levels: &[Level]) -> Map<String, Value> {
    let mut nodes = Map::new();
    for level in levels {
        let prefix = level.prefix();
        if let Some(directory) = prefix.strip_suffix('/') {
            let mut attributes = Map::new();
            attributes.insert("Conventions".into(), json!("CF-1.11"));
            nodes.insert(directory.into(), Value::Object(group(attributes)));
        }
        let (shape, chunks) = shape_and_chunks(raster, level);
        let codec = match raster.codec {
            Codec::Zstd { level } => {
                json!({"name": "zstd", "configuration": {"level": level, "checksum": true}})
            }
            Codec::Zlib { level } => json!({"name": "numcodecs.zlib", "configuration": {"level": level}}),
        };
        let bytes = if raster.pixel.size() == 1 { json!({"name": "bytes"}) } else { little_endian() };
        let pixels = array(
            json!(shape),
            json!(chunks),
            raster.pixel.zarr(),
            pixel_value(raster, raster.fill_value().0),
            json!([bytes, codec]),
            json!(attributes::dimensions(raster)),
            attributes::of_pixels(raster, level, Format::V3),
        );
        nodes.insert(format!("{prefix}band"), pixels);
        for axis in axes(level) {
            let length = level.length(axis);
            let zstd =
                json!({"name": "zstd", "configuration": {"level": COORDINATE_LEVEL, "checksum": true}});
            let coordinates = array(
                json!([length]),
                json!([length]),
                "float64",
                json!("NaN"),
                json!([little_endian(), zstd]),
                json!([axis.name()]),
                attributes::of_axis(raster, axis, Format::V3),
            );
            nodes.insert(format!("{prefix}{}", axis.name()), coordinates);
        }
        if raster.has_time_axis() {
            let length = raster.times.len();
            let zstd =
                json!({"name": "zstd", "configuration": {"level": COORDINATE_LEVEL, "checksum": true}});
            let times = array(
                json!([length]),
                json!([length]),
                "int64",
                json!(0),
                json!([little_endian(), zstd]),
                json!([time::NAME]),
                time::attributes(raster, Format::V3),
            );
            nodes.insert(format!("{prefix}{}", time::NAME), times);
        }
        let spatial_ref = array(
            json!([]),
            json!([]),
            "int64",
            json!(0),
            json!([little_endian()]),
            json!([]),
            attributes::of_spatial_ref(raster, level),
        );
        nodes.insert(format!("{prefix}spatial_ref"), spatial_ref);
    }
    nodes
}

/// The axes for which the level has coordinate arrays.
pub(crate) fn axes(level: &Level) -> impl Iterator<Item = Axis> + use<> {
    let aligned = level.is_axis_aligned();
    [Axis::X, Axis::Y].into_iter().filter(move |_| aligned)
}

fn array(
    shape: Value,
    chunk_shape: Value,
    data_type: &str,
    fill_value: Value,
    codecs: Value,
    dimension_names: Value,
    attributes: Map<String, Value>,
) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/"}},
        "fill_value": fill_value,
        "codecs": codecs,
        "dimension_names": dimension_names,
        "attributes": attributes,
    })
}

fn group(attributes: Map<String, Value>) -> Map<String, Value> {
    let mut group = Map::new();
    group.insert("zarr_format".into(), json!(3));
    group.insert("node_type".into(), json!("group"));
    group.insert("attributes".into(), Value::Object(attributes));
    group
}

fn little_endian() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn shape_and_chunks(raster: &RasterMeta, level: &Level) -> (Vec<u64>, Vec<u64>) {
    let (mut shape, mut chunks) =
        (vec![u64::from(level.height), u64::from(level.width)], vec![u64::from(TILE); 2]);
    if raster.bands.len() > 1 {
        shape.insert(0, raster.bands.len() as u64);
        chunks.insert(0, 1);
    }
    (shape, chunks)
}

/// A value of the raster's pixel type as both formats write it.
pub(super) fn pixel_value(raster: &RasterMeta, value: f64) -> Value {
    if !raster.pixel.is_float() {
        json!(value as i64)
    } else if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::entry::{BandMeta, Number, PixelType};
    use crate::store::fixture;

    fn documents(raster: &RasterMeta) -> HashMap<String, Value> {
        all(raster, &Level::all(raster))
            .into_iter()
            .map(|(path, bytes)| (path, serde_json::from_slice(&bytes).unwrap()))
            .collect()
    }

    #[test]
    fn v2_shows_one_raster_and_its_coordinates_only() {
        let documents = documents(&fixture::classes("r", 1100, 700));
        let consolidated: Vec<_> = documents[".zmetadata"]["metadata"].as_object().unwrap().keys().collect();
        assert_eq!(
            consolidated,
            [
                ".zgroup",
                ".zattrs",
                "band/.zarray",
                "band/.zattrs",
                "x/.zarray",
                "x/.zattrs",
                "y/.zarray",
                "y/.zattrs"
            ]
        );
        let arrays = documents.keys().filter(|path| path.ends_with(".zarray")).count();
        assert_eq!(arrays, 3);
        for (path, value) in documents[".zmetadata"]["metadata"].as_object().unwrap() {
            assert_eq!(&documents[path], value);
        }
    }

    #[test]
    fn v3_consolidates_everything() {
        let documents = documents(&fixture::classes("r", 1100, 700));
        let nodes = documents["zarr.json"]["consolidated_metadata"]["metadata"].as_object().unwrap().clone();
        assert_eq!(nodes.len(), 4 + 5 + 5);
        for (path, value) in &nodes {
            assert_eq!(&documents[&format!("{path}/zarr.json")], value);
        }
        assert_eq!(nodes["ovr_4x/band"]["shape"], json!([175, 275]));
        assert_eq!(nodes["ovr_4x"]["node_type"], "group");
    }

    #[test]
    fn fill_values_are_what_the_formats_allow() {
        for (pixel, nodata, v2, v3) in [
            (PixelType::UInt8, Some(255.0), json!(255), json!(255)),
            (PixelType::Int8, Some(-128.0), json!(-128), json!(-128)),
            (PixelType::UInt8, None, json!(null), json!(0)),
            (PixelType::UInt8, Some(-1.0), json!(null), json!(0)),
            (PixelType::Float32, Some(f64::NAN), json!("NaN"), json!("NaN")),
            (PixelType::Float32, Some(-9999.0), json!(-9999.0), json!(-9999.0)),
            (PixelType::Float64, Some(f64::NEG_INFINITY), json!("-Infinity"), json!("-Infinity")),
            (PixelType::Float32, None, json!(null), json!(0.0)),
        ] {
            let nodata = nodata.map(Number);
            let documents = documents(&RasterMeta { nodata, ..fixture::raster("r", pixel, 600, 600) });
            assert_eq!(documents["band/.zarray"]["fill_value"], v2, "{pixel:?} {nodata:?}");
            assert_eq!(documents["band/zarr.json"]["fill_value"], v3, "{pixel:?} {nodata:?}");
            assert_eq!(documents["ovr_2x/band/zarr.json"]["fill_value"], v3, "{pixel:?} {nodata:?}");
        }
    }

    #[test]
    fn several_bands_are_planes() {
        let raster = RasterMeta {
            bands: vec![BandMeta::default(); 3],
            codec: Codec::Zlib { level: 6 },
            ..fixture::raster("r", PixelType::Int16, 700, 600)
        };
        let documents = documents(&raster);
        let v2 = &documents["band/.zarray"];
        assert_eq!((&v2["shape"], &v2["chunks"]), (&json!([3, 600, 700]), &json!([1, 512, 512])));
        assert_eq!(v2["compressor"], json!({"id": "zlib", "level": 6}));
        let v3 = &documents["band/zarr.json"];
        assert_eq!(v3["dimension_names"], json!(["bands", "y", "x"]));
        assert_eq!(v3["codecs"][1]["name"], "numcodecs.zlib");
    }

    #[test]
    fn a_rotated_raster_has_no_coordinate_arrays() {
        let mut raster = fixture::classes("r", 600, 600);
        raster.geotransform[2] = 0.5;
        let documents = documents(&raster);
        assert!(!documents.contains_key("x/.zarray") && !documents.contains_key("x/zarr.json"));
        assert_eq!(documents["band/.zattrs"]["spatial:transform"][1], 0.5);
    }
}
