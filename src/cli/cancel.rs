//! `clmsfs cancel ID…`.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::output::printable;
use super::{Ending, control, json_flag, mount_flag, products, wants_json, words};
use crate::control::server::{Ids, Outcome};

pub(super) fn command() -> Command {
    Command::new("cancel")
        .about("Cancel fetches: at once here, best effort at the service")
        .arg(
            Arg::new("ids")
                .value_name("ID")
                .num_args(1..)
                .required_unless_present("task")
                .help("<dataset>/<product>, a path below the mount, or dataset|file"),
        )
        .arg(
            Arg::new("task")
                .long("task")
                .value_name("TASK")
                .action(ArgAction::Append)
                .help("Cancel a task of the service, whoever ordered it"),
        )
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let control = control(arguments)?;
    let (ids, tasks) = (products(arguments, &control), words(arguments, "task"));
    let mut outcomes: Vec<Outcome> = Vec::new();
    if !tasks.is_empty() {
        outcomes.extend(control.post::<Vec<Outcome>>("/cancel", &Ids { ids: Vec::new(), tasks }).await?);
    }
    if !ids.is_empty() {
        outcomes.extend(control.post::<Vec<Outcome>>("/cancel", &Ids { ids, tasks: Vec::new() }).await?);
    }
    report(&outcomes, wants_json(arguments))
}

/// Prints what became of each, and fails when one failed.
pub(super) fn report(outcomes: &[Outcome], json: bool) -> Ending {
    if json {
        println!("{}", super::output::json(outcomes)?);
    }
    for outcome in outcomes.iter().filter(|_| !json) {
        let line = format!("{}: {}", printable(&outcome.id), printable(&outcome.message));
        if outcome.ok {
            println!("{line}");
        } else {
            eprintln!("clmsfs: {line}");
        }
    }
    let all = outcomes.iter().all(|outcome| outcome.ok);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
