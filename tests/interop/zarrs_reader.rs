//! The crate `zarrs` on the `.zarr` of the mount, in both versions of the format.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zarrs::array::{Array, ArrayBytes};
use zarrs::config::MetadataRetrieveVersion;
use zarrs::filesystem::FilesystemStore;

use crate::findings::Line;

/// Looks at every raster of every kind.
pub(crate) fn read(manifest: &Path, mounted: &Path) -> Vec<Line> {
    let kinds: Vec<Value> = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let mut lines = Vec::new();
    for kind in &kinds {
        let name = kind["kind"].as_str().unwrap();
        for truth in kind["rasters"].as_array().unwrap() {
            let zarr = mounted.join(name).join(format!("{}.zarr", truth["name"].as_str().unwrap()));
            for version in [MetadataRetrieveVersion::V3, MetadataRetrieveVersion::V2] {
                lines.extend(match examine(name, truth, &zarr, version) {
                    Ok(lines) => lines,
                    Err(error) => vec![Line::new(name, "zarrs", "open", Err(error.to_string()))],
                });
            }
        }
    }
    lines
}

fn examine(
    kind: &str,
    truth: &Value,
    zarr: &Path,
    version: MetadataRetrieveVersion,
) -> Result<Vec<Line>, Box<dyn std::error::Error>> {
    let store = Arc::new(FilesystemStore::new(zarr)?);
    let array = Array::open_opt(Arc::clone(&store), "/band", &version)?;
    let attributes = array.attributes();
    let mut lines = Vec::new();
    let mut check = |name: &str, outcome| lines.push(Line::new(kind, "zarrs", name, outcome));

    let dtype = truth["dtype"].as_str().unwrap();
    // Said in the words of both versions: `uint16 / <u2`.
    let found = array.data_type().to_string();
    let same = found.split(" / ").next() == Some(dtype);
    check("type", ensure(same, || format!("{dtype} became {found}")));

    let wanted = std::fs::read(truth["pixels"].as_str().unwrap())?;
    let pixels: ArrayBytes = array.retrieve_array_subset(&array.subset_all())?;
    let pixels = pixels.into_fixed()?;
    let first = wanted.iter().zip(pixels.iter()).position(|(one, other)| one != other);
    let same = first.is_none() && wanted.len() == pixels.len();
    check("pixels", ensure(same, || format!("{} bytes, the first other one at {first:?}", pixels.len())));

    let nodata = match &truth["nodata"] {
        Value::String(_) => f64::NAN,
        // Where the source has none, missing chunks are zeros.
        number => number.as_f64().unwrap_or(0.0),
    };
    let fill = array.fill_value().as_ne_bytes();
    check("nodata", ensure(fill == bytes_of(dtype, nodata), || format!("{nodata} became {fill:?}")));

    let code = truth["epsg"].as_u64().map(|code| format!("EPSG:{code}"));
    let found = attributes.get("proj:code").and_then(Value::as_str);
    let text = attributes.get("proj:wkt2").and_then(Value::as_str).unwrap_or_default();
    let same = found == code.as_deref() && (code.is_some() || text.starts_with("PROJCRS["));
    check("crs", ensure(same, || format!("{code:?} became {found:?} {text}")));

    let numbers =
        |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>();
    let transform = numbers(&truth["transform"]);
    let found = attributes.get("spatial:transform").map(numbers);
    let same = found.as_ref() == Some(&transform);
    check("transform", ensure(same, || format!("{transform:?} became {found:?}")));

    let shape = numbers(&truth["shape"]);
    for (axis, length, step, corner) in
        [("/x", shape[2], transform[0], transform[2]), ("/y", shape[1], transform[4], transform[5])]
    {
        let axis = Array::open_opt(Arc::clone(&store), axis, &version)?;
        let centres: Vec<f64> = axis.retrieve_array_subset(&axis.subset_all())?;
        let close = |(index, centre): (usize, &f64)| {
            (centre - corner - step * (index as f64 + 0.5)).abs() < 1e-6 * step.abs()
        };
        let same = centres.len() as f64 == length && centres.iter().enumerate().all(close);
        check("centres", ensure(same, || format!("{} other centres", centres.len())));
    }

    let classes = truth["classes"].as_object().unwrap();
    let list = |key: &str| attributes.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let (values, names) = (list("flag_values"), list("class_names"));
    let named = |value: &str| {
        let value: i64 = value.parse().unwrap();
        let at = values.iter().position(|flag| flag.as_i64() == Some(value));
        at.and_then(|at| names.get(at))
    };
    let wrong = classes.iter().find(|(value, name)| named(value) != Some(*name));
    check(
        "classes",
        ensure(wrong.is_none() && values.len() == names.len(), || format!("{wrong:?} is another")),
    );
    Ok(lines)
}

fn ensure(condition: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(reason()) }
}

fn bytes_of(dtype: &str, value: f64) -> Vec<u8> {
    match dtype {
        "int8" => (value as i8).to_ne_bytes().to_vec(),
        "uint8" => vec![value as u8],
        "int16" => (value as i16).to_ne_bytes().to_vec(),
        "uint16" => (value as u16).to_ne_bytes().to_vec(),
        "int32" => (value as i32).to_ne_bytes().to_vec(),
        "uint32" => (value as u32).to_ne_bytes().to_vec(),
        "float32" => (value as f32).to_ne_bytes().to_vec(),
        "float64" => value.to_ne_bytes().to_vec(),
        other => panic!("no kind has {other}"),
    }
}
