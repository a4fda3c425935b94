//! Directories as readers go through them, from any place on and whatever changes meanwhile.
//!
//! A directory is not opened here: the kernel asks for the names behind a place, keeps what it gets, and may go on at that
//! place long after, when a product has come or gone. So a place is no count of names. It is a number that belongs to the name
//! it is behind, the same in every listing of the directory, and names come in the order of their numbers: whoever goes on where
//! he left off sees each name that stays exactly once. The order is that of a hash, as on most disks.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use lru::LruCache;

use super::Vfs;
use super::error::VfsError;
use super::node::Ino;
use super::tree::Child;

/// Listings that are kept for who goes on; a forgotten one is made anew.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// The places behind `.` and `..`; 0 is the beginning.
const DOTS: [(u64, &str); 2] = [(1, "."), (2, "..")];
/// The lowest place behind a name. The highest fits into a signed number, which is what readers hold it in.
const FIRST: u64 = 3;
const LAST: u64 = i64::MAX as u64;

/// The lines of a directory in the order of their places.
#[derive(Debug)]
pub struct Listing {
    children: Vec<(u64, Child)>,
}

/// A line of a directory.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// `.` or `..`.
    Dots(&'static str),
    /// A name.
    Child(&'a Child),
}

impl Listing {
    /// The listing of these children.
    pub fn new(children: Vec<Child>) -> Self {
        Self::in_order(children.into_iter().map(|child| (place(&child.name), child)).collect())
    }

    fn in_order(mut children: Vec<(u64, Child)>) -> Self {
        children.sort_unstable_by(|(one, a), (other, b)| (one, &a.name).cmp(&(other, &b.name)));
        let mut behind = 0;
        for (place, _) in &mut children {
            // of two names with the same place the second moves on
            *place = (*place).max(behind + 1);
            behind = *place;
        }
        Self { children }
    }

    /// The lines behind a place, each with the place behind itself.
    pub fn behind(&self, place: u64) -> impl Iterator<Item = (u64, Line<'_>)> {
        let dots = DOTS.into_iter().filter(move |(own, _)| *own > place);
        let first = self.children.partition_point(|(own, _)| *own <= place);
        let names = self.children[first..].iter().map(|(own, child)| (*own, Line::Child(child)));
        dots.map(|(own, name)| (own, Line::Dots(name))).chain(names)
    }

    fn ends_before(&self, place: u64) -> bool {
        self.behind(place).next().is_none()
    }
}

/// The place behind a name.
fn place(name: &str) -> u64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    FIRST + hash % (LAST / 2)
}

/// Listings of directories that somebody is reading.
#[derive(Debug)]
pub(super) struct Listings {
    kept: Mutex<LruCache<Ino, Arc<Listing>>>,
}

impl Default for Listings {
    fn default() -> Self {
        Self { kept: Mutex::new(LruCache::new(KEPT)) }
    }
}

impl Listings {
    fn kept(&self) -> MutexGuard<'_, LruCache<Ino, Arc<Listing>>> {
        self.kept.lock().expect("no code panics while it holds the listings")
    }
}

impl Vfs {
    /// The listing of a directory for who goes on behind `place`. At the beginning it is as the directory is now.
    ///
    /// # Errors
    /// Those of [`Vfs::children`].
    pub fn listing(&self, ino: Ino, place: u64) -> Result<Arc<Listing>, VfsError> {
        let kept = if place == 0 { None } else { self.listings.kept().get(&ino).map(Arc::clone) };
        let (listing, is_kept) = match kept {
            Some(listing) => (listing, true),
            None => (Arc::new(Listing::new(self.children(&self.node(ino)?)?)), false),
        };
        if listing.ends_before(place) {
            self.listings.kept().pop(&ino);
        } else if !is_kept {
            self.listings.kept().put(ino, Arc::clone(&listing));
        }
        Ok(listing)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::node::Node;
    use super::super::tree::Kind;
    use super::*;

    fn listing(names: &[String]) -> Listing {
        let child = |name: &String| Child { name: name.clone(), node: Node::Root, kind: Kind::File };
        Listing::new(names.iter().map(child).collect())
    }

    fn name(line: Line<'_>) -> String {
        match line {
            Line::Dots(name) => name.to_owned(),
            Line::Child(child) => child.name.clone(),
        }
    }

    proptest! {
        /// Names come and go between any two questions; those that stay are seen once.
        #[test]
        fn names_that_stay_are_seen_once(
            stays in prop::collection::btree_set("[a-c]{1,6}", 0..30),
            comes in prop::collection::vec(prop::collection::btree_set("[d-f]{1,3}", 0..10), 1..12),
            batch in 1usize..7,
        ) {
            let mut seen = Vec::new();
            let mut at = 0;
            for others in comes.iter().cycle() {
                let names: Vec<String> = stays.iter().chain(others).cloned().collect();
                let lines: Vec<_> = listing(&names).behind(at).take(batch).map(|(place, line)| (place, name(line))).collect();
                let Some((last, _)) = lines.last() else { break };
                prop_assert!(*last > at && i64::try_from(*last).is_ok());
                at = *last;
                seen.extend(lines.into_iter().map(|(_, name)| name).filter(|name| stays.contains(name) || name.starts_with('.')));
            }
            seen.sort();
            let wanted: Vec<String> = [".", ".."].map(str::to_owned).into_iter().chain(stays).collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn names_with_the_same_place_are_told_apart() {
        let mut children = listing(&["b".to_owned(), "a".to_owned(), "c".to_owned()]).children;
        children.iter_mut().for_each(|(place, _)| *place = 7);
        let listing = Listing::in_order(children);
        let lines: Vec<_> = listing.behind(2).map(|(place, line)| (place, name(line))).collect();
        assert_eq!(lines, [(7, "a".to_owned()), (8, "b".to_owned()), (9, "c".to_owned())]);
        assert_eq!(listing.behind(7).map(|(place, _)| place).collect::<Vec<_>>(), [8, 9]);
    }
}
