//! Policy: who may fetch by opening a cold file, who is told to come back, who is refused.
//!
//! A ready product opens for everybody; these rules are asked only when the content of a cold file is wanted.
//! [`decide`] is pure: reading `/proc` belongs to whoever builds the [`Opener`].

use std::fmt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::choices::{OnMiss, Profile};
use super::shipped_rules;

/// Bytes of a process or thread name that the kernel keeps (TASK_COMM_LEN without the final NUL).
pub const COMM_LENGTH: usize = 15;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Wait until the file is there (EAGAIN all the same with `O_NONBLOCK`: such a caller never waits).
    Block,
    /// Start or join the fetch and fail at once with EAGAIN.
    Eagain,
    /// Fail at once with EAGAIN and order nothing.
    EagainNoOrder,
    /// Fail with EACCES and order nothing.
    Deny,
    /// No objection: `on_miss` decides. Also lifts the refusal of `O_NOATIME`.
    Allow,
}

impl Action {
    /// All actions with the words for them in the configuration file.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("block", Self::Block),
        ("eagain", Self::Eagain),
        ("eagain-no-order", Self::EagainNoOrder),
        ("deny", Self::Deny),
        ("allow", Self::Allow),
    ];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, action)| *action == self).map_or("allow", |(word, _)| word)
    }
}

/// One rule: it applies when every key that is given matches. A key with several values matches with any of them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the rule is called in the log and in `user.clmsfs.error`.
    pub name: String,
    /// Process names (`comm`, or the file name of the executable); empty = any.
    pub process: Vec<NamePattern>,
    /// Thread names; empty = any.
    pub thread: Vec<NamePattern>,
    /// User ids; empty = any.
    pub uid: Vec<u32>,
    /// Group ids; empty = any.
    pub gid: Vec<u32>,
    /// Open flags that must all be set; 0 = any.
    pub flags: i32,
    /// Paths below the mount; empty = any. A folder's name covers everything in it.
    pub path: Vec<PathPattern>,
    /// What happens.
    pub action: Action,
}

/// A glob over the name of a process or thread, aware that the kernel cuts names at [`COMM_LENGTH`] bytes.
#[derive(Debug, Clone)]
pub struct NamePattern {
    text: String,
    whole: GlobMatcher,
    /// The cut name, when the pattern's literal beginning is longer than the kernel keeps.
    cut: Option<String>,
}

/// A glob over a path below the mount: `*` stays within a folder, `**` does not.
#[derive(Debug, Clone)]
pub struct PathPattern {
    text: String,
    matcher: GlobMatcher,
}

/// Who opens a file. FUSE gives a thread id; the process is its thread group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opener {
    /// Thread id, as FUSE gives it.
    pub pid: u32,
    /// Thread group (process) id: `Tgid` of `/proc/<pid>/status`.
    pub tgid: u32,
    /// Name of the process: `/proc/<tgid>/comm`, at most 15 bytes, without the line end.
    pub comm: String,
    /// Name of the thread: `/proc/<pid>/comm`; the same as `comm` for the main thread.
    pub thread: String,
    /// `/proc/<tgid>/exe` when it can be read.
    pub exe: Option<PathBuf>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What open() on a cold file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Start or join the fetch and wait for it.
    Block,
    /// Start or join the fetch and answer EAGAIN at once.
    Eagain,
    /// Answer EAGAIN at once; neither start nor join a fetch.
    EagainNoOrder,
    /// Answer EACCES; neither start nor join a fetch.
    Deny,
}

impl Answer {
    /// Whether the fetch is started (or joined).
    pub const fn fetches(self) -> bool {
        matches!(self, Self::Block | Self::Eagain)
    }
}

/// An [`Answer`] and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What open() does.
    pub answer: Answer,
    /// Why, for the log and the xattr.
    pub reason: Reason,
}

/// Why a decision came out as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A rule of this name.
    Rule(String),
    /// The file was opened with `O_NONBLOCK`.
    NonBlocking,
    /// The file was opened with `O_NOATIME`: only backup tools and indexers do so.
    NoAccessTime,
    /// No rule applied; `on_miss` of the mount.
    OnMiss,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(name) => write!(f, "rule '{name}'"),
            Self::NonBlocking => f.write_str("opened with O_NONBLOCK"),
            Self::NoAccessTime => f.write_str("opened with O_NOATIME, as backup tools and indexers do"),
            Self::OnMiss => f.write_str("on_miss of the mount"),
        }
    }
}

/// The rules that come with the program for a profile, in order.
pub fn shipped(profile: Profile) -> Vec<Rule> {
    shipped_rules::rules(profile)
}

/// What open() on a cold file does: the first rule that matches, then the open flags, then `on_miss`.
///
/// `flags` are those of open(2), `path` is relative to the mount. To be asked for cold files only.
pub fn decide(rules: &[Rule], opener: &Opener, flags: i32, path: &str, on_miss: OnMiss) -> Decision {
    let nonblocking = flags & libc::O_NONBLOCK != 0;
    let wait_or_not = |reason: Reason| match (nonblocking, on_miss) {
        (true, _) => Decision { answer: Answer::Eagain, reason: Reason::NonBlocking },
        (false, OnMiss::Block) => Decision { answer: Answer::Block, reason },
        (false, OnMiss::Eagain) => Decision { answer: Answer::Eagain, reason },
    };
    let Some(rule) = rules.iter().find(|rule| rule.matches(opener, flags, path)) else {
        return if flags & libc::O_NOATIME != 0 {
            Decision { answer: Answer::Deny, reason: Reason::NoAccessTime }
        } else {
            wait_or_not(Reason::OnMiss)
        };
    };
    let reason = Reason::Rule(rule.name.clone());
    match rule.action {
        Action::Block if nonblocking => Decision { answer: Answer::Eagain, reason: Reason::NonBlocking },
        Action::Block => Decision { answer: Answer::Block, reason },
        Action::Eagain => Decision { answer: Answer::Eagain, reason },
        Action::EagainNoOrder => Decision { answer: Answer::EagainNoOrder, reason },
        Action::Deny => Decision { answer: Answer::Deny, reason },
        Action::Allow => wait_or_not(Reason::OnMiss),
    }
}

impl Rule {
    /// A rule that applies to everybody.
    pub fn new(name: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            process: Vec::new(),
            thread: Vec::new(),
            uid: Vec::new(),
            gid: Vec::new(),
            flags: 0,
            path: Vec::new(),
            action,
        }
    }

    /// Whether every key that is given matches.
    pub fn matches(&self, opener: &Opener, flags: i32, path: &str) -> bool {
        let any_name = |patterns: &[NamePattern], matches: &dyn Fn(&NamePattern) -> bool| {
            patterns.is_empty() || patterns.iter().any(matches)
        };
        let exe = opener.exe.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        any_name(&self.process, &|pattern| {
            pattern.matches_comm(&opener.comm)
                || exe.as_deref().is_some_and(|exe| pattern.whole.is_match(exe))
        }) && any_name(&self.thread, &|pattern| pattern.matches_comm(&opener.thread))
            && (self.uid.is_empty() || self.uid.contains(&opener.uid))
            && (self.gid.is_empty() || self.gid.contains(&opener.gid))
            && flags & self.flags == self.flags
            && (self.path.is_empty() || self.path.iter().any(|pattern| pattern.matches(path)))
    }

    /// The rule as the `[[rule]]` of a configuration file.
    pub fn to_toml(&self) -> String {
        let mut table = toml::Table::new();
        let mut list = |key: &str, values: Vec<toml::Value>| {
            if !values.is_empty() {
                table.insert(key.to_owned(), toml::Value::Array(values));
            }
        };
        let names = |patterns: &[NamePattern]| patterns.iter().map(|p| p.text.clone().into()).collect();
        let numbers = |ids: &[u32]| ids.iter().map(|id| i64::from(*id).into()).collect();
        list("process", names(&self.process));
        list("thread", names(&self.thread));
        list("uid", numbers(&self.uid));
        list("gid", numbers(&self.gid));
        list("flags", flag_names(self.flags).map(|name| name.to_owned().into()).collect());
        list("path", self.path.iter().map(|p| p.text.clone().into()).collect());
        table.insert("action".to_owned(), self.action.word().into());
        table.insert("name".to_owned(), self.name.clone().into());
        format!("[[rule]]\n{table}")
    }
}

impl NamePattern {
    /// Reads a glob (`gvfsd*`). A name longer than the kernel keeps (`gdk-pixbuf-thumbnailer`) also matches its cut form.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn new(text: &str) -> Result<Self, String> {
        let literal = text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len());
        let cut = (literal > COMM_LENGTH)
            .then(|| String::from_utf8_lossy(&text.as_bytes()[..COMM_LENGTH]).into_owned());
        Ok(Self { text: text.to_owned(), whole: glob(text, false)?, cut })
    }

    /// Whether a name from `/proc/…/comm` can be one that this pattern means.
    pub fn matches_comm(&self, comm: &str) -> bool {
        self.whole.is_match(comm) || self.cut.as_deref() == Some(comm)
    }
}

impl PathPattern {
    /// Reads a glob over a path below the mount (`clc*/**/*.tif`); a leading `/` is the mount itself.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn new(text: &str) -> Result<Self, String> {
        let relative = text.trim_start_matches('/').trim_end_matches('/');
        Ok(Self { text: text.to_owned(), matcher: glob(relative, true)? })
    }

    /// Whether the path, or a folder that it lies in, matches.
    pub fn matches(&self, path: &str) -> bool {
        Path::new(path.trim_start_matches('/'))
            .ancestors()
            .any(|part| !part.as_os_str().is_empty() && self.matcher.is_match(part))
    }
}

fn glob(text: &str, literal_separator: bool) -> Result<GlobMatcher, String> {
    if text.is_empty() {
        return Err("an empty pattern matches nothing; leave the key out to match everything".to_owned());
    }
    GlobBuilder::new(text)
        .literal_separator(literal_separator)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("'{text}' is not a usable pattern: {}", error.kind()))
}

/// Open flags that a rule can ask for.
const FLAGS: [(&str, i32); 4] = [
    ("O_NONBLOCK", libc::O_NONBLOCK),
    ("O_NOATIME", libc::O_NOATIME),
    ("O_DIRECT", libc::O_DIRECT),
    ("O_NOFOLLOW", libc::O_NOFOLLOW),
];

fn flag_names(flags: i32) -> impl Iterator<Item = &'static str> {
    FLAGS.iter().filter(move |(_, bit)| flags & bit != 0).map(|(name, _)| *name)
}

/// The bit of an open flag by its name, with or without `O_`.
///
/// # Errors
/// The names that can be used.
pub fn flag(name: &str) -> Result<i32, String> {
    let wanted = name.trim_start_matches("O_");
    FLAGS.iter().find(|(known, _)| known.trim_start_matches("O_") == wanted).map(|(_, bit)| *bit).ok_or_else(
        || {
            let known: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
            format!("'{name}' is not a flag that rules know; use {}", known.join(", "))
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opener(comm: &str) -> Opener {
        Opener {
            pid: 42,
            tgid: 42,
            comm: comm.to_owned(),
            thread: comm.to_owned(),
            exe: None,
            uid: 1000,
            gid: 1000,
        }
    }

    fn rule(process: &[&str], action: Action) -> Rule {
        let mut rule = Rule::new("test", action);
        rule.process = process.iter().map(|name| NamePattern::new(name).unwrap()).collect();
        rule
    }

    fn answer(rules: &[Rule], comm: &str, flags: i32, on_miss: OnMiss) -> Answer {
        decide(rules, &opener(comm), flags, "clc2018/a/a.tif", on_miss).answer
    }

    #[test]
    fn without_a_rule_the_flags_and_on_miss_decide() {
        assert_eq!(answer(&[], "cat", 0, OnMiss::Block), Answer::Block);
        assert_eq!(answer(&[], "cat", 0, OnMiss::Eagain), Answer::Eagain);
        assert_eq!(answer(&[], "cat", libc::O_NONBLOCK, OnMiss::Block), Answer::Eagain);
        assert_eq!(answer(&[], "cat", libc::O_NOATIME, OnMiss::Block), Answer::Deny);
        assert_eq!(answer(&[], "cat", libc::O_NOATIME | libc::O_NONBLOCK, OnMiss::Block), Answer::Deny);
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = [rule(&["rsync"], Action::Allow), rule(&["rsync", "tar"], Action::Deny)];
        assert_eq!(answer(&rules, "rsync", 0, OnMiss::Block), Answer::Block);
        assert_eq!(answer(&rules, "tar", 0, OnMiss::Block), Answer::Deny);
        assert_eq!(answer(&rules, "cat", 0, OnMiss::Block), Answer::Block);
    }

    #[test]
    fn a_nonblocking_opener_never_waits_and_a_denied_one_never_orders() {
        let rules = [rule(&["job"], Action::Block), rule(&["file"], Action::Deny)];
        assert_eq!(answer(&rules, "job", libc::O_NONBLOCK, OnMiss::Block), Answer::Eagain);
        assert_eq!(answer(&rules, "file", libc::O_NONBLOCK, OnMiss::Block), Answer::Deny);
        assert!(!Answer::Deny.fetches() && !Answer::EagainNoOrder.fetches());
    }

    #[test]
    fn an_explicit_rule_lifts_the_refusal_of_noatime() {
        let rules = [rule(&["borg"], Action::Allow)];
        assert_eq!(answer(&rules, "borg", libc::O_NOATIME, OnMiss::Block), Answer::Block);
        assert_eq!(answer(&rules, "thunar", libc::O_NOATIME, OnMiss::Block), Answer::Deny);
    }

    #[test]
    fn block_and_eagain_rules_override_on_miss() {
        let rules = [rule(&["batch"], Action::Block), rule(&["gui"], Action::Eagain)];
        assert_eq!(answer(&rules, "batch", 0, OnMiss::Eagain), Answer::Block);
        assert_eq!(answer(&rules, "gui", 0, OnMiss::Block), Answer::Eagain);
    }

    #[test]
    fn names_are_compared_as_the_kernel_cuts_them() {
        let long = NamePattern::new("gdk-pixbuf-thumbnailer").unwrap();
        assert!(long.matches_comm("gdk-pixbuf-thum"));
        assert!(!long.matches_comm("gdk-pixbuf-thu"));
        let glob = NamePattern::new("tracker-miner-fs-*").unwrap();
        assert!(glob.matches_comm("tracker-miner-f"));
        let exact = NamePattern::new("qgis_process.bi").unwrap();
        assert!(exact.matches_comm("qgis_process.bi") && !exact.matches_comm("qgis_process"));
        assert!(!NamePattern::new("R").unwrap().matches_comm("Rscript"));
    }

    #[test]
    fn the_executable_counts_as_well_as_the_name() {
        let rules = [rule(&["python*"], Action::Deny)];
        let mut worker = opener("loader");
        worker.exe = Some(PathBuf::from("/usr/bin/python3.11"));
        assert_eq!(decide(&rules, &worker, 0, "a/b", OnMiss::Block).answer, Answer::Deny);
    }

    #[test]
    fn every_key_must_match() {
        let mut both = rule(&["qgis.bin"], Action::Deny);
        both.uid = vec![1000, 1001];
        both.gid = vec![7];
        assert!(!both.matches(&opener("qgis.bin"), 0, "a"));
        both.gid = vec![7, 1000];
        assert!(both.matches(&opener("qgis.bin"), 0, "a"));
        both.flags = libc::O_DIRECT;
        assert!(!both.matches(&opener("qgis.bin"), 0, "a"));
        assert!(both.matches(&opener("qgis.bin"), libc::O_DIRECT | libc::O_CLOEXEC, "a"));
    }

    #[test]
    fn paths_cover_what_lies_below() {
        let matches = |pattern: &str, path: &str| PathPattern::new(pattern).unwrap().matches(path);
        assert!(matches("clc2018", "clc2018/u2018/u2018.tif"));
        assert!(matches("/clc*/", "clc2018/u2018/u2018.tif"));
        assert!(matches("**/*.tif", "clc2018/u2018/u2018.tif"));
        assert!(!matches("*.tif", "clc2018/u2018/u2018.tif"));
        assert!(!matches("clc", "clc2018/u2018/u2018.tif"));
        assert!(PathPattern::new("[").is_err() && PathPattern::new("").is_err());
    }

    proptest! {
        #[test]
        fn denied_and_nonblocking_openers_never_wait(
            comm in "[a-z.]{1,15}", flags: i32, action in 0usize..5, eagain: bool,
        ) {
            let rules = [rule(&["[a-m]*"], Action::WORDS[action].1)];
            let on_miss = if eagain { OnMiss::Eagain } else { OnMiss::Block };
            let answer = decide(&rules, &opener(&comm), flags, "a/b.tif", on_miss).answer;
            prop_assert!(flags & libc::O_NONBLOCK == 0 || answer != Answer::Block);
        }

        #[test]
        fn no_pattern_panics(text in "\\PC*", name in "\\PC*") {
            if let Ok(pattern) = NamePattern::new(&text) { pattern.matches_comm(&name); }
            if let Ok(pattern) = PathPattern::new(&text) { pattern.matches(&name); }
        }
    }
}
