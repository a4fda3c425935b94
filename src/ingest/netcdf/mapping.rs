//! The CRS of a variable: its grid mapping, in the words of CF, of GDAL and of others.

use gdal::spatial_ref::SpatialRef;

use super::attributes::Attributes;
use super::axis::Frame;
use super::layout::{Raster, Variable};
use crate::ingest::crs;
use crate::store::entry::Crs;

/// Attributes that hold a whole definition.
const DEFINITIONS: [&str; 4] = ["crs_wkt", "spatial_ref", "epsg_code", "proj4"];

/// The path of a raster's grid mapping. Where the variable names none, but one variable of the file defines a CRS of
/// the coordinates' kind, it is that: writers forget the attribute.
pub(super) fn path_of(variables: &[Variable], raster: &Raster) -> Option<String> {
    // `crs`, or in the expanded form `crs: x y other: lat lon`.
    let variable = &variables[raster.variable];
    let named = variable.attributes.text("grid_mapping");
    let named = named.split([':', ' ']).next().unwrap_or_default();
    if !named.is_empty() {
        return Some(resolved(variables, &variable.name, named));
    }
    let mut defining = variables.iter().filter(|variable| definition(&variable.attributes).is_some());
    let only = defining.next().filter(|_| defining.next().is_none())?;
    let fits = crs(variables, &only.name)?.projected == (raster.frame != Frame::Geographic);
    fits.then(|| only.name.clone())
}

/// The path of a variable that one of a group names: in that group, else in those around it. What is nowhere is taken to be
/// in the group itself.
fn resolved(variables: &[Variable], of: &str, named: &str) -> String {
    if let Some(absolute) = named.strip_prefix('/') {
        return absolute.to_owned();
    }
    let groups = of.rmatch_indices('/').map(|(end, _)| &of[..=end]).chain([""]);
    let paths: Vec<String> = groups.map(|group| format!("{group}{named}")).collect();
    let is_there = |path: &&String| variables.iter().any(|variable| variable.name == **path);
    paths.iter().find(is_there).unwrap_or(&paths[0]).clone()
}

/// The CRS that a grid mapping defines as a whole, for where GDAL does not understand it.
pub(super) fn crs(variables: &[Variable], mapping: &str) -> Option<Crs> {
    let variable = variables.iter().find(|variable| variable.name == mapping)?;
    let srs = SpatialRef::from_definition(&definition(&variable.attributes)?).ok()?;
    describe(&srs)
}

fn definition(attributes: &Attributes) -> Option<String> {
    let text = DEFINITIONS.iter().map(|name| attributes.text(name)).find(|text| !text.is_empty());
    let code = || match attributes.numbers("epsg_code").as_slice() {
        [code] => Some(format!("EPSG:{code}")),
        _ => None,
    };
    match text {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(format!("EPSG:{digits}")),
        Some(text) => Some(text.to_owned()),
        None => code(),
    }
}

/// By what coordinates in these units are multiplied to be in the unit of the CRS: kilometres, and the angles under which
/// a geostationary satellite sees. `None` for angles in a projected CRS without a satellite, where they are no place.
pub(super) fn units_of(crs: Option<&Crs>, units: &str) -> Option<f64> {
    let srs = crs.filter(|crs| crs.projected).and_then(|crs| SpatialRef::from_wkt(&crs.wkt1).ok());
    let Some(srs) = srs else { return Some(1.0) };
    let height = || srs.get_proj_param("satellite_height").ok().flatten();
    let metres = match units {
        "km" | "kilometre" | "kilometres" | "kilometer" | "kilometers" => 1000.0,
        "rad" | "radian" | "radians" => height()?,
        "microradian" | "microradians" => height()? * 1e-6,
        _ => return Some(1.0),
    };
    Some(metres / srs.linear_units())
}

/// A CRS; a nameless one on the ellipsoid of WGS 84 is EPSG:4326, which is how most netCDF files put it.
pub(super) fn describe(srs: &SpatialRef) -> Option<Crs> {
    let datum = srs.get_attr_value("DATUM", 0).ok().flatten().unwrap_or_default().to_ascii_lowercase();
    let is_nameless = ["unknown", "unnamed", "not specified", "not_specified", "wgs"]
        .iter()
        .any(|start| datum.starts_with(start));
    let is_wgs84 = srs.is_geographic()
        && is_nameless
        && srs.semi_major().is_ok_and(|axis| (axis - 6_378_137.0).abs() < 1e-3)
        && srs.semi_minor().is_ok_and(|axis| (axis - 6_356_752.314_245).abs() < 1e-5);
    let known = if is_wgs84 { SpatialRef::from_epsg(4326).ok() } else { None };
    crs::describe(known.as_ref().unwrap_or(srs)).ok().filter(|crs| !crs.wkt1.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::attributes::{of, text};
    use super::super::handle::Element;
    use super::super::layout::rasters;
    use super::*;

    fn variable(name: &str, dimensions: &[&str], attribute: (&str, &str)) -> Variable {
        Variable {
            name: name.to_owned(),
            dimensions: dimensions.iter().map(|&name| (name.to_owned(), 5)).collect(),
            element: Some(Element::UInt8),
            attributes: of(&[(attribute.0, text(attribute.1))]),
        }
    }

    #[test]
    fn each_group_has_its_own_grid_mapping_or_that_around_it() {
        let value = |name, mapping| variable(name, &["y", "x"], ("grid_mapping", mapping));
        let variables = [
            variable("y", &["y"], ("axis", "Y")),
            variable("x", &["x"], ("axis", "X")),
            variable("crs", &[], ("epsg_code", "EPSG:3035")),
            variable("one/crs", &[], ("epsg_code", "EPSG:32632")),
            variable("two/crs", &[], ("epsg_code", "EPSG:32633")),
            value("one/v", "crs: x y"),
            value("two/v", "crs"),
            value("two/deeper/v", "crs"),
            value("three/v", "crs"),
            value("one/absolute", "/crs"),
        ];
        let found = rasters(&variables).unwrap();
        let codes: Vec<_> = found
            .iter()
            .map(|raster| crs(&variables, &path_of(&variables, raster).unwrap()).unwrap().epsg.unwrap())
            .collect();
        assert_eq!(codes, [32632, 32633, 32633, 3035, 3035]);
        // Two groups without one are two questions.
        let lost = [&variables[..2], &[value("one/v", "nowhere"), value("two/v", "nowhere")]].concat();
        let paths: Vec<_> = rasters(&lost).unwrap().iter().map(|raster| path_of(&lost, raster)).collect();
        assert_eq!(paths, [Some("one/nowhere".to_owned()), Some("two/nowhere".to_owned())]);
    }
}
