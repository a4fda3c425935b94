//! What the values of a raster mean: attribute tables, category names, colour files beside the raster.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

use gdal::raster::RasterBand;

use super::dbf;
use super::legend::Legends;
use super::mosaic::Mosaic;
use crate::store::entry::Class;

/// Side files larger than this are not looked at.
const LARGEST_SIDE_FILE: u64 = 64 << 20;
/// Most classes an entry describes.
const MOST_CLASSES: usize = 65_536;

/// A table of values, names and colours as texts: GDAL's attribute table or a `.vat.dbf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttributeTable {
    /// The columns' names and what is known of their meaning.
    pub(super) columns: Vec<Column>,
    /// Rows of texts.
    pub(super) rows: Vec<Vec<String>>,
}

/// A column of an [`AttributeTable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Name as the source gives it.
    pub(super) name: String,
    /// True for text columns.
    pub(super) is_text: bool,
    /// GDAL's usage where it says more than "generic".
    pub(super) usage: Usage,
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// Not stated.
    Unknown,
    /// The pixel's value.
    Value,
    /// The class' name.
    Name,
    /// A colour component, 0 red … 3 alpha.
    Color(usize),
}

/// GDAL's raster attribute table of a band.
pub(super) fn attribute_table(band: &RasterBand) -> Option<AttributeTable> {
    use gdal_sys::GDALRATFieldType::GFT_String;
    use gdal_sys::GDALRATFieldUsage as Gfu;
    // SAFETY: the band handle is valid; the table belongs to the band and is used while the band lives. All
    // row and column numbers below are inside the counts the table gives. Texts are copied at once.
    unsafe {
        let table = gdal_sys::GDALGetDefaultRAT(band.c_rasterband());
        if table.is_null() {
            return None;
        }
        let copy = |text: *const std::ffi::c_char| {
            if text.is_null() {
                String::new()
            } else {
                CStr::from_ptr(text).to_string_lossy().trim().to_owned()
            }
        };
        let columns: Vec<Column> = (0..gdal_sys::GDALRATGetColumnCount(table))
            .map(|column| Column {
                name: copy(gdal_sys::GDALRATGetNameOfCol(table, column)),
                is_text: gdal_sys::GDALRATGetTypeOfCol(table, column) == GFT_String,
                usage: match gdal_sys::GDALRATGetUsageOfCol(table, column) {
                    Gfu::GFU_MinMax => Usage::Value,
                    Gfu::GFU_Name => Usage::Name,
                    Gfu::GFU_Red => Usage::Color(0),
                    Gfu::GFU_Green => Usage::Color(1),
                    Gfu::GFU_Blue => Usage::Color(2),
                    Gfu::GFU_Alpha => Usage::Color(3),
                    _ => Usage::Unknown,
                },
            })
            .collect();
        let rows = (0..gdal_sys::GDALRATGetRowCount(table).min(MOST_CLASSES as i32))
            .map(|row| {
                (0..columns.len() as i32)
                    .map(|column| copy(gdal_sys::GDALRATGetValueAsString(table, row, column)))
                    .collect()
            })
            .collect();
        Some(AttributeTable { columns, rows })
    }
}

/// GDAL's category names of a band, by value.
pub(super) fn category_names(band: &RasterBand) -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the band handle is valid; the list belongs to the band, is null-terminated and copied at once.
    unsafe {
        let mut list = gdal_sys::GDALGetRasterCategoryNames(band.c_rasterband());
        while !list.is_null() && !(*list).is_null() && names.len() < MOST_CLASSES {
            names.push(CStr::from_ptr(*list).to_string_lossy().into_owned());
            list = list.add(1);
        }
    }
    names
}

/// The classes of a raster: those of all its tiles, because a tile's table lists only what occurs in it. From
/// (first one that has names wins) attribute table, `.vat.dbf`, category names; colours from the same table, else from the
/// attribute table, the palette, or a `.clr` file. Where none of them has names, a legend that comes as a file of its own
/// may: the one with the raster's name, else the package's for its `main` raster and for those with the legend's colours.
/// Sorted by value.
pub(super) fn collect(mosaic: &Mosaic, legends: &Legends, main: bool) -> Vec<Class> {
    let facts = &mosaic.facts;
    if facts.pixel.is_float() {
        return Vec::new();
    }
    let mut folders = SideFiles::default();
    let mut classes = BTreeMap::new();
    let mut clr = BTreeMap::new();
    for tile in &mosaic.tiles {
        if let Some(bytes) = folders.read(&tile.path, &["clr", "clr.txt"]) {
            for (value, color) in parse_clr(&String::from_utf8_lossy(&bytes)) {
                clr.entry(value).or_insert(color);
            }
        }
        let mut found = tile.attributes.as_ref().map(from_table).unwrap_or_default();
        if found.values().all(|class| class.name.is_empty()) {
            let cpg = folders.read(&tile.path, &["vat.cpg"]);
            let cpg = cpg.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let dbf = folders.read(&tile.path, &["vat.dbf"]);
            let dbf = dbf.and_then(|bytes| dbf::parse(&bytes, cpg.as_deref()));
            let from_dbf = dbf.map(AttributeTable::from).as_ref().map(from_table).unwrap_or_default();
            found = with_table_beside(found, from_dbf);
        }
        for (value, class) in found {
            classes.entry(value).or_insert(class);
        }
    }
    if classes.is_empty() {
        for (value, name) in facts.categories.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = value as i64;
            classes.insert(value, Class { value, name: name.clone(), color: None });
        }
    }
    if classes.values().all(|class| class.name.is_empty()) {
        let mut legend = legends.of(&facts.name);
        if legend.is_empty() {
            legend = legends.of_package();
            if !main && !has_colors(&facts.palette, &legend) {
                legend.clear();
            }
        }
        let possible =
            |value: &i64| facts.pixel.integer_range().is_some_and(|(low, high)| (low..=high).contains(value));
        for (value, named) in legend.into_iter().filter(|(value, _)| possible(value)) {
            let class = classes.entry(value).or_insert_with(|| named.clone());
            class.name = named.name;
        }
    }
    for class in classes.values_mut().filter(|class| class.color.is_none()) {
        class.color = usize::try_from(class.value)
            .ok()
            .and_then(|value| facts.palette.get(value).copied())
            .or_else(|| clr.get(&class.value).copied());
    }
    if classes.is_empty() {
        let nameless = |(value, color)| (value, Class { value, name: String::new(), color: Some(color) });
        if facts.palette.is_empty() {
            classes = clr.into_iter().map(nameless).collect();
        } else if facts.bands.len() > 1 {
            // A TIFF of several bands has no palette: its colours are told as those of the classes.
            classes = (0..).zip(used(&facts.palette).iter().copied()).map(nameless).collect();
        }
    }
    classes.into_values().take(MOST_CLASSES).collect()
}

/// The classes of a `.vat.dbf` beside a raster whose own table has no names, with the colours of that table where it has
/// none. One without names, too, counts only where the raster's own table has no colours.
fn with_table_beside(own: BTreeMap<i64, Class>, beside: BTreeMap<i64, Class>) -> BTreeMap<i64, Class> {
    let has_names = beside.values().any(|class| !class.name.is_empty());
    let has_colors = own.values().any(|class| class.color.is_some());
    if beside.is_empty() || has_colors && !has_names {
        return own;
    }
    let color = |value: i64| own.get(&value).and_then(|class| class.color);
    beside
        .into_iter()
        .map(|(value, class)| (value, Class { color: class.color.or_else(|| color(value)), ..class }))
        .collect()
}

/// A palette up to its last colour: those of TIFFs are as long as pixels have values, and black where nobody said anything.
pub(super) fn used(palette: &[[u8; 4]]) -> &[[u8; 4]] {
    let end = palette.iter().rposition(|entry| entry[..3] != [0, 0, 0]).map_or(0, |last| last + 1);
    &palette[..end]
}

/// True when a palette has the legend's colours, transparency aside.
fn has_colors(palette: &[[u8; 4]], legend: &BTreeMap<i64, Class>) -> bool {
    let of = |value: i64| usize::try_from(value).ok().and_then(|value| palette.get(value));
    legend.values().all(|class| match (of(class.value), class.color) {
        (Some(found), Some(wanted)) => found[..3] == wanted[..3],
        (found, _) => found.is_some(),
    })
}

/// The files beside rasters, by lower case name; each folder is listed once.
#[derive(Default)]
struct SideFiles {
    folders: BTreeMap<PathBuf, BTreeMap<String, PathBuf>>,
}

impl SideFiles {
    /// Reads `<raster>.<extension>` or `<raster without its extension>.<extension>`, in any case.
    fn read(&mut self, raster: &Path, extensions: &[&str]) -> Option<Vec<u8>> {
        let folder = raster.parent()?;
        let file = raster.file_name()?.to_str()?.to_ascii_lowercase();
        let stem = raster.file_stem()?.to_str()?.to_ascii_lowercase();
        let list = self.folders.entry(folder.to_owned()).or_insert_with(|| list(folder));
        let path = extensions
            .iter()
            .flat_map(|extension| [format!("{file}.{extension}"), format!("{stem}.{extension}")])
            .find_map(|name| list.get(&name))?;
        (fs::metadata(path).ok()?.len() <= LARGEST_SIDE_FILE).then(|| fs::read(path).ok()).flatten()
    }
}

fn list(folder: &Path) -> BTreeMap<String, PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.to_ascii_lowercase(), entry.path())))
        .collect()
}

impl From<dbf::Table> for AttributeTable {
    fn from(table: dbf::Table) -> Self {
        let columns = table
            .fields
            .into_iter()
            .map(|(name, kind)| Column { name, is_text: kind == 'C', usage: Usage::Unknown })
            .collect();
        Self { columns, rows: table.records }
    }
}

/// Names of columns that hold a class' name, the best one first; compared without case, blanks and `_`.
const NAME_COLUMNS: [&str; 9] =
    ["classname", "classnames", "label3", "label", "name", "category", "legend", "description", "class"];

pub(super) fn from_table(table: &AttributeTable) -> BTreeMap<i64, Class> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', ' '], "");
    let named = |wanted: &str| table.columns.iter().position(|column| plain(&column.name) == wanted);
    let used = |usage: Usage| table.columns.iter().position(|column| column.usage == usage);
    let mut classes = BTreeMap::new();
    let Some(value_column) = used(Usage::Value).or_else(|| named("value")) else {
        return classes;
    };
    let name_column = used(Usage::Name)
        .or_else(|| NAME_COLUMNS.iter().find_map(|name| named(name).filter(|&c| table.columns[c].is_text)))
        .or_else(|| table.columns.iter().position(|column| column.is_text));
    let color_columns: Option<Vec<usize>> = ["red", "green", "blue"]
        .iter()
        .enumerate()
        .map(|(component, name)| used(Usage::Color(component)).or_else(|| named(name)))
        .collect();
    let number = |row: &[String], column: usize| row.get(column).and_then(|t| t.trim().parse::<f64>().ok());
    // Esri writes colours as shares of one, everybody else as 0..255.
    let shares = color_columns.as_ref().is_some_and(|columns| {
        let mut components =
            table.rows.iter().flat_map(|row| columns.iter().filter_map(|&column| number(row, column)));
        let mut above_zero = false;
        components.all(|value| {
            above_zero |= value > 0.0;
            (0.0..=1.0).contains(&value)
        }) && above_zero
    });
    for row in table.rows.iter().take(MOST_CLASSES) {
        let Some(value) = number(row, value_column).filter(|value| value.fract() == 0.0) else { continue };
        let value = value as i64;
        let color = color_columns.as_ref().and_then(|columns| {
            let mut color = [0, 0, 0, 255];
            for (component, &column) in columns.iter().enumerate() {
                let share = number(row, column)? * if shares { 255.0 } else { 1.0 };
                color[component] = share.round().clamp(0.0, 255.0) as u8;
            }
            Some(color)
        });
        let name = name_column.and_then(|column| row.get(column)).cloned().unwrap_or_default();
        classes.entry(value).or_insert(Class { value, name, color });
    }
    classes
}

/// Lines of `value red green blue [alpha]`, separated by blanks, tabs, commas or semicolons.
pub(super) fn parse_clr(text: &str) -> BTreeMap<i64, [u8; 4]> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line
                .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
                .filter(|word| !word.is_empty())
                .map_while(|word| word.parse::<i64>().ok());
            let value = numbers.next()?;
            let components: Vec<u8> =
                numbers.take(4).map_while(|component| u8::try_from(component).ok()).collect();
            let alpha = components.get(3).copied().unwrap_or(255);
            (components.len() >= 3).then(|| (value, [components[0], components[1], components[2], alpha]))
        })
        .take(MOST_CLASSES)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, bool)], rows: &[&[&str]]) -> AttributeTable {
        AttributeTable {
            columns: columns
                .iter()
                .map(|&(name, is_text)| Column { name: name.to_owned(), is_text, usage: Usage::Unknown })
                .collect(),
            rows: rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect(),
        }
    }

    #[test]
    fn finds_value_name_and_color_columns() {
        let classes = from_table(&table(
            &[
                ("OID", false),
                ("VALUE", false),
                ("CODE_18", true),
                ("LABEL3", true),
                ("Red", false),
                ("Green", false),
                ("Blue", false),
            ],
            &[
                &["0", "1", "111", "Continuous urban fabric", "0.90196", "0", "0.3019"],
                &["1", "-128", "", "NODATA", "1", "1", "1"],
            ],
        ));
        let class = &classes[&1];
        assert_eq!((class.name.as_str(), class.color), ("Continuous urban fabric", Some([230, 0, 77, 255])));
        assert_eq!(classes[&-128].color, Some([255, 255, 255, 255]));
    }

    #[test]
    fn colors_of_0_to_255_are_taken_as_they_are() {
        let classes = from_table(&table(
            &[("value", false), ("red", false), ("green", false), ("blue", false)],
            &[&["3", "1", "0", "200"], &["x", "1", "1", "1"], &["4.5", "1", "1", "1"]],
        ));
        assert_eq!(classes.len(), 1);
        assert_eq!(classes[&3].color, Some([1, 0, 200, 255]));
        assert!(from_table(&table(&[("count", false)], &[&["1"]])).is_empty());
    }

    #[test]
    fn clr_lines() {
        let colors =
            parse_clr("# comment\n0 240 240 240\r\n1,70,158,74,128\n2 999 0 0\n255\t0\t0\t0 black\n");
        assert_eq!(colors.len(), 3);
        assert_eq!(
            (colors[&0], colors[&1], colors[&255]),
            ([240, 240, 240, 255], [70, 158, 74, 128], [0, 0, 0, 255])
        );
    }
}
