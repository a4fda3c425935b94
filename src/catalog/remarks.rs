//! What we add to the service's records: why an item is not offered, and what the service offers no more.
//!
//! Everything we add to a record has a name that begins with `clmsfs:`; the rest stays as the service gave it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::clms::{DatasetRecord, DatasetUid, FileId};

use super::dataset::HiddenFile;
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

/// Adds to the fresh `records` what the service has withdrawn since `old` and `is_ready` still finds in the cache:
/// whoever works with a product keeps it until it is evicted.
///
/// # Errors
/// When a record of `old` cannot be read any more.
pub(super) fn keep_ready(
    records: &mut Vec<DatasetRecord>,
    old: &Catalog,
    is_ready: &dyn Fn(Product<'_>) -> bool,
) -> std::io::Result<()> {
    let positions: HashMap<DatasetUid, usize> =
        records.iter().enumerate().map(|(position, record)| (record.uid.clone(), position)).collect();
    for dataset in old.datasets() {
        let fresh = positions.get(dataset.uid()).copied();
        let offered: Vec<&FileId> = fresh.map_or(Vec::new(), |position| {
            records[position].files.iter().filter_map(|file| file.id.as_ref()).collect()
        });
        let kept: Vec<FileId> = dataset
            .products()
            .filter(|product| is_ready(*product))
            .map(|product| product.file_id())
            .filter(|id| !offered.contains(&id))
            .collect();
        if kept.is_empty() {
            continue;
        }
        let text = old.metadata_document(dataset)?;
        let mut raw: Value = serde_json::from_slice(&text)?;
        retain_items(&mut raw, &kept);
        let raw = match fresh {
            None => {
                raw[WITHDRAWN] = json!(true);
                raw
            }
            Some(position) => {
                let mut whole = records[position].raw.clone();
                let withdrawn = items_mut(&mut raw).into_iter().flatten().map(|item| {
                    item.insert(WITHDRAWN.to_owned(), json!(true));
                    Value::Object(item.clone())
                });
                let withdrawn: Vec<Value> = withdrawn.collect();
                list_mut(&mut whole).extend(withdrawn);
                whole
            }
        };
        let Ok(record) = DatasetRecord::from_json(raw) else { continue };
        tracing::info!(dataset = %dataset.name(), products = kept.len(), "withdrawn by the service, kept while it is in the cache");
        match fresh {
            None => records.push(record),
            Some(position) => records[position] = record,
        }
    }
    Ok(())
}

/// The list of items of a record; made when it is not there.
fn list_mut(raw: &mut Value) -> &mut Vec<Value> {
    let files = &mut raw["downloadable_files"];
    if !files.is_object() {
        *files = json!({});
    }
    let items = &mut files["items"];
    if !items.is_array() {
        *items = json!([]);
    }
    items.as_array_mut().expect("just made an array")
}

/// The items that are objects, in their order: those that [`DatasetRecord::files`] speaks of.
fn items_mut(raw: &mut Value) -> Option<impl Iterator<Item = &mut Map<String, Value>>> {
    let items = raw.get_mut("downloadable_files")?.get_mut("items")?.as_array_mut()?;
    Some(items.iter_mut().filter_map(Value::as_object_mut))
}

fn retain_items(raw: &mut Value, ids: &[FileId]) {
    list_mut(raw)
        .retain(|item| item.get("@id").and_then(FileId::from_json).is_some_and(|id| ids.contains(&id)));
}
