//! `<product>.tif.aux.xml`: GDAL's side file (PAM) with what GeoTIFF has no field for, class names and their colours.
//!
//! Colours that the source has in a file beside the raster (`.clr`, `.vat.dbf`) are no palette of the `.tif`, which is the
//! source's. Here they are one all the same: GDAL and QGIS take a palette from this file, but draw nothing by the table.
//!
//! `CategoryNames` is an array indexed by value, so it is written for small values only; the raster attribute table
//! takes any value. Field types and usages are GDAL's `GDALRATFieldType` and `GDALRATFieldUsage`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::store::entry::{Class, PixelType, RasterMeta};

/// Largest value up to which class names and colours are also written as an array.
const MOST_CATEGORIES: i64 = 4095;

/// The side file of a raster; `None` when it has no classes.
pub(crate) fn document(raster: &RasterMeta) -> Option<String> {
    if raster.classes.is_empty() {
        return None;
    }
    let mut xml = String::from("<PAMDataset>\n");
    for band in 1..=raster.bands.len() {
        _ = writeln!(xml, "  <PAMRasterBand band=\"{band}\">");
        if raster.bands.len() == 1 && raster.palette.is_empty() {
            palette(&mut xml, raster);
        }
        categories(&mut xml, &raster.classes);
        attribute_table(&mut xml, &raster.classes);
        xml.push_str("  </PAMRasterBand>\n");
    }
    xml.push_str("</PAMDataset>\n");
    Some(xml)
}

/// A palette of the classes' colours, if every class has one; values without a class are transparent.
///
/// For unsigned numbers only: of others GDAL complains (`ERROR 1: Unable to export color table`) whenever it copies them.
fn palette(xml: &mut String, raster: &RasterMeta) {
    let colors: Option<BTreeMap<i64, [u8; 4]>> =
        raster.classes.iter().map(|class| Some((class.value, class.color?))).collect();
    let Some(colors) = colors.filter(|_| matches!(raster.pixel, PixelType::UInt8 | PixelType::UInt16)) else {
        return;
    };
    let Some((&last, _)) = colors.last_key_value().filter(|(last, _)| **last <= MOST_CATEGORIES) else {
        return;
    };
    xml.push_str("    <ColorInterp>Palette</ColorInterp>\n    <ColorTable>\n");
    for value in 0..=last {
        let [red, green, blue, alpha] = colors.get(&value).copied().unwrap_or_default();
        _ = writeln!(xml, "      <Entry c1=\"{red}\" c2=\"{green}\" c3=\"{blue}\" c4=\"{alpha}\"/>");
    }
    xml.push_str("    </ColorTable>\n");
}

fn categories(xml: &mut String, classes: &[Class]) {
    let Some(last) = classes.iter().map(|class| class.value).filter(|&value| value >= 0).max() else {
        return;
    };
    if last > MOST_CATEGORIES {
        return;
    }
    xml.push_str("    <CategoryNames>\n");
    for value in 0..=last {
        let name = classes.iter().find(|class| class.value == value).map_or("", |class| &class.name);
        _ = writeln!(xml, "      <Category>{}</Category>", escaped(name));
    }
    xml.push_str("    </CategoryNames>\n");
}

fn attribute_table(xml: &mut String, classes: &[Class]) {
    // Name, type (0 integer, 2 string), usage (5 value, 2 name, 6 to 9 red to alpha).
    let mut columns = vec![("Value", 0, "Integer", 5, "MinMax"), ("Class", 2, "String", 2, "Name")];
    let colored = classes.iter().any(|class| class.color.is_some());
    if colored {
        columns.extend([
            ("Red", 0, "Integer", 6, "Red"),
            ("Green", 0, "Integer", 7, "Green"),
            ("Blue", 0, "Integer", 8, "Blue"),
            ("Alpha", 0, "Integer", 9, "Alpha"),
        ]);
    }
    xml.push_str("    <GDALRasterAttributeTable tableType=\"thematic\">\n");
    for (index, (name, kind, kind_text, usage, usage_text)) in columns.into_iter().enumerate() {
        _ = writeln!(
            xml,
            "      <FieldDefn index=\"{index}\"><Name>{name}</Name>\
             <Type typeAsString=\"{kind_text}\">{kind}</Type>\
             <Usage usageAsString=\"{usage_text}\">{usage}</Usage></FieldDefn>"
        );
    }
    for (index, class) in classes.iter().enumerate() {
        _ = write!(xml, "      <Row index=\"{index}\"><F>{}</F><F>{}</F>", class.value, escaped(&class.name));
        if colored {
            for part in class.color.unwrap_or([0; 4]) {
                _ = write!(xml, "<F>{part}</F>");
            }
        }
        xml.push_str("</Row>\n");
    }
    xml.push_str("    </GDALRasterAttributeTable>\n");
}

/// Text for between two tags; characters that XML 1.0 cannot hold become blanks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' | '\r' => out.push(' '),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
