//! Writing datasets of the sample world down with few words.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde_json::{Value, json};

use super::{Dataset, World};
use crate::simulator::package::Recipe;

/// A dataset in the making.
pub(crate) struct Builder {
    dataset: Dataset,
    files: Vec<Value>,
    downloads: Vec<Value>,
    recipes: Vec<(String, Arc<Recipe>)>,
}

/// A dataset at `en/products/<family>/<id>`; its UID follows from the path.
pub(crate) fn dataset(path: &str, title: &str, description: &str) -> Builder {
    Builder {
        dataset: Dataset {
            path: format!("en/products/{path}"),
            uid: hex(path.as_bytes())[..32].to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            private: false,
            fields: serde_json::Map::new(),
        },
        files: Vec::new(),
        downloads: Vec::new(),
        recipes: Vec::new(),
    }
}

impl Builder {
    /// The UID of the real dataset.
    pub(crate) fn uid(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.dataset.uid);
        self
    }

    /// Hidden from everyone but editors.
    pub(crate) fn private(mut self) -> Self {
        self.dataset.private = true;
        self
    }

    /// Sets fields of the object.
    pub(crate) fn fields(mut self, fields: Value) -> Self {
        if let Value::Object(fields) = fields {
            self.dataset.fields.extend(fields);
        }
        self
    }

    /// Years, resolution and keywords, which nearly every dataset states.
    pub(crate) fn facts(self, start: &str, end: &str, resolution: &str, keywords: &[&str]) -> Self {
        self.fields(json!({
            "characteristics_temporal_extent": if start == end { start.to_owned() } else { format!("{start} - {end}") },
            "temporalCoverage": [start],
            "temporalExtentStart": format!("{start}-01-01"),
            "temporalExtentEnd": format!("{end}-12-31"),
            "characteristics_spatial_resolution": resolution,
            "qualitySpatialResolution_line": resolution,
            "keywords": keywords,
        }))
    }

    /// Adds an item of `downloadable_files`; an `@id` that is not given follows from path and position.
    pub(crate) fn package(mut self, item: Value, recipe: Recipe) -> Self {
        let item = self.identified(item, self.files.len(), "file");
        if let Some(id) = item["@id"].as_str() {
            self.recipes.push((id.to_owned(), Arc::new(recipe)));
        }
        self.files.push(item);
        self
    }

    /// Adds the item that datasets without packages carry: every value empty.
    pub(crate) fn placeholder(mut self) -> Self {
        let item = json!({
            "area": "", "format": "", "path": "", "resolution": "", "size": "", "source": "", "title": "",
            "type": "", "version": "", "year": "",
        });
        self.files.push(self.identified(item, self.files.len(), "file"));
        self
    }

    /// Adds an item of `dataset_download_information`.
    pub(crate) fn download(mut self, item: Value) -> Self {
        let item = self.identified(item, self.downloads.len(), "download");
        self.downloads.push(item);
        self
    }

    fn identified(&self, mut item: Value, index: usize, kind: &str) -> Value {
        if item.get("@id").is_none() {
            let hash = hex(format!("{}#{kind}{index}", self.dataset.path).as_bytes());
            item["@id"] = json!(format!(
                "{}-{}-4{}-8{}-{}",
                &hash[..8],
                &hash[8..12],
                &hash[13..16],
                &hash[17..20],
                &hash[20..32]
            ));
        }
        item
    }

    /// Finishes the dataset.
    pub(crate) fn add_to(mut self, world: &mut World) {
        self.dataset.fields.insert("downloadable_files".to_owned(), json!({ "items": self.files }));
        self.dataset
            .fields
            .insert("dataset_download_information".to_owned(), json!({ "items": self.downloads }));
        world.recipes.extend(self.recipes);
        world.add(self.dataset);
    }
}

/// An item in today's form: the name in `file`, the path on the producer's server.
pub(crate) fn raster(folder: &str, file: &str, area: &str, resolution: &str, year: &str) -> Value {
    json!({
        "area": area, "file": file, "format": "Geotiff", "path": format!("H:\\{folder}\\{file}.zip"),
        "resolution": resolution, "size": "", "source": "EEA", "title": "", "type": "Raster", "version": "",
        "year": year, "projection": "EPSG:3035",
    })
}

/// A `{title, token}` choice.
pub(crate) fn choice(token: &str) -> Value {
    json!({ "title": null, "token": token })
}

/// A RichText field.
pub(crate) fn rich_text(html: &str) -> Value {
    json!({ "content-type": "text/html", "data": html, "encoding": "utf-8" })
}

fn hex(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
