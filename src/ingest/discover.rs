//! Which files of a package are rasters, and which of them are tiles of one layer. Pure: names only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Rasters that may belong together: one layer of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Stem of the single file, or of the tiles without their place (`TCD_2018_010m_03035_v020`).
    pub(super) stem: String,
    /// Paths inside the package, sorted.
    pub(super) files: Vec<String>,
}

/// How [`Layer::rank`] compares: pixels, quality, files, length of the path, path.
type Rank = (Reverse<u64>, bool, Reverse<usize>, usize, String);

impl Layer {
    /// Sorts the layers of a package, the product's main raster first: the one with the most pixels, never a
    /// quality layer of equal size, then the one with more files, the shorter path, the first by name.
    ///
    /// `pixels` is the sum over the layer's files.
    pub(super) fn rank(&self, pixels: u64) -> Rank {
        let path = self.files.first().cloned().unwrap_or_default();
        (Reverse(pixels), self.is_quality(), Reverse(self.files.len()), path.len(), path)
    }

    /// True when the name says that the pixels tell how good those of another layer are.
    fn is_quality(&self) -> bool {
        let name = self.stem.to_ascii_lowercase();
        name.split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| QUALITY_WORDS.iter().any(|quality| word.starts_with(quality)))
    }
}

/// Beginnings of words that name layers of quality: `CONF`, `confidence`, `QFLAG2`, `uncertainty` …
const QUALITY_WORDS: [&str; 7] = ["conf", "qflag", "flag", "qual", "uncert", "nobs", "noise"];

/// Folders whose images illustrate the product and are not the product.
const PICTURE_FOLDERS: [&str; 8] =
    ["documents", "document", "legend", "legends", "metadata", "quicklook", "quicklooks", "thumbnails"];

/// Groups the rasters among `files` (paths inside the package) into layers, in the order of their paths.
///
/// Files are tiles of one layer when their names are equal apart from a token such as `E44N29`, `W020N60` or `X18Y02`.
/// Where that gives two tiles with the same name (dated folders), the folders tell the layers apart.
pub(super) fn layers(files: &[String]) -> Vec<Layer> {
    layers_of(files, is_raster)
}

/// The same for netCDF files.
pub(super) fn netcdf_layers(files: &[String]) -> Vec<Layer> {
    layers_of(files, is_netcdf)
}

fn layers_of(files: &[String], is_wanted: fn(&str) -> bool) -> Vec<Layer> {
    let mut by_stem: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in files.iter().map(String::as_str).filter(|path| is_wanted(path)) {
        let key = match without_place(stem(path)) {
            Some(normal) => normal,
            // Files without a place in their names never belong together: keyed by the path.
            None => path.to_owned(),
        };
        by_stem.entry(key).or_default().push(path);
    }
    let mut layers: Vec<Layer> = Vec::new();
    for (key, paths) in by_stem {
        let mut stems: Vec<&str> = paths.iter().map(|path| stem(path)).collect();
        stems.sort_unstable();
        let repeats = stems.windows(2).any(|pair| pair[0] == pair[1]);
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for path in paths {
            let group = if repeats { normal_folder(path) } else { String::new() };
            groups.entry(group).or_default().push(path);
        }
        for (_, mut paths) in groups {
            paths.sort_unstable_by_key(|path| (stem(path).to_owned(), (*path).to_owned()));
            let name = if paths.len() == 1 { stem(paths[0]) } else { key.as_str() };
            layers
                .push(Layer { stem: name.to_owned(), files: paths.into_iter().map(str::to_owned).collect() });
        }
    }
    layers.sort_by(|a, b| a.files.cmp(&b.files));
    layers
}

fn is_raster(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let file = lower.rsplit_once('/').map_or(lower.as_str(), |(_, file)| file);
    (file.ends_with(".tif") || file.ends_with(".tiff")) && is_data(&lower)
}

fn is_netcdf(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    [".nc", ".nc4", ".cdf"].iter().any(|ending| lower.ends_with(ending)) && is_data(&lower)
}

/// False for pictures of the product and for shadows.
fn is_data(lower: &str) -> bool {
    let (folders, file) = lower.rsplit_once('/').unwrap_or(("", lower));
    let is_picture = folders.split('/').any(|folder| PICTURE_FOLDERS.contains(&folder))
        || file.contains("_ql_")
        || file.contains("quicklook")
        || file.contains("thumbnail");
    !is_picture && !is_shadow(lower)
}

/// True for the shadows of files that a Macintosh packs beside them (lower case path).
pub(super) fn is_shadow(lower: &str) -> bool {
    let (folders, file) = lower.rsplit_once('/').unwrap_or(("", lower));
    file.starts_with("._") || folders.split('/').any(|folder| folder == "__macosx")
}

/// The name of a file without its folders and its ending.
pub(super) fn stem(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn normal_folder(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder
        .split('/')
        .map(|part| without_place(part).unwrap_or_else(|| part.to_owned()))
        .collect::<Vec<_>>()
        .join("/")
}

/// The name without its place and the separator in front of it, upper case letters kept; `None` without a place.
pub(super) fn without_place(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let starts_word = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        if let Some(length) = starts_word.then(|| token_length(&bytes[start..])).flatten() {
            let before = name[..start].strip_suffix(['_', '-']).unwrap_or(&name[..start]);
            let rest = &name[start + length..];
            return Some(format!("{before}{rest}").trim_start_matches(['_', '-']).to_owned());
        }
        start += 1;
    }
    None
}

/// Length of `E44N29`, `W020N60`, `X18Y02` … at the start, if it is a whole word.
fn token_length(bytes: &[u8]) -> Option<usize> {
    let digits =
        |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let first = bytes.first()?.to_ascii_uppercase();
    let east = digits(1);
    let second = bytes.get(1 + east)?.to_ascii_uppercase();
    let north = digits(2 + east);
    let length = 2 + east + north;
    let whole = bytes.get(length).is_none_or(|next| !next.is_ascii_alphanumeric());
    let is_place = matches!((first, second), (b'E' | b'W', b'N' | b'S') | (b'X', b'Y'));
    (is_place && (2..=3).contains(&east) && (2..=3).contains(&north) && whole).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|&path| path.to_owned()).collect()
    }

    #[test]
    fn tiles_of_one_layer_come_together() {
        let found = layers(&files(&[
            "TCD_2018_010m_cz_03035_v020/DATA/TCD_2018_010m_E46N29_03035_v020.tif",
            "TCD_2018_010m_cz_03035_v020/DATA/TCD_2018_010m_E45N29_03035_v020.tif",
            "TCD_2018_010m_cz_03035_v020/DATA/TCD_2018_010m_E45N29_03035_v020.tif.ovr",
            "TCD_2018_010m_cz_03035_v020/DATA/TCD_2018_010m_E45N29_03035_v020.tif.vat.dbf",
            "TCD_2018_010m_cz_03035_v020/Documents/map_E45N29.tif",
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].stem, "TCD_2018_010m_03035_v020");
        assert!(found[0].files[0].contains("E45N29"));
        assert_eq!(found[0].files.len(), 2);
    }

    #[test]
    fn the_shadows_of_a_macintosh_are_no_rasters() {
        let shadows = ["D/._x.tif", "__MACOSX/D/._x.tif", "__MACOSX/D/x.tif", "__MACOSX/x.nc"];
        assert!(layers(&files(&shadows)).is_empty() && netcdf_layers(&files(&shadows)).is_empty());
        assert_eq!(layers(&files(&["D/_x.tif", "macosx/x.tif"])).len(), 2);
    }

    #[test]
    fn different_layers_stay_apart() {
        let found = layers(&files(&[
            "D/U2018_CLC2018_V2020_20u1.TIF",
            "D/French_DOMs/U2018_CLC2018_V2020_20u1_FR_GLP.tif",
            "D/X_value_E44N29.tif",
            "D/X_value_E45N29.tif",
            "D/X_confidence_E44N29.tif",
        ]));
        let stems: Vec<&str> = found.iter().map(|layer| layer.stem.as_str()).collect();
        assert!(stems.contains(&"X_value"));
        assert_eq!(found.len(), 4);
        // A single tile keeps its place in its name.
        assert!(stems.contains(&"X_confidence_E44N29"));
    }

    #[test]
    fn the_main_layer_is_the_largest_and_never_one_of_quality() {
        let layer = |path: &str| Layer { stem: stem(path).to_owned(), files: vec![path.to_owned()] };
        fn first<'a>(layers: &[(&'a str, u64)]) -> Option<&'a str> {
            let layer = |path: &str| Layer { stem: stem(path).to_owned(), files: vec![path.to_owned()] };
            layers.iter().min_by_key(|(path, pixels)| layer(path).rank(*pixels)).map(|(path, _)| *path)
        }
        assert_eq!(first(&[("French_DOMs/A_REU.tif", 60_000), ("b.tif", 9_000_000)]), Some("b.tif"));
        assert_eq!(first(&[("A_CONF_E44N29.tif", 100), ("A_PPI_E44N29.tif", 100)]), Some("A_PPI_E44N29.tif"));
        assert_eq!(
            first(&[("A_QFLAG.tif", 100), ("very/far/down/A_value.tif", 100)]),
            Some("very/far/down/A_value.tif")
        );
        assert_eq!(first(&[("x_confidence.tif", 5), ("x_value.tif", 5)]), Some("x_value.tif"));
        assert_eq!(first(&[("far/down/x.tif", 5), ("y.tif", 5)]), Some("y.tif"));
        assert_eq!(first(&[("b.tif", 5), ("a.tif", 5)]), Some("a.tif"));
        let tiles = Layer { stem: "t".to_owned(), files: files(&["long/t1", "long/t2"]) };
        assert!(tiles.rank(5) < layer("a.tif").rank(5));
    }

    #[test]
    fn dated_folders_are_layers_of_their_own() {
        let found = layers(&files(&[
            "20210101/ST_E44N29.tif",
            "20210101/ST_E45N29.tif",
            "20210111/ST_E44N29.tif",
            "20210111/ST_E45N29.tif",
        ]));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|layer| layer.files.len() == 2 && layer.stem == "ST"));
        // Tiles in folders that carry the place themselves are still one layer.
        let found = layers(&files(&["A_E44N29/A_E44N29.tif", "A_E45N29/A_E45N29.tif"]));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn places_are_whole_words() {
        assert_eq!(without_place("VPP_2019_S2_E44N29-03035-010m").as_deref(), Some("VPP_2019_S2-03035-010m"));
        assert_eq!(without_place("eu_dem_v11_E40N20").as_deref(), Some("eu_dem_v11"));
        assert_eq!(without_place("E000N40_lc").as_deref(), Some("lc"));
        assert_eq!(without_place("SCENE44N29"), None);
        assert_eq!(without_place("x_E4N29"), None);
        assert_eq!(without_place("x_E44N29b"), None);
    }
}
