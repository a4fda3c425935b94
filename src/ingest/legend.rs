//! Legends that packages bring as files of their own: QGIS styles (`.qml`) and exported colour maps (`.txt`, `.clr`).
//!
//! Producers put them beside the raster or into a folder `Legend/`. Only legends of classes count: a style that
//! interpolates between values says nothing about what a value means.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::store::entry::Class;

/// Larger files are no legends.
const LARGEST: u64 = 16 << 20;
/// Most classes that are taken from one legend.
const MOST_CLASSES: usize = 65_536;

/// The legends of a package.
#[derive(Debug, Clone, Default)]
pub(super) struct Legends {
    /// Paths inside the package, sorted.
    files: Vec<String>,
    root: PathBuf,
}

impl Legends {
    /// Finds the legends among the `files` (paths inside the package) that lie below `root`.
    pub(super) fn among(files: &[String], root: &Path) -> Self {
        let files = files.iter().filter(|path| kind(path).is_some()).cloned().collect();
        Self { files, root: root.to_owned() }
    }

    /// The classes of the legends that have the raster's name; empty when there is none.
    pub(super) fn of(&self, raster: &str) -> BTreeMap<i64, Class> {
        self.agreed(|legend| belongs(legend, raster))
    }

    /// The classes of all legends, when they agree on the values: then it is one in several formats.
    pub(super) fn of_package(&self) -> BTreeMap<i64, Class> {
        self.agreed(|_| true)
    }

    fn agreed(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<i64, Class> {
        let legends = self.files.iter().filter(|path| wanted(path));
        let mut found = legends.map(|path| self.read(path)).filter(|classes| !classes.is_empty());
        let Some(first) = found.next() else { return BTreeMap::new() };
        match found.all(|other| other.keys().eq(first.keys())) {
            true => first,
            false => BTreeMap::new(),
        }
    }

    fn read(&self, path: &str) -> BTreeMap<i64, Class> {
        let file = self.root.join(path);
        if !fs::metadata(&file).is_ok_and(|metadata| metadata.len() <= LARGEST) {
            return BTreeMap::new();
        }
        let text =
            fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        match kind(path) {
            Some(Kind::Style) => parse_style(&text),
            Some(Kind::ColorMap) => parse_color_map(&text),
            None => BTreeMap::new(),
        }
    }
}

enum Kind {
    Style,
    ColorMap,
}

fn kind(path: &str) -> Option<Kind> {
    let extension = path.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    match extension.as_str() {
        "qml" => Some(Kind::Style),
        "txt" => Some(Kind::ColorMap),
        _ => None,
    }
}

/// True when a legend is named after a raster: `x.qml`, `x.tif.qml`, `x_legend.qml` of `x.tif`.
fn belongs(legend: &str, raster: &str) -> bool {
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let (legend, raster) = (file(legend), file(raster));
    let stem = raster.rsplit_once('.').map_or(raster.as_str(), |(stem, _)| stem);
    !stem.is_empty() && legend.strip_prefix(stem).is_some_and(|rest| rest.starts_with(['.', '_', '-']))
}

/// A QGIS style: the entries of a paletted renderer, or the items of a shader that matches values exactly.
pub(super) fn parse_style(text: &str) -> BTreeMap<i64, Class> {
    // QGIS writes a document type that names no external file; entities of our own making are not wanted.
    let options = roxmltree::ParsingOptions { allow_dtd: true, nodes_limit: 1 << 20, ..Default::default() };
    let Ok(document) = roxmltree::Document::parse_with_options(text, options) else { return BTreeMap::new() };
    let entries = document.descendants().filter(|node| match node.tag_name().name() {
        "paletteEntry" => true,
        "item" => node.parent().is_some_and(|parent| {
            parent.tag_name().name() == "colorrampshader"
                && parent.attribute("colorRampType").is_some_and(|kind| kind.eq_ignore_ascii_case("exact"))
        }),
        _ => false,
    });
    entries
        .filter_map(|entry| {
            let value = whole(entry.attribute("value")?)?;
            let alpha = entry.attribute("alpha").and_then(|alpha| alpha.parse().ok()).unwrap_or(255);
            let color = entry.attribute("color").and_then(hex_color).map(|[r, g, b]| [r, g, b, alpha]);
            let name = entry.attribute("label").unwrap_or_default().trim().to_owned();
            Some((value, Class { value, name, color }))
        })
        .take(MOST_CLASSES)
        .collect()
}

/// `# QGIS Generated Color Map Export File`: lines of `value,red,green,blue,alpha,label`. Empty for other texts.
pub(super) fn parse_color_map(text: &str) -> BTreeMap<i64, Class> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let is_export = lines.next().is_some_and(|line| line.contains("QGIS Generated Color Map"));
    let interpolates = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("INTERPOLATION:"))
        .is_some_and(|kind| !kind.trim().eq_ignore_ascii_case("exact"));
    if !is_export || interpolates {
        return BTreeMap::new();
    }
    lines
        .filter_map(|line| {
            let mut fields = line.splitn(6, ',').map(str::trim);
            let value = whole(fields.next()?)?;
            let mut component = || fields.next()?.parse::<u8>().ok();
            let color = [component()?, component()?, component()?, component()?];
            let name = fields.next().unwrap_or_default().to_owned();
            Some((value, Class { value, name, color: Some(color) }))
        })
        .take(MOST_CLASSES)
        .collect()
}

fn whole(text: &str) -> Option<i64> {
    let value: f64 = text.trim().parse().ok()?;
    (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64)
}

/// `#e6004d`
fn hex_color(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let component = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    Some([component(0)?, component(2)?, component(4)?])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STYLE: &str = r##"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.4"><pipe><rasterrenderer type="paletted" band="1"><colorPalette>
<paletteEntry value="1" label="111 - Continuous urban fabric" color="#e6004d" alpha="255"/>
<paletteEntry value="48" label=" NODATA &amp; sea " color="#ffffff" alpha="0"/>
<paletteEntry value="1.5" label="between" color="#ffffff"/>
</colorPalette></rasterrenderer></pipe></qgis>"##;

    #[test]
    fn a_paletted_style_names_classes() {
        let classes = parse_style(STYLE);
        assert_eq!(classes.len(), 2);
        assert_eq!(classes[&1].name, "111 - Continuous urban fabric");
        assert_eq!(classes[&1].color, Some([0xe6, 0, 0x4d, 255]));
        assert_eq!(
            (classes[&48].name.as_str(), classes[&48].color),
            ("NODATA & sea", Some([255, 255, 255, 0]))
        );
    }

    #[test]
    fn only_exact_shaders_are_classes() {
        let style = |kind: &str| {
            format!(
                r##"<qgis><rastershader><colorrampshader colorRampType="{kind}"><item value="3" label="three" color="#010203"/></colorrampshader></rastershader></qgis>"##
            )
        };
        assert_eq!(parse_style(&style("EXACT"))[&3].color, Some([1, 2, 3, 255]));
        assert!(parse_style(&style("INTERPOLATED")).is_empty());
        assert!(parse_style("<qgis>").is_empty());
    }

    #[test]
    fn exported_colour_maps_name_classes() {
        let text = "# QGIS Generated Color Map Export File\nINTERPOLATION:EXACT\n1,230,0,77,255,111 - Urban, dense\n2,255,0,0,255,112\nx\n";
        let classes = parse_color_map(text);
        assert_eq!(classes.len(), 2);
        assert_eq!(classes[&1].name, "111 - Urban, dense");
        assert!(parse_color_map("1,230,0,77,255,readme").is_empty());
        assert!(parse_color_map(&text.replace("EXACT", "DISCRETE")).is_empty());
    }

    #[test]
    fn a_legend_belongs_to_the_raster_of_its_name_or_to_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.tif.qml", STYLE);
        write("b.qml", &STYLE.replace("\"48\"", "\"49\""));
        write("readme.txt", "1,2,3,4,5,6");
        let files: Vec<String> = ["a.tif.qml", "b.qml", "readme.txt", "x.pdf"].map(str::to_owned).into();
        let legends = Legends::among(&files, folder.path());
        assert!(legends.of("DATA/a.tif").contains_key(&48));
        assert!(legends.of("DATA/b.tif").contains_key(&49));
        assert!(legends.of("DATA/c.tif").is_empty());
        assert!(legends.of_package().is_empty(), "two legends that disagree are nobody's");
        assert!(Legends::among(&files[..1], folder.path()).of_package().contains_key(&48));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}") {
            let _ = parse_style(&text);
            let _ = parse_style(&format!("<qgis><colorPalette><paletteEntry value=\"1\" color=\"{text}\"/></colorPalette></qgis>"));
            let _ = parse_color_map(&format!("# QGIS Generated Color Map\n{text}"));
        }
    }
}
