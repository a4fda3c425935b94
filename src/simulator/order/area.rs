//! `BoundingBox`: four numbers, and not too large.

use serde_json::Value;

use super::{Refusal, is_empty};

/// Square metres; the registry's default.
const LIMIT: f64 = 1.6e12;

/// The box to store, `None` when nothing was asked for.
pub(crate) fn check(item: &Value) -> Result<Option<Value>, Refusal> {
    let Some(given) = item.get("BoundingBox").filter(|given| !is_empty(given)) else { return Ok(None) };
    if item.get("NUTS").is_some() {
        return Err(Refusal::say("Error, NUTS is also defined"));
    }
    let numbers: Option<Vec<f64>> =
        given.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
    let invalid = || Refusal::say("Error, BoundingBox is not valid");
    let corners: [f64; 4] = numbers.and_then(|list| list.try_into().ok()).ok_or_else(invalid)?;
    if size(corners) > LIMIT {
        return Err(Refusal::Message(format!(
            "Error, the requested BoundingBox is too big. The limit is {LIMIT:.0}."
        )));
    }
    Ok(Some(given.clone()))
}

/// Area in square metres on the sphere after cutting the corners to whole degrees, as the server does.
///
/// The server then projects to a wrong CRS (EPSG:3587); this is near enough to decide alike on the recorded boxes.
fn size(corners: [f64; 4]) -> f64 {
    const RADIUS: f64 = 6_371_000.0;
    let [west, north, east, south] = corners.map(|degrees| degrees.trunc().to_radians());
    RADIUS * RADIUS * (east - west).abs() * (north.sin() - south.sin()).abs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_recorded_boxes() {
        for (corners, accepted) in [
            (json!([2.35, 46.85, 4.63, 45.88]), true),
            (json!([0, 40, 12, 50]), true),
            (json!([5.1, 45.1, 5.1, 45.1]), true),
            (json!([-10, 70, 40, 35]), false),
            (json!([-180, -90, 180, 90]), false),
            (json!([1, 2, 3]), false),
            (json!(["1", "2", "3", "4"]), false),
            (json!({ "a": 1 }), false),
        ] {
            assert_eq!(check(&json!({ "BoundingBox": corners })).is_ok(), accepted, "{corners}");
        }
        assert_eq!(check(&json!({ "BoundingBox": [] })).unwrap(), None);
        assert!(check(&json!({ "BoundingBox": [1, 2, 3, 4], "NUTS": "" })).is_err());
    }
}
