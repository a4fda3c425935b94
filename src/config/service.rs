//! What systemd gives to a service of ours (systemd.exec(5)): defaults that are better than those of a person's session.

use std::path::PathBuf;

/// Name of the credential in the unit.
const KEY: &str = "service-key.json";
/// What the unit puts in its place when there is no key (`SetCredential=`): a missing file would keep the service from starting.
const NO_KEY: &str = "none";

/// The service key that is handed over, if there is one.
pub(super) fn credentials(env: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let file = only(env, "CREDENTIALS_DIRECTORY")?.join(KEY);
    // told by its size: nobody but the client of the service reads a key
    let is_key = file.metadata().is_ok_and(|metadata| metadata.len() > NO_KEY.len() as u64 + 1);
    is_key.then_some(file)
}

/// The folder for the cache (`CacheDirectory=`).
pub(super) fn cache_dir(env: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    only(env, "CACHE_DIRECTORY")
}

/// A folder that a variable names; `None` for several, which are not of our unit.
fn only(env: &impl Fn(&str) -> Option<String>, name: &str) -> Option<PathBuf> {
    env(name).filter(|text| !text.contains(':')).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_place_holder_for_a_missing_key_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let env = |name: &str| {
            (name == "CREDENTIALS_DIRECTORY").then(|| folder.path().to_str().unwrap().to_owned())
        };
        assert_eq!(credentials(&env), None);
        let file = folder.path().join(KEY);
        for nothing in ["", NO_KEY, "none\n"] {
            std::fs::write(&file, nothing).unwrap();
            assert_eq!(credentials(&env), None, "{nothing:?}");
        }
        std::fs::write(&file, "{\"client_id\": \"\"}").unwrap();
        assert_eq!(credentials(&env), Some(file));
    }

    #[test]
    fn the_folder_of_the_unit_is_the_cache() {
        let given =
            |text: &'static str| cache_dir(&move |name| (name == "CACHE_DIRECTORY").then(|| text.to_owned()));
        assert_eq!(given("/var/cache/clmsfs/clms"), Some(PathBuf::from("/var/cache/clmsfs/clms")));
        assert_eq!(given("/var/cache/a:/var/cache/b"), None);
        assert_eq!(given("cache"), None);
    }
}
