//! A catalogue of any size that is computed, never stored: ids hold their own index.

use serde_json::{Value, json};

use super::{Dataset, World};
use crate::simulator::scenario::Generate;

/// First half of every synthetic UID.
const MARK: &str = "5e7b0e1c0a11d5e7";
const FAMILY: &str = "en/products/synthetic";

/// The computed datasets of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Synthetic {
    datasets: u32,
    products: u32,
}

impl World {
    /// A catalogue of `datasets` times `products`, made on demand; its packages have generic content.
    pub fn synthetic(size: Generate) -> Self {
        let mut world = Self {
            synthetic: Some(Synthetic { datasets: size.datasets, products: size.products }),
            ..Self::default()
        };
        world.family(FAMILY, "Synthetic");
        world
    }
}

impl Synthetic {
    pub(crate) fn len(&self) -> usize {
        self.datasets as usize
    }

    pub(crate) fn index_of_uid(&self, uid: &str) -> Option<usize> {
        let index = usize::from_str_radix(uid.strip_prefix(MARK)?, 16).ok()?;
        (index < self.len() && uid.len() == 32).then_some(index)
    }

    pub(crate) fn index_of_path(&self, path: &str) -> Option<usize> {
        let digits = path.strip_prefix(FAMILY)?.strip_prefix("/dataset-")?;
        let index = digits.parse().ok()?;
        (index < self.len() && digits.len() == 5).then_some(index)
    }

    pub(crate) fn heading(&self, index: usize) -> Dataset {
        Dataset {
            path: format!("{FAMILY}/dataset-{index:05}"),
            uid: format!("{MARK}{index:016x}"),
            title: format!("Synthetic dataset {index:05} (raster 100 m), Europe, yearly"),
            description: format!("Provides synthetic dataset {index:05}"),
            private: false,
            fields: serde_json::Map::new(),
        }
    }

    pub(crate) fn dataset(&self, index: usize) -> Dataset {
        let mut dataset = self.heading(index);
        let items: Vec<Value> = (0..self.products).map(|product| item(index, product)).collect();
        dataset.fields.insert("downloadable_files".to_owned(), json!({ "items": items }));
        dataset.fields.insert("modified".to_owned(), json!("2024-03-01T10:00:00+00:00"));
        dataset
    }
}

fn item(dataset: usize, product: u32) -> Value {
    let name = format!("SYN_{dataset:05}_{product:03}_100m_eu_03035_v010");
    json!({
        "@id": format!("5e7b0e1c-{:04x}-4a11-8{:03x}-{:012x}", product >> 12 & 0xffff, product & 0xfff, dataset),
        "area": "Europe", "file": name, "format": "Geotiff", "path": format!("H:\\SYN\\{name}.zip"),
        "resolution": "100 m", "size": "", "source": "EEA", "title": "", "type": "Raster", "version": "v010",
        "year": "2023",
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_id_leads_back_to_its_dataset() {
        let world = World::synthetic(Generate { datasets: 10_000, products: 100 });
        assert_eq!(world.len(), 10_000);
        let dataset = world.dataset(9_999).into_owned();
        assert_eq!(world.by_uid(&dataset.uid).unwrap().path, dataset.path);
        assert_eq!(world.by_path(&dataset.path).unwrap().uid, dataset.uid);
        let id = super::super::items(&dataset, "downloadable_files")[99]["@id"].as_str().unwrap().to_owned();
        assert_eq!(world.package(&dataset, &id).unwrap().name, "SYN_09999_099_100m_eu_03035_v010");
        assert!(world.by_uid("5e7b0e1c0a11d5e7000000000000ffff").is_none());
    }
}
