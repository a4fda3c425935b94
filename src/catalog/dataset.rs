//! A dataset as the tree shows it.

use std::sync::OnceLock;

use jiff::Timestamp;

use crate::clms::{BoundingBox, DatasetUid, FileId};

use super::names::DatasetName;
use super::period::Period;
use super::product::{Product, Products};
use super::stac::collection_document;

/// Why an item of `downloadable_files` is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenReason {
    /// It has no id, so nothing can be ordered by it.
    NoId,
    /// It has no path: a placeholder. The service would answer "the FileID is not valid".
    NoPath,
    /// It has no source: likewise.
    NoSource,
    /// Another item of the dataset has the same id.
    SameId,
}

impl HiddenReason {
    /// The reason for a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoId => "it has no id",
            Self::NoPath => "it is a placeholder without a file",
            Self::NoSource => "it has no source to order it from",
            Self::SameId => "another item has the same id",
        }
    }
}

/// An item that is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenFile {
    /// Its name as the service has it, or empty.
    pub raw_name: String,
    /// Its id.
    pub id: Option<FileId>,
    /// Why it is hidden.
    pub reason: HiddenReason,
    /// Its place among the record's files.
    pub(super) position: usize,
}

/// A dataset that offers at least one product.
#[derive(Debug)]
pub struct Dataset {
    pub(super) name: DatasetName,
    pub(super) uid: DatasetUid,
    pub(super) title: Box<str>,
    pub(super) description: Box<str>,
    pub(super) published: Timestamp,
    pub(super) modified: Option<Timestamp>,
    pub(super) period: Period,
    pub(super) boxes: Box<[BoundingBox]>,
    pub(super) keywords: Box<[Box<str>]>,
    pub(super) projection: Option<Box<str>>,
    pub(super) access: Option<Box<str>>,
    pub(super) products: Products,
    pub(super) hidden: Box<[HiddenFile]>,
    /// Number of its raw record.
    pub(super) record: u32,
    /// Length of its `collection.json`, once somebody has asked.
    pub(super) collection_size: OnceLock<usize>,
}

impl Dataset {
    /// Name of its directory.
    pub fn name(&self) -> &DatasetName {
        &self.name
    }

    /// What an order names.
    pub fn uid(&self) -> &DatasetUid {
        &self.uid
    }

    /// Title, or empty.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Description, or empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// When it was published; serves as the mtime of everything below it. Never "now": the record's dates, or a
    /// fixed day when it has none.
    pub fn published(&self) -> Timestamp {
        self.published
    }

    /// When its record was last edited.
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// The time it is about.
    pub fn period(&self) -> Period {
        self.period
    }

    /// Where it is, in degrees; may be several boxes or none.
    pub fn boxes(&self) -> &[BoundingBox] {
        &self.boxes
    }

    /// Keywords in the record's order.
    pub fn keywords(&self) -> impl ExactSizeIterator<Item = &str> {
        self.keywords.iter().map(|word| &**word)
    }

    /// Free text about its coordinate reference systems.
    pub fn projection(&self) -> Option<&str> {
        self.projection.as_deref()
    }

    /// Free text about limitations of access.
    pub fn access(&self) -> Option<&str> {
        self.access.as_deref()
    }

    /// Length of its `collection.json` in bytes; made once, for every listing asks for it.
    pub fn collection_size(&self) -> usize {
        *self.collection_size.get_or_init(|| collection_document(self).len())
    }

    /// Its products, sorted by name.
    pub fn products(&self) -> impl ExactSizeIterator<Item = Product<'_>> {
        (0..self.products.len())
            .map(|position| Product::at(self, position).expect("positions below the length exist"))
    }

    /// A product by its safe name.
    pub fn product(&self, name: &str) -> Option<Product<'_>> {
        Product::at(self, self.products.position(name)?)
    }

    /// A product by the name the service (and xcube) uses, or by its safe name.
    pub fn product_by_raw_name(&self, name: &str) -> Option<Product<'_>> {
        self.product(name).or_else(|| {
            let trimmed = name.trim();
            self.products().find(|product| product.raw_name().trim() == trimmed)
        })
    }

    /// Items of its record that are not offered, with the reasons.
    pub fn hidden(&self) -> &[HiddenFile] {
        &self.hidden
    }
}
