//! The coordinate array `time` of a raster whose bands are dates: CF, so that xarray makes datetimes of it.

use serde_json::{Map, Value, json};

use super::attributes::Format;
use crate::store::entry::RasterMeta;

/// Name of the dimension and of its coordinate array.
pub(crate) const NAME: &str = "time";

/// Units and values of the coordinate: whole days where all times are midnights, seconds where they are not,
/// milliseconds where even seconds are cut.
pub(crate) fn encoded(raster: &RasterMeta) -> (&'static str, Vec<i64>) {
    const DAY: i64 = 86_400_000;
    let moments: Vec<i64> = raster.times.iter().map(|time| time.as_millisecond()).collect();
    let (units, size) = if moments.iter().all(|moment| moment % DAY == 0) {
        ("days since 1970-01-01", DAY)
    } else if moments.iter().all(|moment| moment % 1000 == 0) {
        ("seconds since 1970-01-01", 1000)
    } else {
        ("milliseconds since 1970-01-01", 1)
    };
    (units, moments.into_iter().map(|moment| moment / size).collect())
}

/// Attributes of the coordinate array.
pub(crate) fn attributes(raster: &RasterMeta, format: Format) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |key: &str, value: Value| drop(attributes.insert(key.into(), value));
    set("axis", json!("T"));
    set("standard_name", json!("time"));
    set("long_name", json!("time"));
    set("units", json!(encoded(raster).0));
    set("calendar", json!("proleptic_gregorian"));
    if format == Format::V2 {
        set("_ARRAY_DIMENSIONS", json!([NAME]));
    }
    attributes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::entry::{BandMeta, PixelType};
    use crate::store::fixture;

    fn raster(times: &[&str]) -> RasterMeta {
        RasterMeta {
            bands: vec![BandMeta::default(); times.len()],
            times: times.iter().map(|time| time.parse().unwrap()).collect(),
            ..fixture::raster("r", PixelType::UInt8, 10, 10)
        }
    }

    #[test]
    fn the_coarsest_unit_that_loses_nothing() {
        let units = |times: &[&str]| encoded(&raster(times));
        let days = units(&["1969-12-31T00:00:00Z", "2021-01-01T00:00:00Z"]);
        assert_eq!(days, ("days since 1970-01-01", vec![-1, 18_628]));
        let seconds = units(&["1970-01-02T00:00:00Z", "1970-01-02T00:00:01Z"]);
        assert_eq!(seconds, ("seconds since 1970-01-01", vec![86_400, 86_401]));
        assert_eq!(units(&["1970-01-01T00:00:00.5Z"]), ("milliseconds since 1970-01-01", vec![500]));
    }

    #[test]
    fn cf_attributes() {
        let raster = raster(&["2021-01-01T00:00:00Z", "2021-01-11T00:00:00Z"]);
        let v2 = attributes(&raster, Format::V2);
        assert_eq!((&v2["standard_name"], &v2["_ARRAY_DIMENSIONS"]), (&json!("time"), &json!(["time"])));
        assert!(!attributes(&raster, Format::V3).contains_key("_ARRAY_DIMENSIONS"));
    }
}
