//! Names of the files of a product, cold and ready.

use crate::store::entry::EntryMeta;

/// The root documents of a Zarr directory. A cold one shows exactly these: with fewer, GDAL and zarr-python open a
/// wrong raster or none when the product has become ready between their listing and their reading.
pub(crate) const ZARR_ROOT: [&str; 4] = [".zgroup", ".zattrs", ".zmetadata", "zarr.json"];

/// A name that a cold raster product shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdName {
    /// Path relative to the product's directory.
    pub path: String,
    /// Whether it is a directory; files have size 0 until the product is ready.
    pub is_dir: bool,
}

/// What a raster product shows before it was fetched, directories before what is in them.
pub fn cold_names(product: &str) -> Vec<ColdName> {
    let zarr = format!("{product}.zarr");
    let mut names = vec![
        ColdName { path: format!("{product}.tif"), is_dir: false },
        ColdName { path: zarr.clone(), is_dir: true },
    ];
    names.extend(ZARR_ROOT.map(|name| ColdName { path: format!("{zarr}/{name}"), is_dir: false }));
    names
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
        let names = cold_names("CLC_2018");
        let paths: Vec<_> = names.iter().map(|name| name.path.as_str()).collect();
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
