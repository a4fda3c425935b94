//! What earlier runs left in staging: counted from the start, deleted when the mount answers.

use crate::store::foreign;
use crate::store::layout::{EntryKey, disk_usage};

use super::flights::State;
use super::shared::Inner;

impl Inner {
    /// Counts what lies in staging for nobody against the budget, until it is swept.
    pub(super) fn take_over_leftovers(&self) {
        let mut state = self.state();
        let staged =
            std::fs::read_dir(self.cache.staging_root()).into_iter().flatten().filter_map(Result::ok);
        let left = staged
            .filter(|entry| foreign::is_scratch(entry) && !is_owned(&state, entry))
            .map(|entry| disk_usage(&entry.path()))
            .sum();
        state.leftovers = Some(self.inventory.take_over(left));
    }

    /// Deletes staging directories that no fetch under way owns. May take long.
    pub(super) fn sweep_staging(&self) {
        let root = self.cache.staging_root();
        for entry in std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok) {
            if !foreign::is_scratch(&entry) {
                tracing::warn!(path = %entry.path().display(), "what lies here is no fetch's: it is left alone");
                continue;
            }
            let apart = {
                // held while it is moved away: a fetch that begins meanwhile makes a directory of its own
                let state = self.state();
                if is_owned(&state, &entry) {
                    continue;
                }
                self.cache.set_apart(&entry.path())
            };
            match apart {
                Ok(Some(apart)) => apart.delete(),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), %error, "failed to sweep staging");
                }
            }
        }
        let leftovers = self.state().leftovers.take();
        // its end asks the inventory, which needs no lock of ours
        drop(leftovers);
    }
}

fn is_owned(state: &State, entry: &std::fs::DirEntry) -> bool {
    let key = entry.file_name().to_str().and_then(|name| EntryKey::new(name).ok());
    key.is_some_and(|key| state.running.contains_key(&key))
}
