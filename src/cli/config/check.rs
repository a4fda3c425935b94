//! `clmsfs config check`: what is wrong with the settings, and with what they name.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde::Serialize;

use crate::cli::{Failure, output, settings, wants_json};
use crate::clms::ServiceKey;
use crate::config::{ConfigError, Resolved};

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Problem {
    /// The file it stands in.
    file: Option<PathBuf>,
    /// Line, from 1.
    line: Option<usize>,
    /// Letter of the line, from 1.
    column: Option<usize>,
    /// The option it is about.
    option: Option<String>,
    /// All of it in words, with the place and the way out.
    message: String,
}

impl From<&ConfigError> for Problem {
    fn from(error: &ConfigError) -> Self {
        let place = error.place();
        Self {
            file: place.map(|(file, _, _)| file.to_owned()),
            line: place.and_then(|(_, line, _)| line),
            column: place.and_then(|(_, _, column)| column),
            option: error.option().map(str::to_owned),
            message: error.to_string(),
        }
    }
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    files: Vec<PathBuf>,
    problems: Vec<Problem>,
}

/// Says what is wrong; `false` when something is.
pub(super) fn run(arguments: &ArgMatches) -> Result<bool, Failure> {
    let (files, problems) = match settings(arguments) {
        Ok(resolved) => (resolved.files.clone(), what_it_names(&resolved)),
        Err(errors) => {
            let problems: Vec<Problem> = errors.all().iter().map(Problem::from).collect();
            let mut files: Vec<PathBuf> =
                problems.iter().filter_map(|problem| problem.file.clone()).collect();
            files.dedup();
            (files, problems)
        }
    };
    let verdict = Verdict { ok: problems.is_empty(), files, problems };
    if wants_json(arguments) {
        println!("{}", output::json(&verdict)?);
        return Ok(verdict.ok);
    }
    for problem in &verdict.problems {
        output::complain(format_args!("{}", problem.message));
    }
    if verdict.ok {
        match verdict.files.as_slice() {
            [] => println!("no configuration file was found; the settings are fine"),
            files => files.iter().for_each(|file| println!("{}: fine", file.display())),
        }
    }
    Ok(verdict.ok)
}

/// What is wrong with the files and folders that sound settings name. Nothing is created or changed.
fn what_it_names(resolved: &Resolved) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut note = |option: &'static str, result: Result<(), String>| {
        let refused = |message| ConfigError::Value { option, origin: resolved.source(option), message };
        problems.extend(result.err().map(|message| Problem::from(&refused(message))));
    };
    if let Some(path) = &resolved.settings.credentials {
        note("credentials", ServiceKey::load(path).map(drop).map_err(|error| error.to_string()));
    }
    note("cache_dir", cache_dir(&resolved.settings.cache_dir));
    problems
}

/// Whether a cache can be made or used at `path`: the first of the folder and those above it that exists must take files.
fn cache_dir(path: &Path) -> Result<(), String> {
    for folder in path.ancestors() {
        match std::fs::metadata(folder) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(format!("{} is not a directory: name another one", folder.display()));
            }
            Ok(_) => return takes_files(folder),
            // one of those above it says why
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(format!("{}: {error}", folder.display())),
        }
    }
    Err(format!("{} has no folder above it that exists", path.display()))
}

fn takes_files(folder: &Path) -> Result<(), String> {
    let name = std::ffi::CString::new(folder.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: `name` is NUL-terminated and lives through the call.
    if unsafe { libc::access(name.as_ptr(), libc::W_OK | libc::X_OK) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(format!(
        "nothing can be written to {} ({error}): make it writable, or name another folder",
        folder.display()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{PartialSettings, Settings};

    #[test]
    fn keys_and_folders_that_are_named_are_tried() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let check = |text: String| -> Vec<Problem> {
            std::fs::write(path("c.toml"), text).unwrap();
            let file = path("c.toml");
            let resolved = Settings::resolve(&PartialSettings::default(), |_| None, Some(&file)).unwrap();
            what_it_names(&resolved)
        };
        std::fs::write(path("file"), "").unwrap();
        let quoted = |name: &str| format!("\"{}\"", path(name).display());
        assert_eq!(check(format!("cache_dir = {}", quoted("new/one"))), []);
        assert!(!path("new").exists(), "a check makes nothing");
        let found = check(format!("\ncache_dir = {}\ncredentials = {}", quoted("file/cache"), quoted("key")));
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].line, found[0].option.as_deref()), (Some(3), Some("credentials")));
        assert!(found[0].message.contains("cannot be read"), "{found:?}");
        assert!(found[1].message.contains("c.toml:2: cache_dir: "), "{found:?}");
    }
}
