//! NetCDF: one raster per variable on rows and columns, with what CF says of it.
//!
//! ```text
//! handle.rs      the file through GDAL      classic.rs  whether it is all there      mapping.rs  its CRS
//! attributes.rs  what CF attributes mean      axis.rs  coordinates → an even grid      time.rs  numbers → moments
//! layout.rs      which variables are rasters
//! reader.rs      pixels as stored, north up
//! ```

mod attributes;
mod axis;
pub(super) mod classic;
mod handle;
mod layout;
mod mapping;
mod reader;
pub(super) mod time;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gdal::spatial_ref::SpatialRef;
use jiff::Timestamp;

use super::dated::label;
use super::error::{DiskContext, IngestError};
use super::pixel::representable;
use super::source::{Origin, SourceBand, SourceFacts, has_int8, side};
use crate::store::entry::{Crs, PixelType};
use axis::{Frame, Grid};
use handle::{Array, Element, File};
use layout::{Axis, Bands, Raster, Variable};
use reader::{Direction, Form};
pub(super) use reader::{SliceReader, Slices};

/// Most values of a coordinate variable: the equator at 5 m.
const MOST_COORDINATES: u64 = 8 << 20;

/// One variable, or one of the rasters that it is, as a source.
#[derive(Debug, Clone)]
pub(super) struct VariableFacts {
    /// Name of the variable; where it is several rasters, with the dimensions and values of this one behind it.
    pub(super) variable: String,
    /// The facts of the raster that it is.
    pub(super) facts: SourceFacts,
}

/// Reads the facts of all rasters of a file, in its order.
///
/// # Errors
/// [`IngestError::Raster`] when the file cannot be read, [`IngestError::Unsupported`] when it cannot be served,
/// with the way out.
pub(super) fn inspect(path: &Path, name: &str) -> Result<Vec<VariableFacts>, IngestError> {
    let file = File::open(path, name)?;
    is_complete(path, name)?;
    let mut variables = Vec::new();
    let mut arrays = Vec::new();
    for variable in file.array_names() {
        let array = file.array(&variable)?;
        let attributes = array.attributes(&attributes::NAMES)?;
        let dimensions = array.dimensions();
        variables.push(Variable { name: variable, dimensions, element: array.element(), attributes });
        arrays.push(array);
    }
    let rasters = layout::rasters(&variables)
        .map_err(|reason| IngestError::Unsupported { name: name.to_owned(), reason })?;
    let mut inspection =
        Inspection { path, name, variables, arrays, coordinates: BTreeMap::new(), crs: BTreeMap::new() };
    rasters.iter().map(|raster| inspection.facts(raster)).collect()
}

/// Checks that a file is as long as its header says.
fn is_complete(path: &Path, name: &str) -> Result<(), IngestError> {
    let file = fs::File::open(path).disk(|| format!("open '{name}'"))?;
    let length = file.metadata().disk(|| format!("look at '{name}'"))?.len();
    match classic::end_of_data(file) {
        Some(end) if end > length => {
            let reason = format!("it is cut off: its header promises {end} bytes, it has {length}");
            Err(IngestError::raster(name, reason))
        }
        _ => Ok(()),
    }
}

/// A file that is looked at.
struct Inspection<'a> {
    path: &'a Path,
    name: &'a str,
    variables: Vec<Variable>,
    arrays: Vec<Array>,
    /// Coordinates by variable.
    coordinates: BTreeMap<usize, Vec<f64>>,
    /// CRS by the path of the grid mapping.
    crs: BTreeMap<String, Option<Crs>>,
}

impl Inspection<'_> {
    fn facts(&mut self, raster: &Raster) -> Result<VariableFacts, IngestError> {
        let variable = self.variables[raster.variable].clone();
        let unsupported = |reason: String| IngestError::Unsupported { name: self.name.to_owned(), reason };
        let (pixel, form) = self.pixel(raster).map_err(unsupported)?;
        let width = variable.dimensions[raster.x.dimension].1;
        let height = variable.dimensions[raster.y.dimension].1;
        let crs = self.crs(raster);
        let (x, y) = (self.grid(raster.x, crs.as_ref())?, self.grid(raster.y, crs.as_ref())?);
        let unsupported = |reason: String| IngestError::Unsupported { name: self.name.to_owned(), reason };
        let geotransform = axis::geotransform(x, y, width, height)
            .map_err(|reason| unsupported(format!("variable '{}' {reason}", variable.name)))?;
        let (width_in_pixels, height_in_pixels) = side(width as usize)
            .and_then(|width| Ok((width, side(height as usize)?)))
            .map_err(unsupported)?;
        let (times, labels) = self.bands(raster, &variable)?;
        let attributes = &variable.attributes;
        let (scale, offset) = attributes.scaling();
        let band = |description: String| SourceBand {
            description,
            unit: match attributes.text("units") {
                "1" | "-" => String::new(),
                units => units.to_owned(),
            },
            scale,
            offset,
            color: Default::default(),
        };
        let meta = attributes.variable(pixel);
        let element = self.variables[raster.variable].element.unwrap_or(Element::UInt8);
        let chunks = self.arrays[raster.variable].chunks();
        let chunk = |dimension: usize, whole: u32, unchunked: u32| {
            let side = chunks.get(dimension).and_then(|&side| u32::try_from(side).ok()).unwrap_or(0);
            if side == 0 { unchunked } else { side.min(whole) }
        };
        let facts = SourceFacts {
            name: self.name.to_owned(),
            origin: Origin::Netcdf(Slices {
                variable: variable.name.clone(),
                dimensions: variable.dimensions.len(),
                x: Direction {
                    dimension: raster.x.dimension,
                    length: width,
                    reversed: x.step.is_some_and(|step| step < 0.0),
                },
                y: Direction {
                    dimension: raster.y.dimension,
                    length: height,
                    reversed: y.step.is_some_and(|step| step > 0.0),
                },
                bands: raster.bands.map(|bands| bands.dimension()),
                place: raster.place.iter().map(|place| (place.dimension, place.number)).collect(),
                element,
                form,
            }),
            width: width_in_pixels,
            height: height_in_pixels,
            pixel,
            geotransform: Some(geotransform),
            crs,
            pixel_is_point: false,
            nodata: attributes.nodata(pixel).and_then(|nodata| representable(pixel, nodata)),
            bands: match labels {
                None => vec![band(meta.long_name.clone())],
                Some(labels) => labels.into_iter().map(band).collect(),
            },
            block: (
                chunk(raster.x.dimension, width_in_pixels, width_in_pixels),
                chunk(raster.y.dimension, height_in_pixels, 1),
            ),
            palette: Vec::new(),
            attributes: attributes.flags(pixel),
            categories: Vec::new(),
            times,
            variable: meta,
            has_more_pages: false,
        };
        Ok(VariableFacts { variable: self.name_of(raster)?, facts })
    }

    /// The variable's name, and behind it where this raster lies in dimensions that are not its own: `t_depth_0.05`.
    fn name_of(&mut self, raster: &Raster) -> Result<String, IngestError> {
        let variable = self.variables[raster.variable].clone();
        let mut name = variable.name;
        for place in &raster.place {
            let path = &variable.dimensions[place.dimension].0;
            let dimension = path.rsplit('/').next().unwrap_or(path);
            let value = match place.coordinate {
                Some(coordinate) => self.values(coordinate)?.get(place.number as usize).copied(),
                None => None,
            };
            let value = value.map_or_else(|| place.number.to_string(), |value| value.to_string());
            name.push_str(&format!("_{dimension}_{value}"));
        }
        Ok(name)
    }

    /// The type of the pixels. 64 bit integers become 32 bit ones if every value fits, which reading them proves.
    fn pixel(&self, raster: &Raster) -> Result<(PixelType, Form), String> {
        let variable = &self.variables[raster.variable];
        let element = variable.element.ok_or("it has no numbers")?;
        let sign = variable.attributes.text("_Unsigned").to_ascii_lowercase();
        let (is_unsigned, is_signed) = (sign == "true", sign == "false");
        Ok(match element {
            Element::Int8 if is_unsigned => (PixelType::UInt8, Form::Bits),
            Element::Int8 => (PixelType::Int8, Form::Bits),
            Element::UInt8 if is_signed => (PixelType::Int8, Form::Bits),
            Element::UInt8 => (PixelType::UInt8, Form::Bits),
            Element::Int16 if !has_int8() && handle::is_signed_byte(self.path, &variable.name) => {
                (PixelType::Int8, Form::FromInt16)
            }
            Element::Int16 if is_unsigned => (PixelType::UInt16, Form::Bits),
            Element::Int16 => (PixelType::Int16, Form::Bits),
            Element::UInt16 => (PixelType::UInt16, Form::Bits),
            Element::Int32 if is_unsigned => (PixelType::UInt32, Form::Bits),
            Element::Int32 => (PixelType::Int32, Form::Bits),
            Element::UInt32 => (PixelType::UInt32, Form::Bits),
            Element::Int64 => (PixelType::Int32, Form::FromInt64),
            Element::UInt64 => (PixelType::UInt32, Form::FromUInt64),
            Element::Float32 => (PixelType::Float32, Form::Bits),
            Element::Float64 => (PixelType::Float64, Form::Bits),
        })
    }

    /// The values of a coordinate variable, read once.
    fn values(&mut self, coordinate: usize) -> Result<&[f64], IngestError> {
        let entry = match self.coordinates.entry(coordinate) {
            std::collections::btree_map::Entry::Occupied(entry) => return Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => entry,
        };
        let variable = &self.variables[coordinate];
        let length = variable.dimensions.iter().map(|(_, length)| length).product::<u64>();
        if length > MOST_COORDINATES {
            return Err(IngestError::Unsupported {
                name: self.name.to_owned(),
                reason: format!(
                    "its coordinate '{}' has {length} values, more than {MOST_COORDINATES}",
                    variable.name
                ),
            });
        }
        let start = vec![0; variable.dimensions.len()];
        let count: Vec<usize> = variable.dimensions.iter().map(|(_, length)| *length as usize).collect();
        let mut values = vec![0.0; length as usize];
        self.arrays[coordinate].read(&start, &count, &mut values)?;
        // Coordinates may be packed as pixels may: `add_offset + scale_factor * stored`.
        if let (scale, offset) = variable.attributes.scaling()
            && (scale.is_some() || offset.is_some())
        {
            let (scale, offset) = (scale.unwrap_or(1.0), offset.unwrap_or(0.0));
            values.iter_mut().for_each(|value| *value = *value * scale + offset);
        }
        Ok(entry.insert(values))
    }

    /// The grid along an axis, in the unit of the CRS.
    fn grid(&mut self, axis: Axis, crs: Option<&Crs>) -> Result<Grid, IngestError> {
        let Variable { name, element, attributes, .. } = self.variables[axis.coordinate].clone();
        let file = self.name.to_owned();
        let factor = mapping::units_of(crs, attributes.text("units")).ok_or_else(|| {
            let reason = format!(
                "its coordinate '{name}' has angles, and its projected CRS knows no satellite that sees them; \
                 add coordinates in metres, for example with 'ncap2'"
            );
            IngestError::Unsupported { name: file.clone(), reason }
        })?;
        let found = axis::grid(self.values(axis.coordinate)?, element == Some(Element::Float32));
        let found = found
            .map(|Grid { first, step }| Grid { first: first * factor, step: step.map(|step| step * factor) });
        found.map_err(|reason| {
            let reason = format!(
                "its coordinate '{name}' {reason}; a raster has even pixels: regrid it, for example with 'cdo remapnn'"
            );
            IngestError::Unsupported { name: file, reason }
        })
    }

    /// Times of the bands where they are times, and what the bands are called where there are several.
    fn bands(
        &mut self,
        raster: &Raster,
        variable: &Variable,
    ) -> Result<(Vec<Timestamp>, Option<Vec<String>>), IngestError> {
        match raster.bands {
            None => Ok((self.moment(raster.moment), None)),
            Some(Bands::Times(axis)) => match self.times(axis.coordinate) {
                Ok(times) => {
                    let labels = times.iter().map(|&time| label(time)).collect();
                    Ok((times, Some(labels)))
                }
                // Steps that are no dates are still steps.
                Err(IngestError::Unsupported { .. }) => {
                    let coordinate = Some(axis.coordinate);
                    self.other_bands(variable, axis.dimension, coordinate)
                }
                Err(error) => Err(error),
            },
            Some(Bands::Other { dimension, coordinate }) => self.other_bands(variable, dimension, coordinate),
        }
    }

    /// What bands are called that are no dates.
    fn other_bands(
        &mut self,
        variable: &Variable,
        dimension: usize,
        coordinate: Option<usize>,
    ) -> Result<(Vec<Timestamp>, Option<Vec<String>>), IngestError> {
        let (path, length) = &variable.dimensions[dimension];
        let name = path.rsplit('/').next().unwrap_or(path);
        // As many bands as a TIFF can have are checked for where bands are put together.
        let numbers = 0..*length;
        let labels = match coordinate {
            Some(coordinate) => {
                let unit = self.variables[coordinate].attributes.text("units").to_owned();
                let values = self.values(coordinate)?;
                values.iter().map(|value| format!("{name} {value} {unit}").trim_end().to_owned()).collect()
            }
            None if *length <= u64::from(u16::MAX) => {
                numbers.map(|number| format!("{name} {number}")).collect()
            }
            None => {
                return Err(IngestError::Unsupported {
                    name: self.name.to_owned(),
                    reason: format!("variable '{}' has {length} bands", variable.name),
                });
            }
        };
        Ok((Vec::new(), Some(labels)))
    }

    fn times(&mut self, coordinate: usize) -> Result<Vec<Timestamp>, IngestError> {
        let Variable { name, attributes, .. } = self.variables[coordinate].clone();
        let file = self.name.to_owned();
        let values = self.values(coordinate)?;
        time::decode(attributes.text("units"), attributes.text("calendar"), values).map_err(|reason| {
            IngestError::Unsupported {
                name: file,
                reason: format!("the coordinate '{name}' is no time: {reason}"),
            }
        })
    }

    /// When a raster of one step is of; a time that cannot be understood says nothing.
    fn moment(&mut self, coordinate: Option<usize>) -> Vec<Timestamp> {
        let times = coordinate.and_then(|coordinate| self.times(coordinate).ok());
        times.filter(|times| times.len() == 1).unwrap_or_default()
    }

    /// The grid mapping's CRS; plain longitudes and latitudes are EPSG:4326.
    fn crs(&mut self, raster: &Raster) -> Option<Crs> {
        let mapping = mapping::path_of(&self.variables, raster);
        let array = &self.arrays[raster.variable];
        let stated = mapping.and_then(|mapping| {
            let variables = &self.variables;
            let find = || {
                let by_gdal = array.spatial_ref().and_then(|srs| mapping::describe(&srs));
                // GDAL makes something of a name without parameters.
                let is_known = by_gdal.as_ref().is_some_and(|crs| crs.epsg.is_some());
                let defined = if is_known { None } else { mapping::crs(variables, &mapping) };
                defined.or(by_gdal)
            };
            self.crs.entry(mapping.clone()).or_insert_with(find).clone()
        });
        let is_geographic = raster.frame == Frame::Geographic;
        let plain = || SpatialRef::from_epsg(4326).ok().and_then(|srs| mapping::describe(&srs));
        stated.or_else(|| is_geographic.then(plain).flatten())
    }
}

#[cfg(test)]
mod tests;
