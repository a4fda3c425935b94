//! One generated GeoTIFF with its side files, made in memory by GDAL.

use std::sync::atomic::{AtomicU64, Ordering};

use gdal::{
    DriverManager, GeoTransform,
    raster::{Buffer, ColorEntry, ColorTable, GdalType, RasterCreationOptions},
    spatial_ref::SpatialRef,
    vsi,
};

use super::{
    pattern::Field,
    theme::{Pixel, Theme},
};

/// A raster to be made.
#[derive(Debug, Clone)]
pub(crate) struct RasterPlan {
    pub(crate) theme: Theme,
    /// Tells the landscape; tiles of one layer share it.
    pub(crate) landscape: String,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    /// Left edge in units of the CRS.
    pub(crate) left: f64,
    /// Upper edge in units of the CRS.
    pub(crate) top: f64,
    /// Side of a pixel in units of the CRS.
    pub(crate) step: f64,
    /// 3035 or 4326.
    pub(crate) epsg: u32,
}

/// A path in GDAL's memory that nobody else uses.
pub(crate) fn memory_path(ending: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("/vsimem/clmsfs-simulator/{}{ending}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The bytes of the GeoTIFF.
///
/// # Errors
/// Whatever GDAL says, for example that there is no memory left.
pub(crate) fn geotiff(plan: &RasterPlan) -> gdal::errors::Result<Vec<u8>> {
    match plan.theme.pixel() {
        Pixel::Int8 => write::<u8>(plan, |value| value as i8 as u8),
        Pixel::UInt8 => write::<u8>(plan, |value| value as u8),
        Pixel::Int16 => write::<i16>(plan, |value| value as i16),
        Pixel::UInt16 => write::<u16>(plan, |value| value as u16),
        Pixel::Float32 => write::<f32>(plan, |value| value),
    }
}

/// Creation options as the producers use them: striped, tiled, LZW, deflate.
fn options(theme: Theme) -> gdal::errors::Result<RasterCreationOptions> {
    let layout: &[(&str, &str)] = match theme {
        Theme::ClcSigned | Theme::ClcChange => &[
            ("PIXELTYPE", "SIGNEDBYTE"),
            ("COMPRESS", "LZW"),
            ("TILED", "YES"),
            ("BLOCKXSIZE", "128"),
            ("BLOCKYSIZE", "128"),
        ],
        Theme::ClcByte | Theme::Elevation => &[("COMPRESS", "LZW")],
        Theme::ClcCodes => {
            &[("COMPRESS", "DEFLATE"), ("TILED", "YES"), ("BLOCKXSIZE", "128"), ("BLOCKYSIZE", "128")]
        }
        Theme::Imperviousness | Theme::TreeCover => {
            &[("COMPRESS", "LZW"), ("TILED", "YES"), ("BLOCKXSIZE", "1024"), ("BLOCKYSIZE", "1024")]
        }
        Theme::CropTypes | Theme::Phenology => {
            &[("COMPRESS", "DEFLATE"), ("TILED", "YES"), ("BLOCKXSIZE", "512"), ("BLOCKYSIZE", "512")]
        }
        Theme::ForestType | Theme::Backbone | Theme::BuildingHeight | Theme::ImperviousnessChange => {
            &[("COMPRESS", "LZW"), ("TILED", "YES")]
        }
    };
    let mut options = RasterCreationOptions::new();
    for (name, value) in layout {
        options.add_name_value(name, value)?;
    }
    Ok(options)
}

fn write<T: GdalType + Copy>(plan: &RasterPlan, convert: impl Fn(f32) -> T) -> gdal::errors::Result<Vec<u8>> {
    let path = memory_path(".tif");
    let driver = DriverManager::get_driver_by_name("GTiff")?;
    let (columns, rows) = (plan.columns as usize, plan.rows as usize);
    let mut dataset =
        driver.create_with_band_type_with_options::<T, _>(&path, columns, rows, 1, &options(plan.theme)?)?;
    let transform: GeoTransform = [plan.left, plan.step, 0.0, plan.top, 0.0, -plan.step];
    dataset.set_geo_transform(&transform)?;
    dataset.set_spatial_ref(&SpatialRef::from_epsg(plan.epsg)?)?;
    let mut band = dataset.rasterband(1)?;
    band.set_no_data_value(Some(plan.theme.nodata()))?;
    let palette = plan.theme.palette();
    if !palette.is_empty() {
        let mut table = ColorTable::default();
        for (value, [red, green, blue]) in palette {
            let color = ColorEntry::rgba(red.into(), green.into(), blue.into(), 255);
            table.set_color_entry(value, &color);
        }
        band.set_color_table(&table);
    }
    let left = (plan.left / plan.step).round() as i64;
    let upper = -(plan.top / plan.step).round() as i64;
    let fields = [0, 1, 2].map(|purpose| Field::new(&plan.landscape, purpose));
    let mut values = [0, 1, 2].map(|_| vec![0.0; columns]);
    const STRIP: usize = 64;
    for first in (0..rows).step_by(STRIP) {
        let count = STRIP.min(rows - first);
        let mut strip = Vec::with_capacity(columns * count);
        for line in first..first + count {
            for (field, row) in fields.iter().zip(&mut values) {
                field.row(upper + line as i64, left, row);
            }
            let [height, kind, inside] = &values;
            strip.extend(
                (0..columns)
                    .map(|column| convert(plan.theme.value(height[column], kind[column], inside[column]))),
            );
        }
        band.write((0, first as isize), (columns, count), &mut Buffer::new((columns, count), strip))?;
    }
    dataset.close()?;
    vsi::get_vsi_mem_file_bytes_owned(&path)
}

/// `<raster>.tfw`: the six lines of a world file (centre of the upper left pixel).
pub(crate) fn world_file(plan: &RasterPlan) -> String {
    let half = plan.step / 2.0;
    format!(
        "{:.10}\n0.0000000000\n0.0000000000\n{:.10}\n{:.10}\n{:.10}\n",
        plan.step,
        -plan.step,
        plan.left + half,
        plan.top - half
    )
}

/// `<raster>.tif.aux.xml`: the attribute table with class names and colours.
pub(crate) fn attribute_table(theme: Theme) -> String {
    let columns =
        [("Value", 0, 5), ("CODE", 2, 0), ("LABEL3", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)];
    let mut text = String::from(
        "<PAMDataset>\n  <PAMRasterBand band=\"1\">\n    <GDALRasterAttributeTable tableType=\"thematic\">\n",
    );
    for (index, (name, kind, usage)) in columns.into_iter().enumerate() {
        text.push_str(&format!(
            "      <FieldDefn index=\"{index}\">\n        <Name>{name}</Name>\n        <Type>{kind}</Type>\n        <Usage>{usage}</Usage>\n      </FieldDefn>\n"
        ));
    }
    for (index, class) in theme.classes().iter().enumerate() {
        let [red, green, blue] = class.rgb;
        let name = class.name.replace('&', "&amp;").replace('<', "&lt;");
        text.push_str(&format!(
            "      <Row index=\"{index}\">\n        <F>{}</F><F>{}</F><F>{name}</F><F>{red}</F><F>{green}</F><F>{blue}</F>\n      </Row>\n",
            class.value, class.code
        ));
    }
    text.push_str("    </GDALRasterAttributeTable>\n  </PAMRasterBand>\n</PAMDataset>\n");
    text
}

/// `<raster>.tif.vat.dbf`: the classes as a dBase III table (Value, Count, Class_Name).
pub(crate) fn attribute_dbf(theme: Theme) -> Vec<u8> {
    let classes = theme.classes();
    let columns: [(&[u8], u8, usize); 3] =
        [(b"Value", b'N', 10), (b"Count", b'N', 10), (b"Class_Name", b'C', 100)];
    let row: usize = 1 + columns.iter().map(|(_, _, width)| width).sum::<usize>();
    let header = 32 + 32 * columns.len() + 1;
    let mut bytes = vec![0x03, 118, 5, 13];
    bytes.extend((classes.len() as u32).to_le_bytes());
    bytes.extend((header as u16).to_le_bytes());
    bytes.extend((row as u16).to_le_bytes());
    bytes.resize(32, 0);
    for (name, kind, width) in columns {
        let start = bytes.len();
        bytes.extend(name);
        bytes.resize(start + 11, 0);
        bytes.push(kind);
        bytes.resize(start + 16, 0);
        bytes.push(width as u8);
        bytes.resize(start + 32, 0);
    }
    bytes.push(0x0d);
    for class in &classes {
        bytes.extend(format!(" {:>10}{:>10}", class.value, 1).bytes());
        let name: Vec<u8> = class.name.bytes().take(100).collect();
        bytes.extend(&name);
        bytes.extend(std::iter::repeat_n(b' ', 100 - name.len()));
    }
    bytes.push(0x1a);
    bytes
}

/// `Legend/<name>.txt`: one `value,red,green,blue,255,label` a line (QGIS colour map).
pub(crate) fn legend(theme: Theme) -> String {
    let mut text = String::from("# QGIS Generated Color Map Export File\nINTERPOLATION:EXACT\n");
    let classes = theme.classes();
    for (value, [red, green, blue]) in theme.palette() {
        let name = classes
            .iter()
            .find(|class| class.value == i32::from(value))
            .map_or_else(|| value.to_string(), |class| format!("{} - {}", class.code, class.name));
        text.push_str(&format!("{value},{red},{green},{blue},255,{name}\n"));
    }
    text
}
