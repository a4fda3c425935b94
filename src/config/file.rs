//! The configuration file: TOML, one `option = value` a line, and `[[rule]]` tables.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::options::{self, Kind, OPTIONS, PartialSettings, Source};
use super::rules::{self, Action, NamePattern, PathPattern, Rule};

/// Keys of a `[[rule]]`.
const RULE_KEYS: &str = "name, process, thread, uid, gid, flags, path, action";

/// Reads a configuration file.
///
/// # Errors
/// The file cannot be read, is no TOML, or has a key or value that is not usable; with the line.
pub(super) fn read(path: &Path) -> Result<PartialSettings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads the text of a configuration file, called `path` in messages.
///
/// # Errors
/// Those of [`read`] but for the reading.
pub(super) fn parse(path: &Path, text: &str) -> Result<PartialSettings, ConfigError> {
    File { path, text }.parse()
}

/// "; did you mean …?" for a key that no option has, or where to look.
pub(super) fn advice(key: &str) -> String {
    let key = key.replace('-', "_");
    let nearest = OPTIONS.iter().map(|spec| (distance(&key, spec.name), spec.name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2 + name.len() / 8 => format!("; did you mean '{name}'?"),
        _ => "; docs/CONFIGURATION.md lists all options".to_owned(),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }

    fn rule_error(&self, span: Range<usize>, message: String) -> ConfigError {
        ConfigError::Rule { path: self.path.to_owned(), line: self.line(span), message }
    }

    fn parse(&self) -> Result<PartialSettings, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| ConfigError::Syntax {
            path: self.path.to_owned(),
            line: self.line(error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })?;
        let mut partial = PartialSettings::default();
        for (key, value) in table.get_ref().iter() {
            let name: &str = key.get_ref();
            let line = self.line(key.span());
            if name == "rule" {
                for rule in self.rules(value)? {
                    partial.push_rule(rule);
                }
                continue;
            }
            let Some(spec) = options::find(name).filter(|spec| spec.name == name) else {
                return Err(ConfigError::UnknownKey {
                    path: self.path.to_owned(),
                    line,
                    key: name.to_owned(),
                    advice: advice(name),
                });
            };
            let origin = Source::File { path: self.path.to_owned(), line };
            let refused =
                |message: String| ConfigError::Value { option: spec.name, origin: origin.clone(), message };
            let text = scalar(value.get_ref()).ok_or_else(|| {
                refused(format!("a single value is needed, not {}", article(value.get_ref())))
            })?;
            if spec.kind == Kind::Path && text != "none" && !text.starts_with('/') && !text.starts_with('{') {
                return Err(refused("a path in the configuration file must be absolute".to_owned()));
            }
            partial.set(spec.name, &text, origin.clone())?;
        }
        Ok(partial)
    }

    fn rules(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Rule>, ConfigError> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.rule_error(value.span(), "rules are written as [[rule]] tables".to_owned()));
        };
        items.iter().enumerate().map(|(index, item)| self.rule(index + 1, item)).collect()
    }

    fn rule(&self, number: usize, item: &Spanned<DeValue<'_>>) -> Result<Rule, ConfigError> {
        let DeValue::Table(table) = item.get_ref() else {
            return Err(self.rule_error(item.span(), format!("a rule is a table with the keys {RULE_KEYS}")));
        };
        let mut rule = Rule::new(&format!("rule {number} of the configuration"), Action::Allow);
        let mut action = None;
        for (key, value) in table.iter() {
            let name: &str = key.get_ref();
            let outcome = (|| {
                match name {
                    "name" => rule.name = text(value)?,
                    "process" => rule.process = each(value, NamePattern::new)?,
                    "thread" => rule.thread = each(value, NamePattern::new)?,
                    "path" => rule.path = each(value, PathPattern::new)?,
                    "uid" => rule.uid = each(value, id)?,
                    "gid" => rule.gid = each(value, id)?,
                    "flags" => {
                        rule.flags = each(value, rules::flag)?.into_iter().fold(0, |all, bit| all | bit)
                    }
                    "action" => action = Some(parse_action(&text(value)?)?),
                    _ => return Err(format!("'{name}' is not a key of a rule; there are {RULE_KEYS}")),
                }
                Ok(())
            })();
            outcome.map_err(|message| self.rule_error(key.span(), message))?;
        }
        rule.action = action.ok_or_else(|| {
            self.rule_error(item.span(), format!("the rule has no action; write one of {}", action_words()))
        })?;
        Ok(rule)
    }
}

/// The text of a single value as flags and environment would give it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
        _ => "a hexadecimal, octal or binary number",
    }
}

fn text(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    scalar(value.get_ref()).ok_or_else(|| format!("a text is needed, not {}", article(value.get_ref())))
}

/// One value or a list of values.
fn each<T>(
    value: &Spanned<DeValue<'_>>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => {
            Err("an empty list matches nothing; leave the key out to match everything".to_owned())
        }
        DeValue::Array(items) => items.iter().map(|item| parse(&text(item)?)).collect(),
        _ => Ok(vec![parse(&text(value)?)?]),
    }
}

fn id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("'{text}' is not a numeric id; names are not looked up"))
}

fn action_words() -> String {
    Action::WORDS.map(|(word, _)| word).join(", ")
}

fn parse_action(text: &str) -> Result<Action, String> {
    Action::WORDS
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, action)| *action)
        .ok_or_else(|| format!("'{text}' is not an action; write one of {}", action_words()))
}

/// Levenshtein distance: how many letters are wrong, missing or too many.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::rules::Opener;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<PartialSettings, ConfigError> {
        File { path: Path::new("/etc/clmsfs/config.toml"), text }.parse()
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let told = message("# a comment\ncache_size = \"4GB\"\ncahce_dir = \"/x\"\n");
        assert_eq!(
            told,
            "/etc/clmsfs/config.toml, line 3: 'cahce_dir' is not an option; did you mean 'cache_dir'?"
        );
        assert!(message("cache-size = 1").contains("did you mean 'cache_size'?"));
        assert!(message("[server]\nport = 1").contains("docs/CONFIGURATION.md"));
    }

    #[test]
    fn broken_toml_and_bad_values_are_told_with_their_line() {
        assert!(message("cache_size = \"4GB\"\non_miss = \n").contains("line 2"));
        let told = message("\n\ncache_size = \"5 apples\"\n");
        assert!(told.starts_with("cache_size (/etc/clmsfs/config.toml:3): 'apples' is not a unit"), "{told}");
        assert!(message("cache_size = [1]").contains("not a list"));
        assert!(message("cache_dir = \"cache\"").contains("must be absolute"));
    }

    #[test]
    fn plain_numbers_and_booleans_need_no_quotes() {
        let partial = parse("cache_size = 64_000_000\nallow_other = true\norders_per_hour = 5\n").unwrap();
        let given: Vec<(&str, String)> =
            partial.values().map(|(spec, text, _)| (spec.name, text.to_owned())).collect();
        assert_eq!(given.len(), 3);
        assert!(given.contains(&("cache_size", "64000000".to_owned())), "{given:?}");
    }

    #[test]
    fn a_pasted_key_is_never_repeated() {
        let told = message("credentials = '{\"private_key\": \"SECRET\"}'\n");
        assert!(!told.contains("SECRET") && told.contains("chmod 600"), "{told}");
    }

    #[test]
    fn rules_in_both_spellings() {
        let text = r#"
            [[rule]]
            process = ["rsync", "gvfsd*"]
            uid = [0, 1000]
            flags = ["O_NONBLOCK"]
            path = "clc*/**"
            action = "eagain"

            [[rule]]
            name = "nobody else"
            action = "deny"
        "#;
        let rules = parse(text).unwrap().rules().to_vec();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].uid, [0, 1000]);
        assert_eq!(rules[0].flags, libc::O_NONBLOCK);
        assert_eq!(rules[1].name, "nobody else");
        let short = parse("rule = [{ process = 'rsync', action = 'allow' }]").unwrap().rules().to_vec();
        assert_eq!(short[0].action, Action::Allow);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told_with_its_line() {
        assert!(message("[[rule]]\nprocess = 'a'\n").contains("has no action"));
        assert!(message("[[rule]]\nproces = 'a'\naction = 'deny'").contains("line 2: 'proces' is not a key"));
        assert!(message("[[rule]]\naction = 'forbid'").contains("'forbid' is not an action"));
        assert!(message("[[rule]]\naction = 'deny'\nflags = 'O_RDONLY'").contains("O_NONBLOCK"));
        assert!(message("[[rule]]\naction = 'deny'\nuid = 'root'").contains("not a numeric id"));
        assert!(message("[[rule]]\naction = 'deny'\npath = '['").contains("not a usable pattern"));
        assert!(message("[[rule]]\naction = 'deny'\nprocess = []").contains("empty list"));
        assert!(message("rule = 3").contains("[[rule]]"));
    }

    #[test]
    fn a_rule_survives_being_written() {
        let text = "[[rule]]\nprocess = ['a*', 'b']\nthread = 't'\nuid = 5\ngid = 6\nflags = ['NOATIME', 'O_DIRECT']\npath = 'x/**'\naction = 'eagain-no-order'\nname = 'n'";
        let first = parse(text).unwrap().rules()[0].clone();
        let second = parse(&first.to_toml()).unwrap().rules()[0].clone();
        assert_eq!(first.to_toml(), second.to_toml());
        let opener =
            Opener { pid: 1, tgid: 1, comm: "abc".into(), thread: "t".into(), exe: None, uid: 5, gid: 6 };
        assert!(second.matches(&opener, libc::O_NOATIME | libc::O_DIRECT, "x/y"));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "\\PC{0,80}(\n\\PC{0,80}){0,4}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_almost_file_panics(key in "[a-z_]{1,20}|rule|cache_size", value in "\\PC{0,20}") {
            let _ = parse(&format!("{key} = {value}"));
            let _ = parse(&format!("[[{key}]]\nprocess = {value}\naction = {value}"));
        }
    }
}
