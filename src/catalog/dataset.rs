//! A dataset as the tree shows it.

use std::io;
use std::sync::{Arc, LazyLock, OnceLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clms::{BoundingBox, DatasetRecord, DatasetUid, FileId};

use super::contents::Contents;
use super::heading::Heading;
use super::names::DatasetName;
use super::period::Period;
use super::product::{Product, Products};
use super::records::RawRecords;
use super::stac::collection_document;

/// Why an item of `downloadable_files` is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
///
/// Its name, title, date and number of products are always in memory; the rest is unpacked from its record at the
/// first question for it.
#[derive(Debug)]
pub struct Dataset {
    name: DatasetName,
    uid: DatasetUid,
    title: Box<str>,
    published: Timestamp,
    product_count: usize,
    records: Arc<RawRecords>,
    /// Number of its record.
    pub(super) record: u32,
    contents: OnceLock<Contents>,
    /// Length of its `collection.json`, once somebody has asked.
    collection_size: OnceLock<usize>,
}

/// Stands for what cannot be read.
static NOTHING: LazyLock<Contents> = LazyLock::new(Contents::default);

impl Dataset {
    /// The dataset of record number `record`, under a name that it alone has.
    pub(super) fn new(heading: &Heading, name: &str, record: u32, records: Arc<RawRecords>) -> Self {
        Self {
            name: DatasetName::assigned(name),
            uid: heading.uid.clone(),
            title: heading.title.clone(),
            published: heading.published,
            product_count: heading.products as usize,
            records,
            record,
            contents: OnceLock::new(),
            collection_size: OnceLock::new(),
        }
    }

    /// Unpacks its record now. Who must tell "it holds nothing" from "it cannot be read" asks this first; every
    /// other call takes what cannot be read for nothing (and logs it).
    ///
    /// # Errors
    /// When the snapshot cannot be read any more.
    pub fn load(&self) -> io::Result<()> {
        self.read().map(drop)
    }

    fn read(&self) -> io::Result<&Contents> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let record = serde_json::from_slice(&self.records.text(self.record)?)?;
        let record = DatasetRecord::from_json(record).map_err(|error| invalid(error.to_string()))?;
        Ok(self.contents.get_or_init(|| Contents::of(&record)))
    }

    /// Whether its record is in memory.
    pub(super) fn is_unpacked(&self) -> bool {
        self.contents.get().is_some()
    }

    fn contents(&self) -> &Contents {
        self.read().unwrap_or_else(|error| {
            tracing::error!(dataset = %self.name, %error, "its record cannot be read");
            &NOTHING
        })
    }

    /// How many products it has, known without unpacking its record.
    pub fn product_count(&self) -> usize {
        self.product_count
    }

    pub(super) fn rows(&self) -> &Products {
        &self.contents().products
    }

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
        &self.contents().description
    }

    /// When it was published; serves as the mtime of everything below it. Never "now": the record's dates, or a
    /// fixed day when it has none.
    pub fn published(&self) -> Timestamp {
        self.published
    }

    /// When its record was last edited.
    pub fn modified(&self) -> Option<Timestamp> {
        self.contents().modified
    }

    /// The time it is about.
    pub fn period(&self) -> Period {
        self.contents().period
    }

    /// Where it is, in degrees; may be several boxes or none.
    pub fn boxes(&self) -> &[BoundingBox] {
        &self.contents().boxes
    }

    /// Keywords in the record's order.
    pub fn keywords(&self) -> impl ExactSizeIterator<Item = &str> {
        self.contents().keywords.iter().map(|word| &**word)
    }

    /// Free text about its coordinate reference systems.
    pub fn projection(&self) -> Option<&str> {
        self.contents().projection.as_deref()
    }

    /// Free text about limitations of access.
    pub fn access(&self) -> Option<&str> {
        self.contents().access.as_deref()
    }

    /// Length of its `collection.json` in bytes; made once, for every listing asks for it.
    pub fn collection_size(&self) -> usize {
        *self.collection_size.get_or_init(|| collection_document(self).len())
    }

    /// Its products, sorted by name.
    pub fn products(&self) -> impl ExactSizeIterator<Item = Product<'_>> {
        (0..self.rows().len())
            .map(|position| Product::at(self, position).expect("positions below the length exist"))
    }

    /// A product by its safe name.
    pub fn product(&self, name: &str) -> Option<Product<'_>> {
        Product::at(self, self.rows().position(name)?)
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
        &self.contents().hidden
    }
}
