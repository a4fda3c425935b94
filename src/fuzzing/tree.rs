//! What must hold of the tree that is made of any catalogue.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::{
    Catalog, Product, RESERVED_IN_DATASET, RESERVED_IN_ROOT, catalog_document, collection_document,
    item_document,
};
use crate::clms::DatasetRecord;
use crate::vfs::tree::{entry_key_prefix, is_served, target};

/// Builds the catalogue of `records` and checks names, keys, documents and sizes.
pub(super) fn check(records: Vec<DatasetRecord>) {
    let fetched = "2026-11-25T00:00:00Z".parse().expect("a time");
    let Ok(catalog) = Catalog::from_records(records, fetched) else { return };
    let catalog = Arc::new(catalog);
    assert!(is_json(&catalog_document(&catalog)));
    let mut names = HashSet::new();
    let mut keys = HashSet::new();
    for dataset in catalog.datasets() {
        let name = dataset.name().as_str();
        assert!(
            is_safe(name) && !RESERVED_IN_ROOT.contains(&name) && names.insert(name.to_owned()),
            "{name:?}"
        );
        assert!(catalog.dataset(name).is_some_and(|found| found.uid() == dataset.uid()), "{name:?}");
        dataset.load().expect("a record that was just packed is unpacked");
        let document = collection_document(dataset);
        assert!(is_json(&document) && document.len() == dataset.collection_size(), "{name:?}");
        let record = catalog.metadata_document(dataset).expect("the record is here");
        assert!(is_json(&record) && record.len() as u64 == catalog.metadata_size(dataset), "{name:?}");
        let mut inside = HashSet::new();
        for product in dataset.products() {
            check_product(&catalog, product, &mut inside);
            let target = target(product);
            assert!(target.key.as_str().starts_with(&entry_key_prefix(dataset)), "{:?}", target.key);
            let id = (dataset.uid().clone(), product.file_id());
            assert!(keys.insert(target.key.clone()), "two products have the key {:?}: {id:?}", target.key);
        }
    }
}

fn check_product(catalog: &Catalog, product: Product<'_>, inside: &mut HashSet<String>) {
    let (dataset, name) = (product.dataset(), product.name());
    assert!(
        is_safe(name) && !RESERVED_IN_DATASET.contains(&name) && inside.insert(name.to_owned()),
        "{name:?}"
    );
    let found = dataset.product(name).expect("a product is found by its name");
    assert_eq!(found.file_id(), product.file_id(), "{name:?}");
    let path = format!("{}/{name}", dataset.name());
    assert!(catalog.find(&path).is_some_and(|found| found.file_id() == product.file_id()), "{path:?}");
    let document = item_document(product, None);
    assert!(is_json(&document) && document.len() == product.cold_item_size(), "{name:?}");
    let _ = is_served(product);
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok()
}

/// A name that a file system bears, with room for an ending.
fn is_safe(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 240
        && !name.contains('/')
        && !name.chars().any(char::is_control)
        && name.trim() == name
}
