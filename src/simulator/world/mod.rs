//! The catalogue behind the service: families, datasets, and what the packages contain.

mod builder;
mod folder;
mod object;
mod sample;
mod sample_more;
mod synthetic;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use object::{full, site, summary};
use synthetic::Synthetic;

use super::package::Recipe;

pub use folder::FolderError;

/// A catalogue that can be served.
///
/// Two come with the crate ([`World::sample`] and the synthetic one of a scenario's `generate`); others are read
/// with [`World::from_json`].
#[derive(Debug, Default)]
pub struct World {
    families: HashMap<String, String>,
    datasets: Vec<Dataset>,
    by_uid: HashMap<String, usize>,
    by_path: HashMap<String, usize>,
    recipes: HashMap<String, Arc<Recipe>>,
    synthetic: Option<Synthetic>,
}

/// One dataset: where it is and what differs from a new, empty object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dataset {
    /// Path below the site, `en/products/<family>/<id>`.
    pub(crate) path: String,
    /// 32 hex digits.
    pub(crate) uid: String,
    pub(crate) title: String,
    pub(crate) description: String,
    /// Not to be seen without editor's rights.
    #[serde(default)]
    pub(crate) private: bool,
    /// Fields of the full object that differ from the template.
    pub(crate) fields: Map<String, Value>,
}

/// A pre-packaged file that can be ordered.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// The product's name as a client would call it.
    pub(crate) name: String,
    /// Windows path on the producer's file server.
    pub(crate) path: String,
    /// `EEA` in practice.
    pub(crate) source: String,
    /// What the zip holds.
    pub(crate) recipe: Arc<Recipe>,
}

/// A world that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the world cannot be understood: {0}")]
pub struct WorldError(#[from] serde_json::Error);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    families: HashMap<String, String>,
    datasets: Vec<Dataset>,
}

impl World {
    /// Reads `{"families": {path: title}, "datasets": [{path, uid, title, description, private?, fields}]}`.
    ///
    /// `fields` holds what differs from an empty object, in the wire's own form. Packages get generic content.
    ///
    /// # Errors
    /// [`WorldError`] says where the JSON is not of that shape.
    pub fn from_json(text: &str) -> Result<Self, WorldError> {
        let file: File = serde_json::from_str(text)?;
        let mut world = Self { families: file.families, ..Self::default() };
        for dataset in file.datasets {
            world.add(dataset);
        }
        Ok(world)
    }

    fn add(&mut self, dataset: Dataset) {
        let index = self.datasets.len();
        self.by_uid.insert(dataset.uid.clone(), index);
        self.by_path.insert(dataset.path.clone(), index);
        self.datasets.push(dataset);
    }

    fn family(&mut self, path: &str, title: &str) {
        self.families.insert(path.to_owned(), title.to_owned());
    }

    /// Number of datasets, private ones included.
    pub fn len(&self) -> usize {
        self.datasets.len() + self.synthetic.as_ref().map_or(0, Synthetic::len)
    }

    /// Whether there is no dataset.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dataset at a position below [`World::len`]; synthetic ones are made on the spot.
    pub(crate) fn dataset(&self, index: usize) -> Cow<'_, Dataset> {
        match (self.datasets.get(index), &self.synthetic) {
            (Some(dataset), _) => Cow::Borrowed(dataset),
            (None, Some(synthetic)) => Cow::Owned(synthetic.dataset(index - self.datasets.len())),
            (None, None) => unreachable!("index {index} comes from below len()"),
        }
    }

    /// What a search looks at: title, description and path, without building the products.
    pub(crate) fn heading(&self, index: usize) -> Cow<'_, Dataset> {
        match (self.datasets.get(index), &self.synthetic) {
            (None, Some(synthetic)) => Cow::Owned(synthetic.heading(index - self.datasets.len())),
            _ => self.dataset(index),
        }
    }

    /// The visible dataset with this UID.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Cow<'_, Dataset>> {
        let index = self.by_uid.get(uid).copied().or_else(|| {
            self.synthetic.as_ref()?.index_of_uid(uid).map(|index| self.datasets.len() + index)
        })?;
        Some(self.dataset(index)).filter(|dataset| !dataset.private)
    }

    /// The dataset at this path, visible or not.
    pub(crate) fn by_path(&self, path: &str) -> Option<Cow<'_, Dataset>> {
        let index = self.by_path.get(path).copied().or_else(|| {
            self.synthetic.as_ref()?.index_of_path(path).map(|index| self.datasets.len() + index)
        })?;
        Some(self.dataset(index))
    }

    /// Title of the family at this path; its name if nobody gave it one.
    pub(crate) fn family_title<'a>(&'a self, path: &'a str) -> &'a str {
        self.families.get(path).map_or_else(|| last_part(path), String::as_str)
    }

    /// The package with this FileID, if it can be ordered: `path` and `source` must be there.
    pub(crate) fn package(&self, dataset: &Dataset, file_id: &str) -> Option<Package> {
        let item = items(dataset, "downloadable_files")
            .iter()
            .find(|item| item.get("@id").and_then(Value::as_str) == Some(file_id))?;
        let path = word(item.get("path")).filter(|path| !path.is_empty())?;
        let source = word(item.get("source")).filter(|source| !source.is_empty())?;
        let recipe = self.recipes.get(file_id).cloned().unwrap_or_default();
        Some(Package { name: product_name(item), path, source, recipe })
    }
}

/// The name a client gives an item: `file`, else `title`, else `area`, else the file name of `path`.
pub(crate) fn product_name(item: &Value) -> String {
    ["file", "title", "area"]
        .into_iter()
        .filter_map(|key| word(item.get(key)))
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| package_stem(&word(item.get("path")).unwrap_or_default()).to_owned())
}

/// `u2018_x` of `H:\Corine\u2018_x.zip`.
pub(crate) fn package_stem(path: &str) -> &str {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
    match name.len().checked_sub(4).map(|at| name.split_at_checked(at)) {
        Some(Some((stem, ending))) if ending.eq_ignore_ascii_case(".zip") => stem,
        _ => name,
    }
}

/// The items of a mixed field.
pub(crate) fn items<'a>(dataset: &'a Dataset, field: &str) -> &'a [Value] {
    dataset
        .fields
        .get(field)
        .and_then(|field| field.get("items"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A text that editors stored as a string or as a `{title, token}` choice.
pub(crate) fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Object(choice) => choice.get("token").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    }
}

/// The part after the last `/`.
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The part before the last `/`.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_come_from_file_title_area_or_path() {
        let path = "H:\\x\\raster\\u2018_clc2018_v2020_20u1_raster100m.zip";
        for (item, name) in [
            (json!({ "file": " (SEASON 2) x", "title": "t" }), " (SEASON 2) x"),
            (json!({ "file": "", "title": "t", "area": "a" }), "t"),
            (json!({ "file": null, "area": "a", "path": path }), "a"),
            (json!({ "path": path }), "u2018_clc2018_v2020_20u1_raster100m"),
        ] {
            assert_eq!(product_name(&item), name);
        }
        assert_eq!(package_stem("f/A.ZIP"), "A");
        assert_eq!(package_stem("é"), "é");
    }
}
