//! A disk that keeps what POSIX makes it keep, and of the rest what it likes.
//!
//! Data of a file is kept once the file was synced, names in a folder once the folder was synced; a rename is one thing,
//! kept or not, and is kept when one of its two folders was synced. Everything else may be lost or not, in any order,
//! writes also in part. Real file systems lose less: ext4, XFS and btrfs keep the order of changes to names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::trace::Call;

/// Where power may fail: block by block.
const BLOCK: usize = 4096;

/// Files and folders by number; 0 is the root.
type Node = usize;

/// One change.
#[derive(Debug)]
enum Change {
    Write { file: Node, offset: u64, bytes: Vec<u8> },
    Resize { file: Node, length: u64 },
    Punch { file: Node, offset: u64, length: u64 },
    Insert { file: Node, offset: u64, length: u64 },
    Link { folder: Node, name: String, node: Node },
    Unlink { folder: Node, name: String, node: Node },
    Rename { from: (Node, String), to: (Node, String), node: Node, other: Option<Node> },
}

/// What happened besides changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Remark {
    /// A folder got this path (relative to the root).
    Appeared(String),
    /// A path is gone.
    Vanished(String),
    /// Left through a socket.
    Sent(Vec<u8>),
}

/// A folder with what it holds, or a file.
#[derive(Debug, Clone)]
enum Content {
    Folder(BTreeMap<String, Node>),
    File(Vec<u8>),
}

/// Files by path relative to the root; folders end with a slash and are empty.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A tree as it stands after some changes.
#[derive(Debug, Clone, Default)]
struct Tree(HashMap<Node, Content>);

impl Tree {
    fn folder(&mut self, node: Node) -> &mut BTreeMap<String, Node> {
        match self.0.entry(node).or_insert_with(|| Content::Folder(BTreeMap::new())) {
            Content::Folder(names) => names,
            Content::File(_) => panic!("{node} is no folder"),
        }
    }

    fn file(&mut self, node: Node) -> &mut Vec<u8> {
        match self.0.entry(node).or_insert_with(|| Content::File(Vec::new())) {
            Content::File(bytes) => bytes,
            Content::Folder(_) => panic!("{node} is no file"),
        }
    }

    /// Applies a change, of a write only the first `part` bytes. What has no ground any more is left out.
    fn apply(&mut self, change: &Change, part: usize) {
        match change {
            Change::Write { file, offset, bytes } => {
                let bytes = &bytes[..part.min(bytes.len())];
                let (file, offset) = (self.file(*file), *offset as usize);
                file.resize(file.len().max(offset + bytes.len()), 0);
                file[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Resize { file, length } => self.file(*file).resize(*length as usize, 0),
            Change::Punch { file, offset, length } => {
                let file = self.file(*file);
                let end = file.len().min((offset + length) as usize);
                let start = end.min(*offset as usize);
                file[start..end].fill(0);
            }
            Change::Insert { file, offset, length } => {
                let file = self.file(*file);
                let at = file.len().min(*offset as usize);
                file.splice(at..at, std::iter::repeat_n(0, *length as usize));
            }
            Change::Link { folder, name, node } => {
                self.folder(*folder).insert(name.clone(), *node);
            }
            Change::Unlink { folder, name, node } => {
                self.take(*folder, name, *node);
            }
            Change::Rename { from, to, node, other } => {
                self.take(from.0, &from.1, *node);
                if let Some(other) = other {
                    self.folder(from.0).insert(from.1.clone(), *other);
                }
                self.folder(to.0).insert(to.1.clone(), *node);
            }
        }
    }

    fn take(&mut self, folder: Node, name: &str, node: Node) {
        let names = self.folder(folder);
        if names.get(name) == Some(&node) {
            names.remove(name);
        }
    }

    fn find(&mut self, path: &str) -> Option<Node> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(0, |node, part| match self.0.get(&node) {
            Some(Content::Folder(names)) => names.get(part).copied(),
            _ => None,
        })
    }

    fn files(&self, below: Node, prefix: &str, files: &mut Files) {
        let Some(Content::Folder(names)) = self.0.get(&below) else { return };
        for (name, node) in names {
            match self.0.get(node) {
                Some(Content::File(bytes)) => {
                    files.insert(format!("{prefix}{name}"), bytes.clone());
                }
                _ => {
                    let path = format!("{prefix}{name}/");
                    files.insert(path.clone(), Vec::new());
                    self.files(*node, &path, files);
                }
            }
        }
    }
}

/// One entry of the recording.
#[derive(Debug)]
struct Step {
    change: Option<Change>,
    remark: Option<Remark>,
    /// The step whose end made it durable.
    durable: Option<usize>,
}

/// Everything that was done below a root, in order.
pub(super) struct Recording {
    steps: Vec<Step>,
    /// As the running system sees it.
    now: Tree,
    kinds: Vec<bool>,
}

/// Which of the changes that nothing made durable are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    /// Names without their data.
    NamesOnly,
    /// Data without their names.
    DataOnly,
    /// As after a kill.
    Kept,
    /// By chance, from this seed.
    Mixed(u64),
}

impl Recording {
    /// Plays `calls` below `root`.
    #[track_caller]
    pub(super) fn new(calls: &[Call], root: &str) -> Self {
        let mut tree = Tree::default();
        tree.folder(0);
        let mut recording = Self { steps: Vec::new(), now: tree, kinds: vec![true] };
        let mut places: HashMap<(i64, Node), u64> = HashMap::new();
        // Steps that were there when so many calls were.
        let mut reached = vec![0];
        for call in calls {
            recording.play(call, root, &mut places, &reached);
            reached.push(recording.steps.len());
        }
        recording
    }

    fn play(&mut self, call: &Call, root: &str, places: &mut HashMap<(i64, Node), u64>, reached: &[usize]) {
        // The index over SQLite's log is made anew at every start; it is written through memory.
        let inside = |path: &str| {
            let rest = path.strip_prefix(root)?;
            let is_ours = (rest.is_empty() || rest.starts_with('/')) && !rest.ends_with("-shm");
            is_ours.then(|| rest.trim_start_matches('/').to_owned())
        };
        match call {
            Call::Open { descriptor, path, create, truncate, append } => {
                let Some(path) = inside(path) else { return };
                let node = match self.now.find(&path) {
                    Some(node) => node,
                    None if *create => {
                        let node = self.new_node(false);
                        self.link(&path, node);
                        node
                    }
                    None => return,
                };
                if self.kinds[node] {
                    return;
                }
                if *truncate && !self.now.file(node).is_empty() {
                    self.change(Change::Resize { file: node, length: 0 });
                }
                // A descriptor that appends has no place of its own.
                places.insert((*descriptor, node), if *append { u64::MAX } else { 0 });
            }
            Call::MakeFolder { path } => {
                let Some(path) = inside(path).filter(|path| !path.is_empty()) else { return };
                let node = self.new_node(true);
                self.now.folder(node);
                self.link(&path, node);
            }
            Call::Write { descriptor, path, offset, bytes } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                let offset =
                    offset.unwrap_or_else(|| self.advance(places, *descriptor, node, bytes.len() as u64));
                self.change(Change::Write { file: node, offset, bytes: bytes.clone() });
            }
            Call::Read { descriptor, path, length } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                self.advance(places, *descriptor, node, *length);
            }
            Call::Seek { descriptor, path, offset } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                places.insert((*descriptor, node), *offset);
            }
            Call::Resize { path, length } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                self.change(Change::Resize { file: node, length: *length });
            }
            Call::Punch { path, offset, length } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                self.change(Change::Punch { file: node, offset: *offset, length: *length });
            }
            Call::Insert { path, offset, length } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                self.change(Change::Insert { file: node, offset: *offset, length: *length });
            }
            Call::Copy { from, to, length } => {
                let Some(target) = inside(&to.1).and_then(|path| self.now.find(&path)) else { return };
                let source = inside(&from.1).and_then(|path| self.now.find(&path));
                let source = source.expect("only files of the cache are copied within it");
                let at = self.advance(places, from.0, source, *length) as usize;
                let bytes = self.now.file(source)[at..at + *length as usize].to_vec();
                let offset = self.advance(places, to.0, target, *length);
                self.change(Change::Write { file: target, offset, bytes });
            }
            Call::Rename { from, to, exchange } => {
                let (Some(from), Some(to)) = (inside(from), inside(to)) else { return };
                let node = self.now.find(&from).unwrap_or_else(|| panic!("no {from} to be renamed"));
                let other = if *exchange { self.now.find(&to) } else { None };
                let ends = (self.place(&from), self.place(&to));
                self.change(Change::Rename { from: ends.0, to: ends.1, node, other });
                self.remark(Remark::Vanished(from));
                self.remark(Remark::Appeared(to));
            }
            Call::Remove { path } => {
                let Some(path) = inside(path) else { return };
                let Some(node) = self.now.find(&path) else { return };
                let (folder, name) = self.place(&path);
                self.change(Change::Unlink { folder, name, node });
            }
            Call::Sync { path, begun } => {
                let Some(node) = inside(path).and_then(|path| self.now.find(&path)) else { return };
                self.steps.push(Step { change: None, remark: None, durable: None });
                let end = self.steps.len() - 1;
                for step in &mut self.steps[..reached[*begun]] {
                    if step.durable.is_none() && step.change.as_ref().is_some_and(|change| change.is_of(node))
                    {
                        step.durable = Some(end);
                    }
                }
            }
            Call::Send { bytes } => self.remark(Remark::Sent(bytes.clone())),
        }
    }

    /// Where a descriptor stands, before it goes on by `length`.
    fn advance(
        &mut self,
        places: &mut HashMap<(i64, Node), u64>,
        descriptor: i64,
        node: Node,
        length: u64,
    ) -> u64 {
        let end = self.now.file(node).len() as u64;
        let place = places.entry((descriptor, node)).or_insert(0);
        if *place == u64::MAX {
            return end;
        }
        *place += length;
        *place - length
    }

    fn new_node(&mut self, is_folder: bool) -> Node {
        self.kinds.push(is_folder);
        self.kinds.len() - 1
    }

    fn link(&mut self, path: &str, node: Node) {
        let (folder, name) = self.place(path);
        self.change(Change::Link { folder, name, node });
    }

    /// The folder of a path, and the name in it.
    #[track_caller]
    fn place(&mut self, path: &str) -> (Node, String) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.now.find(folder).unwrap_or_else(|| panic!("no folder for {path}"));
        (folder, name.to_owned())
    }

    fn change(&mut self, change: Change) {
        self.now.apply(&change, usize::MAX);
        self.steps.push(Step { change: Some(change), remark: None, durable: None });
    }

    fn remark(&mut self, remark: Remark) {
        self.steps.push(Step { change: None, remark: Some(remark), durable: None });
    }

    /// Number of steps: power may fail before each, and after the last one.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Moments around which something is decided: changes of names, ends of syncs, remarks.
    pub(super) fn moments(&self) -> Vec<usize> {
        let is_plain = |step: &Step| step.change.as_ref().is_some_and(|change| !change.is_of_names());
        let decided = (0..self.steps.len()).filter(|at| !is_plain(&self.steps[*at]));
        let mut moments: Vec<usize> = decided.flat_map(|at| [at, at + 1]).collect();
        moments.dedup();
        moments
    }

    /// The last steps before a moment, for people.
    pub(super) fn tell(&self, moment: usize) -> String {
        let line = |at: usize| {
            let step = &self.steps[at];
            let text = match (&step.change, &step.remark) {
                (Some(Change::Write { file, offset, bytes }), _) => {
                    format!("write {} bytes at {offset} of {file}", bytes.len())
                }
                (Some(change), _) => format!("{change:?}"),
                (_, Some(Remark::Sent(bytes))) => format!("sent {} bytes", bytes.len()),
                (_, Some(remark)) => format!("{remark:?}"),
                _ => "a sync is over".to_owned(),
            };
            let durable = step.durable.map_or("never".to_owned(), |end| end.to_string());
            format!("{at:5} {text}, durable: {durable}")
        };
        (moment.saturating_sub(24)..moment).map(line).collect::<Vec<_>>().join("\n")
    }

    /// All remarks with the step at which they were made.
    pub(super) fn remarks(&self) -> impl Iterator<Item = (usize, &Remark)> {
        self.steps.iter().enumerate().filter_map(|(at, step)| Some((at, step.remark.as_ref()?)))
    }

    /// What the running system saw after `steps`.
    pub(super) fn seen(&self, steps: usize) -> Files {
        self.after(steps, Fate::Kept)
    }

    /// What is on the disk when power fails after `steps`.
    pub(super) fn after(&self, steps: usize, fate: Fate) -> Files {
        let mut chance = crate::support::random::Random::new(match fate {
            Fate::Mixed(seed) => seed,
            _ => 0,
        });
        let mut tree = Tree::default();
        tree.folder(0);
        for step in &self.steps[..steps] {
            let Some(change) = &step.change else { continue };
            let is_name = change.is_of_names();
            let durable = step.durable.is_some_and(|end| end < steps);
            let part = match fate {
                _ if durable => usize::MAX,
                Fate::Kept => usize::MAX,
                Fate::NamesOnly if is_name => usize::MAX,
                Fate::DataOnly if !is_name => usize::MAX,
                Fate::Lost | Fate::NamesOnly | Fate::DataOnly => continue,
                Fate::Mixed(_) => match chance.below(8) {
                    0..=3 => continue,
                    4 => BLOCK * chance.below(4) as usize,
                    _ => usize::MAX,
                },
            };
            tree.apply(change, part);
        }
        let mut files = Files::new();
        // Folders that nothing was ever put into are folders all the same.
        for (node, is_folder) in self.kinds.iter().enumerate() {
            if *is_folder {
                tree.folder(node);
            } else {
                tree.file(node);
            }
        }
        tree.files(0, "", &mut files);
        files
    }
}

impl Change {
    fn is_of_names(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. })
    }

    /// Whether syncing `node` makes it durable.
    fn is_of(&self, node: Node) -> bool {
        match self {
            Self::Write { file, .. }
            | Self::Resize { file, .. }
            | Self::Punch { file, .. }
            | Self::Insert { file, .. } => *file == node,
            Self::Link { folder, .. } | Self::Unlink { folder, .. } => *folder == node,
            Self::Rename { from, to, .. } => from.0 == node || to.0 == node,
        }
    }
}

/// Writes files into an empty folder.
#[track_caller]
pub(super) fn write(files: &Files, folder: &Path) {
    for (path, bytes) in files {
        let target = folder.join(path);
        if path.ends_with('/') {
            std::fs::create_dir(target).unwrap();
        } else {
            std::fs::write(target, bytes).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> String {
        format!("/c/{path}")
    }

    /// Writes `new`, syncs it if asked to, renames it to `old`, syncs the folder if asked to.
    fn replaced(sync_file: bool, sync_folder: bool) -> Recording {
        let open = |name: &str| Call::Open {
            descriptor: 3,
            path: call(name),
            create: true,
            truncate: true,
            append: false,
        };
        let write = |name: &str, bytes: &[u8]| Call::Write {
            descriptor: 3,
            path: call(name),
            offset: None,
            bytes: bytes.to_vec(),
        };
        let mut calls = vec![open("old"), write("old", b"before")];
        for path in [call("old"), "/c".to_owned()] {
            calls.push(Call::Sync { path, begun: calls.len() });
        }
        calls.extend([open("new"), write("new", b"after")]);
        if sync_file {
            calls.push(Call::Sync { path: call("new"), begun: calls.len() });
        }
        calls.push(Call::Rename { from: call("new"), to: call("old"), exchange: false });
        if sync_folder {
            calls.push(Call::Sync { path: "/c".to_owned(), begun: calls.len() });
        }
        Recording::new(&calls, "/c")
    }

    fn old(recording: &Recording, fate: Fate) -> String {
        String::from_utf8(recording.after(recording.len(), fate)["old"].clone()).unwrap()
    }

    #[test]
    fn a_rename_without_syncs_may_leave_an_empty_file() {
        let recording = replaced(false, false);
        assert_eq!(old(&recording, Fate::NamesOnly), "");
        assert_eq!(old(&recording, Fate::Lost), "before");
        assert_eq!(old(&recording, Fate::Kept), "after");
    }

    #[test]
    fn a_synced_file_is_renamed_whole_or_not_at_all() {
        let recording = replaced(true, false);
        assert_eq!(old(&recording, Fate::NamesOnly), "after");
        assert_eq!(old(&recording, Fate::Lost), "before");
        let fates: Vec<String> = (0..50).map(|seed| old(&recording, Fate::Mixed(seed))).collect();
        assert!(fates.iter().any(|text| text == "before") && fates.iter().any(|text| text == "after"));
        assert_eq!(old(&replaced(true, true), Fate::Lost), "after");
    }
}
