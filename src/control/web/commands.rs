//! What to type to open a product, in the programs that people use. Paths may hold blanks, quotes and worse.

use crate::store::vector::VectorFormat;

/// A line to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The program.
    pub(super) program: &'static str,
    /// What to type or paste there.
    pub(super) text: String,
}

/// For a raster: `stem` is the path below which `.tif` and `.zarr` are.
pub(super) fn raster(stem: &str) -> Vec<Command> {
    let (tif, zarr) = (format!("{stem}.tif"), format!("{stem}.zarr"));
    vec![
        Command { program: "GDAL", text: format!("gdalinfo {}", in_shell(&tif)) },
        Command { program: "QGIS", text: format!("qgis {}", in_shell(&tif)) },
        Command { program: "xarray", text: format!("xr.open_zarr({})", quoted(&zarr)) },
        Command { program: "rasterio", text: format!("rasterio.open({})", quoted(&tif)) },
        Command { program: "R", text: format!("terra::rast({})", quoted(&tif)) },
    ]
}

/// For vector data: `stem` is the path before its ending.
pub(super) fn vector(stem: &str, format: VectorFormat) -> Vec<Command> {
    let path = format!("{stem}{}", format.ending());
    vec![
        Command { program: "GDAL", text: format!("ogrinfo -so -al {}", in_shell(&path)) },
        Command { program: "QGIS", text: format!("qgis {}", in_shell(&path)) },
        Command { program: "geopandas", text: format!("geopandas.read_file({})", quoted(&path)) },
        Command { program: "R", text: format!("terra::vect({})", quoted(&path)) },
    ]
}

/// As one word of a POSIX shell.
pub(super) fn in_shell(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%,=~".contains(letter);
    // a tilde means home at the beginning only, and paths begin with a slash
    if !text.is_empty() && !text.starts_with(['~', '-']) && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// As a string of Python and of R, which write these two characters alike.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_quoted_where_they_must_be() {
        assert_eq!(raster("/c/d/p")[0].text, "gdalinfo /c/d/p.tif");
        assert_eq!(raster("/c/d e/$(x)'y")[0].text, r"gdalinfo '/c/d e/$(x)'\''y.tif'");
        assert_eq!(raster(r#"/c/a"b\c"#)[2].text, r#"xr.open_zarr("/c/a\"b\\c.zarr")"#);
        assert_eq!(vector("/c/p", VectorFormat::FileGdb)[0].text, "ogrinfo -so -al /c/p.gdb");
        assert_eq!(in_shell("~/x"), "'~/x'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\u{0}]{0,20}") {
            let told = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", in_shell(&text))])
                .output()
                .unwrap();
            prop_assert_eq!(String::from_utf8(told.stdout).unwrap(), text);
        }
    }
}
