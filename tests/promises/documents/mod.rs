//! What the documents say is so: their command lines parse, their links lead somewhere, the messages they quote exist.
//!
//! The examples of `docs/SEMANTICS.md` are run in [`crate::semantics`].

mod commands;
mod links;
mod literals;
pub(crate) mod markdown;
mod messages;

use std::path::{Path, PathBuf};

/// A document of this repository.
struct Document {
    /// Its path below the repository's root.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with that ending, without what is built or belongs to git.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            let foreign = name == "target" || name == ".git" || name == "corpus" || name == "artifacts";
            found.extend(if foreign { Vec::new() } else { files(&path, ending) });
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every Markdown file.
fn documents() -> Vec<Document> {
    let all = files(root(), "md");
    assert!(all.len() >= 10, "only {all:?}");
    let document = |path: PathBuf| Document {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    all.into_iter().map(document).collect()
}

/// One document by its path.
fn document(name: &str) -> Document {
    Document { name: name.to_owned(), text: std::fs::read_to_string(root().join(name)).unwrap() }
}
