//! Coordinate variables: which direction they run in, and the even grid they describe. Pure.

use super::attributes::Attributes;

/// Furthest a coordinate may be off the even grid, in pixels.
const OFF_GRID: f64 = 0.01;
/// Furthest it may be off where single precision cannot tell it better.
const OFF_GRID_IN_SINGLE: f64 = 0.25;

/// What a coordinate variable counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    X(Frame),
    Y(Frame),
    Time,
}

/// Of which kind horizontal coordinates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Longitude and latitude.
    Geographic,
    /// Anything else: what it is says the grid mapping.
    Other,
}

/// Tells by standard name, units, `axis` and at last by its name what a coordinate variable counts.
pub(super) fn role(name: &str, attributes: &Attributes) -> Option<Role> {
    let by_standard_name = match attributes.text("standard_name") {
        "longitude" => Some(Role::X(Frame::Geographic)),
        "latitude" => Some(Role::Y(Frame::Geographic)),
        "projection_x_coordinate" | "projection_x_angular_coordinate" | "grid_longitude" => {
            Some(Role::X(Frame::Other))
        }
        "projection_y_coordinate" | "projection_y_angular_coordinate" | "grid_latitude" => {
            Some(Role::Y(Frame::Other))
        }
        "time" => Some(Role::Time),
        _ => None,
    };
    let units = attributes.text("units").to_ascii_lowercase();
    let by_units = || match units.as_str() {
        "degrees_east" | "degree_east" | "degrees_e" | "degree_e" | "degreese" | "degreee" => {
            Some(Role::X(Frame::Geographic))
        }
        "degrees_north" | "degree_north" | "degrees_n" | "degree_n" | "degreesn" | "degreen" => {
            Some(Role::Y(Frame::Geographic))
        }
        units if units.contains(" since ") => Some(Role::Time),
        _ => None,
    };
    let by_axis = || match attributes.text("axis") {
        "X" | "x" => Some(Role::X(Frame::Other)),
        "Y" | "y" => Some(Role::Y(Frame::Other)),
        "T" | "t" => Some(Role::Time),
        _ => None,
    };
    let leaf = name.rsplit('/').next().unwrap_or(name);
    let by_name = || match leaf.to_ascii_lowercase().as_str() {
        "lon" | "long" | "longitude" => Some(Role::X(Frame::Geographic)),
        "lat" | "latitude" => Some(Role::Y(Frame::Geographic)),
        "x" | "easting" => Some(Role::X(Frame::Other)),
        "y" | "northing" => Some(Role::Y(Frame::Other)),
        "time" => Some(Role::Time),
        _ => None,
    };
    by_standard_name.or_else(by_units).or_else(by_axis).or_else(by_name)
}

/// An even grid along one axis, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    /// Centre of the first pixel.
    pub(super) first: f64,
    /// From one centre to the next; negative when the coordinates descend. `None` for a single pixel.
    pub(super) step: Option<f64>,
}

/// Finds the even grid of coordinates, which are the centres of pixels; `single` = they were stored as Float32.
///
/// # Errors
/// What is uneven about them.
pub(super) fn grid(centres: &[f64], single: bool) -> Result<Grid, String> {
    let (Some(&first), Some(&last)) = (centres.first(), centres.last()) else {
        return Err("has no values".to_owned());
    };
    if let Some(at) = centres.iter().position(|centre| !centre.is_finite()) {
        return Err(format!("has no number at position {at}"));
    }
    if centres.len() == 1 {
        return Ok(Grid { first, step: None });
    }
    let step = (last - first) / (centres.len() - 1) as f64;
    if step == 0.0 || !step.is_finite() {
        return Err("does not advance".to_owned());
    }
    let largest = first.abs().max(last.abs());
    let rounding =
        if single { f64::from((largest as f32).next_up()) - f64::from(largest as f32) } else { 0.0 };
    let allowed = (OFF_GRID * step.abs() + rounding).min(OFF_GRID_IN_SINGLE * step.abs());
    let off = |(number, centre): (usize, &f64)| (centre - (first + number as f64 * step)).abs();
    match centres.iter().enumerate().position(|place| off(place) > allowed) {
        None => Ok(Grid { first, step: Some(step) }),
        Some(at) => Err(format!(
            "is not evenly spaced: its value {} at position {at} should be {}",
            centres[at],
            first + at as f64 * step
        )),
    }
}

/// The transform of the upper left corner for grids along x and y, north up and east right.
///
/// # Errors
/// When a single pixel does not tell its size.
pub(super) fn geotransform(x: Grid, y: Grid, width: u64, height: u64) -> Result<[f64; 6], String> {
    let (dx, dy) = match (x.step, y.step) {
        (Some(dx), Some(dy)) => (dx, dy),
        // A single row or column: pixels are taken to be square.
        (Some(dx), None) => (dx, dx),
        (None, Some(dy)) => (dy, dy),
        (None, None) => return Err("has one pixel only, whose size nothing tells".to_owned()),
    };
    let west = if dx > 0.0 { x.first } else { x.first + dx * (width - 1) as f64 };
    let north = if dy < 0.0 || y.step.is_none() { y.first } else { y.first + dy * (height - 1) as f64 };
    let (dx, dy) = (dx.abs(), dy.abs());
    Ok([west - dx / 2.0, dx, 0.0, north + dy / 2.0, 0.0, -dy])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::attributes::{of, text};
    use super::*;

    #[test]
    fn coordinates_are_recognised() {
        let role_of = |name: &str, pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|&(name, value)| (name, text(value))).collect();
            role(name, &of(&pairs))
        };
        assert_eq!(role_of("a", &[("standard_name", "latitude")]), Some(Role::Y(Frame::Geographic)));
        assert_eq!(role_of("a", &[("units", "degrees_east")]), Some(Role::X(Frame::Geographic)));
        assert_eq!(role_of("a", &[("units", "days since 1970-01-01")]), Some(Role::Time));
        assert_eq!(role_of("a", &[("axis", "Y")]), Some(Role::Y(Frame::Other)));
        assert_eq!(role_of("LON", &[]), Some(Role::X(Frame::Geographic)));
        // A rotated pole has degrees and an axis, but is no latitude.
        let rotated = [("standard_name", "grid_latitude"), ("units", "degrees"), ("axis", "Y")];
        assert_eq!(role_of("rlat", &rotated), Some(Role::Y(Frame::Other)));
        assert_eq!(role_of("depth", &[("units", "m")]), None);
    }

    #[test]
    fn ascending_latitudes_become_north_up() {
        let x = grid(&[10.0, 10.5, 11.0], false).unwrap();
        let y = grid(&[40.0, 40.5], false).unwrap();
        assert_eq!(geotransform(x, y, 3, 2).unwrap(), [9.75, 0.5, 0.0, 40.75, 0.0, -0.5]);
        let y = grid(&[40.5, 40.0], false).unwrap();
        assert_eq!(geotransform(x, y, 3, 2).unwrap(), [9.75, 0.5, 0.0, 40.75, 0.0, -0.5]);
        let x = grid(&[11.0, 10.5, 10.0], false).unwrap();
        assert_eq!(geotransform(x, y, 3, 2).unwrap(), [9.75, 0.5, 0.0, 40.75, 0.0, -0.5]);
    }

    #[test]
    fn one_row_has_square_pixels() {
        let (x, y) = (grid(&[10.0, 10.5], false).unwrap(), grid(&[40.0], false).unwrap());
        assert_eq!(geotransform(x, y, 2, 1).unwrap(), [9.75, 0.5, 0.0, 40.25, 0.0, -0.5]);
        assert!(geotransform(y, y, 1, 1).unwrap_err().contains("one pixel"));
    }

    #[test]
    fn uneven_coordinates_are_refused() {
        assert!(grid(&[1.0, 2.0, 4.0], false).unwrap_err().contains("evenly"));
        assert!(grid(&[1.0, f64::NAN], false).is_err());
        assert!(grid(&[1.0, 1.0], false).is_err());
        assert!(grid(&[], false).is_err());
        // A Gaussian grid, nearly even.
        assert!(grid(&[89.27, 88.34, 87.39, 86.45], false).is_err());
    }

    proptest! {
        #[test]
        fn rounding_is_no_unevenness(pixels in 2usize..3000, per_degree in 1u32..336, west in -180i32..100) {
            let step = 1.0 / f64::from(per_degree);
            let exact: Vec<f64> = (0..pixels).map(|n| f64::from(west) + (n as f64 + 0.5) * step).collect();
            let found = grid(&exact, false).unwrap();
            prop_assert!((found.step.unwrap() - step).abs() * (pixels as f64) < 1e-9);
            let single: Vec<f64> = exact.iter().map(|&centre| f64::from(centre as f32)).collect();
            let found = grid(&single, true).unwrap();
            prop_assert!((found.step.unwrap() - step).abs() * (pixels as f64) < 0.02 * step);
        }
    }
}
