//! The configuration file: TOML, one `option = value` a line, and `[[rule]]` tables.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::options::{self, Kind, OPTIONS, OptionSpec, PartialSettings, Source};
use super::rules::{self, Action, NamePattern, PathPattern, Rule};

/// Keys of a `[[rule]]`.
const RULE_KEYS: &str = "name, process, thread, uid, gid, flags, path, action";

/// What a configuration file says, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// What could be understood.
    pub(super) settings: PartialSettings,
    /// Everything that could not, in the order of the lines.
    pub(super) errors: Vec<ConfigError>,
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Reading {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(source) => {
            let error = ConfigError::Unreadable { path: path.to_owned(), source };
            Reading { errors: vec![error], ..Reading::default() }
        }
    }
}

/// Reads the text of a configuration file, called `path` in messages.
pub(super) fn parse(path: &Path, text: &str) -> Reading {
    File { path, text }.parse()
}

/// "; did you mean …?" for a key that no option has, or where to look.
pub(super) fn advice(key: &str) -> String {
    let key = key.replace('-', "_");
    let nearest = OPTIONS.iter().map(|spec| (distance(&key, spec.name), spec.name)).min();
    match nearest {
        // of a short name so many letters would be any other
        Some((distance, name)) if distance <= (2 + name.len() / 8).min(name.len() / 2) => {
            format!("; did you mean '{name}'?")
        }
        _ => "; 'clmsfs config show' lists all options".to_owned(),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            path: self.path.to_owned(),
            line: 1 + before.matches('\n').count(),
            column: 1 + line.chars().count(),
        }
    }

    fn rule_error(&self, span: Range<usize>, message: String) -> ConfigError {
        ConfigError::Rule { place: self.place(span), message }
    }

    fn parse(&self) -> Reading {
        let (table, broken) = DeTable::parse_recoverable(self.text);
        // with the line each, for the order
        let mut errors: Vec<(usize, ConfigError)> = Vec::new();
        for error in broken {
            let place = self.place(error.span().unwrap_or_default());
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            errors.push((place.line, ConfigError::Syntax { place, message }));
        }
        let broken_lines: Vec<usize> = errors.iter().map(|(line, _)| *line).collect();
        let mut settings = PartialSettings::default();
        for (key, value) in table.get_ref().iter() {
            let name: &str = key.get_ref();
            let place = self.place(key.span());
            let line = place.line;
            if broken_lines.contains(&line) {
                // whatever is made of such a line was not meant
                continue;
            }
            if name == "rule" {
                for rule in self.rules(value) {
                    match rule {
                        Ok(rule) => settings.push_rule(rule),
                        Err(error) => {
                            let line = error.place().and_then(|(_, line, _)| line).unwrap_or(line);
                            errors.push((line, error));
                        }
                    }
                }
            } else if let Some(spec) = options::find(name).filter(|spec| spec.name == name) {
                if let Err(error) = self.option(spec, value, line, &mut settings) {
                    errors.push((line, error));
                }
            } else {
                let key = name.to_owned();
                errors.push((line, ConfigError::UnknownKey { place, key, advice: advice(name) }));
            }
        }
        errors.sort_by_key(|(line, _)| *line);
        Reading { settings, errors: errors.into_iter().map(|(_, error)| error).collect() }
    }

    fn option(
        &self,
        spec: &OptionSpec,
        value: &Spanned<DeValue<'_>>,
        line: usize,
        settings: &mut PartialSettings,
    ) -> Result<(), ConfigError> {
        let origin = Source::File { path: self.path.to_owned(), line };
        let refused =
            |message: String| ConfigError::Value { option: spec.name, origin: origin.clone(), message };
        let text = scalar(value.get_ref())
            .ok_or_else(|| refused(format!("a single value is needed, not {}", article(value.get_ref()))))?;
        if spec.kind == Kind::Path && text != "none" && !text.starts_with('/') && !text.starts_with('{') {
            return Err(refused("a path in the configuration file must be absolute".to_owned()));
        }
        settings.set(spec.name, &text, origin.clone())
    }

    /// Each rule that is sound, and each error of the others.
    fn rules(&self, value: &Spanned<DeValue<'_>>) -> Vec<Result<Rule, ConfigError>> {
        let DeValue::Array(items) = value.get_ref() else {
            return vec![Err(
                self.rule_error(value.span(), "rules are written as [[rule]] tables".to_owned())
            )];
        };
        let outcomes = items.iter().enumerate().flat_map(|(index, item)| match self.rule(index + 1, item) {
            Ok(rule) => vec![Ok(rule)],
            Err(errors) => errors.into_iter().map(Err).collect(),
        });
        outcomes.collect()
    }

    fn rule(&self, number: usize, item: &Spanned<DeValue<'_>>) -> Result<Rule, Vec<ConfigError>> {
        let DeValue::Table(table) = item.get_ref() else {
            let message = format!("a rule is a table with the keys {RULE_KEYS}");
            return Err(vec![self.rule_error(item.span(), message)]);
        };
        let mut rule = Rule::new(&format!("rule {number} of the configuration"), Action::Allow);
        let mut action = None;
        let mut errors = Vec::new();
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
            errors.extend(outcome.err().map(|message| self.rule_error(key.span(), message)));
        }
        if !table.iter().any(|(key, _)| key.get_ref() == "action") {
            let message = format!("the rule has no action; write one of {}", action_words());
            errors.push(self.rule_error(item.span(), message));
        }
        match action {
            Some(action) if errors.is_empty() => Ok(Rule { action, ..rule }),
            _ => Err(errors),
        }
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
        let mut reading = super::parse(Path::new("/etc/clmsfs/config.toml"), text);
        if reading.errors.is_empty() { Ok(reading.settings) } else { Err(reading.errors.remove(0)) }
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let told = message("# a comment\ncache_size = \"4GB\"\ncahce_dir = \"/x\"\n");
        assert_eq!(
            told,
            "/etc/clmsfs/config.toml:3:1: 'cahce_dir' is not an option; did you mean 'cache_dir'?"
        );
        assert!(message("cache-size = 1").contains("did you mean 'cache_size'?"));
        assert!(message("[server]\nport = 1").contains("config show"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_in_the_order_of_the_lines() {
        let text = "\
cash_size = '4GB'
poll_min = soon
  on_miss = 'perhaps'
cache_size = '4GB'
cache_size = '5GB'
orders_per_hour = 'many'

[[rule]]
proces = 'x'
uid = 'root'

[[rule]]
action = 'deny'

[[rule]]
process = 'y'
";
        let reading = super::parse(Path::new("c"), text);
        let told: Vec<String> = reading.errors.iter().map(ToString::to_string).collect();
        let places: Vec<&str> = told.iter().map(|told| told.split(' ').next().unwrap()).collect();
        let wanted =
            ["c:1:1:", "c:2:12:", "c:3:", "c:5:1:", "c:6:", "c:8:1:", "c:9:1:", "c:10:1:", "c:15:1:"];
        assert_eq!(places, wanted, "{told:#?}");
        assert!(told.iter().all(|told| told.lines().count() == 1), "{told:#?}");
        assert_eq!(reading.settings.rules().len(), 1, "what is sound is understood");
    }

    #[test]
    fn broken_toml_and_bad_values_are_told_with_their_line() {
        assert!(message("cache_size = \"4GB\"\non_miss = \n").contains(".toml:2:"));
        let told = message("\n\ncache_size = \"5 apples\"\n");
        assert!(told.starts_with("/etc/clmsfs/config.toml:3: cache_size: 'apples' is not a unit"), "{told}");
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
        assert!(message("[[rule]]\nproces = 'a'\naction = 'deny'").contains(":2:1: 'proces' is not a key"));
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
