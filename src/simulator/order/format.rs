//! `OutputFormat` and what can be turned into what.

use serde_json::{Map, Value, json};

pub(crate) const FORMATS: [&str; 8] =
    ["Shapefile", "GDB", "GPKG", "Geojson", "Geotiff", "Netcdf", "GML", "WFS"];

/// Whether the service offers the conversion (recorded table).
pub(crate) fn converts(from: &str, to: &str) -> bool {
    const VECTOR: [&str; 4] = ["Shapefile", "GDB", "GPKG", "Geojson"];
    match from {
        "Geotiff" => to == "Geotiff",
        "Netcdf" => matches!(to, "Netcdf" | "Geotiff"),
        "GML" => to == "GML",
        "WFS" => matches!(to, "WFS" | "GML") || VECTOR.contains(&to),
        _ => VECTOR.contains(&from) && (to == "GML" || VECTOR.contains(&to)),
    }
}

/// `@format_conversion_table`.
pub(crate) fn table() -> Value {
    let row = |from: &str| -> Map<String, Value> {
        FORMATS.iter().map(|to| ((*to).to_owned(), json!(converts(from, to)))).collect()
    };
    FORMATS.iter().map(|from| ((*from).to_owned(), Value::Object(row(from)))).collect::<Map<_, _>>().into()
}
