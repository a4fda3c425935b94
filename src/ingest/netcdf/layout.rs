//! Which variables of a file are rasters, and what their dimensions are. Pure.

use super::attributes::Attributes;
use super::axis::{Frame, Role, role};
use super::handle::Element;

/// A variable as the file describes it.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    /// Its path: `v`, `group/v`.
    pub(super) name: String,
    /// Paths and lengths, the slowest first.
    pub(super) dimensions: Vec<(String, u64)>,
    /// `None` for texts and structures.
    pub(super) element: Option<Element>,
    pub(super) attributes: Attributes,
}

/// A raster: a variable on rows and columns. Numbers of variables are places in the list that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    /// The variable.
    pub(super) variable: usize,
    /// Its dimension of columns.
    pub(super) x: Axis,
    /// Its dimension of rows.
    pub(super) y: Axis,
    /// The dimension of the bands: that of the dates, else the longest one more that has several values.
    pub(super) bands: Option<Bands>,
    /// Where it lies in further dimensions: each of their places is a raster of its own.
    pub(super) place: Vec<Place>,
    /// The variable that says when a raster without [`Bands::Times`] is of.
    pub(super) moment: Option<usize>,
    /// Whether its coordinates are longitude and latitude.
    pub(super) frame: Frame,
}

/// A dimension and its coordinate variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) dimension: usize,
    pub(super) coordinate: usize,
}

/// What makes the bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bands {
    /// Steps of time.
    Times(Axis),
    /// Depths, levels, anything else: the dimension, and its coordinate variable if it has one.
    Other { dimension: usize, coordinate: Option<usize> },
}

/// One value of a dimension that is neither rows, columns nor bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dimension: usize,
    /// The value's number.
    pub(super) number: u64,
    /// The dimension's coordinate variable if it has one.
    pub(super) coordinate: Option<usize>,
}

/// Most rasters of one variable.
const MOST_PLACES: u64 = 1000;

impl Bands {
    /// The dimension.
    pub(super) fn dimension(&self) -> usize {
        match *self {
            Self::Times(Axis { dimension, .. }) | Self::Other { dimension, .. } => dimension,
        }
    }

    /// Its coordinate variable.
    pub(super) fn coordinate(&self) -> Option<usize> {
        match *self {
            Self::Times(Axis { coordinate, .. }) => Some(coordinate),
            Self::Other { coordinate, .. } => coordinate,
        }
    }
}

/// Finds the rasters among the variables of a file, in their order.
///
/// # Errors
/// Why there are none, or why one of them cannot be served, with the way out.
pub(super) fn rasters(variables: &[Variable]) -> Result<Vec<Raster>, String> {
    let mut rasters = Vec::new();
    let mut empty = None;
    for (number, variable) in variables.iter().enumerate() {
        let of_variable = of_variable(variables, number, variable)?;
        if of_variable.is_empty() {
            continue;
        }
        match variable.dimensions.iter().find(|(_, length)| *length == 0) {
            // Beside others it is no loss.
            Some((dimension, _)) => {
                empty = Some(format!(
                    "variable '{}' has no values: its dimension '{dimension}' is empty",
                    variable.name
                ))
            }
            None => rasters.extend(of_variable),
        }
    }
    if rasters.is_empty() { Err(empty.unwrap_or_else(|| why_none(variables))) } else { Ok(rasters) }
}

/// The rasters of one variable; none if it is not on rows and columns.
fn of_variable(variables: &[Variable], number: usize, variable: &Variable) -> Result<Vec<Raster>, String> {
    if variable.element.is_none() || variable.dimensions.len() < 2 || is_coordinate(variable) {
        return Ok(Vec::new());
    }
    let (mut x, mut y) = (None, None);
    let mut others = Vec::new();
    let mut moment = None;
    for (dimension, (name, length)) in variable.dimensions.iter().enumerate() {
        match coordinate(variables, name) {
            Some((coordinate, Role::X(frame))) if x.is_none() => {
                x = Some((Axis { dimension, coordinate }, frame))
            }
            Some((coordinate, Role::Y(frame))) if y.is_none() => {
                y = Some((Axis { dimension, coordinate }, frame))
            }
            Some((coordinate, Role::Time)) if *length == 1 => moment = Some(coordinate),
            Some((coordinate, Role::Time)) => others.push(Bands::Times(Axis { dimension, coordinate })),
            _ if *length == 1 => {}
            _ => others.push(Bands::Other { dimension, coordinate: same_name(variables, name) }),
        }
    }
    let (Some((x, x_frame)), Some((y, y_frame))) = (x, y) else { return Ok(Vec::new()) };
    // The first of the longest where none is a time.
    let length = |bands: &Bands| variable.dimensions[bands.dimension()].1;
    let rank = |bands: &Bands| (matches!(bands, Bands::Times(_)), length(bands));
    let chosen = (0..others.len()).rev().max_by_key(|&other| rank(&others[other]));
    let bands = chosen.map(|chosen| others.remove(chosen));
    let places = places(variable, &others)?;
    let moment =
        if matches!(bands, Some(Bands::Times(_))) { None } else { moment.or_else(|| only_time(variables)) };
    let frame = if x_frame == y_frame { x_frame } else { Frame::Other };
    let raster = |place| Raster { variable: number, x, y, bands, place, moment, frame };
    Ok(places.into_iter().map(raster).collect())
}

/// Every combination of the values of dimensions, the last one running fastest; one that says nothing for no dimensions.
fn places(variable: &Variable, dimensions: &[Bands]) -> Result<Vec<Vec<Place>>, String> {
    let length = |bands: &Bands| variable.dimensions[bands.dimension()].1;
    let count = dimensions.iter().map(length).try_fold(1u64, |count, length| count.checked_mul(length));
    if count.is_none_or(|count| count > MOST_PLACES) {
        let names: Vec<&str> =
            dimensions.iter().map(|bands| variable.dimensions[bands.dimension()].0.as_str()).collect();
        return Err(format!(
            "variable '{}' would be more than {MOST_PLACES} rasters, one for each value of {}; \
             split it, for example with 'ncks -d'",
            variable.name,
            names.join(" and ")
        ));
    }
    let mut places = vec![Vec::new()];
    for bands in dimensions {
        let step = |number| Place { dimension: bands.dimension(), number, coordinate: bands.coordinate() };
        let longer = |place: &Vec<Place>| {
            let place = place.clone();
            (0..length(bands)).map(move |number| [place.as_slice(), &[step(number)]].concat())
        };
        places = places.iter().flat_map(longer).collect();
    }
    Ok(places)
}

/// The coordinate variable of a dimension: the one of its name, else one on this dimension alone.
fn coordinate(variables: &[Variable], dimension: &str) -> Option<(usize, Role)> {
    let on_it = |(number, variable): (usize, &Variable)| {
        let is_alone = variable.dimensions.len() == 1 && variable.dimensions[0].0 == dimension;
        let role =
            (is_alone && variable.element.is_some()).then(|| role(&variable.name, &variable.attributes))?;
        role.map(|role| (number, role))
    };
    let named =
        variables.iter().enumerate().filter(|(_, variable)| variable.name == dimension).find_map(on_it);
    named.or_else(|| variables.iter().enumerate().find_map(on_it))
}

fn same_name(variables: &[Variable], dimension: &str) -> Option<usize> {
    variables.iter().position(|variable| {
        variable.name == dimension && variable.dimensions.len() == 1 && variable.element.is_some()
    })
}

/// The only variable with one value that is a time.
fn only_time(variables: &[Variable]) -> Option<usize> {
    let mut times = variables.iter().enumerate().filter(|(_, variable)| {
        variable.element.is_some()
            && variable.dimensions.iter().map(|(_, length)| length).product::<u64>() == 1
            && role(&variable.name, &variable.attributes) == Some(Role::Time)
    });
    let (first, _) = times.next()?;
    times.next().is_none().then_some(first)
}

/// True for longitudes and latitudes of every pixel beside coordinates by axis.
fn is_coordinate(variable: &Variable) -> bool {
    matches!(
        role(&variable.name, &variable.attributes),
        Some(Role::X(Frame::Geographic) | Role::Y(Frame::Geographic))
    )
}

fn why_none(variables: &[Variable]) -> String {
    let flat = |variable: &&Variable| {
        variable.element.is_some()
            && variable.dimensions.iter().filter(|(_, length)| *length > 1).count() >= 2
    };
    let Some(first) = variables.iter().filter(flat).find(|variable| !is_coordinate(variable)) else {
        return "it has no variable with rows and columns".to_owned();
    };
    let mut curvilinear = variables.iter().filter(flat).filter(|variable| is_coordinate(variable));
    if let (Some(one), Some(other)) = (curvilinear.next(), curvilinear.next()) {
        return format!(
            "its grid is curvilinear: '{}' and '{}' have a value for every pixel of '{}'; regrid it to even \
             coordinates, for example with 'gdalwarp -geoloc' or 'cdo remapnn'",
            one.name, other.name, first.name
        );
    }
    let names: Vec<&str> = first.dimensions.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "it has no coordinates: nothing says where the dimensions {} of variable '{}' lie; \
         add variables with longitude and latitude (CF conventions, chapter 5)",
        names.join(", "),
        first.name
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::attributes::{of, text};
    use super::*;

    fn variable(name: &str, dimensions: &[(&str, u64)], attributes: &[(&str, &str)]) -> Variable {
        let attributes: Vec<_> = attributes.iter().map(|&(name, value)| (name, text(value))).collect();
        Variable {
            name: name.to_owned(),
            dimensions: dimensions.iter().map(|&(name, length)| (name.to_owned(), length)).collect(),
            element: Some(Element::UInt8),
            attributes: of(&attributes),
        }
    }

    fn coordinates() -> Vec<Variable> {
        vec![
            variable("lat", &[("lat", 5)], &[("units", "degrees_north")]),
            variable("lon", &[("lon", 7)], &[("units", "degrees_east")]),
            variable("time", &[("time", 3)], &[("units", "days since 1970-01-01")]),
            variable("crs", &[], &[]),
            variable("lat_bnds", &[("lat", 5), ("nv", 2)], &[]),
        ]
    }

    #[test]
    fn variables_on_rows_and_columns_are_rasters() {
        let mut variables = coordinates();
        variables.push(variable("ssm", &[("time", 3), ("lat", 5), ("lon", 7)], &[]));
        variables.push(variable("swapped", &[("lon", 7), ("lat", 5)], &[]));
        let found = rasters(&variables).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].bands, Some(Bands::Times(Axis { dimension: 0, coordinate: 2 })));
        assert_eq!((found[0].y.dimension, found[0].x.dimension), (1, 2));
        assert_eq!((found[1].y.dimension, found[1].x.dimension), (1, 0));
        assert_eq!((found[0].frame, found[1].bands), (Frame::Geographic, None));
    }

    #[test]
    fn one_step_of_time_is_no_dimension() {
        let mut variables = coordinates();
        variables[2].dimensions[0].1 = 1;
        variables.push(variable("ssm", &[("time", 1), ("lat", 5), ("lon", 7)], &[]));
        variables.push(variable("flat", &[("lat", 5), ("lon", 7)], &[]));
        variables.push(variable("deep", &[("time", 1), ("depth", 4), ("lat", 5), ("lon", 7)], &[]));
        let found = rasters(&variables).unwrap();
        assert_eq!((found[0].bands, found[0].moment), (None, Some(2)));
        assert_eq!((found[1].bands, found[1].moment), (None, Some(2)));
        assert_eq!(found[2].bands, Some(Bands::Other { dimension: 1, coordinate: None }));
    }

    #[test]
    fn groups_have_their_own_coordinates_or_those_around_them() {
        let mut variables = coordinates();
        variables.extend([
            variable("g/lat", &[("g/lat", 2)], &[]),
            variable("g/lon", &[("g/lon", 3)], &[]),
            variable("g/own", &[("g/lat", 2), ("g/lon", 3)], &[]),
            variable("g/shared", &[("lat", 5), ("lon", 7)], &[]),
        ]);
        let found = rasters(&variables).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].y.coordinate, found[0].x.coordinate), (5, 6));
        assert_eq!((found[1].y.coordinate, found[1].x.coordinate), (0, 1));
    }

    #[test]
    fn coordinates_may_have_other_names_than_their_dimensions() {
        let variables = [
            variable("latitude", &[("rows", 5)], &[]),
            variable("longitude", &[("columns", 7)], &[]),
            variable("v", &[("rows", 5), ("columns", 7)], &[]),
        ];
        assert_eq!(rasters(&variables).unwrap()[0].x, Axis { dimension: 1, coordinate: 1 });
    }

    #[test]
    fn dates_are_bands_and_further_dimensions_rasters_of_their_own() {
        let mut variables = coordinates();
        variables.push(variable("v", &[("depth", 4), ("time", 3), ("lat", 5), ("lon", 7)], &[]));
        let found = rasters(&variables).unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!(found[3].bands, Some(Bands::Times(Axis { dimension: 1, coordinate: 2 })));
        assert_eq!(found[3].place, [Place { dimension: 0, number: 3, coordinate: None }]);
    }

    #[test]
    fn without_dates_the_longest_dimension_is_the_bands() {
        let mut variables = coordinates();
        variables.push(variable("v", &[("a", 2), ("b", 9), ("c", 3), ("lat", 5), ("lon", 7)], &[]));
        let found = rasters(&variables).unwrap();
        assert_eq!(found.len(), 6);
        assert_eq!(found[0].bands, Some(Bands::Other { dimension: 1, coordinate: None }));
        let numbers = |raster: &Raster| raster.place.iter().map(|place| place.number).collect::<Vec<_>>();
        assert_eq!(found.iter().map(numbers).collect::<Vec<_>>()[1..4], [[0, 1], [0, 2], [1, 0]]);
    }

    #[test]
    fn too_many_rasters_of_one_variable() {
        let mut variables = coordinates();
        variables.push(variable("v", &[("a", 40), ("b", 9000), ("c", 30), ("lat", 5), ("lon", 7)], &[]));
        let reason = rasters(&variables).unwrap_err();
        assert!(reason.contains("'v'") && reason.contains("a and c"), "{reason}");
    }

    #[test]
    fn an_empty_dimension() {
        let mut variables = coordinates();
        variables.push(variable("v", &[("time", 0), ("lat", 5), ("lon", 7)], &[]));
        assert!(rasters(&variables).unwrap_err().contains("'time' is empty"));
        variables.push(variable("flat", &[("lat", 5), ("lon", 7)], &[]));
        assert_eq!(rasters(&variables).unwrap().len(), 1);
    }

    #[test]
    fn no_coordinates_or_curved_ones() {
        let none = rasters(&[variable("v", &[("a", 5), ("b", 7)], &[])]).unwrap_err();
        assert!(none.contains("no coordinates") && none.contains("a, b") && none.contains("'v'"), "{none}");
        let curved = [
            variable("lat", &[("y", 5), ("x", 7)], &[("units", "degrees_north")]),
            variable("lon", &[("y", 5), ("x", 7)], &[("units", "degrees_east")]),
            variable("v", &[("y", 5), ("x", 7)], &[("coordinates", "lat lon")]),
        ];
        let reason = rasters(&curved).unwrap_err();
        assert!(reason.contains("curvilinear") && reason.contains("gdalwarp"), "{reason}");
        assert!(rasters(&[variable("t", &[("t", 9)], &[])]).unwrap_err().contains("no variable"));
    }
}
