//! Where things are, in degrees.

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use serde_json::{Value, json};

use crate::clms::BoundingBox;
use crate::store::entry::{Crs, RasterMeta};

/// Points per side of a raster's outline: a straight side in Lambert is bent in degrees.
const POINTS_PER_SIDE: usize = 16;

/// A GeoJSON geometry and its box `[west, south, east, north]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Footprint {
    pub(super) geometry: Value,
    pub(super) bbox: [f64; 4],
}

impl Footprint {
    /// Of a dataset's boxes, `None` without any. A box over the date line is cut in two.
    pub(super) fn of_boxes(boxes: &[BoundingBox]) -> Option<Self> {
        let parts: Vec<[f64; 4]> = boxes.iter().flat_map(parts).collect();
        let rings: Vec<Value> = parts.iter().map(|part| json!([ring(*part)])).collect();
        let geometry = match rings.as_slice() {
            [] => return None,
            [one] => json!({"type": "Polygon", "coordinates": one}),
            several => json!({"type": "MultiPolygon", "coordinates": several}),
        };
        let bbox = match boxes {
            // RFC 7946: west > east says that it crosses the date line.
            [one] => [one.west, one.south, one.east, one.north],
            _ => union(boxes)?,
        };
        Some(Self { geometry, bbox })
    }

    /// Of a raster, `None` when it has no CRS or cannot be expressed in degrees (then the dataset's box must do).
    pub(super) fn of_raster(raster: &RasterMeta) -> Option<Self> {
        let size = (f64::from(raster.width), f64::from(raster.height));
        Self::of_grid(raster.crs.as_ref()?, &raster.geotransform, size)
    }

    /// Of a box (west, south, east, north) in a CRS; `None` as for rasters.
    pub(super) fn of_rectangle(crs: &Crs, [west, south, east, north]: [f64; 4]) -> Option<Self> {
        Self::of_grid(crs, &[west, 1.0, 0.0, north, 0.0, -1.0], (east - west, north - south))
    }

    fn of_grid(crs: &Crs, transform: &[f64; 6], size: (f64, f64)) -> Option<Self> {
        let (mut x, mut y) = outline(transform, size);
        to_degrees(crs)?.transform_coords(&mut x, &mut y, &mut []).ok()?;
        let mut ring: Vec<[f64; 2]> = x
            .iter()
            .zip(&y)
            .map(|(x, y)| [round(x.clamp(-180.0, 180.0)), round(y.clamp(-90.0, 90.0))])
            .collect();
        // Not a number anywhere, or an outline that jumps over the date line: a polygon would be wrong.
        let sound = x.iter().chain(&y).all(|degrees| degrees.is_finite())
            && ring.windows(2).all(|pair| (pair[1][0] - pair[0][0]).abs() < 180.0);
        if !sound {
            return None;
        }
        let first = *ring.first()?;
        ring.push(first);
        // RFC 7946: the outer ring runs against the clock.
        if signed_area(&ring) < 0.0 {
            ring.reverse();
        }
        let fold = |index: usize, pick: fn(f64, f64) -> f64, start: f64| {
            ring.iter().fold(start, |value, point| pick(value, point[index]))
        };
        let bbox = [
            fold(0, f64::min, f64::INFINITY),
            fold(1, f64::min, f64::INFINITY),
            fold(0, f64::max, f64::NEG_INFINITY),
            fold(1, f64::max, f64::NEG_INFINITY),
        ];
        Some(Self { geometry: json!({"type": "Polygon", "coordinates": [ring]}), bbox })
    }
}

/// The box around all boxes; the whole circle as soon as one of them crosses the date line.
pub(super) fn union(boxes: &[BoundingBox]) -> Option<[f64; 4]> {
    if boxes.is_empty() {
        return None;
    }
    let fold =
        |value: fn(&BoundingBox) -> f64, pick: fn(f64, f64) -> f64| boxes.iter().map(value).reduce(pick);
    let (south, north) = (fold(|one| one.south, f64::min)?, fold(|one| one.north, f64::max)?);
    if boxes.iter().any(|one| one.west > one.east) {
        return Some([-180.0, south, 180.0, north]);
    }
    Some([fold(|one| one.west, f64::min)?, south, fold(|one| one.east, f64::max)?, north])
}

fn parts(one: &BoundingBox) -> Vec<[f64; 4]> {
    if one.west <= one.east {
        vec![[one.west, one.south, one.east, one.north]]
    } else {
        vec![[one.west, one.south, 180.0, one.north], [-180.0, one.south, one.east, one.north]]
    }
}

fn ring([west, south, east, north]: [f64; 4]) -> Value {
    json!([[west, south], [east, south], [east, north], [west, north], [west, south]])
}

/// The corner of the grid at a column and row.
pub(super) fn corner(transform: &[f64; 6], column: f64, row: f64) -> (f64, f64) {
    let [x0, dx, rx, y0, ry, dy] = *transform;
    (x0 + column * dx + row * rx, y0 + column * ry + row * dy)
}

/// Points along the four sides, in the grid's CRS.
fn outline(transform: &[f64; 6], (width, height): (f64, f64)) -> (Vec<f64>, Vec<f64>) {
    let corners = [(0.0, 0.0), (0.0, height), (width, height), (width, 0.0)];
    let mut points = Vec::with_capacity(4 * POINTS_PER_SIDE);
    for side in 0..4 {
        let (from, to) = (corners[side], corners[(side + 1) % 4]);
        for step in 0..POINTS_PER_SIDE {
            let share = step as f64 / POINTS_PER_SIDE as f64;
            let (column, row) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            points.push(corner(transform, column, row));
        }
    }
    points.into_iter().unzip()
}

fn to_degrees(crs: &Crs) -> Option<CoordTransform> {
    let definitions = [crs.wkt2.as_str(), crs.wkt1.as_str()];
    let mut source = definitions
        .into_iter()
        .filter(|wkt| !wkt.is_empty())
        .find_map(|wkt| SpatialRef::from_wkt(wkt).ok())
        .or_else(|| SpatialRef::from_epsg(crs.epsg?).ok())?;
    let mut degrees = SpatialRef::from_epsg(4326).ok()?;
    // x before y on both sides, whatever the authority says.
    source.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    degrees.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    CoordTransform::new(&source, &degrees).ok()
}

/// A tenth of a metre is enough for an outline, and makes the bytes stable.
fn round(degrees: f64) -> f64 {
    let rounded = (degrees * 1e6).round() / 1e6;
    // No "-0.0".
    if rounded == 0.0 { 0.0 } else { rounded }
}

fn signed_area(ring: &[[f64; 2]]) -> f64 {
    ring.windows(2).map(|pair| pair[0][0] * pair[1][1] - pair[1][0] * pair[0][1]).sum::<f64>() / 2.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bounds(west: f64, south: f64, east: f64, north: f64) -> BoundingBox {
        BoundingBox { west, south, east, north }
    }

    #[test]
    fn boxes_become_polygons() {
        assert_eq!(Footprint::of_boxes(&[]), None);
        let one = Footprint::of_boxes(&[bounds(-31.5, 27.0, 44.0, 71.0)]).unwrap();
        assert_eq!(one.bbox, [-31.5, 27.0, 44.0, 71.0]);
        assert_eq!(one.geometry["type"], "Polygon");
        let two = Footprint::of_boxes(&[bounds(0.0, 0.0, 1.0, 1.0), bounds(5.0, 5.0, 6.0, 6.0)]).unwrap();
        assert_eq!(two.bbox, [0.0, 0.0, 6.0, 6.0]);
        assert_eq!(two.geometry["coordinates"].as_array().unwrap().len(), 2);
        let over = Footprint::of_boxes(&[bounds(170.0, -20.0, -170.0, 0.0)]).unwrap();
        assert_eq!(over.bbox, [170.0, -20.0, -170.0, 0.0]);
        assert_eq!(over.geometry["type"], "MultiPolygon");
        assert_eq!(union(&[bounds(170.0, -20.0, -170.0, 0.0)]), Some([-180.0, -20.0, 180.0, 0.0]));
    }
}
