//! Generated vector packages: GeoPackages, file geodatabases and shapefiles with coded polygons.

use std::path::Path;

use gdal::{
    DriverManager,
    spatial_ref::SpatialRef,
    vector::{FieldValue, Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType},
    vsi,
};

use super::{pattern::Field, raster::memory_path, theme::Theme};

/// Squares on each side of a layer.
const SIDE: i64 = 12;
/// Side of a square in metres.
const STEP: f64 = 1500.0;

/// How vector data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// One `.gpkg`.
    GeoPackage,
    /// A `.gdb` folder.
    Geodatabase,
    /// A `.shp` with its companions; one layer only.
    Shapefile,
}

/// A vector file to be made.
#[derive(Debug, Clone)]
pub(crate) struct VectorPlan {
    /// Stem of the file.
    pub(crate) name: String,
    /// How it is stored.
    pub(crate) container: Container,
    /// Names of the layers; the first has coded polygons, others one outline each.
    pub(crate) layers: Vec<String>,
    /// Name of the column with the class code.
    pub(crate) code_column: &'static str,
}

/// The files of the layer set, as (relative path, bytes): one `.gpkg`, what is inside a `.gdb` folder, or a `.shp` and
/// its companions.
///
/// # Errors
/// Whatever GDAL says, for example that it was built without the driver.
pub(crate) fn files(plan: &VectorPlan) -> gdal::errors::Result<Vec<(String, Vec<u8>)>> {
    let name = &plan.name;
    match plan.container {
        Container::GeoPackage => {
            let path = memory_path(".gpkg");
            write(plan, "GPKG", &path)?;
            Ok(vec![(format!("{name}.gpkg"), vsi::get_vsi_mem_file_bytes_owned(&path)?)])
        }
        Container::Geodatabase => {
            let path = memory_path(".gdb");
            write(plan, "OpenFileGDB", &path)?;
            members(&path, |member| format!("{name}.gdb/{member}"))
        }
        Container::Shapefile => {
            // A folder, in which every layer becomes a shapefile of its name.
            let path = memory_path("");
            write(plan, "ESRI Shapefile", &path)?;
            members(&path, str::to_owned)
        }
    }
}

/// The files of a folder in memory, under other names.
fn members(folder: &str, rename: impl Fn(&str) -> String) -> gdal::errors::Result<Vec<(String, Vec<u8>)>> {
    let mut members = vsi::read_dir(folder, false)?;
    members.sort();
    members
        .into_iter()
        .map(|member| {
            let bytes = vsi::get_vsi_mem_file_bytes_owned(Path::new(folder).join(&member))?;
            Ok((rename(&member.display().to_string()), bytes))
        })
        .collect()
}

fn write(plan: &VectorPlan, driver: &str, path: &str) -> gdal::errors::Result<()> {
    let mut dataset = DriverManager::get_driver_by_name(driver)?.create_vector_only(path)?;
    let laea = SpatialRef::from_epsg(3035)?;
    let legend = Theme::ClcSigned.classes();
    let field = Field::new(&plan.name, 7);
    // A shapefile's table would have today's date in it.
    let dated = ["DBF_DATE_LAST_UPDATE=2020-01-01"];
    for (index, layer) in plan.layers.iter().enumerate() {
        let layer = dataset.create_layer(LayerOptions {
            name: layer,
            srs: Some(&laea),
            ty: OGRwkbGeometryType::wkbMultiPolygon,
            options: (plan.container == Container::Shapefile).then_some(&dated),
        })?;
        let columns = [plan.code_column, "class_name", "Area_Ha", "ID"];
        layer.create_defn_fields(&[
            (columns[0], OGRFieldType::OFTString),
            (columns[1], OGRFieldType::OFTString),
            (columns[2], OGRFieldType::OFTReal),
            (columns[3], OGRFieldType::OFTString),
        ])?;
        let (side, step) = if index == 0 { (SIDE, STEP) } else { (1, STEP * SIDE as f64) };
        for row in 0..side {
            for column in 0..side {
                let mut kind = [0.0];
                field.row(row * 48, column * 48, &mut kind);
                let class = &legend[(kind[0] * 39.0) as usize % 39];
                let values = [
                    FieldValue::StringValue(class.code.clone()),
                    FieldValue::StringValue(class.name.clone()),
                    FieldValue::RealValue(step * step / 10_000.0),
                    FieldValue::StringValue(format!("EU_{}", row * side + column)),
                ];
                let mut feature = gdal::vector::Feature::new(layer.defn())?;
                feature.set_geometry(square(column, row, step)?)?;
                for (position, value) in values.iter().enumerate() {
                    let position = layer.defn().field_index(columns[position])?;
                    feature.set_field(position, value)?;
                }
                feature.create(&layer)?;
            }
        }
    }
    dataset.close()
}

fn square(column: i64, row: i64, step: f64) -> gdal::errors::Result<Geometry> {
    let (west, south) = (4_450_000.0 + column as f64 * step, 3_100_000.0 + row as f64 * step);
    let (east, north) = (west + step, south + step);
    Geometry::from_wkt(&format!(
        "MULTIPOLYGON((({west} {south},{east} {south},{east} {north},{west} {north},{west} {south})))"
    ))
}
