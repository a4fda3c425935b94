//! Names of the files of a product, cold and ready.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::store::entry::EntryMeta;

/// The root documents of a Zarr directory. A cold one shows exactly these: with fewer, GDAL and zarr-python open a
/// wrong raster or none when the product has become ready between their listing and their reading.
pub(crate) const ZARR_ROOT: [&str; 4] = [".zgroup", ".zattrs", ".zmetadata", "zarr.json"];

/// A name that a cold product shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdName {
    /// What follows the product's name in the path below its directory.
    pub suffix: Cow<'static, str>,
    /// Whether it is a directory; files have size 0 until the product is ready.
    pub is_dir: bool,
}

impl ColdName {
    pub(super) fn file(suffix: impl Into<Cow<'static, str>>) -> Self {
        Self { suffix: suffix.into(), is_dir: false }
    }

    pub(super) fn directory(suffix: &'static str) -> Self {
        Self { suffix: suffix.into(), is_dir: true }
    }

    /// The path below the directory of a product.
    pub fn path(&self, product: &str) -> String {
        format!("{product}{}", self.suffix)
    }
}

/// What a raster product shows before it was fetched, directories before what is in them.
pub fn cold_raster_names() -> &'static [ColdName] {
    static NAMES: LazyLock<Vec<ColdName>> = LazyLock::new(|| {
        let mut names = vec![ColdName::file(".tif"), ColdName::directory(".zarr")];
        names.extend(ZARR_ROOT.map(|name| ColdName::file(format!(".zarr/{name}"))));
        names
    });
    &NAMES
}

/// The stem under which each raster of an entry is served, in their order: the first under the product's name, the
/// others under their own (with `~2`, `~3` … where that name is taken).
pub fn served_names(meta: &EntryMeta) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(meta.rasters.len());
    for (position, raster) in meta.rasters.iter().enumerate() {
        let wanted = if position == 0 { &meta.product } else { &raster.name };
        let free = std::iter::once(wanted.clone())
            .chain((2..).map(|number| format!("{wanted}~{number}")))
            .find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn a_cold_product_shows_the_final_root_names() {
        let names = cold_raster_names();
        let paths: Vec<_> = names.iter().map(|name| name.path("CLC_2018")).collect();
        assert_eq!(
            paths,
            [
                "CLC_2018.tif",
                "CLC_2018.zarr",
                "CLC_2018.zarr/.zgroup",
                "CLC_2018.zarr/.zattrs",
                "CLC_2018.zarr/.zmetadata",
                "CLC_2018.zarr/zarr.json",
            ]
        );
        assert_eq!(names.iter().filter(|name| name.is_dir).count(), 1);
    }

    #[test]
    fn no_two_rasters_are_served_under_one_name() {
        let rasters = ["value", "product", "product~2"].map(|name| fixture::classes(name, 10, 10));
        let meta = fixture::meta("product", rasters.to_vec());
        assert_eq!(served_names(&meta), ["product", "product~2", "product~2~2"]);
    }
}
