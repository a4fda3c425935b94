//! `clmsfs config show|check`.

mod check;
mod show;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{Ending, config_flag, json_flag};
use crate::config::flags;

pub(super) fn command() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(config_flag()).arg(json_flag()).args(flags::clap_args())
    };
    Command::new("config")
        .about("Show or check the configuration")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(verb("show", "Every option, its value, and where the value came from"))
        .subcommand(verb(
            "check",
            "Name everything that is wrong, each with its line; try the service key and the folders",
        ))
}

pub(super) fn run(arguments: &ArgMatches) -> Ending {
    let (verb, arguments) = arguments.subcommand().expect("clap requires a verb");
    match verb {
        "show" => show::run(arguments)?,
        _ if !check::run(arguments)? => return Ok(ExitCode::FAILURE),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}
