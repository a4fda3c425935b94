//! The catalogue: immutable, shared in an `Arc`, quick to look things up in.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::clms::{Client, Coverage, DatasetRecord, DatasetUid, FileId};

use super::contents::hidden;
use super::dataset::{Dataset, HiddenReason};
use super::error::CatalogError;
use super::heading::Heading;
use super::names::{self, RESERVED_IN_ROOT};
use super::product::{IdKey, Product};
use super::records::RawRecords;
use super::remarks::{Withdrawn, with_reasons};

/// A dataset of the service that is not in the tree, because it offers nothing that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its short name, made safe (not made unique).
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its UID.
    pub uid: DatasetUid,
    /// Why its first item is hidden; `None` when it has no items.
    pub reason: Option<HiddenReason>,
}

/// All datasets that offer something, by name, and their products.
#[derive(Debug)]
pub struct Catalog {
    datasets: Vec<Dataset>,
    left_out: Vec<LeftOut>,
    products: usize,
    /// (dataset, product) sorted by file id; made when somebody first names a product by its id alone.
    by_file: OnceLock<Box<[(u32, u32)]>>,
    pub(super) records: Arc<RawRecords>,
    /// By record number.
    pub(super) headings: Vec<Heading>,
    fetched: Timestamp,
}

/// A catalogue in the making: takes records one after another and keeps little of each.
#[derive(Default)]
struct Gathering {
    headings: Vec<Heading>,
    raw: RawRecords,
}

impl Gathering {
    fn add(&mut self, record: &DatasetRecord) -> Result<(), CatalogError> {
        let text = super::stac::pretty(&with_reasons(record, &hidden(record)));
        let failed =
            |source| CatalogError::Io { path: record.short_name.clone().into(), verb: "compressed", source };
        self.raw.push(&text).map_err(failed)?;
        self.headings.push(Heading::of(record));
        Ok(())
    }

    fn finish(self, fetched: Timestamp) -> Result<Catalog, CatalogError> {
        if self.raw.frames().is_empty() {
            return Err(CatalogError::Empty);
        }
        Ok(Catalog::new(self.headings, self.raw, fetched))
    }
}

impl Catalog {
    /// Builds a catalogue from the service's records, fetched at `fetched`.
    ///
    /// # Errors
    /// [`CatalogError::Empty`] without records, [`CatalogError::Io`] when a record cannot be compressed.
    pub fn from_records(
        records: impl IntoIterator<Item = DatasetRecord>,
        fetched: Timestamp,
    ) -> Result<Self, CatalogError> {
        let mut gathering = Gathering::default();
        for record in records {
            gathering.add(&record)?;
        }
        gathering.finish(fetched)
    }

    /// Fetches a new catalogue. What the service has withdrawn since `old` stays in it as long as it `is_in_use`: in
    /// the cache, or being fetched. `may_hold` says of which datasets nothing can be in use, so that their records stay
    /// packed. When the service shows fewer datasets than it counts, nothing counts as withdrawn.
    ///
    /// # Errors
    /// The failures of [`Client::catalogue`] and of [`Catalog::from_records`].
    pub async fn refresh(
        client: &Client,
        old: Arc<Self>,
        may_hold: impl Fn(&Dataset) -> bool + Send + 'static,
        is_in_use: impl Fn(Product<'_>) -> bool + Send + 'static,
    ) -> Result<Self, CatalogError> {
        let (sender, mut pages) = mpsc::channel::<Vec<DatasetRecord>>(2);
        let before = Arc::clone(&old);
        // Compressing tens of MB takes a while.
        let gathering = tokio::task::spawn_blocking(move || {
            let mut gathering = Gathering::default();
            let withdrawn = Withdrawn::new(&before, &may_hold, &is_in_use);
            let mut seen = HashSet::new();
            while let Some(page) = pages.blocking_recv() {
                for record in page {
                    seen.insert(record.uid.clone());
                    gathering.add(&withdrawn.added_to(record))?;
                }
            }
            Ok::<_, CatalogError>((gathering, seen, may_hold, is_in_use))
        });
        let searched = client.catalogue(sender).await;
        let gathered = gathering.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let coverage = searched?;
        let (mut gathering, seen, may_hold, is_in_use) = gathered?;
        let finished = tokio::task::spawn_blocking(move || {
            let withdrawn = Withdrawn::new(&old, &may_hold, &is_in_use);
            let kept = match coverage {
                Coverage::Complete => withdrawn.missing_from(&seen),
                Coverage::Partial => withdrawn.unseen(&seen),
            };
            for record in kept {
                gathering.add(&record)?;
            }
            gathering.finish(Timestamp::now())
        });
        finished.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// A catalogue without datasets, for a mount that has not reached the service yet.
    pub fn empty() -> Self {
        Self::new(Vec::new(), RawRecords::default(), Timestamp::UNIX_EPOCH)
    }

    /// Names the datasets and sorts them. A heading for each of the records.
    pub(super) fn new(headings: Vec<Heading>, records: RawRecords, fetched: Timestamp) -> Self {
        let records = Arc::new(records);
        let offered = |heading: &Heading| heading.products > 0;
        let candidates: Vec<(String, &DatasetUid)> = headings
            .iter()
            .filter(|heading| offered(heading))
            .map(|heading| (heading.name.clone(), &heading.uid))
            .collect();
        let numbered = headings.iter().zip(0..).filter(|(heading, _)| offered(heading));
        let mut datasets: Vec<Dataset> = numbered
            .zip(names::assign(&candidates, &RESERVED_IN_ROOT))
            .map(|((heading, number), name)| Dataset::new(heading, &name, number, Arc::clone(&records)))
            .collect();
        datasets.sort_by(|a, b| a.name().cmp(b.name()));
        let mut left_out: Vec<LeftOut> = headings
            .iter()
            .filter(|heading| !offered(heading))
            .map(|heading| LeftOut {
                name: heading.name.clone(),
                title: heading.title.to_string(),
                uid: heading.uid.clone(),
                reason: heading.hidden,
            })
            .collect();
        left_out.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
        let products = datasets.iter().map(Dataset::product_count).sum();
        Self { datasets, left_out, products, by_file: OnceLock::new(), records, headings, fetched }
    }

    /// Unpacks every record; a few microseconds for each product.
    fn by_file(&self) -> &[(u32, u32)] {
        self.by_file.get_or_init(|| {
            let mut by_file: Vec<(u32, u32)> = Vec::with_capacity(self.products);
            for (dataset, number) in self.datasets.iter().zip(0..) {
                by_file.extend((0..dataset.products().len() as u32).map(|product| (number, product)));
            }
            // Stable: of products with the same id the first in the order of names is found.
            by_file.sort_by_key(|entry| self.at(*entry).map(|product| product.id_key()));
            by_file.into()
        })
    }

    fn at(&self, (dataset, product): (u32, u32)) -> Option<Product<'_>> {
        Product::at(self.datasets.get(dataset as usize)?, product as usize)
    }

    /// The datasets, sorted by name.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// Datasets of the service that are not in the tree.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// When the service was asked.
    pub fn fetched(&self) -> Timestamp {
        self.fetched
    }

    /// Number of products in all.
    pub fn product_count(&self) -> usize {
        self.products
    }

    /// Datasets somebody has looked into: their records are in memory.
    pub fn unpacked_count(&self) -> usize {
        self.datasets.iter().filter(|dataset| dataset.is_unpacked()).count()
    }

    /// A dataset by its name.
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        let position = self.datasets.binary_search_by(|dataset| dataset.name().as_str().cmp(name)).ok()?;
        self.datasets.get(position)
    }

    /// A dataset by its UID.
    pub fn dataset_by_uid(&self, uid: &DatasetUid) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.uid() == uid)
    }

    /// A product by the id that orders name. The first call unpacks every record: seconds for a million products.
    pub fn product_by_file(&self, id: &FileId) -> Option<Product<'_>> {
        let key = IdKey::of(id);
        let before = |entry: &(u32, u32)| self.at(*entry).is_some_and(|product| product.id_key() < key);
        let by_file = self.by_file();
        let entry = by_file.get(by_file.partition_point(before))?;
        self.at(*entry).filter(|product| product.id_key() == key)
    }

    /// A product as a person names it: `dataset/product`, a path below the mount that begins so, xcube's
    /// `dataset|file`, or a bare file id.
    pub fn find(&self, text: &str) -> Option<Product<'_>> {
        let text = text.trim().trim_start_matches("./").trim_matches('/');
        // A raw name may hold a slash, a safe one never does: the bar is looked for first, but both may be in names.
        let by_bar = text
            .split_once('|')
            .and_then(|(dataset, file)| self.dataset(dataset.trim())?.product_by_raw_name(file));
        by_bar
            .or_else(|| {
                let mut parts = text.split('/');
                let (dataset, product) = (parts.next()?, parts.next()?);
                self.dataset(dataset)?.product_by_raw_name(product)
            })
            // a path that leads nowhere is no id, and would have every record unpacked
            .or_else(|| self.product_by_file(&FileId::parse(text).filter(|id| !id.as_str().contains('/'))?))
    }

    /// The record of a dataset as the service gave it: the bytes of `metadata.json`.
    ///
    /// # Errors
    /// When the snapshot cannot be read any more or is damaged.
    pub fn metadata_document(&self, dataset: &Dataset) -> std::io::Result<Vec<u8>> {
        self.records.text(dataset.record)
    }

    /// Length of [`Catalog::metadata_document`], known without reading it.
    pub fn metadata_size(&self, dataset: &Dataset) -> u64 {
        self.records.text_length(dataset.record)
    }
}
