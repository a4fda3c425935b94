//! What a running mount takes over from settings that were read anew: a pure decision.

use serde::{Deserialize, Serialize};

use super::options::{OPTIONS, OptionSpec};
use super::rules::Rule;
use super::settings::Resolved;

/// An option whose value has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub option: String,
    /// The value so far; `None` when it tells about the user.
    pub from: Option<String>,
    /// The new one.
    pub to: Option<String>,
    /// Where the new one came from.
    pub source: String,
}

/// The settings that are in force from now on, and in what they differ.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The new settings; options that a running mount cannot change have their former values.
    pub settings: Resolved,
    /// Options that were changed.
    pub taken: Vec<Change>,
    /// Options that would have to be changed by mounting anew.
    pub left: Vec<Change>,
    /// Whether the administrator's rules were changed.
    pub rules_changed: bool,
}

impl Resolved {
    /// What is in force when these settings are to be replaced by `fresh` while the mount runs.
    pub fn renewed(&self, mut fresh: Resolved) -> Renewal {
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for spec in OPTIONS {
            let (before, after) = (spec.show(&self.settings), spec.show(&fresh.settings));
            if before == after {
                continue;
            }
            let change = change(spec, &before, &after, &fresh);
            if spec.live {
                taken.push(change);
                continue;
            }
            left.push(change);
            let source = self.source(spec.name);
            spec.apply(&mut fresh.settings, &before, &source)
                .expect("what is shown can be given back, as a test proves of every option");
            match self.origins.get(spec.name) {
                Some(source) => fresh.origins.insert(spec.name, source.clone()),
                None => fresh.origins.remove(spec.name),
            };
        }
        let own = |resolved: &Resolved| -> Vec<String> {
            resolved.settings.rules[..resolved.own_rules].iter().map(Rule::to_toml).collect()
        };
        let rules_changed = own(self) != own(&fresh);
        Renewal { settings: fresh, taken, left, rules_changed }
    }
}

fn change(spec: &OptionSpec, from: &str, to: &str, fresh: &Resolved) -> Change {
    let told = |value: &str| (!spec.private).then(|| value.to_owned());
    Change {
        option: spec.name.to_owned(),
        from: told(from),
        to: told(to),
        source: fresh.source(spec.name).to_string(),
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{} {from} → {to} ({})", self.option, self.source),
            _ => write!(f, "{} ({})", self.option, self.source),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{PartialSettings, Settings, Source};

    fn settings(text: &str) -> Resolved {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::resolve(&PartialSettings::default(), |_| None, Some(file.path())).unwrap()
    }

    #[test]
    fn live_options_change_and_the_others_are_named_and_stay() {
        let old = settings("cache_dir = '/a'\ncache_size = '2GB'\nprofile = 'server'\n");
        let new = settings(
            "cache_dir = '/b'\ncache_size = '1GB'\nprofile = 'desktop'\ncredentials = '/home/ada/key'\n\
             [[rule]]\nprocess = 'x'\naction = 'deny'\n",
        );
        let renewal = old.renewed(new);
        let names = |changes: &[Change]| changes.iter().map(|c| c.option.clone()).collect::<Vec<_>>();
        assert_eq!(names(&renewal.taken), ["credentials", "cache_size", "profile"]);
        assert_eq!(names(&renewal.left), ["cache_dir"]);
        assert!(renewal.rules_changed);
        let now = &renewal.settings;
        assert_eq!(now.settings.cache_dir.to_str(), Some("/a"));
        assert_eq!(now.source("cache_dir"), old.source("cache_dir"));
        assert_eq!(now.settings.cache_size.bytes(), 1_000_000_000);
        assert_eq!(now.settings.rules[0].name, "rule 1 of the configuration");
        assert!(now.settings.rules.len() > old.settings.rules.len(), "the rules of the new profile");
        assert!(renewal.taken[1].to_string().starts_with("cache_size 2GB → 1GB (/"));
        assert!(!renewal.taken[0].to_string().contains("ada"), "the place of the key is private");
    }

    #[test]
    fn a_value_that_went_back_to_its_default_is_a_change_too() {
        let renewal = settings("uid = 5\npoll_max = '30s'\n").renewed(settings(""));
        assert_eq!(renewal.left[0].to_string(), "uid 5 → mounter (default)");
        assert_eq!(renewal.taken[0].to_string(), "poll_max 30s → 75s (default)");
        assert_eq!(renewal.settings.settings.uid, Some(5));
        assert!(matches!(renewal.settings.source("uid"), Source::File { line: 1, .. }));
        assert!(!renewal.rules_changed);
    }

    #[test]
    fn nothing_changes_when_nothing_has_changed() {
        let renewal = settings("cache_size = '2GB'\n").renewed(settings("cache_size = '2000MB'\n"));
        assert!(renewal.taken.is_empty() && renewal.left.is_empty());
    }
}
