//! `user.clmsfs.*`: what a product is doing, on every dataset, product and file.

use crate::fetch::state::{ProductState, Progress};

use super::Vfs;
use super::error::VfsError;
use super::node::{Node, ProductPath};
use super::tree::entry_key;

const PREFIX: &str = "user.clmsfs.";
/// Attributes of products and of everything in them.
const PRODUCT: [&str; 8] = ["state", "progress", "eta", "task_id", "error", "data_id", "pinned", "size"];
/// Attributes of datasets.
const DATASET: [&str; 3] = ["state", "data_id", "products"];

impl Vfs {
    /// Names of the attributes that have a value now.
    ///
    /// # Errors
    /// [`VfsError::NotFound`].
    pub fn list_xattrs(&self, node: &Node) -> Result<Vec<String>, VfsError> {
        let names: &[&str] = match node {
            Node::Dataset(_) | Node::DatasetFile(..) => &DATASET,
            node if node.product().is_some() => &PRODUCT,
            _ => &[],
        };
        Ok(names
            .iter()
            .map(|name| format!("{PREFIX}{name}"))
            .filter(|name| self.xattr(node, name).is_ok())
            .collect())
    }

    /// Value of an attribute.
    ///
    /// # Errors
    /// [`VfsError::NoAttribute`] when it is unknown or has no value now; [`VfsError::NoSuchNamespace`] for labels and
    /// access control lists: `ls -l` asks for three of them per name and stops at that answer, which saves more than
    /// half of all its calls.
    pub fn xattr(&self, node: &Node, name: &str) -> Result<String, VfsError> {
        let name = match name.strip_prefix(PREFIX) {
            Some(name) => name,
            None if name.starts_with("user.") => return Err(VfsError::NoAttribute),
            None => return Err(VfsError::NoSuchNamespace),
        };
        let value = match node {
            Node::Dataset(dataset) | Node::DatasetFile(dataset, _) => {
                self.dataset_attribute(dataset, name)?
            }
            node => match node.product() {
                Some(product) => self.product_attribute(product, name)?,
                None => None,
            },
        };
        value.ok_or(VfsError::NoAttribute)
    }

    fn dataset_attribute(&self, name: &str, attribute: &str) -> Result<Option<String>, VfsError> {
        let catalog = self.catalog();
        let dataset = catalog.dataset(name).ok_or(VfsError::NotFound)?;
        let states = || dataset.products().map(|product| self.engine.product_state(&entry_key(product)));
        Ok(match attribute {
            "data_id" => Some(dataset.uid().to_string()),
            "products" => Some(dataset.product_count().to_string()),
            // the most advanced of its products: a dataset with one ready product has something to read
            "state" => {
                let state = states().max_by_key(|state| match state {
                    ProductState::Cold => 0,
                    ProductState::Failed => 1,
                    ProductState::Ready => 3,
                    _ => 2,
                });
                state.map(|state| state.to_string())
            }
            _ => None,
        })
    }

    fn product_attribute(&self, path: &ProductPath, attribute: &str) -> Result<Option<String>, VfsError> {
        let catalog = self.catalog();
        let product = Self::find(&catalog, path)?;
        let key = entry_key(product);
        let progress = || self.engine.progress(&key);
        Ok(match attribute {
            "state" => Some(self.engine.product_state(&key).to_string()),
            "progress" => percent(&progress()),
            "eta" => progress().eta.map(|seconds| format!("{seconds} s")),
            "task_id" => progress().task,
            "error" => progress().error,
            "data_id" => Some(format!("{}/{}", product.dataset().uid(), product.file_id())),
            "pinned" => Some(u8::from(self.engine.inventory().is_pinned(&key)).to_string()),
            "size" => self
                .engine
                .inventory()
                .size(&key)
                .or_else(|| product.declared_size())
                .map(|bytes| bytes.to_string()),
            _ => None,
        })
    }

    /// Sets an attribute: only `user.clmsfs.pinned` (`1` or `0`) can be set.
    ///
    /// # Errors
    /// [`VfsError::ReadOnly`] for every other attribute, [`VfsError::BadValue`], [`VfsError::Local`].
    pub fn set_xattr(&self, node: &Node, name: &str, value: &[u8]) -> Result<(), VfsError> {
        let (Some("pinned"), Some(path)) = (name.strip_prefix(PREFIX), node.product()) else {
            return Err(VfsError::ReadOnly);
        };
        let pinned = match value {
            b"1" | b"true" | b"yes" => true,
            b"0" | b"false" | b"no" | b"" => false,
            _ => return Err(VfsError::BadValue("pinned is 1 or 0".to_owned())),
        };
        let catalog = self.catalog();
        let product = Self::find(&catalog, path)?;
        self.engine
            .pin(&entry_key(product), &path.to_string(), pinned)
            .map_err(|error| VfsError::Local(error.to_string()))
    }
}

/// Progress as users see it: `42 %`.
fn percent(progress: &Progress) -> Option<String> {
    match progress.state {
        ProductState::Ready => Some("100 %".to_owned()),
        _ => progress.fraction.map(|fraction| format!("{:.0} %", fraction * 100.0)),
    }
}
