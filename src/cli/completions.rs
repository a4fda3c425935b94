//! `clmsfs completions SHELL`: what the shell needs to complete verbs, options and paths.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

use super::Ending;

/// Shells that completions are made for.
const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

pub(super) fn command() -> Command {
    Command::new("completions").about("Print completions for a shell, to be put where it looks for them").arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .help("Which shell")
            .value_parser(PossibleValuesParser::new(SHELLS.map(|(name, _)| name))),
    )
}

pub(super) fn run(arguments: &ArgMatches) -> Ending {
    let wanted = arguments.get_one::<String>("shell").expect("clap requires it");
    let (_, shell) = SHELLS.iter().find(|(name, _)| name == wanted).expect("clap knows the same shells");
    print!("{}", script(*shell));
    Ok(ExitCode::SUCCESS)
}

/// The completions of one shell.
fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "clmsfs", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_of_every_verb_and_of_choices() {
        for (name, shell) in SHELLS {
            let script = script(shell);
            for verb in super::super::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{name} does not know {}", verb.get_name());
            }
            for word in ["cache-size", "on-miss", "eagain", "desktop"] {
                assert!(script.contains(word), "{name} does not know {word}");
            }
            for hidden in [crate::ingest::CHILD_VERB, crate::ingest::FOLLOW_VERB, crate::doctor::ASK_VERB] {
                assert!(!script.contains(hidden), "{name} offers the hidden verb {hidden}");
            }
        }
    }
}
