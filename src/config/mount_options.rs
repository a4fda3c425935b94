//! `-o word,key=value,…` as mount(8) and /etc/fstab give it.

use std::path::PathBuf;

use super::error::ConfigError;
use super::options::{self, Kind, PartialSettings, Source};

/// What the words after `-o` say.
#[derive(Debug, Clone, Default)]
pub struct MountOptions {
    /// `config=FILE`: the configuration file.
    pub config: Option<PathBuf>,
    /// Options of ours.
    pub settings: PartialSettings,
}

/// Words of fstab that mount(8), systemd or desktops act on, and that are true of this file system anyway.
pub const PASSED_OVER: &[&str] = &[
    "defaults",
    "_netdev",
    "nofail",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "ro",
    "exec",
    "noexec",
    "nosuid",
    "nodev",
    "suid",
    "dev",
    "atime",
    "noatime",
    "nodiratime",
    "diratime",
    "relatime",
    "norelatime",
    "strictatime",
    "lazytime",
    "nolazytime",
    "async",
    "sync",
    "dirsync",
];

/// Beginnings of words that others act on.
const IGNORED_BEGINNINGS: &[&str] = &["x-", "X-", "comment=", "_netdev="];

/// The words of `-o`, without blanks around them. As with mount(8), a comma between quotes is part of the word:
/// `web_hosts="a.example,b.example"`.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let is_end = move |letter: char| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    };
    text.split(is_end).map(str::trim).filter(|word| !word.is_empty())
}

/// Reads the argument of `-o`: options of ours (`cache_size=4GB`, `cache-size=4GB`, `allow_other`), `config=FILE`, and
/// fstab's words, which are passed over.
///
/// # Errors
/// A word that is neither, a bad value, or `rw`: nothing here can be written.
pub fn parse(text: &str) -> Result<MountOptions, ConfigError> {
    let mut options = MountOptions::default();
    for word in words(text) {
        let word = &word.replace('"', "");
        let refused = |message: String| ConfigError::MountOption { word: word.to_owned(), message };
        if PASSED_OVER.contains(&word.as_str())
            || IGNORED_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
        {
            continue;
        }
        if word == "rw" {
            return Err(refused("clmsfs can only be read; write 'ro' instead".to_owned()));
        }
        let (name, value) =
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if name == "config" {
            let Some(file) = value.filter(|value| !value.is_empty()) else {
                return Err(refused("a value is missing; write config=FILE".to_owned()));
            };
            options.config = Some(PathBuf::from(file));
            continue;
        }
        let Some(spec) = options::find(name) else {
            return Err(refused(format!(
                "neither an option nor known from fstab{}",
                super::file::advice(name)
            )));
        };
        let value = match (value, spec.kind) {
            (Some(value), _) => value,
            (None, Kind::Switch) => "true",
            (None, _) => {
                return Err(refused(format!("a value is missing; write {name}={}", spec.value_name)));
            }
        };
        options.settings.set(spec.name, value, Source::Flag(format!("-o {}", spec.name)))?;
    }
    Ok(options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(text: &str) -> Vec<String> {
        parse(text)
            .unwrap()
            .settings
            .values()
            .map(|(spec, text, _)| format!("{}={text}", spec.name))
            .collect()
    }

    #[test]
    fn our_options_are_taken_and_fstabs_words_passed_over() {
        let words = "defaults,_netdev,nofail,auto,noauto,user,ro,x-systemd.automount,x-systemd.idle-timeout=60,x-gvfs-hide";
        assert!(given(words).is_empty());
        assert_eq!(
            given("ro,_netdev,cache-size=4GB,on_miss=eagain,allow_other"),
            ["cache_size=4GB", "on_miss=eagain", "allow_other=true"]
        );
        assert!(given("").is_empty() && given(",,").is_empty());
        assert_eq!(
            given(r#"ro,download_hosts="a.example,*.b.example",cache_size="4GB",log=info"#),
            ["download_hosts=a.example,*.b.example", "cache_size=4GB", "log=info"]
        );
        assert_eq!(parse("ro,config=/etc/a.toml").unwrap().config, Some(PathBuf::from("/etc/a.toml")));
    }

    #[test]
    fn what_cannot_be_is_refused_politely() {
        let told = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(told("rw"), "-o rw: clmsfs can only be read; write 'ro' instead");
        assert!(told("cachesize=4GB").contains("did you mean 'cache_size'?"));
        assert!(told("cache_size").contains("cache_size=SIZE"));
        assert!(told("config=").contains("config=FILE"));
        assert!(told("cache_size=lots").contains("-o cache_size"));
        assert!(told("allow_other=perhaps").contains("neither 'true' nor 'false'"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
