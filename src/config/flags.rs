//! Flags of the command line, made from the table of options.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::error::ConfigError;
use super::options::{Kind, OPTIONS, OptionSpec, PartialSettings, Source};

/// One clap argument for each option: `--cache-size SIZE`, `--allow-other`. Values are checked while parsing.
///
/// No defaults are set here: whether a flag was given decides over file and environment.
pub fn clap_args() -> Vec<Arg> {
    OPTIONS.iter().map(argument).collect()
}

fn argument(spec: &'static OptionSpec) -> Arg {
    let arg = Arg::new(spec.name)
        .long(spec.flag())
        .value_name(spec.value_name)
        .help(format!("{} [default: {}] [env: {}]", spec.help, spec.default(), spec.env()))
        .help_heading(spec.group)
        .action(ArgAction::Set)
        // the value's name says them already
        .hide_possible_values(true)
        .value_parser(OptionValue(spec));
    match spec.kind {
        Kind::Value => arg,
        Kind::Path => arg.value_hint(ValueHint::AnyPath),
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
    }
}

/// Checks values of an option, and knows the words it takes for shells that complete them.
#[derive(Clone)]
struct OptionValue(&'static OptionSpec);

impl TypedValueParser for OptionValue {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let spec = self.0;
        let check = move |text: &str| spec.check(text).map(|()| text.to_owned());
        check.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = || self.0.value_name.split('|');
        // 'DURATION|none' is no list of words
        let are_words = words().count() > 1 && words().all(|word| word.chars().all(char::is_lowercase));
        are_words
            .then(|| Box::new(words().map(PossibleValue::new)) as Box<dyn Iterator<Item = PossibleValue>>)
    }
}

/// The options that were given as flags of a command made with [`clap_args`].
///
/// # Errors
/// A value is unusable (clap has refused those already when it parsed with these arguments).
pub fn from_matches(matches: &ArgMatches) -> Result<PartialSettings, ConfigError> {
    let mut partial = PartialSettings::default();
    for spec in OPTIONS {
        // A command that leaves some of the arguments out has no such id, which is as good as not given.
        if let Ok(Some(text)) = matches.try_get_one::<String>(spec.name) {
            partial.set(spec.name, text, Source::Flag(format!("--{}", spec.flag())))?;
        }
    }
    Ok(partial)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<PartialSettings, clap::Error> {
        let command = Command::new("clmsfs").args(clap_args());
        Ok(from_matches(&command.try_get_matches_from(std::iter::once(&"clmsfs").chain(words))?).unwrap())
    }

    #[test]
    fn the_arguments_are_sound() {
        Command::new("clmsfs").args(clap_args()).debug_assert();
    }

    #[test]
    fn flags_are_taken_and_the_rest_stays_open() {
        let partial = parse(&["--cache-size", "64MB", "--allow-other", "--on-miss=eagain"]).unwrap();
        let given: Vec<String> =
            partial.values().map(|(spec, text, source)| format!("{} {text} {source}", spec.name)).collect();
        assert_eq!(
            given,
            ["cache_size 64MB --cache-size", "on_miss eagain --on-miss", "allow_other true --allow-other"]
        );
        assert_eq!(parse(&["--allow-other=false"]).unwrap().values().next().unwrap().1, "false");
        assert_eq!(parse(&[]).unwrap().values().count(), 0);
    }

    #[test]
    fn a_bad_value_is_refused_with_our_advice() {
        let told = parse(&["--cache-size", "5 apples"]).unwrap_err().to_string();
        assert!(told.contains("--cache-size") && told.contains("GiB"), "{told}");
    }

    #[test]
    fn choices_can_be_completed_and_sizes_cannot() {
        let values = |name: &str| {
            let arguments = clap_args();
            let argument = arguments.iter().find(|argument| argument.get_id() == name).unwrap();
            let values = argument.get_possible_values();
            values.iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values("on_miss"), ["block", "eagain"]);
        assert_eq!(values("allow_other"), ["true", "false"]);
        assert!(values("block_timeout").is_empty() && values("cache_size").is_empty());
    }

    #[test]
    fn a_command_without_the_arguments_gives_nothing() {
        let matches = Command::new("clmsfs").try_get_matches_from(["clmsfs"]).unwrap();
        assert_eq!(from_matches(&matches).unwrap().values().count(), 0);
    }
}
