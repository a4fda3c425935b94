//! The bytes of a file that a reader sees, made from a published entry.
//!
//! [`EntryView`] is everything below `<product>/` of a ready product but `item.json`:
//!
//! ```text
//! <product>.tif           the raster file as it lies on disk
//! <product>.tif.aux.xml   class names and colours for GDAL, when there are classes
//! <product>.zarr/         Zarr v2 and v3 at once; every chunk is a slice of the raster file
//! <raster>.tif …          the same for every further raster, under its own name
//! <product>.gpkg          the largest GeoPackage; likewise <product>.gdb/ and <product>.shp, .shx, .dbf …
//! <stem>.gpkg …           every further one, under its own name
//! preview.png, original/  as they lie on disk
//! ```
//!
//! Nothing is copied or decoded: a view is an index over the same bytes. It knows nothing of FUSE.

mod entry_view;
mod file_tree;
mod names;
mod node;
mod pam;
mod vector;
mod zarr;

#[cfg(test)]
pub(crate) mod export;
#[cfg(test)]
mod tests;

pub use entry_view::{EntryView, ViewError};
pub use names::{ColdName, cold_raster_names, served_names};
pub use node::{Content, Listed, Node, ViewFile};
pub use vector::{ServedVector, cold_vector_names, served_vectors};
