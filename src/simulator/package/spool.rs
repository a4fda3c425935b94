//! Outer zips on disk: made once per set of packages, kept until the simulator goes.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::OnceCell;

use super::{PackageError, Part, Recipe, write_outer};

/// A file that the file host serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outer {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The folder of outer zips; removed on drop.
#[derive(Debug)]
pub(crate) struct Packages {
    folder: PathBuf,
    next: AtomicU64,
    made: Mutex<HashMap<String, Arc<OnceCell<Outer>>>>,
}

impl Packages {
    /// Makes an empty folder in the system's place for temporary files.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!(
            "clmsfs-simulator-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        fs::create_dir(&folder)?;
        Ok(Self { folder, next: AtomicU64::new(0), made: Mutex::default() })
    }

    /// The outer zip of these parts, generated on a blocking thread by whoever asks first.
    pub(crate) async fn outer(&self, parts: Vec<Part>, raster_size: u32) -> Result<Outer, PackageError> {
        let key = key(&parts, raster_size);
        let cell = self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let path = self.folder.join(format!("{}.zip", self.next.fetch_add(1, Ordering::Relaxed)));
        cell.get_or_try_init(|| async {
            tokio::task::spawn_blocking(move || {
                let bytes = write_outer(&path, &parts, raster_size)?;
                Ok(Outer { path, bytes })
            })
            .await
            .map_err(|_| PackageError::Interrupted)?
        })
        .await
        .cloned()
    }
}

fn key(parts: &[Part], raster_size: u32) -> String {
    parts.iter().fold(raster_size.to_string(), |key, part| {
        format!("{key}\n{}\n{:?} {:?}", part.stem, part.recipe, version(&part.recipe))
    })
}

/// Size and time of a file from disk: whoever replaces it is a producer with a newer edition.
fn version(recipe: &Recipe) -> Option<(u64, SystemTime)> {
    let Recipe::File(path) = recipe else { return None };
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

impl Drop for Packages {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(folder = %self.folder.display(), %error, "left the simulator's packages behind");
        }
    }
}
