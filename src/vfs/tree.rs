//! The tree: which names exist, what stands at them, how large they are. Never the network, never a wait.

use std::borrow::Cow;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::catalog::{self, Catalog, Dataset, Product, collection_document};
use crate::fetch::engine::Target;
use crate::store::layout::EntryKey;
use crate::view::{self, ViewFile};

use super::documents;
use super::error::VfsError;
use super::node::{
    CATALOG, COLLECTION, DatasetFile, Edition, ITEM, Ino, LIVE, METADATA, Node, ProductPath, README, RootFile,
};
use super::open::damaged;
use super::views::Purpose;
use super::{Shown, Vfs};

/// How long the kernel may trust what it was told. It is told of what changes; this is for what it was not told of.
const TRUST: Duration = Duration::from_secs(3600);

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// Attributes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Directory or file.
    pub kind: Kind,
    /// Bytes; 0 for directories and cold files.
    pub size: u64,
    /// Publication of the dataset; of the catalogue for everything else. The nanoseconds of a directory's time tell one state of its
    /// names from another ([`Names`]).
    pub modified: SystemTime,
    /// How long this may be believed.
    pub trust: Duration,
    /// The size may be another one as soon as somebody opens the file: whoever opens it is told anew
    /// ([`Inodes`](super::inodes::Inodes)).
    pub provisional: bool,
}

/// A name in a directory with what stands there.
#[derive(Debug, Clone)]
pub struct Child {
    /// The name.
    pub name: String,
    /// The node.
    pub node: Node,
    /// Directory or file.
    pub kind: Kind,
}

/// Key of a product's entry in the cache: the service's ids, which stay when names change. Two products never have the
/// same one: ids that are not of the usual form are told apart by a hash.
pub fn entry_key(product: Product<'_>) -> EntryKey {
    let file = product.file_id();
    let (dataset, file) = (product.dataset().uid().as_str(), file.as_str());
    let mut text = entry_key_prefix(product.dataset());
    text.push_str(&as_key(file));
    if !is_usual(dataset) || !is_usual(file) {
        let digest = Sha256::digest(format!("{dataset}\0{file}"));
        // ids have at most 128 characters, cleaned ones as many bytes, and a key has 200
        text.truncate(167);
        text.push('-');
        text.extend(digest[..16].iter().map(|byte| format!("{byte:02x}")));
    }
    EntryKey::new(text).expect("an id of the service, cleaned and cut, is a safe key")
}

/// True for ids as the service makes them: 32 digits, or 36 with dashes.
fn is_usual(id: &str) -> bool {
    matches!(id.len(), 32 | 36) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// How the keys of all products of a dataset begin.
pub fn entry_key_prefix(dataset: &Dataset) -> String {
    let text = format!("{}-", as_key(dataset.uid().as_str()));
    text.trim_start_matches('.').to_owned()
}

/// An id with nothing in it that a key must not have.
fn as_key(id: &str) -> Cow<'_, str> {
    let is_clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if id.chars().all(is_clean) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.chars().map(|c| if is_clean(c) { c } else { '_' }).collect())
}

/// What the engine needs to fetch a product.
pub fn target(product: Product<'_>) -> Target {
    let dataset = product.dataset();
    Target {
        key: entry_key(product),
        dataset: dataset.uid().clone(),
        file: product.file_id(),
        path: format!("{}/{}", dataset.name(), product.name()),
        product: product.name().to_string(),
        declared: product.declared_size(),
    }
}

/// Which names a directory has. The kernel keeps the names it has read, and asks for them anew when the directory's time is
/// not the one that it had before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names {
    /// Counts the catalogues that were shown.
    serial: u64,
    /// Publication of the entry that the names are of, 0 for those of a cold product.
    generation: u64,
}

impl Names {
    /// A time with these names in its nanoseconds. Names that follow each other get different ones.
    fn stamp(self, modified: SystemTime) -> SystemTime {
        const CATALOGUES: u64 = 1024;
        let number = self.generation.wrapping_mul(CATALOGUES).wrapping_add(self.serial % CATALOGUES);
        modified + Duration::from_nanos(number % 1_000_000_000)
    }
}

impl Vfs {
    /// The product of a path in the present catalogue.
    pub(super) fn find<'a>(catalog: &'a Catalog, path: &ProductPath) -> Result<Product<'a>, VfsError> {
        Self::dataset(catalog, &path.dataset)?.product(&path.product).ok_or(VfsError::NotFound)
    }

    /// A dataset whose products are asked for. That its record cannot be read is EIO, not "no products".
    pub(super) fn dataset<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Dataset, VfsError> {
        let dataset = catalog.dataset(name).ok_or(VfsError::NotFound)?;
        dataset.load().map_err(|error| VfsError::Local(format!("{name}: {error}")))?;
        Ok(dataset)
    }

    /// The node `name` in the directory `parent`.
    ///
    /// # Errors
    /// [`VfsError::NotFound`] and [`VfsError::NotADirectory`].
    pub fn child(&self, parent: &Node, name: &str) -> Result<Node, VfsError> {
        let catalog = self.catalog();
        match parent {
            Node::Root => match name {
                README => Ok(Node::RootFile(RootFile::Readme)),
                CATALOG => Ok(Node::RootFile(RootFile::Catalog)),
                LIVE => Ok(Node::Live),
                _ => catalog
                    .dataset(name)
                    .map(|dataset| Node::Dataset(Arc::from(dataset.name().as_str())))
                    .ok_or(VfsError::NotFound),
            },
            Node::Live => {
                let index = self.live.iter().position(|file| file.name == name).ok_or(VfsError::NotFound)?;
                Ok(Node::LiveFile(index))
            }
            Node::Dataset(dataset_name) => {
                let dataset = Self::dataset(&catalog, dataset_name)?;
                match name {
                    COLLECTION => Ok(Node::DatasetFile(Arc::clone(dataset_name), DatasetFile::Collection)),
                    METADATA => Ok(Node::DatasetFile(Arc::clone(dataset_name), DatasetFile::Metadata)),
                    _ => dataset
                        .product(name)
                        .map(|product| {
                            Node::Product(ProductPath {
                                dataset: Arc::clone(dataset_name),
                                product: Arc::from(product.name()),
                            })
                        })
                        .ok_or(VfsError::NotFound),
                }
            }
            Node::Product(product) if name == ITEM => {
                Self::find(&catalog, product)?;
                Ok(Node::Item(product.clone()))
            }
            Node::Product(_) | Node::Inside(..) => Ok(self.inside(&catalog, parent, name)?.0),
            Node::RootFile(_) | Node::LiveFile(_) | Node::DatasetFile(..) | Node::Item(_) => {
                Err(VfsError::NotADirectory)
            }
        }
    }

    /// [`Vfs::child`] and its [`Vfs::attributes`] in one step, which looks for the product and its view only once.
    ///
    /// # Errors
    /// Those of both.
    pub fn lookup(&self, parent: &Node, name: &str) -> Result<(Node, Attributes), VfsError> {
        if matches!(parent, Node::Inside(..)) || (matches!(parent, Node::Product(_)) && name != ITEM) {
            return self.inside(&self.catalog(), parent, name);
        }
        let node = self.child(parent, name)?;
        let attributes = self.attributes(&node)?;
        Ok((node, attributes))
    }

    /// What the directory `parent`, of a product or below it, holds under `name`.
    fn inside(&self, catalog: &Catalog, parent: &Node, name: &str) -> Result<(Node, Attributes), VfsError> {
        let (path, inner) = match parent {
            Node::Product(path) => (path, name.to_owned()),
            Node::Inside(path, directory, _) => (path, format!("{directory}/{name}")),
            _ => return Err(VfsError::NotADirectory),
        };
        let product = Self::find(catalog, path)?;
        loop {
            let edition = self.edition(product);
            let attributes = self.attributes_inside(product, &inner)?;
            if attributes.kind == Kind::Directory {
                return Ok((Node::Inside(path.clone(), inner.into(), Edition::NONE), attributes));
            }
            // else it was replaced meanwhile, or found to be damaged by this very look
            if self.edition(product) == edition {
                return Ok((Node::Inside(path.clone(), inner.into(), edition), attributes));
            }
        }
    }

    /// The edition of a product's files now.
    pub(super) fn edition(&self, product: Product<'_>) -> Edition {
        let key = entry_key(product);
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Edition { product: hasher.hash_one(&key), number: self.engine.inventory().edition(&key) }
    }

    /// True for a file whose name the present catalogue gives to another product, or to none.
    pub fn has_lost_its_name(&self, node: &Node) -> bool {
        let Node::Inside(path, _, edition) = node else { return false };
        let named = Self::find(&self.catalog(), path).map(|product| self.edition(product).product);
        *edition != Edition::NONE && named != Ok(edition.product)
    }

    /// What stands below a product's directory, with the size it has now.
    pub(super) fn inside_kind(
        &self,
        catalog: &Catalog,
        path: &ProductPath,
        inner: &str,
    ) -> Result<Inside, VfsError> {
        self.inside_of(Self::find(catalog, path)?, inner)
    }

    fn inside_of(&self, product: Product<'_>, inner: &str) -> Result<Inside, VfsError> {
        if let Some((view, lease)) = self.views.get(product, Purpose::Look)? {
            return match view.node(inner).map_err(damaged)?.ok_or(VfsError::NotFound)? {
                view::Node::Dir => Ok(Inside::Directory { generation: lease.generation() }),
                view::Node::File(file) => Ok(Inside::Ready(file)),
            };
        }
        cold(product, inner)
    }

    /// Attributes of a node as they are now.
    ///
    /// # Errors
    /// [`VfsError::NotFound`] when the catalogue or the cache no longer has it.
    pub fn attributes(&self, node: &Node) -> Result<Attributes, VfsError> {
        let Shown { catalog, serial, .. } = self.shown();
        let directory = |modified, generation| directory(Names { serial, generation }, modified);
        let document = |size: usize, modified| Attributes {
            kind: Kind::File,
            size: size as u64,
            modified,
            trust: TRUST,
            provisional: true,
        };
        let whole = self.catalog_time();
        Ok(match node {
            Node::Root | Node::Live => directory(whole, 0),
            Node::LiveFile(_) => {
                Attributes { trust: Duration::ZERO, provisional: false, ..document(0, whole) }
            }
            Node::RootFile(file) => document(self.root_document(*file).len(), whole),
            Node::Dataset(name) => directory(published(catalog.dataset(name).ok_or(VfsError::NotFound)?), 0),
            Node::DatasetFile(name, file) => {
                let dataset = Self::dataset(&catalog, name)?;
                let size = match file {
                    DatasetFile::Collection => dataset.collection_size(),
                    DatasetFile::Metadata => catalog.metadata_size(dataset) as usize,
                };
                document(size, published(dataset))
            }
            Node::Product(path) => {
                let product = Self::find(&catalog, path)?;
                let lease = self.engine.inventory().peek(&entry_key(product));
                directory(published(product.dataset()), lease.map_or(0, |lease| lease.generation()))
            }
            Node::Item(path) => {
                let product = Self::find(&catalog, path)?;
                document(self.item_length(product), published(product.dataset()))
            }
            Node::Inside(path, inner, edition) => {
                let product = Self::find(&catalog, path)?;
                let attributes = self.attributes_inside(product, inner)?;
                if attributes.kind == Kind::File && self.edition(product) != *edition {
                    return Err(VfsError::Replaced);
                }
                attributes
            }
        })
    }

    /// Attributes of what stands below a product's directory.
    fn attributes_inside(&self, product: Product<'_>, inner: &str) -> Result<Attributes, VfsError> {
        let modified = published(product.dataset());
        let file =
            |size, provisional| Attributes { kind: Kind::File, size, modified, trust: TRUST, provisional };
        Ok(match self.inside_of(product, inner)? {
            Inside::Directory { generation } => {
                directory(Names { serial: self.shown().serial, generation }, modified)
            }
            Inside::Cold => file(0, true),
            Inside::Ready(ready) => file(ready.size, false),
        })
    }

    /// Names in a directory.
    ///
    /// # Errors
    /// [`VfsError::NotADirectory`], [`VfsError::NotFound`].
    pub fn children(&self, node: &Node) -> Result<Vec<Child>, VfsError> {
        let catalog = self.catalog();
        let file = |name: &str, node| Child { name: name.to_owned(), node, kind: Kind::File };
        let directory = |name: &str, node| Child { name: name.to_owned(), node, kind: Kind::Directory };
        match node {
            Node::Root => {
                let mut children = vec![
                    file(README, Node::RootFile(RootFile::Readme)),
                    file(CATALOG, Node::RootFile(RootFile::Catalog)),
                    directory(LIVE, Node::Live),
                ];
                children.extend(catalog.datasets().iter().map(|dataset| {
                    let name: Arc<str> = Arc::from(dataset.name().as_str());
                    directory(&name, Node::Dataset(Arc::clone(&name)))
                }));
                Ok(children)
            }
            Node::Live => {
                let live = self.live.iter().enumerate();
                Ok(live.map(|(index, live)| file(live.name, Node::LiveFile(index))).collect())
            }
            Node::Dataset(name) => {
                let dataset = Self::dataset(&catalog, name)?;
                let mut children = vec![
                    file(COLLECTION, Node::DatasetFile(Arc::clone(name), DatasetFile::Collection)),
                    file(METADATA, Node::DatasetFile(Arc::clone(name), DatasetFile::Metadata)),
                ];
                children.extend(dataset.products().map(|product| {
                    let path = ProductPath { dataset: Arc::clone(name), product: Arc::from(product.name()) };
                    directory(product.name(), Node::Product(path))
                }));
                Ok(children)
            }
            Node::Product(path) => {
                Self::find(&catalog, path)?;
                let mut children = vec![file(ITEM, Node::Item(path.clone()))];
                children.extend(self.children_inside(&catalog, path, "")?);
                Ok(children)
            }
            Node::Inside(path, inner, _) => self.children_inside(&catalog, path, inner),
            _ => Err(VfsError::NotADirectory),
        }
    }

    fn children_inside(
        &self,
        catalog: &Catalog,
        path: &ProductPath,
        inner: &str,
    ) -> Result<Vec<Child>, VfsError> {
        let product = Self::find(catalog, path)?;
        let view = self.views.get(product, Purpose::Look)?;
        // after that look, which may have found damage
        let edition = self.edition(product);
        let below = |name: &str, is_dir: bool| {
            let full = if inner.is_empty() { name.to_owned() } else { format!("{inner}/{name}") };
            Node::Inside(path.clone(), full.into(), if is_dir { Edition::NONE } else { edition })
        };
        let child = |name: &str, is_dir: bool| Child {
            name: name.to_owned(),
            node: below(name, is_dir),
            kind: if is_dir { Kind::Directory } else { Kind::File },
        };
        if let Some((view, _lease)) = view {
            let listed = view.list(inner).map_err(damaged)?.ok_or(VfsError::NotADirectory)?;
            return Ok(listed.iter().map(|listed| child(&listed.name, listed.is_dir)).collect());
        }
        let prefix = if inner.is_empty() { String::new() } else { format!("{inner}/") };
        // what left the cache is no empty directory and no file either
        if !inner.is_empty() && !matches!(cold(product, inner)?, Inside::Directory { .. }) {
            return Err(VfsError::NotADirectory);
        }
        Ok(cold_names(product)
            .filter_map(|name| {
                let path = name.path(product.name());
                let rest = path.strip_prefix(&prefix)?;
                (!rest.is_empty() && !rest.contains('/')).then(|| child(rest, name.is_dir))
            })
            .collect())
    }

    /// The directories of a file's product that there are before it is ready; none for a file of no product.
    pub fn directories_when_cold(&self, ino: Ino) -> Vec<Ino> {
        let (catalog, live) = (self.catalog(), self.live_names());
        let Ok(node) = self.node(ino) else { return Vec::new() };
        let Some((path, product)) =
            node.product().and_then(|path| Some((path, Self::find(&catalog, path).ok()?)))
        else {
            return Vec::new();
        };
        let inner = cold_names(product)
            .filter(|name| name.is_dir)
            .map(|name| Node::Inside(path.clone(), name.path(product.name()).into(), Edition::NONE));
        let number = |node: Node| {
            let path = node.path(&live);
            self.inodes.remember(node, &path, 0)
        };
        iter::once(Node::Product(path.clone())).chain(inner).map(number).collect()
    }

    /// A document at the root.
    pub(super) fn root_document(&self, file: RootFile) -> Arc<[u8]> {
        match file {
            RootFile::Readme => documents::readme().into(),
            RootFile::Catalog => self.catalog_document(),
        }
    }
}

/// A document of a dataset.
pub(super) fn dataset_document(
    catalog: &Catalog,
    dataset: &Dataset,
    file: DatasetFile,
) -> Result<Arc<[u8]>, VfsError> {
    match file {
        DatasetFile::Collection => Ok(collection_document(dataset).into()),
        DatasetFile::Metadata => catalog
            .metadata_document(dataset)
            .map(Into::into)
            .map_err(|error| VfsError::Local(error.to_string())),
    }
}

/// Attributes of a directory with these names.
fn directory(names: Names, modified: SystemTime) -> Attributes {
    let modified = names.stamp(modified);
    Attributes { kind: Kind::Directory, size: 0, modified, trust: TRUST, provisional: false }
}

/// What stands below a product's directory.
#[derive(Debug, Clone)]
pub(super) enum Inside {
    /// A directory.
    Directory {
        /// Publication of the entry it is of, 0 for a cold product.
        generation: u64,
    },
    /// A file whose content must be fetched.
    Cold,
    /// A file that is here.
    Ready(ViewFile),
}

/// False for formats that this release cannot serve: it must not order them either.
pub fn is_served(product: Product<'_>) -> bool {
    cold_names(product).next().is_some()
}

/// Names that a cold product shows, for all that it may turn out to hold: none for what cannot be served.
fn cold_names(product: Product<'_>) -> impl Iterator<Item = &'static view::ColdName> {
    let rasters = match product.kind() {
        catalog::Kind::Raster | catalog::Kind::Netcdf | catalog::Kind::Unknown => view::cold_raster_names(),
        catalog::Kind::Vector => &[],
    };
    let vectors = product.expected_vectors().iter();
    rasters.iter().chain(vectors.flat_map(|format| view::cold_vector_names(*format)))
}

fn cold(product: Product<'_>, inner: &str) -> Result<Inside, VfsError> {
    let find = |path: &str| {
        let suffix = path.strip_prefix(product.name())?;
        cold_names(product).find(|name| name.suffix == suffix)
    };
    if let Some(name) = find(inner) {
        return Ok(if name.is_dir { Inside::Directory { generation: 0 } } else { Inside::Cold });
    }
    // A reader that opened the Zarr before its product was evicted asks for chunks by name. "No such file" would
    // mean "a chunk of fill values" to it: say that the data is not here instead of serving a wrong pixel.
    let (root, rest) = inner.split_once('/').unwrap_or((inner, ""));
    let listed = find(root).is_some_and(|name| name.is_dir);
    if root.ends_with(".zarr") && (!listed || is_zarr_node(rest)) {
        return Err(VfsError::Local(format!(
            "{inner}: the product has left the cache; open the Zarr anew to fetch it again"
        )));
    }
    Err(VfsError::NotFound)
}

/// True for paths that lead into arrays and groups of a Zarr view, not for probes of metadata files at its root.
fn is_zarr_node(rest: &str) -> bool {
    let first = rest.split('/').next().unwrap_or_default();
    matches!(first, "band" | "x" | "y" | "spatial_ref" | "time") || first.starts_with("ovr_")
}

/// When a dataset was published, as a file time.
fn published(dataset: &Dataset) -> SystemTime {
    let seconds = dataset.published().as_second();
    u64::try_from(seconds).map_or(UNIX_EPOCH, |seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}
