//! What we add to the service's records: why an item is not offered, and what the service offers no more.
//!
//! Everything we add to a record has a name that begins with `clmsfs:`; the rest stays as the service gave it.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::clms::{DatasetRecord, DatasetUid, FileId};

use super::dataset::{Dataset, HiddenFile};
use super::index::Catalog;
use super::product::Product;

/// On an item: why it is not offered.
const HIDDEN: &str = "clmsfs:hidden";
/// On an item or a whole record: the service offers it no more, but this cache still has it.
const WITHDRAWN: &str = "clmsfs:withdrawn";

/// The record for `metadata.json`, with the reason on every item that is not offered.
pub(super) fn with_reasons(record: &DatasetRecord, hidden: &[HiddenFile]) -> Value {
    let mut raw = record.raw.clone();
    if !hidden.is_empty() {
        let reasons: HashMap<usize, &HiddenFile> = hidden.iter().map(|file| (file.position, file)).collect();
        for (position, item) in items_mut(&mut raw).into_iter().flatten().enumerate() {
            match reasons.get(&position) {
                Some(file) => item.insert(HIDDEN.to_owned(), json!(file.reason.as_str())),
                None => item.remove(HIDDEN),
            };
        }
    }
    raw
}

/// What the service offered once and the cache still has: whoever works with a product keeps it until it is evicted.
pub(super) struct Withdrawn<'a> {
    old: &'a Catalog,
    /// The datasets with products in use, and these.
    ready: HashMap<&'a DatasetUid, (&'a Dataset, Vec<FileId>)>,
}

impl<'a> Withdrawn<'a> {
    /// Looks which products of `old` are in use; only into datasets that `may_hold` some.
    pub(super) fn new(
        old: &'a Catalog,
        may_hold: &dyn Fn(&Dataset) -> bool,
        is_in_use: &dyn Fn(Product<'_>) -> bool,
    ) -> Self {
        let of = |dataset: &'a Dataset| -> Vec<FileId> {
            dataset
                .products()
                .filter(|product| is_in_use(*product))
                .map(|product| product.file_id())
                .collect()
        };
        let candidates = old.datasets().iter().filter(|dataset| may_hold(dataset));
        let ready = candidates.map(|dataset| (dataset.uid(), (dataset, of(dataset))));
        Self { old, ready: ready.filter(|(_, (_, files))| !files.is_empty()).collect() }
    }

    /// A fresh record, with the items that it has no more and that are in use.
    pub(super) fn added_to(&self, record: DatasetRecord) -> DatasetRecord {
        let Some((dataset, ready)) = self.ready.get(&record.uid) else { return record };
        let offered: HashSet<&FileId> = record.files.iter().filter_map(|file| file.id.as_ref()).collect();
        let gone: Vec<&FileId> = ready.iter().filter(|id| !offered.contains(id)).collect();
        let Some(mut of_old) = self.record(dataset, &gone) else { return record };
        let mut raw = record.raw.clone();
        list_mut(&mut raw).extend(items_mut(&mut of_old).into_iter().flatten().map(|item| {
            item.insert(WITHDRAWN.to_owned(), json!(true));
            Value::Object(item.clone())
        }));
        DatasetRecord::from_json(raw).unwrap_or(record)
    }

    /// The records of the datasets that are not among the `fresh` ones, with the items that are ready.
    pub(super) fn missing_from(&self, fresh: &HashSet<DatasetUid>) -> Vec<DatasetRecord> {
        let missing = self.ready.iter().filter(|(uid, _)| !fresh.contains(uid));
        missing
            .filter_map(|(_, (dataset, ready))| {
                let mut raw = self.record(dataset, &ready.iter().collect::<Vec<_>>())?;
                raw[WITHDRAWN] = json!(true);
                DatasetRecord::from_json(raw).ok()
            })
            .collect()
    }

    /// The old records of all datasets that are not among the `fresh` ones, as they were.
    pub(super) fn unseen(&self, fresh: &HashSet<DatasetUid>) -> Vec<DatasetRecord> {
        let unseen = self.old.datasets().iter().filter(|dataset| !fresh.contains(dataset.uid()));
        unseen.filter_map(|dataset| DatasetRecord::from_json(self.whole_record(dataset)?).ok()).collect()
    }

    /// The old record of a dataset.
    fn whole_record(&self, dataset: &Dataset) -> Option<Value> {
        let text = self.old.metadata_document(dataset).and_then(|text| Ok(serde_json::from_slice(&text)?));
        text.inspect_err(|error| {
            tracing::warn!(dataset = %dataset.name(), %error, "what the service shows no more of it is not kept");
        })
        .ok()
    }

    /// The old record of a dataset with these items only; `None` without any.
    fn record(&self, dataset: &Dataset, items: &[&FileId]) -> Option<Value> {
        if items.is_empty() {
            return None;
        }
        let mut raw = self.whole_record(dataset)?;
        tracing::info!(dataset = %dataset.name(), products = items.len(), "withdrawn, kept while it is in the cache");
        list_mut(&mut raw).retain(|item| {
            item.get("@id").and_then(FileId::from_json).is_some_and(|id| items.contains(&&id))
        });
        Some(raw)
    }
}

/// The list of items of a record, in any of the shapes in which the service gives it; made when it is not there.
fn list_mut(raw: &mut Value) -> &mut Vec<Value> {
    let files = &mut raw["downloadable_files"];
    let list = if files.is_array() {
        files
    } else {
        if !files.is_object() {
            *files = json!({});
        }
        &mut files["items"]
    };
    if !list.is_array() {
        let items = list.take();
        *list = match items {
            Value::Object(items) if items.values().all(Value::is_object) => {
                items.into_iter().map(|(_, item)| item).collect()
            }
            single @ Value::Object(_) => json!([single]),
            _ => json!([]),
        };
    }
    list.as_array_mut().expect("just made an array")
}

/// The items that are objects, in their order: those that [`DatasetRecord::files`] speaks of.
fn items_mut(raw: &mut Value) -> Option<impl Iterator<Item = &mut Map<String, Value>>> {
    let files = raw.get_mut("downloadable_files")?;
    let list = if files.is_array() { files } else { files.get_mut("items")? };
    let is_single = list.as_object().is_some_and(|keyed| !keyed.values().all(Value::is_object));
    let items: Vec<&mut Value> = match list {
        single if is_single => vec![single],
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(items) => items.values_mut().collect(),
        _ => return None,
    };
    Some(items.into_iter().filter_map(Value::as_object_mut))
}
