//! What a path of the mount means, and the inode number that follows from it.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Inode number; 1 is the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the mount.
    pub const ROOT: Self = Self(1);
}

/// A document at the root of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootFile {
    /// `README.md`.
    Readme,
    /// `catalog.json`.
    Catalog,
}

/// A document of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFile {
    /// `collection.json`.
    Collection,
    /// `metadata.json`.
    Metadata,
}

/// A product by the names the mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProductPath {
    /// Directory of the dataset.
    pub dataset: Arc<str>,
    /// Directory of the product in it.
    pub product: Arc<str>,
}

impl ProductPath {
    /// True when these are the names of its dataset and of itself.
    pub fn is(&self, (dataset, product): (&str, &str)) -> bool {
        *self.dataset == *dataset && *self.product == *product
    }
}

impl fmt::Display for ProductPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dataset, self.product)
    }
}

/// Which of the files that have a name in turn: a product may be replaced by a newer one, and a refresh of the catalogue may
/// give its name to another one. The same name in another edition is another file, with an inode and pages of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Edition {
    /// Stands for the product: a hash of its key.
    pub(super) product: u64,
    /// How often that was replaced ([`Inventory::edition`](crate::store::inventory::Inventory::edition)).
    pub(super) number: u64,
}

impl Edition {
    /// Of directories: they stay what they are.
    pub const NONE: Self = Self { product: 0, number: 0 };
}

/// Everything that can stand at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mount point.
    Root,
    /// A document at the root.
    RootFile(RootFile),
    /// `.clmsfs/`.
    Live,
    /// A file in `.clmsfs/`, by its place in the list of live files.
    LiveFile(usize),
    /// A dataset's directory.
    Dataset(Arc<str>),
    /// A document of a dataset.
    DatasetFile(Arc<str>, DatasetFile),
    /// A product's directory.
    Product(ProductPath),
    /// `item.json` of a product.
    Item(ProductPath),
    /// Something below a product's directory that the product's view explains, and for files the edition it belongs to.
    Inside(ProductPath, Arc<str>, Edition),
}

/// Names of the documents, in one place.
pub(super) const README: &str = "README.md";
pub(super) const CATALOG: &str = "catalog.json";
pub(super) const LIVE: &str = ".clmsfs";
pub(super) const COLLECTION: &str = "collection.json";
pub(super) const METADATA: &str = "metadata.json";
pub(super) const ITEM: &str = "item.json";

impl Node {
    /// The path below the mount, without a leading slash. `live` names the live files.
    pub fn path(&self, live: &[&str]) -> String {
        match self {
            Self::Root => String::new(),
            Self::RootFile(RootFile::Readme) => README.to_owned(),
            Self::RootFile(RootFile::Catalog) => CATALOG.to_owned(),
            Self::Live => LIVE.to_owned(),
            Self::LiveFile(index) => format!("{LIVE}/{}", live.get(*index).unwrap_or(&"")),
            Self::Dataset(dataset) => dataset.to_string(),
            Self::DatasetFile(dataset, DatasetFile::Collection) => format!("{dataset}/{COLLECTION}"),
            Self::DatasetFile(dataset, DatasetFile::Metadata) => format!("{dataset}/{METADATA}"),
            Self::Product(product) => product.to_string(),
            Self::Item(product) => format!("{product}/{ITEM}"),
            Self::Inside(product, path, _) => format!("{product}/{path}"),
        }
    }

    /// The product this node belongs to.
    pub fn product(&self) -> Option<&ProductPath> {
        match self {
            Self::Product(product) | Self::Item(product) | Self::Inside(product, ..) => Some(product),
            _ => None,
        }
    }
}

/// The inode number a path wishes for: a stable hash, the same at every mount and in every release.
pub(super) fn wish(path: &str) -> Ino {
    if path.is_empty() {
        return Ino::ROOT;
    }
    let digest = Sha256::digest(path.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // 0 is no inode and 1 is the root; the top bit stays clear for programs that sign-extend
    Ino((u64::from_le_bytes(first) >> 1).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inode_numbers_never_change() {
        assert_eq!(wish(""), Ino::ROOT);
        // fixed for ever: programs and backups remember inode numbers
        assert_eq!(wish("clc2018"), Ino(0x6b44_92f0_e440_ccff));
        assert_ne!(wish("clc2018/a"), wish("clc2018/b"));
    }
}
