//! The service key's file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::{Check, Finding, Fix, quoted};
use crate::clms::{ClmsError, ServiceKey};

/// What was read of it. The key itself is dropped at once.
#[derive(Debug)]
pub(super) struct KeyFile<'a> {
    path: &'a Path,
    /// Permissions, where the file is there.
    mode: Option<u32>,
    /// It was read, parsed, and has signed something.
    loaded: Result<(), ClmsError>,
}

impl<'a> KeyFile<'a> {
    pub(super) fn read(path: &'a Path) -> Self {
        let mode = std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o777);
        Self { path, mode, loaded: ServiceKey::load(path).map(drop) }
    }

    pub(super) const fn is_usable(&self) -> bool {
        self.loaded.is_ok()
    }
}

/// Where keys are made.
pub(super) const PROFILE: &str = "https://land.copernicus.eu (profile, API tokens)";

/// Whether there is a key that can sign.
pub(super) fn key(file: Option<&KeyFile<'_>>) -> Finding {
    let check = Check::Key;
    let Some(KeyFile { path, mode, loaded }) = file else {
        return Finding::warning(
            check,
            "no service key: the catalogue can be browsed, nothing can be ordered",
            Fix::advice(format!("make one at {PROFILE} and name its file with --credentials")),
        );
    };
    let name = path.display();
    let reason = match loaded {
        Ok(()) => return Finding::ok(check, format!("{name} can sign, and is nobody else's to read")),
        Err(ClmsError::KeyFile { reason, .. }) => reason.clone(),
        Err(error) => error.to_string(),
    };
    match mode {
        Some(mode) if mode & 0o077 != 0 => Finding::problem(
            check,
            format!("{name} can be read or changed by others (mode {mode:03o})"),
            Fix::run(format!("chmod 600 {}", quoted(path))),
        ),
        Some(_) => Finding::problem(
            check,
            format!("{name} {reason}"),
            Fix::advice(format!("download the key again, or make a new one at {PROFILE}")),
        ),
        None => Finding::problem(
            check,
            format!("{name} {reason}"),
            Fix::advice(format!("name the file with --credentials, or make a key at {PROFILE}")),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Outcome::{Ok as Fine, Problem, Warning};
    use super::super::finding::tests::{expect, told};
    use super::*;

    #[test]
    fn a_key_that_can_sign() {
        expect(&key(None), Warning, &["--credentials"]);
        let file = KeyFile { path: Path::new("/k.json"), mode: Some(0o600), loaded: Ok(()) };
        expect(&key(Some(&file)), Fine, &["/k.json"]);
    }

    #[test]
    fn a_file_that_is_none_is_told_without_a_word_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        expect(&key(Some(&KeyFile::read(&path))), Problem, &["No such file", "--credentials"]);
        std::fs::write(&path, r#"{"client_id": "hidden", "private_key": "hidden"}"#).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let finding = key(Some(&KeyFile::read(&path)));
        expect(&finding, Problem, &["not a service key", "download the key again"]);
        assert!(!told(&finding).1.contains("hidden"));
        for mode in [0o644, 0o640, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let words = [&*format!("mode {mode:o}"), "chmod 600 /"];
            expect(&key(Some(&KeyFile::read(&path))), Problem, &words);
        }
    }
}
