//! Inodes that the kernel knows: number → node, kept as long as the kernel remembers them.
//!
//! The kernel may believe the size of a cold file for a while, so that listings need not ask for each file again. A reader
//! must never see that size once the file is here: it would read nothing and take the file for empty. Hence an inode
//! whose size was told provisionally is marked *before* the kernel is told, the mark stays as long as the kernel knows
//! the inode, and an open of a marked inode is answered after the kernel has been told to forget its attributes.
//! Replies that are under way at that moment do no harm: the kernel holds the inode that is being opened, and drops
//! attributes that were asked for before it was told to forget (Linux 5.8).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::node::{Edition, Ino, Node, wish};

#[derive(Debug)]
struct Known {
    node: Node,
    lookups: u64,
    /// The kernel has been told a size that holds only until the file is opened.
    provisional: bool,
}

/// The table of inodes.
#[derive(Debug)]
pub struct Inodes {
    known: Mutex<HashMap<Ino, Known>>,
}

impl Default for Inodes {
    fn default() -> Self {
        let root = Known { node: Node::Root, lookups: 1, provisional: false };
        Self { known: Mutex::new(HashMap::from([(Ino::ROOT, root)])) }
    }
}

impl Inodes {
    fn known(&self) -> MutexGuard<'_, HashMap<Ino, Known>> {
        self.known.lock().expect("no code panics while it holds the inode table")
    }

    /// The node of an inode.
    pub fn node(&self, ino: Ino) -> Option<Node> {
        self.known().get(&ino).map(|known| known.node.clone())
    }

    /// Number of a node that the kernel is told about; counts as `lookups` lookups.
    ///
    /// Two paths whose hashes collide get neighbouring numbers, and so do two products that have a name in turn.
    pub fn remember(&self, node: Node, path: &str, lookups: u64) -> Ino {
        let mut ino = match &node {
            Node::Inside(_, _, Edition { number: number @ 1.., .. }) => wish(&format!("{path}\0{number}")),
            _ => wish(path),
        };
        let mut known = self.known();
        loop {
            match known.get_mut(&ino) {
                Some(entry) if entry.node == node => {
                    entry.lookups += lookups;
                    return ino;
                }
                Some(_) => ino = Ino(ino.0.wrapping_add(1).max(2)),
                None if lookups == 0 => return ino,
                None => {
                    known.insert(ino, Known { node, lookups, provisional: false });
                    return ino;
                }
            }
        }
    }

    /// The kernel is about to be told a size that holds only until the file is opened.
    pub fn mark_provisional(&self, ino: Ino) {
        if let Some(entry) = self.known().get_mut(&ino) {
            entry.provisional = true;
        }
    }

    /// True when the kernel may hold such a size.
    pub fn is_provisional(&self, ino: Ino) -> bool {
        self.known().get(&ino).is_some_and(|known| known.provisional)
    }

    /// The kernel forgets `lookups` lookups of an inode; true when it does not know the inode any more.
    pub fn forget(&self, ino: Ino, lookups: u64) -> bool {
        if ino == Ino::ROOT {
            return false;
        }
        let mut known = self.known();
        if let Some(entry) = known.get_mut(&ino) {
            entry.lookups = entry.lookups.saturating_sub(lookups);
            if entry.lookups == 0 {
                known.remove(&ino);
                return true;
            }
        }
        false
    }

    /// All inodes the kernel knows for which `wanted` holds.
    pub fn select(&self, wanted: impl Fn(&Node) -> bool) -> Vec<(Ino, Node)> {
        let known = self.known();
        known
            .iter()
            .filter(|(_, entry)| wanted(&entry.node))
            .map(|(ino, entry)| (*ino, entry.node.clone()))
            .collect()
    }

    /// How many inodes the kernel knows.
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// True when the kernel knows none but the root.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::node::ProductPath;
    use super::*;

    #[test]
    fn an_inode_lives_until_every_lookup_is_forgotten() {
        let inodes = Inodes::default();
        let node = Node::Dataset("clc2018".into());
        let ino = inodes.remember(node.clone(), "clc2018", 1);
        assert_eq!(inodes.remember(node.clone(), "clc2018", 2), ino);
        inodes.forget(ino, 2);
        assert_eq!(inodes.node(ino), Some(node));
        inodes.forget(ino, 1);
        assert_eq!(inodes.node(ino), None);
        inodes.forget(Ino::ROOT, 99);
        assert_eq!(inodes.node(Ino::ROOT), Some(Node::Root));
    }

    #[test]
    fn a_file_that_was_replaced_is_another_file() {
        let inodes = Inodes::default();
        let product = ProductPath { dataset: "d".into(), product: "p".into() };
        let edition = |number| Node::Inside(product.clone(), "p.tif".into(), Edition { product: 7, number });
        let inos = [0, 1, 2].map(|number| inodes.remember(edition(number), "d/p/p.tif", 1));
        assert!(inos[0] == wish("d/p/p.tif") && inos[0] != inos[1] && inos[1] != inos[2]);
        inodes.forget(inos[0], 1);
        assert_eq!(inodes.remember(edition(1), "d/p/p.tif", 1), inos[1]);
        let other = Node::Inside(product.clone(), "p.tif".into(), Edition { product: 8, number: 1 });
        assert_ne!(inodes.remember(other, "d/p/p.tif", 1), inos[1], "of another product");
    }

    #[test]
    fn a_provisional_size_is_remembered_until_the_kernel_forgets_the_inode() {
        let inodes = Inodes::default();
        let node = Node::Dataset("a".into());
        let ino = inodes.remember(node.clone(), "a", 1);
        assert!(!inodes.is_provisional(ino));
        inodes.mark_provisional(ino);
        // a reply that is under way may still bring the kernel the size, whatever it was told meanwhile
        inodes.remember(node.clone(), "a", 1);
        inodes.forget(ino, 1);
        assert!(inodes.is_provisional(ino));
        inodes.forget(ino, 1);
        assert!(!inodes.is_provisional(ino));
        inodes.remember(node, "a", 1);
        assert!(!inodes.is_provisional(ino));
    }

    #[test]
    fn colliding_paths_get_different_numbers() {
        let inodes = Inodes::default();
        let first = inodes.remember(Node::Dataset("a".into()), "same", 1);
        let second = inodes.remember(Node::Dataset("b".into()), "same", 1);
        assert_ne!(first, second);
        assert_eq!(inodes.remember(Node::Dataset("b".into()), "same", 1), second);
    }
}
