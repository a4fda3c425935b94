//! What systemd gives to a service of ours (systemd.exec(5)): defaults that are better than those of a person's session.

use std::path::{Path, PathBuf};

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

/// What the unit gives.
pub(super) struct Layout {
    pub(super) cache_dir: PathBuf,
    /// Of this file the service gets a copy.
    pub(super) credentials: PathBuf,
}

/// What the unit gives to the service whose settings are in `file`, as one sees it who is not the service
/// (`CacheDirectory=` and `LoadCredential=` of systemd/clmsfs@.service).
pub(super) fn layout(file: &Path) -> Option<Layout> {
    let name = file.strip_prefix("/etc/clmsfs").ok()?.to_str()?.strip_suffix(".toml")?;
    // that of the machine is no service's
    (name != "config" && !name.contains('/')).then(|| Layout {
        cache_dir: Path::new("/var/cache/clmsfs").join(name),
        credentials: PathBuf::from(format!("/etc/clmsfs/{name}-key.json")),
    })
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
    fn the_layout_is_that_of_the_unit() {
        let unit = include_str!("../../systemd/clmsfs@.service");
        for line in
            ["CacheDirectory=clmsfs/%i\n", "LoadCredential=service-key.json:/etc/clmsfs/%i-key.json\n"]
        {
            assert!(unit.contains(line), "{line}");
        }
        let given = layout(Path::new("/etc/clmsfs/my-lab.toml")).unwrap();
        assert_eq!(given.cache_dir, Path::new("/var/cache/clmsfs/my-lab"));
        assert_eq!(given.credentials, Path::new("/etc/clmsfs/my-lab-key.json"));
        for other in
            ["/etc/clmsfs/config.toml", "/etc/clmsfs/a/b.toml", "/home/ada/lab.toml", "/etc/clmsfs/lab"]
        {
            assert!(layout(Path::new(other)).is_none(), "{other}");
        }
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
