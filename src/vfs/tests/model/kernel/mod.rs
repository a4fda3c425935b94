//! Plays the kernel and its readers on the real file system, and compares every answer with the reference.

mod events;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::reference::{Held, How, Meaning, NAMES, Opened, PRODUCTS, Part, Place, Reference, dataset_of};
use super::{DATASETS, Ending, Op};
use crate::clms::ClmsError;
use crate::config::rules::NamePattern;
use crate::config::{Action, Rule};
use crate::fetch::tests::fake::{Conversion, House, unreachable, until};
use crate::ingest::IngestError;
use crate::store::layout::EntryKey;
use crate::vfs::listing::{Line, Listing};
use crate::vfs::node::Ino;
use crate::vfs::tests::*;
use crate::vfs::tree::Attributes;

/// An open file, with the bytes that it had when it was opened.
struct Handle {
    file: OpenFile,
    bytes: Arc<Vec<u8>>,
    /// The publication it belongs to.
    publication: Option<usize>,
}

/// A reader that waits.
struct Waiting {
    place: Place,
    task: JoinHandle<Result<OpenFile, VfsError>>,
}

/// A directory that is open, and how far it was read.
struct Directory {
    listing: Listing,
    offset: u64,
    seen: Vec<String>,
    names: BTreeSet<String>,
    may_have_more: bool,
}

pub(super) struct Kernel {
    mount: Mount,
    reference: Reference,
    held: Held,
    handles: Vec<Handle>,
    waiting: Vec<Waiting>,
    directories: Vec<Directory>,
    /// The bytes of each publication's GeoTIFF, as they lie on the disk.
    publications: Vec<Arc<Vec<u8>>>,
    impatient: bool,
}

fn key(product: usize) -> EntryKey {
    crate::vfs::tree::target(super::whole_catalog().find(&first_path(product)).unwrap()).key
}

fn first_path(product: usize) -> String {
    format!("{}/{}", DATASETS[dataset_of(product)].0, NAMES[product][0])
}

impl Kernel {
    pub(super) fn new(house: House, impatient: bool) -> Self {
        let rule = |name: &str, action| Rule {
            process: vec![NamePattern::new(name).unwrap()],
            ..Rule::new(&format!("about {name}"), action)
        };
        let mount = Mount::with(house, |options| {
            options.rules = vec![
                rule("rsync", Action::Deny),
                rule("tracker", Action::EagainNoOrder),
                rule("nautilus", Action::Eagain),
            ];
            options.block_timeout = impatient.then_some(Duration::from_secs(30));
        });
        mount.house.service.download_gate.shut();
        let mut reference = Reference::default();
        for product in &mut reference.products {
            product.offered = Some(0);
        }
        let kernel = Self {
            mount,
            reference,
            held: Held::new(),
            handles: Vec::new(),
            waiting: Vec::new(),
            directories: Vec::new(),
            publications: Vec::new(),
            impatient,
        };
        kernel.show();
        kernel
    }

    fn vfs(&self) -> &Arc<Vfs> {
        &self.mount.vfs
    }

    fn show(&self) {
        self.vfs()
            .show(super::catalog_of(&self.reference.products.each_ref().map(|product| product.offered)));
    }

    /// An inode that the kernel knows; the root when it knows none.
    fn pick(&self, number: u8) -> (u64, Meaning) {
        let root = (Ino::ROOT.0, Meaning { place: Place::Root, edition: 0 });
        let all: Vec<_> = self.held.iter().map(|(ino, (meaning, _))| (*ino, *meaning)).collect();
        let all: Vec<_> = std::iter::once(root).chain(all).collect();
        all[number as usize % all.len()]
    }

    pub(super) async fn perform(&mut self, op: &Op) {
        match op {
            Op::LookUp(place) => self.look_up(*place),
            Op::Getattr(number) => self.getattr(*number),
            Op::OpenDirectory(number) => self.open_directory(*number),
            Op::ReadDirectory { directory, lines, plus } => self.read_directory(*directory, *lines, *plus),
            Op::Open(number, how) => {
                let (ino, meaning) = self.pick(*number);
                self.open(ino, meaning, *how);
            }
            Op::OpenPath(place, how) => {
                self.look_up(*place);
                let known = self.held.iter().rev().find(|(_, (meaning, _))| {
                    let product =
                        place.product().map_or(0, |product| self.reference.products[product].edition);
                    meaning.place == *place && meaning.edition == if place.is_fetched() { product } else { 0 }
                });
                if let Some((ino, meaning)) = known.map(|(ino, (meaning, _))| (*ino, *meaning)) {
                    self.open(ino, meaning, *how);
                }
            }
            Op::Read { handle, from, length } => self.read(*handle, *from, *length),
            Op::Release(handle) => {
                if !self.handles.is_empty() {
                    self.handles.swap_remove(*handle as usize % self.handles.len());
                }
            }
            Op::Interrupt(number) => {
                if !self.waiting.is_empty() {
                    let waiting = self.waiting.swap_remove(*number as usize % self.waiting.len());
                    waiting.task.abort();
                    assert!(waiting.task.await.unwrap_err().is_cancelled());
                }
            }
            Op::Forget(number, times) => self.forget(*number, u64::from(*times)),
            Op::Xattr(number) => self.xattrs(*number),
            Op::Pin(number, pinned) => self.pin(*number, *pinned),
            Op::Fetch(product) => {
                self.vfs().engine().request(&self.target(*product), 0, true).unwrap();
                self.reference.fetch(*product);
            }
            Op::Refresh(product) => {
                self.vfs().engine().refresh(&self.target(*product), 0).unwrap();
                self.reference.refresh(*product);
                // the driver takes its hold on what it renews
                tokio::task::yield_now().await;
            }
            Op::Cancel(product) => self.cancel(*product).await,
            Op::Settle(endings) => self.settle(endings).await,
            Op::TimePasses => self.time_passes().await,
            Op::Evict(product) => self.evict(*product),
            Op::Squeeze => self.squeeze(),
            Op::Damage(product) => self.damage(*product),
            Op::Offer(product, variant) => {
                self.reference.products[*product].offered = *variant;
                self.show();
            }
        }
        self.check();
    }

    fn target(&self, product: usize) -> Target {
        let catalog = super::whole_catalog();
        let mut target = target(catalog.find(&first_path(product)).unwrap());
        // it is fetched under the name that it has now
        let name = NAMES[product][self.reference.products[product].offered.unwrap_or(0)];
        target.product = name.to_owned();
        target.path = format!("{}/{name}", DATASETS[dataset_of(product)].0);
        target
    }

    fn edition(&self, place: Place) -> u64 {
        let product = place.product().filter(|_| place.is_fetched());
        product.map_or(0, |product| self.reference.products[product].edition)
    }

    /// The size that a file has, where it can be known without opening it.
    fn expected_size(&self, place: Place) -> Option<u64> {
        let Place::In(product, _, part) = place else { return (place.is_directory()).then_some(0) };
        match (part, self.reference.products[product].here) {
            (Part::Tif, Some(publication)) => Some(self.publications[publication].len() as u64),
            (Part::Tif | Part::ZarrRoot, None) => Some(0),
            _ => place.is_directory().then_some(0),
        }
    }

    fn check_attributes(&self, place: Place, found: Result<Attributes, i32>) {
        let expected = self.reference.kind(place);
        assert_eq!(found.map(|attributes| attributes.kind), expected, "kind of {}", place.path());
        if let (Ok(attributes), Some(size)) = (found, self.expected_size(place)) {
            assert_eq!(attributes.size, size, "size of {}", place.path());
        }
    }

    fn look_up(&mut self, place: Place) {
        let mut parent = Ino::ROOT;
        for step in place.way() {
            let path = step.path();
            let name = path.rsplit('/').next().unwrap();
            let found = self.vfs().look_up(parent, name).map_err(|error| error.errno());
            self.check_attributes(step, found.map(|(_, attributes)| attributes));
            let Ok((ino, _)) = found else { return };
            self.remember(ino, Meaning { place: step, edition: self.edition(step) }, 1);
            parent = ino;
        }
    }

    /// The kernel hears of an inode: as long as it knows it, number and file belong together.
    fn remember(&mut self, ino: Ino, meaning: Meaning, lookups: u64) {
        let other = self.held.iter().find(|(_, (known, _))| *known == meaning).map(|(known, _)| *known);
        assert!(other.is_none_or(|other| other == ino.0), "{meaning:?} has a second number");
        let known = self.held.get(&ino.0).map(|(known, _)| *known);
        assert!(known.is_none_or(|known| known == meaning), "{ino:?} was {known:?} and is {meaning:?} now");
        if lookups > 0 {
            self.held.entry(ino.0).or_insert((meaning, 0)).1 += lookups;
        }
    }

    fn getattr(&self, number: u8) {
        let (ino, meaning) = self.pick(number);
        let node = self.vfs().node(Ino(ino)).expect("the kernel knows it, so we do");
        let found = self.vfs().attributes(&node).map_err(|error| error.errno());
        let replaced =
            self.reference.kind(meaning.place).is_ok() && meaning.edition != self.edition(meaning.place);
        match replaced {
            true => assert_eq!(found, Err(libc::ESTALE), "{meaning:?}"),
            false => self.check_attributes(meaning.place, found),
        }
    }

    fn open_directory(&mut self, number: u8) {
        let (ino, meaning) = self.pick(number);
        let node = self.vfs().node(Ino(ino)).unwrap();
        let children = self.vfs().children(&node).map_err(|error| error.errno());
        match self.reference.kind(meaning.place) {
            Ok(Kind::File) => assert!(children.is_err(), "{meaning:?} is no directory"),
            Err(errno) => assert!(
                matches!(children, Err(found) if found == errno || found == libc::ENOTDIR),
                "{meaning:?}: {children:?}"
            ),
            Ok(Kind::Directory) => {
                let listing = Listing::new(children.unwrap_or_else(|errno| panic!("{meaning:?}: {errno}")));
                let (names, may_have_more) = self.reference.names(meaning.place);
                let seen = Vec::new();
                self.directories.push(Directory { listing, offset: 0, seen, names, may_have_more });
            }
        }
    }

    fn read_directory(&mut self, number: u8, lines: u8, plus: bool) {
        if self.directories.is_empty() {
            return;
        }
        let number = number as usize % self.directories.len();
        let directory = &mut self.directories[number];
        let lines: Vec<_> = directory.listing.behind(directory.offset).take(lines as usize + 1).collect();
        if let Some((next, _)) = lines.last() {
            directory.offset = *next;
        }
        let children = lines.iter().filter_map(|(_, line)| match line {
            Line::Dots(_) => None,
            Line::Child(child) => Some((*child).clone()),
        });
        let (children, ended): (Vec<_>, bool) = (children.collect(), lines.is_empty());
        for child in children {
            self.directories[number].seen.push(child.name.clone());
            let path = child.node.path(&self.vfs().live_names());
            let attributes = self.vfs().attributes(&child.node);
            if let Ok(attributes) = &attributes {
                assert_eq!(attributes.kind, child.kind, "{path}");
            }
            // what a name that is still there means must be what the kernel knows
            let lookups = u64::from(plus && attributes.is_ok());
            let ino = self.vfs().inodes.remember(child.node.clone(), &path, lookups);
            match super::place_of(&path) {
                Some(place) if attributes.is_ok() => {
                    self.check_attributes(place, attributes.map_err(|error| error.errno()));
                    self.remember(ino, Meaning { place, edition: self.edition(place) }, lookups);
                }
                // a file that the reference has no word for: forgotten at once
                _ => {
                    self.vfs().inodes.forget(ino, lookups);
                }
            }
        }
        if ended {
            let Directory { seen, names, may_have_more, .. } = self.directories.swap_remove(number);
            let unique: BTreeSet<String> = seen.iter().cloned().collect();
            assert_eq!(unique.len(), seen.len(), "each name once: {seen:?}");
            assert!(names.is_subset(&unique), "{names:?} are all in {unique:?}");
            assert!(may_have_more || names == unique, "{unique:?} are only {names:?}");
        }
    }

    fn open(&mut self, ino: u64, meaning: Meaning, how: How) {
        let place = meaning.place;
        let (flags, process) = match how {
            How::Waiting => (libc::O_RDONLY, "cat"),
            How::Nonblock => (libc::O_NONBLOCK, "cat"),
            How::Eagain => (libc::O_RDONLY, "nautilus"),
            How::NoOrder => (libc::O_RDONLY, "tracker"),
            How::Denied => (libc::O_RDONLY, "rsync"),
            How::Noatime => (libc::O_NOATIME, "backup"),
            How::Writing => (libc::O_RDWR, "sh"),
        };
        let node = self.vfs().node(Ino(ino)).unwrap();
        if place.is_directory() {
            // the kernel has other calls for directories
            return;
        }
        let opened = match self.vfs().open(&node, flags) {
            Ok(Some(file)) => Ok(Opening::Now(file)),
            Ok(None) => self.vfs().open_cold(&node, flags, &somebody(process)),
            Err(error) => Err(error),
        };
        let expected = self.reference.open(place, meaning.edition, how);
        match (opened, expected) {
            (Ok(Opening::Now(file)), Opened::Bytes) => self.opened(place, file),
            (Ok(Opening::Wait(pending)), Opened::Waits) => {
                let task = tokio::spawn(pending.wait(Arc::clone(self.vfs())));
                self.waiting.push(Waiting { place, task });
            }
            (Err(error), Opened::Errno(errno)) => {
                assert_eq!(error.errno(), errno, "open of {place:?} as {how:?}: {error}");
            }
            (opened, expected) => panic!("open of {place:?} as {how:?}: {opened:?}, not {expected:?}"),
        }
    }

    /// A file is open: its bytes are what they must be, and as many as it says.
    fn opened(&mut self, place: Place, file: OpenFile) {
        let bytes = Arc::new(read(&file));
        assert_eq!(bytes.len() as u64, file.size, "{place:?} has as many bytes as it says");
        let product = place.product().filter(|_| place.is_fetched());
        let publication = product.map(|product| self.reference.products[product].here.expect("it is here"));
        if let (Place::In(_, _, Part::Tif), Some(publication)) = (place, publication) {
            assert!(*bytes == *self.publications[publication], "{place:?} has the bytes of its publication");
        }
        if place.path().ends_with(".json") {
            serde_json::from_slice::<Value>(&bytes).unwrap_or_else(|error| panic!("{place:?}: {error}"));
        }
        let node = self.mount.node(&place.path()).unwrap();
        if !file.live {
            assert_eq!(self.vfs().attributes(&node).unwrap().size, file.size, "size of the open {place:?}");
        }
        self.handles.push(Handle { file, bytes, publication });
    }

    fn read(&self, handle: u8, from: u16, length: u16) {
        let Some(handle) = self.handles.get(handle as usize % self.handles.len().max(1)) else { return };
        let from = usize::from(from) % (handle.bytes.len() + 10);
        let mut buffer = vec![0; usize::from(length)];
        let count = handle.file.read_at(&mut buffer, from as u64).unwrap();
        let expected = handle.bytes.get(from..).unwrap_or_default();
        let expected = &expected[..expected.len().min(buffer.len())];
        assert!(buffer[..count] == *expected, "an open file keeps its bytes");
    }

    fn forget(&mut self, number: u8, times: u64) {
        let (ino, _) = self.pick(number);
        let Some((_, count)) = self.held.get_mut(&ino) else { return };
        let times = times.min(*count);
        *count -= times;
        let gone = *count == 0;
        if gone {
            self.held.remove(&ino);
        }
        assert_eq!(self.vfs().inodes.forget(Ino(ino), times), gone, "known as long as a lookup counts");
    }

    fn xattrs(&self, number: u8) {
        let (ino, meaning) = self.pick(number);
        let node = self.vfs().node(Ino(ino)).unwrap();
        let value = |name: &str| self.vfs().xattr(&node, &format!("user.clmsfs.{name}"));
        assert_eq!(self.vfs().xattr(&node, "security.selinux").unwrap_err().errno(), libc::EOPNOTSUPP);
        assert_eq!(value("nonsense").unwrap_err().errno(), {
            let gone = meaning.place != Place::Root && self.is_out_of_the_catalogue(meaning.place);
            if gone { libc::ENOENT } else { libc::ENODATA }
        });
        let Place::In(product, variant, _) = meaning.place else { return };
        if self.reference.products[product].offered != Some(variant) {
            assert_eq!(value("state").unwrap_err().errno(), libc::ENOENT);
            return;
        }
        let state = value("state").unwrap();
        match self.reference.word(product) {
            Some(word) => assert_eq!(state, word, "{meaning:?}"),
            None => assert!(!["cold", "ready", "failed"].contains(&state.as_str()), "{meaning:?}: {state}"),
        }
        assert_eq!(value("pinned").unwrap(), u8::from(self.reference.products[product].pinned).to_string());
        if self.reference.products[product].here.is_none()
            && self.reference.products[product].failed.is_some()
        {
            assert!(self.reference.products[product].flying || !value("error").unwrap().is_empty());
        }
        for name in self.vfs().list_xattrs(&node).unwrap() {
            self.vfs().xattr(&node, &name).unwrap();
        }
    }

    fn is_out_of_the_catalogue(&self, place: Place) -> bool {
        match place {
            Place::Dataset(_) | Place::Collection(_) | Place::Metadata(_) => {
                self.reference.kind(place).is_err()
            }
            Place::In(product, variant, _) => self.reference.products[product].offered != Some(variant),
            _ => false,
        }
    }

    fn pin(&mut self, number: u8, pinned: bool) {
        let (ino, meaning) = self.pick(number);
        let node = self.vfs().node(Ino(ino)).unwrap();
        let value: &[u8] = if pinned { b"1" } else { b"0" };
        let set = self.vfs().set_xattr(&node, "user.clmsfs.pinned", value).map_err(|error| error.errno());
        let expected = match meaning.place {
            Place::In(product, variant, _) if self.reference.products[product].offered == Some(variant) => {
                self.reference.products[product].pinned = pinned;
                Ok(())
            }
            Place::In(..) => Err(libc::ENOENT),
            _ => Err(libc::EROFS),
        };
        assert_eq!(set, expected, "{meaning:?}");
    }

    /// What must hold at all times.
    fn check(&self) {
        let engine = self.vfs().engine();
        let started = engine.counters().fetches.get();
        assert_eq!(started, self.reference.fetches, "only opens and the user's word fetch");
        assert_eq!(
            self.vfs().inodes.len(),
            self.held.len() + 1,
            "inodes that the kernel knows, and no other"
        );
        let (jobs, holdings) = (engine.jobs(), engine.inventory().holdings());
        for (product, state) in self.reference.products.iter().enumerate() {
            let key = key(product);
            let holding = holdings.iter().find(|holding| holding.key == key);
            assert_eq!(holding.is_some(), state.here.is_some(), "{key} in the cache");
            assert_eq!(engine.inventory().is_pinned(&key), state.pinned);
            assert_eq!(
                holding.map_or(0, |holding| holding.readers),
                self.readers(product),
                "readers of {key}"
            );
            assert_eq!(engine.under_way(&key).is_some(), state.flying, "{key} is fetched");
            let waiting =
                self.waiting.iter().filter(|waiting| waiting.place.product() == Some(product)).count();
            let line = jobs.iter().find(|job| job.key == key && job.progress.state.is_under_way());
            assert_eq!(line.map_or(0, |line| line.waiting), waiting, "who waits for {key}");
        }
    }

    /// Everybody goes: nothing stays behind.
    pub(super) async fn leave(mut self) {
        for Waiting { task, .. } in std::mem::take(&mut self.waiting) {
            task.abort();
            assert!(task.await.is_err());
        }
        for number in 0..self.handles.len() {
            self.read(number as u8, 0, u16::MAX);
        }
        self.handles.clear();
        self.directories.clear();
        for (ino, (_, count)) in std::mem::take(&mut self.held) {
            assert!(self.vfs().inodes.forget(Ino(ino), count));
        }
        self.check();
        assert!(self.vfs().inodes.is_empty());
        self.settle(&[Ending::Published(0); PRODUCTS]).await;
        self.check();
        // what has arrived before the network failed is kept for the next attempt
        let kept = |name: &String| {
            let broken_off =
                |product: &usize| self.reference.products[*product].failed == Some(libc::ENETDOWN);
            (0..PRODUCTS).filter(broken_off).any(|product| key(product).as_str() == name)
        };
        let staged = self.mount.house.staged();
        assert!(staged.iter().all(kept), "{staged:?}");
        self.vfs().engine().shut_down().await;
    }
}
