//! The settings of one run, typed and complete, and how they come together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::choices::{LogFilter, OnMiss, Profile, Threads};
use super::error::{ConfigError, ConfigErrors};
use super::file;
use super::hosts::HostList;
use super::listen::ListenAddress;
use super::options::{self, OptionSpec, PartialSettings, Source};
use super::rules::{self, Rule};
use super::service;
use super::size::ByteSize;
use super::span::Span;

/// All settings, checked. The meaning of each is the help text in [`options::OPTIONS`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service key file.
    pub credentials: Option<PathBuf>,
    /// Base of the API, without a trailing slash in [`Url::path`] beyond the root.
    pub api_url: Url,
    /// Hosts from which packages may be downloaded.
    pub download_hosts: HostList,
    /// Where ledger, entries and staging live; absolute.
    pub cache_dir: PathBuf,
    /// Budget of the cache.
    pub cache_size: ByteSize,
    /// Free space that the cache leaves on its disk.
    pub free_space_floor: ByteSize,
    /// What open() does with a cold file.
    pub on_miss: OnMiss,
    /// When a waiting open() gives up, `None` = never.
    pub block_timeout: Option<Span>,
    /// Which shipped rules are in force.
    pub profile: Profile,
    /// Where to mount when the command line names no place.
    pub mountpoint: Option<PathBuf>,
    /// Other users may use the mount.
    pub allow_other: bool,
    /// Owner of all files as they are shown, `None` = whoever mounts.
    pub uid: Option<u32>,
    /// Their group, likewise.
    pub gid: Option<u32>,
    /// The kernel may read ready files by itself.
    pub passthrough: bool,
    /// Age at which the catalogue is read anew.
    pub catalog_ttl: Span,
    /// New orders per hour and user.
    pub orders_per_hour: u32,
    /// How long a download link is believed in after the task was finished.
    pub link_trust: Span,
    /// First pause between two polls.
    pub poll_min: Span,
    /// Longest pause between two polls.
    pub poll_max: Span,
    /// A download without a byte for so long is broken off and resumed.
    pub download_stall: Span,
    /// Largest package (the zip) that is downloaded, `None` = only the cache's budget counts, as for its content.
    pub max_package_size: Option<ByteSize>,
    /// Memory for pixels and buffers of the conversion process.
    pub ingest_memory: ByteSize,
    /// Threads of a conversion.
    pub ingest_threads: Threads,
    /// Where metrics are served over HTTP, `None` = nowhere.
    pub metrics_listen: Option<ListenAddress>,
    /// Which log lines are written.
    pub log: LogFilter,
    /// Where the web page is served, `None` = nowhere.
    pub web_listen: Option<ListenAddress>,
    /// Names by which browsers may call it, besides localhost and addresses.
    pub web_hosts: Option<HostList>,
    /// The administrator's rules in the order of the file, then the shipped ones of the profile.
    pub rules: Vec<Rule>,
}

/// Settings and where each of them came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// How many of `settings.rules` come from the administrator; the rest is shipped.
    pub own_rules: usize,
    /// Files that were read; the later ones count more.
    pub files: Vec<PathBuf>,
    pub(super) origins: BTreeMap<&'static str, Source>,
}

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the option.
    pub name: &'static str,
    /// Its value as it could be written in the file.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
}

impl Settings {
    /// The values that hold when nobody says anything.
    fn defaults(cache_dir: PathBuf) -> Self {
        let api_url = Url::parse("https://land.copernicus.eu/api").expect("a constant that a test parses");
        Self {
            credentials: None,
            api_url,
            download_hosts: "*.europa.eu,*.copernicus.eu".parse().expect("a constant that a test parses"),
            cache_dir,
            cache_size: ByteSize(50_000_000_000),
            free_space_floor: ByteSize(1_000_000_000),
            on_miss: OnMiss::Block,
            block_timeout: None,
            profile: Profile::Server,
            mountpoint: None,
            allow_other: false,
            uid: None,
            gid: None,
            passthrough: true,
            catalog_ttl: Span::seconds(24 * 3600),
            orders_per_hour: 60,
            // The service promises 72 h; a link is asked for anew long before that.
            link_trust: Span::seconds(24 * 3600),
            poll_min: Span::from_millis(500),
            poll_max: Span::seconds(75),
            download_stall: Span::seconds(60),
            max_package_size: Some(ByteSize(100_000_000_000)),
            ingest_memory: ByteSize(512_000_000),
            ingest_threads: Threads::Auto,
            metrics_listen: None,
            log: "info".parse().expect("a constant that a test parses"),
            web_listen: None,
            web_hosts: None,
            rules: Vec::new(),
        }
    }

    /// Puts the settings together: defaults < `file` < environment (`CLMSFS_*`, through `env`) < `flags`.
    ///
    /// # Errors
    /// The first of what [`Settings::gather`] finds wrong.
    pub fn resolve(
        flags: &PartialSettings,
        env: impl Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Result<Resolved, ConfigError> {
        let files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        Self::gather(flags, env, &files).map_err(ConfigErrors::into_first)
    }

    /// Puts the settings together: defaults < `files`, the later ones counting more < environment (`CLMSFS_*`, through
    /// `env`) < `flags`.
    ///
    /// # Errors
    /// Everything that is wrong: files that cannot be read or hold unknown keys, unusable values, options that contradict
    /// each other.
    pub fn gather(
        flags: &PartialSettings,
        env: impl Fn(&str) -> Option<String>,
        files: &[PathBuf],
    ) -> Result<Resolved, ConfigErrors> {
        let mut errors = Vec::new();
        let mut layers = PartialSettings::default();
        for path in files {
            let reading = file::read(path);
            errors.extend(reading.errors);
            layers.overlay(&reading.settings);
        }
        layers.overlay(&options::from_environment(&env, &mut errors));
        layers.overlay(flags);

        let mut settings = Self::defaults(default_cache_dir(&env, is_root()));
        settings.credentials = service::credentials(&env);
        let mut origins = BTreeMap::new();
        for (spec, text, source) in layers.values() {
            errors.extend(spec.apply(&mut settings, text, source).err());
            origins.insert(spec.name, source.clone());
        }
        let mut resolved =
            Resolved { settings, own_rules: layers.rules().len(), files: files.to_vec(), origins };
        errors.extend(resolved.contradiction());
        ConfigErrors::some(errors)?;
        let settings = &mut resolved.settings;
        settings.rules = layers.rules().to_vec();
        settings.rules.extend(rules::shipped(settings.profile));
        Ok(resolved)
    }

    /// The value of an option when nobody says anything, as text.
    pub(super) fn default_text(spec: &OptionSpec) -> String {
        spec.show(&Self::defaults(PathBuf::from("/var/cache/clmsfs")))
    }

    /// Settings to try a single value on.
    pub(super) fn scratch() -> Self {
        Self::defaults(PathBuf::from("/var/cache/clmsfs"))
    }
}

impl Resolved {
    /// Where the value of an option came from.
    pub fn source(&self, name: &str) -> Source {
        self.origins.get(name).cloned().unwrap_or(Source::Default)
    }

    /// The same as the service of systemd has it, if the one file that was named holds the settings of one
    /// (`/etc/clmsfs/NAME.toml`): cache and key are those that its unit gives, where nobody says otherwise. `is_there` tells of
    /// the key: without one the service runs, too.
    pub fn of_service(mut self, is_there: impl Fn(&Path) -> bool) -> Self {
        let [file] = self.files.as_slice() else { return self };
        let Some(given) = service::layout(file) else { return self };
        if self.source("cache_dir") == Source::Default {
            self.settings.cache_dir = given.cache_dir;
        }
        if self.source("credentials") == Source::Default {
            self.settings.credentials = Some(given.credentials).filter(|key| is_there(key));
        }
        self
    }

    /// Options that are each fine alone and contradict each other.
    fn contradiction(&self) -> Option<ConfigError> {
        let Settings { poll_min, poll_max, .. } = &self.settings;
        (poll_min > poll_max).then(|| {
            ConfigError::Conflict(format!(
                "poll_min ({poll_min}, {}) is longer than poll_max ({poll_max}, {}); swap them",
                self.source("poll_min"),
                self.source("poll_max")
            ))
        })
    }

    /// Every option with its value and where it came from, in the order of the table.
    ///
    /// With `redacted` the values that tell about the user (the path of the key) are hidden: for `.clmsfs/config.toml`
    /// and bug reports, which others read. A key itself is never part of the settings.
    pub fn rows(&self, redacted: bool) -> Vec<Row> {
        options::OPTIONS
            .iter()
            .map(|spec| {
                let value = spec.show(&self.settings);
                let hide = redacted && spec.private && value != "none";
                Row {
                    name: spec.name,
                    value: if hide { "<redacted>".to_owned() } else { value },
                    source: self.source(spec.name),
                }
            })
            .collect()
    }

    /// The settings as a configuration file, each line with a comment on where it came from.
    pub fn to_toml(&self, redacted: bool) -> String {
        let mut text = String::new();
        for row in self.rows(redacted) {
            let quoted = toml::Value::String(row.value);
            text.push_str(&format!("{} = {quoted}  # {}\n", row.name, row.source));
        }
        for rule in &self.settings.rules[..self.own_rules] {
            text.push_str(&format!("\n{}", rule.to_toml()));
        }
        text
    }
}

/// What systemd gives, else `$XDG_CACHE_HOME/clmsfs`, for root `/var/cache/clmsfs/root`, else `$HOME/.cache/clmsfs`.
fn default_cache_dir(env: &impl Fn(&str) -> Option<String>, root: bool) -> PathBuf {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(given) = service::cache_dir(env) {
        return given;
    }
    match (absolute("XDG_CACHE_HOME"), absolute("HOME")) {
        (Some(cache), _) => cache.join("clmsfs"),
        (None, Some(home)) if !root => home.join(".cache/clmsfs"),
        _ => cache_beside_services(Path::new("/var/cache/clmsfs")),
    }
}

/// The cache of root in the folder in which services have theirs. Earlier releases made the folder itself root's cache: where it
/// is one, it stays it.
fn cache_beside_services(caches: &Path) -> PathBuf {
    if caches.join("VERSION").exists() { caches.to_owned() } else { caches.join("root") }
}

/// The configuration files that are read when none is named, the later one counting more: `/etc/clmsfs/config.toml` and
/// `$XDG_CONFIG_HOME/clmsfs/config.toml` (`~/.config` when unset), as far as they exist. `$CLMSFS_CONFIG` is read in their
/// place, even when it does not exist, so that a typing error is told.
pub fn default_config_files(env: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    if let Some(named) = env("CLMSFS_CONFIG").filter(|text| !text.is_empty()) {
        return vec![PathBuf::from(named)];
    }
    let home = env("XDG_CONFIG_HOME")
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".config")));
    [PathBuf::from("/etc")]
        .into_iter()
        .chain(home)
        .map(|folder| folder.join("clmsfs/config.toml"))
        // one that others may not look at is there, and reading it says so
        .filter(|path| path.symlink_metadata().is_ok())
        .collect()
}

fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, always succeeds and touches no memory.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOTHING: fn(&str) -> Option<String> = |_| None;

    fn flag(name: &str, text: &str) -> PartialSettings {
        let mut partial = PartialSettings::default();
        partial.set(name, text, Source::Flag(format!("--{name}"))).unwrap();
        partial
    }

    fn config(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn row(resolved: &Resolved, name: &str) -> Row {
        resolved.rows(false).into_iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn the_later_source_wins_and_is_named() {
        let file = config("cache_size = \"1GB\"\n\npoll_max = \"30s\"\norders_per_hour = 7\n");
        let env = |name: &str| match name {
            "CLMSFS_CACHE_SIZE" => Some("2GB".to_owned()),
            "CLMSFS_POLL_MAX" => Some("20s".to_owned()),
            "CLMSFS_LOG" => Some(String::new()),
            _ => None,
        };
        let resolved = Settings::resolve(&flag("cache_size", "3GB"), env, Some(file.path())).unwrap();
        assert_eq!(resolved.settings.cache_size, ByteSize(3_000_000_000));
        assert_eq!(resolved.settings.poll_max, Span::seconds(20));
        assert_eq!(resolved.settings.orders_per_hour, 7);
        assert_eq!(row(&resolved, "cache_size").source.to_string(), "--cache_size");
        assert_eq!(row(&resolved, "poll_max").source.to_string(), "$CLMSFS_POLL_MAX");
        assert_eq!(
            row(&resolved, "orders_per_hour").source,
            Source::File { path: file.path().to_owned(), line: 4 }
        );
        // An empty variable is the same as none.
        assert_eq!(row(&resolved, "log"), Row { name: "log", value: "info".into(), source: Source::Default });
    }

    #[test]
    fn the_shipped_values() {
        let settings = Settings::resolve(&PartialSettings::default(), NOTHING, None).unwrap().settings;
        assert_eq!(settings.api_url.as_str(), "https://land.copernicus.eu/api");
        assert_eq!(settings.on_miss, OnMiss::Block);
        assert_eq!(settings.block_timeout, None);
        assert_eq!(settings.link_trust, Span::seconds(86_400));
        assert!(settings.ingest_threads.count().get() >= 1);
        assert!(settings.rules.len() >= 4);
    }

    #[test]
    fn every_value_that_is_shown_can_be_given_back() {
        let shown = Settings::resolve(&flag("block_timeout", "90s"), NOTHING, None).unwrap();
        let file = config(&shown.to_toml(false));
        let again = Settings::resolve(&PartialSettings::default(), NOTHING, Some(file.path())).unwrap();
        let values = |resolved: &Resolved| -> Vec<String> {
            resolved.rows(false).into_iter().map(|row| row.value).collect()
        };
        assert_eq!(values(&shown), values(&again));
        for spec in options::OPTIONS {
            assert_eq!(spec.check(&Settings::default_text(spec)), Ok(()), "{}", spec.name);
        }
    }

    #[test]
    fn private_values_are_hidden_where_others_read() {
        let resolved = Settings::resolve(&flag("credentials", "/home/ada/key.json"), NOTHING, None).unwrap();
        assert!(resolved.to_toml(false).contains("/home/ada/key.json"));
        assert!(!resolved.to_toml(true).contains("ada"));
        assert!(resolved.to_toml(true).contains("<redacted>"));
    }

    #[test]
    fn the_administrators_rules_stand_in_front() {
        let file = config("rule = [{ process = 'rsync', action = 'allow' }]");
        let resolved = Settings::resolve(&flag("profile", "desktop"), NOTHING, Some(file.path())).unwrap();
        assert_eq!(resolved.own_rules, 1);
        assert_eq!(resolved.settings.rules[0].action, rules::Action::Allow);
        assert_eq!(resolved.settings.rules.len(), 1 + rules::shipped(Profile::Desktop).len());
        assert!(resolved.to_toml(true).contains("rsync"));
    }

    #[test]
    fn values_that_would_hurt_are_refused() {
        let refused = |name: &str, text: &str| {
            let mut partial = PartialSettings::default();
            partial.set(name, text, Source::Default).unwrap_err().to_string()
        };
        assert!(refused("api_url", "http://land.copernicus.eu/api").contains("https"));
        assert!(refused("api_url", "https://me:secret@land.copernicus.eu/api").contains("service key"));
        assert!(!refused("api_url", "https://me:secret@land.copernicus.eu/api").contains("secret"));
        assert!(refused("api_url", "land.copernicus.eu").contains("https://"));
        assert!(refused("log", "loud").contains("debug"));
        assert!(refused("link_trust", "100h").contains("72h"));
        assert!(refused("poll_min", "0s").contains("10ms"));
        assert!(refused("poll_max", "2h").contains("1h"));
        assert!(refused("download_stall", "10ms").contains("1s"));
        assert!(refused("ingest_memory", "1MB").contains("512MB"));
        assert!(refused("ingest_threads", "0").contains("auto"));
        assert!(refused("cache_dir", "~/cache").contains("shell"));
        assert!(refused("cash_size", "1GB").contains("cache_size"));
        for option in ["web_listen", "metrics_listen"] {
            assert!(refused(option, "8080").contains("127.0.0.1:8080"));
        }
        assert!(refused("web_hosts", "clms.example.org,*.org").contains("'*.org'"));
        let mut contradiction = flag("poll_min", "20s");
        contradiction.overlay(&flag("poll_max", "10s"));
        assert!(Settings::resolve(&contradiction, NOTHING, None).unwrap_err().to_string().contains("swap"));
        let missing =
            Settings::resolve(&PartialSettings::default(), NOTHING, Some(Path::new("/nowhere/c.toml")));
        assert!(missing.unwrap_err().to_string().contains("/nowhere/c.toml"));
    }

    #[test]
    fn the_catalogue_is_not_read_in_a_loop() {
        let ttl = |text: &str| PartialSettings::default().set("catalog_ttl", text, Source::Default);
        for text in ["0", "0s", "9999ms"] {
            assert!(ttl(text).unwrap_err().to_string().contains("at least 10s"), "{text}");
        }
        assert!(ttl("10s").is_ok() && ttl("30days").is_ok());
    }

    #[test]
    fn the_simulator_on_loopback_needs_no_https() {
        for (text, wanted) in [
            ("http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api"),
            ("http://[::1]:1/api", "http://[::1]:1/api"),
            ("http://localhost:1", "http://localhost:1/"),
        ] {
            let settings = Settings::resolve(&flag("api_url", text), NOTHING, None).unwrap().settings;
            assert_eq!(settings.api_url.as_str(), wanted);
        }
    }

    #[test]
    fn where_the_cache_lies() {
        let env = |names: &'static [(&str, &str)]| {
            move |wanted: &str| names.iter().find(|(name, _)| *name == wanted).map(|(_, v)| (*v).to_owned())
        };
        let xdg = env(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/ada")]);
        assert_eq!(default_cache_dir(&xdg, false), Path::new("/x/clmsfs"));
        assert_eq!(default_cache_dir(&xdg, true), Path::new("/x/clmsfs"));
        let home = env(&[("HOME", "/home/ada"), ("XDG_CACHE_HOME", "relative")]);
        assert_eq!(default_cache_dir(&home, false), Path::new("/home/ada/.cache/clmsfs"));
        assert!(default_cache_dir(&home, true).starts_with("/var/cache/clmsfs"));
        assert!(default_cache_dir(&NOTHING, false).starts_with("/var/cache/clmsfs"));
    }

    #[test]
    fn root_shares_no_cache_with_services_and_keeps_the_one_it_has() {
        let caches = tempfile::tempdir().unwrap();
        std::fs::create_dir(caches.path().join("clms")).unwrap();
        assert_eq!(cache_beside_services(caches.path()), caches.path().join("root"));
        std::fs::write(caches.path().join("VERSION"), "clmsfs-cache 1\n").unwrap();
        assert_eq!(cache_beside_services(caches.path()), caches.path());
    }

    #[test]
    fn a_service_has_what_its_unit_gives_where_its_settings_say_nothing() {
        let resolved = |text: &str| {
            let file = config(text);
            let resolved =
                Settings::resolve(&PartialSettings::default(), NOTHING, Some(file.path())).unwrap();
            Resolved { files: vec!["/etc/clmsfs/lab.toml".into()], ..resolved }.of_service(|_| true).settings
        };
        let settings = resolved("");
        assert_eq!(settings.cache_dir, Path::new("/var/cache/clmsfs/lab"));
        assert_eq!(settings.credentials.as_deref(), Some(Path::new("/etc/clmsfs/lab-key.json")));
        let settings = resolved("credentials = \"none\"\ncache_dir = \"/data\"\n");
        assert_eq!((settings.credentials, settings.cache_dir.to_str()), (None, Some("/data")));
        let other = Settings::resolve(&PartialSettings::default(), NOTHING, None).unwrap();
        let before = other.settings.cache_dir.clone();
        assert_eq!(other.of_service(|_| true).settings.cache_dir, before);
    }

    #[test]
    fn what_systemd_gives_is_the_default_and_the_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("service-key.json"), "{\"client_id\": \"\"}").unwrap();
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(folder.path().to_str().unwrap().to_owned()),
            "CACHE_DIRECTORY" => Some("/var/cache/clmsfs/lab".to_owned()),
            _ => None,
        };
        let settings = Settings::resolve(&PartialSettings::default(), env, None).unwrap().settings;
        assert_eq!(settings.credentials, Some(folder.path().join("service-key.json")));
        assert_eq!(settings.cache_dir, Path::new("/var/cache/clmsfs/lab"));
        let file = config("credentials = \"none\"\ncache_dir = \"/data\"\nmountpoint = \"/srv/lab\"\n");
        let settings =
            Settings::resolve(&PartialSettings::default(), env, Some(file.path())).unwrap().settings;
        assert_eq!((settings.credentials, settings.cache_dir.to_str()), (None, Some("/data")));
        assert_eq!(settings.mountpoint, Some(PathBuf::from("/srv/lab")));
    }

    #[test]
    fn which_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clmsfs/config.toml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        let base = folder.path().display().to_string();
        let found = default_config_files(|name| (name == "XDG_CONFIG_HOME").then(|| base.clone()));
        // this machine may have one of its own in /etc
        assert_eq!(found.last(), Some(&file));
        let named = default_config_files(|name| (name == "CLMSFS_CONFIG").then(|| "/no/such".to_owned()));
        assert_eq!(named, [PathBuf::from("/no/such")]);
    }

    #[test]
    fn the_users_file_adds_to_that_of_the_machine() {
        let rule = |name: &str| format!("rule = [{{ name = '{name}', action = 'allow' }}]\n");
        let machine = config(&format!("cache_size = '1GB'\npoll_max = '30s'\n{}", rule("machine")));
        let user = config(&format!("\ncache_size = '2GB'\n{}", rule("user")));
        let files = [&machine, &user].map(|file| file.path().to_owned());
        let resolved = Settings::gather(&PartialSettings::default(), NOTHING, &files).unwrap();
        assert_eq!(resolved.settings.cache_size, ByteSize(2_000_000_000));
        let source = |file: usize, line| Source::File { path: files[file].clone(), line };
        assert_eq!(resolved.source("cache_size"), source(1, 2));
        assert_eq!(resolved.source("poll_max"), source(0, 2));
        let names: Vec<&str> = resolved.settings.rules[..2].iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["user", "machine"]);
    }

    #[test]
    fn all_layers_are_looked_through_for_errors() {
        let files = [config("cash_size = 1\n"), config("poll_min = 'soon'\npoll_max = '5s'\n")];
        let paths = files.each_ref().map(|file| file.path().to_owned());
        let env = |name: &str| (name == "CLMSFS_ON_MISS").then(|| "perhaps".to_owned());
        let errors = Settings::gather(&PartialSettings::default(), env, &paths).unwrap_err();
        let told: Vec<String> = errors.all().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(told[0].contains("'cash_size'") && told[1].contains(":1: poll_min:"), "{told:#?}");
        assert!(told[2].starts_with("$CLMSFS_ON_MISS: 'perhaps'"), "{told:#?}");
        assert!(errors.to_string().ends_with("(and 2 more: clmsfs config check names all)"), "{errors}");
        let both = config("poll_min = '20s'\npoll_max = '10s'\n");
        let told = Settings::resolve(&PartialSettings::default(), NOTHING, Some(both.path())).unwrap_err();
        assert!(
            told.to_string().contains(":1) is longer than") && told.to_string().contains(":2); swap"),
            "{told}"
        );
    }
}
