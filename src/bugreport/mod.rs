//! A report on what is wrong, to be sent to those who can mend it: gathered, redacted, packed.
//!
//! Nothing here goes through a mount: running ones are asked over their sockets, each question with a time limit, so that a
//! mount that hangs hangs nothing else. What is gathered is text, and all of it passes the [`Redactor`] before it is written.
//!
//! * `running` — what mounts tell about themselves; `log` — the end of their logs; `facts` — system and cache.
//! * `redact` — what of the user must not leave the machine; `archive` — the file.

mod archive;
mod facts;
mod log;
mod redact;
mod running;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Resolved;
use crate::doctor;
use crate::fuse::mountpoint;
use crate::store::disk;

use redact::Redactor;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file is there.
    #[error("{} exists already: name another file with --output", .0.display())]
    Exists(PathBuf),
    /// The file would lie in a mount.
    #[error("{} lies in the mount {}, where nothing can be written: name a file elsewhere with --output", path.display(), mountpoint.display())]
    Inside {
        /// The file.
        path: PathBuf,
        /// The mount.
        mountpoint: PathBuf,
    },
    /// The file cannot be written.
    #[error("{}: {source}{}", path.display(), disk::advice(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A file of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub about: &'static str,
    /// All of it.
    pub text: String,
}

impl Page {
    fn new(name: impl Into<String>, about: &'static str, text: impl Into<String>) -> Self {
        Self { name: name.into(), about, text: text.into() }
    }
}

/// A document for people and programs.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string()) + "\n"
}

/// What a report is about.
#[derive(Debug)]
pub struct Order {
    /// The settings, or why there are none.
    pub configured: Result<Resolved, String>,
    /// Of the running mounts, this one only.
    pub mount: Option<PathBuf>,
    /// The service is not asked.
    pub offline: bool,
    /// How long is waited for the service, for each mount, and for the journal.
    pub limit: Duration,
}

/// A redacted report.
#[derive(Debug)]
pub struct Report {
    made: Timestamp,
    pages: Vec<Page>,
}

impl Report {
    /// Gathers everything and takes out what must not leave the machine.
    pub async fn gather(order: Order) -> Self {
        let made = Timestamp::now();
        let Order { configured, mount, offline, limit } = order;
        let settings = configured.as_ref().map(|resolved| resolved.settings.clone()).map_err(Clone::clone);
        let scope = doctor::Scope { mount: mount.clone(), offline, limit };
        let (findings, mounts, facts) = tokio::join!(
            doctor::examine(settings.clone(), scope),
            running::pages(mount.as_deref(), limit),
            facts::pages(settings.ok()),
        );
        let doctor = json(&findings);
        let (config, redactor) = match &configured {
            Ok(resolved) => (resolved.to_toml(true), Redactor::of(Some(resolved))),
            Err(reason) => (format!("# cannot be used: {reason}\n"), Redactor::of(None)),
        };
        let mut pages = vec![
            Page::new("doctor.json", "what clmsfs doctor found", doctor),
            Page::new("config.toml", "the settings, without private ones", config),
        ];
        pages.extend(facts);
        pages.extend(mounts);
        pages.insert(0, introduction(made, &pages));
        for page in &mut pages {
            page.text = redactor.clean(&page.text);
        }
        Self { made, pages }
    }

    /// Its files.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The name that its file has where nobody names one.
    pub fn file_name(&self) -> String {
        format!("{}.tar.gz", self.folder())
    }

    fn folder(&self) -> String {
        format!("clmsfs-report-{}", self.made.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// Writes it to a new file that only this user can read; returns the file's size in bytes.
    ///
    /// # Errors
    /// [`ReportError`]; no file is left behind then.
    pub fn write(&self, path: &Path) -> Result<u64, ReportError> {
        archive::write(path, &self.folder(), self.made, &self.pages).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ReportError::Exists(path.to_owned()),
            _ => ReportError::Io { path: path.to_owned(), source },
        })
    }
}

/// Refuses a file below a mount, without looking at it.
///
/// # Errors
/// [`ReportError::Inside`], [`ReportError::Io`] where the working directory is unknown.
pub fn outside_of_mounts(path: &Path) -> Result<PathBuf, ReportError> {
    let full =
        std::path::absolute(path).map_err(|source| ReportError::Io { path: path.to_owned(), source })?;
    match mountpoint::mounts().into_iter().find(|mountpoint| full.starts_with(mountpoint)) {
        Some(mountpoint) => Err(ReportError::Inside { path: full, mountpoint }),
        None => Ok(full),
    }
}

/// What has been taken out of every page, in words.
pub const TAKEN_OUT: &str = "Taken out were keys, tokens, the ids of the service key, user names, the machine's name, e-mail addresses and the path of your home folder.";

/// The page that says what the others are.
fn introduction(made: Timestamp, pages: &[Page]) -> Page {
    let width = pages.iter().map(|page| page.name.len()).max().unwrap_or(0);
    let list: String = pages.iter().map(|page| format!("  {:width$}  {}\n", page.name, page.about)).collect();
    let text = format!(
        "A report by clmsfs {}, made {made}.\n\n{list}\n{TAKEN_OUT}\nNames of datasets and products, numbers of tasks and other paths are still there.\nPlease look through it before you send it.\n",
        env!("CARGO_PKG_VERSION"),
    );
    Page::new("README.txt", "what is in here, and what was taken out", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_introduction_names_every_page() {
        let pages = [Page::new("a.json", "facts", ""), Page::new("mount-1/log.txt", "its end", "")];
        let text = introduction(Timestamp::UNIX_EPOCH, &pages).text;
        assert!(text.contains("  a.json           facts\n  mount-1/log.txt  its end\n"), "{text}");
        assert!(text.contains("look through it"), "{text}");
    }

    #[test]
    fn nothing_is_written_below_a_mount() {
        assert!(outside_of_mounts(Path::new("/tmp/report.tar.gz")).is_ok());
    }
}
