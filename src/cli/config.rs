//! `clmsfs config show|check`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use serde_json::json;

use super::{Ending, config_flag, json_flag, settings, wants_json};
use crate::config::flags;

pub(super) fn command() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(config_flag()).args(flags::clap_args())
    };
    Command::new("config")
        .about("Show or check the configuration")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(verb("show", "Every option, its value, and where the value came from").arg(json_flag()))
        .subcommand(verb("check", "Only look for errors"))
}

pub(super) fn run(arguments: &ArgMatches) -> Ending {
    let (verb, arguments) = arguments.subcommand().expect("clap requires a verb");
    let resolved = settings(arguments)?;
    if verb == "show" {
        if wants_json(arguments) {
            let rows: Vec<_> = resolved
                .rows(false)
                .into_iter()
                .map(|row| json!({"name": row.name, "value": row.value, "source": row.source.to_string()}))
                .collect();
            println!("{}", super::output::json(&rows)?);
        } else {
            print!("{}", resolved.to_toml(false));
        }
    }
    Ok(ExitCode::SUCCESS)
}
