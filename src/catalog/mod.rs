//! Datasets and products as we name them; snapshot, refresh, STAC documents.
//!
//! A [`Catalog`] is built once from the service's records and never changes; a refresh makes a new one.
//! Names are made safe in `names.rs` and nowhere else. Records stay compressed, on disk once the catalogue has
//! been saved and loaded; a dataset's is unpacked when somebody first looks into it, so that a mount with a
//! million products answers at once, and takes memory for those datasets only that are looked at.

mod contents;
mod dataset;
mod error;
mod heading;
mod index;
mod names;
mod period;
mod product;
mod records;
mod remarks;
mod search;
mod snapshot;
mod stac;

pub use dataset::{Dataset, HiddenFile, HiddenReason};
pub use error::CatalogError;
pub use index::{Catalog, LeftOut};
pub use names::{DatasetName, ProductName, RESERVED_IN_DATASET, RESERVED_IN_ROOT};
pub use period::Period;
pub use product::{Kind, Product};
pub use stac::{LICENCE_PAGE, catalog_document, collection_document, item_document};

#[cfg(test)]
mod tests;
