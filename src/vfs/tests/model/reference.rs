//! What the design promises, as a few lines of state: no locks, no files, no time. Written from DESIGN.md, not from the code.

use std::collections::{BTreeMap, BTreeSet};

use crate::vfs::tree::Kind;

/// Datasets, and the products of each by their numbers.
pub(super) const DATASETS: [(&str, &[usize]); 2] = [("forest", &[0, 1, 2]), ("soil", &[3])];
/// Names that each product has had in the catalogue.
pub(super) const NAMES: [[&str; 2]; PRODUCTS] = [["a", "a2"], ["b", "b2"], ["c", "c2"], ["s", "s2"]];
pub(super) const PRODUCTS: usize = 4;

/// Something that can stand at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Root,
    Readme,
    Catalog,
    Live,
    Version,
    Dataset(usize),
    Collection(usize),
    Metadata(usize),
    /// A product under one of its names, and what is in it.
    In(usize, usize, Part),
    /// A name that nothing has.
    Nothing,
}

/// What a product's directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Itself,
    Item,
    Tif,
    Zarr,
    ZarrRoot,
    /// `band`, `band/0` and `band/0/0` of the Zarr: there when the product is.
    Band,
    Row,
    Chunk,
    /// A name that no product has.
    Nothing,
}

impl Place {
    pub(super) fn path(self) -> String {
        let dataset = |number: usize| DATASETS[number].0.to_owned();
        match self {
            Self::Root => String::new(),
            Self::Readme => "README.md".to_owned(),
            Self::Catalog => "catalog.json".to_owned(),
            Self::Live => ".clmsfs".to_owned(),
            Self::Version => ".clmsfs/version".to_owned(),
            Self::Dataset(number) => dataset(number),
            Self::Collection(number) => dataset(number) + "/collection.json",
            Self::Metadata(number) => dataset(number) + "/metadata.json",
            Self::Nothing => "nothing".to_owned(),
            Self::In(product, variant, part) => {
                let name = NAMES[product][variant];
                let below = match part {
                    Part::Itself => String::new(),
                    Part::Item => "/item.json".to_owned(),
                    Part::Tif => format!("/{name}.tif"),
                    Part::Zarr => format!("/{name}.zarr"),
                    Part::ZarrRoot => format!("/{name}.zarr/zarr.json"),
                    Part::Band => format!("/{name}.zarr/band"),
                    Part::Row => format!("/{name}.zarr/band/0"),
                    Part::Chunk => format!("/{name}.zarr/band/0/0"),
                    Part::Nothing => "/nothing".to_owned(),
                };
                format!("{}/{name}{below}", dataset(dataset_of(product)))
            }
        }
    }

    /// The places from the root down to this one, the root left out.
    pub(super) fn way(self) -> Vec<Self> {
        let mut way = Vec::new();
        match self {
            Self::Root => {}
            Self::Version => way.extend([Self::Live, self]),
            Self::Collection(number) | Self::Metadata(number) => way.extend([Self::Dataset(number), self]),
            Self::In(product, variant, part) => {
                let parts: &[Part] = match part {
                    Part::Itself => &[],
                    Part::Item | Part::Tif | Part::Zarr | Part::Nothing => &[Part::Itself],
                    Part::ZarrRoot | Part::Band => &[Part::Itself, Part::Zarr],
                    Part::Row => &[Part::Itself, Part::Zarr, Part::Band],
                    Part::Chunk => &[Part::Itself, Part::Zarr, Part::Band, Part::Row],
                };
                way.push(Self::Dataset(dataset_of(product)));
                way.extend(parts.iter().map(|part| Self::In(product, variant, *part)));
                way.push(self);
            }
            _ => way.push(self),
        }
        way
    }

    pub(super) fn is_directory(self) -> bool {
        match self {
            Self::Root | Self::Live | Self::Dataset(_) => true,
            Self::In(_, _, part) => matches!(part, Part::Itself | Part::Zarr | Part::Band | Part::Row),
            _ => false,
        }
    }

    /// A file whose content is that of a fetched product.
    pub(super) fn is_fetched(self) -> bool {
        matches!(self, Self::In(_, _, Part::Tif | Part::ZarrRoot | Part::Chunk))
    }

    pub(super) fn product(self) -> Option<usize> {
        match self {
            Self::In(product, ..) => Some(product),
            _ => None,
        }
    }
}

pub(super) fn dataset_of(product: usize) -> usize {
    DATASETS.iter().position(|(_, products)| products.contains(&product)).unwrap()
}

/// A product.
#[derive(Debug, Clone, Default)]
pub(super) struct Product {
    /// The name under which the catalogue offers it.
    pub(super) offered: Option<usize>,
    /// What is in the cache, by the number of its publication.
    pub(super) here: Option<usize>,
    /// A fetch is under way.
    pub(super) flying: bool,
    /// It is one that renews what was here when it began.
    pub(super) renewing: bool,
    /// The errno of the last fetch, as long as the same answer is given again.
    pub(super) failed: Option<i32>,
    pub(super) pinned: bool,
    /// How often it was replaced or found damaged while it was here.
    pub(super) edition: u64,
}

/// What an open gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// A document, or a file of a fetched product.
    Bytes,
    /// The reader waits.
    Waits,
    Errno(i32),
}

/// Who opens, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// `cat`: waits.
    Waiting,
    /// With `O_NONBLOCK`.
    Nonblock,
    /// `nautilus`: a rule says EAGAIN.
    Eagain,
    /// `tracker`: a rule says EAGAIN and no order.
    NoOrder,
    /// `rsync`: a rule refuses it.
    Denied,
    /// With `O_NOATIME`.
    Noatime,
    /// With `O_RDWR`.
    Writing,
}

/// The file system as promised.
#[derive(Debug, Clone, Default)]
pub(super) struct Reference {
    pub(super) products: [Product; PRODUCTS],
    /// Fetches that were started.
    pub(super) fetches: u64,
}

impl Reference {
    fn is_shown(&self, dataset: usize) -> bool {
        DATASETS[dataset].1.iter().any(|product| self.products[*product].offered.is_some())
    }

    /// Directory or file, or why there is nothing.
    pub(super) fn kind(&self, place: Place) -> Result<Kind, i32> {
        let exists = match place {
            Place::Dataset(dataset) | Place::Collection(dataset) | Place::Metadata(dataset) => {
                self.is_shown(dataset)
            }
            Place::In(product, variant, _) => self.products[product].offered == Some(variant),
            Place::Nothing => false,
            _ => true,
        };
        if !exists || matches!(place, Place::In(_, _, Part::Nothing)) {
            return Err(libc::ENOENT);
        }
        // to a reader of Zarr a chunk that is missing has fill values: never "no such file" where there may be pixels
        if let Place::In(product, _, Part::Band | Part::Row | Part::Chunk) = place
            && self.products[product].here.is_none()
        {
            return Err(libc::EIO);
        }
        Ok(if place.is_directory() { Kind::Directory } else { Kind::File })
    }

    /// Names that a directory must show, and whether it may show more.
    pub(super) fn names(&self, place: Place) -> (BTreeSet<String>, bool) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match place {
            Place::Root => {
                let mut all: BTreeSet<String> = names(&["README.md", "catalog.json", ".clmsfs"]);
                let shown = (0..DATASETS.len()).filter(|dataset| self.is_shown(*dataset));
                all.extend(shown.map(|dataset| DATASETS[dataset].0.to_owned()));
                (all, false)
            }
            Place::Live => (names(&["version"]), false),
            Place::Dataset(dataset) => {
                let mut all: BTreeSet<String> = names(&["collection.json", "metadata.json"]);
                let offered =
                    |product: &usize| Some(NAMES[*product][self.products[*product].offered?].to_owned());
                all.extend(DATASETS[dataset].1.iter().filter_map(offered));
                (all, false)
            }
            Place::In(product, variant, Part::Itself) => {
                let name = NAMES[product][variant];
                let all = names(&["item.json", &format!("{name}.tif"), &format!("{name}.zarr")]);
                (all, self.products[product].here.is_some())
            }
            Place::In(product, _, Part::Zarr) => (
                names(&[".zgroup", ".zattrs", ".zmetadata", "zarr.json"]),
                self.products[product].here.is_some(),
            ),
            _ => (BTreeSet::new(), true),
        }
    }

    /// An open, and what it starts.
    pub(super) fn open(&mut self, place: Place, edition: u64, how: How) -> Opened {
        if how == How::Writing {
            return Opened::Errno(libc::EROFS);
        }
        if place.is_directory() {
            return Opened::Errno(libc::EISDIR);
        }
        if let Err(errno) = self.kind(place) {
            return Opened::Errno(errno);
        }
        let Some(product) = place.product().filter(|_| place.is_fetched()) else { return Opened::Bytes };
        let state = &mut self.products[product];
        if state.edition != edition {
            return Opened::Errno(libc::ESTALE);
        }
        if state.here.is_some() {
            return Opened::Bytes;
        }
        match how {
            How::Denied | How::Noatime => return Opened::Errno(libc::EACCES),
            How::NoOrder => return Opened::Errno(libc::EAGAIN),
            _ => {}
        }
        if !state.flying {
            if let Some(errno) = state.failed {
                return Opened::Errno(errno);
            }
            self.start(product, false);
        }
        if how == How::Waiting { Opened::Waits } else { Opened::Errno(libc::EAGAIN) }
    }

    fn start(&mut self, product: usize, renewing: bool) {
        self.fetches += 1;
        let state = &mut self.products[product];
        (state.flying, state.renewing, state.failed) = (true, renewing, None);
    }

    /// `clmsfs fetch`: a recent failure does not stand in the way.
    pub(super) fn fetch(&mut self, product: usize) {
        if !self.products[product].flying && self.products[product].here.is_none() {
            self.start(product, false);
        }
    }

    /// `clmsfs fetch --refresh`.
    pub(super) fn refresh(&mut self, product: usize) {
        if !self.products[product].flying {
            self.start(product, self.products[product].here.is_some());
        }
    }

    /// A fetch ends: with a publication, or with an errno that is given again, or cancelled.
    pub(super) fn end(&mut self, product: usize, outcome: Result<usize, i32>) {
        let state = &mut self.products[product];
        (state.flying, state.renewing) = (false, false);
        match outcome {
            Ok(publication) => {
                state.edition += u64::from(state.here.is_some());
                state.here = Some(publication);
            }
            Err(libc::ECANCELED) => {}
            Err(errno) => state.failed = Some(errno),
        }
    }

    /// The word of `user.clmsfs.state`; `None` for any of a fetch under way.
    pub(super) fn word(&self, product: usize) -> Option<&'static str> {
        let state = &self.products[product];
        match (state.here, state.flying, state.failed) {
            (Some(_), ..) => Some("ready"),
            (None, true, _) => None,
            (None, false, Some(_)) => Some("failed"),
            (None, false, None) => Some("cold"),
        }
    }
}

/// What the kernel remembers of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) place: Place,
    /// For files of fetched products.
    pub(super) edition: u64,
}

/// Inodes by number, with how often each was looked up.
pub(super) type Held = BTreeMap<u64, (Meaning, u64)>;
