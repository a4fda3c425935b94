//! Finds products by the words people remember.

use super::{Catalog, Product};

impl Catalog {
    /// Products in whose name, dataset name or dataset title every word of `text` occurs, whatever the case.
    pub fn search(&self, text: &str) -> impl Iterator<Item = Product<'_>> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        self.datasets().iter().flat_map(|dataset| dataset.products()).filter(move |product| {
            let dataset = product.dataset();
            let hay = format!("{} {} {}", product.name(), dataset.name(), dataset.title()).to_lowercase();
            words.iter().all(|word| hay.contains(word.as_str()))
        })
    }
}
