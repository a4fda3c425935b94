//! What a check is called, and what it says.

use serde::{Serialize, Serializer};

/// Makes the list of checks: their variant, their name, and what each of them looks at.
macro_rules! checks {
    ($($variant:ident, $name:literal, $about:literal;)*) => {
        /// A thing that is looked at; [`Check::about`] says what that is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $(#[doc = $about] $variant,)*
        }

        impl Check {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Check] = &[$(Check::$variant,)*];

            /// Its name in the table and in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Check::$variant => $name,)* }
            }

            /// What it looks at, and what is right.
            pub const fn about(self) -> &'static str {
                match self { $(Check::$variant => $about,)* }
            }
        }
    };
}

checks! {
    Configuration, "configuration", "file, environment and flags can be read";
    FuseDevice, "fuse-device", "`/dev/fuse` is there and can be opened";
    Fusermount, "fusermount3", "where this user may not mount: `fusermount3` is there, and setuid root";
    AllowOther, "allow-other", "with `allow_other`, where this user may not mount: `user_allow_other` in `/etc/fuse.conf`";
    RequestTimeout, "request-timeout", "`fs.fuse.default_request_timeout` and `max_request_timeout` are 0: else the kernel ends a mount whose reader waits";
    Passthrough, "passthrough", "reads at native speed: Linux 6.9, built with `CONFIG_FUSE_PASSTHROUGH`, and root or CAP_SYS_ADMIN";
    Gdal, "gdal", "GDAL is 3.6 or newer and has the five drivers that conversions use";
    Sandbox, "sandbox", "the kernel has Landlock and seccomp, which wall in conversions";
    CacheFolder, "cache-folder", "the cache's folder is a cache of this release or can be made, is this user's, and has mode 700";
    CacheDisk, "cache-disk", "the cache's file system is a local disk: neither memory nor a network";
    CacheSpace, "cache-space", "the disk has room for `cache_size`, and more free than `free_space_floor`";
    CacheInodes, "cache-inodes", "the disk has inodes left";
    OpenFiles, "open-files", "the hard limit of open files (RLIMIT_NOFILE) is 4096 or more";
    Confinement, "confinement", "whether SELinux or AppArmor confine this program or `fusermount3`";
    Updatedb, "updatedb", "where plocate or mlocate is installed: `PRUNEFS` in `/etc/updatedb.conf` keeps it out of mounts";
    Key, "key", "the service key is there, is nobody else's to read, and can sign";
    Api, "api", "the service answers a small question";
    Token, "token", "the service gives a token for the key, which is thrown away";
    Clock, "clock", "this machine's clock and the service's (its `Date` header) agree within a minute";
    DownloadHosts, "download-hosts", "`download_hosts` has the service's own hosts, and not all of the world";
    Mounts, "mounts", "the mounts of this user answer in time; none is dead, stopped or invisible";
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but less well or less safely than it could.
    Warning,
    /// Something does not work.
    Problem,
    /// Nothing is known; the line says why.
    NotChecked,
}

impl Outcome {
    /// As people read it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::NotChecked => "not checked",
        }
    }
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fix {
    /// A command for a shell.
    Run(String),
    /// Words, where no single command does it.
    Do(String),
}

impl Fix {
    /// A command for a shell.
    pub(super) fn run(command: impl Into<String>) -> Self {
        Self::Run(command.into())
    }

    /// Words.
    pub(super) fn advice(words: impl Into<String>) -> Self {
        Self::Do(words.into())
    }
}

/// What a check says. What is not as it should be has a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, in a line.
    pub says: String,
    /// What to do about it.
    pub fix: Option<Fix>,
}

impl Finding {
    pub(super) fn ok(check: Check, says: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, says: says.into(), fix: None }
    }

    pub(super) fn warning(check: Check, says: impl Into<String>, fix: Fix) -> Self {
        Self { check, outcome: Outcome::Warning, says: says.into(), fix: Some(fix) }
    }

    pub(super) fn problem(check: Check, says: impl Into<String>, fix: Fix) -> Self {
        Self { check, outcome: Outcome::Problem, says: says.into(), fix: Some(fix) }
    }

    pub(super) fn not_checked(check: Check, why: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::NotChecked, says: why.into(), fix: None }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Release of the program.
    pub version: &'static str,
    /// In the order of [`Check::ALL`]; one of each, and one of [`Check::Mounts`] for each mount.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.check);
        Self { version: env!("CARGO_PKG_VERSION"), findings }
    }

    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }
}

/// A path as a shell takes it: quoted where it has to be.
pub(super) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// A finding's outcome, with its words and its fix in one text.
    pub(in crate::doctor) fn told(finding: &Finding) -> (Outcome, String) {
        let fix = match &finding.fix {
            Some(Fix::Run(text) | Fix::Do(text)) => text.as_str(),
            None => "",
        };
        (finding.outcome, format!("{}; {fix}", finding.says))
    }

    /// The same, if that is how it came out.
    #[track_caller]
    pub(in crate::doctor) fn expect(finding: &Finding, outcome: Outcome, words: &[&str]) {
        let (found, text) = told(finding);
        assert_eq!(found, outcome, "{text}");
        for word in words {
            assert!(text.contains(word), "'{word}' is not in: {text}");
        }
    }

    #[test]
    fn names_are_there_once_and_the_order_is_that_of_the_list() {
        let names: std::collections::HashSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        assert!(Check::ALL.is_sorted());
        assert!(Check::ALL.iter().all(|check| check.name().len() <= 15), "the table has no room for it");
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted(Path::new("/srv/clms-1")), "/srv/clms-1");
        assert_eq!(quoted(Path::new("/home/a b/it's")), r"'/home/a b/it'\''s'");
        assert_eq!(quoted(Path::new("")), "''");
    }
}
