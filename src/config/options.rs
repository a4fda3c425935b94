//! The one table of options. It feeds the file parser, the environment, the flags, `config show` and
//! `docs/CONFIGURATION.md`: a new option is one row here and one field in [`Settings`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::error::ConfigError;
use super::rules::Rule;
use super::settings::Settings;
use super::values;

/// One option: a row of [`OPTIONS`].
pub struct OptionSpec {
    /// Name in the file, with underscores; flag and environment variable are made from it.
    pub name: &'static str,
    /// What the value is called in usage lines.
    pub value_name: &'static str,
    /// How the option is given.
    pub kind: Kind,
    /// Heading under which it is listed.
    pub group: &'static str,
    /// One sentence for `--help` and the documents.
    pub help: &'static str,
    /// The default in words where it depends on the machine; else the typed default is shown.
    pub default_in_words: Option<&'static str>,
    /// True when the value tells about the user and is hidden where others can read it.
    pub private: bool,
    /// True when a running mount takes a new value over: at a reload, without being mounted anew.
    pub live: bool,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    get: fn(&Settings) -> String,
}

/// How an option is given on the command line and in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--name VALUE`.
    Value,
    /// `--name VALUE`, where the value is a path: absolute in the file, free on the command line.
    Path,
    /// `--name` alone means true.
    Switch,
}

/// Where the value of an option came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, as written (`--cache-size` or `-o cache_size`).
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl OptionSpec {
    /// Long flag without the dashes: `cache-size`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Environment variable: `CLMSFS_CACHE_SIZE`.
    pub fn env(&self) -> String {
        format!("CLMSFS_{}", self.name.to_ascii_uppercase())
    }

    /// The default as documents show it.
    pub fn default(&self) -> String {
        self.default_in_words.map_or_else(|| Settings::default_text(self), str::to_owned)
    }

    /// The value in `settings`, as text that [`OptionSpec::check`] accepts.
    pub fn show(&self, settings: &Settings) -> String {
        (self.get)(settings)
    }

    /// Whether `text` is a usable value.
    ///
    /// # Errors
    /// What is wrong with it and what would be right. The text of a private option is not repeated.
    pub fn check(&self, text: &str) -> Result<(), String> {
        (self.set)(&mut Settings::scratch(), text)
    }

    pub(super) fn apply(
        &self,
        settings: &mut Settings,
        text: &str,
        origin: &Source,
    ) -> Result<(), ConfigError> {
        (self.set)(settings, text).map_err(|message| ConfigError::Value {
            option: self.name,
            origin: origin.clone(),
            message,
        })
    }
}

/// The option of that name; `-` and `_` are the same.
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    let name = name.replace('-', "_");
    OPTIONS.iter().find(|spec| spec.name == name)
}

/// Values that one source gives; the others are left open. Made by [`super::flags`], [`super::mount_options`] or by hand.
#[derive(Debug, Clone, Default)]
pub struct PartialSettings {
    values: BTreeMap<&'static str, (String, Source)>,
    rules: Vec<Rule>,
}

impl PartialSettings {
    /// Gives an option a value.
    ///
    /// # Errors
    /// There is no such option, or the value is unusable.
    pub fn set(&mut self, name: &str, text: &str, source: Source) -> Result<(), ConfigError> {
        let spec = find(name).ok_or_else(|| {
            ConfigError::Conflict(format!("'{name}' is not an option{}", super::file::advice(name)))
        })?;
        spec.check(text).map_err(|message| ConfigError::Value {
            option: spec.name,
            origin: source.clone(),
            message,
        })?;
        self.values.insert(spec.name, (text.to_owned(), source));
        Ok(())
    }

    /// Adds a rule behind those that are there.
    pub fn push_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Takes over everything that `stronger` says; its rules go in front.
    pub fn overlay(&mut self, stronger: &PartialSettings) {
        self.values.extend(stronger.values.iter().map(|(name, value)| (*name, value.clone())));
        self.rules.splice(0..0, stronger.rules.iter().cloned());
    }

    /// Options that are given, with text and source.
    pub fn values(&self) -> impl Iterator<Item = (&'static OptionSpec, &str, &Source)> {
        OPTIONS
            .iter()
            .filter_map(|spec| self.values.get(spec.name).map(|(text, source)| (spec, text.as_str(), source)))
    }

    /// Rules that are given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// Reads `CLMSFS_*`; an empty variable is the same as none. What is unusable is added to `errors`.
pub(super) fn from_environment(
    env: &impl Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) -> PartialSettings {
    let mut partial = PartialSettings::default();
    for spec in OPTIONS {
        let name = spec.env();
        if let Some(text) = env(&name).filter(|text| !text.is_empty()) {
            errors.extend(partial.set(spec.name, &text, Source::Environment(name)).err());
        }
    }
    partial
}

macro_rules! option {
    ($name:ident, $kind:ident $value_name:literal, $group:expr, $parse:path, $show:path, $help:literal
     $(, default = $words:literal)? $(, private = $private:literal)? $(, live = $live:literal)?) => {
        OptionSpec {
            name: stringify!($name),
            value_name: $value_name,
            kind: Kind::$kind,
            group: $group,
            help: $help,
            default_in_words: option!(@words $($words)?),
            private: option!(@flag $($private)?),
            live: option!(@flag $($live)?),
            set: |settings, text| {
                settings.$name = $parse(text)?;
                Ok(())
            },
            get: |settings| $show(&settings.$name),
        }
    };
    (@words) => { None };
    (@words $words:literal) => { Some($words) };
    (@flag) => { false };
    (@flag $flag:literal) => { $flag };
}

const SERVICE: &str = "Service";
const CACHE: &str = "Cache";
const OPENING: &str = "Opening cold files";
const FETCHING: &str = "Fetching";
const CONVERTING: &str = "Converting";
const MOUNT: &str = "Mount";
const WEB: &str = "Web page";

/// Every option, in the order in which documents list them.
pub const OPTIONS: &[OptionSpec] = &[
    option!(credentials, Path "FILE", SERVICE, values::credentials, values::show_optional_path,
        "Service key file (JSON) from your profile page on land.copernicus.eu. Without it the catalogue can be browsed but nothing ordered.",
        default = "none; in the service of systemd the key that it hands over", private = true, live = true),
    option!(api_url, Value "URL", SERVICE, values::api_url, values::show,
        "Address of the CLMS API. Tokens go to this origin only."),
    option!(download_hosts, Value "HOST,…", SERVICE, values::parse, values::show,
        "Hosts from which packages are downloaded, by https and from public addresses only; '*.' stands for every name below, '*' for any host. The API's own host is always one.",
        live = true),
    option!(catalog_ttl, Value "DURATION", SERVICE, values::catalog_ttl, values::show,
        "Age at which the saved catalogue is read anew, in the background; at least 10s.",
        live = true),
    option!(cache_dir, Path "DIR", CACHE, values::directory, values::show_path,
        "Folder of the cache: ledger, converted products, staging.",
        default = "in the service of systemd /var/cache/clmsfs/NAME, else $XDG_CACHE_HOME/clmsfs, else ~/.cache/clmsfs, for root /var/cache/clmsfs/root"),
    option!(cache_size, Value "SIZE", CACHE, values::cache_size, values::show,
        "Budget of the cache in real disk blocks, staging included. The least recently used products go first; never an open or a pinned one.",
        live = true),
    option!(free_space_floor, Value "SIZE", CACHE, values::parse, values::show,
        "Free space that the cache always leaves on its disk.",
        live = true),
    option!(on_miss, Value "block|eagain", OPENING, values::parse, values::show,
        "What open() does with a file that is not here yet: wait for it, or start the fetch and fail at once with EAGAIN.",
        live = true),
    option!(block_timeout, Value "DURATION|none", OPENING, values::optional, values::show_optional,
        "When a waiting open() gives up with ETIMEDOUT; the fetch goes on.",
        live = true),
    option!(profile, Value "server|desktop", OPENING, values::parse, values::show,
        "Which shipped rules are in force; 'desktop' gives graphical programs EAGAIN instead of a frozen window.",
        live = true),
    option!(orders_per_hour, Value "NUMBER", OPENING, values::count, values::show,
        "New orders per hour and user; beyond it open() gives EAGAIN. Protects your account from a crawler.",
        live = true),
    option!(link_trust, Value "DURATION", FETCHING, values::link_trust, values::show,
        "How long after the end of a task its download link is used without asking again. The service promises 72h.",
        live = true),
    option!(poll_min, Value "DURATION", FETCHING, values::pause, values::show,
        "First pause between two questions for the state of tasks; it grows from there. At least 10ms.",
        live = true),
    option!(poll_max, Value "DURATION", FETCHING, values::pause, values::show,
        "Longest pause between two questions for the state of tasks; at most 1h.",
        live = true),
    option!(download_stall, Value "DURATION", FETCHING, values::stall, values::show,
        "A download that brings no byte for so long is broken off and resumed; from 1s to 1h.",
        live = true),
    option!(max_package_size, Value "SIZE|none", FETCHING, values::optional, values::show_optional,
        "Largest package that is downloaded, as packed; checked before and while it is downloaded. What it unpacks to is bounded by cache_size.",
        live = true),
    option!(ingest_memory, Value "SIZE", CONVERTING, values::ingest_memory, values::show,
        "Memory for pixels and buffers of the process that unpacks and converts a package; at least 512MB. Its address space is limited to 2GiB more.",
        live = true),
    option!(ingest_threads, Value "NUMBER|auto", CONVERTING, values::parse, values::show,
        "Threads of a conversion; 'auto' is one per core.",
        live = true),
    option!(mountpoint, Path "DIR", MOUNT, values::optional_directory, values::show_optional_path,
        "Where 'clmsfs mount' mounts when it is told no place: an empty directory. It is made where it is missing and its parent may be written."),
    option!(allow_other, Switch "true|false", MOUNT, values::boolean, values::show,
        "Other users may use the mount. Needs root or 'user_allow_other' in /etc/fuse.conf."),
    option!(uid, Value "NUMBER", MOUNT, values::owner, values::show_owner,
        "Owner of all files as they are shown; everybody may read them either way.",
        default = "whoever mounts"),
    option!(gid, Value "NUMBER", MOUNT, values::owner, values::show_owner,
        "Group of all files as they are shown.",
        default = "that of whoever mounts"),
    option!(passthrough, Switch "true|false", MOUNT, values::boolean, values::show,
        "The kernel reads ready files without asking the program, where it can (Linux 6.9, root or CAP_SYS_ADMIN): as fast as a local file. 'false' for comparing, and for kernels whose passthrough is in doubt."),
    option!(metrics_listen, Value "ADDRESS:PORT|none", MOUNT, values::optional, values::show_optional,
        "Where metrics for Prometheus are served over plain HTTP (`GET /metrics`), such as 127.0.0.1:9469. Whoever reaches the port may read them: docs/METRICS.md says what they tell."),
    option!(log, Value "FILTER", MOUNT, values::parse, values::show,
        "Which log lines are written: off, error, warn, info, debug, trace, or by module: 'info,clmsfs::fetch=debug'.",
        live = true),
    option!(web_listen, Value "ADDRESS:PORT|none", WEB, values::optional, values::show_optional,
        "Where the web page is served, for example 127.0.0.1:8080; port 0 is any free one. It is plain HTTP and opens with the link of `clmsfs web` only."),
    option!(web_hosts, Value "HOST,…|none", WEB, values::own_names, values::show_optional,
        "Names by which browsers may call the web page besides localhost and addresses, for a proxy in front of it."),
];
